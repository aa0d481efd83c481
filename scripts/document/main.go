// Command document writes the OpenAPI document as JSON, as GET /v1/openapi.json gives it: with every problem that an
// operation answers with written out, from the one table of codes. It also writes the methods of the Go client, and those of the TypeScript client
// with its types.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/goccy/go-yaml"
)

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "document: want the names of the YAML file, of the JSON file, of the Go client's file and of the TypeScript client's folder")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, "document:", err)
		os.Exit(1)
	}
}

func run(from, to, clientFile, folder string) error {
	source, err := os.ReadFile(from) //nolint:gosec // the caller names the file
	if err != nil {
		return err
	}
	var document map[string]any
	if err := yaml.Unmarshal(source, &document); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	if err := expand(document); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(document); err != nil {
		return err
	}
	if err := os.WriteFile(to, out.Bytes(), 0o644); err != nil { //nolint:gosec // a file of the repository
		return err
	}
	list := operations(document)
	methods, err := client(list)
	if err != nil {
		return fmt.Errorf("write the client: %w", err)
	}
	for name, b := range map[string][]byte{
		clientFile:                             methods,
		filepath.Join(folder, "client.gen.ts"): typescriptClient(list),
		filepath.Join(folder, "types.gen.ts"):  typescriptTypes(document),
	} {
		if err := os.WriteFile(name, b, 0o644); err != nil { //nolint:gosec // a file of the repository
			return err
		}
	}
	return nil
}
