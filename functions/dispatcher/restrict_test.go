package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/audit"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/provider"
	"contactcenter/shared/restriction"
	"contactcenter/shared/usage"
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
		"provider":  {func(*bench) restriction.Scope { return restriction.Scope{ProviderID: testProvider} }, message.Held},
		"recipient by provider": {func(*bench) restriction.Scope {
			return restriction.Scope{ProviderID: testProvider, RecipientID: "rcp_0123456789abcdef"}
		}, message.Sent},
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

func (o owners) Of(context.Context, string, ...string) (map[string]string, error) { return o, nil }

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

// the dispatcher notes when 80 % and 100 % of the number are used.
func TestThresholdsAreNotedAsTheyAreCrossed(t *testing.T) {
	t.Parallel()
	b := newBench(t, 5, slow())
	for i := range 6 {
		b.deliver(1, b.accept(fmt.Sprintf("+3579900010%d", i), nil))
		g, err := b.gates.Read(t.Context(), testAccount, true)
		if err != nil {
			t.Fatal(err)
		}
		if near, full := !g.Reached.Near.IsZero(), !g.Reached.Full.IsZero(); near != (i >= 3) || full != (i >= 4) {
			t.Errorf("after %d of 5: 80 %% noted %v, 100 %% noted %v", i+1, near, full)
		}
	}
}

func number(n int64) *int64 { return &n }

// scopedUsed is how many units of the test's restriction are taken.
func (b *bench) scopedUsed() int64 {
	b.t.Helper()
	scopes := &usage.Scopes{DB: b.accounts.Audit.DB.(usage.ScopesDB), Table: b.gates.Table, Now: b.Now}
	n, err := scopes.Used(b.t.Context(), testAccount, testRestriction, "2026-11")
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// a number for one channel holds exactly, also with many dispatchers at once, and another channel goes on; what is
// over it is rejected or held as the message says.
func TestANumberForOneChannelHoldsExactly(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, slow())
	b.deliver(1, b.accept("+35799000009", nil))
	b.restrict(restriction.Restriction{Kind: restriction.Limit, Limit: number(3), Scope: restriction.Scope{ChannelID: b.channel}}, true)
	var list []id.Message
	for i := range 8 {
		list = append(list, b.accept(fmt.Sprintf("+3579900010%d", i), nil))
	}
	held := b.accept("+35799000200", func(m *message.Message) { m.OnLimit = message.Hold })
	var group sync.WaitGroup
	for _, m := range list {
		group.Go(func() { b.deliver(1, m) })
	}
	group.Wait()
	for r := 2; r < 6; r++ { // those that met others in the ledger or in a transaction come again
		b.pass(20 * time.Second)
		b.deliver(r, list...)
	}
	b.deliver(1, held)
	sent := 0
	for _, m := range list {
		switch got := b.message(m); got.Outcome {
		case message.Sent:
			sent++
		case message.Rejected:
		default:
			t.Errorf("%s is %s", m, got.Outcome)
		}
	}
	if sent != 3 || len(b.provider.calls) != 4 || b.scopedUsed() != 3 {
		t.Errorf("%d were sent, %d calls made, %d counted", sent, len(b.provider.calls), b.scopedUsed())
	}
	if got := b.message(held); got.Outcome != message.Held || got.HeldReason != message.HeldUsageLimit || got.HeldBy != testRestriction || got.ReleaseAt.IsZero() {
		t.Errorf("the one to be held is %+v", got)
	}
	b.channel = b.newChannel()
	other := b.accept("+35799000300", nil)
	b.deliver(1, other)
	b.wantStatus(other, message.Sent, "")
	b.wantUsed(5)
}

