package health

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/provider"
)

// scene is a table, a clock that the test moves, and the log of all processes.
type scene struct {
	t     testing.TB
	store *Store

	mu   sync.Mutex
	now  time.Time
	seed uint64
	log  strings.Builder
}

func newScene(t testing.TB) *scene {
	env := awstest.New(t)
	return &scene{t: t, store: &Store{DB: env.DynamoDB, Table: env.Table(t.Context(), awstest.UsageTable())}, now: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)}
}

func (s *scene) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *scene) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

func (s *scene) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *scene) random() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seed += 0x9e3779b97f4a7c15
	return s.seed
}

// process is one instance of the dispatcher.
func (s *scene) process() *Monitor {
	return &Monitor{Records: s.store, Log: slog.New(slog.NewTextHandler(io.Writer(s), nil)), Now: s.Now, Random: s.random}
}

// call makes one call that takes some time, if it may.
func (s *scene) call(m *Monitor, channelID string, o Outcome, took time.Duration) (made bool) {
	p, wait := m.Enter(s.t.Context(), "p", channelID)
	if wait > 0 {
		return false
	}
	began := s.Now()
	s.pass(took)
	m.Done(s.t.Context(), p, began, o, o)
	return true
}

func (s *scene) want(of Subject, want State) Report {
	s.t.Helper()
	got, err := NewReader(s.store, s.Now).Report(s.t.Context(), of)
	if err != nil {
		s.t.Fatal(err)
	}
	if got.State != want {
		s.t.Errorf("%s %s is %s, want %s", of.Kind, of.ID, got.State, want)
	}
	return got
}

func TestWhatAnErrorSaysOfTheProvidersHealth(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err                  *provider.Error
		ofProvider, ofTarget Outcome
	}{
		"a message that was taken is an answer":        {nil, Answered, Answered},
		"so is a refusal":                              {&provider.Error{Kind: provider.Permanent, Fault: provider.FaultCustomer}, Answered, Answered},
		"a server error is a failure":                  {&provider.Error{Kind: provider.Retry, Fault: provider.FaultProvider}, Failed, Failed},
		"so is no answer":                              {&provider.Error{Kind: provider.Ambiguous, Fault: provider.FaultProvider}, Failed, Failed},
		"a slower pace is none":                        {&provider.Error{Kind: provider.Retry, Fault: provider.FaultProvider, Throttled: true}, Throttled, Throttled},
		"nor is a quota of the customer's":             {&provider.Error{Kind: provider.Retry, Fault: provider.FaultCustomer}, Throttled, Throttled},
		"credentials concern the channel":              {&provider.Error{Kind: provider.Credentials, Fault: provider.FaultCustomer}, Answered, Failed},
		"what is our own fault says nothing of others": {&provider.Error{Kind: provider.Retry, Fault: provider.FaultPlatform}, Unjudged, Unjudged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if p, c := Outcomes(tc.err); p != tc.ofProvider || c != tc.ofTarget {
				t.Errorf("%d and %d, want %d and %d", p, c, tc.ofProvider, tc.ofTarget)
			}
		})
	}
}

func TestQuantilesAreAsPreciseAsTheBuckets(t *testing.T) {
	t.Parallel()
	var none, tally Tally
	for i := range 100 {
		took := 50 * time.Millisecond
		if i >= 90 {
			took = 3 * time.Second
		}
		tally.count(Answered, took, "c")
	}
	for _, tc := range []struct {
		of       Tally
		q        float64
		from, to time.Duration
	}{
		{none, 0.5, 0, 0},
		{tally, 0.5, 40 * time.Millisecond, 60 * time.Millisecond},
		{tally, 0.95, 2500 * time.Millisecond, 4 * time.Second},
	} {
		if got := tc.of.Quantile(tc.q); got < tc.from || got > tc.to {
			t.Errorf("the %v quantile is %v, want %v to %v", tc.q, got, tc.from, tc.to)
		}
	}
}

