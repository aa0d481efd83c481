package edna_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"contactcenter/scripts/simulator/edna"
)

const hookURL = "https://crm.example/hook"

// crm takes the simulator's callbacks without a network, so that time can be a bubble's.
type crm struct {
	answer func(attempt int) int

	mu       sync.Mutex
	heads    int
	attempts int
	arrived  []arrival
}

type arrival struct {
	at   time.Duration
	key  string
	body any
}

func (c *crm) client() *http.Client {
	begin := time.Now()
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		status := http.StatusOK
		c.mu.Lock()
		defer c.mu.Unlock()
		if r.Method == http.MethodHead {
			c.heads++
		} else {
			var body any
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
				return nil, err
			}
			c.arrived = append(c.arrived, arrival{time.Since(begin), r.Header.Get("Authorization"), body})
			c.attempts++
		}
		if c.answer != nil {
			status = c.answer(c.attempts)
		}
		return &http.Response{StatusCode: status, Body: http.NoBody, Header: http.Header{}, Request: r}, nil
	})}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (c *crm) all() []arrival {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.arrived)
}

// statuses are those that arrived, in order of arrival.
func (c *crm) statuses() []string {
	var out []string
	for _, a := range c.all() {
		if m, is := a.body.(map[string]any); is && m["status"] != nil {
			out = append(out, m["status"].(string))
		}
	}
	return out
}

type provider struct {
	*edna.Simulator
	*crm
	t *testing.T
}

// start makes a simulator whose webhooks are all registered.
func start(t *testing.T, o edna.Options, answer func(attempt int) int) provider {
	t.Helper()
	c := &crm{}
	o.APIKey, o.WebhookKey, o.HTTP = "key", "hook-key", c.client()
	s := edna.New(o)
	t.Cleanup(s.Close)
	p := provider{s, c, t}
	p.must(200, "POST", "/api/callback/set", fmt.Sprintf(`{"statusCallbackUrl":%[1]q,"inMessageCallbackUrl":%[1]q}`, hookURL))
	c.mu.Lock()
	c.answer = answer
	c.mu.Unlock()
	return p
}

func (p provider) call(method, path, body string) (int, string) {
	p.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("X-API-KEY", "key")
	w := httptest.NewRecorder()
	func() {
		defer func() {
			if e := recover(); e != nil && e != http.ErrAbortHandler {
				panic(e)
			} else if e != nil {
				w.Code = 0
			}
		}()
		p.ServeHTTP(w, r)
	}()
	return w.Code, w.Body.String()
}

func (p provider) must(status int, method, path, body string) string {
	p.t.Helper()
	got, answer := p.call(method, path, body)
	if got != status {
		p.t.Fatalf("%s %s %s: got %d %s, want %d", method, path, body, got, answer, status)
	}
	return answer
}

func order(id, to, text string) string {
	return fmt.Sprintf(`{"requestId":%q,"cascadeId":101001,"subscriberFilter":{"address":%q,"type":"PHONE"},"content":{"whatsappContent":{"contentType":"TEXT","text":%q}}}`, id, to, text)
}

func (p provider) send(id, to, text string) {
	p.must(200, "POST", "/api/cascade/schedule", order(id, to, text))
}

func (p provider) behave(b string) { p.must(200, "PUT", "/_sim/behaviour", b) }

