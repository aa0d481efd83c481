package main

import (
	"context"
	"slices"
	"time"

	"contactcenter/shared/message"
	"contactcenter/shared/provider/pace"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/usage"
)

// lookAround is for how long at a time a message stays away that has its place in a sender's line.
const lookAround = 15 * time.Minute

// slot waits for the next slots of the message's sender and of its provider, where these bound what they take, or gives the message back
// until it should come again. Slots that begin soon are waited for; the switch is looked at again then.
func (a *attempt) slot(ctx context.Context) (*outcome, error) {
	limits := a.registered.Limits
	// The sender's first: its slot is lost when the provider has none, which is nobody else's loss.
	bounds := []bound{
		{pace.Subject{ProviderID: a.registered.ID, ChannelID: a.m.ChannelID}, limits.PerSender, true},
		{pace.Subject{ProviderID: a.registered.ID}, limits.Rate, false},
	}
	var slots []time.Time
	horizon := maxNap
	for _, b := range bounds {
		if b.rate == nil {
			continue
		}
		waited := !b.lines || a.behind || a.resumed || lined(a.m)
		at, taken, err := a.Pace.Take(ctx, b.of, b.pace(), horizon, usage.Turn{Batch: a.m.ID.OfBatch(), Waited: waited})
		switch {
		case err != nil:
			return nil, err
		case !taken && !waited:
			return a.lineUp(ctx, b)
		case !taken:
			// Longer when it did not help before: each time is a receive, and SQS counts them.
			return a.later(max(at.Sub(a.Now()), time.Second) + jittered(retryDelay(a.byMessage[a.m.ID].receives/4), a.Random())), nil
		}
		if d := at.Sub(a.Now()); d > 0 {
			if err := a.Sleep(ctx, d); err != nil {
				return nil, err
			}
		}
		slots, horizon = append(slots, at), pace.Guard/2 // the call must leave soon after the first
	}
	if len(slots) == 0 {
		return nil, nil
	}
	var err error
	if a.registered, err = a.provider(ctx, a.registered.ID); err != nil {
		return nil, err
	}
	now := a.Now()
	if a.registered.Status != registry.Enabled || slices.ContainsFunc(slots, func(at time.Time) bool { return now.Sub(at) > pace.Guard }) {
		return a.later(time.Second), nil // the slots are lost
	}
	return nil, nil
}

// bound is a limit on how many messages a provider or one of its senders takes. Messages for a sender line up; those for a provider don't:
// one account's many would stand before another's one.
type bound struct {
	of    pace.Subject
	rate  *registry.Rate
	lines bool
}

func (b bound) pace() pace.Rate {
	return pace.Rate{Limit: b.rate.Limit, Window: time.Duration(b.rate.WindowSeconds) * time.Second, Burst: b.rate.Burst}
}

// lined reports whether the message had a place in its sender's line.
func lined(m message.Message) bool {
	return slices.ContainsFunc(m.Steps, func(s message.Step) bool { return s.Reason == message.StepLined })
}

// lineUp gives the message a place in its sender's line, once, and keeps it there: whoever comes after it in its conversation waits as long.
func (a *attempt) lineUp(ctx context.Context, b bound) (*outcome, error) {
	place, err := a.Pace.Line(ctx, b.of, b.pace(), a.m.ID.OfBatch())
	if err != nil {
		return nil, err
	}
	now := a.Now()
	w, err := a.Messages.Await(ctx, a.m, a.entry.Lease, now, place)
	if err != nil {
		return nil, err
	}
	if !w.Applied {
		return a.refused(w)
	}
	return a.later(a.inLine(place, now)), nil
}
