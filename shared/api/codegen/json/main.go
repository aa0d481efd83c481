// Command json writes the OpenAPI document as JSON, as GET /v1/openapi.json gives it.
package main

import (
	"fmt"
	"os"

	"github.com/goccy/go-yaml"
)

func main() {
	if err := run("openapi.yaml", "openapi.gen.json"); err != nil {
		fmt.Fprintln(os.Stderr, "json:", err)
		os.Exit(1)
	}
}

func run(from, to string) error {
	document, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	out, err := yaml.YAMLToJSON(document)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	return os.WriteFile(to, out, 0o644)
}
