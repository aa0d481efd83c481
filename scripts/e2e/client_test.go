//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// transport is shared by all callers: it has no state but its connections.
var transport = &http.Transport{MaxIdleConnsPerHost: 512, IdleConnTimeout: 30 * time.Second}

var httpClient = &http.Client{
	Transport: transport, Timeout: 40 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// answer is what came back of a call.
type answer struct {
	method, url string
	status      int
	header      http.Header
	body        []byte
	sent, got   time.Time
	// breach says where the answer differs from the OpenAPI document.
	breach error
}

func (a *answer) String() string {
	return fmt.Sprintf("%s %s → %d %s", a.method, a.url, a.status, bytes.TrimSpace(a.body))
}

// try makes one call. An error means that no answer came.
func try(method, url string, header http.Header, body []byte) (*answer, error) {
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, header)
	a := &answer{method: method, url: url, sent: time.Now()}
	resp, err := httpClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		return nil, err
	}
	a.got, a.status, a.header = time.Now(), resp.StatusCode, resp.Header
	if strings.HasPrefix(req.URL.Path, "/v1/") {
		if err := common.contract.Check(method, req.URL.EscapedPath(), a.status, a.header, a.body); err != nil {
			a.breach = fmt.Errorf("not as the OpenAPI document says: %w", err)
			common.breaches.note(a)
		}
	}
	return a, nil
}

// breaches are the answers of all tests that were not as the OpenAPI document says, also those that a test did not look
// at any further.
type breaches struct {
	mu   sync.Mutex
	list []*answer
}

func (b *breaches) note(a *answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = append(b.list, a)
}

// err is nil when there were none.
func (b *breaches) err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := map[string]bool{}
	var errs []error
	for _, a := range b.list {
		if what := fmt.Sprintf("%s %d %v", a.method, a.status, a.breach); !seen[what] {
			seen[what] = true
			errs = append(errs, fmt.Errorf("%v: %w", a, a.breach))
		}
	}
	return errors.Join(errs...)
}

func (s *stack) raw(t *testing.T, method, url string, header http.Header, body []byte) *answer {
	t.Helper()
	a, err := try(method, url, header, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return a
}

const allScopes = "messages:read messages:write channels:read channels:write channels:activate account:read account:write"

// tokenRequest is the body of POST /dev/token. The last two ask for a token that is wrong on purpose.
type tokenRequest struct {
	AccountID  string `json:"account_id,omitempty"`
	Subject    string `json:"sub"`
	Scope      string `json:"scope"`
	TTLSeconds *int64 `json:"ttl_seconds,omitempty"`
	Audience   string `json:"audience,omitempty"`
}

func (s *stack) token(t *testing.T, r tokenRequest) string {
	t.Helper()
	body, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	got := s.raw(t, http.MethodPost, s.api+"/dev/token", http.Header{"Content-Type": {"application/json"}}, body)
	return decode[struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int64  `json:"expires_in"`
	}](t, got, http.StatusOK).AccessToken
}

// caller calls the API with one token.
type caller struct {
	stack *stack
	token string
}

func (s *stack) operator(t *testing.T) *caller {
	t.Helper()
	return &caller{s, s.token(t, tokenRequest{Subject: "operator_1", Scope: "operator"})}
}

func (s *stack) user(t *testing.T, accountID, subject, scope string) *caller {
	t.Helper()
	return &caller{s, s.token(t, tokenRequest{AccountID: accountID, Subject: subject, Scope: scope})}
}

