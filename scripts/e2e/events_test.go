//go:build e2e

package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// hook is a webhook endpoint as the API shows it.
type hook struct {
	ID            string     `json:"id"`
	URL           string     `json:"url"`
	Description   string     `json:"description"`
	EventTypes    []string   `json:"event_types"`
	Status        string     `json:"status"`
	Reason        string     `json:"disabled_reason"`
	DisabledAt    *timestamp `json:"disabled_at"`
	FailingSince  *timestamp `json:"failing_since"`
	Secret        string     `json:"secret"`
	PreviousUntil *timestamp `json:"previous_secret_valid_until"`
	CreatedAt     timestamp  `json:"created_at"`
	CreatedBy     string     `json:"created_by"`
}

// told is an event as a CRM's server gets it.
type told struct {
	id        string
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	AccountID string    `json:"account_id"`
	Data      struct {
		ID      string `json:"id"`
		Status  string `json:"status"`
		Version string `json:"version"`
		Period  string `json:"period"`
	} `json:"data"`
}

// crm is a CRM's server: it verifies what it gets with the standard's own library, and answers as it is told to.
type crm struct {
	*httptest.Server
	t       *testing.T
	mu      sync.Mutex
	secrets []string
	answers []int
	got     []told
	refused int
}

func newCRM(t *testing.T) *crm {
	t.Helper()
	c := &crm{t: t}
	c.Server = httptest.NewServer(http.HandlerFunc(c.take))
	t.Cleanup(c.Close)
	return c
}

func (c *crm) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	verified := slices.ContainsFunc(c.secrets, func(secret string) bool {
		wh, err := webhooks.NewWebhook(secret)
		return err == nil && wh.Verify(body, r.Header) == nil
	})
	e := told{id: r.Header.Get("webhook-id")}
	if err != nil || !verified || json.Unmarshal(body, &e) != nil {
		c.t.Errorf("an event that can't be verified: %v", r.Header)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if len(c.answers) > 0 {
		status := c.answers[0]
		c.answers = c.answers[1:]
		c.refused++
		w.WriteHeader(status)
		return
	}
	c.got = append(c.got, e)
}

// register makes the CRM's server an endpoint of an account.
func (c *crm) register(a *account, types ...string) hook {
	c.t.Helper()
	body := map[string]any{"url": c.URL + "/hook"}
	if len(types) > 0 {
		body["event_types"] = types
	}
	c.mu.Lock()
	defer c.mu.Unlock() // nothing is verified before its secret is known
	h := decode[hook](c.t, a.call(c.t, http.MethodPost, "/v1/webhook-endpoints", body), http.StatusCreated)
	c.secrets = append(c.secrets, h.Secret)
	return h
}

// about counts the events about a resource, by type.
func (c *crm) about(resource string) map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]int{}
	for _, e := range c.got {
		if e.Data.ID == resource {
			out[e.Type]++
		}
	}
	return out
}

func (c *crm) until(limit time.Duration, resource string, types ...string) {
	c.t.Helper()
	wait(c.t, limit, func() (bool, string) {
		got := c.about(resource)
		for _, typ := range types {
			if got[typ] == 0 {
				b, _ := json.Marshal(got)
				return false, "the CRM was told of " + resource + ": " + string(b) + ", not of " + typ
			}
		}
		return true, ""
	})
}

// the life of a message, from accepted to read and answered: each step is told once, signed, also when the CRM refuses at
// first; and an account's events are nobody else's.
func TestACRMIsToldOfAMessagesLife(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 100})
	server, other := newCRM(t), newCRM(t)
	b, _ := ready(t, s, plan{Limit: 100})
	server.register(a)
	other.register(b)
	server.mu.Lock()
	server.answers = []int{http.StatusInternalServerError}
	server.mu.Unlock()
	to := person()
	m := a.send(order(ch, to, text(unique("hello "))))
	a.until(m.ID, 20*time.Second, "read", status("read"))
	s.inbound(t, inbound{SenderID: ch.sender(t), From: digits(to), Text: unique("thanks ")})
	server.until(60*time.Second, m.ID, "message.queued", "message.sent", "message.delivered", "message.read")
	var reply string
	wait(t, 30*time.Second, func() (bool, string) {
		server.mu.Lock()
		defer server.mu.Unlock()
		for _, e := range server.got {
			if e.Type == "message.received" {
				reply = e.Data.ID
			}
		}
		return reply != "", "no reply was told of"
	})
	for resource, want := range map[string]int{m.ID: 4, reply: 1} {
		got := server.about(resource)
		for typ, n := range got {
			if n != 1 {
				t.Errorf("%s of %s was told %d times", typ, resource, n)
			}
		}
		if len(got) != want {
			t.Errorf("of %s it was told %v", resource, got)
		}
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	if server.refused != 1 {
		t.Errorf("%d refused", server.refused)
	}
	for _, e := range server.got {
		if e.AccountID != a.id || e.id == "" || e.Timestamp.IsZero() {
			t.Errorf("%+v", e)
		}
	}
	other.mu.Lock()
	defer other.mu.Unlock()
	for _, e := range other.got {
		if e.AccountID != b.id || e.Data.ID == m.ID || e.Data.ID == reply {
			t.Errorf("another account's: %+v", e)
		}
	}
}

