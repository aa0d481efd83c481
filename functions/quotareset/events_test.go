package main

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"contactcenter/shared/event"
	"contactcenter/shared/message"
	"contactcenter/shared/usage"
)

// december is when the period begins that nextMonth lies in.
var december = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)

// that a new period began is told to an account that listens, as one event, whoever began it and however often one
// looks: by the time at which the period began, and with nothing but the account's id.
func TestANewPeriodIsToldOnceWhoeverBeganIt(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*world){
		"the schedule": func(w *world) { w.sweep() },
		"the schedule, late": func(w *world) {
			w.clock.advance(9 * 24 * time.Hour)
			w.sweep()
		},
		"sweeps side by side": func(w *world) {
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() {
					if _, err := w.handler.Handle(context.Background(), Event{Source: "schedule"}); err != nil {
						w.t.Error(err)
					}
				})
			}
			all.Wait()
		},
		"the first message": func(w *world) {
			terms, _ := w.plans.Terms(context.Background(), acct, true)
			if _, err := w.usage.Roll(context.Background(), w.read(acct), terms); err != nil {
				w.t.Fatal(err)
			}
		},
		"a message that is still on its way": func(w *world) {
			w.sweep() // it rolls, and can't export yet
			w.clock.advance(2 * usage.Lease)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.plans.listens = event.All
			w.gate(acct)
			w.send(w.message(acct, recipient(1)), name != "a message that is still on its way")
			w.clock.set(nextMonth)
			begin(w)
			for range 3 {
				w.sweep()
				w.run(Event{AccountID: acct})
			}
			if g := w.read(acct); g.Period != "2026-12" || g.Previous != "" {
				t.Errorf("gate: %+v", g)
			}
			want := []event.Event{event.New(event.UsageReset, acct, "", december, "2026-12")}
			if got := w.told.Events(); !slices.Equal(got, want) {
				t.Errorf("told of %+v, want %+v", got, want)
			}
		})
	}
}

func TestWithoutANewPeriodOrAListenerNothingIsTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		listens event.Set
		at      time.Time
	}{
		"the period is not over":      {event.All, midMonth.Add(time.Hour)},
		"the account does not listen": {0, nextMonth},
		"it listens to other events":  {other(t), nextMonth},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.plans.listens = c.listens
			w.gate(acct)
			w.clock.set(c.at)
			w.sweep()
			w.run(Event{AccountID: acct})
			w.run(Event{AccountID: "acct_without_a_gate"})
			if got := w.told.Events(); len(got) != 0 {
				t.Errorf("told of %+v", got)
			}
		})
	}
}

func other(t *testing.T) event.Set {
	t.Helper()
	s, unknown := event.SetOf(string(event.MessageSent), string(event.UsageLimitReached))
	if unknown != "" {
		t.Fatal(unknown)
	}
	return s
}

// What can't be told is told by the next look; what was held is released all the same. Where the period could not be rolled, nothing is
// told.
func TestAPeriodThatCouldNotBeToldIsToldLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plans.listens = event.All
	w.gate(acct)
	waits := w.held(acct, recipient(1))
	w.clock.set(nextMonth)
	table := w.usage.Table
	w.handler.Reset.Usage = &usage.Store{DB: w.usage.DB, Table: table + "x", Now: w.clock.now}
	if _, err := w.handler.Handle(t.Context(), Event{AccountID: acct}); err == nil || len(w.told.Events()) != 0 {
		t.Errorf("without its table: %v, told of %v", err, w.told.Events())
	}
	w.handler.Reset.Usage = w.usage

	w.told.Break(true)
	if _, err := w.handler.Handle(t.Context(), Event{Source: "schedule"}); err == nil {
		t.Error("an event that was not published is no error")
	}
	if g := w.read(acct); g.Period != "2026-12" || w.status(waits) != message.Queued {
		t.Errorf("the period is %s, what was held is %s", g.Period, w.status(waits))
	}
	w.told.Break(false)
	w.clock.advance(again)
	w.sweep()
	w.sweep()
	if got := w.told.Types(); !slices.Equal(got, []event.Type{event.UsageReset}) {
		t.Errorf("told of %v", got)
	}
	if n, err := w.usage.ClosedPeriod(t.Context(), acct, "2026-11"); n != 0 || err != nil {
		t.Errorf("closed period: %d %v", n, err)
	}
}

// a held message that expires is told when the schedule ends it.
func TestAHeldMessageThatExpiredIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plans.listens = event.All
	w.gate(acct)
	m := w.held(acct, recipient(1), func(m *message.Message) { m.ExpiresAt = midMonth.Add(time.Hour) })
	w.clock.set(midMonth.Add(2 * time.Hour))
	for range 2 {
		w.run(Event{AccountID: acct})
	}
	if got := w.told.Events(); len(got) != 1 || got[0].Type != event.MessageExpired || got[0].Resource != m.ID.String() || got[0].AccountID != acct {
		t.Errorf("told of %+v", got)
	}
}
