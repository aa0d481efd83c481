package whatsappcloud_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	sim "contactcenter/scripts/simulator/whatsappcloud"
	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/whatsappcloud"
)

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

func steer(t *testing.T, method, url, body string, want int) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		t.Fatalf("%s: %s %s, %v", url, resp.Status, out, err)
	}
	return string(out)
}

func failed(t *testing.T, err error) *provider.Error {
	t.Helper()
	var e *provider.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a *provider.Error", err)
	}
	return e
}

// hook is the Contact Center's side: it answers the check of the URL and reads callbacks.
func hook(t *testing.T, a *whatsappcloud.Adapter, ch provider.Channel) (string, chan provider.Event) {
	t.Helper()
	events := make(chan provider.Event, 50)
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		request := &provider.Request{Method: r.Method, Header: r.Header, Query: r.URL.Query(), Body: body}
		if r.Method == http.MethodGet {
			challenge, err := a.Verify(r.Context(), ch, request)
			if err != nil {
				w.WriteHeader(http.StatusForbidden)
			}
			_, _ = w.Write(challenge)
			return
		}
		got, err := a.ParseCallback(r.Context(), ch, request)
		if err != nil {
			t.Error(err)
		}
		for _, e := range got {
			events <- e
		}
	})), events
}

// TestTheWayOfAMessage goes through all of it: the credentials are tried, the webhook is set, a message is sent, its
// statuses come, it is answered, and the answer is answered.
func TestTheWayOfAMessage(t *testing.T) {
	t.Parallel()
	server := serve(t, simulator(t, sim.Options{}))
	a, ch := adapter(server, 0), with(nil)
	connection, err := a.Connect(t.Context(), ch, "")
	if err != nil || connection.Address != "+35799002001" {
		t.Fatalf("got %+v, %v", connection, err)
	}
	url, events := hook(t, a, ch)
	if ch.Settings, err = a.Subscribe(t.Context(), ch, url); err != nil {
		t.Fatal(err)
	}
	if steps := a.Setup(ch, url); len(steps) != 1 || steps[0].Value != url {
		t.Errorf("still to do: %+v", steps)
	}
	send := func(m provider.Message) provider.Receipt {
		t.Helper()
		m.To = "+35799123456"
		r, err := a.Send(t.Context(), ch, m)
		if err != nil || !strings.HasPrefix(r.ProviderMessageID, "wamid.") {
			t.Fatalf("got %+v, %v", r, err)
		}
		return r
	}
	text := content.Content{Type: content.TypeText, Text: "hello"}
	_, err = a.Send(t.Context(), ch, provider.Message{ID: "msg_0", To: "+35799123456", Content: text})
	if e := failed(t, err); e.Code != "reply_window_closed" || e.ProviderCode != "131047" {
		t.Errorf("before the recipient wrote: %v", e)
	}
	first := send(provider.Message{ID: "msg_1", Content: content.Content{Type: content.TypeTemplate, Template: &content.Template{Name: "order_shipped", Language: "de", Variables: map[string]string{"1": "Ann", "2": "7"}}}})
	for _, want := range []string{"sent", "delivered", "read"} {
		e := <-events
		if e.Status == nil || e.Status.Status != want || e.Status.MessageID != "msg_1" || e.Status.ProviderMessageID != first.ProviderMessageID {
			t.Fatalf("got %+v, want %s", e.Status, want)
		}
	}
	steer(t, http.MethodPost, server+"/_sim/inbound", `{"sender_id":"`+number+`","from":"+35799123456","text":" hi 👋\r\n","reply_to_request_id":"msg_1"}`, 200)
	r := (<-events).Reply
	if r == nil || r.From != "+35799123456" || r.Content.Text != " hi 👋\r\n" || r.ReplyToProviderID != first.ProviderMessageID {
		t.Fatalf("got %#v", r)
	}
	send(provider.Message{ID: "msg_2", Content: text, ReplyTo: r.ID})
	calls := steer(t, http.MethodGet, server+"/_sim/calls?request_id=msg_2", "", 200)
	if !strings.Contains(calls, `"context":{"message_id":"`+r.ID+`"}`) {
		t.Errorf("the answer was sent as %s", calls)
	}
}

// what is wrong is found out when it is entered, and the customer is told what.
func TestWrongCredentialsAreToldApart(t *testing.T) {
	t.Parallel()
	server := serve(t, simulator(t, sim.Options{}))
	for name, c := range map[string]struct {
		change     map[string]string
		code, says string
	}{
		"another token":               {map[string]string{"access_token": "other"}, "190", "access_token"},
		"a token of two lines":        {map[string]string{"access_token": "a\r\nX-Evil: b"}, "", "access_token"},
		"another app's secret":        {map[string]string{"app_secret": "other"}, "100", "app_secret"},
		"no number":                   {map[string]string{"phone_number_id": "999"}, "100", "phone_number_id"},
		"a number with a plus":        {map[string]string{"phone_number_id": "+35799002001"}, "", "phone_number_id"},
		"a path for a number":         {map[string]string{"phone_number_id": "../app"}, "", "phone_number_id"},
		"the account for the number":  {map[string]string{"phone_number_id": account, "waba_id": account}, "", "does not belong"},
		"no account":                  {map[string]string{"waba_id": "999"}, "100", "waba_id"},
		"a number for the account":    {map[string]string{"waba_id": number}, "100", "waba_id"},
		"another account":             {map[string]string{"waba_id": "200000000000002"}, "", "does not belong"},
		"an account without a number": {map[string]string{"waba_id": ""}, "", "waba_id"},
		"a verify token with blanks":  {map[string]string{"verify_token": "a b"}, "", "verify_token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ch := with(c.change)
			_, err := adapter(server, 0).Connect(t.Context(), ch, "")
			e := failed(t, err)
			if e.Kind != provider.Credentials || e.Code != "credentials_invalid" || !strings.Contains(e.Detail, c.says) || e.ProviderCode != c.code {
				t.Errorf("got kind %d, %v", e.Kind, e)
			}
			for _, secret := range []string{"test-token", "test-app-secret", "Evil"} {
				if strings.Contains(e.Error(), secret) {
					t.Errorf("the error quotes: %v", e)
				}
			}
		})
	}
}

