package idempotency

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
)

// Items: pk "<account>#idempotency", sk hash of operation and key.
const (
	attrPK       = "pk"
	attrSK       = "sk"
	attrPayload  = "payload"
	attrSubject  = "subject"
	attrDeadline = "deadline"
	attrAnswer   = "answer"
	attrTTL      = "ttl"

	partitionSuffix = "#idempotency"
)

// DynamoDB is what the store needs of the AWS client.
type DynamoDB interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
}

// Store keeps keys. Every method is one request to DynamoDB.
type Store struct {
	DB    DynamoDB
	Table string
	Now   func() time.Time
}

// Record is what is known of a key.
type Record struct {
	Payload [sha256.Size]byte
	// Subject names what the first request with the key was to make.
	Subject string
	// Deadline is until when somebody works on it; no later than now: nobody does.
	Deadline time.Time
	// Answer is the kept answer, nil while there is none.
	Answer *Answer
	ttl    time.Time
}

// Answer is a kept answer.
type Answer struct {
	Status int               `json:"status"`
	Header map[string]string `json:"header"`
	Body   string            `json:"body"`
}

// SamePayload reports whether the record is about this payload.
func (r Record) SamePayload(hash [sha256.Size]byte) bool { return r.Payload == hash }

// InUse reports whether somebody works on the key.
func (r Record) InUse(now time.Time) bool { return now.Before(r.Deadline) }

func itemKey(k Key) attr.Item {
	h := sha256.New()
	fmt.Fprintf(h, "%d %s %s", len(k.Operation), k.Operation, k.Value) // never fails
	return attr.Item{attrPK: attr.String(k.Account + partitionSuffix), attrSK: attr.String(hex.EncodeToString(h.Sum(nil)))}
}

// Begin takes a key that is not known, or known no longer. Else it gives what is known of it, and taken is false.
func (s *Store) Begin(ctx context.Context, k Key, r Record) (known Record, taken bool, err error) {
	now := s.Now()
	it := itemKey(k)
	it[attrPayload] = &types.AttributeValueMemberB{Value: r.Payload[:]}
	if r.Subject != "" {
		it[attrSubject] = attr.String(r.Subject)
	}
	it[attrDeadline] = attr.Time(r.Deadline)
	it[attrTTL] = attr.Int(now.Add(Kept).Unix())
	_, err = s.DB.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &s.Table, Item: it, ConditionExpression: aws.String("attribute_not_exists(#pk) OR #ttl <= :now"),
		ExpressionAttributeNames: map[string]string{"#pk": attrPK, "#ttl": attrTTL}, ExpressionAttributeValues: attr.Item{":now": attr.Int(now.Unix())},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if refused := new(types.ConditionalCheckFailedException); errors.As(err, &refused) {
		known, err = decode(refused.Item)
		return known, false, err
	}
	if err != nil {
		return Record{}, false, fmt.Errorf("take idempotency key: %w", err)
	}
	return r, true, nil
}

// Find gives what is known of a key; ok is false when nothing is.
func (s *Store) Find(ctx context.Context, k Key) (r Record, ok bool, err error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: itemKey(k), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return Record{}, false, fmt.Errorf("look for idempotency key: %w", err)
	}
	if len(out.Item) == 0 {
		return Record{}, false, nil
	}
	r, err = decode(out.Item)
	return r, err == nil && s.Now().Before(r.ttl), err
}

// TakeOver begins again with a key whose deadline has passed, as the caller saw it. It returns ErrChanged when somebody
// else did.
func (s *Store) TakeOver(ctx context.Context, k Key, seen Record, deadline time.Time) error {
	return s.change(ctx, k, seen, "SET #deadline = :new", attr.Item{":new": attr.Time(deadline)})
}

// Release says that nobody works on the key any more, so that the same request may run again at once.
func (s *Store) Release(ctx context.Context, k Key, mine Record) error {
	return s.change(ctx, k, mine, "SET #deadline = :new", attr.Item{":new": attr.Int(0)})
}

// Complete keeps the answer. It returns ErrChanged when somebody else has taken the key over.
func (s *Store) Complete(ctx context.Context, k Key, mine Record, a Answer) error {
	v, err := attr.JSON(a)
	if err != nil {
		return err
	}
	return s.change(ctx, k, mine, "SET #deadline = :new, #answer = :answer", attr.Item{":new": attr.Int(0), ":answer": v})
}

// change writes to a record as the caller knows it.
func (s *Store) change(ctx context.Context, k Key, seen Record, expression string, values attr.Item) error {
	values[":seen"] = attr.Int(seen.deadline())
	names := map[string]string{"#deadline": attrDeadline, "#answer": attrAnswer}
	_, err := s.DB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.Table, Key: itemKey(k), UpdateExpression: &expression,
		ConditionExpression:      aws.String("#deadline = :seen AND attribute_not_exists(#answer)"),
		ExpressionAttributeNames: names, ExpressionAttributeValues: values,
	})
	if refused := new(types.ConditionalCheckFailedException); errors.As(err, &refused) {
		return ErrChanged
	}
	if err != nil {
		return fmt.Errorf("update idempotency key: %w", err)
	}
	return nil
}

func (r Record) deadline() int64 {
	if r.Deadline.IsZero() {
		return 0
	}
	return r.Deadline.UnixMilli()
}

func decode(it attr.Item) (Record, error) {
	r := Record{Subject: attr.Text(it, attrSubject), ttl: time.Unix(attr.Number(it, attrTTL), 0)}
	if ms := attr.Number(it, attrDeadline); ms != 0 {
		r.Deadline = time.UnixMilli(ms).UTC()
	}
	b, ok := it[attrPayload].(*types.AttributeValueMemberB)
	if !ok || len(b.Value) != len(r.Payload) {
		return Record{}, errors.New("decode idempotency key: it has no payload")
	}
	copy(r.Payload[:], bytes.Clone(b.Value))
	if attr.Text(it, attrAnswer) != "" {
		r.Answer = new(Answer)
		if err := attr.FromJSON(it, attrAnswer, r.Answer); err != nil {
			return Record{}, err
		}
	}
	return r, nil
}
