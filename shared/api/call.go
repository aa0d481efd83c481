package api

import (
	"context"
	"slices"
	"sync"
)

// Principal is who calls, as the gateway's JWT authorizer found it in a valid token.
type Principal struct {
	// UserID is the claim sub.
	UserID string
	// AccountID is the claim account_id; "" for an operator.
	AccountID string
	Scopes    []string
	// Operator says that the token came through the operators' authorizer.
	Operator bool
}

// Has reports whether the principal has a scope.
func (p Principal) Has(scope string) bool { return slices.Contains(p.Scopes, scope) }

// Call is what is known of a request besides the request itself.
type Call struct {
	RequestID string
	// Principal is nil on routes without a token.
	Principal *Principal
	// SourceIP is where the request came from.
	SourceIP string
	// Domain is the domain name under which the API was called.
	Domain string
}

type callKey struct{}

// WithCall puts a call into a context. The gateway adapter does so; tests do when they call a handler themselves.
func WithCall(ctx context.Context, c Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// CallFrom gives the context's call, or the zero Call.
func CallFrom(ctx context.Context) Call {
	c, _ := ctx.Value(callKey{}).(Call)
	return c
}

// PrincipalFrom gives the context's principal, or the zero Principal on routes without a token.
func PrincipalFrom(ctx context.Context) Principal {
	if p := CallFrom(ctx).Principal; p != nil {
		return *p
	}
	return Principal{}
}

// notes are what a request's one log line tells besides the request itself.
type notes struct {
	mu   sync.Mutex
	errs []error
	code Code
}

type notesKey struct{}

func withNotes(ctx context.Context) (context.Context, *notes) {
	n := new(notes)
	return context.WithValue(ctx, notesKey{}, n), n
}

// Note adds an error to the request's log line, which becomes an error's line. The error must not hold content,
// addresses or secrets.
func Note(ctx context.Context, err error) {
	if n, ok := ctx.Value(notesKey{}).(*notes); ok && err != nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.errs = append(n.errs, err)
	}
}

func noteCode(ctx context.Context, c Code) {
	if n, ok := ctx.Value(notesKey{}).(*notes); ok {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.code = c
	}
}