// request makes the header and the body of a call. A body is bytes as they are, or anything else as JSON.
func (c *caller) request(body any, header []string) (http.Header, []byte, error) {
	h := http.Header{}
	if c.token != "" {
		h.Set("Authorization", "Bearer "+c.token)
	}
	var raw []byte
	switch b := body.(type) {
	case nil:
	case []byte:
		raw = b
	default:
		var out bytes.Buffer
		e := json.NewEncoder(&out)
		e.SetEscapeHTML(false)
		if err := e.Encode(b); err != nil {
			return nil, nil, err
		}
		raw = out.Bytes()
	}
	if raw != nil {
		h.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return h, raw, nil
}

// try makes a call that may get no answer.
func (c *caller) try(method, path string, body any, header ...string) (*answer, error) {
	h, raw, err := c.request(body, header)
	if err != nil {
		return nil, err
	}
	return try(method, c.stack.api+path, h, raw)
}

// call makes a call. header is names and values by turns. Every answer is held to what holds for all of them.
func (c *caller) call(t *testing.T, method, path string, body any, header ...string) *answer {
	t.Helper()
	a, err := c.try(method, path, body, header...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	a.check(t)
	return a
}

// check is what holds for every answer of the API.
func (a *answer) check(t *testing.T) {
	t.Helper()
	if a.breach != nil {
		t.Errorf("%v: %v", a, a.breach)
	}
	if a.header.Get("Apigw-Requestid") == "" {
		t.Errorf("%v: no apigw-requestid", a)
	}
	if a.fromGateway() {
		return
	}
	if a.header.Get("X-Request-Id") == "" {
		t.Errorf("%v: no X-Request-Id", a)
	}
	kind := a.header.Get("Content-Type")
	switch {
	case a.status >= 400:
		a.problem(t)
	case a.status == http.StatusNoContent:
		if len(a.body) > 0 {
			t.Errorf("%v: a 204 with a body", a)
		}
	case len(a.body) > 0 && kind != "application/json":
		t.Errorf("%v: Content-Type %q", a, kind)
	}
}

// fromGateway tells the gateway's own answers, which have the form {"message": …}.
func (a *answer) fromGateway() bool {
	var fields map[string]json.RawMessage
	return a.status >= 400 && json.Unmarshal(a.body, &fields) == nil && len(fields) == 1 && fields["message"] != nil
}

// decode reads an answer of the expected status, strictly.
func decode[T any](t *testing.T, a *answer, status int) T {
	t.Helper()
	var v T
	if a.status != status {
		t.Fatalf("want %d: %v", status, a)
	}
	if err := strictly(a.body, &v); err != nil {
		t.Fatalf("%v: %v", a, err)
	}
	return v
}

func strictly(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("more than one JSON value")
	}
	return nil
}

// timestamp is a time as the contract wants it: RFC 3339 in UTC with milliseconds.
type timestamp struct{ time.Time }

const timestampForm = "2006-01-02T15:04:05.000Z"

func (ts *timestamp) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	parsed, err := time.Parse(timestampForm, s)
	if err != nil {
		return fmt.Errorf("time %q is not RFC 3339 in UTC with milliseconds", s)
	}
	ts.Time = parsed
	return nil
}

func (ts timestamp) MarshalJSON() ([]byte, error) {
	return json.Marshal(ts.UTC().Format(timestampForm))
}

type problem struct {
	Type        string `json:"type"`
	Title       string `json:"title"`
	Status      int    `json:"status"`
	Detail      string `json:"detail"`
	Instance    string `json:"instance"`
	Code        string `json:"code"`
	RequestID   string `json:"request_id"`
	FaultDomain string `json:"fault_domain"`
	Errors      []struct {
		Field  string `json:"field"`
		Code   string `json:"code"`
		Detail string `json:"detail"`
	} `json:"errors"`
	Limit    *int64     `json:"limit"`
	Used     *int64     `json:"used"`
	ResetsAt *timestamp `json:"resets_at"`
	PlanID   string     `json:"plan_id"`
	// With account_restricted, what restricts it.
	RestrictionID string `json:"restriction_id"`
	// With confirmation_outdated, what is in force.
	RulesVersion         string   `json:"rules_version"`
	ProviderTermsVersion string   `json:"provider_terms_version"`
	TransferCountries    []string `json:"transfer_countries"`
}

// problem reads an error of ours, and holds it to the contract.
func (a *answer) problem(t *testing.T) problem {
	t.Helper()
	if kind := a.header.Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("%v: Content-Type %q", a, kind)
	}
	p := decode[problem](t, a, a.status)
	for name, value := range map[string]string{"type": p.Type, "title": p.Title, "detail": p.Detail, "instance": p.Instance, "code": p.Code, "request_id": p.RequestID} {
		if value == "" {
			t.Errorf("%v: no %s", a, name)
		}
	}
	if p.Status != a.status {
		t.Errorf("%v: status %d within", a, p.Status)
	}
	if p.RequestID != a.header.Get("X-Request-Id") {
		t.Errorf("%v: request_id is not X-Request-Id %q", a, a.header.Get("X-Request-Id"))
	}
	switch p.FaultDomain {
	case "customer", "platform", "provider", "recipient":
	default:
		t.Errorf("%v: fault_domain %q", a, p.FaultDomain)
	}
	if strings.ToLower(p.Code) != p.Code || strings.ContainsAny(p.Code, " -") {
		t.Errorf("%v: code %q is not snake_case", a, p.Code)
	}
	if a.status == http.StatusTooManyRequests {
		if p.Limit == nil || p.Used == nil || p.ResetsAt == nil || p.PlanID == "" || a.header.Get("Retry-After") == "" {
			t.Errorf("%v: a 429 without limit, used, resets_at, plan_id or Retry-After", a)
		}
	}
	return p
}

// refused expects an error of ours with a code.
func (a *answer) refused(t *testing.T, status int, code string) problem {
	t.Helper()
	if a.status != status || a.fromGateway() {
		t.Fatalf("want %d %s: %v", status, code, a)
	}
	p := a.problem(t)
	if p.Code != code {
		t.Fatalf("want %s: %v", code, a)
	}
	return p
}

// byGateway expects an answer of the gateway's own.
func (a *answer) byGateway(t *testing.T, status int) {
	t.Helper()
	if a.status != status || !a.fromGateway() {
		t.Fatalf("want %d by the gateway: %v", status, a)
	}
}
