package claim

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"contactcenter/shared/attr"
)

// Items: pk complaint id, sk "complaint": a complaint. pk evidence request id, sk "evidence": an evidence request; sk
// "submission#<n>": an answer to it. pk "source#<key>", sk "source": how many complaints came from there. pk appeal id, sk
// "appeal": an appeal. pk "appealed#<restriction id>", sk "appealed": which appeal against it is open. Index "listed": lk
// "complaint#<status>", "evidence#<status>" or "appeal#<status>", ls id. Index "account": ak "complaint#<account>" and so on, as
// id; the kind comes first, so that a policy can tell them apart.
const (
	attrPK        = "pk"
	attrSK        = "sk"
	attrListKey   = "lk"
	attrListSort  = "ls"
	attrOwnerKey  = "ak"
	attrOwnerSort = "as"
	attrAccount   = "account_id"
	attrStatus    = "status"
	attrVersion   = "version"
	attrCreated   = "created_at"
	attrChanged   = "changed_at"
	attrTTL       = "ttl"

	listedIndex  = "listed"
	accountIndex = "account"
)

// DynamoDB is what the stores need of the AWS client.
type DynamoDB interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// index is one of the table's indexes.
type index struct{ name, key, sort string }

func listed() index  { return index{listedIndex, attrListKey, attrListSort} }
func byOwner() index { return index{accountIndex, attrOwnerKey, attrOwnerSort} }

// reader lists what is in some partitions of an index.
type reader struct {
	db    DynamoDB
	table string
	index index
	// keep drops what is not asked for.
	keep func(attr.Item) bool
}

// newest gives a page of what the partitions hold, newest first. The index follows the table within moments.
func (r reader) newest(ctx context.Context, partitions []string, p attr.Page) (list []attr.Item, next string, err error) {
	start, err := attr.Start(p.Token, nil, "before")
	if err != nil {
		return nil, "", err
	}
	for _, partition := range partitions {
		some, err := r.partition(ctx, partition, attr.Text(start, "before"), p.Size+1)
		if err != nil {
			return nil, "", err
		}
		list = append(list, some...)
	}
	slices.SortFunc(list, func(a, b attr.Item) int { return cmp.Compare(attr.Text(b, r.index.sort), attr.Text(a, r.index.sort)) })
	if len(list) <= p.Size {
		return list, "", nil
	}
	list = list[:p.Size]
	next, err = attr.Token(attr.Item{"before": list[p.Size-1][r.index.sort]})
	return list, next, err
}

func (r reader) partition(ctx context.Context, partition, before string, limit int) ([]attr.Item, error) {
	condition, names := "#key = :key", map[string]string{"#key": r.index.key}
	values := attr.Item{":key": attr.String(partition)}
	if before != "" {
		condition += " AND #sort < :before"
		names["#sort"], values[":before"] = r.index.sort, attr.String(before)
	}
	var list []attr.Item
	var start attr.Item
	for len(list) < limit {
		out, err := r.db.Query(ctx, &dynamodb.QueryInput{
			TableName: &r.table, IndexName: &r.index.name, ScanIndexForward: aws.Bool(false), Limit: aws.Int32(int32(limit)), ExclusiveStartKey: start,
			KeyConditionExpression: &condition, ExpressionAttributeNames: names, ExpressionAttributeValues: values,
		})
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", r.index.name, err)
		}
		for _, it := range out.Items {
			if r.keep(it) {
				list = append(list, it)
			}
		}
		if start = out.LastEvaluatedKey; len(start) == 0 {
			break
		}
	}
	return list, nil
}

func get(ctx context.Context, db DynamoDB, table, pk, sk string, now time.Time) (attr.Item, error) {
	out, err := db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &table, Key: key(pk, sk), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", sk, err)
	}
	if len(out.Item) == 0 || gone(out.Item, now) {
		return nil, ErrNotFound
	}
	return out.Item, nil
}

// gone reports whether an item's time is over. DynamoDB removes it days later.
func gone(it attr.Item, now time.Time) bool {
	ttl := attr.Number(it, attrTTL)
	return ttl > 0 && ttl <= now.Unix()
}

func key(pk, sk string) attr.Item { return attr.Item{attrPK: attr.String(pk), attrSK: attr.String(sk)} }

func until(now time.Time) attr.Item { return attr.Item{attrTTL: attr.Int(now.Add(Retention).Unix())} }
