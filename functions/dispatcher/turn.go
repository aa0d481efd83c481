package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"contactcenter/shared/channel"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/registry"
)

const (
	// longestOutage is how long a message waits in the queue for a provider to which nothing gets through.
	longestOutage = 24 * time.Hour
	// recovering is how long after an outage messages that wait for others ask more often.
	recovering = 2 * time.Minute
	// patience is how long a message whose answer is missing keeps its place where places are few.
	patience = time.Minute
	// orderTries is how often a message comes back for one before it that is held, before it is held itself.
	orderTries = 4
)

// notNow deals with everything that keeps a message from being handed over at this moment, or for good. Previous is the message before it
// in its conversation, nil: there is none.
func (a *attempt) notNow(ctx context.Context, previous *message.Message) (*outcome, error) {
	a.m.HeldBy = "" // of an earlier time
	for _, look := range []func(context.Context) (*outcome, error){a.unwanted, a.noChannel, a.restricted, a.noProvider, a.forbidden, a.noUnit} {
		if o, err := look(ctx); o != nil || err != nil {
			return o, err
		}
	}
	if d := a.Health.Look(ctx, a.ch.ProviderID, a.ch.ID); d > 0 {
		return a.outage(ctx, d)
	}
	if previous != nil {
		if o, err := a.outOfTurn(ctx, *previous); o != nil || err != nil {
			return o, err
		}
	}
	now := a.Now()
	switch {
	case a.m.NotBefore.After(now):
		return a.later(a.inLine(a.m.NotBefore, now)), nil
	case a.ch.PausedUntil.After(now):
		return a.later(a.ch.PausedUntil.Sub(now)), nil
	case !a.timeFor(ctx, callTime):
		return a.later(time.Second), nil
	}
	return nil, nil
}

// unwanted ends a message that nobody waits for any longer: it is expired, or its recipient opted out.
func (a *attempt) unwanted(ctx context.Context) (*outcome, error) {
	if !a.m.ExpiresAt.IsZero() && !a.Now().Before(a.m.ExpiresAt) {
		return a.end(ctx, message.Expired, message.ExpiredProblem(), false)
	}
	out, err := a.optedOut(a.m.ID.Conversation)
	if err != nil || !out {
		return nil, err
	}
	return a.end(ctx, message.Rejected, problemOptedOut(), false)
}

// noChannel ends a message whose channel can't be used.
func (a *attempt) noChannel(ctx context.Context) (*outcome, error) {
	var err error
	a.ch, err = a.Channels.Get(ctx, a.m.ChannelID, false)
	if err == nil && a.ch.Status != channel.Active {
		a.ch, err = a.Channels.Get(ctx, a.m.ChannelID, true) // before saying no, look again
	}
	switch {
	case errors.Is(err, channel.ErrNotFound):
		return a.end(ctx, message.Rejected, problemChannel(), false)
	case err != nil:
		return nil, err
	case a.ch.Status == channel.CredentialsInvalid:
		return a.end(ctx, message.Rejected, problemCredentials(), false)
	case a.ch.Status != channel.Active:
		return a.end(ctx, message.Rejected, problemChannel(), false)
	}
	return nil, nil
}

// restricted holds a message that a restriction of its account blocks.
func (a *attempt) restricted(ctx context.Context) (*outcome, error) {
	by, blocked, err := a.blocked(ctx)
	if err != nil || !blocked {
		return nil, err
	}
	a.m.HeldBy = by.ID
	return a.hold(ctx, message.HeldAccountRestricted, by.Until)
}

// noProvider ends a message whose provider was removed, and holds one whose provider is switched off.
func (a *attempt) noProvider(ctx context.Context) (*outcome, error) {
	var err error
	a.registered, err = a.provider(ctx, a.ch.ProviderID)
	switch {
	case err != nil:
		return nil, err
	case a.registered.Status == registry.Removed:
		return a.end(ctx, message.Rejected, problemRemoved(), false)
	case a.registered.Status != registry.Disabled || a.aside != "":
		return nil, nil
	}
	if err := a.Waiting.Mark(ctx, a.accountID, a.registered.ID, a.registered.Version); err != nil {
		return nil, err
	}
	return a.hold(ctx, message.HeldProviderDisabled, time.Time{})
}

// forbidden ends a message that would take data where its account lets none go. Both lists are looked at again before it does: what
// has just been allowed is not turned away by what was read before.
func (a *attempt) forbidden(ctx context.Context) (*outcome, error) {
	st, err := a.Accounts.Standing(ctx, a.accountID, false)
	if err != nil {
		return nil, err
	}
	if _, no := st.Countries.Forbid(a.registered.TransferCountries); !no {
		return nil, nil
	}
	if st, err = a.Accounts.Standing(ctx, a.accountID, true); err != nil {
		return nil, err
	}
	if a.registered, err = a.Providers.Recent(ctx, a.registered.ID); err != nil {
		return nil, err
	}
	if outside, no := st.Countries.Forbid(a.registered.TransferCountries); no {
		return a.end(ctx, message.Rejected, problemCountry(outside), false)
	}
	return nil, nil
}

// noUnit rejects or holds a message that was claimed without a unit.
func (a *attempt) noUnit(ctx context.Context) (*outcome, error) {
	switch {
	case a.aside == "":
		return nil, nil
	case a.aside != message.HeldUsageLimit:
		return a.hold(ctx, a.aside, time.Time{})
	case a.m.OnLimit == message.Reject:
		return a.end(ctx, message.Rejected, problemLimit(), false)
	}
	return a.hold(ctx, a.aside, a.gate.Ends)
}

// outOfTurn keeps a message back until the one before it in its conversation is on its way, and as long after that as the provider asks.
func (a *attempt) outOfTurn(ctx context.Context, previous message.Message) (*outcome, error) {
	now := a.Now()
	if !previous.Outcome.Waiting() || a.resumed {
		a.behind = a.m.CreatedAt().Before(previous.UpdatedHere())
		if d := previous.UpdatedHere().Add(a.apart()).Sub(now); a.apart() > 0 && d > 0 {
			return a.later(d), nil
		}
		return nil, nil
	}
	receives := a.byMessage[a.m.ID].receives
	if previous.Outcome == message.Held && receives >= orderTries {
		return a.hold(ctx, message.HeldOrder, previous.ReleaseAt)
	}
	turn := min(retryDelay(receives), 8*time.Second)
	if now.Sub(a.Health.Recovered(a.ch.ProviderID, a.ch.ID)) < recovering {
		turn = min(turn, time.Second) // it was received so often because of the outage
	}
	if previous.NotBefore.After(now) {
		turn = max(turn, a.inLine(previous.NotBefore, now))
	}
	return a.later(max(turn, a.apart())), nil
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
func (a *attempt) outage(ctx context.Context, d time.Duration) (*outcome, error) {
	if a.waitedTooLong() || a.crowds() {
		if a.resumed {
			return a.end(ctx, message.Unknown, problemUnknown(), false)
		}
		return a.end(ctx, message.Failed, problemOutage(), false)
	}
	if !a.m.ExpiresAt.IsZero() {
		d = min(d, max(a.m.ExpiresAt.Sub(a.Now()), time.Second))
	}
	return a.later(d), nil
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
