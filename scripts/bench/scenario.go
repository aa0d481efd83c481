package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// scenario is one way in which messages come.
type scenario struct {
	name, about string
	// args are for the local stack.
	args []string
	// known: every recipient has had a message in this hour.
	known bool
	// single: little traffic, one process of each function; so the warming up is one message after the other.
	single bool
	// most bounds the number of messages, of a scenario that takes long; 0: no bound.
	most int
	// pace is the time between two messages, at least; 0: the command line's.
	pace time.Duration
	// accounts is how many accounts the messages are spread over; 0: one.
	accounts int
	send     func(ctx context.Context, r *running) error
	// hooks is how many callbacks each message leads to.
	hooks int
}

func scenarios() []scenario {
	// Two dispatchers of ten messages each are what the ledger of one account holds in flight.
	const two = "DispatcherMaximumConcurrency=2"
	return []scenario{
		{name: "alone", about: "one message at a time, each to a recipient who had one in this hour", known: true, single: true, hooks: callbacks, send: alone(false)},
		{name: "alone_cold", about: "as alone, but so far apart (6 s) that nothing kept in memory is still valid", known: true, single: true, most: 10, pace: 6 * time.Second, hooks: callbacks, send: alone(false)},
		{name: "with_key", about: "as alone, with an Idempotency-Key", known: true, single: true, hooks: callbacks, send: alone(true)},
		{name: "new_conversation", about: "as alone, each to a new recipient: the conversation is listed too", single: true, hooks: callbacks, send: alone(false)},
		{name: "backlog_tens", about: "all messages of one account wait before the first is dispatched, by two dispatchers", args: []string{"-parameter", two}, known: true, hooks: callbacks, send: backlog((*running).postAll)},
		{name: "backlog_batches", about: "as backlog_tens, posted in batches of a hundred", args: []string{"-parameter", two}, known: true, hooks: callbacks, send: backlog((*running).postBatches)},
		{name: "backlog_wide", about: "as backlog_tens, by eight dispatchers: more than the account's ledger has room for", known: true, hooks: callbacks, send: backlog((*running).postAll)},
		{name: "inbound", about: "recipients write, one after the other, in conversations of this hour", known: true, hooks: 1, send: inbound},
		{name: "throughput", about: "32 clients post for five accounts as fast as they can", known: true, accounts: 5, hooks: callbacks, send: flood},
	}
}

