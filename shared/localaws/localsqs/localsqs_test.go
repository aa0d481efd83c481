package localsqs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// tester speaks to a server whose clock the test moves.
type tester struct {
	*testing.T
	clock  *ManualClock
	server *Server
}

func newTester(t *testing.T) tester {
	clock := NewManualClock(time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC))
	return tester{t, clock, New(clock)}
}

type object = map[string]any

// call returns the answer, or the error's code.
func (t tester) call(operation string, in object) (object, string) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://sqs.local/", bytes.NewReader(body))
	r.Header.Set("X-Amz-Target", "AmazonSQS."+operation)
	w := httptest.NewRecorder()
	t.server.ServeHTTP(w, r)
	var out object
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("%s: %v in %q", operation, err, w.Body)
	}
	code, _, _ := strings.Cut(w.Header().Get("x-amzn-query-error"), ";")
	return out, strings.TrimPrefix(code, "AWS.SimpleQueueService.")
}

func (t tester) do(operation string, in object) object {
	t.Helper()
	out, code := t.call(operation, in)
	if code != "" {
		t.Fatalf("%s %v: %s %v", operation, in, code, out)
	}
	return out
}

func (t tester) queue(name string, attributes map[string]string) string {
	t.Helper()
	return t.do("CreateQueue", object{"QueueName": name, "Attributes": attributes})["QueueUrl"].(string)
}

func (t tester) send(url, body string, more object) string {
	t.Helper()
	in := object{"QueueUrl": url, "MessageBody": body}
	for k, v := range more {
		in[k] = v
	}
	return t.do("SendMessage", in)["MessageId"].(string)
}

type received struct{ body, receipt, id string }

func (t tester) receive(url string, more object) []received {
	t.Helper()
	in := object{"QueueUrl": url, "MaxNumberOfMessages": 10}
	for k, v := range more {
		in[k] = v
	}
	list, _ := t.do("ReceiveMessage", in)["Messages"].([]any)
	var out []received
	for _, e := range list {
		m := e.(object)
		out = append(out, received{m["Body"].(string), m["ReceiptHandle"].(string), m["MessageId"].(string)})
	}
	return out
}

func (t tester) wantBodies(got []received, want ...string) {
	t.Helper()
	var bodies []string
	for _, m := range got {
		bodies = append(bodies, m.body)
	}
	if strings.Join(bodies, " ") != strings.Join(want, " ") {
		t.Fatalf("received %v, want %v", bodies, want)
	}
}

func (t tester) attribute(url, name string) string {
	t.Helper()
	return t.do("GetQueueAttributes", object{"QueueUrl": url, "AttributeNames": []string{"All"}})["Attributes"].(object)[name].(string)
}

func TestQueueURLsHaveTheAccountAndTheName(t *testing.T) {
	t.Parallel()
	s := newTester(t)
	if got := s.queue("work", nil); got != "http://sqs.local/000000000000/work" {
		t.Errorf("URL %s", got)
	}
}

func TestAMessageIsInvisibleUntilItsTimeoutEnds(t *testing.T) {
	t.Parallel()
	s := newTester(t)
	url := s.queue("q", map[string]string{"VisibilityTimeout": "60"})
	s.send(url, "m", nil)
	s.wantBodies(s.receive(url, nil), "m")
	s.clock.Advance(59 * time.Second)
	s.wantBodies(s.receive(url, nil))
	s.clock.Advance(time.Second)
	s.wantBodies(s.receive(url, nil), "m")
}

func TestChangingTheVisibilityCountsFromNow(t *testing.T) {
	t.Parallel()
	s := newTester(t)
	url := s.queue("q", nil)
	s.send(url, "m", nil)
	m := s.receive(url, nil)[0]
	s.clock.Advance(20 * time.Second)
	s.do("ChangeMessageVisibility", object{"QueueUrl": url, "ReceiptHandle": m.receipt, "VisibilityTimeout": 300})
	s.clock.Advance(299 * time.Second)
	s.wantBodies(s.receive(url, nil))
	s.clock.Advance(time.Second)
	s.wantBodies(s.receive(url, nil), "m")
}

