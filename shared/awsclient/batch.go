package awsclient

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	// batchKeys is how many keys DynamoDB takes in one request.
	batchKeys = 100
	// batchTries is how often keys are asked for that DynamoDB left out of its answer.
	batchTries = 5
)

// BatchGetter is what BatchGet needs of a client.
type BatchGetter interface {
	BatchGetItem(context.Context, *dynamodb.BatchGetItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error)
}

// BatchGet reads the items of a table that are there under the keys of ask, in no order: one request for each 100 keys, none for
// none. No key may be given twice. DynamoDB answers only as many keys as it has capacity for, and the SDK leaves it at that; here
// the others are asked for again, after a moment, because a key without an answer must not look like one without an item.
func BatchGet(ctx context.Context, db BatchGetter, table string, ask types.KeysAndAttributes) ([]map[string]types.AttributeValue, error) {
	var found []map[string]types.AttributeValue
	for keys := range slices.Chunk(ask.Keys, batchKeys) {
		some := ask
		some.Keys = keys
		items, err := batchGet(ctx, db, map[string]types.KeysAndAttributes{table: some})
		if err != nil {
			return nil, err
		}
		found = append(found, items[table]...)
	}
	return found, nil
}

// Key names an item of a table. Its attributes are texts.
type Key struct {
	Table string
	Item  map[string]types.AttributeValue
}

// names tells whether an item is the key's.
func (k Key) names(it map[string]types.AttributeValue) bool {
	for name, v := range k.Item {
		want, ok := v.(*types.AttributeValueMemberS)
		got, is := it[name].(*types.AttributeValueMemberS)
		if !ok || !is || got.Value != want.Value {
			return false
		}
	}
	return true
}

// ReadTogether reads the items of keys, in their order; nil where there is none. They may be of several tables, and be given twice. It
// asks as BatchGet does.
func ReadTogether(ctx context.Context, db BatchGetter, consistent bool, keys ...Key) ([]map[string]types.AttributeValue, error) {
	var once []Key
	for _, k := range keys {
		if !slices.ContainsFunc(once, func(e Key) bool { return e.Table == k.Table && e.names(k.Item) }) {
			once = append(once, k)
		}
	}
	found := map[string][]map[string]types.AttributeValue{}
	for some := range slices.Chunk(once, batchKeys) {
		ask := map[string]types.KeysAndAttributes{}
		for _, k := range some {
			ask[k.Table] = types.KeysAndAttributes{Keys: append(ask[k.Table].Keys, k.Item), ConsistentRead: &consistent}
		}
		items, err := batchGet(ctx, db, ask)
		if err != nil {
			return nil, err
		}
		for table, list := range items {
			found[table] = append(found[table], list...)
		}
	}
	items := make([]map[string]types.AttributeValue, len(keys))
	for i, k := range keys {
		if at := slices.IndexFunc(found[k.Table], k.names); at >= 0 {
			items[i] = found[k.Table][at]
		}
	}
	return items, nil
}

// batchGet asks for what one request can hold.
func batchGet(ctx context.Context, db BatchGetter, requests map[string]types.KeysAndAttributes) (map[string][]map[string]types.AttributeValue, error) {
	found, asked := map[string][]map[string]types.AttributeValue{}, count(requests)
	for try := range batchTries {
		if try > 0 {
			if err := Wait(ctx, backoff(try, rand.Float64())); err != nil {
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
		if requests = out.UnprocessedKeys; len(requests) == 0 {
			return found, nil
		}
	}
	return nil, fmt.Errorf("%d of %d keys were not answered in %d tries", count(requests), asked, batchTries)
}

func count(requests map[string]types.KeysAndAttributes) int {
	n := 0
	for _, of := range requests {
		n += len(of.Keys)
	}
	return n
}

// Wait waits between two tries, no longer than the context lasts.
func Wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
