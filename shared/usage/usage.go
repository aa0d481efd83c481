// Package usage knows how much of its Service Plan an account has used, and keeps every limit exact. Each account has
// one gate item; one conditional write of it checks number and frequency, takes the units and claims the messages.
//
// The protocol, in which every step is one atomic write of one item:
//
//   - Reserve takes units and claims messages. The gate's own sequence, advanced in that very write, names the claim
//     and the lease, so no two reservations ever share one, not even a late duplicate of the same request.
//   - A holder claims first, then reads the message, then acts.
//   - When a lease has run out, somebody else may take the entry over. The entry keeps its claim and gets a new lease;
//     the new holder fences the message before it does anything else.
//   - Settle removes entries whose lease is the holder's, and gives the unit back unless the message is counted
//     under the entry's claim.
//   - Take claims a message without a unit: for cancelling, rejecting and holding.
//
// An entry of a message that is final may be settled by anybody under the lease it has, since its holder has nothing
// left to do but that. So one message alone needs no write of its own to be settled.
package usage

import (
	"errors"
	"math"
	"strings"
	"time"

	"contactcenter/shared/id"
)

// Lease is how long a holder of a claim may work on it: longer than a dispatcher may run, with a margin for clocks.
const Lease = 15 * time.Second

// PeriodKind is the length of a usage period.
type PeriodKind string

// The lengths of a usage period. Periods begin at midnight UTC.
const (
	Day   PeriodKind = "day"
	Month PeriodKind = "month"
)

// Rate is a limit on frequency: Limit messages in Window, with Burst at once after a pause.
type Rate struct {
	Limit  int64
	Window time.Duration
	Burst  int64
}

// interval is the time between two messages at the full rate, rounded up to a microsecond.
func (r Rate) interval() time.Duration {
	us := (r.Window.Microseconds() + r.Limit - 1) / r.Limit
	return time.Duration(us) * time.Microsecond
}

// Terms are the limits that hold for an account: its Service Plan, at one version, under the restrictions in force.
type Terms struct {
	PlanID string
	// Version names the terms: another plan, a changed plan, other countries and another set of restrictions have another version. What
	// stands behind a "+" names the restrictions, of every scope, and behind an "@" before it the countries; without any there is none.
	Version string
	// Limit is the number of messages in a period.
	Limit int64
	Kind  PeriodKind
	Rate  Rate
	// InFlight bounds how many messages of the account are on their way to a provider at once.
	InFlight int
	// Blocked: the account may not send.
	Blocked bool
	// Changes is when the terms change by themselves, because a restriction ends; zero: they don't.
	Changes time.Time
}

// keptPlaces is the part of an account's places in the ledger, one in so many, that is kept for single messages.
const keptPlaces = 10

// For gives the terms for messages that ask for room as they do. Those of batches leave a little of it to the account's single messages: one of a
// burst and one in ten places, so that an answer to a customer finds room behind a campaign of thousands. The number and the
// frequency are the same for both.
func (t Terms) For(turn Turn) Terms {
	if !turn.Batch {
		return t
	}
	if t.Rate.Burst > 1 {
		t.Rate.Burst--
	}
	t.InFlight -= t.InFlight / keptPlaces
	return t
}

// Turn is how messages ask for room.
type Turn struct {
	// Batch: they came in batches. Such wait in a line of their own, behind which single messages don't stand.
	Batch bool
	// Waited lets them pass those that stand in the line.
	Waited bool
}

// Restricted reports whether restrictions of any scope are in force, or a list of countries.
func (t Terms) Restricted() bool { return strings.ContainsAny(t.Version, "+@") }

// before gives the earlier one of a time and of when the terms change by themselves.
func (t Terms) before(at time.Time) time.Time {
	if !t.Changes.IsZero() && t.Changes.Before(at) {
		return t.Changes
	}
	return at
}

// restrictions names the set of restrictions in a version, "" for none.
func restrictions(version string) string {
	_, set, _ := strings.Cut(version, "+")
	return set
}

// Period names the period that t lies in, "2026-11" or "2026-11-24".
func (k PeriodKind) Period(t time.Time) string {
	if k == Day {
		return t.UTC().Format("2006-01-02")
	}
	return t.UTC().Format("2006-01")
}

// bounds gives the begin and the end of a named period.
func bounds(period string) (begin, end time.Time, err error) {
	if begin, err = time.Parse("2006-01-02", period); err == nil {
		return begin, begin.AddDate(0, 0, 1), nil
	}
	if begin, err = time.Parse("2006-01", period); err == nil {
		return begin, begin.AddDate(0, 1, 0), nil
	}
	return time.Time{}, time.Time{}, errors.New("malformed period")
}

