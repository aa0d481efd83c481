package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"
)

// MaxBody bounds the body of a call and of a steering request, in bytes.
const MaxBody = 1 << 20

// Route is how a provider serves the calls of one pattern. Check and Look may be nil.
type Route struct {
	// Send marks a route by which messages are sent.
	Send bool
	// Check answers and returns false when a call must not be served at all: its proof, its method, its size. No behaviour
	// touches such a call.
	Check func(*Exchange) bool
	// Look reads what a call is about before it is judged, so that also a failed one is remembered with it: it sets Sender,
	// RequestID and To.
	Look func(*Exchange)
	// Serve answers by the provider's rules.
	Serve func(*Exchange)
}

// Exchange is one call of the provider's API while it is served.
type Exchange struct {
	Request *http.Request
	At      time.Time
	// Body of the request; TooLarge when it was beyond MaxBody and was not read to its end.
	Body     []byte
	TooLarge bool

	// Sender, RequestID and To are what the call is remembered by. Own is for the provider's functions.
	Sender    string
	RequestID string
	To        string
	Own       any

	// Status, Header and Answer are the answer.
	Status int
	Header http.Header
	Answer []byte
	// Accepted: the message was taken by this call; Accept sets it. Duplicate: it had been taken by an earlier one.
	Accepted  bool
	Duplicate bool

	delay time.Duration
	drop  bool
	// reported are the statuses of the accepted message that were told; the stage's lock guards them.
	reported *[]string
}

// JSON answers with a value.
func (e *Exchange) JSON(status int, v any) { e.Bytes(status, "application/json", Marshal(v)) }

// Bytes answers with a body of another kind.
func (e *Exchange) Bytes(status int, contentType string, body []byte) {
	e.Status, e.Answer = status, body
	e.Header.Set("Content-Type", contentType)
}

// Marshal is JSON without escapes for HTML. It panics for a value that has no JSON.
func Marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // only values of our own making are marshalled
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// Handle serves a pattern of package http's mux. Calls that it gets are remembered, those that no pattern takes are not.
func (s *Stage) Handle(pattern string, route Route) {
	s.api.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, route) })
}

func (s *Stage) serve(w http.ResponseWriter, r *http.Request, route Route) {
	e := &Exchange{Request: r, At: s.o.Clock(), Header: http.Header{}}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	e.Body, e.TooLarge = body, err != nil
	if route.Check == nil || route.Check(e) {
		s.behave(e, route)
	}
	record := e.record()
	s.mu.Lock()
	s.calls.add(record)
	s.mu.Unlock()
	if !wait(r.Context(), e.delay) || e.drop {
		panic(http.ErrAbortHandler) // closes the connection without an answer
	}
	for name, values := range e.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(e.Status)
	_, _ = w.Write(e.Answer)
}

// behave lets the route serve a call, or fails it before.
func (s *Stage) behave(e *Exchange, route Route) {
	if route.Look != nil {
		route.Look(e)
	}
	s.mu.Lock()
	b := s.of(e.Sender)
	fail := false
	if route.Send || b.ApplyTo == "all" {
		e.delay = time.Duration(b.DelayMS) * time.Millisecond
		if b.DelayJitterMS > 0 {
			e.delay += time.Duration(s.rng.Int64N(int64(b.DelayJitterMS)+1)) * time.Millisecond
		}
		fail = happens(s.rng, b.FailRate)
	}
	drop := route.Send && happens(s.rng, b.DropAnswer)
	s.mu.Unlock()
	if fail {
		s.o.Fail(e, b.FailStatus)
		if b.RetryAfterSeconds > 0 {
			e.Header.Set("Retry-After", strconv.Itoa(b.RetryAfterSeconds))
		}
		return
	}
	route.Serve(e)
	e.drop = drop && e.Accepted
}

// wait returns false when the caller left first.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
