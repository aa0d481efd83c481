package main

import (
	"slices"
	"strings"
	"testing"

	"contactcenter/shared/account"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/usage"
)

// allow sets the account's list of countries as another process does; its terms reach the gate only when push is set.
func (b *bench) allow(push bool, countries ...string) {
	b.t.Helper()
	if _, err := b.operator().SetCountries(b.t.Context(), testAccount, countries, audittest.By(testAccount)); err != nil {
		b.t.Fatal(err)
	}
	if push {
		b.push()
	}
}

// takesTo changes the countries of the provider, as another process does.
func (b *bench) takesTo(countries ...string) {
	b.t.Helper()
	other := &registry.Store{DB: b.registry.DB, Table: b.registry.Table, Now: b.Now, Audit: b.registry.Audit}
	e := registry.Entry{ID: testProvider, Name: "Scripted", Onboarding: registry.Native, ChannelTypes: []string{"whatsapp"}, TermsVersion: "1", Status: registry.Enabled, TransferCountries: countries, Limits: b.limits}
	if _, err := other.Put(b.t.Context(), e, audittest.ByOperator()); err != nil {
		b.t.Fatal(err)
	}
}

// R-4.1c: whatever changed since it was accepted, the account's list or the provider's, a message that would take data where the account
// lets none go is rejected without a call of the provider, 5 s later at the latest, and its unit comes back.
func TestAMessageToWhereTheAccountLetsNoDataGoIsRejected(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(b *bench)
		status message.Status
		names  string
	}{
		"no list":                              {func(b *bench) { b.takesTo("CY", "US") }, message.Sent, ""},
		"all are on the list":                  {func(b *bench) { b.takesTo("CY"); b.allow(true, "DE", "CY") }, message.Sent, ""},
		"the account's list was made shorter":  {func(b *bench) { b.takesTo("CY", "US"); b.pass(registry.CacheAge); b.allow(true, "CY") }, message.Rejected, "US"},
		"the push to the gate was lost":        {func(b *bench) { b.takesTo("CY", "US"); b.allow(false, "CY"); b.pass(account.TermsAge) }, message.Rejected, "US"},
		"the provider's list was made longer":  {func(b *bench) { b.allow(true, "CY"); b.takesTo("CY", "US", "AE"); b.pass(registry.CacheAge) }, message.Rejected, "US, AE"},
		"the provider names no countries":      {func(b *bench) { b.takesTo(); b.allow(true, "CY"); b.pass(registry.CacheAge) }, message.Rejected, "does not say"},
		"the list was taken away a moment ago": {func(b *bench) { b.takesTo("US"); b.allow(true, "CY"); b.remember(); b.allow(false) }, message.Sent, ""},
		"the provider left the country just now": {func(b *bench) {
			b.takesTo("US")
			b.allow(true, "CY")
			b.remember()
			b.pass(registry.RecentAge)
			b.takesTo("CY")
		}, message.Sent, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 100, slow())
			b.takesTo("CY")
			b.pass(registry.CacheAge)
			b.deliver(1, b.accept("+35799000009", nil)) // account and provider are in memory now
			m := b.accept("+35799000001", nil)
			c.change(b)
			b.deliver(1, m)
			code := ""
			if c.status == message.Rejected {
				code = "transfer_country_not_allowed"
			}
			b.wantStatus(m, c.status, code)
			if p := b.get(m).Error(); p != nil && (!strings.Contains(p.Detail, c.names) || p.FaultDomain != "customer" || !p.Permanent) {
				t.Errorf("the problem is %+v", p)
			}
			called := slices.Contains(b.provider.calls, m.String())
			if called != (c.status == message.Sent) {
				t.Errorf("the provider was called: %v", called)
			}
			used := int64(1)
			if called {
				used = 2
			}
			b.wantUsed(used)
		})
	}
}

// remember lets the dispatcher read account and provider as they are now.
func (b *bench) remember() {
	b.t.Helper()
	if _, err := b.accounts.Standing(b.t.Context(), testAccount, true); err != nil {
		b.t.Fatal(err)
	}
	b.pass(registry.CacheAge)
	if _, err := b.registry.Get(b.t.Context(), testProvider); err != nil {
		b.t.Fatal(err)
	}
}

// R-4.1c: what was held or claimed before the list ends like the rest, and what its provider may have is not called rejected.
func TestTheListHoldsForWhatWasHeldClaimedOrCalledBefore(t *testing.T) {
	t.Parallel()
	t.Run("held", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, 100, slow())
		b.setProvider(registry.Disabled)
		b.pass(registry.CacheAge)
		m := b.accept("+35799000001", nil)
		b.deliver(1, m)
		b.wantStatus(m, message.Held, "")
		b.takesTo("US")
		b.allow(true, "CY")
		b.pass(registry.CacheAge)
		if _, err := b.messages.Release(t.Context(), b.message(m), b.Now()); err != nil {
			t.Fatal(err)
		}
		b.deliver(1, m)
		b.wantStatus(m, message.Rejected, "transfer_country_not_allowed")
		b.wantUsed(0)
	})
	t.Run("claimed", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, 100, slow())
		b.takesTo("CY")
		b.pass(registry.CacheAge)
		var list []id.Message
		for range 4 { // one conversation: one after the other
			list = append(list, b.accept("+35799000001", nil))
		}
		first := true
		b.provider.during = func(string) {
			if first {
				first = false
				b.allow(true, "DE")
				b.pass(account.TermsAge)
			}
		}
		left := b.deliver(1, list...)
		for r := 2; len(left) > 0 && r < 20; r++ {
			left = b.deliver(r, left...)
		}
		for _, m := range list[1:] {
			b.wantStatus(m, message.Rejected, "transfer_country_not_allowed")
		}
		if n := len(b.provider.calls); n != 1 {
			t.Errorf("the provider was called %d times, want once, before the list", n)
		}
		b.wantUsed(1)
	})
	t.Run("called without an answer", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, 100, slow())
		b.takesTo("CY")
		b.pass(registry.CacheAge)
		b.provider.answers = []error{lost()}
		b.provider.during = func(string) {
			b.allow(true, "DE")
			b.pass(account.TermsAge)
		}
		m := b.accept("+35799000001", nil)
		b.deliver(1, m)
		for r := 2; r < 4; r++ {
			b.pass(2 * usage.Lease)
			b.deliver(r, m)
		}
		if n := len(b.provider.calls); n != 1 {
			t.Errorf("the provider was called %d times, want once, before the list", n)
		}
		b.wantStatus(m, message.Unknown, "outcome_unknown")
	})
}
