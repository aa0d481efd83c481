//go:build e2e

package e2e

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"contactcenter/shared/awsclient"
)

// reference is the body of a queue message.
func reference(t *testing.T, accountID, messageID string) string {
	t.Helper()
	b, err := json.Marshal(struct {
		AccountID string `json:"account_id"`
		MessageID string `json:"message_id"`
	}{accountID, messageID})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// sqsEvent is what Lambda hands to a function for references, each in a record of its own.
func sqsEvent(t *testing.T, accountID string, bodies ...string) []byte {
	t.Helper()
	var records []map[string]any
	for _, body := range bodies {
		sum := md5.Sum([]byte(body))
		records = append(records, map[string]any{
			"messageId": unique("record-"), "receiptHandle": unique("receipt-"), "body": body, "md5OfBody": hex.EncodeToString(sum[:]),
			"attributes": map[string]string{
				"ApproximateReceiveCount": "1", "SentTimestamp": itoa(time.Now().UnixMilli()), "SenderId": "AIDASAMPLE",
				"ApproximateFirstReceiveTimestamp": itoa(time.Now().UnixMilli()), "MessageGroupId": accountID,
			},
			"messageAttributes": map[string]any{}, "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:DispatchQueue", "awsRegion": "us-east-1",
		})
	}
	b, err := json.Marshal(map[string]any{"Records": records})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// queue speaks to SQS about one of the stack's queues.
func (s *stack) queue(t *testing.T, logicalID string) (*sqs.Client, string) {
	t.Helper()
	client := sqs.New(sqs.Options{Region: "us-east-1", BaseEndpoint: &s.sqs, Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""), HTTPClient: awsclient.HTTPClient(storeTimeout)})
	out, err := client.ListQueues(t.Context(), &sqs.ListQueuesInput{})
	if err != nil {
		t.Fatalf("list the queues: %v", err)
	}
	for _, url := range out.QueueUrls {
		if strings.Contains(url, logicalID) {
			return client, url
		}
	}
	t.Fatalf("no %s among %v", logicalID, out.QueueUrls)
	return nil, ""
}

//
func TestSameRecordFiveTimesIsAcceptedAndCountedOnce(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 100})

	t.Run("one after the other", func(t *testing.T) {
		a := a.in(t)
		m := a.send(order(ch, person(), text(unique("text "))))
		for range 5 {
			dispatch(t, s, sqsEvent(t, a.id, reference(t, a.id, m.ID)))
		}
		a.until(m.ID, 10*time.Second, "read", status("read"))
		dispatch(t, s, sqsEvent(t, a.id, reference(t, a.id, m.ID)))
		if calls := s.callsFor(t, m.ID); len(calls) != 1 || !calls[0].Accepted {
			t.Errorf("the provider was called: %+v", calls)
		}
		a.untilUsed(20*time.Second, 1)
	})
	t.Run("all at once", func(t *testing.T) {
		a := a.in(t)
		m := a.send(order(ch, person(), text(unique("text "))))
		event := sqsEvent(t, a.id, reference(t, a.id, m.ID))
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() { dispatch(t, s, event) })
		}
		all.Wait()
		a.until(m.ID, 20*time.Second, "read", status("read"))
		if calls := s.callsFor(t, m.ID); len(calls) != 1 || !calls[0].Accepted {
			t.Errorf("the provider was called: %+v", calls)
		}
		a.untilUsed(20*time.Second, 2)
	})
	t.Run("in one batch", func(t *testing.T) {
		a := a.in(t)
		m := a.send(order(ch, person(), text(unique("text "))))
		r := reference(t, a.id, m.ID)
		dispatch(t, s, sqsEvent(t, a.id, r, r, r, r, r))
		a.until(m.ID, 20*time.Second, "read", status("read"))
		if calls := s.callsFor(t, m.ID); len(calls) != 1 || !calls[0].Accepted {
			t.Errorf("the provider was called: %+v", calls)
		}
		a.untilUsed(20*time.Second, 3)
	})
	t.Run("by the queue", func(t *testing.T) {
		a := a.in(t)
		client, url := s.queue(t, "DispatchQueue")
		m := a.send(order(ch, person(), text(unique("text "))))
		for range 5 {
			if _, err := client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String(reference(t, a.id, m.ID)), MessageGroupId: &a.id}); err != nil {
				t.Fatal(err)
			}
		}
		a.until(m.ID, 20*time.Second, "read", status("read"))
		// A message behind them in the queue: when it is through, they are.
		after := a.send(order(ch, person(), text(unique("text "))))
		a.until(after.ID, 20*time.Second, "read", status("read"))
		if calls := s.callsFor(t, m.ID); len(calls) != 1 || !calls[0].Accepted {
			t.Errorf("the provider was called: %+v", calls)
		}
		a.untilUsed(20*time.Second, 5)
	})
}

