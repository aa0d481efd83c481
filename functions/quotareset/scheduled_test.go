package main

import (
	"fmt"
	"testing"
	"time"

	"contactcenter/shared/id"
	"contactcenter/shared/message"
)

func (w *world) scheduled(account string, i int, at time.Time) message.Message {
	w.t.Helper()
	return w.message(account, fmt.Sprintf("+3579900%04d", i), func(m *message.Message) { m.SendAt = at.Truncate(time.Millisecond) })
}

// A scheduled message's reference is queued once, ahead of its time, and becomes visible no earlier than then.
func TestAScheduledMessageIsSetGoingOnceForItsTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := w.clock.now()
	soon, later, late := w.scheduled("acct_1", 1, now.Add(90*time.Second+time.Millisecond)), w.scheduled("acct_1", 2, now.Add(time.Hour)), w.scheduled("acct_2", 3, now.Add(2*time.Second))
	w.clock.advance(10 * time.Second) // the schedule comes late for one
	if sum := w.sweep(); sum.Scheduled != 2 {
		t.Errorf("%d were set going", sum.Scheduled)
	}
	got := map[id.Message]sentReference{}
	for _, r := range w.refs.take() {
		got[r.message] = r
	}
	if r := got[soon.ID]; r.account != "acct_1" || r.delay < 80 || r.delay > 81 {
		t.Errorf("the one that is due in 80 seconds: %+v", r)
	}
	if r := got[late.ID]; r.account != "acct_2" || r.delay != 0 {
		t.Errorf("the one that is late: %+v", r)
	}
	if _, ok := got[later.ID]; ok {
		t.Error("one that is due in an hour was set going")
	}
	if sum := w.sweep(); sum.Scheduled != 0 || len(w.refs.take()) != 0 {
		t.Errorf("then %d were set going again", sum.Scheduled)
	}
	w.clock.advance(time.Hour)
	if sum := w.sweep(); sum.Scheduled != 1 {
		t.Errorf("an hour later %d were set going", sum.Scheduled)
	}
}

func TestMoreScheduledMessagesThanOnePageAreAllSetGoing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const n = 450
	at := w.clock.now().Add(time.Minute)
	for i := range n {
		w.scheduled(fmt.Sprintf("acct_%d", i%3), i, at)
	}
	if sum := w.sweep(); sum.Scheduled != n {
		t.Errorf("%d of %d were set going", sum.Scheduled, n)
	}
	seen := map[id.Message]int{}
	for _, r := range w.refs.take() {
		seen[r.message]++
	}
	if len(seen) != n {
		t.Errorf("%d references", len(seen))
	}
}

// What the queue does not take is found by the next run; what was moved or canceled meanwhile is left alone.
func TestAScheduledMessageThatIsNotSetGoingComesAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := w.clock.now().Add(time.Minute)
	refused, moved, canceled := w.scheduled("acct_1", 1, at), w.scheduled("acct_1", 2, at), w.scheduled("acct_1", 3, at)
	written, err := w.messages.Reschedule(t.Context(), moved, at.Add(time.Hour))
	if err != nil || !written.Applied {
		t.Fatalf("move: %v, %v", written.Applied, err)
	}
	w.gate("acct_1")
	e := w.reserve(canceled, 9)
	if done, err := w.messages.End(t.Context(), "acct_1", canceled.ID, e.Lease, message.Ending{Status: message.Canceled, At: w.clock.now()}); err != nil || !done.Applied {
		t.Fatalf("cancel: %v, %v", done.Applied, err)
	}
	w.refs.refuse(refused.ID)
	if sum := w.sweep(); sum.Scheduled != 0 || len(w.refs.take()) != 0 {
		t.Errorf("%d were set going", sum.Scheduled)
	}
	w.refs.refuse(id.Message{})
	if sum := w.sweep(); sum.Scheduled != 1 {
		t.Errorf("then %d were set going", sum.Scheduled)
	}
	if again, err := w.messages.Reschedule(t.Context(), refused, at.Add(time.Hour)); err != nil || again.Applied {
		t.Errorf("one on its way was moved: %v, %v", again.Applied, err)
	}
}
