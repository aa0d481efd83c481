package chain

import (
	"encoding/json"
	"fmt"

	"github.com/gowebpki/jcs"
)

// Canonical writes a JSON value as RFC 8785 does (the JSON Canonicalization Scheme). Texts that are no UTF-8 have U+FFFD in them, as wherever
// they are stored or sent. It fails for what encoding/json can't write, and for numbers that are no IEEE 754 doubles.
func Canonical(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("canonical form: %w", err)
	}
	b, err := jcs.Transform(raw)
	if err != nil {
		return nil, fmt.Errorf("canonical form: %w", err)
	}
	return b, nil
}
