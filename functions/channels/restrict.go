package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/channel"
	"contactcenter/shared/event"
	"contactcenter/shared/restriction"
)

// Accounts knows under which restrictions an account is.
type Accounts interface {
	Find(ctx context.Context, accountID string) (account.Account, error)
	Listens(ctx context.Context, accountID string) (event.Set, error)
}

// Events makes what happened known to those who asked for it.
type Events interface {
	Publish(ctx context.Context, list ...event.Event) error
}

// happened publishes a change of a channel, for an account that listens. The change is made: a failure is noted and not the caller's.
func (h *Handler) happened(ctx context.Context, t event.Type, c channel.Channel, at time.Time) {
	listens, err := h.Accounts.Listens(ctx, c.AccountID)
	if err == nil && listens.Has(t) {
		err = h.Events.Publish(ctx, event.New(t, c.AccountID, c.ID, at, ""))
	}
	if err != nil {
		api.Note(ctx, err)
	}
}

// permitted refuses what a restriction forbids: a blocked account neither creates nor activates channels, nor has others do it,
// on a blocked provider it creates and activates none, and a blocked channel is not activated. It is read anew: both happen
// seldom. Nothing else asks, so reading, renaming, deactivating and deleting go on.
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
