package main

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

const (
	// visibility is the queue's visibility timeout in template.yaml: so long nobody else sees what a dead dispatcher had.
	visibility = time.Minute
	// answerDelay keeps the provider's answer back, long enough to kill the dispatcher that waits for it.
	answerDelay = 6 * time.Second
)

// playKill kills the dispatcher between the provider's acceptance and its answer: the provider has the message, and nobody
// here knows. The queue hands it out again, and the provider must still have it once.
func playKill(ctx context.Context, d *demo) error {
	a, err := ready(ctx, d.stack, messageLimit)
	defer a.leave(ctx)
	if err != nil {
		return err
	}
	// No callbacks: they would tell that the message has gone, before the queue hands it out again.
	if err := d.stack.behave(ctx, a.sender, map[string]any{"delay_ms": answerDelay.Milliseconds(), "callbacks": false}); err != nil {
		return err
	}
	began := time.Now()
	var m message
	order := map[string]any{"channel_id": a.channel.ID, "to": person(2), "content": text("killed " + unique(""))}
	if err := a.call(ctx, http.MethodPost, "/v1/messages", order, http.StatusAccepted, &m); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	d.screen.hop(time.Since(began), "API 202")
	if err := wait(ctx, 10*time.Millisecond, func() (bool, error) {
		calls, err := d.stack.sendsOf(ctx, m.ID)
		return acceptances(calls)[m.ID] > 0, err
	}); err != nil {
		return fmt.Errorf("wait for the provider to take the message: %w", err)
	}
	d.screen.hop(time.Since(began), "edna has taken it, and keeps its answer back")
	killed, err := d.stack.kill(ctx, "dispatcher")
	if err != nil {
		return fmt.Errorf("kill the dispatcher: %w", err)
	}
	if killed == 0 {
		return fmt.Errorf("no dispatcher had the message in hand any more")
	}
	d.screen.hop(time.Since(began), "the dispatcher is killed (SIGKILL): nobody here knows that edna has it")
	if err := d.stack.behave(ctx, a.sender, map[string]any{"callbacks": false}); err != nil {
		return err
	}
	if !d.screen.live {
		d.screen.note("waiting through the queue's visibility timeout, " + visibility.String())
	}
	if m, err = d.waitOut(ctx, a, m.ID, began); err != nil {
		return err
	}
	d.screen.hop(time.Since(began), "the queue has handed it out again; the message is "+m.Status)
	return d.checkOnce(ctx, a, m)
}

// waitOut counts down until the message has ended.
func (d *demo) waitOut(ctx context.Context, a *account, id string, began time.Time) (message, error) {
	var m message
	err := wait(ctx, 200*time.Millisecond, func() (bool, error) {
		var err error
		m, err = a.message(ctx, id)
		d.screen.transient(countdown(visibility-time.Since(began), m.Status))
		return m.ended(), err
	})
	if err != nil {
		return m, fmt.Errorf("wait for the queue to hand the message out again: %w", err)
	}
	return m, nil
}

// countdown is the line shown while the queue keeps a message to a dispatcher that is dead.
func countdown(left time.Duration, status string) string {
	if left <= 0 {
		return "             the message is " + status + "; the queue hands it out again any moment"
	}
	return fmt.Sprintf("             the message is %s; the queue hands it out again in %2.0f s", status, left.Seconds())
}

func (d *demo) checkOnce(ctx context.Context, a *account, m message) error {
	calls, err := d.stack.sendsOf(ctx, m.ID)
	if err != nil {
		return err
	}
	u, err := a.settled(ctx)
	if err != nil {
		return err
	}
	times := acceptances(calls)[m.ID]
	d.screen.check(times == 1, "accepted once", fmt.Sprintf("edna was called %d times, accepted %d, knew %d again", len(calls), times, repeated(calls)))
	d.screen.check(m.taken(), "the message is known as sent", "status "+m.Status)
	d.screen.check(u.Used == 1 && u.InFlight == 0, "counted once", fmt.Sprintf("used %d, in flight %d", u.Used, u.InFlight))
	return nil
}

// repeated counts the calls that the provider knew as repetitions.
func repeated(calls []providerCall) int {
	n := 0
	for _, c := range calls {
		if c.Duplicate {
			n++
		}
	}
	return n
}
