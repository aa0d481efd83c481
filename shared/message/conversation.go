package message

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

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

	listedAt time.Time // of the newest message that Touch has surely seen
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
	conversationPage  = 25
	conversationPages = 4
)

// Conversation reads a conversation from its newest messages: usually one request, at most four. The last time of a
// direction stays zero when it lies further back than 100 messages. It returns ErrNotFound when the account has
// no such conversation.
func (s *Store) Conversation(ctx context.Context, accountID, conversation string) (Conversation, error) {
	c := Conversation{AccountID: accountID, Key: conversation}
	var start item
	for range conversationPages {
		out, err := s.DB.Query(ctx, &dynamodb.QueryInput{
			TableName: &s.Table, ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(false), Limit: aws.Int32(conversationPage), ExclusiveStartKey: start,
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
			c.ChannelID = m.ChannelID
			if c.Address == "" { // all of them have the same
				if _, err := s.openState(&m); err != nil {
					return Conversation{}, err
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
		}
		start = out.LastEvaluatedKey
		if len(start) == 0 || c.Address != "" && !c.LastInboundAt.IsZero() && !c.LastOutboundAt.IsZero() && !c.listedAt.IsZero() {
			break
		}
	}
	if c.ChannelID == "" {
		return Conversation{}, ErrNotFound
	}
	return c, nil
}

// Page asks for a part of a list. Size is at least 1; Token is empty for the first page.
type Page struct {
	Size  int
	Token string
}

// ErrPageToken: the token is not one that this list gave out.
var ErrPageToken = errors.New("page token is not valid for this list")

// listed reports whether the conversation was surely listed when this message was: a reply when it was recorded, a
// message when a dispatcher was done with it. An erasure takes the conversation out of the list again.
func (m Message) listed() bool {
	return m.ErasedAt.IsZero() && (m.Direction == Inbound || m.Final() && m.Outcome != Canceled)
}

const inboxPages = 10

// Conversations lists a channel's conversations, last activity first. The order is exact within a page, and by the
// hour between pages. Each entry that is looked at takes one read of its conversation; an entry of an earlier hour of a
// conversation that was active since is passed over.
func (s *Store) Conversations(ctx context.Context, accountID, channelID string, p Page) ([]Conversation, string, error) {
	var list []Conversation
	for range inboxPages {
		out, err := s.page(ctx, Page{Size: p.Size - len(list), Token: p.Token}, &dynamodb.QueryInput{
			KeyConditionExpression: aws.String("#pk = :pk"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
			ExpressionAttributeValues: item{":pk": str(accountID + "#" + channelID + inboxSuffix)},
		})
		if err != nil {
			return nil, "", err
		}
		for _, it := range out.Items {
			hour, conversation, _ := strings.Cut(text(it, attrSK), "#")
			c, err := s.Conversation(ctx, accountID, conversation)
			if errors.Is(err, ErrNotFound) {
				continue // every message in it has reached the end of its retention
			}
			if err != nil {
				return nil, "", err
			}
			if c.listedAt.IsZero() || c.listedAt.Format(hourFormat) == hour {
				list = append(list, c)
			}
		}
		if p.Token, err = nextToken(out); err != nil {
			return nil, "", err
		}
		if p.Token == "" || len(list) >= p.Size {
			break
		}
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].LastActivityAt().After(list[j].LastActivityAt()) })
	return list, p.Token, nil
}

// InConversation lists a conversation's messages, newest first, with their content.
func (s *Store) InConversation(ctx context.Context, accountID, conversation string, p Page) ([]Message, string, error) {
	out, err := s.page(ctx, p, &dynamodb.QueryInput{
		ConsistentRead: aws.Bool(true), KeyConditionExpression: aws.String("#pk = :pk AND begins_with(#sk, :m)"),
		ExpressionAttributeNames:  map[string]string{"#pk": attrPK, "#sk": attrSK},
		ExpressionAttributeValues: item{":pk": str(partition(accountID, conversation)), ":m": str(statePrefix)},
	})
	if err != nil {
		return nil, "", err
	}
	list := make([]Message, 0, len(out.Items))
	for _, it := range out.Items {
		m, err := decode(it)
		if err != nil {
			return nil, "", err
		}
		if err := s.Open(ctx, &m); err != nil {
			return nil, "", err
		}
		list = append(list, m)
	}
	next, err := nextToken(out)
	return list, next, err
}

// ByReference lists the messages of one client_reference, newest first. The index follows the table within moments.
func (s *Store) ByReference(ctx context.Context, accountID, reference string, p Page) ([]Message, string, error) {
	out, err := s.page(ctx, p, &dynamodb.QueryInput{
		IndexName: aws.String(ReferenceIndex), KeyConditionExpression: aws.String("#k = :k"),
		ExpressionAttributeNames: map[string]string{"#k": attrRefKey}, ExpressionAttributeValues: item{":k": str(referenceKey(accountID, reference))},
	}, attrRefKey, attrRefSort)
	if err != nil {
		return nil, "", err
	}
	list := make([]Message, 0, len(out.Items))
	for _, it := range out.Items {
		_, conversation, _ := strings.Cut(text(it, attrPK), "#")
		m, err := s.Get(ctx, accountID, id.Message{Unique: strings.TrimPrefix(text(it, attrSK), statePrefix), Conversation: conversation})
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		list = append(list, m)
	}
	next, err := nextToken(out)
	return list, next, err
}

// HeldStandings lists an account's held messages, oldest first, without their content and addresses: two requests for
// a page of at most 100. Those that the index still shows and that are held no longer are left out.
func (s *Store) HeldStandings(ctx context.Context, accountID string, p Page) ([]Message, string, error) {
	out, err := s.page(ctx, p, &dynamodb.QueryInput{
		IndexName: aws.String(HeldIndex), ScanIndexForward: aws.Bool(true), KeyConditionExpression: aws.String("#k = :k"),
		ExpressionAttributeNames: map[string]string{"#k": attrHeldKey}, ExpressionAttributeValues: item{":k": str(accountID)},
	}, attrHeldKey, attrHeldSort)
	if err != nil {
		return nil, "", err
	}
	ids := make([]id.Message, len(out.Items))
	for i, it := range out.Items {
		_, conversation, _ := strings.Cut(text(it, attrPK), "#")
		ids[i] = id.Message{Unique: strings.TrimPrefix(text(it, attrSK), statePrefix), Conversation: conversation}
	}
	found, err := s.Standings(ctx, accountID, ids)
	if err != nil {
		return nil, "", err
	}
	list := make([]Message, 0, len(ids))
	for _, mid := range ids {
		if m, ok := found[mid]; ok && m.Outcome == Held {
			list = append(list, m)
		}
	}
	next, err := nextToken(out)
	return list, next, err
}

// page runs a query for one page, newest first unless the input says otherwise. A token holds the key at which the
// page before ended; one that leads outside the list's own key is refused.
func (s *Store) page(ctx context.Context, p Page, in *dynamodb.QueryInput, indexKeys ...string) (*dynamodb.QueryOutput, error) {
	in.TableName, in.Limit = &s.Table, aws.Int32(int32(p.Size))
	if in.ScanIndexForward == nil {
		in.ScanIndexForward = aws.Bool(false)
	}
	if p.Token != "" {
		start, err := parseToken(p.Token, append([]string{attrPK, attrSK}, indexKeys...))
		if err != nil {
			return nil, err
		}
		if !startsWithin(in, start, indexKeys) {
			return nil, ErrPageToken
		}
		in.ExclusiveStartKey = start
	}
	out, err := s.DB.Query(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("query messages: %w", err)
	}
	return out, nil
}

// startsWithin reports whether a list may begin at a key: in its own partition, and in the table at a message.
func startsWithin(in *dynamodb.QueryInput, start item, indexKeys []string) bool {
	if len(indexKeys) > 0 {
		return text(start, indexKeys[0]) == text(in.ExpressionAttributeValues, ":k")
	}
	prefix := text(in.ExpressionAttributeValues, ":m")
	return text(start, attrPK) == text(in.ExpressionAttributeValues, ":pk") && strings.HasPrefix(text(start, attrSK), prefix)
}

func nextToken(out *dynamodb.QueryOutput) (string, error) {
	if len(out.LastEvaluatedKey) == 0 {
		return "", nil
	}
	k := map[string]string{}
	for name := range out.LastEvaluatedKey {
		k[name] = text(out.LastEvaluatedKey, name)
	}
	b, err := json.Marshal(k)
	if err != nil {
		return "", fmt.Errorf("encode page token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

func parseToken(token string, names []string) (item, error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return nil, ErrPageToken
	}
	k := map[string]string{}
	if err := json.Unmarshal(b, &k); err != nil || len(k) != len(names) {
		return nil, ErrPageToken
	}
	start := item{}
	for _, n := range names {
		if k[n] == "" {
			return nil, ErrPageToken
		}
		start[n] = str(k[n])
	}
	return start, nil
}
