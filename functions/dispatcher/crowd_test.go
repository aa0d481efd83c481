package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/id"
	"contactcenter/shared/usage"
)

// crowd fills the ledger with messages that other dispatchers work on, and gives what settles them.
func (b *bench) crowd() (settle func(n int)) {
	b.t.Helper()
	var list []id.Message
	for i := range account.InFlight {
		list = append(list, b.accept(fmt.Sprintf("+3579910%04d", i), nil))
	}
	a, err := b.gates.Admit(b.t.Context(), testAccount, b.d.terms(testAccount), list, usage.Gate{}, 999, usage.Turn{Waited: true})
	for err == nil && len(a.Granted) < len(list) {
		a, err = b.gates.Admit(b.t.Context(), testAccount, b.d.terms(testAccount), list, a.Gate, 999, usage.Turn{Waited: true})
	}
	if err != nil || len(b.gate().Entries) != account.InFlight {
		b.t.Fatalf("%d entries, %v", len(b.gate().Entries), err)
	}
	return func(n int) {
		b.t.Helper()
		var done []usage.Settlement
		g := b.gate()
		for _, m := range list[:n] {
			done = append(done, usage.Settlement{Entry: g.Entries[m.Unique]})
		}
		list = list[n:]
		if err := b.gates.Settle(b.t.Context(), g, done); err != nil {
			b.t.Fatal(err)
		}
	}
}

// paced lets the dispatcher know that its account used so many messages in the last two seconds.
func (b *bench) paced(n int64) {
	b.t.Helper()
	g := b.gate()
	g.Used -= n
	b.d.Hints.Put(g, b.Now())
	b.pass(paceOver)
}

// where the ledger is full and it is known how soon places become free, messages get places in a line, so that a backlog does
// not come back all the time; the line is never longer than a minute.
func TestABacklogGetsPlacesInLineForTheLedger(t *testing.T) {
	t.Parallel()
	b := newBench(t, 10_000, slow())
	b.crowd()
	var list []id.Message
	for i := range 10 {
		list = append(list, b.accept(fmt.Sprintf("+3579900%04d", i), nil))
	}
	queued := b.line()
	longest := func() (out time.Duration) {
		if again := b.deliver(1, list...); len(again) != len(list) {
			t.Fatalf("%d come again", len(again))
		}
		for _, d := range queued.visible {
			out = max(out, d)
		}
		return out
	}
	for range 20 {
		if d := longest(); d > 2*time.Second || b.gate().Line.After(b.Now()) {
			t.Fatalf("while no pace is known they come back after %v", d)
		}
	}
	b.paced(400) // 200 a second: a place in 4 ms, with what is asked back on top
	for i := range 100 {
		want := (time.Duration(10*(i+1)) * 4 * time.Millisecond).Truncate(time.Second) + time.Second
		if d := longest(); d > want || d < want-time.Second {
			t.Fatalf("batch %d comes back after %v, want %v", i, d, want)
		}
	}
	if _, err := b.gates.Place(t.Context(), b.gate(), time.Second, 80, longestLine, false); err != nil {
		t.Fatal(err)
	}
	end := b.gate().Line
	for range 20 {
		if d := longest(); d > longestLine {
			t.Errorf("they come back after %v", d)
		}
	}
	if got := b.gate().Line; !got.Equal(end) {
		t.Errorf("a line that is full became longer by %v", got.Sub(end))
	}
	if len(b.provider.calls) != 0 {
		t.Errorf("%d were handed over", len(b.provider.calls))
	}
}

// A rate that bounds the account more than its ledger does has a line of its own.
func TestWhereTheRateBoundsAnAccountTheLedgersLineIsNotUsed(t *testing.T) {
	t.Parallel()
	b := newBench(t, 10_000, account.Rate{Limit: 20, WindowSeconds: 1, Burst: 100})
	b.crowd()
	b.paced(400)
	m := b.accept("+35799000001", nil)
	b.line()
	if again := b.deliver(2, m); len(again) != 1 || b.gate().Line.After(b.Now()) {
		t.Errorf("%d come again, the line is %v", len(again), b.gate().Line)
	}
}

