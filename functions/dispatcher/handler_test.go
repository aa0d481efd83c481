package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"contactcenter/shared/account"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/channel"
	"contactcenter/shared/content"
	"contactcenter/shared/event/eventtest"
	"contactcenter/shared/id"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/message"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/pace"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/recipient"
	"contactcenter/shared/release"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
	"contactcenter/shared/telemetry/telemetrytest"
	"contactcenter/shared/usage"
)

const (
	testAccount  = "acct_test"
	testProvider = "scripted"
)

// bench is a dispatcher over real stores, a clock that the test moves, and a provider that does as it is told.
type bench struct {
	told     *eventtest.Recorder
	t        *testing.T
	d        *Dispatcher
	provider *scriptedProvider
	messages *message.Store
	gates    *usage.Store
	accounts *account.Store
	channels *channel.Store
	registry *registry.Store
	waiting  *release.Store
	flags    *recipient.Flags
	stops    *recipient.Stops
	limits   registry.Limits
	channel  string
	ids      id.Source
	logs     *telemetrytest.Log
	slept    []time.Duration

	mu   sync.Mutex
	now  time.Time
	seed uint64
}

func (b *bench) Now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

// scriptedProvider answers each call with the next of its answers, and accepts when there is none left.
type scriptedProvider struct {
	mu         sync.Mutex
	answers    []error
	accepted   []string
	calls      []string
	tokens     []string
	answersTo  []string
	receipt    provider.Receipt
	repeatSafe bool
	ownIDsOnly bool
	during     func(id string)
	// outage fails every call, poison those for one message.
	outage error
	poison string
}

func (p *scriptedProvider) Send(_ context.Context, ch provider.Channel, m provider.Message) (provider.Receipt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls, p.answersTo = append(p.calls, m.ID), append(p.answersTo, m.ReplyTo)
	if ch.Credentials != nil {
		p.tokens = append(p.tokens, ch.Credentials["token"])
	}
	if p.during != nil {
		p.during(m.ID)
	}
	if p.repeatSafe && slices.Contains(p.accepted, m.ID) {
		return provider.Receipt{Duplicate: true}, nil
	}
	answer := p.outage
	if m.ID == p.poison {
		answer = refusal(provider.Retry)
	}
	if len(p.answers) > 0 {
		answer, p.answers = p.answers[0], p.answers[1:]
	}
	var lost *lostAnswer
	if answer == nil || errors.As(answer, &lost) {
		p.accepted = append(p.accepted, m.ID)
	}
	return p.receipt, answer
}

func (p *scriptedProvider) ParseCallback(context.Context, provider.Channel, *provider.Request) ([]provider.Event, error) {
	return nil, provider.ErrProof
}

func (p *scriptedProvider) Capabilities() provider.Capabilities {
	return provider.Capabilities{RepeatSafe: p.repeatSafe, OwnIDsOnly: p.ownIDsOnly}
}

// lostAnswer is an ambiguous failure after the provider took the message.
type lostAnswer struct{ cause *provider.Error }

func (e *lostAnswer) Error() string { return e.cause.Error() }
func (e *lostAnswer) Unwrap() error { return e.cause }

func refusal(kind provider.Kind) error {
	return &provider.Error{Kind: kind, Code: "provider_refused", Fault: provider.FaultProvider, Detail: "no"}
}

func lost() error {
	return &lostAnswer{&provider.Error{Kind: provider.Ambiguous, Code: "provider_unavailable", Fault: provider.FaultProvider}}
}

