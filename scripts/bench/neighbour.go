package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// neighbour is what one account's backlog does to another's single messages, or to its own. It has no cost of a message, so it is no scenario, and it is
// measured only where its name is asked for.
type neighbour struct {
	name, about string
	// rate is that of the plan of the account with the backlog, in messages a second.
	rate int
	// drains: the backlog is worked off within the time that a run may take; else the run ends with its singles.
	drains bool
	// own: the single messages are of the account with the backlog.
	own bool
}

func neighbours() []neighbour {
	return []neighbour{
		{name: "neighbour", about: "one account has put a backlog in batches of 100, on a plan that bounds only what is on its way; another sends single messages", rate: 1000, drains: true},
		{name: "neighbour_in_line", about: "as neighbour, on a plan of 20 a second: the backlog waits in line", rate: 20},
		{name: "own", about: "as neighbour, and the account with the backlog sends the single messages, too", rate: 1000, drains: true, own: true},
		{name: "own_in_line", about: "as neighbour_in_line, and the account with the backlog sends the single messages, too", rate: 20, own: true},
	}
}

const (
	// neighbourTime bounds a run.
	neighbourTime = 8 * time.Minute
	// dispatchers at once are as many as a deployment has at least: DispatcherMaximumConcurrency's least value, more than one account's
	// messages on their way can hold.
	dispatchers = 30
	batchOf     = 100
	// posters are the clients that post the backlog.
	posters = 4
	// singleEvery passes between two single messages, at least.
	singleEvery = time.Second
	// idleSingles are sent before the backlog, and after it; busySingles bounds those during it.
	idleSingles = 20
	busySingles = 90
	// The provider takes so long to answer, evenly spread.
	answerLeast, answerMost = 50 * time.Millisecond, 250 * time.Millisecond
)

// neighbourResult is what is printed of a neighbour.
type neighbourResult struct {
	Scenario string `json:"scenario"`
	About    string `json:"about"`
	// Backlog is how many messages were posted, PostedIn in how many seconds; Waiting of them were not handed over when the first and the
	// last single message of the busy ones were sent.
	Backlog  int     `json:"backlog"`
	PostedIn float64 `json:"posted_in_seconds"`
	Waiting  [2]int  `json:"backlog_waiting"`
	// PerSecond is how many messages of the backlog were handed over meanwhile.
	PerSecond float64 `json:"backlog_per_second"`
	// Batches are the dispatcher's invocations meanwhile, and GateUnits the write units on the usage table, of each message of the
	// backlog that was handed over.
	Batches   float64 `json:"dispatcher_invocations_per_message"`
	GateUnits float64 `json:"usage_write_units_per_message"`
	// HandedOver is the time from the answer 202 until the provider has the message, Sent until the API shows it as sent.
	HandedOver comparison `json:"until_at_the_provider"`
	Sent       comparison `json:"until_sent"`
}

// comparison is of the same time with and without the backlog. The bar for Ratio is 2.
type comparison struct {
	Idle  distribution `json:"idle"`
	Busy  distribution `json:"busy"`
	Ratio float64      `json:"ratio_of_medians"`
}

// distribution is in milliseconds, by nearest rank.
type distribution struct {
	Count  int     `json:"count"`
	Median float64 `json:"median_ms"`
	P95    float64 `json:"p95_ms"`
}

// single is how long one message took.
type single struct{ handedOver, sent time.Duration }

func distributionOf(list []time.Duration) distribution {
	if len(list) == 0 {
		return distribution{}
	}
	sorted := slices.Sorted(slices.Values(list))
	rank := func(share float64) float64 {
		return milliseconds(sorted[max(int(math.Ceil(share*float64(len(sorted))))-1, 0)])
	}
	return distribution{Count: len(sorted), Median: rank(0.5), P95: rank(0.95)}
}

func compare(idle, busy []single, of func(single) time.Duration) comparison {
	times := func(list []single) []time.Duration {
		out := make([]time.Duration, len(list))
		for i, s := range list {
			out[i] = of(s)
		}
		return out
	}
	c := comparison{Idle: distributionOf(times(idle)), Busy: distributionOf(times(busy))}
	if c.Idle.Median > 0 {
		c.Ratio = math.Round(c.Busy.Median/c.Idle.Median*100) / 100
	}
	return c
}