// SQS counts whole seconds, so the messages of one second come together: those at their places wait for a moment for one in the ledger.
func TestMessagesAtTheirPlacesWaitAMomentForTheLedger(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		receives int
		naps     bool
	}{"at their places": {3, true}, "for the first time": {1, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 10_000, slow())
			settle := b.crowd()
			b.paced(200)
			first, second := b.accept("+35799000001", nil), b.accept("+35799000002", nil)
			b.line()
			naps := 0
			b.d.Sleep = func(_ context.Context, d time.Duration) error {
				b.pass(d)
				if naps++; naps == 2 {
					settle(2)
				}
				return nil
			}
			again := b.deliver(c.receives, first, second)
			if c.naps && (len(again) != 0 || naps != 2 || len(b.provider.calls) != 2) || !c.naps && (len(again) != 2 || naps != 0) {
				t.Errorf("%d come again after %d naps and %d calls", len(again), naps, len(b.provider.calls))
			}
		})
	}
	b := newBench(t, 10_000, slow())
	b.crowd()
	b.paced(200)
	b.line()
	if again := b.deliver(9, b.accept("+35799000001", nil)); len(again) != 1 {
		t.Error("it was handed over without a place")
	}
	all := time.Duration(0)
	for _, d := range b.slept {
		all += d
	}
	if all == 0 || all > maxNap+2*placeNap {
		t.Errorf("it waited %v in its invocation", all)
	}
	// Not the whole backlog waits in invocations.
	naps := len(b.slept)
	b.deliver(9, b.accept("+35799000002", nil))
	if len(b.slept) != naps {
		t.Error("the process waited again at once")
	}
	b.pass(restAfter*(maxNap+2*placeNap) - paceOver)
	b.paced(200)
	b.deliver(9, b.accept("+35799000003", nil))
	if len(b.slept) == naps {
		t.Error("after its rest the process waits no more")
	}
}

func TestAnAccountsPaceIsKnownFromWhatIsSeenOfItsGate(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	type view struct {
		after  time.Duration
		period string
		used   int64
	}
	const p = "2026-11"
	for name, c := range map[string]struct {
		views []view
		want  float64
	}{
		"one view":                 {[]view{{0, p, 100}}, 0},
		"too soon":                 {[]view{{0, p, 100}, {time.Second, p, 150}}, 0},
		"two seconds":              {[]view{{0, p, 100}, {time.Second, p, 150}, {2 * time.Second, p, 220}}, 60},
		"the last two count":       {[]view{{0, p, 0}, {2 * time.Second, p, 200}, {4 * time.Second, p, 220}}, 10},
		"nothing passes":           {[]view{{0, p, 100}, {2 * time.Second, p, 200}, {4 * time.Second, p, 200}}, 0},
		"a new period":             {[]view{{0, p, 100}, {2 * time.Second, p, 200}, {3 * time.Second, "2026-12", 5}}, 0},
		"units came back":          {[]view{{0, p, 100}, {2 * time.Second, p, 200}, {3 * time.Second, p, 150}}, 0},
		"not seen for a long time": {[]view{{0, p, 100}, {2 * time.Second, p, 200}, {time.Minute, p, 900}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, now := &Hints{}, start
			for _, v := range c.views {
				now = start.Add(v.after)
				h.Put(usage.Gate{AccountID: "a", Period: v.period, Used: v.used}, now)
			}
			if got := h.Pace("a", now); got != c.want {
				t.Errorf("%v a second, want %v", got, c.want)
			}
			if got := h.Pace("a", now.Add(time.Minute)); got != 0 {
				t.Errorf("a minute later it is %v", got)
			}
		})
	}
}
