package main

import (
	"context"
	"time"

	"contactcenter/shared/message"
	"contactcenter/shared/provider"
	"contactcenter/shared/usage"
)

// outcome is what became of an attempt. Where a step may give none, nil says that the next one is to be taken.
type outcome struct {
	verdict verdict
	// standing says how the entry is to be settled; nil: it keeps its unit, for the provider may have the message.
	standing *usage.Standing
}

// over is the outcome for a message that is final, or that the provider has.
func over(m message.Message) *outcome {
	return &outcome{ack(), &usage.Standing{Final: m.Final(), Claim: m.Claim}}
}

// later gives the message back for a while. After a takeover the unit stays with it: the provider may have it.
func (a *attempt) later(d time.Duration) *outcome {
	if a.resumed {
		return &outcome{again(max(d, a.entry.Expires.Sub(a.Now())+time.Second)), nil}
	}
	return &outcome{again(d), &usage.Standing{}}
}

// sent records that the provider has the message.
func (a *attempt) sent(ctx context.Context, receipt provider.Receipt, called bool) (*outcome, error) {
	// What the provider took must be recorded, also when the invocation's time is nearly over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	w, err := a.Messages.Sent(ctx, a.accountID, a.m.ID, a.entry.Claim, message.Handover{ProviderMessageID: receipt.ProviderMessageID, At: a.Now(), Attempt: called, ProviderVersion: a.registered.Version})
	if err != nil {
		return nil, err
	}
	if !w.Applied {
		return a.refused(w)
	}
	a.happened(w.Message)
	return over(w.Message), nil
}

// end writes a bad end. After a takeover the provider may have the message: then it is counted, and what would have
// been our own no is an unknown.
func (a *attempt) end(ctx context.Context, status message.Status, p message.Problem, called bool) (*outcome, error) {
	e := message.Ending{Status: status, At: a.Now(), Problem: &p, Attempt: called}
	if called || a.resumed { // the provider was given the message, or may have been
		e.ProviderVersion = a.registered.Version
	}
	if a.resumed {
		e.Claim = a.entry.Claim
		if status == message.Rejected || status == message.Expired {
			unknown := problemUnknown()
			e.Status, e.Problem = message.Unknown, &unknown
		}
	}
	if status == message.Unknown {
		e.Claim = a.entry.Claim
	}
	w, err := a.Messages.End(ctx, a.accountID, a.m.ID, a.entry.Lease, e)
	if err != nil {
		return nil, err
	}
	switch {
	case !w.Applied && called:
		return a.refusedCall(ctx, w)
	case !w.Applied:
		return a.refused(w)
	}
	a.happened(w.Message)
	return over(w.Message), nil
}

// hold sets the message aside. After a takeover the provider may have it, so it waits as it is.
func (a *attempt) hold(ctx context.Context, reason string, until time.Time) (*outcome, error) {
	if a.resumed {
		return a.later(5 * time.Second), nil
	}
	w, err := a.Messages.Hold(ctx, a.m, a.entry.Lease, a.Now(), reason, until)
	if err != nil {
		return nil, err
	}
	if !w.Applied {
		return a.refused(w)
	}
	a.happened(w.Message)
	return &outcome{ack(), &usage.Standing{}}, nil
}

// refused reads what a refused write brought along: an end that somebody else wrote, the provider's word that it has
// the message, or a later holder.
func (a *attempt) refused(w message.Written) (*outcome, error) {
	switch {
	case w.Message.Final():
		a.happened(w.Message)
		return over(w.Message), nil
	case w.Message.Report != "":
		a.resumed = true // at its next turn it is found reported, and recorded as sent
		return a.later(time.Second), nil
	default:
		return nil, errOvertaken
	}
}

// refusedCall is refused after a call, which counts. The provider's word that it has the message came while the call failed: then that is
// what became of the call.
func (a *attempt) refusedCall(ctx context.Context, w message.Written) (*outcome, error) {
	if !w.Message.Final() && w.Message.Report != "" {
		a.resumed = true
		return a.sent(ctx, provider.Receipt{}, true)
	}
	return a.refused(w)
}
