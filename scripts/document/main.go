// Command document writes the OpenAPI document as JSON, as GET /v1/openapi.json gives it: with every problem that an
// operation answers with written out, from the one table of codes. It also writes the methods of the Go client.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/goccy/go-yaml"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "document: want the names of the YAML file, of the JSON file and of the client's file")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "document:", err)
		os.Exit(1)
	}
}

func run(from, to, clientFile string) error {
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
	methods, err := client(document)
	if err != nil {
		return fmt.Errorf("write the client: %w", err)
	}
	return os.WriteFile(clientFile, methods, 0o644) //nolint:gosec // a file of the repository
}
