package usage_test

import (
	"fmt"
	"testing"
	"time"

	"contactcenter/shared/usage"
)

// what came in batches leaves the account's single messages some of the burst and of the places in the ledger.
func TestBatchesLeaveRoomForSingleMessages(t *testing.T) {
	t.Parallel()
	rated, wide := monthly, monthly
	rated.Limit, rated.Rate = 100, usage.Rate{Limit: 5, Window: time.Second, Burst: 5}
	wide.Limit, wide.InFlight = 100, 20
	narrow := wide
	narrow.InFlight = 2
	single, tight := rated, rated
	single.Rate.Burst = 1
	tight.InFlight = 3
	for name, c := range map[string]struct {
		terms          usage.Terms
		batch, singles int // how many of thirty are granted
	}{
		"of the burst":                        {rated, 4, 1},
		"of the places":                       {wide, 18, 2},
		"of few places none":                  {narrow, 2, 0},
		"of a burst of one none":              {single, 1, 0},
		"of the burst where places are fewer": {tight, 3, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newGate(t, c.terms)
			a, err := f.Admit(t.Context(), account, always(c.terms), msgs(1, 30), usage.Gate{}, 1, usage.Turn{Batch: true})
			if err != nil || len(a.Granted) != c.batch {
				t.Errorf("%d of the batch are granted, %v, want %d", len(a.Granted), err, c.batch)
			}
			a, err = f.Admit(t.Context(), account, always(c.terms), msgs(101, 30), a.Gate, 2, usage.Turn{})
			if err != nil || len(a.Granted) != c.singles {
				t.Errorf("%d single messages are granted, %v, want %d", len(a.Granted), err, c.singles)
			}
			// The other way round nothing is left for batches.
			f = newGate(t, c.terms)
			a, err = f.Admit(t.Context(), account, always(c.terms), msgs(1, 30), usage.Gate{}, 3, usage.Turn{})
			if err != nil || len(a.Granted) != c.batch+c.singles {
				t.Errorf("%d single messages are granted on an idle gate, %v, want %d", len(a.Granted), err, c.batch+c.singles)
			}
		})
	}
}

// The number is one for all of an account's messages: batches may use it up.
func TestTheNumberIsNotKeptForAnybody(t *testing.T) {
	t.Parallel()
	f := newGate(t, monthly)
	a, err := f.Admit(t.Context(), account, always(monthly), msgs(1, 30), usage.Gate{}, 1, usage.Turn{Batch: true})
	if err != nil || len(a.Granted) != 5 || len(a.Limited) != 25 {
		t.Errorf("%d granted, %d limited, %v", len(a.Granted), len(a.Limited), err)
	}
}

// single messages don't stand behind the batches of their account; those of batches stand behind both.
func TestSingleMessagesAndBatchesLineUpApart(t *testing.T) {
	t.Parallel()
	terms := monthly
	terms.Limit, terms.Rate = 100, usage.Rate{Limit: 2, Window: time.Second, Burst: 2}
	for name, c := range map[string]struct {
		batches, singles int64 // are in line
		turn             usage.Turn
		passes           bool
	}{
		"a batch, nobody waits":                      {0, 0, usage.Turn{Batch: true}, true},
		"a batch behind batches":                     {4, 0, usage.Turn{Batch: true}, false},
		"a batch behind single messages":             {0, 4, usage.Turn{Batch: true}, false},
		"a batch behind both":                        {4, 4, usage.Turn{Batch: true}, false},
		"a batch at its place":                       {4, 4, usage.Turn{Batch: true, Waited: true}, true},
		"a single message, nobody waits":             {0, 0, usage.Turn{}, true},
		"a single message, batches wait":             {4, 0, usage.Turn{}, true},
		"a single message behind single messages":    {0, 4, usage.Turn{}, false},
		"a single message behind both":               {4, 4, usage.Turn{}, false},
		"a single message at its place, both waited": {4, 4, usage.Turn{Waited: true}, true},
	} {
		for _, hinted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, hinted=%v", name, hinted), func(t *testing.T) {
				t.Parallel()
				f := newGate(t, terms)
				for batch, n := range map[bool]int64{true: c.batches, false: c.singles} {
					if n == 0 {
						continue
					}
					if at, err := f.Queue(t.Context(), f.gate(t), terms.Rate, n, batch); err != nil || !at.Equal(start) {
						t.Fatalf("a line begins at %v, %v", at, err)
					}
				}
				hint := usage.Gate{}
				if hinted {
					hint = f.gate(t)
				}
				a, err := f.Admit(t.Context(), account, always(terms), msgs(1, 1), hint, 1, c.turn)
				if err != nil || len(a.Granted) == 1 != c.passes || len(a.Delayed) == 1 == c.passes {
					t.Errorf("%d granted, %d delayed, %v", len(a.Granted), len(a.Delayed), err)
				}
			})
		}
	}
}

// A line goes on where it ended, whatever the other one does.
func TestEachLineHasItsOwnEnd(t *testing.T) {
	t.Parallel()
	terms := monthly
	terms.Rate = usage.Rate{Limit: 10, Window: time.Second, Burst: 1}
	f := newGate(t, terms)
	stale := f.gate(t)
	for i, step := range []struct {
		batch bool
		n     int64
		at    time.Duration
	}{{true, 30, 0}, {false, 5, 0}, {true, 10, 3 * time.Second}, {false, 5, 500 * time.Millisecond}, {true, 1, 4 * time.Second}} {
		at, err := f.Queue(t.Context(), stale, terms.Rate, step.n, step.batch)
		if err != nil || !at.Equal(start.Add(step.at)) {
			t.Errorf("step %d has its place at %v, %v, want %v", i, at.Sub(start), err, step.at)
		}
	}
	if g := f.gate(t); g.Line.Sub(start) != time.Second || g.BatchLine.Sub(start) != 4100*time.Millisecond {
		t.Errorf("the lines end after %v and %v", g.Line.Sub(start), g.BatchLine.Sub(start))
	}
}
