package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/usage"
)

const acct = "acct_1"

var nextMonth = time.Date(2026, 12, 1, 0, 0, 5, 0, time.UTC)

func TestSweepDoesNothingWhileNothingIsDue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.gate(acct)
	if s := w.sweep(); s.Accounts != 0 || s.Shards != usage.Shards {
		t.Errorf("summary: %+v", s)
	}
	if after := w.read(acct); after.Period != before.Period || after.Due != before.Due {
		t.Errorf("gate changed: %+v", after)
	}
}

func TestSweepRollsAPeriodThatIsOverAndExportsWhatItCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gate(acct)
	w.send(w.message(acct, recipient(1)), true)
	w.send(w.message(acct, recipient(2)), true)
	w.clock.set(nextMonth)
	s := w.sweep()
	if s.Rolled != 1 || s.Exported != 1 || s.Failed != 0 {
		t.Errorf("summary: %+v", s)
	}
	g := w.read(acct)
	if g.Period != "2026-12" || g.Used != 0 || g.Remaining != 10 || g.Previous != "" {
		t.Errorf("gate: %+v", g)
	}
	if n, err := w.usage.ClosedPeriod(context.Background(), acct, "2026-11"); n != 2 || err != nil {
		t.Errorf("closed period: %d %v", n, err)
	}
}

// R-P.5.
func TestSweepRunsTwiceAndSideBySideWithTheSameEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gate(acct)
	w.send(w.message(acct, recipient(1)), true)
	var list []message.Message
	for i := range 5 {
		list = append(list, w.held(acct, recipient(i+2)))
	}
	w.clock.set(nextMonth)
	done := make(chan Summary)
	for range 3 {
		go func() {
			s, err := w.handler.Handle(context.Background(), Event{Source: "schedule"})
			if err != nil {
				t.Error(err)
			}
			done <- s
		}()
	}
	var sum ShardSummary
	for range 3 {
		s := <-done
		sum.add(s.ShardSummary)
	}
	sum.add(w.sweep().ShardSummary)
	if sum.Rolled != 1 || sum.Exported != 1 || sum.Released != len(list) {
		t.Errorf("summaries: %+v", sum)
	}
	for _, m := range list {
		if got := w.status(m); got != message.Queued {
			t.Errorf("message %s is %s", m.ID, got)
		}
	}
	if n, err := w.usage.ClosedPeriod(context.Background(), acct, "2026-11"); n != 1 || err != nil {
		t.Errorf("closed period: %d %v", n, err)
	}
}

func TestReleaseGoesAsFarAsThereIsRoomOldestFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plans.terms.Limit = 23
	w.plans.terms.Rate = usage.Rate{Limit: 2, Window: time.Second, Burst: 2}
	w.gate(acct)
	var list []message.Message
	for i := range 120 {
		list = append(list, w.held(acct, recipient(i)))
	}
	w.clock.set(nextMonth)
	if s := w.sweep(); s.Released != 23 {
		t.Errorf("summary: %+v", s)
	}
	sent := w.refs.take()
	if len(sent) != 23 {
		t.Fatalf("%d references", len(sent))
	}
	for i, ref := range sent {
		if ref.message != list[i].ID {
			t.Errorf("reference %d is not the %d. oldest", i, i)
		}
		if want := int32(i / 2); ref.delay != want {
			t.Errorf("reference %d has a delay of %d s, want %d", i, ref.delay, want)
		}
	}
	for i, m := range list {
		want := message.Held
		if i < 23 {
			want = message.Queued
		}
		if got := w.status(m); got != want {
			t.Errorf("message %d is %s, want %s", i, got, want)
		}
	}
}

func TestReleaseSpreadsNoFurtherThanTheQueuesDelay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plans.terms.Rate = usage.Rate{Limit: 1, Window: 10 * time.Minute, Burst: 1}
	w.gate(acct)
	for i := range 4 {
		w.held(acct, recipient(i))
	}
	w.clock.set(nextMonth)
	if s := w.sweep(); s.Released != 2 {
		t.Errorf("first run: %+v", s)
	}
	w.clock.advance(5 * time.Minute)
	if s := w.sweep(); s.Accounts != 0 {
		t.Errorf("while the first are on their way: %+v", s)
	}
	w.clock.advance(6 * time.Minute)
	if s := w.sweep(); s.Released != 2 {
		t.Errorf("after the first arrived: %+v", s)
	}
}

