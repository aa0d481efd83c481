//go:build e2e

package e2e

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	catalogue "contactcenter/shared/event"
)

// of gives the events of a type that a CRM was told.
func (c *crm) of(t catalogue.Type) []told {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []told
	for _, e := range c.got {
		if e.Type == string(t) {
			out = append(out, e)
		}
	}
	return out
}

// the act behind each type of the catalogue, done by the one whose act it is, reaches a CRM
// that asked for it, signed and once for each act; what is everybody's reaches each account that asked for it, and nobody else.
func TestEveryTypeOfEventReachesACRM(t *testing.T) {
	t.Parallel()
	awayFromPeriodsEnd(t, "day")
	s := ownStack(t, nil) // its Rules, its providers and its periods are changed for everybody
	a, b, deaf := newAccount(t, s, plan{Limit: 4}), newAccount(t, s, plan{Limit: 1}), newAccount(t, s, plan{Limit: 1})
	own, other, silent := newCRM(t), newCRM(t), newCRM(t)
	own.register(a)
	gone := newCRM(t)
	gone.answers = []int{http.StatusGone}
	goneID := gone.register(a, string(catalogue.MessageQueued)).ID
	other.register(b, string(catalogue.SubprocessorAdded), string(catalogue.RulesPublished))
	silent.register(deaf, string(catalogue.MessageSent))

	acts := map[catalogue.Type]string{catalogue.EndpointDisabled: goneID} // what each type is to be about
	maps.Copy(acts, a.actsOnMessages(s))
	maps.Copy(acts, a.actsOfTheOperator(s))
	for _, typ := range catalogue.Types() {
		resource, done := acts[typ]
		if !done {
			t.Errorf("nothing was done that %s tells of", typ)
			continue
		}
		wait(t, 60*time.Second, func() (bool, string) {
			return slices.ContainsFunc(own.of(typ), func(e told) bool { return e.about(resource) }), "the CRM was not told " + string(typ) + " of " + resource
		})
	}
	for _, typ := range []catalogue.Type{catalogue.SubprocessorAdded, catalogue.RulesPublished} {
		wait(t, 60*time.Second, func() (bool, string) { return len(other.of(typ)) > 0, "the other CRM was not told " + string(typ) })
	}
	own.toldOnce(a)
	if n := other.toldOnce(b); n != 2 {
		t.Errorf("the one that asked for two events was told %d", n)
	}
	if n := silent.toldOnce(deaf); n != 0 {
		t.Errorf("the one that asked for none of these was told %d", n)
	}
	// Acts that were done once, or were repeated as they were.
	for _, typ := range []catalogue.Type{
		catalogue.SubprocessorAdded, catalogue.RulesPublished, catalogue.UsageReset, catalogue.ProviderDisabled, catalogue.ProviderRemoved, catalogue.AccountRestricted, catalogue.AccountRestrictionLifted,
		catalogue.EvidenceRequested, catalogue.EndpointDisabled, catalogue.UsageLimitReached, catalogue.UsageThresholdReached, catalogue.ChannelDeactivated, catalogue.MessageUnknown, catalogue.MessageExpired, catalogue.MessageCanceled,
	} {
		ids := map[string]bool{}
		for _, e := range own.of(typ) {
			ids[e.id] = true
		}
		if len(ids) != 1 {
			t.Errorf("%s was told as %d events", typ, len(ids))
		}
	}
}

// toldOnce counts the events that a CRM was told, each of which must be its account's. One that was published twice may come twice, as the
// guide to the API says: under one id, by which the CRM knows it.
func (c *crm) toldOnce(a *account) int {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := map[string]bool{}
	for _, e := range c.got {
		if e.AccountID != a.id || e.id == "" {
			c.t.Errorf("%s was told %+v", a.id, e)
		}
		seen[e.id] = true
	}
	return len(seen)
}

// about tells whether the event's data is that of a resource. Rules are named by their version, usage by its month or by its day: it is
// shown as it is when the event is sent.
func (e told) about(resource string) bool {
	return resource == e.Data.ID || resource == e.Data.Version || e.Data.Period != "" && strings.HasPrefix(e.Data.Period, resource)
}

