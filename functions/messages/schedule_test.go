package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"contactcenter/shared/api"
	"contactcenter/shared/attr"
	"contactcenter/shared/message"
)

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func (s *stack) later(d time.Duration, rest string) answer {
	s.t.Helper()
	return s.call(testAccount, "POST", "/v1/messages", s.textTo(testAddress, "Later", fmt.Sprintf(`,"send_at":%q%s`, stamp(s.clock().Add(d)), rest)))
}

func TestAScheduledMessageWaitsForItsTimeAndCanBeMovedAndCanceled(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	m := s.later(time.Hour, "").message(t)
	if m.Status != message.Scheduled || m.SendAt == nil || len(s.queued()) != 0 {
		t.Fatalf("accepted as %s, to go at %v, %d references", m.Status, m.SendAt, len(s.queued()))
	}
	read := s.get(m.ID)
	if read.Status != message.Scheduled || read.Timeline[0].Status != message.Scheduled {
		t.Errorf("read as %s, %+v", read.Status, read.Timeline)
	}
	if list := s.call(testAccount, "GET", "/v1/messages?status=scheduled&conversation_id="+m.ConversationID, ""); list.status != 200 || !strings.Contains(string(list.body), m.ID) {
		t.Errorf("not listed: %s", list.body)
	}
	path := "/v1/messages/" + m.ID
	to := s.clock().Add(2 * time.Hour)
	moved := s.call(testAccount, "PATCH", path, fmt.Sprintf(`{"send_at":%q}`, stamp(to)))
	if moved.status != 200 || !moved.message(t).SendAt.Equal(to.Truncate(time.Millisecond)) || moved.message(t).Content.Text != "Later" {
		t.Errorf("moved: %d %s", moved.status, moved.body)
	}
	for name, body := range map[string]string{
		"into the past": fmt.Sprintf(`{"send_at":%q}`, stamp(s.clock())), "too far": fmt.Sprintf(`{"send_at":%q}`, stamp(s.clock().Add(31*24*time.Hour))),
		"nowhere": `{}`, "another field": fmt.Sprintf(`{"send_at":%q,"to":"x"}`, stamp(to)),
	} {
		if a := s.call(testAccount, "PATCH", path, body); a.status != 422 {
			t.Errorf("moved %s: answered %d", name, a.status)
		}
	}
	if a := s.call(otherAccount, "PATCH", path, fmt.Sprintf(`{"send_at":%q}`, stamp(to))); a.status != 404 {
		t.Errorf("another account moved it: answered %d", a.status)
	}
	if a := s.cancel(testAccount, m.ID); a.status != 200 || a.message(t).Status != message.Canceled {
		t.Errorf("canceled: %d %s", a.status, a.body)
	}
	if p := s.call(testAccount, "PATCH", path, fmt.Sprintf(`{"send_at":%q}`, stamp(to))).problem(t); p.Code != api.CodeMessageNotCancelable {
		t.Errorf("moved after it was canceled: %s", p.Code)
	}
	due, _, err := s.h.Messages.Due(t.Context(), message.ScheduledShard(0), to.Add(time.Hour), attr.Page{Size: 10})
	if err != nil || len(due) != 0 {
		t.Errorf("it is still listed: %v, %v", due, err)
	}
}

// A message whose time comes before the next run of the schedule does not wait for that.
func TestAScheduledMessageWhoseTimeIsNearIsQueuedAtOnce(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	near := s.later(5*time.Second, "").message(t)
	if near.Status != message.Scheduled || len(s.queued()) != 1 || s.queue.delay != 5*time.Second {
		t.Errorf("in 5 seconds: accepted as %s, queued with a delay of %v", near.Status, s.queue.delay)
	}
	far := s.later(time.Hour, "").message(t)
	if n := len(s.queued()); n != 0 {
		t.Errorf("in an hour: %d references", n)
	}
	move := func(m string, d time.Duration) answer {
		return s.call(testAccount, "PATCH", "/v1/messages/"+m, fmt.Sprintf(`{"send_at":%q}`, stamp(s.clock().Add(d))))
	}
	if a := move(far.ID, 8*time.Second); a.status != 200 || len(s.queued()) != 1 || s.queue.delay != 8*time.Second {
		t.Errorf("moved to 8 seconds: answered %d, queued with a delay of %v", a.status, s.queue.delay)
	}
	if a := move(near.ID, time.Hour); a.status != 200 || len(s.queued()) != 0 {
		t.Errorf("moved away: answered %d %s", a.status, a.body)
	}
	batch := s.call(testAccount, "POST", "/v1/messages/batch", fmt.Sprintf(`{"messages":[%s]}`, s.textTo(testAddress, "Soon", fmt.Sprintf(`,"send_at":%q`, stamp(s.clock().Add(-time.Millisecond).Add(time.Second))))))
	if batch.status != 202 || s.queue.batches != 1 {
		t.Errorf("in a batch: answered %d, %d requests to the queue", batch.status, s.queue.batches)
	}
	s.queue.fail = true
	if a := s.later(5*time.Second, ""); a.status != 503 {
		t.Errorf("without a queue: answered %d", a.status)
	}
}

func TestATimeThatCanNotBeKeptIsRefused(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	for name, a := range map[string]answer{
		"the past": s.later(-time.Second, ""), "too far": s.later(30*24*time.Hour+time.Minute, ""),
		"after it expires": s.later(time.Hour, fmt.Sprintf(`,"expires_at":%q`, stamp(s.clock().Add(time.Hour)))),
	} {
		if p := a.problem(t); a.status != 422 || len(p.Errors) != 1 || p.Errors[0].Field != "send_at" {
			t.Errorf("%s: answered %d %s", name, a.status, a.body)
		}
	}
}

// A message whose time has not come keeps nobody waiting who writes to the same person.
func TestAScheduledMessageIsLookedPast(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	m := s.later(time.Hour, "").message(t)
	s.advance(time.Second)
	now := s.send("Now")
	tail, err := s.h.Messages.Tail(t.Context(), testAccount, s.mid(now.ID), s.clock())
	if err != nil || tail.Previous != nil {
		t.Errorf("waits for %+v, %v", tail.Previous, err)
	}
	s.advance(time.Hour)
	tail, err = s.h.Messages.Tail(t.Context(), testAccount, s.mid(now.ID), s.clock())
	if err != nil || tail.Previous == nil || tail.Previous.ID != s.mid(m.ID) {
		t.Errorf("when its time has come: waits for %+v, %v", tail.Previous, err)
	}
}

func TestOfManyWhoMoveAMessageTheLastHasTheWord(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	m := s.later(time.Hour, "").message(t)
	answers := make([]answer, 12)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			answers[i] = s.call(testAccount, "PATCH", "/v1/messages/"+m.ID, fmt.Sprintf(`{"send_at":%q}`, stamp(s.clock().Add(time.Duration(i+2)*time.Hour))))
		})
	}
	all.Wait()
	now, found := s.get(m.ID).SendAt, false
	for _, a := range answers {
		if a.status != 200 {
			t.Errorf("answered %d %s", a.status, a.body)
			continue
		}
		found = found || a.message(t).SendAt.Equal(now.Time)
	}
	if !found {
		t.Errorf("nobody moved it to %v", now)
	}
}
