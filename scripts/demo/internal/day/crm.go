package day

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// told is an event as the CRM gets it. Of a message it keeps what the checks need, and no content.
type told struct {
	ID        string
	Type      string `json:"type"`
	AccountID string `json:"account_id"`
	Data      struct {
		ID             string `json:"id"`
		Status         string `json:"status"`
		From           string `json:"from"`
		ConversationID string `json:"conversation_id"`
	} `json:"data"`
}

// inbox is what the CRM was told for one account. Its fields are guarded by the CRM's lock.
type inbox struct {
	accountID, secret string
	// events are those that were told, by webhook-id; again counts those that came once more, stumbled those that the CRM took and answered
	// with an error all the same, as servers do: each of them has to come again.
	events          map[string]told
	again, stumbled int
	// wrong counts what was not signed as the standard says, or is another account's.
	wrong int
	// reached are the messages that were told to have come so far, by event type.
	reached map[string]map[string]bool
	// heard are the replies by the number of their sender, in the order in which they were told.
	heard map[string][]told
}

// crm is the server of a CRM, which all accounts of the day share. It verifies what it is sent with the library of the standard, knows again
// what it was told before, and keeps the rest.
type crm struct {
	url    string
	server *http.Server

	mu      sync.Mutex
	inboxes []*inbox
}

// startCRM starts it on an address of its own.
func startCRM(ctx context.Context, accounts int) (*crm, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the CRM: %w", err)
	}
	c := newCRM(accounts)
	c.url = "http://" + l.Addr().String()
	c.server = &http.Server{Handler: c, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = c.server.Serve(l) }() // it ends when it is closed
	return c, nil
}

func newCRM(accounts int) *crm {
	c := &crm{}
	for range accounts {
		c.inboxes = append(c.inboxes, &inbox{events: map[string]told{}, reached: map[string]map[string]bool{}, heard: map[string][]told{}})
	}
	return c
}

func (c *crm) close() { _ = c.server.Close() }

// hook is where an account's events go.
func (c *crm) hook(account int) string { return fmt.Sprintf("%s/hook/%d", c.url, account) }

// register makes the CRM know an account's secret. Nothing is verified before ask has given it.
func (c *crm) register(account int, accountID string, ask func() (secret string, err error)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	secret, err := ask()
	c.inboxes[account].accountID, c.inboxes[account].secret = accountID, secret
	return err
}

// ServeHTTP takes an event.
func (c *crm) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var account int
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if _, scanErr := fmt.Sscanf(r.URL.Path, "/hook/%d", &account); err != nil || scanErr != nil || account < 0 || account >= len(c.inboxes) {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	w.WriteHeader(c.inboxes[account].take(body, r.Header))
}

// stumbles is how many events the CRM takes until it answers one with an error.
const stumbles = 50

// take takes an event, and gives the status of the answer.
func (b *inbox) take(body []byte, header http.Header) int {
	e := told{ID: header.Get("webhook-id")}
	verifier, err := webhooks.NewWebhook(b.secret)
	if err != nil || verifier.Verify(body, header) != nil || json.Unmarshal(body, &e) != nil || e.AccountID != b.accountID {
		b.wrong++
		return http.StatusUnauthorized
	}
	if _, known := b.events[e.ID]; known {
		b.again++
		return http.StatusOK
	}
	b.events[e.ID] = e
	if b.reached[e.Type] == nil {
		b.reached[e.Type] = map[string]bool{}
	}
	b.reached[e.Type][e.Data.ID] = true
	if e.Type == "message.received" {
		from := strings.TrimPrefix(e.Data.From, "+")
		b.heard[from] = append(b.heard[from], e)
	}
	if len(b.events)%stumbles == 0 {
		b.stumbled++
		return http.StatusInternalServerError
	}
	return http.StatusOK
}

// heard gives the nth message, from 1, that somebody wrote to an account, once it was told.
func (c *crm) heard(account int, from string, n int) (told, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.inboxes[account].heard[strings.TrimPrefix(from, "+")]
	if n < 1 || len(list) < n {
		return told{}, false
	}
	return list[n-1], true
}

// counts are what the CRM knows of an account's messages.
type counts struct{ sent, delivered, read, ended, replies, events int }

func (c *crm) counts(account int) counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.inboxes[account]
	furthest := func(types ...string) map[string]bool {
		all := map[string]bool{}
		for _, t := range types {
			for id := range b.reached["message."+t] {
				all[id] = true
			}
		}
		return all
	}
	return counts{
		sent: len(furthest("sent", "delivered", "read")), delivered: len(furthest("delivered", "read")), read: len(furthest("read")),
		ended:   len(furthest("sent", "delivered", "read", "failed", "rejected", "expired", "canceled", "unknown")),
		replies: len(b.reached["message.received"]), events: len(b.events),
	}
}

// arrived is what came to the CRM for an account: the events, and how many came again, had to, or were not as they must be.
type arrived struct {
	events                 []told
	again, stumbled, wrong int
}

func (c *crm) arrived(account int) arrived {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.inboxes[account]
	return arrived{slices.Collect(maps.Values(b.events)), b.again, b.stumbled, b.wrong}
}
