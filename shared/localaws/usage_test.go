package localaws_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"contactcenter/shared/awsclient"
	"contactcenter/shared/localaws"
	"contactcenter/shared/localaws/awstest"
)

func call(t *testing.T, method, url string) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return (&http.Client{Timeout: time.Minute}).Do(r)
}

func usage(t *testing.T, url string) awsclient.Report {
	t.Helper()
	response, err := call(t, http.MethodGet, url+"/_local/usage")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var r awsclient.Report
	if err := json.NewDecoder(response.Body).Decode(&r); err != nil {
		t.Fatal(err)
	}
	return r
}

func resetUsage(t *testing.T, url string) {
	t.Helper()
	response, err := call(t, http.MethodPost, url+"/_local/usage/reset")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
}

// costs are calls with what they are documented to cost, in the order in which they are made.
func costs(b bench) []struct {
	name        string
	call        func(ctx context.Context) error
	write, read float64
	refused     bool
	localHalves bool // DynamoDB Local reports transactions at the price of plain writes
} {
	db, table := b.DynamoDB, &b.table
	put := func(in *dynamodb.PutItemInput) func(ctx context.Context) error {
		in.TableName = table
		return func(ctx context.Context) error { _, err := db.PutItem(ctx, in); return err }
	}
	update := func(in *dynamodb.UpdateItemInput) func(ctx context.Context) error {
		in.TableName = table
		return func(ctx context.Context) error { _, err := db.UpdateItem(ctx, in); return err }
	}
	key := func(sk string) item { return item{"pk": text("p"), "sk": text(sk)} }
	small := item{"pk": text("p"), "sk": text("small"), "n": number("1")}
	large := item{"pk": text("p"), "sk": text("large"), "x": text(strings.Repeat("x", 2500))}
	return []struct {
		name        string
		call        func(ctx context.Context) error
		write, read float64
		refused     bool
		localHalves bool
	}{
		{name: "a small put", call: put(&dynamodb.PutItemInput{Item: small}), write: 1},
		{name: "a put of 2.5 KB", call: put(&dynamodb.PutItemInput{Item: large}), write: 3},
		{name: "a put that is refused costs the larger item", call: put(&dynamodb.PutItemInput{Item: item{"pk": text("p"), "sk": text("large")}, ConditionExpression: aws.String("attribute_not_exists(pk)")}), write: 3, refused: true},
		{name: "an update of a small item", call: update(&dynamodb.UpdateItemInput{Key: key("small"), UpdateExpression: aws.String("SET n = n + :one"), ExpressionAttributeValues: item{":one": number("1")}}), write: 1},
		{name: "an update costs the whole item", call: update(&dynamodb.UpdateItemInput{Key: key("large"), UpdateExpression: aws.String("SET n = :one"), ExpressionAttributeValues: item{":one": number("1")}}), write: 3},
		{name: "an update that shrinks costs the item before", call: update(&dynamodb.UpdateItemInput{Key: key("large"), UpdateExpression: aws.String("SET x = :x"), ExpressionAttributeValues: item{":x": text(strings.Repeat("x", 1500))}}), write: 3},
		{name: "an update that is refused", call: update(&dynamodb.UpdateItemInput{Key: key("large"), UpdateExpression: aws.String("SET n = :two"), ConditionExpression: aws.String("n = :two"), ExpressionAttributeValues: item{":two": number("2")}}), write: 2, refused: true},
		{name: "an update that enters an index", call: update(&dynamodb.UpdateItemInput{Key: key("small"), UpdateExpression: aws.String("SET due_shard = :s, due_at = :s"), ExpressionAttributeValues: item{":s": text("1")}}), write: 2},
		{name: "an update that the index does not see", call: update(&dynamodb.UpdateItemInput{Key: key("small"), UpdateExpression: aws.String("SET n = :one"), ExpressionAttributeValues: item{":one": number("1")}}), write: 1},
		{name: "an update that moves in the index", call: update(&dynamodb.UpdateItemInput{Key: key("small"), UpdateExpression: aws.String("SET due_at = :s"), ExpressionAttributeValues: item{":s": text("2")}}), write: 3},
		{name: "an update that leaves the index", call: update(&dynamodb.UpdateItemInput{Key: key("small"), UpdateExpression: aws.String("REMOVE due_at")}), write: 2},
		{name: "a strongly consistent read", read: 1, call: func(ctx context.Context) error {
			_, err := db.GetItem(ctx, &dynamodb.GetItemInput{TableName: table, Key: key("large"), ConsistentRead: aws.Bool(true)})
			return err
		}},
		{name: "a read of what is not there", read: 0.5, call: func(ctx context.Context) error {
			_, err := db.GetItem(ctx, &dynamodb.GetItemInput{TableName: table, Key: key("none")})
			return err
		}},
		{name: "a query adds up before it rounds", read: 0.5, call: func(ctx context.Context) error {
			_, err := db.Query(ctx, &dynamodb.QueryInput{TableName: table, KeyConditionExpression: aws.String("pk = :p"), ExpressionAttributeValues: item{":p": text("p")}})
			return err
		}},
		{name: "a batch of reads rounds each", read: 2, call: func(ctx context.Context) error {
			_, err := db.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{*table: {
				Keys: []map[string]types.AttributeValue{key("small"), key("large")}, ConsistentRead: aws.Bool(true),
			}}})
			return err
		}},
		{name: "a transaction costs twice", write: 4, localHalves: true, call: func(ctx context.Context) error {
			_, err := db.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
				{Put: &types.Put{TableName: table, Item: item{"pk": text("p"), "sk": text("t1")}}},
				{Put: &types.Put{TableName: table, Item: item{"pk": text("p"), "sk": text("t2")}}},
			}})
			return err
		}},
		{name: "a delete costs the item", write: 2, call: func(ctx context.Context) error {
			_, err := db.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: table, Key: key("large")})
			return err
		}},
	}
}

