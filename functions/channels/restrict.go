package main

import (
	"context"
	"errors"
	"net/http"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/restriction"
)

// Accounts knows under which restrictions an account is.
type Accounts interface {
	Find(ctx context.Context, accountID string) (account.Account, error)
}

// permitted refuses what a restriction forbids: a blocked account neither creates nor activates channels, nor has others do it,
// on a blocked provider it creates and activates none, and a blocked channel is not activated. It is read anew: both happen seldom. Nothing else asks, so reading, renaming, deactivating and
// deleting go on.
func (h *Handler) permitted(r *http.Request, accountID string, on restriction.Way) error {
	a, err := h.Accounts.Find(r.Context(), accountID)
	if errors.Is(err, account.ErrNotFound) {
		return nil // not known yet, so nobody can have restricted it
	}
	if err != nil {
		return api.TryAgain(r, err)
	}
	if by, blocked := a.Restrictions.ActiveAt(h.Now()).Blocking(on); blocked {
		return api.Restricted(by)
	}
	return nil
}