func newBench(t *testing.T, limit int64, rate account.Rate) *bench {
	t.Helper()
	env, ctx := awstest.New(t), t.Context()
	b := &bench{t: t, provider: &scriptedProvider{repeatSafe: true}, logs: &telemetrytest.Log{}, now: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)}
	b.ids = id.Source{Now: b.Now, Random: &counter{}}
	b.messages = &message.Store{DB: env.DynamoDB, Table: env.Table(ctx, awstest.MessagesTable()), Retention: message.DefaultRetention, Sealer: sealtest.Sealer(seal.Content), Opener: sealtest.Opener(seal.Content)}
	b.flags = &recipient.Flags{DB: env.DynamoDB, Table: env.Table(ctx, awstest.RecipientsTable())}
	keyer, err := id.NewConversationKeyer([]byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	b.stops = &recipient.Stops{DB: env.DynamoDB, Table: b.flags.Table, Keys: keyer}
	b.gates = &usage.Store{DB: env.DynamoDB, Table: env.Table(ctx, awstest.UsageTable()), Now: b.Now}
	b.waiting = &release.Store{DB: env.DynamoDB, Table: b.gates.Table, Now: b.Now}
	b.accounts = &account.Store{DB: env.DynamoDB, Table: env.Table(ctx, awstest.AccountsTable()), Now: b.Now, DefaultPlanID: "test", Audit: audittest.New(t, env)}
	channels := env.Table(ctx, awstest.ChannelsTable())
	b.channels = &channel.Store{DB: env.DynamoDB, Table: channels, Audit: audittest.New(t, env)}
	b.registry = &registry.Store{DB: env.DynamoDB, Table: channels, Now: b.Now, Audit: audittest.New(t, env)}
	if _, _, err := b.accounts.PutPlan(ctx, account.Plan{ID: "test", Limit: limit, Period: usage.Month, Rate: rate}, audittest.ByOperator()); err != nil {
		t.Fatal(err)
	}
	b.setProvider(registry.Enabled)
	b.channel = b.newChannel()
	b.told = &eventtest.Recorder{}
	b.d = &Dispatcher{
		Events: b.told,
		Gates:  b.gates, Messages: b.messages, Accounts: b.accounts, Channels: &pausableChannels{store: b.channels, cache: &channel.Cache{Store: b.channels, Now: b.Now}},
		Providers: b.registry, Waiting: b.waiting, OptOuts: b.flags, Stops: b.stops, Scopes: &usage.Scopes{DB: env.DynamoDB, Table: b.gates.Table, Now: b.Now}, Pace: &pace.Store{DB: env.DynamoDB, Table: b.gates.Table, Now: b.Now}, Adapters: map[string]provider.Adapter{testProvider: b.provider}, SQS: env.SQS, QueueURL: env.Queue(ctx, nil),
		Health: b.monitor(env), Hints: &Hints{}, Log: slog.New(slog.NewJSONHandler(b.logs, nil)), Now: b.Now,
		Sleep: func(_ context.Context, d time.Duration) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.slept, b.now = append(b.slept, d), b.now.Add(d)
			return nil
		},
		Random: func() uint64 {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.seed++
			return b.seed
		},
	}
	return b
}

// counter is a source of randomness that never repeats itself.
type counter struct {
	mu sync.Mutex
	n  uint32
}

func (c *counter) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	for i := range p {
		p[i] = byte(c.n >> (8 * (len(p) - 1 - i)))
	}
	return len(p), nil
}

func (b *bench) setProvider(status registry.Status) {
	b.t.Helper()
	if _, err := b.registry.Put(b.t.Context(), registry.Entry{ID: testProvider, Name: "Scripted", Onboarding: registry.Native, ChannelTypes: []string{"whatsapp"}, TermsVersion: "1", Status: status, Limits: b.limits}, audittest.ByOperator()); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) newChannel() string {
	b.t.Helper()
	channelID, err := b.ids.New(id.ChannelPrefix)
	if err != nil {
		b.t.Fatal(err)
	}
	err = b.channels.Create(b.t.Context(), channel.Channel{ID: channelID, AccountID: testAccount, ProviderID: testProvider, Type: "whatsapp", Name: "test", CreatedAt: b.Now(), CreatedBy: "user"}, audittest.By(testAccount))
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.channels.Activate(b.t.Context(), channelID, channel.Activation{By: "user", At: b.Now()}, audittest.By(testAccount)); err != nil {
		b.t.Fatal(err)
	}
	return channelID
}

