package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/health"
)

// down lets every call of the scripted provider fail from now on; up ends that.
func (p *scriptedProvider) down(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outage = err
}

// played is the dispatch queue as the test plays it: what is to come again, and when.
type played struct {
	*bench
	at       map[id.Message]time.Time
	receives map[id.Message]int
	queued   map[id.Message]time.Time
}

func (b *bench) queueOf(list ...id.Message) *played {
	q := &played{bench: b, at: map[id.Message]time.Time{}, receives: map[id.Message]int{}, queued: map[id.Message]time.Time{}}
	for _, m := range list {
		q.at[m], q.queued[m] = b.Now(), b.Now()
	}
	return q
}

// run delivers what is due, in batches of ten, until the queue is empty or the time is over.
func (q *played) run(d time.Duration) {
	q.t.Helper()
	for end := q.Now().Add(d); len(q.at) > 0 && q.Now().Before(end); {
		var due []id.Message
		next := end
		for m, at := range q.at {
			if at.After(q.Now()) {
				next = earliest(next, at)
				continue
			}
			due = append(due, m)
		}
		if len(due) == 0 {
			q.pass(next.Sub(q.Now()))
			continue
		}
		slices.SortFunc(due, func(x, y id.Message) int { return q.at[x].Compare(q.at[y]) })
		due = due[:min(len(due), 10)]
		for m, v := range q.verdictsOf(due) {
			if q.receives[m]++; v.done {
				delete(q.at, m)
				continue
			}
			q.at[m] = q.Now().Add(max(time.Duration(v.seconds())*time.Second, time.Millisecond))
		}
	}
}

// verdictsOf hands messages to the dispatcher as one batch.
func (q *played) verdictsOf(due []id.Message) map[id.Message]verdict {
	var list []delivery
	for _, m := range due {
		list = append(list, delivery{recordID: m.String(), message: m, receives: q.receives[m] + 1, queuedAt: q.queued[m]})
	}
	byRecord := q.d.dispatch(q.t.Context(), sender{accountID: testAccount}, list)
	q.d.Health.Flush(q.t.Context())
	out := map[id.Message]verdict{}
	for _, m := range due {
		out[m] = byRecord[m.String()]
	}
	return out
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func (b *bench) wantHealth(of health.Subject, want health.State) {
	b.t.Helper()
	r, err := health.NewReader(&health.Store{DB: b.registry.DB.(health.DynamoDB), Table: b.gates.Table}, b.Now).Report(b.t.Context(), of)
	if err != nil || r.State != want {
		b.t.Errorf("%s is %s, %v; want %s", of.Kind, r.State, err, want)
	}
}

// while nothing gets through, messages wait and use up nothing; then all go, once each and in order.
func TestNoMessageIsBurntInAnOutage(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]error{
		"of an hour in which every call is refused":       refusal(provider.Retry),
		"of an hour in which the credentials of ours are": &provider.Error{Kind: provider.Credentials, Code: "credentials_invalid", Fault: provider.FaultPlatform},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 1000, account.Rate{Limit: 1000, WindowSeconds: 1, Burst: 1000})
			var list []id.Message
			for i := range 24 {
				list = append(list, b.accept(fmt.Sprintf("+3579900%04d", i%8), nil))
			}
			b.provider.down(outage)
			q := b.queueOf(list...)
			q.run(time.Minute)
			b.wantHealth(health.OfChannel(b.channel), health.Outage)
			calls := len(b.provider.calls)
			q.run(time.Hour)
			if n := len(b.provider.calls) - calls; n > 120 {
				t.Errorf("%d calls in an hour of an outage", n)
			}
			for _, m := range list {
				if got := b.get(m); got.Status() != message.Queued || len(got.Steps) > 12 {
					t.Fatalf("%s is %s with %d steps in the outage", m, got.Status(), len(got.Steps))
				}
			}
			b.provider.down(nil)
			q.run(6 * time.Minute) // after an hour it is tried every five minutes
			for _, m := range list {
				b.wantStatus(m, message.Sent, "")
			}
			b.wantUsed(24)
			b.wantOrder(list)
			for m, n := range q.receives {
				if n > 300 {
					t.Errorf("%s was received %d times; SQS gives up after 1,000", m, n)
				}
			}
			b.pass(health.Calm + health.Window)
			b.wantHealth(health.OfChannel(b.channel), health.Operational)
		})
	}
}

