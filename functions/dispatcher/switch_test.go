package main

import (
	"fmt"
	"testing"

	"contactcenter/shared/id"
	"contactcenter/shared/message"
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
