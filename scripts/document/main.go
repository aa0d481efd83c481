// Command document writes the OpenAPI document as JSON, as GET /v1/openapi.json gives it: with every problem that an
// operation answers with written out, from the one table of codes.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/goccy/go-yaml"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "document: want the names of the YAML and of the JSON file")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "document:", err)
		os.Exit(1)
	}
}

func run(from, to string) error {
	document, err := os.ReadFile(from) //nolint:gosec // the caller names the file
	if err != nil {
		return err
	}
	out, err := convert(document)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	return os.WriteFile(to, out, 0o644) //nolint:gosec // a file of the repository
}

func convert(document []byte) ([]byte, error) {
	var v map[string]any
	if err := yaml.Unmarshal(document, &v); err != nil {
		return nil, err
	}
	if err := expand(v); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
