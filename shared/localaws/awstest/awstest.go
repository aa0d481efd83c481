// Package awstest gives tests ready clients for DynamoDB and SQS: by default against the engines of package localaws, started
// for the test; against whatever AWS_ENDPOINT_URL_DYNAMODB and AWS_ENDPOINT_URL_SQS name when those are set, so that the
// same tests run against AWS's DynamoDB Local and against ElasticMQ.
package awstest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"contactcenter/shared/awsclient"
	"contactcenter/shared/localaws"
)

// Env is what a test has of AWS.
type Env struct {
	DynamoDB *dynamodb.Client
	SQS      *sqs.Client
	// DynamoDBURL and SQSURL are the endpoints, for clients that a test makes itself or gives to another process.
	DynamoDBURL, SQSURL string

	t testing.TB
}

// New returns clients for the endpoints of the environment, or for engines of the test's own that end with it.
func New(t testing.TB, opts ...localaws.Option) *Env {
	t.Helper()
	e := &Env{t: t, DynamoDBURL: os.Getenv("AWS_ENDPOINT_URL_DYNAMODB"), SQSURL: os.Getenv("AWS_ENDPOINT_URL_SQS")}
	if e.DynamoDBURL == "" || e.SQSURL == "" {
		local := start(t, opts...)
		if e.DynamoDBURL == "" {
			e.DynamoDBURL = local
		}
		if e.SQSURL == "" {
			e.SQSURL = local
		}
	}
	return e.withClients()
}

// NewLocal is New, but always with engines of the test's own: for tests that move the clock or read the usage.
func NewLocal(t testing.TB, opts ...localaws.Option) *Env {
	t.Helper()
	url := start(t, opts...)
	return (&Env{t: t, DynamoDBURL: url, SQSURL: url}).withClients()
}

func start(t testing.TB, opts ...localaws.Option) string {
	t.Helper()
	s, err := localaws.Start(context.Background(), "127.0.0.1:0", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.URL()
}

func (e *Env) withClients() *Env {
	cfg := e.Config()
	e.DynamoDB = dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.BaseEndpoint = &e.DynamoDBURL })
	e.SQS = sqs.NewFromConfig(cfg, func(o *sqs.Options) { o.BaseEndpoint = &e.SQSURL })
	return e
}

// Config is a configuration with credentials that no service checks, and without retries, so that a test sees every error.
func (e *Env) Config() aws.Config {
	return aws.Config{
		Region:      "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} },
		HTTPClient:  awsclient.HTTPClient(time.Minute),
	}
}

// Table creates a table under a name of its own and returns the name; the table is deleted with the test. The input's
// TableName, if any, becomes part of the name. It waits for the table where the engine says that it is being created.
func (e *Env) Table(ctx context.Context, in *dynamodb.CreateTableInput) string {
	e.t.Helper()
	input := *in
	name := unique(aws.ToString(in.TableName))
	input.TableName = &name
	if input.BillingMode == "" {
		input.BillingMode = types.BillingModePayPerRequest
	}
	if _, err := e.DynamoDB.CreateTable(ctx, &input); err != nil {
		e.t.Fatalf("create table: %v", err)
	}
	e.t.Cleanup(func() {
		_, err := e.DynamoDB.DeleteTable(context.WithoutCancel(ctx), &dynamodb.DeleteTableInput{TableName: &name})
		var gone *types.ResourceNotFoundException
		if err != nil && !errors.As(err, &gone) {
			e.t.Errorf("delete table: %v", err)
		}
	})
	waiter := dynamodb.NewTableExistsWaiter(e.DynamoDB, func(o *dynamodb.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 20*time.Millisecond, time.Second
	})
	if err := waiter.Wait(ctx, &dynamodb.DescribeTableInput{TableName: &name}, time.Minute); err != nil {
		e.t.Fatalf("wait for table: %v", err)
	}
	return name
}

// Queue creates a queue under a name of its own and returns its URL; the queue is deleted with the test. With the attribute
// FifoQueue it is a FIFO queue.
func (e *Env) Queue(ctx context.Context, attributes map[string]string) (url string) {
	e.t.Helper()
	name := unique("q")
	if attributes["FifoQueue"] == "true" {
		name += ".fifo"
	}
	out, err := e.SQS.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: maps.Clone(attributes)})
	if err != nil {
		e.t.Fatalf("create queue: %v", err)
	}
	e.t.Cleanup(func() {
		if _, err := e.SQS.DeleteQueue(context.WithoutCancel(ctx), &sqs.DeleteQueueInput{QueueUrl: out.QueueUrl}); err != nil {
			e.t.Errorf("delete queue: %v", err)
		}
	})
	return *out.QueueUrl
}

// QueueARN returns the ARN of a queue, for a redrive policy.
func (e *Env) QueueARN(ctx context.Context, url string) string {
	e.t.Helper()
	name := sqstypes.QueueAttributeNameQueueArn
	out, err := e.SQS.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []sqstypes.QueueAttributeName{name}})
	if err != nil {
		e.t.Fatalf("read queue ARN: %v", err)
	}
	return out.Attributes[string(name)]
}

func unique(prefix string) string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return strings.TrimPrefix(prefix+"-"+hex.EncodeToString(b[:]), "-")
}