// A rotated secret, a test event, a replay under the same ids, the log of it all; and an endpoint that is gone.
func TestAnEndpointsSecretIsRotatedAndItsEventsReplayed(t *testing.T) {
	t.Parallel()
	a, ch := ready(t, common.shared, plan{Limit: 100})
	server := newCRM(t)
	h := server.register(a, "message.sent", "message.read")
	path := "/v1/webhook-endpoints/" + h.ID
	begin := time.Now().Add(-time.Second).UTC().Format("2006-01-02T15:04:05.000Z")
	server.mu.Lock()
	rotated := decode[hook](t, a.call(t, http.MethodPost, path+"/rotate-secret", nil), http.StatusOK)
	if rotated.Secret == h.Secret || rotated.PreviousUntil == nil {
		t.Errorf("%+v", rotated)
	}
	server.mu.Unlock() // the CRM still has the secret before
	m := a.send(order(ch, person(), text(unique("hello "))))
	server.until(60*time.Second, m.ID, "message.sent", "message.read")
	server.mu.Lock()
	server.secrets = []string{rotated.Secret}
	server.mu.Unlock()
	end := time.Now().Add(time.Second).UTC().Format("2006-01-02T15:04:05.000Z")
	answer := a.call(t, http.MethodPost, path+"/replay", map[string]any{"from": begin, "to": end})
	if n := decode[struct {
		Count int `json:"count"`
	}](t, answer, http.StatusAccepted).Count; n != 2 {
		t.Errorf("%d are replayed", n)
	}
	wait(t, 30*time.Second, func() (bool, string) {
		got := server.about(m.ID)
		return got["message.sent"] == 2 && got["message.read"] == 2, "not replayed yet"
	})
	if got := server.about(m.ID); len(got) != 2 {
		t.Errorf("what it did not ask for: %v", got)
	}
	a.call(t, http.MethodPost, path+"/test", nil)
	type page struct {
		Items []struct {
			EventID        string     `json:"event_id"`
			EventType      string     `json:"event_type"`
			ResourceID     string     `json:"resource_id"`
			EventAt        *timestamp `json:"event_at"`
			Status         string     `json:"status"`
			Attempts       int        `json:"attempts"`
			ResponseStatus int        `json:"response_status"`
			Failure        string     `json:"failure"`
			DurationMs     *int64     `json:"duration_ms"`
			First          *timestamp `json:"first_attempt_at"`
			Last           *timestamp `json:"last_attempt_at"`
			Next           *timestamp `json:"next_attempt_at"`
		} `json:"items"`
	}
	// The CRM has an event before the log can say so.
	var items page
	wait(t, 10*time.Second, func() (bool, string) {
		list := a.call(t, http.MethodGet, path+"/deliveries", nil)
		items = decode[page](t, list, http.StatusOK)
		for _, d := range items.Items {
			if d.Status == "pending" {
				return false, "one is not delivered: " + list.String()
			}
		}
		return true, ""
	})
	if len(items.Items) != 3 || items.Items[0].EventType != "endpoint.test" {
		t.Errorf("%+v", items)
	}
	for _, d := range items.Items {
		if d.Status != "delivered" || d.ResponseStatus != http.StatusOK || d.ResourceID != m.ID && d.ResourceID != h.ID {
			t.Errorf("%+v", d)
		}
	}
	server.mu.Lock()
	server.answers = []int{http.StatusGone}
	server.mu.Unlock()
	a.send(order(ch, person(), text(unique("hello "))))
	wait(t, 30*time.Second, func() (bool, string) {
		got := decode[hook](t, a.call(t, http.MethodGet, path, nil), http.StatusOK)
		return got.Status == "disabled" && got.Reason == "gone", "not disabled yet"
	})
}
