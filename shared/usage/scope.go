package usage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/id"
)

// Items of a limit on a part of an account's messages: sk "scope#<limit>#<period>" counts the units of a period,
// "scoped#<limit>#<message>" marks a message that holds one, "scoperate#<limit>" is the state of a frequency.
const (
	scopePrefix     = "scope#"
	scopedPrefix    = "scoped#"
	scopeRatePrefix = "scoperate#"

	attrScopeUsed   = "used"
	attrScopePeriod = "period"
	attrScopeLease  = "lease"
	attrTTL         = "ttl"

	scopeTries = 5
	scopeKept  = 45 * 24 * time.Hour // counters and marks outlive the longest period
	scopeWait  = 20 * time.Millisecond
)

// ScopesDB is what the scopes need of the AWS client.
type ScopesDB interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	TransactWriteItems(context.Context, *dynamodb.TransactWriteItemsInput, ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error)
}

// Scopes keep limits that concern a part of an account's messages: those on one channel or to one recipient. They come on
// top of the account's gate, and only messages under such a limit pay for them.
type Scopes struct {
	DB    ScopesDB
	Table string
	Now   func() time.Time
}

// ErrBusy: others changed the same limit all the time. Try again later.
var ErrBusy = errors.New("the limit is being changed by others")

func scopeKey(accountID, sort string) item { return item{attrPK: str(accountID), attrSK: str(sort)} }

func markKey(accountID, limitID string, m id.Message) item {
	return scopeKey(accountID, scopedPrefix+limitID+"#"+m.Unique+m.Conversation)
}

// Take takes a unit of a limit's number for a message, once however often it is asked. The lease is the holder's. It
// reports false when the period's number is used up. Mark and count are one transaction; two requests at most, more when
// others take at the same moment.
func (s *Scopes) Take(ctx context.Context, accountID, limitID, period string, limit int64, m id.Message, lease int64) (bool, error) {
	if limit <= 0 {
		return false, nil
	}
	kept := num(s.Now().Add(scopeKept).Unix())
	mark := markKey(accountID, limitID, m)
	mark[attrScopePeriod], mark[attrScopeLease], mark[attrTTL] = str(period), num(lease), kept
	put := types.TransactWriteItem{Put: &types.Put{
		TableName: &s.Table, Item: mark, ConditionExpression: aws.String("attribute_not_exists(#pk)"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
	}}
	count := types.TransactWriteItem{Update: &types.Update{
		TableName: &s.Table, Key: scopeKey(accountID, scopePrefix+limitID+"#"+period),
		UpdateExpression:          aws.String("SET #used = if_not_exists(#used, :none) + :one, #ttl = :ttl"),
		ConditionExpression:       aws.String("attribute_not_exists(#used) OR #used < :number"),
		ExpressionAttributeNames:  map[string]string{"#used": attrScopeUsed, "#ttl": attrTTL},
		ExpressionAttributeValues: item{":one": num(1), ":none": num(0), ":number": num(limit), ":ttl": kept},
	}}
	failed, err := s.transact(ctx, put, count)
	switch {
	case err != nil:
		return false, fmt.Errorf("take unit of limit: %w", err)
	case len(failed) == 0:
		return true, nil
	case !failed[0]:
		return false, nil
	}
	// The message holds one already. It goes on under the present holder's lease, if that is the later one.
	_, err = s.DB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.Table, Key: markKey(accountID, limitID, m), UpdateExpression: aws.String("SET #lease = :lease"),
		ConditionExpression:       aws.String("#lease <= :lease"),
		ExpressionAttributeNames:  map[string]string{"#lease": attrScopeLease},
		ExpressionAttributeValues: item{":lease": num(lease)},
	})
	if err != nil {
		return false, fmt.Errorf("take over unit of limit: %w", err)
	}
	return true, nil
}

// Holds reports whether a message holds a unit of a limit. One request.
func (s *Scopes) Holds(ctx context.Context, accountID, limitID string, m id.Message) (bool, error) {
	it, err := s.mark(ctx, accountID, limitID, m)
	return len(it) > 0, err
}

func (s *Scopes) mark(ctx context.Context, accountID, limitID string, m id.Message) (item, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: markKey(accountID, limitID, m), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, fmt.Errorf("look for unit of limit: %w", err)
	}
	return out.Item, nil
}

