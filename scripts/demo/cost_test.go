package main

import (
	"errors"
	"math"
	"strings"
	"testing"

	"contactcenter/shared/awsclient"

	"contactcenter/scripts/demo/internal/stack"
)

func TestCostOfAMessage(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		work work
		want cost
	}{
		"nothing":                {},
		"requests of the API":    {work{apiRequests: 4}, cost{api: 4, lambda: 4*0.20 + 0.08*0.25*13.33}},
		"a dispatch":             {work{dispatches: 1}, cost{lambda: 0.20 + 0.2*0.25*13.33}},
		"the queue, with fair":   {work{queueRequests: 3}, cost{queue: 1.50}},
		"writes":                 {work{writeUnits: 8}, cost{tables: 5}},
		"reads, also half units": {work{readUnits: 4.5}, cost{tables: 0.5625}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := tc.work.cost()
			for part, pair := range map[string][2]float64{
				"api": {got.api, tc.want.api}, "lambda": {got.lambda, tc.want.lambda}, "queue": {got.queue, tc.want.queue}, "tables": {got.tables, tc.want.tables},
				"total": {got.total(), tc.want.api + tc.want.lambda + tc.want.queue + tc.want.tables},
			} {
				if math.Abs(pair[0]-pair[1]) > 1e-9 {
					t.Errorf("%s: %g, want %g", part, pair[0], pair[1])
				}
			}
		})
	}
}

func TestCostIsShownWithItsAssumptions(t *testing.T) {
	t.Parallel()
	got := strings.Join(costLines([]work{
		{apiRequests: 4, dispatches: 1, queueRequests: 3, writeUnits: 5, readUnits: 20.5},
		{apiRequests: 4, dispatches: 1, queueRequests: 3, writeUnits: 5, readUnits: 4.5},
		{apiRequests: 4, dispatches: 1, queueRequests: 3, writeUnits: 5, readUnits: 12.5},
	}), "\n")
	for _, want := range []string{"5 write units, 12.5 read units", "(1 send, 3 callbacks)", "Lambda: 5 calls", "$12.12 per million", "256 MB", "median of 3", "$11.12 to $13.12", "20 ms a call"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}

func TestWorkIsThatOfOneMessageOnly(t *testing.T) {
	t.Parallel()
	state := func(messages, dispatcher, webhook, account int) map[string]stack.FunctionState {
		return map[string]stack.FunctionState{
			"messages": {Invocations: 10 + messages}, "dispatcher": {Invocations: 20 + dispatcher}, "webhook": {Invocations: 30 + webhook}, "account": {Invocations: 40 + account},
		}
	}
	report := awsclient.Report{Total: awsclient.Usage{Requests: 12, WriteUnits: 5, ReadUnits: 4.5}}
	for name, tc := range map[string]struct {
		after     map[string]stack.FunctionState
		want      work
		disturbed bool
	}{
		"a message with its callbacks":   {after: state(1, 1, 3, 0), want: work{apiRequests: 4, dispatches: 1, queueRequests: 3, writeUnits: 5, readUnits: 4.5}},
		"a message with one callback":    {after: state(1, 1, 1, 0), want: work{apiRequests: 2, dispatches: 1, queueRequests: 3, writeUnits: 5, readUnits: 4.5}},
		"two messages":                   {after: state(2, 2, 6, 0), disturbed: true},
		"another message's callbacks":    {after: state(1, 1, 4, 0), disturbed: true},
		"another function's work":        {after: state(1, 1, 3, 1), disturbed: true},
		"a message that was not handled": {after: state(1, 0, 0, 0), disturbed: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := workOf(state(0, 0, 0, 0), tc.after, report)
			if errors.Is(err, errDisturbed) != tc.disturbed || got != tc.want {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}
