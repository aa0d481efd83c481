package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"contactcenter/shared/api"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/recipient"
)

func batchOf(items ...string) string { return `{"messages":[` + strings.Join(items, ",") + `]}` }

func (a answer) results(t *testing.T) []api.BatchResult {
	t.Helper()
	var out api.BatchResults
	if err := json.Unmarshal(a.body, &out); err != nil || a.status != http.StatusAccepted {
		t.Fatalf("answered %d %s", a.status, a.body)
	}
	return out.Results
}

// said is what came of each message of a batch: its id, or the code of its problem.
func said(results []api.BatchResult) []string {
	out := make([]string, len(results))
	for i, r := range results {
		if r.Message != nil {
			out[i] = r.Message.ID
		} else {
			out[i] = string(r.Problem.Code)
		}
	}
	return out
}

func TestEachMessageOfABatchHasItsOwnResult(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	good := s.text("one")
	results := s.call(testAccount, "POST", "/v1/messages/batch", batchOf(good, `{"content":{}}`, s.text(strings.Repeat("x", 5000)), `7`, s.textTo("+357", "x", ""), s.textTo(testAddress, "x", `,"colour":"red"`), s.text("two"))).results(t)
	want := []string{"", "invalid_request", "content_not_supported", "invalid_request", "recipient_invalid", "invalid_request", ""}
	for i, r := range results {
		if r.Index != i || (r.Message == nil) == (r.Problem == nil) || (r.Problem != nil) != (want[i] != "") || r.Problem != nil && string(r.Problem.Code) != want[i] {
			t.Errorf("%d: %+v", i, r)
		}
	}
	if p := results[2].Problem; p.Errors[0].Field != "content.text" || p.RequestID == "" || p.Status != 422 {
		t.Errorf("a problem of a batch is %+v", p)
	}
	if p := results[5].Problem; p.Errors[0].Field != "colour" {
		t.Errorf("a field is called %s", p.Errors[0].Field)
	}
	first, second := s.get(results[0].Message.ID), s.get(results[6].Message.ID)
	if first.Content.Text != "one" || second.Content.Text != "two" || first.Status != message.Queued || first.ID >= second.ID {
		t.Errorf("read %s %s, %s %s", first.ID, first.Status, second.ID, second.Status)
	}
	if n := len(s.queued()); n != 2 {
		t.Errorf("%d references are queued", n)
	}
}

func TestABatchTakesATenthOfTheRequestsToTheQueue(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	var items []string
	for i := range maxBatch {
		items = append(items, s.textTo(fmt.Sprintf("+35799%06d", i%7), fmt.Sprint(i), ""))
	}
	results := s.call(testAccount, "POST", "/v1/messages/batch", batchOf(items...)).results(t)
	ids := said(results)
	if !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != maxBatch || !id.Valid(id.ConversationPrefix, results[0].Message.ConversationID) {
		t.Error("the ids are not those of 100 messages in their order")
	}
	if s.queue.batches != maxBatch/10 || s.queue.plain+s.queue.later != 0 {
		t.Errorf("%d requests to the queue", s.queue.batches+s.queue.plain+s.queue.later)
	}
}

func TestWhatStandsAgainstTheWholeBatchIsItsAnswer(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	many := make([]string, maxBatch+1)
	for i := range many {
		many[i] = "{}"
	}
	for _, c := range []struct {
		name, body string
		status     int
		field      string
	}{
		{"no messages", `{"messages":[]}`, 422, "messages"},
		{"no list", `{"messages":{}}`, 422, "messages"},
		{"nothing", `{}`, 422, "messages"},
		{"no object", `[]`, 422, "body"},
		{"more than 100", batchOf(many...), 422, "messages"},
		{"a field that nobody knows", `{"messages":[{}],"dry_run":true}`, 422, "dry_run"},
		{"the list twice", `{"messages":[{}],"messages":[{}]}`, 422, "messages"},
		{"no JSON", `{"messages":`, 400, ""},
		{"more than fits", `{"messages":["` + strings.Repeat("x", maxBatchBody) + `"]}`, 413, ""},
	} {
		a := s.call(testAccount, "POST", "/v1/messages/batch", c.body)
		p := a.problem(t)
		if a.status != c.status || c.field != "" && (len(p.Errors) == 0 || p.Errors[0].Field != c.field) {
			t.Errorf("%s: answered %d %s", c.name, a.status, a.body)
		}
	}
	if a := s.call("acct_new", "POST", "/v1/messages/batch", batchOf(s.text("x"))); a.status != 403 || a.problem(t).Code != api.CodeRulesNotAccepted {
		t.Errorf("Rules that are not accepted: answered %d", a.status)
	}
	if len(s.queued()) != 0 {
		t.Error("something was queued")
	}
}

func TestARepeatedBatchGivesTheSameResults(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	body := batchOf(s.text("one"), s.textTo("+1", "x", ""), s.text("two"))
	first := said(s.call(testAccount, "POST", "/v1/messages/batch", body, "Idempotency-Key: k1").results(t))
	s.provider(registry.Disabled) // whatever has changed since
	again := s.call(testAccount, "POST", "/v1/messages/batch", body, "Idempotency-Key: k1")
	if got := said(again.results(t)); !slices.Equal(got, first) || again.header.Get("Idempotency-Replayed") != "true" || again.results(t)[2].Message.Content.Text != "two" {
		t.Errorf("first %v, then %v", first, got)
	}
	if n := len(s.queued()); n != 2 {
		t.Errorf("%d references are queued", n)
	}
	if p := s.call(testAccount, "POST", "/v1/messages/batch", batchOf(s.text("other")), "Idempotency-Key: k1").problem(t); p.Code != api.CodeKeyReused {
		t.Errorf("another payload: %s", p.Code)
	}
}

