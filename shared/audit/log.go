package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/id"
)

// Items: pk "account#<account id>" or "operator", sk event id. Index "shard": gk one of the shards, gs event id; a shard is
// what keeps a single partition from taking every event of the Contact Center.
const (
	attrPK          = "pk"
	attrSK          = "sk"
	attrShard       = "gk"
	attrShardSort   = "gs"
	attrAt          = "at"
	attrAccount     = "account_id"
	attrActorKind   = "actor_kind"
	attrActorID     = "actor_id"
	attrActorOf     = "actor_account_id"
	attrAction      = "action"
	attrTarget      = "target"
	attrBefore      = "before"
	attrAfter       = "after"
	attrReason      = "reason"
	attrInstruction = "instruction_id"
	attrComplaint   = "complaint_id"
	attrRequest     = "request_id"
	attrSourceIP    = "source_ip"
	attrRules       = "rules_version"

	accountPrefix = "account#"
	operatorsOwn  = "operator"

	// ShardIndex lists all events, by shard.
	ShardIndex = "shard"
)

// Shards is how many partitions the operator's list is spread over: as many queries make one page.
const Shards = 4

// MaxChanges is how many changes may be written with one event: DynamoDB takes 100 items in a transaction.
const MaxChanges = 99

const (
	conflictTries = 4
	conflictWait  = 25 * time.Millisecond
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

// Write makes the changes and adds the event, all or nothing, in one transaction. When a change's condition does not hold it
// writes nothing and returns a *Refused with what is stored; it asks for that itself. A transaction that meets another is tried
// again a few times within 200 ms. An unknown outcome (a timeout) may have written: who tries again does so with conditions that
// then no longer hold.
func (l *Log) Write(ctx context.Context, e Event, changes ...types.TransactWriteItem) error {
	if len(changes) > MaxChanges {
		return fmt.Errorf("write audit event: %d changes are too many", len(changes))
	}
	e, err := l.complete(e)
	if err != nil {
		return err
	}
	it, err := encode(e)
	if err != nil {
		return err
	}
	in := &dynamodb.TransactWriteItemsInput{ClientRequestToken: &e.ID, TransactItems: make([]types.TransactWriteItem, 0, len(changes)+1)}
	for _, c := range changes {
		in.TransactItems = append(in.TransactItems, askingForItem(c))
	}
	in.TransactItems = append(in.TransactItems, types.TransactWriteItem{Put: &types.Put{
		TableName: &l.Table, Item: it, ConditionExpression: aws.String("attribute_not_exists(#pk)"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
	}})
	for try := 1; ; try++ {
		_, err = l.DB.TransactWriteItems(ctx, in)
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
		if try == conflictTries || !conflict(canceled) {
			return fmt.Errorf("write audit event: %w", err)
		}
		if err := awsclient.Wait(ctx, time.Duration(try)*conflictWait); err != nil {
			return fmt.Errorf("write audit event: %w", err)
		}
	}
}

func (l *Log) complete(e Event) (Event, error) {
	if e.Action == "" || e.Target == "" || e.Actor.Kind == "" || e.Actor.ID == "" {
		return e, errIncomplete
	}
	if e.At.IsZero() {
		e.At = l.Now()
	}
	e.At = e.At.UTC().Truncate(time.Millisecond)
	if e.ID != "" {
		return e, nil
	}
	var err error
	e.ID, err = l.IDs.New(id.AuditPrefix)
	return e, err
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

func conflict(canceled *types.TransactionCanceledException) bool {
	return slices.ContainsFunc(canceled.CancellationReasons, func(r types.CancellationReason) bool { return aws.ToString(r.Code) == "TransactionConflict" })
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

func partition(accountID string) string {
	if accountID == "" {
		return operatorsOwn
	}
	return accountPrefix + accountID
}

func shardName(n int) string { return fmt.Sprintf("s%d", n) }

// shardOf spreads events by the last byte of their ids, which is random.
func shardOf(eventID string) string { return shardName(int(eventID[len(eventID)-1]) % Shards) }

func encode(e Event) (attr.Item, error) {
	it := attr.Item{
		attrPK: attr.String(partition(e.AccountID)), attrSK: attr.String(e.ID), attrShard: attr.String(shardOf(e.ID)), attrShardSort: attr.String(e.ID),
		attrAt: attr.Time(e.At), attrActorKind: attr.String(e.Actor.Kind), attrActorID: attr.String(e.Actor.ID),
		attrAction: attr.String(e.Action), attrTarget: attr.String(e.Target),
	}
	for name, text := range map[string]string{
		attrAccount: e.AccountID, attrActorOf: e.Actor.AccountID, attrReason: e.Reason, attrInstruction: e.InstructionID, attrComplaint: e.ComplaintID,
		attrRequest: e.RequestID, attrSourceIP: e.SourceIP, attrRules: e.RulesVersion,
	} {
		if text != "" {
			it[name] = attr.String(text)
		}
	}
	size := 0
	for name, values := range map[string]map[string]any{attrBefore: e.Before, attrAfter: e.After} {
		if values == nil {
			continue
		}
		b, err := json.Marshal(values)
		if err != nil {
			return nil, fmt.Errorf("encode audit event: %w", err)
		}
		size += len(b)
		it[name] = attr.String(string(b))
	}
	if size > MaxValues {
		return nil, fmt.Errorf("encode audit event: before and after have %d bytes, more than %d", size, MaxValues)
	}
	return it, nil
}

func decodeAll(items []map[string]types.AttributeValue) ([]Event, error) {
	list := make([]Event, 0, len(items))
	for _, it := range items {
		e := Event{
			ID: attr.Text(it, attrSK), At: attr.Moment(it, attrAt), AccountID: attr.Text(it, attrAccount),
			Actor:  Actor{Kind: attr.Text(it, attrActorKind), ID: attr.Text(it, attrActorID), AccountID: attr.Text(it, attrActorOf)},
			Action: attr.Text(it, attrAction), Target: attr.Text(it, attrTarget), Reason: attr.Text(it, attrReason),
			InstructionID: attr.Text(it, attrInstruction), ComplaintID: attr.Text(it, attrComplaint),
			RequestID: attr.Text(it, attrRequest), SourceIP: attr.Text(it, attrSourceIP), RulesVersion: attr.Text(it, attrRules),
		}
		if err := attr.FromJSON(it, attrBefore, &e.Before); err != nil {
			return nil, err
		}
		if err := attr.FromJSON(it, attrAfter, &e.After); err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}
