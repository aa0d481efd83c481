package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/audit"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/restriction"
)

const testRestriction = "rst_0123456789abcdef"

// operator gives the accounts as another process sees them: what it changes is not in the dispatcher's memory.
func (b *bench) operator() *account.Store {
	return &account.Store{DB: b.accounts.DB, Table: b.accounts.Table, Now: b.Now, DefaultPlanID: "test", Audit: b.accounts.Audit}
}

func act(restrictionID string) audit.Event {
	return audit.Event{AccountID: testAccount, Actor: audit.Actor{Kind: audit.Operator, ID: "op"}, Action: "restriction.changed", Target: restrictionID}
}

// restrict puts a restriction into force; its terms reach the gate only when push is set.
func (b *bench) restrict(r restriction.Restriction, push bool) {
	b.t.Helper()
	if _, err := b.accounts.Get(b.t.Context(), testAccount); err != nil {
		b.t.Fatal(err)
	}
	if r.ID == "" {
		r.ID = testRestriction
	}
	r.AccountID, r.Reason, r.Clause, r.From = testAccount, "Spam was reported.", "13", b.Now()
	if err := b.operator().Restrict(b.t.Context(), r, act(r.ID)); err != nil {
		b.t.Fatal(err)
	}
	if push {
		b.push()
	}
}

func (b *bench) lift() {
	b.t.Helper()
	if _, _, err := b.operator().Lift(b.t.Context(), testRestriction, "op", act(testRestriction)); err != nil {
		b.t.Fatal(err)
	}
	b.push()
}

// push brings the terms in force to the gate, as the operator's function does.
func (b *bench) push() {
	b.t.Helper()
	terms, err := b.operator().Terms(b.t.Context(), testAccount, true)
	if err != nil {
		b.t.Fatal(err)
	}
	g, err := b.gates.Read(b.t.Context(), testAccount, true)
	if err == nil {
		_, err = b.gates.AdoptTerms(b.t.Context(), g, terms)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) message(m id.Message) message.Message {
	b.t.Helper()
	got, err := b.messages.Get(b.t.Context(), testAccount, m)
	if err != nil {
		b.t.Fatal(err)
	}
	return got
}

// nothing that waits is handed over once the account, its channel or the recipient is blocked, from the very next
// batch on; it is held for that restriction and counts nothing, and goes once when the restriction is lifted. What is not
// in its scope goes on.
func TestWhatIsBlockedIsHeldFromTheNextBatchOnAndGoesOnceAfterwards(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scope func(b *bench) restriction.Scope
		other message.Status // what becomes of a message on another channel, to somebody else
	}{
		"account":   {func(*bench) restriction.Scope { return restriction.Scope{} }, message.Held},
		"channel":   {func(b *bench) restriction.Scope { return restriction.Scope{ChannelID: b.channel} }, message.Sent},
		"recipient": {func(*bench) restriction.Scope { return restriction.Scope{RecipientID: "rcp_0123456789abcdef"} }, message.Sent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 100, slow())
			b.d.Recipients = owners{"+35799000001": "rcp_0123456789abcdef"}
			b.deliver(1, b.accept("+35799000009", nil)) // account and plan are in memory now
			b.restrict(restriction.Restriction{Kind: restriction.Block, Scope: c.scope(b)}, true)
			list := []id.Message{b.accept("+35799000001", nil), b.accept("+35799000001", nil)}
			b.channel = b.newChannel()
			other := b.accept("+35799000002", nil)
			b.deliver(1, append(list, other)...)
			for r := 2; r < 8; r++ {
				b.deliver(r, list...)
			}
			b.wantStatus(other, c.other, "")
			for _, m := range list {
				b.wantStatus(m, message.Held, "")
				if got := b.message(m); got.HeldBy != testRestriction && got.HeldReason != message.HeldOrder {
					t.Errorf("%s is held for %q by %q", m, got.HeldReason, got.HeldBy)
				}
			}
			used := int64(1)
			if c.other == message.Sent {
				used = 2
			}
			b.wantUsed(used)
			b.lift()
			if c.other == message.Held {
				list = append(list, other)
			}
			for _, m := range list {
				if _, err := b.messages.Release(t.Context(), b.message(m), b.Now()); err != nil {
					t.Fatal(err)
				}
			}
			for r := 1; r < 6; r++ {
				b.pass(5 * time.Second)
				b.deliver(r, list...)
			}
			calls := map[string]int{}
			for _, m := range b.provider.calls {
				calls[m]++
			}
			for _, m := range list {
				b.wantStatus(m, message.Sent, "")
				if calls[m.String()] != 1 {
					t.Errorf("%s was handed over %d times", m, calls[m.String()])
				}
			}
		})
	}
}

