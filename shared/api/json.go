package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"contactcenter/shared/content"
)

// maxDepth bounds how deep a body may nest; our own requests need four levels.
const maxDepth = 32

// node is one value of a JSON document.
type node struct {
	// kind is '{', '[', '"', '0', 't' or 'n'.
	kind   byte
	text   string // of strings and numbers
	truth  bool
	items  []*node
	fields []member
}

type member struct {
	name  string
	value *node
}

func (n *node) get(name string) *node {
	for _, m := range n.fields {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// parse reads a JSON document without losing anything: encoding/json would replace what is not UTF-8 and keep the last
// of repeated fields.
func parse(body []byte) (*node, FieldErrors, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, nil, emptyBody()
	}
	if !utf8.Valid(body) {
		return nil, nil, NewProblem(CodeInvalidRequest).WithDetail("The body is not valid UTF-8. It is not repaired: that would change the message.")
	}
	if !json.Valid(body) {
		var syntax *json.SyntaxError
		var raw json.RawMessage
		if err := json.Unmarshal(body, &raw); errors.As(err, &syntax) {
			return nil, nil, badJSON(fmt.Sprintf("The body is not one valid JSON value: see byte %d.", syntax.Offset))
		}
		return nil, nil, badJSON("The body is not one valid JSON value.")
	}
	if at := content.HalfSurrogateAt(body); at >= 0 {
		return nil, nil, NewProblem(CodeInvalidRequest).WithDetail(fmt.Sprintf("The escape at byte %d is half a surrogate pair, which is no character. It is not repaired: that would change the message.", at))
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var errs FieldErrors
	n, err := value(d, "", 0, &errs)
	if err != nil {
		return nil, nil, err
	}
	return n, errs, nil
}

func value(d *json.Decoder, path string, depth int, errs *FieldErrors) (*node, error) {
	if depth > maxDepth {
		return nil, NewProblem(CodeInvalidRequest).WithDetail("The body nests too deep.")
	}
	tok, err := d.Token()
	if err != nil {
		return nil, badJSON("The body is not valid JSON.")
	}
	switch t := tok.(type) {
	case string:
		return &node{kind: '"', text: t}, nil
	case json.Number:
		return &node{kind: '0', text: t.String()}, nil
	case bool:
		return &node{kind: 't', truth: t}, nil
	case json.Delim:
		if t == '{' {
			return object(d, path, depth, errs)
		}
		return array(d, path, depth, errs)
	default:
		return &node{kind: 'n'}, nil
	}
}

func object(d *json.Decoder, path string, depth int, errs *FieldErrors) (*node, error) {
	n := &node{kind: '{'}
	seen := map[string]bool{}
	for d.More() {
		tok, err := d.Token()
		if err != nil {
			return nil, badJSON("The body is not valid JSON.")
		}
		name, _ := tok.(string)
		v, err := value(d, join(path, name), depth+1, errs)
		if err != nil {
			return nil, err
		}
		if seen[name] {
			errs.Add(join(path, name), FieldDuplicate, "is there more than once")
			continue
		}
		seen[name] = true
		n.fields = append(n.fields, member{name, v})
	}
	if _, err := d.Token(); err != nil {
		return nil, badJSON("The body is not valid JSON.")
	}
	return n, nil
}

func array(d *json.Decoder, path string, depth int, errs *FieldErrors) (*node, error) {
	n := &node{kind: '['}
	for d.More() {
		v, err := value(d, index(path, len(n.items)), depth+1, errs)
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, v)
	}
	if _, err := d.Token(); err != nil {
		return nil, badJSON("The body is not valid JSON.")
	}
	return n, nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