// R-P.1: a message that could not be queued or recorded has a problem of its own, and the same key runs again under the same
// ids: what was accepted by the first request is not accepted twice.
func TestABatchThatWasCutShortRunsAgainUnderTheSameIDs(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	var items []string
	for i := range 12 {
		items = append(items, s.text(fmt.Sprint(i)))
	}
	body := batchOf(items...)
	s.queue.failFrom(2) // the second ten
	first := said(s.call(testAccount, "POST", "/v1/messages/batch", body, "Idempotency-Key: k1").results(t))
	if first[9] == "try_again" || first[10] != "try_again" || first[11] != "try_again" {
		t.Fatalf("got %v", first)
	}
	s.queue.failFrom(0)
	s.advance(time.Second)
	second := said(s.call(testAccount, "POST", "/v1/messages/batch", body, "Idempotency-Key: k1").results(t))
	if !slices.Equal(first[:10], second[:10]) || second[10] == "try_again" || !slices.IsSorted(second) {
		t.Errorf("first %v, then %v", first, second)
	}
	third := s.call(testAccount, "POST", "/v1/messages/batch", body, "Idempotency-Key: k1")
	if got := said(third.results(t)); !slices.Equal(got, second) || third.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("then %v", got)
	}
	list, _ := s.list("conversation_id="+id.ConversationPrefix+s.mid(second[0]).Conversation, 200)
	if len(list) != 12 {
		t.Errorf("there are %d messages", len(list))
	}
}

// unread is DynamoDB that reads nothing by several keys.
type unread struct{ awsclient.BatchGetter }

func (unread) BatchGetItem(context.Context, *dynamodb.BatchGetItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	return nil, errInjected
}

// What can't be read is no reason to refuse, and none to accept.
func TestWhatCanNotBeReadAheadIsAnsweredTryAgain(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.h.DB = unread{s.h.DB}
	if a := s.call(testAccount, "POST", "/v1/messages", s.text("x")); a.status != 503 || a.problem(t).Code != api.CodeTryAgain || a.header.Get("RateLimit") != "" {
		t.Errorf("a message is answered %d %s", a.status, a.body)
	}
	if a := s.call(testAccount, "POST", "/v1/messages", s.textTo("+357", "x", "")); a.status != 422 {
		t.Errorf("a mistake is answered %d %s", a.status, a.body)
	}
	for _, what := range said(s.call(testAccount, "POST", "/v1/messages/batch", batchOf(s.text("x"), s.text("y"))).results(t)) {
		if what != string(api.CodeTryAgain) {
			t.Errorf("a batch's message is answered %s", what)
		}
	}
	if n := len(s.queued()); n != 0 {
		t.Errorf("%d references are queued", n)
	}
}

// What the messages of a batch have in common is read once, as docs/performance.md tells.
func TestABatchReadsOnceWhatItsMessagesShare(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	warm := s.send("warm")
	stopped := "+35799700700"
	o := recipient.OptOut{ChannelID: s.channel.ID, Since: s.clock(), Source: recipient.ByRecipient}
	stops := &recipient.Stops{DB: s.recipients.DB, Table: s.recipients.Table, Keys: s.h.Conversations}
	s.must(stops.Record(t.Context(), testAccount, stopped, o))
	items := []string{s.textTo(stopped, "no", ""), `{"conversation_id":"` + warm.ConversationID + `","content":{"type":"text","text":"again"}}`}
	for i := len(items); i < maxBatch; i++ {
		items = append(items, s.textTo(fmt.Sprintf("+35799%06d", i%7), fmt.Sprint(i), ""))
	}
	s.counter.Reset()
	results := s.call(testAccount, "POST", "/v1/messages/batch", batchOf(items...)).results(t)
	got := s.counter.Report().Total
	for i, what := range said(results) {
		if refused := what == string(api.CodeRecipientOptedOut); refused != (i == 0) {
			t.Errorf("%d: %s", i, what)
		}
	}
	// The gate, the channel and the opt-outs; where the conversation goes; ten requests to the queue, and 99 writes.
	if want := int64(1 + 1 + 10 + 99); got.Requests != want || got.WriteUnits != 99 || got.ReadUnits > 6.5 {
		t.Errorf("it took %+v, want %d requests: %+v", got, want, s.counter.Report().Calls)
	}
}

// A batch that finds the number used up asks once whether a unit may still come back.
func TestABatchAtTheLimitAsksOnceForUnitsThatMayComeBack(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	for i := range 3 {
		s.dispatch(s.send(fmt.Sprint("m", i)).ID)
	}
	items := slices.Repeat([]string{s.text("one too many")}, 20)
	s.counter.Reset()
	results := s.call(testAccount, "POST", "/v1/messages/batch", batchOf(items...)).results(t)
	for i, what := range said(results) {
		if what != string(api.CodeUsageLimitReached) {
			t.Errorf("%d: %s", i, what)
		}
	}
	if got := s.counter.Report().Total; got.Requests > 4 || got.WriteUnits != 0 {
		t.Errorf("it took %+v: %+v", got, s.counter.Report().Calls)
	}
}
