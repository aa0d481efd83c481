package main

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"contactcenter/shared/event"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/usage"
)

const (
	// maxNap is how long an invocation waits for an account's rate rather than send the message back to the queue.
	maxNap = time.Second
	// napBudget bounds all the waiting of one invocation for one account.
	napBudget = 3 * time.Second
	// callTime is what one message may take: the provider's answer and the writes around it.
	callTime = 7500 * time.Millisecond
	// settleAlone is how many entries make a settling write of their own worth while.
	settleAlone = 4
	// staleAfter is the age from which a foreign entry is looked at, to be settled if its message is final.
	staleAfter = 2 * time.Second
	// staleMin is how many such entries make that worth while.
	staleMin = 5
	// settlerEvery: a claim whose number divides by it settles what the others left behind, however young. So of many
	// dispatchers that work for one account at once it is one in so many, and they don't all try the same.
	settlerEvery = 5
)

// round is the dispatching of one account's records of a batch: of its single messages, or of those that came in batches.
type round struct {
	*Dispatcher
	accountID string
	turn      usage.Turn
	nonce     uint32
	byMessage map[id.Message]delivery

	gate  usage.Gate
	terms usage.Terms

	mu       sync.Mutex
	verdicts map[id.Message]verdict
	settle   []usage.Settlement
	lazy     []usage.Settlement // entries of final, counted messages: whoever comes next may settle them
	events   []event.Event      // what happened, to be told at the end
}

func (r *round) decide(m id.Message, v verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.verdicts[m] = v
}

// run admits the messages and works on what was admitted, until every record has its verdict or must come again.
func (r *round) run(ctx context.Context) error {
	pending := slices.SortedFunc(maps.Keys(r.byMessage), func(a, b id.Message) int { return cmp.Compare(a.Unique, b.Unique) })
	r.turn.Waited = slices.ContainsFunc(pending, func(m id.Message) bool { return r.byMessage[m].receives > 1 })
	napped, cleared := time.Duration(0), false
	r.gate = r.Hints.Gate(r.accountID)
	for len(pending) > 0 {
		a, err := r.Gates.Admit(ctx, r.accountID, r.Dispatcher.terms(r.accountID), pending, r.gate, r.nonce, r.turn)
		if err != nil && len(a.Granted) == 0 {
			return err
		}
		r.gate, r.terms = a.Gate, a.Terms
		r.Hints.Put(a.Gate, r.Now())
		r.work(ctx, claimed(a), a.Busy)
		r.thresholds(ctx, a.Gate)
		freed, err := r.flush(ctx, len(a.Limited) > 0 || len(a.Crowded) > 0)
		if err != nil {
			return err
		}
		pending = nil
		switch {
		case len(a.Limited) > 0:
			pending, err = r.limited(ctx, a.Limited)
			if err != nil {
				return err
			}
		case len(a.Blocked) > 0:
			return r.setAside(ctx, a.Blocked, message.HeldAccountRestricted)
		case len(a.Crowded) > 0 && freed > 0 && !cleared && r.timeFor(ctx, callTime):
			cleared, pending = true, a.Crowded // those who were done had left their entries to whoever comes next
		case len(a.Crowded) > 0 && r.mayNap(ctx, a.Crowded, napped):
			nap := jittered(placeNap, r.Random())
			napped += nap
			if err := r.Sleep(ctx, nap); err != nil {
				return err
			}
			r.Hints.Rest(r.accountID, r.Now().Add(restAfter*napped))
			pending = a.Crowded
		case len(a.Crowded) > 0:
			if err := r.crowded(ctx, a.Crowded); err != nil {
				return err
			}
		case len(a.Delayed) > 0:
			wait := max(a.Wait, time.Millisecond)
			if wait <= maxNap && napped+wait <= napBudget && r.timeFor(ctx, wait+callTime) && (r.turn.Waited || !r.gate.Behind(r.turn.Batch).After(r.Now())) {
				napped += wait
				if err := r.Sleep(ctx, wait); err != nil {
					return err
				}
				pending = a.Delayed
				continue
			}
			if err := r.line(ctx, a.Delayed); err != nil {
				return err
			}
		}
	}
	return nil
}

