package health

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"contactcenter/shared/attr"
)

// Items: pk "health#<kind>#<id>", sk "change#<unix milliseconds>": from then on the subject was in this state. Of providers only.
const (
	changePrefix = "change#"
	// ChangesKept is how long a change is kept: fourteen months.
	ChangesKept = 430 * 24 * time.Hour
)

// Change is one change of a subject's health. The zero Change stands for none that is known.
type Change struct {
	State State
	At    time.Time
}

// is reports whether it is a change to a state. Of one that was never noted nothing was ever wrong.
func (c Change) is(state State) bool {
	return c.State == state || c.At.IsZero() && state == Operational
}

func changeSort(at time.Time) string { return fmt.Sprintf("%s%013d", changePrefix, at.UnixMilli()) }

// Note records a change. To note it again changes nothing. One request.
func (s *Store) Note(ctx context.Context, of Subject, c Change) error {
	_, err := s.DB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.Table, Key: attr.Item{attrPK: attr.String(partition(of)), attrSK: attr.String(changeSort(c.At))},
		UpdateExpression:          aws.String("SET #st = :state, #ttl = :ttl"),
		ExpressionAttributeNames:  map[string]string{"#st": attrState, "#ttl": attrTTL},
		ExpressionAttributeValues: attr.Item{":state": attr.String(string(c.State)), ":ttl": attr.Int(c.At.Add(ChangesKept).Unix())},
	})
	if err != nil {
		return fmt.Errorf("note change of %s: %w", of.Kind, err)
	}
	return nil
}

// LastChange gives the last change before a moment, the zero Change where there is none. One request.
func (s *Store) LastChange(ctx context.Context, of Subject, before time.Time, consistent bool) (Change, error) {
	out, err := s.DB.Query(ctx, &dynamodb.QueryInput{
		TableName: &s.Table, KeyConditionExpression: aws.String("#pk = :pk AND #sk BETWEEN :first AND :before"), ScanIndexForward: aws.Bool(false), Limit: aws.Int32(1),
		ConsistentRead: &consistent, ExpressionAttributeNames: map[string]string{"#pk": attrPK, "#sk": attrSK},
		ExpressionAttributeValues: attr.Item{":pk": attr.String(partition(of)), ":first": attr.String(changePrefix), ":before": attr.String(changeSort(before.Add(-time.Millisecond)))},
	})
	if err != nil {
		return Change{}, fmt.Errorf("read last change of %s: %w", of.Kind, err)
	}
	if len(out.Items) == 0 {
		return Change{}, nil
	}
	return decodeChange(out.Items[0])
}

// Changes gives the changes from a moment on and before another, oldest first, at most so many; cut says that there are more. One request for
// each megabyte, some ten thousand changes.
func (s *Store) Changes(ctx context.Context, of Subject, from, to time.Time, most int) (list []Change, cut bool, err error) {
	in := &dynamodb.QueryInput{
		TableName: &s.Table, KeyConditionExpression: aws.String("#pk = :pk AND #sk BETWEEN :from AND :to"), Limit: aws.Int32(int32(most) + 1),
		ExpressionAttributeNames:  map[string]string{"#pk": attrPK, "#sk": attrSK},
		ExpressionAttributeValues: attr.Item{":pk": attr.String(partition(of)), ":from": attr.String(changeSort(from)), ":to": attr.String(changeSort(to.Add(-time.Millisecond)))},
	}
	for {
		out, err := s.DB.Query(ctx, in)
		if err != nil {
			return nil, false, fmt.Errorf("read changes of %s: %w", of.Kind, err)
		}
		for _, it := range out.Items {
			if len(list) == most {
				return list, true, nil
			}
			c, err := decodeChange(it)
			if err != nil {
				return nil, false, err
			}
			list = append(list, c)
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 {
			return list, false, nil
		}
	}
}

func decodeChange(it attr.Item) (Change, error) {
	ms, err := strconv.ParseInt(strings.TrimPrefix(attr.Text(it, attrSK), changePrefix), 10, 64)
	if err != nil {
		return Change{}, fmt.Errorf("read change: %q", attr.Text(it, attrSK))
	}
	return Change{State: State(attr.Text(it, attrState)), At: time.UnixMilli(ms).UTC()}, nil
}

// Noted gives a Changed that notes the changes of providers, and then tells another (nil: nobody). One that could not be noted is found by
// the next sweep.
func Noted(in *Store, log *slog.Logger, next Changed) Changed {
	return func(ctx context.Context, of Subject, state State, at time.Time) {
		if of.Kind == KindProvider {
			if err := in.Note(ctx, of, Change{State: state, At: at}); err != nil {
				log.WarnContext(ctx, "change of health not noted", "id", of.ID, "error", err.Error())
			}
		}
		next.tell(ctx, of, state, at)
	}
}