// Entry is one message in flight, as the gate's ledger holds it.
type Entry struct {
	Message id.Message
	// Lease names the present holder; Claim names the reservation, and stays through every takeover.
	Lease, Claim int64
	// Expires is when the entry may be taken over.
	Expires time.Time
	// Nonce tells a lost answer from somebody else's claim.
	Nonce uint32
	// period marks the period that the entry is counted in; 0 counts nothing.
	period uint16
}

// Counts reports whether the entry holds a unit of usage.
func (e Entry) Counts() bool { return e.period != 0 }

// Gate is an account's gate as it was read.
type Gate struct {
	AccountID string
	// Period is the period that Used counts in, Ends its end.
	Period string
	Ends   time.Time
	// PlanID and Version are those of the terms that Limit comes from.
	PlanID, Version        string
	Limit, Used, Remaining int64
	// NextFree is the theoretical arrival time of the next message at the full rate (GCRA).
	NextFree time.Time
	// Line is the end of the line of single messages that wait for their turn, BatchLine that of messages that came in batches.
	Line, BatchLine time.Time
	Entries         map[string]Entry
	// Previous is the closed period that is not exported yet, "" when there is none, and what it counted.
	Previous     string
	PreviousUsed int64
	// Blocked says that the account may not send.
	Blocked bool
	// Reached is what was reached of the period's number, PreviousReached of the closed one's.
	Reached, PreviousReached Reached
	// Due is when the scheduled reset has something to do, as it is stored; each Wake gives it another value.
	Due string
}

// NearPercent is the first threshold, in percent of a period's number; the other is all of it.
const NearPercent = 80

// Reached says when thresholds of a period's number were reached for the first time; zero: not yet. Units that were
// given back later change nothing.
type Reached struct{ Near, Full time.Time }

// Crossed reports thresholds that the gate stands at or above, and that are not noted yet.
func (g Gate) Crossed() (near, full bool) {
	if g.Limit <= 0 {
		return false, false
	}
	return g.Reached.Near.IsZero() && g.Used*100 >= g.Limit*NearPercent, g.Reached.Full.IsZero() && g.Used >= g.Limit
}

// InFlight is the number of messages of the ledger that hold a unit and are not yet known to be done.
func (g Gate) InFlight(done func(id.Message) bool) int {
	n := 0
	for _, e := range g.Entries {
		if e.Counts() && !done(e.Message) {
			n++
		}
	}
	return n
}

// Messages are the messages of the ledger.
func (g Gate) Messages() []id.Message {
	list := make([]id.Message, 0, len(g.Entries))
	for _, e := range g.Entries {
		list = append(list, e.Message)
	}
	return list
}

// InPresent gives the gate as it is to be seen at now: when its period is over, nothing is used of the new one.
func (g Gate) InPresent(now time.Time, terms Terms) Gate {
	if g.Period == "" || !now.Before(g.Ends) {
		g.Period = terms.Kind.Period(now)
		_, g.Ends, _ = bounds(g.Period)
		g.Used, g.Limit, g.Remaining, g.Reached = 0, terms.Limit, terms.Limit, Reached{}
	}
	if g.Version != terms.Version {
		g.PlanID, g.Version, g.Remaining, g.Limit = terms.PlanID, terms.Version, g.Remaining+terms.Limit-g.Limit, terms.Limit
	}
	g.Blocked = terms.Blocked
	return g
}

// Wait is how long the account must wait before n messages more may go, at its rate.
func (g Gate) Wait(now time.Time, rate Rate, n int64) time.Duration {
	if rate.Limit <= 0 {
		return 0
	}
	t := rate.interval()
	free := g.NextFree.Add(time.Duration(n-rate.Burst) * t)
	if d := free.Sub(now); d > 0 && g.NextFree.After(now) {
		return d
	}
	return 0
}

// Behind is the end of the line that messages of a batch, or single ones, stand in.
func (g Gate) Behind(batch bool) time.Time {
	if batch {
		return g.BatchLine
	}
	return g.Line
}

// passes reports whether messages may go without a place in a line. Those of batches stand behind single ones that wait.
func (g Gate) passes(now time.Time, t Turn) bool {
	return t.Waited || !g.Line.After(now) && (!t.Batch || !g.BatchLine.After(now))
}

// Room is how many messages may go at once now, at the account's rate.
func (g Gate) Room(now time.Time, rate Rate) int64 {
	if rate.Limit <= 0 {
		return math.MaxInt64
	}
	if !g.NextFree.After(now) {
		return rate.Burst
	}
	t := rate.interval()
	free := now.Add(time.Duration(rate.Burst) * t).Sub(g.NextFree)
	if free < 0 {
		return 0
	}
	return int64(free / t)
}
