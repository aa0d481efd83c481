package message

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"contactcenter/shared/id"
)

const erasePage = 50

// Part is a part of a conversation that is to be erased.
type Part struct {
	// Messages are without content and address.
	Messages []Message
	// Cursor is where the next part begins, "" when this is the last.
	Cursor string
	// Later is the first message that was made after the time asked for, nil when the part has none.
	Later *Message
}

// Part reads the next part of a conversation's messages up to a time, oldest first. One strongly consistent query.
func (s *Store) Part(ctx context.Context, accountID, conversation, cursor string, until time.Time) (Part, error) {
	names, list := projection(append(standing[:], attrErased, attrExternal, attrError, attrReportErr)...)
	in := &dynamodb.QueryInput{
		TableName: &s.Table, ConsistentRead: aws.Bool(true), Limit: aws.Int32(erasePage), ProjectionExpression: &list, ExpressionAttributeNames: names,
		KeyConditionExpression:    aws.String("#pk = :pk AND begins_with(#sk, :m)"),
		ExpressionAttributeValues: item{":pk": str(partition(accountID, conversation)), ":m": str(statePrefix)},
	}
	if cursor != "" {
		in.ExclusiveStartKey = key(accountID, id.Message{Unique: cursor, Conversation: conversation}, statePrefix)
	}
	out, err := s.DB.Query(ctx, in)
	if err != nil {
		return Part{}, fmt.Errorf("query conversation: %w", err)
	}
	var p Part
	for _, it := range out.Items {
		m, err := decode(it)
		if err != nil {
			return Part{}, err
		}
		if m.CreatedAt().After(until) {
			p.Later = &m
			return p, nil
		}
		p.Messages = append(p.Messages, m)
	}
	if len(out.LastEvaluatedKey) > 0 {
		p.Cursor = strings.TrimPrefix(text(out.LastEvaluatedKey, attrSK), statePrefix)
	}
	return p, nil
}

// Has reports whether the account has a conversation that holds a person's data: one with a message that is not erased.
// Usually one request.
func (s *Store) Has(ctx context.Context, accountID, conversation string) (bool, error) {
	_, address, err := s.Way(ctx, accountID, conversation)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return address != "", err
}

func projection(attrs ...string) (names map[string]string, list string) {
	names = make(map[string]string, len(attrs))
	all := make([]string, len(attrs))
	for i, a := range attrs {
		names["#"+a], all[i] = a, "#"+a
	}
	return names, strings.Join(all, ", ")
}

// personal are the attributes that hold something of a person, or by which one can be found.
func personal() []string {
	return []string{attrSealed, attrExternal, attrHash, attrReference, attrRefKey, attrRefSort, attrProviderID}
}

// Erase takes everything that is of a person out of a message that is final, and leaves what happened to it: statuses, times
// and codes, and what it counted. It does nothing to a message that is not final or is erased already; Applied says which.
func (s *Store) Erase(ctx context.Context, m Message, at time.Time) (Written, error) {
	w := newWrite()
	w.Set(attrErased, num(at.UnixMilli()))
	w.Remove(personal()...)
	w.outcome(Failed, Unknown, Expired, Sent, Canceled, Rejected, Received)
	w.Require(w.Absent(attrErased))
	return s.update(ctx, m.AccountID, m.ID, w)
}

// Scrub takes out of an erased message what a late word of the provider may have brought in, and the words of problems. Nothing is asked
// when there is nothing of that kind.
func (s *Store) Scrub(ctx context.Context, m Message) error {
	if m.ErasedAt.IsZero() {
		return nil
	}
	w := newWrite()
	w.Set(attrErased, num(m.ErasedAt.UnixMilli()))
	w.Remove(attrProviderID)
	worded := m.ProviderMessageID != ""
	for name, p := range map[string]*Problem{attrError: m.OutcomeError, attrReportErr: m.ReportedError} {
		if p == nil || p.Detail == "" {
			continue
		}
		bare := *p
		bare.Detail, worded = "", true
		if err := w.problem(name, &bare); err != nil {
			return err
		}
	}
	if !worded {
		return nil
	}
	_, err := s.write(ctx, m.AccountID, m.ID, w)
	return err
}

// EraseContents deletes the long contents of a conversation's messages up to a time: all of them must be erased.
func (s *Store) EraseContents(ctx context.Context, accountID, conversation string, until time.Time) error {
	in := &dynamodb.QueryInput{
		TableName: &s.Table, ConsistentRead: aws.Bool(true), ProjectionExpression: aws.String("#pk, #sk"),
		KeyConditionExpression: aws.String("#pk = :pk AND begins_with(#sk, :x)"), ExpressionAttributeNames: map[string]string{"#pk": attrPK, "#sk": attrSK},
		ExpressionAttributeValues: item{":pk": str(partition(accountID, conversation)), ":x": str(contentPrefix)},
	}
	for {
		out, err := s.DB.Query(ctx, in)
		if err != nil {
			return fmt.Errorf("query contents: %w", err)
		}
		for _, it := range out.Items {
			mid := id.Message{Unique: strings.TrimPrefix(text(it, attrSK), contentPrefix), Conversation: conversation}
			if mid.Time().After(until) {
				return nil
			}
			if _, err := s.DB.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &s.Table, Key: item{attrPK: it[attrPK], attrSK: it[attrSK]}}); err != nil {
				return fmt.Errorf("delete content: %w", err)
			}
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(out.LastEvaluatedKey) == 0 {
			return nil
		}
	}
}

// Unlist takes a conversation out of the list under the hour of a message in it.
func (s *Store) Unlist(ctx context.Context, m Message) error {
	if _, err := s.DB.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &s.Table, Key: inboxKey(m)}); err != nil {
		return fmt.Errorf("unlist conversation: %w", err)
	}
	return nil
}
