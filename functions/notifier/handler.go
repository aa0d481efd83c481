package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"golang.org/x/sync/errgroup"

	"contactcenter/shared/delivery"
	"contactcenter/shared/endpoint"
	"contactcenter/shared/event"
)

// Endpoints knows webhook endpoints, and what became of them.
type Endpoints interface {
	List(ctx context.Context, accountID string) ([]endpoint.Endpoint, error)
	Get(ctx context.Context, accountID, endpointID string) (endpoint.Endpoint, error)
	Secrets(e endpoint.Endpoint, now time.Time) ([]string, error)
	Subscribers(ctx context.Context, after string, limit int) (accountIDs []string, next string, err error)
	Fail(ctx context.Context, e endpoint.Endpoint, quietUntil time.Time) (endpoint.Endpoint, error)
	Recover(ctx context.Context, e endpoint.Endpoint) (endpoint.Endpoint, error)
	Try(ctx context.Context, e endpoint.Endpoint, next time.Time) (bool, error)
	Stop(ctx context.Context, e endpoint.Endpoint, why string) (endpoint.Endpoint, error)
	Enter(ctx context.Context, e endpoint.Endpoint, until time.Time) (endpoint.Place, bool, error)
	Leave(ctx context.Context, e endpoint.Endpoint, p endpoint.Place, quick bool) error
	Quick(ctx context.Context, e endpoint.Endpoint, quick bool) error
}

// Log keeps events and deliveries.
type Log interface {
	Recorded(ctx context.Context, e event.Event) (bool, error)
	Record(ctx context.Context, e event.Event) error
	Events(ctx context.Context, accountID string, from, to time.Time, after string, limit int) ([]event.Event, string, error)
	Get(ctx context.Context, endpointID, eventID string) (delivery.Delivery, error)
	Save(ctx context.Context, d delivery.Delivery) error
	Due(ctx context.Context, shard, limit int) ([]delivery.Delivery, error)
}

// Events publishes an event of everybody as that of each account, and that an endpoint was disabled.
type Events interface {
	Publish(ctx context.Context, list ...event.Event) error
}

// Queue queues deliveries.
type Queue interface {
	Send(ctx context.Context, delay time.Duration, jobs ...delivery.Job) error
}

// Replays asks for the next part of a replay.
type Replays interface {
	Ask(ctx context.Context, r delivery.Replay) error
}

// Resources shows what an event is about, as its GET does. It returns errGone for what is not there any more.
type Resources interface {
	Show(ctx context.Context, e event.Event) (any, error)
}

// Sender sends to an endpoint.
type Sender interface {
	Send(ctx context.Context, url, eventID string, body []byte, secrets ...string) delivery.Answer
}

var errGone = errors.New("what the event is about is gone")

// Notifier tells accounts what happened, where they asked for it.
type Notifier struct {
	Endpoints Endpoints
	Kept      Log
	Events    Events
	Queue     Queue
	Replays   Replays
	Resources Resources
	Sender    Sender
	Log       *slog.Logger
	Now       func() time.Time
	// Random is the source of jitter; safe for concurrent use.
	Random func() uint64
}

const (
	// margin is what an invocation keeps for finishing when it takes on no more.
	margin = 5 * time.Second
	// page is how many accounts, events or deliveries are read at a time.
	page = 100
)

// Summary is the answer to the schedule.
type Summary struct {
	// Queued are the deliveries that are tried again.
	Queued int `json:"queued"`
}

// Invoke sorts what the function is called with: the schedule's event, or a batch of one of its queues.
func (n *Notifier) Invoke(ctx context.Context, raw json.RawMessage) (any, error) {
	var in events.SQSEvent
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, errors.New("the event can't be read")
	}
	if in.Records == nil {
		return n.sweep(ctx)
	}
	return n.batch(ctx, in), nil
}

// batch works on the records of a batch side by side: they are at most ten. Deliveries to one endpoint are seen together. Those
// that failed come again.
func (n *Notifier) batch(ctx context.Context, in events.SQSEvent) events.SQSEventResponse {
	var (
		failed = make([]error, len(in.Records))
		jobs   = map[string][]task{}
		group  errgroup.Group
	)
	for i, r := range in.Records {
		if j, err := delivery.ParseJob(r.Body); err == nil {
			jobs[j.EndpointID] = append(jobs[j.EndpointID], task{Job: j, failed: &failed[i]})
			continue
		}
		group.Go(func() error {
			failed[i] = n.record(ctx, r.Body)
			return nil
		})
	}
	for _, list := range jobs {
		group.Go(func() error {
			n.deliveries(ctx, list)
			return nil
		})
	}
	_ = group.Wait() // its functions return no error
	var out events.SQSEventResponse
	for i, r := range in.Records {
		if failed[i] != nil {
			n.Log.ErrorContext(ctx, "event not dealt with", "sqs_message_id", r.MessageId, "error", failed[i].Error())
			out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: r.MessageId})
		}
	}
	return out
}

