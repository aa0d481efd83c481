package message

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/id"
)

// What is known of a conversation besides its messages stands in one item of its partition. Each reply writes it once, a
// message that is sent never does.
const (
	inboxSort      = "i"
	attrReplies    = "n"  // how many replies were recorded
	attrLastReply  = "li" // unique of the newest
	attrLastSent   = "lo" // unique of the newest message before it that was sent to the recipient
	attrReadTo     = "ru" // unique of the message up to which the account has read
	attrReadCount  = "rn" // how many of the replies that are
	attrReadBy     = "rb"
	attrReadAt     = "rd"
	attrAssignee   = "au"
	attrAssignedBy = "ab"
	attrAssignedAt = "aa"

	assignedSuffix = "#assigned" // pk account#assigned, sk user#conversation: who works on which conversation

	// assignTries is how often an assignment looks again when another one came in between.
	assignTries = 20
	// laterPages bounds how far a marker looks for the next reply: 40 pages of 25 messages.
	laterPages = 40
)

// Auditor writes a change and its audit event as one: an *audit.Log does.
type Auditor interface {
	Write(ctx context.Context, e audit.Event, changes ...types.TransactWriteItem) error
}

// Assignment says whose task a conversation is.
type Assignment struct {
	UserID string
	// By is the user who assigned it.
	By string
	At time.Time
	// KeptFor is the account's retention, when it is written; 0: the store's.
	KeptFor time.Duration
}

// Marker says up to which message the account has read a conversation.
type Marker struct {
	// UpTo is the message, zero: nothing was read.
	UpTo id.Message
	By   string
	At   time.Time
	// KeptFor is the account's retention, when it is written; 0: the store's.
	KeptFor time.Duration
}

// until is the ttl of what is written at a time.
func (s *Store) until(at time.Time, keptFor time.Duration) types.AttributeValue {
	if keptFor == 0 {
		keptFor = s.Retention
	}
	return num(at.Add(keptFor).Unix())
}

func inboxItem(accountID, conversation string) item {
	return item{attrPK: str(partition(accountID, conversation)), attrSK: str(inboxSort)}
}

func assignedKey(accountID, userID, conversation string) item {
	return item{attrPK: str(accountID + assignedSuffix), attrSK: str(userID + "#" + conversation)}
}

// know adds what the conversation's own item says.
func (c *Conversation) know(it item) {
	later := func(at *time.Time, unique string) {
		if unique == "" {
			return
		}
		if t := (id.Message{Unique: unique}).Time(); t.After(*at) {
			*at = t
		}
	}
	later(&c.LastInboundAt, text(it, attrLastReply))
	later(&c.LastOutboundAt, text(it, attrLastSent))
	c.Unread = max(0, number(it, attrReplies)-number(it, attrReadCount))
	if by := text(it, attrReadBy); by != "" { // else what was read is erased
		c.Read = Marker{UpTo: id.Message{Unique: text(it, attrReadTo), Conversation: c.Key}, By: by, At: millis(it, attrReadAt)}
	}
	c.Assignee = Assignment{UserID: text(it, attrAssignee), By: text(it, attrAssignedBy), At: millis(it, attrAssignedAt)}
}

// MarkRead moves the marker of a conversation to a message, which must be there. A marker never goes back: Applied is
// false when it stands there or further already. Two requests; more where replies came after that message.
func (s *Store) MarkRead(ctx context.Context, accountID string, m Marker) (applied bool, err error) {
	known, err := s.inboxOf(ctx, accountID, m.UpTo.Conversation)
	if err != nil {
		return false, err
	}
	read, err := s.repliesUpTo(ctx, accountID, m.UpTo, known)
	if err != nil {
		return false, err
	}
	return s.mark(ctx, new(attr.Update), accountID, m, read)
}

// mark writes a marker, by which a number of replies are read. The update has what must hold beside what keeps it from going back.
func (s *Store) mark(ctx context.Context, u *attr.Update, accountID string, m Marker, read int64) (bool, error) {
	u.Require(u.AbsentOr(attrReadTo, "<", str(m.UpTo.Unique)))
	u.Set(attrReadTo, str(m.UpTo.Unique))
	u.Set(attrReadCount, num(read))
	u.Set(attrReadAt, num(m.At.UnixMilli()))
	if m.By == "" {
		u.Remove(attrReadBy)
	} else {
		u.Set(attrReadBy, str(m.By))
		u.Set(attrTTL, s.until(m.At, m.KeptFor))
	}
	_, applied, err := u.Apply(ctx, s.DB, s.Table, inboxItem(accountID, m.UpTo.Conversation))
	if err != nil {
		return false, fmt.Errorf("mark conversation as read: %w", err)
	}
	return applied, nil
}

