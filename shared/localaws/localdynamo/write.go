package localdynamo

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"contactcenter/shared/awsclient"
)

// legacy are the parameters from before expressions.
type legacy struct {
	Expected, AttributeUpdates, KeyConditions, QueryFilter, ScanFilter, AttributesToGet, ConditionalOperator json.RawMessage
}

func (l legacy) refuse() error {
	for _, p := range []json.RawMessage{l.Expected, l.AttributeUpdates, l.KeyConditions, l.QueryFilter, l.ScanFilter, l.AttributesToGet, l.ConditionalOperator} {
		if p != nil && string(p) != "null" {
			return invalid("localdynamo does not know the parameters from before expressions (Expected, AttributeUpdates, KeyConditions and the like)")
		}
	}
	return nil
}

type writeInput struct {
	legacy
	TableName                           string
	Item, Key                           item
	ConditionExpression                 *string
	UpdateExpression                    *string
	ExpressionAttributeNames            map[string]string
	ExpressionAttributeValues           item
	ReturnValues                        string
	ReturnValuesOnConditionCheckFailure string
	ReturnConsumedCapacity              string
}

type kind int

const (
	putting kind = iota
	updating
	deleting
	checking
)

// write is a parsed write.
type write struct {
	kind      kind
	in        writeInput
	condition condition
	update    *update
}

