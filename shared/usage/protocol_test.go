package usage_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"contactcenter/shared/attr"
	"contactcenter/shared/id"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/message"
	"contactcenter/shared/usage"
)

// The workers below are what the functions do, without everything that the protocol does not care about.

// dispatch reserves usage for messages and hands them over.
func (k *worker) dispatch(list []id.Message) {
	ctx := context.Background()
	a, err := k.g.Admit(ctx, k.account, k.terms, list, k.hint, k.nonce(), usage.Turn{Waited: true})
	k.hint = a.Gate
	k.hint.Entries = nil
	if errors.Is(err, usage.ErrPreviousOpen) {
		k.sweep()
	}
	for _, e := range a.Granted {
		k.work(a.Gate, e, false, "")
	}
	for _, e := range a.Expired {
		k.takeOver(a.Gate, e)
	}
	if len(a.Limited) > 0 {
		k.setAside(a.Limited, message.HeldUsageLimit)
	}
	if len(a.Blocked) > 0 {
		k.setAside(a.Blocked, message.HeldAccountRestricted)
	}
}

// takeOver makes an expired entry the worker's own, with a unit if it has none and there is one.
func (k *worker) takeOver(g usage.Gate, e usage.Entry) {
	ctx := context.Background()
	aside := ""
	after, err := k.g.TakeOver(ctx, k.account, k.known, e, g, k.nonce(), true)
	if refused := new(usage.Refused); errors.As(err, &refused) && !e.Counts() && (refused.Gate.Remaining <= 0 || refused.Gate.Blocked) {
		if aside = message.HeldUsageLimit; refused.Gate.Blocked {
			aside = message.HeldAccountRestricted
		}
		after, err = k.g.TakeOver(ctx, k.account, k.known, e, refused.Gate, k.nonce(), false)
	}
	if err != nil {
		return
	}
	k.work(after, after.Entries[e.Message.Unique], true, aside)
}

// setAside rejects or holds messages for which there is no unit, or whose account is blocked.
func (k *worker) setAside(list []id.Message, reason string) {
	g, err := k.g.Take(context.Background(), k.account, list, k.nonce())
	if err != nil {
		return
	}
	for _, m := range list {
		k.work(g, g.Entries[m.Unique], false, reason)
	}
}

// work does what is to be done under one entry: read, then act, then settle.
func (k *worker) work(g usage.Gate, e usage.Entry, expired bool, aside string) {
	ctx, mid := context.Background(), e.Message
	resumed := expired && e.Lease != e.Claim
	tail, err := k.m.Tail(ctx, k.account, mid, k.clock.Now())
	if err != nil {
		return
	}
	m := tail.Message
	if m.Final() {
		k.settle(g, e, m)
		return
	}
	if expired {
		w, err := k.m.Fence(ctx, k.account, mid, e.Lease)
		if err != nil || !w.Applied {
			k.refused(g, e, w)
			return
		}
		m = w.Message
	}
	at := k.clock.Now()
	switch {
	case m.Report != "":
		k.written(g, e)(k.m.Sent(ctx, k.account, mid, e.Claim, message.Handover{At: at}))
	case aside == message.HeldUsageLimit && m.OnLimit == message.Reject:
		k.written(g, e)(k.m.End(ctx, k.account, mid, e.Lease, message.Ending{Status: message.Rejected, At: at}))
	case aside != "":
		k.hold(g, e, m, aside)
	case resumed && k.blind:
		k.written(g, e)(k.m.End(ctx, k.account, mid, e.Lease, message.Ending{Status: message.Unknown, At: at, Claim: e.Claim}))
	case !resumed && k.dice == 6:
		k.hold(g, e, m, message.HeldProviderDisabled)
	case !resumed && k.dice == 7: // not its turn in the conversation
		k.giveBack(g, e)
	default:
		k.handOver(g, e, resumed)
	}
}

func (k *worker) handOver(g usage.Gate, e usage.Entry, resumed bool) {
	ctx, mid := context.Background(), e.Message
	a := k.call(mid)
	if (a == lostTaken || a == lostRefused) && !k.blind && !resumed {
		resumed = true
		a = k.call(mid)
	}
	at := k.clock.Now()
	ending := message.Ending{Status: message.Failed, At: at, Attempt: true}
	if resumed {
		ending.Claim = e.Claim
	}
	switch a {
	case taken:
		k.written(g, e)(k.m.Sent(ctx, k.account, mid, e.Claim, message.Handover{ProviderMessageID: "p", At: at, Attempt: true}))
	case refused:
		k.written(g, e)(k.m.End(ctx, k.account, mid, e.Lease, ending))
	case deferred:
		w, err := k.m.Retry(ctx, k.account, mid, e.Lease, at, "busy", at.Add(time.Second))
		switch {
		case err != nil || !w.Applied:
			k.refused(g, e, w)
		case !resumed:
			k.giveBack(g, e)
		}
	default:
		if k.blind {
			ending.Status, ending.Claim = message.Unknown, e.Claim
			k.written(g, e)(k.m.End(ctx, k.account, mid, e.Lease, ending))
		} // else the entry keeps the unit, and whoever takes it over repeats the call
	}
}