// actsOnMessages does what the events of messages and channels tell of.
func (a *account) actsOnMessages(s *stack) map[catalogue.Type]string {
	t := a.t
	t.Helper()
	ch := a.channel()
	a.call(t, http.MethodPatch, "/v1/channels/"+ch.ID, map[string]any{"name": "another name"})
	sms := a.own("twilio_sms", twilioSMS(1))
	to := person()
	read := a.send(order(ch, to, text(unique("text "))))
	a.until(read.ID, 30*time.Second, "read", status("read"))
	s.inbound(t, inbound{SenderID: ch.sender(t), From: digits(to), Text: unique("thanks ")})
	var reply string
	wait(t, 20*time.Second, func() (bool, string) {
		for _, m := range a.messages("conversation_id=" + read.ConversationID) {
			if m.Direction == "inbound" {
				reply = m.ID
			}
		}
		return reply != "", "there is no reply"
	})
	s.behave(t, ch.sender(t), map[string]any{"fail_status": 400})
	failed := a.send(order(ch, person(), text(unique("text "))))
	a.until(failed.ID, 30*time.Second, "failed", status("failed"))
	s.behave(t, ch.sender(t), nil)
	s.steer(t, http.MethodPut, "twilio_sms", "behaviour", map[string]any{"drop_answer": true, "callbacks": false, "sender_id": sms.Address})
	unknown := a.send(order(sms, person(), text("x")))
	a.until(unknown.ID, 30*time.Second, "unknown", status("unknown"))
	a.call(t, http.MethodPost, "/v1/channels/"+sms.ID+"/deactivate", nil)

	a.setPlan(s, plan{Limit: 3}) // two are used
	last := a.send(order(ch, person(), text(unique("text "))))
	a.until(last.ID, 30*time.Second, "read", status("read"))
	u := a.untilUsed(30*time.Second, 3)
	held := a.send(order(ch, person(), text(unique("text ")), "on_limit", "hold"))
	a.until(held.ID, 30*time.Second, "held", status("held"))
	a.call(t, http.MethodPost, "/v1/messages/"+held.ID+"/cancel", nil)
	expired := a.send(order(ch, person(), text(unique("text ")), "on_limit", "hold", "expires_at", timestamp{time.Now().Add(6 * time.Second)}))
	wait(t, 30*time.Second, func() (bool, string) {
		s.invoke(t, "QuotaResetFunction", []byte(`{"source":"schedule","account_id":"`+a.id+`"}`))
		m := a.message(expired.ID)
		return m.Status == "expired", "it is not expired: " + m.String()
	})
	rejected := a.rejectedWithItsProvider(s, ch)
	return map[catalogue.Type]string{
		catalogue.ChannelActivated: ch.ID, catalogue.ChannelUpdated: ch.ID, catalogue.ChannelDeactivated: sms.ID,
		catalogue.MessageQueued: read.ID, catalogue.MessageSent: read.ID, catalogue.MessageDelivered: read.ID, catalogue.MessageRead: read.ID, catalogue.MessageReceived: reply,
		catalogue.MessageFailed: failed.ID, catalogue.MessageUnknown: unknown.ID, catalogue.MessageHeld: held.ID, catalogue.MessageCanceled: held.ID, catalogue.MessageExpired: expired.ID,
		catalogue.MessageRejected: rejected, catalogue.UsageThresholdReached: u.Period, catalogue.UsageLimitReached: u.Period,
		catalogue.ProviderDisabled: "edna", catalogue.ProviderStatusChanged: "edna", catalogue.ProviderRemoved: "edna",
	}
}

// rejectedWithItsProvider begins a new period, switches the provider off and on and off while a message waits, and removes it.
func (a *account) rejectedWithItsProvider(s *stack, ch channel) string {
	a.t.Helper()
	a.setPlan(s, plan{Limit: 100, Period: "day"}) // the month's period is over with that
	for range 2 {
		s.reset(a.t)
	}
	entry := s.registryEntry(a.t)
	s.behave(a.t, ch.sender(a.t), map[string]any{"fail_status": 503})
	waiting := a.send(order(ch, person(), text(unique("text "))))
	s.putEntry(a.t, entry, map[string]any{"status": "disabled"})
	a.until(waiting.ID, 30*time.Second, "held", status("held"))
	s.putEntry(a.t, entry, map[string]any{"status": "removed"})
	a.until(waiting.ID, time.Minute, "rejected", status("rejected"))
	s.putEntry(a.t, entry, map[string]any{"status": "enabled"})
	return waiting.ID
}

// actsOfTheOperator does what the events of what the operator does tell of. What may be repeated is, and says the same.
func (a *account) actsOfTheOperator(s *stack) map[catalogue.Type]string {
	t, op := a.t, s.operator(a.t)
	t.Helper()
	made := func(method, path string, body map[string]any, status int) *answer {
		t.Helper()
		got := op.call(t, method, path, body)
		if got.status != status {
			t.Fatal(got)
		}
		return got
	}
	current := decode[rules](t, a.call(t, http.MethodGet, "/v1/rules/current", nil), http.StatusOK)
	next := map[string]any{"version": "2099-01-01", "effective_at": "2099-01-01T00:00:00.000Z", "documents": current.Documents, "prohibited_uses": current.ProhibitedUses}
	for range 2 {
		made(http.MethodPut, "/v1/operator/providers/x_added", entryOf("webchat", "edna"), http.StatusOK)
		made(http.MethodPost, "/v1/operator/rules", next, http.StatusCreated)
	}
	restriction := a.restrict(s, map[string]any{"kind": "block"})
	a.lift(s, restriction)
	asked := decode[evidence](t, made(http.MethodPost, "/v1/operator/evidence-requests", evidenceFor(a.id), http.StatusCreated), http.StatusCreated)
	return map[catalogue.Type]string{
		catalogue.SubprocessorAdded: "x_added", catalogue.RulesPublished: "2099-01-01", catalogue.UsageReset: a.usage().Period,
		catalogue.AccountRestricted: restriction, catalogue.AccountRestrictionLifted: restriction, catalogue.EvidenceRequested: asked.ID,
	}
}
