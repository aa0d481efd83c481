package stage_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"contactcenter/scripts/simulator/stage"
)

// small is a simulator of a provider that sends by POST /v1/{sender}/messages and whose callbacks are forms.
type small struct {
	*stage.Stage
	t *testing.T

	mu      sync.Mutex
	arrived []string
	forgot  int
}

type smallOwn struct {
	Loud bool `json:"loud"`
}

const callbackURL = "https://crm.example/hook"

func start(t *testing.T, o stage.Options, answer func(n int) int) *small {
	t.Helper()
	p := &small{t: t}
	o.Known = func(sender string) bool { return sender == "+3579" || sender == "+3578" }
	o.Forget = func() { p.forgot++ }
	o.Own = func() any { return &smallOwn{} }
	o.HTTP = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if err := r.ParseForm(); err != nil {
			return nil, err
		}
		p.arrived = append(p.arrived, r.Method+" "+r.Header.Get("X-Proof")+" "+r.PostForm.Get("status"))
		return &http.Response{StatusCode: answer(len(p.arrived)), Body: http.NoBody, Header: http.Header{}, Request: r}, nil
	})}
	p.Stage = stage.New(o)
	t.Cleanup(p.Close)
	p.Handle("POST /v1/{sender}/messages", stage.Route{
		Send:  true,
		Check: func(e *stage.Exchange) bool { return !e.TooLarge },
		Look: func(e *stage.Exchange) {
			e.Sender, e.RequestID, e.To = e.Request.PathValue("sender"), e.Request.Header.Get("X-Id"), "someone"
		},
		Serve: func(e *stage.Exchange) {
			e.Bytes(http.StatusCreated, "application/xml", []byte("<ok/>"))
			b := p.Behaviour(e.Sender)
			p.Accept(e, stage.Life{Statuses: b.Fate("sent", "delivered"), Tell: p.tell})
		},
	})
	p.Handle("GET /v1/me", stage.Route{Serve: func(e *stage.Exchange) { e.JSON(http.StatusOK, map[string]string{"me": "small"}) }})
	return p
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (p *small) tell(status string, _ time.Time, now stage.Behaviour) stage.Callback {
	if now.Own.(*smallOwn).Loud {
		status = strings.ToUpper(status)
	}
	return stage.Callback{
		URL: callbackURL, Body: []byte("status=" + status),
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "X-Proof": {"sig"}},
	}
}

func (p *small) seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.arrived)
}

func (p *small) call(method, path, body string) *httptest.ResponseRecorder {
	p.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("X-Id", "id-1")
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w
}

func (p *small) must(status int, method, path, body string) string {
	p.t.Helper()
	w := p.call(method, path, body)
	if w.Code != status {
		p.t.Fatalf("%s %s %s: got %d %s, want %d", method, path, body, w.Code, w.Body, status)
	}
	return w.Body.String()
}

func well(int) int { return http.StatusOK }

func TestAProvidersFormIsItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := start(t, stage.Options{}, well)
		p.must(200, "PUT", "/_sim/behaviour", `{"sender_id":"+3579","loud":true}`)
		for _, sender := range []string{"+3579", "+3578"} {
			if w := p.call("POST", "/v1/"+sender+"/messages", "a=b"); w.Code != 201 || w.Header().Get("Content-Type") != "application/xml" || w.Body.String() != "<ok/>" {
				t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
			}
			time.Sleep(time.Second)
		}
		want := []string{"POST sig SENT", "POST sig DELIVERED", "POST sig sent", "POST sig delivered"}
		if got := p.seen(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		calls, n := p.Calls("+3579")
		if n != 1 || len(calls) != 1 || calls[0].RequestID != "id-1" || calls[0].To != "someone" || !calls[0].Accepted || string(calls[0].Request) != `"a=b"` {
			t.Errorf("accepted %d, %+v", n, calls)
		}
	})
}