func TestVisibilityCantPassTwelveHoursInAll(t *testing.T) {
	t.Parallel()
	s := newTester(t)
	url := s.queue("q", map[string]string{"VisibilityTimeout": "43200"})
	s.send(url, "m", nil)
	m := s.receive(url, nil)[0]
	s.clock.Advance(time.Hour)
	if _, code := s.call("ChangeMessageVisibility", object{"QueueUrl": url, "ReceiptHandle": m.receipt, "VisibilityTimeout": 43200}); code != "InvalidParameterValue" {
		t.Errorf("code %q", code)
	}
	s.do("ChangeMessageVisibility", object{"QueueUrl": url, "ReceiptHandle": m.receipt, "VisibilityTimeout": 11 * 3600})
}

func TestAStaleReceiptNeitherDeletesNorExtends(t *testing.T) {
	t.Parallel()
	s := newTester(t)
	url := s.queue("q", nil)
	s.send(url, "m", nil)
	first := s.receive(url, nil)[0]
	s.clock.Advance(30 * time.Second)
	second := s.receive(url, nil)[0]
	s.do("DeleteMessage", object{"QueueUrl": url, "ReceiptHandle": first.receipt})
	if _, code := s.call("ChangeMessageVisibility", object{"QueueUrl": url, "ReceiptHandle": first.receipt, "VisibilityTimeout": 1}); code != "MessageNotInflight" {
		t.Errorf("code %q", code)
	}
	s.do("DeleteMessage", object{"QueueUrl": url, "ReceiptHandle": second.receipt})
	s.do("DeleteMessage", object{"QueueUrl": url, "ReceiptHandle": second.receipt})
	if n := s.attribute(url, "ApproximateNumberOfMessagesNotVisible"); n != "0" {
		t.Errorf("%s in flight", n)
	}
}

func TestAReceiptStillDeletesAfterItsTimeoutWhileNobodyHasReceivedAgain(t *testing.T) {
	t.Parallel()
	s := newTester(t)
	url := s.queue("q", nil)
	s.send(url, "m", nil)
	m := s.receive(url, nil)[0]
	s.clock.Advance(time.Minute)
	s.do("DeleteMessage", object{"QueueUrl": url, "ReceiptHandle": m.receipt})
	s.wantBodies(s.receive(url, nil))
}

func TestDelays(t *testing.T) {
	t.Parallel()
	s := newTester(t)
	url := s.queue("q", map[string]string{"DelaySeconds": "5"})
	s.send(url, "by the queue", nil)
	s.send(url, "of its own", object{"DelaySeconds": 900})
	s.send(url, "none", object{"DelaySeconds": 0})
	if n := s.attribute(url, "ApproximateNumberOfMessagesDelayed"); n != "2" {
		t.Errorf("%s delayed", n)
	}
	for _, step := range []struct {
		wait time.Duration
		want string
	}{{0, "none"}, {5 * time.Second, "by the queue"}, {895 * time.Second, "of its own"}} {
		s.clock.Advance(step.wait)
		got := s.receive(url, nil)
		s.wantBodies(got, step.want)
		s.do("DeleteMessage", object{"QueueUrl": url, "ReceiptHandle": got[0].receipt})
	}
	if _, code := s.call("SendMessage", object{"QueueUrl": url, "MessageBody": "x", "DelaySeconds": 901}); code != "InvalidParameterValue" {
		t.Errorf("code %q", code)
	}
}

func TestMessagesEndWithTheRetentionPeriod(t *testing.T) {
	t.Parallel()
	s := newTester(t)
	url := s.queue("q", map[string]string{"MessageRetentionPeriod": "3600"})
	s.send(url, "old", nil)
	s.clock.Advance(time.Minute)
	s.send(url, "new", nil)
	s.clock.Advance(59 * time.Minute)
	s.wantBodies(s.receive(url, nil), "new")
	s.clock.Advance(time.Minute)
	if n := s.attribute(url, "ApproximateNumberOfMessagesNotVisible"); n != "0" {
		t.Errorf("%s in flight", n)
	}
}

