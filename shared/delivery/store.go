package delivery

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/event"
	"contactcenter/shared/id"
)

// Items: pk account id, sk event id: an event. pk endpoint id, sk event id: its delivery there. Index "due": dk a shard, due
// when a delivery is to be tried again; sparse.
const (
	attrPK       = "pk"
	attrSK       = "sk"
	attrShard    = "dk"
	attrDue      = "due"
	attrType     = "type"
	attrAt       = "at"
	attrResource = "resource"
	attrAccount  = "account_id"
	attrStatus   = "status"
	attrAttempts = "attempts"
	attrCode     = "code"
	attrWhy      = "why"
	attrTook     = "took_ms"
	attrFirst    = "first_at"
	attrLast     = "last_at"
	attrRun      = "run"
	attrNext     = "next_at"
	attrTTL      = "ttl"

	// DueIndex lists the deliveries that are to be tried again, by shard.
	DueIndex = "due"
)

// Shards is over how many keys of the index deliveries are spread, by endpoint: a dead endpoint's backlog stands before those of
// one shard only.
const Shards = 16

// DynamoDB is what the store needs of the AWS client.
type DynamoDB interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// Store keeps events and deliveries.
type Store struct {
	DB    DynamoDB
	Table string
	Now   func() time.Time
}

// Recorded reports whether an event is recorded: one strongly consistent request.
func (s *Store) Recorded(ctx context.Context, e event.Event) (bool, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.Table, Key: itemKey(e.AccountID, e.ID), ConsistentRead: aws.Bool(true),
		ProjectionExpression: aws.String("#pk"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
	})
	if err != nil {
		return false, fmt.Errorf("look for event: %w", err)
	}
	return len(out.Item) > 0, nil
}

// Record records an event, once.
func (s *Store) Record(ctx context.Context, e event.Event) error {
	it := itemKey(e.AccountID, e.ID)
	it[attrType], it[attrAt], it[attrTTL] = attr.String(string(e.Type)), attr.Time(e.At), attr.Int(e.At.Add(Retention).Unix())
	if e.Resource != "" {
		it[attrResource] = attr.String(e.Resource)
	}
	if _, err := s.DB.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.Table, Item: it}); err != nil {
		return fmt.Errorf("record event: %w", err)
	}
	return nil
}

// Events lists an account's events from a time until before another, oldest first, after the event whose id is given: one
// request. Next is "" on the last page.
func (s *Store) Events(ctx context.Context, accountID string, from, to time.Time, after string, limit int) (list []event.Event, next string, err error) {
	in := &dynamodb.QueryInput{
		TableName: &s.Table, Limit: aws.Int32(int32(limit)), KeyConditionExpression: aws.String("#pk = :pk AND #sk BETWEEN :from AND :to"),
		ExpressionAttributeNames:  map[string]string{"#pk": attrPK, "#sk": attrSK},
		ExpressionAttributeValues: attr.Item{":pk": attr.String(accountID), ":from": attr.String(id.Floor(id.EventPrefix, from)), ":to": attr.String(id.Floor(id.EventPrefix, to))},
	}
	if after != "" {
		in.ExclusiveStartKey = itemKey(accountID, after)
	}
	out, err := s.DB.Query(ctx, in)
	if err != nil {
		return nil, "", fmt.Errorf("list events: %w", err)
	}
	for _, it := range out.Items {
		list = append(list, decodeEvent(it, accountID))
	}
	return list, attr.Text(out.LastEvaluatedKey, attrSK), nil
}

// Get gives a delivery; one that was not tried yet is the zero Delivery. One strongly consistent request.
func (s *Store) Get(ctx context.Context, endpointID, eventID string) (Delivery, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: itemKey(endpointID, eventID), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return Delivery{}, fmt.Errorf("get delivery: %w", err)
	}
	return decode(out.Item), nil
}

// Save keeps what became of a delivery. What another attempt of the same run delivered meanwhile stays delivered.
func (s *Store) Save(ctx context.Context, d Delivery) error {
	in := &dynamodb.PutItemInput{TableName: &s.Table, Item: s.encode(d)}
	if d.Status != Delivered {
		in.ConditionExpression = aws.String("NOT (#status = :delivered AND #run = :run)")
		in.ExpressionAttributeNames = map[string]string{"#status": attrStatus, "#run": attrRun}
		in.ExpressionAttributeValues = attr.Item{":delivered": attr.String(string(Delivered)), ":run": attr.String(d.Run)}
	}
	_, err := s.DB.PutItem(ctx, in)
	if refused := new(types.ConditionalCheckFailedException); errors.As(err, &refused) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("save delivery: %w", err)
	}
	return nil
}

// List gives an endpoint's deliveries, newest event first: one request.
func (s *Store) List(ctx context.Context, endpointID string, p attr.Page) (list []Delivery, next string, err error) {
	start, err := attr.Start(p.Token, map[string]string{attrPK: endpointID}, attrSK)
	if err != nil {
		return nil, "", err
	}
	out, err := s.DB.Query(ctx, &dynamodb.QueryInput{
		TableName: &s.Table, ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(false), Limit: aws.Int32(int32(p.Size)), ExclusiveStartKey: start,
		KeyConditionExpression: aws.String("#pk = :pk"), ExpressionAttributeNames: map[string]string{"#pk": attrPK}, ExpressionAttributeValues: attr.Item{":pk": attr.String(endpointID)},
	})
	if err != nil {
		return nil, "", fmt.Errorf("list deliveries: %w", err)
	}
	for _, it := range out.Items {
		list = append(list, decode(it))
	}
	next, err = attr.Token(out.LastEvaluatedKey)
	return list, next, err
}