func (n *Notifier) record(ctx context.Context, body string) error {
	if e, err := event.Parse(body); err == nil {
		return n.happened(ctx, e)
	}
	if r, err := delivery.ParseReplay(body); err == nil {
		return n.replay(ctx, r)
	}
	// It will never be readable: it is reported and acknowledged at once. The body is not logged.
	n.Log.ErrorContext(ctx, "unreadable event dropped", "bytes", len(body))
	return nil
}

// happened queues an event's deliveries, then records it. An event that is recorded was dealt with; one that comes again before that
// may be queued twice, which the deliveries' own records put right.
func (n *Notifier) happened(ctx context.Context, e event.Event) error {
	if e.AccountID == "" {
		return n.everybody(ctx, e)
	}
	if done, err := n.Kept.Recorded(ctx, e); err != nil || done {
		return err
	}
	list, err := n.Endpoints.List(ctx, e.AccountID)
	if err != nil {
		return err
	}
	var jobs []delivery.Job
	for _, ep := range list {
		if ep.Wants(e.Type) {
			jobs = append(jobs, delivery.Job{EndpointID: ep.ID, Event: e})
		}
	}
	if err := n.Queue.Send(ctx, 0, jobs...); err != nil {
		return err
	}
	if len(list) == 0 {
		return nil // the last endpoint was deleted meanwhile: there is nothing to replay it to
	}
	return n.Kept.Record(ctx, e)
}

// everybody publishes an event of everybody for each account that listens to such.
func (n *Notifier) everybody(ctx context.Context, e event.Event) error {
	for after := ""; ; {
		accounts, next, err := n.Endpoints.Subscribers(ctx, after, page)
		if err != nil {
			return err
		}
		list := make([]event.Event, len(accounts))
		for i, accountID := range accounts {
			list[i] = e.For(accountID)
		}
		if err := n.Events.Publish(ctx, list...); err != nil {
			return err
		}
		if after = next; after == "" {
			return nil
		}
	}
}

// replay queues a part of a replay, and asks for the next.
func (n *Notifier) replay(ctx context.Context, r delivery.Replay) error {
	ep, err := n.Endpoints.Get(ctx, r.AccountID, r.EndpointID)
	if errors.Is(err, endpoint.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	list, next, err := n.Kept.Events(ctx, r.AccountID, r.From, r.To, r.After, page)
	if err != nil {
		return err
	}
	var jobs []delivery.Job
	for _, e := range list {
		if ep.Wants(e.Type) {
			jobs = append(jobs, delivery.Job{EndpointID: ep.ID, Event: e, Run: r.Run})
		}
	}
	if err := n.Queue.Send(ctx, 0, jobs...); err != nil || next == "" {
		return err
	}
	r.After = next
	return n.Replays.Ask(ctx, r)
}

// sweep queues parked deliveries whose time has come, the shards side by side. What is left when the time is up waits for the next
// sweep.
func (n *Notifier) sweep(ctx context.Context) (Summary, error) {
	var (
		mu    sync.Mutex
		sum   Summary
		group errgroup.Group
	)
	for shard := range delivery.Shards {
		group.Go(func() error {
			queued, err := n.due(ctx, shard)
			mu.Lock()
			defer mu.Unlock()
			sum.Queued += queued
			return err
		})
	}
	err := group.Wait()
	n.Log.InfoContext(ctx, "deliveries swept", "queued", sum.Queued)
	return sum, err
}

func (n *Notifier) due(ctx context.Context, shard int) (queued int, err error) {
	for timeLeft(ctx, margin) {
		list, err := n.Kept.Due(ctx, shard, page)
		jobs := make([]delivery.Job, len(list))
		for i, d := range list {
			jobs[i] = delivery.Job{EndpointID: d.EndpointID, Event: d.Event, Run: d.Run}
		}
		// Also after an error: what is given here is given to nobody else for minutes.
		if err := errors.Join(err, n.Queue.Send(ctx, 0, jobs...)); err != nil || len(list) == 0 {
			return queued, err
		}
		queued += len(list)
	}
	return queued, nil
}

func timeLeft(ctx context.Context, d time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > d
}
