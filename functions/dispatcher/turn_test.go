package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/id"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/queue"
	"contactcenter/shared/usage"
)

// campaign records messages as intake does with those of batches, each to a person of its own.
func (b *bench) campaign(n int) []id.Message {
	b.t.Helper()
	var list []id.Message
	var batch id.Batch
	for i := range n {
		if i%100 == 0 {
			var err error
			if batch, err = b.ids.NewBatch(); err != nil {
				b.t.Fatal(err)
			}
		}
		b.accept(fmt.Sprintf("+35798%06d", i), func(m *message.Message) {
			var err error
			if m.ID, err = batch.Message(i%100, m.ID.Conversation); err != nil {
				b.t.Fatal(err)
			}
			list = append(list, m.ID)
		})
	}
	return list
}

// an answer to one customer does not stand behind a campaign of its own account, whatever the campaign waits for; and the limit that the
// campaign waits for holds for both together.
func TestASingleMessageDoesNotStandBehindItsAccountsCampaign(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rate   account.Rate
		sender *registry.Rate
		// within is how long the single message may wait, most how many may go in a second.
		within time.Duration
		most   int
	}{
		"which waits for the frequency of the plan": {rate: account.Rate{Limit: 10, WindowSeconds: 1, Burst: 10}, within: time.Second, most: 20},
		"on a plan without a burst":                 {rate: account.Rate{Limit: 10, WindowSeconds: 1, Burst: 1}, within: 2 * time.Second, most: 11},
		"which waits for its sender":                {rate: account.Rate{Limit: 1000, WindowSeconds: 1, Burst: 1000}, sender: &registry.Rate{Limit: 1, WindowSeconds: 1, Burst: 1}, within: 4 * time.Second, most: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 10_000, c.rate)
			if c.sender != nil {
				b.perSender(*c.sender)
			}
			times := b.callTimes()
			campaign := b.campaign(60)
			q := b.line(campaign...)
			var single id.Message
			var asked time.Time
			note := b.provider.during
			b.provider.during = func(mid string) {
				if len(b.provider.calls) == 20 {
					// Other dispatchers have given thousands of the campaign their places.
					if _, err := b.gates.Queue(t.Context(), b.gate(), usage.Rate{Limit: 1, Window: time.Second}, 3600, true); err != nil {
						t.Error(err)
					}
					single, asked = b.accept("+35799999999", nil), b.Now()
					q.records = append(q.records, &record{message: single}) // the queue gives it out next, for its group is quiet
				}
				note(mid)
			}
			q.drain()
			at := slices.Index(b.provider.calls, single.String())
			if at < 0 || len(b.provider.calls) != len(campaign)+1 {
				t.Fatalf("it is call %d of %d", at, len(b.provider.calls))
			}
			if waited := (*times)[at].Sub(asked); waited > c.within {
				t.Errorf("it waited %v behind its account's campaign, and was call %d after the 20th", waited, at-20)
			}
			t.Logf("it waited %v, and was call %d after the 20th; all took %v", (*times)[at].Sub(asked), at-20, b.Now().Sub((*times)[0]))
			b.wantApart(slices.Clone(*times), c.most, time.Second)
			b.wantUsed(int64(len(campaign) + 1))
		})
	}
}

// the message group of an account's batches is not that of its single messages, so that SQS lets neither delay the other.
func TestBatchesHaveAMessageGroupOfTheirOwn(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1_000_000, slow())
	fair := awstest.NewLocal(t)
	b.d.SQS, b.d.QueueURL = fair.SQS, fair.Queue(t.Context(), nil)
	refs := &queue.Queue{SQS: fair.SQS, URL: b.d.QueueURL}
	campaign := b.campaign(300)
	for ten := range slices.Chunk(campaign, queue.BatchSize) {
		var list []queue.Delayed
		for _, m := range ten {
			list = append(list, queue.Delayed{Message: m})
		}
		if failed, err := refs.SendBatch(t.Context(), testAccount, list); err != nil || len(failed) > 0 {
			t.Fatal(failed, err)
		}
	}
	for range 3 {
		b.work(fair.SQS)
	}
	single := b.accept("+35799999999", nil)
	if err := refs.Send(t.Context(), testAccount, single); err != nil {
		t.Fatal(err)
	}
	b.work(fair.SQS)
	b.wantStatus(single, message.Sent, "")
}

// A batch of records may hold single messages and messages of batches of one account: each gets its verdict, and none is sent twice.
func TestSingleMessagesAndThoseOfBatchesComeTogether(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1000, slow())
	list := b.campaign(5)
	for i := range 5 {
		list = append(list, b.accept(fmt.Sprintf("+3579911%04d", i), nil))
	}
	for range 20 {
		if again := b.deliver(1, list...); len(again) == 0 {
			break
		}
	}
	for _, m := range list {
		b.wantStatus(m, message.Sent, "")
	}
	if len(b.provider.calls) != len(list) {
		t.Errorf("%d calls for %d messages", len(b.provider.calls), len(list))
	}
	b.wantUsed(int64(len(list)))
}

// An account's id may be as long as the name of a message group.
func TestTheBatchesOfAnAccountWithALongIDAreQueued(t *testing.T) {
	t.Parallel()
	b := newBench(t, 10, slow())
	env := awstest.New(t)
	refs := &queue.Queue{SQS: env.SQS, URL: env.Queue(t.Context(), nil)}
	long := strings.Repeat("a", 128)
	if !account.ValidID(long) {
		t.Fatal("no account has such an id")
	}
	list := []queue.Delayed{{Message: b.campaign(1)[0]}, {Message: b.accept("+35799999999", nil)}}
	if failed, err := refs.SendBatch(t.Context(), long, list); err != nil || len(failed) > 0 {
		t.Errorf("%d were not queued, %v", len(failed), err)
	}
	if err := refs.Send(t.Context(), long, list[0].Message); err != nil {
		t.Error(err)
	}
}
