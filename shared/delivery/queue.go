package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"contactcenter/shared/event"
)

// SQS is what the queues need of the AWS client.
type SQS interface {
	SendMessage(context.Context, *sqs.SendMessageInput, ...func(*sqs.Options)) (*sqs.SendMessageOutput, error)
	SendMessageBatch(context.Context, *sqs.SendMessageBatchInput, ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error)
}

// Queue is the delivery queue. The endpoint is the message group, so that a slow endpoint delays no other's events.
type Queue struct {
	SQS SQS
	URL string
}

// Send queues jobs that become visible after a delay of at most 15 minutes, in whole seconds: one request for each ten.
func (q *Queue) Send(ctx context.Context, delay time.Duration, jobs ...Job) error {
	for len(jobs) > 0 {
		now := jobs[:min(len(jobs), event.BatchSize)]
		jobs = jobs[len(now):]
		in := &sqs.SendMessageBatchInput{QueueUrl: &q.URL}
		for i, j := range now {
			body, err := json.Marshal(j)
			if err != nil {
				return fmt.Errorf("encode delivery: %w", err)
			}
			in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{
				Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String(string(body)), MessageGroupId: aws.String(j.EndpointID), DelaySeconds: int32((delay + time.Second - 1) / time.Second),
			})
		}
		out, err := q.SQS.SendMessageBatch(ctx, in)
		if err == nil && len(out.Failed) > 0 {
			err = errors.New("SQS did not take " + strconv.Itoa(len(out.Failed)) + " of " + strconv.Itoa(len(now)))
		}
		if err != nil {
			return fmt.Errorf("queue deliveries: %w", err)
		}
	}
	return nil
}

// Replays asks for replays, on the event queue.
type Replays struct {
	SQS SQS
	URL string
}

// Ask asks for a replay: one request.
func (q *Replays) Ask(ctx context.Context, r Replay) error {
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode replay: %w", err)
	}
	if _, err := q.SQS.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &q.URL, MessageBody: aws.String(string(body)), MessageGroupId: &r.AccountID}); err != nil {
		return fmt.Errorf("ask for replay: %w", err)
	}
	return nil
}
