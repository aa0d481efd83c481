package message

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"contactcenter/shared/attr"
	"contactcenter/shared/id"
)

// newerMark begins a token that leads to newer messages.
const newerMark = "newer."

// Newer reports whether a token of a conversation's messages leads to newer ones.
func Newer(token string) bool { return strings.HasPrefix(token, newerMark) }

// InConversation lists a conversation's messages, newest first, with their content.
func (s *Store) InConversation(ctx context.Context, accountID, conversation string, p attr.Page) ([]Message, string, error) {
	list, older, _, err := s.History(ctx, accountID, conversation, p)
	return list, older, err
}

// History is InConversation with tokens in both directions. Older is that of the page after it, "" when there is none; newer
// that of the page before it, which may come to have messages later, "" when the list is empty.
func (s *Store) History(ctx context.Context, accountID, conversation string, p attr.Page) (list []Message, older, newer string, err error) {
	token, forward := strings.CutPrefix(p.Token, newerMark)
	out, err := s.page(ctx, attr.Page{Size: p.Size, Token: token}, &dynamodb.QueryInput{
		ConsistentRead: aws.Bool(true), KeyConditionExpression: aws.String("#pk = :pk AND begins_with(#sk, :m)"), ScanIndexForward: &forward,
		ExpressionAttributeNames:  map[string]string{"#pk": attrPK, "#sk": attrSK},
		ExpressionAttributeValues: item{":pk": str(partition(accountID, conversation)), ":m": str(statePrefix)},
	})
	if err != nil {
		return nil, "", "", err
	}
	cutLong(out)
	if forward {
		slices.Reverse(out.Items)
	}
	list = make([]Message, 0, len(out.Items))
	for _, it := range out.Items {
		m, err := decode(it)
		if err != nil {
			return nil, "", "", err
		}
		if err := s.Open(ctx, &m); err != nil {
			return nil, "", "", err
		}
		list = append(list, m)
	}
	older, newer, err = tokens(out, forward, p.Token)
	return list, older, newer, err
}

