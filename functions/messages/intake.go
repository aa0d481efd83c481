package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/channel"
	"contactcenter/shared/id"
	"contactcenter/shared/idempotency"
	"contactcenter/shared/message"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/recipient"
	"contactcenter/shared/restriction"
	"contactcenter/shared/rules"
)

const (
	maxExpiry   = 30 * 24 * time.Hour
	maxSchedule = 30 * 24 * time.Hour
	// soon is how far ahead of its time a scheduled message is queued at once: the minute's schedule might come too late for it.
	soon         = 75 * time.Second
	maxReference = 128
	// maxContent bounds a content as it is stored, in bytes, so that it fits into one item whatever it holds.
	maxContent = 128 << 10
	// maxAddress bounds an address, in bytes.
	maxAddress = 320
)

// intake is one request to send a message.
type intake struct {
	*Handler
	r         *http.Request
	principal api.Principal
	began     time.Time

	ahead  *ahead
	limits limits
	// limitsErr is why they are not known.
	limitsErr error
	req       api.SendMessageRequest
	// newID names the message in a conversation.
	newID  func(conversation string) (id.Message, error)
	key    idempotency.Key
	hasKey bool
	// payload stands for the body; zero while it was not read.
	payload [sha256.Size]byte
}

// check goes through all that stands against a message, in the order of the contract, and gives the message to accept.
func (in *intake) check(ctx context.Context) (message.Message, error) {
	accountID := in.principal.AccountID
	if !account.ValidID(accountID) {
		return message.Message{}, api.NewProblem(api.CodeForbidden).WithDetail("The token's account_id can't be the id of an account.")
	}
	body, bodyErr := api.ReadBody(in.r)
	var keyErr error
	if in.key, in.hasKey, keyErr = idempotency.KeyFrom(in.r); bodyErr == nil {
		in.payload = idempotency.Hash(body)
		bodyErr = in.malformed(api.Decode(body, &in.req))
	}
	in.ahead = in.readAhead(ctx, accountID, in.req)
	in.limitsErr = in.readLimits(ctx, accountID)
	version, agreement, err := in.rulesAccepted(ctx, accountID)
	if err != nil {
		return message.Message{}, err
	}
	if err := firstError(bodyErr, keyErr); err != nil {
		return message.Message{}, err
	}
	m, err := in.one(ctx, accountID, version.Version)
	if err != nil {
		return message.Message{}, err
	}
	return m, in.acceptByUse(ctx, accountID, version, agreement)
}