func TestALongPollIsWokenByAMessageADelayOrItsEnd(t *testing.T) {
	t.Parallel()
	s := newTester(t)
	url := s.queue("q", nil)
	poll := func() <-chan []received {
		done := make(chan []received, 1)
		go func() { done <- s.receive(url, object{"WaitTimeSeconds": 20}) }()
		return done
	}
	waiting := func(n int) { // until the poll is at its clock
		if err := s.clock.AwaitPending(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	done := poll()
	waiting(1)
	s.send(url, "now", nil)
	got := <-done
	s.wantBodies(got, "now")
	s.do("DeleteMessage", object{"QueueUrl": url, "ReceiptHandle": got[0].receipt})

	s.send(url, "later", object{"DelaySeconds": 7})
	done = poll()
	waiting(2)
	s.clock.Advance(7 * time.Second)
	got = <-done
	s.wantBodies(got, "later")
	s.do("DeleteMessage", object{"QueueUrl": url, "ReceiptHandle": got[0].receipt})

	done = poll()
	waiting(2) // the first poll's clock is still set: it was woken by the message
	s.clock.Advance(20 * time.Second)
	s.wantBodies(<-done)
}

func TestALongPollLearnsThatAMessageComesBackSooner(t *testing.T) {
	t.Parallel()
	s := newTester(t)
	url := s.queue("q", nil)
	s.send(url, "again", nil)
	got := s.receive(url, object{"VisibilityTimeout": 300})
	done := make(chan []received, 1)
	go func() { done <- s.receive(url, object{"WaitTimeSeconds": 20}) }()
	waiting := func(n int) {
		if err := s.clock.AwaitPending(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	waiting(1)
	s.do("ChangeMessageVisibility", object{"QueueUrl": url, "ReceiptHandle": got[0].receipt, "VisibilityTimeout": 5})
	waiting(2)
	s.clock.Advance(5 * time.Second)
	s.wantBodies(<-done, "again")
}

func TestDeadLettersKeepTheirAgeAndComeBackAsNewMessages(t *testing.T) {
	t.Parallel()
	s := newTester(t)
	dead := s.queue("dead", nil)
	url := s.queue("q", map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":1}`})
	id := s.send(url, "poison", object{"MessageGroupId": "a"})
	s.wantBodies(s.receive(url, nil), "poison")
	s.clock.Advance(30 * time.Second)
	s.wantBodies(s.receive(url, nil))
	got := s.receive(dead, object{"VisibilityTimeout": 1})
	s.wantBodies(got, "poison")
	if got[0].id != id {
		t.Errorf("the dead letter has another id")
	}
	s.clock.Advance(time.Second)
	s.do("StartMessageMoveTask", object{"SourceArn": "arn:aws:sqs:us-east-1:000000000000:dead"})
	again := s.receive(url, nil)
	s.wantBodies(again, "poison")
	if again[0].id == id {
		t.Errorf("the message that came back has its former id")
	}
}

func TestBadRequestsAreRefused(t *testing.T) {
	t.Parallel()
	s := newTester(t)
	url := s.queue("q", nil)
	for _, tc := range []struct {
		name, operation string
		in              object
		want            string
	}{
		{"a body over 1 MiB", "SendMessage", object{"QueueUrl": url, "MessageBody": strings.Repeat("x", 1<<20+1)}, "InvalidParameterValue"},
		{"a batch over 1 MiB", "SendMessageBatch", object{"QueueUrl": url, "Entries": []object{{"Id": "a", "MessageBody": strings.Repeat("x", 1<<19)}, {"Id": "b", "MessageBody": strings.Repeat("x", 1<<19+1)}}}, "BatchRequestTooLong"},
		{"an empty body", "SendMessage", object{"QueueUrl": url, "MessageBody": ""}, "MissingParameter"},
		{"a control character", "SendMessage", object{"QueueUrl": url, "MessageBody": "a\x01"}, "InvalidMessageContents"},
		{"eleven messages at once", "ReceiveMessage", object{"QueueUrl": url, "MaxNumberOfMessages": 11}, "InvalidParameterValue"},
		{"a poll of 21 seconds", "ReceiveMessage", object{"QueueUrl": url, "WaitTimeSeconds": 21}, "InvalidParameterValue"},
		{"a group id with a blank", "SendMessage", object{"QueueUrl": url, "MessageBody": "x", "MessageGroupId": "a b"}, "InvalidParameterValue"},
		{"a deduplication id on a standard queue", "SendMessage", object{"QueueUrl": url, "MessageBody": "x", "MessageDeduplicationId": "a"}, "InvalidParameterValue"},
		{"a dead-letter queue that is not there", "CreateQueue", object{"QueueName": "x", "Attributes": object{"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:none","maxReceiveCount":1}`}}, "InvalidParameterValue"},
		{"the same queue with another attribute", "CreateQueue", object{"QueueName": "q", "Attributes": object{"VisibilityTimeout": "31"}}, "QueueAlreadyExists"},
		{"an attribute out of range", "CreateQueue", object{"QueueName": "x", "Attributes": object{"VisibilityTimeout": "43201"}}, "InvalidAttributeValue"},
		{"an unknown attribute", "CreateQueue", object{"QueueName": "x", "Attributes": object{"Visibility": "1"}}, "InvalidAttributeName"},
		{"an empty batch", "DeleteMessageBatch", object{"QueueUrl": url}, "EmptyBatchRequest"},
		{"a queue that is gone", "SendMessage", object{"QueueUrl": url + "x", "MessageBody": "x"}, "NonExistentQueue"},
		{"an operation that is not known", "AddPermission", object{}, "UnsupportedOperation"},
		{"a number that is text", "ReceiveMessage", object{"QueueUrl": url, "WaitTimeSeconds": "1"}, "SerializationException"},
	} {
		if _, code := s.call(tc.operation, tc.in); code != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, code, tc.want)
		}
	}
}

func TestTheDigestOfAttributesIsThatOfTheDeveloperGuide(t *testing.T) {
	t.Parallel()
	value := "test_attr_value"
	// Computed by hand: lengths as four bytes, name, type, the byte of the kind, and the value.
	got := attributesDigest(map[string]attributeValue{"test_attr": {DataType: "String", StringValue: &value}, "bin": {DataType: "Binary", BinaryValue: []byte{0, 1}}})
	if got != attributesDigest(map[string]attributeValue{"bin": {DataType: "Binary", BinaryValue: []byte{0, 1}}, "test_attr": {DataType: "String", StringValue: &value}}) || len(got) != 32 {
		t.Errorf("digest %s", got)
	}
}

func TestAQuietTenantGoesBeforeANoisyOne(t *testing.T) {
	t.Parallel()
	s := newTester(t)
	url := s.queue("q", nil)
	for i := range 200 {
		s.send(url, fmt.Sprint("loud ", i), object{"MessageGroupId": "loud"})
	}
	for range 3 { // 30 in flight: noisy from here on
		if got := s.receive(url, nil); len(got) != 10 {
			t.Fatalf("received %d", len(got))
		}
	}
	s.send(url, "quiet", object{"MessageGroupId": "quiet"})
	s.send(url, "alone", nil)
	s.wantBodies(s.receive(url, object{"MaxNumberOfMessages": 3}), "quiet", "alone", "loud 30")
}

func TestATenantIsNoisyByItsShareOfTheProcessingTime(t *testing.T) {
	t.Parallel()
	s := newTester(t)
	url := s.queue("q", nil)
	for i := range 5 {
		s.send(url, fmt.Sprint("slow ", i), object{"MessageGroupId": "slow"})
	}
	m := s.receive(url, object{"MaxNumberOfMessages": 1})[0]
	s.clock.Advance(10 * time.Second)
	s.do("DeleteMessage", object{"QueueUrl": url, "ReceiptHandle": m.receipt})
	s.send(url, "quiet", object{"MessageGroupId": "quiet"})
	s.wantBodies(s.receive(url, object{"MaxNumberOfMessages": 2}), "quiet", "slow 1")
}

func TestFewMessagesOfOneTenantKeepTheirPlace(t *testing.T) {
	t.Parallel()
	s := newTester(t)
	url := s.queue("q", nil)
	for i := range 4 {
		s.send(url, fmt.Sprint("a", i), object{"MessageGroupId": "a"})
	}
	s.send(url, "b0", object{"MessageGroupId": "b"})
	s.wantBodies(s.receive(url, nil), "a0", "a1", "a2", "a3", "b0")
}

func TestOfNoisyTenantsTheOneWithFewerInFlightGoesFirst(t *testing.T) {
	t.Parallel()
	s := newTester(t)
	url := s.queue("q", nil)
	for i := range 60 {
		s.send(url, fmt.Sprint("a", i), object{"MessageGroupId": "a"})
	}
	for range 4 {
		s.receive(url, nil) // 40 of a in flight
	}
	for i := range 60 {
		s.send(url, fmt.Sprint("b", i), object{"MessageGroupId": "b"})
	}
	for range 3 {
		s.receive(url, nil) // 30 of b: both are noisy, and b has fewer
	}
	s.wantBodies(s.receive(url, object{"MaxNumberOfMessages": 1}), "b30")
}

func TestFIFOKeepsOrderLocksGroupsAndDropsDuplicates(t *testing.T) {
	t.Parallel()
	s := newTester(t)
	url := s.queue("q.fifo", map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "true"})
	for _, body := range []string{"a1", "a2", "b1", "a1"} {
		s.send(url, body, object{"MessageGroupId": body[:1]})
	}
	first := s.receive(url, object{"MaxNumberOfMessages": 1})
	s.wantBodies(first, "a1")
	s.wantBodies(s.receive(url, nil), "b1")
	s.do("DeleteMessage", object{"QueueUrl": url, "ReceiptHandle": first[0].receipt})
	s.wantBodies(s.receive(url, nil), "a2")
	s.clock.Advance(5 * time.Minute)
	s.send(url, "a1", object{"MessageGroupId": "c"})
	got := s.receive(url, nil)
	if len(got) != 3 {
		t.Errorf("received %v, want the two whose timeout has passed and the message that is no duplicate any more", got)
	}
}

func TestEveryMessageIsHandedOutOnceAmongConcurrentReceivers(t *testing.T) {
	t.Parallel()
	s := newTester(t)
	url := s.queue("q", nil)
	const n = 500
	for i := range n {
		s.send(url, fmt.Sprint(i), object{"MessageGroupId": fmt.Sprint(i % 7)})
	}
	bodies := make(chan string, 2*n)
	done := make(chan struct{})
	for range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				got := s.receive(url, nil)
				if len(got) == 0 {
					return
				}
				for _, m := range got {
					bodies <- m.body
				}
			}
		}()
	}
	for range 4 {
		<-done
	}
	close(bodies)
	seen := map[string]bool{}
	for b := range bodies {
		if seen[b] {
			t.Errorf("%s was handed out twice", b)
		}
		seen[b] = true
	}
	if len(seen) != n {
		t.Errorf("%d of %d handed out", len(seen), n)
	}
}

// BenchmarkReceiveFromBacklog is the cost of one message's way through a queue in which a flood of one tenant waits.
func BenchmarkReceiveFromBacklog(b *testing.B) {
	for _, backlog := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprint(backlog), func(b *testing.B) {
			now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
			set, err := parseSettings(nil)
			if err != nil {
				b.Fatal(err)
			}
			q := newQueue("q", "arn", set, now)
			add := func() { q.add(&message{id: newID(), body: "x", groupID: "loud", sent: now}, 0, now) }
			for range backlog {
				add()
			}
			for b.Loop() {
				add()
				m := q.receive(1, time.Minute, nil, now)[0]
				if err := q.delete(m.receipt, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
