package idempotency

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"

	"contactcenter/shared/api"
)

// Middleware makes the routes that create something answer a repeated key as the first time. Without a key it costs
// nothing; with one, two writes.
type Middleware struct {
	Keys *Store
	// Timeout is how long a request may take: after it, the same key may run again.
	Timeout time.Duration
}

// releaseTimeout bounds the writes that are made although the request's own time is over.
const releaseTimeout = 2 * time.Second

// Wrap makes a route's handler know keys.
func (m *Middleware) Wrap(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		k, ok, err := KeyFrom(r)
		if err != nil {
			api.WriteError(w, r, err)
			return
		}
		if !ok {
			next(w, r)
			return
		}
		body, err := api.ReadBody(r)
		if err != nil {
			api.WriteError(w, r, err)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		mine, known, err := m.take(r, k, Record{Payload: Hash(body), Deadline: m.deadline()})
		if err != nil {
			api.WriteError(w, r, err)
			return
		}
		if known != nil && known.Answer != nil {
			replay(w, *known.Answer)
			return
		}
		m.run(w, r, k, mine, next)
	}
}

// deadline is to the millisecond, as it is stored.
func (m *Middleware) deadline() time.Time {
	return m.Keys.Now().Add(m.Timeout).Truncate(time.Millisecond)
}

// take takes the key, or gives the problem that stands against it. Known is what an earlier request with the key left, nil for the first:
// its answer, with which the key is not taken, or the subject, which is kept from the first request on.
func (m *Middleware) take(r *http.Request, k Key, want Record) (mine Record, known *Record, err error) {
	before, taken, err := m.Keys.Begin(r.Context(), k, want)
	switch {
	case err != nil:
		return Record{}, nil, api.TryAgain(r, err)
	case taken:
		return want, nil, nil
	case !before.SamePayload(want.Payload):
		return Record{}, nil, Reused()
	case before.Answer != nil:
		return Record{}, &before, nil
	case before.InUse(m.Keys.Now()):
		return Record{}, nil, InUse()
	}
	switch err := m.Keys.TakeOver(r.Context(), k, before, want.Deadline); {
	case errors.Is(err, ErrChanged):
		return Record{}, nil, InUse()
	case err != nil:
		return Record{}, nil, api.TryAgain(r, err)
	}
	want.Subject = before.Subject
	return want, &before, nil
}

// run lets the handler answer, and keeps what it answers if that is a 2xx.
func (m *Middleware) run(w http.ResponseWriter, r *http.Request, k Key, mine Record, next http.HandlerFunc) {
	done := false
	finish := func(write func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), releaseTimeout)
		defer cancel()
		done = true
		return write(ctx)
	}
	release := func(ctx context.Context) error { return m.Keys.Release(ctx, k, mine) }
	defer func() { // also when the handler panics
		if !done {
			_ = finish(release) // the deadline frees the key in any case
		}
	}()
	answer := api.NewBuffer()
	next(answer, r)
	if answer.Status()/100 == 2 {
		kept := Answer{Status: answer.Status(), Header: map[string]string{}, Body: string(answer.Body())}
		for name, values := range answer.Header() {
			kept.Header[name] = strings.Join(values, ", ")
		}
		// What was made is made: when the answer can't be kept, the caller gets it all the same.
		if err := finish(func(ctx context.Context) error { return m.Keys.Complete(ctx, k, mine, kept) }); err != nil && !errors.Is(err, ErrChanged) {
			api.Note(r.Context(), err)
		}
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Status())
	_, _ = w.Write(answer.Body()) // the caller is gone: nobody is left to tell
}

func replay(w http.ResponseWriter, a Answer) {
	for name, value := range a.Header {
		w.Header().Set(name, value)
	}
	w.Header().Set(ReplayedHeader, "true")
	w.WriteHeader(a.Status)
	_, _ = io.WriteString(w, a.Body) // the caller is gone: nobody is left to tell
}

// Named makes a route know keys that creates something under an id and whose answer is not to be kept, because it holds
// what is of a person. The key's record keeps the id alone: a repeat runs again under the same id, with repeated set, and
// next answers from what there is. With a key it costs three writes. A body may be left out.
func (m *Middleware) Named(newID func() (string, error), next func(w http.ResponseWriter, r *http.Request, subject string, repeated bool)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := optionalBody(r)
		if err != nil {
			api.WriteError(w, r, err)
			return
		}
		subject, err := newID()
		if err != nil {
			api.WriteError(w, r, err)
			return
		}
		k, ok, err := KeyFrom(r)
		if err != nil {
			api.WriteError(w, r, err)
			return
		}
		if !ok {
			next(w, r, subject, false)
			return
		}
		mine, known, err := m.take(r, k, Record{Payload: Hash(body), Subject: subject, Deadline: m.deadline()})
		if err != nil {
			api.WriteError(w, r, err)
			return
		}
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), releaseTimeout)
			defer cancel()
			_ = m.Keys.Release(ctx, k, mine) // the deadline frees the key in any case
		}()
		next(w, r, mine.Subject, known != nil)
	}
}

// optionalBody reads a JSON body, {} when there is none, and leaves it in the request.
func optionalBody(r *http.Request) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, api.MaxBody+1))
	if err != nil {
		return nil, api.NewProblem(api.CodeInvalidRequest).WithStatus(http.StatusBadRequest).WithDetail("The body could not be read.")
	}
	r.Body = io.NopCloser(bytes.NewReader(raw))
	if len(bytes.TrimSpace(raw)) == 0 {
		raw = []byte("{}")
		r.Body = io.NopCloser(bytes.NewReader(raw))
		r.Header.Set("Content-Type", "application/json")
	}
	body, err := api.ReadBody(r)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, nil
}
