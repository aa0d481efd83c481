package main

import (
	"time"

	"contactcenter/shared/api"
	"contactcenter/shared/message"
)

// acceptedView shows a message as it was when it was accepted.
func acceptedView(m message.Message) api.Message {
	v := baseView(m)
	v.Status, v.UpdatedAt = message.Queued, v.CreatedAt
	return v
}

func baseView(m message.Message) api.Message {
	v := api.Message{
		ID: m.ID.String(), ChannelID: m.ChannelID, ConversationID: m.ID.ConversationID(), ProviderID: m.ProviderID, Direction: m.Direction,
		Content: m.Content, ContentSha256: m.ContentSHA256, ClientReference: m.ClientReference, ExpiresAt: api.OptionalTime(m.ExpiresAt),
		RulesVersion: m.RulesVersion, CreatedBy: m.CreatedBy, ReplyTo: m.ReplyTo, CreatedAt: api.At(m.CreatedAt()),
	}
	if m.Direction == message.Inbound {
		v.From = m.Address
	} else {
		v.To = m.Address
	}
	if m.OnLimit == message.Hold {
		hold := api.OnLimitHold
		v.OnLimit = &hold
	}
	return v
}

// place is where a queued message is.
type place int

const (
	inLine place = iota
	// inHand: a dispatcher is working on it.
	inHand
	// switchedOff: its provider is, so it waits for that, wherever its reference is.
	switchedOff
)

// messageView shows a message as it is. The place matters only while it is queued.
func messageView(m message.Message, p place) api.Message {
	v := baseView(m)
	v.Status, v.UpdatedAt = shownStatus(m, p), api.At(m.UpdatedAt())
	v.ProviderMessageID, v.TransferCompletedAt = m.ProviderMessageID, api.OptionalTime(m.TransferCompletedAt)
	if v.Status == message.Held {
		v.HeldReason, v.ReleaseAt = m.HeldReason, api.OptionalTime(m.ReleaseAt)
		if m.Status() == message.Queued {
			v.HeldReason = message.HeldProviderDisabled
		}
	}
	if m.Direction == message.Outbound {
		v.Attempts = &m.Attempts
	}
	if e := m.Error(); e != nil {
		v.Error = &api.MessageError{Code: e.Code, Detail: e.Detail, FaultDomain: e.FaultDomain, ProviderCode: e.ProviderCode, Permanent: e.Permanent}
	}
	for _, s := range m.Timeline() {
		v.Timeline = append(v.Timeline, api.TimelineStep{Status: s.Status, At: api.At(s.At), Reason: s.Reason})
	}
	return v
}

// shownStatus is the status that a reader sees. What comes of a place is shown and never stored.
func shownStatus(m message.Message, p place) message.Status {
	s := m.Status()
	switch {
	case s == message.Queued && p == inHand:
		return message.Sending
	case s == message.Queued && p == switchedOff:
		return message.Held
	}
	return s
}

// conversationView shows a conversation. Window is how long after a reply the provider takes free text; 0: always.
func conversationView(c message.Conversation, window time.Duration) api.Conversation {
	v := api.Conversation{
		ID: c.ID(), ChannelID: c.ChannelID, Address: c.Address,
		LastInboundAt: api.OptionalTime(c.LastInboundAt), LastOutboundAt: api.OptionalTime(c.LastOutboundAt),
	}
	if window > 0 && !c.LastInboundAt.IsZero() {
		v.ReplyWindowClosesAt = api.OptionalTime(c.LastInboundAt.Add(window))
	}
	return v
}
