package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"contactcenter/shared/api"
	"contactcenter/shared/message"
	"contactcenter/shared/withdraw"
)

// CancelMessage cancels a message that is still waiting. A caller that goes away does not stop it half way.
func (h *Handler) CancelMessage(w http.ResponseWriter, r *http.Request) {
	if err := api.NoBody(r); err != nil {
		api.WriteError(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), stepsTimeout)
	defer cancel()
	m, err := h.find(ctx, r)
	if err == nil {
		m, err = h.cancel(ctx, r, m)
	}
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	api.WriteJSON(w, http.StatusOK, api.MessageOf(m, api.InLine))
}

func (h *Handler) cancel(ctx context.Context, r *http.Request, m message.Message) (message.Message, error) {
	notCancelable := api.NewProblem(api.CodeMessageNotCancelable)
	if !m.Status().Waiting() {
		return m, notCancelable
	}
	if err := h.list(ctx, m); err != nil {
		return m, api.TryAgain(r, err)
	}
	m, err := h.withdraw(ctx, m)
	switch {
	case errors.Is(err, withdraw.ErrNotWaiting):
		return m, notCancelable
	case err != nil:
		return m, api.TryAgain(r, err)
	}
	if err := h.canceled(ctx, m); err != nil {
		return m, api.TryAgain(r, err)
	}
	if err := h.Messages.Open(ctx, &m); err != nil {
		return m, api.TryAgain(r, err)
	}
	return m, nil
}

// firstPause is how long a message that was set aside stays in its dispatcher's hands at least, longestPause how long it is waited for at most
// at a time: both bound tries of which each waits twice as long as the one before.
const (
	firstPause   = 25 * time.Millisecond
	longestPause = 800 * time.Millisecond
)

// errSetAside: the message is held, and whoever set it aside has not let go of it yet.
var errSetAside = errors.New("held message still in a dispatcher's hands")

// withdraw takes the message back. One that is held shows that before its dispatcher lets go of it, at the end of its batch: that is waited
// for, rather than say of a message that waits that it does not.
func (h *Handler) withdraw(ctx context.Context, m message.Message) (message.Message, error) {
	back := withdraw.Withdrawer{Messages: h.Messages, Gates: h.Gates, Accounts: h.Accounts, Now: h.Now, Random: h.Random, Note: api.Note}
	for pause := firstPause; ; pause *= 2 {
		out, err := back.Withdraw(ctx, m.AccountID, m.ID)
		if !errors.Is(err, withdraw.ErrNotWaiting) {
			return out, err
		}
		now, err := h.Messages.Get(ctx, m.AccountID, m.ID)
		switch {
		case err != nil:
			return m, err
		case now.Status() != message.Held:
			return m, withdraw.ErrNotWaiting
		case pause > longestPause:
			return m, errSetAside
		}
		if err := h.Wait(ctx, pause); err != nil {
			return m, err
		}
	}
}

// list puts the message's conversation into the channel's list. Else a dispatcher does that when it first looks at the message, but one
// that is canceled before that it leaves alone.
func (h *Handler) list(ctx context.Context, m message.Message) error {
	listed, err := h.Messages.Listed(ctx, m)
	if err != nil || listed {
		return err
	}
	return h.Messages.Touch(ctx, m)
}

// canceled publishes that a message was canceled, for an account that listens. A dispatcher that finds it so tells it again.
func (h *Handler) canceled(ctx context.Context, m message.Message) error {
	st, err := h.Accounts.Standing(ctx, m.AccountID, false)
	e, ok := m.Event(message.Canceled)
	if err != nil || !ok || !st.Listens.Has(e.Type) {
		return err
	}
	return h.Events.Publish(ctx, e)
}