// accept records a message as intake does, to the given recipient.
func (b *bench) accept(to string, change func(*message.Message)) id.Message {
	b.t.Helper()
	b.pass(time.Millisecond)
	keyer, err := id.NewConversationKeyer([]byte("0123456789abcdef"))
	if err != nil {
		b.t.Fatal(err)
	}
	mid, err := b.ids.NewMessage(keyer.Key(testAccount, b.channel, to))
	if err != nil {
		b.t.Fatal(err)
	}
	text := content.Content{Type: content.TypeText, Text: "canary-" + to}
	sum, err := text.SHA256()
	if err != nil {
		b.t.Fatal(err)
	}
	m := message.Message{AccountID: testAccount, ID: mid, Direction: message.Outbound, ChannelID: b.channel, ProviderID: testProvider, Address: to, Content: text, ContentSHA256: sum, OnLimit: message.Reject, Outcome: message.Queued}
	if change != nil {
		change(&m)
	}
	if err := b.messages.Create(b.t.Context(), m); err != nil {
		b.t.Fatal(err)
	}
	return mid
}

// deliver hands one batch to the dispatcher and returns the messages that are to come again.
func (b *bench) deliver(receives int, list ...id.Message) []id.Message {
	b.t.Helper()
	var event events.SQSEvent
	byRecord := map[string]id.Message{}
	for i, m := range list {
		record := fmt.Sprintf("record-%d", i)
		byRecord[record] = m
		event.Records = append(event.Records, events.SQSMessage{
			MessageId: record, ReceiptHandle: record, Body: fmt.Sprintf(`{"account_id":%q,"message_id":%q}`, testAccount, m),
			Attributes: map[string]string{"ApproximateReceiveCount": strconv.Itoa(receives), "SentTimestamp": strconv.FormatInt(b.Now().UnixMilli(), 10)},
		})
	}
	out, err := b.d.Handle(b.t.Context(), event)
	if err != nil {
		b.t.Fatal(err)
	}
	var again []id.Message
	for _, f := range out.BatchItemFailures {
		again = append(again, byRecord[f.ItemIdentifier])
	}
	return again
}

func (b *bench) get(m id.Message) message.Message {
	b.t.Helper()
	got, err := b.messages.Get(b.t.Context(), testAccount, m)
	if err != nil {
		b.t.Fatal(err)
	}
	return got
}

func (b *bench) gate() usage.Gate {
	b.t.Helper()
	g, err := b.gates.Read(b.t.Context(), testAccount, true)
	if err != nil {
		b.t.Fatal(err)
	}
	return g
}

func (b *bench) wantUsed(want int64) {
	b.t.Helper()
	if g := b.gate(); g.Used != want || g.Remaining != g.Limit-want {
		b.t.Errorf("used %d, remaining %d of %d; want %d used", g.Used, g.Remaining, g.Limit, want)
	}
}

func (b *bench) wantStatus(m id.Message, want message.Status, code string) {
	b.t.Helper()
	got := b.get(m)
	gotCode := ""
	if p := got.Error(); p != nil {
		gotCode = p.Code
	}
	if got.Status() != want || gotCode != code {
		b.t.Errorf("message %s is %s %q, want %s %q; steps %v", m, got.Status(), gotCode, want, code, got.Steps)
	}
}

func slow() account.Rate { return account.Rate{Limit: 1000, WindowSeconds: 1} }

//
func TestTheSameRecordDeliveredFiveTimesIsSentAndCountedOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, slow())
	m := b.accept("+35799000001", nil)
	for i := range 5 {
		if again := b.deliver(i+1, m); len(again) > 0 {
			t.Errorf("delivery %d comes again", i+1)
		}
	}
	b.wantStatus(m, message.Sent, "")
	b.wantUsed(1)
	if len(b.provider.accepted) != 1 {
		t.Errorf("the provider took it %d times", len(b.provider.accepted))
	}
}

