package awsclient

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// sparing is a table that has every item, and answers up to a number of keys of a request.
type sparing struct {
	most     int
	requests []int // how many keys each had
}

func (s *sparing) BatchGetItem(_ context.Context, in *dynamodb.BatchGetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	ask := in.RequestItems["t"]
	s.requests = append(s.requests, len(ask.Keys))
	if len(ask.Keys) > 100 || !aws.ToBool(ask.ConsistentRead) {
		return nil, errors.New("more keys than DynamoDB takes, or another read than was asked for")
	}
	n := min(s.most, len(ask.Keys))
	out := &dynamodb.BatchGetItemOutput{Responses: map[string][]map[string]types.AttributeValue{"t": ask.Keys[:n]}}
	if n < len(ask.Keys) {
		ask.Keys = ask.Keys[n:]
		out.UnprocessedKeys = map[string]types.KeysAndAttributes{"t": ask}
	}
	return out, nil
}

func keysOf(n int) types.KeysAndAttributes {
	ask := types.KeysAndAttributes{ConsistentRead: aws.Bool(true)}
	for i := range n {
		ask.Keys = append(ask.Keys, map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: strconv.Itoa(i)}})
	}
	return ask
}

func TestManyKeysAreAllAnswered(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		keys, most, requests int
	}{
		"none are not asked for":                              {0, 100, 0},
		"a hundred are one request":                           {100, 100, 1},
		"more are several":                                    {250, 100, 3},
		"what was left out is asked for again":                {100, 40, 3},
		"and so it is in each of several requests":            {150, 40, 5},
		"what comes with the last try of all is still enough": {100, 20, 5},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				db := &sparing{most: c.most}
				items, err := BatchGet(t.Context(), db, "t", keysOf(c.keys))
				if err != nil {
					t.Fatal(err)
				}
				seen := map[string]bool{}
				for _, it := range items {
					seen[it["pk"].(*types.AttributeValueMemberS).Value] = true
				}
				if len(items) != c.keys || len(seen) != c.keys || len(db.requests) != c.requests {
					t.Errorf("%d items, %d of them different, by requests of %v keys; want %d by %d", len(items), len(seen), db.requests, c.keys, c.requests)
				}
			})
		})
	}
}

func TestAKeyThatIsNeverAnsweredIsNoMissingItem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db, began := &sparing{most: 0}, time.Now()
		items, err := BatchGet(t.Context(), db, "t", keysOf(3))
		if err == nil || err.Error() != "3 of 3 keys were not answered in 5 tries" {
			t.Errorf("%v, %v; want an error", items, err)
		}
		if len(db.requests) != 5 || time.Since(began) == 0 {
			t.Errorf("%d tries within %s; want 5 with time between them", len(db.requests), time.Since(began))
		}
	})
}

func TestWaitingForAnotherTryEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := Wait(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if err := Wait(t.Context(), time.Second); err != nil {
			t.Errorf("got %v", err)
		}
	})
}

// several are tables that answer nothing, or everything but what is gone.
type several struct {
	requests int
	halts    bool
}

func (s *several) BatchGetItem(_ context.Context, in *dynamodb.BatchGetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	s.requests++
	if s.halts {
		return &dynamodb.BatchGetItemOutput{UnprocessedKeys: in.RequestItems}, nil
	}
	out := &dynamodb.BatchGetItemOutput{Responses: map[string][]map[string]types.AttributeValue{}}
	for table, ask := range in.RequestItems {
		for i, k := range ask.Keys {
			if slices.ContainsFunc(ask.Keys[:i], Key{table, k}.names) {
				return nil, errors.New("DynamoDB refuses a key that is given twice")
			}
			if k["pk"].(*types.AttributeValueMemberS).Value != "gone" {
				out.Responses[table] = append(out.Responses[table], k)
			}
		}
	}
	return out, nil
}

func TestItemsOfSeveralTablesComeInTheOrderOfTheirKeys(t *testing.T) {
	t.Parallel()
	key := func(table, pk string) Key {
		return Key{table, map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: pk}}}
	}
	keys := []Key{key("b", "1"), key("a", "gone"), key("a", "1"), key("b", "1"), key("a", "2")}
	for i := range 97 {
		keys = append(keys, key("c", strconv.Itoa(i)))
	}
	db := &several{}
	items, err := ReadTogether(t.Context(), db, true, keys...)
	if err != nil || len(items) != len(keys) || db.requests != 2 {
		t.Fatalf("%d items in %d requests, error %v", len(items), db.requests, err)
	}
	for i, it := range items {
		if (it == nil) != (i == 1) || it != nil && !keys[i].names(it) {
			t.Errorf("%d is %v", i, it)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		if items, err := ReadTogether(t.Context(), &several{halts: true}, false, keys...); err == nil {
			t.Errorf("keys without an answer are items that are not there: %v", items)
		}
	})
}
