package health

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// counting counts the requests of a process.
type counting struct {
	Records
	reads, writes atomic.Int64
}

func (c *counting) Statuses(ctx context.Context, of ...Subject) (map[Subject]Status, error) {
	c.reads.Add(1)
	return c.Records.Statuses(ctx, of...)
}

func (c *counting) Add(ctx context.Context, of Subject, at time.Time, t Tally) error {
	c.writes.Add(1)
	return c.Records.Add(ctx, of, at, t)
}

// flight is a call that is being made.
type flight struct {
	process int
	pass    Pass
	began   time.Time
}

// several processes, in any order of their steps, with calls that take up to six seconds and processes that die while they
// try: there are never two calls that try at once, no call begins long after a breaker was opened, and whatever happened before, the
// breaker is closed soon after the provider is sound again.
func TestNeverTwoTryAtOnceAndABreakerIsClosedInTheEnd(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var worlds atomic.Int64
	rapid.Check(t, func(t *rapid.T) {
		w := &breakerWorld{scene: s, id: fmt.Sprintf("w%d", worlds.Add(1)), sound: true}
		for range 3 {
			w.processes = append(w.processes, s.process())
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) { w.check(t) },
			"call": func(t *rapid.T) {
				w.begin(t, rapid.IntRange(0, 2).Draw(t, "process"), rapid.IntRange(0, 1).Draw(t, "channel"))
			},
			"answer": func(t *rapid.T) { w.end(t) },
			"crash":  func(t *rapid.T) { w.crash(rapid.IntRange(0, 2).Draw(t, "process")) },
			"flush":  func(t *rapid.T) { w.processes[rapid.IntRange(0, 2).Draw(t, "process")].Flush(context.Background()) },
			"time":   func(t *rapid.T) { w.later(t, time.Duration(rapid.IntRange(1, 5000).Draw(t, "ms"))*time.Millisecond) },
			"fail":   func(*rapid.T) { w.sound = false },
			"mend":   func(*rapid.T) { w.sound = true },
			"look": func(t *rapid.T) {
				w.processes[rapid.IntRange(0, 2).Draw(t, "process")].Look(context.Background(), w.id, w.channel(rapid.IntRange(0, 1).Draw(t, "channel")))
			},
			"race": func(t *rapid.T) { w.race(t) },
			"storm": func(t *rapid.T) {
				for range 6 {
					w.begin(t, rapid.IntRange(0, 2).Draw(t, "process"), rapid.IntRange(0, 1).Draw(t, "channel"))
				}
			},
		})
		w.mended(t)
	})
}

type breakerWorld struct {
	*scene
	id        string
	sound     bool
	processes []*Monitor
	flights   []flight
}

func (w *breakerWorld) provider() Subject    { return OfProvider(w.id) }
func (w *breakerWorld) channel(i int) string { return fmt.Sprintf("%s-%d", w.id, i) }
func (w *breakerWorld) subjects() []Subject {
	return []Subject{w.provider(), OfChannel(w.channel(0)), OfChannel(w.channel(1))}
}
func (w *breakerWorld) statuses(of ...Subject) map[Subject]Status {
	read, err := w.store.Statuses(context.Background(), of...)
	if err != nil {
		panic(err)
	}
	return read
}

func (w *breakerWorld) begin(t *rapid.T, process, channel int) {
	before := w.statuses(w.subjects()...)
	now := w.Now()
	p, wait := w.processes[process].Enter(context.Background(), w.id, w.channel(channel))
	if wait > 0 {
		return
	}
	for _, s := range p.subjects() {
		if st := before[s]; st.Open() && !slices.Contains(p.trying, s) && st.Until.Add(ClosedAge).Before(now) {
			t.Fatalf("a call begins %v after the breaker of the %s was opened until %v", now, s.Kind, st.Until)
		}
	}
	w.flights = append(w.flights, flight{process, p, now})
}

// race lets the processes look when a breaker's time is over, and then all of them try, one a while after the other.
func (w *breakerWorld) race(t *rapid.T) {
	until := w.Now()
	for _, st := range w.statuses(w.subjects()...) {
		until = later(until, st.Until)
	}
	w.later(t, until.Sub(w.Now()))
	for i := range w.processes {
		w.processes[i].Look(context.Background(), w.id, w.channel(0))
	}
	for i := range w.processes {
		w.begin(t, i, 0)
		w.check(t)
		w.later(t, time.Duration(rapid.SampledFrom([]int{0, 1, 100, 1000, 3500, 5500}).Draw(t, "ms"))*time.Millisecond)
	}
}

// end ends a call as the provider is then.
func (w *breakerWorld) end(t *rapid.T) {
	if len(w.flights) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.flights)-1).Draw(t, "which")
	w.finish(i)
}

func (w *breakerWorld) finish(i int) {
	f := w.flights[i]
	w.flights = slices.Delete(w.flights, i, i+1)
	o := Answered
	if !w.sound {
		o = Failed
	}
	w.processes[f.process].Done(context.Background(), f.pass, f.began, o, o)
}

// crash kills a process with its calls, and starts another in its place.
func (w *breakerWorld) crash(process int) {
	w.flights = slices.DeleteFunc(w.flights, func(f flight) bool { return f.process == process })
	w.processes[process] = w.scene.process()
}

// later lets time pass; no call lasts longer than an invocation.
func (w *breakerWorld) later(_ *rapid.T, d time.Duration) {
	w.pass(d)
	for i := len(w.flights) - 1; i >= 0; i-- {
		if w.Now().Sub(w.flights[i].began) > 6*time.Second {
			w.finish(i)
		}
	}
}

func (w *breakerWorld) check(t *rapid.T) {
	for _, s := range w.subjects() {
		trying := 0
		for _, f := range w.flights {
			if slices.Contains(f.pass.trying, s) {
				trying++
			}
		}
		if trying > 1 {
			t.Fatalf("%d calls try the %s at once", trying, s.Kind)
		}
	}
}

// mended lets the processes work on with a provider that is sound.
func (w *breakerWorld) mended(t *rapid.T) {
	w.sound = true
	for range 60 {
		for i := range w.processes {
			w.begin(t, i, i%2)
		}
		for len(w.flights) > 0 {
			w.finish(len(w.flights) - 1)
		}
		w.later(t, time.Second)
	}
	for s, st := range w.statuses(w.subjects()...) {
		if state, _ := st.Shown(w.Now().Add(Calm)); st.Open() || state != Operational {
			t.Fatalf("the %s is %s, level %d, a minute after the provider was mended", s.Kind, state, st.Level)
		}
	}
}
