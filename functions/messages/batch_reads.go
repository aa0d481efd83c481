package main

import (
	"context"
	"slices"
	"sync"

	"contactcenter/shared/api"
	"contactcenter/shared/channel"
	"contactcenter/shared/id"
)

// readTogether lets the messages of a batch share what they would each read for themselves: a channel is looked at once, however
// many of them go there, and whether their recipients opted out is asked in one request.
func (b *batch) readTogether(ctx context.Context, accountID string) {
	h := *b.Handler
	h.Channels = &sharedChannels{Channels: h.Channels, peeked: map[string]func() (channel.Channel, error){}}
	asked := b.conversations(accountID)
	h.OptOuts = &sharedOptOuts{OptOuts: h.OptOuts, asked: asked, read: sync.OnceValues(func() (map[string]bool, error) {
		return b.OptOuts.OptedOut(ctx, accountID, false, asked...)
	})}
	in := *b.intake
	in.Handler = &h
	b.each = &in
}

// conversations are those that the batch's messages ask for, as far as that shows without looking anything up.
func (b *batch) conversations(accountID string) []string {
	var list []string
	for _, it := range b.items {
		if c := conversationOf(b.Conversations, accountID, it.req); c != "" {
			list = append(list, c)
		}
	}
	return list
}

func conversationOf(keys id.ConversationKeyer, accountID string, req api.SendMessageRequest) string {
	switch {
	case req.ConversationID != nil:
		key, err := id.ParseConversation(*req.ConversationID)
		if err != nil {
			return ""
		}
		return key
	case req.ChannelID != nil && req.To != nil:
		return keys.Key(accountID, *req.ChannelID, *req.To)
	}
	return ""
}

// sharedChannels looks at each channel once. It is safe for concurrent use.
type sharedChannels struct {
	Channels
	mu     sync.Mutex
	peeked map[string]func() (channel.Channel, error)
}

func (s *sharedChannels) Peek(ctx context.Context, channelID string) (channel.Channel, error) {
	s.mu.Lock()
	read, ok := s.peeked[channelID]
	if !ok {
		read = sync.OnceValues(func() (channel.Channel, error) { return s.Channels.Peek(ctx, channelID) })
		s.peeked[channelID] = read
	}
	s.mu.Unlock()
	return read()
}

// sharedOptOuts answers from one read of all conversations that the batch asks for.
type sharedOptOuts struct {
	OptOuts
	asked []string
	read  func() (map[string]bool, error)
}

func (s *sharedOptOuts) OptedOut(ctx context.Context, accountID string, consistent bool, conversations ...string) (map[string]bool, error) {
	for _, c := range conversations {
		if consistent || !slices.Contains(s.asked, c) {
			return s.OptOuts.OptedOut(ctx, accountID, consistent, conversations...)
		}
	}
	return s.read()
}
