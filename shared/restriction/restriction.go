// Package restriction knows the operator's restrictions (clause 13 of the Rules): what one forbids or limits, whom it
// concerns, and while it is in force. It does not know how restrictions are stored, nor how usage is counted.
package restriction

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"contactcenter/shared/usage"
)

// Kind says what a restriction does.
type Kind string

// The kinds. Block lets nothing be sent; Limit lowers number or frequency.
const (
	Block Kind = "block"
	Limit Kind = "limit"
)

// Status says whether a restriction is in force.
type Status string

// The statuses.
const (
	Active  Status = "active"
	Lifted  Status = "lifted"
	Expired Status = "expired"
)

// MaxReason bounds the text of a reason, in characters.
const MaxReason = 500

// MaxActive bounds how many restrictions of one account may be in force at once.
const MaxActive = 50

// ErrNotFound: there is no such restriction.
var ErrNotFound = errors.New("restriction not found")

// ErrTooMany: MaxActive restrictions are in force.
var ErrTooMany = errors.New("too many restrictions are in force")

// Scope says whose messages a restriction concerns: those of which all that it names is so. The zero Scope is the whole account's.
type Scope struct {
	ChannelID   string `json:"channel,omitempty"`
	ProviderID  string `json:"provider,omitempty"`
	RecipientID string `json:"recipient,omitempty"`
}

// Account reports whether the scope is the whole account.
func (s Scope) Account() bool { return s == Scope{} }

// Way is a message's way: by which provider, on which channel, to which recipient. What is "" is not known, or not asked for.
type Way struct{ ProviderID, ChannelID, RecipientID string }

// covers reports whether a message on this way lies in the scope.
func (s Scope) covers(w Way) bool {
	return (s.ProviderID == "" || s.ProviderID == w.ProviderID) && (s.ChannelID == "" || s.ChannelID == w.ChannelID) && (s.RecipientID == "" || s.RecipientID == w.RecipientID)
}

// Rate is a limit on frequency: Limit messages in WindowSeconds, with Burst at once after a pause.
type Rate struct {
	Limit         int64 `json:"limit"`
	WindowSeconds int64 `json:"window"`
	Burst         int64 `json:"burst"`
}

// Usage gives the rate as package usage counts it. A burst of 0 is the rate's limit.
func (r Rate) Usage() usage.Rate {
	if r.Burst == 0 {
		r.Burst = r.Limit
	}
	return usage.Rate{Limit: r.Limit, Window: time.Duration(r.WindowSeconds) * time.Second, Burst: r.Burst}
}

// Restriction is one restriction. What it says never changes; it ends by itself, or is lifted.
type Restriction struct {
	ID        string `json:"id"`
	AccountID string `json:"account,omitempty"`
	Kind      Kind   `json:"kind"`
	Scope     Scope  `json:"scope,omitzero"`
	// Reason is shown to the customer. Clause is the clause of the Rules, or the prohibited use, that it rests on.
	Reason string `json:"reason"`
	Clause string `json:"clause"`
	// ComplaintID names the complaint that led to it, "" for none. What the complaint says is not shown to the customer.
	ComplaintID string    `json:"complaint,omitempty"`
	From        time.Time `json:"from"`
	// Until is when it ends by itself; zero: it does not.
	Until time.Time `json:"until,omitzero"`
	// Limit is the number of messages in a period of the account's plan, Rate the frequency; nil: not limited. Only
	// kind Limit has them.
	Limit *int64 `json:"limit,omitempty"`
	Rate  *Rate  `json:"rate,omitempty"`

	// Closure: the account ordered it itself, by closing. The operator can't lift it.
	Closure bool `json:"closure,omitempty"`

	CreatedBy string    `json:"created_by,omitempty"`
	LiftedAt  time.Time `json:"lifted_at,omitzero"`
	LiftedBy  string    `json:"lifted_by,omitempty"`
}

// StatusAt is the restriction's status at a moment.
func (r Restriction) StatusAt(now time.Time) Status {
	switch {
	case !r.LiftedAt.IsZero():
		return Lifted
	case !r.Until.IsZero() && !now.Before(r.Until):
		return Expired
	}
	return Active
}

