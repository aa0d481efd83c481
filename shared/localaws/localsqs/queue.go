package localsqs

import (
	"container/list"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

const (
	maxVisibility   = 12 * time.Hour
	maxInFlight     = 120_000
	deduplication   = 5 * time.Minute
	purgeEvery      = time.Minute
	maxReceiveBatch = 10
)

// queue is one queue's messages and attributes. Its methods need the server's lock.
type queue struct {
	name     string
	arn      string
	settings settings
	tags     map[string]string
	created  time.Time
	modified time.Time
	purged   time.Time

	messages map[string]*message
	age      *list.List // of *message, in the order of their sequence
	timed    *indexedHeap[*message]
	schedule *schedule
	delayed  int
	sequence uint64
	recent   map[string]sentOnce // FIFO: by deduplication id
	forget   []string            // keys of recent, oldest first
	changed  chan struct{}       // closed when something was made receivable, or will be sooner than a waiting receive knew
}

type sentOnce struct {
	at       time.Time
	id       string
	sequence uint64
}

func newQueue(name, arn string, s settings, now time.Time) *queue {
	return &queue{
		name: name, arn: arn, settings: s, tags: map[string]string{}, created: now, modified: now,
		messages: map[string]*message{}, age: list.New(), schedule: newSchedule(s.fifo), recent: map[string]sentOnce{}, changed: make(chan struct{}),
		timed: &indexedHeap[*message]{
			less:  func(a, b *message) bool { return a.visibleAt.Before(b.visibleAt) },
			moved: func(m *message, i int) { m.position = i },
		},
	}
}

// messageAt returns the message at a place in the list by age, or nil after its end.
func messageAt(e *list.Element) *message {
	if e == nil {
		return nil
	}
	m, _ := e.Value.(*message) // the list holds nothing else
	return m
}

func (q *queue) signal() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// add puts a new message into the queue, receivable after delay.
func (q *queue) add(m *message, delay time.Duration, now time.Time) {
	q.sequence++
	m.sequence = q.sequence
	m.group = q.schedule.of(m)
	m.age = q.age.PushBack(m)
	q.messages[m.id] = m
	if delay > 0 {
		m.visibleAt = now.Add(delay)
	}
	q.enter(m, now)
	q.signal()
}

// enter files the message under the state that its visibleAt asks for; a message that has a receipt is in flight until then.
func (q *queue) enter(m *message, now time.Time) {
	g := m.group
	q.schedule.leave(g)
	switch {
	case !m.visibleAt.After(now):
		m.state = ready
		g.ready.push(m)
	case m.receipt != "":
		m.state = inFlight
		m.heldSince = now
		g.inFlight++
		q.schedule.inFlight++
		q.timed.push(m)
	default:
		m.state = delayed
		g.delayed++
		q.delayed++
		q.timed.push(m)
	}
	q.schedule.place(g, now)
}

// exit takes the message out of its state and its group out of the schedule, until enter or place.
func (q *queue) exit(m *message, now time.Time) {
	g := m.group
	q.schedule.leave(g)
	switch m.state {
	case ready:
		g.ready.remove(m.position)
	case delayed:
		g.delayed--
		q.delayed--
		q.timed.remove(m.position)
	case inFlight:
		g.inFlight--
		q.schedule.inFlight--
		q.timed.remove(m.position)
		spent := earlier(now, m.visibleAt).Sub(m.heldSince).Seconds()
		g.used.add(now, spent)
		q.schedule.used.add(now, spent)
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// refresh makes receivable what is due, and drops what is older than the retention period.
func (q *queue) refresh(now time.Time) {
	for m := q.timed.min(); m != nil && !m.visibleAt.After(now); m = q.timed.min() {
		q.exit(m, now)
		q.enter(m, now)
	}
	for m := messageAt(q.age.Front()); m != nil && !m.sent.Add(q.settings.retention).After(now); m = messageAt(q.age.Front()) {
		q.drop(m, now)
	}
}

func (q *queue) drop(m *message, now time.Time) {
	q.exit(m, now)
	q.schedule.place(m.group, now)
	q.age.Remove(m.age)
	delete(q.messages, m.id)
}

// receive hands out up to n messages for the time of visibility. Those received too often go to deadLetters instead.
func (q *queue) receive(n int, visibility time.Duration, deadLetters *queue, now time.Time) []*message {
	q.refresh(now)
	was := q.next()
	var out, again []*message
	for len(out) < n && q.schedule.inFlight < maxInFlight {
		m := q.schedule.next(now)
		if m == nil {
			break
		}
		if !m.sent.Add(q.settings.retention).After(now) {
			q.drop(m, now)
			continue
		}
		if deadLetters != nil && m.receives >= q.settings.maxReceives {
			q.drop(m, now)
			m.source, m.receipt, m.visibleAt = q.arn, "", time.Time{}
			deadLetters.add(m, 0, now)
			continue
		}
		q.exit(m, now)
		m.receives++
		if m.firstReceived.IsZero() {
			m.firstReceived = now
		}
		m.receipt = receipt(q.name, m.id)
		m.visibleAt = now.Add(visibility)
		m.received = now
		out = append(out, m)
		if visibility == 0 {
			q.schedule.place(m.group, now)
			again = append(again, m)
			continue
		}
		q.enter(m, now)
	}
	for _, m := range again { // receivable again, but not in the same answer
		m.group = q.schedule.of(m)
		q.enter(m, now)
	}
	if q.sooner(was) {
		q.signal()
	}
	return out
}

func receipt(queue, id string) string {
	var nonce [12]byte
	_, _ = rand.Read(nonce[:]) // never fails (crypto/rand)
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s|%s|%x", queue, id, nonce))
}

// held returns the message that the receipt handle names. current is false when the message has been received again since.
func (q *queue) held(handle string) (m *message, current bool, err error) {
	raw, err := base64.StdEncoding.DecodeString(handle)
	part := strings.Split(string(raw), "|")
	if err != nil || len(part) != 3 || part[0] != q.name {
		return nil, false, badReceipt()
	}
	m = q.messages[part[1]]
	return m, m != nil && m.receipt == handle, nil
}

func (q *queue) delete(handle string, now time.Time) error {
	m, current, err := q.held(handle)
	if err != nil || !current {
		return err
	}
	q.drop(m, now)
	if q.settings.fifo {
		q.signal() // the group's next message may be received now
	}
	return nil
}

func (q *queue) changeVisibility(handle string, timeout time.Duration, now time.Time) error {
	q.refresh(now)
	m, current, err := q.held(handle)
	if err != nil {
		return err
	}
	if m == nil {
		return invalid("Value %s for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.", handle)
	}
	if !current || m.state != inFlight {
		return modelled("MessageNotInflight", "The specified message is not in flight.")
	}
	if now.Add(timeout).Sub(m.received) > maxVisibility {
		return invalid("Value %d for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds].", int(timeout.Seconds()))
	}
	was := q.next()
	q.exit(m, now)
	m.visibleAt = now.Add(timeout)
	q.enter(m, now)
	if timeout == 0 || q.sooner(was) {
		q.signal()
	}
	return nil
}

func (q *queue) purge(now time.Time) error {
	if now.Sub(q.purged) < purgeEvery {
		return modelled("PurgeQueueInProgress", "Only one PurgeQueue operation on %s is allowed every 60 seconds.", q.name)
	}
	q.purged = now
	for m := messageAt(q.age.Front()); m != nil; m = messageAt(q.age.Front()) {
		q.drop(m, now)
	}
	return nil
}

// next returns when something will become receivable by itself, or the zero time.
func (q *queue) next() time.Time {
	if m := q.timed.min(); m != nil {
		return m.visibleAt
	}
	return time.Time{}
}

// sooner reports whether something will become receivable by itself before was, for which a waiting receive would have
// looked again.
func (q *queue) sooner(was time.Time) bool {
	next := q.next()
	return !next.IsZero() && (was.IsZero() || next.Before(was))
}

// once says whether a FIFO queue has taken the deduplication id in the last five minutes, and what it answered.
func (q *queue) once(id string, now time.Time) (sentOnce, bool) {
	for len(q.forget) > 0 && now.Sub(q.recent[q.forget[0]].at) >= deduplication {
		delete(q.recent, q.forget[0])
		q.forget = q.forget[1:]
	}
	s, ok := q.recent[id]
	return s, ok
}
