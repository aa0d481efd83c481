package localaws_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"contactcenter/shared/localaws/awstest"
)

// These run against any engine: see package awstest. What needs a clock of its own is in package localsqs.

func receive(t *testing.T, env *awstest.Env, url string, most int32) []sqstypes.Message {
	t.Helper()
	out, err := env.SQS.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
		QueueUrl: &url, MaxNumberOfMessages: most, WaitTimeSeconds: 5, VisibilityTimeout: 30,
		MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{sqstypes.MessageSystemAttributeNameAll}, MessageAttributeNames: []string{"All"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Messages
}

func TestAMessageComesWithItsAttributesAndGoesWhenDeleted(t *testing.T) {
	t.Parallel()
	env := awstest.New(t)
	url := env.Queue(t.Context(), nil)
	if !strings.Contains(url, "/000000000000/") {
		t.Errorf("queue URL %s", url)
	}
	sent, err := env.SQS.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: &url, MessageBody: aws.String(`{"message_id":"msg_1"}`), MessageGroupId: aws.String("acct_1"),
		MessageAttributes: map[string]sqstypes.MessageAttributeValue{"trace": {DataType: aws.String("String"), StringValue: aws.String("t1")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := receive(t, env, url, 10)
	if len(got) != 1 {
		t.Fatalf("received %d messages", len(got))
	}
	m := got[0]
	if *m.MessageId != *sent.MessageId || *m.Body != `{"message_id":"msg_1"}` || aws.ToString(m.MessageAttributes["trace"].StringValue) != "t1" {
		t.Errorf("received %+v", m)
	}
	if aws.ToString(m.MD5OfMessageAttributes) != aws.ToString(sent.MD5OfMessageAttributes) {
		t.Errorf("the digest of the attributes is %s, was %s", aws.ToString(m.MD5OfMessageAttributes), aws.ToString(sent.MD5OfMessageAttributes))
	}
	if m.Attributes["ApproximateReceiveCount"] != "1" || m.Attributes["MessageGroupId"] != "acct_1" || m.Attributes["SentTimestamp"] == "" || m.Attributes["ApproximateFirstReceiveTimestamp"] == "" {
		t.Errorf("system attributes %v", m.Attributes)
	}
	if _, err := env.SQS.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle}); err != nil {
		t.Fatal(err)
	}
	attributes, err := env.SQS.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []sqstypes.QueueAttributeName{"All"}})
	if err != nil {
		t.Fatal(err)
	}
	if attributes.Attributes["ApproximateNumberOfMessages"] != "0" || attributes.Attributes["ApproximateNumberOfMessagesNotVisible"] != "0" {
		t.Errorf("attributes %v", attributes.Attributes)
	}
}

func TestAMessageGivenBackGoesToTheDeadLetterQueueWhenReceivedTooOften(t *testing.T) {
	t.Parallel()
	env := awstest.New(t)
	dead := env.Queue(t.Context(), nil)
	url := env.Queue(t.Context(), map[string]string{"RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":"2"}`, env.QueueARN(t.Context(), dead))})
	if _, err := env.SQS.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("poison")}); err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= 2; i++ {
		got := receive(t, env, url, 1)
		if len(got) != 1 || got[0].Attributes["ApproximateReceiveCount"] != fmt.Sprint(i) {
			t.Fatalf("receive %d: %+v", i, got)
		}
		if _, err := env.SQS.ChangeMessageVisibility(t.Context(), &sqs.ChangeMessageVisibilityInput{QueueUrl: &url, ReceiptHandle: got[0].ReceiptHandle, VisibilityTimeout: 0}); err != nil {
			t.Fatal(err)
		}
	}
	out, err := env.SQS.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url})
	if err != nil || len(out.Messages) != 0 {
		t.Errorf("third receive: %v, %v", out, err)
	}
	if got := receive(t, env, dead, 1); len(got) != 1 || *got[0].Body != "poison" {
		t.Errorf("the dead-letter queue gave %+v", got)
	}
}

func TestQueueErrorsHaveTheCodesOfAWS(t *testing.T) {
	t.Parallel()
	env := awstest.New(t)
	url := env.Queue(t.Context(), nil)
	entries := func(ids ...string) []sqstypes.SendMessageBatchRequestEntry {
		var out []sqstypes.SendMessageBatchRequestEntry
		for _, id := range ids {
			out = append(out, sqstypes.SendMessageBatchRequestEntry{Id: &id, MessageBody: aws.String("x")})
		}
		return out
	}
	for _, tc := range []struct {
		name string
		call func() error
		want string
	}{
		{"a queue that is not there", func() error {
			_, err := env.SQS.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("nope")})
			return err
		}, "QueueDoesNotExist"},
		{"a batch of eleven", func() error {
			_, err := env.SQS.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: &url, Entries: entries("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k")})
			return err
		}, "TooManyEntriesInBatchRequest"},
		{"a batch with one id twice", func() error {
			_, err := env.SQS.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: &url, Entries: entries("a", "a")})
			return err
		}, "BatchEntryIdsNotDistinct"},
		{"a receipt handle that is none", func() error {
			_, err := env.SQS.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: aws.String("x")})
			return err
		}, "ReceiptHandleIsInvalid"},
	} {
		err := tc.call()
		if !strings.HasSuffix(code(err), tc.want) && !(tc.want == "QueueDoesNotExist" && strings.HasSuffix(code(err), "NonExistentQueue")) {
			t.Errorf("%s: %v, want %s", tc.name, err, tc.want)
		}
	}
}
