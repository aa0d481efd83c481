//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

//
func TestHeldMessagesGoInOrderWhenThePlanIsRaised(t *testing.T) {
	t.Parallel()
	const held = 8
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 1})
	before := s.lastCall(t)
	to := person()
	first := a.send(order(ch, to, text(unique("first "))))
	a.until(first.ID, 10*time.Second, "sent", message.taken)
	a.untilUsed(10*time.Second, 1)

	var ids []string
	for i := range held {
		m := a.send(order(ch, to, text(fmt.Sprintf("held %d %s", i, unique(""))), "on_limit", "hold"))
		ids = append(ids, m.ID)
	}
	resets := a.usage().ResetsAt
	for _, id := range ids {
		m := a.until(id, 60*time.Second, "held", status("held"))
		if m.HeldReason != "usage_limit_reached" && m.HeldReason != "usage_limit" && m.HeldReason == "" || m.ReleaseAt == nil || m.ReleaseAt.After(resets.Add(time.Hour)) || !m.ReleaseAt.After(time.Now()) {
			t.Errorf("a held message (the period ends %v): %v", resets, m)
		}
	}
	if u := a.usage(); u.Used != 1 {
		t.Errorf("held messages are counted: %+v", u)
	}
	// A message that would be rejected is, also while others are held.
	a.call(t, http.MethodPost, "/v1/messages", order(ch, person(), text(unique("text ")))).refused(t, http.StatusTooManyRequests, "usage_limit_reached")

	a.setPlan(s, plan{Limit: 100})
	wait(t, 2*time.Minute, func() (bool, string) {
		s.reset(t)
		u := a.usage()
		return u.Used == held+1, fmt.Sprintf("the held messages are not released: %+v %v", u, a.message(ids[0]))
	})
	for _, id := range ids {
		m := a.until(id, 30*time.Second, "read", status("read"))
		if !slices.ContainsFunc(m.Timeline, func(step struct {
			Status string    `json:"status"`
			At     timestamp `json:"at"`
			Reason string    `json:"reason"`
		}) bool {
			return step.Status == "held"
		}) {
			t.Errorf("the timeline does not show that it was held: %v", m)
		}
	}
	var order []string
	for _, c := range s.sendsBy(t, ch.sender(t), before) {
		if c.Accepted && c.RequestID != first.ID {
			order = append(order, c.RequestID)
		}
	}
	if !slices.Equal(order, ids) {
		t.Errorf("they were handed over as %v, want %v", order, ids)
	}
	a.untilUsed(30*time.Second, held+1)
}

func TestHeldMessageOfARaisedPlanIsReleasedByTheScheduleAlone(t *testing.T) {
	t.Parallel()
	s := ownStack(t, nil, "-parameter", "QuotaResetRate=rate(1 minute)")
	a, ch := ready(t, s, plan{Limit: 0})
	m := a.send(order(ch, person(), text(unique("text ")), "on_limit", "hold"))
	a.until(m.ID, 30*time.Second, "held", status("held"))
	a.setPlan(s, plan{Limit: 1})
	a.until(m.ID, 4*time.Minute, "read", status("read"))
}

func TestExpiredMessageIsNotHandedOver(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 100})
	t.Run("while it waits for a provider that fails", func(t *testing.T) {
		a := a.in(t)
		s.behave(t, ch.sender(t), map[string]any{"fail_status": 503})
		m := a.send(order(ch, person(), text(unique("text ")), "expires_at", timestamp{time.Now().Add(6 * time.Second)}))
		got := a.until(m.ID, 3*time.Minute, "expired", status("expired"))
		if got.code() != "delivery_expired" || got.TransferCompletedAt != nil {
			t.Errorf("the expired message: %v", got)
		}
		s.behave(t, ch.sender(t), nil)
		if len(accepted(s.callsFor(t, m.ID))) != 0 {
			t.Error("the provider accepted it")
		}
		a.untilUsed(30*time.Second, 0)
	})
	t.Run("a time that is over is refused", func(t *testing.T) {
		a := a.in(t)
		a.call(t, http.MethodPost, "/v1/messages", order(ch, person(), text(unique("text ")), "expires_at", timestamp{time.Now().Add(-time.Minute)})).refused(t, http.StatusUnprocessableEntity, "invalid_request")
	})
	t.Run("a time to come changes nothing", func(t *testing.T) {
		a := a.in(t)
		m := a.send(order(ch, person(), text(unique("text ")), "expires_at", timestamp{time.Now().Add(time.Hour)}))
		a.until(m.ID, 60*time.Second, "read", status("read"))
	})
}

