// Package template knows the SAM template of this application: it reads the YAML, resolves CloudFormation's
// intrinsic functions, and tells which functions, routes, queues, tables and schedules there are. It knows nothing
// of how any of them is run.
package template

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Template is a template as it was written, with the short forms of intrinsic functions (!Ref, !Sub, …) spelled out.
type Template struct {
	root      map[string]any
	resources map[string]resource
}

type resource struct {
	kind       string
	condition  string
	properties map[string]any
}

// Parse reads a template. Errors name the line.
func Parse(source []byte) (*Template, error) {
	file, err := parser.ParseBytes(source, 0)
	if err != nil {
		return nil, fmt.Errorf("parse the template: %w", err)
	}
	if len(file.Docs) != 1 {
		return nil, fmt.Errorf("parse the template: %d YAML documents where one is expected", len(file.Docs))
	}
	reader := yamlReader{anchors: map[string]any{}}
	value, err := reader.value(file.Docs[0].Body)
	if err != nil {
		return nil, fmt.Errorf("parse the template: %w", err)
	}
	root, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("parse the template: it is not a mapping")
	}
	t := &Template{root: root, resources: map[string]resource{}}
	for id, v := range section(root, "Resources") {
		r, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("parse the template: resource %s is not a mapping", id)
		}
		kind, _ := r["Type"].(string)
		condition, _ := r["Condition"].(string)
		t.resources[id] = resource{kind: kind, condition: condition, properties: section(r, "Properties")}
	}
	if len(t.resources) == 0 {
		return nil, errors.New("parse the template: it has no Resources")
	}
	return t, nil
}

// Parameters are the names of the template's parameters, sorted.
func (t *Template) Parameters() []string {
	return slices.Sorted(maps.Keys(section(t.root, "Parameters")))
}

func section(m map[string]any, key string) map[string]any {
	s, _ := m[key].(map[string]any)
	return s
}

// yamlReader turns a syntax tree into plain values: map[string]any, []any, string, int64, uint64, float64, bool and nil.
type yamlReader struct {
	anchors map[string]any
}

func (y yamlReader) value(node ast.Node) (any, error) {
	switch n := node.(type) {
	case nil, *ast.NullNode:
		return nil, nil
	case *ast.TagNode:
		return y.tagged(n)
	case *ast.MappingNode:
		if len(n.Values) == 1 && glued(n.Values[0]) && n.Start.Type != token.MappingStartType {
			return n.Values[0].Key.GetToken().Value + ":" + n.Values[0].Value.GetToken().Value, nil
		}
		return y.mapping(n.Values)
	case *ast.MappingValueNode:
		return y.mapping([]*ast.MappingValueNode{n})
	case *ast.SequenceNode:
		list := make([]any, 0, len(n.Values))
		for _, item := range n.Values {
			v, err := y.value(item)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case *ast.AnchorNode:
		v, err := y.value(n.Value)
		if err != nil {
			return nil, err
		}
		y.anchors[n.Name.GetToken().Value] = v
		return v, nil
	case *ast.AliasNode:
		v, ok := y.anchors[n.Value.GetToken().Value]
		if !ok {
			return nil, fmt.Errorf("line %d: unknown alias", n.GetToken().Position.Line)
		}
		return v, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case ast.ScalarNode:
		return n.GetValue(), nil
	default:
		return nil, fmt.Errorf("line %d: %s is not understood", node.GetToken().Position.Line, node.Type())
	}
}

func (y yamlReader) mapping(values []*ast.MappingValueNode) (any, error) {
	m := make(map[string]any, len(values))
	for _, kv := range values {
		if glued(kv) {
			return nil, fmt.Errorf("line %d: write a space after the colon of %q, or quotes around the text", kv.Start.Position.Line, kv.Key.GetToken().Value)
		}
		v, err := y.value(kv.Value)
		if err != nil {
			return nil, err
		}
		if _, merge := kv.Key.(*ast.MergeKeyNode); merge {
			merged, _ := v.(map[string]any)
			for k, inherited := range merged {
				if _, own := m[k]; !own {
					m[k] = inherited
				}
			}
			continue
		}
		key := kv.Key.GetToken().Value
		if scalar, ok := kv.Key.(ast.ScalarNode); ok {
			key = fmt.Sprint(scalar.GetValue())
		}
		m[key] = v
	}
	return m, nil
}

// glued tells whether a colon stands within a plain text, as in [messages:read]. YAML makes that one text; the parser
// takes it for a mapping when it is within brackets.
func glued(n *ast.MappingValueNode) bool {
	colon, value := n.Start.Position, n.Value.GetToken().Position
	_, text := n.Value.(*ast.StringNode)
	return text && n.Key.GetToken().Type == token.StringType && value.Line == colon.Line && value.Column == colon.Column+1
}

// tagged spells a short form out: !Ref X is {"Ref": X}, !Sub X is {"Fn::Sub": X}.
func (y yamlReader) tagged(n *ast.TagNode) (any, error) {
	v, err := y.value(n.Value)
	if err != nil {
		return nil, err
	}
	name := strings.TrimPrefix(n.Start.Value, "!")
	switch {
	case strings.HasPrefix(name, "!"): // a YAML core tag such as !!str
		if name == "!str" {
			return fmt.Sprint(v), nil
		}
		return v, nil
	case name == "Ref" || name == "Condition":
		return map[string]any{name: v}, nil
	default:
		return map[string]any{"Fn::" + name: v}, nil
	}
}