func TestAProviderThatIsDownIsNoFaultOfTheCredentials(t *testing.T) {
	t.Parallel()
	server := serve(t, simulator(t, sim.Options{}))
	steer(t, http.MethodPut, server+"/_sim/behaviour", `{"fail_status":500,"apply_to":"all"}`, 200)
	a := adapter(server, 0)
	_, err := a.Connect(t.Context(), with(nil), "")
	if e := failed(t, err); e.Kind != provider.Retry {
		t.Errorf("Connect: %v", e)
	}
	_, err = a.Subscribe(t.Context(), with(nil), "https://cc.example/x")
	if e := failed(t, err); e.Kind != provider.Retry {
		t.Errorf("Subscribe: %v", e)
	}
	_, err = a.Templates(t.Context(), with(nil))
	if e := failed(t, err); e.Kind != provider.Retry {
		t.Errorf("Templates: %v", e)
	}
}

// A URL that does not answer as it should is not set, and the steps by hand are told.
func TestAURLThatFailsTheCheckIsNotSet(t *testing.T) {
	t.Parallel()
	server := serve(t, simulator(t, sim.Options{}))
	a := adapter(server, 0)
	other, _ := hook(t, a, with(map[string]string{"verify_token": "another"}))
	for name, url := range map[string]string{"another token": other, "nobody there": "http://127.0.0.1:1/", "too long": "https://cc.example/" + strings.Repeat("x", 200)} {
		ch := with(nil)
		settings, err := a.Subscribe(t.Context(), ch, url)
		if e := failed(t, err); e.Kind == provider.Ambiguous || settings != nil {
			t.Errorf("%s: got %v, %v", name, settings, e)
		}
		steps := a.Setup(ch, url)
		if len(steps) != 4 || steps[0].Value != url {
			t.Errorf("%s: got the steps %+v", name, steps)
		}
		for _, s := range steps {
			if strings.Contains(s.Title+s.Detail+s.Value, verifyToken) {
				t.Errorf("%s: a step holds a secret", name)
			}
		}
	}
}

// Two numbers of one account, and what else the app has set for the account, don't take each other's callbacks.
func TestEveryNumberHasItsOwnURL(t *testing.T) {
	t.Parallel()
	server := serve(t, simulator(t, sim.Options{}))
	a := adapter(server, 0)
	first, second := with(nil), with(map[string]string{"phone_number_id": "100000000000002"})
	one, ofOne := hook(t, a, first)
	two, ofTwo := hook(t, a, second)
	for url, ch := range map[string]provider.Channel{one: first, two: second} {
		for range 2 { // setting it again changes nothing
			if _, err := a.Subscribe(t.Context(), ch, url); err != nil {
				t.Fatal(err)
			}
		}
	}
	for n, events := range map[string]chan provider.Event{number: ofOne, "100000000000002": ofTwo} {
		steer(t, http.MethodPost, server+"/_sim/inbound", `{"sender_id":"`+n+`","from":"+35799123456","text":"`+n+`"}`, 200)
		if r := (<-events).Reply; r == nil || r.Content.Text != n {
			t.Errorf("got %#v", r)
		}
	}
	calls := steer(t, http.MethodGet, server+"/_sim/calls?path=subscribed_apps", "", 200)
	if n := strings.Count(calls, `"method":"POST"`); n != 1 {
		t.Errorf("the app was subscribed %d times: each time takes away a URL that somebody set for the account", n)
	}
}

//
func TestVerifyAnswersNobodyElse(t *testing.T) {
	t.Parallel()
	a := adapter("http://127.0.0.1:1", 0)
	good := "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=" + verifyToken
	for name, c := range map[string]struct {
		query string
		ch    provider.Channel
		want  string
	}{
		"Meta":                      {good, channel(), "1158201444"},
		"another token":             {strings.Replace(good, verifyToken, "x", 1), channel(), ""},
		"a token cut short":         {strings.TrimSuffix(good, "n"), channel(), ""},
		"no token on either side":   {strings.Replace(good, verifyToken, "", 1), with(map[string]string{"verify_token": ""}), ""},
		"another mode":              {strings.Replace(good, "subscribe", "unsubscribe", 1), channel(), ""},
		"no challenge":              {strings.Replace(good, "1158201444", "", 1), channel(), ""},
		"a challenge of lines":      {strings.Replace(good, "1158201444", "a%0d%0ab", 1), channel(), ""},
		"a challenge without bound": {strings.Replace(good, "1158201444", strings.Repeat("7", 257), 1), channel(), ""},
		"nothing":                   {"", channel(), ""},
	} {
		r := httptest.NewRequest(http.MethodGet, "/?"+c.query, nil)
		got, err := a.Verify(t.Context(), c.ch, &provider.Request{Method: http.MethodGet, Query: r.URL.Query()})
		if string(got) != c.want || (c.want == "") != errors.Is(err, provider.ErrProof) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}
