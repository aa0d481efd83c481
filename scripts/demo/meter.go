package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"contactcenter/shared/awsclient"

	"contactcenter/scripts/demo/internal/stack"
)

// errDisturbed says that something else used the stack meanwhile.
var errDisturbed = errors.New("something else uses this stack")

// measurements are how many messages are measured. What one costs depends on which process gets it, and what that has in
// its cache.
const measurements = 5

// showCost sends messages and shows what one of them made AWS do. It is no promise: where nothing counts, it says so.
func (d *demo) showCost(ctx context.Context, a *stack.Account, conversation string) error {
	if !d.counted(ctx) {
		d.screen.Note("no cost: nothing counts at " + d.stack.AWS + " (another engine than the local one?)")
		return nil
	}
	var all []work
	for range measurements {
		w, err := d.measure(ctx, a, conversation)
		if errors.Is(err, errDisturbed) {
			continue
		}
		if err != nil {
			return fmt.Errorf("measure a message: %w", err)
		}
		all = append(all, w)
	}
	if len(all) == 0 {
		d.screen.Note("no cost: " + errDisturbed.Error())
		return nil
	}
	for _, l := range costLines(all) {
		d.screen.Line("  " + l)
	}
	return nil
}

// counted tells whether the AWS endpoint counts what it does.
func (d *demo) counted(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return d.stack.Get(ctx, d.stack.AWS+"/_local/usage", &awsclient.Report{}) == nil
}

// measure sends a message and does not look at it until it is through, as looking would be counted too.
func (d *demo) measure(ctx context.Context, a *stack.Account, conversation string) (work, error) {
	if _, err := a.Settled(ctx); err != nil {
		return work{}, err
	}
	before, err := d.stack.Functions(ctx)
	if err != nil {
		return work{}, err
	}
	if err := d.stack.Call(ctx, http.MethodPost, d.stack.AWS+"/_local/usage/reset", nil, http.StatusNoContent, nil); err != nil {
		return work{}, err
	}
	m, err := answer(ctx, a, conversation, "measured "+stack.Unique(""))
	if err != nil {
		return work{}, err
	}
	after, err := quiet(ctx, d.stack, before)
	if err != nil {
		return work{}, err
	}
	var report awsclient.Report
	if err := d.stack.Get(ctx, d.stack.AWS+"/_local/usage", &report); err != nil {
		return work{}, err
	}
	if err := untilRead(ctx, a, m.ID); err != nil {
		return work{}, err
	}
	return workOf(before, after, report)
}

// callbacks are what the provider reports of a message: sent, delivered, read.
const callbacks = 3

// quiet waits until the message's callbacks have come and no function is at work. Callbacks may be fewer; then it
// waits a little.
func quiet(ctx context.Context, s *stack.Stack, before map[string]stack.FunctionState) (map[string]stack.FunctionState, error) {
	const still = 500 * time.Millisecond
	var now map[string]stack.FunctionState
	began, since := time.Now(), time.Now()
	err := stack.Wait(ctx, 50*time.Millisecond, func() (bool, error) {
		var err error
		if now, err = s.Functions(ctx); err != nil {
			return false, err
		}
		came := now["webhook"].Invocations-before["webhook"].Invocations >= callbacks || time.Since(began) > 5*time.Second
		if !came || busy(now) {
			since = time.Now()
		}
		return time.Since(since) >= still, nil
	})
	return now, err
}

func busy(functions map[string]stack.FunctionState) bool {
	for _, f := range functions {
		if f.Busy > 0 {
			return true
		}
	}
	return false
}

// workOf is what one message took between two states of the functions.
func workOf(before, after map[string]stack.FunctionState, report awsclient.Report) (work, error) {
	calls := map[string]int{}
	for folder, f := range after {
		if n := f.Invocations - before[folder].Invocations; n > 0 {
			calls[folder] = n
		}
	}
	var w work
	for folder, n := range calls {
		switch folder {
		case "webhook":
			w.apiRequests += n
		case "messages":
			w.apiRequests += n
		case "dispatcher":
			w.dispatches += n
		default:
			return work{}, errDisturbed
		}
	}
	if calls["messages"] != 1 || calls["dispatcher"] != 1 || calls["webhook"] > callbacks {
		return work{}, errDisturbed
	}
	w.queueRequests = queueRequestsFor
	w.writeUnits, w.readUnits = report.Total.WriteUnits, report.Total.ReadUnits
	return w, nil
}