func TestAnAcceptedMessageIsSentDeliveredAndRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := start(t, edna.Options{}, nil)
		p.send("msg_1", "35799123456", "hello")
		time.Sleep(time.Second)
		var got []string
		for _, a := range p.all() {
			m := a.body.(map[string]any)
			got = append(got, fmt.Sprintf("%v %s %v %v %v %v %v", a.at, a.key, m["requestId"], m["status"], m["subjectId"], m["subject"], m["error"]))
		}
		want := []string{
			"20ms hook-key msg_1 SENT 1001 LOCAL_1001_WA <nil>",
			"60ms hook-key msg_1 DELIVERED 1001 LOCAL_1001_WA <nil>",
			"150ms hook-key msg_1 READ 1001 LOCAL_1001_WA <nil>",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

func TestARequestIDIsTakenOnce(t *testing.T) {
	t.Parallel()
	p := start(t, edna.Options{}, nil)
	p.send("msg_1", "35799123456", "hello")
	answer := p.must(400, "POST", "/api/cascade/schedule", order("msg_1", "35799123457", "another text"))
	if !strings.Contains(answer, `"title":"requestId-is-not-unique"`) || !strings.Contains(answer, `"status":400`) {
		t.Errorf("got %s", answer)
	}
	calls, accepted := p.Calls(1001)
	if accepted != 1 || len(calls) != 2 || !calls[0].Accepted || calls[1].Accepted || !calls[1].Duplicate {
		t.Errorf("accepted %d, calls %+v", accepted, calls)
	}
}

func TestOneRequestIDSentByManyAtOnceIsTakenOnce(t *testing.T) {
	t.Parallel()
	p := start(t, edna.Options{}, nil)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { p.call("POST", "/api/cascade/schedule", order("msg_1", "35799123456", "hello")) })
	}
	wg.Wait()
	if calls, accepted := p.Calls(0); accepted != 1 || len(calls) != 51 {
		t.Errorf("accepted %d of %d calls", accepted, len(calls))
	}
}

func TestTheSameMessageWithin20MinutesIsCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := start(t, edna.Options{}, nil)
		steps := []struct {
			wait         time.Duration
			id, to, text string
			want         string
		}{
			{0, "msg_1", "35799123456", "hello", "SENT DELIVERED READ"},
			{time.Minute, "msg_2", "35799123456", "hello", "CANCELLED"},
			{0, "msg_3", "35799123456", "hello ", "SENT DELIVERED READ"},
			{0, "msg_4", "35799123457", "hello", "SENT DELIVERED READ"},
			{20 * time.Minute, "msg_5", "35799123456", "hello", "SENT DELIVERED READ"},
		}
		for _, s := range steps {
			time.Sleep(s.wait)
			before := len(p.statuses())
			p.send(s.id, s.to, s.text)
			time.Sleep(time.Second)
			if got := strings.Join(p.statuses()[before:], " "); got != s.want {
				t.Errorf("%s: got %s, want %s", s.id, got, s.want)
			}
		}
	})
}

func TestOutsideTheWindowOnlyTemplatesPassWhenItIsStrict(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := start(t, edna.Options{}, nil)
		say := func(id, text, want string) {
			t.Helper()
			before := len(p.statuses())
			p.send(id, "35799123456", text)
			time.Sleep(time.Second)
			if got := strings.Join(p.statuses()[before:], " "); got != want {
				t.Errorf("%s: got %s, want %s", id, got, want)
			}
		}
		const passes, fails = "SENT DELIVERED READ", "NO-MATCH-TEMPLATE"
		say("lenient", "free text 0", passes)
		p.behave(`{"strict_window":true}`)
		say("nobody-wrote", "free text 1", fails)
		say("template", "Your order is ready", passes)
		say("with-variables", "Hello Ann,\nyour order 7 is on its way.", "NO-MATCH-TEMPLATE")
		say("with-variables-2", "Hello Ann, your order 7 is on its way.", passes)
		say("pending", "Waiting for approval", fails)
		say("footer-missing", "Your appointment is on 1 May at 10:00.", fails)
		p.must(200, "POST", "/_sim/inbound", `{"sender_id":1001,"from":"+35799123456","text":"hi"}`)
		say("they-wrote", "free text 2", passes)
		time.Sleep(24 * time.Hour)
		say("a-day-later", "free text 3", fails)
	})
}

func TestACallbackIsRepeatedUntilItIsAnsweredWith200(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer func(int) int
		want   []time.Duration
	}{
		{"answered at once", func(int) int { return 200 }, []time.Duration{0}},
		{"202 is not enough", func(n int) int { return map[bool]int{true: 202, false: 200}[n == 1] }, []time.Duration{0, 4 * time.Second}},
		{"never answered well", func(int) int { return 500 }, []time.Duration{0, 4 * time.Second, 132 * time.Second, 2180 * time.Second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := start(t, edna.Options{}, c.answer)
				answer := p.must(200, "POST", "/_sim/inbound", `{"sender_id":"1001","from":"+35799123456","text":"hi"}`)
				if first := c.answer(1); !strings.Contains(answer, fmt.Sprintf(`"delivered":%v`, first == 200)) || !strings.Contains(answer, fmt.Sprintf(`"status":%d`, first)) {
					t.Errorf("got %s", answer)
				}
				time.Sleep(2 * time.Hour)
				var got []time.Duration
				for _, a := range p.all() {
					got = append(got, a.at.Round(time.Millisecond))
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("attempts at %v, want %v", got, c.want)
				}
			})
		})
	}
}