func TestHeldMessagesStayAsLongAsTheirReasonLasts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, heldFor, obstacle string
		stays                   bool
	}{
		{"provider disabled", message.HeldProviderDisabled, message.HeldProviderDisabled, true},
		{"provider enabled again", message.HeldProviderDisabled, "", false},
		{"channel inactive", message.HeldChannelInactive, message.HeldChannelInactive, true},
		{"channel active again", message.HeldChannelInactive, "", false},
		{"held for the limit, and the provider disabled meanwhile", message.HeldUsageLimit, message.HeldProviderDisabled, true},
		{"held for the limit, and the channel deactivated meanwhile: the dispatcher says no", message.HeldUsageLimit, message.HeldChannelInactive, false},
		{"restriction lifted", message.HeldAccountRestricted, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.gate(acct)
			w.channels.set("chn_1", c.obstacle)
			m := w.hold(w.message(acct, recipient(1)), c.heldFor)
			w.run(Event{AccountID: acct})
			if got := w.status(m) == message.Held; got != c.stays {
				t.Errorf("message is %s", w.status(m))
			}
		})
	}
}

func TestConversationIsReleasedInOrderOrNotAtAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gate(acct)
	w.plans.terms.Limit, w.plans.terms.Version = 2, "demo.2"
	first, other, second := w.held(acct, recipient(1)), w.held(acct, recipient(2)), w.message(acct, recipient(1))
	second = w.hold(second, message.HeldOrder)
	third := w.hold(w.message(acct, recipient(1), func(m *message.Message) { m.OnLimit = message.Reject }), message.HeldOrder)
	s := w.run(Event{AccountID: acct})
	for _, c := range []struct {
		m    message.Message
		want message.Status
	}{{first, message.Queued}, {other, message.Queued}, {second, message.Held}, {third, message.Held}} {
		if got := w.status(c.m); got != c.want {
			t.Errorf("message %s is %s, want %s: %+v", c.m.ID, got, c.want, s)
		}
	}
	w.plans.terms.Limit, w.plans.terms.Version = 4, "demo.3"
	w.run(Event{AccountID: acct})
	if w.status(second) != message.Queued || w.status(third) != message.Queued {
		t.Errorf("with more room: %s %s", w.status(second), w.status(third))
	}
	sent := w.refs.take()
	i := slices.IndexFunc(sent, func(r sentReference) bool { return r.message == second.ID })
	j := slices.IndexFunc(sent, func(r sentReference) bool { return r.message == third.ID })
	if i < 0 || j < i {
		t.Errorf("references of the conversation: %d, %d", i, j)
	}
}

func TestMessageWhoseReferenceIsNotQueuedStaysHeldWithTheLaterOnesOfItsConversation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gate(acct)
	first, other := w.held(acct, recipient(1)), w.held(acct, recipient(2))
	second := w.hold(w.message(acct, recipient(1)), message.HeldOrder)
	w.refs.refuse(first.ID)
	if s := w.run(Event{AccountID: acct}); s.Released != 1 {
		t.Errorf("summary: %+v", s)
	}
	for m, want := range map[id.Message]message.Status{first.ID: message.Held, other.ID: message.Queued, second.ID: message.Held} {
		if got := w.status(message.Message{AccountID: acct, ID: m}); got != want {
			t.Errorf("message %s is %s, want %s", m, got, want)
		}
	}
	w.refs.refuse(id.Message{})
	w.clock.advance(again + time.Second)
	if s := w.sweep(); s.Released != 2 {
		t.Errorf("the look after: %+v", s)
	}
}

func TestHeldMessageThatExpiredEndsAndCountsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plans.terms.Limit = 0
	w.gate(acct)
	expires := w.clock.now().Add(time.Hour)
	var list []message.Message
	for i := range 30 {
		list = append(list, w.held(acct, recipient(i), func(m *message.Message) { m.ExpiresAt = expires }))
	}
	later := w.held(acct, recipient(31), func(m *message.Message) { m.ExpiresAt = expires.Add(time.Hour) })
	w.run(Event{AccountID: acct})
	w.clock.advance(30 * time.Minute)
	if s := w.sweep(); s.Accounts != 0 {
		t.Errorf("before the time: %+v", s)
	}
	w.clock.set(expires)
	if err := w.usage.Wake(context.Background(), acct); err != nil {
		t.Fatal(err)
	}
	if s := w.sweep(); s.Expired != 30 || s.Released != 0 {
		t.Errorf("summary: %+v", s)
	}
	for _, m := range list {
		if got := w.status(m); got != message.Expired {
			t.Errorf("message %s is %s", m.ID, got)
		}
	}
	if g := w.read(acct); g.Used != 0 || len(g.Entries) != 0 || w.status(later) != message.Held {
		t.Errorf("gate: %+v, later one: %s", g, w.status(later))
	}
	w.clock.advance(2 * time.Minute)
	w.sweep()
	if at, _ := usage.DueTime(w.read(acct).Due); !at.Equal(later.ExpiresAt.Truncate(time.Millisecond)) {
		t.Errorf("due at %s, want %s", at, later.ExpiresAt)
	}
}

