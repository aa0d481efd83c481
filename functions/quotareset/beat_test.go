package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"contactcenter/shared/availability"
)

// a whole sweep that found all that it needs is a beat, one that did not says so, and a sweep of a part or of one account says nothing.
func TestAWholeSweepIsABeatWhenAllAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	beats := w.handler.Pulse.Beats.(*availability.Beats)
	w.handler.Pulse.Now = func() time.Time { return w.clock.now().Truncate(time.Millisecond) }
	broken := errors.New("no answer")
	var look error
	w.handler.Pulse.Looks = append(w.handler.Pulse.Looks, func(context.Context) error { return look })
	pulse := func() availability.Pulse {
		t.Helper()
		p, err := beats.Pulse(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	sweep := func(e Event) error {
		_, err := w.handler.Handle(t.Context(), e)
		return err
	}
	for _, e := range []Event{{Shards: []string{"s03"}}, {AccountID: "acct_nobody"}} {
		_ = sweep(e) // of an account that is not there it may fail
		if p := pulse(); !p.Last.IsZero() {
			t.Errorf("a sweep of %+v is a beat: %+v", e, p)
		}
	}
	if err := sweep(Event{}); err != nil {
		t.Fatal(err)
	}
	first := pulse()
	if first.First.IsZero() || !first.Failing.IsZero() || first.Gap != 150*time.Second {
		t.Errorf("the first beat: %+v", first)
	}
	w.clock.advance(time.Minute)
	look = broken
	if err := sweep(Event{}); !errors.Is(err, broken) {
		t.Errorf("a sweep that finds something broken says %v", err)
	}
	if p := pulse(); !p.Last.Equal(first.Last) || p.Failing.IsZero() {
		t.Errorf("after it: %+v", p)
	}
	w.clock.advance(time.Minute)
	look = nil
	if err := sweep(Event{}); err != nil {
		t.Fatal(err)
	}
	last := pulse()
	if last.Last.Sub(first.Last).Round(time.Second) != 2*time.Minute || !last.Failing.IsZero() || !last.First.Equal(first.First) {
		t.Errorf("in the end: %+v", last)
	}
	gaps, _, err := beats.Gaps(t.Context(), first.First, last.Last.Add(time.Hour), 10)
	if err != nil || len(gaps) != 1 || gaps[0].Reason != availability.Failing || !gaps[0].From.Equal(first.Last) || !gaps[0].Until.Equal(last.Last) {
		t.Errorf("the gaps are %+v, %v", gaps, err)
	}
}

func TestTheScheduleSaysHowOftenItSweeps(t *testing.T) {
	t.Parallel()
	for rate, want := range map[string]time.Duration{
		"rate(1 minute)": time.Minute, "rate(5 minutes)": 5 * time.Minute, "rate(1 hour)": time.Hour, "rate(2 days)": 48 * time.Hour,
		"rate(0 minutes)": 0, "rate(1 week)": 0, "cron(0 0 * * ? *)": 0, "": 0, "rate(1 minute) ": 0,
	} {
		got, err := every(rate)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q is every %v, %v", rate, got, err)
		}
	}
}
