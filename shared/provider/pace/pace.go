// Package pace knows how fast messages may go to a provider that bounds what it takes of all accounts together. Each such
// provider has one item; taking a slot is one conditional write of it, so the bound holds at any concurrency.
package pace

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
)

// Items: pk "provider#<provider id>", sk "rate". It lies in the table of the gates, whose keys are account ids.
const (
	attrPK = "pk"
	attrSK = "sk"
	attrAt = "t" // when the next slot is free, in microseconds

	prefix   = "provider#"
	rateSort = "rate"
	tries    = 4
)

// Guard is how long after its slot a call may leave. Slots lie so far apart that the bound holds all the same.
const Guard = 200 * time.Millisecond

// Rate is a provider's bound: never more than Limit messages in any Window. Burst of them may go at once after a pause; what
// they take at once is missing afterwards: Limit-Burst+1 of each window are left for a steady stream.
type Rate struct {
	Limit  int64
	Window time.Duration
	Burst  int64
}

// interval is the time between two slots. A burst and the slots that follow it within a window, with the guard on both
// sides, are Limit together.
func (r Rate) interval() time.Duration {
	n := max(r.Limit-max(r.Burst, 1)+1, 1)
	us := ((r.Window + Guard).Microseconds() + n - 1) / n
	return time.Duration(us) * time.Microsecond
}

// DynamoDB is what the store needs of the AWS client.
type DynamoDB interface {
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
}

// Store keeps the providers' slots.
type Store struct {
	DB    DynamoDB
	Table string
	Now   func() time.Time
}

// Take takes the next slot, if it is free within the horizon, and says when it begins: the call may leave from then until
// Guard later. Else taken is false, and at says when a slot is free at the earliest. One request while slots are in demand,
// two after a pause.
func (s *Store) Take(ctx context.Context, providerID string, r Rate, horizon time.Duration) (at time.Time, taken bool, err error) {
	interval := r.interval()
	// The burst is credit: slots of the time before now that nobody used.
	credit := time.Duration(max(r.Burst, 1)-1) * interval
	for range tries {
		now := s.Now()
		idle := now.Add(-credit)
		free, taken, err := s.write(ctx, providerID, "#t = #t + :interval", "#t >= :idle AND #t <= :latest", attr.Item{
			":interval": attr.Int(interval.Microseconds()), ":idle": attr.Int(idle.UnixMicro()), ":latest": attr.Int(now.Add(horizon).UnixMicro()),
		})
		if err == nil && !taken && free.Before(idle) {
			free, taken, err = s.write(ctx, providerID, "#t = :next", "attribute_not_exists(#t) OR #t < :idle", attr.Item{
				":next": attr.Int(idle.Add(interval).UnixMicro()), ":idle": attr.Int(idle.UnixMicro()),
			})
		}
		switch {
		case err != nil:
			return time.Time{}, false, err
		case taken:
			return later(now, free.Add(-interval)), true, nil
		case free.After(now.Add(horizon)):
			return free, false, nil
		}
	}
	return s.Now().Add(horizon), false, nil // it went back and forth between idle and busy, which only a clock that jumps explains
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// write makes one conditional write. It returns when the next slot is free by the item as it is now; the zero time when there
// is none yet.
func (s *Store) write(ctx context.Context, providerID, set, condition string, values attr.Item) (free time.Time, applied bool, err error) {
	out, err := s.DB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.Table, Key: attr.Item{attrPK: attr.String(prefix + providerID), attrSK: attr.String(rateSort)},
		UpdateExpression: aws.String("SET " + set), ConditionExpression: &condition, ExpressionAttributeNames: map[string]string{"#t": attrAt},
		ExpressionAttributeValues: values, ReturnValues: types.ReturnValueAllNew,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	refused := new(types.ConditionalCheckFailedException)
	switch {
	case errors.As(err, &refused) && refused.Item[attrAt] == nil:
		return time.Time{}, false, nil
	case errors.As(err, &refused):
		return time.UnixMicro(attr.Number(refused.Item, attrAt)).UTC(), false, nil
	case err != nil:
		return time.Time{}, false, fmt.Errorf("take slot of provider %s: %w", providerID, err)
	}
	return time.UnixMicro(attr.Number(out.Attributes, attrAt)).UTC(), true, nil
}
