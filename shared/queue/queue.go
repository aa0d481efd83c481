// Package queue knows how a message is made known to the dispatcher: by a reference, never by its content. The queue
// is fair between accounts.
package queue

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"contactcenter/shared/id"
)

// Reference is the body of a queue message: all that the dispatcher needs to find a Business message.
type Reference struct {
	AccountID string `json:"account_id"`
	MessageID string `json:"message_id"`
}

// ErrMalformed: the body is no reference.
var ErrMalformed = errors.New("malformed reference")

// Parse reads a reference. It returns ErrMalformed for anything else.
func Parse(body string) (accountID string, m id.Message, err error) {
	var r struct {
		AccountID *string `json:"account_id"`
		MessageID *string `json:"message_id"`
	}
	if err := json.Unmarshal([]byte(body), &r); err != nil || r.AccountID == nil || *r.AccountID == "" || r.MessageID == nil {
		return "", id.Message{}, ErrMalformed
	}
	if m, err = id.ParseMessage(*r.MessageID); err != nil {
		return "", id.Message{}, ErrMalformed
	}
	return *r.AccountID, m, nil
}

// SQS is what the queue needs of the AWS client.
type SQS interface {
	SendMessage(context.Context, *sqs.SendMessageInput, ...func(*sqs.Options)) (*sqs.SendMessageOutput, error)
	SendMessageBatch(context.Context, *sqs.SendMessageBatchInput, ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error)
}

// Queue is the dispatch queue. The account is the message group, so that SQS lets no account's flood delay another's; what came in batches
// has a group of its own, so that it does not delay the account's single messages either.
type Queue struct {
	SQS SQS
	URL string
}

// Send queues one reference: one request.
func (q *Queue) Send(ctx context.Context, accountID string, m id.Message) error {
	body, err := json.Marshal(Reference{AccountID: accountID, MessageID: m.String()})
	if err != nil {
		return fmt.Errorf("encode reference: %w", err)
	}
	if _, err := q.SQS.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &q.URL, MessageBody: aws.String(string(body)), MessageGroupId: aws.String(group(accountID, m))}); err != nil {
		return fmt.Errorf("queue reference: %w", err)
	}
	return nil
}

// batches ends the name of the group of an account's batches. Account ids have no "/".
const batches = "/batches"

// longestGroup is what SQS takes.
const longestGroup = 128

// group is a message's group: the account's own, or that of its batches. Of an id that is nearly as long as a group's name may be the end is
// left out: should two such accounts share a group, they share their turns in it and nothing else.
func group(accountID string, m id.Message) string {
	if !m.OfBatch() {
		return accountID
	}
	return accountID[:min(len(accountID), longestGroup-len(batches))] + batches
}

// SendLater queues one reference that becomes visible after a delay of at most MaxDelay, in whole seconds: one request.
func (q *Queue) SendLater(ctx context.Context, accountID string, m id.Message, delay time.Duration) error {
	failed, err := q.SendBatch(ctx, accountID, []Delayed{{Message: m, Delay: delay}})
	if err == nil && len(failed) > 0 {
		err = errors.New("queue reference: SQS did not take it")
	}
	return err
}

// BatchSize is how many references one request can carry.
const BatchSize = 10

// MaxDelay is the longest delay that SQS knows.
const MaxDelay = 15 * time.Minute

// DelayUntil is the delay from now until a time, 0 when that has come. It ends with a whole second, for SQS knows no others, and a
// dispatcher that is asked too early has to wait.
func DelayUntil(at, now time.Time) time.Duration {
	return max(at.Sub(now)+time.Second-time.Nanosecond, 0).Truncate(time.Second)
}

// Delayed is a reference that becomes visible after a delay of at most MaxDelay, in whole seconds.
type Delayed struct {
	// AccountID is whose the message is, where a request carries those of several; "": of the account that is asked for.
	AccountID string
	Message   id.Message
	Delay     time.Duration
}

// SendBatch queues up to BatchSize references in one request, each in its message group. It returns those
// that were not queued.
func (q *Queue) SendBatch(ctx context.Context, accountID string, list []Delayed) (failed []id.Message, err error) {
	in := &sqs.SendMessageBatchInput{QueueUrl: &q.URL}
	for i, d := range list {
		of := cmp.Or(d.AccountID, accountID)
		body, err := json.Marshal(Reference{AccountID: of, MessageID: d.Message.String()})
		if err != nil {
			return nil, fmt.Errorf("encode reference: %w", err)
		}
		in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String(string(body)), MessageGroupId: aws.String(group(of, d.Message)), DelaySeconds: int32(min(d.Delay, MaxDelay) / time.Second),
		})
	}
	out, err := q.SQS.SendMessageBatch(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("queue references: %w", err)
	}
	for _, f := range out.Failed {
		if i, err := strconv.Atoi(aws.ToString(f.Id)); err == nil && i < len(list) {
			failed = append(failed, list[i].Message)
		}
	}
	return failed, nil
}
