package main

import (
	"context"
	"errors"
	"time"

	"contactcenter/shared/channel"
	"contactcenter/shared/message"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/usage"
)

// claim is a ledger entry that this round works on.
type claim struct {
	entry usage.Entry
	// expired: the entry was another holder's, whose lease has run out.
	expired bool
	// aside is why the message is claimed without a unit: to be rejected or held.
	aside string
	// optedOut tells whether the recipient of a conversation opted out.
	optedOut func(conversation string) (bool, error)
}

// attempt is the work on one claimed message.
type attempt struct {
	*round
	claim
	m message.Message
	// ch is its channel and registered what the registry says of its provider, once notNow has looked.
	ch         channel.Channel
	registered registry.Entry
	// behind: it had to wait for the one before it in its conversation, which waited in its sender's line if there was one.
	behind bool
	// resumed: an earlier holder may have reached the provider, so the message may no longer end as if it had not.
	resumed bool
}

// message works on one claim and settles it.
func (r *round) message(ctx context.Context, c claim) {
	mid := c.entry.Message
	if c.expired {
		var ok bool
		if c, ok = r.takeOver(ctx, c); !ok {
			return // somebody else was faster; the record comes again
		}
	}
	a := &attempt{round: r, claim: c, resumed: c.expired && c.entry.Lease != c.entry.Claim}
	o, err := a.run(ctx)
	if err == nil && o.standing != nil {
		err = a.giveBack(ctx, *o.standing)
	}
	switch {
	case errors.Is(err, errOvertaken):
		return
	case err != nil:
		// The entry stays: whoever comes after the lease takes it over and finds out how far this went.
		r.Log.ErrorContext(ctx, "message not dispatched", "account_id", r.accountID, "message_id", mid.String(), "error", err.Error())
		r.decide(mid, again(c.entry.Expires.Sub(r.Now())+time.Second))
		return
	}
	r.decide(mid, o.verdict)
	if o.standing == nil {
		return // the provider may have the message: the entry keeps the unit until that is known
	}
	settlement, final := o.standing.Settlement(c.entry)
	if !final {
		settlement.GiveBack = c.entry.Counts()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if final && !settlement.GiveBack && c.entry.Counts() {
		r.lazy = append(r.lazy, settlement)
	} else {
		r.settle = append(r.settle, settlement)
	}
}

// takeOver makes an expired entry this round's.
func (r *round) takeOver(ctx context.Context, c claim) (claim, bool) {
	e := c.entry
	gate, err := r.Gates.TakeOver(ctx, r.accountID, r.terms, e, r.gate, r.nonce, true)
	if refused, ok := isRefused(err); ok {
		now, still := refused.Gate.Entries[e.Message.Unique]
		if !still || now.Lease != e.Lease || e.Counts() {
			return c, false
		}
		// An entry that counts nothing found no unit: it can still be set aside.
		if refused.Gate.Remaining > 0 && !refused.Gate.Blocked {
			return c, false
		}
		c.aside = message.HeldUsageLimit
		if refused.Gate.Blocked {
			c.aside = message.HeldAccountRestricted
		}
		gate, err = r.Gates.TakeOver(ctx, r.accountID, r.terms, e, refused.Gate, r.nonce, false)
	}
	if err != nil {
		if _, refused := isRefused(err); !refused {
			r.Log.WarnContext(ctx, "message not taken over", "account_id", r.accountID, "message_id", e.Message.String(), "error", err.Error())
		}
		return c, false
	}
	c.entry = gate.Entries[e.Message.Unique]
	return c, true
}

// run claims first, then reads, then acts.
func (a *attempt) run(ctx context.Context) (*outcome, error) {
	tail, err := a.read(ctx)
	switch {
	case errors.Is(err, message.ErrNotFound):
		return a.lost(ctx), nil
	case err != nil:
		return nil, err
	}
	a.m = tail.Message
	if a.m.Final() {
		a.happened(a.m) // whoever ended it may have stopped before he told
		return over(a.m), nil
	}
	if !a.m.SendAt.IsZero() && !a.Now().Before(a.m.SendAt) {
		a.step(a.m, message.Queued)
	}
	if !message.SameActivity(tail.Active, a.m.CreatedAt()) {
		if err := a.Messages.Touch(ctx, a.m); err != nil {
			return nil, err
		}
	}
	if a.expired {
		w, err := a.Messages.Fence(ctx, a.accountID, a.m.ID, a.entry.Lease)
		if err != nil {
			return nil, err
		}
		if !w.Applied {
			return a.refused(w)
		}
	}
	if a.m.Report != "" { // the provider reported on it: it has the message
		if a.registered, err = a.Providers.Get(ctx, a.m.ProviderID); err != nil && !errors.Is(err, registry.ErrNotFound) {
			return nil, err
		}
		return a.sent(ctx, provider.Receipt{}, false)
	}
	if o, err := a.notNow(ctx, tail.Previous); o != nil || err != nil {
		return o, err
	}
	if o, err := a.scopeLimits(ctx); o != nil || err != nil {
		return o, err
	}
	return a.handOver(ctx)
}

// recordWaits are the waits for a record that is behind its reference: mostly it is on its way, a few milliseconds away.
func recordWaits() []time.Duration {
	return []time.Duration{5 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond}
}

// read fetches the message and the end of its conversation. A record may be a moment behind its reference.
func (a *attempt) read(ctx context.Context) (message.Tail, error) {
	for _, wait := range recordWaits() {
		tail, err := a.Messages.Tail(ctx, a.accountID, a.entry.Message, a.Now())
		if !errors.Is(err, message.ErrNotFound) {
			return tail, err
		}
		if err := a.Sleep(ctx, wait); err != nil {
			return message.Tail{}, err
		}
	}
	return a.Messages.Tail(ctx, a.accountID, a.entry.Message, a.Now())
}

// lost deals with a reference without a record: it comes again as long as intake may still write one.
func (a *attempt) lost(ctx context.Context) *outcome {
	mid := a.entry.Message
	if a.Now().Sub(mid.Time()) <= message.LostAfter {
		return &outcome{again(time.Second), &usage.Standing{}}
	}
	a.Log.WarnContext(ctx, "reference without a message dropped", "account_id", a.accountID, "message_id", mid.String())
	return &outcome{ack(), &usage.Standing{}}
}
