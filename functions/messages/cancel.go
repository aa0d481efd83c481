package main

import (
	"context"
	"errors"
	"net/http"

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
	back := withdraw.Withdrawer{Messages: h.Messages, Gates: h.Gates, Accounts: h.Accounts, Now: h.Now, Random: h.Random, Note: api.Note}
	m, err := back.Withdraw(ctx, m.AccountID, m.ID)
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
