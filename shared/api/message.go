package api

import (
	"context"
	"errors"

	"contactcenter/shared/message"
	"contactcenter/shared/provider/registry"
)

// AcceptedMessageOf shows a message as it was when it was accepted.
func AcceptedMessageOf(m message.Message) Message {
	v := messageOf(m)
	v.Status, v.UpdatedAt = message.Queued, v.CreatedAt
	if !m.SendAt.IsZero() {
		v.Status = message.Scheduled
	}
	return v
}

func messageOf(m message.Message) Message {
	v := Message{
		ID: m.ID.String(), ChannelID: m.ChannelID, ConversationID: m.ID.ConversationID(), ProviderID: m.ProviderID, Direction: m.Direction,
		ContentSha256: m.ContentSHA256, ErasedAt: OptionalTime(m.ErasedAt), ClientReference: m.ClientReference, ExpiresAt: OptionalTime(m.ExpiresAt), SendAt: OptionalTime(m.SendAt),
		RulesVersion: m.RulesVersion, CreatedBy: m.CreatedBy, ReplyTo: m.ReplyTo, CreatedAt: At(m.CreatedAt()),
	}
	if m.ErasedAt.IsZero() {
		v.Content = &m.Content
	}
	if m.Direction == message.Inbound {
		v.From = m.Address
	} else {
		v.To = m.Address
	}
	if m.OnLimit == message.Hold {
		hold := OnLimitHold
		v.OnLimit = &hold
	}
	return v
}

// Place is where a queued message is.
type Place int

// The places.
const (
	InLine Place = iota
	// InHand: a dispatcher is working on it.
	InHand
	// SwitchedOff: its provider is, so it waits for that, wherever its reference is.
	SwitchedOff
	// Unreachable: nothing gets through to its provider, so it waits for that.
	Unreachable
	// Blocked: a restriction keeps it from going, wherever its reference is.
	Blocked
	// NotDue: its time has not come.
	NotDue
)

// MessageOf shows a message as it is. The place matters only while it is queued.
func MessageOf(m message.Message, p Place) Message {
	v := messageOf(m)
	v.Status, v.UpdatedAt = ShownStatus(m, p), At(m.UpdatedAt())
	v.ProviderMessageID, v.TransferCompletedAt = m.ProviderMessageID, OptionalTime(m.TransferCompletedAt)
	if v.Status == message.Held {
		v.HeldReason, v.ReleaseAt = m.HeldReason, OptionalTime(m.ReleaseAt)
		if m.Status() == message.Queued {
			v.HeldReason = p.reason()
		}
	}
	if m.Direction == message.Outbound {
		v.Attempts = &m.Attempts
	}
	if e := m.Error(); e != nil {
		v.Error = &MessageError{Code: e.Code, Detail: e.Detail, FaultDomain: e.FaultDomain, ProviderCode: e.ProviderCode, Permanent: e.Permanent}
	}
	for _, s := range m.Timeline() {
		v.Timeline = append(v.Timeline, TimelineStep{Status: s.Status, At: At(s.At), Reason: s.Reason})
	}
	return v
}

// ShownStatus is the status that a reader sees. What comes of a place is shown and never stored.
func ShownStatus(m message.Message, p Place) message.Status {
	s := m.Status()
	switch {
	case s == message.Queued && p == InHand:
		return message.Sending
	case s == message.Queued && p == NotDue:
		return message.Scheduled
	case s == message.Queued && p.reason() != "":
		return message.Held
	}
	return s
}

// reason is why a queued message of this place is shown as held, "" where it is not.
func (p Place) reason() string {
	switch p {
	case SwitchedOff:
		return message.HeldProviderDisabled
	case Unreachable:
		return message.HeldProviderOutage
	case Blocked:
		return message.HeldAccountRestricted
	}
	return ""
}

// ProviderVersions knows what was said of a provider when a message was handed over. *registry.Store is one.
type ProviderVersions interface {
	Version(ctx context.Context, providerID string, version int64) (registry.Change, error)
}

// WholeMessageOf shows a message with all that is known of it, as its GET does and its events do. Providers give what they
// said when it was handed over: one request, none when that is in memory.
func WholeMessageOf(ctx context.Context, m message.Message, p Place, providers ProviderVersions) (Message, error) {
	v := MessageOf(m, p)
	v.Latency = latencyOf(m)
	var err error
	v.Transfer, err = TransferOf(ctx, m, providers)
	return v, err
}

// TransferOf shows to whom a message was handed over, and to which countries that provider took data by its entry of then.
// It is nil before the hand-over.
func TransferOf(ctx context.Context, m message.Message, providers ProviderVersions) (*Transfer, error) {
	if m.ProviderVersion == 0 {
		return nil, nil
	}
	c, err := providers.Version(ctx, m.ProviderID, m.ProviderVersion)
	if err != nil && !errors.Is(err, registry.ErrNotFound) { // an entry from before versions were kept names no countries
		return nil, err
	}
	return &Transfer{ProviderID: m.ProviderID, ProviderVersion: m.ProviderVersion, Countries: c.Entry.TransferCountries}, nil
}

// latencyOf shows where an outbound message's time went; nil until its provider has taken it.
func latencyOf(m message.Message) *Latency {
	l, known := m.Latency()
	if !known {
		return nil
	}
	v := &Latency{QueueMs: l.Queue.Milliseconds(), TotalMs: l.Total().Milliseconds()}
	if l.Held > 0 {
		held := l.Held.Milliseconds()
		v.HeldMs = &held
	}
	if l.Reported {
		reported := l.Provider.Milliseconds()
		v.ProviderMs = &reported
	}
	return v
}
