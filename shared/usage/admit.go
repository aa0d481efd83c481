package usage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"contactcenter/shared/id"
)

// TermsOf gives an account's terms. With fresh set, they are read anew.
type TermsOf func(ctx context.Context, fresh bool) (Terms, error)

// Admission sorts the messages of one account by what the gate said to them.
type Admission struct {
	// Gate is the gate as the last request showed it.
	Gate  Gate
	Terms Terms
	// Granted hold a unit and are the caller's to work on until their lease expires.
	Granted []Entry
	// Busy are in other hands; Expired were, and may be taken over.
	Busy, Expired []Entry
	// Limited found the number used up; Delayed the frequency; Crowded the ledger full, or entries of the period before
	// that keep the present one from being closed; Blocked the account.
	Limited, Delayed, Crowded, Blocked []id.Message
	// Wait is how long the first of Delayed must wait at least.
	Wait time.Duration
}

const admitTries = 12

// Admit reserves usage for as many of the messages as the gate has room for, oldest first. It rolls an old period,
// adopts changed terms, and makes the account's first gate. In the usual case it is one request. Hint is the gate as the
// caller last saw it, or the zero Gate; it only saves requests.
func (s *Store) Admit(ctx context.Context, accountID string, terms TermsOf, messages []id.Message, hint Gate, nonce uint32, turn Turn) (Admission, error) {
	now, err := terms(ctx, false)
	if err != nil {
		return Admission{}, fmt.Errorf("terms of %s: %w", accountID, err)
	}
	a, pending := Admission{Gate: hint, Terms: now}, inOrder(messages)
	known := hint.AccountID == accountID && !over(hint.Period, s.Now())
	if !known {
		// The first guess: the period that lies in, and an idle gate.
		a.Gate = Gate{AccountID: accountID, Period: now.Kind.Period(s.Now()), Version: now.Version}
	}
	take := min(len(pending), now.For(turn).atOnce())
	for range admitTries {
		if len(pending) == 0 {
			return a, nil
		}
		gate, err := s.Reserve(ctx, accountID, a.Terms, Claim{Messages: pending[:take], Nonce: nonce, Gate: a.Gate, Turn: turn})
		refused := new(Refused)
		switch {
		case errors.Is(err, ErrNoGate):
			// A plan may have changed a moment ago, and there was no gate that could have been told.
			if a.Terms, err = terms(ctx, true); err != nil {
				return a, fmt.Errorf("terms of %s: %w", accountID, err)
			}
			if err := s.Create(ctx, accountID, a.Terms); err != nil {
				return a, err
			}
			take = min(take, a.Terms.For(turn).atOnce())
			continue
		case errors.As(err, &refused):
			a.Gate = refused.Gate
		case err != nil:
			return a, fmt.Errorf("reserve usage: %w", err)
		default:
			a.Gate = gate
		}
		// First of all, what was granted becomes the caller's, whatever else may fail.
		if pending = a.sort(pending, nonce, s.Now()); len(pending) == 0 && len(a.Expired) == 0 {
			return a, nil
		}
		settled, err := s.settleTerms(ctx, accountID, terms, &a)
		if errors.Is(err, ErrPreviousOpen) {
			a.Crowded = pending
			return a, nil
		}
		if err != nil {
			return a, err
		}
		if !settled {
			take = min(len(pending), max(take, 1), a.Terms.For(turn).atOnce())
			continue
		}
		if take = a.room(s.Now(), pending, turn); take == 0 {
			return a, nil
		}
	}
	return a, fmt.Errorf("reserve usage: the gate of %s changed %d times meanwhile", accountID, admitTries)
}

// inOrder gives the messages oldest first, and each once: a message may have been delivered twice.
func inOrder(messages []id.Message) []id.Message {
	list := slices.Clone(messages)
	slices.SortFunc(list, func(x, y id.Message) int { return strings.Compare(x.Unique+x.Conversation, y.Unique+y.Conversation) })
	return slices.Compact(list)
}

// atOnce bounds a try by what no gate could grant at once.
func (t Terms) atOnce() int {
	n := min(t.InFlight, MostAtOnce)
	if t.Rate.Limit > 0 && t.Rate.Burst < int64(n) {
		n = int(t.Rate.Burst)
	}
	return max(n, 1)
}

// settleTerms brings the gate into the present period and under the present terms. It reports whether the gate was so
// already.
func (s *Store) settleTerms(ctx context.Context, accountID string, terms TermsOf, a *Admission) (bool, error) {
	g := a.Gate
	present := a.Terms.Kind.Period(s.Now())
	over := !s.Now().Before(g.Ends) || len(present) != len(g.Period)
	if !over && g.Version == a.Terms.Version {
		return true, nil
	}
	fresh, err := terms(ctx, true)
	if err != nil {
		return false, fmt.Errorf("terms of %s: %w", accountID, err)
	}
	a.Terms = fresh
	over = !s.Now().Before(g.Ends) || len(fresh.Kind.Period(s.Now())) != len(g.Period)
	switch {
	case over && g.Previous != "":
		if g, err = s.Export(ctx, g); err == nil {
			g, err = s.Roll(ctx, g, fresh)
		}
	case over:
		g, err = s.Roll(ctx, g, fresh)
	case g.Version != fresh.Version:
		g, err = s.AdoptTerms(ctx, g, fresh)
	default:
		return true, nil
	}
	refused := new(Refused)
	if errors.As(err, &refused) {
		a.Gate = refused.Gate
		return false, nil
	}
	if err != nil {
		return false, err
	}
	a.Gate = g
	return false, nil
}

// sort takes out of pending what the ledger holds already.
func (a *Admission) sort(pending []id.Message, nonce uint32, now time.Time) []id.Message {
	rest := pending[:0:0]
	for _, m := range pending {
		e, ok := a.Gate.Entries[m.Unique]
		switch {
		case !ok || e.Message != m:
			rest = append(rest, m)
		case e.Nonce == nonce && e.Counts() && e.Claim == e.Lease:
			a.Granted = append(a.Granted, e) // ours, also when the first answer was lost
		case now.Before(e.Expires):
			a.Busy = append(a.Busy, e)
		default:
			a.Expired = append(a.Expired, e)
		}
	}
	return rest
}

// room says how many of the pending messages a further try may ask for. With 0, it sorts them by the reason.
func (a *Admission) room(now time.Time, pending []id.Message, turn Turn) int {
	g, n, terms := a.Gate, int64(len(pending)), a.Terms.For(turn)
	if n == 0 {
		return 0
	}
	if g.Blocked {
		a.Blocked = pending
		return 0
	}
	if g.Remaining <= 0 {
		a.Limited = pending
		return 0
	}
	free := int64(terms.InFlight - len(g.Entries))
	if free <= 0 {
		a.Crowded = pending
		return 0
	}
	rate := g.Room(now, terms.Rate)
	if rate <= 0 || terms.Rate.Limit > 0 && !g.passes(now, turn) {
		a.Delayed, a.Wait = pending, g.Wait(now, terms.Rate, 1)
		return 0
	}
	return int(min(n, free, rate, g.Remaining, MostAtOnce))
}

// Standing is what a settlement must know of a message.
type Standing struct {
	// Final: nobody has anything left to do with it.
	Final bool
	// Claim is the claim that counts the message; 0: it is not counted.
	Claim int64
}

// Settlement gives the settlement of an entry whose message stands like this; ok is false while it is not final.
func (st Standing) Settlement(e Entry) (Settlement, bool) {
	return Settlement{Entry: e, GiveBack: e.Counts() && st.Claim != e.Claim}, st.Final
}
