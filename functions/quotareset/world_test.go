package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"contactcenter/shared/account"
	"contactcenter/shared/availability"
	"contactcenter/shared/content"
	"contactcenter/shared/event"
	"contactcenter/shared/event/eventtest"
	"contactcenter/shared/id"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/queue"
	"contactcenter/shared/restriction"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
	"contactcenter/shared/usage"
)

// clock is a time that the test moves. Each reading is a microsecond later than the one before.
type clock struct{ us atomic.Int64 }

func (c *clock) now() time.Time          { return time.UnixMicro(c.us.Add(1)).UTC() }
func (c *clock) set(t time.Time)         { c.us.Store(t.UnixMicro()) }
func (c *clock) advance(d time.Duration) { c.us.Add(d.Microseconds()) }

// plans gives every account the same terms, and channels says which are closed.
type plans struct {
	mu           sync.Mutex
	terms        usage.Terms
	restrictions restriction.Set
	listens      event.Set
}

func (p *plans) Terms(context.Context, string, bool) (usage.Terms, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.terms, nil
}

func (p *plans) Standing(context.Context, string, bool) (account.Standing, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return account.Standing{Terms: p.terms, Restrictions: p.restrictions, Listens: p.listens}, nil
}

type closedChannels struct {
	mu     sync.Mutex
	closed map[string]string
}

func (c *closedChannels) Obstacle(_ context.Context, channelID string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed[channelID], nil
}

func (c *closedChannels) set(channelID, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed[channelID] = reason
}

// references is a queue over the wire of which the test can tell what was sent.
type references struct {
	queue.SQS
	mu   sync.Mutex
	sent []sentReference
	// refused is a message whose references the queue does not take.
	refused id.Message
}

func (q *references) refuse(m id.Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.refused = m
}

type sentReference struct {
	account string
	message id.Message
	delay   int32
}

func (q *references) SendMessageBatch(ctx context.Context, in *sqs.SendMessageBatchInput, opts ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := *in
	taken.Entries = nil
	var failed []types.BatchResultErrorEntry
	for _, e := range in.Entries {
		account, m, err := queue.Parse(*e.MessageBody)
		if err != nil {
			return nil, err
		}
		if m == q.refused {
			failed = append(failed, types.BatchResultErrorEntry{Id: e.Id, Code: aws.String("InternalError")})
			continue
		}
		taken.Entries = append(taken.Entries, e)
		q.sent = append(q.sent, sentReference{account: account, message: m, delay: e.DelaySeconds})
	}
	if len(taken.Entries) == 0 {
		return &sqs.SendMessageBatchOutput{Failed: failed}, nil
	}
	out, err := q.SQS.SendMessageBatch(ctx, &taken, opts...)
	if err == nil {
		out.Failed = append(out.Failed, failed...)
	}
	return out, err
}

// take gives what was sent since the last call.
func (q *references) take() []sentReference {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.sent
	q.sent = nil
	return list
}

// world is everything that a reset touches.
type world struct {
	t        testing.TB
	clock    *clock
	plans    *plans
	channels *closedChannels
	refs     *references
	told     *eventtest.Recorder
	usage    *usage.Store
	messages *message.Store
	ids      id.Source
	keyer    id.ConversationKeyer
	handler  *Handler
}

var midMonth = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func newWorld(t testing.TB) *world {
	t.Helper()
	ctx := context.Background()
	env := awstest.New(t)
	w := &world{
		t: t, clock: &clock{},
		plans:    &plans{terms: usage.Terms{PlanID: "demo", Version: "demo.1", Limit: 10, Kind: usage.Month, InFlight: 20}},
		channels: &closedChannels{closed: map[string]string{}},
		refs:     &references{SQS: env.SQS},
		told:     &eventtest.Recorder{},
	}
	w.clock.set(midMonth)
	w.usage = &usage.Store{DB: env.DynamoDB, Table: env.Table(ctx, awstest.UsageTable()), Now: w.clock.now}
	w.messages = &message.Store{
		DB: env.DynamoDB, Retention: 90 * 24 * time.Hour, Table: env.Table(ctx, awstest.MessagesTable()), Sealer: sealtest.Sealer(seal.Content), Opener: sealtest.Opener(seal.Content),
	}
	w.ids = id.Source{Now: w.clock.now, Random: rand.Reader}
	var err error
	if w.keyer, err = id.NewConversationKeyer([]byte("0123456789abcdef")); err != nil {
		t.Fatal(err)
	}
	dispatch := &queue.Queue{SQS: w.refs, URL: env.Queue(ctx, nil)}
	w.handler = &Handler{
		Log: slog.New(slog.DiscardHandler),
		Health: &health.Sweep{
			Store: &health.Store{DB: env.DynamoDB, Table: w.usage.Table}, Now: w.clock.now, Log: slog.New(slog.DiscardHandler),
			Providers: func(context.Context) ([]string, error) { return []string{"edna"}, nil },
		},
		Pulse: &Pulse{
			Beats: &availability.Beats{DB: env.DynamoDB, Table: w.usage.Table}, Every: time.Minute, Now: w.clock.now,
			Looks: []func(context.Context) error{queueAnswers(env.SQS, dispatch.URL)},
		},
		Scheduled: Scheduled{Messages: w.messages, Queue: dispatch, Now: w.clock.now, WritesAtOnce: 4},
		Reset: Reset{
			Usage: w.usage, Messages: w.messages, Queue: dispatch, Terms: w.plans, Channels: w.channels,
			Now: w.clock.now, Random: rand.Reader, WritesAtOnce: 4, Events: w.told,
		},
	}
	return w
}

