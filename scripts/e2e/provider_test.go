//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestProviderErrors(t *testing.T) {
	t.Parallel()
	s := common.shared
	send := func(t *testing.T, behaviour map[string]any) (*account, channel, message) {
		a, ch := ready(t, s, plan{Limit: 100})
		s.behave(t, ch.sender(t), behaviour)
		return a, ch, a.send(order(ch, person(), text(unique("text "))))
	}
	t.Run("500 for a while is tried again", func(t *testing.T) {
		t.Parallel()
		a, ch, m := send(t, map[string]any{"fail_status": 500})
		wait(t, 30*time.Second, func() (bool, string) { return len(s.callsFor(t, m.ID)) >= 2, "no second call" })
		s.behave(t, ch.sender(t), nil)
		got := a.until(m.ID, 60*time.Second, "read", status("read"))
		if got.Attempts < 2 || got.Error != nil {
			t.Errorf("%v", got)
		}
		if n := acceptedOnce(t, s.callsFor(t, m.ID)); n != 1 {
			t.Errorf("accepted %d times", n)
		}
		a.untilUsed(30*time.Second, 1)
	})
	t.Run("400 is the end, and is not counted", func(t *testing.T) {
		t.Parallel()
		a, _, m := send(t, map[string]any{"fail_status": 400})
		got := a.until(m.ID, 20*time.Second, "failed", status("failed"))
		if got.code() != "provider_refused" || !got.Error.Permanent || got.Error.Detail == "" || got.Attempts != 1 || got.Error.FaultDomain == "" {
			t.Errorf("%v", got)
		}
		if calls := s.callsFor(t, m.ID); len(calls) != 1 {
			t.Errorf("%d calls", len(calls))
		}
		a.untilUsed(30*time.Second, 0)
	})
	t.Run("an answer that is lost is no second message", func(t *testing.T) {
		t.Parallel()
		a, _, m := send(t, map[string]any{"drop_answer": true})
		got := a.until(m.ID, 30*time.Second, "sent", message.taken)
		if n := acceptedOnce(t, s.callsFor(t, m.ID)); n != 1 {
			t.Errorf("accepted %d times: %v", n, got)
		}
		a.until(m.ID, 30*time.Second, "read", status("read"))
		a.untilUsed(60*time.Second, 1)
	})
	t.Run("429 is waited for as long as it asks", func(t *testing.T) {
		t.Parallel()
		a, ch, m := send(t, map[string]any{"fail_status": 429, "retry_after_seconds": 8})
		wait(t, 20*time.Second, func() (bool, string) { return len(s.callsFor(t, m.ID)) >= 1, "no call" })
		s.behave(t, ch.sender(t), nil)
		other := a.send(order(ch, person(), text(unique("text "))))
		got := a.until(m.ID, 30*time.Second, "read", status("read"))
		calls := s.callsFor(t, m.ID)
		if len(calls) != 2 || calls[1].At.Sub(calls[0].At) < 8*time.Second || got.Attempts != 2 {
			t.Errorf("calls %+v, message %v", calls, got)
		}
		// The channel as a whole is left alone.
		a.until(other.ID, 30*time.Second, "read", status("read"))
		if calls2 := s.callsFor(t, other.ID); calls2[0].At.Sub(calls[0].At) < 7500*time.Millisecond {
			t.Errorf("another message of the channel was sent %v after the 429", calls2[0].At.Sub(calls[0].At))
		}
		a.untilUsed(30*time.Second, 2)
	})
	t.Run("401 means the credentials", func(t *testing.T) {
		t.Parallel()
		a, ch, m := send(t, map[string]any{"fail_status": 401})
		wait(t, 20*time.Second, func() (bool, string) { return len(s.callsFor(t, m.ID)) >= 1, "no call" })
		// The operator's own key: nothing the customer could correct, so it is tried again for a while.
		wait(t, 20*time.Second, func() (bool, string) {
			got := a.message(m.ID)
			return got.Status == "failed" || got.Attempts >= 1, "no attempt recorded: " + got.String()
		})
		s.behave(t, ch.sender(t), nil)
		got := a.until(m.ID, 90*time.Second, "final", message.final)
		if !got.taken() && got.code() != "credentials_invalid" {
			t.Errorf("%v", got)
		}
		if len(got.Timeline) > 0 && !slices.ContainsFunc(got.Timeline, func(x struct {
			Status string    `json:"status"`
			At     timestamp `json:"at"`
			Reason string    `json:"reason"`
		}) bool {
			return x.Reason == "credentials_invalid"
		}) && got.code() != "credentials_invalid" {
			t.Logf("no mention of credentials in %v", got)
		}
		used := int64(0)
		if got.taken() {
			used = 1
		}
		a.untilUsed(30*time.Second, used)
	})
	t.Run("an answer that takes too long is no second message", func(t *testing.T) {
		t.Parallel()
		a, ch, m := send(t, map[string]any{"delay_ms": 20_000, "callbacks": false})
		wait(t, 30*time.Second, func() (bool, string) { return len(s.callsFor(t, m.ID)) >= 1, "no call" })
		s.behave(t, ch.sender(t), nil)
		got := a.until(m.ID, 2*time.Minute, "sent", message.taken)
		if n := acceptedOnce(t, s.callsFor(t, m.ID)); n != 1 {
			t.Errorf("accepted %d times: %v", n, got)
		}
		a.untilUsed(90*time.Second, 1)
	})
	t.Run("what the provider could not deliver is failed", func(t *testing.T) {
		t.Parallel()
		for status2, want := range map[string]struct{ status, code string }{
			"expired": {"failed", "delivery_expired"}, "cancelled": {"failed", "provider_duplicate"}, "undelivered": {"failed", ""}, "failed": {"failed", ""},
			"no-match-template": {"failed", "provider_refused"},
		} {
			t.Run(status2, func(t *testing.T) {
				a, ch := ready(t, s, plan{Limit: 100})
				s.behave(t, ch.sender(t), map[string]any{"statuses": []string{status2}, "status_error": "error-system"})
				m := a.send(order(ch, person(), text(unique("text "))))
				got := a.until(m.ID, 20*time.Second, "failed", status(want.status))
				if want.code != "" && got.code() != want.code || got.Error == nil {
					t.Errorf("%v", got)
				}
				// The provider took it: it is counted.
				a.untilUsed(30*time.Second, 1)
			})
		}
	})
	t.Run("the same text to the same person within twenty minutes", func(t *testing.T) {
		t.Parallel()
		a, ch := ready(t, s, plan{Limit: 100})
		to, what := person(), text(unique("text "))
		a.until(a.send(order(ch, to, what)).ID, 20*time.Second, "read", status("read"))
		got := a.until(a.send(order(ch, to, what)).ID, 20*time.Second, "failed", status("failed"))
		if got.code() != "provider_duplicate" {
			t.Errorf("%v", got)
		}
	})
}

