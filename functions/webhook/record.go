package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"contactcenter/shared/channel"
	"contactcenter/shared/event"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/provider"
	"contactcenter/shared/recipient"
)

// messages is what a callback needs of the message store.
type messages interface {
	Report(ctx context.Context, accountID, channelID string, m id.Message, r message.Report) (message.Written, error)
	Receive(ctx context.Context, m message.Message, replyID string) (message.Message, bool, error)
	Received(ctx context.Context, accountID, conversation, replyID string) (bool, error)
	Listed(ctx context.Context, m message.Message) (bool, error)
	Touch(ctx context.Context, m message.Message) error
	Standings(ctx context.Context, accountID string, ids []id.Message) (map[id.Message]message.Message, error)
	ByProviderID(ctx context.Context, accountID, channelID, providerMessageID string) (id.Message, error)
	OpenWindow(ctx context.Context, accountID, conversation string, closes time.Time) error
}

// stops keeps the opt-outs that recipients make themselves.
type stops interface {
	Record(ctx context.Context, accountID, address string, o recipient.OptOut) error
	Lift(ctx context.Context, accountID, address, channelID string) error
}

// accounts tells how long an account keeps its messages, and what it listens to, some seconds old.
type accounts interface {
	Retention(ctx context.Context, accountID string) (time.Duration, error)
	Listens(ctx context.Context, accountID string) (event.Set, error)
}

// happenings makes what happened known to those who asked for it.
type happenings interface {
	Publish(ctx context.Context, list ...event.Event) error
}

// templates notes that what is kept of a channel's templates is old.
type templates interface {
	Changed(ctx context.Context, channelID string, at time.Time) error
}

// recorder stores what callbacks tell.
type recorder struct {
	messages  messages
	accounts  accounts
	stops     stops
	templates templates
	events    happenings
	keyer     id.ConversationKeyer
	ids       id.Source
	log       *slog.Logger
}

// tally counts what became of a callback's events.
type tally struct {
	// forward are the statuses that moved a message, replies those that are new; repeated changed nothing; unknown are
	// about messages that this channel does not have; optOuts were given or taken back; news is that a template changed.
	forward, replies, repeated, unknown, optOuts, news int
}

func (t *tally) add(u tally) {
	t.forward += u.forward
	t.replies += u.replies
	t.repeated += u.repeated
	t.unknown += u.unknown
	t.optOuts += u.optOuts
	t.news += u.news
}

// conversationsAtOnce bounds how many conversations of one callback are stored side by side.
const conversationsAtOnce = 8

// record stores events: those of one conversation in their order, conversations side by side. It goes on with the other
// conversations after an error, so that a repeat of the callback has little left to do.
func (rec recorder) record(ctx context.Context, ch channel.Channel, can provider.Capabilities, events []provider.Event) (tally, error) {
	var unnamed error
	if can.OwnIDsOnly {
		events, unnamed = rec.named(ctx, ch, events)
	}
	var order []string
	groups := map[string][]provider.Event{}
	for _, e := range events {
		k := rec.conversation(ch, e)
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], e)
	}
	tallies := make([]tally, len(order))
	var group errgroup.Group
	group.SetLimit(conversationsAtOnce)
	for i, k := range order {
		group.Go(func() error {
			for _, e := range groups[k] {
				t, err := rec.event(ctx, ch, can, e)
				if err != nil {
					return err
				}
				tallies[i].add(t)
			}
			return nil
		})
	}
	err := errors.Join(unnamed, group.Wait())
	var sum tally
	for _, t := range tallies {
		sum.add(t)
	}
	return sum, err
}

// conversation is the key of the conversation that an event belongs to, "" when that can't be told.
func (rec recorder) conversation(ch channel.Channel, e provider.Event) string {
	if e.Reply != nil {
		return rec.keyer.Key(ch.AccountID, ch.ID, e.Reply.From)
	}
	if e.OptOut != nil {
		return rec.keyer.Key(ch.AccountID, ch.ID, e.OptOut.From)
	}
	if e.Status == nil {
		return ""
	}
	m, err := id.ParseMessage(e.Status.MessageID)
	if err != nil {
		return ""
	}
	return m.Conversation
}