// repliesUpTo tells how many replies a conversation has up to a message: all, or those before the first one after it. Where
// that lies further off than 1,000 messages, it is as many as were read before.
func (s *Store) repliesUpTo(ctx context.Context, accountID string, upTo id.Message, known item) (int64, error) {
	if text(known, attrLastReply) <= upTo.Unique {
		return number(known, attrReplies), nil
	}
	var start item
	for range laterPages {
		out, err := s.DB.Query(ctx, &dynamodb.QueryInput{
			TableName: &s.Table, ConsistentRead: aws.Bool(true), Limit: aws.Int32(conversationPage), ExclusiveStartKey: start,
			KeyConditionExpression: aws.String("#pk = :pk AND #sk BETWEEN :after AND :last"), ProjectionExpression: aws.String("#sk, #d, #no"),
			ExpressionAttributeNames: map[string]string{"#pk": attrPK, "#sk": attrSK, "#d": attrDirection, "#no": attrReplyNo},
			ExpressionAttributeValues: item{
				":pk": str(partition(accountID, upTo.Conversation)), ":after": str(statePrefix + upTo.Unique + "#"), ":last": str(statePrefix + text(known, attrLastReply)),
			},
		})
		if err != nil {
			return 0, fmt.Errorf("count what was read: %w", err)
		}
		for _, it := range out.Items {
			if no := number(it, attrReplyNo); text(it, attrDirection) == "i" && no > 0 {
				return no - 1, nil
			}
		}
		if start = out.LastEvaluatedKey; len(start) == 0 {
			break
		}
	}
	return number(known, attrReadCount), nil
}

func (s *Store) inboxOf(ctx context.Context, accountID, conversation string) (item, error) {
	found, err := s.inboxes(ctx, accountID, []string{conversation}, true)
	return found[conversation], err
}

// inboxes reads what is known of conversations besides their messages, by key: one request for each 100.
func (s *Store) inboxes(ctx context.Context, accountID string, conversations []string, consistent bool) (map[string]item, error) {
	ask := types.KeysAndAttributes{ConsistentRead: &consistent}
	for _, k := range conversations {
		ask.Keys = append(ask.Keys, inboxItem(accountID, k))
	}
	items, err := awsclient.BatchGet(ctx, s.DB, s.Table, ask)
	if err != nil {
		return nil, fmt.Errorf("get conversations: %w", err)
	}
	found := make(map[string]item, len(items))
	for _, it := range items {
		found[strings.TrimPrefix(text(it, attrPK), accountID+"#")] = it
	}
	return found, nil
}

// ErrReassigned: others assigned the conversation at the same time, again and again.
var ErrReassigned = errors.New("the conversation was assigned by others meanwhile")

// Assign makes a conversation a user's task, or with an empty UserID nobody's, and writes the audit event with it. It changes and
// writes nothing where that is so already. The conversation must be there. Two requests.
func (s *Store) Assign(ctx context.Context, accountID, conversation string, a Assignment, e audit.Event) error {
	for range assignTries {
		known, err := s.inboxOf(ctx, accountID, conversation)
		if err != nil {
			return err
		}
		was := text(known, attrAssignee)
		if was == a.UserID {
			return nil
		}
		e.Target, e.Before, e.After = id.ConversationPrefix+conversation, assigned(was), assigned(a.UserID)
		e.Action = "conversation.assigned"
		if a.UserID == "" {
			e.Action = "conversation.unassigned"
		}
		err = s.Audit.Write(ctx, e, s.assignment(accountID, conversation, was, a)...)
		if audit.AsRefused(err) == nil {
			return err
		}
	}
	return ErrReassigned
}

func assigned(userID string) map[string]any {
	if userID == "" {
		return nil
	}
	return map[string]any{"user_id": userID}
}