// GiveBack returns a message's unit, if it holds one under no later lease. Two requests, one when there is none.
func (s *Scopes) GiveBack(ctx context.Context, accountID, limitID string, m id.Message, lease int64) error {
	it, err := s.mark(ctx, accountID, limitID, m)
	if err != nil || len(it) == 0 {
		return err
	}
	remove := types.TransactWriteItem{Delete: &types.Delete{
		TableName: &s.Table, Key: markKey(accountID, limitID, m), ConditionExpression: aws.String("#lease <= :lease"),
		ExpressionAttributeNames: map[string]string{"#lease": attrScopeLease}, ExpressionAttributeValues: item{":lease": num(lease)},
	}}
	count := types.TransactWriteItem{Update: &types.Update{
		TableName: &s.Table, Key: scopeKey(accountID, scopePrefix+limitID+"#"+text(it, attrScopePeriod)),
		UpdateExpression: aws.String("SET #used = #used - :one"), ConditionExpression: aws.String("#used >= :one"),
		ExpressionAttributeNames: map[string]string{"#used": attrScopeUsed}, ExpressionAttributeValues: item{":one": num(1)},
	}}
	if _, err := s.transact(ctx, remove, count); err != nil { // a failed condition: somebody else's by now, or given back
		return fmt.Errorf("give back unit of limit: %w", err)
	}
	return nil
}

// Used gives how many units of a limit's period are taken. One request.
func (s *Scopes) Used(ctx context.Context, accountID, limitID, period string) (int64, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: scopeKey(accountID, scopePrefix+limitID+"#"+period), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return 0, fmt.Errorf("read limit: %w", err)
	}
	return number(out.Item[attrScopeUsed]), nil
}

// transact makes two changes, both or none. Failed says whose conditions did not hold; empty: it was done.
func (s *Scopes) transact(ctx context.Context, changes ...types.TransactWriteItem) (failed []bool, err error) {
	for try := range scopeTries {
		_, err := s.DB.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: changes})
		canceled := new(types.TransactionCanceledException)
		if !errors.As(err, &canceled) {
			return nil, err
		}
		failed = make([]bool, len(changes))
		refused := false
		for i, r := range canceled.CancellationReasons {
			failed[i] = aws.ToString(r.Code) == "ConditionalCheckFailed"
			refused = refused || failed[i]
		}
		if refused {
			return failed, nil
		}
		if err := awsclient.Wait(ctx, time.Duration(try+1)*scopeWait); err != nil {
			return nil, err
		}
	}
	return nil, ErrBusy
}

// Pass lets a message through a limit's frequency, or gives it a place in the line and says how long to wait for it.
// Waited is set for one that comes back from the line. One request, two when it must wait or the rate is at work.
func (s *Scopes) Pass(ctx context.Context, accountID, limitID string, r Rate, waited bool) (time.Duration, error) {
	now, t := s.Now().UnixMicro(), r.interval().Microseconds()
	var seen item
	for range scopeTries {
		u, atWork := new(attr.Update), number(seen[attrTAT]) > now
		pass(u, now, t, r.Burst, atWork, waited)
		it, done, err := s.write(ctx, accountID, limitID, u)
		if err != nil || done {
			return 0, err
		}
		seen = it
		if inLine := !waited && number(it[attrLine]) > now; !inLine && atWork != (number(it[attrTAT]) > now) {
			continue // it was at work and not idle, or the other way round
		}
		place, ok, err := s.line(ctx, accountID, limitID, seen, now, t, r.Burst)
		if err != nil || ok {
			return time.Duration(max(place-now, 1)) * time.Microsecond, err
		}
	}
	return 0, ErrBusy
}

// line gives a place at the line's end.
func (s *Scopes) line(ctx context.Context, accountID, limitID string, seen item, now, t, burst int64) (place int64, ok bool, err error) {
	start := max(now, number(seen[attrTAT])-(burst-1)*t)
	u := new(attr.Update)
	if place = number(seen[attrLine]); place > start {
		u.Increase(attrLine, t)
		u.Require(u.Is(attrLine, ">", num(start)), u.Is(attrLine, "=", num(place)))
	} else {
		place = start
		u.Set(attrLine, num(start+t))
		u.Require(u.AbsentOr(attrLine, "<=", num(start)))
	}
	_, ok, err = s.write(ctx, accountID, limitID, u)
	return place, ok, err
}

// pass moves the theoretical arrival time by one message, as the gate's rate does.
func pass(u *attr.Update, now, t, burst int64, atWork, waited bool) {
	if atWork {
		u.Increase(attrTAT, t)
		u.Require(u.Is(attrTAT, ">", num(now)), u.Is(attrTAT, "<=", num(now+(burst-1)*t)))
	} else {
		u.Set(attrTAT, num(now+t))
		u.Require(u.AbsentOr(attrTAT, "<=", num(now)))
	}
	if !waited {
		u.Require(u.AbsentOr(attrLine, "<=", num(now)))
	}
}

// write reports whether the condition held, and gives the state as it is then.
func (s *Scopes) write(ctx context.Context, accountID, limitID string, u *attr.Update) (item, bool, error) {
	u.Set(attrTTL, num(s.Now().Add(scopeKept).Unix()))
	it, held, err := u.Apply(ctx, s.DB, s.Table, scopeKey(accountID, scopeRatePrefix+limitID))
	if err != nil {
		return nil, false, fmt.Errorf("write frequency of limit: %w", err)
	}
	return it, held, nil
}
