package main

import (
	"context"

	"contactcenter/shared/restriction"
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
	return a.Recipients.Owner(ctx, a.accountID, a.m.Address)
}
