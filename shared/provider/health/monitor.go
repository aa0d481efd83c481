package health

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
)

const (
	// ClosedAge is how old the view of a closed breaker may be, openAge of one that may be tried. While it is open for a time
	// nothing is read.
	ClosedAge = 4 * time.Second
	openAge   = 500 * time.Millisecond
	// flushQuiet is how often a process writes down what it counted, of a subject with which all is well; flushBusy when it is not.
	flushQuiet = 20 * time.Second
	flushBusy  = time.Second
	// flushTime bounds the writing at the end of an invocation, flushAtOnce how many subjects are written at a time.
	flushTime   = time.Second
	flushAtOnce = 4
	// remembered is how many calls of a subject a process remembers, to see at once that nothing gets through any more.
	remembered  = 20
	maxSubjects = 1000
)

// Records is what a monitor needs of the Store.
type Records interface {
	Statuses(ctx context.Context, of ...Subject) (map[Subject]Status, error)
	Read(ctx context.Context, of Subject, now time.Time) ([]Slot, Status, error)
	Add(ctx context.Context, of Subject, at time.Time, t Tally) error
	Open(ctx context.Context, of Subject, calls, now, until time.Time) (Status, bool, error)
	Claim(ctx context.Context, of Subject, now time.Time, nonce uint64) (Status, bool, error)
	Close(ctx context.Context, of Subject, now time.Time, nonce uint64) (Status, bool, error)
	Reopen(ctx context.Context, of Subject, until time.Time, nonce uint64) (Status, bool, error)
	Leave(ctx context.Context, of Subject, nonce uint64) (Status, bool, error)
	Degrade(ctx context.Context, of Subject, was Status, since, now time.Time) (Status, bool, error)
	Calmed(ctx context.Context, of Subject, was Status, since time.Time) (Status, bool, error)
}

// Monitor is one process's part of health: it counts calls, tells others, and knows what others saw. It is safe for concurrent use; don't
// copy it.
type Monitor struct {
	Records Records
	Log     *slog.Logger
	Now     func() time.Time
	// Random is the source of nonces and of jitter; safe for concurrent use.
	Random func() uint64
	// Changed is told of a change of health, once for each; nil: nobody is.
	Changed Changed

	mu       sync.Mutex
	subjects map[Subject]*seen
	reading  singleflight.Group
}

// Changed is told that a subject's health is another since a moment.
type Changed func(ctx context.Context, of Subject, state State, at time.Time)

func (c Changed) tell(ctx context.Context, of Subject, state State, at time.Time) {
	if c != nil {
		c(ctx, of, state, at)
	}
}

// seen is what a process knows of one subject.
type seen struct {
	status  Status
	readAt  time.Time // when the reading of status began
	pending []Slot    // counted and not written yet, oldest first
	flushed time.Time
	recent  []call // the last ones, oldest first
}

// call is one call that was judged.
type call struct {
	began     time.Time
	outcome   Outcome
	channelID string
}

// of gives what is known of a subject. The caller holds mu.
func (m *Monitor) of(s Subject) *seen {
	if m.subjects == nil || len(m.subjects) >= maxSubjects && m.subjects[s] == nil {
		m.subjects = map[Subject]*seen{}
	}
	if m.subjects[s] == nil {
		m.subjects[s] = &seen{}
	}
	return m.subjects[s]
}

// learn keeps a status whose reading or writing began at a moment, unless a later one is known.
func (m *Monitor) learn(s Subject, st Status, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.of(s)
	if at.Before(k.readAt) {
		return
	}
	if st.Closed.After(k.status.Closed) || st.Open() && !k.status.Open() {
		k.recent = nil // what was before says nothing of what is now
	}
	k.status, k.readAt = st, at
}

// known gives the status of a subject if it is young enough to act on.
func (m *Monitor) known(s Subject, now time.Time) (Status, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.of(s)
	age := now.Sub(k.readAt)
	switch st := k.status; {
	case k.readAt.IsZero() || age < 0:
		return st, false
	case st.Open() && st.Until.After(now):
		return st, true
	case st.Open():
		return st, age < openAge
	default:
		return st, age < ClosedAge
	}
}