// result is what is printed of a scenario.
type result struct {
	Scenario string `json:"scenario"`
	About    string `json:"about"`
	Messages int    `json:"messages"`
	cost
	// Dollars a million messages, for requests and units alone.
	Dollars float64 `json:"dollars_per_million"`
	// DispatcherCPU is the dispatcher processes' time on a processor, of one message.
	DispatcherCPU float64 `json:"dispatcher_cpu_ms"`
	// Seconds from the first message's post until the last one was read, and messages a second by that.
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"messages_per_second"`
	// Failures are invocations that failed; 0 is expected.
	Failures int `json:"failed_invocations"`
}

// running is a scenario under way.
type running struct {
	*stack
	*bench
	scenario
	senders []*sender
	n       int
	people  []string
	ids     []string
	before  map[string]functionState
}

const (
	workers = 32
	// text is what is sent; with its number it has some 60 characters, each another one: a provider drops repeats.
	text = "Your order %06d is ready: please come by until seven (%s)"
)

// releaseJobs is when the last of the release jobs of a plan, an account or a provider is done that was set just now.
const releaseJobs = 27 * time.Second

// measure runs a scenario on a stack of its own, again when the clock, the scheduled reset or a release job came in
// between.
func (b *bench) measure(ctx context.Context, program string, sc scenario) (result, error) {
	s, err := launch(ctx, program, b.root, sc.args...)
	if err != nil {
		return result{}, err
	}
	defer s.stop()
	r := &running{stack: s, bench: b, scenario: sc, n: b.n}
	if sc.most > 0 {
		r.n = min(r.n, sc.most)
	}
	for i := range max(sc.accounts, 1) {
		a, err := s.newSender(ctx, fmt.Sprintf("acct_bench_%d", i))
		if err != nil {
			return result{}, fmt.Errorf("make an account: %w", err)
		}
		r.senders = append(r.senders, a)
	}
	if sc.single {
		// What runs for long waits for the release jobs of the plans and providers that were set just now.
		select {
		case <-time.After(releaseJobs):
		case <-ctx.Done():
			return result{}, ctx.Err()
		}
	}
	for try := range 3 {
		out, undisturbed, err := r.try(ctx, try)
		if err != nil || undisturbed {
			return out, err
		}
		fmt.Fprintf(b.log, "bench: %s was disturbed by a new hour or the quota reset; again\n", sc.name)
	}
	return result{}, fmt.Errorf("the quota reset or a new hour came in between, three times")
}

// try is one run. It is disturbed when the scheduled reset ran, whose reads can't be told apart, or when an hour began,
// in which every conversation is listed anew.
func (r *running) try(ctx context.Context, try int) (out result, undisturbed bool, err error) {
	fmt.Fprintf(r.log, "bench: %s: warming up\n", r.name)
	r.people, r.ids = nil, nil
	for i := range r.n {
		r.people = append(r.people, fmt.Sprintf("+3579%d%06d", 5+try, i))
	}
	hour := time.Now().Truncate(time.Hour)
	if err := r.warm(ctx, fmt.Sprintf("warm-up %d", try+1)); err != nil {
		return out, false, fmt.Errorf("warm up: %w", err)
	}
	fmt.Fprintf(r.log, "bench: %s: %d messages\n", r.name, r.n)
	if r.before, err = r.functions(ctx); err != nil {
		return out, false, err
	}
	cpuBefore, err := r.cpu("dispatcher")
	if err != nil {
		return out, false, err
	}
	if err := r.forgetUsage(ctx); err != nil {
		return out, false, err
	}
	began := time.Now()
	if err := r.send(ctx, r); err != nil {
		return out, false, err
	}
	if err := r.done(ctx, r.n*r.hooks); err != nil {
		return out, false, err
	}
	took := time.Since(began)
	if err := r.quiet(ctx); err != nil {
		return out, false, err
	}
	c, failures, resets, err := r.counts(ctx)
	if err != nil {
		return out, false, err
	}
	cpuAfter, err := r.cpu("dispatcher")
	if err != nil {
		return out, false, err
	}
	if err := r.allRead(ctx); err != nil {
		return out, false, err
	}
	out = result{Scenario: r.name, About: r.about, Messages: r.n, cost: c.cost(), Failures: failures, Seconds: milliseconds(took) / 1000}
	out.Dollars = out.dollars()
	out.DispatcherCPU = milliseconds(spent(cpuBefore, cpuAfter) / time.Duration(r.n))
	out.PerSecond = float64(int(float64(r.n)/took.Seconds()*10)) / 10
	return out, resets == 0 && time.Now().Truncate(time.Hour).Equal(hour), nil
}

// warm sends first messages, so that every process runs, every cache is filled and, where the scenario asks for it,
// every recipient is known; and it waits until nothing of them is left to do but what whoever comes next does. The mark is
// another one in each try: edna refuses the same text to the same person.
func (r *running) warm(ctx context.Context, mark string) error {
	var err error
	if r.before, err = r.functions(ctx); err != nil {
		return err
	}
	people := r.people
	if !r.known {
		people = nil
		for i := range min(r.n, 40) {
			people = append(people, fmt.Sprintf("+35794%06d", i))
		}
	}
	if r.single {
		for i, to := range people {
			if _, err := r.senders[0].post(ctx, to, fmt.Sprintf(text, i, mark), ""); err != nil {
				return err
			}
			if err := r.handedOver(ctx, i+1); err != nil {
				return err
			}
		}
	} else if _, err := r.postAll(ctx, people, mark); err != nil {
		return err
	}
	if err := r.done(ctx, len(people)*callbacks); err != nil {
		return err
	}
	return r.quiet(ctx)
}

func (r *running) postAll(ctx context.Context, people []string, mark string) ([]string, error) {
	ids := make([]string, len(people))
	var group errgroup.Group
	group.SetLimit(workers)
	for i, to := range people {
		group.Go(func() error {
			var err error
			ids[i], err = r.senders[i%len(r.senders)].post(ctx, to, fmt.Sprintf(text, i, mark), "")
			return err
		})
	}
	return ids, group.Wait()
}

// postBatches posts as postAll does, a hundred messages with a request.
func (r *running) postBatches(ctx context.Context, people []string, mark string) ([]string, error) {
	var ids []string
	for some := range slices.Chunk(people, batchOf) {
		list, err := r.senders[0].postBatch(ctx, some, len(ids), mark)
		if err != nil {
			return nil, err
		}
		ids = append(ids, list...)
	}
	return ids, nil
}

// alone posts the next message when the dispatcher is done with the one before, not sooner than the pace.
func alone(withKey bool) func(context.Context, *running) error {
	return func(ctx context.Context, r *running) error {
		apart := r.bench.pace
		if r.scenario.pace > 0 {
			apart = r.scenario.pace
		}
		pace := time.NewTicker(apart)
		defer pace.Stop()
		for i, to := range r.people {
			key := ""
			if withKey {
				key = fmt.Sprintf("bench-%s-%d", to, i)
			}
			id, err := r.senders[0].post(ctx, to, fmt.Sprintf(text, i, "alone"), key)
			if err != nil {
				return err
			}
			r.ids = append(r.ids, id)
			if err := r.handedOver(ctx, i+1); err != nil {
				return err
			}
			select {
			case <-pace.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
}

// handedOver waits until the dispatcher was invoked so many times since the scenario began, and rests.
func (r *running) handedOver(ctx context.Context, times int) error {
	return r.until(ctx, time.Minute, "a message is dispatched", func() (bool, error) {
		now, err := r.functions(ctx)
		d := now["dispatcher"]
		return d.Invocations-r.before["dispatcher"].Invocations >= times && d.Busy+d.Waiting == 0, err
	})
}

// backlog stops the dispatcher's processes while all messages are posted.
func backlog(post func(r *running, ctx context.Context, people []string, mark string) ([]string, error)) func(context.Context, *running) error {
	return func(ctx context.Context, r *running) error {
		pids, err := r.processes("dispatcher")
		if err != nil {
			return err
		}
		if err := signalAll(pids, syscall.SIGSTOP); err != nil {
			return err
		}
		r.ids, err = post(r, ctx, r.people, r.name)
		if resumed := signalAll(pids, syscall.SIGCONT); err == nil {
			err = resumed
		}
		return err
	}
}

func signalAll(pids []int, sig syscall.Signal) error {
	for _, pid := range pids {
		p, err := os.FindProcess(pid)
		if err == nil {
			err = p.Signal(sig)
		}
		if err != nil {
			return fmt.Errorf("signal the dispatcher: %w", err)
		}
	}
	return nil
}

func flood(ctx context.Context, r *running) error {
	var err error
	r.ids, err = r.postAll(ctx, r.people, r.name)
	return err
}

func inbound(ctx context.Context, r *running) error {
	for i, from := range r.people {
		if err := r.senders[0].inbound(ctx, strings.TrimPrefix(from, "+"), fmt.Sprintf("Thank you, order %d", i)); err != nil {
			return err
		}
	}
	return nil
}

// done waits until so many callbacks have come. Progress is read from the stack itself, which costs no AWS request.
func (r *running) done(ctx context.Context, hooks int) error {
	return r.until(ctx, 5*time.Minute, "all callbacks have come", func() (bool, error) {
		now, err := r.functions(ctx)
		w := now["webhook"]
		return w.Invocations-r.before["webhook"].Invocations >= hooks && w.Busy+w.Waiting == 0, err
	})
}

// quiet waits until no function has done anything for a while.
func (r *running) quiet(ctx context.Context) error {
	const long = 500 * time.Millisecond
	last, since := 0, time.Now()
	return r.until(ctx, 2*time.Minute, "all is quiet", func() (bool, error) {
		now, err := r.functions(ctx)
		if err != nil {
			return false, err
		}
		sum := 0
		for name, f := range now {
			if f.Busy+f.Waiting > 0 && name != "quotareset" {
				since = time.Now()
			}
			sum += f.Invocations
		}
		if sum != last {
			last, since = sum, time.Now()
		}
		return time.Since(since) > long, nil
	})
}

func (r *running) counts(ctx context.Context) (c counts, failures, resets int, err error) {
	now, err := r.functions(ctx)
	if err != nil {
		return c, 0, 0, err
	}
	c.messages = r.n
	if c.usage, err = r.usage(ctx); err != nil {
		return c, 0, 0, err
	}
	since := func(name string) int { return now[name].Invocations - r.before[name].Invocations }
	c.posts, c.hooks, c.batches = since("messages"), since("webhook"), since("dispatcher")
	for name, f := range now {
		failures += f.Failures - r.before[name].Failures
	}
	return c, failures, since("quotareset"), nil
}

// allRead makes sure, after the counting, that every message came to its end.
func (r *running) allRead(ctx context.Context) error {
	for i, id := range r.ids {
		status, err := r.senders[i%len(r.senders)].status(ctx, id)
		if err != nil {
			return err
		}
		if status != "read" {
			return fmt.Errorf("message %s is %s, not read", id, status)
		}
	}
	return nil
}