// dispatch hands the dispatcher an event and expects it to answer with what is to come again.
func dispatch(t *testing.T, s *stack, event []byte) {
	t.Helper()
	got := s.invoke(t, "DispatcherFunction", event)
	if got.status != http.StatusOK || got.header.Get("X-Amz-Function-Error") != "" {
		t.Fatalf("invoke the dispatcher: %v", got)
	}
	var told struct {
		BatchItemFailures []struct {
			ItemIdentifier string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if err := strictly(got.body, &told); err != nil {
		t.Fatalf("the dispatcher's answer %s: %v", got.body, err)
	}
}

// R-P.2.
func TestReferencesThatNobodyCanReadAreDropped(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 100})
	bodies := []string{"", "{", "null", `{"account_id":"x"}`, `{"account_id":"` + a.id + `","message_id":"msg_nonsense"}`, strings.Repeat("x", 100_000)}
	got := s.invoke(t, "DispatcherFunction", sqsEvent(t, a.id, bodies...))
	if got.status != http.StatusOK || !strings.Contains(strings.ReplaceAll(string(got.body), " ", ""), `"batchItemFailures":null`) && strings.Contains(string(got.body), "itemIdentifier") {
		t.Errorf("references that nobody can read: %v", got)
	}
	m := a.send(order(ch, person(), text(unique("text "))))
	a.until(m.ID, 10*time.Second, "read", status("read"))
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 100})

	t.Run("the same request comes again with its first answer", func(t *testing.T) {
		a := a.in(t)
		key, o := unique("key-"), order(ch, person(), text(unique("text ")))
		first := a.call(t, http.MethodPost, "/v1/messages", o, "Idempotency-Key", key)
		m := decode[message](t, first, http.StatusAccepted)
		if first.header.Get("Idempotency-Replayed") != "" {
			t.Errorf("the first answer is marked as replayed")
		}
		for _, again := range []string{key, `"` + key + `"`} {
			got := a.call(t, http.MethodPost, "/v1/messages", o, "Idempotency-Key", again)
			n := decode[message](t, got, http.StatusAccepted)
			if n.ID != m.ID || got.header.Get("Idempotency-Replayed") != "true" || got.header.Get("Location") != "/v1/messages/"+m.ID {
				t.Errorf("the answer to key %s: %v, Idempotency-Replayed %q, Location %q", again, n, got.header.Get("Idempotency-Replayed"), got.header.Get("Location"))
			}
		}
		other := order(ch, person(), text(unique("text ")))
		a.call(t, http.MethodPost, "/v1/messages", other, "Idempotency-Key", key).refused(t, http.StatusUnprocessableEntity, "idempotency_key_reused")
		a.until(m.ID, 10*time.Second, "read", status("read"))
	})
	t.Run("twenty at once make one message", func(t *testing.T) {
		a := a.in(t)
		key, o, ref := unique("key-"), order(ch, person(), text(unique("text "))), unique("ref-")
		o["client_reference"] = ref
		var mu sync.Mutex
		ids := map[string]bool{}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				for range 5000 {
					got := a.call(t, http.MethodPost, "/v1/messages", o, "Idempotency-Key", key)
					if got.status == http.StatusConflict {
						got.refused(t, http.StatusConflict, "idempotency_key_in_use")
						time.Sleep(20 * time.Millisecond)
						continue
					}
					m := decode[message](t, got, http.StatusAccepted)
					mu.Lock()
					ids[m.ID] = true
					mu.Unlock()
					return
				}
				t.Error("the key stays in use")
			})
		}
		all.Wait()
		if found := a.messages("client_reference=" + ref); len(ids) != 1 || len(found) != 1 {
			t.Errorf("%d ids, %d messages", len(ids), len(found))
		}
	})
	t.Run("keys of two accounts have nothing to do with each other", func(t *testing.T) {
		a := a.in(t)
		b, other := ready(t, s, plan{Limit: 100})
		key := unique("key-")
		m := a.send(order(ch, person(), text(unique("text "))), "Idempotency-Key", key)
		n := b.send(order(other, person(), text(unique("text "))), "Idempotency-Key", key)
		if m.ID == n.ID {
			t.Error("another account's answer")
		}
	})
	t.Run("a refused request leaves the key free", func(t *testing.T) {
		a := a.in(t)
		key := unique("key-")
		bad := order(ch, "not a number", text(unique("text ")))
		a.call(t, http.MethodPost, "/v1/messages", bad, "Idempotency-Key", key).refused(t, http.StatusUnprocessableEntity, "recipient_invalid")
		a.send(order(ch, person(), text(unique("text "))), "Idempotency-Key", key)
	})
	t.Run("a key that is too long is refused", func(t *testing.T) {
		a := a.in(t)
		o := order(ch, person(), text(unique("text ")))
		a.call(t, http.MethodPost, "/v1/messages", o, "Idempotency-Key", strings.Repeat("k", 256)).refused(t, http.StatusUnprocessableEntity, "invalid_request")
		a.send(o, "Idempotency-Key", strings.Repeat("k", 255))
	})
	t.Run("a channel is created once", func(t *testing.T) {
		a := a.in(t)
		key := unique("key-")
		what := map[string]any{"provider_id": "edna", "name": "once"}
		s.senders.take()
		defer s.senders.giveBack()
		first := decode[channel](t, a.call(t, http.MethodPost, "/v1/channels", what, "Idempotency-Key", key), http.StatusCreated)
		got := a.call(t, http.MethodPost, "/v1/channels", what, "Idempotency-Key", key)
		if again := decode[channel](t, got, http.StatusCreated); again.ID != first.ID || got.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("the second answer: %v", got)
		}
		a.deleteChannel(first.ID)
	})
	t.Run("an acceptance is recorded once", func(t *testing.T) {
		a := a.in(t)
		key := unique("key-")
		current := decode[rules](t, a.call(t, http.MethodGet, "/v1/rules/current", nil), http.StatusOK)
		var documents []map[string]string
		for _, d := range current.Documents {
			documents = append(documents, map[string]string{"id": d.ID, "version": d.Version, "sha256": d.SHA256})
		}
		what := map[string]any{"rules_version": current.Version, "documents": documents, "capacity": "legal_entity", "legal_entity_name": "Example Ltd"}
		first := a.call(t, http.MethodPost, "/v1/rules/acceptances", what, "Idempotency-Key", key)
		again := a.call(t, http.MethodPost, "/v1/rules/acceptances", what, "Idempotency-Key", key)
		if first.status != http.StatusCreated || again.status != http.StatusCreated || again.header.Get("Idempotency-Replayed") != "true" || string(first.body) != string(again.body) {
			t.Errorf("%v\n%v", first, again)
		}
	})
}

