package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"contactcenter/shared/account"
	"contactcenter/shared/channel"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/pace"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/queue"
	"contactcenter/shared/recipient"
	"contactcenter/shared/usage"
)

// Gates is what the dispatcher does to an account's gate.
type Gates interface {
	Admit(ctx context.Context, accountID string, terms usage.TermsOf, messages []id.Message, hint usage.Gate, nonce uint32, turn usage.Turn) (usage.Admission, error)
	Take(ctx context.Context, accountID string, messages []id.Message, nonce uint32) (usage.Gate, error)
	TakeOver(ctx context.Context, accountID string, terms usage.Terms, e usage.Entry, g usage.Gate, nonce uint32, counts bool) (usage.Gate, error)
	Settle(ctx context.Context, g usage.Gate, list []usage.Settlement) error
	Queue(ctx context.Context, g usage.Gate, rate usage.Rate, n int64, batch bool) (time.Time, error)
	Place(ctx context.Context, g usage.Gate, step time.Duration, n int64, most time.Duration, batch bool) (time.Time, error)
	Read(ctx context.Context, accountID string, consistent bool) (usage.Gate, error)
	Cross(ctx context.Context, g usage.Gate) (near, full bool, err error)
}

// Messages is what the dispatcher reads and writes of messages.
type Messages interface {
	Tail(ctx context.Context, accountID string, mid id.Message, now time.Time) (message.Tail, error)
	Open(ctx context.Context, m *message.Message) error
	States(ctx context.Context, accountID string, ids []id.Message) (map[id.Message]message.Message, error)
	Fence(ctx context.Context, accountID string, mid id.Message, lease int64) (message.Written, error)
	Sent(ctx context.Context, accountID string, mid id.Message, claim int64, h message.Handover) (message.Written, error)
	End(ctx context.Context, accountID string, mid id.Message, lease int64, e message.Ending) (message.Written, error)
	Hold(ctx context.Context, m message.Message, lease int64, at time.Time, reason string, releaseAt time.Time) (message.Written, error)
	Retry(ctx context.Context, accountID string, mid id.Message, lease int64, at time.Time, reason string, notBefore time.Time) (message.Written, error)
	Await(ctx context.Context, m message.Message, lease int64, at time.Time, notBefore time.Time) (message.Written, error)
	Spare(ctx context.Context, m message.Message, lease int64, at time.Time, reason string, notBefore time.Time) (message.Written, error)
	Touch(ctx context.Context, m message.Message) error
	KeepProviderID(ctx context.Context, accountID, channelID, providerMessageID string, m id.Message) error
}

// Stops records the opt-outs that a provider tells of when it refuses a message.
type Stops interface {
	Record(ctx context.Context, accountID, address string, o recipient.OptOut) error
}

// Accounts gives the terms of an account's Service Plan and its restrictions, at most 5 s old unless fresh.
type Accounts interface {
	Standing(ctx context.Context, accountID string, fresh bool) (account.Standing, error)
}

// Recipients tells whose addresses are: those that are no recipient's are left out.
type Recipients interface {
	Of(ctx context.Context, accountID string, addresses ...string) (map[string]string, error)
}

// Channels gives channels, at most 5 s old unless fresh, pauses one that its provider asks us to leave alone, and takes one
// out of use whose credentials its provider refused.
type Channels interface {
	Get(ctx context.Context, channelID string, fresh bool) (channel.Channel, error)
	Pause(ctx context.Context, channelID string, until time.Time) error
	// MarkCredentialsInvalid tells whether it was this call that did it.
	MarkCredentialsInvalid(ctx context.Context, c channel.Channel) (bool, error)
}

// OptOuts tells which conversations of an account are closed because their recipient opted out.
type OptOuts interface {
	OptedOut(ctx context.Context, accountID string, consistent bool, conversations ...string) (map[string]bool, error)
}

// Providers gives registry entries: Get so old that a switch reaches every call within 5 s, Recent at most a second.
type Providers interface {
	Get(ctx context.Context, providerID string) (registry.Entry, error)
	Recent(ctx context.Context, providerID string) (registry.Entry, error)
}

