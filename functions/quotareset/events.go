package main

import (
	"context"
	"errors"
	"time"

	"contactcenter/shared/event"
	"contactcenter/shared/usage"
)

// errUntold: what happened is not published, and is to be found again. Nothing else waits for it.
var errUntold = errors.New("the new period is not told")

// periodBegan is the event of a gate's present period, by the time at which it began: whether the first message or the schedule was there
// first, it is the same.
func periodBegan(g usage.Gate) event.Event {
	at, err := time.Parse("2006-01-02", g.Period)
	if err != nil {
		at, err = time.Parse("2006-01", g.Period)
	}
	if err != nil {
		at = g.Ends
	}
	return event.New(event.UsageReset, g.AccountID, "", at, g.Period)
}

// tell publishes what an account listens to.
func (r *Reset) tell(ctx context.Context, listens event.Set, list []event.Event) error {
	heard := event.Heard(listens, list...)
	if len(heard) == 0 {
		return nil
	}
	return r.Events.Publish(ctx, heard...)
}
