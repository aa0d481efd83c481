package awsclient

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go/middleware"
)

// Counter counts what a client's calls cost: every attempt as a request, and DynamoDB's capacity units. Attach it to a
// configuration before clients are made from it. It is safe for concurrent use.
//
// Units are those that the engine reports: the counter asks for ConsumedCapacity where the caller did not. A write that is
// refused by its condition is not reported by DynamoDB, but costs the larger of the stored item and, for a put, the new one:
// the counter asks for the stored item (ALL_OLD), so callers may see an item that they did not ask for. Of a cancelled
// transaction it counts two units for each item, and of an engine that reports nothing one for each write and what was read.
type Counter struct {
	Tally
}

// Attach makes the clients that are made from cfg count here.
func (c *Counter) Attach(cfg *aws.Config) {
	cfg.APIOptions = append(cfg.APIOptions, c.middleware)
}

func (c *Counter) middleware(stack *middleware.Stack) error {
	if err := stack.Initialize.Add(middleware.InitializeMiddlewareFunc("AskForCapacity", askForCapacity), middleware.Before); err != nil {
		return err
	}
	attempt := middleware.FinalizeMiddlewareFunc("CountAttempt", c.countAttempt)
	if err := stack.Finalize.Insert(attempt, "Retry", middleware.After); err != nil {
		return stack.Finalize.Add(attempt, middleware.Before) // a client without retries
	}
	return nil
}

type inputKey struct{}

func askForCapacity(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
	in.Parameters = asking(in.Parameters)
	return next.HandleInitialize(middleware.WithStackValue(ctx, inputKey{}, in.Parameters), in)
}

// asking returns the input, or a copy that asks for what the counter needs to know.
func asking(input any) any {
	capacity := func(c types.ReturnConsumedCapacity) types.ReturnConsumedCapacity {
		if c == "" || c == types.ReturnConsumedCapacityNone {
			return types.ReturnConsumedCapacityIndexes
		}
		return c
	}
	const old = types.ReturnValuesOnConditionCheckFailureAllOld
	switch in := input.(type) {
	case *dynamodb.PutItemInput:
		c := *in
		c.ReturnConsumedCapacity, c.ReturnValuesOnConditionCheckFailure = capacity(c.ReturnConsumedCapacity), old
		return &c
	case *dynamodb.UpdateItemInput:
		c := *in
		c.ReturnConsumedCapacity, c.ReturnValuesOnConditionCheckFailure = capacity(c.ReturnConsumedCapacity), old
		return &c
	case *dynamodb.DeleteItemInput:
		c := *in
		c.ReturnConsumedCapacity, c.ReturnValuesOnConditionCheckFailure = capacity(c.ReturnConsumedCapacity), old
		return &c
	case *dynamodb.GetItemInput:
		c := *in
		c.ReturnConsumedCapacity = capacity(c.ReturnConsumedCapacity)
		return &c
	case *dynamodb.QueryInput:
		c := *in
		c.ReturnConsumedCapacity = capacity(c.ReturnConsumedCapacity)
		return &c
	case *dynamodb.ScanInput:
		c := *in
		c.ReturnConsumedCapacity = capacity(c.ReturnConsumedCapacity)
		return &c
	case *dynamodb.BatchGetItemInput:
		c := *in
		c.ReturnConsumedCapacity = capacity(c.ReturnConsumedCapacity)
		return &c
	case *dynamodb.BatchWriteItemInput:
		c := *in
		c.ReturnConsumedCapacity = capacity(c.ReturnConsumedCapacity)
		return &c
	case *dynamodb.TransactWriteItemsInput:
		// The SDK puts its token into the caller's input; a copy would get one at each try of the caller.
		if in.ReturnConsumedCapacity == "" {
			in.ReturnConsumedCapacity = types.ReturnConsumedCapacityIndexes
		}
	case *dynamodb.TransactGetItemsInput:
		c := *in
		c.ReturnConsumedCapacity = capacity(c.ReturnConsumedCapacity)
		return &c
	}
	return input
}

func (c *Counter) countAttempt(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
	out, metadata, err := next.HandleFinalize(ctx, in)
	call := Call{Service: awsmiddleware.GetServiceID(ctx), Operation: awsmiddleware.GetOperationName(ctx)}
	input := middleware.GetStackValue(ctx, inputKey{})
	consumed := capacityOf(out.Result)
	if err != nil {
		consumed = refusedCapacity(input, err)
	}
	if len(consumed) == 0 && err == nil {
		consumed = estimate(input, out.Result)
	}
	call.Resource = resource(input)
	if len(consumed) > 0 {
		call.Resource = aws.ToString(consumed[0].TableName)
	}
	c.Add(call, Usage{Requests: 1})
	for _, table := range consumed {
		units := aws.ToFloat64(table.CapacityUnits)
		call.Resource = aws.ToString(table.TableName)
		if Reads(call.Operation) {
			c.Add(call, Usage{ReadUnits: units})
			continue
		}
		c.Add(call, Usage{WriteUnits: units})
	}
	return out, metadata, err
}

