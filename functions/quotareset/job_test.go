package main

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

	"contactcenter/shared/attr"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/release"
	"contactcenter/shared/usage"
)

// jobQueue keeps the jobs that are sent.
type jobQueue struct {
	mu   sync.Mutex
	jobs []release.Job
	wait []int32
	err  error
}

func (q *jobQueue) SendMessageBatch(_ context.Context, in *sqs.SendMessageBatchInput, _ ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return nil, q.err
	}
	if len(in.Entries) > 10 {
		return nil, errors.New("too many entries")
	}
	for _, e := range in.Entries {
		j, err := release.Parse(aws.ToString(e.MessageBody))
		if err != nil {
			return nil, err
		}
		q.jobs, q.wait = append(q.jobs, j), append(q.wait, e.DelaySeconds)
	}
	return &sqs.SendMessageBatchOutput{}, nil
}

func (q *jobQueue) take() []release.Job {
	q.mu.Lock()
	defer q.mu.Unlock()
	jobs := q.jobs
	q.jobs, q.wait = nil, nil
	return jobs
}

// switchboard is a registry of one provider.
type switchboard struct{ entry registry.Entry }

func (s *switchboard) Read(context.Context, string) (registry.Entry, error) { return s.entry, nil }

// members is a plan's list of a page each.
type members []string

func (m members) Members(_ context.Context, _ string, p attr.Page) ([]string, string, error) {
	i := 0
	if p.Token != "" {
		i = slices.Index(m, p.Token) + 1
	}
	if i == len(m)-1 {
		return m[i:], "", nil
	}
	return m[i : i+1], m[i], nil
}

type jobWorld struct {
	*world
	queue    *jobQueue
	provider *switchboard
	waiting  *release.Store
}

func newJobWorld(t *testing.T) *jobWorld {
	w := &jobWorld{world: newWorld(t), queue: &jobQueue{}, provider: &switchboard{registry.Entry{ID: "edna", Version: 2, Status: registry.Enabled}}}
	w.waiting = &release.Store{DB: w.usage.DB.(release.DynamoDB), Table: w.usage.Table, Now: w.clock.now}
	w.handler.Jobs = Jobs{Waiting: w.waiting, Members: members{"acct_1", "acct_2", "acct_3"}, Providers: w.provider, Queue: &release.Queue{SQS: w.queue, URL: "http://release"}}
	return w
}

// invoke gives the function a batch of the release queue, and returns the ids of the records that come again.
func (w *jobWorld) invoke(bodies ...string) []string {
	w.t.Helper()
	var e events.SQSEvent
	for i, body := range bodies {
		e.Records = append(e.Records, events.SQSMessage{MessageId: fmt.Sprint(i), Body: body})
	}
	raw, err := json.Marshal(e)
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := w.handler.Invoke(w.t.Context(), raw)
	if err != nil {
		w.t.Fatal(err)
	}
	var again []string
	for _, f := range out.(events.SQSEventResponse).BatchItemFailures {
		again = append(again, f.ItemIdentifier)
	}
	return again
}

// do runs jobs, and those that they make, until there are none.
func (w *jobWorld) do(jobs ...release.Job) {
	w.t.Helper()
	for len(jobs) > 0 {
		var bodies []string
		for _, j := range jobs {
			b, err := json.Marshal(j)
			if err != nil {
				w.t.Fatal(err)
			}
			bodies = append(bodies, string(b))
		}
		if again := w.invoke(bodies...); len(again) > 0 {
			w.t.Fatalf("jobs %v failed of %v", again, bodies)
		}
		jobs = w.queue.take()
	}
}

// what was held goes on as soon as the provider is enabled, in order, each message once; accounts are found by
// their marks, however many there are and whatever kind of channel they have.
func TestEnablingAProviderReleasesWhatWaitsForItInOrder(t *testing.T) {
	t.Parallel()
	w := newJobWorld(t)
	const accounts, each = 130, 3
	want := map[string][]string{}
	for i := range accounts {
		account := fmt.Sprintf("acct_%d", i)
		w.gate(account)
		if err := w.waiting.Mark(t.Context(), account, "edna", 1); err != nil {
			t.Fatal(err)
		}
		if i%13 != 0 {
			continue
		}
		for range each {
			m := w.hold(w.message(account, recipient(i)), message.HeldProviderDisabled)
			want[account] = append(want[account], m.ID.String())
		}
	}
	w.channels.set("chn_1", message.HeldProviderDisabled)
	w.provider.entry.Status = registry.Disabled
	jobs := func(last bool) (list []release.Job) {
		for i := range usage.Shards {
			list = append(list, release.Job{ProviderID: "edna", Shard: fmt.Sprintf("s%02d", i), Last: last})
		}
		return list
	}
	w.do(jobs(false)...)
	if sent := w.refs.take(); len(sent) > 0 {
		t.Fatalf("while the provider is disabled, %d messages are released", len(sent))
	}
	w.channels.set("chn_1", "")
	w.provider.entry.Status, w.provider.entry.Version = registry.Enabled, 2
	w.do(jobs(false)...)
	got := map[string][]string{}
	for _, ref := range w.refs.take() {
		if n := len(got[ref.account]); int(ref.delay) != n { // one after the other, so that none meets the one before on its way
			t.Errorf("message %d of a conversation comes after %d s", n+1, ref.delay)
		}
		got[ref.account] = append(got[ref.account], ref.message.String())
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("released are\n%v, want\n%v", got, want)
	}
	for _, j := range jobs(true) { // whose account jobs are lost
		w.invoke(fmt.Sprintf(`{"provider_id":"edna","shard":%q,"last":true}`, j.Shard))
	}
	w.queue.take()
	if s := w.sweep(); s.Accounts != accounts {
		t.Errorf("after the last look the schedule looks at %d accounts, want %d", s.Accounts, accounts)
	}
	if sent := w.refs.take(); len(sent) > 0 {
		t.Errorf("the last looks release %d messages again", len(sent))
	}
	for i := range usage.Shards {
		if left, _, err := w.waiting.Waiting(t.Context(), "edna", fmt.Sprintf("s%02d", i), ""); err != nil || len(left) > 0 {
			t.Errorf("after the last look %v are still marked, %v", left, err)
		}
	}
}