// neighbour measures single messages alone, beside a backlog, and alone again, on one stack.
func (b *bench) neighbour(ctx context.Context, program string, n neighbour) (neighbourResult, error) {
	ctx, cancel := context.WithTimeout(ctx, neighbourTime)
	defer cancel()
	s, err := launch(ctx, program, b.root, "-batches", strconv.Itoa(dispatchers))
	if err != nil {
		return neighbourResult{}, err
	}
	defer s.stop()
	loud, quiet, err := s.pair(ctx, n.rate)
	if err != nil {
		return neighbourResult{}, err
	}
	slow := map[string]any{
		"callbacks": true, "delay_ms": answerLeast.Milliseconds(), "delay_jitter_ms": (answerMost - answerLeast).Milliseconds(),
		"callback_delay_ms": answerMost.Milliseconds(), // or a callback would say sent before the answer does
	}
	if err := s.call(ctx, http.MethodPut, s.sim+"/edna/_sim/behaviour", nil, slow, nil, http.StatusOK); err != nil {
		return neighbourResult{}, err
	}
	r := &side{bench: b, quiet: quiet, loud: loud}
	if n.own {
		r.quiet = loud
	}
	out := neighbourResult{Scenario: n.name, About: n.about, Backlog: b.backlog}
	fmt.Fprintf(b.log, "bench: %s: warming up\n", n.name)
	if _, err := r.singles(ctx, 5, 0, always); err != nil {
		return out, err
	}
	if err := loud.postPeople(ctx, "warm-up", 0, batchOf); err != nil {
		return out, err
	}
	if err := r.drained(ctx, batchOf); err != nil {
		return out, err
	}
	fmt.Fprintf(b.log, "bench: %s: alone\n", n.name)
	idle, err := r.singles(ctx, idleSingles, singleEvery, always)
	if err != nil {
		return out, err
	}
	busy, err := r.beside(ctx, &out)
	if err != nil {
		return out, err
	}
	if n.drains {
		if err := r.drained(ctx, batchOf+b.backlog); err != nil {
			return out, err
		}
		fmt.Fprintf(b.log, "bench: %s: alone again\n", n.name)
		after, err := r.singles(ctx, idleSingles, singleEvery, always)
		if err != nil {
			return out, err
		}
		idle = append(idle, after...)
	}
	out.HandedOver = compare(idle, busy, func(s single) time.Duration { return s.handedOver })
	out.Sent = compare(idle, busy, func(s single) time.Duration { return s.sent })
	return out, nil
}

// pair makes the account with the backlog, on a plan of a rate, and the one that sends single messages.
func (s *stack) pair(ctx context.Context, rate int) (loud, quiet *sender, err error) {
	if quiet, err = s.newSender(ctx, "acct_bench_quiet"); err != nil {
		return nil, nil, err
	}
	if loud, err = s.newSender(ctx, "acct_bench_loud"); err != nil {
		return nil, nil, err
	}
	operator, err := s.token(ctx, "", "operator")
	if err != nil {
		return nil, nil, err
	}
	plan := map[string]any{"limit": 1_000_000, "period": "month", "rate": map[string]int{"limit": rate, "window_seconds": 1, "burst": rate}}
	if err := s.call(ctx, http.MethodPut, s.api+"/v1/operator/plans/bench_loud", operator, plan, nil, http.StatusOK); err != nil {
		return nil, nil, err
	}
	err = s.call(ctx, http.MethodPut, s.api+"/v1/operator/accounts/acct_bench_loud", operator, map[string]string{"plan_id": "bench_loud"}, nil, http.StatusOK)
	return loud, quiet, err
}

// side is a run beside a backlog.
type side struct {
	*bench
	quiet, loud *sender
	sent        int
}

func always(context.Context) (bool, error) { return true, nil }

// singles sends single messages, each to another person and not sooner than every so often, as many as are asked for or as long as
// it goes on.
func (r *side) singles(ctx context.Context, most int, every time.Duration, goesOn func(context.Context) (bool, error)) ([]single, error) {
	pace := time.NewTicker(max(every, time.Millisecond))
	defer pace.Stop()
	var list []single
	for range most {
		one, err := r.one(ctx)
		if err != nil {
			return list, err
		}
		if ok, err := goesOn(ctx); err != nil || !ok {
			return list, err // what was measured while it ended is left out
		}
		list = append(list, one)
		select {
		case <-pace.C:
		case <-ctx.Done():
			return list, ctx.Err()
		}
	}
	return list, nil
}

func (r *side) one(ctx context.Context) (single, error) {
	r.sent++
	mid, err := r.quiet.post(ctx, fmt.Sprintf("+35795%06d", r.sent), fmt.Sprintf(text, r.sent, "alone"), "")
	answered := time.Now()
	if err != nil {
		return single{}, err
	}
	var one single
	err = r.quiet.until(ctx, time.Minute, "a single message is sent", func() (bool, error) {
		status, err := r.quiet.status(ctx, mid)
		one.sent = time.Since(answered)
		return status != "queued" && status != "sending", err
	})
	if err != nil {
		return one, err
	}
	at, err := r.quiet.handedOverAt(ctx, mid)
	one.handedOver = max(at.Sub(answered), 0) // the answer is on its way while the message is, too
	return one, err
}

