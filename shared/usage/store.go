package usage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/awsclient"
	"contactcenter/shared/id"
)

// DynamoDB is what the store needs of the AWS client.
type DynamoDB interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// Store keeps the gates. Every method is one request to DynamoDB unless it says so.
type Store struct {
	DB    DynamoDB
	Table string
	Now   func() time.Time
}

// ErrNoGate: the account has not sent anything yet.
var ErrNoGate = errors.New("account has no gate yet")

// Refused says that a conditional write found the gate in another state, and brings the gate as it was then.
type Refused struct{ Gate Gate }

func (*Refused) Error() string { return "the gate's condition was not met" }

// Read gives an account's gate. It returns ErrNoGate when there is none.
func (s *Store) Read(ctx context.Context, accountID string, consistent bool) (Gate, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: gateKey(accountID), ConsistentRead: &consistent})
	if err != nil {
		return Gate{}, fmt.Errorf("read gate: %w", err)
	}
	return s.Found(out.Item)
}

// At is where an account's gate lies, for who reads it together with other items; Found is what was found there.
func (s *Store) At(accountID string) awsclient.Key {
	return awsclient.Key{Table: s.Table, Item: gateKey(accountID)}
}

// Found reads a gate, or returns ErrNoGate for an item that is not there.
func (s *Store) Found(it map[string]types.AttributeValue) (Gate, error) {
	if len(it) == 0 {
		return Gate{}, ErrNoGate
	}
	return decodeGate(it)
}

// Create makes an account's gate, with nothing used. It does nothing when there is one.
func (s *Store) Create(ctx context.Context, accountID string, terms Terms) error {
	period := terms.Kind.Period(s.Now())
	_, end, err := bounds(period)
	if err != nil {
		return err
	}
	it := item{
		attrPK: str(accountID), attrSK: str(gateSort), attrPeriod: str(period), attrPlan: str(terms.PlanID), attrVersion: str(terms.Version),
		attrLimit: num(terms.Limit), attrUsed: num(0), attrRemaining: num(terms.Limit), attrSeq: num(0), attrTAT: num(0), attrLine: num(0),
		attrLeases: &types.AttributeValueMemberM{Value: item{}}, attrEntries: &types.AttributeValueMemberM{Value: item{}},
		attrShard: str(Shard(accountID)), attrDue: str(dueText(terms.before(end))),
	}
	if terms.Blocked {
		it[attrBlocked] = num(1)
	}
	_, err = s.DB.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &s.Table, Item: it,
		ConditionExpression: aws.String("attribute_not_exists(#pk)"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
	})
	if refused := new(types.ConditionalCheckFailedException); err != nil && !errors.As(err, &refused) {
		return fmt.Errorf("create gate: %w", err)
	}
	return nil
}

// Claim says what a reservation asks for.
type Claim struct {
	Messages []id.Message
	// Nonce is random, one for each request.
	Nonce uint32
	// Gate is the gate as the caller knows it: its period, and whether its rate is at work or idle.
	Gate Gate
	Turn
}

// Reserve takes one unit for each message and claims them all, in one write, or does nothing and returns *Refused:
// when the account is blocked, when period, terms or rate state are not as the caller knew them, when the number or the
// frequency leaves no room for all, when the ledger is full, or when one of the messages is in it. It is refused without
// a request when the period that the caller knew is over. It returns ErrNoGate when there is no gate. One write takes
// MostAtOnce messages at most, and no more than the rate's burst.
func (s *Store) Reserve(ctx context.Context, accountID string, terms Terms, c Claim) (Gate, error) {
	now := s.Now()
	n := int64(len(c.Messages))
	terms = terms.For(c.Turn)
	if terms.Rate.Limit > 0 && n > terms.Rate.Burst {
		return Gate{}, fmt.Errorf("reserve usage: %d messages at once are more than the burst of %d", n, terms.Rate.Burst)
	}
	if over(c.Gate.Period, now) {
		return Gate{}, &Refused{Gate: c.Gate}
	}
	w := newWrite()
	w.take(terms, c.Gate, n)
	w.rate(terms.Rate, c.Gate, now, n, c.Turn)
	if err := w.claim(c.Messages, c.Nonce, now, mark(c.Gate.Period), terms.InFlight); err != nil {
		return Gate{}, err
	}
	return s.update(ctx, accountID, w)
}

// over reports whether a period has ended.
func over(period string, now time.Time) bool {
	_, end, err := bounds(period)
	return err == nil && !now.Before(end)
}

// Take claims messages without a unit, to end them or to set them aside. It is refused when one of them is in the
// ledger, unless this very request put it there. One write takes MostAtOnce messages at most.
func (s *Store) Take(ctx context.Context, accountID string, messages []id.Message, nonce uint32) (Gate, error) {
	w := newWrite()
	if err := w.claim(messages, nonce, s.Now(), 0, 0); err != nil {
		return Gate{}, err
	}
	g, err := s.update(ctx, accountID, w)
	if refused := new(Refused); errors.As(err, &refused) && refused.Gate.took(messages, nonce) {
		return refused.Gate, nil
	}
	return g, err
}

