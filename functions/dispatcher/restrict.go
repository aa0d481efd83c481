package main

import (
	"context"

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
	by, blocked := st.Restrictions.Blocking(a.m.ChannelID, recipientID)
	return by, blocked, nil
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

// limiting gives the limits of channel and recipient that the message is under.
func (a *attempt) limiting(ctx context.Context) (restriction.Set, error) {
	st, err := a.Accounts.Standing(ctx, a.accountID, false)
	if err != nil {
		return nil, err
	}
	recipientID, err := a.recipient(ctx, st.Restrictions)
	if err != nil {
		return nil, err
	}
	return st.Restrictions.Limiting(a.m.ChannelID, recipientID), nil
}

// limited asks the limits of channel and recipient, last before the call. Over the frequency the message waits its turn; over
// the number it is rejected or held, as over the plan's. One that may have reached the provider is never turned away.
func (a *attempt) limited(ctx context.Context) (v verdict, s *usage.Standing, done bool, err error) {
	limits, err := a.limiting(ctx)
	if err != nil {
		return v, nil, true, err
	}
	for _, r := range limits {
		if r.Rate == nil || a.resumed {
			continue
		}
		waited := a.byMessage[a.m.ID].receives > 1
		wait, err := a.Scopes.Pass(ctx, a.accountID, r.ID, r.Rate.Usage(), waited)
		if err != nil {
			return v, nil, true, err
		}
		if wait > 0 {
			v, s := a.later(wait)
			return v, s, true, nil
		}
	}
	for _, r := range limits {
		if r.Limit == nil {
			continue
		}
		taken, err := a.Scopes.Take(ctx, a.accountID, r.ID, a.gate.Period, *r.Limit, a.m.ID, a.entry.Lease)
		if err != nil {
			return v, nil, true, err
		}
		if !taken {
			v, s, err := a.overLimit(ctx, r)
			return v, s, true, err
		}
	}
	return v, nil, false, nil
}

// overLimit deals with a message for which a limit's number leaves no room.
func (a *attempt) overLimit(ctx context.Context, r restriction.Restriction) (verdict, *usage.Standing, error) {
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
		if r.Limit == nil || r.Scope.Account() || r.Scope.ChannelID != "" && r.Scope.ChannelID != a.m.ChannelID {
			continue // a recipient's may be another's: then there is no unit to give back
		}
		if err := a.Scopes.GiveBack(context.WithoutCancel(ctx), a.accountID, r.ID, a.m.ID, a.entry.Lease); err != nil {
			return err
		}
	}
	return nil
}