func TestAMarkThatWasMadeAfterTheProviderWasDisabledAgainStays(t *testing.T) {
	t.Parallel()
	w := newJobWorld(t)
	if err := w.waiting.Mark(t.Context(), "acct_1", "edna", 3); err != nil {
		t.Fatal(err)
	}
	shard := usage.Shard("acct_1")
	w.do(release.Job{ProviderID: "edna", Shard: shard, Last: true}) // that saw version 2
	if left, _, err := w.waiting.Waiting(t.Context(), "edna", shard, ""); err != nil || len(left) != 1 {
		t.Errorf("marked are %v, %v", left, err)
	}
	w.provider.entry.Version = 4
	w.do(release.Job{ProviderID: "edna", Shard: shard, Last: true})
	if left, _, err := w.waiting.Waiting(t.Context(), "edna", shard, ""); err != nil || len(left) != 0 {
		t.Errorf("marked are %v, %v", left, err)
	}
}

// a raised plan reaches what its members have held, however many they are.
func TestAPlansJobReachesAllItsMembers(t *testing.T) {
	t.Parallel()
	w := newJobWorld(t)
	var want []string
	for _, account := range []string{"acct_1", "acct_3"} {
		w.gate(account)
		want = append(want, w.held(account, recipient(1)).ID.String())
	}
	w.do(release.Job{PlanID: "demo"})
	var got []string
	for _, ref := range w.refs.take() {
		got = append(got, ref.message.String())
	}
	slices.Sort(got)
	slices.Sort(want)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("released are %v, want %v", got, want)
	}
}

func TestAJobThatFailsComesAgainAndOneThatCantBeReadDoesNot(t *testing.T) {
	t.Parallel()
	w := newJobWorld(t)
	w.gate("acct_1")
	held := w.held("acct_1", recipient(1))
	w.queue.err = errors.New("queue is down")
	again := w.invoke(`{"plan_id":"demo"}`, `no job`, `{"account_id":"acct_1"}`, `{"account_id":"acct_1","plan_id":"demo"}`, `{"provider_id":"edna"}`, `{}`)
	if fmt.Sprint(again) != "[0]" {
		t.Errorf("%v come again", again)
	}
	if sent := w.refs.take(); len(sent) != 1 || sent[0].message != held.ID {
		t.Errorf("released are %v", sent)
	}
}

// When an invocation's time is up, the rest of a list is a job of its own, and no job is lost.
func TestAListThatIsTooLongForOneInvocationGoesOnInAnother(t *testing.T) {
	t.Parallel()
	w := newJobWorld(t)
	work, cancel := context.WithCancel(t.Context())
	cancel()
	err := w.handler.pages(t.Context(), work, release.Job{PlanID: "demo"}, func(after string) ([]string, string, error) {
		return w.handler.Jobs.Members.Members(t.Context(), "demo", attr.Page{Token: after})
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(w.queue.take()); !strings.Contains(got, "acct_1") || !strings.Contains(got, "demo acct_1") {
		t.Errorf("queued are %s", got)
	}
}

func TestTheScheduleStillSweeps(t *testing.T) {
	t.Parallel()
	w := newJobWorld(t)
	out, err := w.handler.Invoke(t.Context(), json.RawMessage(`{"source":"schedule"}`))
	if s, ok := out.(Summary); err != nil || !ok || s.Shards != usage.Shards {
		t.Errorf("the answer is %+v, %v", out, err)
	}
	if _, err := w.handler.Invoke(t.Context(), json.RawMessage(`[]`)); err == nil {
		t.Error("an event that is none is taken")
	}
}

func TestWhoMakesRoomAsksForThreeLooks(t *testing.T) {
	t.Parallel()
	q := &jobQueue{}
	r := &release.Queue{SQS: q, URL: "http://release"}
	if err := errors.Join(r.Account(t.Context(), "acct_1"), r.Plan(t.Context(), "demo")); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(q.wait) != "[0 6 25 0 6 25]" || q.jobs[0].AccountID != "acct_1" || q.jobs[5].PlanID != "demo" || !q.jobs[5].Last || q.jobs[4].Last {
		t.Errorf("queued are %+v after %v seconds", q.jobs, q.wait)
	}
	q.take()
	if err := r.Provider(t.Context(), "edna"); err != nil {
		t.Fatal(err)
	}
	if len(q.jobs) != 3*usage.Shards || q.jobs[usage.Shards-1].Shard != "s15" || time.Duration(q.wait[usage.Shards])*time.Second < registry.CacheAge {
		t.Errorf("queued are %+v after %v seconds", q.jobs, q.wait)
	}
}
