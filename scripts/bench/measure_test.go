package main

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"contactcenter/shared/awsclient"
)

func report(calls ...awsclient.CallUsage) awsclient.Report {
	var t awsclient.Tally
	for _, c := range calls {
		t.Add(c.Call, c.Usage)
	}
	return t.Report()
}

func used(service, operation string, requests int64, writes, reads float64) awsclient.CallUsage {
	return awsclient.CallUsage{Call: awsclient.Call{Service: service, Operation: operation, Resource: "r"}, Usage: awsclient.Usage{Requests: requests, WriteUnits: writes, ReadUnits: reads}}
}

func TestCostIsOfOneMessageAndLeavesIdlePollingOut(t *testing.T) {
	t.Parallel()
	got := counts{messages: 20, posts: 20, hooks: 60, batches: 2, usage: report(
		used("DynamoDB", "PutItem", 20, 20, 0), used("DynamoDB", "UpdateItem", 62, 66, 0), used("DynamoDB", "Query", 20, 0, 20),
		used("SQS", "SendMessage", 20, 0, 0), used("SQS", "ReceiveMessage", 9, 0, 0), used("SQS", "DeleteMessageBatch", 2, 0, 0),
	)}.cost()
	want := requests{HTTPAPI: 4, Lambda: 4.1, SQS: 1.2, DynamoDB: 5.1, Total: 14.4}
	if got.Requests != want {
		t.Errorf("requests %+v, want %+v", got.Requests, want)
	}
	if got.WriteUnits != 4.3 || got.ReadUnits != 1 || got.MeanBatch != 10 || got.IdleReceives != 7 {
		t.Errorf("write units %v, read units %v, batch %v, idle receives %v", got.WriteUnits, got.ReadUnits, got.MeanBatch, got.IdleReceives)
	}
	// 4 × 1.00 + 4.1 × 0.20 + 1.2 × 0.40 + 4.3 × 0.625 + 1 × 0.125
	if d := got.dollars(); d != 8.11 {
		t.Errorf("%v dollars a million, want 8.11", d)
	}
	sum := 0.0
	for _, l := range got.Calls {
		sum += l.Requests
	}
	if diff := sum - want.SQS - want.DynamoDB; diff > 0.001 || diff < -0.001 {
		t.Errorf("the lines add up to %v requests, want %v", sum, want.SQS+want.DynamoDB)
	}
}

func TestCostWithoutTheDispatcherCountsNoReceive(t *testing.T) {
	t.Parallel()
	got := counts{messages: 10, hooks: 10, usage: report(used("DynamoDB", "PutItem", 20, 20, 0), used("SQS", "ReceiveMessage", 3, 0, 0))}.cost()
	if want := (requests{HTTPAPI: 1, Lambda: 1, DynamoDB: 2, Total: 4}); got.Requests != want || got.MeanBatch != 0 || got.IdleReceives != 3 {
		t.Errorf("%+v, want requests %+v, no batch and 3 idle receives", got, want)
	}
}

func TestTimeOnAProcessorIsReadFromTheKernelsFigures(t *testing.T) {
	t.Parallel()
	if d, err := onProcessor([]byte("1234567 89 10\n")); err != nil || d != 1234567*time.Nanosecond {
		t.Errorf("%v, %v", d, err)
	}
	if _, err := onProcessor([]byte("nothing")); err == nil {
		t.Error("no error for what is no number")
	}
	if p, err := parentOf([]byte("42 (a ) name) S 7 42 42 0")); err != nil || p != 7 {
		t.Errorf("parent %d, %v", p, err)
	}
	if _, err := parentOf([]byte("42 (x)")); err == nil {
		t.Error("no error for a line that is cut off")
	}
	before := map[int]time.Duration{1: 5 * time.Second, 2: time.Second}
	if d := spent(before, map[int]time.Duration{1: 6 * time.Second, 3: 2 * time.Second}); d != 3*time.Second {
		t.Errorf("spent %v, want 3 s: one of the known process, two of the new one", d)
	}
	list := []time.Duration{3, 1, 2, 9}
	if m := median(list); m != 3 || !slices.Equal(list, []time.Duration{3, 1, 2, 9}) {
		t.Errorf("median %v, list %v", m, list)
	}
}

func TestTheCommandLineNamesScenarios(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"-scenario", "inbound,alone", "-n", "7"}, io.Discard)
	if err != nil || len(o.scenarios) != 2 || o.scenarios[0].name != "inbound" || o.n != 7 {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := parse(nil, io.Discard); err != nil || len(o.scenarios) != len(scenarios()) {
		t.Errorf("by default %d scenarios, %v", len(o.scenarios), err)
	}
	if o, err := parse([]string{"-scenario", ""}, io.Discard); err != nil || len(o.scenarios) != 0 {
		t.Errorf("none: %d scenarios, %v", len(o.scenarios), err)
	}
	for _, args := range [][]string{{"-scenario", "nonsense"}, {"-n", "0"}, {"more"}} {
		if _, err := parse(args, io.Discard); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
	if _, err := parse([]string{"-scenario", "nonsense"}, io.Discard); !strings.Contains(err.Error(), "backlog_tens") {
		t.Errorf("the error does not name what there is: %v", err)
	}
}