// lease is for how long a delivery that was queued again is not queued a second time.
const lease = 10 * time.Minute

// Due gives deliveries of a shard that are to be tried now, the longest due first, up to a limit. Each is given to one caller, for
// a few minutes; with an error come those that were taken before it. One request, and two for each.
func (s *Store) Due(ctx context.Context, shard, limit int) ([]Delivery, error) {
	now := s.Now()
	out, err := s.DB.Query(ctx, &dynamodb.QueryInput{
		TableName: &s.Table, IndexName: aws.String(DueIndex), Limit: aws.Int32(int32(limit)), KeyConditionExpression: aws.String("#dk = :dk AND #due <= :now"),
		ExpressionAttributeNames:  map[string]string{"#dk": attrShard, "#due": attrDue},
		ExpressionAttributeValues: attr.Item{":dk": attr.String(shardName(shard)), ":now": attr.String(dueText(now))},
	})
	if err != nil {
		return nil, fmt.Errorf("list due deliveries: %w", err)
	}
	var list []Delivery
	for _, it := range out.Items {
		d, ok, err := s.claim(ctx, it, now.Add(lease))
		if err != nil {
			return list, err
		}
		if ok {
			list = append(list, d)
		}
	}
	return list, nil
}

// claim puts a delivery's due time off, and gives it, unless somebody else did.
func (s *Store) claim(ctx context.Context, found attr.Item, until time.Time) (Delivery, bool, error) {
	out, err := s.DB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.Table, Key: attr.Item{attrPK: found[attrPK], attrSK: found[attrSK]}, UpdateExpression: aws.String("SET #due = :until"), ConditionExpression: aws.String("#due = :seen"),
		ExpressionAttributeNames:  map[string]string{"#due": attrDue},
		ExpressionAttributeValues: attr.Item{":until": attr.String(dueText(until)), ":seen": found[attrDue]}, ReturnValues: types.ReturnValueAllNew,
	})
	if refused := new(types.ConditionalCheckFailedException); errors.As(err, &refused) {
		return Delivery{}, false, nil
	}
	if err != nil {
		return Delivery{}, false, fmt.Errorf("claim delivery: %w", err)
	}
	return decode(out.Attributes), true, nil
}

func itemKey(pk, sk string) attr.Item {
	return attr.Item{attrPK: attr.String(pk), attrSK: attr.String(sk)}
}

func shardOf(endpointID string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(endpointID)) // never fails
	return int(h.Sum32() % Shards)
}

func shardName(n int) string { return "d" + strconv.Itoa(n) }

// dueText sorts by time: milliseconds have 13 digits until the year 2286.
func dueText(at time.Time) string { return fmt.Sprintf("%013d", at.UnixMilli()) }

func (s *Store) encode(d Delivery) attr.Item {
	it := itemKey(d.EndpointID, d.Event.ID)
	it[attrAccount], it[attrType], it[attrAt] = attr.String(d.Event.AccountID), attr.String(string(d.Event.Type)), attr.Time(d.Event.At)
	it[attrStatus], it[attrAttempts], it[attrCode], it[attrTook] = attr.String(string(d.Status)), attr.Int(int64(d.Attempts)), attr.Int(int64(d.Code)), attr.Int(d.Took.Milliseconds())
	it[attrWhy], it[attrRun], it[attrResource] = attr.String(d.Why), attr.String(d.Run), attr.String(d.Event.Resource)
	it[attrTTL] = attr.Int(s.Now().Add(Retention).Unix())
	if !d.FirstAt.IsZero() {
		it[attrFirst], it[attrLast] = attr.Time(d.FirstAt), attr.Time(d.LastAt)
	}
	if d.Status == Pending {
		it[attrNext] = attr.Time(d.Due)
	}
	if d.Status == Pending && d.Parked {
		it[attrShard], it[attrDue] = attr.String(shardName(shardOf(d.EndpointID))), attr.String(dueText(d.Due))
	}
	return it
}

func decode(it attr.Item) Delivery {
	d := Delivery{
		EndpointID: attr.Text(it, attrPK), Event: decodeEvent(it, attr.Text(it, attrAccount)), Status: Status(attr.Text(it, attrStatus)), Attempts: int(attr.Number(it, attrAttempts)),
		Code: int(attr.Number(it, attrCode)), Why: attr.Text(it, attrWhy), Took: time.Duration(attr.Number(it, attrTook)) * time.Millisecond,
		FirstAt: attr.Moment(it, attrFirst), LastAt: attr.Moment(it, attrLast), Run: attr.Text(it, attrRun),
	}
	d.Due, d.Parked = attr.Moment(it, attrNext), attr.Text(it, attrDue) != ""
	return d
}

func decodeEvent(it attr.Item, accountID string) event.Event {
	return event.Event{ID: attr.Text(it, attrSK), Type: event.Type(attr.Text(it, attrType)), At: attr.Moment(it, attrAt), AccountID: accountID, Resource: attr.Text(it, attrResource)}
}
