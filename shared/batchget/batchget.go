// Package batchget knows how items of DynamoDB tables are read by their keys, many with a request, without taking a key that went
// unanswered for an item that is not there.
package batchget

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	// maxKeys is how many keys BatchGetItem takes, of all tables together.
	maxKeys = 100
	// tries bounds how often keys are asked for that DynamoDB leaves unanswered.
	tries = 5
	// firstPause is the longest pause before the second try. It doubles from try to try.
	firstPause = 50 * time.Millisecond
)

// DynamoDB is what reading needs of the AWS client.
type DynamoDB interface {
	BatchGetItem(context.Context, *dynamodb.BatchGetItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error)
}

// Key names an item of a table. Its attributes are texts.
type Key struct {
	Table string
	Item  map[string]types.AttributeValue
}

// is tells whether an item is the key's.
func (k Key) is(it map[string]types.AttributeValue) bool {
	for name, v := range k.Item {
		want, ok := v.(*types.AttributeValueMemberS)
		got, is := it[name].(*types.AttributeValueMemberS)
		if !ok || !is || got.Value != want.Value {
			return false
		}
	}
	return true
}

// Together reads the items of keys that may be of several tables and may be given twice, in their order; nil where there is none.
func Together(ctx context.Context, db DynamoDB, consistent bool, keys ...Key) ([]map[string]types.AttributeValue, error) {
	ask := map[string]types.KeysAndAttributes{}
	for i, k := range keys {
		if !slices.ContainsFunc(keys[:i], func(e Key) bool { return e.Table == k.Table && e.is(k.Item) }) {
			ask[k.Table] = types.KeysAndAttributes{Keys: append(ask[k.Table].Keys, k.Item), ConsistentRead: &consistent}
		}
	}
	found, err := Items(ctx, db, ask)
	if err != nil {
		return nil, err
	}
	items := make([]map[string]types.AttributeValue, len(keys))
	for i, k := range keys {
		if at := slices.IndexFunc(found[k.Table], k.is); at >= 0 {
			items[i] = found[k.Table][at]
		}
	}
	return items, nil
}

// Items reads items of tables by their keys, none of which may be given twice: one request for each 100. Keys that DynamoDB had no
// capacity for are asked for again, up to five times and later each time, so an item that is missing in the answer is not there. The error
// says when some were never answered.
func Items(ctx context.Context, db DynamoDB, ask map[string]types.KeysAndAttributes) (map[string][]map[string]types.AttributeValue, error) {
	found := map[string][]map[string]types.AttributeValue{}
	for _, requests := range chunks(ask) {
		for try := 0; len(requests) > 0; try++ {
			if try == tries {
				return nil, fmt.Errorf("read a batch of items: some keys were not answered in %d tries", tries)
			}
			if try > 0 {
				if err := pause(ctx, time.Duration(rand.Float64()*float64(firstPause<<(try-1)))); err != nil {
					return nil, err
				}
			}
			out, err := db.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: requests})
			if err != nil {
				return nil, err
			}
			for table, items := range out.Responses {
				found[table] = append(found[table], items...)
			}
			requests = out.UnprocessedKeys
		}
	}
	return found, nil
}

// chunks splits what is asked for into requests that DynamoDB takes.
func chunks(ask map[string]types.KeysAndAttributes) []map[string]types.KeysAndAttributes {
	var list []map[string]types.KeysAndAttributes
	room := 0
	for _, table := range slices.Sorted(maps.Keys(ask)) {
		of := ask[table]
		for keys := of.Keys; len(keys) > 0; {
			if room == 0 {
				list = append(list, map[string]types.KeysAndAttributes{})
				room = maxKeys
			}
			n := min(room, len(keys))
			part := of
			part.Keys = keys[:n]
			list[len(list)-1][table] = part
			keys, room = keys[n:], room-n
		}
	}
	return list
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
