package awsclient

import (
	"cmp"
	"maps"
	"slices"
	"sync"
)

// Usage is what calls cost: requests as AWS counts them (every attempt), and DynamoDB's capacity units.
type Usage struct {
	Requests   int64   `json:"requests"`
	WriteUnits float64 `json:"write_units"`
	ReadUnits  float64 `json:"read_units"`
}

func (u Usage) plus(o Usage) Usage {
	return Usage{u.Requests + o.Requests, u.WriteUnits + o.WriteUnits, u.ReadUnits + o.ReadUnits}
}

// Call names what is counted together: an operation of a service ("DynamoDB", "SQS") on a table or queue. A call that touches
// several tables is one request, under the first of them by name, and its units are under each.
type Call struct {
	Service   string `json:"service"`
	Operation string `json:"operation"`
	Resource  string `json:"resource"`
}

// Tally adds usage up. The zero value is ready, and it is safe for concurrent use.
type Tally struct {
	mu    sync.Mutex
	calls map[Call]Usage
}

// Add adds to what was counted for the call.
func (t *Tally) Add(c Call, u Usage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.calls == nil {
		t.calls = map[Call]Usage{}
	}
	t.calls[c] = t.calls[c].plus(u)
}

// Reset forgets what was counted.
func (t *Tally) Reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls = nil
}

// Report is what was counted: in all, by operation ("DynamoDB.UpdateItem"), and by operation and resource.
type Report struct {
	Total      Usage            `json:"total"`
	Operations map[string]Usage `json:"operations"`
	Calls      []CallUsage      `json:"calls"`
}

// CallUsage is one line of a Report.
type CallUsage struct {
	Call
	Usage
}

// Report returns what was counted since the start or the last Reset.
func (t *Tally) Report() Report {
	t.mu.Lock()
	calls := maps.Clone(t.calls)
	t.mu.Unlock()
	r := Report{Operations: map[string]Usage{}, Calls: []CallUsage{}}
	for c, u := range calls {
		name := c.Service + "." + c.Operation
		r.Operations[name] = r.Operations[name].plus(u)
		r.Total = r.Total.plus(u)
		r.Calls = append(r.Calls, CallUsage{c, u})
	}
	slices.SortFunc(r.Calls, func(a, b CallUsage) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Resource, b.Resource))
	})
	return r
}