// look gives the statuses of subjects: from memory, or by one request.
func (m *Monitor) look(ctx context.Context, of ...Subject) map[Subject]Status {
	now, out, key := m.Now(), map[Subject]Status{}, ""
	var missing []Subject
	for _, s := range of {
		st, ok := m.known(s, now)
		out[s] = st
		if !ok {
			missing, key = append(missing, s), key+s.Kind+"#"+s.ID+"#"
		}
	}
	if len(missing) == 0 {
		return out
	}
	// Messages of one batch ask at the same time: one reads for all.
	read, err, _ := m.reading.Do(key, func() (any, error) { return m.Records.Statuses(context.WithoutCancel(ctx), missing...) })
	if err != nil {
		m.Log.WarnContext(ctx, "health not read", "error", err.Error())
		return out
	}
	for s, st := range read.(map[Subject]Status) {
		m.learn(s, st, now)
		out[s] = st
	}
	return out
}

// Look tells how long a message has to wait for its provider or its channel, so that nothing else need be asked for it; 0: it may be
// handed over, with Enter. No request while what is known is young enough. Where health can't be read, nobody waits for it.
func (m *Monitor) Look(ctx context.Context, providerID, channelID string) time.Duration {
	return m.wait(m.look(ctx, OfProvider(providerID), OfChannel(channelID)))
}

// Out reports whether a call would be one that tries, as far as Look knew: the provider's or the channel's breaker is open.
func (m *Monitor) Out(providerID, channelID string) bool {
	return m.status(OfProvider(providerID)).Open() || m.status(OfChannel(channelID)).Open()
}

// Recovered is when the last outage ended, as far as Look knew; zero: there was none.
func (m *Monitor) Recovered(providerID, channelID string) time.Time {
	return later(m.status(OfProvider(providerID)).Closed, m.status(OfChannel(channelID)).Closed)
}

func (m *Monitor) wait(known map[Subject]Status) time.Duration {
	var d time.Duration
	for _, st := range known {
		d = max(d, st.wait(m.Now(), m.Random()))
	}
	return d
}

// Pass is the right to make one call. It must be given back, by Done or Leave.
type Pass struct {
	providerID, channelID string
	nonce                 uint64
	// trying are the breakers that are open and whose lease this call holds.
	trying []Subject
}

func (p Pass) subjects() []Subject {
	return []Subject{OfProvider(p.providerID), OfChannel(p.channelID)}
}

// Enter gives the right to make one call, or says how long to wait for it. No request while all is well; a write for each breaker
// that is tried.
func (m *Monitor) Enter(ctx context.Context, providerID, channelID string) (Pass, time.Duration) {
	p := Pass{providerID: providerID, channelID: channelID, nonce: m.Random()}
	known := m.look(ctx, p.subjects()...)
	if d := m.wait(known); d > 0 {
		return p, d
	}
	for _, s := range p.subjects() {
		if !known[s].Open() {
			continue
		}
		st, claimed := m.wrote(ctx, s, func(ctx context.Context, now time.Time) (Status, bool, error) {
			return m.Records.Claim(ctx, s, now, p.nonce)
		})
		switch {
		case claimed:
			p.trying = append(p.trying, s)
		case st.Open(): // somebody else tries, or has just found that nothing gets through
			m.Leave(ctx, p)
			return p, max(st.wait(m.Now(), m.Random()), time.Second)
		}
	}
	return p, 0
}

// Leave gives a right back that was not used.
func (m *Monitor) Leave(ctx context.Context, p Pass) {
	for _, s := range p.trying {
		m.wrote(ctx, s, func(ctx context.Context, _ time.Time) (Status, bool, error) { return m.Records.Leave(ctx, s, p.nonce) })
	}
}

