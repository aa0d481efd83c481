package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"contactcenter/shared/id"
	"contactcenter/shared/usage"
)

const (
	// ahead is how many messages are asked back for each place that becomes free: no place is to stay empty because somebody came late.
	ahead = 1.25
	// longestLine bounds how far ahead a place in the line for the ledger is, since how soon places become free is a guess.
	longestLine = time.Minute
	// unhurried is how long a message keeps its place at most, as far as the line goes. Where they are kept for longer, because a provider is slow,
	// more come back in vain, which is little beside what it would cost to believe a slow moment.
	unhurried = 250 * time.Millisecond
	// paceOver is the time over which it is measured how many messages an account uses, paceKept how long that is believed without
	// another look.
	paceOver = 2 * time.Second
	paceKept = 10 * time.Second
)

// crowded sends messages away that found the ledger full. Where it is known how soon places become free, each gets one in the line, or a large
// backlog would come back all the time, for every dispatcher, each time for a refused write. Else they come back soon at first, and
// later when that has not helped: each time is a receive, and SQS counts them.
func (r *round) crowded(ctx context.Context, list []id.Message) error {
	if step, bound := r.freed(); bound {
		return r.place(ctx, list, step)
	}
	for _, m := range list {
		r.decide(m, again(jittered(retryDelay(r.byMessage[m].receives/8), r.Random())))
	}
	return nil
}

const (
	// placeNap is for how long messages wait at a time for a place in the ledger, within an invocation; all in all it is maxNap and little more.
	placeNap = 250 * time.Millisecond
	// restAfter is how many times as long a process waits for nobody of the account afterwards: were all of an account's messages to come at once,
	// they would keep most dispatchers waiting.
	restAfter = 2
)

// mayNap reports whether messages that found the ledger full wait for it within the invocation: those that have come at their places in the line,
// or a little early, for SQS counts whole seconds.
func (r *round) mayNap(ctx context.Context, list []id.Message, napped time.Duration) bool {
	if _, bound := r.freed(); !bound || napped >= maxNap || !r.timeFor(ctx, maxNap+callTime) {
		return false
	}
	if napped == 0 && r.Hints.Resting(r.accountID, r.Now()) {
		return false
	}
	return slices.ContainsFunc(list, func(m id.Message) bool { return r.byMessage[m].receives > 2 })
}

// freed tells after what time one more message may come back, where the ledger is full and bounds the account more than its rate does.
func (r *round) freed() (step time.Duration, bound bool) {
	perSecond := r.Hints.Pace(r.accountID, r.Now())
	if perSecond <= 0 || len(r.gate.Entries) < r.terms.For(r.turn).InFlight {
		return 0, false
	}
	perSecond = max(perSecond, float64(r.terms.InFlight)/unhurried.Seconds())
	step = time.Duration(float64(time.Second) / (ahead * perSecond))
	return step, r.terms.Rate.Limit <= 0 || step > r.terms.Rate.Window/time.Duration(r.terms.Rate.Limit)
}

// place gives messages their places in the line for the ledger's.
func (r *round) place(ctx context.Context, list []id.Message, step time.Duration) error {
	now := r.Now()
	first, err := r.Gates.Place(ctx, r.gate, step, int64(len(list)), longestLine, r.turn.Batch)
	if err != nil {
		return err
	}
	for i, m := range list {
		wait := max(first.Add(time.Duration(i)*step).Sub(now), time.Millisecond)
		if wait >= longestLine {
			wait = time.Duration(r.Random() % uint64(longestLine)) // the line is full: they fill what is left of it
		}
		r.decide(m, again(wait))
	}
	return nil
}

// Hints keeps the last view of the gates that this process has worked with, and how fast their accounts use messages. A hint saves a refused
// write; nothing depends on it.
type Hints struct {
	mu    sync.Mutex
	gates map[string]hint
}

type hint struct {
	gate usage.Gate
	seen time.Time
	// used is what had been used at since; perSecond how many were used in each second of the measurement before, by all dispatchers; 0: it is
	// not known.
	since     time.Time
	used      int64
	perSecond float64
	// rested is from when on the process may wait for the account's places again.
	rested time.Time
}

const maxHints = 1000

// Gate gives the last view of an account's gate, or the zero Gate.
func (h *Hints) Gate(accountID string) usage.Gate {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.gates[accountID].gate
}

// Pace gives how many messages an account used in a second, of late; 0 when that is not known.
func (h *Hints) Pace(accountID string, now time.Time) float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	g := h.gates[accountID]
	if now.Sub(g.since) > paceKept {
		return 0
	}
	return g.perSecond
}

// Rest keeps this process from waiting for places of an account until a time.
func (h *Hints) Rest(accountID string, until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if g, ok := h.gates[accountID]; ok {
		g.rested = until
		h.gates[accountID] = g
	}
}

// Resting reports whether Rest's time is not over.
func (h *Hints) Resting(accountID string, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.gates[accountID].rested.After(now)
}

// Put keeps a view of a gate as it is now, without its ledger.
func (h *Hints) Put(g usage.Gate, now time.Time) {
	if g.AccountID == "" {
		return
	}
	g.Entries = nil
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.gates) >= maxHints || h.gates == nil {
		h.gates = map[string]hint{}
	}
	was := h.gates[g.AccountID]
	next := hint{gate: g, seen: now, since: was.since, used: was.used, perSecond: was.perSecond, rested: was.rested}
	switch took := now.Sub(was.since); {
	case was.gate.Period != g.Period || g.Used < was.used || now.Sub(was.seen) > paceKept:
		next.since, next.used, next.perSecond = now, g.Used, 0
	case took >= paceOver:
		next.since, next.used, next.perSecond = now, g.Used, float64(g.Used-was.used)/took.Seconds()
	}
	h.gates[g.AccountID] = next
}
