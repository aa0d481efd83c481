package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	waitingPeople   = 5
	waitingMessages = 40
	// switchTime is the longest that a switch may take to reach every call.
	switchTime = 5 * time.Second
)

// playDisable switches the provider off while messages wait, and on again.
func playDisable(ctx context.Context, d *demo) error {
	a, err := ready(ctx, d.stack, 10*waitingMessages)
	defer a.leave(ctx)
	if err != nil {
		return err
	}
	edna, err := d.registry(ctx)
	if err != nil {
		return err
	}
	// Whatever happens, the provider is on again afterwards.
	defer func() { _ = edna.turn(context.WithoutCancel(ctx), "enabled") }()
	if err := d.stack.behave(ctx, a.sender, map[string]any{"delay_ms": 1500}); err != nil {
		return err
	}
	before, err := d.lastCall(ctx, a.sender)
	if err != nil {
		return err
	}
	began, reference := time.Now(), unique("switch-")
	sent, err := a.sendInTurn(ctx, reference)
	if err != nil {
		return err
	}
	d.screen.hop(time.Since(began), fmt.Sprintf("%d messages to %d people are accepted; edna takes them slowly", waitingMessages, waitingPeople))
	if err := edna.turn(ctx, "disabled"); err != nil {
		return err
	}
	off := time.Now()
	d.screen.hop(off.Sub(began), "the operator disables edna")
	if err := d.whileStopped(ctx, a, reference, before, off, began, refusal{http.StatusConflict, "provider_disabled"}); err != nil {
		return err
	}
	if err := d.stack.behave(ctx, a.sender, nil); err != nil {
		return err
	}
	if err := edna.turn(ctx, "enabled"); err != nil {
		return err
	}
	d.screen.hop(time.Since(began), "the operator enables edna")
	return d.afterwards(ctx, a, sent, reference, before, began)
}

// registry is edna's entry, as the operator writes it.
type registry struct {
	operator caller
	entry    map[string]any
}

const ednaEntry = "/v1/operator/providers/edna"

func (d *demo) registry(ctx context.Context) (*registry, error) {
	operator, err := d.stack.operator(ctx)
	if err != nil {
		return nil, err
	}
	r := &registry{operator: operator}
	if err := operator.call(ctx, http.MethodGet, ednaEntry, nil, http.StatusOK, &r.entry); err != nil {
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
	if err := r.operator.call(ctx, http.MethodPut, ednaEntry, body, http.StatusOK, nil); err != nil {
		return fmt.Errorf("turn edna's switch: %w", err)
	}
	return nil
}

// sendInTurn sends messages to some people in turn, and gives their ids by person, in the order of sending.
func (a *account) sendInTurn(ctx context.Context, reference string) ([][]string, error) {
	sent := make([][]string, waitingPeople)
	for i := range waitingMessages {
		who := i % waitingPeople
		var m message
		err := a.call(ctx, http.MethodPost, "/v1/messages", map[string]any{
			"channel_id": a.channel.ID, "to": person(2000 + who), "content": text(fmt.Sprintf("number %d of %s", i, reference)), "client_reference": reference,
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
func (d *demo) whileStopped(ctx context.Context, a *account, reference string, before int, since, began time.Time, want refusal) error {
	held := 0
	err := wait(ctx, 200*time.Millisecond, func() (bool, error) {
		all, err := a.messages(ctx, url.Values{"client_reference": {reference}})
		held = 0
		settled := len(all) == waitingMessages
		for _, m := range all {
			if m.Status == "held" {
				held++
			}
			settled = settled && (m.Status == "held" || m.taken())
		}
		return settled && time.Since(since) > switchTime+time.Second, err
	})
	if err != nil {
		return fmt.Errorf("wait for the messages to be held: %w", err)
	}
	d.screen.hop(time.Since(began), fmt.Sprintf("%d of them are held", held))
	d.screen.check(held > 0, "what waits is held, and can be read", fmt.Sprintf("%d held", held))
	calls, err := d.stack.sends(ctx, url.Values{"sender_id": {strconv.FormatInt(a.sender, 10)}, "after": {strconv.Itoa(before)}})
	if err != nil {
		return err
	}
	late := 0
	for _, c := range calls {
		if c.At.Sub(since) > switchTime {
			late++
		}
	}
	d.screen.check(late == 0, "no call later than 5 s after", fmt.Sprintf("%d calls altogether, %d late", len(calls), late))
	got, err := a.do(ctx, http.MethodPost, "/v1/messages", map[string]any{"channel_id": a.channel.ID, "to": person(3), "content": text("now")})
	if err != nil {
		return err
	}
	d.screen.check(got.status == want.status && got.problem().Code == want.code, "a new message is refused at once", fmt.Sprintf("%d %s", got.status, got.problem().Code))
	return nil
}

// afterwards waits until the provider has everything, and looks at the order.
func (d *demo) afterwards(ctx context.Context, a *account, sent [][]string, reference string, before int, began time.Time) error {
	err := wait(ctx, 200*time.Millisecond, func() (bool, error) {
		all, err := a.messages(ctx, url.Values{"client_reference": {reference}})
		taken := 0
		for _, m := range all {
			if m.taken() {
				taken++
			}
		}
		d.screen.transient(fmt.Sprintf("             %d of %d taken by edna", taken, waitingMessages))
		return taken == waitingMessages, err
	})
	if err != nil {
		return fmt.Errorf("wait for the released messages: %w", err)
	}
	d.screen.hop(time.Since(began), "edna has them all")
	calls, err := d.stack.sends(ctx, url.Values{"sender_id": {strconv.FormatInt(a.sender, 10)}, "after": {strconv.Itoa(before)}})
	if err != nil {
		return err
	}
	taken := acceptances(calls)
	d.screen.check(len(taken) == waitingMessages && takenTwice(taken) == 0, "each once", fmt.Sprintf("accepted %d, twice %d", len(taken), takenTwice(taken)))
	astray := outOfOrder(sent, calls)
	d.screen.check(astray == 0, "each person's in order", fmt.Sprintf("%d out of order", astray))
	return nil
}

// outOfOrder counts messages that the provider took before an earlier one to the same person.
func outOfOrder(sent [][]string, calls []providerCall) int {
	at := map[string]int{}
	for _, c := range calls {
		if c.Accepted {
			at[c.RequestID] = c.Seq
		}
	}
	n := 0
	for _, list := range sent {
		for i := 1; i < len(list); i++ {
			if at[list[i]] < at[list[i-1]] {
				n++
			}
		}
	}
	return n
}
