package localdynamo

import (
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const maxExpression = 4096

// names are the substitutions of one request, and which of them its expressions have used.
type names struct {
	attributes map[string]string
	values     item
	used       map[string]bool
}

func newNames(attributes map[string]string, values item) *names {
	return &names{attributes: attributes, values: values, used: map[string]bool{}}
}

// unused is an error when the request declares what no expression uses.
func (n *names) unused() error {
	for name := range n.attributes {
		if !n.used[name] {
			return invalid("Value provided in ExpressionAttributeNames unused in expressions: keys: {%s}", name)
		}
	}
	for name := range n.values {
		if !n.used[name] {
			return invalid("Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}", name)
		}
	}
	return nil
}

// parser reads one expression. The first error stays in err, and everything after it reads as the end.
type parser struct {
	kind   string // for errors: ConditionExpression …
	tokens []string
	next   int
	names  *names
	err    error
}

func newParser(kind, expression string, n *names) *parser {
	p := &parser{kind: kind, names: n}
	if len(expression) > maxExpression {
		p.fail("Expression size has exceeded the maximum allowed size; expression size: %d", len(expression))
		return p
	}
	if strings.TrimSpace(expression) == "" {
		p.fail("The expression can not be empty;")
		return p
	}
	p.tokenize(expression)
	return p
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = invalid("Invalid "+p.kind+": "+format, args...)
	}
}

func (p *parser) unexpected() {
	p.fail("Syntax error; token: %q, near: %q", p.peek(), strings.Join(p.tokens[max(0, p.next-1):min(len(p.tokens), p.next+2)], " "))
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

func (p *parser) tokenize(s string) {
	for i := 0; i < len(s); {
		c := s[i]
		start := i
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case c == '#' || c == ':' || wordByte(c) && c != '-':
			for i++; i < len(s) && wordByte(s[i]) && (s[i] != '-' || c == '#'); i++ {
			}
		case strings.HasPrefix(s[i:], "<>") || strings.HasPrefix(s[i:], "<=") || strings.HasPrefix(s[i:], ">="):
			i += 2
		case strings.IndexByte("=<>(),.[]+-", c) >= 0:
			i++
		default:
			p.fail("Syntax error; token: %q, near: %q", string(c), s[i:min(len(s), i+10)])
			return
		}
		p.tokens = append(p.tokens, s[start:i])
	}
}

func (p *parser) peek() string {
	if p.err != nil || p.next >= len(p.tokens) {
		return ""
	}
	return p.tokens[p.next]
}

func (p *parser) take() string {
	t := p.peek()
	p.next++
	return t
}

// keyword takes the next token when it is this word, in any case.
func (p *parser) keyword(word string) bool {
	if strings.EqualFold(p.peek(), word) {
		p.next++
		return true
	}
	return false
}

func (p *parser) expect(token string) {
	if !p.keyword(token) {
		p.unexpected()
	}
}

func (p *parser) end() error {
	if p.err == nil && p.next < len(p.tokens) {
		p.unexpected()
	}
	return p.err
}

// step is one part of a path: an attribute's name, or a position in a list.
type step struct {
	name     string
	position int // -1 for a name
}

type path []step

func (t path) String() string {
	var b strings.Builder
	for i, s := range t {
		switch {
		case s.position >= 0:
			b.WriteString("[" + strconv.Itoa(s.position) + "]")
		case i > 0:
			b.WriteString("." + s.name)
		default:
			b.WriteString(s.name)
		}
	}
	return b.String()
}

func (p *parser) name() step {
	t := p.take()
	switch {
	case strings.HasPrefix(t, "#"):
		name, ok := p.names.attributes[t]
		if !ok {
			p.fail("An expression attribute name used in the document path is not defined; attribute name: %s", t)
		}
		p.names.used[t] = true
		return step{name, -1}
	case t == "" || !wordByte(t[0]) || t[0] >= '0' && t[0] <= '9':
		p.next--
		p.unexpected()
	case reserved[strings.ToUpper(t)]:
		p.fail("Attribute name is a reserved keyword; reserved keyword: %s", t)
	}
	return step{t, -1}
}

func (p *parser) path() path {
	t := path{p.name()}
	for p.err == nil {
		switch {
		case p.keyword("."):
			t = append(t, p.name())
		case p.keyword("["):
			n, err := strconv.Atoi(p.take())
			if err != nil {
				p.next--
				p.unexpected()
			}
			t = append(t, step{position: n})
			p.expect("]")
		default:
			return t
		}
	}
	return t
}

func (p *parser) value() types.AttributeValue {
	t := p.take()
	v, ok := p.names.values[t]
	if !ok {
		p.fail("An expression attribute value used in expression is not defined; attribute value: %s", t)
	}
	p.names.used[t] = true
	return v
}

// of returns what the item has at the path, or nil.
func (t path) of(it map[string]types.AttributeValue) types.AttributeValue {
	v := it[t[0].name]
	for _, s := range t[1:] {
		switch c := v.(type) {
		case *mapValue:
			if s.position >= 0 {
				return nil
			}
			v = c.Value[s.name]
		case *listValue:
			if s.position < 0 || s.position >= len(c.Value) {
				return nil
			}
			v = c.Value[s.position]
		default:
			return nil
		}
	}
	return v
}