// Done says what came of the call. It opens and closes breakers at once; figures are only counted. It returns for how long
// messages of the channel have to wait now; 0: they don't.
func (m *Monitor) Done(ctx context.Context, p Pass, began time.Time, ofProvider, ofChannel Outcome) time.Duration {
	took, wait := m.Now().Sub(began), time.Duration(0)
	for i, s := range p.subjects() {
		o := [...]Outcome{ofProvider, ofChannel}[i]
		m.count(s, o, call{began, o, p.channelID}, took)
		switch {
		case slices.Contains(p.trying, s):
			m.tried(ctx, s, o, p.nonce)
		case o == Failed && m.out(s) && s.Kind == KindChannel:
			m.open(ctx, s, began)
		case o == Failed && m.out(s):
			m.flush(ctx, s) // of a provider others may know better
		}
		if st := m.status(s); st.Open() && o != Answered {
			wait = max(wait, st.wait(m.Now(), m.Random()), time.Millisecond)
		}
	}
	return wait
}

// status gives what is known of a subject, however old.
func (m *Monitor) status(s Subject) Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.of(s).status
}

// count adds a call to the figures, unless it began before the breaker was closed last: it says nothing of what is now.
func (m *Monitor) count(s Subject, o Outcome, c call, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.of(s)
	if o == Unjudged || c.began.Before(k.status.Closed) {
		return
	}
	from := m.Now().Truncate(SlotLength)
	if n := len(k.pending); n == 0 || !k.pending[n-1].From.Equal(from) {
		k.pending = append(k.pending, Slot{From: from})
	}
	k.pending[len(k.pending)-1].Tally.count(o, took, c.channelID)
	if o == Throttled {
		return
	}
	if len(k.recent) == remembered {
		k.recent = k.recent[1:]
	}
	k.recent = append(k.recent, c)
}

// out reports whether the calls that this process made last say that nothing gets through.
func (m *Monitor) out(s Subject) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	var t Tally
	now := m.Now()
	for _, c := range m.of(s).recent {
		if now.Sub(c.began) <= Window {
			t.count(c.outcome, 0, c.channelID)
		}
	}
	return t.out(s, t)
}

// open opens a breaker for all, by calls that began at a moment or after it.
func (m *Monitor) open(ctx context.Context, s Subject, calls time.Time) {
	if m.status(s).Open() {
		return
	}
	m.wrote(ctx, s, func(ctx context.Context, now time.Time) (Status, bool, error) {
		st, opened, err := m.Records.Open(ctx, s, calls, now, now.Add(openFor(1, 0, m.Random())))
		if opened {
			m.Log.WarnContext(ctx, "provider health changed", "subject", s.Kind, "id", s.ID, "state", string(Outage), "since", st.Since)
			m.Changed.tell(ctx, s, Outage, now)
		}
		return st, opened, err
	})
}

// tried says what came of the call that tries.
func (m *Monitor) tried(ctx context.Context, s Subject, o Outcome, nonce uint64) {
	m.wrote(ctx, s, func(ctx context.Context, now time.Time) (Status, bool, error) {
		switch o {
		case Unjudged:
			return m.Records.Leave(ctx, s, nonce)
		case Failed:
			was := m.status(s)
			return m.Records.Reopen(ctx, s, now.Add(openFor(was.Level+1, now.Sub(was.Opened), m.Random())), nonce)
		}
		st, closed, err := m.Records.Close(ctx, s, now, nonce)
		if closed {
			m.Log.InfoContext(ctx, "provider health changed", "subject", s.Kind, "id", s.ID, "state", string(Degraded), "since", st.Since)
			m.Changed.tell(ctx, s, Degraded, now)
		}
		return st, closed, err
	})
}

// wrote makes a write of a status and learns what it is then. A write that fails is not repeated: a lease runs out, and the next
// failure opens.
func (m *Monitor) wrote(ctx context.Context, s Subject, write func(context.Context, time.Time) (Status, bool, error)) (Status, bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
	defer cancel()
	now := m.Now()
	st, applied, err := write(ctx, now)
	if err != nil {
		m.Log.WarnContext(ctx, "health not recorded", "subject", s.Kind, "id", s.ID, "error", err.Error())
		return m.status(s), false
	}
	m.learn(s, st, now)
	return st, applied
}

// Flush writes down what this process counted, where it is time for that: one write for a subject, and more and a read where not all is
// well. Call it at the end of each invocation; nothing goes on after it.
func (m *Monitor) Flush(ctx context.Context) {
	m.mu.Lock()
	all := slices.Collect(maps.Keys(m.subjects))
	m.mu.Unlock()
	m.flush(ctx, all...)
}

