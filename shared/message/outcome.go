package message

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"contactcenter/shared/id"
)

// Fence marks a message as taken over under a lease, so that an earlier holder that still runs can no longer end it
// badly. It is refused when a later lease has fenced the message, or when it is final.
func (s *Store) Fence(ctx context.Context, accountID string, mid id.Message, lease int64) (Written, error) {
	w := newWrite()
	w.Set(attrFence, num(lease))
	w.outcome(Queued, Held)
	w.fence(lease)
	return s.update(ctx, accountID, mid, w)
}

// Handover is a provider's acceptance of a message.
type Handover struct {
	ProviderMessageID string
	At                time.Time
	// Attempt says that a call was made just now; false when the acceptance was learnt otherwise.
	Attempt bool
	// ProviderVersion is the version of the provider's entry that the call was made under; 0: not known.
	ProviderVersion int64
}

// Sent records that the provider took the message, under the claim that counts it. Any holder may say so, also one
// that was overtaken: what a provider took is a fact. It is refused when that is recorded already, or when the
// message was canceled or rejected.
func (s *Store) Sent(ctx context.Context, accountID string, mid id.Message, claim int64, h Handover) (Written, error) {
	w := newWrite()
	w.Set(attrOutcome, str(string(Sent)))
	w.Set(attrClaim, num(claim))
	w.Set(attrTransfer, num(h.At.UnixMilli()))
	if h.Attempt {
		w.Add(attrAttempts, 1)
	}
	if h.ProviderVersion != 0 {
		w.Set(attrRegistry, num(h.ProviderVersion))
	}
	if h.ProviderMessageID != "" {
		w.Set(attrProviderID, str(h.ProviderMessageID))
	}
	w.step(Step{Status: Sent, At: h.At})
	w.Remove(attrHeldKey, attrHeldSort, attrHeld, attrHeldLease, attrRelease, attrNotBefore, attrError, attrShard, attrDue)
	w.outcome(Queued, Held, Unknown, Failed)
	return s.update(ctx, accountID, mid, w)
}

// Ending is a bad end of a message, or its cancelling.
type Ending struct {
	Status  Status
	At      time.Time
	Problem *Problem
	// Claim counts the message when it is not 0: the provider may have taken it.
	Claim int64
	// Attempt says that a call was made just now, ProviderVersion under which version of the provider's entry.
	Attempt         bool
	ProviderVersion int64
}

// End writes a bad end. It is refused when the message is final, when a later holder fenced it off, and when the
// provider reported having it.
func (s *Store) End(ctx context.Context, accountID string, mid id.Message, lease int64, e Ending) (Written, error) {
	w := newWrite()
	w.Set(attrOutcome, str(string(e.Status)))
	if e.Claim != 0 {
		w.Set(attrClaim, num(e.Claim))
	}
	if e.Attempt {
		w.Add(attrAttempts, 1)
	}
	if e.ProviderVersion != 0 {
		w.Set(attrRegistry, num(e.ProviderVersion))
	}
	reason := ""
	if e.Problem != nil {
		reason = e.Problem.Code
	}
	if err := w.problem(attrError, e.Problem); err != nil {
		return Written{}, err
	}
	w.step(Step{Status: e.Status, At: e.At, Reason: reason})
	w.Remove(attrHeldKey, attrHeldSort, attrHeld, attrHeldLease, attrRelease, attrNotBefore, attrShard, attrDue)
	w.waiting(lease)
	return s.update(ctx, accountID, mid, w)
}

// Hold puts a message aside until it is released. ReleaseAt may be zero: not known. The conditions are those of End.
func (s *Store) Hold(ctx context.Context, m Message, lease int64, at time.Time, reason string, releaseAt time.Time) (Written, error) {
	w := newWrite()
	w.Set(attrOutcome, str(string(Held)))
	w.Set(attrHeld, str(reason))
	w.Set(attrHeldLease, num(lease))
	w.Set(attrHeldKey, str(m.AccountID))
	w.Set(attrHeldSort, str(m.ID.Unique+m.ID.Conversation))
	if releaseAt.IsZero() {
		w.Remove(attrRelease)
	} else {
		w.Set(attrRelease, num(releaseAt.UnixMilli()))
	}
	if m.HeldBy == "" {
		w.Remove(attrHeldBy)
	} else {
		w.Set(attrHeldBy, str(m.HeldBy))
	}
	if m.Outcome != Held || m.HeldReason != reason {
		w.step(Step{Status: Held, At: at, Reason: reason})
	}
	w.waiting(lease)
	return s.update(ctx, m.AccountID, m.ID, w)
}

