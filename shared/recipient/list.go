package recipient

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"contactcenter/shared/attr"
)

// ListPage is the most that List gives at once.
const ListPage = 100

// List gives an account's recipients, the earliest first. Two requests for a page of at most ListPage. The index follows the
// table within moments; those that are erased are left out.
func (s *Store) List(ctx context.Context, accountID string, p attr.Page) ([]Recipient, string, error) {
	start, err := attr.Start(p.Token, map[string]string{attrListKey: accountID}, attrListSort, attrPK, attrSK)
	if err != nil {
		return nil, "", err
	}
	out, err := s.DB.Query(ctx, &dynamodb.QueryInput{
		TableName: &s.Table, IndexName: aws.String(AccountIndex), Limit: aws.Int32(int32(p.Size)), ExclusiveStartKey: start,
		KeyConditionExpression:    aws.String("#account = :account AND begins_with(#sort, :recipients)"),
		ExpressionAttributeNames:  map[string]string{"#account": attrListKey, "#sort": attrListSort},
		ExpressionAttributeValues: attr.Item{":account": attr.String(accountID), ":recipients": attr.String(recipientSort + "#rcp_")},
	})
	if err != nil {
		return nil, "", fmt.Errorf("list recipients: %w", err)
	}
	keys := make([]attr.Item, len(out.Items))
	order := map[string]int{}
	for i, it := range out.Items {
		keys[i] = attr.Item{attrPK: it[attrPK], attrSK: it[attrSK]}
		order[attr.Text(it, attrPK)] = i
	}
	found, err := batchGet(ctx, s.DB, s.Table, keys, true)
	if err != nil {
		return nil, "", err
	}
	at := make([]*Recipient, len(keys))
	for _, it := range found {
		if it[attrSealed] == nil {
			continue
		}
		r, err := s.decode(accountID, strings.TrimPrefix(attr.Text(it, attrPK), accountID+"#"), it)
		if err != nil {
			return nil, "", err
		}
		at[order[attr.Text(it, attrPK)]] = &r
	}
	list := []Recipient{}
	for _, r := range at {
		if r != nil {
			list = append(list, *r)
		}
	}
	next, err := attr.Token(out.LastEvaluatedKey)
	return list, next, err
}

const purgePage = 100

// Purger takes away all that is kept of an account's recipients. It opens nothing.
type Purger struct {
	DB interface {
		Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
		DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
	}
	Table string
}

// Purge takes the next of an account's items away, and gives how many there were: 0 when nothing is left, as far as the
// index knows.
func (p *Purger) Purge(ctx context.Context, accountID string) (int, error) {
	out, err := p.DB.Query(ctx, &dynamodb.QueryInput{
		TableName: &p.Table, IndexName: aws.String(AccountIndex), Limit: aws.Int32(purgePage), KeyConditionExpression: aws.String("#account = :account"),
		ExpressionAttributeNames: map[string]string{"#account": attrListKey}, ExpressionAttributeValues: attr.Item{":account": attr.String(accountID)},
	})
	if err != nil {
		return 0, fmt.Errorf("list an account's recipients: %w", err)
	}
	for _, it := range out.Items {
		if _, err := p.DB.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &p.Table, Key: attr.Item{attrPK: it[attrPK], attrSK: it[attrSK]}}); err != nil {
			return 0, fmt.Errorf("purge recipient: %w", err)
		}
	}
	return len(out.Items), nil
}
