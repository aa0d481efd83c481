package whatsappcloud_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"contactcenter/scripts/simulator/whatsappcloud"
)

const (
	number  = "100000000000001"
	hookURL = "https://cc.example/hook"
)

// center takes the webhooks without a network, so that time can be a bubble's.
type center struct {
	mu      sync.Mutex
	refuse  int // so many webhooks are answered with 500
	token   string
	arrived []arrival
}

type arrival struct {
	url   string
	after time.Duration
	body  string
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (c *center) client(t *testing.T) *http.Client {
	begin := time.Now()
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		answer := &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: http.Header{}, Request: r}
		if r.Method == http.MethodGet {
			q := r.URL.Query()
			if q.Get("hub.mode") != "subscribe" || q.Get("hub.verify_token") != c.token {
				answer.StatusCode = http.StatusForbidden
				return answer, nil
			}
			answer.Body = io.NopCloser(strings.NewReader(q.Get("hub.challenge")))
			return answer, nil
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		h := hmac.New(sha256.New, []byte("secret"))
		h.Write(body)
		if r.Header.Get("X-Hub-Signature-256") != "sha256="+hex.EncodeToString(h.Sum(nil)) {
			t.Error("a webhook without a good signature")
		}
		c.arrived = append(c.arrived, arrival{r.URL.String(), time.Since(begin), string(body)})
		if c.refuse > 0 {
			c.refuse--
			answer.StatusCode = http.StatusInternalServerError
		}
		return answer, nil
	})}
}

func (c *center) all() []arrival {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]arrival{}, c.arrived...)
}

type provider struct {
	*whatsappcloud.Simulator
	*center
	t *testing.T
}

func start(t *testing.T, o whatsappcloud.Options) provider {
	t.Helper()
	c := &center{token: "verify"}
	o.AccessToken, o.AppSecret, o.HTTP = "token", "secret", c.client(t)
	s := whatsappcloud.New(o)
	t.Cleanup(s.Close)
	return provider{s, c, t}
}

func (p provider) try(method, path, token, body string) (int, string) {
	p.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func (p provider) must(want int, method, path, body string) string {
	p.t.Helper()
	code, answer := p.try(method, path, "token", body)
	if code != want {
		p.t.Fatalf("%s %s %s: %d %s, want %d", method, path, body, code, answer, want)
	}
	return answer
}

func (p provider) subscribe() {
	p.t.Helper()
	p.must(200, "POST", "/v25.0/"+whatsappcloud.DefaultAccount+"/subscribed_apps", "")
	p.must(200, "POST", "/v25.0/"+number, `{"webhook_configuration":{"override_callback_uri":"`+hookURL+`","verify_token":"verify"}}`)
}

func order(to, kind, what string) string {
	return `{"messaging_product":"whatsapp","recipient_type":"individual","to":"` + to + `","biz_opaque_callback_data":"msg_1","type":"` + kind + `","` + kind + `":` + what + `}`
}

func (p provider) send(want int, body string) string {
	p.t.Helper()
	return p.must(want, "POST", "/v25.0/"+number+"/messages", body)
}

// refused sends what is not taken, and compares the error's code.
func (p provider) refused(name, body string, code int) {
	p.t.Helper()
	status, answer := p.try("POST", "/v25.0/"+number+"/messages", "token", body)
	var e struct{ Error struct{ Code int } }
	if err := json.Unmarshal([]byte(answer), &e); err != nil || status != 400 || e.Error.Code != code {
		p.t.Errorf("%s: %d %s, want %d", name, status, answer, code)
	}
}

func TestAMessageLivesAndIsAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := start(t, whatsappcloud.Options{})
		p.subscribe()
		p.must(200, "POST", "/_sim/inbound", `{"sender_id":"`+number+`","from":"+35799123456","text":"hi"}`)
		p.send(200, order("35799123456", "text", `{"body":"hello"}`))
		time.Sleep(time.Second)
		got := p.all()
		if len(got) != 4 {
			t.Fatalf("%d webhooks", len(got))
		}
		for i, want := range []string{`"text":{"body":"hi"}`, `"status":"sent"`, `"status":"delivered"`, `"status":"read"`} {
			if !strings.Contains(got[i].body, want) || got[i].url != hookURL || i > 0 && !strings.Contains(got[i].body, `"biz_opaque_callback_data":"msg_1"`) {
				t.Errorf("webhook %d: %s", i, got[i].body)
			}
		}
		p.must(200, "POST", "/_sim/inbound", `{"sender_id":"`+number+`","from":"US.1349","text":"x","reply_to_request_id":"msg_1","name":"Bob"}`)
		last := p.all()[4].body
		if strings.Contains(last, `"from":"US`) || !strings.Contains(last, `"from_user_id":"US.1349"`) || !strings.Contains(last, `"user_id":"US.1349"`) || !strings.Contains(last, `"context":{"from":"35799002001","id":"wamid.`) {
			t.Errorf("got %s", last)
		}
	})
}

func TestWebhooksThatAreRefusedComeAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := start(t, whatsappcloud.Options{})
		p.subscribe()
		p.refuse = 2
		answer := p.must(200, "POST", "/_sim/inbound", `{"sender_id":"`+number+`","from":"+35799123456","text":"hi"}`)
		time.Sleep(time.Hour)
		got := p.all()
		if !strings.Contains(answer, `"delivered":false`) || len(got) != 3 || got[1].after != 5*time.Second || got[2].after != 35*time.Second || got[2].body != got[0].body {
			t.Errorf("got %+v, %s", got, answer)
		}
	})
}

func TestWhatMetaRefusesIsRefused(t *testing.T) {
	t.Parallel()
	p := start(t, whatsappcloud.Options{OpenWindow: true})
	text := func(s string) string { return order("35799123456", "text", fmt.Sprintf(`{"body":%q}`, s)) }
	interactive := func(kind, action string) string {
		return order("35799123456", "interactive", `{"type":"`+kind+`","body":{"text":"x"},"action":`+action+`}`)
	}
	reply := func(id, title string) string {
		return `{"type":"reply","reply":{"id":"` + id + `","title":"` + title + `"}}`
	}
	rows := strings.TrimSuffix(strings.Repeat(`{"id":"%d","title":"x"},`, 11), ",")
	for i := range 11 {
		rows = strings.Replace(rows, "%d", fmt.Sprint(i), 1)
	}
	for _, c := range []struct {
		name, body string
		code       int
	}{
		{"no JSON", "{", 100},
		{"another product", strings.Replace(text("x"), `"whatsapp"`, `"other"`, 1), 131009},
		{"nobody", strings.Replace(text("x"), "35799123456", "", 1), 131008},
		{"somebody with letters", strings.Replace(text("x"), "35799123456", "3579x", 1), 131009},
		{"oneself", strings.Replace(text("x"), "35799123456", "35799002001", 1), 131021},
		{"no text", text(""), 100},
		{"a long text", text(strings.Repeat("x", 4097)), 100},
		{"another type", order("35799123456", "hologram", "{}"), 131051},
		{"a picture without a place", order("35799123456", "image", "{}"), 131008},
		{"a picture of no URL", order("35799123456", "image", `{"link":"x"}`), 131009},
		{"a recording with a caption", order("35799123456", "audio", `{"link":"https://x.example","caption":"x"}`), 131009},
		{"a place without coordinates", order("35799123456", "location", `{"name":"x"}`), 131008},
		{"four buttons", interactive("button", `{"buttons":[`+strings.Join([]string{reply("1", "a"), reply("2", "b"), reply("3", "c"), reply("4", "d")}, ",")+`]}`), 131009},
		{"two buttons of one title", interactive("button", `{"buttons":[`+reply("1", "a")+`,`+reply("2", "a")+`]}`), 131009},
		{"a long title", interactive("button", `{"buttons":[`+reply("1", strings.Repeat("x", 21))+`]}`), 131009},
		{"eleven rows", interactive("list", `{"button":"x","sections":[{"rows":[`+rows+`]}]}`), 131009},
		{"two sections without titles", interactive("list", `{"button":"x","sections":[{"rows":[{"id":"1","title":"x"}]},{"rows":[{"id":"2","title":"x"}]}]}`), 131009},
		{"a page without a URL", interactive("cta_url", `{"name":"cta_url","parameters":{"display_text":"x"}}`), 131009},
		{"a template without a language", order("35799123456", "template", `{"name":"order_shipped"}`), 131008},
		{"an empty variable", order("35799123456", "template", `{"name":"welcome","language":{"code":"en_US"},"components":[{"type":"header","parameters":[{"type":"text","text":""}]}]}`), 131008},
	} {
		p.refused(c.name, c.body, c.code)
	}
	if _, n := p.Calls(""); n != 0 {
		t.Errorf("%d messages were taken", n)
	}
	if answer := p.must(400, "POST", "/v25.0/999/messages", text("x")); !strings.Contains(answer, `"error_subcode":33`) {
		t.Errorf("got %s", answer)
	}
	if code, answer := p.try("POST", "/v25.0/"+number+"/messages", "other", text("x")); code != 401 || !strings.Contains(answer, `"code":190`) {
		t.Errorf("another token: %d %s", code, answer)
	}
	if answer := p.must(400, "GET", "/v25.0/"+number+"?appsecret_proof=0", ""); !strings.Contains(answer, "appsecret_proof") {
		t.Errorf("got %s", answer)
	}
}

