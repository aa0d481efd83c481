package edna

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"
)

// call is one call of the API while it is served, and afterwards.
type call struct {
	r    *http.Request
	at   time.Time
	body []byte

	subject   int64
	cascade   int64
	requestID string
	to        string
	order     order
	orderErr  error

	status     int
	answer     []byte
	delay      time.Duration
	drop       bool
	retryAfter int
	accepted   bool
	duplicate  bool
}

// reply answers with 200.
func (c *call) reply(v any) {
	c.status, c.answer = http.StatusOK, marshal(v)
}

// problem answers with an error body of edna's form.
func (c *call) problem(status int, title, detail string) {
	c.status = status
	c.answer = marshal(map[string]any{"title": title, "status": status, "detail": detail})
}

func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // only values of our own making are marshalled
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// Call is one call as GET _sim/calls shows it: what the provider saw.
type Call struct {
	Seq       int             `json:"seq"`
	At        time.Time       `json:"at"`
	Method    string          `json:"method"`
	Path      string          `json:"path"`
	SenderID  int64           `json:"sender_id,omitempty"`
	RequestID string          `json:"request_id,omitempty"`
	To        string          `json:"to,omitempty"`
	Request   json.RawMessage `json:"request,omitempty"`
	Status    int             `json:"status"`
	// Accepted: the message was taken by this call. Duplicate: it had been taken by an earlier one.
	Accepted  bool `json:"accepted"`
	Duplicate bool `json:"duplicate"`
	// Dropped: the connection was closed instead of answering.
	Dropped bool `json:"dropped,omitempty"`
}

// ring keeps the last of many.
type ring[T any] struct {
	keep  int
	items []T
	start int
}

func (r *ring[T]) add(v T) {
	if len(r.items) < r.keep {
		r.items = append(r.items, v)
		return
	}
	r.items[r.start] = v
	r.start = (r.start + 1) % r.keep
}

// each visits from the oldest on, until f returns false.
func (r *ring[T]) each(f func(T) bool) {
	for i := range r.items {
		if !f(r.items[(r.start+i)%len(r.items)]) {
			return
		}
	}
}

// record is what is remembered of a served call.
func (c *call) record() *Call {
	out := &Call{
		At: c.at.UTC(), Method: c.r.Method, Path: c.r.URL.Path, SenderID: c.subject, RequestID: c.requestID, To: c.to,
		Status: c.status, Accepted: c.accepted, Duplicate: c.duplicate, Dropped: c.drop,
	}
	switch {
	case len(c.body) == 0:
	case json.Valid(c.body):
		out.Request = c.body
	default:
		out.Request = marshal(string(c.body))
	}
	return out
}

// callLog remembers the last calls, bounded in number and in bytes: beyond the bytes, the oldest lose their bodies.
type callLog struct {
	keepBytes int
	n, bytes  int
	ring      ring[*Call]
	bodies    []*Call
}

func (l *callLog) add(c *Call) {
	l.n++
	c.Seq = l.n
	l.ring.add(c)
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