func (rec recorder) event(ctx context.Context, ch channel.Channel, can provider.Capabilities, e provider.Event) (tally, error) {
	switch {
	case e.Status != nil:
		return rec.status(ctx, ch, *e.Status)
	case e.Reply != nil:
		return rec.reply(ctx, ch, can, *e.Reply)
	case e.OptOut != nil:
		return rec.optOut(ctx, ch, *e.OptOut)
	case e.TemplatesChanged:
		if err := rec.templates.Changed(ctx, ch.ID, rec.ids.Now()); err != nil {
			return tally{}, fmt.Errorf("news of templates of channel %s: %w", ch.ID, err)
		}
		return tally{news: 1}, nil
	}
	return tally{}, nil
}

// status moves a message of this channel forward. What can't be about such a message is noted and left at that: the
// provider would only repeat it.
func (rec recorder) status(ctx context.Context, ch channel.Channel, s provider.StatusReport) (tally, error) {
	m, err := id.ParseMessage(s.MessageID)
	if err != nil {
		rec.log.WarnContext(ctx, "status of a message that is not ours", "channel_id", ch.ID, "reported", s.Status)
		return tally{unknown: 1}, nil
	}
	report := message.Report{Status: message.Status(s.Status), At: s.At, ProviderMessageID: s.ProviderMessageID}
	switch report.Status {
	case message.Sent, message.Delivered, message.Read:
	case message.Failed:
		report.Problem = &message.Problem{Code: s.Code, Detail: s.Detail, FaultDomain: string(s.Fault), ProviderCode: s.ProviderCode, Permanent: s.Permanent}
	default:
		return tally{}, fmt.Errorf("status %q of message %s: adapters report sent, delivered, read and failed", clean(s.Status), m)
	}
	if now := rec.ids.Now(); report.At.IsZero() || report.At.After(now) {
		report.At = now
	}
	written, err := rec.messages.Report(ctx, ch.AccountID, ch.ID, m, report)
	switch {
	case errors.Is(err, message.ErrNotFound):
		rec.log.WarnContext(ctx, "status of an unknown message", "channel_id", ch.ID, "account_id", ch.AccountID, "message_id", m.String(), "status", s.Status)
		return tally{unknown: 1}, nil
	case err != nil:
		return tally{}, fmt.Errorf("status of message %s: %w", m, err)
	}
	// Also for a repeat: the request before may have ended in between. That it was sent the dispatcher tells, in any case.
	if written.Applied || report.Status != message.Sent {
		if err := rec.happened(ctx, written.Message, report.Status); err != nil {
			return tally{}, err
		}
	}
	if !written.Applied {
		return tally{repeated: 1}, nil
	}
	rec.log.InfoContext(ctx, "message moved forward", "account_id", ch.AccountID, "message_id", m.String(), "status", string(written.Message.Status()))
	return tally{forward: 1}, nil
}

// happened publishes a step that a message took, for an account that listens. For others it costs nothing.
func (rec recorder) happened(ctx context.Context, m message.Message, s message.Status) error {
	e, ok := m.Event(s)
	if !ok {
		return nil
	}
	listens, err := rec.accounts.Listens(ctx, m.AccountID)
	if err != nil {
		return fmt.Errorf("who listens to %s: %w", m.AccountID, err)
	}
	if !listens.Has(e.Type) {
		return nil
	}
	return rec.events.Publish(ctx, e)
}

// lagsBehind is for how long a provider's report of an id that nobody kept is asked to come again: the answer that told
// the id may still be on its way to the table.
const lagsBehind = time.Minute

// named gives statuses, and replies to a message, our id of the message that the provider names by its own. Events for which
// that fails are left out, and the error says why.
func (rec recorder) named(ctx context.Context, ch channel.Channel, events []provider.Event) ([]provider.Event, error) {
	out := make([]provider.Event, 0, len(events))
	var errs []error
	for _, e := range events {
		e, err := rec.name(ctx, ch, e)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, e)
	}
	return out, errors.Join(errs...)
}