//
func TestOneSlowChannelHoldsUpNobodyElse(t *testing.T) {
	// Not in parallel: it measures time.
	s := measured(t)
	s.warm(t)
	for name, behaviour := range map[string]map[string]any{
		"slow":    {"delay_ms": 4000},
		"failing": {"fail_status": 500},
	} {
		t.Run(name, func(t *testing.T) {
			bad, badChannel := ready(t, s, plan{Limit: 1000})
			good, goodChannel := ready(t, s, plan{Limit: 1000})
			handover := func(i int) time.Duration {
				m := good.send(order(goodChannel, person(), text(fmt.Sprintf("%d %s", i, unique("")))))
				answered := time.Now()
				good.until(m.ID, 30*time.Second, "sent", message.taken)
				return max(s.callsFor(t, m.ID)[0].At.Sub(answered), 0)
			}
			handover(-1)
			handover(-2)
			var idle, beside []time.Duration
			for i := range 7 {
				idle = append(idle, handover(i))
			}
			s.behave(t, badChannel.sender(t), behaviour)
			bad.flood(20, 20, func(i int) map[string]any {
				return order(badChannel, person(), text(fmt.Sprintf("%d %s", i, unique(""))))
			})
			for i := range 7 {
				beside = append(beside, handover(i+100))
			}
			s.behave(t, badChannel.sender(t), nil)
			slices.Sort(idle)
			slices.Sort(beside)
			t.Logf("medians: alone %v, beside a channel that is %s %v", idle[3], name, beside[3])
			// Far below what the other channel's calls take, and above what scheduling on two cores that others use too makes of it.
			if beside[3] > idle[3]+time.Second {
				t.Errorf("alone %v, beside a channel that is %s %v", idle, name, beside)
			}
			bad.untilUsed(4*time.Minute, 20)
		})
	}
}

func TestCallbacksOnlyMoveForwardAndRepliesAreStoredOnce(t *testing.T) {
	t.Parallel()
	const sends = 20
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 1000})
	s.behave(t, ch.sender(t), map[string]any{"repeat_callbacks": 2, "reorder_callbacks": true})
	var ids []string
	people := map[string]string{}
	for range sends {
		to := person()
		m := a.send(order(ch, to, text(unique("text "))))
		ids = append(ids, m.ID)
		people[m.ID] = to
	}
	for _, id := range ids {
		best := 0
		a.until(id, 20*time.Second, "read", func(m message) bool {
			if now := rank(m.Status); now < best {
				t.Errorf("the status went backwards: %v", m)
			} else {
				best = now
			}
			return m.Status == "read"
		})
	}
	a.untilUsed(20*time.Second, sends)
	for i, id := range ids {
		if i < 5 {
			in := inbound{SenderID: ch.sender(t), From: digits(people[id]), Text: unique("reply "), ID: time.Now().UnixNano(), ReplyTo: id}
			s.inbound(t, in)
			s.inbound(t, in)
		}
		got := a.message(id)
		if got.Status != "read" {
			t.Errorf("%v", got)
		}
		for j, step := range got.Timeline {
			if j > 0 && rank(step.Status) < rank(got.Timeline[j-1].Status) {
				t.Errorf("the timeline goes backwards: %v", got)
			}
		}
		replies := 0
		for _, m := range a.messages("conversation_id=" + got.ConversationID) {
			if m.Direction == "inbound" {
				replies++
			}
		}
		if i < 5 && replies != 1 || i >= 5 && replies != 0 {
			t.Errorf("%d replies of message %d", replies, i)
		}
	}
}