// gate makes an account's gate under the present terms.
func (w *world) gate(account string) usage.Gate {
	w.t.Helper()
	terms, _ := w.plans.Terms(context.Background(), account, true)
	if err := w.usage.Create(context.Background(), account, terms); err != nil {
		w.t.Fatal(err)
	}
	return w.read(account)
}

func (w *world) read(account string) usage.Gate {
	w.t.Helper()
	g, err := w.usage.Read(context.Background(), account, true)
	if err != nil {
		w.t.Fatal(err)
	}
	return g
}

// message records a waiting message to a recipient.
func (w *world) message(account, recipient string, change ...func(*message.Message)) message.Message {
	w.t.Helper()
	w.clock.advance(time.Millisecond)
	mid, err := w.ids.NewMessage(w.keyer.Key(account, "chn_1", recipient))
	if err != nil {
		w.t.Fatal(err)
	}
	m := message.Message{
		AccountID: account, ID: mid, Direction: message.Outbound, ChannelID: "chn_1", ProviderID: "edna", Address: recipient, OnLimit: message.Hold,
		Content: content.Content{Type: content.TypeText, Text: "hello"}, Outcome: message.Queued,
	}
	m.ContentSHA256, _ = m.Content.SHA256() // text always has a hash
	for _, c := range change {
		c(&m)
	}
	if err := w.messages.Create(context.Background(), m); err != nil {
		w.t.Fatal(err)
	}
	return m
}

// hold holds a message as a dispatcher does: claimed without a unit, held, settled.
func (w *world) hold(m message.Message, reason string) message.Message {
	w.t.Helper()
	ctx := context.Background()
	g, err := w.usage.Take(ctx, m.AccountID, []id.Message{m.ID}, 7)
	if err != nil {
		w.t.Fatal(err)
	}
	e := g.Entries[m.ID.Unique]
	written, err := w.messages.Hold(ctx, m, e.Lease, w.clock.now(), reason, g.Ends)
	if err != nil || !written.Applied {
		w.t.Fatalf("hold: %v %v", written.Applied, err)
	}
	if err := w.usage.Settle(ctx, g, []usage.Settlement{{Entry: e}}); err != nil {
		w.t.Fatal(err)
	}
	return written.Message
}

func (w *world) held(account, recipient string, change ...func(*message.Message)) message.Message {
	w.t.Helper()
	return w.hold(w.message(account, recipient, change...), message.HeldUsageLimit)
}

// reserve takes a unit for a message, as a dispatcher does.
func (w *world) reserve(m message.Message, nonce uint32) usage.Entry {
	w.t.Helper()
	g := w.read(m.AccountID)
	terms, _ := w.plans.Terms(context.Background(), m.AccountID, true)
	g, err := w.usage.Reserve(context.Background(), m.AccountID, terms, usage.Claim{Messages: []id.Message{m.ID}, Nonce: nonce, Gate: g})
	if err != nil {
		w.t.Fatal(err)
	}
	return g.Entries[m.ID.Unique]
}

// send reserves and records that the provider took the message; it settles when told to.
func (w *world) send(m message.Message, settle bool) usage.Entry {
	w.t.Helper()
	ctx := context.Background()
	e := w.reserve(m, 9)
	written, err := w.messages.Sent(ctx, m.AccountID, m.ID, e.Claim, message.Handover{At: w.clock.now(), Attempt: true})
	if err != nil || !written.Applied {
		w.t.Fatalf("sent: %v %v", written.Applied, err)
	}
	if settle {
		if err := w.usage.Settle(ctx, w.read(m.AccountID), []usage.Settlement{{Entry: e}}); err != nil {
			w.t.Fatal(err)
		}
	}
	return e
}

func (w *world) status(m message.Message) message.Status {
	w.t.Helper()
	got, err := w.messages.Get(context.Background(), m.AccountID, m.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return got.Status()
}

func (w *world) run(e Event) Summary {
	w.t.Helper()
	s, err := w.handler.Handle(context.Background(), e)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) sweep() Summary { w.t.Helper(); return w.run(Event{Source: "schedule"}) }

func recipient(i int) string { return fmt.Sprintf("+35799%06d", i%int(math.Pow10(6))) }
