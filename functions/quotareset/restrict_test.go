package main

import (
	"testing"
	"time"

	"contactcenter/shared/message"
	"contactcenter/shared/restriction"
	"contactcenter/shared/usage"
)

const testRestriction = "rst_0123456789abcdef"

func by(m *message.Message) { m.HeldBy = testRestriction }

// heldBy holds a message for a restriction.
func (w *world) heldBy(i int, reason string) message.Message {
	w.t.Helper()
	m := w.message(acct, recipient(i))
	by(&m)
	return w.hold(m, reason)
}

// what a restriction holds stays held while that is in force, however often one looks, and goes in its order when it
// is not any more; what it does not concern goes on.
func TestWhatARestrictionHoldsStaysUntilItEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in     restriction.Restriction
		reason string
	}{
		"a block of the channel":   {restriction.Restriction{Kind: restriction.Block, Scope: restriction.Scope{ChannelID: "chn_1"}}, message.HeldAccountRestricted},
		"a block of the provider":  {restriction.Restriction{Kind: restriction.Block, Scope: restriction.Scope{ProviderID: "edna"}}, message.HeldAccountRestricted},
		"a block of the recipient": {restriction.Restriction{Kind: restriction.Block, Scope: restriction.Scope{RecipientID: "rcp_1"}}, message.HeldAccountRestricted},
		"a limit of the channel":   {restriction.Restriction{Kind: restriction.Limit, Scope: restriction.Scope{ChannelID: "chn_1"}}, message.HeldUsageLimit},
		"one that ends by itself":  {restriction.Restriction{Kind: restriction.Block, Scope: restriction.Scope{ChannelID: "chn_1"}, Until: midMonth.Add(time.Hour)}, message.HeldAccountRestricted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.gate(acct)
			c.in.ID = testRestriction
			w.plans.terms.Changes = c.in.Until
			w.plans.restrictions = restriction.Set{c.in}
			list := []message.Message{w.heldBy(1, c.reason), w.heldBy(2, c.reason), w.heldBy(3, c.reason)}
			free := w.message(acct, recipient(9), func(m *message.Message) { m.ChannelID, m.ProviderID = "chn_2", "pigeon" })
			free = w.hold(free, message.HeldUsageLimit)
			for range 3 {
				w.run(Event{AccountID: acct})
			}
			for _, m := range list {
				if got := w.status(m); got != message.Held {
					t.Errorf("while it is in force, a message is %s", got)
				}
			}
			if got := w.status(free); got != message.Queued {
				t.Errorf("a message that it does not concern is %s", got)
			}
			if due, _ := usage.DueTime(w.read(acct).Due); !c.in.Until.IsZero() && due.After(c.in.Until) {
				t.Errorf("the next look is at %v, and the restriction ends at %v", due, c.in.Until)
			}
			w.refs.take()
			w.plans.restrictions, w.plans.terms.Changes = nil, time.Time{}
			w.run(Event{AccountID: acct})
			sent := w.refs.take()
			if len(sent) != len(list) {
				t.Fatalf("%d references were queued", len(sent))
			}
			for i, m := range list {
				if got := w.status(m); got != message.Queued || sent[i].message != m.ID {
					t.Errorf("afterwards, message %d is %s, and %v is in its place", i, got, sent[i].message)
				}
			}
			w.run(Event{AccountID: acct})
			if again := w.refs.take(); len(again) != 0 {
				t.Errorf("%d references were queued twice", len(again))
			}
		})
	}
}
