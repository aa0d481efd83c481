package edna_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sim "contactcenter/scripts/simulator/edna"
	"contactcenter/shared/content"
	"contactcenter/shared/provider"
)

// TestTheWayOfAMessage goes through all of it: activation, a send, its statuses, and a reply to it.
func TestTheWayOfAMessage(t *testing.T) {
	t.Parallel()
	for name, behaviour := range map[string]string{"objects": `{}`, "lists": `{"array_callbacks":true}`} {
		t.Run("by callbacks as "+name, func(t *testing.T) {
			t.Parallel()
			_, a, server := running(t, sim.Options{})
			ch := provider.Channel{ID: "chn_1", SenderID: "1001"}
			events := make(chan provider.Event, 10)
			url := hook(t, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				got, err := a.ParseCallback(r.Context(), ch, &provider.Request{Method: r.Method, Header: r.Header, Query: r.URL.Query(), Body: body})
				if err != nil {
					t.Error(err)
					w.WriteHeader(http.StatusUnauthorized)
				}
				for _, e := range got {
					events <- e
				}
			})
			settings, _, err := a.Activate(t.Context(), ch, url)
			if err != nil {
				t.Fatal(err)
			}
			steer(t, http.MethodPut, server, "/_sim/behaviour", behaviour)
			to := provider.Channel{ID: ch.ID, SenderID: ch.SenderID, Settings: settings}
			if _, err := a.Send(t.Context(), to, provider.Message{ID: "msg_1", To: "+35799123456", Content: content.Content{Type: content.TypeText, Text: "hello"}}); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"sent", "delivered", "read"} {
				e := <-events
				if e.Status == nil || e.Status.Status != want || e.Status.MessageID != "msg_1" || time.Since(e.Status.At) > time.Minute {
					t.Fatalf("got %+v, want %s", e.Status, want)
				}
			}
			steer(t, http.MethodPost, server, "/_sim/inbound", `{"sender_id":1001,"from":"+35799123456","text":" hi 👋\r\n","reply_to_request_id":"msg_1"}`)
			r := (<-events).Reply
			if r == nil || r.From != "+35799123456" || r.Content.Text != " hi 👋\r\n" || r.ReplyTo != "msg_1" || !strings.HasPrefix(r.ID, "1001:") {
				t.Errorf("got %#v", r)
			}
			for _, shape := range []string{"", `,"older_shape":true`} {
				steer(t, http.MethodPut, server, "/_sim/templates", `{"sender_id":1001,"id":102,"status":"APPROVED"`+shape+`}`)
				if e := <-events; !e.TemplatesChanged {
					t.Errorf("got %+v for a template that was approved", e)
				}
			}
		})
	}
}

func steer(t *testing.T, method string, server *httptest.Server, path, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, resp.Status)
	}
}