func TestTheWaitBetweenAttemptsCanBeScaled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := start(t, edna.Options{}, func(int) int { return 500 })
		p.behave(`{"retry_scale":0.001}`)
		p.must(200, "POST", "/_sim/inbound", `{"sender_id":1001,"from":"+35799123456","text":"hi"}`)
		time.Sleep(3 * time.Second)
		if len(p.all()) != 4 {
			t.Errorf("%d attempts within 3 s, want 4", len(p.all()))
		}
	})
}

func TestAReplyHasEdnasForm(t *testing.T) {
	t.Parallel()
	p := start(t, edna.Options{}, nil)
	p.send("msg_1", "35799123456", "hello")
	p.must(200, "POST", "/_sim/inbound", `{"sender_id":1001,"from":"+35799123456","text":" hi \r\n","id":55,"reply_to_request_id":"msg_1","payload":"P"}`)
	var m map[string]any
	for _, a := range p.all() {
		if b := a.body.(map[string]any); b["messageContent"] != nil {
			m = b
		}
	}
	content := m["messageContent"].(map[string]any)
	if m["id"] != 55.0 || m["subjectId"] != 1001.0 || m["subject"] != "LOCAL_1001_WA" || m["subscriber"].(map[string]any)["identifier"] != "35799123456" ||
		m["replyOutMessageExternalRequestId"] != "msg_1" || m["replyOutMessageId"] != 8000001.0 || content["type"] != "TEXT" || content["text"] != " hi \r\n" || content["payload"] != "P" {
		t.Errorf("got %v", m)
	}
}

