// Package message knows the Business message: its states, its timeline, and how it is kept. It does not know usage
// limits, providers or HTTP.
package message

import (
	"errors"
	"slices"
	"time"

	"contactcenter/shared/content"
	"contactcenter/shared/id"
)

// ErrNotFound: the account has no such message.
var ErrNotFound = errors.New("message not found")

// DefaultRetention is how long messages are kept.
const DefaultRetention = 365 * 24 * time.Hour

// Status is where a message is on its way.
type Status string

// The statuses, in the order of their rank. Sending is shown to readers and never stored.
const (
	Scheduled Status = "scheduled"
	Queued    Status = "queued"
	Held      Status = "held"
	Sending   Status = "sending"
	Failed    Status = "failed"
	Unknown   Status = "unknown"
	Expired   Status = "expired"
	Sent      Status = "sent"
	Delivered Status = "delivered"
	Read      Status = "read"
	Canceled  Status = "canceled"
	Rejected  Status = "rejected"
	// Received is the one status of an inbound message.
	Received Status = "received"
)

// Rank orders the statuses: a status never gives way to one of a lower rank. Canceled, rejected and received are
// ends that nothing follows.
func (s Status) Rank() int {
	switch s {
	case Scheduled, Queued, Held, Sending:
		return 0
	case Failed, Unknown, Expired:
		return 1
	case Sent:
		return 2
	case Delivered:
		return 3
	case Read:
		return 4
	default:
		return 5
	}
}

// Waiting reports whether a message of this status is still to be handed to the provider.
func (s Status) Waiting() bool { return s.Rank() == 0 }

// Valid reports whether s is a status that a message can be asked for by.
func (s Status) Valid() bool {
	switch s {
	case Scheduled, Queued, Held, Sending, Failed, Unknown, Expired, Sent, Delivered, Read, Canceled, Rejected, Received:
		return true
	}
	return false
}

// Direction says who wrote the message.
type Direction string

// The directions.
const (
	Outbound Direction = "outbound"
	Inbound  Direction = "inbound"
)

// OnLimit says what becomes of a message when the number of the usage period is used up.
type OnLimit string

// The choices; Reject is the default.
const (
	Reject OnLimit = "reject"
	Hold   OnLimit = "hold"
)

// Reasons why a message is held.
const (
	HeldUsageLimit        = "usage_limit_reached"
	HeldAccountRestricted = "account_restricted"
	HeldProviderDisabled  = "provider_disabled"
	HeldChannelInactive   = "channel_inactive"
	// HeldProviderOutage: nothing gets through to the provider. It is shown, and never stored.
	HeldProviderOutage = "provider_outage"
	// HeldOrder: an earlier message of the same conversation is held.
	HeldOrder = "earlier_message_held"
)

// StepLined is the reason of the step by which a message waits for its sender, which sends more slowly than messages come.
const StepLined = "sender_rate"

// StepReleased is the reason of the step by which a held message goes on.
const StepReleased = "released"

// Problem says why a message came to a bad end, and whose fault that is.
type Problem struct {
	Code         string `json:"code"`
	Detail       string `json:"detail,omitempty"`
	FaultDomain  string `json:"fault_domain"`
	ProviderCode string `json:"provider_code,omitempty"`
	Permanent    bool   `json:"permanent"`
}

// Step is one entry of a message's timeline.
type Step struct {
	Status Status
	At     time.Time
	// Reason is a stable code: why it is held, why it is tried again, why it failed.
	Reason string
}

// Message is one Business message as it is stored.
type Message struct {
	AccountID string
	ID        id.Message
	Direction Direction
	ChannelID string
	// ProviderID is the provider that the channel belonged to when the message was accepted.
	ProviderID string
	// Address is the End recipient's: whom an outbound message is for, whom an inbound one is from. It and Content are
	// empty until the store has opened them.
	Address         string
	Content         content.Content
	ContentSHA256   string
	ClientReference string
	OnLimit         OnLimit
	// ExpiresAt is zero when the message does not expire.
	ExpiresAt time.Time
	// SendAt is when it is to go, and not before; zero: as soon as its turn comes. Until then it is stored as queued, and shown
	// as scheduled.
	SendAt       time.Time
	RulesVersion string
	CreatedBy    string
	// ReplyTo is the id of the message that this one answers: as it was sent, or, of an inbound one, where the provider says so.
	ReplyTo string

	// Outcome is what the Contact Center knows of the handing over; Report is what the provider told of the
	// delivery. Each moves forward by itself, so neither can be lost to the other; Status joins them.
	Outcome Status
	Report  Status
	// Claim is the claim under which the message is counted; 0: it is not counted.
	Claim int64
	// Fence is the lease of the last holder that took the message over; 0: none did.
	Fence    int64
	Attempts int
	// Spared are those of the attempts that failed while nothing got through to the provider.
	Spared              int
	ProviderMessageID   string
	TransferCompletedAt time.Time
	// ProviderVersion is the version of the provider's entry in the registry that the message was handed over under, which
	// says where that provider took data then; 0: it was not handed over.
	ProviderVersion int64
	HeldReason      string
	// HeldBy is the restriction that the message is held for; "" for none.
	HeldBy string
	// HeldLease is the lease under which the message was held last. Each holding has another.
	HeldLease int64
	// ReleaseAt is when a held message is looked at again, as far as that is known.
	ReleaseAt time.Time
	// NotBefore is when the next attempt may be made after one that failed.
	NotBefore     time.Time
	OutcomeError  *Problem
	ReportedError *Problem
	Steps         []Step
	// KeptFor is the retention of a message that is to be written; 0: the store's.
	KeptFor time.Duration
	// ErasedAt is when everything that is of a person was taken out of it; zero: it is all there.
	ErasedAt time.Time
	// External says that the content lies in an item of its own, because it is long.
	External bool

	replyNo int64  // a reply's number among those of its conversation, when it is written
	sealed  []byte // address and short content, until they are opened
}

