package localdynamo

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// update is a parsed update expression. All right-hand sides see the item as it was before the update.
type update struct {
	sets    []assignment
	removes []path
	adds    []delta
	deletes []delta
}

// delta is what ADD and DELETE do to a number or a set.
type delta struct {
	to path
	by types.AttributeValue
}

type assignment struct {
	to    path
	value term
}

// term is a right-hand side: an operand, a sum, or a function.
type term interface {
	eval(it item) (types.AttributeValue, error)
}

type (
	sum struct {
		left, right term
		minus       bool
	}
	orElse struct {
		path     path
		fallback term
	}
	joined struct{ left, right term }
)

func (o operand) eval(it item) (types.AttributeValue, error) {
	v := o.of(it)
	if v == nil {
		return nil, invalid("The provided expression refers to an attribute that does not exist in the item")
	}
	return v, nil
}

func (s sum) eval(it item) (types.AttributeValue, error) {
	left, err := s.left.eval(it)
	if err != nil {
		return nil, err
	}
	right, err := s.right.eval(it)
	if err != nil {
		return nil, err
	}
	a, ok1 := left.(*numberValue)
	b, ok2 := right.(*numberValue)
	if !ok1 || !ok2 {
		return nil, wrongType()
	}
	return total(a, b, s.minus)
}

func total(a, b *numberValue, minus bool) (types.AttributeValue, error) {
	n := mustNumber(b.Value)
	if minus {
		n = n.negated()
	}
	n, err := mustNumber(a.Value).add(n)
	if err != nil {
		return nil, err
	}
	return &numberValue{Value: n.String()}, nil
}

func (o orElse) eval(it item) (types.AttributeValue, error) {
	if v := o.path.of(it); v != nil {
		return v, nil
	}
	return o.fallback.eval(it)
}

func (j joined) eval(it item) (types.AttributeValue, error) {
	left, err := j.left.eval(it)
	if err != nil {
		return nil, err
	}
	right, err := j.right.eval(it)
	if err != nil {
		return nil, err
	}
	a, ok1 := left.(*listValue)
	b, ok2 := right.(*listValue)
	if !ok1 || !ok2 {
		return nil, wrongType()
	}
	return &listValue{Value: slices.Concat(a.Value, b.Value)}, nil
}

func parseUpdate(expression string, n *names) (*update, error) {
	p := newParser("UpdateExpression", expression, n)
	u := &update{}
	seen := map[string]bool{}
	for p.err == nil && p.next < len(p.tokens) {
		clause := strings.ToUpper(p.take())
		if seen[clause] {
			p.fail("The %q section can only be used once in an update expression;", clause)
		}
		seen[clause] = true
		switch clause {
		case "SET":
			p.each(func() { u.sets = append(u.sets, p.assignment()) })
		case "REMOVE":
			p.each(func() { u.removes = append(u.removes, p.path()) })
		case "ADD":
			p.each(func() { u.adds = append(u.adds, delta{p.path(), p.value()}) })
		case "DELETE":
			p.each(func() { u.deletes = append(u.deletes, delta{p.path(), p.value()}) })
		default:
			p.next--
			p.unexpected()
		}
	}
	u.checkOverlap(p)
	return u, p.end()
}

func (p *parser) each(read func()) {
	read()
	for p.keyword(",") {
		read()
	}
}

func (p *parser) assignment() assignment {
	a := assignment{to: p.path()}
	p.expect("=")
	a.value = p.updateTerm()
	if p.keyword("+") {
		a.value = sum{a.value, p.updateTerm(), false}
	} else if p.keyword("-") {
		a.value = sum{a.value, p.updateTerm(), true}
	}
	return a
}

func (p *parser) updateTerm() term {
	if p.keyword("(") {
		t := p.updateTerm()
		p.expect(")")
		return t
	}
	name := p.peek()
	if p.next+1 >= len(p.tokens) || p.tokens[p.next+1] != "(" {
		return p.operand()
	}
	p.next += 2
	var t term
	switch name {
	case "if_not_exists":
		o := orElse{path: p.path()}
		p.expect(",")
		o.fallback = p.updateTerm()
		t = o
	case "list_append":
		left := p.updateTerm()
		p.expect(",")
		t = joined{left, p.updateTerm()}
	default:
		p.fail("Invalid function name; function: %s", name)
		return operand{}
	}
	p.expect(")")
	return t
}

func (u *update) targets() []path {
	var out []path
	for _, a := range u.sets {
		out = append(out, a.to)
	}
	for _, d := range slices.Concat(u.adds, u.deletes) {
		out = append(out, d.to)
	}
	return append(out, u.removes...)
}

// checkOverlap refuses two targets of which one is the other or lies within it.
func (u *update) checkOverlap(p *parser) {
	all := u.targets()
	for i, a := range all {
		for _, b := range all[i+1:] {
			n := min(len(a), len(b))
			if slices.Equal(a[:n], b[:n]) {
				p.fail("Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [%s], path two: [%s]", a, b)
				return
			}
		}
	}
}