// claimed are the claims that an admission gave.
func claimed(a usage.Admission) []claim {
	claims := make([]claim, 0, len(a.Granted)+len(a.Expired))
	for _, e := range a.Granted {
		claims = append(claims, claim{entry: e})
	}
	for _, e := range a.Expired {
		claims = append(claims, claim{entry: e, expired: true})
	}
	return claims
}

// thresholds notes on the gate that a share of the period's number is used, once in a period.
func (r *round) thresholds(ctx context.Context, g usage.Gate) {
	near, full, err := r.Gates.Cross(context.WithoutCancel(ctx), g)
	if err != nil {
		r.Log.WarnContext(ctx, "threshold not noted", "account_id", r.accountID, "error", err.Error()) // the next one notes it
	}
	for percent, crossed := range map[int]bool{usage.NearPercent: near, 100: full} {
		if crossed {
			r.crossed(g, percent)
			r.Log.InfoContext(ctx, "usage threshold reached", "account_id", r.accountID, "percent", percent, "period", g.Period, "limit", g.Limit, "used", g.Used)
		}
	}
}

// timeFor reports whether the invocation has this much time left.
func (r *round) timeFor(ctx context.Context, d time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > d
}

// line gives messages that found the frequency used up their places in the line.
func (r *round) line(ctx context.Context, list []id.Message) error {
	first, err := r.Gates.Queue(ctx, r.gate, r.terms.For(r.turn).Rate, int64(len(list)), r.turn.Batch)
	if err != nil {
		return err
	}
	step := r.terms.Rate.Window / time.Duration(r.terms.Rate.Limit)
	for i, m := range list {
		r.decide(m, again(max(first.Add(time.Duration(i)*step).Sub(r.Now()), time.Millisecond)))
	}
	return nil
}

// work deals with what was claimed and with what can be taken over: conversations side by side, the messages of one
// conversation in order.
func (r *round) work(ctx context.Context, claims []claim, busy []usage.Entry) {
	optedOut, prefetch := r.optOuts(ctx, claims)
	conversations := map[string][]claim{}
	for _, c := range claims {
		c.optedOut = optedOut
		key := c.entry.Message.Conversation
		conversations[key] = append(conversations[key], c)
	}
	var group errgroup.Group // at most as many goroutines as the batch has records, ten, and two more
	group.Go(prefetch)
	for _, list := range conversations {
		slices.SortFunc(list, func(x, y claim) int { return cmp.Compare(x.entry.Message.Unique, y.entry.Message.Unique) })
		group.Go(func() error {
			for _, c := range list {
				r.message(ctx, c)
			}
			return nil
		})
	}
	if len(busy) > 0 {
		group.Go(func() error { return r.busy(ctx, busy) })
	}
	if err := group.Wait(); err != nil {
		r.Log.ErrorContext(ctx, "dispatch failed", "account_id", r.accountID, "error", err.Error())
	}
}

// optOuts reads, after the claim, who of the batch opted out: one request, begun by prefetch side by side with the reads of the
// messages. OptedOut waits for its answer.
func (r *round) optOuts(ctx context.Context, claims []claim) (optedOut func(conversation string) (bool, error), prefetch func() error) {
	conversations := make([]string, len(claims))
	for i, c := range claims {
		conversations[i] = c.entry.Message.Conversation
	}
	read := sync.OnceValues(func() (map[string]bool, error) {
		return r.OptOuts.OptedOut(ctx, r.accountID, true, conversations...)
	})
	optedOut = func(conversation string) (bool, error) {
		out, err := read()
		return out[conversation], err
	}
	prefetch = func() error {
		_, _ = read() // whoever needs the answer gets the error
		return nil
	}
	return optedOut, prefetch
}

// busy looks at messages that are in other hands. One that is final needs nobody; another comes again when its
// holder's lease has run out.
func (r *round) busy(ctx context.Context, entries []usage.Entry) error {
	ids := make([]id.Message, len(entries))
	for i, e := range entries {
		ids[i] = e.Message
	}
	states, err := r.Messages.States(ctx, r.accountID, ids)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if m, ok := states[e.Message]; ok && m.Final() {
			r.decide(e.Message, ack())
			continue
		}
		r.decide(e.Message, again(max(e.Expires.Sub(r.Now()), 0)+jittered(time.Second, r.Random())))
	}
	return nil
}

