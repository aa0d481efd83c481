package edna_test

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sim "contactcenter/scripts/simulator/edna"
	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/edna"
)

// running is a simulator that listens, and an adapter towards it.
func running(t *testing.T, o sim.Options) (*sim.Simulator, *edna.Adapter, *httptest.Server) {
	t.Helper()
	o.APIKey, o.WebhookKey = apiKey, webhookKey
	s := sim.New(o)
	server := httptest.NewServer(s)
	t.Cleanup(func() { server.Close(); s.Close() })
	return s, adapter(server.URL, 10*time.Second), server
}

func hook(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func ok(http.ResponseWriter, *http.Request) {}

func TestAnActivatedChannelCanSend(t *testing.T) {
	t.Parallel()
	for _, sender := range []string{"1001", "1002", "1010"} {
		t.Run(sender, func(t *testing.T) {
			t.Parallel()
			s, a, _ := running(t, sim.Options{})
			ch := provider.Channel{ID: "chn_1", SenderID: sender}
			settings, address, err := a.Activate(t.Context(), ch, hook(t, ok))
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"subject_id": sender, "subject": "LOCAL_" + sender + "_WA", "cascade_id": "10" + sender}
			if !maps.Equal(settings, want) || address != "+3579900"+sender {
				t.Errorf("got %v, %q, want %v", settings, address, want)
			}
			ch.Settings = settings
			if _, err := a.Send(t.Context(), ch, provider.Message{ID: "msg_1", To: "+35799123456", Content: content.Content{Type: content.TypeText, Text: "x"}}); err != nil {
				t.Error(err)
			}
			if _, n := s.Calls(0); n != 1 {
				t.Errorf("accepted %d", n)
			}
		})
	}
}

func TestActivationSaysWhatIsInItsWay(t *testing.T) {
	t.Parallel()
	senders := func(s ...sim.Sender) sim.Options { return sim.Options{Senders: s} }
	for _, c := range []struct {
		name       string
		options    sim.Options
		sender     string
		url        string
		kind       provider.Kind
		code, word string
	}{
		{"a sender that edna does not know", sim.Options{}, "999", "", provider.Permanent, "sender_unavailable", ""},
		{"a sender that is not registered", senders(sim.Sender{SubjectID: 7, Subject: "S", Address: "357", Inactive: true}), "7", "", provider.Permanent, "sender_unavailable", ""},
		{"a sender without an active cascade", senders(sim.Sender{SubjectID: 7, Subject: "S", Address: "357", CascadeDisabled: true}), "7", "", provider.Permanent, "sender_unavailable", ""},
		{"a channel without a sender", sim.Options{}, "", "", provider.Permanent, "sender_unavailable", ""},
		{"a URL that is not https", sim.Options{}, "1001", "http://contact.example/x", provider.Permanent, "provider_refused", "error-callback-url-not-https"},
		{"a URL that is too long", sim.Options{}, "1001", "https://contact.example/" + strings.Repeat("x", 500), provider.Permanent, "provider_refused", "error-callback-url-max-length"},
		{"a URL that nobody answers", sim.Options{}, "1001", "http://127.0.0.1:1/", provider.Retry, "try_again", "error-callback-url-not-available"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, a, _ := running(t, c.options)
			url := c.url
			if url == "" {
				url = hook(t, ok)
			}
			settings, address, err := a.Activate(t.Context(), provider.Channel{SenderID: c.sender}, url)
			var e *provider.Error
			if !errors.As(err, &e) || settings != nil || address != "" {
				t.Fatalf("got %v, %q, %v", settings, address, err)
			}
			if e.Kind != c.kind || e.Code != c.code || e.ProviderCode != c.word {
				t.Errorf("got kind %d, %q (%q), want kind %d, %q (%q)", e.Kind, e.Code, e.ProviderCode, c.kind, c.code, c.word)
			}
		})
	}
}

func TestActivationWithoutTheRightKeyIsAboutCredentials(t *testing.T) {
	t.Parallel()
	_, _, server := running(t, sim.Options{})
	a := edna.New(edna.Config{BaseURL: server.URL + "/api/", APIKey: "wrong"})
	_, _, err := a.Activate(t.Context(), provider.Channel{SenderID: "1001"}, "https://contact.example/")
	var e *provider.Error
	if !errors.As(err, &e) || e.Kind != provider.Credentials {
		t.Errorf("got %v", err)
	}
}

func TestActivationThatGetsNoAnswerMayBeRepeated(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/api/channel-profile", "/api/cascade/get-all", "/api/callback/set"} {
		s := sim.New(sim.Options{APIKey: apiKey})
		defer s.Close()
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == path {
				panic(http.ErrAbortHandler)
			}
			s.ServeHTTP(w, r)
		}))
		defer server.Close()
		_, _, err := adapter(server.URL, 5*time.Second).Activate(t.Context(), provider.Channel{SenderID: "1001"}, hook(t, ok))
		var e *provider.Error
		if !errors.As(err, &e) || e.Kind != provider.Retry {
			t.Errorf("%s: got %v, want kind Retry", path, err)
		}
	}
}
