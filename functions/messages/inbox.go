package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"contactcenter/shared/api"
	"contactcenter/shared/attr"
	"contactcenter/shared/channel"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/recipient"
)

const (
	// blockSize is how many candidates of a filtered list of conversations are read and put in order together.
	blockSize = 200
	// listBlocks bounds how many blocks one page looks through. A page that is not full then has a token.
	listBlocks = 5
	maxUserID  = 255
	// start stands in a token where a block, or its first conversation, is the beginning.
	start = "-"
)

// inbox is a request for a page of conversations.
type inbox struct {
	*Handler
	accountID                                     string
	channelID, recipientID, assigneeID, reference string
	unassigned, unread                            bool
	page                                          attr.Page
}

// ListConversations lists conversations, last activity first.
func (h *Handler) ListConversations(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := reading(r)
	defer cancel()
	l, err := h.readInbox(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	page, err := l.list(ctx)
	if p := new(api.Problem); err != nil && !errors.As(err, &p) {
		err = api.TryAgain(r, err)
	}
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	api.WriteJSON(w, http.StatusOK, page)
}

func (h *Handler) readInbox(r *http.Request) (*inbox, error) {
	q := api.ReadQuery(r, "channel_id", "recipient_id", "assignee_id", "client_reference", "unassigned", "unread")
	l := &inbox{
		Handler: h, accountID: api.PrincipalFrom(r.Context()).AccountID, channelID: q.Get("channel_id"), recipientID: q.Get("recipient_id"),
		assigneeID: q.Get("assignee_id"), reference: q.Get("client_reference"), unassigned: q.Flag("unassigned"), unread: q.Flag("unread"),
	}
	l.page = q.Page()
	if l.channelID+l.recipientID+l.assigneeID+l.reference == "" {
		q.Invalid("channel_id", "is required, unless recipient_id, assignee_id or client_reference is given")
	}
	if utf8.RuneCountInString(l.assigneeID) > maxUserID {
		q.Invalid("assignee_id", "must have at most 255 characters")
	}
	if utf8.RuneCountInString(l.reference) > maxReference {
		q.Invalid("client_reference", "must have at most 128 characters")
	}
	return l, q.Err()
}

func (l *inbox) list(ctx context.Context) (api.ConversationList, error) {
	if err := l.ownChannel(ctx); err != nil {
		return api.ConversationList{}, err
	}
	look := l.selected
	if l.recipientID+l.assigneeID+l.reference == "" {
		look = l.ofChannel
	}
	found, next, err := look(ctx)
	if errors.Is(err, attr.ErrToken) {
		return api.ConversationList{}, api.BadPageToken()
	}
	if err != nil {
		return api.ConversationList{}, err
	}
	items, err := l.views(ctx, l.accountID, found...)
	return api.ConversationList{Items: items, NextPageToken: next}, err
}

func (l *inbox) ofChannel(ctx context.Context) ([]message.Conversation, string, error) {
	return l.Messages.Conversations(ctx, l.accountID, l.channelID, l.page, l.wanted)
}

// ownChannel refuses a channel that is none of the account's.
func (l *inbox) ownChannel(ctx context.Context) error {
	if l.channelID == "" {
		return nil
	}
	ch, err := l.Channels.Lookup(ctx, l.channelID)
	if errors.Is(err, channel.ErrNotFound) || err == nil && ch.AccountID != l.accountID {
		return channelNotFound()
	}
	return err
}

// selected lists what the filters leave, block by block, each in exact order.
func (l *inbox) selected(ctx context.Context) ([]message.Conversation, string, error) {
	name := sha256.Sum256([]byte(strings.Join([]string{
		l.accountID, l.channelID, l.recipientID, l.assigneeID, l.reference, strconv.FormatBool(l.unassigned), strconv.FormatBool(l.unread),
	}, "\n")))
	of := hex.EncodeToString(name[:8])
	place, err := attr.Start(l.page.Token, map[string]string{"list": of}, "block", "after")
	if err != nil {
		return nil, "", err
	}
	block, after := start, start
	if place != nil {
		block, after = attr.Text(place, "block"), attr.Text(place, "after")
	}
	token := func(block, after string) (string, error) {
		return attr.Token(attr.Item{"list": attr.String(of), "block": attr.String(block), "after": attr.String(after)})
	}
	var list []message.Conversation
	for range listBlocks {
		some, following, err := l.block(ctx, block)
		if err != nil {
			return nil, "", err
		}
		if after != start {
			some = slices.DeleteFunc(some, func(c message.Conversation) bool { return placeOf(c) >= after })
		}
		if room := l.page.Size - len(list); len(some) > room {
			list = append(list, some[:room]...)
			next, err := token(block, placeOf(list[len(list)-1]))
			return list, next, err
		}
		if list = append(list, some...); following == "" {
			return list, "", nil
		}
		if block, after = following, start; len(list) == l.page.Size {
			break
		}
	}
	next, err := token(block, start)
	return list, next, err
}

// placeOf is a conversation's place in its block: a later one stands before.
func placeOf(c message.Conversation) string {
	return fmt.Sprintf("%015d %s", c.LastActivityAt().UnixMilli(), c.Key)
}

// block gives the conversations of a block that the filters leave, in order, and where the next block begins: "" after the last.
func (l *inbox) block(ctx context.Context, block string) ([]message.Conversation, string, error) {
	keys, next, err := l.candidates(ctx, block)
	if err != nil {
		return nil, "", err
	}
	list, err := l.Messages.ConversationsOf(ctx, l.accountID, keys)
	if err != nil {
		return nil, "", err
	}
	list = slices.DeleteFunc(list, func(c message.Conversation) bool { return c.Address == "" || !l.wanted(c) })
	message.ByActivity(list)
	return list, next, nil
}

// wanted tells whether a conversation is one that is asked for.
func (l *inbox) wanted(c message.Conversation) bool {
	switch {
	case l.channelID != "" && c.ChannelID != l.channelID, l.assigneeID != "" && c.Assignee.UserID != l.assigneeID:
		return false
	case l.unassigned && c.Assignee.UserID != "", l.unread && c.Unread == 0:
		return false
	}
	return true
}

// candidates gives the keys of a block by the filter that leaves the fewest.
func (l *inbox) candidates(ctx context.Context, block string) (keys []string, next string, err error) {
	if block == start {
		block = ""
	}
	var theirs []string
	if l.recipientID != "" {
		if theirs, err = l.ofRecipient(ctx); err != nil || l.reference == "" {
			return theirs, "", err
		}
	}
	if l.reference == "" {
		return l.Messages.Assigned(ctx, l.accountID, l.assigneeID, block, blockSize)
	}
	keys, next, err = l.Messages.Referred(ctx, l.accountID, l.reference, attr.Page{Size: blockSize, Token: block})
	if l.recipientID != "" {
		keys = slices.DeleteFunc(keys, func(k string) bool { return !slices.Contains(theirs, k) })
	}
	return keys, next, err
}

// ofRecipient gives the keys of all conversations that a recipient may have.
func (l *inbox) ofRecipient(ctx context.Context) ([]string, error) {
	r, err := l.Recipients.Get(ctx, l.accountID, l.recipientID)
	if errors.Is(err, recipient.ErrNotFound) {
		return nil, api.NewProblem(api.CodeNotFound).WithField("recipient_id", "is none of the account's recipients")
	}
	if err != nil {
		return nil, err
	}
	channels := []string{l.channelID}
	if l.channelID == "" {
		if channels, err = l.channels(ctx); err != nil {
			return nil, err
		}
	}
	keys := make([]string, 0, len(channels)*len(r.Addresses))
	for _, c := range channels {
		for _, a := range r.Addresses {
			keys = append(keys, l.Conversations.Key(l.accountID, c, a))
		}
	}
	return keys, nil
}

// channels lists the ids of all channels that the account has or had.
func (l *inbox) channels(ctx context.Context) ([]string, error) {
	ever, err := l.Channels.Ever(ctx, l.accountID)
	ids := make([]string, len(ever))
	for i, c := range ever {
		ids[i] = c.ID
	}
	return ids, err
}

// views shows conversations; those of which all is erased are left out.
func (h *Handler) views(ctx context.Context, accountID string, found ...message.Conversation) ([]api.Conversation, error) {
	found = slices.DeleteFunc(found, func(c message.Conversation) bool { return c.Address == "" })
	recipients, err := h.recipientsOf(ctx, accountID, found...)
	if err != nil {
		return nil, err
	}
	last := make([]message.Message, len(found))
	for i, c := range found {
		last[i] = c.Last
	}
	where, err := h.where(ctx, accountID, last...)
	if err != nil {
		return nil, err
	}
	channels := map[string]channel.Channel{}
	list := make([]api.Conversation, 0, len(found))
	for _, c := range found {
		ch, known := channels[c.ChannelID]
		if !known {
			if ch, err = h.Channels.Lookup(ctx, c.ChannelID); err != nil && !errors.Is(err, channel.ErrNotFound) {
				return nil, err
			}
			channels[c.ChannelID] = ch
		}
		list = append(list, conversationView(c, recipients[c.Address], h.Capabilities[ch.AdapterID()].ReplyWindow, where(c.Last)))
	}
	return list, nil
}

// GetConversation shows a conversation.
func (h *Handler) GetConversation(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := reading(r)
	defer cancel()
	h.showConversation(ctx, w, r)
}

func (h *Handler) showConversation(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	c, err := h.conversation(ctx, r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	list, err := h.views(ctx, c.AccountID, c)
	if err != nil {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, list[0])
}

// conversation reads the conversation that the path names. One of which all is erased is not there.
func (h *Handler) conversation(ctx context.Context, r *http.Request) (message.Conversation, error) {
	key, err := id.ParseConversation(r.PathValue("id"))
	if err != nil {
		return message.Conversation{}, api.NewProblem(api.CodeNotFound)
	}
	c, err := h.Messages.Conversation(ctx, api.PrincipalFrom(ctx).AccountID, key)
	if errors.Is(err, message.ErrNotFound) || err == nil && c.Address == "" {
		return message.Conversation{}, api.NewProblem(api.CodeNotFound)
	}
	if err != nil {
		return message.Conversation{}, api.TryAgain(r, err)
	}
	return c, nil
}

// MarkConversationRead moves the marker of what was read.
func (h *Handler) MarkConversationRead(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), stepsTimeout)
	defer cancel()
	if err := h.markRead(ctx, r); err != nil {
		api.WriteError(w, r, err)
		return
	}
	h.showConversation(ctx, w, r)
}