func parseWrite(k kind, in writeInput) (write, error) {
	w := write{kind: k, in: in}
	if err := in.refuse(); err != nil {
		return w, err
	}
	n := newNames(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	var err error
	if in.UpdateExpression != nil && k == updating {
		if w.update, err = parseUpdate(*in.UpdateExpression, n); err != nil {
			return w, err
		}
	}
	if in.ConditionExpression != nil {
		if w.condition, err = parseCondition("ConditionExpression", *in.ConditionExpression, n); err != nil {
			return w, err
		}
	}
	return w, n.unused()
}

// change evaluates the write against what is stored; it needs the lock. A failed condition is a *apiError with the item, if
// there is one, whether the request wants it or not.
func (w write) change(s *Server) (change, error) {
	t, err := s.table(w.in.TableName)
	if err != nil {
		return change{}, err
	}
	var r *row
	if w.kind == putting {
		r, err = t.of(w.in.Item)
	} else {
		r, err = t.only(w.in.Key)
	}
	if err != nil {
		return change{}, err
	}
	before := t.store.get(r)
	var old item
	if before != nil {
		old = before.item
	}
	if w.condition != nil && !w.condition.holds(old) {
		return change{table: t, before: before}, refused(old)
	}
	switch w.kind {
	case putting:
		return t.change(before, w.in.Item)
	case deleting:
		return t.change(before, nil)
	case checking:
		return change{table: t, before: before, after: before}, nil
	}
	after, err := w.updated(t, old)
	if err != nil {
		return change{}, err
	}
	return t.change(before, after)
}

func (w write) updated(t *table, old item) (item, error) {
	base := old
	if base == nil {
		base = w.in.Key
	}
	if w.update == nil {
		return copiedItem(base), nil
	}
	for _, target := range w.update.targets() {
		if slices.Contains(t.names(), target[0].name) {
			return nil, invalid("One or more parameter values were invalid: Cannot update attribute %s. This attribute is part of the key", target[0].name)
		}
	}
	return w.update.apply(base, old)
}

// do carries out a single write.
func (s *Server) do(k kind, in writeInput) (change, capacity, error) {
	w, err := parseWrite(k, in)
	if err != nil {
		return change{}, capacity{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := w.change(s)
	if err != nil {
		return c, capacity{}, asked(err, in.ReturnValuesOnConditionCheckFailure)
	}
	return c, c.commit(), nil
}

// asked takes the item out of a failed condition unless the request asked for it.
func asked(err error, wanted string) error {
	var e *apiError
	if errors.As(err, &e) && e.item != nil && wanted != "ALL_OLD" {
		return refused(nil)
	}
	return err
}

type writeOutput struct {
	Attributes       item            `json:",omitempty"`
	ConsumedCapacity *capacityOutput `json:",omitempty"`
}

func oneOf(value string, allowed ...string) error {
	if value == "" || slices.Contains(allowed, value) {
		return nil
	}
	return invalid("Return values set to invalid value %s; allowed here: %s", value, strings.Join(allowed, ", "))
}

func itemOf(r *row) item {
	if r == nil {
		return nil
	}
	return r.item
}

// replace is PutItem and DeleteItem.
func (s *Server) replace(k kind, in writeInput) (any, error) {
	if err := oneOf(in.ReturnValues, "NONE", "ALL_OLD"); err != nil {
		return nil, err
	}
	c, cost, err := s.do(k, in)
	if err != nil {
		return nil, err
	}
	out := writeOutput{ConsumedCapacity: cost.output(in.ReturnConsumedCapacity)}
	if in.ReturnValues == "ALL_OLD" {
		out.Attributes = itemOf(c.before)
	}
	return out, nil
}

func (s *Server) putItem(in writeInput) (any, error)    { return s.replace(putting, in) }
func (s *Server) deleteItem(in writeInput) (any, error) { return s.replace(deleting, in) }

func (s *Server) updateItem(in writeInput) (any, error) {
	if err := oneOf(in.ReturnValues, "NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"); err != nil {
		return nil, err
	}
	c, cost, err := s.do(updating, in)
	if err != nil {
		return nil, err
	}
	out := writeOutput{ConsumedCapacity: cost.output(in.ReturnConsumedCapacity)}
	switch in.ReturnValues {
	case "ALL_OLD":
		out.Attributes = itemOf(c.before)
	case "ALL_NEW":
		out.Attributes = itemOf(c.after)
	case "UPDATED_OLD", "UPDATED_NEW":
		of := itemOf(c.after)
		if in.ReturnValues == "UPDATED_OLD" {
			of = itemOf(c.before)
		}
		touched := &projection{}
		if in.UpdateExpression != nil {
			u, err := parseUpdate(*in.UpdateExpression, newNames(in.ExpressionAttributeNames, in.ExpressionAttributeValues))
			if err != nil {
				return nil, err
			}
			for _, t := range u.targets() {
				touched.want(t)
			}
		}
		out.Attributes = touched.of(of)
	}
	return out, nil
}

type batchWriteInput struct {
	RequestItems map[string][]struct {
		PutRequest    *struct{ Item item }
		DeleteRequest *struct{ Key item }
	}
	ReturnConsumedCapacity string
}

// batchWriteItem checks everything first, as AWS does, and then carries each write out by itself.
func (s *Server) batchWriteItem(in batchWriteInput) (any, error) {
	var writes []write
	for name, requests := range in.RequestItems {
		for _, r := range requests {
			switch {
			case r.PutRequest != nil && r.DeleteRequest == nil:
				writes = append(writes, write{kind: putting, in: writeInput{TableName: name, Item: r.PutRequest.Item}})
			case r.DeleteRequest != nil && r.PutRequest == nil:
				writes = append(writes, write{kind: deleting, in: writeInput{TableName: name, Key: r.DeleteRequest.Key}})
			default:
				return nil, invalid("Supplied request has more than one or no operation set, must contain exactly one of the supported operations")
			}
		}
	}
	if len(writes) == 0 || len(writes) > 25 {
		return nil, invalid("Too many items requested for the BatchWriteItem call, or none: 1 to 25")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	changes, err := s.distinct(writes, "Provided list of item keys contains duplicates")
	if err != nil {
		return nil, err
	}
	costs := map[string]*capacity{}
	for _, c := range changes {
		tally(costs, c.commit(), 1)
	}
	return map[string]any{"UnprocessedItems": struct{}{}, "ConsumedCapacity": outputs(costs, in.ReturnConsumedCapacity)}, nil
}

// distinct evaluates writes of different items; the first error ends it, failed conditions too.
func (s *Server) distinct(writes []write, duplicates string) ([]change, error) {
	if err := s.checkDistinct(writes, duplicates); err != nil {
		return nil, err
	}
	changes := make([]change, len(writes))
	for i, w := range writes {
		c, err := w.change(s)
		if err != nil {
			return nil, err
		}
		changes[i] = c
	}
	return changes, nil
}

func (s *Server) checkDistinct(writes []write, duplicates string) error {
	seen := map[[3]string]bool{}
	for _, w := range writes {
		t, err := s.table(w.in.TableName)
		if err != nil {
			return err
		}
		var r *row
		if w.kind == putting {
			r, err = t.of(w.in.Item)
		} else {
			r, err = t.only(w.in.Key)
		}
		if err != nil {
			return err
		}
		id := [3]string{t.name, r.hash, r.sort}
		if seen[id] {
			return invalid("%s", duplicates)
		}
		seen[id] = true
	}
	return nil
}

func tally(costs map[string]*capacity, c capacity, factor float64) {
	if costs[c.name] == nil {
		total := newCapacity(c.name)
		costs[c.name] = &total
	}
	costs[c.name].add(c, factor)
}

func outputs(costs map[string]*capacity, wanted string) []*capacityOutput {
	var out []*capacityOutput
	for _, name := range slices.Sorted(maps.Keys(costs)) {
		if o := costs[name].output(wanted); o != nil {
			out = append(out, o)
		}
	}
	return out
}

type transactWriteInput struct {
	TransactItems          []struct{ Put, Update, Delete, ConditionCheck *writeInput }
	ClientRequestToken     string
	ReturnConsumedCapacity string
}

func (in transactWriteInput) parse() ([]write, error) {
	if len(in.TransactItems) == 0 || len(in.TransactItems) > 100 {
		return nil, invalid("Member must have length less than or equal to 100 and at least 1; transactItems")
	}
	var writes []write
	for _, item := range in.TransactItems {
		before := len(writes)
		for k, part := range []*writeInput{putting: item.Put, updating: item.Update, deleting: item.Delete, checking: item.ConditionCheck} {
			if part == nil {
				continue
			}
			w, err := parseWrite(kind(k), *part)
			if err != nil {
				return nil, err
			}
			writes = append(writes, w)
		}
		if len(writes) != before+1 {
			return nil, invalid("TransactItems can only contain one of Check, Put, Update or Delete")
		}
	}
	return writes, nil
}

func (s *Server) transactWriteItems(in transactWriteInput) (any, error) {
	writes, err := in.parse()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if done, err := s.seen(in); done || err != nil {
		return struct{}{}, err
	}
	if err := s.checkDistinct(writes, "Transaction request cannot include multiple operations on one item"); err != nil {
		return nil, err
	}
	changes, reasons := make([]change, len(writes)), make([]reason, len(writes))
	codes := make([]string, len(writes))
	failed := false
	for i, w := range writes {
		changes[i], err = w.change(s)
		reasons[i] = reasonFor(err, w.in.ReturnValuesOnConditionCheckFailure)
		codes[i] = reasons[i].Code
		failed = failed || err != nil
	}
	if failed {
		return nil, &apiError{shape: "TransactionCanceledException", reasons: reasons,
			message: "Transaction cancelled, please refer cancellation reasons for specific reasons [" + strings.Join(codes, ", ") + "]"}
	}
	costs := map[string]*capacity{}
	for i, c := range changes {
		if writes[i].kind == checking {
			cost := newCapacity(c.table.name)
			cost.table = awsclient.WriteUnits(bytesOf(c.before))
			tally(costs, cost, 2)
			continue
		}
		tally(costs, c.commit(), 2)
	}
	s.remember(in)
	return map[string]any{"ConsumedCapacity": outputs(costs, in.ReturnConsumedCapacity)}, nil
}

func reasonFor(err error, wanted string) reason {
	var e *apiError
	switch {
	case err == nil:
		return reason{Code: "None"}
	case !errors.As(err, &e) || e.shape != "ConditionalCheckFailedException":
		return reason{Code: "ValidationError", Message: err.Error()}
	case wanted == "ALL_OLD":
		return reason{Code: "ConditionalCheckFailed", Message: e.message, Item: e.item}
	}
	return reason{Code: "ConditionalCheckFailed", Message: e.message}
}

// digest is the same for requests that mean the same: JSON objects are written with their members in order.
func (in transactWriteInput) digest() [sha256.Size]byte {
	in.ReturnConsumedCapacity = ""
	b, _ := json.Marshal(canonical(in)) // it came from JSON
	return sha256.Sum256(b)
}

func canonical(in transactWriteInput) any {
	b, _ := json.Marshal(in)
	var v any
	_ = json.Unmarshal(b, &v)
	return v
}

// seen says whether the transaction was carried out already, under its token, in the last ten minutes.
func (s *Server) seen(in transactWriteInput) (bool, error) {
	now := time.Now()
	maps.DeleteFunc(s.tokens, func(_ string, t token) bool { return now.Sub(t.at) > tokenLife })
	before, ok := s.tokens[in.ClientRequestToken]
	if in.ClientRequestToken == "" || !ok {
		return false, nil
	}
	if before.request != in.digest() {
		return false, &apiError{shape: "IdempotentParameterMismatchException", message: "The request uses the same client token as a previous, but non-identical request"}
	}
	return true, nil
}

func (s *Server) remember(in transactWriteInput) {
	if in.ClientRequestToken != "" {
		s.tokens[in.ClientRequestToken] = token{in.digest(), time.Now()}
	}
}
