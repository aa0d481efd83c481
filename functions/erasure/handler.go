package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"golang.org/x/sync/errgroup"

	"contactcenter/shared/evidence"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/recipient"
	"contactcenter/shared/sign"
	"contactcenter/shared/withdraw"
)

const (
	// settled is when no message can appear any more that was accepted before an erasure was asked for: longer than intake
	// may take, with a margin for clocks. A pass over all conversations that began later is the last one.
	settled = message.IntakeTime + 2*time.Second
	// inHand is how long the job waits for a message that a dispatcher has in hand.
	inHand = 2 * time.Second
	// reserve is the time that is left to end an invocation in good order.
	reserve = 5 * time.Second
	// lostAfter is when a reference without a job is dropped: its request was not answered 202.
	lostAfter = 30 * time.Second
	atOnce    = 8
)

// Jobs keeps erasures.
type Jobs interface {
	Erasure(ctx context.Context, accountID, erasureID string) (recipient.Erasure, error)
	Advance(ctx context.Context, job *recipient.Erasure) error
	Finish(ctx context.Context, job recipient.Erasure) error
}

// Handler erases. Everything that it does can be done again.
type Handler struct {
	Jobs     Jobs
	Messages *message.Store
	Withdraw withdraw.Withdrawer
	Purge    Purge
	// Signer signs certificates.
	Signer sign.Key
	// SQS lets a job come again when its time has come.
	SQS interface {
		ChangeMessageVisibility(context.Context, *sqs.ChangeMessageVisibilityInput, ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityOutput, error)
	}
	QueueURL string
	Log      *slog.Logger
	Now      func() time.Time
}

// Handle works on a batch of references. A job that is not done comes again.
func (h *Handler) Handle(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
	var out events.SQSEventResponse
	for _, r := range event.Records {
		ref, err := recipient.ParseReference(r.Body)
		if err != nil {
			h.Log.ErrorContext(ctx, "unreadable reference of an erasure dropped", "sqs_message_id", r.MessageId, "bytes", len(r.Body))
			continue
		}
		work := func() (time.Duration, bool, error) { return h.work(ctx, ref) }
		if ref.ErasureID == recipient.WholeAccount {
			work = func() (time.Duration, bool, error) { return h.purge(ctx, ref.AccountID) }
		}
		wait, done, err := work()
		if err != nil {
			h.Log.ErrorContext(ctx, "erasure failed", "account_id", ref.AccountID, "erasure_id", ref.ErasureID, "error", err.Error())
			wait = inHand
		}
		if done {
			continue
		}
		out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: r.MessageId})
		_, err = h.SQS.ChangeMessageVisibility(context.WithoutCancel(ctx), &sqs.ChangeMessageVisibilityInput{
			QueueUrl: &h.QueueURL, ReceiptHandle: &r.ReceiptHandle, VisibilityTimeout: int32((wait + time.Second - 1) / time.Second),
		})
		if err != nil { // it comes again when the queue's own visibility timeout is over
			h.Log.WarnContext(ctx, "visibility not changed", "error", err.Error())
		}
	}
	return out, nil
}

// work goes on with a job until it is done, must wait, or has no time left.
func (h *Handler) work(ctx context.Context, ref recipient.Reference) (wait time.Duration, done bool, err error) {
	job, err := h.Jobs.Erasure(ctx, ref.AccountID, ref.ErasureID)
	if errors.Is(err, recipient.ErrNotFound) {
		made := id.TimeOf(id.ErasurePrefix, ref.ErasureID)
		return inHand, h.Now().Sub(made) > lostAfter, nil
	}
	if err != nil {
		return 0, false, err
	}
	if job.Status == recipient.Done {
		return 0, true, nil
	}
	if job.PassAt.IsZero() {
		job.PassAt = h.Now()
	}
	for job.Next < len(job.Conversations) {
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < reserve {
			return 0, false, nil
		}
		failed := h.part(ctx, &job)
		if err := errors.Join(failed, h.Jobs.Advance(ctx, &job)); err != nil { // what was done before it failed is counted
			return 0, false, err
		}
	}
	last := job.RequestedAt.Add(settled)
	if !job.Left && !job.PassAt.Before(last) {
		if err := h.finished(ctx, &job); err != nil {
			return 0, false, err
		}
		h.Log.InfoContext(ctx, "recipient erased", "account_id", job.AccountID, "erasure_id", job.ID, "messages", job.Erased, "canceled", job.Canceled)
		return 0, true, nil
	}
	wait = last.Sub(h.Now())
	if job.Left {
		wait = inHand
	}
	job.Next, job.Cursor, job.Left, job.PassAt, job.Seen = 0, "", false, time.Time{}, 0
	return max(wait, 0), false, h.Jobs.Advance(ctx, &job)
}

