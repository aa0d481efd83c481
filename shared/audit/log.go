package audit

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/id"
)

// ShardIndex lists all events, by shard.
const ShardIndex = "shard"

// Shards is how many partitions the operator's list is spread over: as many queries make one page.
const Shards = 4

// MaxChanges is how many changes may be written with one event: DynamoDB takes 100 items in a transaction, and the event has two.
const MaxChanges = 98

// A transaction that meets another is tried again after a random part of a wait that doubles: 4 s in all, so that a hundred acts
// of one account at the same moment find their places.
const (
	tries     = 30
	firstWait = 20 * time.Millisecond
	mostWait  = 300 * time.Millisecond
)

// DynamoDB is what the log needs of the AWS client.
type DynamoDB interface {
	TransactWriteItems(context.Context, *dynamodb.TransactWriteItemsInput, ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// Log keeps the events. It is safe for concurrent use.
type Log struct {
	DB    DynamoDB
	Table string
	IDs   id.Source
	Now   func() time.Time
}

// Write makes the changes and adds the event to its chain, all or nothing, in one transaction. When a change's condition does not
// hold it writes nothing and returns a *Refused with what is stored; it asks for that itself. When another event takes the place
// first, or the transaction meets another, it is tried again for some 4 s. An unknown outcome (a timeout) may have written: who
// tries again does so with conditions that then no longer hold.
func (l *Log) Write(ctx context.Context, e Event, changes ...types.TransactWriteItem) error {
	if len(changes) > MaxChanges {
		return fmt.Errorf("write audit event: %d changes are too many", len(changes))
	}
	if e.Action == "" || e.Target == "" || e.Actor.Kind == "" || e.Actor.ID == "" {
		return errIncomplete
	}
	asking := make([]types.TransactWriteItem, len(changes))
	for i, c := range changes {
		asking[i] = askingForItem(c)
	}
	for try := 1; ; try++ {
		err := l.write(ctx, e, asking)
		if err == nil {
			return nil
		}
		canceled := new(types.TransactionCanceledException)
		if !errors.As(err, &canceled) {
			return fmt.Errorf("write audit event: %w", err)
		}
		if r := refusal(canceled, len(changes)); r != nil {
			return r
		}
		if try == tries || !met(canceled, len(changes)) {
			return fmt.Errorf("write audit event: %w", err)
		}
		if err := l.wait(ctx, try); err != nil {
			return fmt.Errorf("write audit event: %w", err)
		}
	}
}

// write tries once, at the place that is the next one now. Only the changes, which are asking for what is stored, are the same in every try.
func (l *Log) write(ctx context.Context, e Event, asking []types.TransactWriteItem) error {
	last, err := l.last(ctx, partition(e.AccountID))
	if err != nil {
		return err
	}
	if e, err = l.next(last, e); err != nil {
		return err
	}
	it, err := encode(e)
	if err != nil {
		return err
	}
	in := &dynamodb.TransactWriteItemsInput{ClientRequestToken: &e.ID, TransactItems: append(slices.Clip(asking), l.add(placeOf(e)), l.add(it))}
	_, err = l.DB.TransactWriteItems(ctx, in)
	return err
}

// add puts an item where nothing is.
func (l *Log) add(it attr.Item) types.TransactWriteItem {
	return types.TransactWriteItem{Put: &types.Put{
		TableName: &l.Table, Item: it, ConditionExpression: aws.String("attribute_not_exists(#pk)"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
	}}
}

// wait waits before the next try, for a time that nobody else has chosen.
func (l *Log) wait(ctx context.Context, try int) error {
	var b [2]byte
	if _, err := io.ReadFull(l.IDs.Random, b[:]); err != nil {
		return err
	}
	bound := min(firstWait<<(try-1), mostWait)
	return awsclient.Wait(ctx, bound*time.Duration(binary.BigEndian.Uint16(b[:]))/math.MaxUint16)
}

// askingForItem gives the change, copied, so that a refusal brings what is stored.
func askingForItem(c types.TransactWriteItem) types.TransactWriteItem {
	const old = types.ReturnValuesOnConditionCheckFailureAllOld
	switch {
	case c.Put != nil:
		p := *c.Put
		p.ReturnValuesOnConditionCheckFailure = old
		c.Put = &p
	case c.Update != nil:
		u := *c.Update
		u.ReturnValuesOnConditionCheckFailure = old
		c.Update = &u
	case c.Delete != nil:
		d := *c.Delete
		d.ReturnValuesOnConditionCheckFailure = old
		c.Delete = &d
	case c.ConditionCheck != nil:
		k := *c.ConditionCheck
		k.ReturnValuesOnConditionCheckFailure = old
		c.ConditionCheck = &k
	}
	return c
}

func refusal(canceled *types.TransactionCanceledException, changes int) *Refused {
	for i, r := range canceled.CancellationReasons {
		if i < changes && aws.ToString(r.Code) == "ConditionalCheckFailed" {
			return &Refused{Index: i, Item: r.Item}
		}
	}
	return nil
}

// met reports whether a transaction only came at a bad moment: it met another, or the event's place was taken before it.
func met(canceled *types.TransactionCanceledException, changes int) bool {
	for i, r := range canceled.CancellationReasons {
		code := aws.ToString(r.Code)
		if code == "TransactionConflict" || i == changes && code == "ConditionalCheckFailed" {
			return true
		}
	}
	return false
}

// Of lists an account's events, newest first; accountID "" lists the operator's own affairs. One strongly consistent query. It
// returns attr.ErrToken for a page token of another list.
func (l *Log) Of(ctx context.Context, accountID string, p attr.Page) (list []Event, next string, err error) {
	start, err := attr.Start(p.Token, map[string]string{attrPK: partition(accountID)}, attrSK)
	if err != nil {
		return nil, "", err
	}
	out, err := l.DB.Query(ctx, &dynamodb.QueryInput{
		TableName: &l.Table, ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(false), Limit: aws.Int32(int32(p.Size)), ExclusiveStartKey: start,
		KeyConditionExpression: aws.String("#pk = :pk"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
		ExpressionAttributeValues: attr.Item{":pk": attr.String(partition(accountID))},
	})
	if err != nil {
		return nil, "", fmt.Errorf("list audit events: %w", err)
	}
	if list, err = decodeAll(out.Items); err != nil {
		return nil, "", err
	}
	next, err = attr.Token(out.LastEvaluatedKey)
	return list, next, err
}

// All lists the events of everybody, newest first, or with accountID those of one account. The list of everybody follows the
// writes within moments; a page of it is one query for each of the Shards. It returns attr.ErrToken as Of does.
func (l *Log) All(ctx context.Context, p attr.Page, accountID string) (list []Event, next string, err error) {
	if accountID != "" {
		return l.Of(ctx, accountID, p)
	}
	start, err := attr.Start(p.Token, nil, "before")
	if err != nil {
		return nil, "", err
	}
	for shard := range Shards {
		some, err := l.shard(ctx, shardName(shard), attr.Text(start, "before"), p.Size+1)
		if err != nil {
			return nil, "", err
		}
		list = append(list, some...)
	}
	slices.SortFunc(list, func(a, b Event) int { return cmp.Compare(b.ID, a.ID) })
	if len(list) <= p.Size {
		return list, "", nil
	}
	list = list[:p.Size]
	next, err = attr.Token(attr.Item{"before": attr.String(list[p.Size-1].ID)})
	return list, next, err
}

// shard gives a shard's newest events before an id; "": from the newest on.
func (l *Log) shard(ctx context.Context, name, before string, limit int) ([]Event, error) {
	condition, names := "#gk = :gk", map[string]string{"#gk": attrShard}
	values := attr.Item{":gk": attr.String(name)}
	if before != "" {
		condition += " AND #gs < :before"
		names["#gs"], values[":before"] = attrShardSort, attr.String(before)
	}
	var list []Event
	var start attr.Item
	for len(list) < limit { // a query ends early after 1 MB
		out, err := l.DB.Query(ctx, &dynamodb.QueryInput{
			TableName: &l.Table, IndexName: aws.String(ShardIndex), ScanIndexForward: aws.Bool(false), Limit: aws.Int32(int32(limit - len(list))),
			KeyConditionExpression: &condition, ExpressionAttributeNames: names, ExpressionAttributeValues: values, ExclusiveStartKey: start,
		})
		if err != nil {
			return nil, fmt.Errorf("list audit events: %w", err)
		}
		some, err := decodeAll(out.Items)
		if err != nil {
			return nil, err
		}
		list = append(list, some...)
		if start = out.LastEvaluatedKey; len(start) == 0 {
			break
		}
	}
	return list, nil
}
