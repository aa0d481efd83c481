package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"contactcenter/shared/api"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/content"
	"contactcenter/shared/delivery"
	"contactcenter/shared/endpoint"
	"contactcenter/shared/event"
)

// an event goes to those endpoints of its account that ask for its type, once.
func TestAnEventGoesToWhoeverAskedForIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sent, _ := event.SetOf("message.sent")
	read, _ := event.SetOf("message.read")
	asks, asksOther, foreign, all := w.create("acct_1", sent), w.create("acct_1", read), w.create("acct_2", event.All), w.create("acct_1", event.All)
	e := of(1)
	w.invoke(e)
	w.invoke(e, e) // as often as it is published
	w.work()
	for name, c := range map[string]struct {
		at endpoint.Endpoint
		n  int
	}{"one that asked": {asks, 1}, "one that asks for all": {all, 1}, "one that asked for another type": {asksOther, 0}, "another account's": {foreign, 0}} {
		got := w.to(c.at)
		if len(got) != c.n {
			t.Errorf("%s was sent %d", name, len(got))
			continue
		}
		if c.n > 0 && (got[0].eventID != e.ID || got[0].body["type"] != "message.sent" || got[0].body["timestamp"] != "2026-11-24T12:00:00.000Z" || got[0].body["account_id"] != "acct_1" || len(got[0].secrets) != 1) {
			t.Errorf("%s was sent %+v", name, got[0])
		}
	}
	if d := w.delivery(asks, e); d.Status != delivery.Delivered || d.Attempts != 1 || d.Code != http.StatusOK || d.Took != 3*time.Millisecond {
		t.Errorf("%+v", d)
	}
	w.invoke(delivery.Job{EndpointID: asks.ID, Event: e})
	if n := len(w.to(asks)); n != 1 {
		t.Errorf("a delivery that SQS gave twice was sent %d times", n)
	}
}

func TestAnEventOfEverybodyIsPublishedForEachWhoListens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sent, _ := event.SetOf("message.sent")
	w.create("acct_1", sent)
	w.create("acct_2", event.All)
	e := event.New(event.RulesPublished, "", "2026-12-01", noon, "")
	w.invoke(e)
	if len(w.events) != 1 || w.events[0].AccountID != "acct_2" || w.events[0].ID == e.ID || w.events[0] != e.For("acct_2") {
		t.Errorf("%+v", w.events)
	}
}

// What an endpoint answers decides whether, and when, it is tried again.
func TestAnEventThatComesTwiceAtOnceIsSentOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	asks := w.create("acct_1", event.All)
	one, other := event.New(event.MessageSent, "acct_1", "msg_1", noon, ""), event.New(event.MessageSent, "acct_1", "msg_2", noon, "")
	job := func(e event.Event, run string) delivery.Job {
		return delivery.Job{EndpointID: asks.ID, Event: e, Run: run}
	}
	w.invoke(job(one, ""), job(other, ""), job(one, ""))
	if got := w.to(asks); len(got) != 2 {
		t.Errorf("two events were sent %d times", len(got))
	}
	w.invoke(job(one, "run_1"), job(one, "run_1")) // a replay sends it again, once
	if got := w.to(asks); len(got) != 3 {
		t.Errorf("with a replay of one they were sent %d times", len(got))
	}
}

func TestAFailedDeliveryIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer delivery.Answer
		// again is when the second attempt is, at the latest; 0: there is none.
		again, atLeast time.Duration
	}{
		"it failed":                       {delivery.Answer{Code: 500}, 6 * time.Second, 5 * time.Second},
		"it did not understand":           {delivery.Answer{Code: 400}, 6 * time.Second, 5 * time.Second},
		"it redirects":                    {delivery.Answer{Code: 302}, 6 * time.Second, 5 * time.Second},
		"it did not answer":               {delivery.Answer{Why: delivery.WhyTimeout}, 12 * time.Second, 5 * time.Second},
		"it is not there":                 {delivery.Answer{Why: delivery.WhyUnreachable}, 12 * time.Second, 5 * time.Second},
		"it has too much, and says when":  {delivery.Answer{Code: 429, RetryAfter: time.Minute}, 2 * time.Minute, time.Minute},
		"it is down for an hour, it says": {delivery.Answer{Code: 503, RetryAfter: time.Hour}, 62 * time.Minute, time.Hour},
		"it is gone":                      {delivery.Answer{Code: 410}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ep := w.create("acct_1", event.All)
			w.answer(ep, c.answer)
			e := of(1)
			w.invoke(e)
			w.work()
			if n := len(w.to(ep)); n != 1 {
				t.Fatalf("%d attempts", n)
			}
			w.answer(ep, delivery.Answer{Code: 204})
			if c.again == 0 {
				w.pass(2 * time.Hour)
				if got := w.endpoint(ep); len(w.to(ep)) != 1 || got.Status != endpoint.Disabled || got.Why != endpoint.Gone || w.delivery(ep, e).Status != delivery.Failed {
					t.Errorf("%d attempts, %+v", len(w.to(ep)), got)
				}
				return
			}
			for range 200 {
				if len(w.to(ep)) > 1 {
					break
				}
				w.clock.Pass(c.again / 100)
				if _, err := w.Invoke(t.Context(), []byte(`{"source":"schedule"}`)); err != nil {
					t.Fatal(err)
				}
				w.work()
			}
			got := w.to(ep)
			if len(got) != 2 || got[1].at.Sub(noon) < c.atLeast || got[1].at.Sub(noon) > c.again || got[1].eventID != got[0].eventID {
				t.Fatalf("%+v", got)
			}
			if d, ep := w.delivery(ep, e), w.endpoint(ep); d.Status != delivery.Delivered || d.Attempts != 2 || !ep.FailingSince.IsZero() || !ep.QuietUntil.IsZero() {
				t.Errorf("%+v, %+v", d, ep)
			}
		})
	}
}

// failing fails one of the table's updates.
type failing struct {
	delivery.DynamoDB
	left int // updates until then
}

func (f *failing) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, o ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	if f.left--; f.left == 0 {
		return nil, errors.New("the engine is not there")
	}
	return f.DynamoDB.UpdateItem(ctx, in, o...)
}

// What the sweep has taken nobody else takes for minutes: so it queues that, whatever becomes of the rest.
func TestWhatTheSweepHasTakenIsQueuedWhateverBecomesOfTheRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ep := w.create("acct_1", event.All)
	w.answer(ep, delivery.Answer{Code: 503, RetryAfter: time.Hour})
	w.invoke(of(1))
	w.invoke(of(2))
	w.work()
	w.clock.Pass(2 * time.Hour)
	w.kept.DB = &failing{DynamoDB: w.kept.DB, left: 2}
	if _, err := w.Invoke(t.Context(), []byte(`{"source":"schedule"}`)); err == nil {
		t.Error("nothing is said of the failure")
	}
	if len(w.waiting) != 1 {
		t.Errorf("%d deliveries are queued, want the one that was taken", len(w.waiting))
	}
}

func TestTheIntervalsGrowOverThreeDays(t *testing.T) {
	t.Parallel()
	d := delivery.Delivery{FirstAt: noon, LastAt: noon, Attempts: 1}
	var last time.Duration
	for n := 1; ; n++ {
		at, again := d.Again(0, uint64(n)*7919)
		if wait := at.Sub(d.LastAt); wait < last/2 || wait < 5*time.Second || wait > 18*time.Hour {
			t.Errorf("attempt %d comes %v after the one before, which came after %v", n+1, wait, last)
		} else {
			last = wait
		}
		if !again {
			if total := d.LastAt.Sub(noon); total < 48*time.Hour || n < 9 {
				t.Errorf("given up after %d attempts in %v", n, total)
			}
			return
		}
		d.LastAt, d.Attempts = at, d.Attempts+1
	}
}

