package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/channel"
	"contactcenter/shared/evidence"
	"contactcenter/shared/message"
	"contactcenter/shared/withdraw"
)

const (
	// quiet is how long after its channels are gone nothing can appear any more: longer than a webhook knows a channel, and
	// than intake may take for what it accepted before.
	quiet = 20 * time.Second
	// longestWait is how long a job can stay out of sight in its queue.
	longestWait = 11 * time.Hour
)

// Closures keeps the closing of accounts.
type Closures interface {
	Closure(ctx context.Context, accountID string) (account.Closure, error)
	Advance(ctx context.Context, c *account.Closure, was account.ClosureStatus) error
}

// Channels are an account's.
type Channels interface {
	// Ever gives every channel that an account has or had.
	Ever(ctx context.Context, accountID string) ([]channel.Channel, error)
	Purge(ctx context.Context, channelID string) error
}

// Senders gives senders of native pools back.
type Senders interface {
	FreeSender(ctx context.Context, providerID, senderID, channelID string) (bool, error)
}

// Templates takes away what is kept of a channel's templates.
type Templates interface {
	Purge(ctx context.Context, channelID string) error
}

// Endpoints takes away an account's webhook endpoints, with their secrets.
type Endpoints interface {
	Purge(ctx context.Context, accountID string) error
}

// Recipients takes away what is kept of an account's recipients.
type Recipients interface {
	Purge(ctx context.Context, accountID string) (int, error)
}

// Purge takes away what is kept of accounts that were closed. Whatever it did can be done again: a job that was cut off
// anywhere finds what is left by looking.
type Purge struct {
	Closures   Closures
	Channels   Channels
	Templates  Templates
	Senders    Senders
	Endpoints  Endpoints
	Recipients Recipients
}

// purge goes on with the closing of an account, until it is done, must wait, or has no time left.
func (h *Handler) purge(ctx context.Context, accountID string) (wait time.Duration, done bool, err error) {
	c, err := h.Purge.Closures.Closure(ctx, accountID)
	switch {
	case errors.Is(err, account.ErrNoClosure) || err == nil && (c.Status == account.Reopened || c.Status == account.Closed && len(c.Channels) == 0):
		return 0, true, nil
	case err != nil:
		return 0, false, err
	}
	if d := c.PurgeAt.Sub(h.Now()); d > 0 {
		return min(d, longestWait), false, nil
	}
	if c.Status == account.Closing {
		c.Status = account.Purging
		if err := h.Purge.Closures.Advance(ctx, &c, account.Closing); err != nil {
			return 0, false, err
		}
	}
	if c.BegunAt.IsZero() {
		if err := h.close(ctx, &c); err != nil {
			return 0, false, err
		}
	}
	if d := c.BegunAt.Add(quiet).Sub(h.Now()); d > 0 {
		return d, false, nil
	}
	for _, channelID := range c.Channels {
		if left, err := h.conversations(ctx, &c, channelID); err != nil || left {
			return inHand, false, errors.Join(err, h.Purge.Closures.Advance(ctx, &c, c.Status))
		}
	}
	return h.finish(ctx, &c)
}

// close takes the account's channels out of use and away, after it has noted which they are. Senders go back to their pools.
func (h *Handler) close(ctx context.Context, c *account.Closure) error {
	found, err := h.Purge.Channels.Ever(ctx, c.AccountID)
	if err != nil {
		return err
	}
	for _, ch := range found {
		if !slices.Contains(c.Channels, ch.ID) {
			c.Channels = append(c.Channels, ch.ID)
		}
	}
	if err := h.Purge.Closures.Advance(ctx, c, account.Purging); err != nil {
		return err
	}
	for _, ch := range found {
		if ch.SenderID != "" && !ch.Deleted() {
			if _, err := h.Purge.Senders.FreeSender(ctx, ch.ProviderID, ch.SenderID, ch.ID); err != nil {
				return err
			}
		}
		if err := errors.Join(h.Purge.Templates.Purge(ctx, ch.ID), h.Purge.Channels.Purge(ctx, ch.ID)); err != nil {
			return err
		}
	}
	if err := h.Purge.Endpoints.Purge(ctx, c.AccountID); err != nil {
		return err
	}
	c.BegunAt = h.Now().UTC()
	return h.Purge.Closures.Advance(ctx, c, account.Purging)
}