// one checks what was read of one message, and gives the message to accept.
func (in *intake) one(ctx context.Context, accountID, rulesVersion string) (message.Message, error) {
	if err := in.allowed(restriction.Way{}); err != nil {
		return message.Message{}, err
	}
	if err := in.form().Err(); err != nil {
		return message.Message{}, err
	}
	channelID, to, err := in.destination(ctx, accountID)
	if err != nil {
		return message.Message{}, err
	}
	ch, err := in.channel(ctx, accountID, channelID)
	if err != nil {
		return message.Message{}, err
	}
	on := restriction.Way{ProviderID: ch.ProviderID, ChannelID: ch.ID}
	if err := in.allowed(on); err != nil {
		return message.Message{}, err
	}
	if err := in.supported(ch, to); err != nil {
		return message.Message{}, err
	}
	if err := in.recipientAllowed(ctx, accountID, to, on); err != nil {
		return message.Message{}, err
	}
	if err := in.answers(ctx, ch, to); err != nil {
		return message.Message{}, err
	}
	if err := in.wanted(ctx, accountID, ch.ID, to); err != nil {
		return message.Message{}, err
	}
	if err := in.windowOpen(ctx, ch, to); err != nil {
		return message.Message{}, err
	}
	if in.limitsErr != nil {
		return message.Message{}, api.TryAgain(in.r, in.limitsErr)
	}
	if err := in.usageLeft(); err != nil {
		return message.Message{}, err
	}
	return in.message(accountID, ch, to, rulesVersion)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// rulesAccepted gives the version in force, and how the account stands to it: it has accepted it, or does so by sending.
func (in *intake) rulesAccepted(ctx context.Context, accountID string) (rules.Version, rules.Agreement, error) {
	current, err := in.Rules.Current(ctx)
	if errors.Is(err, rules.ErrNoneInForce) {
		return rules.Version{}, rules.Agreement{}, api.NewProblem(api.CodeRulesNotAccepted).WithDetail("No version of the Rules is in force yet, so none can be accepted.")
	}
	if err != nil {
		return rules.Version{}, rules.Agreement{}, api.TryAgain(in.r, err)
	}
	agreement, err := in.Rules.Agreement(ctx, accountID, current)
	if err != nil {
		return rules.Version{}, rules.Agreement{}, api.TryAgain(in.r, err)
	}
	if !agreement.Permits() {
		return rules.Version{}, rules.Agreement{}, api.NewProblem(api.CodeRulesNotAccepted)
	}
	return current, agreement, nil
}

// acceptByUse records that the account accepts the Rules by sending, before the first message under a version of which it
// had notice. It comes after all checks: what is refused changes nothing.
func (in *intake) acceptByUse(ctx context.Context, accountID string, v rules.Version, a rules.Agreement) error {
	if a.Accepted {
		return nil
	}
	u := rules.Use{AccountID: accountID, UserID: in.principal.UserID, SourceIP: api.CallFrom(ctx).SourceIP, At: in.began}
	if err := in.Rules.AcceptByUse(ctx, v, *a.Earlier, u); err != nil {
		return api.TryAgain(in.r, err)
	}
	return nil
}

// malformed adds to what could not be read of a message what is wrong with the rest: a caller is told everything at once.
func (in *intake) malformed(err error) error {
	p := new(api.Problem)
	if !errors.As(err, &p) || len(p.Errors) == 0 || p.Errors[0].Field == "body" {
		return err
	}
	for _, e := range in.form() {
		if !slices.ContainsFunc(p.Errors, func(o api.FieldError) bool { return o.Field == e.Field }) {
			p.Errors = append(p.Errors, e)
		}
	}
	return p
}

// form gives what is wrong with a message whatever there is of channels, conversations and recipients.
func (in *intake) form() api.FieldErrors {
	var errs api.FieldErrors
	if in.req.ConversationID == nil {
		if in.req.ChannelID == nil {
			errs.Add("channel_id", api.FieldRequired, "is required, with to, unless conversation_id is given")
		}
		if in.req.To == nil {
			errs.Add("to", api.FieldRequired, "is required, with channel_id, unless conversation_id is given")
		}
	} else {
		if in.req.ChannelID != nil {
			errs.Add("channel_id", api.FieldInvalid, "can't be given with conversation_id")
		}
		if in.req.To != nil {
			errs.Add("to", api.FieldInvalid, "can't be given with conversation_id")
		}
	}
	if at := in.req.ExpiresAt; at != nil && !at.After(in.began) {
		errs.Add("expires_at", api.FieldInvalid, "must lie in the future")
	} else if at != nil && at.After(in.began.Add(maxExpiry)) {
		errs.Add("expires_at", api.FieldInvalid, "must lie at most 30 days ahead")
	}
	if at := in.req.SendAt; at != nil {
		switch {
		case !at.After(in.began):
			errs.Add("send_at", api.FieldInvalid, "must lie in the future")
		case at.After(in.began.Add(maxSchedule)):
			errs.Add("send_at", api.FieldInvalid, "must lie at most 30 days ahead")
		case in.req.ExpiresAt != nil && !at.Before(in.req.ExpiresAt.Time):
			errs.Add("send_at", api.FieldInvalid, "must lie before expires_at")
		}
	}
	if ref := in.req.ClientReference; ref != nil && utf8.RuneCountInString(*ref) > maxReference {
		errs.Add("client_reference", api.FieldInvalid, "must have at most 128 characters")
	}
	return errs
}

// destination says where the message goes, whose form is right: to an address on a channel, or to those of a conversation.
func (in *intake) destination(ctx context.Context, accountID string) (channelID, to string, err error) {
	if in.req.ConversationID != nil {
		return in.ofConversation(ctx, accountID, *in.req.ConversationID)
	}
	return *in.req.ChannelID, *in.req.To, nil
}

func (in *intake) ofConversation(ctx context.Context, accountID, conversationID string) (channelID, to string, err error) {
	notFound := api.NewProblem(api.CodeNotFound).WithField("conversation_id", "is none of the account's conversations")
	key, err := id.ParseConversation(conversationID)
	if err != nil {
		return "", "", notFound
	}
	channelID, to, err = in.Messages.Way(ctx, accountID, key)
	if errors.Is(err, message.ErrNotFound) || err == nil && to == "" { // all that was in it is erased
		return "", "", notFound
	}
	if err != nil {
		return "", "", api.TryAgain(in.r, err)
	}
	return channelID, to, nil
}

// channel gives the account's active channel. It is read for every message, so that a deactivation is seen by the next
// one; the cheap read may lag behind for a moment, so a channel that looks as if it can't be used is read again.
func (in *intake) channel(ctx context.Context, accountID, channelID string) (channel.Channel, error) {
	if !id.Valid(id.ChannelPrefix, channelID) {
		return channel.Channel{}, channelNotFound()
	}
	ch, err := in.ahead.peek(ctx, channelID)
	if errors.Is(err, channel.ErrNotFound) || err == nil && ch.Status != channel.Active {
		ch, err = in.Channels.Get(ctx, channelID)
	}
	if errors.Is(err, channel.ErrNotFound) || err == nil && ch.AccountID != accountID {
		return channel.Channel{}, channelNotFound()
	}
	if err != nil {
		return channel.Channel{}, api.TryAgain(in.r, err)
	}
	p, err := in.Providers.Get(ctx, ch.ProviderID)
	if err == nil && p.Status != registry.Enabled { // before saying no, look again: it may just have been enabled
		p, err = in.Providers.Read(ctx, ch.ProviderID)
	}
	switch {
	case errors.Is(err, registry.ErrNotFound) || err == nil && p.Status == registry.Removed:
		return channel.Channel{}, api.NewProblem(api.CodeProviderRemoved)
	case err != nil:
		return channel.Channel{}, api.TryAgain(in.r, err)
	case p.Status != registry.Enabled:
		return channel.Channel{}, api.NewProblem(api.CodeProviderDisabled)
	case ch.Status == channel.CredentialsInvalid:
		return channel.Channel{}, api.NewProblem(api.CodeCredentialsInvalid)
	case ch.Status != channel.Active:
		return channel.Channel{}, api.NewProblem(api.CodeChannelInactive)
	}
	return ch, in.countriesAllowed(ctx, p)
}

// countriesAllowed refuses what would take data where the account lets none go. The account's list is as the gate's version says.
func (in *intake) countriesAllowed(ctx context.Context, p registry.Entry) error {
	allowed := in.limits.standing.Countries
	if _, no := allowed.Forbid(p.TransferCountries); !no {
		return nil
	}
	p, err := in.Providers.Read(ctx, p.ID) // before saying no, look again
	if err != nil {
		return api.TryAgain(in.r, err)
	}
	if outside, no := allowed.Forbid(p.TransferCountries); no {
		return api.CountryNotAllowed(in.chosenBy(), outside)
	}
	return nil
}

// chosenBy is the field that chose the channel.
func (in *intake) chosenBy() string {
	if in.req.ConversationID != nil {
		return "conversation_id"
	}
	return "channel_id"
}

func channelNotFound() *api.Problem {
	return api.NewProblem(api.CodeChannelNotFound).WithField("channel_id", "is none of the account's channels")
}

// supported checks content and address against what the channel's provider carries exactly.
func (in *intake) supported(ch channel.Channel, to string) error {
	can, ok := in.Capabilities[ch.AdapterID()]
	if !ok {
		return api.NewProblem(api.CodeProviderRemoved).WithDetail("This deployment does not serve the channel's provider.")
	}
	if m := can.Check(in.req.Content); m != nil {
		return api.NewProblem(api.CodeContentNotSupported).WithField(m.Field, m.Detail)
	}
	if b, err := json.Marshal(in.req.Content); err != nil || len(b) > maxContent {
		return api.NewProblem(api.CodeContentNotSupported).WithField("content", "is too large")
	}
	return deliverable(can, to)
}

// deliverable checks an address. It is never repaired: a repaired one may be somebody else's.
func deliverable(can provider.Capabilities, to string) error {
	refuse := func(detail string) error { return api.NewProblem(api.CodeRecipientInvalid).WithField("to", detail) }
	if len(to) > maxAddress || strings.ContainsFunc(to, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return refuse("is too long, or holds control characters")
	}
	switch can.AddressKind {
	case "phone":
		if !recipient.E164(to) && !can.KnowsAs(to) {
			return refuse("must be an E.164 number: + and 7 to 15 digits, country code first, without spaces, for example +35799123456")
		}
	case "user_id":
		if can.UserID != "" && !can.KnowsAs(to) {
			return refuse("must be the provider's own id of a person, as from tells it of what the person wrote")
		}
	case "email":
		local, domain, ok := strings.Cut(to, "@")
		if !ok || local == "" || domain == "" || strings.ContainsAny(to, " <>,;") || strings.Contains(domain, "@") {
			return refuse("must be one e-mail address without a name, for example anna@example.com")
		}
	}
	return nil
}

// wanted refuses a message to a recipient who opted out of the channel. The read is the cheap one: an opt-out of the last
// moment is seen by the dispatcher.
func (in *intake) wanted(ctx context.Context, accountID, channelID, to string) error {
	out, err := in.ahead.stopped(ctx, in.Conversations.Key(accountID, channelID, to))
	if err != nil {
		return api.TryAgain(in.r, err)
	}
	if out {
		return api.NewProblem(api.CodeRecipientOptedOut).WithField("to", "has opted out of this channel")
	}
	return nil
}

// answers checks the message that this one answers: one of the same conversation, which the provider has.
func (in *intake) answers(ctx context.Context, ch channel.Channel, to string) error {
	if in.req.ReplyTo == nil {
		return nil
	}
	if !in.Capabilities[ch.AdapterID()].ReplyTo {
		return api.NewProblem(api.CodeContentNotSupported).WithField("reply_to", "can't be carried by this channel: leave it out")
	}
	var errs api.FieldErrors
	m, err := id.ParseMessage(*in.req.ReplyTo)
	if err != nil || m.Conversation != in.Conversations.Key(ch.AccountID, ch.ID, to) {
		errs.Add("reply_to", api.FieldInvalid, "is no message of this conversation")
		return errs.Err()
	}
	found, err := in.Messages.States(ctx, ch.AccountID, []id.Message{m})
	if err != nil {
		return api.TryAgain(in.r, err)
	}
	if found[m].ProviderMessageID == "" {
		errs.Add("reply_to", api.FieldInvalid, "is no message that the provider has")
	}
	return errs.Err()
}

// windowOpen refuses what the provider takes only for a while after the recipient wrote, where that while is over. The
// provider has the last word: what is accepted here can still come too late for it. What is to go later is not refused for
// how things are now.
func (in *intake) windowOpen(ctx context.Context, ch channel.Channel, to string) error {
	can := in.Capabilities[ch.AdapterID()]
	if in.req.SendAt != nil || can.ReplyWindow == 0 || can.OutsideWindow == nil || slices.Contains(can.OutsideWindow, in.req.Content.Type) {
		return nil
	}
	closes, err := in.Messages.WindowCloses(ctx, ch.AccountID, in.Conversations.Key(ch.AccountID, ch.ID, to))
	if err != nil {
		return api.TryAgain(in.r, err)
	}
	if in.began.Before(closes) {
		return nil
	}
	forms := make([]string, len(can.OutsideWindow))
	for i, t := range can.OutsideWindow {
		forms[i] = string(t)
	}
	p := api.NewProblem(api.CodeReplyWindowClosed).WithField("content.type", "can only be "+strings.Join(forms, " or ")+" at present")
	p.Detail = fmt.Sprintf("This channel takes other content only in the %d hours after the recipient wrote.", int(can.ReplyWindow.Hours()))
	if !closes.IsZero() {
		p.Detail += " The window closed at " + closes.UTC().Format(time.RFC3339) + "."
	}
	return p
}

// message is the message to accept.
func (in *intake) message(accountID string, ch channel.Channel, to, rulesVersion string) (message.Message, error) {
	mid, err := in.newID(in.Conversations.Key(accountID, ch.ID, to))
	if err != nil {
		return message.Message{}, fmt.Errorf("new message: %w", err)
	}
	hash, err := in.req.Content.SHA256()
	if err != nil {
		return message.Message{}, fmt.Errorf("hash content: %w", err)
	}
	m := message.Message{
		AccountID: accountID, ID: mid, Direction: message.Outbound, ChannelID: ch.ID, ProviderID: ch.ProviderID, Address: to,
		Content: in.req.Content, ContentSHA256: hash, OnLimit: in.onLimit(), KeptFor: in.limits.standing.Retention, RulesVersion: rulesVersion, CreatedBy: in.principal.UserID,
		Outcome: message.Queued,
	}
	if in.req.SendAt != nil {
		m.SendAt = in.req.SendAt.Truncate(time.Millisecond)
	}
	if in.req.ReplyTo != nil {
		m.ReplyTo = *in.req.ReplyTo
	}
	if in.req.ClientReference != nil {
		m.ClientReference = *in.req.ClientReference
	}
	if in.req.ExpiresAt != nil {
		m.ExpiresAt = in.req.ExpiresAt.Truncate(time.Millisecond)
	}
	return m, nil
}

func (in *intake) onLimit() message.OnLimit {
	if in.req.OnLimit != nil {
		return message.OnLimit(*in.req.OnLimit)
	}
	return message.Reject
}
