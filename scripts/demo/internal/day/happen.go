package day

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"contactcenter/scripts/demo/internal/stack"
	"contactcenter/shared/client"
)

// happening is something that is more than one agent's doing. The clock stands while it is played.
type happening struct {
	at time.Duration
	// what is told when it has come about. doing is what the display says meanwhile.
	what, doing string
	play        func(context.Context) error
}

// happenings are those of the day, by their times.
func (d *day) happenings() []happening {
	edna := []int{pharmacy, school, garden}
	return []happening{
		{at: opens + 30*time.Minute, what: "the school tells 60 parents of a day off, 5 a second: what is above its plan's frequency waits its turn"},
		{at: campaignBegins, what: "the garden shop's campaign begins: 300 messages in three batches"},
		{at: campaignBegins + 18*time.Minute, what: "for a while people do not look at their phones: delivered, not read", play: d.behave([]int{garden}, map[string]any{"statuses": []string{"sent", "delivered"}})},
		{at: campaignOut, what: "the campaign is out, and people begin to reply", doing: "waiting until the campaign is out", play: d.campaignEnds},
		{at: outageBegins, what: "edna answers nothing but 503", play: d.behave(edna, map[string]any{"fail_status": http.StatusServiceUnavailable})},
		{at: outageEnds, what: "edna answers again; what waited goes out by itself", doing: "waiting until the outage is seen", play: d.endOutage},
		{at: limitFull, what: fmt.Sprintf("Cog & Spring has used up the %d messages of its plan", repairsLimit), doing: "waiting until its messages have ended", play: d.limitReached},
		{at: limitReset, what: "the operator gives Cog & Spring a plan of 200 a day: a new period begins, at nothing", doing: "the operator changes the plan", play: d.newPlanBegins},
		{at: blockBegins, what: "the operator blocks Fern Garden Shop: complaints about the campaign", doing: "the operator blocks the account", play: d.blockBegins},
		{at: blockEnds, what: "the operator lifts the block; what waited goes out", doing: "waiting until the offers of the evening wait", play: d.blockEnds},
		{at: closes, what: "the agents go home", doing: "the agents finish what they began", play: d.caughtUp},
	}
}

// happens plays a happening, and tells it.
func (d *day) happens(ctx context.Context, h happening) error {
	if h.play != nil {
		if err := d.meanwhile(ctx, h.doing, h.play); err != nil {
			return fmt.Errorf("%s: %w", h.what, err)
		}
	}
	if h.what != "" {
		d.tell(h.at, h.what)
	}
	return nil
}

// behave has the provider treat accounts otherwise.
func (d *day) behave(accounts []int, settings map[string]any) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, i := range accounts {
			if err := d.actors[i].account.Behave(ctx, settings); err != nil {
				return err
			}
		}
		return nil
	}
}

// campaignEnds waits until the provider has taken what the garden shop sent.
func (d *day) campaignEnds(ctx context.Context) error {
	if err := d.caughtUp(ctx); err != nil {
		return err
	}
	err := d.within(ctx, func(context.Context) (bool, error) {
		accepted, _ := d.actors[garden].book.totals()
		return d.crm.counts(garden).ended >= accepted, nil
	})
	if err != nil {
		return err
	}
	return d.behave([]int{garden}, nil)(ctx)
}

// enoughWaiting are the messages of each account that are seen to wait before the outage may end.
const enoughWaiting = 5

// endOutage lets the outage last until it was seen, and ends it.
func (d *day) endOutage(ctx context.Context) error {
	if err := d.caughtUp(ctx); err != nil {
		return err
	}
	waiting := map[int]int{}
	err := d.within(ctx, func(ctx context.Context) (bool, error) {
		d.facts.outageShown = d.facts.outageShown || d.provider("edna") == "outage"
		seen := d.facts.outageShown
		for _, i := range []int{pharmacy, school, garden} {
			before := len(d.facts.outageHeld)
			if err := d.actors[i].lookForHeld(ctx, "provider_outage", d.facts.outageHeld); err != nil {
				return false, err
			}
			waiting[i] += len(d.facts.outageHeld) - before
			seen = seen && waiting[i] >= enoughWaiting
		}
		return seen, nil
	})
	if err != nil {
		return err
	}
	return d.behave([]int{pharmacy, school, garden}, nil)(ctx)
}

// within asks until the answer is yes, for a while. That it never was is for the checks to say.
func (d *day) within(ctx context.Context, ask func(context.Context) (bool, error)) error {
	limited, cancel := context.WithTimeout(ctx, meanwhile)
	defer cancel()
	err := stack.Wait(limited, 500*time.Millisecond, func() (bool, error) { return ask(limited) })
	if limited.Err() != nil && ctx.Err() == nil {
		return nil
	}
	return err
}

// lookForHeld notes messages that wait, and adds those that wait for a reason to a set.
func (a *actor) lookForHeld(ctx context.Context, reason string, into map[string]bool) error {
	return pages(func(token string) (string, error) {
		page, err := a.agents[0].ListMessages(ctx, client.ListMessagesQuery{ClientReference: a.run.reference, Status: "held", PageSize: pageSize, PageToken: token})
		for _, m := range page.Items {
			a.book.wait(m.ID, m.HeldReason)
			if m.HeldReason == reason {
				into[m.ID] = true
			}
		}
		return page.NextPageToken, err
	})
}

// limitReached waits until the repair shop's messages have come to an end, and notes what it has used.
func (d *day) limitReached(ctx context.Context) error {
	if err := d.caughtUp(ctx); err != nil {
		return err
	}
	return d.within(ctx, func(ctx context.Context) (bool, error) {
		u, err := d.actors[repairs].account.Usage(ctx)
		d.facts.limitUsed = u.Used
		return u.Used >= repairsLimit && u.InFlight == 0, err
	})
}

// newPlanBegins puts the repair shop on a plan by days. What it used by months is closed with that.
func (d *day) newPlanBegins(ctx context.Context) error {
	if err := d.caughtUp(ctx); err != nil {
		return err
	}
	a := d.actors[repairs]
	if err := a.lookForHeld(ctx, "usage_limit_reached", map[string]bool{}); err != nil {
		return err
	}
	before, err := a.account.Settled(ctx)
	if err != nil {
		return err
	}
	d.facts.closed[repairs] = before.Used
	return a.account.SetPlan(ctx, 200, "day")
}

func (d *day) blockBegins(ctx context.Context) error {
	if err := d.caughtUp(ctx); err != nil {
		return err
	}
	lift, err := d.actors[garden].account.Block(ctx, "Complaints about the campaign are being looked into.")
	if err != nil {
		return err
	}
	d.lift, d.facts.blocked = lift, time.Now()
	return nil
}

// blockEnds lets the block last until what came due is seen to wait, and lifts it.
func (d *day) blockEnds(ctx context.Context) error {
	if err := d.caughtUp(ctx); err != nil {
		return err
	}
	waiting := map[string]bool{}
	err := d.within(ctx, func(ctx context.Context) (bool, error) {
		err := d.actors[garden].lookForHeld(ctx, "account_restricted", waiting)
		return len(waiting) >= offers, err
	})
	if err != nil {
		return err
	}
	d.facts.lifted = time.Now()
	return d.lift(ctx)
}