//
func TestWaitingMessagesCanBeCanceled(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 0})
	cancel := func(t *testing.T, id string) *answer {
		for tries := 0; ; tries++ {
			got := a.call(t, http.MethodPost, "/v1/messages/"+id+"/cancel", nil)
			if got.status != http.StatusServiceUnavailable || tries == 60 {
				return got
			}
			time.Sleep(500 * time.Millisecond) // asked to try again: whoever set the message aside has it in hand
		}
	}
	t.Run("held", func(t *testing.T) {
		a := a.in(t)
		m := a.send(order(ch, person(), text(unique("text ")), "on_limit", "hold"))
		a.until(m.ID, 30*time.Second, "held", status("held"))
		if got := decode[message](t, cancel(t, m.ID), http.StatusOK); got.Status != "canceled" || got.ID != m.ID {
			t.Errorf("%v", got)
		}
		a.setPlan(s, plan{Limit: 10, Rate: 1, WindowSeconds: 3600, Burst: 1})
		s.reset(t)
	})
	t.Run("queued, waiting for its turn", func(t *testing.T) {
		a := a.in(t)
		first := a.send(order(ch, person(), text(unique("text "))))
		a.until(first.ID, 60*time.Second, "read", status("read"))
		m := a.send(order(ch, person(), text(unique("text "))))
		if got := decode[message](t, cancel(t, m.ID), http.StatusOK); got.Status != "canceled" {
			t.Errorf("%v", got)
		}
		// Again: it is canceled, and can't be canceled.
		cancel(t, m.ID).refused(t, http.StatusConflict, "message_not_cancelable")
		cancel(t, first.ID).refused(t, http.StatusConflict, "message_not_cancelable")
		if got := a.message(m.ID); got.Status != "canceled" || len(s.callsFor(t, m.ID)) != 0 {
			t.Errorf("%v", got)
		}
		a.untilUsed(20*time.Second, 1)
	})
}

func TestCancelRacingWithDispatchIsOneOrTheOther(t *testing.T) {
	t.Parallel()
	const sends = 100
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 1000})
	before := s.lastCall(t)
	s.behave(t, ch.sender(t), map[string]any{"delay_jitter_ms": 30})
	var mu sync.Mutex
	canceled := map[string]bool{}
	var all sync.WaitGroup
	numbers := numbered(sends)
	for range 10 {
		all.Go(func() {
			for i := range numbers {
				m := a.send(order(ch, person(), text(fmt.Sprintf("number %d %s", i, unique("")))))
				time.Sleep(time.Duration(i%20) * 2 * time.Millisecond)
				for {
					got := a.call(t, http.MethodPost, "/v1/messages/"+m.ID+"/cancel", nil)
					if got.status == http.StatusServiceUnavailable {
						continue // asked to try again
					}
					mu.Lock()
					switch got.status {
					case http.StatusOK:
						canceled[m.ID] = true
					case http.StatusConflict:
						got.refused(t, http.StatusConflict, "message_not_cancelable")
						canceled[m.ID] = false
					default:
						t.Errorf("%v", got)
					}
					mu.Unlock()
					break
				}
			}
		})
	}
	all.Wait()
	sent := 0
	for id, yes := range canceled {
		if !yes {
			sent++
			a.until(id, 60*time.Second, "read", status("read"))
		} else if m := a.message(id); m.Status != "canceled" {
			t.Errorf("the cancel was answered with 200: %v", m)
		}
	}
	a.untilUsed(60*time.Second, int64(sent))
	taken := accepted(s.sendsBy(t, ch.sender(t), before))
	for id, yes := range canceled {
		if yes == (taken[id] > 0) || taken[id] > 1 {
			t.Errorf("%s: canceled %v, accepted by the provider %d times", id, yes, taken[id])
		}
	}
	t.Logf("%d canceled, %d sent", sends-sent, sent)
}

//
func TestDisabledProviderHoldsAndEnablingReleases(t *testing.T) {
	t.Parallel()
	s := ownStack(t, nil)
	a, ch := ready(t, s, plan{Limit: 100})
	operator := s.operator(t)
	entry := decode[map[string]any](t, operator.call(t, http.MethodGet, "/v1/operator/providers/edna", nil), http.StatusOK)
	put := func(status string) {
		t.Helper()
		body := map[string]any{}
		for k, v := range entry {
			if k != "id" && k != "health" && k != "since" && k != "credential_fields" && k != "version" {
				body[k] = v
			}
		}
		body["status"] = status
		if got := operator.call(t, http.MethodPut, "/v1/operator/providers/edna", body); got.status != http.StatusOK {
			t.Fatal(got)
		}
	}
	a.until(a.send(order(ch, person(), text(unique("text ")))).ID, 10*time.Second, "read", status("read"))
	s.behave(t, ch.sender(t), map[string]any{"fail_status": 503})
	waiting := a.send(order(ch, person(), text(unique("text "))))
	put("disabled")
	a.until(waiting.ID, 60*time.Second, "held", status("held"))
	s.behave(t, ch.sender(t), nil)
	wait(t, 10*time.Second, func() (bool, string) {
		got := a.call(t, http.MethodPost, "/v1/messages", order(ch, person(), text(unique("text "))))
		return got.status == http.StatusConflict && got.problem(t).Code == "provider_disabled", "the provider is disabled: " + got.String()
	})
	if got := decode[channel](t, a.call(t, http.MethodGet, "/v1/channels/"+ch.ID, nil), http.StatusOK); got.Status != "provider_disabled" {
		t.Errorf("the channel is %s", got.Status)
	}
	put("enabled")
	wait(t, 2*time.Minute, func() (bool, string) {
		s.reset(t)
		m := a.message(waiting.ID)
		return m.Status == "read", "not released: " + m.String()
	})
	a.until(a.send(order(ch, person(), text(unique("text ")))).ID, 20*time.Second, "read", status("read"))
}
