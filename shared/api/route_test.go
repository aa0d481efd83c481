package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"contactcenter/shared/telemetry"
)

func handler(log io.Writer) http.Handler {
	routes := []Route{
		{Method: "GET", Path: "/v1/things/{id}", Authorizer: CrmJwt, Scopes: []string{"things:read"}, Handle: func(w http.ResponseWriter, r *http.Request) {
			WriteJSON(w, http.StatusOK, map[string]string{"id": r.PathValue("id"), "account": PrincipalFrom(r.Context()).AccountID, "q": r.URL.Query().Get("q")})
		}},
		{Method: "POST", Path: "/v1/things", Handle: func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			w.Header().Add("Set-Cookie", "a=1")
			w.Header().Add("Set-Cookie", "b=2")
			w.Header().Set("X-Seen", r.Header.Get("Cookie"))
			_, _ = w.Write(b)
		}},
		{Method: "PUT", Path: "/v1/things", Handle: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("half"))
			panic("text of a message")
		}},
		{Method: "DELETE", Path: "/v1/things", Handle: func(w http.ResponseWriter, r *http.Request) { WriteError(w, r, errors.New("store down")) }},
		{Method: "GET", Path: "/v1/operator/things", Authorizer: OperatorJwt, Scopes: []string{"operator"}, Handle: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }},
	}
	return New(Config{Log: telemetry.NewLogger(log, "INFO"), Now: time.Now}, routes)
}

func event(method, path string, claims map[string]string) events.APIGatewayV2HTTPRequest {
	e := events.APIGatewayV2HTTPRequest{Version: "2.0", RawPath: path, Headers: map[string]string{}}
	e.RequestContext.RequestID = "req-1"
	e.RequestContext.HTTP.Method, e.RequestContext.HTTP.Path = method, path
	if claims != nil {
		e.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{JWT: &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{Claims: claims}}
	}
	return e
}

