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
		items, err := batchGet(ctx, db, table, some)
		if err != nil {
			return nil, err
		}
		found = append(found, items...)
	}
	return found, nil
}

// batchGet asks for what one request can hold.
func batchGet(ctx context.Context, db BatchGetter, table string, ask types.KeysAndAttributes) ([]map[string]types.AttributeValue, error) {
	var found []map[string]types.AttributeValue
	requests := map[string]types.KeysAndAttributes{table: ask}
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
		found = append(found, out.Responses[table]...)
		if requests = out.UnprocessedKeys; len(requests) == 0 {
			return found, nil
		}
	}
	return nil, fmt.Errorf("%d of %d keys were not answered in %d tries", len(requests[table].Keys), len(ask.Keys), batchTries)
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