// took reports whether a claim without a unit was made after all: the answer to a first try was lost, and the SDK
// asked again.
func (g Gate) took(messages []id.Message, nonce uint32) bool {
	for _, m := range messages {
		if e, ok := g.Entries[m.Unique]; !ok || e.Message != m || e.Nonce != nonce || e.Counts() {
			return false
		}
	}
	return true
}

// TakeOver gives an entry whose lease has run out to a new holder. An entry that counts nothing is taken with a unit
// when counts is set, under the conditions of Reserve; the claim is then a new one. The entry must be as the caller saw it.
func (s *Store) TakeOver(ctx context.Context, accountID string, terms Terms, e Entry, g Gate, nonce uint32, counts bool) (Gate, error) {
	now := s.Now()
	if now.Before(e.Expires) {
		return Gate{}, fmt.Errorf("take over message %s: its lease still runs", e.Message)
	}
	w := newWrite()
	next := Entry{Message: e.Message, Nonce: nonce, Expires: expiry(now), period: e.period}
	switch {
	case e.Counts():
		next.Claim = e.Claim
	case counts && over(g.Period, now):
		return Gate{}, &Refused{Gate: g}
	case counts:
		next.period = mark(g.Period)
		w.take(terms, g, 1)
		w.rate(terms.Rate, g, now, 1, Turn{Waited: true})
	}
	packed, err := pack(next)
	if err != nil {
		return Gate{}, err
	}
	lease, entry := w.ledger(e.Message)
	w.lease(lease, 1)
	w.Assign(entry, w.Value(packed))
	w.Require(lease + " = " + w.Value(num(e.Lease)))
	w.advance(1)
	after, err := s.update(ctx, accountID, w)
	if refused := new(Refused); errors.As(err, &refused) {
		// The answer to a first try may have been lost; then the entry is under this request's nonce by now.
		if now, ok := refused.Gate.Entries[e.Message.Unique]; ok && now.Lease > e.Lease && now.Nonce == nonce && now.period == next.period {
			return refused.Gate, nil
		}
	}
	return after, err
}

const settleTries = 6

// MostAtOnce is how many messages one write can claim or settle: expressions are limited to 4 KB and 300 operators.
const MostAtOnce = 50

const bringTries = 6

// ErrPreviousOpen: the period before is not exported yet, so the present one can't be closed.
var ErrPreviousOpen = errors.New("the previous period is still open")

// Queue gives n messages a place in the line that waits for the account's rate, and says when the first may go; the
// others follow at the rate's interval. The line only orders the waiting: whoever comes back still reserves. Messages of batches have
// one of their own.
func (s *Store) Queue(ctx context.Context, g Gate, rate Rate, n int64, batch bool) (time.Time, error) {
	now := s.Now()
	return s.line(ctx, g, now.Add(g.Wait(now, rate, 1)), time.Duration(n)*rate.interval(), batch)
}

// Place gives n messages a place in the same line for what bounds them more than the rate does: their account's places in the ledger, of which
// one is free after each step. Nobody gets a place later than most from now, for a step is a guess: when the line is longer, it stays as
// it is, without a request.
func (s *Store) Place(ctx context.Context, g Gate, step time.Duration, n int64, most time.Duration, batch bool) (time.Time, error) {
	now := s.Now()
	if latest := now.Add(most); !g.Behind(batch).Before(latest) {
		return latest, nil
	}
	return s.line(ctx, g, now, time.Duration(n)*step, batch)
}

// line puts something of a length at the end of the line, which begins at start at the earliest, and says where it was put.
func (s *Store) line(ctx context.Context, g Gate, start time.Time, length time.Duration, batch bool) (time.Time, error) {
	span, attribute := length.Microseconds(), attrLine
	if batch {
		attribute = attrBatchLine
	}
	for range settleTries {
		w := newWrite()
		if g.Behind(batch).After(start) {
			w.Increase(attribute, span)
			w.Require(w.Is(attribute, ">", num(start.UnixMicro())))
		} else {
			w.Set(attribute, num(start.UnixMicro()+span))
			w.Require(w.AbsentOr(attribute, "<=", num(start.UnixMicro())))
		}
		after, err := s.update(ctx, g.AccountID, w)
		refused := new(Refused)
		switch {
		case errors.As(err, &refused):
			g = refused.Gate
		case err != nil:
			return time.Time{}, err
		default:
			return after.Behind(batch).Add(-time.Duration(span) * time.Microsecond), nil
		}
	}
	return start, nil // the line moves fast; coming back early costs a refused write and nothing else
}

// update applies one conditional write to a gate.
func (s *Store) update(ctx context.Context, accountID string, w *write) (Gate, error) {
	it, applied, err := w.Apply(ctx, s.DB, s.Table, gateKey(accountID))
	switch {
	case err != nil:
		return Gate{}, fmt.Errorf("update gate: %w", err)
	case len(it) == 0:
		return Gate{}, ErrNoGate
	}
	g, err := decodeGate(it)
	if err == nil && !applied {
		return Gate{}, &Refused{Gate: g}
	}
	return g, err
}
