package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"contactcenter/scripts/local/internal/template"
	"contactcenter/shared/awsclient"
)

// accessKey is no secret: the engines of one machine take any.
const accessKey = "local"

const (
	storeTimeout = 20 * time.Second
	// attemptTimeout bounds one try of a call: a long poll of 20 seconds, and its answer.
	attemptTimeout = 30 * time.Second
)

// stores are DynamoDB and SQS, wherever they run.
type stores struct {
	dynamodbURL, sqsURL string
	dynamodb            *dynamodb.Client
	sqs                 *sqs.Client
}

func newStores(dynamodbURL, sqsURL string) *stores {
	keys := credentials.NewStaticCredentialsProvider(accessKey, accessKey, "")
	// Not the SDK's own HTTP client: with an engine as near as this one it now and then closes the connection under an answer and asks
	// again. What a receive has handed out then stays out of sight until its visibility timeout is over.
	wire := awsclient.HTTPClient(attemptTimeout)
	return &stores{
		dynamodbURL: dynamodbURL, sqsURL: sqsURL,
		dynamodb: dynamodb.New(dynamodb.Options{Region: template.Region, Credentials: keys, BaseEndpoint: &dynamodbURL, HTTPClient: wire}),
		sqs:      sqs.New(sqs.Options{Region: template.Region, Credentials: keys, BaseEndpoint: &sqsURL, HTTPClient: wire}),
	}
}

// createTables creates the tables that aren't there yet.
func (s *stores) createTables(ctx context.Context, tables []template.Table) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	for _, t := range tables {
		if err := s.createTable(ctx, t); err != nil {
			return fmt.Errorf("create table %s at %s: %w", t.Name, s.dynamodbURL, err)
		}
	}
	return nil
}

func (s *stores) createTable(ctx context.Context, t template.Table) error {
	in := &dynamodb.CreateTableInput{TableName: &t.Name, KeySchema: keySchema(t.Key), BillingMode: dynamodbtypes.BillingModePayPerRequest}
	for name, kind := range t.Attributes {
		in.AttributeDefinitions = append(in.AttributeDefinitions, dynamodbtypes.AttributeDefinition{AttributeName: aws.String(name), AttributeType: dynamodbtypes.ScalarAttributeType(kind)})
	}
	for _, i := range t.Global {
		in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, dynamodbtypes.GlobalSecondaryIndex{IndexName: &i.Name, KeySchema: keySchema(i.Key), Projection: projection(i)})
	}
	for _, i := range t.Local {
		in.LocalSecondaryIndexes = append(in.LocalSecondaryIndexes, dynamodbtypes.LocalSecondaryIndex{IndexName: &i.Name, KeySchema: keySchema(i.Key), Projection: projection(i)})
	}
	made, err := s.dynamodb.CreateTable(ctx, in)
	if exists := (*dynamodbtypes.ResourceInUseException)(nil); errors.As(err, &exists) {
		return nil
	}
	if err != nil || made.TableDescription == nil || made.TableDescription.TableStatus != dynamodbtypes.TableStatusCreating {
		return err
	}
	waiter := dynamodb.NewTableExistsWaiter(s.dynamodb, func(o *dynamodb.TableExistsWaiterOptions) { o.MinDelay = 50 * time.Millisecond })
	return waiter.Wait(ctx, &dynamodb.DescribeTableInput{TableName: &t.Name}, storeTimeout)
}

func keySchema(k template.Key) []dynamodbtypes.KeySchemaElement {
	schema := []dynamodbtypes.KeySchemaElement{{AttributeName: &k.Partition, KeyType: dynamodbtypes.KeyTypeHash}}
	if k.Sort != "" {
		schema = append(schema, dynamodbtypes.KeySchemaElement{AttributeName: &k.Sort, KeyType: dynamodbtypes.KeyTypeRange})
	}
	return schema
}

func projection(i template.Index) *dynamodbtypes.Projection {
	return &dynamodbtypes.Projection{ProjectionType: dynamodbtypes.ProjectionType(i.Projection), NonKeyAttributes: i.NonKey}
}

// queue is a queue that is there.
type queue struct{ url, arn string }

// createQueues creates the queues that aren't there yet, those that others give their dead letters to first, and gives
// them by logical id.
func (s *stores) createQueues(ctx context.Context, queues []template.Queue) (map[string]queue, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	created := map[string]queue{}
	byARN := map[string]string{} // the template's ARN: the engine's
	for len(created) < len(queues) {
		before := len(created)
		for _, q := range queues {
			deadLetters, ready := byARN[q.DeadLetterARN]
			if _, done := created[q.LogicalID]; done || q.DeadLetterARN != "" && !ready {
				continue
			}
			made, err := s.createQueue(ctx, q, deadLetters)
			if err != nil {
				return nil, fmt.Errorf("create queue %s at %s: %w", q.Name, s.sqsURL, err)
			}
			created[q.LogicalID] = made
			byARN["arn:aws:sqs:"+template.Region+":"+template.AccountID+":"+q.Name] = made.arn
		}
		if len(created) == before {
			return nil, errors.New("create the queues: a RedrivePolicy names a queue that is not in the template, or itself")
		}
	}
	return created, nil
}

func (s *stores) createQueue(ctx context.Context, q template.Queue, deadLetters string) (queue, error) {
	attributes := map[string]string{}
	for name, value := range q.Attributes {
		attributes[name] = value
	}
	if deadLetters != "" {
		attributes["RedrivePolicy"] = `{"deadLetterTargetArn":` + strconv.Quote(deadLetters) + `,"maxReceiveCount":"` + strconv.Itoa(q.MaxReceiveCount) + `"}`
	}
	var url *string
	made, err := s.sqs.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &q.Name, Attributes: attributes})
	exists := (*sqstypes.QueueNameExists)(nil)
	switch {
	case err == nil:
		url = made.QueueUrl
	case errors.As(err, &exists):
		found, err := s.sqs.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &q.Name})
		if err != nil {
			return queue{}, err
		}
		url = found.QueueUrl
	default:
		return queue{}, err
	}
	told, err := s.sqs.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: url, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameQueueArn}})
	if err != nil {
		return queue{}, err
	}
	return queue{url: aws.ToString(url), arn: told.Attributes["QueueArn"]}, nil
}

// endpoint makes an URL of an address to listen on.
func endpoint(address string) string {
	return "http://" + strings.Replace(address, "0.0.0.0", "127.0.0.1", 1)
}