func TestABehaviourHasTheStagesFieldsAndTheProviders(t *testing.T) {
	t.Parallel()
	p := start(t, stage.Options{}, well)
	var got map[string]any
	if err := json.Unmarshal([]byte(p.must(200, "PUT", "/_sim/behaviour", `{"sender_id":"+3579","loud":true,"fail_status":429}`)), &got); err != nil {
		t.Fatal(err)
	}
	if got["sender_id"] != "+3579" || got["loud"] != true || got["fail_rate"] != 1.0 || got["callbacks"] != true {
		t.Errorf("got %v", got)
	}
	if b := p.must(200, "GET", "/_sim/behaviour", ""); strings.Contains(b, "sender_id") || !strings.Contains(b, `"loud":false`) {
		t.Errorf("the general one: %s", b)
	}
	p.must(400, "PUT", "/_sim/behaviour", `{"quiet":true}`)
	p.must(404, "PUT", "/_sim/behaviour", `{"sender_id":"+1"}`)
	p.must(200, "PUT", "/_sim/behaviour", "")
}

func TestSteeredFailuresHitTheRoutesThatTheyAreMeantFor(t *testing.T) {
	t.Parallel()
	p := start(t, stage.Options{}, well)
	p.must(200, "PUT", "/_sim/behaviour", `{"fail_status":429,"retry_after_seconds":3}`)
	if w := p.call("POST", "/v1/+3579/messages", "x"); w.Code != 429 || w.Header().Get("Retry-After") != "3" || !strings.Contains(w.Body.String(), "Too Many Requests") {
		t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
	p.must(200, "GET", "/v1/me", "")
	p.must(200, "PUT", "/_sim/behaviour", `{"fail_rate":true,"apply_to":"all"}`)
	p.must(500, "GET", "/v1/me", "")
	if calls, n := p.Calls(""); n != 0 || len(calls) != 3 {
		t.Errorf("accepted %d of %d calls", n, len(calls))
	}
}

func TestWhatAnswersACallbackIsTheProvidersRule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := stage.Options{
			Delivered:     func(status int) bool { return status/100 == 2 },
			RetrySchedule: []time.Duration{time.Second, time.Minute},
		}
		p := start(t, o, func(n int) int { return []int{500, 404, 204}[min(n, 3)-1] })
		if status := p.Deliver(t.Context(), "+3579", stage.Callback{URL: callbackURL, Method: http.MethodPut}); status != 500 {
			t.Errorf("the first attempt: %d", status)
		}
		time.Sleep(time.Hour)
		if got := p.seen(); len(got) != 3 {
			t.Errorf("attempts %q, want 3", got)
		}
	})
}

func TestAResetForgetsTheProvidersPartToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := start(t, stage.Options{}, well)
		p.must(200, "PUT", "/_sim/behaviour", `{"callback_delay_ms":500}`)
		p.must(201, "POST", "/v1/+3579/messages", "x")
		p.must(204, "POST", "/_sim/reset", "")
		time.Sleep(time.Minute)
		if calls, n := p.Calls(""); n != 0 || len(calls) != 0 || len(p.seen()) != 0 || p.forgot != 1 {
			t.Errorf("calls %v, accepted %d, callbacks %q, forgot %d times", calls, n, p.seen(), p.forgot)
		}
	})
}

func TestACallTellsWhatWasReportedOfItsMessageOnceThatWasTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// The first status is taken at the second attempt, the second one never.
		p := start(t, stage.Options{RetrySchedule: []time.Duration{time.Second}}, func(n int) int { return []int{500, 503, 200, 503}[min(n, 4)-1] })
		p.must(201, "POST", "/v1/+3579/messages", "x")
		time.Sleep(500 * time.Millisecond)
		if calls, _ := p.Calls(""); len(calls) != 1 || len(calls[0].Reported) != 0 {
			t.Errorf("before a callback was taken: %+v", calls)
		}
		time.Sleep(time.Minute)
		calls, _ := p.Calls("")
		if len(calls) != 1 || !slices.Equal(calls[0].Reported, []string{"sent"}) {
			t.Errorf("%+v", calls)
		}
		if shown := p.must(200, "GET", "/_sim/calls", ""); !strings.Contains(shown, `"reported":["sent"]`) {
			t.Errorf("%s", shown)
		}
	})
}