//
func TestCrashesLoseNothingAndSendNothingTwice(t *testing.T) {
	t.Parallel()
	s := ownStack(t, nil)
	sends := scaled(200, 1000)
	a, ch := ready(t, s, plan{Limit: 1_000_000})
	// One channel whose provider reports, so that a message may be found to have arrived, and one whose provider does
	// not, so that it has to be handed over again.
	silent := a.channel()
	s.behave(t, ch.sender(t), map[string]any{"delay_ms": 5, "delay_jitter_ms": 40})
	s.behave(t, silent.sender(t), map[string]any{"delay_ms": 5, "delay_jitter_ms": 40, "callbacks": false})
	ref := unique("crash-")

	done := make(chan struct{})
	var killer sync.WaitGroup
	kills := 0
	killer.Go(func() {
		for i := 0; ; i++ {
			function := "dispatcher"
			if i%2 == 1 {
				function = "messages"
			}
			// Between 1 and 60 ms after the next event comes in, so at any point of the work on it.
			after := time.Duration(1+(i*37)%60) * time.Millisecond
			if i%5 == 4 {
				after = 0 // all that are at work now
			}
			s.kill(t, function, after)
			kills++
			if below := descendants(t, s.cmd.Process.Pid); i%6 == 5 && len(below) > 0 {
				// Any process of any function, whatever it is doing. It may have ended meanwhile.
				_ = syscall.Kill(below[(i*31)%len(below)], syscall.SIGKILL)
				kills++
			}
			select {
			case <-done:
				return
			case <-time.After(time.Duration(60+(i*53)%200) * time.Millisecond):
			}
		}
	})

	var mu sync.Mutex
	answered := map[string]bool{}
	var all sync.WaitGroup
	numbers := numbered(sends)
	retries := 0
	for range 16 {
		all.Go(func() {
			for i := range numbers {
				by := ch
				if i%2 == 1 {
					by = silent
				}
				o := order(by, person(), text(fmt.Sprintf("number %d %s", i, ref)), "client_reference", fmt.Sprintf("%s-%d", ref, i))
				key := fmt.Sprintf("%s-%d", ref, i)
				for tries := 0; ; tries++ {
					got, err := a.try(http.MethodPost, "/v1/messages", o, "Idempotency-Key", key)
					if err == nil && got.status == http.StatusAccepted {
						var m message
						if err := strictly(got.body, &m); err != nil {
							t.Errorf("message %d: %v: %v", i, got, err)
						}
						mu.Lock()
						answered[m.ID] = true
						mu.Unlock()
						break
					}
					inUse := err == nil && got.status == http.StatusConflict
					if err == nil && got.status < 500 && !inUse || tries > 3000 {
						t.Errorf("message %d after %d tries: %v %v", i, tries, got, err)
						break
					}
					mu.Lock()
					retries++
					mu.Unlock()
					time.Sleep(100 * time.Millisecond)
				}
			}
		})
	}
	all.Wait()
	close(done)
	killer.Wait()
	s.spare(t)
	// A process that was killed without the stack's knowledge just now may have been given a request before its end was
	// seen: what asks first is such a client as before.
	wait(t, 20*time.Second, func() (bool, string) {
		got, err := a.try(http.MethodGet, "/v1/messages?client_reference="+ref+"-0", nil)
		return err == nil && got.status == http.StatusOK, fmt.Sprintf("%v %v", got, err)
	})
	if len(answered) != sends {
		t.Errorf("%d messages were answered 202, want %d", len(answered), sends)
	}

	// Everything that was answered comes to an end, and so does what was written but not answered.
	open := map[string]bool{}
	for i := range sends {
		open[fmt.Sprintf("%s-%d", ref, i)] = true
	}
	statuses := map[string]int{}
	wait(t, 8*time.Minute, func() (bool, string) {
		for r := range open {
			found := a.messages("client_reference=" + r)
			ended := len(found) > 0
			for _, m := range found {
				ended = ended && m.final()
			}
			if !ended {
				return false, fmt.Sprintf("%d references are open, such as %s: %v", len(open), r, found)
			}
			for _, m := range found {
				statuses[m.Status]++
				if !answered[m.ID] && m.Status == "queued" {
					t.Errorf("not answered, and still queued: %v", m)
				}
			}
			if len(found) != 1 {
				t.Errorf("%d messages of one Idempotency-Key: %v", len(found), found)
			}
			delete(open, r)
		}
		return true, ""
	})
	calls := s.sends(t, "")
	taken := acceptedOnce(t, calls)
	for id := range answered {
		if accepted(s.callsFor(t, id))[id] != 1 {
			t.Errorf("%s was not accepted by the provider: %v", id, a.message(id))
		}
	}
	u := a.untilUsed(3*time.Minute, int64(taken))
	t.Logf("%d sends, %d kills, %d retries of clients; accepted by the provider %d, calls %d, used %d, statuses %v", sends, kills, retries, taken, len(calls), u.Used, statuses)
	if taken != sends {
		t.Errorf("the provider accepted %d messages, want %d", taken, sends)
	}
}

