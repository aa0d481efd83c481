package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"contactcenter/shared/account"
	"contactcenter/shared/api/apitest"
	"contactcenter/shared/audit"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/delivery"
	"contactcenter/shared/endpoint"
	"contactcenter/shared/event"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
	"contactcenter/shared/usage"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// world is a notifier whose queues are lists, with a clock that only the test moves.
type world struct {
	*Notifier
	t         *testing.T
	clock     *apitest.Clock
	endpoints *endpoint.Store
	kept      *delivery.Store
	log       *audit.Log
	env       *awstest.Env
	accounts  *account.Store
	made      int

	mu sync.Mutex
	// waiting are queued jobs with when they become visible; events what was published, replays what was asked for.
	waiting []job
	events  []event.Event
	replays []delivery.Replay
	// answers are what an endpoint gives, by its URL; sent what it got.
	answers map[string]delivery.Answer
	sent    []sending
	shown   any
	showErr error
}

type job struct {
	delivery.Job
	at time.Time
}

type sending struct {
	url, eventID string
	body         map[string]any
	secrets      []string
	at           time.Time
}

func (w *world) Send(_ context.Context, url, eventID string, body []byte, secrets ...string) delivery.Answer {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := sending{url: url, eventID: eventID, secrets: secrets, at: w.clock.Now()}
	if err := json.Unmarshal(body, &s.body); err != nil {
		w.t.Error(err)
	}
	w.sent = append(w.sent, s)
	if a, ok := w.answers[url]; ok {
		return a
	}
	return delivery.Answer{Code: http.StatusOK, Took: 3 * time.Millisecond}
}

func (w *world) Show(context.Context, event.Event) (any, error) { return w.shown, w.showErr }

func (w *world) Publish(_ context.Context, list ...event.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, list...)
	return nil
}

func (w *world) Ask(_ context.Context, r delivery.Replay) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.replays = append(w.replays, r)
	return nil
}

// queue is the world as a Queue, whose Send has another form.
type queue struct{ *world }

func (q queue) Send(_ context.Context, delay time.Duration, jobs ...delivery.Job) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, j := range jobs {
		q.waiting = append(q.waiting, job{j, q.clock.Now().Add(delay)})
	}
	return nil
}

func newWorld(t *testing.T) *world {
	t.Helper()
	env := awstest.New(t)
	w := &world{t: t, clock: apitest.NewClock(noon), answers: map[string]delivery.Answer{}, shown: map[string]any{"id": "msg_1"}, log: audittest.New(t, env), env: env}
	table := env.Table(t.Context(), awstest.AccountsTable())
	accounts := &account.Store{DB: env.DynamoDB, Table: table, Now: w.clock.Now, DefaultPlanID: "demo", Audit: w.log}
	if _, _, err := accounts.PutPlan(t.Context(), account.Plan{ID: "demo", Limit: 10, Period: usage.Month, Rate: account.Rate{Limit: 1, WindowSeconds: 1}}, audittest.ByOperator()); err != nil {
		t.Fatal(err)
	}
	for _, accountID := range []string{"acct_1", "acct_2"} {
		if _, err := accounts.Get(t.Context(), accountID); err != nil {
			t.Fatal(err)
		}
	}
	w.accounts = accounts
	w.endpoints = &endpoint.Store{DB: env.DynamoDB, Table: table, Now: w.clock.Now, Sealer: sealtest.Sealer(seal.Webhooks), Opener: sealtest.Opener(seal.Webhooks), Audit: w.log}
	w.kept = &delivery.Store{DB: env.DynamoDB, Table: env.Table(t.Context(), awstest.EventsTable()), Now: w.clock.Now}
	w.Notifier = &Notifier{
		Endpoints: w.endpoints, Kept: w.kept, Events: w, Queue: queue{w}, Replays: w, Resources: w, Sender: w,
		Log: slog.New(slog.DiscardHandler), Now: w.clock.Now, Random: func() uint64 { return 0 },
	}
	return w
}

// create makes an endpoint of an account at a URL of its own.
func (w *world) create(accountID string, types event.Set) endpoint.Endpoint {
	w.t.Helper()
	w.made++
	secret, err := endpoint.NewSecret(rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	e := endpoint.Endpoint{ID: fmt.Sprintf("whk_%016d", w.made), AccountID: accountID, URL: fmt.Sprintf("https://crm%d.example.com/", w.made), Types: types, Status: endpoint.Enabled, CreatedAt: noon}
	if err := w.endpoints.Create(w.t.Context(), e, secret, audittest.By(accountID)); err != nil {
		w.t.Fatal(err)
	}
	return w.endpoint(e)
}

func (w *world) endpoint(e endpoint.Endpoint) endpoint.Endpoint {
	w.t.Helper()
	got, err := w.endpoints.Get(w.t.Context(), e.AccountID, e.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

func (w *world) delivery(e endpoint.Endpoint, ev event.Event) delivery.Delivery {
	w.t.Helper()
	d, err := w.kept.Get(w.t.Context(), e.ID, ev.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// answer sets what an endpoint answers.
func (w *world) answer(e endpoint.Endpoint, a delivery.Answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers[e.URL] = a
}

// invoke calls the function with one record for each body.
func (w *world) invoke(bodies ...any) {
	w.t.Helper()
	var in events.SQSEvent
	for i, b := range bodies {
		text, err := json.Marshal(b)
		if err != nil {
			w.t.Fatal(err)
		}
		in.Records = append(in.Records, events.SQSMessage{MessageId: fmt.Sprint(i), Body: string(text)})
	}
	raw, err := json.Marshal(in)
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := w.Invoke(w.t.Context(), raw)
	if err != nil || len(out.(events.SQSEventResponse).BatchItemFailures) > 0 {
		w.t.Fatalf("%+v, %v", out, err)
	}
}

// work delivers what is visible in the queue, until nothing is.
func (w *world) work() {
	w.t.Helper()
	for {
		w.mu.Lock()
		now := w.clock.Now()
		var batch []any
		w.waiting = slices.DeleteFunc(w.waiting, func(j job) bool {
			if len(batch) == 10 || j.at.After(now) {
				return false
			}
			batch = append(batch, j.Job)
			return true
		})
		w.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		w.invoke(batch...)
	}
}

// pass lets time pass as the world does: the schedule runs every minute, or 60 times in all where it is long; jobs come when they
// are due.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	for until := w.clock.Now().Add(d); w.clock.Now().Before(until); {
		w.clock.Pass(min(max(time.Minute, d/60), until.Sub(w.clock.Now())))
		if _, err := w.Invoke(w.t.Context(), json.RawMessage(`{"source":"schedule"}`)); err != nil {
			w.t.Fatal(err)
		}
		w.work()
	}
}

// to gives what was sent to an endpoint.
func (w *world) to(e endpoint.Endpoint) []sending {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []sending
	for _, s := range w.sent {
		if s.url == e.URL {
			out = append(out, s)
		}
	}
	return out
}

func of(n int) event.Event {
	return event.New(event.MessageSent, "acct_1", fmt.Sprintf("msg_%d", n), noon, "")
}