// assignment gives the writes that take a conversation from one user to another; "" is nobody.
func (s *Store) assignment(accountID, conversation, was string, a Assignment) []types.TransactWriteItem {
	var u attr.Update
	var changes []types.TransactWriteItem
	if was == "" {
		u.Require(u.Absent(attrAssignee))
	} else {
		u.Require(u.Is(attrAssignee, "=", str(was)))
		changes = append(changes, types.TransactWriteItem{Delete: &types.Delete{TableName: &s.Table, Key: assignedKey(accountID, was, conversation)}})
	}
	if a.UserID == "" {
		u.Remove(attrAssignee, attrAssignedBy, attrAssignedAt)
	} else {
		ttl := s.until(a.At, a.KeptFor)
		u.Set(attrAssignee, str(a.UserID))
		u.Set(attrAssignedBy, str(a.By))
		u.Set(attrAssignedAt, num(a.At.UnixMilli()))
		u.Set(attrTTL, ttl)
		entry := assignedKey(accountID, a.UserID, conversation)
		entry[attrTTL] = ttl
		changes = append(changes, types.TransactWriteItem{Put: &types.Put{TableName: &s.Table, Item: entry}})
	}
	return append([]types.TransactWriteItem{{Update: u.Part(s.Table, inboxItem(accountID, conversation))}}, changes...)
}

// Assigned gives the keys of some of the conversations that are a user's task, and where the next begin: "" after the last.
// One request.
func (s *Store) Assigned(ctx context.Context, accountID, userID, cursor string, size int) (conversations []string, next string, err error) {
	in := &dynamodb.QueryInput{
		TableName: &s.Table, ConsistentRead: aws.Bool(true), Limit: aws.Int32(int32(size)),
		KeyConditionExpression: aws.String("#pk = :pk AND begins_with(#sk, :user)"), ExpressionAttributeNames: map[string]string{"#pk": attrPK, "#sk": attrSK},
		ExpressionAttributeValues: item{":pk": str(accountID + assignedSuffix), ":user": str(userID + "#")},
	}
	if cursor != "" {
		in.ExclusiveStartKey = assignedKey(accountID, userID, cursor)
	}
	out, err := s.DB.Query(ctx, in)
	if err != nil {
		return nil, "", fmt.Errorf("list assigned conversations: %w", err)
	}
	for _, it := range out.Items {
		conversation := strings.TrimPrefix(text(it, attrSK), userID+"#")
		if !strings.Contains(conversation, "#") { // else it is another user's, whose id goes on with this mark
			conversations = append(conversations, conversation)
		}
	}
	if len(out.LastEvaluatedKey) > 0 {
		next = strings.TrimPrefix(text(out.LastEvaluatedKey, attrSK), userID+"#")
	}
	return conversations, next, nil
}

// Forget takes out of a conversation's item what was done with the messages up to a time, which are erased: who read them, and
// whose task they were; a conversation that ended with them is nobody's task, whenever it was assigned. None of the messages is
// unread any more. Doing it again changes nothing. Up to four requests.
func (s *Store) Forget(ctx context.Context, accountID, conversation string, until time.Time, ended bool) error {
	known, err := s.inboxOf(ctx, accountID, conversation)
	if err != nil || len(known) == 0 {
		return err
	}
	if user := text(known, attrAssignee); user != "" && (ended || !millis(known, attrAssignedAt).After(until)) {
		if err := s.unassign(ctx, accountID, conversation, user); err != nil {
			return err
		}
	}
	last, err := lastOf(conversation, until)
	if err != nil {
		return err
	}
	read, err := s.repliesUpTo(ctx, accountID, last, known)
	if err != nil {
		return err
	}
	u := new(attr.Update)
	u.Require(u.Exists(attrPK))
	_, err = s.mark(ctx, u, accountID, Marker{UpTo: last, At: until}, read)
	return err
}

// unassign takes an assignment away without a person's doing, if it is still that user's.
func (s *Store) unassign(ctx context.Context, accountID, conversation, userID string) error {
	var u attr.Update
	u.Require(u.Is(attrAssignee, "=", str(userID)))
	u.Remove(attrAssignee, attrAssignedBy, attrAssignedAt)
	_, applied, err := u.Apply(ctx, s.DB, s.Table, inboxItem(accountID, conversation))
	if err != nil {
		return fmt.Errorf("unassign conversation: %w", err)
	}
	if !applied {
		return nil
	}
	return s.deleteKey(ctx, assignedKey(accountID, userID, conversation))
}

// lastOf is the last id that a message of a time can have.
func lastOf(conversation string, at time.Time) (id.Message, error) {
	source := id.Source{Now: func() time.Time { return at }, Random: bytes.NewReader([]byte{0xff, 0xff, 0xff, 0xff})}
	return source.NewMessage(conversation)
}

// PurgeAssigned takes away what is kept of whose task an account's conversations are.
func (s *Store) PurgeAssigned(ctx context.Context, accountID string) error {
	return s.purge(ctx, accountID+assignedSuffix)
}