// R-P.2.
func TestOnePoisonRecordOfTenLeavesNineSentOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, slow())
	var event events.SQSEvent
	for i := range 9 {
		m := b.accept(fmt.Sprintf("+3579900001%d", i), nil)
		event.Records = append(event.Records, events.SQSMessage{MessageId: fmt.Sprint(i), ReceiptHandle: fmt.Sprint(i), Body: fmt.Sprintf(`{"account_id":%q,"message_id":%q}`, testAccount, m)})
	}
	event.Records = append(event.Records, events.SQSMessage{MessageId: "poison", ReceiptHandle: "poison", Body: `{"account_id":`})
	out, err := b.d.Handle(t.Context(), event)
	if err != nil || len(out.BatchItemFailures) != 0 {
		t.Errorf("failures %v, %v; want none: an unreadable reference is reported and dropped", out.BatchItemFailures, err)
	}
	if len(b.provider.accepted) != 9 {
		t.Errorf("the provider took %d, want 9", len(b.provider.accepted))
	}
	b.wantUsed(9)
	if g := b.gate(); len(g.Entries) != 0 {
		t.Errorf("%d entries are left in the ledger after a batch", len(g.Entries))
	}
}

// visibility answers as SQS does: with an error, or with the entries that it did not change.
type visibility struct {
	err    error
	failed []types.BatchResultErrorEntry
}

func (v visibility) ChangeMessageVisibilityBatch(context.Context, *sqs.ChangeMessageVisibilityBatchInput, ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityBatchOutput, error) {
	return &sqs.ChangeMessageVisibilityBatchOutput{Failed: v.failed}, v.err
}

func TestVisibilityThatWasNotChangedIsReported(t *testing.T) {
	t.Parallel()
	failed := func(code string) types.BatchResultErrorEntry { return types.BatchResultErrorEntry{Code: &code} }
	cases := map[string]struct {
		sqs  visibility
		logs string // "": nothing is said
	}{
		"of every record":  {visibility{}, ""},
		"of none":          {visibility{err: errors.New("no answer")}, `"msg":"visibility not changed","error":"no answer","records":2`},
		"of some of them":  {visibility{failed: []types.BatchResultErrorEntry{failed("ReceiptHandleIsInvalid")}}, `"msg":"visibility not changed","code":"ReceiptHandleIsInvalid","failed":1,"records":2`},
		"of each, as told": {visibility{failed: []types.BatchResultErrorEntry{failed("InternalError"), failed("Other")}}, `"msg":"visibility not changed","code":"InternalError","failed":2,"records":2`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 100, slow())
			b.d.SQS = c.sqs
			b.provider.down(refusal(provider.Retry))
			list := []id.Message{b.accept("+35799000001", nil), b.accept("+35799000002", nil)}
			if again := b.deliver(1, list...); len(again) != len(list) {
				t.Errorf("%d records come again, want both", len(again))
			}
			if said := b.logs.String(); strings.Contains(said, "visibility") != (c.logs != "") || !strings.Contains(said, c.logs) {
				t.Errorf("the logs say\n%s\nwant %q", said, c.logs)
			}
		})
	}
}

//
func TestOverTheLimitTheOldestPassAndTheRestAreRejectedOrHeld(t *testing.T) {
	t.Parallel()
	b := newBench(t, 3, slow())
	var list []id.Message
	for i := range 6 {
		list = append(list, b.accept(fmt.Sprintf("+3579900002%d", i), func(m *message.Message) {
			if i == 5 {
				m.OnLimit = message.Hold
			}
		}))
	}
	if again := b.deliver(1, list...); len(again) > 0 {
		t.Errorf("%d come again, want none", len(again))
	}
	for i, m := range list {
		switch {
		case i < 3:
			b.wantStatus(m, message.Sent, "")
		case i < 5:
			b.wantStatus(m, message.Rejected, "usage_limit_reached")
		default:
			b.wantStatus(m, message.Held, "")
			if held := b.get(m); held.HeldReason != message.HeldUsageLimit || !held.ReleaseAt.Equal(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)) {
				t.Errorf("held for %q until %s", held.HeldReason, held.ReleaseAt)
			}
		}
	}
	b.wantUsed(3)
}