func (rec recorder) name(ctx context.Context, ch channel.Channel, e provider.Event) (provider.Event, error) {
	switch {
	case e.Status != nil && e.Status.MessageID == "" && e.Status.ProviderMessageID != "":
		s := *e.Status
		m, err := rec.messages.ByProviderID(ctx, ch.AccountID, ch.ID, s.ProviderMessageID)
		switch {
		case err == nil:
			s.MessageID = m.String()
		case !errors.Is(err, message.ErrNotFound):
			return e, err
		case rec.ids.Now().Sub(s.At) < lagsBehind:
			return e, errors.New("status of a message whose id is not known yet")
		}
		e.Status = &s
	case e.Reply != nil && e.Reply.ReplyTo == "" && e.Reply.ReplyToProviderID != "":
		r := *e.Reply
		m, err := rec.messages.ByProviderID(ctx, ch.AccountID, ch.ID, r.ReplyToProviderID)
		if err != nil && !errors.Is(err, message.ErrNotFound) {
			return e, err
		}
		// Some providers count messages anew in every conversation.
		if err == nil && m.Conversation == rec.keyer.Key(ch.AccountID, ch.ID, r.From) {
			r.ReplyTo = m.String()
		}
		e.Reply = &r
	}
	return e, nil
}

// optOut records what a recipient told the provider, and takes it back when the recipient does.
func (rec recorder) optOut(ctx context.Context, ch channel.Channel, o provider.OptOut) (tally, error) {
	if o.Lifted {
		if err := rec.stops.Lift(ctx, ch.AccountID, o.From, ch.ID); err != nil {
			return tally{}, fmt.Errorf("opt-out on channel %s: %w", ch.ID, err)
		}
		return tally{optOuts: 1}, nil
	}
	since, now := o.At, rec.ids.Now()
	if since.IsZero() || since.After(now) {
		since = now
	}
	err := rec.stops.Record(ctx, ch.AccountID, o.From, recipient.OptOut{ChannelID: ch.ID, Since: since, Source: recipient.ByProvider})
	if err != nil {
		return tally{}, fmt.Errorf("opt-out on channel %s: %w", ch.ID, err)
	}
	return tally{optOuts: 1}, nil
}

// reply records what a recipient wrote, once, and lists its conversation. The listing is looked at for a repeated
// reply too: the request before may have ended in between.
func (rec recorder) reply(ctx context.Context, ch channel.Channel, can provider.Capabilities, reply provider.Reply) (tally, error) {
	m, err := rec.inbound(ctx, ch, reply)
	if err != nil {
		return tally{}, err
	}
	// Before the reply is shown: who reads it may answer at once.
	if can.OutsideWindow != nil {
		wrote := reply.At
		if wrote.IsZero() || wrote.After(m.CreatedAt()) {
			wrote = m.CreatedAt()
		}
		if err := rec.messages.OpenWindow(ctx, m.AccountID, m.ID.Conversation, wrote.Add(can.ReplyWindow)); err != nil {
			return tally{}, fmt.Errorf("reply on channel %s: %w", ch.ID, err)
		}
	}
	if err := rec.stop(ctx, m, reply); err != nil {
		return tally{}, fmt.Errorf("reply on channel %s: %w", ch.ID, err)
	}
	m, first, err := rec.messages.Receive(ctx, m, replyKey(reply))
	if err != nil {
		return tally{}, fmt.Errorf("reply on channel %s: %w", ch.ID, err)
	}
	listed, err := rec.messages.Listed(ctx, m)
	if err != nil {
		return tally{}, fmt.Errorf("reply on channel %s: %w", ch.ID, err)
	}
	if !listed {
		if err := rec.messages.Touch(ctx, m); err != nil {
			return tally{}, fmt.Errorf("reply on channel %s: %w", ch.ID, err)
		}
	}
	if err := rec.happened(ctx, m, message.Received); err != nil {
		return tally{}, err
	}
	if !first {
		return tally{repeated: 1}, nil
	}
	rec.log.InfoContext(ctx, "reply received", "account_id", ch.AccountID, "message_id", m.ID.String(), "channel_id", ch.ID)
	return tally{replies: 1}, nil
}

