package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"contactcenter/shared/api"
	"contactcenter/shared/content"
)

// seen is a request as the server got it.
type seen struct{ method, path, key, token, body string }

// script answers one request after the other with what it is told; the last answer stays.
type script struct {
	mu      sync.Mutex
	answers []func(http.ResponseWriter)
	got     []seen
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.got = append(s.got, seen{r.Method, r.URL.RequestURI(), r.Header.Get("Idempotency-Key"), r.Header.Get("Authorization"), string(body)})
	answer := s.answers[min(len(s.got), len(s.answers))-1]
	s.mu.Unlock()
	answer(w)
}

func (s *script) requests() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

func says(status int, kind, body string, header ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", kind)
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func inJSON(status int, body string, header ...string) func(http.ResponseWriter) {
	return says(status, "application/json", body, header...)
}

func refuses(c api.Code, header ...string) func(http.ResponseWriter) {
	p := api.NewProblem(c)
	return says(p.Status, "application/problem+json", `{"code":"`+string(c)+`"}`, header...)
}

func order(channelID string) api.SendMessageRequest {
	return api.SendMessageRequest{ChannelID: &channelID, Content: content.Content{Type: content.TypeText, Text: "text"}}
}

// hangsUp is no answer: the connection ends.
func hangsUp(http.ResponseWriter) { panic(http.ErrAbortHandler) }

func serve(t *testing.T, answers ...func(http.ResponseWriter)) (*Client, *script) {
	t.Helper()
	s := &script{answers: answers}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return New(Config{URL: server.URL + "/", Tries: 3, Token: func(context.Context) (string, error) { return "t", nil }}), s
}

func TestWhatCanNotBeMeantIsNotSent(t *testing.T) {
	t.Parallel()
	c, s := serve(t, inJSON(200, `{}`))
	for name, call := range map[string]func() error{
		"no id":           func() error { _, err := c.GetMessage(t.Context(), ""); return err },
		"the same folder": func() error { return c.DeleteChannel(t.Context(), ".") },
		"the one above":   func() error { return c.DeleteChannel(t.Context(), "..") },
		"a key of two lines": func() error {
			_, err := c.SendMessage(t.Context(), order("chn_1"), "a\r\nX: y")
			return err
		},
	} {
		if err := call(); err == nil {
			t.Errorf("%s is sent: %+v", name, s.requests())
		}
	}
	if _, err := c.GetMessage(t.Context(), "a/../b"); err != nil || s.requests()[0].path != "/v1/messages/a%2F..%2Fb" {
		t.Errorf("an odd id becomes %+v, error %v", s.requests(), err)
	}
}

func TestWhatIsRepeated(t *testing.T) {
	t.Parallel()
	send := func(c *Client) error {
		_, err := c.SendMessage(t.Context(), order("chn_1"), "")
		return err
	}
	cancel := func(c *Client) error {
		_, err := c.CancelMessage(t.Context(), "msg_1")
		return err
	}
	read := func(c *Client) error {
		_, err := c.GetUsage(t.Context())
		return err
	}
	remove := func(c *Client) error { return c.DeleteChannel(t.Context(), "chn_1") }
	busy := inJSON(http.StatusServiceUnavailable, `{"message":"Service Unavailable"}`)
	crowded := inJSON(http.StatusTooManyRequests, `{"message":"Too Many Requests"}`)
	for _, c := range []struct {
		name    string
		call    func(*Client) error
		answers []func(http.ResponseWriter)
		tries   int
		fails   bool
	}{
		{"a message whose answer got lost", send, []func(http.ResponseWriter){hangsUp, inJSON(202, `{"id":"msg_1"}`)}, 2, false},
		{"a message that was answered 503", send, []func(http.ResponseWriter){refuses(api.CodeTryAgain), inJSON(202, `{}`)}, 2, false},
		{"a message that is still being worked on", send, []func(http.ResponseWriter){refuses(api.CodeKeyInUse), inJSON(202, `{}`)}, 2, false},
		{"a message that is refused", send, []func(http.ResponseWriter){refuses(api.CodeInvalidRequest)}, 1, true},
		{"a conflict of another kind", send, []func(http.ResponseWriter){refuses(api.CodeChannelInactive)}, 1, true},
		{"a limit that ends in a month", send, []func(http.ResponseWriter){refuses(api.CodeUsageLimitReached, "Retry-After", "2592000")}, 1, true},
		{"a read that got no answer", read, []func(http.ResponseWriter){hangsUp, inJSON(200, `{}`)}, 2, false},
		{"a read, as often as may be", read, []func(http.ResponseWriter){busy}, 3, true},
		{"a cancel that got no answer is not", cancel, []func(http.ResponseWriter){hangsUp}, 1, true},
		{"a cancel that was answered 503 is not", cancel, []func(http.ResponseWriter){busy}, 1, true},
		{"a cancel that the gateway's limit kept out", cancel, []func(http.ResponseWriter){crowded, inJSON(200, `{}`)}, 2, false},
		{"a delete that was done by the first try", remove, []func(http.ResponseWriter){hangsUp, refuses(api.CodeChannelNotFound)}, 2, false},
		{"a delete of what is not there", remove, []func(http.ResponseWriter){refuses(api.CodeChannelNotFound)}, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			client, s := serve(t, c.answers...)
			if err := c.call(client); (err != nil) != c.fails {
				t.Errorf("the error is %v", err)
			}
			if got := s.requests(); len(got) != c.tries {
				t.Errorf("%d tries: %+v", len(got), got)
			}
		})
	}
}

