package awsclient

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

func lambdaEnvironment(more map[string]string) func(string) string {
	return func(name string) string {
		if v, ok := more[name]; ok {
			return v
		}
		return map[string]string{
			"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "session",
		}[name]
	}
}

func TestLoadReadsWhatLambdaSets(t *testing.T) {
	t.Parallel()
	cfg, err := load(lambdaEnvironment(nil))
	if err != nil {
		t.Fatal(err)
	}
	creds, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Region != "eu-central-1" || creds.AccessKeyID != "key" || creds.SecretAccessKey != "secret" || creds.SessionToken != "session" || cfg.BaseEndpoint != nil {
		t.Errorf("configuration: region %s, key %s", cfg.Region, creds.AccessKeyID)
	}
}

func TestLoadNamesWhatIsMissingAndShowsNoSecret(t *testing.T) {
	t.Parallel()
	_, err := load(func(name string) string { return map[string]string{"AWS_SECRET_ACCESS_KEY": "hush"}[name] })
	if err == nil || !strings.Contains(err.Error(), "AWS_REGION") || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") || strings.Contains(err.Error(), "hush") {
		t.Errorf("error %v", err)
	}
}

func TestClientsGoToTheEndpointOfTheirService(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name          string
		env           map[string]string
		dynamodb, sqs string
	}{
		{name: "none: AWS's own"},
		{"one for all", map[string]string{"AWS_ENDPOINT_URL": "http://all"}, "http://all", "http://all"},
		{"each its own", map[string]string{"AWS_ENDPOINT_URL_DYNAMODB": "http://d", "AWS_ENDPOINT_URL_SQS": "http://s"}, "http://d", "http://s"},
		{"its own before the one for all", map[string]string{"AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_SQS": "http://s"}, "http://all", "http://s"},
	} {
		cfg, err := load(lambdaEnvironment(tc.env))
		if err != nil {
			t.Fatal(err)
		}
		d, s := NewDynamoDB(cfg).Options().BaseEndpoint, NewSQS(cfg).Options().BaseEndpoint
		if aws.ToString(d) != tc.dynamodb || aws.ToString(s) != tc.sqs {
			t.Errorf("%s: %q and %q, want %q and %q", tc.name, aws.ToString(d), aws.ToString(s), tc.dynamodb, tc.sqs)
		}
	}
}

// failing answers the first calls with a status or by closing the connection (0), and then as DynamoDB does.
func failing(t *testing.T, statuses ...int) (url string, calls *atomic.Int64) {
	calls = &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(calls.Add(1))
		switch {
		case n > len(statuses):
			_, _ = w.Write([]byte(`{"ConsumedCapacity":{"TableName":"t","CapacityUnits":0.5}}`))
		case statuses[n-1] == 0:
			panic(http.ErrAbortHandler)
		default:
			w.WriteHeader(statuses[n-1])
			_, _ = w.Write([]byte(`{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError"}`))
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, calls
}

func get(ctx context.Context, url string, count *Counter) error {
	cfg, err := load(lambdaEnvironment(map[string]string{"AWS_ENDPOINT_URL_DYNAMODB": url}))
	if err != nil {
		return err
	}
	if count != nil {
		count.Attach(&cfg)
	}
	_, err = NewDynamoDB(cfg).GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("t"), Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "x"}}})
	return err
}

func TestACallIsTriedThreeTimesAtMost(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		statuses []int
		calls    int64
		fails    bool
	}{
		{"at once", nil, 1, false},
		{"after a server's error and a lost connection", []int{500, 0}, 3, false},
		{"never", []int{500, 500, 500, 500}, 3, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			url, calls := failing(t, tc.statuses...)
			var count Counter
			if err := get(t.Context(), url, &count); (err != nil) != tc.fails {
				t.Errorf("error %v", err)
			}
			want := Usage{Requests: tc.calls}
			if !tc.fails {
				want.ReadUnits = 0.5
			}
			if calls.Load() != tc.calls || count.Report().Total != want {
				t.Errorf("%d calls, counted %+v, want %d and %+v", calls.Load(), count.Report().Total, tc.calls, want)
			}
		})
	}
}

func TestAnAttemptThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var calls atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			<-release
			return
		}
		_, _ = w.Write([]byte(`{}`))
	}))
	defer s.Close()
	defer close(release)
	cfg, err := load(lambdaEnvironment(map[string]string{"AWS_ENDPOINT_URL_DYNAMODB": s.URL}))
	if err != nil {
		t.Fatal(err)
	}
	db := NewDynamoDB(cfg, func(o *dynamodb.Options) { o.HTTPClient = HTTPClient(2 * time.Second) })
	if _, err := db.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("t")}); err != nil || calls.Load() != 2 {
		t.Errorf("%d calls, error %v", calls.Load(), err)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	var connections atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(`{}`)) }))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	cfg, err := load(lambdaEnvironment(map[string]string{"AWS_ENDPOINT_URL_SQS": s.URL}))
	if err != nil {
		t.Fatal(err)
	}
	q := NewSQS(cfg)
	for range 100 {
		if _, err := q.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("q")}); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections for a hundred calls", n)
	}
}

