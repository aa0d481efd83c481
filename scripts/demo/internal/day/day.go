// Package day plays a day in the life of the Contact Center against a running local stack: five accounts whose agents write and
// whose recipients reply, a campaign, a provider's outage, a limit that is reached and a new plan, a block and its end. Then it
// compares what the API, the providers' simulators and the CRM's webhook endpoint say.
//
// The plan (newPlan) is thought out before, from a seed. Agents play its steps side by side; what happens to all of them is played
// by the day itself, while its clock stands, for as long as the real machinery takes. So a day has a floor that no speed gets below:
// some twenty seconds for the outage, the block and the beginning.
package day

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"contactcenter/scripts/demo/internal/screen"
	"contactcenter/scripts/demo/internal/stack"
	"contactcenter/shared/api"
	"contactcenter/shared/client"
)

const (
	// DefaultSpeed is how many seconds of the day pass in one: ten hours in two and a half minutes.
	DefaultSpeed = 240
	// Least is the slowest speed: real time.
	Least = 1
	// Most is the fastest: faster than all that takes its time anyway.
	Most = 2000

	// settling is how long the evening lasts at most, until everything has come to its end: longer than a message that a queue lost
	// sight of takes.
	settling = 5 * time.Minute
	// slow is when a message was on its way for so long that it is told.
	slow = 30 * time.Second
	// hearing is how long it may take until an endpoint hears all that happens.
	hearing = 5 * time.Second
	// tick is how often the display is drawn, and the plan looked at.
	tick = 200 * time.Millisecond
	// meanwhile bounds what the day's clock waits for.
	meanwhile = 4 * time.Minute
)

// Options are how a day is played.
type Options struct {
	// Speed is how many seconds of the day pass in one.
	Speed float64
	// Seed makes the day. The same seed makes the same one.
	Seed uint64
}

// day is a day while it is played.
type day struct {
	stack   *stack.Stack
	screen  *screen.Screen
	options Options
	plan    plan
	clock   *clock
	crm     *crm
	actors  []*actor
	facts   facts
	lanes   []chan step
	// open counts the steps that agents have not done yet, working the agents.
	open, working sync.WaitGroup
	// lift ends the block.
	lift func(context.Context) error

	// mu guards what others than the day's own goroutine tell the display.
	mu     sync.Mutex
	news   []string
	health []api.ProviderHealth
	// now is what is happening at the moment, half the next half hour that a line tells of.
	now  string
	half time.Duration
	// began is when it began, really.
	began time.Time
}

// Play plays a day. Its error is what kept the day from its end; promises that are broken are counted by the screen.
func Play(ctx context.Context, s *stack.Stack, out *screen.Screen, o Options) error {
	d := &day{stack: s, screen: out, options: o, plan: newPlan(o.Seed), clock: newClock(o.Speed, time.Now), facts: newFacts(), half: opens, began: time.Now()}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer d.leave(ctx)
	if err := d.prepare(ctx); err != nil {
		d.screen.Clear()
		return err
	}
	var watching sync.WaitGroup
	watching.Go(func() { d.watch(ctx) })
	err := d.play(ctx)
	if ctx.Err() == nil && err == nil {
		err = d.settle(ctx)
	}
	d.clock.stand()
	interrupted := ctx.Err() != nil
	cancel()
	d.working.Wait()
	watching.Wait()
	d.screen.Clear()
	return errors.Join(err, d.close(context.WithoutCancel(ctx), interrupted))
}

// newRun makes what no other run has.
func newRun() run {
	const letters = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
	tag := make([]byte, 4)
	for i := range tag {
		tag[i] = letters[rand.IntN(len(letters))]
	}
	return run{reference: stack.Unique("day-"), tag: string(tag), people: rand.IntN(99) * len(cast()) * peopleOfAccount}
}

// prepare makes the accounts, with their channels, agents and endpoints.
func (d *day) prepare(ctx context.Context) error {
	d.screen.Title(fmt.Sprintf("A day in the life, 08:00 to 18:00, at %g times its speed (-seed %d plays it again)", d.options.Speed, d.options.Seed))
	this := newRun()
	var err error
	if d.crm, err = startCRM(ctx, len(cast())); err != nil {
		return err
	}
	for i, m := range cast() {
		a := &actor{member: m, index: i, book: newBook(), crm: d.crm, clock: d.clock, run: this}
		a.account, err = stack.Ready(ctx, d.stack, m.need)
		d.actors = append(d.actors, a) // it is left, whatever it has
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		for _, name := range m.agents {
			a.names = append(a.names, name)
			a.agents = append(a.agents, d.stack.User(a.account.ID, name, stack.UserScopes).Client())
		}
		if err := a.listen(ctx); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		d.screen.Line(fmt.Sprintf("  %-18s %-12s %s", m.name, m.need.Provider, m.plan))
	}
	d.screen.Note("Rules accepted, channels active, one CRM listens to the events of all five")
	return d.meanwhile(ctx, "the agents put the kettle on", func(ctx context.Context) error { return pause(ctx, hearing+time.Second) })
}