func (m Message) keptFor(otherwise time.Duration) time.Duration {
	if m.KeptFor > 0 {
		return m.KeptFor
	}
	return otherwise
}

// CreatedAt is the time in the message's id.
func (m Message) CreatedAt() time.Time { return m.ID.Time() }

// Scheduled reports whether the message is to go at a time that has not come at now.
func (m Message) Scheduled(now time.Time) bool { return m.Outcome == Queued && m.SendAt.After(now) }

// Counted reports whether the message holds a unit of usage.
func (m Message) Counted() bool { return m.Claim != 0 }

// Status joins what we did with what the provider reported.
func (m Message) Status() Status {
	switch {
	case m.Outcome == Canceled || m.Outcome == Rejected || m.Outcome == Received:
		return m.Outcome
	case m.Report == Delivered || m.Report == Read:
		return m.Report
	case m.Report == Failed:
		return Failed
	case m.Report == Sent && m.Outcome.Rank() < Sent.Rank():
		return Sent
	}
	return m.Outcome
}

// Final reports whether the handing over is done: no dispatcher has anything left to do with the message.
func (m Message) Final() bool { return !m.Outcome.Waiting() }

// ExpiredProblem is that of a message that was not handed over in time.
func ExpiredProblem() Problem {
	return Problem{Code: "delivery_expired", Detail: "It could not be handed over before its expires_at.", FaultDomain: "customer", Permanent: true}
}

// Error is the problem that belongs to the message's present status, or nil.
func (m Message) Error() *Problem {
	switch m.Status() {
	case Failed:
		if m.Report == Failed {
			return m.ReportedError
		}
		return m.OutcomeError
	case Unknown, Expired, Rejected:
		return m.OutcomeError
	}
	return nil
}

// UpdatedAt is the time of the last step.
func (m Message) UpdatedAt() time.Time {
	at := m.CreatedAt()
	for _, s := range m.Steps {
		if s.At.After(at) {
			at = s.At
		}
	}
	return at
}

// UpdatedHere is the time of the last step that the Contact Center itself took: of the last call for it, once it was handed
// over. A later report of the provider does not count.
func (m Message) UpdatedHere() time.Time {
	if !m.TransferCompletedAt.IsZero() {
		return m.TransferCompletedAt
	}
	return m.UpdatedAt()
}

// Timeline is the message's steps in the order in which they happened. A report that overtook our own write of the
// outcome stands behind it, and no step is shown earlier than the one before: providers tell time in whole seconds.
func (m Message) Timeline() []Step {
	first := Step{Status: Queued, At: m.CreatedAt()}
	if m.Direction == Inbound {
		first.Status = Received
	}
	if !m.SendAt.IsZero() {
		first.Status = Scheduled
	}
	steps := []Step{first}
	if !m.SendAt.IsZero() && len(m.Steps) > 0 && !m.Steps[0].At.Before(m.SendAt) {
		steps = append(steps, Step{Status: Queued, At: m.SendAt})
	}
	own := len(steps) // what stands before the steps that were written
	for n, s := range m.Steps {
		i := len(steps)
		for i > own && m.overtook(steps[i-1], n) {
			i--
		}
		steps = slices.Insert(steps, i, s)
	}
	for i := 1; i < len(steps); i++ {
		if steps[i].At.Before(steps[i-1].At) {
			steps[i].At = steps[i-1].At
		}
	}
	return steps
}

// overtook reports whether an earlier step is of a provider's report that was written before our own "sent", which must
// precede it. A failure of our own may well stand before "sent"; the one that the provider reported, the last of them,
// may not.
func (m Message) overtook(earlier Step, later int) bool {
	if m.Steps[later].Status != Sent {
		return false
	}
	reported := -1
	for i, s := range m.Steps {
		if m.Report == Failed && s.Status == Failed {
			reported = i
		}
	}
	return earlier.Status == Delivered || earlier.Status == Read || reported >= 0 && reported < later && earlier == m.Steps[reported]
}