// Set is restrictions of one account.
type Set []Restriction

// ActiveAt gives those that are in force at a moment.
func (s Set) ActiveAt(now time.Time) Set {
	var list Set
	for _, r := range s {
		if r.StatusAt(now) == Active {
			list = append(list, r)
		}
	}
	return list
}

// Blocking gives the restriction that blocks messages on a way: the whole account's first. What of the way is "" leaves out the
// restrictions that name it; the zero Way asks for the account's alone.
func (s Set) Blocking(w Way) (Restriction, bool) {
	var found Restriction
	for _, r := range s {
		if r.Kind != Block || !r.Scope.covers(w) {
			continue
		}
		if r.Scope.Account() {
			return r, true
		}
		found = r
	}
	return found, found.ID != ""
}

// Limiting gives the limits of providers, channels and recipients that hold for messages on a way. The whole account's are part
// of its terms instead.
func (s Set) Limiting(w Way) Set {
	var list Set
	for _, r := range s {
		if r.Kind == Limit && !r.Scope.Account() && r.Scope.covers(w) {
			list = append(list, r)
		}
	}
	return list
}

// Find gives one of the restrictions.
func (s Set) Find(restrictionID string) (Restriction, bool) {
	for _, r := range s {
		if r.ID == restrictionID {
			return r, true
		}
	}
	return Restriction{}, false
}

// OfRecipients reports whether one of them concerns a recipient.
func (s Set) OfRecipients() bool {
	return slices.ContainsFunc(s, func(r Restriction) bool { return r.Scope.RecipientID != "" })
}

// Ends is when the first of them ends by itself; zero: none does.
func (s Set) Ends() time.Time {
	var first time.Time
	for _, r := range s {
		if !r.Until.IsZero() && (first.IsZero() || r.Until.Before(first)) {
			first = r.Until
		}
	}
	return first
}

// Limits says what lowers a plan's limits, by the restrictions' ids: "" where the plan's own holds.
type Limits struct{ NumberBy, RateBy string }

// Apply gives the terms that hold under the set: the smaller of the plan's limits and the restrictions' on the whole
// account. The version names the whole set, of every scope, so that whoever acts under a version knows them all.
func (s Set) Apply(t usage.Terms) (usage.Terms, Limits) {
	var by Limits
	for _, r := range s {
		if !r.Scope.Account() {
			continue
		}
		t.Blocked = t.Blocked || r.Kind == Block
		if r.Limit != nil && *r.Limit < t.Limit {
			t.Limit, by.NumberBy = *r.Limit, r.ID
		}
		if r.Rate != nil {
			if lower, changed := slower(t.Rate, r.Rate.Usage()); changed {
				t.Rate, by.RateBy = lower, r.ID
			}
		}
	}
	t.Changes = s.Ends()
	if name := s.name(); name != "" {
		t.Version += "+" + name
	}
	return t, by
}

// slower gives the lower of two rates, and of two bursts; changed says that it is not the first.
func slower(a, b usage.Rate) (usage.Rate, bool) {
	r := a
	if a.Limit <= 0 || b.Limit*int64(a.Window/time.Second) < a.Limit*int64(b.Window/time.Second) {
		r.Limit, r.Window = b.Limit, b.Window
	}
	if a.Limit <= 0 || b.Burst < a.Burst {
		r.Burst = b.Burst
	}
	return r, r != a
}

// name names the set by its members, whatever their order; "" is the empty set.
func (s Set) name() string {
	if len(s) == 0 {
		return ""
	}
	ids := make([]string, len(s))
	for i, r := range s {
		ids[i] = r.ID
	}
	slices.Sort(ids)
	h := fnv.New64a()
	_, _ = h.Write([]byte(strings.Join(ids, " "))) // never fails
	return fmt.Sprintf("%x", h.Sum64())
}

// Encode writes a set that is only ever read and written whole.
func (s Set) Encode() (string, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("encode restrictions: %w", err)
	}
	return string(b), nil
}

// Decode reads what Encode wrote; "" is the empty set.
func Decode(text string) (Set, error) {
	if text == "" {
		return nil, nil
	}
	var s Set
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return nil, fmt.Errorf("decode restrictions: %w", err)
	}
	return s, nil
}
