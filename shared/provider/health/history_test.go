package health

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// changes gives what was noted of the provider, by seconds since the scene began.
func (s *scene) changes() string {
	s.t.Helper()
	began := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	list, cut, err := s.store.Changes(s.t.Context(), OfProvider("p"), began.Add(-time.Hour), s.Now().Add(time.Hour), 100)
	if err != nil || cut {
		s.t.Fatal(cut, err)
	}
	var out []string
	for _, c := range list {
		out = append(out, fmt.Sprintf("%s %.0f", c.State, c.At.Sub(began).Seconds()))
	}
	return strings.Join(out, ", ")
}

func (s *scene) sweep(noted bool) *Sweep {
	log := slog.New(slog.NewTextHandler(io.Writer(s), nil))
	sweep := &Sweep{Store: s.store, Now: s.Now, Log: log, Providers: func(context.Context) ([]string, error) { return []string{"p"}, nil }}
	if noted {
		sweep.Changed = Noted(s.store, log, nil)
	}
	return sweep
}

func (s *scene) run(sweep *Sweep) {
	s.t.Helper()
	if err := sweep.Run(s.t.Context(), s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// each change of a provider's health is noted once, with its time, whoever sees it; of channels none is.
func TestEachChangeOfAProviderIsNotedWithItsTime(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	log := slog.New(slog.NewTextHandler(io.Writer(s), nil))
	one, other := s.process(), s.process()
	one.Changed, other.Changed = Noted(s.store, log, nil), Noted(s.store, log, nil)
	sweep := s.sweep(true)
	s.run(sweep)
	for range 8 {
		s.call(one, "a", Failed, 0)
		s.call(other, "b", Failed, 0)
	}
	s.want(OfProvider("p"), Outage)
	s.pass(openFirst + time.Second)
	s.call(one, "a", Answered, 0)
	s.call(one, "b", Answered, 0)
	for range 3 {
		s.pass(time.Minute)
		s.run(sweep)
	}
	if got := s.changes(); got != "outage 0, degraded 3, operational 18" {
		t.Errorf("noted is: %s", got)
	}
	if last, err := s.store.LastChange(t.Context(), OfChannel("a"), s.Now(), true); err != nil || !last.At.IsZero() {
		t.Errorf("of a channel %+v is noted, %v", last, err)
	}
}

// what a process did not note before it died is noted by the sweep, with the time at which it was; an outage that nobody tries to end
// lapses there too, and comes back when somebody tries in vain.
func TestTheSweepNotesWhatNobodyNoted(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	dies, sweep := s.process(), s.sweep(true)
	for range 5 {
		s.call(dies, "a", Failed, 0)
	}
	s.run(sweep)
	if got := s.changes(); got != "outage 0" {
		t.Errorf("after the outage, noted is: %s", got)
	}
	for range 10 {
		s.pass(time.Minute)
		s.run(sweep)
	}
	lapsed := s.changes()
	if state, rest, _ := strings.Cut(strings.TrimPrefix(lapsed, "outage 0, "), " "); state != "operational" || len(rest) != 3 {
		t.Fatalf("after ten minutes without a call, noted is: %s", lapsed)
	}
	s.call(dies, "a", Failed, 0)
	s.run(sweep)
	if got := s.changes(); got != lapsed+", outage 600" {
		t.Errorf("after a call in vain, noted is: %s", got)
	}
}

// Whoever has just changed a state is about to note it: a sweep that reads a state of a moment before must not note the opposite.
func TestTheSweepDoesNotDoubtWhatHasJustBeenNoted(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	if err := s.store.Note(t.Context(), OfProvider("p"), Change{Outage, s.Now()}); err != nil {
		t.Fatal(err)
	}
	s.pass(settled - time.Second)
	s.run(s.sweep(true))
	if got := s.changes(); got != "outage 0" {
		t.Errorf("noted is: %s", got)
	}
	s.pass(time.Minute)
	s.run(s.sweep(true))
	if got := s.changes(); got != "outage 0, operational 74" {
		t.Errorf("a minute later, noted is: %s", got)
	}
}

// So many changes are read and no more.
func TestChangesAreReadUpToANumber(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	from := s.Now()
	for i := range 5 {
		if err := s.store.Note(t.Context(), OfProvider("p"), Change{Outage, from.Add(time.Duration(i) * time.Second)}); err != nil {
			t.Fatal(err)
		}
	}
	for most, want := range map[int]string{4: "4 true", 5: "5 false", 6: "5 false"} {
		list, cut, err := s.store.Changes(t.Context(), OfProvider("p"), from, from.Add(time.Hour), most)
		if got := fmt.Sprint(len(list), " ", cut); err != nil || got != want {
			t.Errorf("of at most %d: %s, %v", most, got, err)
		}
	}
	before, err := s.store.LastChange(t.Context(), OfProvider("p"), from.Add(2*time.Second), false)
	if err != nil || !before.At.Equal(from.Add(time.Second)) {
		t.Errorf("the last before is %+v, %v", before, err)
	}
}
