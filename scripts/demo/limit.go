package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"contactcenter/scripts/demo/internal/stack"
)

const (
	floodSends = 500
	floodLimit = 100
)

// playLimit sends five times more than the plan allows, all at once.
func playLimit(ctx context.Context, d *demo) error {
	a, err := stack.Ready(ctx, d.stack, stack.Need{Limit: floodLimit})
	defer a.Leave(ctx)
	if err != nil {
		return err
	}
	began, reference := time.Now(), stack.Unique("flood-")
	f := flood(ctx, a, reference)
	if err := ctx.Err(); err != nil {
		return err
	}
	d.screen.Hop(time.Since(began), fmt.Sprintf("%d at once: %d answered 202, %d refused with 429 at once", floodSends, f.accepted, f.refused))
	d.screen.Check(f.other == 0, "every send gets an answer that says what it is", fmt.Sprintf("%d others%s", f.other, f.example))
	e, err := d.ends(ctx, a, reference, f.accepted)
	if err != nil {
		return err
	}
	d.screen.Hop(time.Since(began), fmt.Sprintf("all have ended: %d taken by edna, %d rejected by the gate", e.taken, e.rejected))
	return d.checkExact(ctx, a, f, e)
}

// flooded counts the answers to a flood.
type flooded struct {
	accepted, refused, other int
	// example is one of the others.
	example string
}

func flood(ctx context.Context, a *stack.Account, reference string) flooded {
	var mu sync.Mutex
	var all sync.WaitGroup
	var f flooded
	for i := range floodSends {
		all.Go(func() {
			got, err := a.Do(ctx, http.MethodPost, "/v1/messages", map[string]any{
				"channel_id": a.Channel.ID, "to": stack.Person(1000 + i), "content": stack.Text(fmt.Sprintf("number %d of %s", i, reference)), "client_reference": reference,
			})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				f.other++
				f.example = ": " + err.Error()
			case got.Status == http.StatusAccepted:
				f.accepted++
			case got.Status == http.StatusTooManyRequests && got.Problem().Code == "usage_limit_reached":
				f.refused++
			default:
				f.other++
				f.example = ": " + got.Unexpected().Error()
			}
		})
	}
	all.Wait()
	return f
}

// ended counts how messages ended.
type ended struct{ listed, taken, rejected int }

// endsOf counts, and tells whether all have ended.
func endsOf(all []stack.Message) (ended, bool) {
	e, done := ended{listed: len(all)}, true
	for _, m := range all {
		switch {
		case m.Taken():
			e.taken++
		case m.Status == "rejected" && m.Error != nil && m.Error.Code == "usage_limit_reached":
			e.rejected++
		}
		done = done && m.Ended()
	}
	return e, done
}

func (d *demo) ends(ctx context.Context, a *stack.Account, reference string, accepted int) (ended, error) {
	var e ended
	err := stack.Wait(ctx, 200*time.Millisecond, func() (bool, error) {
		all, err := a.Messages(ctx, url.Values{"client_reference": {reference}})
		if err != nil {
			return false, err
		}
		var done bool
		e, done = endsOf(all)
		d.screen.Transient(fmt.Sprintf("             %d of %d taken by edna, %d rejected", e.taken, accepted, e.rejected))
		return done && e.listed == accepted, nil
	})
	if err != nil {
		return e, fmt.Errorf("wait for all messages to end: %w", err)
	}
	return e, nil
}

func (d *demo) checkExact(ctx context.Context, a *stack.Account, f flooded, e ended) error {
	calls, err := a.Sends(ctx)
	if err != nil {
		return err
	}
	u, err := a.Settled(ctx)
	if err != nil {
		return err
	}
	taken := stack.Acceptances(calls)
	d.screen.Check(len(taken) == floodLimit && stack.TakenTwice(taken) == 0, fmt.Sprintf("exactly %d accepted by edna", floodLimit), fmt.Sprintf("accepted %d, twice %d", len(taken), stack.TakenTwice(taken)))
	d.screen.Check(u.Used == floodLimit && u.InFlight == 0, fmt.Sprintf("used = %d", floodLimit), fmt.Sprintf("used %d of %d, in flight %d", u.Used, u.Limit, u.InFlight))
	rejected := f.refused + e.rejected
	d.screen.Check(rejected == floodSends-floodLimit && e.taken == floodLimit, fmt.Sprintf("%d rejected", floodSends-floodLimit), fmt.Sprintf("%d by 429, %d by the gate", f.refused, e.rejected))
	got, err := a.Do(ctx, http.MethodPost, "/v1/messages", map[string]any{"channel_id": a.Channel.ID, "to": stack.Person(3), "content": stack.Text("one more")})
	if err != nil {
		return err
	}
	d.screen.Check(got.Status == http.StatusTooManyRequests, "the next one is told at once", fmt.Sprintf("%d %s", got.Status, got.Problem().Code))
	return nil
}
