package localdynamo

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// condition is a parsed condition, filter or key condition.
type condition interface{ holds(it item) bool }

type (
	both       struct{ left, right condition }
	either     struct{ left, right condition }
	negation   struct{ of condition }
	comparison struct {
		left, right operand
		operator    string
	}
	between struct{ value, low, high operand }
	among   struct {
		value operand
		list  []operand
	}
	existence struct {
		path   path
		wanted bool
	}
	prefix   struct{ value, prefix operand }
	content  struct{ value, part operand }
	typeTest struct {
		path path
		name string
	}
)

// operand is a path, the size of a path, or a value of the request.
type operand struct {
	path  path
	size  bool
	value types.AttributeValue
}

func (o operand) of(it item) types.AttributeValue {
	if o.path == nil {
		return o.value
	}
	v := o.path.of(it)
	if !o.size {
		return v
	}
	n := sizeOf(v)
	if n < 0 {
		return nil
	}
	return &numberValue{Value: strconv.Itoa(n)}
}

// sizeOf is the function size: characters of a string, bytes of a binary, elements of a container; -1 of anything else.
func sizeOf(v types.AttributeValue) int {
	switch v := v.(type) {
	case *textValue:
		return utf8.RuneCountInString(v.Value)
	case *binaryValue:
		return len(v.Value)
	case *mapValue:
		return len(v.Value)
	case *listValue:
		return len(v.Value)
	}
	if m, set := members(v); set {
		return len(m)
	}
	return -1
}

func (c both) holds(it item) bool     { return c.left.holds(it) && c.right.holds(it) }
func (c either) holds(it item) bool   { return c.left.holds(it) || c.right.holds(it) }
func (c negation) holds(it item) bool { return !c.of.holds(it) }

func (c comparison) holds(it item) bool {
	left, right := c.left.of(it), c.right.of(it)
	switch c.operator {
	case "=":
		return equal(left, right)
	case "<>":
		return !equal(left, right)
	}
	order, ok := compare(left, right)
	if !ok {
		return false
	}
	switch c.operator {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

func (c between) holds(it item) bool {
	v := c.value.of(it)
	low, ok1 := compare(v, c.low.of(it))
	high, ok2 := compare(v, c.high.of(it))
	return ok1 && ok2 && low >= 0 && high <= 0
}

func (c among) holds(it item) bool {
	v := c.value.of(it)
	return slices.ContainsFunc(c.list, func(o operand) bool { return equal(v, o.of(it)) })
}

func (c existence) holds(it item) bool { return (c.path.of(it) != nil) == c.wanted }

func (c prefix) holds(it item) bool {
	switch v := c.value.of(it).(type) {
	case *textValue:
		p, ok := c.prefix.of(it).(*textValue)
		return ok && strings.HasPrefix(v.Value, p.Value)
	case *binaryValue:
		p, ok := c.prefix.of(it).(*binaryValue)
		return ok && bytes.HasPrefix(v.Value, p.Value)
	}
	return false
}

func (c content) holds(it item) bool {
	whole, part := c.value.of(it), c.part.of(it)
	switch v := whole.(type) {
	case *textValue:
		p, ok := part.(*textValue)
		return ok && strings.Contains(v.Value, p.Value)
	case *binaryValue:
		p, ok := part.(*binaryValue)
		return ok && bytes.Contains(v.Value, p.Value)
	case *listValue:
		return slices.ContainsFunc(v.Value, func(e types.AttributeValue) bool { return equal(e, part) })
	}
	elements, set := members(whole)
	if !set || typeName(whole) != typeName(part)+"S" {
		return false
	}
	return slices.Contains(elements, scalarText(part))
}

func scalarText(v types.AttributeValue) string {
	switch v := v.(type) {
	case *textValue:
		return v.Value
	case *numberValue:
		return v.Value
	case *binaryValue:
		return string(v.Value)
	}
	return ""
}

func (c typeTest) holds(it item) bool {
	v := c.path.of(it)
	return v != nil && typeName(v) == c.name
}

// parseCondition parses a whole condition. An empty text is no condition: nil.
func parseCondition(kind, expression string, n *names) (condition, error) {
	p := newParser(kind, expression, n)
	c := p.disjunction()
	return c, p.end()
}

func (p *parser) disjunction() condition {
	c := p.conjunction()
	for p.keyword("OR") {
		c = either{c, p.conjunction()}
	}
	return c
}

func (p *parser) conjunction() condition {
	c := p.term()
	for p.keyword("AND") {
		c = both{c, p.term()}
	}
	return c
}

func (p *parser) term() condition {
	if p.keyword("NOT") {
		return negation{p.term()}
	}
	if p.keyword("(") {
		c := p.disjunction()
		p.expect(")")
		return c
	}
	if c := p.function(); c != nil {
		return c
	}
	left := p.operand()
	switch operator := p.take(); {
	case operator == "=" || operator == "<>" || operator == "<" || operator == "<=" || operator == ">" || operator == ">=":
		return comparison{left, p.operand(), operator}
	case strings.EqualFold(operator, "BETWEEN"):
		low := p.operand()
		p.expect("AND")
		return between{left, low, p.operand()}
	case strings.EqualFold(operator, "IN"):
		p.expect("(")
		list := []operand{p.operand()}
		for p.keyword(",") {
			list = append(list, p.operand())
		}
		p.expect(")")
		return among{left, list}
	}
	p.next--
	p.unexpected()
	return negation{}
}

// function parses a function that is a condition by itself, or returns nil when the next tokens are none.
func (p *parser) function() condition {
	if p.next+1 >= len(p.tokens) || p.tokens[p.next+1] != "(" || p.peek() == "size" {
		return nil
	}
	name := p.take()
	p.expect("(")
	var c condition
	switch name {
	case "attribute_exists", "attribute_not_exists":
		c = existence{p.path(), name == "attribute_exists"}
	case "attribute_type":
		t := typeTest{path: p.path()}
		p.expect(",")
		if v, ok := p.value().(*textValue); ok {
			t.name = v.Value
		} else {
			p.fail("Incorrect operand type for operator or function; operator or function: attribute_type")
		}
		c = t
	case "begins_with":
		value := p.operand()
		p.expect(",")
		start := p.operand()
		c = prefix{value, start}
		if v := start.value; v != nil && typeName(v) != "S" && typeName(v) != "B" {
			p.fail("Incorrect operand type for operator or function; operator or function: begins_with, operand type: %s", typeName(v))
		}
	case "contains":
		value := p.operand()
		p.expect(",")
		c = content{value, p.operand()}
	default:
		p.fail("Invalid function name; function: %s", name)
		return negation{}
	}
	p.expect(")")
	return c
}

func (p *parser) operand() operand {
	t := p.peek()
	if strings.HasPrefix(t, ":") {
		return operand{value: p.value()}
	}
	if t == "size" && p.next+1 < len(p.tokens) && p.tokens[p.next+1] == "(" {
		p.next += 2
		o := operand{path: p.path(), size: true}
		p.expect(")")
		return o
	}
	return operand{path: p.path()}
}
