package main

import (
	"time"

	"contactcenter/shared/api"
	"contactcenter/shared/message"
)

// conversationView shows a conversation. Window is how long after a reply the provider takes free text; 0: always. Place is where
// its last message is.
func conversationView(c message.Conversation, recipientID string, window time.Duration, place api.Place) api.Conversation {
	last := api.MessageOf(c.Last, place)
	v := api.Conversation{
		ID: c.ID(), ChannelID: c.ChannelID, RecipientID: recipientID, Address: c.Address,
		LastInboundAt: api.OptionalTime(c.LastInboundAt), LastOutboundAt: api.OptionalTime(c.LastOutboundAt), LastMessage: &last, UnreadCount: c.Unread,
	}
	if window > 0 && !c.LastInboundAt.IsZero() {
		v.ReplyWindowClosesAt = api.OptionalTime(c.LastInboundAt.Add(window))
	}
	if c.Read.UpTo.Unique != "" {
		v.Read = &api.ReadMarker{UpToMessageID: c.Read.UpTo.String(), ReadBy: c.Read.By, ReadAt: api.At(c.Read.At)}
	}
	if a := c.Assignee; a.UserID != "" {
		v.Assignee = &api.Assignee{UserID: a.UserID, AssignedBy: a.By, AssignedAt: api.At(a.At)}
	}
	return v
}
