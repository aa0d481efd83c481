package eventsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"contactcenter/shared/localaws/awstest"
)

// bench is a queue with a mapping that reads it.
type bench struct {
	env *awstest.Env
	url string
	arn string
}

func newBench(t *testing.T, visibility string) *bench {
	t.Helper()
	env := awstest.New(t)
	url := env.Queue(t.Context(), map[string]string{"VisibilityTimeout": visibility})
	return &bench{env: env, url: url, arn: env.QueueARN(t.Context(), url)}
}

func (b *bench) send(t *testing.T, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		_, err := b.env.SQS.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &b.url, MessageBody: aws.String(body),
			MessageAttributes: map[string]types.MessageAttributeValue{"kind": {DataType: aws.String("String"), StringValue: aws.String("test")}}})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// run reads the queue with a mapping until the test ends.
func (b *bench) run(t *testing.T, m *Mapping) {
	t.Helper()
	m.Queue, m.QueueURL, m.QueueARN, m.Region = b.env.SQS, b.url, b.arn, "us-east-1"
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// batches is a function that hands its batches to the test.
type batches chan events.SQSEvent

func (b batches) invoke(answer func(events.SQSEvent) (string, error)) func(context.Context, []byte) ([]byte, error) {
	return func(_ context.Context, event []byte) ([]byte, error) {
		var batch events.SQSEvent
		if err := json.Unmarshal(event, &batch); err != nil {
			return nil, err
		}
		out, err := answer(batch)
		b <- batch
		return []byte(out), err
	}
}

func (b batches) next(t *testing.T) events.SQSEvent {
	t.Helper()
	select {
	case batch := <-b:
		return batch
	case <-time.After(2 * time.Minute):
		t.Fatal("no batch came")
		return events.SQSEvent{}
	}
}

func bodies(batch events.SQSEvent) (out []string) {
	for _, m := range batch.Records {
		out = append(out, m.Body)
	}
	slices.Sort(out)
	return out
}

func TestWhatAFunctionAnswersDecidesWhatComesAgain(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		answer string
		err    error
		plain  bool // without ReportBatchItemFailures
		again  []string
	}{
		"no failures":                      {answer: `{"batchItemFailures":[]}`},
		"a null list":                      {answer: `{"batchItemFailures":null}`},
		"an empty object":                  {answer: `{}`},
		"null":                             {answer: `null`},
		"nothing":                          {answer: ``},
		"one failure":                      {answer: `{"batchItemFailures":[{"itemIdentifier":"ID-b"}]}`, again: []string{"b"}},
		"all failures":                     {answer: `{"batchItemFailures":[{"itemIdentifier":"ID-a"},{"itemIdentifier":"ID-b"},{"itemIdentifier":"ID-c"}]}`, again: []string{"a", "b", "c"}},
		"an unknown identifier":            {answer: `{"batchItemFailures":[{"itemIdentifier":"other"}]}`, again: []string{"a", "b", "c"}},
		"an empty identifier":              {answer: `{"batchItemFailures":[{"itemIdentifier":""}]}`, again: []string{"a", "b", "c"}},
		"a null identifier":                {answer: `{"batchItemFailures":[{"itemIdentifier":null}]}`, again: []string{"a", "b", "c"}},
		"an identifier by another name":    {answer: `{"batchItemFailures":[{"itemId":"ID-a"}]}`, again: []string{"a", "b", "c"}},
		"no JSON":                          {answer: `oops`, again: []string{"a", "b", "c"}},
		"a list":                           {answer: `[]`, again: []string{"a", "b", "c"}},
		"an error":                         {err: errors.New("crashed"), again: []string{"a", "b", "c"}},
		"failures that nobody asked about": {answer: `{"batchItemFailures":[{"itemIdentifier":"ID-b"}]}`, plain: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, "600") // until the test itself lets them come again
			b.send(t, "a", "b", "c")
			got := make(batches, 100)
			var mu sync.Mutex
			seen := map[string]int{}
			b.run(t, &Mapping{BatchSize: 3, Window: 200 * time.Millisecond, Concurrency: 1, ReportFailures: !c.plain, Function: got.invoke(func(batch events.SQSEvent) (string, error) {
				mu.Lock()
				defer mu.Unlock()
				answer, err := "{}", error(nil)
				for _, m := range batch.Records {
					if seen[m.Body]++; seen[m.Body] == 1 {
						answer, err = c.answer, c.err
					}
				}
				for _, m := range batch.Records {
					answer = strings.ReplaceAll(answer, "ID-"+m.Body, m.MessageId)
				}
				return answer, err
			})})
			first := got.next(t)
			if all := bodies(first); !slices.Equal(all, []string{"a", "b", "c"}) {
				t.Fatalf("the first batch is %v", all)
			}
			b.left(t, len(c.again))
			for _, m := range first.Records {
				if slices.Contains(c.again, m.Body) {
					b.show(t, m.ReceiptHandle)
				}
			}
			var again []string
			for len(again) < len(c.again) {
				again = append(again, bodies(got.next(t))...)
			}
			slices.Sort(again)
			if !slices.Equal(again, c.again) {
				t.Errorf("%v came again, want %v", again, c.again)
			}
			b.empty(t)
		})
	}
}