func (k *worker) hold(g usage.Gate, e usage.Entry, m message.Message, reason string) {
	w, err := k.m.Hold(context.Background(), m, e.Lease, k.clock.Now(), reason, time.Time{})
	if err != nil || !w.Applied {
		k.refused(g, e, w)
		return
	}
	k.giveBack(g, e)
}

// written deals with the answer to a write that ends the handing over.
func (k *worker) written(g usage.Gate, e usage.Entry) func(message.Written, error) {
	return func(w message.Written, err error) {
		if err != nil || !w.Applied {
			k.refused(g, e, w)
			return
		}
		k.settle(g, e, w.Message)
	}
}

// refused reads what a refused write brought along.
func (k *worker) refused(g usage.Gate, e usage.Entry, w message.Written) {
	switch {
	case w.Message.AccountID == "": // an error
	case w.Message.Final():
		k.settle(g, e, w.Message)
	case w.Message.Report != "" && e.Counts(): // the provider reported on it: it has the message
		k.written(g, e)(k.m.Sent(context.Background(), k.account, e.Message, e.Claim, message.Handover{At: k.clock.Now()}))
	}
}

// settle removes the entry of a final message, or leaves that to somebody else.
func (k *worker) settle(g usage.Gate, e usage.Entry, m message.Message) {
	s, final := (usage.Standing{Final: m.Final(), Claim: m.Claim}).Settlement(e)
	if final && k.dice != 5 {
		_ = k.g.Settle(context.Background(), g, []usage.Settlement{s})
	}
}

func (k *worker) giveBack(g usage.Gate, e usage.Entry) {
	_ = k.g.Settle(context.Background(), g, []usage.Settlement{{Entry: e, GiveBack: true}})
}

// cancel is a customer's request.
func (k *worker) cancel(mid id.Message) {
	ctx := context.Background()
	g, err := k.g.Take(ctx, k.account, []id.Message{mid}, k.nonce())
	if err != nil {
		return
	}
	e := g.Entries[mid.Unique]
	w, err := k.m.End(ctx, k.account, mid, e.Lease, message.Ending{Status: message.Canceled, At: k.clock.Now()})
	if err == nil && (w.Applied || w.Message.Final()) {
		k.settle(g, e, w.Message)
	}
}

// sweep is the scheduled reset: it settles what others left, closes the period and releases held messages.
func (k *worker) sweep() {
	ctx := context.Background()
	g, err := k.g.Read(ctx, k.account, true)
	if err != nil {
		return
	}
	states, err := k.m.States(ctx, k.account, g.Messages())
	if err != nil {
		return
	}
	var list []usage.Settlement
	for _, e := range g.Entries {
		m := states[e.Message]
		if s, final := (usage.Standing{Final: m.ID == e.Message && m.Final(), Claim: m.Claim}).Settlement(e); final {
			list = append(list, s)
		}
	}
	if err := k.g.Settle(ctx, g, list); err != nil {
		return
	}
	if g, err = k.g.Read(ctx, k.account, true); err != nil {
		return
	}
	if exported, err := k.g.Export(ctx, g); err == nil {
		g = exported
	}
	if !k.clock.Now().Before(g.Ends) {
		_, _ = k.g.Roll(ctx, g, k.plan)
	}
	held, _, err := k.m.HeldStandings(ctx, k.account, attr.Page{Size: 10})
	if err != nil {
		return
	}
	for _, m := range held {
		_, _ = k.m.Release(ctx, m, k.clock.Now())
	}
}

// report is a provider's word on a message that it has.
func (k *worker) report(mid id.Message) {
	status := [...]message.Status{message.Sent, message.Delivered, message.Read, message.Failed}[k.dice%4]
	_, _ = k.m.Report(context.Background(), k.account, chn, mid, message.Report{Status: status, At: k.clock.Now()})
}