// Reads says whether the operation of DynamoDB consumes read units; the others consume write units, or none.
func Reads(operation string) bool {
	switch operation {
	case "GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems":
		return true
	}
	return false
}

func capacityOf(result any) []types.ConsumedCapacity {
	one := func(c *types.ConsumedCapacity) []types.ConsumedCapacity {
		if c == nil {
			return nil
		}
		return []types.ConsumedCapacity{*c}
	}
	switch out := result.(type) {
	case *dynamodb.PutItemOutput:
		return one(out.ConsumedCapacity)
	case *dynamodb.UpdateItemOutput:
		return one(out.ConsumedCapacity)
	case *dynamodb.DeleteItemOutput:
		return one(out.ConsumedCapacity)
	case *dynamodb.GetItemOutput:
		return one(out.ConsumedCapacity)
	case *dynamodb.QueryOutput:
		return one(out.ConsumedCapacity)
	case *dynamodb.ScanOutput:
		return one(out.ConsumedCapacity)
	case *dynamodb.BatchGetItemOutput:
		return out.ConsumedCapacity
	case *dynamodb.BatchWriteItemOutput:
		return out.ConsumedCapacity
	case *dynamodb.TransactWriteItemsOutput:
		return out.ConsumedCapacity
	case *dynamodb.TransactGetItemsOutput:
		return out.ConsumedCapacity
	}
	return nil
}

func units1(table string, n float64) []types.ConsumedCapacity {
	return []types.ConsumedCapacity{{TableName: &table, CapacityUnits: &n}}
}

// refusedCapacity is what a write cost that its condition refused; other errors cost nothing.
func refusedCapacity(input any, err error) []types.ConsumedCapacity {
	var refused *types.ConditionalCheckFailedException
	if errors.As(err, &refused) {
		bytes := ItemBytes(refused.Item)
		if put, ok := input.(*dynamodb.PutItemInput); ok {
			bytes = max(bytes, ItemBytes(put.Item))
		}
		return units1(resource(input), WriteUnits(bytes))
	}
	var canceled *types.TransactionCanceledException
	if errors.As(err, &canceled) {
		return units1(resource(input), 2*float64(len(canceled.CancellationReasons)))
	}
	return nil
}

// estimate is what a call cost as far as its request and answer show it.
func estimate(input, result any) []types.ConsumedCapacity {
	table := resource(input)
	switch in := input.(type) {
	case *dynamodb.PutItemInput:
		return units1(table, WriteUnits(ItemBytes(in.Item)))
	case *dynamodb.UpdateItemInput:
		out, _ := result.(*dynamodb.UpdateItemOutput)
		if out == nil {
			return units1(table, 1)
		}
		return units1(table, WriteUnits(ItemBytes(out.Attributes)))
	case *dynamodb.DeleteItemInput:
		return units1(table, 1)
	case *dynamodb.GetItemInput:
		out, _ := result.(*dynamodb.GetItemOutput)
		if out == nil {
			return nil
		}
		return units1(table, ReadUnits(ItemBytes(out.Item), aws.ToBool(in.ConsistentRead)))
	case *dynamodb.QueryInput:
		out, _ := result.(*dynamodb.QueryOutput)
		if out == nil {
			return nil
		}
		bytes := 0
		for _, it := range out.Items {
			bytes += ItemBytes(it)
		}
		return units1(table, ReadUnits(bytes, aws.ToBool(in.ConsistentRead)))
	}
	return nil
}

// resource is the table or queue that a request names, or "" where it names none or several.
func resource(input any) string {
	switch in := input.(type) {
	case *dynamodb.PutItemInput:
		return aws.ToString(in.TableName)
	case *dynamodb.UpdateItemInput:
		return aws.ToString(in.TableName)
	case *dynamodb.DeleteItemInput:
		return aws.ToString(in.TableName)
	case *dynamodb.GetItemInput:
		return aws.ToString(in.TableName)
	case *dynamodb.QueryInput:
		return aws.ToString(in.TableName)
	case *dynamodb.ScanInput:
		return aws.ToString(in.TableName)
	}
	return queueOf(input)
}

// QueueName is the name of the queue at a URL.
func QueueName(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

func queueOf(input any) string {
	var url *string
	switch in := input.(type) {
	case *sqs.SendMessageInput:
		url = in.QueueUrl
	case *sqs.SendMessageBatchInput:
		url = in.QueueUrl
	case *sqs.ReceiveMessageInput:
		url = in.QueueUrl
	case *sqs.DeleteMessageInput:
		url = in.QueueUrl
	case *sqs.DeleteMessageBatchInput:
		url = in.QueueUrl
	case *sqs.ChangeMessageVisibilityInput:
		url = in.QueueUrl
	case *sqs.ChangeMessageVisibilityBatchInput:
		url = in.QueueUrl
	}
	return QueueName(aws.ToString(url))
}
