package main

import (
	"time"

	"contactcenter/shared/api"
	"contactcenter/shared/message"
)

// conversationView shows a conversation. Window is how long after a reply the provider takes free text; 0: always.
func conversationView(c message.Conversation, recipientID string, window time.Duration) api.Conversation {
	v := api.Conversation{
		ID: c.ID(), ChannelID: c.ChannelID, RecipientID: recipientID, Address: c.Address,
		LastInboundAt: api.OptionalTime(c.LastInboundAt), LastOutboundAt: api.OptionalTime(c.LastOutboundAt),
	}
	if window > 0 && !c.LastInboundAt.IsZero() {
		v.ReplyWindowClosesAt = api.OptionalTime(c.LastInboundAt.Add(window))
	}
	return v
}