func TestTheWindowOpensWhenSomebodyWritesAndClosesAfterADay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := start(t, whatsappcloud.Options{})
		p.subscribe()
		text := order("35799123456", "text", `{"body":"x"}`)
		p.refused("before", text, 131047)
		p.must(200, "POST", "/_sim/inbound", `{"sender_id":"`+number+`","from":"+35799123456","text":"hi"}`)
		p.send(200, text)
		p.must(200, "PUT", "/_sim/behaviour", `{"late_errors":true}`)
		time.Sleep(24 * time.Hour)
		p.send(200, text)
		time.Sleep(time.Second)
		if last := p.all()[len(p.all())-1].body; !strings.Contains(last, `"status":"failed"`) || !strings.Contains(last, `"code":131047`) {
			t.Errorf("got %s", last)
		}
		p.must(200, "PUT", "/_sim/behaviour", `{}`)
		p.refused("after a day", text, 131047)
		p.send(200, order("35799123456", "template", `{"name":"appointment","language":{"code":"en_US"},"components":[{"type":"body","parameters":[{"type":"text","parameter_name":"first_name","text":"a"},{"type":"text","parameter_name":"day","text":"b"}]}]}`))
	})
}

func TestThePaceOfAPairAndOfANumberIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := start(t, whatsappcloud.Options{OpenWindow: true})
		one := order("35799123456", "text", `{"body":"x"}`)
		for range 45 {
			p.send(200, one)
		}
		p.refused("the forty-sixth at once", one, 131056)
		p.send(200, order("35799123457", "text", `{"body":"x"}`))
		time.Sleep(6 * time.Second)
		p.send(200, one)
		p.refused("two after six seconds", one, 131056)
		time.Sleep(time.Second)
		for i := range 80 {
			p.send(200, order(fmt.Sprint(35799200000+i), "text", `{"body":"x"}`))
		}
		p.must(200, "PUT", "/_sim/behaviour", `{"open_window":true,"rate_status":429}`)
		if answer := p.must(429, "POST", "/v25.0/"+number+"/messages", order("35799300000", "text", `{"body":"x"}`)); !strings.Contains(answer, `"code":130429`) {
			t.Errorf("the eighty-first within a second: %s", answer)
		}
	})
}