// listen makes the CRM an endpoint of the account.
func (a *actor) listen(ctx context.Context) error {
	return a.crm.register(a.index, a.account.ID, func() (string, error) {
		note := "the CRM of the demo"
		made, err := a.agents[0].CreateWebhookEndpoint(ctx, api.CreateWebhookEndpointRequest{URL: a.crm.hook(a.index), Description: &note}, "")
		if err != nil {
			return "", fmt.Errorf("make a webhook endpoint: %w", err)
		}
		a.endpoint = made.ID
		return made.Secret, nil
	})
}

// leave gives back what the day took, also when it was interrupted.
func (d *day) leave(ctx context.Context) {
	var all sync.WaitGroup
	for _, a := range d.actors {
		all.Go(func() {
			// Nobody is there any more to take events.
			limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
			defer cancel()
			if a.endpoint != "" {
				_ = a.agents[0].DeleteWebhookEndpoint(limited, a.endpoint)
			}
			a.account.Leave(ctx)
		})
	}
	all.Wait()
	if d.crm != nil {
		d.crm.close()
	}
}

// play goes through the plan from morning to evening.
func (d *day) play(ctx context.Context) error {
	d.startAgents(ctx)
	d.clock.run()
	steps := d.plan.steps
	for _, h := range d.happenings() {
		for len(steps) > 0 && steps[0].at < h.at {
			if err := d.until(ctx, steps[0].at); err != nil {
				return err
			}
			d.hand(steps[0])
			steps = steps[1:]
		}
		if err := d.until(ctx, h.at); err != nil {
			return err
		}
		if err := d.happens(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

// startAgents gives each agent a lane of its own: what it does, it does in turn.
func (d *day) startAgents(ctx context.Context) {
	for _, a := range d.actors {
		for range a.agents {
			lane := make(chan step, len(d.plan.steps))
			d.lanes = append(d.lanes, lane)
			d.working.Go(func() { d.work(ctx, a, lane) })
		}
	}
}

// work does what comes to an agent, until the day is over.
func (d *day) work(ctx context.Context, a *actor, lane <-chan step) {
	for {
		select {
		case s := <-lane:
			a.do(ctx, s)
			d.open.Done()
		case <-ctx.Done():
			return
		}
	}
}

// hand hands a step to its agent.
func (d *day) hand(s step) {
	lane := s.agent
	for i := range s.account {
		lane += len(d.actors[i].agents)
	}
	d.open.Add(1)
	d.lanes[lane] <- s
}

// until waits until a time of the day, and shows it meanwhile.
func (d *day) until(ctx context.Context, at time.Duration) error {
	for {
		d.show()
		left := d.clock.real(at)
		if left <= 0 {
			return ctx.Err()
		}
		if err := pause(ctx, min(left, tick)); err != nil {
			return err
		}
	}
}

// meanwhile does something while the day's clock stands, and shows the day.
func (d *day) meanwhile(ctx context.Context, what string, do func(context.Context) error) error {
	d.clock.stand()
	d.now = what
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	timer := time.NewTicker(tick)
	defer timer.Stop()
	for {
		select {
		case err := <-done:
			d.now = ""
			d.clock.run()
			d.show()
			return err
		case <-timer.C:
			d.show()
		}
	}
}

// caughtUp waits until the agents have done all that was handed to them.
func (d *day) caughtUp(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		d.open.Wait()
		close(done)
	}()
	select {
	case <-done:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watch asks the public status page every second how the providers are.
func (d *day) watch(ctx context.Context) {
	public := client.New(client.Config{URL: d.stack.API, Tries: 1})
	for {
		if page, err := public.GetStatus(ctx); err == nil {
			d.mu.Lock()
			d.health = page.Providers
			d.mu.Unlock()
		}
		if pause(ctx, time.Second) != nil {
			return
		}
	}
}

// provider is the last that was seen of a provider's health.
func (d *day) provider(id string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.health {
		if p.ID == id {
			return string(p.Status)
		}
	}
	return ""
}

func pause(ctx context.Context, wait time.Duration) error {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
