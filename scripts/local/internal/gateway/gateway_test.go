package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// answering is a function that always gives the same answer.
func answering(answer string, err error) Function {
	return func(context.Context, []byte) ([]byte, error) { return []byte(answer), err }
}

// keeping is a function that keeps the event for the test to look at.
func keeping(kept *map[string]any) Function {
	return func(_ context.Context, event []byte) ([]byte, error) {
		return []byte(`{"statusCode":200}`), json.Unmarshal(event, kept)
	}
}

func call(api http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestTheMostSpecificRouteIsTaken(t *testing.T) {
	t.Parallel()
	var routes []Route
	for _, key := range []string{"GET /v1/rules/current", "GET /v1/rules/{version}", "POST /v1/rules/{version}", "ANY /v1/{proxy+}", "GET /v1/a/{proxy+}", "GET /v1/{x}/fixed", "ANY /v1/rules/current"} {
		method, path, _ := strings.Cut(key, " ")
		routes = append(routes, Route{Method: method, Path: path})
	}
	cases := map[string]struct {
		method, path, want string
		parameters         map[string]string
	}{
		"a full match":                            {"GET", "/v1/rules/current", "GET /v1/rules/current", map[string]string{}},
		"a parameter":                             {"GET", "/v1/rules/2026", "GET /v1/rules/{version}", map[string]string{"version": "2026"}},
		"a method of its own before ANY":          {"POST", "/v1/rules/2026", "POST /v1/rules/{version}", map[string]string{"version": "2026"}},
		"ANY of the same path":                    {"POST", "/v1/rules/current", "ANY /v1/rules/current", map[string]string{}},
		"the longest greedy one":                  {"GET", "/v1/a/b/c", "GET /v1/a/{proxy+}", map[string]string{"proxy": "b/c"}},
		"a greedy one last":                       {"GET", "/v1/a/fixed", "GET /v1/{x}/fixed", map[string]string{"x": "a"}},
		"a greedy one for what has no other":      {"PUT", "/v1/q", "ANY /v1/{proxy+}", map[string]string{"proxy": "q"}},
		"a greedy parameter is never empty":       {"GET", "/v1/", "", nil},
		"no match":                                {"GET", "/v2", "", nil},
		"HEAD is not GET":                         {"HEAD", "/v1/rules/2026/x/y", "ANY /v1/{proxy+}", map[string]string{"proxy": "rules/2026/x/y"}},
		"a slash at the end is a path of its own": {"GET", "/v1/rules/current/", "ANY /v1/{proxy+}", map[string]string{"proxy": "rules/current/"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			route, parameters, ok := compile(routes).find(c.method, c.path)
			got := ""
			if ok {
				got = route.key()
			}
			if got != c.want || !maps.Equal(parameters, c.parameters) {
				t.Errorf("%s %s takes %q %v, want %q %v", c.method, c.path, got, parameters, c.want, c.parameters)
			}
		})
	}
}

func TestTheDefaultRouteTakesTheRest(t *testing.T) {
	t.Parallel()
	route, _, ok := compile([]Route{{}, {Method: "GET", Path: "/a"}}).find("DELETE", "/b/c")
	if !ok || route.key() != "$default" {
		t.Errorf("it takes %q", route.key())
	}
}

func TestEventsAreOfPayloadFormat2(t *testing.T) {
	t.Parallel()
	var got map[string]any
	api := New([]Route{{Method: "POST", Path: "/v1/things/{id}", Function: keeping(&got)}}, nil, func() time.Time { return noon })
	r := httptest.NewRequest("POST", "/v1/things/a%20b?x=1&x=2&y=%C3%A9&z", strings.NewReader(`{"a":"é"}`))
	r.Host = "api.example:3000"
	r.RemoteAddr = "192.0.2.7:4000"
	r.Header = http.Header{"Content-Type": {"application/json; charset=utf-8"}, "X-Many": {"1", "2"}, "Cookie": {"a=1; b=2", "c=3"}, "User-Agent": {"tester"}}
	resp := call(api, r)
	if resp.StatusCode != 200 {
		t.Fatalf("the answer is %d %s", resp.StatusCode, text(t, resp))
	}
	request := got["requestContext"].(map[string]any)
	if id := request["requestId"]; id != resp.Header.Get("Apigw-Requestid") || len(id.(string)) != 16 {
		t.Errorf("the request id is %v, the caller's %q", id, resp.Header.Get("Apigw-Requestid"))
	}
	delete(request, "requestId")
	want := `{"body":"{\"a\":\"é\"}","cookies":["a=1","b=2","c=3"],
	 "headers":{"content-length":"10","content-type":"application/json; charset=utf-8","host":"api.example:3000","user-agent":"tester","x-forwarded-for":"192.0.2.7","x-forwarded-port":"3000","x-forwarded-proto":"http","x-many":"1,2"},
	 "isBase64Encoded":false,"pathParameters":{"id":"a b"},"queryStringParameters":{"x":"1,2","y":"é","z":""},"rawPath":"/v1/things/a b","rawQueryString":"x=1&x=2&y=%C3%A9&z",
	 "requestContext":{"accountId":"000000000000","apiId":"local","domainName":"api.example:3000","domainPrefix":"api","http":{"method":"POST","path":"/v1/things/a b","protocol":"HTTP/1.1","sourceIp":"192.0.2.7","userAgent":"tester"},
	 "routeKey":"POST /v1/things/{id}","stage":"$default","time":"24/Nov/2026:12:00:00 +0000","timeEpoch":1795521600000},
	 "routeKey":"POST /v1/things/{id}","version":"2.0"}`
	sameJSON(t, got, want)
}

func sameJSON(t *testing.T, got any, want string) {
	t.Helper()
	var w any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	g, err := json.MarshalIndent(got, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	expected, err := json.MarshalIndent(w, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(g, expected) {
		t.Errorf("got  %s\nwant %s", g, expected)
	}
}

func TestBodiesThatAreNotTextComeInBase64(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		contentType, encoding, body, want string
		base64                            bool
	}{
		"JSON":                   {"application/json", "", "{}", "{}", false},
		"JSON of a kind":         {"application/vnd.x+json", "", "{}", "{}", false},
		"XML":                    {"application/xml", "", "<a/>", "<a/>", false},
		"a script":               {"application/javascript", "", "a", "a", false},
		"plain text":             {"text/plain; charset=utf-8", "", "a", "a", false},
		"form fields":            {"application/x-www-form-urlencoded", "", "a=1", "YT0x", true},
		"an image":               {"image/png", "", "\x89P", "iVA=", true},
		"nothing said":           {"", "", "a", "YQ==", true},
		"compressed JSON":        {"application/json", "gzip", "{}", "e30=", true},
		"text that is not UTF-8": {"application/json", "", "\xff", "/w==", true},
		"no body":                {"image/png", "", "", "", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			h.Set("Content-Type", c.contentType)
			h.Set("Content-Encoding", c.encoding)
			if got, isBase64 := encodeBody(h, []byte(c.body)); got != c.want || isBase64 != c.base64 {
				t.Errorf("it comes as %q, base64 %t; want %q, %t", got, isBase64, c.want, c.base64)
			}
		})
	}
}

func TestAnswersOfFunctionsAreMapped(t *testing.T) {
	t.Parallel()
	const broken = `{"message":"Internal Server Error"}`
	cases := map[string]struct {
		answer  string
		err     error
		status  int
		body    string
		headers map[string][]string
	}{
		"an ordinary one": {answer: `{"statusCode":201,"headers":{"location":"/x","X-Number":5},"cookies":["a=1","b=2"],"body":"hi"}`, status: 201, body: "hi",
			headers: map[string][]string{"Location": {"/x"}, "X-Number": {"5"}, "Set-Cookie": {"a=1", "b=2"}, "Content-Type": {"text/plain;charset=UTF-8"}}},
		"one in base64":                 {answer: `{"statusCode":200,"body":"/w==","isBase64Encoded":true}`, status: 200, body: "\xff"},
		"one without a body":            {answer: `{"statusCode":204}`, status: 204},
		"an empty body":                 {answer: `{"statusCode":200,"body":""}`, status: 200},
		"one without a status":          {answer: `{"a":1}`, status: 200, body: `{"a":1}`, headers: map[string][]string{"Content-Type": {"application/json"}}},
		"a text":                        {answer: `"hi"`, status: 200, body: "hi"},
		"a list":                        {answer: `[1]`, status: 200, body: "[1]"},
		"null":                          {answer: `null`, status: 200, body: "null"},
		"headers that the gateway owns": {answer: `{"statusCode":200,"headers":{"Connection":"x","apigw-requestid":"mine","Content-Length":"99"},"body":"hi"}`, status: 200, body: "hi", headers: map[string][]string{"Connection": nil}},
		"headers of format 1.0":         {answer: `{"statusCode":200,"multiValueHeaders":{"X-A":["1"]}}`, status: 200, headers: map[string][]string{"X-A": nil}},
		"a status as text":              {answer: `{"statusCode":"200"}`, status: 200},
		"a status that is no number":    {answer: `{"statusCode":"x"}`, status: 500, body: broken},
		"an impossible status":          {answer: `{"statusCode":99}`, status: 500, body: broken},
		"a body that is no text":        {answer: `{"statusCode":200,"body":{}}`, status: 500, body: broken},
		"a body that is no base64":      {answer: `{"statusCode":200,"body":"!","isBase64Encoded":true}`, status: 500, body: broken},
		"no JSON":                       {answer: `oops`, status: 500, body: broken},
		"a crash":                       {err: errors.New("crashed"), status: 500, body: broken, headers: map[string][]string{"Content-Type": {"application/json"}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := New([]Route{{Method: "GET", Path: "/", Function: answering(c.answer, c.err)}}, nil, time.Now)
			resp := call(api, httptest.NewRequest("GET", "/", nil))
			if body := text(t, resp); resp.StatusCode != c.status || body != c.body {
				t.Errorf("the caller gets %d %q, want %d %q", resp.StatusCode, body, c.status, c.body)
			}
			for h, want := range c.headers {
				if got := resp.Header.Values(h); !slices.Equal(got, want) {
					t.Errorf("%s is %q, want %q", h, got, want)
				}
			}
			if id := resp.Header.Get("Apigw-Requestid"); id == "" || id == "mine" {
				t.Errorf("the request id is %q", id)
			}
		})
	}
}

func TestTheGatewayAnswersForItself(t *testing.T) {
	t.Parallel()
	api := New([]Route{{Method: "POST", Path: "/a", Function: answering(`{"statusCode":200}`, nil)}}, nil, time.Now)
	cases := map[string]struct {
		method, path string
		body         int
		status       int
		message      string
	}{
		"an unknown path":                    {"GET", "/b", 0, 404, "Not Found"},
		"another method of a known path":     {"GET", "/a", 0, 404, "Not Found"},
		"a body of more than 10 MB":          {"POST", "/a", 10<<20 + 1, 413, "Request Entity Too Large"},
		"an event of more than Lambda takes": {"POST", "/a", 6 << 20, 413, "Request Entity Too Large"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(c.method, c.path, strings.NewReader(strings.Repeat("a", c.body)))
			r.Header.Set("Content-Type", "text/plain")
			resp := call(api, r)
			if body, want := text(t, resp), `{"message":"`+c.message+`"}`; resp.StatusCode != c.status || body != want || resp.Header.Get("Apigw-Requestid") == "" {
				t.Errorf("the caller gets %d %s, want %d %s", resp.StatusCode, body, c.status, want)
			}
		})
	}
}

