package main

import (
	"context"
	"sync"

	"contactcenter/shared/api"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/channel"
	"contactcenter/shared/id"
	"contactcenter/shared/usage"
)

// ahead is what messages are checked against, read before it is asked for: in one request for all messages of a batch, where it would
// be three for each, one after the other. What is not read ahead is read when it is asked for. It is safe for concurrent use.
//
// All of it is read eventually consistent: whatever says no is looked at again, and what is missed is found by the dispatcher.
type ahead struct {
	*Handler
	accountID string
	gate      func() (usage.Gate, error)
	optedOut  map[string]bool // by conversation: those that were read

	mu       sync.Mutex
	channels map[string]func() (channel.Channel, error)
}

// readAhead reads the account's gate, and what the requests name without a look at anything else: channels, and whether recipients opted out.
func (h *Handler) readAhead(ctx context.Context, accountID string, requests ...api.SendMessageRequest) *ahead {
	a := &ahead{Handler: h, accountID: accountID, optedOut: map[string]bool{}, channels: map[string]func() (channel.Channel, error){}}
	keys := []awsclient.Key{h.Gates.At(accountID)}
	var channels, conversations []string
	for _, r := range requests {
		if r.ChannelID != nil && id.Valid(id.ChannelPrefix, *r.ChannelID) {
			channels = append(channels, *r.ChannelID)
			keys = append(keys, h.Channels.At(*r.ChannelID))
		}
	}
	for _, r := range requests {
		if c := h.conversationOf(accountID, r); c != "" {
			conversations = append(conversations, c)
			keys = append(keys, h.OptOuts.At(accountID, c))
		}
	}
	items, err := awsclient.ReadTogether(ctx, h.DB, false, keys...)
	if err != nil {
		a.gate = func() (usage.Gate, error) { return usage.Gate{}, err }
		return a
	}
	gate, ofChannels, ofConversations := items[0], items[1:1+len(channels)], items[1+len(channels):]
	a.gate = func() (usage.Gate, error) { return h.Gates.Found(gate) }
	for i, channelID := range channels {
		a.channels[channelID] = func() (channel.Channel, error) { return h.Channels.Found(ofChannels[i]) }
	}
	for i, c := range conversations {
		a.optedOut[c] = ofConversations[i] != nil
	}
	return a
}

// conversationOf is the conversation that a request asks for, "" if it says none that can be.
func (h *Handler) conversationOf(accountID string, r api.SendMessageRequest) string {
	switch {
	case r.ConversationID != nil:
		key, err := id.ParseConversation(*r.ConversationID)
		if err != nil {
			return ""
		}
		return key
	case r.ChannelID != nil && r.To != nil:
		return h.Conversations.Key(accountID, *r.ChannelID, *r.To)
	}
	return ""
}

// peek gives a channel as Peek does. One that was not read ahead is read once.
func (a *ahead) peek(ctx context.Context, channelID string) (channel.Channel, error) {
	a.mu.Lock()
	read, ok := a.channels[channelID]
	if !ok {
		read = sync.OnceValues(func() (channel.Channel, error) { return a.Channels.Peek(ctx, channelID) })
		a.channels[channelID] = read
	}
	a.mu.Unlock()
	return read()
}

// stopped tells whether the recipient of a conversation opted out.
func (a *ahead) stopped(ctx context.Context, conversation string) (bool, error) {
	if out, ok := a.optedOut[conversation]; ok {
		return out, nil
	}
	out, err := a.OptOuts.OptedOut(ctx, a.accountID, false, conversation)
	return out[conversation], err
}
