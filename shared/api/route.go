package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"contactcenter/shared/telemetry"
)

// The authorizers, by the names that template.yaml gives them.
const (
	CrmJwt      = "CrmJwt"
	OperatorJwt = "OperatorJwt"
)

// Route is one route of the OpenAPI document, with the method that answers it.
type Route struct {
	Method string
	// Path has its parameters in braces.
	Path string
	// Authorizer is CrmJwt or OperatorJwt; "" for a route without a token.
	Authorizer string
	// Scopes are those of which the token must have one.
	Scopes []string
	Handle http.HandlerFunc
}

// Config is what New needs besides the routes.
type Config struct {
	Log *slog.Logger
	Now func() time.Time
}

// New gives the handler of a function. Each request gets a principal that may call its route, an answer with
// X-Request-Id, and one log line, without body, address or query string. A panic is answered 500.
func New(c Config, routes []Route) http.Handler {
	mux := http.NewServeMux()
	var methods []string
	for _, rt := range routes {
		mux.Handle(rt.Method+" "+rt.Path, rt)
		methods = append(methods, rt.Method)
	}
	return &router{Config: c, mux: mux, methods: methods}
}

type router struct {
	Config
	mux     *http.ServeMux
	methods []string
}

func (rt *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := rt.Now()
	call := CallFrom(r.Context())
	ctx, n := withNotes(r.Context())
	attrs := []slog.Attr{slog.String("request_id", call.RequestID)}
	if p := call.Principal; p != nil {
		attrs = append(attrs, slog.String("account_id", p.AccountID), slog.String("user_id", p.UserID))
	}
	ctx = telemetry.With(ctx, attrs...)
	r = r.WithContext(ctx)

	handler, pattern := rt.match(r)
	answer := rt.answer(ctx, handler, r)
	answer.header.Set("X-Request-Id", call.RequestID)
	for name, values := range answer.header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Status())
	if r.Method != http.MethodHead {
		_, _ = w.Write(answer.body.Bytes()) // the caller is gone: nobody is left to tell
	}
	rt.log(ctx, n, pattern, answer.Status(), rt.Now().Sub(began))
}

// log writes the request's one line.
func (rt *router) log(ctx context.Context, n *notes, pattern string, status int, took time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	level := slog.LevelInfo
	attrs := []slog.Attr{slog.String("route", pattern), slog.Int("status", status), slog.Float64("duration_ms", float64(took.Microseconds())/1000)}
	if n.code != "" {
		attrs = append(attrs, slog.String("code", string(n.code)))
	}
	if len(n.errs) > 0 {
		level = slog.LevelError
		attrs = append(attrs, slog.String("error", errors.Join(n.errs...).Error()))
	}
	rt.Log.LogAttrs(ctx, level, "request", attrs...)
}

// match finds the route. It answers 404 and 405 with problems.
func (rt *router) match(r *http.Request) (http.Handler, string) {
	notFound := func(w http.ResponseWriter, r *http.Request) {
		WriteError(w, r, NewProblem(CodeNotFound).WithDetail("There is no such route."))
	}
	// A ServeMux would redirect to the clean path; the gateway in front knows no such route either.
	if clean := path.Clean(r.URL.Path); clean != r.URL.Path {
		return http.HandlerFunc(notFound), "none"
	}
	if _, pattern := rt.mux.Handler(r); pattern != "" {
		return rt.mux, pattern
	}
	var allow []string
	seen := map[string]bool{}
	for _, m := range rt.methods {
		if seen[m] {
			continue
		}
		seen[m] = true
		other := r.Clone(r.Context())
		other.Method = m
		if _, pattern := rt.mux.Handler(other); pattern != "" {
			allow = append(allow, m)
		}
	}
	if len(allow) == 0 {
		return http.HandlerFunc(notFound), "none"
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := NewProblem(CodeMethodNotAllowed)
		p.Allow = strings.Join(allow, ", ")
		WriteError(w, r, p)
	}), "none"
}

// answer runs the handler into a buffer, so that a panic leaves nothing half written.
func (rt *router) answer(ctx context.Context, h http.Handler, r *http.Request) (b *Buffer) {
	b = NewBuffer()
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		// The value of a panic may hold what a caller sent. Errors of the runtime don't.
		what := fmt.Sprintf("%T", v)
		if err, ok := v.(runtime.Error); ok {
			what = err.Error()
		}
		rt.Log.LogAttrs(ctx, slog.LevelError, "panic", slog.String("panic", what), slog.String("stack", string(debug.Stack())))
		b = NewBuffer()
		WriteError(b, r, NewProblem(CodeInternalError))
	}()
	h.ServeHTTP(b, r)
	return b
}

// ServeHTTP checks the principal before the route's handler runs. The gateway has done so already; this holds as well
// when a route is served without one.
func (rt Route) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := rt.permits(CallFrom(r.Context()).Principal); err != nil {
		WriteError(w, r, err)
		return
	}
	rt.Handle(w, r)
}

func (rt Route) permits(p *Principal) error {
	if rt.Authorizer == "" {
		return nil
	}
	if p == nil || p.UserID == "" {
		return NewProblem(CodeUnauthorized)
	}
	if p.AccountID == "" && rt.Authorizer == CrmJwt {
		return NewProblem(CodeForbidden).WithDetail("The token names no account (claim account_id).")
	}
	if p.AccountID != "" && rt.Authorizer == OperatorJwt {
		return NewProblem(CodeForbidden).WithDetail("A token of an account can't be used here.")
	}
	for _, s := range rt.Scopes {
		if p.Has(s) {
			return nil
		}
	}
	return NewProblem(CodeForbidden).WithDetail("The token lacks the scope that this route needs.")
}