//
func TestARefusedMessageGivesItsUnitBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, 10, slow())
	b.provider.answers = []error{refusal(provider.Permanent)}
	m := b.accept("+35799000031", nil)
	b.deliver(1, m)
	b.wantStatus(m, message.Failed, "provider_refused")
	b.wantUsed(0)
}

func TestARetryKeepsNoUnitAndIsRepeatedWhenItsTimeHasCome(t *testing.T) {
	t.Parallel()
	b := newBench(t, 10, slow())
	b.provider.answers = []error{refusal(provider.Retry), refusal(provider.Retry)}
	m := b.accept("+35799000041", nil)
	if again := b.deliver(1, m); len(again) != 1 {
		t.Fatal("it does not come again")
	}
	b.wantUsed(0)
	b.wantStatus(m, message.Queued, "")
	if again := b.deliver(2, m); len(again) != 1 || len(b.provider.calls) != 1 {
		t.Fatalf("called %d times before its time", len(b.provider.calls))
	}
	b.pass(10 * time.Second)
	b.deliver(3, m)
	b.pass(10 * time.Second)
	if again := b.deliver(4, m); len(again) != 0 {
		t.Fatal("it still comes again")
	}
	b.wantStatus(m, message.Sent, "")
	b.wantUsed(1)
	if got := b.get(m).Attempts; got != 3 {
		t.Errorf("attempts = %d, want 3", got)
	}
}

func TestAttemptsEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t, 10, slow())
	for range 20 {
		b.provider.answers = append(b.provider.answers, refusal(provider.Retry))
	}
	m := b.accept("+35799000051", nil)
	for i := range 20 {
		if len(b.deliver(i+1, m)) == 0 {
			break
		}
		b.pass(2 * time.Minute)
	}
	b.wantStatus(m, message.Failed, "provider_refused")
	if got := b.get(m).Attempts; got != maxAttempts {
		t.Errorf("attempts = %d, want %d", got, maxAttempts)
	}
	b.wantUsed(0)
}

//
func TestALostAnswerIsRepeatedOnlyWhereTheProviderKnowsTheRepeat(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name       string
		repeatSafe bool
		status     message.Status
		code       string
		calls      int
	}{
		{"with a key that makes a repeat safe it is sent once", true, message.Sent, "", 2},
		{"without one it is unknown and never sent again", false, message.Unknown, "outcome_unknown", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 10, slow())
			b.provider.repeatSafe = tc.repeatSafe
			b.provider.answers = []error{lost()}
			m := b.accept("+35799000061", nil)
			if again := b.deliver(1, m); len(again) != 0 {
				t.Error("it comes again")
			}
			b.deliver(2, m)
			b.wantStatus(m, tc.status, tc.code)
			b.wantUsed(1)
			if len(b.provider.calls) != tc.calls || len(b.provider.accepted) != 1 {
				t.Errorf("%d calls, %d accepted; want %d and 1", len(b.provider.calls), len(b.provider.accepted), tc.calls)
			}
		})
	}
}

func TestADeadHoldersMessageIsTakenOverWhenItsLeaseIsOver(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name             string
		repeatSafe, sent bool
		status           message.Status
		code             string
	}{
		{"the provider took it and knows the repeat", true, true, message.Sent, ""},
		{"the provider never saw it", true, false, message.Sent, ""},
		{"a provider that can't be asked", false, true, message.Unknown, "outcome_unknown"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 10, slow())
			b.provider.repeatSafe = tc.repeatSafe
			m := b.accept("+35799000071", nil)
			if _, err := b.gates.Admit(t.Context(), testAccount, b.d.terms(testAccount), []id.Message{m}, usage.Gate{}, 1<<30, usage.Turn{}); err != nil {
				t.Fatal(err)
			}
			if tc.sent {
				b.provider.accepted = []string{m.String()}
			}
			if again := b.deliver(2, m); len(again) != 1 || len(b.provider.calls) != 0 {
				t.Fatalf("%d come again after %d calls, while the lease runs", len(again), len(b.provider.calls))
			}
			b.pass(usage.Lease + 2*time.Second)
			if again := b.deliver(3, m); len(again) != 0 {
				t.Fatal("it comes again")
			}
			b.wantStatus(m, tc.status, tc.code)
			b.wantUsed(1)
			if len(b.provider.accepted) != 1 {
				t.Errorf("the provider took it %d times", len(b.provider.accepted))
			}
		})
	}
}

func TestMessagesOfOneConversationGoInOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t, 10, slow())
	b.provider.answers = []error{refusal(provider.Retry)}
	first, second := b.accept("+35799000081", nil), b.accept("+35799000081", nil)
	if again := b.deliver(1, second); len(again) != 1 || len(b.provider.calls) != 0 {
		t.Fatal("the second went before the first")
	}
	if again := b.deliver(1, second, first); len(again) != 2 || len(b.provider.calls) != 1 {
		t.Fatalf("%d come again after %d calls; the first was refused for now", len(again), len(b.provider.calls))
	}
	b.pass(10 * time.Second)
	if again := b.deliver(2, second, first); len(again) != 0 {
		t.Fatalf("%d come again", len(again))
	}
	if want := []string{first.String(), second.String()}; !slices.Equal(b.provider.accepted, want) {
		t.Errorf("accepted %v, want %v", b.provider.accepted, want)
	}
	b.wantUsed(2)
}

func TestAMessageBehindAHeldOneIsHeldWithIt(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0, slow())
	hold := func(m *message.Message) { m.OnLimit = message.Hold }
	first := b.accept("+35799000091", hold)
	b.deliver(1, first)
	b.wantStatus(first, message.Held, "")
	if _, _, err := b.accounts.PutPlan(t.Context(), account.Plan{ID: "test", Limit: 10, Period: usage.Month, Rate: slow()}, audittest.ByOperator()); err != nil {
		t.Fatal(err)
	}
	b.pass(account.TermsAge)
	second := b.accept("+35799000091", hold)
	for i := range orderTries {
		b.deliver(i+1, second)
		b.pass(10 * time.Second)
	}
	b.wantStatus(second, message.Held, "")
	if got := b.get(second).HeldReason; got != message.HeldOrder {
		t.Errorf("held for %q, want %q", got, message.HeldOrder)
	}
	if len(b.provider.calls) != 0 {
		t.Error("the provider was called")
	}
	b.deliver(1, first, second)
	if want := []string{first.String(), second.String()}; !slices.Equal(b.provider.accepted, want) {
		t.Errorf("accepted %v, want %v", b.provider.accepted, want)
	}
	b.wantUsed(2)
}

//
func TestWhatKeepsAMessageFromBeingHandedOver(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*message.Message)
		before func(*bench, id.Message)
		status message.Status
		code   string
		held   string
	}{
		{"it has expired", func(m *message.Message) { m.ExpiresAt = m.ID.Time().Add(time.Second) }, func(b *bench, _ id.Message) { b.pass(2 * time.Second) }, message.Expired, "delivery_expired", ""},
		{"its content is not what was accepted", func(m *message.Message) { m.ContentSHA256 = strings.Repeat("0", 64) }, nil, message.Rejected, "content_changed", ""},
		{"its channel was deactivated", nil, func(b *bench, _ id.Message) {
			b.must(b.channels.Deactivate(b.t.Context(), b.channel, audittest.By(testAccount)))
		}, message.Rejected, "channel_inactive", ""},
		{"its channel was deleted", nil, func(b *bench, _ id.Message) {
			b.must(b.channels.Deactivate(b.t.Context(), b.channel, audittest.By(testAccount)))
			b.must(b.channels.Delete(b.t.Context(), b.channel, b.Now(), audittest.By(testAccount)))
		}, message.Rejected, "channel_inactive", ""},
		{"its provider is disabled", nil, func(b *bench, _ id.Message) { b.setProvider(registry.Disabled); b.pass(registry.CacheAge) }, message.Held, "", message.HeldProviderDisabled},
		{"its provider was removed", nil, func(b *bench, _ id.Message) { b.setProvider(registry.Removed); b.pass(registry.CacheAge) }, message.Rejected, "provider_removed", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 10, slow())
			m := b.accept("+35799000101", tc.change)
			if tc.before != nil {
				tc.before(b, m)
			}
			if again := b.deliver(1, m); len(again) != 0 {
				t.Error("it comes again")
			}
			b.wantStatus(m, tc.status, tc.code)
			if got := b.get(m).HeldReason; got != tc.held {
				t.Errorf("held for %q, want %q", got, tc.held)
			}
			b.wantUsed(0)
			if len(b.provider.calls) != 0 {
				t.Error("the provider was called")
			}
		})
	}
}

