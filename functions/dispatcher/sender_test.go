package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"contactcenter/shared/account"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/pace"
	"contactcenter/shared/provider/registry"
)

// line is a queue that keeps to visibility timeouts, in the bench's time.
type line struct {
	*bench
	records []*record

	mu      sync.Mutex
	visible map[string]time.Duration
}

type record struct {
	message  id.Message
	receives int
	at       time.Time
}

func (b *bench) line(list ...id.Message) *line {
	l := &line{bench: b, visible: map[string]time.Duration{}}
	b.d.SQS = l
	l.add(list...)
	return l
}

func (l *line) add(list ...id.Message) {
	for _, m := range list {
		l.records = append(l.records, &record{message: m, at: l.Now()})
	}
}

func (l *line) ChangeMessageVisibilityBatch(_ context.Context, in *sqs.ChangeMessageVisibilityBatchInput, _ ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityBatchOutput, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range in.Entries {
		l.visible[*e.ReceiptHandle] = time.Duration(e.VisibilityTimeout) * time.Second
	}
	return &sqs.ChangeMessageVisibilityBatchOutput{}, nil
}

// drain lets the dispatcher work until nothing is queued any more, and gives how often messages came.
func (l *line) drain() (receives int) {
	l.t.Helper()
	for range 10_000 {
		if len(l.records) == 0 {
			return receives
		}
		slices.SortStableFunc(l.records, func(x, y *record) int { return x.at.Compare(y.at) })
		if d := l.records[0].at.Sub(l.Now()); d > 0 {
			l.pass(d)
		}
		var event events.SQSEvent
		byRecord := map[string]*record{}
		for i, r := range l.records[:min(10, len(l.records))] {
			if r.at.After(l.Now()) {
				break
			}
			r.receives++
			receives++
			name := strconv.Itoa(i)
			byRecord[name] = r
			event.Records = append(event.Records, events.SQSMessage{
				MessageId: name, ReceiptHandle: name, Body: fmt.Sprintf(`{"account_id":%q,"message_id":%q}`, testAccount, r.message),
				Attributes: map[string]string{"ApproximateReceiveCount": strconv.Itoa(r.receives), "SentTimestamp": strconv.FormatInt(l.Now().UnixMilli(), 10)},
			})
		}
		out, err := l.d.Handle(l.t.Context(), event)
		if err != nil {
			l.t.Fatal(err)
		}
		for _, f := range out.BatchItemFailures {
			byRecord[f.ItemIdentifier].at = l.Now().Add(max(l.visible[f.ItemIdentifier], time.Millisecond))
			delete(byRecord, f.ItemIdentifier)
		}
		for _, done := range byRecord {
			l.records = slices.DeleteFunc(l.records, func(r *record) bool { return r == done })
		}
	}
	l.t.Fatalf("%d messages are still queued", len(l.records))
	return receives
}

// counted counts the requests for slots and places.
type counted struct {
	pace.DynamoDB
	n atomic.Int64
}

func (c *counted) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, o ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	c.n.Add(1)
	return c.DynamoDB.UpdateItem(ctx, in, o...)
}

// wantApart checks that no window has more calls than the limit.
func (b *bench) wantApart(times []time.Time, limit int, window time.Duration) {
	b.t.Helper()
	slices.SortFunc(times, time.Time.Compare)
	for i := limit; i < len(times); i++ {
		if gap := times[i].Sub(times[i-limit]); gap < window {
			b.t.Errorf("%d calls lie within %v", limit+1, gap)
		}
	}
}

func (b *bench) perSender(r registry.Rate) {
	b.t.Helper()
	b.limits.PerSender = &r
	b.setProvider(registry.Enabled)
	b.pass(registry.CacheAge)
}

