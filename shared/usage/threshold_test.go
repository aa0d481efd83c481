package usage_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"contactcenter/shared/usage"
)

// however many see at once that a threshold is crossed, it is noted once in a period; what comes back later changes
// nothing, a raised limit neither; and the closed period keeps it.
func TestAThresholdIsNotedOnceInAPeriodAndKept(t *testing.T) {
	t.Parallel()
	terms := usage.Terms{PlanID: "basic", Version: "basic@1", Limit: 10, Kind: usage.Day, InFlight: 20}
	f := newGate(t, terms)
	cross := func(g usage.Gate) (near, full int64) {
		var n, m atomic.Int64
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				a, b, err := f.Cross(t.Context(), g)
				if err != nil {
					t.Error(err)
				}
				if a {
					n.Add(1)
				}
				if b {
					m.Add(1)
				}
			})
		}
		group.Wait()
		return n.Load(), m.Load()
	}
	want := func(what string, g usage.Gate, near, full int64) {
		t.Helper()
		if n, m := cross(g); n != near || m != full {
			t.Errorf("%s: noted %d and %d times, want %d and %d", what, n, m, near, full)
		}
	}
	want("at 70 %", f.reserve(t, terms, 1, msgs(1, 7)...), 0, 0)
	at80 := f.reserve(t, terms, 2, msg(8))
	want("at 80 %", at80, 1, 0)
	noted := f.gate(t).Reached.Near
	f.clock.Move(time.Second)
	g := f.reserve(t, terms, 3, msgs(9, 2)...)
	want("at 100 %", g, 0, 1)
	if err := f.Settle(t.Context(), g, []usage.Settlement{{Entry: g.Entries[msg(10).Unique], GiveBack: true}}); err != nil {
		t.Fatal(err)
	}
	want("again at 100 %", f.reserve(t, terms, 4, msg(11)), 0, 0)
	if r := f.gate(t).Reached; !r.Near.Equal(noted) || r.Full.Sub(r.Near) != time.Second {
		t.Errorf("noted at %+v", r)
	}
	f.clock.Move(24 * time.Hour)
	g = f.gate(t)
	_, err := f.Roll(t.Context(), usage.Gate{AccountID: g.AccountID, Period: g.Period, Used: g.Used}, terms) // somebody who did not see them
	wantRefused(t, err)
	rolled, err := f.Roll(t.Context(), g, terms)
	if err != nil || rolled.Reached != (usage.Reached{}) {
		t.Fatalf("the new period has %+v, %v", rolled.Reached, err)
	}
	var all []usage.Settlement
	for _, e := range rolled.Entries {
		all = append(all, usage.Settlement{Entry: e})
	}
	if err := f.Settle(t.Context(), rolled, all); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Export(t.Context(), f.gate(t)); err != nil {
		t.Fatal(err)
	}
	kept, err := f.ClosedReached(t.Context(), account, "2026-11-24")
	if err != nil || !kept.Near.Equal(noted) || kept.Full.IsZero() {
		t.Errorf("the closed period has %+v, %v", kept, err)
	}
	want("in the new period", f.reserve(t, terms, 5, msgs(20, 10)...), 1, 1)
}

// terms under a restriction bring the gate's next look forward to when it ends, and what ends makes room at once.
func TestTermsUnderARestrictionAreAdoptedAndLeft(t *testing.T) {
	t.Parallel()
	f := newGate(t, monthly)
	g := f.reserve(t, monthly, 1, msgs(1, 2)...)
	blocked := monthly
	blocked.Version, blocked.Blocked, blocked.Changes = "basic@1+ab", true, f.clock.Now().Add(time.Hour)
	g, err := f.AdoptTerms(t.Context(), g, blocked)
	if err != nil {
		t.Fatal(err)
	}
	if due, _ := usage.DueTime(g.Due); !g.Blocked || !due.Equal(blocked.Changes) || g.Used != 2 {
		t.Errorf("the gate is %+v", g)
	}
	if _, err := f.Reserve(t.Context(), account, blocked, usage.Claim{Messages: msgs(3, 3), Nonce: 2, Gate: g}); err == nil {
		t.Error("a blocked gate gave a unit")
	}
	f.clock.Move(time.Minute)
	if g, err = f.AdoptTerms(t.Context(), g, monthly); err != nil {
		t.Fatal(err)
	}
	if due, _ := usage.DueTime(g.Due); g.Blocked || !due.Equal(f.clock.Now()) || g.Used != 2 {
		t.Errorf("the gate is %+v", g)
	}
	f.reserve(t, monthly, 3, msg(3))
}