// Scopes keeps the limits of restrictions on a channel or a recipient.
type Scopes interface {
	Take(ctx context.Context, accountID, limitID, period string, limit int64, m id.Message, lease int64) (bool, error)
	GiveBack(ctx context.Context, accountID, limitID string, m id.Message, lease int64) error
	Holds(ctx context.Context, accountID, limitID string, m id.Message) (bool, error)
	Pass(ctx context.Context, accountID, limitID string, r usage.Rate, waited bool) (time.Duration, error)
}

// Waiting keeps which accounts have messages that wait for a provider.
type Waiting interface {
	Mark(ctx context.Context, accountID, providerID string, version int64) error
}

// Pace gives slots of a provider that bounds what it takes, of all accounts together or of one sender, and places in the line for them.
type Pace interface {
	Take(ctx context.Context, of pace.Subject, r pace.Rate, horizon time.Duration, turn usage.Turn) (at time.Time, taken bool, err error)
	Line(ctx context.Context, of pace.Subject, r pace.Rate, batch bool) (time.Time, error)
}

// Health knows which providers and channels are better left alone for a while, and learns it from calls.
type Health interface {
	Look(ctx context.Context, providerID, channelID string) time.Duration
	Out(providerID, channelID string) bool
	Recovered(providerID, channelID string) time.Time
	Enter(ctx context.Context, providerID, channelID string) (health.Pass, time.Duration)
	Leave(ctx context.Context, p health.Pass)
	Done(ctx context.Context, p health.Pass, began time.Time, ofProvider, ofChannel health.Outcome) time.Duration
	Flush(ctx context.Context)
}

// Visibility is what the dispatcher needs of SQS: to let a message come again when its time has come.
type Visibility interface {
	ChangeMessageVisibilityBatch(context.Context, *sqs.ChangeMessageVisibilityBatchInput, ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityBatchOutput, error)
}

// Dispatcher hands queued messages to their Communication Providers.
type Dispatcher struct {
	Gates     Gates
	Messages  Messages
	Accounts  Accounts
	Channels  Channels
	Providers Providers
	OptOuts   OptOuts
	Stops     Stops
	Waiting   Waiting
	Pace      Pace
	// Recipients is asked only for accounts with a restriction of a recipient; nil: there are none.
	Recipients Recipients
	Scopes     Scopes
	Adapters   map[string]provider.Adapter
	// Credentials opens those of accounts, for the adapter's call.
	Credentials channel.Opener
	SQS         Visibility
	QueueURL    string
	// Events publishes what happened to messages.
	Events Events
	Health Health
	Hints  *Hints
	Log    *slog.Logger
	Now    func() time.Time
	// Sleep waits within an invocation, for less than maxNap at a time.
	Sleep func(ctx context.Context, d time.Duration) error
	// Random is the source of nonces and of jitter; safe for concurrent use.
	Random func() uint64
}

// delivery is one SQS record: a reference to a message, and how often it came.
type delivery struct {
	recordID, receipt string
	message           id.Message
	receives          int
	queuedAt          time.Time
}

// sender is whose messages wait for room together: an account's single messages, or those of its batches.
type sender struct {
	accountID string
	batches   bool
}

// verdict is what SQS is told of a record: done, or to come again after a time.
type verdict struct {
	done  bool
	after time.Duration
}

func ack() verdict                      { return verdict{done: true} }
func again(after time.Duration) verdict { return verdict{after: after} }
func (v verdict) seconds() int32 {
	return int32(min((v.after+time.Second-1)/time.Second, maxVisibility))
}
func jittered(d time.Duration, r uint64) time.Duration {
	return d/2 + time.Duration(rand.New(rand.NewPCG(r, r)).Int64N(int64(d)+1))
}

// maxVisibility is SQS's bound on a visibility timeout, less the time a message may have been in flight already.
const maxVisibility = 11 * 60 * 60