// flush settles what must be settled, together with what may, and tells how many entries that were. Everything is settled when full is set.
func (r *round) flush(ctx context.Context, full bool) (settled int, err error) {
	r.mu.Lock()
	settle, lazy := r.settle, r.lazy
	r.settle, r.lazy = nil, nil
	r.mu.Unlock()
	age := staleAfter
	settler := func(s usage.Settlement) bool { return s.Entry.Lease%settlerEvery == 0 }
	if len(lazy) < settleAlone && slices.ContainsFunc(lazy, settler) {
		age = 0
	}
	stale, err := r.stale(ctx, full, age)
	if err != nil {
		return 0, err
	}
	worthWhile := full || len(settle) > 0 || len(stale) > 0 || len(lazy) >= settleAlone || len(r.gate.Entries) > r.terms.InFlight*3/4
	if !worthWhile {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	all := slices.Concat(settle, lazy, stale)
	if err := r.Gates.Settle(ctx, r.gate, all); err != nil {
		return 0, err
	}
	return len(all), nil
}

// stale finds entries that their holders left to whoever comes next: their messages are final. Without all, younger
// ones than age are not looked at, where that is not 0.
func (r *round) stale(ctx context.Context, all bool, age time.Duration) ([]usage.Settlement, error) {
	now := r.Now()
	var old []usage.Entry
	for _, e := range r.gate.Entries {
		if _, mine := r.byMessage[e.Message]; !mine && (all || age == 0 || now.Sub(e.Expires.Add(-usage.Lease)) > age) {
			old = append(old, e)
		}
	}
	if len(old) == 0 || len(old) < staleMin && !all {
		return nil, nil
	}
	ids := make([]id.Message, len(old))
	for i, e := range old {
		ids[i] = e.Message
	}
	states, err := r.Messages.States(ctx, r.accountID, ids)
	if err != nil {
		return nil, err
	}
	var list []usage.Settlement
	for _, e := range old {
		m, ok := states[e.Message]
		if s, final := (usage.Standing{Final: ok && m.Final(), Claim: m.Claim}).Settlement(e); final {
			list = append(list, s)
		}
	}
	return list, nil
}

// limited deals with messages that found the number used up. While other messages in flight may still give their units
// back, they wait; so nobody is turned away for a unit that is free a moment later. It returns those that can try again.
func (r *round) limited(ctx context.Context, list []id.Message) ([]id.Message, error) {
	gate, err := r.Gates.Read(ctx, r.accountID, true)
	if err != nil {
		return nil, err
	}
	r.gate = gate
	if gate.Remaining > 0 {
		return list, nil
	}
	for _, e := range gate.Entries {
		if e.Counts() {
			for _, m := range list {
				r.decide(m, again(jittered(min(retryDelay(r.byMessage[m].receives), 10*time.Second), r.Random())))
			}
			return nil, nil
		}
	}
	return nil, r.setAside(ctx, list, message.HeldUsageLimit)
}

// setAside claims messages without a unit and rejects or holds them.
func (r *round) setAside(ctx context.Context, list []id.Message, reason string) error {
	gate, err := r.Gates.Take(ctx, r.accountID, list, r.nonce)
	if refused, ok := isRefused(err); ok {
		gate = refused.Gate
		list = slices.DeleteFunc(slices.Clone(list), func(m id.Message) bool {
			e, taken := gate.Entries[m.Unique]
			if taken && e.Nonce != r.nonce {
				r.decide(m, again(max(e.Expires.Sub(r.Now()), time.Second)))
			}
			return taken
		})
		if len(list) == 0 {
			return nil
		}
		gate, err = r.Gates.Take(ctx, r.accountID, list, r.nonce)
	}
	if err != nil {
		return err
	}
	r.gate = gate
	// A unit may have come back, or a new period begun, before the claim: then nobody is turned away.
	room := reason == message.HeldUsageLimit && gate.Remaining > 0
	var claims []claim
	for _, m := range list {
		e, ok := gate.Entries[m.Unique]
		switch {
		case !ok || e.Nonce != r.nonce:
		case room:
			r.settle = append(r.settle, usage.Settlement{Entry: e})
			r.decide(m, again(time.Second))
		default:
			claims = append(claims, claim{entry: e, aside: reason})
		}
	}
	r.work(ctx, claims, nil)
	_, err = r.flush(ctx, false)
	return err
}

var errOvertaken = errors.New("overtaken by a later holder")
