package telegram_test

import (
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

	"contactcenter/scripts/simulator/telegram"
)

const base = "/bot7000001:local-telegram-bot-1/"

// crm takes updates without a network, so that time can be a bubble's.
type crm struct {
	answer int

	mu      sync.Mutex
	arrived []map[string]any
	secrets []string
	at      []time.Time
}

func (c *crm) RoundTrip(r *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var u map[string]any
	if err := json.Unmarshal(b, &u); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arrived, c.at = append(c.arrived, u), append(c.at, time.Now())
	c.secrets = append(c.secrets, r.Header.Get("X-Telegram-Bot-Api-Secret-Token"))
	return &http.Response{StatusCode: c.answer, Body: http.NoBody, Header: http.Header{}, Request: r}, nil
}

type api struct {
	*telegram.Simulator
	*crm
	t *testing.T
}

// attempts are the seconds after begin at which an update arrived.
func (c *crm) attempts(begin time.Time) []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []int
	for _, at := range c.at {
		out = append(out, int(at.Sub(begin).Seconds()))
	}
	return out
}

func start(t *testing.T, answer int) api {
	t.Helper()
	c := &crm{answer: answer}
	s := telegram.New(telegram.Options{HTTP: &http.Client{Transport: c}})
	t.Cleanup(s.Close)
	return api{s, c, t}
}

// call gives the status and the description or the result.
func (a api) call(path, body string) string {
	a.t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	if !strings.HasPrefix(body, "chat_id=") {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	var out struct {
		Description string
		Result      any
	}
	_ = json.Unmarshal(w.Body.Bytes(), &out)
	if out.Description != "" {
		return fmt.Sprint(w.Code, " ", out.Description)
	}
	return fmt.Sprint(w.Code)
}

func TestWhatTelegramRefuses(t *testing.T) {
	t.Parallel()
	a := start(t, 200)
	a.Begin("7000001", 5)
	a.Begin("7000002", 6)
	for _, from := range []string{"7", "-9"} {
		a.call("/_sim/block", `{"sender_id":7000001,"from":"`+from+`"}`)
	}
	a.call("/_sim/start", `{"sender_id":7000001,"from":"8"}`)
	a.call("/_sim/deactivate", `{"sender_id":7000001,"from":"8"}`)
	keyboard := func(button string) string {
		return `{"chat_id":5,"text":"a","reply_markup":{"inline_keyboard":[[` + button + `]]}}`
	}
	for _, c := range []struct{ name, path, body, want string }{
		{"taken", base + "sendMessage", `{"chat_id":5,"text":"a"}`, "200"},
		{"as a form", base + "sendMessage", `chat_id=5&text=a`, "200"},
		{"another path", "/x/sendMessage", `{}`, "404 Not Found"},
		{"no token", "/bot5/sendMessage", `{}`, "401 Unauthorized: invalid token specified"},
		{"an unknown token", "/bot7000001:x/sendMessage", `{}`, "401 Unauthorized"},
		{"another method", base + "sendDice", `{"chat_id":5}`, "404 Not Found: method not found"},
		{"no text", base + "sendMessage", `{"chat_id":5}`, "400 Bad Request: message text is empty"},
		{"blanks", base + "sendMessage", `{"chat_id":5,"text":" \n"}`, "400 Bad Request: text must be non-empty"},
		{"4,096 characters", base + "sendMessage", `{"chat_id":5,"text":"` + strings.Repeat("é", 4096) + `"}`, "200"},
		{"4,097 characters", base + "sendMessage", `{"chat_id":5,"text":"` + strings.Repeat("é", 4097) + `"}`, "400 Bad Request: message is too long"},
		{"no chat", base + "sendMessage", `{"text":"a"}`, "400 Bad Request: chat_id is empty"},
		{"who never started", base + "sendMessage", `{"chat_id":99,"text":"a"}`, "400 Bad Request: chat not found"},
		{"who started another bot", base + "sendMessage", `{"chat_id":6,"text":"a"}`, "403 Forbidden: bot can't initiate conversation with a user"},
		{"who blocked it", base + "sendMessage", `{"chat_id":7,"text":"a"}`, "403 Forbidden: bot was blocked by the user"},
		{"a group that put it out", base + "sendMessage", `{"chat_id":-9,"text":"a"}`, "403 Forbidden: bot was kicked from the group chat"},
		{"who left", base + "sendMessage", `{"chat_id":8,"text":"a"}`, "403 Forbidden: user is deactivated"},
		{"an answer to nothing", base + "sendMessage", `{"chat_id":5,"text":"a","reply_parameters":{"message_id":1}}`, "400 Bad Request: message to be replied not found"},
		{"an answer to nothing, allowed", base + "sendMessage", `{"chat_id":5,"text":"a","reply_parameters":{"message_id":1,"allow_sending_without_reply":true}}`, "200"},
		{"64 bytes of data", base + "sendMessage", keyboard(`{"text":"a","callback_data":"` + strings.Repeat("a", 64) + `"}`), "200"},
		{"65 bytes of data", base + "sendMessage", keyboard(`{"text":"a","callback_data":"` + strings.Repeat("a", 65) + `"}`), "400 Bad Request: BUTTON_DATA_INVALID"},
		{"a button of nothing", base + "sendMessage", keyboard(`{"text":"a"}`), "400 Bad Request: text buttons are unallowed in the inline keyboard"},
		{"a caption of 1,025", base + "sendPhoto", `{"chat_id":5,"photo":"https://x.example/a","caption":"` + strings.Repeat("a", 1025) + `"}`, "400 Bad Request: message caption is too long"},
		{"a file of no URL", base + "sendPhoto", `{"chat_id":5,"photo":"a.png"}`, "400 Bad Request: wrong file identifier/HTTP URL specified"},
		{"a place off the map", base + "sendLocation", `{"chat_id":5,"latitude":91,"longitude":0}`, "400 Bad Request: latitude is invalid"},
		{"a place without an address", base + "sendVenue", `{"chat_id":5,"latitude":1,"longitude":0,"title":"a"}`, "400 Bad Request: venue title and address must be non-empty"},
		{"a webhook in clear", base + "setWebhook", `{"url":"http://cc.example"}`, "400 Bad Request: bad webhook: An HTTPS URL must be provided for webhook"},
		{"a webhook's port", base + "setWebhook", `{"url":"https://cc.example:9000"}`, "400 Bad Request: bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443"},
		{"a webhook of no URL", base + "setWebhook", `{"url":"cc.example"}`, "400 Bad Request: invalid webhook URL specified"},
		{"a secret too long", base + "setWebhook", `{"url":"https://cc.example","secret_token":"` + strings.Repeat("a", 257) + `"}`, "400 Bad Request: secret token is too long"},
		{"a secret with blanks", base + "setWebhook", `{"url":"https://cc.example","secret_token":"a b"}`, "400 Bad Request: secret token contains unallowed characters"},
	} {
		if got := a.call(c.path, c.body); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	calls, accepted := a.Calls("7000001")
	if accepted != 5 {
		t.Errorf("%d accepted", accepted)
	}
	for _, c := range calls {
		if strings.Contains(c.Path, "local-telegram") {
			t.Errorf("the token is remembered: %s", c.Path)
		}
	}
}

func TestAChatIsNotFlooded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := start(t, 200)
		a.Begin("7000001", 5)
		r := httptest.NewRequest(http.MethodPut, "/_sim/behaviour", strings.NewReader(`{"chat_seconds":2}`))
		a.ServeHTTP(httptest.NewRecorder(), r)
		var got []string
		for range 3 {
			got = append(got, a.call(base+"sendMessage", `{"chat_id":5,"text":"a"}`))
			time.Sleep(time.Second)
		}
		if want := []string{"200", "429 Too Many Requests: retry after 1", "200"}; !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	})
}

func TestUpdatesCarryTheSecretAndWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	a := start(t, 200)
	a.call(base+"setWebhook", `{"url":"https://cc.example/hook","secret_token":"s3cret","allowed_updates":["message","callback_query"]}`)
	a.call("/_sim/start", `{"from":"5"}`) // to the bot whose webhook was set last
	a.call(base+"sendMessage", `{"chat_id":5,"text":"a","reply_markup":{"inline_keyboard":[[{"text":"Yes","callback_data":"y"}]]}}`)
	a.call("/_sim/inbound", `{"sender_id":"7000001","from":"5","payload":"y"}`)
	a.call("/_sim/inbound", `{"sender_id":"7000001","from":"5","text":"b","id":7,"edited":true}`) // not asked for
	a.call("/_sim/block", `{"sender_id":"7000001","from":"5"}`)                                   // nor this
	if got := a.call("/_sim/inbound", `{"from":"5","text":"c"}`); got != "409" {
		t.Errorf("who has blocked the bot writes: %s", got)
	}
	if len(a.arrived) != 2 || !slices.Equal(a.secrets, []string{"s3cret", "s3cret"}) {
		t.Fatalf("got %v with %q", a.arrived, a.secrets)
	}
	if m := a.arrived[0]["message"].(map[string]any); m["text"] != "/start" || m["chat"].(map[string]any)["id"] != 5.0 {
		t.Errorf("got %v", m)
	}
	q := a.arrived[1]["callback_query"].(map[string]any)
	if q["data"] != "y" || q["message"].(map[string]any)["reply_markup"] == nil || q["id"] == "" {
		t.Errorf("got %v", q)
	}
}

func TestAnUpdateIsRepeatedUntilItIsTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := start(t, 503)
		a.call(base+"setWebhook", `{"url":"https://cc.example/hook"}`)
		begin := time.Now()
		a.call("/_sim/start", `{"from":"5"}`)
		time.Sleep(20 * time.Second)
		if got, want := a.attempts(begin), []int{0, 0, 2, 6, 14}; !slices.Equal(got, want) {
			t.Errorf("attempts after %v seconds", got)
		}
		a.crm.mu.Lock()
		a.answer = 204
		a.crm.mu.Unlock()
		time.Sleep(time.Hour)
		if got := a.attempts(begin); len(got) != 6 {
			t.Errorf("attempts after %v seconds", got)
		}
	})
}
