package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"time"

	"contactcenter/scripts/demo/internal/stack"
)

const (
	waitingPeople   = 5
	waitingMessages = 40
	// switchTime is the longest that a switch may take to reach every call.
	switchTime = 5 * time.Second
)

// playDisable switches the provider off while messages wait, and on again.
func playDisable(ctx context.Context, d *demo) error {
	a, err := stack.Ready(ctx, d.stack, stack.Need{Limit: 10 * waitingMessages})
	defer a.Leave(ctx)
	if err != nil {
		return err
	}
	edna, err := d.registry(ctx)
	if err != nil {
		return err
	}
	// Whatever happens, the provider is on again afterwards.
	defer func() { _ = edna.turn(context.WithoutCancel(ctx), "enabled") }()
	if err := a.Behave(ctx, map[string]any{"delay_ms": 1500}); err != nil {
		return err
	}
	began, reference := time.Now(), stack.Unique("switch-")
	sent, err := sendInTurn(ctx, a, reference)
	if err != nil {
		return err
	}
	d.screen.Hop(time.Since(began), fmt.Sprintf("%d messages to %d people are accepted; edna takes them slowly", waitingMessages, waitingPeople))
	if err := edna.turn(ctx, "disabled"); err != nil {
		return err
	}
	off := time.Now()
	d.screen.Hop(off.Sub(began), "the operator disables edna")
	if err := d.whileStopped(ctx, a, reference, off, began, refusal{http.StatusConflict, "provider_disabled"}); err != nil {
		return err
	}
	if err := a.Behave(ctx, nil); err != nil {
		return err
	}
	if err := edna.turn(ctx, "enabled"); err != nil {
		return err
	}
	d.screen.Hop(time.Since(began), "the operator enables edna")
	return d.afterwards(ctx, a, sent, reference, began)
}

// registry is edna's entry, as the operator writes it.
type registry struct {
	operator *stack.Caller
	entry    map[string]any
}

const ednaEntry = "/v1/operator/providers/edna"

func (d *demo) registry(ctx context.Context) (*registry, error) {
	r := &registry{operator: d.stack.Operator()}
	if err := r.operator.Call(ctx, http.MethodGet, ednaEntry, nil, http.StatusOK, &r.entry); err != nil {
		return nil, fmt.Errorf("read edna's entry: %w", err)
	}
	for _, readOnly := range []string{"id", "health", "since", "credential_fields"} {
		delete(r.entry, readOnly)
	}
	return r, nil
}

// turn puts the switch.
func (r *registry) turn(ctx context.Context, status string) error {
	body := maps.Clone(r.entry)
	body["status"], body["reason"] = status, "demo"
	if err := r.operator.Call(ctx, http.MethodPut, ednaEntry, body, http.StatusOK, nil); err != nil {
		return fmt.Errorf("turn edna's switch: %w", err)
	}
	return nil
}

// sendInTurn sends messages to some people in turn, and gives their ids by person, in the order of sending.
func sendInTurn(ctx context.Context, a *stack.Account, reference string) ([][]string, error) {
	sent := make([][]string, waitingPeople)
	for i := range waitingMessages {
		who := i % waitingPeople
		var m stack.Message
		err := a.Call(ctx, http.MethodPost, "/v1/messages", map[string]any{
			"channel_id": a.Channel.ID, "to": stack.Person(2000 + who), "content": stack.Text(fmt.Sprintf("number %d of %s", i, reference)), "client_reference": reference,
		}, http.StatusAccepted, &m)
		if err != nil {
			return nil, fmt.Errorf("send: %w", err)
		}
		sent[who] = append(sent[who], m.ID)
	}
	return sent, nil
}

// refusal is how the API refuses a message.
type refusal struct {
	status int
	code   string
}

// whileStopped looks at what waits since nothing may be sent any more, tries to send, and waits until that must have reached
// every call.
func (d *demo) whileStopped(ctx context.Context, a *stack.Account, reference string, since, began time.Time, want refusal) error {
	held := 0
	err := stack.Wait(ctx, 200*time.Millisecond, func() (bool, error) {
		all, err := a.Messages(ctx, url.Values{"client_reference": {reference}})
		held = 0
		settled := len(all) == waitingMessages
		for _, m := range all {
			if m.Status == "held" {
				held++
			}
			settled = settled && (m.Status == "held" || m.Taken())
		}
		return settled && time.Since(since) > switchTime+time.Second, err
	})
	if err != nil {
		return fmt.Errorf("wait for the messages to be held: %w", err)
	}
	d.screen.Hop(time.Since(began), fmt.Sprintf("%d of them are held", held))
	d.screen.Check(held > 0, "what waits is held, and can be read", fmt.Sprintf("%d held", held))
	calls, err := a.Sends(ctx)
	if err != nil {
		return err
	}
	late := 0
	for _, c := range calls {
		if c.At.Sub(since) > switchTime {
			late++
		}
	}
	d.screen.Check(late == 0, "no call later than 5 s after", fmt.Sprintf("%d calls altogether, %d late", len(calls), late))
	got, err := a.Do(ctx, http.MethodPost, "/v1/messages", map[string]any{"channel_id": a.Channel.ID, "to": stack.Person(3), "content": stack.Text("now")})
	if err != nil {
		return err
	}
	d.screen.Check(got.Status == want.status && got.Problem().Code == want.code, "a new message is refused at once", fmt.Sprintf("%d %s", got.Status, got.Problem().Code))
	return nil
}

// afterwards waits until the provider has everything, and looks at the order.
func (d *demo) afterwards(ctx context.Context, a *stack.Account, sent [][]string, reference string, began time.Time) error {
	err := stack.Wait(ctx, 200*time.Millisecond, func() (bool, error) {
		all, err := a.Messages(ctx, url.Values{"client_reference": {reference}})
		taken := 0
		for _, m := range all {
			if m.Taken() {
				taken++
			}
		}
		d.screen.Transient(fmt.Sprintf("             %d of %d taken by edna", taken, waitingMessages))
		return taken == waitingMessages, err
	})
	if err != nil {
		return fmt.Errorf("wait for the released messages: %w", err)
	}
	d.screen.Hop(time.Since(began), "edna has them all")
	calls, err := a.Sends(ctx)
	if err != nil {
		return err
	}
	taken := stack.Acceptances(calls)
	d.screen.Check(len(taken) == waitingMessages && stack.TakenTwice(taken) == 0, "each once", fmt.Sprintf("accepted %d, twice %d", len(taken), stack.TakenTwice(taken)))
	astray := stack.OutOfOrder(sent, calls)
	d.screen.Check(astray == 0, "each person's in order", fmt.Sprintf("%d out of order", astray))
	return nil
}
