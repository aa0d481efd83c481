// Package gateway knows how an API Gateway HTTP API behaves: which route a request takes, whom its JWT authorizers
// let through, what a function is handed (payload format 2.0), and what callers are told when the gateway itself has
// to answer. It knows nothing of the functions.
package gateway

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// maxRequest is API Gateway's limit of a request body.
	maxRequest = 10 << 20
	// maxEvent is Lambda's limit of the event of a synchronous invocation.
	maxEvent = 6_291_556
	// longest is the longest that API Gateway waits for a function.
	longest = 30 * time.Second
)

// Function invokes a function on one event. An error means that it gave no answer.
type Function func(ctx context.Context, event []byte) ([]byte, error)

// API is an HTTP API.
type API struct {
	routes table
	cors   *CORS
	now    func() time.Time
}

// New makes an API. cors may be nil.
func New(routes []Route, cors *CORS, now func() time.Time) *API {
	return &API{routes: compile(routes), cors: cors, now: now}
}

// ServeHTTP answers as API Gateway does.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	requestID := newRequestID()
	w.Header().Set("Apigw-Requestid", requestID)
	if a.cors != nil && isPreflight(r) {
		a.cors.preflight(w, r)
		return
	}
	out := a.answer(r, requestID)
	for name, values := range out.headers {
		w.Header()[name] = values
	}
	if a.cors != nil {
		a.cors.allow(w, r)
	}
	w.WriteHeader(out.status)
	// The status is out; a caller that has gone by now can't be told anything.
	_, _ = w.Write(out.body)
}

func (a *API) answer(r *http.Request, requestID string) response {
	route, parameters, ok := a.routes.find(r.Method, r.URL.Path)
	if !ok {
		return own(http.StatusNotFound, "Not Found")
	}
	var claims *authorized
	if route.Authorizer != nil {
		var err error
		claims, err = route.Authorizer.check(r.Header.Get("Authorization"), route.Scopes, a.now())
		if err != nil {
			return refused(err, route.Scopes)
		}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	if err != nil {
		return own(http.StatusBadRequest, "Bad Request")
	}
	if len(body) > maxRequest {
		return own(http.StatusRequestEntityTooLarge, "Request Entity Too Large")
	}
	payload, err := json.Marshal(newEvent(r, route, parameters, body, claims, requestID, a.now()))
	if err != nil {
		return own(http.StatusInternalServerError, "Internal Server Error")
	}
	if len(payload) > maxEvent {
		return own(http.StatusRequestEntityTooLarge, "Request Entity Too Large")
	}
	return invoke(r.Context(), route, payload)
}

func invoke(ctx context.Context, route Route, payload []byte) response {
	timeout := longest
	if route.Timeout > 0 {
		timeout = min(timeout, route.Timeout)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer, err := route.Function(ctx, payload)
	if errors.Is(err, context.DeadlineExceeded) {
		return own(http.StatusServiceUnavailable, "Service Unavailable")
	}
	if err != nil {
		return own(http.StatusInternalServerError, "Internal Server Error")
	}
	out, err := readResponse(answer)
	if err != nil {
		return own(http.StatusInternalServerError, "Internal Server Error")
	}
	return out
}

func refused(err error, scopes []string) response {
	if errors.Is(err, errForbidden) {
		out := own(http.StatusForbidden, "Forbidden")
		out.headers.Set("Www-Authenticate", `Bearer scope="`+strings.Join(scopes, " ")+`" error="insufficient_scope"`)
		return out
	}
	out := own(http.StatusUnauthorized, "Unauthorized")
	out.headers.Set("Www-Authenticate", "Bearer")
	return out
}

// own is an answer of the gateway's own; its form can't be changed on AWS either.
func own(status int, message string) response {
	return response{status: status, headers: http.Header{"Content-Type": {"application/json"}}, body: []byte(`{"message":"` + message + `"}`)}
}

// newRequestID looks like API Gateway's: fifteen characters and an equals sign.
func newRequestID() string {
	id := make([]byte, 11)
	rand.Read(id)
	return base64.URLEncoding.EncodeToString(id)
}

// Serves tells whether a route takes such a request.
func (a *API) Serves(method, path string) bool {
	_, _, ok := a.routes.find(method, path)
	return ok
}
