package main

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/restriction"
	"contactcenter/shared/usage"
)

// limits are what an account may send, as it stood a moment ago. The answer that counts is the dispatcher's.
type limits struct {
	known    bool
	gate     usage.Gate
	terms    usage.Terms
	standing account.Standing
	// open tells whether a unit may still come back; it is looked up once, when it is first asked.
	open func() (bool, error)
}

// readLimits reads the gate. It is eventually consistent: nothing is decided by it that the gate's own write would not
// decide the same way later.
func (in *intake) readLimits(ctx context.Context, accountID string) error {
	gate, st, err := in.standing(ctx, accountID, in.ahead.gate)
	if err != nil {
		return err
	}
	gate = gate.InPresent(in.began, st.Terms)
	in.limits = limits{known: true, gate: gate, terms: st.Terms, standing: st, open: sync.OnceValues(func() (bool, error) {
		return in.unitsOpen(ctx, accountID, gate)
	})}
	return nil
}

// standing gives an account's gate, and its terms and restrictions as the gate's version says. An account without a gate has
// the zero one.
func (h *Handler) standing(ctx context.Context, accountID string, read func() (usage.Gate, error)) (usage.Gate, account.Standing, error) {
	st, err := h.Accounts.Standing(ctx, accountID, false)
	if err != nil {
		return usage.Gate{}, st, err
	}
	gate, err := read()
	if err != nil && !errors.Is(err, usage.ErrNoGate) {
		return gate, st, err
	}
	if gate.Version != "" && gate.Version != st.Terms.Version {
		st, err = h.Accounts.Standing(ctx, accountID, true)
		return gate, st, err
	}
	return gate, st, nil
}

// allowed refuses what a restriction blocks: at first for the whole account, then, once they are known, by the
// provider, on the channel and to the recipient. The standing is as the gate's version says, so a block holds from the moment on at which it reached
// the gate.
func (in *intake) allowed(on restriction.Way) error {
	if r, blocked := in.limits.standing.Restrictions.Blocking(on); blocked {
		return api.Restricted(r)
	}
	return nil
}

// recipientAllowed refuses what a restriction of the recipient blocks. Whose the address is is asked only where there is one.
func (in *intake) recipientAllowed(ctx context.Context, accountID, to string, on restriction.Way) error {
	if !in.limits.standing.Restrictions.OfRecipients() {
		return nil
	}
	found, err := in.Recipients.Of(ctx, accountID, to)
	if err != nil {
		return api.TryAgain(in.r, err)
	}
	on.RecipientID = found[to]
	return in.allowed(on)
}

// usageLeft refuses early when the number of the period is used up for good: no unit of it can come back any more.
func (in *intake) usageLeft() error {
	g := in.limits.gate
	if g.Remaining > 0 || in.onLimit() != message.Reject || in.req.SendAt != nil && !in.req.SendAt.Before(g.Ends) {
		return nil
	}
	open, err := in.limits.open()
	if err != nil {
		return api.TryAgain(in.r, err)
	}
	if open {
		return nil // it may come back: the dispatcher decides
	}
	p := api.NewProblem(api.CodeUsageLimitReached).WithRetryAfter(g.Ends.Sub(in.Now()))
	p.Limit, p.Used, p.ResetsAt, p.PlanID = &g.Limit, &g.Used, api.OptionalTime(g.Ends), g.PlanID
	p.RestrictionID = in.limits.standing.LimitedBy.NumberBy
	return p
}

// unitsOpen reports whether a unit of the gate belongs to a message that may still give it back.
func (h *Handler) unitsOpen(ctx context.Context, accountID string, g usage.Gate) (bool, error) {
	var ids []id.Message
	for _, e := range g.Entries {
		if e.Counts() {
			ids = append(ids, e.Message)
		}
	}
	states, err := h.Messages.States(ctx, accountID, ids)
	if err != nil {
		return false, err
	}
	for _, mid := range ids {
		m, ok := states[mid]
		if !ok || !m.Final() || m.Claim != g.Entries[mid.Unique].Claim {
			return true, nil
		}
	}
	return false, nil
}

// setHeaders writes the RateLimit headers, if the limits are known.
func (l limits) setHeaders(header http.Header, now time.Time) error {
	if !l.known {
		return nil
	}
	list := []api.Limit{{
		Policy: api.PolicyPeriod, Quota: l.gate.Limit, Window: l.gate.Ends.Sub(begin(l.gate.Ends, l.terms.Kind)),
		Remaining: l.gate.Remaining, Reset: l.gate.Ends.Sub(now),
	}}
	if rate := l.terms.Rate; rate.Limit > 0 {
		list = append(list, api.Limit{
			Policy: api.PolicyRate, Quota: rate.Limit, Window: rate.Window,
			Remaining: l.gate.Room(now, rate), Reset: l.gate.NextFree.Sub(now),
		})
	}
	return api.SetRateLimit(header, list...)
}

// begin is the begin of the period that ends at end.
func begin(end time.Time, kind usage.PeriodKind) time.Time {
	if kind == usage.Day {
		return end.AddDate(0, 0, -1)
	}
	return end.AddDate(0, -1, 0)
}