func TestCallbacksCanBeRepeatedReorderedWrappedAndStopped(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, behaviour, want string }{
		{"by default", `{}`, "SENT DELIVERED READ"},
		{"repeated", `{"repeat_callbacks":true}`, "SENT SENT DELIVERED DELIVERED READ READ"},
		{"repeated twice", `{"repeat_callbacks":2,"statuses":["read"]}`, "READ READ READ"},
		{"stopped", `{"callbacks":false}`, ""},
		{"other statuses", `{"statuses":["sent","undelivered"],"status_error":"not-whatsapp-user"}`, "SENT UNDELIVERED"},
		{"wrapped", `{"array_callbacks":true}`, ""},
		{"for another sender", `{"sender_id":1002,"callbacks":false}`, "SENT DELIVERED READ"},
		{"for this sender", `{"sender_id":1001,"callbacks":false}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := start(t, edna.Options{}, nil)
				p.behave(c.behaviour)
				p.send("msg_1", "35799123456", "hello")
				time.Sleep(time.Second)
				if got := strings.Join(p.statuses(), " "); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		p := start(t, edna.Options{}, nil)
		p.behave(`{"reorder_callbacks":true}`)
		for i := range 20 {
			before := len(p.statuses())
			p.send(fmt.Sprint("msg_", i), "35799123456", fmt.Sprint(i))
			time.Sleep(time.Second)
			got := p.statuses()[before:]
			if strings.Join(got, " ") == "SENT DELIVERED READ" || len(got) != 3 {
				t.Errorf("got %v", got)
			}
		}
	})
}

func TestFailuresHappenBeforeAcceptanceAndDropsAfter(t *testing.T) {
	t.Parallel()
	p := start(t, edna.Options{}, nil)
	p.behave(`{"fail_status":503,"retry_after_seconds":7}`)
	r := httptest.NewRequest("POST", "/api/cascade/schedule", strings.NewReader(order("msg_1", "35799123456", "a")))
	r.Header.Set("X-API-KEY", "key")
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	if w.Code != 503 || w.Header().Get("Retry-After") != "7" {
		t.Errorf("got %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
	if _, n := p.Calls(0); n != 0 {
		t.Errorf("a failed call was accepted")
	}
	p.must(200, "GET", "/api/channel-profile", "") // only sends fail, unless "apply_to" says all
	p.behave(`{"fail_status":503,"fail_rate":0}`)
	p.send("msg_0", "35799123456", "a")
	p.behave(`{"fail_rate":1,"apply_to":"all"}`)
	p.must(500, "GET", "/api/channel-profile", "")
	p.behave(`{"fail_rate":0.3,"seed":7}`)
	failed := 0
	for i := range 1000 {
		if status, _ := p.call("POST", "/api/cascade/schedule", order(fmt.Sprint("r", i), "35799123456", fmt.Sprint(i))); status == 500 {
			failed++
		}
	}
	if failed < 230 || failed > 370 {
		t.Errorf("%d of 1000 failed at a rate of 0.3", failed)
	}
	_, before := p.Calls(0)
	p.behave(`{"drop_answer":true}`)
	if status, _ := p.call("POST", "/api/cascade/schedule", order("msg_d", "35799123456", "d")); status != 0 {
		t.Errorf("an answer came: %d", status)
	}
	if status, _ := p.call("POST", "/api/cascade/schedule", order("msg_d", "35799123456", "d")); status != 400 {
		t.Errorf("the repeat was answered with %d, want 400: only what is accepted is dropped", status)
	}
	calls, n := p.Calls(0)
	if n != before+1 || !calls[len(calls)-2].Dropped || !calls[len(calls)-2].Accepted {
		t.Errorf("accepted %d, want %d", n, before+1)
	}
}

func TestAnAnswerIsDelayedAndTheMessageAcceptedOnArrival(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := start(t, edna.Options{}, nil)
		p.behave(`{"delay_ms":2000}`)
		begin := time.Now()
		p.send("msg_1", "35799123456", "hello")
		if d := time.Since(begin); d != 2*time.Second {
			t.Errorf("answered after %v", d)
		}
		if got := strings.Join(p.statuses(), " "); got != "SENT DELIVERED READ" {
			t.Errorf("statuses by then: %s", got)
		}
	})
}

func TestBadRequestsGetEdnasErrors(t *testing.T) {
	t.Parallel()
	p := start(t, edna.Options{Senders: []edna.Sender{
		{SubjectID: 1001, Subject: "A", Address: "35799001001"}, {SubjectID: 1002, Subject: "B", Address: "35799001002", Inactive: true},
	}}, nil)
	content := func(c string) string {
		return `{"requestId":"x","cascadeId":"101001","subscriberFilter":{"address":"+35799123456","type":"PHONE"},"content":` + c + `}`
	}
	wa := func(c string) string { return content(`{"whatsappContent":` + c + `}`) }
	for _, c := range []struct {
		name, path, body string
		status           int
		want             string
	}{
		{"no JSON", "cascade/schedule", "{", 500, "error-system"},
		{"no requestId", "cascade/schedule", order("", "35799123456", "x"), 400, "cascade-scheduling-request-not-valid"},
		{"no address", "cascade/schedule", order("x", "", "x"), 400, "cascade-scheduling-request-not-valid"},
		{"an address with letters", "cascade/schedule", order("x", "3579x", "x"), 400, "cascade-scheduling-request-not-valid"},
		{"an unknown cascade", "cascade/schedule", strings.Replace(order("x", "35799123456", "x"), "101001", "5", 1), 400, "cascade-not-found"},
		{"a sender that is not active", "cascade/schedule", strings.Replace(order("x", "35799123456", "x"), "101001", "101002", 1), 400, "cascade-not-found"},
		{"no content", "cascade/schedule", content("null"), 400, "content-not-specified"},
		{"content for another channel", "cascade/schedule", content(`{"smsContent":{}}`), 400, "request-doesn't-contain-content-for-all-cascade-stages"},
		{"no type", "cascade/schedule", wa(`{"text":"x"}`), 400, "contentType-not-specified"},
		{"no text", "cascade/schedule", wa(`{"contentType":"TEXT"}`), 400, "text-not-specified"},
		{"no latitude", "cascade/schedule", wa(`{"contentType":"LOCATION","location":{"longitude":0}}`), 400, "latitude-not-specified"},
		{"no longitude", "cascade/schedule", wa(`{"contentType":"LOCATION","location":{"latitude":0}}`), 400, "longitude-not-specified"},
		{"a long file name", "cascade/schedule", wa(`{"contentType":"IMAGE","attachment":{"url":"https://x","name":"` + strings.Repeat("x", 71) + `"}}`), 400, "attachmentName-is-too-long"},
		{"an attachment that is missing", "cascade/schedule", wa(`{"contentType":"IMAGE"}`), 400, "content-not-specified"},
		{"a document without a name", "cascade/schedule", wa(`{"contentType":"DOCUMENT","attachment":{"url":"https://x.example/1"}}`), 400, "attachmentName-not-specified"},
		{"a file on the sender's disk", "cascade/schedule", wa(`{"contentType":"IMAGE","attachment":{"url":"file:///x"}}`), 400, "cascade-scheduling-request-is-not-valid"},
		{"buttons without a text", "cascade/schedule", wa(`{"contentType":"BUTTON"}`), 400, "text-not-specified"},
		{"no buttons", "cascade/schedule", wa(`{"contentType":"BUTTON","text":"x","keyboard":{"rows":[]}}`), 400, "cascade-scheduling-request-is-not-valid"},
		{"four buttons", "cascade/schedule", wa(`{"contentType":"BUTTON","text":"x","keyboard":{"rows":[{"buttons":[` + quickReplies("a", "b", "c", "d") + `]}]}}`), 400, "cascade-scheduling-request-is-not-valid"},
		{"two buttons of one title", "cascade/schedule", wa(`{"contentType":"BUTTON","text":"x","keyboard":{"rows":[{"buttons":[` + quickReplies("a", "a") + `]}]}}`), 400, "cascade-scheduling-request-is-not-valid"},
		{"a list without rows", "cascade/schedule", wa(`{"contentType":"LIST_PICKER","text":"x","listPicker":{"title":"x","sections":[{"items":[]}]}}`), 400, "cascade-scheduling-request-is-not-valid"},
		{"a list in place of buttons", "cascade/schedule", wa(`{"contentType":"BUTTON","text":"x","listPicker":{"title":"x","sections":[{"items":[{"identifier":"1","title":"a"}]}]}}`), 400, "cascade-scheduling-request-is-not-valid"},
		{"an unknown path", "cascade/other", "{}", 404, "not-found"},
		{"callback: no URL", "callback/set", `{"subjectId":1001}`, 400, `"code":"url-not-specified"`},
		{"callback: an unknown subject", "callback/set", `{"subjectId":5,"statusCallbackUrl":"https://x.example"}`, 400, `"code":"error-subject-unknown"`},
		{"callback: http", "callback/set", `{"statusCallbackUrl":"http://x.example/"}`, 400, `"code":"error-callback-url-not-https"`},
		{"callback: too long", "callback/set", `{"statusCallbackUrl":"https://x.example/` + strings.Repeat("x", 500) + `"}`, 400, `"code":"error-callback-url-max-length"`},
		{"callback: http on this machine", "callback/set", `{"statusCallbackUrl":"http://127.0.0.1:9/x"}`, 200, `"code":"ok"`},
		{"matchers of an unknown subject", "message-matchers/get-by-request", `{"subjectId":5}`, 400, "error-subject-unknown"},
	} {
		if answer := p.must(c.status, "POST", "/api/"+c.path, c.body); !strings.Contains(answer, c.want) {
			t.Errorf("%s: got %s, want %s", c.name, answer, c.want)
		}
	}
	p.must(405, "GET", "/api/cascade/schedule", "")
	r := httptest.NewRequest("GET", "/api/channel-profile", nil)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	if w.Code != 401 || !strings.Contains(w.Body.String(), `"status":401`) {
		t.Errorf("without a key: %d %s", w.Code, w.Body)
	}
	if _, n := p.Calls(0); n != 0 {
		t.Errorf("accepted %d", n)
	}
}

func quickReplies(titles ...string) string {
	var out []string
	for i, title := range titles {
		out = append(out, fmt.Sprintf(`{"text":%q,"buttonType":"QUICK_REPLY","payload":"p%d"}`, title, i))
	}
	return strings.Join(out, ",")
}

func TestATemplateThatWhatsAppLookedAtIsTold(t *testing.T) {
	t.Parallel()
	p := start(t, edna.Options{}, nil)
	p.must(200, "POST", "/api/callback/set", fmt.Sprintf(`{"messageMatcherCallbackUrl":%q,"subjectId":1001}`, hookURL))
	p.must(200, "PUT", "/_sim/templates", `{"sender_id":1001,"id":102,"status":"APPROVED"}`)
	p.must(200, "PUT", "/_sim/templates", `{"sender_id":1001,"id":102,"status":"PAUSED","older_shape":true}`)
	p.must(404, "PUT", "/_sim/templates", `{"sender_id":1001,"id":1,"status":"PAUSED"}`)
	p.must(404, "PUT", "/_sim/templates", `{"sender_id":7,"id":102,"status":"PAUSED"}`)
	if list := p.must(200, "POST", "/api/message-matchers/get-by-request", `{"subjectId":1001}`); !strings.Contains(list, `"status":"PAUSED"`) {
		t.Errorf("got %s", list)
	}
	told := p.all()
	if len(told) != 2 {
		t.Fatalf("%d callbacks", len(told))
	}
	list, older := told[0].body.([]any), told[1].body.(map[string]any)
	if m := list[0].(map[string]any); m["id"] != 102.0 || m["status"] != "APPROVED" || told[0].key != "hook-key" {
		t.Errorf("got %v", m)
	}
	if m := older["messageMatcher"].(map[string]any); m["status"] != "PAUSED" || fmt.Sprint(older["subjectIds"]) != "[1001]" {
		t.Errorf("got %v", older)
	}
}

func TestACallbackURLMustAnswerAHead(t *testing.T) {
	t.Parallel()
	p := start(t, edna.Options{}, func(int) int { return 204 })
	answer := p.must(400, "POST", "/api/callback/set", `{"statusCallbackUrl":"https://x.example/","subjectId":1001}`)
	if !strings.Contains(answer, "error-callback-url-not-available") {
		t.Errorf("got %s", answer)
	}
	if p.heads != 2 {
		t.Errorf("%d HEADs, want one for each registration", p.heads)
	}
}

func TestHistoryTellsWhatBecameOfMessages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := start(t, edna.Options{}, nil)
		for i := range 3 {
			p.send(fmt.Sprint("msg_", i), "35799123456", fmt.Sprint(i))
		}
		p.send("msg_other", "35799123457", "x")
		time.Sleep(70 * time.Millisecond)
		var got struct {
			Content []struct{ RequestID, DeliveryStatus string }
			HasNext bool
		}
		answer := p.must(200, "POST", "/api/messages/history", `{"subscriberFilter":{"address":"35799123456","type":"PHONE"},"direction":"OUT","offset":1,"limit":1}`)
		if err := json.Unmarshal([]byte(answer), &got); err != nil || len(got.Content) != 1 || got.Content[0].RequestID != "msg_1" || got.Content[0].DeliveryStatus != "DELIVERED" || !got.HasNext {
			t.Errorf("got %s", answer)
		}
	})
}

func TestResetForgetsMessagesAndKeepsWebhooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := start(t, edna.Options{}, nil)
		p.behave(`{"callback_delay_ms":1000}`)
		p.send("msg_1", "35799123456", "hello")
		p.must(204, "POST", "/_sim/reset", "")
		time.Sleep(5 * time.Second)
		if len(p.all()) != 0 {
			t.Errorf("%d callbacks of a forgotten message", len(p.all()))
		}
		p.send("msg_1", "35799123456", "hello")
		time.Sleep(time.Second)
		if got := strings.Join(p.statuses(), " "); got != "SENT DELIVERED READ" {
			t.Errorf("got %s", got)
		}
		if calls, n := p.Calls(0); len(calls) != 1 || n != 1 {
			t.Errorf("%d calls, accepted %d", len(calls), n)
		}
	})
}

func TestSteeringSaysWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	p := start(t, edna.Options{}, nil)
	for _, b := range []string{`{"delay":7}`, `{"fail_rate":2}`, `{"fail_status":7}`, `{"delay_ms":-1}`, `{"fail_rate":-0.5}`, `{"apply_to":"x"}`, `{"drop_answer":"x"}`, `[`} {
		p.must(400, "PUT", "/_sim/behaviour", b)
	}
	p.must(404, "PUT", "/_sim/behaviour", `{"sender_id":5}`)
	p.must(404, "POST", "/_sim/inbound", `{"sender_id":5,"from":"+35799","text":"x"}`)
	p.must(400, "POST", "/_sim/inbound", `{"sender_id":1001,"text":"x"}`)
	p.must(400, "POST", "/_sim/inbound", `{"sender_id":1001,"from":"+35799"}`)
	if b := p.must(200, "GET", "/_sim/behaviour", ""); !strings.Contains(b, `"callbacks":true`) {
		t.Errorf("got %s", b)
	}
}

func TestCallsAreShownByRequestSenderAndPlace(t *testing.T) {
	t.Parallel()
	p := start(t, edna.Options{KeepCalls: 5}, nil)
	for i := range 20 {
		p.send(fmt.Sprint("msg_", i), "35799123456", fmt.Sprint("<b>&", i))
	}
	count := func(query string) (int, int, []edna.Call) {
		t.Helper()
		var got struct {
			Calls    []edna.Call
			Accepted int
		}
		if err := json.Unmarshal([]byte(p.must(200, "GET", "/_sim/calls"+query, "")), &got); err != nil {
			t.Fatal(err)
		}
		return len(got.Calls), got.Accepted, got.Calls
	}
	for query, want := range map[string][2]int{
		"": {5, 20}, "?sender_id=1001": {5, 20}, "?sender_id=1002": {0, 0}, "?request_id=msg_18": {1, 20}, "?path=callback/set": {0, 20}, "?limit=2": {2, 20}, "?after=19": {2, 20},
	} {
		if n, accepted, _ := count(query); n != want[0] || accepted != want[1] {
			t.Errorf("%q: %d calls, accepted %d, want %v", query, n, accepted, want)
		}
	}
	_, _, calls := count("?request_id=msg_19")
	if c := calls[0]; c.To != "35799123456" || c.SenderID != "1001" || c.Status != 200 || !bytes.Contains(c.Request, []byte(`"<b>&19"`)) {
		t.Errorf("got %+v %s", c, c.Request)
	}
	p.must(400, "POST", "/api/cascade/schedule", order("msg_3", "35799123456", "x")) // what is accepted is remembered beyond the calls
	p.must(400, "GET", "/_sim/calls?sender_id=x", "")
}

func TestASilentCallbackURLHoldsUpNothingAndCloseEndsIt(t *testing.T) {
	t.Parallel()
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}
	}))
	defer hang.Close()
	s := edna.New(edna.Options{APIKey: "key", Workers: 2})
	p := provider{s, &crm{}, t}
	p.must(200, "POST", "/api/callback/set", fmt.Sprintf(`{"statusCallbackUrl":%q}`, hang.URL))
	for i := range 200 {
		p.send(fmt.Sprint("msg_", i), "35799123456", fmt.Sprint(i))
	}
	done := make(chan struct{})
	go func() { s.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("Close does not end")
	}
}

// BenchmarkSchedule is the simulator over HTTP, with its callbacks.
func BenchmarkSchedule(b *testing.B) {
	crm := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer crm.Close()
	s := edna.New(edna.Options{APIKey: "key"})
	defer s.Close()
	server := httptest.NewServer(s)
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	post := func(path, body string) {
		req, err := http.NewRequest(http.MethodPost, server.URL+path, strings.NewReader(body))
		if err != nil {
			b.Error(err)
			return
		}
		req.Header.Set("X-API-KEY", "key")
		resp, err := client.Do(req)
		if err != nil {
			b.Error(err)
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != 200 {
			b.Error(resp.Status)
		}
	}
	post("/api/callback/set", fmt.Sprintf(`{"statusCallbackUrl":%q}`, crm.URL))
	var n sync.Mutex
	i := 0
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n.Lock()
			i++
			id := i
			n.Unlock()
			post("/api/cascade/schedule", order(fmt.Sprint("msg_", id), "35799123456", fmt.Sprint(id)))
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
