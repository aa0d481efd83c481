package main

import (
	"context"
	"strconv"
	"time"

	"contactcenter/shared/event"
	"contactcenter/shared/message"
	"contactcenter/shared/usage"
)

// Events makes what happened known to those who asked for it.
type Events interface {
	Publish(ctx context.Context, list ...event.Event) error
}

// tellTimeout bounds the publishing at the end of a batch.
const tellTimeout = 2 * time.Second

// happened notes the step that a message's outcome is.
func (r *round) happened(m message.Message) { r.step(m, m.Outcome) }

// step notes a step that a message took.
func (r *round) step(m message.Message, s message.Status) {
	if e, ok := m.Event(s); ok {
		r.note(e)
	}
}

func (r *round) note(e event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// crossed notes that a share of the period's number is used.
func (r *round) crossed(g usage.Gate, percent int) {
	t := event.UsageThresholdReached
	if percent == 100 {
		t = event.UsageLimitReached
	}
	r.note(event.New(t, r.accountID, "", r.Now(), g.Period+"#"+strconv.Itoa(percent)))
}

// tell publishes what the account listens to, ten events with a request. What it listens to is known from the terms, so an account
// that does not costs nothing. When it fails, the messages come again: they are found final then, and told.
func (r *round) tell(ctx context.Context) {
	if len(r.events) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTimeout)
	defer cancel()
	st, err := r.Accounts.Standing(ctx, r.accountID, false)
	heard := event.Heard(st.Listens, r.events...)
	if err == nil && len(heard) > 0 {
		err = r.Events.Publish(ctx, heard...)
	}
	if err == nil {
		return
	}
	r.Log.WarnContext(ctx, "events not published", "account_id", r.accountID, "events", len(heard), "error", err.Error())
	untold := map[string]bool{}
	for _, e := range r.events {
		untold[e.Resource] = true
	}
	for m, v := range r.verdicts {
		if v.done && untold[m.String()] {
			r.verdicts[m] = again(jittered(retryDelay(r.byMessage[m].receives), r.Random()))
		}
	}
}
