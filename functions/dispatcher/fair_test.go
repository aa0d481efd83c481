package main

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/channel"
	"contactcenter/shared/id"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/message"
	"contactcenter/shared/provider"
	"contactcenter/shared/queue"
)

// after is a provider that, once told which message it waits for, answers others only when it has that.
type after struct {
	*scriptedProvider
	message  atomic.Pointer[string]
	reached  chan struct{}
	overtook atomic.Int64
}

func (p *after) Send(ctx context.Context, ch provider.Channel, m provider.Message) (provider.Receipt, error) {
	switch want := p.message.Load(); {
	case want == nil:
	case *want == m.ID:
		close(p.reached)
	default:
		p.overtook.Add(1)
		select {
		case <-p.reached:
		case <-time.After(time.Minute):
		}
	}
	return p.scriptedProvider.Send(ctx, ch, m)
}

// work lets the dispatcher work on one batch as it comes from the queue.
func (b *bench) work(client *sqs.Client) {
	b.t.Helper()
	got, err := client.ReceiveMessage(b.t.Context(), &sqs.ReceiveMessageInput{
		QueueUrl: &b.d.QueueURL, MaxNumberOfMessages: 10, MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})
	if err != nil || len(got.Messages) == 0 {
		b.t.Fatalf("receive: %v", err)
	}
	var event events.SQSEvent
	for _, m := range got.Messages {
		event.Records = append(event.Records, events.SQSMessage{MessageId: *m.MessageId, ReceiptHandle: *m.ReceiptHandle, Body: *m.Body, Attributes: m.Attributes})
	}
	out, err := b.d.Handle(b.t.Context(), event)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, m := range got.Messages {
		if slices.ContainsFunc(out.BatchItemFailures, func(f events.SQSBatchItemFailure) bool { return f.ItemIdentifier == *m.MessageId }) {
			continue
		}
		if _, err := client.DeleteMessage(b.t.Context(), &sqs.DeleteMessageInput{QueueUrl: &b.d.QueueURL, ReceiptHandle: m.ReceiptHandle}); err != nil {
			b.t.Fatal(err)
		}
	}
}

// behind five hundred messages of one account in the queue, another's message is in the next batch, and is handed over without
// waiting for any of theirs.
func TestABacklogLeavesAnothersMessageTheNextBatch(t *testing.T) {
	t.Parallel()
	const other = "acct_other"
	b := newBench(t, 1_000_000, slow())
	slowly := &after{scriptedProvider: b.provider, reached: make(chan struct{})}
	b.d.Adapters[testProvider] = slowly
	// Not all engines have fair queues.
	fair := awstest.NewLocal(t)
	client := fair.SQS
	b.d.SQS, b.d.QueueURL = client, fair.Queue(t.Context(), nil)
	refs := &queue.Queue{SQS: client, URL: b.d.QueueURL}
	for range 50 {
		var ten []queue.Delayed
		for range 10 {
			ten = append(ten, queue.Delayed{Message: b.accept(fmt.Sprintf("+357990%05d", len(ten)+int(b.Now().UnixMilli()%10_000)*10), nil)})
		}
		if failed, err := refs.SendBatch(t.Context(), testAccount, ten); err != nil || len(failed) > 0 {
			t.Fatal(failed, err)
		}
	}
	for range 5 {
		b.work(client)
	}
	before := len(b.provider.calls)
	if before == 0 {
		t.Fatal("nothing of the backlog was handed over")
	}

	ch := channel.Channel{ID: "chn_0000000000000099", AccountID: other, ProviderID: testProvider, Type: "whatsapp", Name: "other", CreatedAt: b.Now(), CreatedBy: "user"}
	if err := b.channels.Create(t.Context(), ch, audittest.By(other)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.channels.Activate(t.Context(), ch.ID, channel.Activation{By: "user", At: b.Now()}, audittest.By(other)); err != nil {
		t.Fatal(err)
	}
	var single id.Message
	b.accept("+35799999999", func(m *message.Message) {
		m.AccountID, m.ChannelID = other, ch.ID
		single = m.ID
	})
	slowly.message.Store(aws.String(single.String()))
	if err := refs.Send(t.Context(), other, single); err != nil {
		t.Fatal(err)
	}
	b.work(client)
	if n := slices.Index(b.provider.calls, single.String()) - before; n < 0 || slowly.overtook.Load() > 9 {
		t.Errorf("it is call %d after it came, beside %d of the backlog", n, slowly.overtook.Load())
	}
	select {
	case <-slowly.reached:
	default:
		t.Error("it is not in the batch after it came")
	}
	if got, err := b.messages.Get(t.Context(), other, single); err != nil || got.Status() != message.Sent {
		t.Errorf("it is %s, %v", got.Status(), err)
	}
}
