package idempotency

import (
	"bytes"
	"context"
	"errors"
	"io"
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
		mine, answer, err := m.begin(r, k, Record{Payload: Hash(body), Deadline: m.deadline()})
		if err != nil {
			api.WriteError(w, r, err)
			return
		}
		if answer != nil {
			replay(w, *answer)
			return
		}
		m.run(w, r, k, mine, next)
	}
}

// deadline is to the millisecond, as it is stored.
func (m *Middleware) deadline() time.Time {
	return m.Keys.Now().Add(m.Timeout).Truncate(time.Millisecond)
}

// begin takes the key, or gives the kept answer, or the problem that stands against it.
func (m *Middleware) begin(r *http.Request, k Key, want Record) (Record, *Answer, error) {
	known, taken, err := m.Keys.Begin(r.Context(), k, want)
	switch {
	case err != nil:
		return Record{}, nil, api.TryAgain(r, err)
	case taken:
		return want, nil, nil
	case !known.SamePayload(want.Payload):
		return Record{}, nil, Reused()
	case known.Answer != nil:
		return Record{}, known.Answer, nil
	case known.InUse(m.Keys.Now()):
		return Record{}, nil, InUse()
	}
	switch err := m.Keys.TakeOver(r.Context(), k, known, want.Deadline); {
	case errors.Is(err, ErrChanged):
		return Record{}, nil, InUse()
	case err != nil:
		return Record{}, nil, api.TryAgain(r, err)
	}
	return want, nil, nil
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
	answer := &recorder{header: http.Header{}}
	next(answer, r)
	answer.WriteHeader(http.StatusOK) // a handler that wrote nothing
	if answer.status/100 == 2 {
		kept := Answer{Status: answer.status, Header: map[string]string{}, Body: answer.body.String()}
		for name, values := range answer.header {
			kept.Header[name] = strings.Join(values, ", ")
		}
		// What was made is made: when the answer can't be kept, the caller gets it all the same.
		if err := finish(func(ctx context.Context) error { return m.Keys.Complete(ctx, k, mine, kept) }); err != nil && !errors.Is(err, ErrChanged) {
			api.Note(r.Context(), err)
		}
	}
	for name, values := range answer.header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.status)
	_, _ = w.Write(answer.body.Bytes()) // the caller is gone: nobody is left to tell
}

func replay(w http.ResponseWriter, a Answer) {
	for name, value := range a.Header {
		w.Header().Set(name, value)
	}
	w.Header().Set(ReplayedHeader, "true")
	w.WriteHeader(a.Status)
	_, _ = io.WriteString(w, a.Body) // the caller is gone: nobody is left to tell
}

type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (b *recorder) Header() http.Header { return b.header }

func (b *recorder) WriteHeader(status int) {
	if b.status == 0 {
		b.status = status
	}
}

func (b *recorder) Write(p []byte) (int, error) {
	b.WriteHeader(http.StatusOK)
	return b.body.Write(p)
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
		mine, repeated, err := m.name(r, k, Record{Payload: Hash(body), Subject: subject, Deadline: m.deadline()})
		if err != nil {
			api.WriteError(w, r, err)
			return
		}
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), releaseTimeout)
			defer cancel()
			_ = m.Keys.Release(ctx, k, mine) // the deadline frees the key in any case
		}()
		next(w, r, mine.Subject, repeated)
	}
}

// name takes the key, with the subject that it has from its first request on.
func (m *Middleware) name(r *http.Request, k Key, want Record) (mine Record, repeated bool, err error) {
	known, taken, err := m.Keys.Begin(r.Context(), k, want)
	switch {
	case err != nil:
		return Record{}, false, api.TryAgain(r, err)
	case taken:
		return want, false, nil
	case !known.SamePayload(want.Payload):
		return Record{}, false, Reused()
	case known.InUse(m.Keys.Now()):
		return Record{}, false, InUse()
	}
	switch err := m.Keys.TakeOver(r.Context(), k, known, want.Deadline); {
	case errors.Is(err, ErrChanged):
		return Record{}, false, InUse()
	case err != nil:
		return Record{}, false, api.TryAgain(r, err)
	}
	want.Subject = known.Subject
	return want, true, nil
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