func TestEntriesThatRanOutAreResolved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gate(acct)
	ctx := context.Background()
	sent := w.message(acct, recipient(1))
	w.send(sent, false)
	refused := w.message(acct, recipient(2))
	e := w.reserve(refused, 3)
	if _, err := w.messages.End(ctx, acct, refused.ID, e.Lease, message.Ending{Status: message.Failed, At: w.clock.now()}); err != nil {
		t.Fatal(err)
	}
	waiting := w.message(acct, recipient(3))
	w.reserve(waiting, 4)
	ghost := message.Message{AccountID: acct}
	ghost.ID, _ = w.ids.NewMessage(w.keyer.Key(acct, "chn_1", recipient(4)))
	w.reserve(ghost, 5)

	if s := w.run(Event{AccountID: acct}); s.Settled != 0 {
		t.Errorf("while the leases run: %+v", s)
	}
	w.clock.advance(usage.Lease + 2*time.Second)
	if s := w.run(Event{AccountID: acct}); s.Settled != 2 {
		t.Errorf("after they ran out: %+v", s)
	}
	w.clock.advance(20 * time.Second)
	if s := w.run(Event{AccountID: acct}); s.Settled != 1 {
		t.Errorf("once the message can't come any more: %+v", s)
	}
	g := w.read(acct)
	if _, left := g.Entries[waiting.ID.Unique]; g.Used != 2 || g.Remaining != 8 || len(g.Entries) != 1 || !left {
		t.Errorf("gate: %+v", g)
	}
}

func TestClosedPeriodIsExportedOnceItsEntriesAreSettled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gate(acct)
	ctx := context.Background()
	w.clock.set(nextMonth.Add(-10 * time.Second))
	w.send(w.message(acct, recipient(1)), false)
	open := w.message(acct, recipient(2))
	e := w.reserve(open, 4)
	w.clock.set(nextMonth)
	if s := w.sweep(); s.Rolled != 1 || s.Exported != 0 || s.Settled != 1 {
		t.Errorf("with an open entry: %+v", s)
	}
	if _, err := w.messages.End(ctx, acct, open.ID, e.Lease, message.Ending{Status: message.Failed, At: w.clock.now()}); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(time.Minute)
	if s := w.sweep(); s.Exported != 1 || s.Settled != 1 {
		t.Errorf("with the entry's message ended: %+v", s)
	}
	if n, err := w.usage.ClosedPeriod(ctx, acct, "2026-11"); n != 1 || err != nil {
		t.Errorf("closed period: %d %v", n, err)
	}
	if g := w.read(acct); g.Used != 0 || g.Remaining != 10 {
		t.Errorf("gate: %+v", g)
	}
}

func TestMessageThatIsHeldAgainBeforeItsReleaseStaysHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gate(acct)
	seen := w.held(acct, recipient(1))
	now := w.hold(seen, message.HeldUsageLimit)
	written, err := w.messages.Release(context.Background(), seen, w.clock.now())
	if err != nil || written.Applied {
		t.Errorf("release of a holding that is over: %v %v", written.Applied, err)
	}
	if written, err = w.messages.Release(context.Background(), now, w.clock.now()); err != nil || !written.Applied {
		t.Errorf("release of the present holding: %v %v", written.Applied, err)
	}
}

func TestHeldMessageUnderALostClaimIsWokenWithoutRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plans.terms.Limit = 1
	w.gate(acct)
	m := w.held(acct, recipient(1))
	w.reserve(m, 8)
	if s := w.run(Event{AccountID: acct}); s.Released != 0 {
		t.Errorf("while its holder may be at work: %+v", s)
	}
	w.clock.advance(usage.Lease + 2*time.Second)
	if s := w.run(Event{AccountID: acct}); s.Released != 1 || len(w.refs.take()) != 1 {
		t.Errorf("after the lease ran out: %+v", s)
	}
}

func TestWakeDuringAResetIsNotLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gate(acct)
	g := w.read(acct)
	w.clock.advance(time.Second)
	if err := w.usage.Wake(context.Background(), acct); err != nil {
		t.Fatal(err)
	}
	if err := w.usage.Postpone(context.Background(), g, g.Ends); err != nil {
		t.Fatal(err)
	}
	if s := w.sweep(); s.Accounts != 1 {
		t.Errorf("summary: %+v", s)
	}
}

func TestSweepLimitsItselfToTheShardsAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gate(acct)
	w.clock.set(nextMonth)
	mine := usage.Shard(acct)
	other := "s00"
	if mine == other {
		other = "s01"
	}
	if s := w.run(Event{Shards: []string{other}}); s.Accounts != 0 || s.Shards != 1 {
		t.Errorf("other shard: %+v", s)
	}
	if s := w.run(Event{Shards: []string{mine}}); s.Rolled != 1 {
		t.Errorf("its shard: %+v", s)
	}
	if _, err := w.handler.Handle(context.Background(), Event{Shards: []string{"s99"}}); err == nil {
		t.Error("a shard that does not exist was swept")
	}
}

func TestSweepStopsBeforeItsDeadlineAndSaysWhatIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 5 {
		w.gate("acct_" + string(rune('a'+i)))
	}
	w.clock.set(nextMonth)
	ctx, cancel := context.WithTimeout(context.Background(), margin-time.Second)
	defer cancel()
	s, err := w.handler.Handle(ctx, Event{Source: "schedule"})
	if err != nil || s.RemainingDue != 5 || s.Rolled != 0 {
		t.Errorf("%+v %v", s, err)
	}
}

func TestSweepPagesThroughManyDueAccounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const n = 100
	for i := range n {
		w.gate("acct_" + recipient(i))
	}
	w.clock.set(nextMonth)
	if s := w.sweep(); s.Accounts != n || s.Rolled != n || s.Exported != n || s.Failed != 0 {
		t.Errorf("%+v", s)
	}
	w.clock.advance(again + staleness)
	w.sweep()
	w.clock.advance(time.Hour)
	if s := w.sweep(); s.Accounts != 0 {
		t.Errorf("after all is done: %+v", s)
	}
}

func TestDuePageGoesOnWhereTheOneBeforeEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	var mine []string
	for i := 0; len(mine) < 7; i++ {
		if a := "acct_" + recipient(i); usage.Shard(a) == "s03" {
			mine = append(mine, a)
			w.gate(a)
		}
	}
	w.clock.set(nextMonth)
	var got []string
	after := ""
	for {
		list, next, err := w.usage.Due(ctx, "s03", 3, after)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, list...)
		for _, a := range list { // those that are done leave the list, also the one that the next page begins after
			if err := w.usage.Postpone(ctx, w.read(a), w.clock.now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		if next == "" {
			break
		}
		after = next
	}
	slices.Sort(got)
	slices.Sort(mine)
	if !slices.Equal(got, mine) {
		t.Errorf("due: %v, want %v", got, mine)
	}
}

func TestLogHasOneLineForEachShardAndASummary(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gate(acct)
	w.held(acct, recipient(123456))
	w.clock.set(nextMonth)
	var log bytes.Buffer
	w.handler.Log = slog.New(slog.NewJSONHandler(&log, nil))
	w.sweep()
	if strings.Contains(log.String(), recipient(123456)) || strings.Contains(log.String(), "hello") {
		t.Error("the log shows an address or content")
	}
	swept, done := 0, 0
	for line := range strings.Lines(log.String()) {
		var l struct {
			Msg                       string `json:"msg"`
			Shard                     string
			Rolled, Exported, Settled *int
			Released                  *int
			RemainingDue              *int `json:"remaining_due"`
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		switch l.Msg {
		case "shard swept":
			swept++
			if l.Rolled == nil || l.Exported == nil || l.Settled == nil || l.Released == nil || l.RemainingDue == nil || l.Shard == "" {
				t.Errorf("line: %s", line)
			}
		case "reset done":
			done++
		}
	}
	if swept != usage.Shards || done != 1 {
		t.Errorf("%d shards, %d summaries", swept, done)
	}
}
