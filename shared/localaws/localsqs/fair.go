package localsqs

import (
	"math"
	"time"
)

// Fair queues, as "How Amazon SQS fair queues work" in the SQS developer guide describes them: every MessageGroupId of a
// standard queue is a tenant, and a message without one is a tenant of its own. A tenant is noisy while it has more than a
// tenth of the messages in flight and at least 30 of its own, or while it used more than a tenth of the consumers' recent
// processing time; it is quiet again when nothing of it is left. Messages of quiet tenants go first, oldest first; when only
// noisy tenants wait, the one with the fewest messages in flight goes first. "Recent" is not defined there: here processing
// time loses half its weight every 30 seconds.
const (
	noisyShare         = 0.10
	noisyInFlight      = 30
	processingHalfLife = 30 * time.Second
)

// decayed is a sum whose parts lose half their weight every processingHalfLife.
type decayed struct {
	value float64
	at    time.Time
}

func (d *decayed) now(t time.Time) float64 {
	if dt := t.Sub(d.at); dt > 0 {
		d.value *= math.Exp2(-float64(dt) / float64(processingHalfLife))
		d.at = t
	}
	return d.value
}

func (d *decayed) add(t time.Time, v float64) { d.value = d.now(t) + v }

// group is what waits and what is in flight of one message group.
type group struct {
	key      string
	ready    *indexedHeap[*message]
	inFlight int
	delayed  int
	used     decayed // seconds of processing
	class    *indexedHeap[*group]
	position int
}

func newGroup(key string) *group {
	return &group{key: key, position: -1, ready: &indexedHeap[*message]{
		less:  func(a, b *message) bool { return a.sequence < b.sequence },
		moved: func(m *message, i int) { m.position = i },
	}}
}

func (g *group) idle() bool { return g.ready.len() == 0 && g.inFlight == 0 && g.delayed == 0 }

// schedule holds a queue's groups that have something to deliver, in the order in which they may.
type schedule struct {
	fifo     bool
	groups   map[string]*group
	quiet    *indexedHeap[*group]
	noisy    *indexedHeap[*group]
	inFlight int
	used     decayed
}

func newSchedule(fifo bool) *schedule {
	moved := func(g *group, i int) { g.position = i }
	oldest := func(a, b *group) bool { return a.ready.min().sequence < b.ready.min().sequence }
	return &schedule{
		fifo:   fifo,
		groups: map[string]*group{},
		quiet:  &indexedHeap[*group]{less: oldest, moved: moved},
		noisy: &indexedHeap[*group]{moved: moved, less: func(a, b *group) bool {
			if a.inFlight != b.inFlight {
				return a.inFlight < b.inFlight
			}
			return oldest(a, b)
		}},
	}
}

// of returns the group of a message, and makes it when it is new.
func (s *schedule) of(m *message) *group {
	key := "g" + m.groupID
	if m.groupID == "" {
		key = "m" + m.id
	}
	g := s.groups[key]
	if g == nil {
		g = newGroup(key)
		s.groups[key] = g
	}
	return g
}

func (s *schedule) isNoisy(g *group, now time.Time) bool {
	if s.fifo {
		return false
	}
	if g.inFlight >= noisyInFlight && float64(g.inFlight) > noisyShare*float64(s.inFlight) {
		return true
	}
	used := g.used.now(now)
	return used > 0 && used > noisyShare*s.used.now(now)
}

// leave takes a group out of its class before something that its place depends on is changed; place puts it back.
func (s *schedule) leave(g *group) {
	if g.class != nil {
		g.class.remove(g.position)
		g.class = nil
	}
}

func (s *schedule) place(g *group, now time.Time) {
	if g.idle() {
		delete(s.groups, g.key)
		return
	}
	if g.ready.len() == 0 || s.fifo && g.inFlight > 0 {
		return
	}
	g.class = s.quiet
	if s.isNoisy(g, now) {
		g.class = s.noisy
	}
	g.class.push(g)
}

// next returns the message to deliver next, or nil.
func (s *schedule) next(now time.Time) *message {
	for {
		class := s.quiet
		if class.len() == 0 {
			class = s.noisy
		}
		g := class.min()
		if g == nil {
			return nil
		}
		if s.isNoisy(g, now) == (class == s.noisy) {
			return g.ready.min()
		}
		// The other groups have changed since this one was placed.
		s.leave(g)
		s.place(g, now)
	}
}
