package stage

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Call is one call as GET _sim/calls shows it: what the provider saw.
type Call struct {
	Seq       int             `json:"seq"`
	At        time.Time       `json:"at"`
	Method    string          `json:"method"`
	Path      string          `json:"path"`
	SenderID  ID              `json:"sender_id,omitempty"`
	RequestID string          `json:"request_id,omitempty"`
	To        string          `json:"to,omitempty"`
	Request   json.RawMessage `json:"request,omitempty"`
	Status    int             `json:"status"`
	// Accepted: the message was taken by this call. Duplicate: it had been taken by an earlier one.
	Accepted  bool `json:"accepted"`
	Duplicate bool `json:"duplicate"`
	// Dropped: the connection was closed instead of answering.
	Dropped bool `json:"dropped,omitempty"`
	// Reported are the statuses of the message that was accepted, each once its callback was taken.
	Reported []string `json:"reported,omitempty"`

	reported *[]string
}

// Ring keeps the last of many.
type Ring[T any] struct {
	keep  int
	items []T
	start int
}

// NewRing makes one that keeps so many.
func NewRing[T any](keep int) Ring[T] { return Ring[T]{keep: keep} }

// Add adds one, in place of the oldest when it is full.
func (r *Ring[T]) Add(v T) {
	if len(r.items) < r.keep {
		r.items = append(r.items, v)
		return
	}
	r.items[r.start] = v
	r.start = (r.start + 1) % r.keep
}

// Each visits from the oldest on, until f returns false.
func (r *Ring[T]) Each(f func(T) bool) {
	for i := range r.items {
		if !f(r.items[(r.start+i)%len(r.items)]) {
			return
		}
	}
}

// record is what is remembered of a served call. A body that is not JSON is remembered as a string.
func (e *Exchange) record() *Call {
	out := &Call{
		At: e.At.UTC(), Method: e.Request.Method, Path: e.Request.URL.Path, SenderID: ID(e.Sender), RequestID: e.RequestID, To: e.To,
		Status: e.Status, Accepted: e.Accepted, Duplicate: e.Duplicate, Dropped: e.drop, reported: e.reported,
	}
	switch {
	case len(e.Body) == 0:
	case json.Valid(e.Body):
		out.Request = e.Body
	default:
		out.Request = Marshal(string(e.Body))
	}
	return out
}

// callLog remembers the last calls, bounded in number and in bytes: beyond the bytes, the oldest lose their bodies.
type callLog struct {
	keepBytes int
	n, bytes  int
	ring      Ring[*Call]
	bodies    []*Call
}

func (l *callLog) add(c *Call) {
	l.n++
	c.Seq = l.n
	l.ring.Add(c)
	if len(c.Request) == 0 {
		return
	}
	l.bytes += len(c.Request)
	l.bodies = append(l.bodies, c)
	for l.bytes > l.keepBytes {
		l.bytes -= len(l.bodies[0].Request)
		l.bodies[0].Request = nil
		l.bodies = l.bodies[1:]
	}
}

// Calls returns what the API saw of a sender ("": of all), oldest first, and how many messages it accepted: all ever
// accepted, not only those whose calls are still remembered.
func (s *Stage) Calls(sender string) ([]Call, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []Call{}
	s.calls.ring.Each(func(c *Call) bool {
		if sender == "" || string(c.SenderID) == sender {
			shown := *c
			if c.reported != nil {
				shown.Reported = slices.Clone(*c.reported)
			}
			out = append(out, shown)
		}
		return true
	})
	if sender == "" {
		return out, s.accepted
	}
	return out, s.takenBy[sender]
}

func (s *Stage) getCalls(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	sender := q.Get("sender_id")
	if sender != "" && s.o.NumericIDs && number(sender) == 0 {
		Complain(w, http.StatusBadRequest, "sender_id: want a number")
		return
	}
	after, limit := number(q.Get("after")), number(q.Get("limit"))
	all, accepted := s.Calls(sender)
	out := []json.RawMessage{}
	for _, c := range all {
		if c.Seq <= after || q.Has("request_id") && c.RequestID != q.Get("request_id") || q.Has("path") && !strings.HasSuffix(c.Path, q.Get("path")) {
			continue
		}
		if out = append(out, s.showCall(c)); limit > 0 && len(out) == limit {
			break
		}
	}
	Answer(w, http.StatusOK, map[string]any{"calls": out, "accepted": accepted})
}

// showCall is a call with its sender's id in the provider's form.
func (s *Stage) showCall(c Call) json.RawMessage {
	if !s.o.NumericIDs || c.SenderID == "" {
		return Marshal(c)
	}
	id := s.showID(c.SenderID)
	c.SenderID = ""
	return beside(Marshal(c), Marshal(map[string]any{"sender_id": id}))
}

func number(raw string) int {
	n, err := strconv.Atoi(raw)
	if err != nil {
		return 0
	}
	return n
}