func (b *bench) must(_ channel.Channel, err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// R-P.1.
func TestAReferenceWithoutAMessageComesAgainAndIsDroppedInTheEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t, 10, slow())
	ghost, err := b.ids.NewMessage(strings.Repeat("0", 16))
	if err != nil {
		t.Fatal(err)
	}
	if again := b.deliver(1, ghost); len(again) != 1 {
		t.Error("it was dropped while intake may still record it")
	}
	b.pass(message.LostAfter)
	if again := b.deliver(2, ghost); len(again) != 0 {
		t.Error("it still comes again")
	}
	b.wantUsed(0)
}

//
func TestAReportedMessageIsRecordedAsSentWithoutAnotherCall(t *testing.T) {
	t.Parallel()
	b := newBench(t, 10, slow())
	m := b.accept("+35799000111", nil)
	if _, err := b.messages.Report(t.Context(), testAccount, b.channel, m, message.Report{Status: message.Delivered, At: b.Now()}); err != nil {
		t.Fatal(err)
	}
	b.deliver(2, m)
	b.wantStatus(m, message.Delivered, "")
	b.wantUsed(1)
	if len(b.provider.calls) != 0 {
		t.Error("the provider was called for a message that it had reported on")
	}
}

func TestAReportDuringTheCallIsKept(t *testing.T) {
	t.Parallel()
	b := newBench(t, 10, slow())
	m := b.accept("+35799000121", nil)
	b.provider.during = func(string) {
		if _, err := b.messages.Report(t.Context(), testAccount, b.channel, m, message.Report{Status: message.Read, At: b.Now()}); err != nil {
			t.Error(err)
		}
	}
	b.deliver(1, m)
	b.wantStatus(m, message.Read, "")
	b.wantUsed(1)
}

// A call that gets no answer, or a bad one, is counted as an attempt, also when the provider reported on the message meanwhile.
func TestACallThatTheProvidersReportOvertookIsCounted(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]error{
		"no answer":        &provider.Error{Kind: provider.Ambiguous, Code: "provider_unavailable", Fault: provider.FaultProvider},
		"tried again":      &provider.Error{Kind: provider.Retry, Code: "provider_unavailable", Fault: provider.FaultProvider},
		"refused for good": &provider.Error{Kind: provider.Permanent, Code: "provider_refused", Fault: provider.FaultProvider},
	} {
		b := newBench(t, 10, slow())
		m := b.accept("+35799000121", nil)
		b.provider.answers = []error{answer}
		b.provider.during = func(string) {
			if _, err := b.messages.Report(t.Context(), testAccount, b.channel, m, message.Report{Status: message.Delivered, At: b.Now()}); err != nil {
				t.Error(err)
			}
		}
		b.deliver(1, m)
		b.wantStatus(m, message.Delivered, "")
		b.wantUsed(1)
		if got := b.get(m); got.Attempts != 1 {
			t.Errorf("%s: %d attempts, %s", name, got.Attempts, got.Status())
		}
	}
}