// handedOverAt is when the provider got a message.
func (a *sender) handedOverAt(ctx context.Context, mid string) (time.Time, error) {
	var told struct {
		Calls []struct {
			At time.Time `json:"at"`
		} `json:"calls"`
	}
	if err := a.call(ctx, http.MethodGet, a.sim+"/edna/_sim/calls?request_id="+url.QueryEscape(mid), nil, nil, &told, http.StatusOK); err != nil {
		return time.Time{}, err
	}
	if len(told.Calls) != 1 {
		return time.Time{}, fmt.Errorf("the provider was called %d times for message %s", len(told.Calls), mid)
	}
	return told.Calls[0].At, nil
}

// beside posts the backlog and sends single messages while it lasts.
func (r *side) beside(ctx context.Context, out *neighbourResult) ([]single, error) {
	fmt.Fprintf(r.log, "bench: %s: posting %d messages\n", out.Scenario, r.backlog)
	began := time.Now()
	if err := r.postBacklog(ctx); err != nil {
		return nil, err
	}
	posted := time.Now()
	out.PostedIn = milliseconds(posted.Sub(began)) / 1000
	waiting := func() (int, error) {
		used, err := r.used(ctx)
		return batchOf + r.backlog - used, err
	}
	var err error
	if out.Waiting[0], err = waiting(); err != nil {
		return nil, err
	}
	fmt.Fprintf(r.log, "bench: %s: beside the backlog, of which %d wait\n", out.Scenario, out.Waiting[0])
	left := out.Waiting[0]
	if err := r.quiet.forgetUsage(ctx); err != nil {
		return nil, err
	}
	before, err := r.quiet.functions(ctx)
	if err != nil {
		return nil, err
	}
	list, err := r.singles(ctx, busySingles, singleEvery, func(context.Context) (bool, error) {
		var err error
		if left, err = waiting(); left > 0 {
			out.Waiting[1] = left
		}
		return left > 0, err
	})
	if err != nil {
		return nil, err
	}
	if err := r.counted(ctx, out, before["dispatcher"].Invocations); err != nil {
		return nil, err
	}
	out.PerSecond = math.Round(float64(out.Waiting[0]-out.Waiting[1])/time.Since(posted).Seconds()*10) / 10
	if len(list) < 15 {
		return nil, errors.New("the backlog was over before fifteen single messages were sent")
	}
	return list, nil
}

// counted adds what the backlog's messages took while the single messages were sent.
func (r *side) counted(ctx context.Context, out *neighbourResult, before int) error {
	now, err := r.quiet.functions(ctx)
	if err != nil {
		return err
	}
	used, err := r.quiet.usage(ctx)
	if err != nil {
		return err
	}
	units := 0.0
	for _, call := range used.Calls {
		if strings.Contains(call.Resource, "Usage") {
			units += call.WriteUnits
		}
	}
	handedOver := float64(max(out.Waiting[0]-out.Waiting[1], 1))
	out.Batches = math.Round(float64(now["dispatcher"].Invocations-before)/handedOver*100) / 100
	out.GateUnits = math.Round(units/handedOver*100) / 100
	return nil
}

func (r *side) postBacklog(ctx context.Context) error {
	var group errgroup.Group
	group.SetLimit(posters)
	for first := 0; first < r.backlog; first += batchOf {
		group.Go(func() error {
			return r.loud.postPeople(ctx, "backlog", first, min(batchOf, r.backlog-first))
		})
	}
	return group.Wait()
}

// postPeople posts a batch of n messages, each to a person of its own, from number first on.
func (a *sender) postPeople(ctx context.Context, mark string, first, n int) error {
	people := make([]string, n)
	for i := range people {
		people[i] = fmt.Sprintf("+35796%06d", first+i)
	}
	_, err := a.postBatch(ctx, people, first, mark)
	return err
}

// used is how many messages of the loud account's batches were handed over.
func (r *side) used(ctx context.Context) (int, error) {
	used, err := r.loud.used(ctx)
	if r.quiet == r.loud {
		used -= r.sent
	}
	return used, err
}

// used is how many messages of an account were handed over in this period.
func (a *sender) used(ctx context.Context) (int, error) {
	var told struct {
		Used     int `json:"used"`
		InFlight int `json:"in_flight"`
	}
	err := a.call(ctx, http.MethodGet, a.api+"/v1/usage", a.header, nil, &told, http.StatusOK)
	return told.Used - told.InFlight, err
}

// drained waits until so many messages of the loud account were handed over.
func (r *side) drained(ctx context.Context, all int) error {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		used, err := r.used(ctx)
		if err != nil || used >= all {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until %d messages are handed over, %d are: %w", all, used, ctx.Err())
		}
	}
}
