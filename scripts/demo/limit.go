package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

const (
	floodSends = 500
	floodLimit = 100
)

// playLimit sends five times more than the plan allows, all at once.
func playLimit(ctx context.Context, d *demo) error {
	a, err := ready(ctx, d.stack, floodLimit)
	defer a.leave(ctx)
	if err != nil {
		return err
	}
	before, err := d.lastCall(ctx, a.sender)
	if err != nil {
		return err
	}
	began, reference := time.Now(), unique("flood-")
	f := a.flood(ctx, reference)
	if err := ctx.Err(); err != nil {
		return err
	}
	d.screen.hop(time.Since(began), fmt.Sprintf("%d at once: %d answered 202, %d refused with 429 at once", floodSends, f.accepted, f.refused))
	d.screen.check(f.other == 0, "every send gets an answer that says what it is", fmt.Sprintf("%d others%s", f.other, f.example))
	e, err := d.ends(ctx, a, reference, f.accepted)
	if err != nil {
		return err
	}
	d.screen.hop(time.Since(began), fmt.Sprintf("all have ended: %d taken by edna, %d rejected by the gate", e.taken, e.rejected))
	return d.checkExact(ctx, a, f, e, before)
}

// flooded counts the answers to a flood.
type flooded struct {
	accepted, refused, other int
	// example is one of the others.
	example string
}

func (a *account) flood(ctx context.Context, reference string) flooded {
	var mu sync.Mutex
	var all sync.WaitGroup
	var f flooded
	for i := range floodSends {
		all.Go(func() {
			got, err := a.do(ctx, http.MethodPost, "/v1/messages", map[string]any{
				"channel_id": a.channel.ID, "to": person(1000 + i), "content": text(fmt.Sprintf("number %d of %s", i, reference)), "client_reference": reference,
			})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				f.other++
				f.example = ": " + err.Error()
			case got.status == http.StatusAccepted:
				f.accepted++
			case got.status == http.StatusTooManyRequests && got.problem().Code == "usage_limit_reached":
				f.refused++
			default:
				f.other++
				f.example = ": " + got.unexpected().Error()
			}
		})
	}
	all.Wait()
	return f
}

// ended counts how messages ended.
type ended struct{ listed, taken, rejected int }

// endsOf counts, and tells whether all have ended.
func endsOf(all []message) (ended, bool) {
	e, done := ended{listed: len(all)}, true
	for _, m := range all {
		switch {
		case m.taken():
			e.taken++
		case m.Status == "rejected" && m.Error != nil && m.Error.Code == "usage_limit_reached":
			e.rejected++
		}
		done = done && m.ended()
	}
	return e, done
}

func (d *demo) ends(ctx context.Context, a *account, reference string, accepted int) (ended, error) {
	var e ended
	err := wait(ctx, 200*time.Millisecond, func() (bool, error) {
		all, err := a.messages(ctx, url.Values{"client_reference": {reference}})
		if err != nil {
			return false, err
		}
		var done bool
		e, done = endsOf(all)
		d.screen.transient(fmt.Sprintf("             %d of %d taken by edna, %d rejected", e.taken, accepted, e.rejected))
		return done && e.listed == accepted, nil
	})
	if err != nil {
		return e, fmt.Errorf("wait for all messages to end: %w", err)
	}
	return e, nil
}

// lastCall is the number of the sender's last call so far: it may have been another account's before.
func (d *demo) lastCall(ctx context.Context, sender int64) (int, error) {
	calls, err := d.stack.sends(ctx, url.Values{"sender_id": {strconv.FormatInt(sender, 10)}})
	if err != nil || len(calls) == 0 {
		return 0, err
	}
	return calls[len(calls)-1].Seq, nil
}

func (d *demo) checkExact(ctx context.Context, a *account, f flooded, e ended, before int) error {
	calls, err := d.stack.sends(ctx, url.Values{"sender_id": {strconv.FormatInt(a.sender, 10)}, "after": {strconv.Itoa(before)}})
	if err != nil {
		return err
	}
	u, err := a.settled(ctx)
	if err != nil {
		return err
	}
	taken := acceptances(calls)
	d.screen.check(len(taken) == floodLimit && takenTwice(taken) == 0, fmt.Sprintf("exactly %d accepted by edna", floodLimit), fmt.Sprintf("accepted %d, twice %d", len(taken), takenTwice(taken)))
	d.screen.check(u.Used == floodLimit && u.InFlight == 0, fmt.Sprintf("used = %d", floodLimit), fmt.Sprintf("used %d of %d, in flight %d", u.Used, u.Limit, u.InFlight))
	rejected := f.refused + e.rejected
	d.screen.check(rejected == floodSends-floodLimit && e.taken == floodLimit, fmt.Sprintf("%d rejected", floodSends-floodLimit), fmt.Sprintf("%d by 429, %d by the gate", f.refused, e.rejected))
	got, err := a.do(ctx, http.MethodPost, "/v1/messages", map[string]any{"channel_id": a.channel.ID, "to": person(3), "content": text("one more")})
	if err != nil {
		return err
	}
	d.screen.check(got.status == http.StatusTooManyRequests, "the next one is told at once", fmt.Sprintf("%d %s", got.status, got.problem().Code))
	return nil
}