// finished ends a job whose last pass is done, with its certificate.
func (h *Handler) finished(ctx context.Context, job *recipient.Erasure) error {
	job.CompletedAt, job.Erased = h.Now().UTC(), job.Seen
	certificate := evidence.Erasure{
		AccountID: job.AccountID, ErasureID: job.ID, RequestedAt: evidence.At(job.RequestedAt), CompletedAt: evidence.At(job.CompletedAt),
		Erased: evidence.ErasureCounts{Recipients: 1, Addresses: job.Addresses, Consents: job.Consents, Messages: job.Erased, MessagesCanceled: job.Canceled},
	}
	var err error
	if job.Certificate, err = certificate.Sign(h.Signer); err != nil {
		return err
	}
	return h.Jobs.Finish(ctx, *job)
}

// part erases the next part of the conversation that the job is at. When it fails, the job has counted what was done and is at the same
// part as before.
func (h *Handler) part(ctx context.Context, job *recipient.Erasure) error {
	p, err := h.Messages.Part(ctx, job.AccountID, job.Conversations[job.Next], job.Cursor, job.RequestedAt)
	if err != nil {
		return err
	}
	var (
		mu    sync.Mutex
		group errgroup.Group
		left  bool
		seen  int64
	)
	group.SetLimit(atOnce)
	for _, m := range p.Messages {
		group.Go(func() error {
			result, err := h.message(ctx, m, job.RequestedAt)
			mu.Lock()
			defer mu.Unlock()
			job.Erased += result.erased
			job.Canceled += result.canceled
			seen += result.seen
			left = left || result.left
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	job.Left = job.Left || left
	if p.Cursor != "" {
		job.Cursor, job.Seen = p.Cursor, job.Seen+seen
		return nil
	}
	if err := h.leave(ctx, *job, p.Later); err != nil {
		return err
	}
	job.Next, job.Cursor, job.Seen = job.Next+1, "", job.Seen+seen
	return nil
}

// leave ends a pass through the conversation that the job is at. Later is the first message after the request; nil: there is none.
func (h *Handler) leave(ctx context.Context, job recipient.Erasure, later *message.Message) error {
	conversation := job.Conversations[job.Next]
	if later != nil { // the conversation went on, maybe in an hour that it is now taken out of the list of
		if err := h.Messages.Touch(ctx, *later); err != nil {
			return err
		}
	}
	if job.Left {
		return nil // the rest goes with the pass that finds nothing in hand
	}
	if err := h.Messages.Forget(ctx, job.AccountID, conversation, job.RequestedAt, later == nil); err != nil {
		return err
	}
	return h.Messages.EraseContents(ctx, job.AccountID, conversation, job.RequestedAt)
}

// result is what became of a message: erased and canceled now, seen to be erased by this job, left because it is in flight.
type result struct {
	erased, canceled, seen int64
	left                   bool
}

// message cancels a message that waits, then takes everything out of it that is of the person.
func (h *Handler) message(ctx context.Context, m message.Message, requested time.Time) (result, error) {
	var r result
	if !m.ErasedAt.IsZero() {
		// An erasure before this one is at least a minute older: so long its address is nobody's. Clocks differ by less.
		if m.ErasedAt.After(requested.Add(-settled)) {
			r.seen = 1
		}
		return r, h.Messages.Scrub(ctx, m) // which may have failed before
	}
	if !m.Final() {
		switch _, err := h.Withdraw.Withdraw(ctx, m.AccountID, m.ID); {
		case errors.Is(err, withdraw.ErrNotWaiting):
			// A dispatcher has it in hand, or just had: the next pass looks again.
			return result{left: true}, nil
		case err != nil:
			return r, err
		}
		r.canceled = 1
	}
	if err := h.Messages.Unlist(ctx, m); err != nil { // first: an erased message is passed by
		return r, err
	}
	w, err := h.Messages.Erase(ctx, m, h.Now())
	if w.Applied {
		r.erased, r.seen = 1, 1
	}
	r.left = err == nil && !w.Applied && w.Message.ErasedAt.IsZero()
	return r, err
}
