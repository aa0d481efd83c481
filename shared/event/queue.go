package event

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// SQS is what the queue needs of the AWS client.
type SQS interface {
	SendMessageBatch(context.Context, *sqs.SendMessageBatchInput, ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error)
}

// Queue makes events known to the notifier. The account is the message group, so that no account's flood delays another's.
type Queue struct {
	SQS SQS
	URL string
}

// BatchSize is how many events one request carries.
const BatchSize = 10

// Publish publishes events: one request for each ten, none for none. When it returns an error any of them may be missing; they
// may all be published again.
func (q *Queue) Publish(ctx context.Context, list ...Event) error {
	for len(list) > 0 {
		now := list[:min(len(list), BatchSize)]
		list = list[len(now):]
		if err := q.send(ctx, now); err != nil {
			return fmt.Errorf("publish events: %w", err)
		}
	}
	return nil
}

func (q *Queue) send(ctx context.Context, list []Event) error {
	in := &sqs.SendMessageBatchInput{QueueUrl: &q.URL}
	for i, e := range list {
		body, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("encode event: %w", err)
		}
		entry := types.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String(string(body)), MessageGroupId: aws.String("everybody")}
		if e.AccountID != "" {
			entry.MessageGroupId = aws.String(e.AccountID)
		}
		in.Entries = append(in.Entries, entry)
	}
	out, err := q.SQS.SendMessageBatch(ctx, in)
	if err != nil {
		return err
	}
	if len(out.Failed) > 0 {
		return errors.New("SQS did not take " + strconv.Itoa(len(out.Failed)) + " of " + strconv.Itoa(len(list)))
	}
	return nil
}

// Heard gives those events that somebody listens to.
func Heard(listens Set, list ...Event) []Event {
	var out []Event
	for _, e := range list {
		if listens.Has(e.Type) {
			out = append(out, e)
		}
	}
	return out
}
