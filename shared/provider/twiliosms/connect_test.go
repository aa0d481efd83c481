package twiliosms_test

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	sim "contactcenter/scripts/simulator/twiliosms"
	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/twiliosms"
)

func running(t *testing.T, o sim.Options) (*sim.Simulator, *twiliosms.Adapter, *httptest.Server) {
	t.Helper()
	s := sim.New(o)
	t.Cleanup(s.Close)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, twiliosms.New(twiliosms.Config{BaseURL: server.URL}), server
}

//
func TestCredentialsAreTriedAndTheNumberIsSetUp(t *testing.T) {
	t.Parallel()
	s, a, _ := running(t, sim.Options{})
	got, err := a.Connect(t.Context(), provider.Channel{ID: "chn_1", Credentials: channel().Credentials}, callback)
	if err != nil {
		t.Fatal(err)
	}
	want := provider.Connection{Address: number, Settings: map[string]string{"sender": number, "callback_url": callback}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	calls, _ := s.Calls("")
	if len(calls) != 3 {
		t.Fatalf("%d calls", len(calls))
	}
	if body := string(calls[2].Request); !strings.Contains(body, "SmsUrl=https%3A%2F%2Fcrm.example") || !strings.Contains(body, "SmsMethod=POST") || !strings.Contains(body, "SmsFallbackUrl=") {
		t.Errorf("the number was set up with %s", body)
	}
	if steps := a.Setup(provider.Channel{Settings: got.Settings}, callback); len(steps) != 0 {
		t.Errorf("by hand: %+v", steps)
	}
}

func TestAMessagingServiceIsSetUpByHand(t *testing.T) {
	t.Parallel()
	_, a, _ := running(t, sim.Options{})
	ch := channel()
	ch.Credentials["sender"] = sim.DefaultServiceSID
	got, err := a.Connect(t.Context(), ch, callback)
	if err != nil || got.Address != "" || got.Settings["sender"] != sim.DefaultServiceSID {
		t.Fatalf("got %+v, %v", got, err)
	}
	ch.Settings = got.Settings
	steps := a.Setup(ch, callback)
	if len(steps) != 2 || steps[0].Value != callback || !strings.Contains(steps[0].Detail, "Request URL") {
		t.Errorf("got %+v", steps)
	}
}

// what is wrong is said in words that help, and no secret among them.
func TestCredentialsThatAreWrongAreSaidToBe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change map[string]string
		o      sim.Options
		detail string
		calls  int
	}{
		{"no account", map[string]string{"account_sid": ""}, sim.Options{}, "account_sid", 0},
		{"an account that leads elsewhere", map[string]string{"account_sid": "AC/../../../x"}, sim.Options{}, "account_sid", 0},
		{"no token", map[string]string{"auth_token": ""}, sim.Options{}, "auth_token", 0},
		{"another token", map[string]string{"auth_token": "canary-token"}, sim.Options{}, "auth_token", 1},
		{"another account", map[string]string{"account_sid": "AC00000000000000000000000000000002"}, sim.Options{}, "account_sid", 1},
		{"a suspended account", nil, sim.Options{Suspended: true}, "suspended", 1},
		{"a name as sender", map[string]string{"sender": "ACME"}, sim.Options{}, "sender", 0},
		{"a number without its country", map[string]string{"sender": "5550101001"}, sim.Options{}, "sender", 0},
		{"a number of somebody else", map[string]string{"sender": "+15550109999"}, sim.Options{}, "none of this account's", 2},
		{"a part of a number", map[string]string{"sender": "+155501010"}, sim.Options{}, "none of this account's", 2},
		{"a number for calls", map[string]string{"sender": "+15550101099"}, sim.Options{}, "can't send", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, a, _ := running(t, c.o)
			ch := channel()
			maps.Copy(ch.Credentials, c.change)
			_, err := a.Connect(t.Context(), ch, callback)
			var e *provider.Error
			if !errors.As(err, &e) || e.Kind != provider.Credentials || e.Code != "credentials_invalid" || !strings.Contains(e.Detail, c.detail) {
				t.Errorf("got %v", err)
			}
			if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), sim.DefaultAuthToken) {
				t.Error("the error holds a secret")
			}
			if calls, _ := s.Calls(""); len(calls) != c.calls {
				t.Errorf("%d calls", len(calls))
			}
		})
	}
}

