package main

import (
	"context"
	"fmt"
	"net/http"
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
	if err := d.whileStopped(ctx, a, reference, before, since, began, refusal{http.StatusForbidden, "account_restricted"}); err != nil {
		return err
	}
	if err := d.asItWas(ctx, a); err != nil {
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

// asItWas looks at the channel of a blocked account: nothing of it was touched.
func (d *demo) asItWas(ctx context.Context, a *account) error {
	var ch channel
	if err := a.call(ctx, http.MethodGet, "/v1/channels/"+a.channel.ID, nil, http.StatusOK, &ch); err != nil {
		return fmt.Errorf("read the channel: %w", err)
	}
	d.screen.check(ch.Status == "active", "its channel is as it was", ch.Status)
	return nil
}
