package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"contactcenter/scripts/demo/internal/stack"
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
	a, err := stack.Ready(ctx, d.stack, stack.Need{Limit: messageLimit})
	defer a.Leave(ctx)
	if err != nil {
		return err
	}
	// No callbacks: they would tell that the message has gone, before the queue hands it out again.
	if err := a.Behave(ctx, map[string]any{"delay_ms": answerDelay.Milliseconds(), "callbacks": false}); err != nil {
		return err
	}
	began := time.Now()
	var m stack.Message
	order := map[string]any{"channel_id": a.Channel.ID, "to": stack.Person(2), "content": stack.Text("killed " + stack.Unique(""))}
	if err := a.Call(ctx, http.MethodPost, "/v1/messages", order, http.StatusAccepted, &m); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	d.screen.Hop(time.Since(began), "API 202")
	if err := stack.Wait(ctx, 10*time.Millisecond, func() (bool, error) {
		calls, err := a.SendsOf(ctx, m.ID)
		return stack.Acceptances(calls)[m.ID] > 0, err
	}); err != nil {
		return fmt.Errorf("wait for the provider to take the message: %w", err)
	}
	d.screen.Hop(time.Since(began), "edna has taken it, and keeps its answer back")
	killed, err := d.stack.Kill(ctx, "dispatcher")
	if err != nil {
		return fmt.Errorf("kill the dispatcher: %w", err)
	}
	if killed == 0 {
		return fmt.Errorf("no dispatcher had the message in hand any more")
	}
	d.screen.Hop(time.Since(began), "the dispatcher is killed (SIGKILL): nobody here knows that edna has it")
	if err := a.Behave(ctx, map[string]any{"callbacks": false}); err != nil {
		return err
	}
	if !d.screen.Live {
		d.screen.Note("waiting through the queue's visibility timeout, " + visibility.String())
	}
	if m, err = d.waitOut(ctx, a, m.ID, began); err != nil {
		return err
	}
	d.screen.Hop(time.Since(began), "the queue has handed it out again; the message is "+m.Status)
	return d.checkOnce(ctx, a, m)
}

// waitOut counts down until the message has ended.
func (d *demo) waitOut(ctx context.Context, a *stack.Account, id string, began time.Time) (stack.Message, error) {
	var m stack.Message
	err := stack.Wait(ctx, 200*time.Millisecond, func() (bool, error) {
		var err error
		m, err = a.Message(ctx, id)
		d.screen.Transient(countdown(visibility-time.Since(began), m.Status))
		return m.Ended(), err
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

func (d *demo) checkOnce(ctx context.Context, a *stack.Account, m stack.Message) error {
	calls, err := a.SendsOf(ctx, m.ID)
	if err != nil {
		return err
	}
	u, err := a.Settled(ctx)
	if err != nil {
		return err
	}
	times := stack.Acceptances(calls)[m.ID]
	d.screen.Check(times == 1, "accepted once", fmt.Sprintf("edna was called %d times, accepted %d, knew %d again", len(calls), times, repeated(calls)))
	d.screen.Check(m.Taken(), "the message is known as sent", "status "+m.Status)
	d.screen.Check(u.Used == 1 && u.InFlight == 0, "counted once", fmt.Sprintf("used %d, in flight %d", u.Used, u.InFlight))
	return nil
}

// repeated counts the calls that the provider knew as repetitions.
func repeated(calls []stack.Send) int {
	n := 0
	for _, c := range calls {
		if c.Duplicate {
			n++
		}
	}
	return n
}