func TestAnAnswerThatNeverComesLeavesNothingOpenWhenConnecting(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"no answer": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"not JSON":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"another's": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"sid":"ACother","status":"active"}`))
		},
		"503":          func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"a gateway's":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"a slow pace?": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
	} {
		server := httptest.NewServer(answer)
		_, err := twiliosms.New(twiliosms.Config{BaseURL: server.URL}).Connect(t.Context(), channel(), callback)
		server.Close()
		if e := new(provider.Error); !errors.As(err, &e) || e.Kind != provider.Retry || e.Code != "provider_unavailable" {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// Twilio is told to replace no letters and no links.
func TestNothingIsReplacedOnTheWay(t *testing.T) {
	t.Parallel()
	s, a, _ := running(t, sim.Options{HTTP: &http.Client{Transport: nowhere{}}})
	ch := channel()
	text := provider.Message{ID: "msg_1", To: person, Content: content.Content{Type: content.TypeText, Text: "“x” https://example.com/long"}}
	for _, sender := range []string{number, sim.DefaultServiceSID} {
		ch.Settings["sender"] = sender
		if _, err := a.Send(t.Context(), ch, text); err != nil {
			t.Fatal(err)
		}
	}
	calls, accepted := s.Calls("")
	if accepted != 2 || !strings.Contains(string(calls[0].Request), "SmartEncoded=false") || !strings.Contains(string(calls[0].Request), "From=%2B15550101001") ||
		!strings.Contains(string(calls[1].Request), "SmartEncoded=false") || !strings.Contains(string(calls[1].Request), "ShortenUrls=false") || strings.Contains(string(calls[1].Request), "From=") {
		t.Errorf("%d accepted: %+v", accepted, calls)
	}
}

func TestRefusalsBeforeACall(t *testing.T) {
	t.Parallel()
	_, a, _ := running(t, sim.Options{})
	text := content.Content{Type: content.TypeText, Text: "x"}
	for _, c := range []struct {
		name   string
		change func(*provider.Channel, *provider.Message)
		kind   provider.Kind
		code   string
	}{
		{"no credentials", func(ch *provider.Channel, _ *provider.Message) { ch.Credentials = nil }, provider.Credentials, "credentials_invalid"},
		{"no sender", func(ch *provider.Channel, _ *provider.Message) { ch.Settings = nil }, provider.Permanent, "sender_unavailable"},
		{"no number", func(_ *provider.Channel, m *provider.Message) { m.To = "whatsapp:+35799123456" }, provider.Permanent, "recipient_invalid"},
		{"a file with a name", func(_ *provider.Channel, m *provider.Message) {
			m.Content = media(content.Document, "")
			m.Content.Media.Filename = "a.pdf"
		}, provider.Permanent, "content_not_supported"},
		{"a template with a language", func(_ *provider.Channel, m *provider.Message) {
			m.Content = content.Content{Type: content.TypeTemplate, Template: &content.Template{Name: "HX1", Language: "en"}}
		}, provider.Permanent, "content_not_supported"},
		{"a place", func(_ *provider.Channel, m *provider.Message) {
			m.Content = content.Content{Type: content.TypeLocation, Location: &content.Location{}}
		}, provider.Permanent, "content_not_supported"},
	} {
		ch, m := channel(), provider.Message{ID: "msg_1", To: person, Content: text}
		c.change(&ch, &m)
		_, err := a.Send(t.Context(), ch, m)
		if e := new(provider.Error); !errors.As(err, &e) || e.Kind != c.kind || e.Code != c.code {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}

//
func TestAnAnswerThatTheRecipientOptedOutSaysSo(t *testing.T) {
	t.Parallel()
	_, a, _ := running(t, sim.Options{})
	_, err := a.Send(t.Context(), channel(), provider.Message{ID: "msg_1", To: "+15005550004", Content: content.Content{Type: content.TypeText, Text: "x"}})
	if e := new(provider.Error); !errors.As(err, &e) || !e.OptedOut || e.Fault != provider.FaultRecipient || e.ProviderCode != "21610" {
		t.Errorf("got %v", err)
	}
}

// what is about pace is no sign of an outage, under whatever status it comes.
func TestAFullQueueIsNoOutage(t *testing.T) {
	t.Parallel()
	_, a, server := running(t, sim.Options{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL+"/_sim/behaviour", strings.NewReader(`{"queue_full":true}`))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	_, err = a.Send(t.Context(), channel(), provider.Message{ID: "msg_1", To: person, Content: content.Content{Type: content.TypeText, Text: "x"}})
	if e := new(provider.Error); !errors.As(err, &e) || e.Kind != provider.Retry || !e.Throttled || e.RetryAfter == 0 || e.ProviderCode != "21611" {
		t.Errorf("got %v", err)
	}
}
