package localdynamo

import (
	"slices"

	"contactcenter/shared/awsclient"
)

type getInput struct {
	legacy
	TableName                string
	Key                      item
	ConsistentRead           bool
	ProjectionExpression     *string
	ExpressionAttributeNames map[string]string
	ReturnConsumedCapacity   string
}

// get reads one item; it needs the lock, for reading at least.
func (s *Server) get(in getInput, wanted *projection) (item, capacity, error) {
	t, err := s.table(in.TableName)
	if err != nil {
		return nil, capacity{}, err
	}
	r, err := t.only(in.Key)
	if err != nil {
		return nil, capacity{}, err
	}
	found := t.store.get(r)
	cost := newCapacity(t.name)
	cost.table = awsclient.ReadUnits(bytesOf(found), in.ConsistentRead)
	if found == nil || wanted == nil {
		return itemOf(found), cost, nil
	}
	return wanted.of(found.item), cost, nil
}

func (in getInput) projection() (*projection, error) {
	n := newNames(in.ExpressionAttributeNames, nil)
	if in.ProjectionExpression == nil {
		return nil, n.unused()
	}
	p, err := parseProjection(*in.ProjectionExpression, n)
	if err != nil {
		return nil, err
	}
	return p, n.unused()
}

type itemOutput struct {
	Item             item            `json:",omitempty"`
	ConsumedCapacity *capacityOutput `json:",omitempty"`
}

func (s *Server) getItem(in getInput) (any, error) {
	if err := in.refuse(); err != nil {
		return nil, err
	}
	wanted, err := in.projection()
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	it, cost, err := s.get(in, wanted)
	if err != nil {
		return nil, err
	}
	return itemOutput{it, cost.output(in.ReturnConsumedCapacity)}, nil
}

type batchGetInput struct {
	RequestItems map[string]struct {
		legacy
		Keys                     []item
		ConsistentRead           bool
		ProjectionExpression     *string
		ExpressionAttributeNames map[string]string
	}
	ReturnConsumedCapacity string
}

func (s *Server) batchGetItem(in batchGetInput) (any, error) {
	total := 0
	for _, r := range in.RequestItems {
		total += len(r.Keys)
	}
	if total == 0 || total > 100 {
		return nil, invalid("Too many items requested for the BatchGetItem call, or none: 1 to 100")
	}
	responses, costs := map[string][]item{}, map[string]*capacity{}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for name, r := range in.RequestItems {
		one := getInput{legacy: r.legacy, TableName: name, ConsistentRead: r.ConsistentRead, ProjectionExpression: r.ProjectionExpression, ExpressionAttributeNames: r.ExpressionAttributeNames}
		if err := one.refuse(); err != nil {
			return nil, err
		}
		wanted, err := one.projection()
		if err != nil {
			return nil, err
		}
		responses[name] = []item{}
		for i, key := range r.Keys {
			if slices.ContainsFunc(r.Keys[:i], func(k item) bool { return equalItems(k, key) }) {
				return nil, invalid("Provided list of item keys contains duplicates")
			}
			one.Key = key
			it, cost, err := s.get(one, wanted)
			if err != nil {
				return nil, err
			}
			tally(costs, cost, 1)
			if it != nil {
				responses[name] = append(responses[name], it)
			}
		}
	}
	return map[string]any{"Responses": responses, "UnprocessedKeys": struct{}{}, "ConsumedCapacity": outputs(costs, in.ReturnConsumedCapacity)}, nil
}

func (s *Server) transactGetItems(in struct {
	TransactItems          []struct{ Get *getInput }
	ReturnConsumedCapacity string
}) (any, error) {
	if len(in.TransactItems) == 0 || len(in.TransactItems) > 100 {
		return nil, invalid("Member must have length less than or equal to 100 and at least 1; transactItems")
	}
	responses, costs := []itemOutput{}, map[string]*capacity{}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, e := range in.TransactItems {
		if e.Get == nil {
			return nil, invalid("TransactItems can only contain Get")
		}
		wanted, err := e.Get.projection()
		if err != nil {
			return nil, err
		}
		e.Get.ConsistentRead = true
		it, cost, err := s.get(*e.Get, wanted)
		if err != nil {
			return nil, err
		}
		tally(costs, cost, 2)
		responses = append(responses, itemOutput{Item: it})
	}
	return map[string]any{"Responses": responses, "ConsumedCapacity": outputs(costs, in.ReturnConsumedCapacity)}, nil
}