//
func TestCallsMakeAHealth(t *testing.T) {
	t.Parallel()
	type calls struct {
		channels []string
		outcome  Outcome
		n        int
		took     time.Duration
	}
	one, two, many := []string{"a"}, []string{"a", "b"}, []string{"a", "b", "c", "d", "e", "f"}
	for name, tc := range map[string]struct {
		calls              []calls
		ofProvider, ofMine State
	}{
		"nothing was called":                          {nil, Operational, Operational},
		"all is well":                                 {[]calls{{two, Answered, 30, 0}}, Operational, Operational},
		"its only channel fails":                      {[]calls{{one, Failed, 5, 0}}, Outage, Outage},
		"too few fail to tell":                        {[]calls{{one, Failed, 2, 0}}, Operational, Operational},
		"a few fail, and nothing else is known":       {[]calls{{one, Failed, 4, 0}}, Degraded, Degraded},
		"all channels fail":                           {[]calls{{many, Failed, 12, 0}}, Outage, Operational},
		"one channel of many fails":                   {[]calls{{many[1:], Answered, 200, 0}, {one, Failed, 6, 0}}, Operational, Outage},
		"one channel fails that has nearly all calls": {[]calls{{two[1:], Answered, 2, 0}, {one, Failed, 40, 0}}, Degraded, Outage},
		"a fifth fails":                               {[]calls{{two, Answered, 16, 0}, {two, Failed, 4, 0}}, Degraded, Operational},
		"it asks for a slower pace":                   {[]calls{{one, Throttled, 20, 0}}, Operational, Operational},
		"it is slow":                                  {[]calls{{one, Answered, 12, 4 * time.Second}}, Degraded, Degraded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			m := s.process()
			for _, c := range tc.calls {
				for i := range c.n {
					s.call(m, c.channels[i%len(c.channels)], c.outcome, c.took)
				}
			}
			m.Flush(t.Context())
			s.want(OfProvider("p"), tc.ofProvider)
			s.want(OfChannel("a"), tc.ofMine)
		})
	}
}

// one process's failures are too few to tell; together they tell.
func TestProcessesSeeAnOutageTogether(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for range 3 {
		m := s.process()
		s.call(m, "a", Failed, 0)
		s.call(m, "a", Failed, 0)
		m.Flush(t.Context())
		s.pass(2 * time.Second)
	}
	s.want(OfProvider("p"), Outage)
	if s.call(s.process(), "a", Answered, 0) && s.call(s.process(), "b", Answered, 0) {
		t.Error("another process calls a provider to which nothing gets through")
	}
}

// What is left of an invocation's time may be too little to write: then what was counted waits for the next one.
func TestWhatThereIsNoTimeToWriteIsKept(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	late, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	for range 3 {
		m := s.process()
		s.call(m, "a", Failed, 0)
		s.call(m, "a", Failed, 0)
		m.Flush(late)
		m.Flush(t.Context())
		s.pass(2 * time.Second)
	}
	s.want(OfProvider("p"), Outage)
}

// a provider that has answered for a minute hangs: that shows within two slots, however much was well before.
func TestAnOutageAfterABusyMinuteIsSeenWithinSeconds(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	busy := []*Monitor{s.process(), s.process(), s.process()}
	for i := range 600 {
		s.call(busy[i%3], string(rune('a'+i%4)), Answered, 100*time.Millisecond)
		busy[i%3].Flush(t.Context())
	}
	began := s.Now()
	for i := 0; s.Now().Sub(began) < time.Minute; i++ {
		if !s.call(busy[i%3], string(rune('a'+i%4)), Failed, 600*time.Millisecond) {
			break
		}
		busy[i%3].Flush(t.Context())
	}
	if took := s.Now().Sub(began); took > 2*SlotLength+3*time.Second {
		t.Errorf("it took %v", took)
	}
	s.want(OfProvider("p"), Outage)
}

// A process that handles one channel only does not take its failures for the provider's.
func TestOneProcessDoesNotJudgeAProviderByOneChannel(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	other, mine := s.process(), s.process()
	for range 4 {
		for _, channelID := range []string{"b", "c", "d"} {
			s.call(other, channelID, Answered, time.Second)
		}
		other.Flush(t.Context())
	}
	for range 30 {
		s.call(mine, "a", Failed, 100*time.Millisecond)
		mine.Flush(t.Context())
	}
	s.want(OfChannel("a"), Outage)
	s.want(OfProvider("p"), Operational)
}