func TestTheEndpointCountsWhatCallsCost(t *testing.T) {
	t.Parallel()
	env := awstest.NewLocal(t)
	b := bench{env, env.Table(t.Context(), schema())}
	for _, tc := range costs(b) {
		resetUsage(t, env.DynamoDBURL)
		err := tc.call(t.Context())
		if refused := code(err) == "ConditionalCheckFailedException"; refused != tc.refused || !refused && err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		got := usage(t, env.DynamoDBURL)
		if want := (awsclient.Usage{Requests: 1, WriteUnits: tc.write, ReadUnits: tc.read}); got.Total != want {
			t.Errorf("%s: counted %+v, want %+v", tc.name, got.Total, want)
		}
		if got.Calls[0].Resource != b.table {
			t.Errorf("%s: counted under %q", tc.name, got.Calls[0].Resource)
		}
	}
}

// The engine may be any: this is how the unit rules are checked against AWS's own DynamoDB Local.
func TestTheCounterCountsWhatCallsCost(t *testing.T) {
	t.Parallel()
	env := awstest.New(t)
	var counter awsclient.Counter
	cfg := env.Config()
	counter.Attach(&cfg)
	b := bench{env, env.Table(t.Context(), schema())}
	b.Env = &awstest.Env{DynamoDB: dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.BaseEndpoint = &env.DynamoDBURL })}
	for _, tc := range costs(b) {
		if tc.localHalves {
			continue
		}
		counter.Reset()
		err := tc.call(t.Context())
		if refused := code(err) == "ConditionalCheckFailedException"; refused != tc.refused || !refused && err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if got, want := counter.Report().Total, (awsclient.Usage{Requests: 1, WriteUnits: tc.write, ReadUnits: tc.read}); got != want {
			t.Errorf("%s: counted %+v, want %+v", tc.name, got, want)
		}
	}
}

func TestTheEndpointCountsQueueCallsByQueue(t *testing.T) {
	t.Parallel()
	env := awstest.NewLocal(t)
	url := env.Queue(t.Context(), nil)
	resetUsage(t, env.SQSURL)
	for range 3 {
		if _, err := env.SQS.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("x")}); err != nil {
			t.Fatal(err)
		}
	}
	got := usage(t, env.SQSURL)
	want := awsclient.CallUsage{Call: awsclient.Call{Service: "SQS", Operation: "SendMessage", Resource: awsclient.QueueName(url)}, Usage: awsclient.Usage{Requests: 3}}
	if len(got.Calls) != 1 || got.Calls[0] != want || got.Operations["SQS.SendMessage"].Requests != 3 {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

func TestCountingDoesNotShow(t *testing.T) {
	t.Parallel()
	env := awstest.NewLocal(t)
	table := env.Table(t.Context(), schema())
	in := &dynamodb.PutItemInput{TableName: &table, Item: item{"pk": text("p"), "sk": text("s")}, ConditionExpression: aws.String("attribute_not_exists(pk)")}
	out, err := env.DynamoDB.PutItem(t.Context(), in)
	if err != nil || out.ConsumedCapacity != nil {
		t.Errorf("put: %v, capacity %v that was not asked for", err, out)
	}
	var refused *types.ConditionalCheckFailedException
	_, err = env.DynamoDB.PutItem(t.Context(), in)
	if !asError(err, &refused) || refused.Item != nil {
		t.Errorf("second put: %v, want it refused without the item", err)
	}
}

func TestStartSaysThatAPortIsInUse(t *testing.T) {
	t.Parallel()
	s, err := localaws.Start(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := localaws.Start(t.Context(), strings.TrimPrefix(s.URL(), "http://")); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("second start: %v", err)
	}
}

func TestTheEndpointEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s, err := localaws.Start(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if response, err := call(t, http.MethodGet, s.URL()+"/_local/usage"); err == nil {
		response.Body.Close()
		t.Error("still answers")
	}
}
