package main

import (
	"context"
	"time"

	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/restriction"
	"contactcenter/shared/usage"
)

// blocked gives the restriction that blocks the message. What is known of the account is at most 5 s old; the gate's
// version names the restrictions too, so who comes with an older view when he reserves looks again.
func (a *attempt) blocked(ctx context.Context) (restriction.Restriction, bool, error) {
	st, err := a.Accounts.Standing(ctx, a.accountID, false)
	if err != nil {
		return restriction.Restriction{}, false, err
	}
	recipientID, err := a.recipient(ctx, st.Restrictions)
	if err != nil {
		return restriction.Restriction{}, false, err
	}
	by, blocked := st.Restrictions.Blocking(a.way(recipientID))
	return by, blocked, nil
}

func (a *attempt) way(recipientID string) restriction.Way {
	return restriction.Way{ProviderID: a.m.ProviderID, ChannelID: a.m.ChannelID, RecipientID: recipientID}
}

// recipient gives whose the message's address is, where a restriction asks for that: only then is the address opened
// before the message's turn has come.
func (a *attempt) recipient(ctx context.Context, set restriction.Set) (string, error) {
	if a.Recipients == nil || !set.OfRecipients() {
		return "", nil
	}
	if unchanged, err := a.open(ctx); err != nil || !unchanged {
		return "", err // its turn will tell
	}
	found, err := a.Recipients.Of(ctx, a.accountID, a.m.Address)
	return found[a.m.Address], err
}

// limiting gives the limits of provider, channel and recipient that the message is under.
func (a *attempt) limiting(ctx context.Context) (restriction.Set, error) {
	st, err := a.Accounts.Standing(ctx, a.accountID, false)
	if err != nil {
		return nil, err
	}
	recipientID, err := a.recipient(ctx, st.Restrictions)
	if err != nil {
		return nil, err
	}
	return st.Restrictions.Limiting(a.way(recipientID)), nil
}

// scopeLimits asks the limits of provider, channel and recipient, last before the call. Over the frequency the message waits its turn; over
// the number it is rejected or held, as over the plan's. One that may have reached the provider is never turned away.
func (a *attempt) scopeLimits(ctx context.Context) (*outcome, error) {
	limits, err := a.limiting(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range limits {
		if r.Rate == nil || a.resumed {
			continue
		}
		waited := a.byMessage[a.m.ID].receives > 1
		wait, err := a.Scopes.Pass(ctx, a.accountID, r.ID, r.Rate.Usage(), waited)
		if err != nil {
			return nil, err
		}
		if wait > 0 {
			return a.later(wait), nil
		}
	}
	for _, r := range limits {
		if r.Limit == nil {
			continue
		}
		room, err := a.take(ctx, r)
		switch {
		case err != nil:
			return nil, err
		case room == waits:
			return a.later(jittered(min(retryDelay(a.byMessage[a.m.ID].receives), 10*time.Second), a.Random())), nil
		case room == none:
			return a.overLimit(ctx, r)
		}
	}
	return nil, nil
}

// room is what a limit's number has for a message.
type room int

const (
	taken room = iota
	// waits: it is used up, by messages that may still give their units back.
	waits
	none
)

// take takes a unit of a limit's number. As with the plan's, nobody is turned away for a unit that may come back: it says none
// only when every message in flight has ended and the number was used up after that.
func (a *attempt) take(ctx context.Context, r restriction.Restriction) (room, error) {
	for looked := false; ; looked = true {
		ok, err := a.Scopes.Take(ctx, a.accountID, r.ID, a.gate.Period, *r.Limit, a.m.ID, a.entry.Lease)
		switch {
		case err != nil:
			return none, err
		case ok:
			return taken, nil
		case looked:
			return none, nil
		}
		if open, err := a.unitsOpen(ctx, r.ID); err != nil || open {
			return waits, err
		}
	}
}

// unitsOpen reports whether another message in flight holds a unit of the limit and may still give it back.
func (a *attempt) unitsOpen(ctx context.Context, limitID string) (bool, error) {
	g, err := a.Gates.Read(ctx, a.accountID, true)
	if err != nil {
		return false, err
	}
	var ids []id.Message
	for _, e := range g.Entries {
		if e.Counts() && e.Message != a.m.ID {
			ids = append(ids, e.Message)
		}
	}
	if len(ids) == 0 {
		return false, nil
	}
	states, err := a.Messages.States(ctx, a.accountID, ids)
	if err != nil {
		return false, err
	}
	for _, mid := range ids {
		if m, ok := states[mid]; ok && m.Final() {
			continue
		}
		if holds, err := a.Scopes.Holds(ctx, a.accountID, limitID, mid); err != nil || holds {
			return holds, err
		}
	}
	return false, nil
}

// overLimit deals with a message for which a limit's number leaves no room.
func (a *attempt) overLimit(ctx context.Context, r restriction.Restriction) (*outcome, error) {
	if a.m.OnLimit == message.Reject && !a.resumed {
		return a.end(ctx, message.Rejected, problemLimit(), false)
	}
	a.m.HeldBy = r.ID
	return a.hold(ctx, message.HeldUsageLimit, a.gate.Ends)
}

// giveBack returns the units of such limits when the message is not counted, before the message leaves this holder's hands.
// It is asked whenever a message is given up by a holder, so what a crash left is given back by whoever comes next.
func (a *attempt) giveBack(ctx context.Context, st usage.Standing) error {
	if a.m.ID != a.entry.Message || st.Claim != 0 {
		return nil
	}
	known, err := a.Accounts.Standing(ctx, a.accountID, false)
	if err != nil {
		return err
	}
	for _, r := range known.Restrictions {
		if r.Limit == nil || r.Scope.Account() || r.Scope.ProviderID != "" && r.Scope.ProviderID != a.m.ProviderID || r.Scope.ChannelID != "" && r.Scope.ChannelID != a.m.ChannelID {
			continue // a recipient's may be another's: then there is no unit to give back
		}
		if err := a.Scopes.GiveBack(context.WithoutCancel(ctx), a.accountID, r.ID, a.m.ID, a.entry.Lease); err != nil {
			return err
		}
	}
	return nil
}