// a number for one provider counts what goes by it on any of the account's channels.
func TestANumberForOneProviderHoldsOnAllItsChannels(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, slow())
	b.deliver(1, b.accept("+35799000009", nil))
	b.restrict(restriction.Restriction{Kind: restriction.Limit, Limit: number(2), Scope: restriction.Scope{ProviderID: testProvider}}, true)
	for i, want := range []message.Status{message.Sent, message.Sent, message.Rejected} {
		b.channel = b.newChannel()
		m := b.accept(fmt.Sprintf("+3579900040%d", i), nil)
		b.deliver(1, m)
		if got := b.message(m).Outcome; got != want {
			t.Errorf("message %d is %s, want %s", i, got, want)
		}
	}
}

// what was certainly not handed over gives its unit of the channel's number back; a repeat takes none twice.
func TestAUnitOfAChannelsNumberComesBackWithWhatWasNotHandedOver(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, slow())
	b.deliver(1, b.accept("+35799000009", nil))
	b.restrict(restriction.Restriction{Kind: restriction.Limit, Limit: number(2), Scope: restriction.Scope{ChannelID: b.channel}}, true)
	b.provider.answers = []error{refusal(provider.Permanent), refusal(provider.Retry), lost()}
	refused, later := b.accept("+35799000101", nil), b.accept("+35799000102", nil)
	b.deliver(1, refused)
	b.wantStatus(refused, message.Failed, "provider_refused")
	if n := b.scopedUsed(); n != 0 {
		t.Errorf("after a refusal, %d are counted", n)
	}
	b.deliver(1, later)
	if n := b.scopedUsed(); n != 0 {
		t.Errorf("while it waits for another attempt, %d are counted", n)
	}
	for r := 2; r < 5; r++ {
		b.pass(time.Minute)
		b.deliver(r, later)
	}
	b.wantStatus(later, message.Sent, "")
	if n := b.scopedUsed(); n != 1 {
		t.Errorf("after it was sent, %d are counted", n)
	}
}

// above a channel's frequency messages wait their turn, and nobody is refused.
func TestAFrequencyForOneChannelLetsMessagesWait(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, slow())
	b.deliver(1, b.accept("+35799000009", nil))
	b.restrict(restriction.Restriction{Kind: restriction.Limit, Rate: &restriction.Rate{Limit: 1, WindowSeconds: 10, Burst: 1}, Scope: restriction.Scope{ChannelID: b.channel}}, true)
	var list []id.Message
	for i := range 4 {
		list = append(list, b.accept(fmt.Sprintf("+3579900010%d", i), nil))
	}
	start, left := b.Now(), b.deliver(1, list...)
	for step := 1; step < 60 && len(left) > 0; step++ {
		b.pass(time.Second)
		calls := len(b.provider.calls) - 1
		left = b.deliver(2, left...)
		if most := int(b.Now().Sub(start)/(10*time.Second)) + 1; len(b.provider.calls)-1 > most {
			t.Errorf("after %v, %d calls, and %d before", b.Now().Sub(start), len(b.provider.calls)-1, calls)
		}
	}
	for _, m := range list {
		b.wantStatus(m, message.Sent, "")
	}
}

// nobody is turned away for a unit of a channel's number that may come back.
func TestNobodyIsTurnedAwayForAUnitOfAChannelsNumberThatMayComeBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, slow())
	b.deliver(1, b.accept("+35799000009", nil))
	b.restrict(restriction.Restriction{Kind: restriction.Limit, Limit: number(1), Scope: restriction.Scope{ChannelID: b.channel}}, true)
	first, second, third := b.accept("+35799000101", nil), b.accept("+35799000102", nil), b.accept("+35799000103", nil)
	b.provider.answers = []error{refusal(provider.Permanent)}
	b.provider.during = func(id string) {
		if id == first.String() {
			b.deliver(1, second) // the only unit is in use
		}
	}
	b.deliver(1, first)
	b.wantStatus(first, message.Failed, "provider_refused")
	b.wantStatus(second, message.Queued, "")
	b.pass(20 * time.Second)
	b.deliver(2, second)
	b.wantStatus(second, message.Sent, "")
	b.deliver(1, third)
	b.wantStatus(third, message.Rejected, "usage_limit_reached")
}