//
func TestAnOutageEndsByOneCallThatTries(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	m, other := s.process(), s.process()
	for range 5 {
		s.call(m, "a", Failed, 0)
	}
	since := s.want(OfProvider("p"), Outage).Since
	if d := other.Look(t.Context(), "p", "b"); d <= 0 || d > openFirst+2*time.Second {
		t.Errorf("another process waits for %v", d)
	}
	s.pass(openFirst + time.Second)
	p, wait := m.Enter(t.Context(), "p", "a")
	if wait > 0 || len(p.trying) != 2 {
		t.Fatalf("waits for %v, tries %v", wait, p.trying)
	}
	if _, wait := other.Enter(t.Context(), "p", "a"); wait <= 0 {
		t.Error("two try at once")
	}
	m.Done(t.Context(), p, s.Now(), Failed, Failed)
	if got := s.want(OfProvider("p"), Outage).Since; !got.Equal(since) {
		t.Errorf("since %v, want %v", got, since)
	}
	s.pass(2*openFirst + time.Second)
	s.call(other, "a", Answered, 0)
	s.want(OfProvider("p"), Degraded)
	if !s.call(m, "a", Answered, 0) {
		t.Error("the first process waits although the breaker is closed")
	}
	s.pass(Calm + time.Second)
	s.want(OfProvider("p"), Operational)
	s.call(m, "a", Answered, 0)
	m.Flush(t.Context())
	for state, times := range map[State]int{Outage: 2, Degraded: 2, Operational: 2} {
		if n := strings.Count(s.log.String(), "state="+string(state)); n != times {
			t.Errorf("%d lines of %s, want one for the provider and one for the channel\n%s", n, state, s.log.String())
		}
	}
}

func TestAnOutageIsNotShownForEverWhenNobodyCalls(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	m := s.process()
	for range 5 {
		s.call(m, "a", Failed, 0)
	}
	s.pass(Idle - openLongest)
	s.want(OfProvider("p"), Outage)
	s.pass(2 * openLongest)
	s.want(OfProvider("p"), Operational)
	// The next call tries, nevertheless.
	if p, wait := s.process().Enter(t.Context(), "p", "a"); wait > 0 || len(p.trying) != 2 {
		t.Errorf("waits for %v, tries %v", wait, p.trying)
	}
}

func TestABreakerStaysOpenForLongerEachTime(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		level    int
		age      time.Duration
		from, to time.Duration
	}{
		{1, 0, 1750 * time.Millisecond, 2250 * time.Millisecond},
		{2, time.Second, 3500 * time.Millisecond, 4500 * time.Millisecond},
		{9, 5 * time.Minute, 26 * time.Second, 34 * time.Second},
		{1000, 20 * time.Minute, 52 * time.Second, 68 * time.Second},
		{1000, 3 * time.Hour, 262 * time.Second, 338 * time.Second},
	} {
		for random := range uint64(1000) {
			if d := openFor(tc.level, tc.age, random*0x9e3779b97f4a7c15); d < tc.from || d > tc.to {
				t.Fatalf("at level %d of an outage of %v it is open for %v", tc.level, tc.age, d)
			}
		}
	}
}

// Health costs messages nothing: what a process counts is written once in twenty seconds, and read once in four.
func TestWhatIsCountedCostsLittle(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	m := s.process()
	counted := &counting{Records: s.store}
	m.Records = counted
	for range 600 {
		s.call(m, "a", Answered, 100*time.Millisecond)
		m.Flush(t.Context())
	}
	if writes, reads := counted.writes.Load(), counted.reads.Load(); writes > 8 || reads > 16 {
		t.Errorf("%d writes and %d reads for 600 messages within a minute, of a provider and a channel", writes, reads)
	}
	if calls := s.want(OfProvider("p"), Operational).Figures.Calls; calls < 300 {
		t.Errorf("%d calls are known of a minute with 600", calls)
	}
}

// A change that nobody's call would record is recorded by the sweep, and said once.
func TestTheSweepRecordsThatAnOutageIsOver(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	m := s.process()
	for range 5 {
		s.call(m, "a", Failed, 0)
	}
	sweep := &Sweep{
		Store: s.store, Now: s.Now, Log: slog.New(slog.NewTextHandler(io.Writer(s), nil)),
		Providers: func(context.Context) ([]string, error) { return []string{"p", "other"}, nil },
	}
	run := func() Status {
		t.Helper()
		if err := sweep.Run(t.Context(), t.Context()); err != nil {
			t.Fatal(err)
		}
		st, err := s.store.Statuses(t.Context(), OfProvider("p"))
		if err != nil {
			t.Fatal(err)
		}
		return st[OfProvider("p")]
	}
	if st := run(); st.State != Outage || !st.Open() {
		t.Errorf("in the outage it is %+v", st)
	}
	s.pass(openFirst + time.Second)
	s.call(m, "a", Answered, 0)
	if st := run(); st.State != Degraded {
		t.Errorf("after it, it is %+v", st)
	}
	mended := s.Now()
	s.pass(time.Minute)
	if st := run(); st.State != Operational || !st.Since.Equal(mended.Add(Calm)) {
		t.Errorf("a minute later it is %+v", st)
	}
	run()
	if n := strings.Count(s.log.String(), "state=operational"); n != 1 {
		t.Errorf("that is said %d times", n)
	}
}