// stop records an opt-out when the whole reply is one of the words for it. It is the one place that looks at what somebody
// wrote: a person's word to the Contact Center that nobody else would act on in time. Nothing follows from it but that
// record: the reply is stored as every other, nothing is changed or left out, and nothing is sent. A reply that was
// recorded before was looked at then, so that a provider's repeat does not undo what the account has lifted since.
func (rec recorder) stop(ctx context.Context, m message.Message, reply provider.Reply) error {
	if !recipient.IsStop(reply.Content.Text) {
		return nil
	}
	seen, err := rec.messages.Received(ctx, m.AccountID, m.ID.Conversation, replyKey(reply))
	if err != nil || seen {
		return err
	}
	o := recipient.OptOut{ChannelID: m.ChannelID, Since: m.CreatedAt(), Source: recipient.ByRecipient}
	if err := rec.stops.Record(ctx, m.AccountID, reply.From, o); err != nil {
		return err
	}
	rec.log.InfoContext(ctx, "recipient opted out", "account_id", m.AccountID, "channel_id", m.ChannelID, "message_id", m.ID.String())
	return nil
}

// inbound makes the message of a reply. Its id holds the time of receipt: the provider's own time is not ours to trust.
func (rec recorder) inbound(ctx context.Context, ch channel.Channel, reply provider.Reply) (message.Message, error) {
	conversation := rec.keyer.Key(ch.AccountID, ch.ID, reply.From)
	mid, err := rec.ids.NewMessage(conversation)
	if err != nil {
		return message.Message{}, fmt.Errorf("id of a reply: %w", err)
	}
	hash, err := reply.Content.SHA256()
	if err != nil {
		return message.Message{}, fmt.Errorf("hash a reply on channel %s: its content has no canonical form", ch.ID)
	}
	keptFor, err := rec.accounts.Retention(ctx, ch.AccountID)
	if err != nil {
		return message.Message{}, fmt.Errorf("retention of %s: %w", ch.AccountID, err)
	}
	m := message.Message{
		KeptFor: keptFor, AccountID: ch.AccountID, ID: mid, Direction: message.Inbound, ChannelID: ch.ID, ProviderID: ch.ProviderID, Address: reply.From,
		Content: reply.Content, ContentSHA256: hash, Outcome: message.Received, ProviderMessageID: reply.ID,
	}
	m.ReplyTo, err = rec.answered(ctx, ch, conversation, reply.ReplyTo)
	return m, err
}

// answered gives the id of the message that a reply answers, when it is one of the account's; "" otherwise. An id that
// holds the reply's conversation proves that by itself.
func (rec recorder) answered(ctx context.Context, ch channel.Channel, conversation, replyTo string) (string, error) {
	m, err := id.ParseMessage(replyTo)
	if err != nil {
		return "", nil
	}
	if m.Conversation == conversation {
		return m.String(), nil
	}
	found, err := rec.messages.Standings(ctx, ch.AccountID, []id.Message{m})
	if err != nil {
		return "", fmt.Errorf("look for the message that a reply answers: %w", err)
	}
	if _, ok := found[m]; !ok {
		return "", nil
	}
	return m.String(), nil
}

// replyKey is the provider's id of a reply as a key against duplicates. It is a hash because a provider's id may hold the
// sender's number, and the key outlives an erasure.
func replyKey(reply provider.Reply) string {
	if reply.ID == "" {
		sum := sha256.Sum256(reply.Raw)
		return "raw-" + hex.EncodeToString(sum[:])
	}
	sum := sha256.Sum256([]byte(reply.ID))
	return "id-" + hex.EncodeToString(sum[:])
}
