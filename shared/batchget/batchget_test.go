package batchget

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// halting answers at most so many keys of a request, and refuses requests that DynamoDB would refuse.
type halting struct {
	perRequest, requests int
	// gone is the key of an item that is not there.
	gone string
}

func (h *halting) BatchGetItem(_ context.Context, in *dynamodb.BatchGetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	h.requests++
	out := &dynamodb.BatchGetItemOutput{Responses: map[string][]map[string]types.AttributeValue{}, UnprocessedKeys: map[string]types.KeysAndAttributes{}}
	keys, left := 0, h.perRequest
	for table, ask := range in.RequestItems {
		if len(ask.Keys) == 0 || ask.ConsistentRead == nil {
			return nil, errors.New("a table without keys, or what was asked for is lost")
		}
		keys += len(ask.Keys)
		n := min(left, len(ask.Keys))
		left -= n
		for _, k := range ask.Keys[:n] {
			if k["pk"].(*types.AttributeValueMemberS).Value != h.gone {
				out.Responses[table] = append(out.Responses[table], k)
			}
		}
		if n < len(ask.Keys) {
			ask.Keys = ask.Keys[n:]
			out.UnprocessedKeys[table] = ask
		}
	}
	if keys > maxKeys {
		return nil, fmt.Errorf("%d keys", keys)
	}
	return out, nil
}

func TestItemsAreAskedForUntilEveryKeyIsAnswered(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name               string
		perRequest         int
		first, second      int
		requests, answered int
		refused            string
	}{
		{name: "nothing is asked", perRequest: 100},
		{name: "what fits into one request", perRequest: 100, first: 40, second: 60, requests: 1, answered: 100},
		{name: "what needs three", perRequest: 100, first: 150, second: 101, requests: 3, answered: 251},
		{name: "keys that are left out", perRequest: 30, first: 50, second: 50, requests: 4, answered: 100},
		{name: "keys that are never answered", perRequest: 0, first: 1, requests: tries, refused: "some keys were not answered in 5 tries"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			consistent, ask := false, map[string]types.KeysAndAttributes{}
			for table, n := range map[string]int{"first": tc.first, "second": tc.second} {
				of := types.KeysAndAttributes{ConsistentRead: &consistent}
				for i := range n {
					of.Keys = append(of.Keys, map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: fmt.Sprint(table, i)}})
				}
				ask[table] = of
			}
			db := &halting{perRequest: tc.perRequest}
			found, err := Items(t.Context(), db, ask)
			if tc.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tc.refused) || db.requests != tc.requests {
					t.Errorf("%d requests, error %v", db.requests, err)
				}
				return
			}
			seen := map[string]bool{}
			for table, items := range found {
				for _, it := range items {
					seen[table+it["pk"].(*types.AttributeValueMemberS).Value] = true
				}
			}
			if err != nil || db.requests != tc.requests || len(seen) != tc.answered || len(found["first"]) != tc.first {
				t.Errorf("%d requests, %d items, error %v", db.requests, len(seen), err)
			}
		})
	}
}

func TestItemsOfSeveralTablesComeInTheOrderOfTheirKeys(t *testing.T) {
	t.Parallel()
	key := func(table, pk string) Key {
		return Key{table, map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: pk}}}
	}
	keys := []Key{key("b", "1"), key("a", "gone"), key("a", "1"), key("b", "1"), key("a", "2")}
	db := &halting{perRequest: 100, gone: "gone"}
	items, err := Together(t.Context(), db, false, keys...)
	if err != nil || len(items) != len(keys) || db.requests != 1 {
		t.Fatalf("%d items in %d requests, error %v", len(items), db.requests, err)
	}
	for i, it := range items {
		if (it == nil) != (i == 1) || it != nil && !keys[i].is(it) {
			t.Errorf("%d is %v", i, it)
		}
	}
	if _, err := Together(t.Context(), &halting{}, false, keys...); err == nil {
		t.Error("keys that were not answered are items that are not there")
	}
}

func TestReadingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	consistent := true
	ask := map[string]types.KeysAndAttributes{"t": {ConsistentRead: &consistent, Keys: []map[string]types.AttributeValue{{"pk": &types.AttributeValueMemberS{Value: "x"}}}}}
	if _, err := Items(ctx, &halting{}, ask); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