func TestMessagesToOnePersonKeepTheirOrder(t *testing.T) {
	t.Parallel()
	pairs := scaled(100, 1000)
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 1_000_000})
	before := s.lastCall(t)
	s.behave(t, ch.sender(t), map[string]any{"delay_ms": 0, "delay_jitter_ms": 80, "fail_rate": 0.1})
	type pair struct{ first, second message }
	var mu sync.Mutex
	var sent []pair
	var all sync.WaitGroup
	numbers := numbered(pairs)
	for range 10 {
		all.Go(func() {
			for i := range numbers {
				to := person()
				one := a.send(order(ch, to, text(fmt.Sprintf("first %d %s", i, unique("")))))
				two := a.send(order(ch, to, text(fmt.Sprintf("second %d %s", i, unique("")))))
				mu.Lock()
				sent = append(sent, pair{one, two})
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	a.untilUsed(10*time.Minute, int64(2*pairs))
	at := map[string]int{}
	for i, c := range s.sendsBy(t, ch.sender(t), before) {
		if c.Accepted {
			at[c.RequestID] = i + 1
		}
	}
	for _, p := range sent {
		first, second := at[p.first.ID], at[p.second.ID]
		if first == 0 || second == 0 || second < first {
			t.Errorf("first accepted by call %d, second by call %d: %v %v", first, second, a.message(p.first.ID), a.message(p.second.ID))
		}
	}
	t.Logf("%d pairs in order", len(sent))
}

// R-P.4.
func TestSampleEventsRun(t *testing.T) {
	t.Parallel()
	s := common.shared
	samples := map[string]string{
		"messages": "MessagesFunction", "channels": "ChannelsFunction", "templates": "TemplatesFunction", "endpoints": "EndpointsFunction", "account": "AccountFunction", "operator": "OperatorFunction",
		"dispatcher": "DispatcherFunction", "webhook": "WebhookFunction", "quotareset": "QuotaResetFunction", "release": "QuotaResetFunction",
		"recipients": "RecipientsFunction", "erasure": "ErasureFunction", "notifier": "NotifierFunction",
	}
	for file, function := range samples {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			path := "events/" + file + ".json"
			if _, err := os.Stat(common.root + "/" + path); err != nil {
				t.Fatal(err)
			}
			code, stdout, stderr := command(t, 5*time.Minute, "invoke", function, "-e", path, "-api", strings.TrimPrefix(s.api, "http://"))
			if code != 0 || !json.Valid([]byte(stdout)) {
				t.Fatalf("exit status %d\n%s\n%s", code, stdout, stderr)
			}
			var told struct {
				StatusCode int    `json:"statusCode"`
				Error      string `json:"errorMessage"`
			}
			if err := json.Unmarshal([]byte(stdout), &told); err != nil && stdout != "null\n" {
				t.Fatal(err)
			}
			if told.Error != "" || told.StatusCode >= 500 {
				t.Errorf("%s", stdout)
			}
		})
	}
	entries, err := os.ReadDir(common.root + "/events")
	if err != nil || len(entries) != len(samples) {
		t.Errorf("%d sample events: %v", len(entries), err)
	}
}