// R-P.3.
func TestCallbackWithoutProofRecordsNothing(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 100})
	s.behave(t, ch.sender(t), map[string]any{"callbacks": false})
	m := a.send(order(ch, person(), text(unique("text "))))
	a.until(m.ID, 10*time.Second, "sent", status("sent"))
	url := s.api + "/v1/callbacks/edna/" + ch.ID
	if ch.CallbackURL != url {
		t.Errorf("callback_url is %s, want %s", ch.CallbackURL, url)
	}
	delivered, err := json.Marshal(map[string]any{
		"requestId": m.ID, "messageId": 1, "cascadeId": 1, "cascadeStageUUID": "x", "subject": "x", "subjectId": ch.sender(t), "status": "READ",
		"statusAt": time.Now().UTC().Format(time.RFC3339), "error": nil, "comment": nil, "paymentData": nil,
	})
	if err != nil {
		t.Fatal(err)
	}
	key := "local-edna-webhook-key"
	for name, authorization := range map[string]string{"none": "", "wrong": "another-key", "a prefix": key[:10], "with Bearer": "Bearer " + key, "longer": key + "x"} {
		h := http.Header{"Content-Type": {"application/json"}}
		if authorization != "" {
			h.Set("Authorization", authorization)
		}
		got := s.raw(t, http.MethodPost, url, h, delivered)
		if got.status != http.StatusUnauthorized {
			t.Errorf("%s: %v", name, got)
		}
		got.check(t)
	}
	if got := a.message(m.ID); got.Status != "sent" {
		t.Errorf("a callback without proof was recorded: %v", got)
	}

	proof := http.Header{"Content-Type": {"application/json"}, "Authorization": {key}}
	for method, body := range map[string][]byte{http.MethodHead: nil, http.MethodGet: nil} {
		if got := s.raw(t, method, url, nil, body); got.status != http.StatusOK {
			t.Errorf("%s: %v", method, got)
		}
	}
	for name, c := range map[string]struct {
		url    string
		body   string
		status int
	}{
		"another provider":     {s.api + "/v1/callbacks/telegram/" + ch.ID, string(delivered), http.StatusNotFound},
		"no such channel":      {s.api + "/v1/callbacks/edna/chn_0000000000000000", string(delivered), http.StatusNotFound},
		"no channel id":        {s.api + "/v1/callbacks/edna/nonsense", string(delivered), http.StatusNotFound},
		"bad JSON":             {url, "{", http.StatusBadRequest},
		"a body that is large": {url, `"` + strings.Repeat("x", 2<<20) + `"`, http.StatusRequestEntityTooLarge},
	} {
		if got := s.raw(t, http.MethodPost, c.url, proof, []byte(c.body)); got.status != c.status {
			t.Errorf("%s: want %d: %s %s → %d %.200s", name, c.status, got.method, got.url, got.status, got.body)
		}
	}
	if got := s.raw(t, http.MethodPut, url, proof, delivered); got.status != http.StatusNotFound && got.status != http.StatusMethodNotAllowed {
		t.Errorf("PUT: %v", got)
	}
	// A message of another account can't be reported on by way of this channel.
	b, other := ready(t, s, plan{Limit: 100})
	s.behave(t, other.sender(t), map[string]any{"callbacks": false})
	foreign := b.send(order(other, person(), text(unique("text "))))
	b.until(foreign.ID, 10*time.Second, "sent", status("sent"))
	if got := s.raw(t, http.MethodPost, url, proof, []byte(strings.ReplaceAll(string(delivered), m.ID, foreign.ID))); got.status != http.StatusOK {
		t.Errorf("a status of a message that is not this channel's: %v", got)
	}
	if got := b.message(foreign.ID); got.Status != "sent" {
		t.Errorf("it was recorded: %v", got)
	}
	// With proof it counts, unknown fields or not, alone or in a list.
	if got := s.raw(t, http.MethodPost, url, proof, []byte(`[`+strings.Replace(string(delivered), "{", `{"news":1,`, 1)+`]`)); got.status != http.StatusOK {
		t.Fatal(got)
	}
	if got := a.message(m.ID); got.Status != "read" {
		t.Errorf("%v", got)
	}
}