// Release lets a held message wait for its turn again; the message is given as the caller saw it. The reference that
// wakes the dispatcher is queued before, so a crash in between leaves a message that is dispatched all the same. A
// dispatcher may be so quick as to hold the message again before it is released: then that reference is spent, and the
// release is refused, or else the message would wait for ever.
func (s *Store) Release(ctx context.Context, m Message, at time.Time) (Written, error) {
	w := newWrite()
	w.Set(attrOutcome, str(string(Queued)))
	w.step(Step{Status: Queued, At: at, Reason: StepReleased})
	w.Remove(attrHeldKey, attrHeldSort, attrHeld, attrHeldLease, attrHeldBy, attrRelease)
	w.outcome(Held)
	w.Require(w.Is(attrHeldLease, "=", num(m.HeldLease)))
	return s.update(ctx, m.AccountID, m.ID, w)
}

// Retry records an attempt that the provider did not take, and when the next may be made. The conditions are those
// of End.
func (s *Store) Retry(ctx context.Context, accountID string, mid id.Message, lease int64, at time.Time, reason string, notBefore time.Time) (Written, error) {
	w := newWrite()
	w.Add(attrAttempts, 1)
	w.Set(attrNotBefore, num(notBefore.UnixMilli()))
	w.step(Step{Status: Queued, At: at, Reason: reason})
	w.waiting(lease)
	return s.update(ctx, accountID, mid, w)
}

// Spare records an attempt as Retry does, which does not count against the message: its provider took nothing of anybody. Of many the timeline
// has the first. The message is given as the caller saw it.
func (s *Store) Spare(ctx context.Context, m Message, lease int64, at time.Time, reason string, notBefore time.Time) (Written, error) {
	w := newWrite()
	w.Add(attrAttempts, 1)
	w.Add(attrSpared, 1)
	w.Set(attrNotBefore, num(notBefore.UnixMilli()))
	if m.Spared == 0 {
		w.step(Step{Status: Queued, At: at, Reason: reason})
	}
	w.waiting(lease)
	return s.update(ctx, m.AccountID, m.ID, w)
}

// Await records that the message waits for its sender's turn, and until when. No attempt was made. The conditions are those of End.
func (s *Store) Await(ctx context.Context, m Message, lease int64, at, notBefore time.Time) (Written, error) {
	w := newWrite()
	w.Set(attrNotBefore, num(notBefore.UnixMilli()))
	w.step(Step{Status: Queued, At: at, Reason: StepLined})
	w.waiting(lease)
	return s.update(ctx, m.AccountID, m.ID, w)
}

// Report is a provider's word on a message's delivery.
type Report struct {
	Status            Status
	At                time.Time
	ProviderMessageID string
	Problem           *Problem
}

// Report records a provider's word on a message of a channel, if it moves the message forward. A report of "sent" is only of use when our
// own write of the outcome was lost, so it is looked at first: a read costs a fifth of a refused write. It returns
// ErrNotFound when the account has no such message on that channel.
func (s *Store) Report(ctx context.Context, accountID, channelID string, mid id.Message, r Report) (Written, error) {
	if r.Status == Sent {
		out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: key(accountID, mid, statePrefix)})
		if err != nil {
			return Written{}, fmt.Errorf("look at message: %w", err)
		}
		if len(out.Item) > 0 {
			m, err := decode(out.Item)
			switch {
			case err != nil:
				return Written{}, err
			case m.ChannelID != channelID:
				return Written{}, ErrNotFound
			case m.Status().Rank() >= Sent.Rank():
				return Written{Message: m}, nil
			}
		}
	}
	w := newWrite()
	w.Set(attrReport, str(string(r.Status)))
	if r.ProviderMessageID != "" {
		w.Set(attrProviderID, str(r.ProviderMessageID))
	}
	if err := w.problem(attrReportErr, r.Problem); err != nil {
		return Written{}, err
	}
	reason := ""
	if r.Problem != nil {
		reason = r.Problem.Code
	}
	w.step(Step{Status: r.Status, At: r.At, Reason: reason})
	var from []Status
	switch r.Status {
	case Read:
		from = []Status{Sent, Failed, Delivered}
	case Delivered:
		from = []Status{Sent, Failed}
	case Failed:
		from = []Status{Sent}
	case Sent:
		// An outcome of "sent" is all that this report could tell.
		w.outcome(Queued, Held, Unknown, Failed)
	default:
		return Written{}, fmt.Errorf("report status %q: it can't be reported", r.Status)
	}
	if r.Status != Sent {
		w.outcome(Queued, Held, Unknown, Failed, Expired, Sent)
	}
	forward := w.Absent(attrReport)
	if len(from) > 0 {
		forward = w.Either(forward, w.oneOf(attrReport, from...))
	}
	w.Require(forward, w.Is(attrChannel, "=", str(channelID)))
	written, err := s.update(ctx, accountID, mid, w)
	if err == nil && written.Message.ChannelID != channelID {
		return Written{}, ErrNotFound
	}
	return written, err
}
