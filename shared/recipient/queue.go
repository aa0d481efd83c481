package recipient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// Reference names an erasure in its queue.
type Reference struct {
	AccountID string `json:"account_id"`
	ErasureID string `json:"erasure_id"`
}

// WholeAccount stands where a reference has its erasure: everything that is kept of an account that was closed.
const WholeAccount = "account"

// ErrMalformed: the body is no reference.
var ErrMalformed = errors.New("malformed reference")

// ParseReference reads the body of a queue message.
func ParseReference(body string) (Reference, error) {
	var r Reference
	if json.Unmarshal([]byte(body), &r) != nil || r.AccountID == "" || r.ErasureID == "" {
		return Reference{}, ErrMalformed
	}
	return r, nil
}

// Queue makes erasures known to the function that does them.
type Queue struct {
	SQS interface {
		SendMessage(context.Context, *sqs.SendMessageInput, ...func(*sqs.Options)) (*sqs.SendMessageOutput, error)
	}
	URL string
}

// Send queues one reference.
func (q *Queue) Send(ctx context.Context, accountID, erasureID string) error {
	body, err := json.Marshal(Reference{AccountID: accountID, ErasureID: erasureID})
	if err != nil {
		return fmt.Errorf("encode reference: %w", err)
	}
	if _, err := q.SQS.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &q.URL, MessageBody: aws.String(string(body)), MessageGroupId: &accountID}); err != nil {
		return fmt.Errorf("queue erasure: %w", err)
	}
	return nil
}