// lostBefore is an ambiguous failure of a message that the provider did not take.
func lostBefore() error {
	return &provider.Error{Kind: provider.Ambiguous, Code: "outcome_unknown", Fault: provider.FaultProvider}
}

// wantOrder wants every message accepted once, those of one conversation in order.
func (b *bench) wantOrder(list []id.Message) {
	b.t.Helper()
	place := map[string]int{}
	for i, m := range b.provider.accepted {
		if _, twice := place[m]; twice {
			b.t.Errorf("%s was accepted twice", m)
		}
		place[m] = i
	}
	last := map[string]int{}
	for _, m := range list {
		at, ok := place[m.String()]
		if before, found := last[m.Conversation]; !ok || found && at < before {
			b.t.Errorf("%s was accepted out of order, or not (%v)", m, ok)
		}
		last[m.Conversation] = at
	}
}

// of those that the provider may have, an account keeps half of its places: the others are unknown after a while, and what was never
// handed over is not burnt.
func TestMissingAnswersLeaveRoomForOtherMessages(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1000, account.Rate{Limit: 1000, WindowSeconds: 1, Burst: 1000})
	var list []id.Message
	for i := range 40 {
		list = append(list, b.accept(fmt.Sprintf("+3579900%04d", i), nil))
	}
	b.provider.down(lostBefore())
	q := b.queueOf(list...)
	q.run(time.Hour)
	if n := len(b.gate().Entries); n > account.InFlight/2+2 {
		t.Errorf("%d places are taken", n)
	}
	b.provider.down(nil)
	q.run(6 * time.Minute)
	unknown := 0
	for _, m := range list {
		if got := b.get(m); got.Status() == message.Unknown {
			unknown++
			continue
		}
		b.wantStatus(m, message.Sent, "")
	}
	if unknown > account.InFlight {
		t.Errorf("%d messages of %d are unknown", unknown, len(list))
	}
	t.Logf("%d of %d unknown", unknown, len(list))
	b.wantUsed(40)
}

//
func TestInAnOutageAMessageExpiresAndWaitsForADayAtMost(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1000, slow())
	expires := b.accept("+35799000001", func(m *message.Message) { m.ExpiresAt = m.ID.Time().Add(10 * time.Minute) })
	stays := b.accept("+35799000002", nil)
	b.provider.down(refusal(provider.Retry))
	q := b.queueOf(expires, stays)
	q.run(11 * time.Minute)
	b.wantStatus(expires, message.Expired, "delivery_expired")
	q.run(24*time.Hour - 12*time.Minute)
	b.wantStatus(stays, message.Queued, "")
	q.run(20 * time.Minute)
	b.wantStatus(stays, message.Failed, "provider_refused") // as the provider said last
	b.wantUsed(0)
	t.Logf("received %d times, called %d times in a day", q.receives[stays], len(b.provider.calls))
	if n := q.receives[stays]; n > 900 {
		t.Errorf("it was received %d times; SQS gives up after 1,000", n)
	}
}

// A message that the provider fails on for its own sake is not an outage while others get through.
func TestAMessageThatAlwaysFailsEndsWhereOthersGetThrough(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1000, slow())
	bad := b.accept("+35799000001", nil)
	b.provider.poison = bad.String()
	q := b.queueOf(bad)
	for i := range 100 {
		b.deliver(1, b.accept(fmt.Sprintf("+3579901%04d", i), nil))
		q.run(3 * time.Second)
		b.pass(time.Second)
	}
	b.wantStatus(bad, message.Failed, "provider_refused")
	b.wantHealth(health.OfProvider(testProvider), health.Operational)
}