// TestTheProtocolHoldsWhateverHappensInBetween lets workers, crashes, doubled and late requests, the clock, the provider,
// the plan and restrictions take turns in any order.
//
func TestTheProtocolHoldsWhateverHappensInBetween(t *testing.T) {
	t.Parallel()
	env := awstest.New(t)
	gates, messages := env.Table(t.Context(), awstest.UsageTable()), env.Table(t.Context(), awstest.MessagesTable())
	var number atomic.Int64
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, env.DynamoDB, gates, messages, number.Add(1))
		defer func() {
			for _, k := range w.workers {
				k.stop()
			}
		}()
		anyMessage := rapid.SampledFrom(w.messages)
		proceed := func(t *rapid.T, k *worker, most int) {
			for range rapid.IntRange(0, most).Draw(t, "steps") {
				if !w.run(k, rapid.IntRange(0, 9).Draw(t, "doubled") == 0, rapid.IntRange(0, 7).Draw(t, "dice")) {
					return
				}
			}
		}
		begin := func(t *rapid.T, name string, body func(*worker)) {
			if len(w.workers) < 5 {
				proceed(t, w.spawn(name, body), 8)
			}
		}
		dispatch := func(t *rapid.T, list ...id.Message) {
			stale := rapid.Bool().Draw(t, "stale plan")
			begin(t, "dispatch", func(k *worker) {
				if stale {
					k.known = k.lastPlan
				}
				k.dispatch(list)
			})
		}
		goOn := func(t *rapid.T) {
			if len(w.workers) > 0 {
				proceed(t, rapid.SampledFrom(w.workers).Draw(t, "worker"), 6)
			}
		}
		// race lets holders of one message overtake each other. Left to itself, chance seldom gets that far.
		race := func(t *rapid.T) {
			m := anyMessage.Draw(t, "message")
			for i := range rapid.IntRange(2, 3).Draw(t, "holders") {
				if rapid.IntRange(0, 2).Draw(t, "cancels") == 0 && i == 0 {
					begin(t, "cancel", func(k *worker) { k.cancel(m) })
				} else {
					dispatch(t, m)
				}
				w.clock.Move(usage.Lease + 2*time.Second)
				if rapid.IntRange(0, 3).Draw(t, "plan") == 0 {
					w.changePlan(rapid.Int64Range(0, 3).Draw(t, "limit"))
				}
			}
			for range 3 {
				goOn(t)
			}
		}
		if rapid.IntRange(0, 2).Draw(t, "race") > 0 {
			race(t)
		}
		t.Repeat(map[string]func(*rapid.T){
			"race": race,
			"deliver": func(t *rapid.T) {
				list := []id.Message{anyMessage.Draw(t, "message")}
				if other := anyMessage.Draw(t, "other"); other != list[0] {
					list = append(list, other)
				}
				dispatch(t, list...)
			},
			"go on": goOn, "go on too": goOn,
			"deliver what somebody was too slow for": func(t *rapid.T) {
				if list := w.gate.Messages(); len(list) > 0 {
					slices.SortFunc(list, func(x, y id.Message) int { return cmp.Compare(x.Unique, y.Unique) })
					w.clock.Move(usage.Lease + 2*time.Second)
					dispatch(t, rapid.SampledFrom(list).Draw(t, "message"))
				}
			},
			"crash": func(t *rapid.T) {
				if len(w.workers) > 0 {
					w.remove(rapid.SampledFrom(w.workers).Draw(t, "worker"))
				}
			},
			"cancel": func(t *rapid.T) {
				m := anyMessage.Draw(t, "message")
				begin(t, "cancel", func(k *worker) { k.cancel(m) })
			},
			"sweep": func(t *rapid.T) { begin(t, "sweep", (*worker).sweep) },
			"report": func(t *rapid.T) {
				if m := anyMessage.Draw(t, "message"); w.provider[m].taken {
					begin(t, "report", func(k *worker) { k.report(m) })
				}
			},
			"some time passes": func(*rapid.T) { w.clock.Move(6 * time.Second) },
			"the period ends":  func(*rapid.T) { w.clock.Move(24 * time.Hour) },
			"the plan changes": func(t *rapid.T) { w.changePlan(rapid.Int64Range(1, 3).Draw(t, "limit")) },
			"a restriction begins or ends": func(t *rapid.T) {
				w.restrict(rapid.Bool().Draw(t, "blocked"), rapid.Int64Range(0, 3).Draw(t, "limit"))
				if rapid.IntRange(0, 3).Draw(t, "push is not lost") > 0 {
					begin(t, "push", (*worker).push)
				}
			},
			"a late double arrives": func(t *rapid.T) {
				if len(w.late) > 0 {
					i := rapid.IntRange(0, len(w.late)-1).Draw(t, "request")
					in := w.late[i]
					w.late = slices.Delete(w.late, i, i+1)
					_, _ = w.update(context.Background(), in)
				}
			},
			"": func(*rapid.T) { w.observe() },
		})
		w.settleDown()
	})
}