// Handle dispatches one batch. Records that are to come again are reported as failures, after their visibility was set; there is never
// an error.
func (d *Dispatcher) Handle(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
	queues := map[sender][]delivery{}
	for _, r := range event.Records {
		accountID, m, err := queue.Parse(r.Body)
		if err != nil {
			// It will never be readable: it is reported and acknowledged at once. The body is not logged.
			d.Log.ErrorContext(ctx, "unreadable reference dropped", "sqs_message_id", r.MessageId, "bytes", len(r.Body))
			continue
		}
		from := sender{accountID, m.OfBatch()}
		queues[from] = append(queues[from], delivery{
			recordID: r.MessageId, receipt: r.ReceiptHandle, message: m, receives: attribute(r, "ApproximateReceiveCount"), queuedAt: time.UnixMilli(int64(attribute(r, "SentTimestamp"))),
		})
	}
	var (
		accounts sync.WaitGroup // at most as many as the batch has records: ten
		mu       sync.Mutex
		verdicts = map[string]verdict{}
	)
	for from, list := range queues {
		accounts.Go(func() {
			of := d.dispatch(ctx, from, list)
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(verdicts, of)
		})
	}
	accounts.Wait()
	out := d.respond(ctx, queues, verdicts)
	d.Health.Flush(ctx)
	return out, nil
}

func attribute(r events.SQSMessage, name string) int {
	n, err := strconv.Atoi(r.Attributes[name])
	if err != nil {
		return 0
	}
	return n
}

// respond sets the visibility of the records that are to come again, and reports them.
func (d *Dispatcher) respond(ctx context.Context, queues map[sender][]delivery, verdicts map[string]verdict) events.SQSEventResponse {
	var out events.SQSEventResponse
	in := &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &d.QueueURL}
	for _, list := range queues {
		for _, dl := range list {
			v := verdicts[dl.recordID]
			if v.done {
				continue
			}
			out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: dl.recordID})
			in.Entries = append(in.Entries, types.ChangeMessageVisibilityBatchRequestEntry{Id: aws.String(strconv.Itoa(len(in.Entries))), ReceiptHandle: &dl.receipt, VisibilityTimeout: v.seconds()})
		}
	}
	if len(in.Entries) == 0 {
		return out
	}
	d.change(ctx, in)
	return out
}

// change sets visibilities. Records for which that fails come again when the queue's own visibility timeout is over.
func (d *Dispatcher) change(ctx context.Context, in *sqs.ChangeMessageVisibilityBatchInput) {
	done, err := d.SQS.ChangeMessageVisibilityBatch(context.WithoutCancel(ctx), in)
	switch {
	case err != nil:
		d.Log.WarnContext(ctx, "visibility not changed", "error", err.Error(), "records", len(in.Entries))
	case len(done.Failed) > 0:
		d.Log.WarnContext(ctx, "visibility not changed", "code", aws.ToString(done.Failed[0].Code), "failed", len(done.Failed), "records", len(in.Entries))
	}
}

// dispatch dispatches the records of one account's single messages or of its batches.
func (d *Dispatcher) dispatch(ctx context.Context, from sender, list []delivery) map[string]verdict {
	accountID := from.accountID
	r := &round{Dispatcher: d, accountID: accountID, turn: usage.Turn{Batch: from.batches}, nonce: uint32(d.Random()), verdicts: map[id.Message]verdict{}, byMessage: map[id.Message]delivery{}}
	for _, dl := range list {
		if _, twice := r.byMessage[dl.message]; !twice || dl.receives > r.byMessage[dl.message].receives {
			r.byMessage[dl.message] = dl
		}
	}
	if err := r.run(ctx); err != nil {
		d.Log.ErrorContext(ctx, "dispatch failed", "account_id", accountID, "error", err.Error())
	}
	r.tell(ctx)
	out := make(map[string]verdict, len(list))
	for _, dl := range list {
		v, decided := r.verdicts[dl.message]
		if !decided {
			v = again(jittered(retryDelay(dl.receives), d.Random()))
		}
		out[dl.recordID] = v
	}
	return out
}

// terms is the account's usage.TermsOf.
func (d *Dispatcher) terms(accountID string) usage.TermsOf {
	return func(ctx context.Context, fresh bool) (usage.Terms, error) {
		st, err := d.Accounts.Standing(ctx, accountID, fresh)
		if err != nil {
			return st.Terms, fmt.Errorf("plan of %s: %w", accountID, err)
		}
		return st.Terms, nil
	}
}

// retryDelay is how long a record waits after something of ours failed: it doubles with every receive, up to a minute.
func retryDelay(receives int) time.Duration {
	return min(time.Second<<min(max(receives-1, 0), 6), time.Minute)
}

// isRefused reports a conditional write that found another state.
func isRefused(err error) (*usage.Refused, bool) {
	refused := new(usage.Refused)
	ok := errors.As(err, &refused)
	return refused, ok
}
