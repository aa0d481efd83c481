// Package eventsource knows how Lambda's event source mapping reads an SQS queue on behalf of a function: in which
// batches, how many at a time, and which messages are deleted afterwards. It knows nothing of the function.
package eventsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const (
	// longPoll is the longest that SQS lets a receive wait.
	longPoll = 20 * time.Second
	// perReceive is the most that SQS gives at once.
	perReceive = 10
	// maxConcurrency is how many batches a mapping without a bound of its own has in hand here.
	maxConcurrency = 8
	// slowBatch is after which time a batch in hand no longer keeps others from being received, up to Mapping.Ceiling of them.
	slowBatch = 500 * time.Millisecond
	// callTimeout is for everything but a long poll.
	callTimeout = 10 * time.Second
)

// Queue is as much of SQS as a mapping uses.
type Queue interface {
	ReceiveMessage(context.Context, *sqs.ReceiveMessageInput, ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	DeleteMessageBatch(context.Context, *sqs.DeleteMessageBatchInput, ...func(*sqs.Options)) (*sqs.DeleteMessageBatchOutput, error)
}

// Mapping is one event source mapping.
type Mapping struct {
	Queue    Queue
	QueueURL string
	QueueARN string
	Region   string
	// BatchSize is the most that the function gets at once.
	BatchSize int
	// Window is how long a batch may be gathered after its first message.
	Window time.Duration
	// Concurrency bounds the batches in hand at a time; 0: eight.
	Concurrency int
	// Ceiling, where it is more than Concurrency, bounds the batches in hand when some of them take longer than half a second. Lambda starts more and
	// more of a function while messages wait; here that is done only for those that would wait for slow ones.
	Ceiling int
	// ReportFailures says that the function names the messages that failed. Without it a batch fails as a whole.
	ReportFailures bool
	// Function invokes the function on one batch.
	Function func(ctx context.Context, event []byte) ([]byte, error)
	// Failed is told of what went wrong; it may be nil.
	Failed func(what string, err error)
}

// Run reads the queue until the context ends, then waits for the batches in hand.
func (m *Mapping) Run(ctx context.Context) {
	concurrency := m.Concurrency
	if concurrency <= 0 {
		concurrency = maxConcurrency
	}
	// A slot is taken before a batch is received, so that no message waits here, invisible to others.
	slots, more := make(chan struct{}, concurrency), make(chan struct{}, max(m.Ceiling-concurrency, 0))
	var inHand sync.WaitGroup
	defer inHand.Wait()
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		batch := m.gather(ctx)
		if len(batch) == 0 {
			<-slots
			if ctx.Err() != nil {
				return
			}
			continue
		}
		inHand.Go(func() {
			defer moved(slots, more)()
			m.process(ctx, batch)
		})
	}
}

// moved moves a batch that is slow from one place in slots to one in more, if there is one left then. The function that it gives frees
// the place that the batch has.
func moved(slots, more chan struct{}) func() {
	var mu sync.Mutex
	place, done := slots, false
	timer := time.AfterFunc(slowBatch, func() {
		mu.Lock()
		defer mu.Unlock()
		if done {
			return
		}
		select {
		case more <- struct{}{}:
			<-place
			place = more
		default:
		}
	})
	return func() {
		timer.Stop()
		mu.Lock()
		defer mu.Unlock()
		done = true
		<-place
	}
}

// gather receives one batch. It is empty when there was nothing to receive.
func (m *Mapping) gather(ctx context.Context) []types.Message {
	batch := m.receive(ctx, min(m.BatchSize, perReceive), longPoll)
	if m.Window <= 0 || len(batch) == 0 {
		return batch
	}
	until := time.Now().Add(m.Window)
	for len(batch) < m.BatchSize && ctx.Err() == nil {
		left := time.Until(until)
		if left <= 0 {
			break
		}
		// SQS waits for whole seconds, so a window may last up to one longer. A receive is never cut off: what it was about to
		// bring would stay out of sight until its visibility timeout is over.
		wait := min((left + time.Second - 1).Truncate(time.Second), longPoll)
		batch = append(batch, m.receive(ctx, min(m.BatchSize-len(batch), perReceive), wait)...)
	}
	return batch
}

func (m *Mapping) receive(ctx context.Context, most int, wait time.Duration) []types.Message {
	ctx, cancel := context.WithTimeout(ctx, wait+callTimeout)
	defer cancel()
	out, err := m.Queue.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &m.QueueURL, MaxNumberOfMessages: int32(most), WaitTimeSeconds: int32(wait / time.Second),
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
		MessageAttributeNames:       []string{"All"},
	})
	if err == nil {
		return out.Messages
	}
	if ctx.Err() == nil {
		m.failed("receive", err)
		pause := time.NewTimer(time.Second)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
	return nil
}

// process invokes the function on a batch and deletes what succeeded. What failed is left to its visibility timeout.
func (m *Mapping) process(ctx context.Context, batch []types.Message) {
	event, err := m.event(batch)
	if err != nil {
		m.failed("describe a batch", err)
		return
	}
	// A batch in hand is finished when we are asked to stop; the function is stopped by its owner.
	ctx = context.WithoutCancel(ctx)
	answer, err := m.Function(ctx, event)
	if err != nil {
		m.failed("process a batch", err)
		return
	}
	failed := map[string]bool{}
	if m.ReportFailures {
		if failed, err = failures(answer, batch); err != nil {
			m.failed("read which messages of a batch failed", err)
			return
		}
	}
	var done []types.DeleteMessageBatchRequestEntry
	for i, message := range batch {
		if !failed[aws.ToString(message.MessageId)] {
			done = append(done, types.DeleteMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), ReceiptHandle: message.ReceiptHandle})
		}
	}
	for len(done) > 0 {
		n := min(len(done), perReceive)
		m.delete(ctx, done[:n])
		done = done[n:]
	}
}

func (m *Mapping) delete(ctx context.Context, entries []types.DeleteMessageBatchRequestEntry) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := m.Queue.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &m.QueueURL, Entries: entries})
	switch {
	case err != nil:
		m.failed("delete messages", err)
	case len(out.Failed) > 0:
		m.failed("delete messages", fmt.Errorf("%d of %d: %s", len(out.Failed), len(entries), aws.ToString(out.Failed[0].Code)))
	}
}

func (m *Mapping) failed(what string, err error) {
	if m.Failed != nil {
		m.Failed(what, err)
	}
}

// failures reads the function's answer to a batch. An empty answer, or one without failures, is a success of all. An
// answer that can't be read, an empty identifier or one that isn't in the batch fails all of it, which is an error.
func failures(answer []byte, batch []types.Message) (map[string]bool, error) {
	failed := map[string]bool{}
	if len(answer) == 0 {
		return failed, nil
	}
	var told *struct {
		BatchItemFailures []map[string]*string `json:"batchItemFailures"`
	}
	if err := json.Unmarshal(answer, &told); err != nil {
		return nil, fmt.Errorf("the whole batch counts as failed: %w", err)
	}
	if told == nil {
		return failed, nil
	}
	known := map[string]bool{}
	for _, message := range batch {
		known[aws.ToString(message.MessageId)] = true
	}
	for _, f := range told.BatchItemFailures {
		id := aws.ToString(f["itemIdentifier"])
		if !known[id] {
			return nil, errors.New("the whole batch counts as failed: an identifier is missing or not of this batch")
		}
		failed[id] = true
	}
	return failed, nil
}
