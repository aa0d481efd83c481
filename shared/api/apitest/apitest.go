// Package apitest calls a function's handler over HTTP, as the gateway does after it has checked the token.
package apitest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"contactcenter/shared/api"
)

// Clock is a clock that a test moves. It is safe for concurrent use.
type Clock struct {
	mu sync.Mutex
	at time.Time
}

// NewClock gives a clock that stands at a time.
func NewClock(at time.Time) *Clock { return &Clock{at: at} }

// Now is the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// Pass moves the clock.
func (c *Clock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// Server serves a handler.
type Server struct {
	t    testing.TB
	http *httptest.Server
}

// Domain is the domain under which handlers see the API.
const Domain = "api.example.com"

// NewServer serves a handler until the test ends. Callers say with As who they are.
func NewServer(t testing.TB, h http.Handler) *Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call := api.Call{RequestID: "req-1", SourceIP: "192.0.2.7", Domain: Domain}
		if claims := r.Header.Get("Test-Principal"); claims != "" {
			call.Principal = new(api.Principal)
			if err := json.Unmarshal([]byte(claims), call.Principal); err != nil {
				t.Errorf("read principal: %v", err)
			}
		}
		r.Header.Del("Test-Principal")
		h.ServeHTTP(w, r.WithContext(api.WithCall(r.Context(), call)))
	}))
	t.Cleanup(s.Close)
	return &Server{t: t, http: s}
}

// Client calls as one principal.
type Client struct {
	server    *Server
	principal *api.Principal
	header    map[string]string
}

// As gives a client for a principal; nil calls without a token.
func (s *Server) As(p *api.Principal) Client { return Client{server: s, principal: p} }

// User gives a client for a user of an account who may do everything that an account may.
func (s *Server) User(accountID, userID string) Client {
	return s.As(&api.Principal{UserID: userID, AccountID: accountID, Scopes: []string{
		"messages:read", "messages:write", "channels:read", "channels:write", "channels:activate", "account:read", "account:write",
	}})
}

// Operator gives a client for an operator.
func (s *Server) Operator() Client {
	return s.As(&api.Principal{UserID: "op_1", Scopes: []string{"operator"}, Operator: true})
}

// With gives a client that sends one header more.
func (c Client) With(name, value string) Client {
	header := map[string]string{name: value}
	for k, v := range c.header {
		header[k] = v
	}
	c.header = header
	return c
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	// JSON is the body, if it is an object.
	JSON map[string]any
}

// Code is the problem's code.
func (a Answer) Code() string {
	s, _ := a.JSON["code"].(string)
	return s
}

// Text is a member of the body.
func (a Answer) Text(name string) string {
	s, _ := a.JSON[name].(string)
	return s
}

// Field is the first field that the problem is about, "" if it names none.
func (a Answer) Field() string {
	list, _ := a.JSON["errors"].([]any)
	if len(list) == 0 {
		return ""
	}
	first, _ := list[0].(map[string]any)
	s, _ := first["field"].(string)
	return s
}

// Do calls a route. Body is JSON, "" for none.
func (c Client) Do(method, path, body string) Answer {
	t := c.server.t
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, c.server.http.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range c.header {
		req.Header.Set(k, v)
	}
	if c.principal != nil {
		b, err := json.Marshal(c.principal)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Test-Principal", string(b))
	}
	resp, err := c.server.http.Client().Do(req)
	if err != nil {
		t.Error(err)
		return Answer{}
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	c.server.hold(req, resp, b)
	a := Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(b)}
	_ = json.Unmarshal(b, &a.JSON) // an answer that is no object has none
	return a
}

// hold fails the test when an answer is not as the OpenAPI document says.
func (s *Server) hold(req *http.Request, resp *http.Response, body []byte) {
	s.t.Helper()
	contract, err := TheContract()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := contract.Check(req.Method, req.URL.EscapedPath(), resp.StatusCode, resp.Header, body); err != nil {
		s.t.Errorf("%s %s answers %d, not as the OpenAPI document says: %v\n%s", req.Method, req.URL.Path, resp.StatusCode, err, body)
	}
}

// Get calls a route with GET.
func (c Client) Get(path string) Answer { c.server.t.Helper(); return c.Do(http.MethodGet, path, "") }

// Want fails the test when the answer has another status or code; code "" is any.
func (a Answer) Want(t testing.TB, what string, status int, code string) Answer {
	t.Helper()
	if a.Status != status || code != "" && a.Code() != code {
		t.Errorf("%s: answer is %d %s, want %d %q\n%s", what, a.Status, a.Code(), status, code, a.Body)
	}
	return a
}