func TestRequestsOfTheGateway(t *testing.T) {
	t.Parallel()
	customer := map[string]string{"sub": "user_7", "account_id": "acct_1", "scope": "things:read other"}
	for _, c := range []struct {
		name   string
		event  events.APIGatewayV2HTTPRequest
		status int
		body   string // a part of it
	}{
		{"a path parameter arrives decoded", event("GET", "/v1/things/a b", customer), 200, `"id":"a b"`},
		{"the account comes from the token", event("GET", "/v1/things/x", customer), 200, `"account":"acct_1"`},
		{"scopes may come as a list", event("GET", "/v1/things/x", map[string]string{"sub": "u", "account_id": "a", "scope": "[things:read other]"}), 200, ""},
		{"no token", event("GET", "/v1/things/x", nil), 401, `"code":"unauthorized"`},
		{"no account in the token", event("GET", "/v1/things/x", map[string]string{"sub": "u", "scope": "things:read"}), 403, "claim account_id"},
		{"another scope", event("GET", "/v1/things/x", map[string]string{"sub": "u", "account_id": "a", "scope": "things:write"}), 403, `"code":"forbidden"`},
		{"a customer on an operator's route", event("GET", "/v1/operator/things", map[string]string{"sub": "u", "account_id": "a", "scope": "operator"}), 403, `"code":"forbidden"`},
		{"an operator on an operator's route", event("GET", "/v1/operator/things", map[string]string{"sub": "u", "scope": "operator"}), 204, ""},
		{"an operator on a customer's route", event("GET", "/v1/things/x", map[string]string{"sub": "u", "scope": "operator things:read"}), 403, `"code":"forbidden"`},
		{"an unknown path", event("GET", "/v1/others", customer), 404, `"code":"not_found"`},
		{"a path that is not clean", event("GET", "/v1//things/x", customer), 404, `"code":"not_found"`},
		{"another method", event("PATCH", "/v1/things", customer), 405, `"code":"method_not_allowed"`},
		{"a panic", event("PUT", "/v1/things", nil), 500, `"code":"internal_error"`},
		{"an error", event("DELETE", "/v1/things", nil), 500, `"code":"internal_error"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			out, err := Handler(handler(&log))(context.Background(), c.event)
			if err != nil || out.StatusCode != c.status || !strings.Contains(out.Body, c.body) {
				t.Errorf("got %d %s, %v; want %d %q", out.StatusCode, out.Body, err, c.status, c.body)
			}
			if out.Headers["x-request-id"] != "req-1" {
				t.Errorf("X-Request-Id is %q", out.Headers["x-request-id"])
			}
			if c.status >= 400 && (out.Headers["content-type"] != "application/problem+json" || !strings.Contains(out.Body, `"request_id":"req-1"`)) {
				t.Errorf("no problem: %s %s", out.Headers["content-type"], out.Body)
			}
			if c.status == 405 && out.Headers["allow"] != "POST, PUT, DELETE" {
				t.Errorf("Allow is %q", out.Headers["allow"])
			}
			if strings.Contains(log.String(), "text of a message") || strings.Contains(out.Body, "half") {
				t.Errorf("content came out: %s %s", log.String(), out.Body)
			}
		})
	}
}

func TestBodiesAndCookiesPassUnchanged(t *testing.T) {
	t.Parallel()
	raw := "\xff\x00 raw"
	e := event("POST", "/v1/things", nil)
	e.Body, e.IsBase64Encoded, e.Cookies = base64.StdEncoding.EncodeToString([]byte(raw)), true, []string{"x=1", "y=2"}
	out, err := Handler(handler(io.Discard))(context.Background(), e)
	if err != nil {
		t.Fatal(err)
	}
	b, err := base64.StdEncoding.DecodeString(out.Body)
	if err != nil || string(b) != raw || !out.IsBase64Encoded {
		t.Errorf("body is %q, %v", b, err)
	}
	if len(out.Cookies) != 2 || out.Headers["set-cookie"] != "" || out.Headers["x-seen"] != "x=1; y=2" {
		t.Errorf("cookies are %v, %v", out.Cookies, out.Headers)
	}
}

func TestTheLogLineTellsTheRouteAndNothingOfTheRequest(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	e := event("GET", "/v1/things/canary-path", map[string]string{"sub": "user_7", "account_id": "acct_1", "scope": "things:read"})
	e.RawQueryString = "q=canary-query"
	if _, err := Handler(handler(&log))(context.Background(), e); err != nil {
		t.Fatal(err)
	}
	var line map[string]any
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatalf("not one JSON line: %v: %s", err, log.String())
	}
	for k, want := range map[string]any{"route": "GET /v1/things/{id}", "status": 200.0, "request_id": "req-1", "account_id": "acct_1", "user_id": "user_7", "level": "INFO"} {
		if line[k] != want {
			t.Errorf("%s is %v, want %v", k, line[k], want)
		}
	}
	if strings.Contains(log.String(), "canary") {
		t.Errorf("the line tells the request: %s", log.String())
	}
}

func TestARequestEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	if out, err := Handler(h)(ctx, event("GET", "/", nil)); err != nil || out.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %d, %v", out.StatusCode, err)
	}
}

func TestEveryCodeHasAStatusAndSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for _, c := range Codes() {
		p := NewProblem(c)
		if p.Status < 400 || p.Title == "" || p.Detail == "" || p.FaultDomain == "" || c != CodeInternalError && p.Title == NewProblem(CodeInternalError).Title {
			t.Errorf("%s: %+v", c, p)
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]struct {
		size   int
		fields string
	}{
		"":                           {50, ""},
		"page_size=1":                {1, ""},
		"page_size=200&page_token=x": {200, ""},
		"page_size=0":                {0, "page_size:invalid_value"},
		"page_size=201":              {201, "page_size:invalid_value"},
		"page_size=07":               {7, "page_size:invalid_value"},
		"page_size=x":                {0, "page_size:invalid_value"},
		"page_size=1&page_size=2":    {1, "page_size:duplicate_field"},
		"other=1":                    {50, "other:unknown_field"},
		"page_token=":                {50, "page_token:invalid_value"},
	} {
		q := ReadQuery(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/messages?"+query, nil))
		size := q.Page().Size
		if _, _, fields := problemOf(q.Err()); size != want.size || fields != want.fields {
			t.Errorf("%s: got %d %q, want %+v", query, size, fields, want)
		}
	}
}

//
func TestRateLimitHeaders(t *testing.T) {
	t.Parallel()
	h := http.Header{}
	err := SetRateLimit(h,
		Limit{Policy: PolicyPeriod, Quota: 1000, Window: 30 * 24 * time.Hour, Remaining: -1, Reset: 90*time.Second + 1},
		Limit{Policy: PolicyRate, Quota: 20, Window: time.Second, Remaining: 19, Reset: -time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := h.Get("RateLimit-Policy"), `"plan-period";q=1000;w=2592000, "plan-rate";q=20;w=1`; got != want {
		t.Errorf("RateLimit-Policy is %s, want %s", got, want)
	}
	if got, want := h.Get("RateLimit"), `"plan-period";r=0;t=91, "plan-rate";r=19;t=0`; got != want {
		t.Errorf("RateLimit is %s, want %s", got, want)
	}
}

func TestTimesHaveMilliseconds(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(At(time.Date(2026, 12, 1, 12, 0, 0, 0, time.FixedZone("", 2*3600))))
	if err != nil || string(b) != `"2026-12-01T10:00:00.000Z"` {
		t.Errorf("got %s, %v", b, err)
	}
	var at Time
	if err := json.Unmarshal(b, &at); err != nil || at.Hour() != 10 {
		t.Errorf("got %v, %v", at, err)
	}
}
