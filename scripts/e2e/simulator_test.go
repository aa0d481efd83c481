//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"
)

// behave sets how the provider behaves towards one sender from now on; 0 is every sender. Without settings it behaves.
func (s *stack) behave(t *testing.T, sender int64, settings map[string]any) {
	t.Helper()
	all := map[string]any{"callbacks": true}
	maps.Copy(all, settings)
	if sender != 0 {
		all["sender_id"] = sender
	}
	body, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.raw(t, http.MethodPut, s.sim+"/edna/_sim/behaviour", nil, body); got.status != http.StatusOK {
		t.Fatalf("steer the simulator: %v", got)
	}
}

// inbound lets a person write to a sender.
type inbound struct {
	SenderID int64  `json:"sender_id"`
	From     string `json:"from"`
	Text     string `json:"text"`
	ID       int64  `json:"id,omitempty"`
	ReplyTo  string `json:"reply_to_request_id,omitempty"`
	// Content takes the place of a text, in the provider's form.
	Content json.RawMessage `json:"content,omitempty"`
}

func (s *stack) inbound(t *testing.T, in inbound) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	got := s.raw(t, http.MethodPost, s.sim+"/edna/_sim/inbound", nil, body)
	told := struct{ Delivered bool }{}
	if err := json.Unmarshal(got.body, &told); err != nil || got.status != http.StatusOK || !told.Delivered {
		t.Fatalf("let a person write: %v", got)
	}
}

// providerCall is one call that the provider saw.
type providerCall struct {
	Seq       int       `json:"seq"`
	At        time.Time `json:"at"`
	Path      string    `json:"path"`
	SenderID  int64     `json:"sender_id"`
	RequestID string    `json:"request_id"`
	To        string    `json:"to"`
	Request   struct {
		SubscriberFilter struct {
			Address string `json:"address"`
		} `json:"subscriberFilter"`
		Content struct {
			WhatsApp struct {
				ContentType string          `json:"contentType"`
				Text        *string         `json:"text"`
				Location    json.RawMessage `json:"location"`
			} `json:"whatsappContent"`
		} `json:"content"`
	} `json:"request"`
	Status    int  `json:"status"`
	Accepted  bool `json:"accepted"`
	Duplicate bool `json:"duplicate"`
}

const schedulePath = "/api/cascade/schedule"

// sends are the calls that hand a message to the provider, oldest first.
func (s *stack) sends(t *testing.T, query string) []providerCall {
	t.Helper()
	got := s.raw(t, http.MethodGet, s.sim+"/edna/_sim/calls?path=cascade/schedule&"+query, nil, nil)
	var told struct {
		Calls []providerCall `json:"calls"`
	}
	if err := json.Unmarshal(got.body, &told); err != nil || got.status != http.StatusOK {
		t.Fatalf("ask the simulator for its calls: %v %d", err, got.status)
	}
	return told.Calls
}

// lastCall is the number of the last call so far.
func (s *stack) lastCall(t *testing.T) int {
	t.Helper()
	last := 0
	for _, c := range s.sends(t, "") {
		last = max(last, c.Seq)
	}
	return last
}

// sendsBy are those of one sender after a call.
func (s *stack) sendsBy(t *testing.T, sender int64, after int) []providerCall {
	t.Helper()
	return s.sends(t, fmt.Sprintf("sender_id=%d&after=%d", sender, after))
}

// callsFor are those for one message.
func (s *stack) callsFor(t *testing.T, messageID string) []providerCall {
	t.Helper()
	return s.sends(t, "request_id="+messageID)
}

// accepted counts by message how often the provider took it.
func accepted(calls []providerCall) map[string]int {
	out := map[string]int{}
	for _, c := range calls {
		if c.Accepted {
			out[c.RequestID]++
		}
	}
	return out
}

// acceptedOnce expects that no message was taken twice, and gives how many were taken.
func acceptedOnce(t *testing.T, calls []providerCall) int {
	t.Helper()
	taken := accepted(calls)
	for id, n := range taken {
		if n != 1 {
			t.Errorf("the provider accepted %s %d times", id, n)
		}
	}
	return len(taken)
}
