package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"time"

	"contactcenter/shared/api"
	"contactcenter/shared/event"
	"contactcenter/shared/id"
	"contactcenter/shared/idempotency"
	"contactcenter/shared/message"
	"contactcenter/shared/queue"
)

// SendMessage accepts a message: the reference goes to the queue, then the message is recorded, then it is answered
// 202. If either fails the answer is 503; a reference without a message is dropped by the dispatcher.
func (h *Handler) SendMessage(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), stepsTimeout)
	defer cancel()
	r = r.WithContext(ctx)
	in := &intake{Handler: h, r: r, principal: api.PrincipalFrom(ctx), began: h.Now(), newID: h.IDs.NewMessage}
	m, replayed, err := in.run(ctx)
	if headerErr := in.limits.setHeaders(w.Header(), h.Now()); headerErr != nil {
		api.Note(ctx, headerErr)
	}
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	if replayed {
		w.Header().Set(idempotency.ReplayedHeader, "true")
	}
	w.Header().Set("Location", "/v1/messages/"+m.ID.String())
	api.WriteJSON(w, http.StatusAccepted, api.AcceptedMessageOf(m))
}

// run checks and accepts the message, or finds the one that an earlier request with the same key made.
func (in *intake) run(ctx context.Context) (m message.Message, replayed bool, err error) {
	if m, err = in.check(ctx); err != nil {
		if earlier, ok := in.earlier(ctx, err); ok {
			return earlier, true, nil
		}
		return message.Message{}, false, err
	}
	if !in.hasKey {
		return m, false, in.accept(ctx, m, false)
	}
	return in.acceptOnce(ctx, m)
}

// accept makes the message known to the dispatcher and records it. An old id is one that an earlier request has made:
// a dispatcher would give up its reference at once while the message is not recorded, so it gets the reference when it
// is certain whether there is a message.
func (in *intake) accept(ctx context.Context, m message.Message, old bool) error {
	send := func() error { return in.Queue.Send(ctx, m.AccountID, m.ID) }
	if delay := in.delay(m, old); delay > 0 {
		send = func() error { return in.Queue.SendLater(ctx, m.AccountID, m.ID, delay) }
	}
	if m.SendAt.IsZero() || in.soon(m) {
		if err := send(); err != nil {
			return api.TryAgain(in.r, err)
		}
	}
	if err := in.record(ctx, m); err != nil {
		return api.TryAgain(in.r, err)
	}
	return in.tell(ctx, m)
}

// tell publishes that messages are queued, for an account that listens. Scheduled ones are told of when their time comes. A request that
// is answered 503 because of it runs again under its key, and is the same event then.
func (in *intake) tell(ctx context.Context, list ...message.Message) error {
	var events []event.Event
	for _, m := range list {
		if e, ok := m.Event(message.Queued); ok && m.SendAt.IsZero() {
			events = append(events, e)
		}
	}
	heard := event.Heard(in.limits.standing.Listens, events...)
	if len(heard) == 0 {
		return nil
	}
	if err := in.Events.Publish(ctx, heard...); err != nil {
		return api.TryAgain(in.r, err)
	}
	return nil
}

// soon reports whether a scheduled message's time comes before the schedule surely does, which sends all others and makes up for a
// reference that is lost. It stays in the schedule's list all the same: it can be moved, and a second reference changes nothing.
func (h *Handler) soon(m message.Message) bool {
	return !m.SendAt.IsZero() && m.SendAt.Before(h.Now().Add(soon))
}

// delay is how long a message's reference waits in the queue: until the message's time, and until an old id is certain.
func (h *Handler) delay(m message.Message, old bool) time.Duration {
	delay := queue.DelayUntil(m.SendAt, h.Now()) // of no time: 0
	if old {
		delay = max(delay, message.IntakeTime)
	}
	return delay
}

// record writes a message. The conversation of a scheduled one is listed now: no dispatcher sees it for a long time.
func (in *intake) record(ctx context.Context, m message.Message) error {
	if !m.SendAt.IsZero() {
		if err := in.Messages.Touch(ctx, m); err != nil {
			return err
		}
	}
	return in.Messages.Create(ctx, m)
}

// acceptOnce accepts a message under a key: one write more than without. The key's record names the message before
// there is one, so that a repeat finds it, or runs again under the same id.
func (in *intake) acceptOnce(ctx context.Context, m message.Message) (message.Message, bool, error) {
	mine := idempotency.Record{Payload: in.payload, Subject: m.ID.String(), Deadline: m.CreatedAt().Add(message.IntakeTime)}
	known, taken, err := in.Keys.Begin(ctx, in.key, mine)
	if err != nil {
		return m, false, api.TryAgain(in.r, err)
	}
	old := false
	if !taken {
		earlier, err := in.answered(ctx, known)
		if err == nil {
			return earlier, true, in.tell(ctx, earlier)
		}
		if !errors.Is(err, message.ErrNotFound) {
			return m, false, err
		}
		if m.ID, err = id.ParseMessage(known.Subject); err != nil {
			return m, false, err
		}
		mine.Subject, mine.Deadline = known.Subject, in.began.Add(message.IntakeTime)
		switch err := in.Keys.TakeOver(ctx, in.key, known, mine.Deadline); {
		case errors.Is(err, idempotency.ErrChanged):
			return m, false, idempotency.InUse()
		case err != nil:
			return m, false, api.TryAgain(in.r, err)
		}
		old = in.Now().Sub(m.CreatedAt()) >= message.IntakeTime/2
	}
	if err := in.accept(ctx, m, old); err != nil {
		in.release(ctx, mine)
		return m, false, err
	}
	return m, false, nil
}

// answered gives the message that an earlier request with the key made. It returns message.ErrNotFound when there is
// none and nobody works on it, and a problem when the key stands against the request.
func (in *intake) answered(ctx context.Context, known idempotency.Record) (message.Message, error) {
	if !known.SamePayload(in.payload) {
		return message.Message{}, idempotency.Reused()
	}
	mid, err := id.ParseMessage(known.Subject)
	if err != nil {
		return message.Message{}, err
	}
	m, err := in.Messages.Get(ctx, in.principal.AccountID, mid)
	switch {
	case errors.Is(err, message.ErrNotFound) && known.InUse(in.Now()):
		return message.Message{}, idempotency.InUse()
	case err != nil && !errors.Is(err, message.ErrNotFound):
		return message.Message{}, api.TryAgain(in.r, err)
	}
	return m, err
}

// earlier looks for what a request with the same key and payload made, before a request that can't be accepted now is
// refused: what was answered 202 once is answered 202 again, whatever has changed since.
func (in *intake) earlier(ctx context.Context, refusal error) (message.Message, bool) {
	p := new(api.Problem)
	if !in.hasKey || in.payload == [sha256.Size]byte{} || !errors.As(refusal, &p) || p.Status >= http.StatusInternalServerError {
		return message.Message{}, false
	}
	known, ok, err := in.Keys.Find(ctx, in.key)
	if err != nil || !ok || !known.SamePayload(in.payload) {
		return message.Message{}, false
	}
	m, err := in.answered(ctx, known)
	return m, err == nil
}

// release lets the same request run again at once. When that fails, the key's deadline does it.
func (in *intake) release(ctx context.Context, mine idempotency.Record) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closingTimeout)
	defer cancel()
	if err := in.Keys.Release(ctx, in.key, mine); err != nil && !errors.Is(err, idempotency.ErrChanged) {
		api.Note(ctx, err)
	}
}
