// Package account knows Customer Accounts and Service Plans: which plan an account has, and what limits that sets. How
// much of a plan is used is known by package usage.
package account

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"contactcenter/shared/event"
	"contactcenter/shared/restriction"
	"contactcenter/shared/usage"
)

// InFlight is how many messages of an account may be on their way to a provider at once, where the plan says nothing
// else. It keeps an account's gate within one write unit.
const InFlight = 20

// Account is one Customer Account. Its id comes from the CRM's identity provider.
type Account struct {
	ID        string
	PlanID    string
	CreatedAt time.Time
	// RetentionDays is how long new messages of the account are kept; 0: DefaultRetentionDays.
	RetentionDays int64
	// Countries are those to which data may go.
	Countries Countries
	// Restrictions are those that were in force when one was made or lifted last; some may have ended since.
	Restrictions restriction.Set
	// Listens is what the account's webhook endpoints ask to be told of.
	Listens event.Set
}

// DefaultRetentionDays is how long messages are kept where the account says nothing else, MaxRetentionDays the longest.
const (
	DefaultRetentionDays = 365
	MaxRetentionDays     = 3650
)

// Retention is how long messages are kept that are recorded from now on.
func (a Account) Retention() time.Duration {
	days := a.RetentionDays
	if days == 0 {
		days = DefaultRetentionDays
	}
	return time.Duration(days) * 24 * time.Hour
}

// Standing is what an account may do at a moment: its Service Plan under the restrictions in force.
type Standing struct {
	// PlanTerms are what the Service Plan alone sets, Terms what holds. LimitedBy says what makes the difference.
	PlanTerms, Terms usage.Terms
	LimitedBy        restriction.Limits
	// Restrictions are those in force.
	Restrictions restriction.Set
	// Countries are those to which the account lets data go.
	Countries Countries
	// Retention is how long a message is kept that is accepted now.
	Retention time.Duration
	// Listens is what the account's webhook endpoints ask to be told of: nothing else is published.
	Listens event.Set
}

// standing joins an account with its plan, as it is at a moment.
func standing(a Account, p Plan, now time.Time) Standing {
	st := Standing{PlanTerms: p.Terms(), Restrictions: a.Restrictions.ActiveAt(now), Countries: a.Countries, Retention: a.Retention(), Listens: a.Listens}
	terms := st.PlanTerms
	terms.Version += a.Countries.version()
	st.Terms, st.LimitedBy = st.Restrictions.Apply(terms)
	return st
}

// Plan is a Service Plan: how many messages in a period, and how often.
type Plan struct {
	ID string
	// Version counts the plan's changes, from 1.
	Version int64
	// Limit is the number of messages in a period; 0 lets none pass.
	Limit  int64
	Period usage.PeriodKind
	Rate   Rate
	// InFlight is how many messages of an account may be on their way to a provider at once: 1 to MaxInFlight. Each 20
	// of them make a message's reservation one write unit dearer.
	InFlight int
}

// Rate is a limit on frequency: Limit messages in WindowSeconds, with Burst at once after a pause.
type Rate struct {
	Limit         int64
	WindowSeconds int64
	Burst         int64
}

// The largest numbers that a plan may have; they keep the gate's arithmetic far from its bounds.
const (
	MaxLimit         = 1_000_000_000
	MaxRate          = 1_000_000
	MaxWindowSeconds = 31 * 24 * 3600
	MaxInFlight      = 100
)

// Normal gives the plan with its defaults filled in: a burst of 0 becomes the rate's limit, an InFlight of 0 the
// constant.
func (p Plan) Normal() Plan {
	if p.Rate.Burst == 0 {
		p.Rate.Burst = p.Rate.Limit
	}
	if p.InFlight == 0 {
		p.InFlight = InFlight
	}
	return p
}

// Terms are the limits that the plan sets. Their version changes with the plan, and with the plan's own.
func (p Plan) Terms() usage.Terms {
	p = p.Normal()
	return usage.Terms{
		PlanID: p.ID, Version: fmt.Sprintf("%s.%d", p.ID, p.Version), Limit: p.Limit, Kind: p.Period,
		Rate:     usage.Rate{Limit: p.Rate.Limit, Window: time.Duration(p.Rate.WindowSeconds) * time.Second, Burst: p.Rate.Burst},
		InFlight: p.InFlight,
	}
}

// same reports whether two plans set the same limits.
func (p Plan) same(q Plan) bool {
	return p.Limit == q.Limit && p.Period == q.Period && p.Rate == q.Rate && p.InFlight == q.InFlight
}

var (
	// ErrNotFound: there is no such account.
	ErrNotFound = errors.New("account not found")
	// ErrPlanNotFound: there is no such plan.
	ErrPlanNotFound = errors.New("plan not found")
	// ErrID: the text can't be the id of an account or a plan.
	ErrID = errors.New("malformed account or plan id")
)

// ValidID reports whether s can be the id of an account or a plan: 1 to 128 letters, digits, "_", "-", "." and ":".
func ValidID(s string) bool {
	return s != "" && len(s) <= 128 && strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_-.:", r)
	}) < 0
}