// conversations purges those of a channel. Left says that something is still in a dispatcher's hand, or that the time is up.
func (h *Handler) conversations(ctx context.Context, c *account.Closure, channelID string) (left bool, err error) {
	for {
		list, err := h.Messages.Listings(ctx, c.AccountID, channelID)
		if err != nil {
			return false, err
		}
		if len(list) == 0 {
			return left, h.Messages.PurgeProviderIDs(ctx, c.AccountID, channelID)
		}
		gone := 0
		for _, l := range list {
			if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < reserve {
				return true, nil
			}
			stays, err := h.conversation(ctx, c, l)
			if err != nil {
				return false, err
			}
			if !stays {
				gone++
			}
		}
		if gone == 0 {
			return true, nil
		}
	}
}

// conversation purges one, if nothing of it is in a dispatcher's hand. It goes from the list when all of it is gone, so that
// a job that was cut off finds it again.
func (h *Handler) conversation(ctx context.Context, c *account.Closure, l message.Listing) (stays bool, err error) {
	messages := int64(0)
	for cursor := ""; ; {
		p, err := h.Messages.Part(ctx, c.AccountID, l.Conversation, cursor, h.Now())
		if err != nil {
			return false, err
		}
		messages += int64(len(p.Messages))
		for _, m := range p.Messages {
			if m.Final() {
				continue
			}
			switch _, err := h.Withdraw.Withdraw(ctx, m.AccountID, m.ID); {
			case errors.Is(err, withdraw.ErrNotWaiting):
				stays = true // a dispatcher has it in hand, or just had
			case err != nil:
				return false, err
			default:
				c.Canceled++
			}
		}
		if cursor = p.Cursor; cursor == "" {
			break
		}
	}
	if stays {
		return true, nil
	}
	if err := h.Messages.Purge(ctx, c.AccountID, l.Conversation); err != nil {
		return false, err
	}
	c.Conversations, c.Messages = c.Conversations+1, c.Messages+messages
	return false, h.Messages.Delist(ctx, l)
}

// finish takes away whose tasks conversations were, and the recipients, and says that the account is closed.
func (h *Handler) finish(ctx context.Context, c *account.Closure) (wait time.Duration, done bool, err error) {
	if err := h.Messages.PurgeAssigned(ctx, c.AccountID); err != nil {
		return 0, false, err
	}
	for {
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < reserve {
			return 0, false, nil
		}
		n, err := h.Purge.Recipients.Purge(ctx, c.AccountID)
		if err != nil {
			return 0, false, err
		}
		if n == 0 {
			break
		}
		c.Records += int64(n)
	}
	// What was taken away just now may stay in the index for a moment, what was made just now may come into it: once more.
	if h.Now().Sub(c.BegunAt) < 2*quiet {
		return c.BegunAt.Add(2 * quiet).Sub(h.Now()), false, h.Purge.Closures.Advance(ctx, c, c.Status)
	}
	was := c.Status
	if was == account.Closed { // this was the second look
		if err := h.certify(c, h.Now()); err != nil {
			return 0, false, err
		}
		c.Channels = nil
		return 0, true, h.Purge.Closures.Advance(ctx, c, was)
	}
	c.Status, c.PurgedAt = account.Closed, h.Now().UTC()
	if err := h.certify(c, time.Time{}); err != nil {
		return 0, false, err
	}
	if err := h.Purge.Closures.Advance(ctx, c, was); err != nil {
		return 0, false, err
	}
	h.Log.InfoContext(ctx, "account purged", "account_id", c.AccountID, "conversations", c.Conversations, "canceled", c.Canceled)
	// A reference may still lie in the dispatch queue, of a message in a conversation that was never listed. Its dispatcher
	// lists it, and hands nothing over: that is found by a second look.
	return longestWait, false, nil
}

// certify signs what was purged. Confirmed is when the second look was done, zero before.
func (h *Handler) certify(c *account.Closure, confirmed time.Time) error {
	certificate := evidence.Closure{
		AccountID: c.AccountID, RequestedAt: evidence.At(c.RequestedAt), PurgedAt: evidence.At(c.PurgedAt), ConfirmedAt: evidence.Optional(confirmed),
		Purged: evidence.ClosureCounts{
			Channels: int64(len(c.Channels)), Conversations: c.Conversations, Messages: c.Messages, MessagesCanceled: c.Canceled, RecipientRecords: c.Records,
		},
	}
	var err error
	c.Certificate, err = certificate.Sign(h.Signer)
	return err
}