// show lets a message come again now.
func (b *bench) show(t *testing.T, receipt string) {
	t.Helper()
	if _, err := b.env.SQS.ChangeMessageVisibility(t.Context(), &sqs.ChangeMessageVisibilityInput{QueueUrl: &b.url, ReceiptHandle: &receipt}); err != nil {
		t.Fatal(err)
	}
}

// empty waits until nothing is left in the queue.
func (b *bench) empty(t *testing.T) {
	t.Helper()
	b.left(t, 0)
}

// left waits until so many messages are left in the queue, out of sight.
func (b *bench) left(t *testing.T, n int) {
	t.Helper()
	late := time.Now().Add(2 * time.Minute)
	names := []types.QueueAttributeName{types.QueueAttributeNameApproximateNumberOfMessages, types.QueueAttributeNameApproximateNumberOfMessagesNotVisible}
	for {
		out, err := b.env.SQS.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &b.url, AttributeNames: names})
		if err != nil {
			t.Fatal(err)
		}
		if out.Attributes[string(names[0])] == "0" && out.Attributes[string(names[1])] == fmt.Sprint(n) {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("the queue still has %v", out.Attributes)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestBatchesAreAsLambdaHandsThem(t *testing.T) {
	t.Parallel()
	b := newBench(t, "30")
	b.send(t, "héllo")
	got := make(batches, 1)
	b.run(t, &Mapping{BatchSize: 10, Function: got.invoke(func(events.SQSEvent) (string, error) { return "", nil })})
	m := got.next(t).Records[0]
	if m.Body != "héllo" || len(m.Md5OfBody) != 32 || m.EventSource != "aws:sqs" || m.EventSourceARN != b.arn || m.AWSRegion != "us-east-1" ||
		m.MessageId == "" || m.ReceiptHandle == "" || m.Attributes["ApproximateReceiveCount"] != "1" || m.Attributes["SentTimestamp"] == "" ||
		aws.ToString(m.MessageAttributes["kind"].StringValue) != "test" || m.MessageAttributes["kind"].DataType != "String" {
		t.Errorf("the message is %+v", m)
	}
	b.empty(t)
}

func TestABatchIsGatheredWithinItsWindow(t *testing.T) {
	t.Parallel()
	b := newBench(t, "30")
	var sent []string
	for i := range 25 {
		sent = append(sent, fmt.Sprintf("%02d", i))
	}
	b.send(t, sent...)
	got := make(batches, 10)
	b.run(t, &Mapping{BatchSize: 25, Window: 20 * time.Second, Function: got.invoke(func(events.SQSEvent) (string, error) { return "", nil })})
	if first := bodies(got.next(t)); !slices.Equal(first, sent) {
		t.Errorf("the batch is %v", first)
	}
	b.empty(t)
}

// slow batches keep nobody waiting for ever, and there are never more than the ceiling.
func TestBatchesInHandAreBounded(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ ceiling, want int }{
		"by the concurrency":                  {0, 3},
		"by the ceiling, when they take long": {5, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, "30")
			for range 10 {
				b.send(t, "x")
			}
			var mu sync.Mutex
			inHand, most, total := 0, 0, 0
			full, release, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
			b.run(t, &Mapping{BatchSize: 1, Concurrency: 3, Ceiling: tc.ceiling, Function: func(context.Context, []byte) ([]byte, error) {
				mu.Lock()
				inHand++
				if most = max(most, inHand); inHand == tc.want && total == 0 {
					close(full)
				}
				mu.Unlock()
				<-release
				mu.Lock()
				defer mu.Unlock()
				inHand--
				if total++; total == 10 {
					close(done)
				}
				return nil, nil
			}})
			for _, c := range []chan struct{}{full, done} {
				select {
				case <-c:
				case <-time.After(2 * time.Minute):
					t.Fatal("it did not come so far")
				}
				if c == full {
					close(release)
				}
			}
			if most != tc.want {
				t.Errorf("%d batches were in hand at once, want %d", most, tc.want)
			}
			b.empty(t)
		})
	}
}