func TestAURLIsCheckedAndGoesBeforeOthers(t *testing.T) {
	t.Parallel()
	p := start(t, whatsappcloud.Options{})
	hook := func(url, token string) string {
		return `{"override_callback_uri":"` + url + `","verify_token":"` + token + `"}`
	}
	of := func(h string) string { return `{"webhook_configuration":` + h + `}` }
	account := "/v25.0/" + whatsappcloud.DefaultAccount + "/subscribed_apps"
	for name, h := range map[string]string{
		"another token": hook(hookURL, "other"), "http": hook("http://cc.example/", "verify"), "no token": hook(hookURL, ""),
		"too long": hook("https://cc.example/"+strings.Repeat("x", 200), "verify"), "no URL": hook("://", "verify"),
	} {
		if answer := p.must(400, "POST", "/v25.0/"+number, of(h)); !strings.Contains(answer, `"code":2200`) {
			t.Errorf("%s: %s", name, answer)
		}
	}
	inbound := func(want string) {
		t.Helper()
		before := len(p.all())
		p.must(200, "POST", "/_sim/inbound", `{"sender_id":"`+number+`","from":"+35799123456","text":"x"}`)
		switch got := p.all(); {
		case want == "" && len(got) != before:
			t.Errorf("somebody was told: %s", got[before].url)
		case want != "" && (len(got) != before+1 || got[before].url != want):
			t.Errorf("%d webhooks, want one to %s", len(got)-before, want)
		}
	}
	p.must(200, "POST", "/v25.0/"+number, of(hook("https://cc.example/number", "verify")))
	inbound("") // the app gets nothing of the account yet
	p.must(200, "POST", account, "")
	inbound("https://cc.example/number")
	p.must(200, "POST", account, hook("https://cc.example/account", "verify"))
	inbound("https://cc.example/number")
	p.must(200, "POST", "/v25.0/"+number, of(hook("", "")))
	inbound("https://cc.example/account")
	if answer := p.must(200, "GET", account, ""); !strings.Contains(answer, `"override_callback_uri":"https://cc.example/account"`) {
		t.Errorf("got %s", answer)
	}
	p.must(204, "PUT", "/_sim/webhook", `{"callback_url":"https://cc.example/app","verify_token":"verify"}`)
	inbound("https://cc.example/account")
	p.must(200, "POST", account, "") // takes the account's away
	inbound("https://cc.example/app")

	before := len(p.all())
	p.must(200, "PUT", "/_sim/template", `{"name":"in_review","language":"en_US","status":"APPROVED"}`)
	if got := p.all(); len(got) != before+1 || !strings.Contains(got[before].body, `"event":"APPROVED"`) || !strings.Contains(got[before].body, `"message_template_id":400000000000006`) {
		t.Errorf("got %+v", got[before:])
	}
}

func TestSteeringSaysWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	p := start(t, whatsappcloud.Options{})
	p.must(400, "PUT", "/_sim/behaviour", `{"open_windows":true}`)
	p.must(404, "PUT", "/_sim/behaviour", `{"sender_id":"5"}`)
	p.must(404, "POST", "/_sim/inbound", `{"sender_id":"5","from":"+35799","text":"x"}`)
	p.must(400, "POST", "/_sim/inbound", `{"sender_id":"`+number+`","text":"x"}`)
	p.must(400, "POST", "/_sim/inbound", `{"sender_id":"`+number+`","from":"+35799"}`)
	p.must(400, "PUT", "/_sim/webhook", `{"callback_url":"https://cc.example/","verify_token":"other"}`)
	p.must(404, "PUT", "/_sim/template", `{"name":"x","language":"en","status":"APPROVED"}`)
	p.must(200, "PUT", "/_sim/behaviour", `{"sender_id":"`+number+`","fail_status":400,"error_code":131048}`)
	p.refused("a failure that was steered", order("35799123456", "text", `{"body":"x"}`), 131048)
	p.must(204, "POST", "/_sim/reset", "")
	if calls, n := p.Calls(number); len(calls) != 0 || n != 0 {
		t.Errorf("after a reset: %d calls, %d taken", len(calls), n)
	}
	var b bytes.Buffer
	_ = json.Compact(&b, []byte(p.must(200, "GET", "/_sim/behaviour", "")))
	if !strings.Contains(b.String(), `"rate_status":400`) {
		t.Errorf("got %s", b.String())
	}
}