func TestAllTriesAreOneRequest(t *testing.T) {
	t.Parallel()
	c, s := serve(t, refuses(api.CodeTryAgain), inJSON(202, `{"id":"msg_1"}`))
	if m, err := c.SendMessage(t.Context(), order("chn_1"), ""); err != nil || m.ID != "msg_1" {
		t.Errorf("%+v, %v", m, err)
	}
	got := s.requests()
	if len(got) != 2 || got[0] != got[1] || got[0].key == "" || got[0].token != "Bearer t" {
		t.Errorf("%+v", got)
	}
	if _, err := c.SendMessage(t.Context(), order("chn_1"), "mine"); err != nil || s.requests()[2].key != "mine" {
		t.Errorf("the key is %q, %v", s.requests()[2].key, err)
	}
}

func TestErrorsSayWhoAnswered(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, refuses(api.CodeUsageLimitReached, "Retry-After", "3600"))
	_, err := c.GetUsage(t.Context())
	if p := new(api.Problem); !errors.As(err, &p) || p.Code != api.CodeUsageLimitReached || p.RetryAfter.Hours() != 1 {
		t.Errorf("%v", err)
	}
	c, _ = serve(t, inJSON(http.StatusForbidden, `{"message":"Forbidden"}`, "Apigw-Requestid", "abc="))
	_, err = c.GetUsage(t.Context())
	if g := new(GatewayError); !errors.As(err, &g) || g.Status != http.StatusForbidden || g.Message != "Forbidden" || g.RequestID != "abc=" {
		t.Errorf("%v", err)
	}
}

func TestPathsAndQueriesAreEscaped(t *testing.T) {
	t.Parallel()
	c, s := serve(t, inJSON(200, `{"items":[]}`))
	if _, err := c.ListMessages(t.Context(), ListMessagesQuery{ClientReference: "a b&c", PageSize: 2}); err != nil {
		t.Error(err)
	}
	if _, err := c.GetMessage(t.Context(), "a/b"); err != nil {
		t.Error(err)
	}
	got := s.requests()
	if got[0].path != "/v1/messages?client_reference=a+b%26c&page_size=2" || got[1].path != "/v1/messages/a%2Fb" {
		t.Errorf("%+v", got)
	}
}

func TestNothingIsSentAfterTheEndOfTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	c, s := serve(t, func(w http.ResponseWriter) {
		cancel()
		refuses(api.CodeTryAgain)(w)
	})
	if _, err := c.GetUsage(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if n := len(s.requests()); n != 1 {
		t.Errorf("%d tries", n)
	}
}
