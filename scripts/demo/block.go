package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// playBlock blocks an account while its messages wait, and lifts that again.
func playBlock(ctx context.Context, d *demo) error {
	a, err := ready(ctx, d.stack, 10*waitingMessages)
	defer a.leave(ctx)
	if err != nil {
		return err
	}
	operator, err := d.stack.operator(ctx)
	if err != nil {
		return err
	}
	if err := d.stack.behave(ctx, a.sender, map[string]any{"delay_ms": 1500}); err != nil {
		return err
	}
	before, err := d.lastCall(ctx, a.sender)
	if err != nil {
		return err
	}
	began, reference := time.Now(), unique("block-")
	sent, err := a.sendInTurn(ctx, reference)
	if err != nil {
		return err
	}
	d.screen.hop(time.Since(began), fmt.Sprintf("%d messages to %d people are accepted; edna takes them slowly", waitingMessages, waitingPeople))
	var made struct {
		ID string `json:"id"`
	}
	block := map[string]any{"kind": "block", "reason": "Complaints are being looked into.", "clause": "13"}
	if err := operator.call(ctx, http.MethodPost, "/v1/operator/accounts/"+a.id+"/restrictions", block, http.StatusCreated, &made); err != nil {
		return fmt.Errorf("block the account: %w", err)
	}
	since := time.Now()
	d.screen.hop(since.Sub(began), "the operator blocks the account")
	if err := d.whileBlocked(ctx, a, reference, before, since, began); err != nil {
		return err
	}
	if err := d.stack.behave(ctx, a.sender, nil); err != nil {
		return err
	}
	if err := operator.call(ctx, http.MethodDelete, "/v1/operator/restrictions/"+made.ID, nil, http.StatusNoContent, nil); err != nil {
		return fmt.Errorf("lift the block: %w", err)
	}
	d.screen.hop(time.Since(began), "the operator lifts the block")
	return d.afterwards(ctx, a, sent, reference, before, began)
}

// whileBlocked waits until nothing can be on its way any more, and looks at what the account still can.
func (d *demo) whileBlocked(ctx context.Context, a *account, reference string, before int, since, began time.Time) error {
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
	d.screen.check(got.status == http.StatusForbidden && got.problem().Code == "account_restricted", "a new message is refused at once", fmt.Sprintf("%d %s", got.status, got.problem().Code))
	var ch channel
	if err := a.call(ctx, http.MethodGet, "/v1/channels/"+a.channel.ID, nil, http.StatusOK, &ch); err != nil {
		return fmt.Errorf("read the channel: %w", err)
	}
	d.screen.check(ch.Status == "active", "its channel is as it was", ch.Status)
	return nil
}