// a sender sends as fast as its provider lets it. What is above waits in the order in which it came, comes back when its turn is
// near and not all the time, and another sender does not wait for it.
func TestEachSenderKeepsItsOwnPaceAndWhatIsAboveItLinesUp(t *testing.T) {
	t.Parallel()
	const many, few = 60, 5
	b := newBench(t, 1000, account.Rate{Limit: 1000, WindowSeconds: 1, Burst: 1000})
	b.perSender(registry.Rate{Limit: 1, WindowSeconds: 1, Burst: 1})
	slots := b.d.Pace.(*pace.Store)
	requests := &counted{DynamoDB: slots.DB}
	slots.DB = requests
	begun := b.Now()
	times := b.callTimes()
	var busy, other []id.Message
	for i := range many {
		busy = append(busy, b.accept(fmt.Sprintf("+357990006%02d", i), nil))
	}
	l := b.line(busy...)
	b.channel = b.newChannel()
	for i := range few {
		other = append(other, b.accept(fmt.Sprintf("+357990007%02d", i), nil))
	}
	l.add(other...)
	receives := l.drain()

	bySender := map[bool][]time.Time{}
	for i, called := range b.provider.calls {
		mine := slices.ContainsFunc(other, func(m id.Message) bool { return m.String() == called })
		bySender[mine] = append(bySender[mine], (*times)[i])
	}
	b.wantApart(bySender[false], 1, time.Second)
	b.wantApart(bySender[true], 1, time.Second)
	if len(bySender[false]) != many || len(bySender[true]) != few {
		t.Errorf("%d and %d calls", len(bySender[false]), len(bySender[true]))
	}
	if took := bySender[true][few-1].Sub(begun); took > 20*time.Second {
		t.Errorf("the other sender's %d messages took %v", few, took)
	}
	if took := bySender[false][many-1].Sub(begun); took > many*1500*time.Millisecond {
		t.Errorf("%d messages took %v", many, took)
	}
	if most := 3 * (many + few); receives > most {
		t.Errorf("%d messages came %d times, want at most %d", many+few, receives, most)
	}
	for _, m := range slices.Concat(busy, other) {
		b.wantStatus(m, message.Sent, "")
		if n := b.get(m).Attempts; n != 1 {
			t.Errorf("%d attempts: waiting is none", n)
		}
	}
	b.wantUsed(many + few)
	if n := requests.n.Load(); n > 3*(many+few) {
		t.Errorf("%d requests for slots and places of %d messages", n, many+few)
	}
	t.Logf("%d messages came %d times in %v, %d requests for slots and places", many+few, receives, b.Now().Sub(begun), requests.n.Load())
}

// The messages of one conversation keep their order, and those that waited behind another do not wait twice.
func TestAConversationInALineKeepsItsOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1000, account.Rate{Limit: 1000, WindowSeconds: 1, Burst: 1000})
	b.perSender(registry.Rate{Limit: 1, WindowSeconds: 1, Burst: 1})
	var list, talk []id.Message
	for i := range 10 {
		list = append(list, b.accept(fmt.Sprintf("+3579900080%d", i), nil))
	}
	for range 3 {
		talk = append(talk, b.accept("+35799000820", nil))
	}
	for i := range 30 {
		list = append(list, b.accept(fmt.Sprintf("+357990009%02d", i), nil))
	}
	receives := b.line(slices.Concat(list[:10], talk, list[10:])...).drain()
	at := func(m id.Message) int { return slices.Index(b.provider.calls, m.String()) }
	if first, second, third := at(talk[0]), at(talk[1]), at(talk[2]); first < 0 || second < first || third < second || third > 30 {
		t.Errorf("they went as calls %d, %d and %d of %d", first, second, third, len(b.provider.calls))
	}
	if receives > 4*43 {
		t.Errorf("43 messages came %d times", receives)
	}
}

// A message in a line is looked at now and then, and ends by its time.
func TestAMessageInALineExpiresInTime(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1000, account.Rate{Limit: 1000, WindowSeconds: 1, Burst: 1000})
	b.perSender(registry.Rate{Limit: 1, WindowSeconds: 3600, Burst: 1})
	ends := b.Now().Add(time.Minute)
	first, second := b.accept("+35799000001", nil), b.accept("+35799000002", func(m *message.Message) { m.ExpiresAt = ends })
	third := b.accept("+35799000003", nil)
	l := b.line(first)
	l.drain()
	l.add(second)
	l.drain()
	b.wantStatus(first, message.Sent, "")
	b.wantStatus(second, message.Expired, "delivery_expired")
	if late := b.Now().Sub(ends); late > 5*time.Second {
		t.Errorf("it expired %v late", late)
	}
	if got := b.get(second); got.Attempts != 0 || got.Steps[0].Reason != message.StepLined {
		t.Errorf("steps %v", got.Steps)
	}
	b.limits.PerSender = nil
	b.setProvider(registry.Enabled)
	b.pass(registry.CacheAge)
	l.add(third)
	l.drain()
	b.wantStatus(third, message.Sent, "")
	b.wantUsed(2)
}

// both bounds hold where a provider has both.
func TestASendersPaceAndItsProvidersHoldTogether(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1000, account.Rate{Limit: 1000, WindowSeconds: 1, Burst: 1000})
	b.limits.Rate = &registry.Rate{Limit: 3, WindowSeconds: 1, Burst: 1}
	b.perSender(registry.Rate{Limit: 2, WindowSeconds: 1, Burst: 1})
	times := b.callTimes()
	var list []id.Message
	for range 3 {
		b.channel = b.newChannel()
		for i := range 5 {
			list = append(list, b.accept(fmt.Sprintf("+3579900100%d", i), nil))
		}
	}
	b.line(list...).drain()
	b.wantApart(*times, 3, time.Second)
	if len(*times) != len(list) {
		t.Errorf("%d calls for %d messages", len(*times), len(list))
	}
	b.wantUsed(int64(len(list)))
}
