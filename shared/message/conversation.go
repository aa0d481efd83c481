package message

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"golang.org/x/sync/errgroup"

	"contactcenter/shared/attr"
	"contactcenter/shared/id"
)

const (
	inboxSuffix = "#inbox" // pk account#channel#inbox, sk hour#conversation
	hourFormat  = "2006-01-02T15"

	// activityGrain is how coarse the stored order of conversations is: a conversation is listed once for every hour
	// in which it was active, which costs one write unit each. A page is put in exact order when it is read.
	activityGrain = time.Hour
)

// Conversation is all that was written between one channel and one address.
type Conversation struct {
	AccountID, Key, ChannelID, Address string
	LastInboundAt, LastOutboundAt      time.Time
	// Last is the newest message, with its content unless that is erased.
	Last Message
	// Unread is how many replies came after the marker.
	Unread int64
	// Read is up to where the account has read; Assignee whose task the conversation is. Both are empty where nothing is said.
	Read     Marker
	Assignee Assignment

	listedAt time.Time // of the newest message that Touch has surely seen, as far as that was looked for
}

// ID is the conversation's id.
func (c Conversation) ID() string { return id.ConversationPrefix + c.Key }

// LastActivityAt is the later of the two last messages.
func (c Conversation) LastActivityAt() time.Time {
	if c.LastInboundAt.After(c.LastOutboundAt) {
		return c.LastInboundAt
	}
	return c.LastOutboundAt
}

// SameActivity reports whether a conversation that was active at before need not be moved for activity at now.
func SameActivity(before, now time.Time) bool {
	return !before.IsZero() && before.Truncate(activityGrain).Equal(now.Truncate(activityGrain))
}

func inboxKey(m Message) item {
	return item{attrPK: str(m.AccountID + "#" + m.ChannelID + inboxSuffix), attrSK: str(m.CreatedAt().Format(hourFormat) + "#" + m.ID.Conversation)}
}

// Touch lists a conversation under the hour of a message in it. Doing it again changes nothing. Callers leave it out
// when SameActivity holds.
func (s *Store) Touch(ctx context.Context, m Message) error {
	it := inboxKey(m)
	it[attrTTL] = num(m.CreatedAt().Add(m.keptFor(s.Retention)).Unix())
	if _, err := s.DB.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.Table, Item: it}); err != nil {
		return fmt.Errorf("list conversation: %w", err)
	}
	return nil
}

// Listed reports whether a conversation is listed under the hour of a message in it, so that Touch can be left out. It
// is one eventually consistent read.
func (s *Store) Listed(ctx context.Context, m Message) (bool, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: inboxKey(m)})
	if err != nil {
		return false, fmt.Errorf("look at conversation: %w", err)
	}
	return len(out.Item) > 0, nil
}

const (
	// firstLook is how many of a conversation's newest messages are read: they cost no more than one.
	firstLook         = 3
	conversationPage  = 25
	conversationPages = 4
	// readAtOnce bounds how many conversations are read side by side.
	readAtOnce = 8
)

// Conversation reads a conversation: usually two requests, strongly consistent, however long it is. It returns ErrNotFound
// when the account has no such conversation.
func (s *Store) Conversation(ctx context.Context, accountID, conversation string) (Conversation, error) {
	c, err := s.newest(ctx, accountID, conversation, true, func(c Conversation) bool { return c.Address != "" })
	if err != nil {
		return Conversation{}, err
	}
	known, err := s.inboxOf(ctx, accountID, conversation)
	if err != nil {
		return Conversation{}, err
	}
	c.know(known)
	return c, s.Open(ctx, &c.Last)
}

// Way gives a conversation's channel and address; the address is empty when all that was in it is erased. Usually one
// request. It returns ErrNotFound as Conversation does.
func (s *Store) Way(ctx context.Context, accountID, conversation string) (channelID, address string, err error) {
	c, err := s.newest(ctx, accountID, conversation, true, func(c Conversation) bool { return c.Address != "" })
	return c.ChannelID, c.Address, err
}

// newest reads a conversation from its newest messages until there is enough, one request at first, at most five.
func (s *Store) newest(ctx context.Context, accountID, conversation string, consistent bool, enough func(Conversation) bool) (Conversation, error) {
	c := Conversation{AccountID: accountID, Key: conversation}
	limit, start := int32(firstLook), item(nil)
	for range 1 + conversationPages {
		out, err := s.DB.Query(ctx, &dynamodb.QueryInput{
			TableName: &s.Table, ConsistentRead: &consistent, ScanIndexForward: aws.Bool(false), Limit: &limit, ExclusiveStartKey: start,
			KeyConditionExpression:    aws.String("#pk = :pk AND begins_with(#sk, :m)"),
			ExpressionAttributeNames:  map[string]string{"#pk": attrPK, "#sk": attrSK},
			ExpressionAttributeValues: item{":pk": str(partition(accountID, conversation)), ":m": str(statePrefix)},
		})
		if err != nil {
			return Conversation{}, fmt.Errorf("query conversation: %w", err)
		}
		for _, it := range out.Items {
			m, err := decode(it)
			if err != nil {
				return Conversation{}, err
			}
			if err := s.see(&c, m); err != nil {
				return Conversation{}, err
			}
		}
		start, limit = out.LastEvaluatedKey, conversationPage
		if len(start) == 0 || enough(c) {
			break
		}
	}
	if c.ChannelID == "" {
		return Conversation{}, ErrNotFound
	}
	return c, nil
}