func TestAnEndpointThatFailsForThreeDaysIsDisabled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ep := w.create("acct_1", event.All)
	w.answer(ep, delivery.Answer{Code: 500})
	for i := range 8 { // something happens now and then
		w.invoke(of(i))
		w.work()
		w.pass(10 * time.Hour)
		if got := w.endpoint(ep); got.Status == endpoint.Disabled && w.clock.Now().Sub(noon) < endpoint.FailingFor {
			t.Errorf("disabled too early: %+v", got)
		}
	}
	w.invoke(of(9))
	w.work()
	if got := w.endpoint(ep); got.Status != endpoint.Disabled || got.Why != endpoint.Failing || got.DisabledAt.Sub(noon) < endpoint.FailingFor {
		t.Fatalf("%+v", got)
	}
	n := len(w.to(ep))
	w.invoke(of(10))
	w.pass(time.Hour)
	if len(w.to(ep)) != n {
		t.Error("one that is disabled is sent something")
	}
	// What happened meanwhile is there to be replayed.
	if list, _, err := w.kept.Events(t.Context(), "acct_1", noon, w.clock.Now(), "", 100); err != nil || len(list) != 10 {
		t.Errorf("%d events, %v", len(list), err)
	}
}

// A dead endpoint costs one try at a time, and its backlog waits in the table, not in the queue.
func TestADeadEndpointDelaysNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dead, alive := w.create("acct_1", event.All), w.create("acct_2", event.All)
	w.answer(dead, delivery.Answer{Why: delivery.WhyTimeout, Took: delivery.Timeout})
	w.invoke(of(0))
	w.work()
	w.pass(30 * time.Minute) // it is known to be dead by now
	before := len(w.to(dead))
	for i := range 200 {
		w.invoke(of(i + 1))
	}
	other := event.New(event.MessageSent, "acct_2", "msg_9", noon, "")
	w.invoke(other)
	w.work()
	if n := len(w.to(dead)) - before; n > 2 {
		t.Errorf("200 events for a dead endpoint made %d calls", n)
	}
	if n := len(w.to(alive)); n != 1 {
		t.Errorf("the other endpoint was sent %d", n)
	}
	if n := len(w.waiting); n > 2 {
		t.Errorf("%d deliveries of a dead endpoint wait in the queue", n)
	}
	w.answer(dead, delivery.Answer{Code: 200})
	w.pass(3 * time.Hour)
	if got := map[string]bool{}; true {
		for _, s := range w.to(dead) {
			got[s.eventID] = true
		}
		if len(got) != 201 {
			t.Errorf("of 201 events %d arrived when it was back", len(got))
		}
	}
	for i := range 201 {
		if d := w.delivery(dead, of(i)); d.Status != delivery.Delivered {
			t.Fatalf("event %d: %+v", i, d)
		}
	}
}

func TestAReplaySendsAgainWhatWasDelivered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ep := w.create("acct_1", event.All)
	for i := range 150 { // more than a page
		w.invoke(event.New(event.MessageSent, "acct_1", "msg_1", noon.Add(time.Duration(i)*time.Second), ""))
	}
	w.work()
	r := delivery.Replay{EndpointID: ep.ID, AccountID: "acct_1", Run: "run_1", From: noon, To: noon.Add(140 * time.Second)}
	w.replays = []delivery.Replay{r}
	for n := 0; len(w.replays) > 0 && n < 10; n++ {
		next := w.replays[0]
		w.replays = w.replays[1:]
		w.invoke(next, next) // SQS gives it twice
	}
	w.work()
	times := map[string]int{}
	for _, s := range w.to(ep) {
		times[s.eventID]++
	}
	twice := 0
	for _, n := range times {
		if n == 2 {
			twice++
		}
	}
	if len(times) != 150 || twice != 140 {
		t.Errorf("%d events, %d of them twice, %d sendings", len(times), twice, len(w.to(ep)))
	}
}

