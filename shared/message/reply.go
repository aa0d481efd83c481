package message

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
)

// Receive records an inbound message once. ReplyID is the provider's id of the reply: whoever records it first
// decides the message's id, and every later call finds that one. It is counted before it can be seen. Four requests, five when the
// content is long; a duplicate takes two, unless the one before it was cut short.
func (s *Store) Receive(ctx context.Context, m Message, replyID string) (Message, bool, error) {
	seen := item{
		attrPK: str(partition(m.AccountID, m.ID.Conversation)), attrSK: str(seenPrefix + replyID), "u": str(m.ID.Unique), attrTTL: num(m.CreatedAt().Add(m.keptFor(s.Retention)).Unix()),
	}
	_, err := s.DB.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &s.Table, Item: seen, ConditionExpression: aws.String("attribute_not_exists(#pk)"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	refused := new(types.ConditionalCheckFailedException)
	first := true
	switch {
	case errors.As(err, &refused):
		first = false
		m.ID.Unique = text(refused.Item, "u")
		if recorded, err := s.recorded(ctx, m); err != nil || recorded {
			return m, false, err
		}
	case err != nil:
		return m, false, fmt.Errorf("record reply: %w", err)
	}
	counted := m
	if counted.replyNo, err = s.countReply(ctx, m); err != nil {
		return m, false, err
	}
	if err := s.Create(ctx, counted); err != nil {
		return m, false, err
	}
	return m, first, nil
}

// recorded reports whether a message is there.
func (s *Store) recorded(ctx context.Context, m Message) (bool, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.Table, Key: key(m.AccountID, m.ID, statePrefix), ConsistentRead: aws.Bool(true),
		ProjectionExpression: aws.String("#pk"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
	})
	if err != nil {
		return false, fmt.Errorf("look for message: %w", err)
	}
	return len(out.Item) > 0, nil
}

// Received reports whether a reply was recorded already, by the provider's id of it.
func (s *Store) Received(ctx context.Context, accountID, conversation, replyID string) (bool, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.Table, ConsistentRead: aws.Bool(true), Key: map[string]types.AttributeValue{attrPK: str(partition(accountID, conversation)), attrSK: str(seenPrefix + replyID)},
	})
	if err != nil {
		return false, fmt.Errorf("look for reply: %w", err)
	}
	return len(out.Item) > 0, nil
}

// countReply notes a reply in the conversation's item, before the reply itself is written, and gives its number among the
// replies. A repeat of the newest reply is not counted again. Two requests, three for a reply that another one overtook.
func (s *Store) countReply(ctx context.Context, m Message) (int64, error) {
	before, err := s.before(ctx, m)
	if err != nil {
		return 0, err
	}
	var u attr.Update
	u.Require(u.AbsentOr(attrLastReply, "<", str(m.ID.Unique)))
	u.Add(attrReplies, 1)
	u.Set(attrLastReply, str(m.ID.Unique))
	u.Set(attrTTL, num(m.CreatedAt().Add(m.keptFor(s.Retention)).Unix()))
	if before != "" {
		u.Set(attrLastSent, str(before))
	}
	it, counted, err := u.Apply(ctx, s.DB, s.Table, inboxItem(m.AccountID, m.ID.Conversation))
	if err != nil {
		return 0, fmt.Errorf("count reply: %w", err)
	}
	if counted || text(it, attrLastReply) == m.ID.Unique {
		return number(it, attrReplies), nil
	}
	return s.countOvertaken(ctx, m)
}

// countOvertaken counts a reply that is older than the newest one.
func (s *Store) countOvertaken(ctx context.Context, m Message) (int64, error) {
	var u attr.Update
	u.Add(attrReplies, 1)
	it, _, err := u.Apply(ctx, s.DB, s.Table, inboxItem(m.AccountID, m.ID.Conversation))
	if err != nil {
		return 0, fmt.Errorf("count reply: %w", err)
	}
	return number(it, attrReplies), nil
}

// before gives the unique of the message right before a reply, if that is one that was sent to the recipient: "" else.
func (s *Store) before(ctx context.Context, m Message) (string, error) {
	out, err := s.DB.Query(ctx, &dynamodb.QueryInput{
		TableName: &s.Table, ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(false), Limit: aws.Int32(2),
		KeyConditionExpression:   aws.String("#pk = :pk AND #sk BETWEEN :first AND :this"),
		ProjectionExpression:     aws.String("#sk, #d"),
		ExpressionAttributeNames: map[string]string{"#pk": attrPK, "#sk": attrSK, "#d": attrDirection},
		ExpressionAttributeValues: item{
			":pk": str(partition(m.AccountID, m.ID.Conversation)), ":first": str(statePrefix), ":this": str(statePrefix + m.ID.Unique),
		},
	})
	if err != nil {
		return "", fmt.Errorf("look before reply: %w", err)
	}
	for _, it := range out.Items {
		unique := strings.TrimPrefix(text(it, attrSK), statePrefix)
		if unique == m.ID.Unique {
			continue
		}
		if text(it, attrDirection) != "i" {
			return unique, nil
		}
		break
	}
	return "", nil
}