func (h *Handler) markRead(ctx context.Context, r *http.Request) error {
	c, err := h.conversation(ctx, r)
	if err != nil {
		return err
	}
	var req api.MarkReadRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return err
	}
	mid, err := id.ParseMessage(req.UpToMessageID)
	there := err == nil && mid.Conversation == c.Key
	if there {
		found, err := h.Messages.Standings(ctx, c.AccountID, []id.Message{mid})
		if err != nil {
			return api.TryAgain(r, err)
		}
		_, there = found[mid]
	}
	if !there {
		var errs api.FieldErrors
		errs.Add("up_to_message_id", api.FieldInvalid, "is no message of this conversation")
		return errs.Err()
	}
	st, err := h.Accounts.Standing(ctx, c.AccountID, false)
	if err != nil {
		return api.TryAgain(r, err)
	}
	marker := message.Marker{UpTo: mid, By: api.PrincipalFrom(ctx).UserID, At: h.Now(), KeptFor: st.Retention}
	if _, err := h.Messages.MarkRead(ctx, c.AccountID, marker); err != nil {
		return api.TryAgain(r, err)
	}
	return nil
}

// AssignConversation makes a conversation a user's task.
func (h *Handler) AssignConversation(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), stepsTimeout)
	defer cancel()
	if err := h.assign(ctx, r); err != nil {
		api.WriteError(w, r, err)
		return
	}
	h.showConversation(ctx, w, r)
}

