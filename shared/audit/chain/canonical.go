package chain

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf16"
)

var errNumber = errors.New("canonical form: a number that JSON can't hold")

// Canonical writes a JSON value as RFC 8785 does (the JSON Canonicalization Scheme): no white space, members sorted by their names'
// UTF-16 code units, numbers and texts as ECMAScript writes them. The value is made of what encoding/json decodes into an any,
// json.Number included, and of whole numbers; an error names anything else, and numbers that are no IEEE 754 doubles.
func Canonical(v any) ([]byte, error) { return appendValue(nil, v) }

func appendValue(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case string:
		return appendText(b, v), nil
	case float64:
		return appendNumber(b, v)
	case int64:
		return appendNumber(b, float64(v))
	case int:
		return appendNumber(b, float64(v))
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return nil, errNumber
		}
		return appendNumber(b, f)
	case []any:
		return appendList(b, v)
	case map[string]any:
		return appendObject(b, v)
	}
	return nil, fmt.Errorf("canonical form: %T is no JSON value", v)
}

func appendList(b []byte, list []any) ([]byte, error) {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendValue(b, v); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func appendObject(b []byte, m map[string]any) ([]byte, error) {
	names := slices.SortedFunc(maps.Keys(m), func(a, b string) int { return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b))) })
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, name), ':')
		var err error
		if b, err = appendValue(b, m[name]); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// appendNumber writes a double as ECMAScript's Number.prototype.toString does.
func appendNumber(b []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, errNumber
	}
	if f == 0 {
		return append(b, '0'), nil // minus zero too
	}
	if abs := math.Abs(f); abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(b, f, 'f', -1, 64), nil
	}
	b = strconv.AppendFloat(b, f, 'e', -1, 64)
	if n := len(b); b[n-4] == 'e' && b[n-2] == '0' { // Go writes e-09, ECMAScript e-9
		b = append(b[:n-2], b[n-1])
	}
	return b, nil
}

// appendText writes a text; what is no UTF-8 becomes U+FFFD, as it does wherever it is stored or sent.
func appendText(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range s {
		switch r {
		case '"', '\\':
			b = append(b, '\\', byte(r))
		case '\b':
			b = append(b, `\b`...)
		case '\f':
			b = append(b, `\f`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			if r < ' ' {
				b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&0xf])
			} else {
				b = append(b, string(r)...)
			}
		}
	}
	return append(b, '"')
}