// see adds what the next older message says of a conversation.
func (s *Store) see(c *Conversation, m Message) error {
	if c.ChannelID == "" {
		c.ChannelID, c.Last = m.ChannelID, m
	}
	if c.Address == "" { // all of them have the same
		if _, err := s.openState(&m); err != nil {
			return err
		}
		c.Address = m.Address
	}
	if c.listedAt.IsZero() && m.listed() {
		c.listedAt = m.CreatedAt()
	}
	if m.Direction == Inbound && c.LastInboundAt.IsZero() {
		c.LastInboundAt = m.CreatedAt()
	}
	if m.Direction == Outbound && c.LastOutboundAt.IsZero() {
		c.LastOutboundAt = m.CreatedAt()
	}
	return nil
}

// ConversationsOf reads conversations by their keys, in that order; those that are not there are left out. One eventually
// consistent request for each, some side by side, and one for each 100.
func (s *Store) ConversationsOf(ctx context.Context, accountID string, keys []string) ([]Conversation, error) {
	return s.conversationsOf(ctx, accountID, keys, func(c Conversation) bool { return c.Address != "" }, func(Conversation) bool { return true })
}

func (s *Store) conversationsOf(ctx context.Context, accountID string, keys []string, enough, wanted func(Conversation) bool) ([]Conversation, error) {
	found := make([]Conversation, len(keys))
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(readAtOnce)
	for i, k := range keys {
		group.Go(func() error {
			c, err := s.newest(within, accountID, k, false, enough)
			if errors.Is(err, ErrNotFound) {
				return nil // every message in it has reached the end of its retention
			}
			if err != nil || !wanted(c) {
				return err
			}
			found[i] = c
			return s.Open(within, &found[i].Last)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	list := slices.DeleteFunc(found, func(c Conversation) bool { return c.Key == "" })
	there := make([]string, len(list))
	for i, c := range list {
		there[i] = c.Key
	}
	known, err := s.inboxes(ctx, accountID, there, false)
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].know(known[list[i].Key])
	}
	return list, nil
}

// listed reports whether the conversation was surely listed when this message was: a reply when it was recorded, a
// message when a dispatcher was done with it. An erasure takes the conversation out of the list again.
func (m Message) listed() bool {
	return m.ErasedAt.IsZero() && (m.Direction == Inbound || m.Final() && m.Outcome != Canceled)
}

const inboxPages = 10

// Conversations lists a channel's conversations, last activity first. The order is exact within a page, and by the hour between
// pages. Each entry that is looked at takes one read of its conversation, some side by side; an entry of an earlier hour of a
// conversation that was active since is passed over, and so is what is not wanted (nil: all is); a page may then have fewer
// conversations than it has room for, and more after it.
func (s *Store) Conversations(ctx context.Context, accountID, channelID string, p attr.Page, wanted func(Conversation) bool) ([]Conversation, string, error) {
	var list []Conversation
	at := entries{}
	for range inboxPages {
		out, err := s.page(ctx, attr.Page{Size: p.Size - len(list), Token: p.Token}, &dynamodb.QueryInput{
			KeyConditionExpression: aws.String("#pk = :pk"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
			ExpressionAttributeValues: item{":pk": str(accountID + "#" + channelID + inboxSuffix)},
		})
		if err != nil {
			return nil, "", err
		}
		enough := func(c Conversation) bool { return c.Address != "" && !c.listedAt.IsZero() }
		some, err := s.conversationsOf(ctx, accountID, at.met(out.Items), enough, at.lastOf)
		if err != nil {
			return nil, "", err
		}
		list = append(list, slices.DeleteFunc(some, func(c Conversation) bool { return wanted != nil && !wanted(c) })...)
		if p.Token, err = attr.Token(out.LastEvaluatedKey); err != nil {
			return nil, "", err
		}
		if p.Token == "" || len(list) >= p.Size {
			break
		}
	}
	ByActivity(list)
	return list, p.Token, nil
}

// entries are those of a list of conversations that were met, newest first, by conversation. Each has an entry of its own, so
// that conversations can be looked at side by side.
type entries map[string]*entry

type entry struct {
	hours []string
	// ahead: the conversation was active before all of them, as far as that counts; its entry comes later in the list.
	ahead bool
}

// met gives the conversations that are to be looked at for some more entries.
func (e entries) met(some []item) (conversations []string) {
	for _, it := range some {
		hour, conversation, _ := strings.Cut(text(it, attrSK), "#")
		of := e[conversation]
		if of == nil {
			of = &entry{ahead: true}
			e[conversation] = of
		}
		of.hours = append(of.hours, hour)
		if of.ahead {
			of.ahead, conversations = false, append(conversations, conversation)
		}
	}
	return conversations
}

// lastOf reports whether one of the entries that were met stands for the conversation's last activity.
func (e entries) lastOf(c Conversation) bool {
	of, hour := e[c.Key], c.listedAt.Format(hourFormat)
	if c.listedAt.IsZero() || slices.Contains(of.hours, hour) {
		return true
	}
	of.ahead = hour < of.hours[len(of.hours)-1]
	return false
}

// ByActivity puts conversations in order, last activity first.
func ByActivity(list []Conversation) {
	slices.SortStableFunc(list, func(a, b Conversation) int {
		return cmp.Or(b.LastActivityAt().Compare(a.LastActivityAt()), cmp.Compare(b.Key, a.Key))
	})
}
