package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"contactcenter/shared/api"
	"contactcenter/shared/message"
)

// RescheduleMessage moves a scheduled message to another time.
func (h *Handler) RescheduleMessage(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), stepsTimeout)
	defer cancel()
	m, err := h.reschedule(ctx, r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	api.WriteJSON(w, http.StatusOK, api.MessageOf(m, due(m, h.Now())))
}

func (h *Handler) reschedule(ctx context.Context, r *http.Request) (message.Message, error) {
	m, err := h.find(ctx, r)
	if err != nil {
		return m, err
	}
	var req api.RescheduleMessageRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return m, err
	}
	at, now := req.SendAt.Truncate(time.Millisecond), h.Now()
	var errs api.FieldErrors
	switch {
	case !at.After(now):
		errs.Add("send_at", api.FieldInvalid, "must lie in the future")
	case at.After(now.Add(maxSchedule)):
		errs.Add("send_at", api.FieldInvalid, "must lie at most 30 days ahead")
	case !m.ExpiresAt.IsZero() && !at.Before(m.ExpiresAt):
		errs.Add("send_at", api.FieldInvalid, "must lie before expires_at")
	}
	if err := errs.Err(); err != nil {
		return m, err
	}
	moved, err := h.move(ctx, r, m, at)
	if err != nil {
		return m, err
	}
	if h.soon(moved) {
		if err := h.Queue.SendLater(ctx, moved.AccountID, moved.ID, h.delay(moved, false)); err != nil {
			return m, api.TryAgain(r, err) // it is moved; a repeat moves it there again
		}
	}
	if err := h.Messages.Open(ctx, &moved); err != nil {
		return m, api.TryAgain(r, err)
	}
	return moved, nil
}

// moveTries is how often a message is moved again that somebody else moved just now.
const moveTries = 20

// move moves a message, wherever others move it at the same time: the last one has the word.
func (h *Handler) move(ctx context.Context, r *http.Request, m message.Message, at time.Time) (message.Message, error) {
	for range moveTries {
		if !m.Scheduled(h.Now()) {
			return m, notMovable()
		}
		written, err := h.Messages.Reschedule(ctx, m, at)
		switch {
		case err != nil:
			return m, api.TryAgain(r, err)
		case written.Applied:
			return written.Message, nil
		case written.Message.SendAt.Equal(m.SendAt): // nobody moved it: it is on its way
			return m, notMovable()
		}
		m = written.Message
	}
	return m, api.TryAgain(r, errors.New("it was moved again and again meanwhile"))
}

func notMovable() error {
	return api.NewProblem(api.CodeMessageNotCancelable).WithDetail("The message is not scheduled any more, or its time is near: it can't be moved. While it waits it can be canceled.")
}
