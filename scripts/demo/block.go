package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"contactcenter/scripts/demo/internal/stack"
)

// playBlock blocks an account while its messages wait, and lifts that again.
func playBlock(ctx context.Context, d *demo) error {
	a, err := stack.Ready(ctx, d.stack, stack.Need{Limit: 10 * waitingMessages})
	defer a.Leave(ctx)
	if err != nil {
		return err
	}
	if err := a.Behave(ctx, map[string]any{"delay_ms": 1500}); err != nil {
		return err
	}
	began, reference := time.Now(), stack.Unique("block-")
	sent, err := sendInTurn(ctx, a, reference)
	if err != nil {
		return err
	}
	d.screen.Hop(time.Since(began), fmt.Sprintf("%d messages to %d people are accepted; edna takes them slowly", waitingMessages, waitingPeople))
	lift, err := a.Block(ctx, "Complaints are being looked into.")
	if err != nil {
		return err
	}
	since := time.Now()
	d.screen.Hop(since.Sub(began), "the operator blocks the account")
	if err := d.whileStopped(ctx, a, reference, since, began, refusal{http.StatusForbidden, "account_restricted"}); err != nil {
		return err
	}
	if err := d.asItWas(ctx, a); err != nil {
		return err
	}
	if err := a.Behave(ctx, nil); err != nil {
		return err
	}
	if err := lift(ctx); err != nil {
		return err
	}
	d.screen.Hop(time.Since(began), "the operator lifts the block")
	return d.afterwards(ctx, a, sent, reference, began)
}

// asItWas looks at the channel of a blocked account: nothing of it was touched.
func (d *demo) asItWas(ctx context.Context, a *stack.Account) error {
	var ch stack.Channel
	if err := a.Call(ctx, http.MethodGet, "/v1/channels/"+a.Channel.ID, nil, http.StatusOK, &ch); err != nil {
		return fmt.Errorf("read the channel: %w", err)
	}
	d.screen.Check(ch.Status == "active", "its channel is as it was", ch.Status)
	return nil
}