func TestAFunctionThatTakesTooLongIsAnsweredFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		waiting := func(ctx context.Context, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		api := New([]Route{{Method: "GET", Path: "/", Timeout: time.Hour, Function: waiting}}, nil, time.Now)
		begun := time.Now()
		resp := call(api, httptest.NewRequest("GET", "/", nil))
		if body := text(t, resp); resp.StatusCode != 503 || body != `{"message":"Service Unavailable"}` || time.Since(begun) != 30*time.Second {
			t.Errorf("the caller gets %d %s after %s", resp.StatusCode, body, time.Since(begun))
		}
	})
}

func TestBrowsersOfAllowedOriginsAreServed(t *testing.T) {
	t.Parallel()
	cors := &CORS{AllowOrigins: []string{"https://crm.example"}, AllowMethods: []string{"GET", "POST"}, AllowHeaders: []string{"authorization"}, ExposeHeaders: []string{"location", "ratelimit"}, MaxAge: 60}
	api := New([]Route{{Method: "GET", Path: "/a", Function: answering(`{"statusCode":200,"headers":{"access-control-allow-origin":"*"}}`, nil)}}, cors, time.Now)
	cases := map[string]struct {
		method, path, origin, asks string
		status                     int
		want                       map[string]string
	}{
		"a preflight":                         {"OPTIONS", "/a", "https://crm.example", "POST", 204, map[string]string{"Allow-Origin": "https://crm.example", "Allow-Methods": "GET,POST", "Allow-Headers": "authorization", "Max-Age": "60", "Expose-Headers": ""}},
		"a preflight of a path without route": {"OPTIONS", "/zz", "https://crm.example", "POST", 204, map[string]string{"Allow-Origin": "https://crm.example"}},
		"a preflight from elsewhere":          {"OPTIONS", "/a", "https://evil.example", "POST", 204, map[string]string{"Allow-Origin": "", "Allow-Methods": ""}},
		"OPTIONS that is no preflight":        {"OPTIONS", "/a", "", "", 404, map[string]string{"Allow-Origin": ""}},
		"a request":                           {"GET", "/a", "https://crm.example", "", 200, map[string]string{"Allow-Origin": "https://crm.example", "Expose-Headers": "location,ratelimit"}},
		"a request from elsewhere":            {"GET", "/a", "https://evil.example", "", 200, map[string]string{"Allow-Origin": "", "Expose-Headers": ""}},
		"a request that fails":                {"GET", "/zz", "https://crm.example", "", 404, map[string]string{"Allow-Origin": "https://crm.example"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(c.method, c.path, nil)
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
			if c.asks != "" {
				r.Header.Set("Access-Control-Request-Method", c.asks)
			}
			resp := call(api, r)
			if resp.StatusCode != c.status {
				t.Errorf("the status is %d, want %d", resp.StatusCode, c.status)
			}
			for h, want := range c.want {
				if got := resp.Header.Get("Access-Control-" + h); got != want {
					t.Errorf("Access-Control-%s is %q, want %q", h, got, want)
				}
			}
		})
	}
}
