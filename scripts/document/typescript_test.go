package main

import (
	"testing"

	"github.com/goccy/go-yaml"
)

func TestEachFormOfSchemaIsATypeInTypeScript(t *testing.T) {
	t.Parallel()
	for schema, want := range map[string]string{
		"type: string":                                                 "string",
		"{type: integer, format: int64}":                               "number",
		"{type: string, nullable: true}":                               "string | null",
		"{type: string, enum: [on, off]}":                              `"on" | "off"`,
		`{$ref: "#/components/schemas/Message"}`:                       "Message",
		`{type: array, items: {$ref: "#/components/schemas/Message"}}`: "Message[]",
		"{type: array, items: {type: string, enum: [a, b]}}":           `("a" | "b")[]`,
		"{type: array, items: {type: string, nullable: true}}":         "(string | null)[]",
		"{oneOf: [{$ref: a/A}, {$ref: a/B}]}":                          "A | B",
		"{allOf: [{$ref: a/A}, {oneOf: [{$ref: a/B}, {$ref: a/C}]}]}":  "A & (B | C)",
		"{allOf: [{$ref: a/A}], nullable: true}":                       "A | null",
		"type: object":                                                 "Record<string, unknown>",
		"{type: object, additionalProperties: true}":                   "Record<string, unknown>",
		"{type: object, additionalProperties: {type: boolean}}":        "Record<string, boolean>",
		"{type: object, required: [b], properties: {b: {type: string}, a: {description: As it is., type: number}}}": "{\n  /** As it is. */\n  a?: number;\n  b: string;\n}",
		"{type: object, additionalProperties: true, properties: {a: {type: boolean}}}":                              "{\n  a?: boolean;\n  [name: string]: unknown;\n}",
		"{type: object, additionalProperties: false, properties: {a: {type: object, properties: {b: {}}}}}":         "{\n  a?: {\n    b?: unknown;\n  };\n}",
	} {
		var value any
		if err := yaml.Unmarshal([]byte(schema), &value); err != nil {
			t.Fatal(err)
		}
		if got := typescriptType(value, ""); got != want {
			t.Errorf("%s is %s, want %s", schema, got, want)
		}
	}
}

func TestACommentInTypeScriptEndsWhereItShould(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                "",
		"One line.\n":     "  /** One line. */\n",
		"One.\n\nAnother": "  /**\n   * One.\n   *\n   * Another\n   */\n",
		"of */* media":    "  /** of *\u200b/* media */\n",
	} {
		if got := typescriptComment("  ", text); got != want {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}