// Within lists a conversation's messages that were made from one time on and before another, newest first, without their content and
// addresses. One strongly consistent request.
func (s *Store) Within(ctx context.Context, accountID, conversation string, from, to time.Time, p attr.Page) ([]Message, string, error) {
	if !from.Before(to) { // which DynamoDB refuses
		return nil, "", nil
	}
	out, err := s.page(ctx, p, &dynamodb.QueryInput{
		ConsistentRead: aws.Bool(true), KeyConditionExpression: aws.String("#pk = :pk AND #sk BETWEEN :from AND :to"),
		ExpressionAttributeNames: map[string]string{"#pk": attrPK, "#sk": attrSK},
		ExpressionAttributeValues: item{
			":pk": str(partition(accountID, conversation)), ":from": str(id.Floor(statePrefix, from)), ":to": str(id.Floor(statePrefix, to)),
		},
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
		if m.CreatedAt().Before(to) {
			list = append(list, m)
		}
	}
	next, err := attr.Token(out.LastEvaluatedKey)
	return list, next, err
}

// MaxLong is how many messages with long content a page has at most: with them an answer stays below the 6 MB that Lambda
// takes, whatever they hold.
const MaxLong = 10

// cutLong ends a page after MaxLong messages with long content, as if no more had been asked for.
func cutLong(out *dynamodb.QueryOutput) {
	long := 0
	for i, it := range out.Items {
		if it[attrExternal] != nil {
			long++
		}
		if long == MaxLong && i < len(out.Items)-1 {
			out.Items, out.LastEvaluatedKey = out.Items[:i+1], item{attrPK: it[attrPK], attrSK: it[attrSK]}
			return
		}
	}
}

// tokens gives the tokens of a page of a conversation, whose items stand newest first. Behind a page that was reached from older
// messages there are always those.
func tokens(out *dynamodb.QueryOutput, forward bool, own string) (older, newer string, err error) {
	if len(out.Items) == 0 {
		if forward {
			return "", own, nil
		}
		return "", "", nil
	}
	place := func(it item) item { return item{attrPK: it[attrPK], attrSK: it[attrSK]} }
	if newer, err = attr.Token(place(out.Items[0])); err != nil {
		return "", "", err
	}
	newer = newerMark + newer
	if forward {
		older, err = attr.Token(place(out.Items[len(out.Items)-1]))
		return older, newer, err
	}
	older, err = attr.Token(out.LastEvaluatedKey)
	return older, newer, err
}

// Referred gives the keys of the conversations that some of the messages of a client_reference are in, newest first, and
// where the next begin: "" after the last. One request, whose index follows the table within moments.
func (s *Store) Referred(ctx context.Context, accountID, reference string, p attr.Page) (conversations []string, next string, err error) {
	out, err := s.referred(ctx, accountID, reference, p)
	if err != nil {
		return nil, "", err
	}
	for _, it := range out.Items {
		if _, conversation, _ := strings.Cut(text(it, attrPK), "#"); !slices.Contains(conversations, conversation) {
			conversations = append(conversations, conversation)
		}
	}
	next, err = attr.Token(out.LastEvaluatedKey)
	return conversations, next, err
}

func (s *Store) referred(ctx context.Context, accountID, reference string, p attr.Page) (*dynamodb.QueryOutput, error) {
	return s.page(ctx, p, &dynamodb.QueryInput{
		IndexName: aws.String(ReferenceIndex), KeyConditionExpression: aws.String("#k = :k"),
		ExpressionAttributeNames: map[string]string{"#k": attrRefKey}, ExpressionAttributeValues: item{":k": str(referenceKey(accountID, reference))},
	}, attrRefKey, attrRefSort)
}

// ByReference lists the messages of one client_reference, newest first. The index follows the table within moments.
func (s *Store) ByReference(ctx context.Context, accountID, reference string, p attr.Page) ([]Message, string, error) {
	out, err := s.referred(ctx, accountID, reference, p)
	if err != nil {
		return nil, "", err
	}
	list, long := make([]Message, 0, len(out.Items)), 0
	for i, it := range out.Items {
		_, conversation, _ := strings.Cut(text(it, attrPK), "#")
		m, err := s.Get(ctx, accountID, id.Message{Unique: strings.TrimPrefix(text(it, attrSK), statePrefix), Conversation: conversation})
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		list = append(list, m)
		if m.External {
			long++
		}
		if long == MaxLong && i < len(out.Items)-1 {
			out.LastEvaluatedKey = item{attrPK: it[attrPK], attrSK: it[attrSK], attrRefKey: it[attrRefKey], attrRefSort: it[attrRefSort]}
			break
		}
	}
	next, err := attr.Token(out.LastEvaluatedKey)
	return list, next, err
}

// HeldStandings lists an account's held messages, oldest first, without their content and addresses: two requests for
// a page of at most 100. Those that the index still shows and that are held no longer are left out.
func (s *Store) HeldStandings(ctx context.Context, accountID string, p attr.Page) ([]Message, string, error) {
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
	next, err := attr.Token(out.LastEvaluatedKey)
	return list, next, err
}

// page runs a query for one page, newest first unless the input says otherwise. A token holds the key at which the
// page before ended; one that leads outside the list's own partition, or in the table to what is no message, is refused.
func (s *Store) page(ctx context.Context, p attr.Page, in *dynamodb.QueryInput, indexKeys ...string) (*dynamodb.QueryOutput, error) {
	within, also := map[string]string{attrPK: text(in.ExpressionAttributeValues, ":pk")}, []string{attrSK}
	if len(indexKeys) > 0 {
		within, also = map[string]string{indexKeys[0]: text(in.ExpressionAttributeValues, ":k")}, append([]string{attrPK, attrSK}, indexKeys[1:]...)
	}
	start, err := attr.Start(p.Token, within, also...)
	if err == nil && start != nil && !strings.HasPrefix(text(start, attrSK), text(in.ExpressionAttributeValues, ":m")) {
		err = attr.ErrToken
	}
	if err != nil {
		return nil, err
	}
	in.TableName, in.Limit, in.ExclusiveStartKey = &s.Table, aws.Int32(int32(p.Size)), start
	if in.ScanIndexForward == nil {
		in.ScanIndexForward = aws.Bool(false)
	}
	out, err := s.DB.Query(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("query messages: %w", err)
	}
	return out, nil
}
