package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"contactcenter/shared/channel"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/usage"
)

// notNow deals with everything that keeps a message from being handed over at this moment, or for good.
func (a *attempt) notNow(ctx context.Context, tail *message.Tail) (v verdict, s *usage.Standing, done bool, err error) {
	now := a.Now()
	a.m.HeldBy = "" // of an earlier time
	end := func(status message.Status, p message.Problem) (verdict, *usage.Standing, bool, error) {
		v, s, err := a.end(ctx, status, p, false)
		return v, s, true, err
	}
	wait := func(d time.Duration) (verdict, *usage.Standing, bool, error) {
		v, s := a.later(d)
		return v, s, true, nil
	}
	hold := func(reason string, until time.Time) (verdict, *usage.Standing, bool, error) {
		v, s, err := a.hold(ctx, reason, until)
		return v, s, true, err
	}
	if !a.m.ExpiresAt.IsZero() && !now.Before(a.m.ExpiresAt) {
		return end(message.Expired, problemExpired())
	}
	switch out, err := a.optedOut(a.m.ID.Conversation); {
	case err != nil:
		return v, nil, true, err
	case out:
		return end(message.Rejected, problemOptedOut())
	}
	ch, err := a.Channels.Get(ctx, a.m.ChannelID, false)
	if err == nil && ch.Status != channel.Active {
		ch, err = a.Channels.Get(ctx, a.m.ChannelID, true) // before saying no, look again
	}
	switch {
	case errors.Is(err, channel.ErrNotFound):
		return end(message.Rejected, problemChannel())
	case err != nil:
		return v, nil, true, err
	case ch.Status == channel.CredentialsInvalid:
		return end(message.Rejected, problemCredentials())
	case ch.Status != channel.Active:
		return end(message.Rejected, problemChannel())
	}
	switch by, blocked, err := a.blocked(ctx); {
	case err != nil:
		return v, nil, true, err
	case blocked:
		a.m.HeldBy = by.ID
		return hold(message.HeldAccountRestricted, by.Until)
	}
	entry, err := a.provider(ctx, ch.ProviderID)
	a.registered = entry
	switch {
	case err != nil:
		return v, nil, true, err
	case entry.Status == registry.Removed:
		return end(message.Rejected, problemRemoved())
	case entry.Status == registry.Disabled && a.aside == "":
		if err := a.Waiting.Mark(ctx, a.accountID, entry.ID, entry.Version); err != nil {
			return v, nil, true, err
		}
		return hold(message.HeldProviderDisabled, time.Time{})
	}
	if a.aside != "" {
		if a.aside == message.HeldUsageLimit && a.m.OnLimit == message.Reject {
			return end(message.Rejected, problemLimit())
		}
		until := time.Time{}
		if a.aside == message.HeldUsageLimit {
			until = a.gate.Ends
		}
		return hold(a.aside, until)
	}
	if d := a.Health.Look(ctx, ch.ProviderID, ch.ID); d > 0 {
		v, s, err := a.outage(ctx, d)
		return v, s, true, err
	}
	if p := tail.Previous; p != nil && p.Outcome.Waiting() && !a.resumed {
		receives := a.byMessage[a.m.ID].receives
		if p.Outcome == message.Held && receives >= orderTries {
			return hold(message.HeldOrder, p.ReleaseAt)
		}
		turn := min(retryDelay(receives), 8*time.Second)
		if now.Sub(a.Health.Recovered(ch.ProviderID, ch.ID)) < recovering {
			turn = min(turn, time.Second) // it was received so often because of the outage
		}
		if p.NotBefore.After(now) {
			turn = max(turn, a.inLine(p.NotBefore, now))
		}
		return wait(max(turn, a.apart()))
	}
	if p := tail.Previous; p != nil {
		a.behind = a.m.CreatedAt().Before(p.UpdatedHere())
	}
	if p := tail.Previous; p != nil && a.apart() > 0 {
		if d := p.UpdatedHere().Add(a.apart()).Sub(now); d > 0 {
			return wait(d)
		}
	}
	if a.m.NotBefore.After(now) {
		return wait(a.inLine(a.m.NotBefore, now))
	}
	if ch.PausedUntil.After(now) {
		return wait(ch.PausedUntil.Sub(now))
	}
	if !a.timeFor(ctx, callTime) {
		return wait(time.Second)
	}
	return v, nil, false, nil
}

// apart is the least time between two messages of the channel to one recipient, where the provider has such a limit.
func (a *attempt) apart() time.Duration {
	return time.Duration(a.registered.Limits.PerRecipientSeconds) * time.Second
}

// inLine is how long a message with a place waits at a time: it looks around now and then, for it may be expired, withdrawn or held by then.
func (a *attempt) inLine(place, now time.Time) time.Duration {
	d := min(place.Sub(now), lookAround)
	if !a.m.ExpiresAt.IsZero() {
		d = min(d, a.m.ExpiresAt.Sub(now))
	}
	return max(d, time.Second)
}

// provider gives the entry of the message's provider. Before a message is kept waiting, it looks again: what has just been
// switched on should not wait for another look at what was held.
func (a *attempt) provider(ctx context.Context, providerID string) (registry.Entry, error) {
	entry, err := a.Providers.Get(ctx, providerID)
	if err == nil && entry.Status == registry.Disabled {
		return a.Providers.Recent(ctx, providerID)
	}
	return entry, err
}

// outage keeps a message waiting while nothing gets through to its provider: no attempt is used up, until it expires or has waited for
// longer than anybody should.
func (a *attempt) outage(ctx context.Context, d time.Duration) (verdict, *usage.Standing, error) {
	if a.waitedTooLong() || a.crowds() {
		if a.resumed {
			return a.end(ctx, message.Unknown, problemUnknown(), false)
		}
		return a.end(ctx, message.Failed, problemOutage(), false)
	}
	if !a.m.ExpiresAt.IsZero() {
		d = min(d, max(a.m.ExpiresAt.Sub(a.Now()), time.Second))
	}
	v, s := a.later(d)
	return v, s, nil
}

// crowds reports whether the message is one of too many of its account whose answers are missing. They keep their places among those that
// are on their way, so that the account's messages to other providers would find none: some are given up then, after a while.
func (a *attempt) crowds() bool {
	failed := slices.IndexFunc(a.m.Steps, func(s message.Step) bool {
		return s.Status == message.Queued && s.Reason != message.StepReleased && s.Reason != message.StepLined
	})
	return a.resumed && a.unanswered() > a.terms.InFlight/2 && failed >= 0 && a.Now().Sub(a.m.Steps[failed].At) > patience
}

// unanswered counts the account's messages that were taken over from another holder: nobody knows whether their providers have them.
func (a *attempt) unanswered() int {
	n := 0
	for _, e := range a.gate.Entries {
		if e.Counts() && e.Lease != e.Claim {
			n++
		}
	}
	return n
}

// waitedTooLong reports whether the message is in the queue for longer than an outage is waited for.
func (a *attempt) waitedTooLong() bool {
	queued := a.byMessage[a.m.ID].queuedAt
	return queued.Unix() > 0 && a.Now().Sub(queued) > longestOutage
}
