package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/usage"
)

// no call leaves later than 5 s after the provider was disabled; what waits is held, and the account is marked
// before, so that whoever enables the provider finds it.
func TestADisabledProviderIsNotCalledAndWhatWaitsIsHeldAndMarked(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, slow())
	first := b.accept("+35799000201", nil)
	b.deliver(1, first) // the entry is in memory now
	var list []id.Message
	for i := range 8 {
		list = append(list, b.accept(fmt.Sprintf("+3579900030%d", i%2), nil))
	}
	b.setProvider(registry.Disabled)
	b.d.Providers = &registry.Store{DB: b.registry.DB, Table: b.registry.Table, Now: b.Now} // another process than the operator's
	if _, err := b.d.Providers.Get(t.Context(), testProvider); err != nil {
		t.Fatal(err)
	}
	b.pass(registry.CacheAge)
	receives := 1
	for left := list; len(left) > 0 && receives < 10; receives++ {
		left = b.deliver(receives, left...)
	}
	for _, m := range list {
		b.wantStatus(m, message.Held, "")
	}
	if n := len(b.provider.calls); n != 1 {
		t.Errorf("the provider was called %d times, want once, before it was disabled", n)
	}
	b.wantUsed(1)
	marked, _, err := b.waiting.Waiting(t.Context(), testProvider, usage.Shard(testAccount), "")
	if err != nil || fmt.Sprint(marked) != "["+testAccount+"]" {
		t.Errorf("marked are %v, %v", marked, err)
	}
}

// Enabling is seen within a second, so that what is released at once is not held again.
func TestAMessageIsNotHeldForAProviderThatHasJustBeenEnabled(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, slow())
	b.setProvider(registry.Disabled)
	b.d.Providers = &registry.Store{DB: b.registry.DB, Table: b.registry.Table, Now: b.Now}
	b.deliver(1, b.accept("+35799000201", nil)) // the entry is in memory now
	b.setProvider(registry.Enabled)
	b.pass(registry.RecentAge)
	m := b.accept("+35799000202", nil)
	b.deliver(1, m)
	b.wantStatus(m, message.Sent, "")
}

// a repeat within one invocation is a call like any other.
func TestALostAnswerIsNotFollowedByACallOnceTheProviderIsDisabled(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, slow())
	b.provider.answers = []error{lost()}
	b.provider.during = func(string) {
		b.setProvider(registry.Disabled)
		b.pass(registry.CacheAge)
	}
	m := b.accept("+35799000201", nil)
	b.deliver(1, m)
	if n := len(b.provider.calls); n != 1 {
		t.Errorf("the provider was called %d times", n)
	}
	b.provider.during = nil
	b.pass(2 * usage.Lease)
	b.deliver(2, m)
	if n := len(b.provider.calls); n != 1 {
		t.Errorf("after the lease, the provider was called %d times", n)
	}
	b.wantStatus(m, message.Queued, "")
	b.setProvider(registry.Enabled)
	b.pass(2 * usage.Lease)
	b.deliver(3, m)
	b.wantStatus(m, message.Sent, "")
	b.wantUsed(1)
	if n := len(b.provider.accepted); n != 1 {
		t.Errorf("the provider has it %d times", n)
	}
}

// callTimes makes the scripted provider note when it was called.
func (b *bench) callTimes() *[]time.Time {
	times := &[]time.Time{}
	b.provider.during = func(string) { *times = append(*times, b.Now()) }
	return times
}

// two messages to one recipient lie as far apart as the provider asks, and nothing is refused; another recipient
// does not wait.
func TestMessagesToOneRecipientAreSpacedAsTheProviderAsks(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, account.Rate{Limit: 1000, WindowSeconds: 1, Burst: 1000})
	b.limits.PerRecipientSeconds = 6
	b.setProvider(registry.Enabled)
	b.pass(registry.CacheAge)
	times := b.callTimes()
	waiting := []id.Message{b.accept("+35799000401", nil), b.accept("+35799000401", nil), b.accept("+35799000401", nil)}
	other := b.accept("+35799000402", nil)
	b.deliver(1, append(slices.Clone(waiting), other)...)
	b.wantStatus(other, message.Sent, "")
	for receives := 2; receives < 200; receives++ {
		b.pass(500 * time.Millisecond)
		if waiting = b.deliver(receives, waiting...); len(waiting) == 0 {
			break
		}
	}
	if len(*times) != 4 {
		t.Fatalf("the provider was called %d times, want 4", len(*times))
	}
	pair := slices.Delete(slices.Clone(*times), 1, 2) // of the two at first, either is the other recipient's
	for i := 1; i < len(pair); i++ {
		if gap := pair[i].Sub(pair[i-1]); gap < 6*time.Second {
			t.Errorf("calls %d and %d lie %v apart", i, i+1, gap)
		}
	}
	b.wantUsed(4)
}

// the provider's bound holds over all that is sent to it; what is above it waits and keeps no unit meanwhile.
func TestTheProvidersOwnRateIsKeptAndNothingIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, account.Rate{Limit: 1000, WindowSeconds: 1, Burst: 1000})
	b.limits.Rate = &registry.Rate{Limit: 2, WindowSeconds: 1, Burst: 1}
	b.setProvider(registry.Enabled)
	b.pass(registry.CacheAge)
	times := b.callTimes()
	var waiting []id.Message
	for i := range 6 {
		waiting = append(waiting, b.accept(fmt.Sprintf("+3579900050%d", i), nil))
	}
	all := slices.Clone(waiting)
	for receives := 1; receives < 200 && len(waiting) > 0; receives++ {
		waiting = b.deliver(receives, waiting...)
		b.pass(100 * time.Millisecond)
	}
	for _, m := range all {
		b.wantStatus(m, message.Sent, "")
	}
	slices.SortFunc(*times, time.Time.Compare)
	for i := 2; i < len(*times); i++ {
		if gap := (*times)[i].Sub((*times)[i-2]); gap < time.Second {
			t.Errorf("three calls lie within %v", gap)
		}
	}
	b.wantUsed(6)
}

// R-4.1b: the message names the version of the provider's entry that it was handed over under.
func TestAMessageNamesTheEntryItWasHandedOverUnder(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, slow())
	first := b.accept("+35799000601", nil)
	b.deliver(1, first)
	b.setProvider(registry.Disabled)
	b.setProvider(registry.Enabled)
	b.pass(registry.CacheAge)
	second := b.accept("+35799000602", nil)
	if got := b.get(second).ProviderVersion; got != 0 {
		t.Errorf("before it is handed over, the version is %d", got)
	}
	b.provider.answers = []error{refusal(provider.Permanent)}
	b.deliver(1, second)
	if one, two := b.get(first).ProviderVersion, b.get(second).ProviderVersion; one != 1 || two != 3 {
		t.Errorf("the versions are %d and %d, want 1 and 3", one, two)
	}
}