// owners says whose an address is.
type owners map[string]string

func (o owners) Owner(_ context.Context, _, address string) (string, error) { return o[address], nil }

// the block does not depend on the push to the gate: who remembers the account from before finds it after 5 s.
func TestABlockWhosePushWasLostHoldsAfterFiveSeconds(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, slow())
	b.deliver(1, b.accept("+35799000001", nil))
	b.restrict(restriction.Restriction{Kind: restriction.Block}, false)
	b.pass(account.TermsAge)
	m := b.accept("+35799000002", nil)
	b.deliver(1, m)
	b.wantStatus(m, message.Held, "")
	if g, err := b.gates.Read(t.Context(), testAccount, true); err != nil || !g.Blocked {
		t.Errorf("the gate was not blocked by who found out: %+v, %v", g, err)
	}
}

// messages that were claimed before the block, and whose turn comes later, are held too.
func TestABlockHoldsWhatWasClaimedBefore(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, slow())
	var list []id.Message
	for range 6 { // one conversation: one after the other
		list = append(list, b.accept("+35799000001", nil))
	}
	first := true
	b.provider.during = func(string) {
		if first {
			first = false
			b.restrict(restriction.Restriction{Kind: restriction.Block}, true)
			b.pass(account.TermsAge)
		}
	}
	left := b.deliver(1, list...)
	for r := 2; len(left) > 0 && r < 20; r++ {
		left = b.deliver(r, left...)
	}
	if n := len(b.provider.calls); n != 1 {
		t.Errorf("the provider was called %d times, want once, before the block", n)
	}
	for _, m := range list[1:] {
		b.wantStatus(m, message.Held, "")
	}
	b.wantUsed(1)
}

// a block that ends at its time needs nobody who lifts it.
func TestABlockEndsByItself(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, slow())
	b.deliver(1, b.accept("+35799000009", nil))
	until := b.Now().Add(time.Minute)
	b.restrict(restriction.Restriction{Kind: restriction.Block, Until: until}, true)
	m := b.accept("+35799000001", nil)
	b.deliver(1, m)
	if got := b.message(m); got.HeldReason != message.HeldAccountRestricted || !got.ReleaseAt.Equal(until) {
		t.Errorf("it is held for %q until %v", got.HeldReason, got.ReleaseAt)
	}
	b.pass(time.Minute)
	later := b.accept("+35799000002", nil)
	b.deliver(1, later)
	b.wantStatus(later, message.Sent, "")
}

// the restriction's number holds in place of the plan's, and the plan's again afterwards, with the same count.
func TestALowerNumberHoldsForTheAccount(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, slow())
	b.deliver(1, b.accept("+35799000009", nil))
	limit := int64(3)
	b.restrict(restriction.Restriction{Kind: restriction.Limit, Limit: &limit}, true)
	for i := range 5 {
		b.deliver(1, b.accept(fmt.Sprintf("+3579900010%d", i), nil))
	}
	if n := len(b.provider.calls); n != 3 {
		t.Errorf("the provider was called %d times, want 3", n)
	}
	b.lift()
	b.deliver(1, b.accept("+35799000201", nil))
	b.wantUsed(4)
}