func (h *Handler) assign(ctx context.Context, r *http.Request) error {
	c, err := h.conversation(ctx, r)
	if err != nil {
		return err
	}
	var req api.AssignConversationRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return err
	}
	if n := utf8.RuneCountInString(req.UserID); n == 0 || n > maxUserID {
		var errs api.FieldErrors
		errs.Add("user_id", api.FieldInvalid, "must have 1 to 255 characters")
		return errs.Err()
	}
	return h.assignTo(ctx, r, c, req.UserID)
}

func (h *Handler) assignTo(ctx context.Context, r *http.Request, c message.Conversation, userID string) error {
	st, err := h.Accounts.Standing(ctx, c.AccountID, false)
	if err != nil {
		return api.TryAgain(r, err)
	}
	a := message.Assignment{UserID: userID, By: api.PrincipalFrom(ctx).UserID, At: h.Now(), KeptFor: st.Retention}
	if err := h.Messages.Assign(ctx, c.AccountID, c.Key, a, api.AuditEvent(ctx)); err != nil {
		return api.TryAgain(r, err)
	}
	return nil
}

// UnassignConversation makes a conversation nobody's task.
func (h *Handler) UnassignConversation(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), stepsTimeout)
	defer cancel()
	c, err := h.conversation(ctx, r)
	if err == nil {
		err = h.assignTo(ctx, r, c, "")
	}
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
