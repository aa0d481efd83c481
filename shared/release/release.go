// Package release knows how held messages are set going again at once: whoever made room for them (a provider enabled,
// a plan raised, a restriction lifted) says so by a job on the release queue, after the new state is written. It also
// knows which accounts wait for a provider that is switched off. It knows no message and nothing of a person.
//
// A job only says whom to look at. What may go is decided by whoever looks, by the state that is then in force; so a job
// that comes late, twice or for nothing changes nothing, and the scheduled reset would do the same later.
package release

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

	"contactcenter/shared/usage"
)

// Job asks to look at an account, at the accounts of one shard that wait for a provider, or at a plan's members. Exactly
// one of AccountID, ProviderID and PlanID is set.
type Job struct {
	AccountID  string `json:"account_id,omitempty"`
	ProviderID string `json:"provider_id,omitempty"`
	// Shard is the part of the waiting accounts that is meant, "s00" to "s15".
	Shard  string `json:"shard,omitempty"`
	PlanID string `json:"plan_id,omitempty"`
	// After is where the page before ended; "": begin.
	After string `json:"after,omitempty"`
	// Last says that nobody can be holding messages any more for the reason that has gone.
	Last bool `json:"last,omitempty"`
}

// ErrMalformed: the body is no job.
var ErrMalformed = errors.New("malformed release job")

// Parse reads a job. It returns ErrMalformed for anything else.
func Parse(body string) (Job, error) {
	var j Job
	if err := json.Unmarshal([]byte(body), &j); err != nil {
		return Job{}, ErrMalformed
	}
	named := 0
	for _, name := range []string{j.AccountID, j.ProviderID, j.PlanID} {
		if name != "" {
			named++
		}
	}
	if named != 1 || (j.ProviderID != "") != (j.Shard != "") {
		return Job{}, ErrMalformed
	}
	return j, nil
}

// The looks. A dispatcher may go on for a while by what it knew before, and hold another message for the reason that has
// just gone: second is when nobody reads the old state any more, last when nobody who read it is still at work.
const (
	second = 6 * time.Second
	last   = 25 * time.Second
)

// SQS is what the queue needs of the AWS client.
type SQS interface {
	SendMessageBatch(context.Context, *sqs.SendMessageBatchInput, ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error)
}

// Queue is the release queue.
type Queue struct {
	SQS SQS
	URL string
}

// Account asks to look at one account, now and twice again: one request.
func (q *Queue) Account(ctx context.Context, accountID string) error {
	return q.looks(ctx, Job{AccountID: accountID})
}

// Plan asks to look at every member of a plan, now and twice again: one request.
func (q *Queue) Plan(ctx context.Context, planID string) error {
	return q.looks(ctx, Job{PlanID: planID})
}

// Provider asks to look at every account that waits for a provider, now and twice again: five requests.
func (q *Queue) Provider(ctx context.Context, providerID string) error {
	var jobs []Job
	for _, shard := range usage.ShardNames() {
		jobs = append(jobs, Job{ProviderID: providerID, Shard: shard})
	}
	return q.looks(ctx, jobs...)
}

func (q *Queue) looks(ctx context.Context, jobs ...Job) error {
	list := make([]delayed, 0, 3*len(jobs))
	for _, after := range []time.Duration{0, second, last} {
		for _, j := range jobs {
			j.Last = after == last
			list = append(list, delayed{job: j, delay: after})
		}
	}
	return q.send(ctx, list)
}

// Send queues jobs as they are: one request for each ten.
func (q *Queue) Send(ctx context.Context, jobs ...Job) error {
	list := make([]delayed, len(jobs))
	for i, j := range jobs {
		list[i] = delayed{job: j}
	}
	return q.send(ctx, list)
}

type delayed struct {
	job   Job
	delay time.Duration
}

// batchSize is how many messages one request can carry.
const batchSize = 10

func (q *Queue) send(ctx context.Context, list []delayed) error {
	for begin := 0; begin < len(list); begin += batchSize {
		in := &sqs.SendMessageBatchInput{QueueUrl: &q.URL}
		for i, d := range list[begin:min(begin+batchSize, len(list))] {
			body, err := json.Marshal(d.job)
			if err != nil {
				return fmt.Errorf("encode release job: %w", err)
			}
			in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{
				Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String(string(body)), DelaySeconds: int32(d.delay / time.Second),
			})
		}
		out, err := q.SQS.SendMessageBatch(ctx, in)
		if err != nil {
			return fmt.Errorf("queue release jobs: %w", err)
		}
		if n := len(out.Failed); n > 0 {
			return fmt.Errorf("queue release jobs: SQS did not take %d of %d", n, len(in.Entries))
		}
	}
	return nil
}
