package telegram_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sim "contactcenter/scripts/simulator/telegram"
	"contactcenter/shared/provider"
)

const callbackURL = "https://cc.example/v1/callbacks/telegram/chn_1"

//
func TestConnectTakesTheBotsWebhook(t *testing.T) {
	t.Parallel()
	s := sim.New(sim.Options{})
	defer s.Close()
	server := httptest.NewServer(s)
	defer server.Close()
	for range 2 { // again with the same credentials
		c, err := adapter(server.URL, time.Second).Connect(t.Context(), channel(), callbackURL)
		if err != nil || c.Address != "@local_1_bot" || c.Settings == nil || len(c.Settings) != 0 {
			t.Fatalf("got %+v, %v", c, err)
		}
	}
	calls, _ := s.Calls(botID)
	if len(calls) != 4 || !strings.HasSuffix(calls[0].Path, "/getMe") || !strings.HasSuffix(calls[3].Path, "/setWebhook") {
		t.Fatalf("got %+v", calls)
	}
	want := `{"url":"` + callbackURL + `","secret_token":"` + secret(token, "chn_1") + `","max_connections":40,"allowed_updates":["message","edited_message","callback_query","my_chat_member"]}`
	if got := string(calls[3].Request); got != want {
		t.Errorf("got %s", got)
	}
	for _, c := range calls {
		if strings.Contains(c.Path, "local-telegram") {
			t.Errorf("the simulator remembers the token: %s", c.Path)
		}
	}
}

func TestConnectSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := sim.New(sim.Options{})
	defer s.Close()
	server := httptest.NewServer(s)
	defer server.Close()
	answers := func(status int, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	for name, c := range map[string]struct {
		base, token, url string
		kind             provider.Kind
		code, detail     string
	}{
		"a revoked token":            {server.URL, botID + ":gone", callbackURL, provider.Credentials, "credentials_invalid", "@BotFather"},
		"another bot's id":           {server.URL, "7000002:local-telegram-bot-1", callbackURL, provider.Credentials, "credentials_invalid", "@BotFather"},
		"not a token":                {server.URL, "local-telegram-bot-1", callbackURL, provider.Credentials, "credentials_invalid", "@BotFather"},
		"no token":                   {server.URL, "", callbackURL, provider.Credentials, "credentials_invalid", "@BotFather"},
		"what is no bot's path":      {answers(404, `{"ok":false,"error_code":404,"description":"Not Found"}`), token, callbackURL, provider.Credentials, "credentials_invalid", "@BotFather"},
		"a callback URL in clear":    {server.URL, token, "http://cc.example/x", provider.Permanent, "provider_refused", "https"},
		"a callback URL's port":      {server.URL, token, "https://cc.example:9000/x", provider.Permanent, "provider_refused", "8443"},
		"who is no bot":              {answers(200, `{"ok":true,"result":{"id":7,"is_bot":false}}`), token, callbackURL, provider.Retry, "provider_unavailable", ""},
		"what can't be read":         {answers(200, `<html>`), token, callbackURL, provider.Retry, "provider_unavailable", ""},
		"a provider that is down":    {answers(502, ""), token, callbackURL, provider.Retry, "provider_unavailable", ""},
		"a provider out of reach":    {"http://127.0.0.1:1", token, callbackURL, provider.Retry, "provider_unavailable", ""},
		"a provider that is flooded": {answers(429, `{"ok":false,"error_code":429,"parameters":{"retry_after":5}}`), token, callbackURL, provider.Retry, "provider_unavailable", ""},
	} {
		ch := channel()
		ch.Credentials["bot_token"] = c.token
		_, err := adapter(c.base, time.Second).Connect(t.Context(), ch, c.url)
		var e *provider.Error
		if !errors.As(err, &e) || e.Kind != c.kind || e.Code != c.code || !strings.Contains(e.Detail, c.detail) || e.Fault == "" {
			t.Errorf("%s: got %+v", name, e)
		}
	}
}