func TestBackoffDoublesUpToItsBound(t *testing.T) {
	t.Parallel()
	for attempt, want := range []time.Duration{50, 100, 200, 400, 800, 1000, 1000} {
		if got := backoff(attempt, 1); got != want*time.Millisecond {
			t.Errorf("attempt %d: %s, want %s", attempt, got, want*time.Millisecond)
		}
	}
	if got := backoff(3, 0.5); got != 200*time.Millisecond {
		t.Errorf("half of the bound: %s", got)
	}
}

func TestItemBytesFollowsTheDocumentedSizes(t *testing.T) {
	t.Parallel()
	text := func(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
	number := func(s string) types.AttributeValue { return &types.AttributeValueMemberN{Value: s} }
	for _, tc := range []struct {
		name  string
		value types.AttributeValue
		want  int // without the name
	}{
		{"a string counts its UTF-8 bytes", text("añ😀"), 7},
		{"an empty string is nothing", text(""), 0},
		{"two digits are a byte, and one more", number("27"), 2},
		{"three digits are two bytes", number("-127"), 4},
		{"leading and trailing zeros are trimmed", number("0001764000000"), 3},
		{"zero", number("0"), 1},
		{"a fraction counts its digits", number("0.00123"), 3},
		{"38 digits", number("12345678901234567890123456789012345678"), 20},
		{"a binary counts its raw bytes", &types.AttributeValueMemberB{Value: []byte{1, 2, 3}}, 3},
		{"a boolean", &types.AttributeValueMemberBOOL{Value: true}, 1},
		{"null", &types.AttributeValueMemberNULL{Value: true}, 1},
		{"an empty map", &types.AttributeValueMemberM{}, 3},
		{"an empty list", &types.AttributeValueMemberL{}, 3},
		{"a list: three bytes, one for each element, and the elements", &types.AttributeValueMemberL{Value: []types.AttributeValue{text("ab"), number("1")}}, 3 + 2 + 2 + 2},
		{"a map: three bytes, one for each element, names and values", &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{"k": text("ab"), "long": number("1")}}, 3 + 2 + 1 + 2 + 4 + 2},
		{"a set of strings", &types.AttributeValueMemberSS{Value: []string{"ab", "c"}}, 3},
		{"a set of numbers", &types.AttributeValueMemberNS{Value: []string{"1", "22"}}, 4},
		{"a set of binaries", &types.AttributeValueMemberBS{Value: [][]byte{{1}, {2, 3}}}, 3},
	} {
		if got := ItemBytes(map[string]types.AttributeValue{"näme": tc.value}); got != tc.want+5 {
			t.Errorf("%s: %d bytes, want %d and 5 for the name", tc.name, got, tc.want)
		}
	}
}

func TestUnitsAreRoundedUp(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		bytes                      int
		write, consistent, relaxed float64
	}{{0, 1, 1, 0.5}, {1, 1, 1, 0.5}, {1024, 1, 1, 0.5}, {1025, 2, 1, 0.5}, {4096, 4, 1, 0.5}, {4097, 5, 2, 1}} {
		if w, c, r := WriteUnits(tc.bytes), ReadUnits(tc.bytes, true), ReadUnits(tc.bytes, false); w != tc.write || c != tc.consistent || r != tc.relaxed {
			t.Errorf("%d bytes: write %v, read %v and %v, want %v, %v and %v", tc.bytes, w, c, r, tc.write, tc.consistent, tc.relaxed)
		}
	}
}

func TestARefusedWriteIsCountedByTheLargerItem(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","Item":{"pk":{"S":"` + strings.Repeat("x", 3000) + `"}}}`))
	}))
	defer s.Close()
	cfg, err := load(lambdaEnvironment(map[string]string{"AWS_ENDPOINT_URL_DYNAMODB": s.URL}))
	if err != nil {
		t.Fatal(err)
	}
	var count Counter
	count.Attach(&cfg)
	_, err = NewDynamoDB(cfg).DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: aws.String("t"), Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "x"}}})
	var refused *types.ConditionalCheckFailedException
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	want := CallUsage{Call{"DynamoDB", "DeleteItem", "t"}, Usage{Requests: 1, WriteUnits: 3}}
	if r := count.Report(); len(r.Calls) != 1 || r.Calls[0] != want || r.Operations["DynamoDB.DeleteItem"] != want.Usage {
		t.Errorf("counted %+v, want %+v", r, want)
	}
}
