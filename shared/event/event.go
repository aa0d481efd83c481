// Package event knows what a CRM can be told of: the types of events, how an event is named so that it has the same name
// however often it is published, and how it is made known to the notifier. An event is a reference; it never carries
// content, an address or a name.
package event

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"contactcenter/shared/id"
)

// Type says what happened, as "resource.step".
type Type string

// The types.
const (
	MessageQueued    Type = "message.queued"
	MessageHeld      Type = "message.held"
	MessageSent      Type = "message.sent"
	MessageDelivered Type = "message.delivered"
	MessageRead      Type = "message.read"
	MessageFailed    Type = "message.failed"
	MessageRejected  Type = "message.rejected"
	MessageExpired   Type = "message.expired"
	MessageCanceled  Type = "message.canceled"
	MessageUnknown   Type = "message.unknown"
	MessageReceived  Type = "message.received"

	ChannelActivated   Type = "channel.activated"
	ChannelDeactivated Type = "channel.deactivated"
	ChannelUpdated     Type = "channel.updated"

	ProviderStatusChanged Type = "provider.status_changed"
	ProviderDisabled      Type = "provider.disabled"
	ProviderRemoved       Type = "provider.removed"
	SubprocessorAdded     Type = "subprocessor.added"

	UsageThresholdReached Type = "usage.threshold_reached"
	UsageLimitReached     Type = "usage.limit_reached"
	UsageReset            Type = "usage.reset"

	RulesPublished           Type = "rules.published"
	AccountRestricted        Type = "account.restricted"
	AccountRestrictionLifted Type = "account.restriction_lifted"
	EvidenceRequested        Type = "evidence.requested"

	// EndpointDisabled tells the account's other endpoints that one was disabled, by its own 410 or because it failed for too long.
	EndpointDisabled Type = "endpoint.disabled"

	// EndpointTest is sent when a user asks for it, and can't be subscribed to.
	EndpointTest Type = "endpoint.test"
)

// Types lists the types that can be subscribed to. Their order never changes; new ones come last, and there are at most 63.
func Types() []Type {
	return []Type{
		MessageQueued, MessageHeld, MessageSent, MessageDelivered, MessageRead, MessageFailed, MessageRejected, MessageExpired, MessageCanceled, MessageUnknown, MessageReceived,
		ChannelActivated, ChannelDeactivated, ChannelUpdated, ProviderStatusChanged, ProviderDisabled, ProviderRemoved, SubprocessorAdded,
		UsageThresholdReached, UsageLimitReached, UsageReset, RulesPublished, AccountRestricted, AccountRestrictionLifted, EvidenceRequested,
		EndpointDisabled,
	}
}

// OfEverybody reports whether events of the type concern every account alike, so that they are published once for all.
func (t Type) OfEverybody() bool {
	switch t {
	case ProviderStatusChanged, ProviderDisabled, ProviderRemoved, SubprocessorAdded, RulesPublished:
		return true
	}
	return false
}

// Resource is the kind of thing that an event of the type is about: "message", "usage" and so on.
func (t Type) Resource() string {
	kind, _, _ := strings.Cut(string(t), ".")
	if t == SubprocessorAdded {
		return "provider"
	}
	return kind
}

// Set is a set of types. The zero Set is empty.
type Set uint64

// All holds every type, also those that are yet to come.
const All Set = 1<<63 | (1<<63 - 1)

// SetOf makes a set. It reports the first text that is no type.
func SetOf(names ...string) (s Set, unknown string) {
	for _, name := range names {
		i := slices.Index(Types(), Type(name))
		if i < 0 {
			return 0, name
		}
		s |= 1 << i
	}
	return s, ""
}

// Has reports whether the set holds a type.
func (s Set) Has(t Type) bool {
	i := slices.Index(Types(), t)
	return i >= 0 && s&(1<<i) != 0
}

// Names lists the types of the set, in the order of Types.
func (s Set) Names() []string {
	var out []string
	for i, t := range Types() {
		if s&(1<<i) != 0 {
			out = append(out, string(t))
		}
	}
	return out
}

// Encode gives the set as it is stored: "" for the empty one, "*" for All.
func (s Set) Encode() string {
	if s == All {
		return "*"
	}
	return strings.Join(s.Names(), " ")
}

// Decode reads what Encode gave. A type that this version does not know is left out.
func Decode(text string) Set {
	if text == "*" {
		return All
	}
	var s Set
	for _, name := range strings.Fields(text) {
		one, _ := SetOf(name)
		s |= one
	}
	return s
}

// Event is something that happened to a resource of an account.
type Event struct {
	ID   string `json:"event_id"`
	Type Type   `json:"type"`
	// At is when it happened, to the millisecond.
	At time.Time `json:"at"`
	// AccountID is whose it is; "": everybody's who asked for the type.
	AccountID string `json:"account_id,omitempty"`
	// Resource is the id of what it is about; "" for what an account has one of.
	Resource string `json:"resource,omitempty"`
}

// New names an event by what happened: the same step gives the same event again, so that it may be published twice. Nth tells
// apart steps of one type that a resource takes more than once; "" where it takes it once.
func New(t Type, accountID, resource string, at time.Time, nth string) Event {
	at = at.UTC().Truncate(time.Millisecond)
	return Event{
		ID: id.Derived(id.EventPrefix, at, string(t), accountID, resource, nth), Type: t, At: at, AccountID: accountID, Resource: resource,
	}
}

// For gives everybody's event as one account's.
func (e Event) For(accountID string) Event {
	e.AccountID, e.ID = accountID, id.Derived(id.EventPrefix, e.At, e.ID, accountID)
	return e
}

// ErrMalformed: the body is no event.
var ErrMalformed = errors.New("malformed event")

// Parse reads an event as the queue carries it. It returns ErrMalformed for anything else.
func Parse(body string) (Event, error) {
	var e Event
	if err := json.Unmarshal([]byte(body), &e); err != nil || !id.Valid(id.EventPrefix, e.ID) || !slices.Contains(Types(), e.Type) || e.At.IsZero() {
		return Event{}, ErrMalformed
	}
	return e, nil
}

// Compare orders events by their time.
func Compare(a, b Event) int { return cmp.Compare(a.ID, b.ID) }