func (m *Monitor) flush(ctx context.Context, subjects ...Subject) {
	allowed := flushTime
	if deadline, ok := ctx.Deadline(); ok {
		allowed = min(allowed, time.Until(deadline)-flushTime/2) // the invocation must have its answer through before its end
	}
	if allowed <= 0 {
		return // what was counted is kept for the next time
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), allowed)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(flushAtOnce)
	for _, s := range subjects {
		slots, well := m.due(s)
		if len(slots) == 0 {
			continue
		}
		group.Go(func() error {
			if err := m.record(ctx, s, slots, well); err != nil {
				m.Log.WarnContext(ctx, "health not recorded", "subject", s.Kind, "id", s.ID, "error", err.Error())
			}
			return nil
		})
	}
	_ = group.Wait() // no function of the group fails
}

// due takes what is to be written now of a subject, and says whether all is well with it. Then what was counted since the last time
// becomes one slot; else each keeps its time, so that what failed last can be told from what was before.
func (m *Monitor) due(s Subject) (slots []Slot, well bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.of(s)
	if len(k.pending) == 0 {
		return nil, true
	}
	last := Slot{From: k.pending[len(k.pending)-1].From}
	for _, slot := range k.pending {
		last.Tally.add(slot.Tally)
	}
	every := flushQuiet
	if well = last.Tally.Failed == 0 && !last.Tally.poor() && !k.status.Open() && k.status.State != Degraded; !well {
		every = flushBusy
	}
	now := m.Now()
	if since := now.Sub(k.flushed); since < every && since >= 0 {
		return nil, well
	}
	if slots = k.pending; well {
		slots = []Slot{last}
	}
	k.pending, k.flushed = nil, now
	return slots, well
}

// record writes one subject's figures, and judges what all processes saw where there is reason to.
func (m *Monitor) record(ctx context.Context, s Subject, slots []Slot, well bool) error {
	for _, slot := range slots {
		if err := m.Records.Add(ctx, s, slot.From, slot.Tally); err != nil {
			return err
		}
	}
	if well {
		return nil
	}
	return m.judge(ctx, s, m.Now())
}

// judge looks at what all processes saw and records what follows from it.
func (m *Monitor) judge(ctx context.Context, s Subject, now time.Time) error {
	slots, st, err := m.Records.Read(ctx, s, now)
	if err != nil {
		return err
	}
	m.learn(s, st, now)
	if st.Open() {
		return nil
	}
	var t, last Tally // of the window, and of its end
	first := now
	for _, slot := range slots {
		if slot.From.Before(st.Closed) {
			continue // what was before the breaker was closed counts no more
		}
		t.add(slot.Tally)
		first = earlier(first, slot.From)
		if now.Sub(slot.From) < 2*SlotLength {
			last.add(slot.Tally)
		}
	}
	state, since := st.Shown(now)
	switch {
	case t.out(s, t) || last.out(s, t):
		m.open(ctx, s, later(first, st.Closed))
	case t.poor() && (state != Degraded || now.Sub(st.Bad) >= SlotLength):
		if state != Degraded {
			since = now
		}
		m.turn(ctx, s, Degraded, state != Degraded, t, func(ctx context.Context) (Status, bool, error) { return m.Records.Degrade(ctx, s, st, since, now) })
	case state == Operational && st.State == Degraded:
		m.turn(ctx, s, Operational, true, t, func(ctx context.Context) (Status, bool, error) { return m.Records.Calmed(ctx, s, st, since) })
	}
	return nil
}

// turn records a state that was judged, and says so once.
func (m *Monitor) turn(ctx context.Context, s Subject, to State, changed bool, t Tally, write func(context.Context) (Status, bool, error)) {
	m.wrote(ctx, s, func(ctx context.Context, _ time.Time) (Status, bool, error) {
		st, applied, err := write(ctx)
		if applied && changed {
			m.Log.WarnContext(ctx, "provider health changed", "subject", s.Kind, "id", s.ID, "state", string(to), "since", st.Since, "calls", t.Calls, "failed", t.Failed, "p95_ms", t.Quantile(0.95).Milliseconds())
			m.Changed.tell(ctx, s, to, st.Since)
		}
		return st, applied, err
	})
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
