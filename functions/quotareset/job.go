package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/aws/aws-lambda-go/events"
	"golang.org/x/sync/errgroup"

	"contactcenter/shared/attr"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/release"
)

// Jobs does what those who made room for held messages ask for.
type Jobs struct {
	Waiting interface {
		Waiting(ctx context.Context, providerID, shard, after string) (accounts []string, next string, err error)
		Forget(ctx context.Context, accountID, providerID string, version int64) error
	}
	Members interface {
		Members(ctx context.Context, planID string, p attr.Page) ([]string, string, error)
	}
	Providers interface {
		Read(ctx context.Context, providerID string) (registry.Entry, error)
	}
	Queue *release.Queue
}

// Invoke sorts what the function is called with: the schedule's event, or a batch of the release queue.
func (h *Handler) Invoke(ctx context.Context, raw json.RawMessage) (any, error) {
	var in struct {
		Event
		events.SQSEvent
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, errors.New("the event can't be read")
	}
	if in.Records != nil {
		return h.batch(ctx, in.SQSEvent), nil
	}
	return h.Handle(ctx, in.Event)
}

// batch does the jobs of one batch. Those that failed come again.
func (h *Handler) batch(ctx context.Context, event events.SQSEvent) events.SQSEventResponse {
	work, cancel := budget(ctx)
	defer cancel()
	var (
		mu    sync.Mutex
		out   events.SQSEventResponse
		group errgroup.Group
	)
	group.SetLimit(accountsAtOnce)
	for _, r := range event.Records {
		j, err := release.Parse(r.Body)
		if err != nil {
			h.Log.ErrorContext(ctx, "unreadable release job dropped", "sqs_message_id", r.MessageId, "bytes", len(r.Body))
			continue
		}
		group.Go(func() error {
			if err := h.job(ctx, work, j); err != nil {
				h.Log.LogAttrs(ctx, slog.LevelError, "release job failed", slog.String("account_id", j.AccountID), slog.String("provider_id", j.ProviderID),
					slog.String("shard", j.Shard), slog.String("plan_id", j.PlanID), slog.String("error", err.Error()))
				mu.Lock()
				defer mu.Unlock()
				out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: r.MessageId})
			}
			return nil
		})
	}
	_ = group.Wait() // its functions return no error
	return out
}

var errNoTime = errors.New("no time was left")

func (h *Handler) job(ctx, work context.Context, j release.Job) error {
	switch {
	case work.Err() != nil:
		return errNoTime
	case j.AccountID != "":
		_, err := h.one(ctx, work, j.AccountID)
		return err
	case j.ProviderID != "":
		return h.provider(ctx, work, j)
	default:
		return h.pages(ctx, work, j, func(after string) ([]string, string, error) {
			return h.Jobs.Members.Members(ctx, j.PlanID, attr.Page{Size: duePage, Token: after})
		}, nil)
	}
}

// provider asks for a look at each account of a shard that waits for a provider. The last look takes their marks away, after
// it has made their gates due: should a job be lost, the schedule does its work a minute later.
func (h *Handler) provider(ctx, work context.Context, j release.Job) error {
	e, err := h.Jobs.Providers.Read(ctx, j.ProviderID)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return nil
	case err != nil:
		return err
	case e.Status == registry.Disabled:
		return nil // again, meanwhile: they wait on
	}
	forget := func(accountID string) error {
		if err := h.Reset.Usage.Wake(ctx, accountID); err != nil {
			return err
		}
		return h.Jobs.Waiting.Forget(ctx, accountID, e.ID, e.Version)
	}
	if !j.Last {
		forget = nil
	}
	return h.pages(ctx, work, j, func(after string) ([]string, string, error) {
		return h.Jobs.Waiting.Waiting(ctx, e.ID, j.Shard, after)
	}, forget)
}

// pages queues a job for each account of a list, and then does done to it. When the time is up it queues a job for the
// rest. A page is a hundred accounts or more and takes some ten requests, so one invocation gets through tens of
// thousands, and a chain of such jobs stays far below the sixteen at which Lambda takes it for a loop.
func (h *Handler) pages(ctx, work context.Context, j release.Job, page func(after string) ([]string, string, error), done func(accountID string) error) error {
	for {
		accounts, next, err := page(j.After)
		if err != nil {
			return err
		}
		jobs := make([]release.Job, len(accounts))
		for i, accountID := range accounts {
			jobs[i] = release.Job{AccountID: accountID}
		}
		if err := h.Jobs.Queue.Send(ctx, jobs...); err != nil {
			return err
		}
		for _, accountID := range accounts {
			if done == nil {
				break
			}
			if err := done(accountID); err != nil {
				return fmt.Errorf("account %s: %w", accountID, err)
			}
		}
		if j.After = next; next == "" {
			return nil
		}
		if work.Err() != nil {
			return h.Jobs.Queue.Send(ctx, j)
		}
	}
}