func TestWhatIsSentIsTheResourceAsItIsNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ep := w.create("acct_1", event.All)
	long := content.Content{Type: "text", Text: strings.Repeat("x", maxBody)}
	w.shown = api.Message{ID: "msg_1", Content: &long, ContentSha256: "abc"}
	w.invoke(of(1))
	w.work()
	data, _ := w.to(ep)[0].body["data"].(map[string]any)
	if data["content"] != nil || data["content_sha256"] != "abc" || data["id"] != "msg_1" {
		t.Errorf("a long message: %v", data)
	}
	w.showErr = errGone
	w.invoke(of(2))
	w.work()
	if d := w.delivery(ep, of(2)); len(w.to(ep)) != 1 || d.Status != delivery.Dropped {
		t.Errorf("what is gone: %+v", d)
	}
}

func TestADisabledOrDeletedEndpointIsSentNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ep := w.create("acct_1", event.All)
	w.answer(ep, delivery.Answer{Code: 500})
	w.invoke(of(1))
	w.work()
	off := endpoint.Disabled
	if _, err := w.endpoints.Update(t.Context(), "acct_1", ep.ID, endpoint.Change{Status: &off}, audittest.By("acct_1")); err != nil {
		t.Fatal(err)
	}
	w.pass(time.Hour)
	if n := len(w.to(ep)); n != 1 || w.delivery(ep, of(1)).Status != delivery.Dropped {
		t.Errorf("%d sent, %+v", n, w.delivery(ep, of(1)))
	}
	other := w.create("acct_1", event.All)
	w.answer(other, delivery.Answer{Code: 500})
	w.invoke(of(2))
	w.work()
	if err := w.endpoints.Delete(t.Context(), "acct_1", other.ID, audittest.By("acct_1")); err != nil {
		t.Fatal(err)
	}
	w.pass(time.Hour)
	if n := len(w.to(other)); n != 1 {
		t.Errorf("%d sent to one that was deleted", n)
	}
}

func TestBothSecretsSignDuringARotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ep := w.create("acct_1", event.All)
	first, err := w.endpoints.Secrets(ep, noon)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.endpoints.Rotate(t.Context(), "acct_1", ep.ID, "sec_1", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", audittest.By("acct_1")); err != nil {
		t.Fatal(err)
	}
	w.invoke(of(1))
	w.work()
	w.clock.Pass(endpoint.Overlap)
	w.invoke(of(2))
	w.work()
	got := w.to(ep)
	if !slices.Equal(got[0].secrets, []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", first[0]}) || len(got[1].secrets) != 1 {
		t.Errorf("%d secrets, a day later %d", len(got[0].secrets), len(got[1].secrets))
	}
}

func TestWhatIsNoEventIsDroppedWithoutAWord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.invoke("x", map[string]any{"event_id": "evt_1"}, map[string]any{"endpoint_id": "whk_0000000000000001"})
	if len(w.sent)+len(w.waiting)+len(w.events) != 0 {
		t.Error("it did something")
	}
}

// an account is given notice of an endpoint that is disabled without its doing, by its others, once.
func TestThatAnEndpointIsDisabledIsToldToTheOthers(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]delivery.Answer{"it is gone": {Code: http.StatusGone}, "it fails for three days": {Code: http.StatusInternalServerError}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ep, other, foreign := w.create("acct_1", event.All), w.create("acct_1", event.All), w.create("acct_2", event.All)
			w.answer(ep, answer)
			for i := range 9 {
				w.invoke(of(i))
				w.work()
				w.pass(9 * time.Hour)
			}
			off := w.endpoint(ep)
			if off.Status != endpoint.Disabled || len(w.events) != 1 || w.events[0] != event.New(event.EndpointDisabled, "acct_1", ep.ID, off.DisabledAt, "") {
				t.Fatalf("%+v, published %+v", off, w.events)
			}
			w.invoke(w.events[0])
			w.work()
			if got := w.to(other); got[len(got)-1].body["type"] != "endpoint.disabled" {
				t.Errorf("the other was sent %+v", got[len(got)-1])
			}
			if n := len(w.to(foreign)); n != 0 {
				t.Errorf("another account was sent %d", n)
			}
		})
	}
}