//
func TestAboveTheFrequencyMessagesWaitAndNoneIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, account.Rate{Limit: 2, WindowSeconds: 1, Burst: 2})
	var list []id.Message
	for i := range 8 {
		list = append(list, b.accept(fmt.Sprintf("+3579900013%d", i), nil))
	}
	begin := b.Now()
	for i := 1; len(list) > 0; i++ {
		if i > 20 {
			t.Fatalf("%d messages still wait", len(list))
		}
		list = b.deliver(i, list...)
		b.pass(time.Second)
	}
	if len(b.provider.accepted) != 8 {
		t.Errorf("accepted %d, want 8", len(b.provider.accepted))
	}
	if took := b.Now().Sub(begin); took < 2500*time.Millisecond {
		t.Errorf("8 messages at 2 a second with a burst of 2 took %s", took)
	}
	b.wantUsed(8)
}

//
func TestAProvidersRetryAfterPausesTheChannel(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, slow())
	b.provider.answers = []error{&provider.Error{Kind: provider.Retry, Code: "provider_unavailable", Fault: provider.FaultProvider, RetryAfter: 30 * time.Second}}
	first, other := b.accept("+35799000141", nil), b.accept("+35799000142", nil)
	b.deliver(1, first)
	b.pass(6 * time.Second) // past every cache
	if again := b.deliver(1, other); len(again) != 1 || len(b.provider.calls) != 1 {
		t.Errorf("another message of the channel was sent during the pause")
	}
	b.pass(30 * time.Second)
	if again := b.deliver(2, first, other); len(again) != 0 {
		t.Errorf("%d still come again", len(again))
	}
	b.wantUsed(2)
}

func TestOneMessageAloneIsSettledByThoseThatFollow(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, slow())
	most := 0
	for i := range 30 {
		b.deliver(1, b.accept(fmt.Sprintf("+357990002%02d", i), nil))
		most = max(most, len(b.gate().Entries))
		b.pass(3 * time.Second)
	}
	b.wantUsed(30)
	if most > staleMin+1 {
		t.Errorf("the ledger grew to %d entries, want at most %d", most, staleMin+1)
	}
}

func TestABurstOfSingleMessagesKeepsTheLedgerSmallAtFewWrites(t *testing.T) {
	t.Parallel()
	const messages = 60
	b := newBench(t, 100, slow())
	writes := &settlingGates{Gates: b.d.Gates}
	b.d.Gates = writes
	most := 0
	for i := range messages {
		m := b.accept(fmt.Sprintf("+3579911%04d", i), nil)
		b.deliver(1, m)
		b.wantStatus(m, message.Sent, "")
		most = max(most, len(b.gate().Entries))
	}
	b.wantUsed(messages)
	// Fourteen entries fit into one write unit.
	if most > 14 {
		t.Errorf("the ledger had up to %d entries", most)
	}
	if writes.n > messages/5 {
		t.Errorf("%d settling writes for %d messages, want one in five at most", writes.n, messages)
	}
}

// settlingGates counts the settling writes.
type settlingGates struct {
	Gates
	n int
}

func (g *settlingGates) Settle(ctx context.Context, gate usage.Gate, list []usage.Settlement) error {
	g.n++
	return g.Gates.Settle(ctx, gate, list)
}

func TestNoContentAndNoAddressIsLogged(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, slow())
	b.provider.answers = []error{refusal(provider.Retry), refusal(provider.Permanent)}
	for i := range 3 {
		m := b.accept(fmt.Sprintf("+3579900030%d", i), nil)
		b.deliver(1, m)
		b.pass(time.Minute)
		b.deliver(2, m)
	}
	for _, canary := range []string{"canary-", "+357990003"} {
		if strings.Contains(b.logs.String(), canary) {
			t.Errorf("%q stands in the log", canary)
		}
	}
}

// monitor is one process's part of the providers' health.
func (b *bench) monitor(env *awstest.Env) *health.Monitor {
	return &health.Monitor{
		Records: &health.Store{DB: env.DynamoDB, Table: b.gates.Table}, Log: slog.New(slog.NewJSONHandler(b.logs, nil)), Now: b.Now,
		Random: func() uint64 { b.mu.Lock(); defer b.mu.Unlock(); b.seed++; return b.seed },
	}
}
