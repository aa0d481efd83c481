package localdynamo

import (
	"hash/fnv"
	"iter"
	"slices"
	"sort"
	"strings"

	"contactcenter/shared/awsclient"
)

const maxPageBytes = 1 << 20

type searchInput struct {
	legacy
	TableName                 string
	IndexName                 string
	KeyConditionExpression    *string
	FilterExpression          *string
	ProjectionExpression      *string
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues item
	ExclusiveStartKey         item
	ScanIndexForward          *bool
	ConsistentRead            bool
	Limit                     *int
	Select                    string
	Segment                   *int
	TotalSegments             *int
	ReturnConsumedCapacity    string
}

// search is a parsed query or scan.
type search struct {
	in     searchInput
	keys   condition
	filter condition
	wanted *projection
}

func parseSearch(in searchInput) (search, error) {
	q := search{in: in}
	if err := in.refuse(); err != nil {
		return q, err
	}
	if in.Limit != nil && *in.Limit < 1 {
		return q, invalid("Value '%d' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1", *in.Limit)
	}
	n := newNames(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	var err error
	if in.KeyConditionExpression != nil {
		if q.keys, err = parseCondition("KeyConditionExpression", *in.KeyConditionExpression, n); err != nil {
			return q, err
		}
	}
	if in.FilterExpression != nil {
		if q.filter, err = parseCondition("FilterExpression", *in.FilterExpression, n); err != nil {
			return q, err
		}
	}
	if in.ProjectionExpression != nil {
		if q.wanted, err = parseProjection(*in.ProjectionExpression, n); err != nil {
			return q, err
		}
	}
	return q, n.unused()
}

// place is where a search looks: the table, or one of its indexes.
type place struct {
	table *table
	index *index
	key   key
	store *store
}

func (s *Server) place(in searchInput) (place, error) {
	t, err := s.table(in.TableName)
	if err != nil {
		return place{}, err
	}
	if in.IndexName == "" {
		return place{table: t, key: t.key, store: t.store}, nil
	}
	x, err := t.index(in.IndexName)
	if err != nil {
		return place{}, err
	}
	if in.ConsistentRead && !x.local {
		return place{}, invalid("Consistent reads are not supported on global secondary indexes")
	}
	return place{table: t, index: x, key: x.key, store: x.store}, nil
}

// startRow is the row that an ExclusiveStartKey names; it need not exist any more.
func (p place) startRow(start item) (*row, error) {
	if len(start) == 0 {
		return nil, nil
	}
	own, err := p.table.of(start)
	if err != nil {
		return nil, invalid("The provided starting key is invalid")
	}
	if p.index == nil {
		return own, nil
	}
	r, err := p.key.of(start)
	if err != nil {
		return nil, invalid("The provided starting key is invalid")
	}
	r.tableHash, r.tableSort = own.hash, own.sort
	return r, nil
}

// lastKey is the LastEvaluatedKey for a row.
func (p place) lastKey(r *row) item {
	out := item{}
	names := p.table.names()
	if p.index != nil {
		names = append(names, p.key.names()...)
	}
	for _, name := range names {
		out[name] = r.item[name]
	}
	return out
}

type page struct {
	Items            []item `json:",omitempty"`
	Count            int
	ScannedCount     int
	LastEvaluatedKey item            `json:",omitempty"`
	ConsumedCapacity *capacityOutput `json:",omitempty"`
}

// read evaluates rows until the limit of the request or of a page is reached.
func (q search) read(p place, rows iter.Seq[*row]) page {
	var out page
	bytes := 0
	if q.in.Select != "COUNT" {
		out.Items = []item{}
	}
	for r := range rows {
		bytes += r.bytes
		out.ScannedCount++
		if q.filter == nil || q.filter.holds(r.item) {
			out.Count++
			if out.Items != nil {
				out.Items = append(out.Items, q.shown(r.item))
			}
		}
		if q.in.Limit != nil && out.ScannedCount == *q.in.Limit || bytes > maxPageBytes {
			out.LastEvaluatedKey = p.lastKey(r)
			break
		}
	}
	cost := newCapacity(p.table.name)
	units := awsclient.ReadUnits(bytes, q.in.ConsistentRead)
	if p.index == nil {
		cost.table = units
	} else {
		cost.index(p.index, units)
	}
	out.ConsumedCapacity = cost.output(q.in.ReturnConsumedCapacity)
	return out
}

func (q search) shown(it item) item {
	if q.wanted == nil {
		return it
	}
	return q.wanted.of(it)
}

func (s *Server) query(in searchInput) (any, error) {
	q, err := parseSearch(in)
	if err != nil {
		return nil, err
	}
	if q.keys == nil {
		return nil, invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, err := s.place(in)
	if err != nil {
		return nil, err
	}
	hash, matches, err := p.key.bounds(q.keys)
	if err != nil {
		return nil, err
	}
	start, err := p.startRow(in.ExclusiveStartKey)
	if err != nil {
		return nil, err
	}
	if start != nil && start.hash != hash {
		return nil, invalid("The provided starting key is outside query boundaries based on provided conditions")
	}
	var rows []*row
	if part := p.store.partitions[hash]; part != nil {
		rows = part.rows
	}
	low := sort.Search(len(rows), func(i int) bool { return matches(rows[i].sort) >= 0 })
	high := sort.Search(len(rows), func(i int) bool { return matches(rows[i].sort) > 0 })
	forward := in.ScanIndexForward == nil || *in.ScanIndexForward
	if start != nil && forward {
		low = max(low, sort.Search(len(rows), func(i int) bool { return rows[i].compare(start) > 0 }))
	}
	if start != nil && !forward {
		high = min(high, sort.Search(len(rows), func(i int) bool { return rows[i].compare(start) >= 0 }))
	}
	if low >= high {
		return q.read(p, func(func(*row) bool) {}), nil
	}
	rows = rows[low:high]
	if forward {
		return q.read(p, slices.Values(rows)), nil
	}
	return q.read(p, func(yield func(*row) bool) {
		for _, r := range slices.Backward(rows) {
			if !yield(r) {
				return
			}
		}
	}), nil
}

// bounds reads a key condition: the hash key that it names, and a function that says whether a sort key lies before (-1),
// within (0) or after (1) the range.
func (k key) bounds(c condition) (hash string, matches func(sort string) int, err error) {
	parts := []condition{c}
	if pair, ok := c.(both); ok {
		parts = []condition{pair.left, pair.right}
	}
	found := false
	matches = func(string) int { return 0 }
	for _, part := range parts {
		name, ok := subject(part)
		switch {
		case ok && name == k.hash && !found:
			eq, isComparison := part.(comparison)
			if !isComparison || eq.operator != "=" || eq.right.value == nil {
				return "", nil, invalid("Query key condition not supported")
			}
			if typeName(eq.right.value) != k.hashType {
				return "", nil, invalid("One or more parameter values were invalid: Condition parameter type does not match schema type")
			}
			found, hash = true, keyText(eq.right.value)
		case ok && k.sort != "" && name == k.sort:
			if matches, err = k.rangeOf(part); err != nil {
				return "", nil, err
			}
		default:
			return "", nil, invalid("Query key condition not supported")
		}
	}
	if !found {
		return "", nil, invalid("Query condition missed key schema element: %s", k.hash)
	}
	return hash, matches, nil
}

// subject is the top-level attribute that one part of a key condition is about.
func subject(c condition) (string, bool) {
	var o operand
	switch c := c.(type) {
	case comparison:
		o = c.left
	case between:
		o = c.value
	case prefix:
		o = c.value
	}
	if len(o.path) != 1 || o.size {
		return "", false
	}
	return o.path[0].name, true
}

func (k key) rangeOf(c condition) (func(string) int, error) {
	text := func(o operand) (string, error) {
		if o.value == nil || typeName(o.value) != k.sortType {
			return "", invalid("One or more parameter values were invalid: Condition parameter type does not match schema type")
		}
		return keyText(o.value), nil
	}
	switch c := c.(type) {
	case between:
		low, err := text(c.low)
		if err != nil {
			return nil, err
		}
		high, err := text(c.high)
		if err == nil && low > high {
			err = invalid("Invalid KeyConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal to lower bound")
		}
		return within(low, high), err
	case prefix:
		p, err := text(c.prefix)
		if err == nil && k.sortType == "N" {
			err = invalid("Query key condition not supported")
		}
		return func(s string) int {
			if strings.HasPrefix(s, p) {
				return 0
			}
			return strings.Compare(s, p)
		}, err
	case comparison:
		v, err := text(c.right)
		if err != nil {
			return nil, err
		}
		return compared(c.operator, v)
	}
	return nil, invalid("Query key condition not supported")
}

func within(low, high string) func(string) int {
	return func(s string) int {
		switch {
		case s < low:
			return -1
		case s > high:
			return 1
		}
		return 0
	}
}

func compared(operator, v string) (func(string) int, error) {
	switch operator {
	case "=":
		return within(v, v), nil
	case "<":
		return func(s string) int { return boolInt(s >= v) }, nil
	case "<=":
		return func(s string) int { return boolInt(s > v) }, nil
	case ">":
		return func(s string) int { return -boolInt(s <= v) }, nil
	case ">=":
		return func(s string) int { return -boolInt(s < v) }, nil
	}
	return nil, invalid("Invalid operator used in KeyConditionExpression: %s", operator)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (s *Server) scan(in searchInput) (any, error) {
	q, err := parseSearch(in)
	if err != nil {
		return nil, err
	}
	if (in.Segment == nil) != (in.TotalSegments == nil) || in.Segment != nil && (*in.TotalSegments < 1 || *in.Segment < 0 || *in.Segment >= *in.TotalSegments) {
		return nil, invalid("The Segment parameter is zero-based and must be less than parameter TotalSegments")
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, err := s.place(in)
	if err != nil {
		return nil, err
	}
	start, err := p.startRow(in.ExclusiveStartKey)
	if err != nil {
		return nil, err
	}
	return q.read(p, p.store.all(start, func(hash string) bool {
		return in.Segment == nil || segment(hash, *in.TotalSegments) == *in.Segment
	})), nil
}

func segment(hash string, of int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(hash)) // never fails
	return int(h.Sum32() % uint32(of))
}

// all yields the rows after start, of the partitions that are wanted.
func (s *store) all(start *row, wanted func(hash string) bool) iter.Seq[*row] {
	return func(yield func(*row) bool) {
		order := s.order
		if start != nil {
			order = order[s.position(start.hash):]
		}
		for _, p := range order {
			if !wanted(p.hash) {
				continue
			}
			rows := p.rows
			if start != nil && p.hash == start.hash {
				rows = rows[sort.Search(len(rows), func(i int) bool { return rows[i].compare(start) > 0 }):]
			}
			for _, r := range rows {
				if !yield(r) {
					return
				}
			}
		}
	}
}