// apply returns base with the update; right-hand sides are read from before. It changes neither. They differ where there
// was no item: base is its key then, and before is nil.
func (u *update) apply(base, before item) (item, error) {
	after := copiedItem(base)
	values := make([]types.AttributeValue, len(u.sets))
	for i, a := range u.sets {
		v, err := a.value.eval(before)
		if err != nil {
			return nil, err
		}
		values[i] = copied(v)
	}
	for i, a := range u.sets {
		if err := assign(after, a.to, values[i]); err != nil {
			return nil, err
		}
	}
	for _, a := range u.adds {
		if err := add(after, a); err != nil {
			return nil, err
		}
	}
	for _, a := range u.deletes {
		if err := subtract(after, a); err != nil {
			return nil, err
		}
	}
	// From the end of a list, so that positions keep their meaning.
	removes := slices.Clone(u.removes)
	slices.SortStableFunc(removes, func(a, b path) int { return b[len(b)-1].position - a[len(a)-1].position })
	for _, t := range removes {
		if err := assign(after, t, nil); err != nil {
			return nil, err
		}
	}
	return after, nil
}

func badPath() error {
	return invalid("The document path provided in the update expression is invalid for update")
}

// assign puts v at the path, or removes what is there when v is nil.
func assign(it item, t path, v types.AttributeValue) error {
	last := t[len(t)-1]
	if len(t) == 1 {
		put(it, last.name, v)
		return nil
	}
	switch parent := t[:len(t)-1].of(it).(type) {
	case *mapValue:
		if last.position >= 0 {
			return badPath()
		}
		put(parent.Value, last.name, v)
	case *listValue:
		switch {
		case last.position < 0:
			return badPath()
		case v == nil && last.position < len(parent.Value):
			parent.Value = slices.Delete(parent.Value, last.position, last.position+1)
		case v == nil:
		case last.position < len(parent.Value):
			parent.Value[last.position] = v
		default:
			parent.Value = append(parent.Value, v)
		}
	default:
		return badPath()
	}
	return nil
}

func put(m map[string]types.AttributeValue, name string, v types.AttributeValue) {
	if v == nil {
		delete(m, name)
		return
	}
	m[name] = v
}

func add(it item, d delta) error {
	current := d.to.of(it)
	if n, ok := d.by.(*numberValue); ok {
		if current == nil {
			return assign(it, d.to, n)
		}
		old, ok := current.(*numberValue)
		if !ok {
			return wrongType()
		}
		v, err := total(old, n, false)
		if err != nil {
			return err
		}
		return assign(it, d.to, v)
	}
	more, set := members(d.by)
	switch {
	case !set:
		return invalid("Invalid UpdateExpression: Incorrect operand type for operator or function; operator: ADD, operand type: %s", typeName(d.by))
	case current == nil:
		return assign(it, d.to, d.by)
	case typeName(current) != typeName(d.by):
		return wrongType()
	}
	have, _ := members(current)
	for _, m := range more {
		if !slices.Contains(have, m) {
			have = append(have, m)
		}
	}
	return assign(it, d.to, setLike(d.by, have))
}

func subtract(it item, d delta) error {
	less, set := members(d.by)
	current := d.to.of(it)
	switch {
	case !set:
		return invalid("Invalid UpdateExpression: Incorrect operand type for operator or function; operator: DELETE, operand type: %s", typeName(d.by))
	case current == nil:
		return nil
	case typeName(current) != typeName(d.by):
		return wrongType()
	}
	have, _ := members(current)
	have = slices.DeleteFunc(have, func(m string) bool { return slices.Contains(less, m) })
	return assign(it, d.to, setLike(current, have))
}

func wrongType() error {
	return invalid("An operand in the update expression has an incorrect data type")
}

// projection is a tree of the paths that are wanted.
type projection struct {
	whole bool
	names map[string]*projection
	items map[int]*projection
}

func parseProjection(expression string, n *names) (*projection, error) {
	p := newParser("ProjectionExpression", expression, n)
	root := &projection{}
	p.each(func() { root.want(p.path()) })
	return root, p.end()
}

func (r *projection) want(t path) {
	at := r
	for _, s := range t {
		at = at.child(s)
	}
	at.whole = true
}

func (r *projection) child(s step) *projection {
	if s.position >= 0 {
		if r.items == nil {
			r.items = map[int]*projection{}
		}
		if r.items[s.position] == nil {
			r.items[s.position] = &projection{}
		}
		return r.items[s.position]
	}
	if r.names == nil {
		r.names = map[string]*projection{}
	}
	if r.names[s.name] == nil {
		r.names[s.name] = &projection{}
	}
	return r.names[s.name]
}

// of returns the wanted parts of an item.
func (r *projection) of(it map[string]types.AttributeValue) item {
	out := item{}
	for name, child := range r.names {
		if v := child.part(it[name]); v != nil {
			out[name] = v
		}
	}
	return out
}

func (r *projection) part(v types.AttributeValue) types.AttributeValue {
	if v == nil || r.whole {
		return v
	}
	switch c := v.(type) {
	case *mapValue:
		if m := r.of(c.Value); len(m) > 0 {
			return &mapValue{Value: m}
		}
	case *listValue:
		var out []types.AttributeValue
		for i, e := range c.Value {
			if child := r.items[i]; child != nil {
				if p := child.part(e); p != nil {
					out = append(out, p)
				}
			}
		}
		if out != nil {
			return &listValue{Value: out}
		}
	}
	return nil
}
