package usage_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"contactcenter/shared/usage"
)

// a limit's number is exact with many takers at once, a message takes one unit however often it asks, and gives it back
// once; who was overtaken gives nothing back.
func TestALimitsNumberIsExactAndAMessageHoldsOneUnit(t *testing.T) {
	t.Parallel()
	f := newStore(t)
	s := &usage.Scopes{DB: f.db, Table: f.Table, Now: f.clock.Now}
	take := func(n int, lease int64) bool {
		for {
			ok, err := s.Take(t.Context(), account, "rst_1", "2026-11", 5, msg(n), lease)
			if err == nil {
				return ok
			}
		}
	}
	used := func(want int64) {
		t.Helper()
		if n, err := s.Used(t.Context(), account, "rst_1", "2026-11"); err != nil || n != want {
			t.Errorf("%d are taken, want %d (%v)", n, want, err)
		}
	}
	var taken atomic.Int64
	var group sync.WaitGroup
	for i := range 12 {
		group.Go(func() {
			if take(i, 1) {
				taken.Add(1)
			}
		})
	}
	group.Wait()
	if used(5); taken.Load() != 5 {
		t.Errorf("%d were given", taken.Load())
	}
	held := 0
	for !take(held, 2) { // one that holds a unit: its next holder takes it over
		held++
	}
	used(5)
	give := func(lease int64) {
		t.Helper()
		if err := s.GiveBack(t.Context(), account, "rst_1", msg(held), lease); err != nil {
			t.Error(err)
		}
	}
	give(1)
	used(5)
	for range 2 {
		give(2)
		used(4)
	}
	if !take(99, 1) {
		t.Error("the unit that came back is not given")
	}
	if ok, err := s.Take(t.Context(), account, "rst_1", "2026-12", 1, msg(7), 1); err != nil || !ok {
		t.Errorf("the next period: %v, %v", ok, err)
	}
	if ok, err := s.Take(t.Context(), account, "rst_2", "2026-11", 0, msg(7), 1); err != nil || ok {
		t.Errorf("a limit of nothing: %v, %v", ok, err)
	}
}

// a limit's frequency lets its burst pass at once and gives everybody else a place of their own.
func TestALimitsFrequencyGivesEachAPlaceInTheLine(t *testing.T) {
	t.Parallel()
	f := newStore(t)
	s := &usage.Scopes{DB: f.db, Table: f.Table, Now: f.clock.Now}
	rate := usage.Rate{Limit: 1, Window: 10 * time.Second, Burst: 2}
	for i, want := range []time.Duration{0, 0, 10 * time.Second, 20 * time.Second, 30 * time.Second} {
		if got, err := s.Pass(t.Context(), account, "rst_1", rate, false); err != nil || got != want {
			t.Errorf("message %d waits %v, want %v (%v)", i, got, want, err)
		}
	}
	f.clock.Move(10 * time.Second)
	if got, err := s.Pass(t.Context(), account, "rst_1", rate, true); err != nil || got != 0 {
		t.Errorf("the first of the line waits %v (%v)", got, err)
	}
	if got, err := s.Pass(t.Context(), account, "rst_1", rate, false); err != nil || got == 0 {
		t.Errorf("a new one passes those in the line (%v)", err)
	}
	f.clock.Move(time.Hour)
	if got, err := s.Pass(t.Context(), account, "rst_1", rate, false); err != nil || got != 0 {
		t.Errorf("after a pause it waits %v (%v)", got, err)
	}
}
