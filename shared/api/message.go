package api

import (
	"contactcenter/shared/message"
)

// AcceptedMessageOf shows a message as it was when it was accepted.
func AcceptedMessageOf(m message.Message) Message {
	v := messageOf(m)
	v.Status, v.UpdatedAt = message.Queued, v.CreatedAt
	return v
}

func messageOf(m message.Message) Message {
	v := Message{
		ID: m.ID.String(), ChannelID: m.ChannelID, ConversationID: m.ID.ConversationID(), ProviderID: m.ProviderID, Direction: m.Direction,
		ContentSha256: m.ContentSHA256, ErasedAt: OptionalTime(m.ErasedAt), ClientReference: m.ClientReference, ExpiresAt: OptionalTime(m.ExpiresAt),
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

// MessageOf shows a message as it is. Sending says that a dispatcher has it in hand.
func MessageOf(m message.Message, sending bool) Message {
	v := messageOf(m)
	v.Status, v.UpdatedAt = ShownStatus(m, sending), At(m.UpdatedAt())
	v.ProviderMessageID, v.TransferCompletedAt = m.ProviderMessageID, OptionalTime(m.TransferCompletedAt)
	if v.Status == message.Held {
		v.HeldReason, v.ReleaseAt = m.HeldReason, OptionalTime(m.ReleaseAt)
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

// ShownStatus is a message's status as readers see it. Sending says that a dispatcher has it in hand.
func ShownStatus(m message.Message, sending bool) message.Status {
	if s := m.Status(); s != message.Queued || !sending {
		return s
	}
	return message.Sending
}
