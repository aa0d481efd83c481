package main

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"contactcenter/shared/delivery"
	"contactcenter/shared/endpoint"
	"contactcenter/shared/event"
)

// slow is a world in which an endpoint answers when it is let.
type slow struct {
	*world
	url     string
	begun   chan string // has the event's id
	release chan struct{}
	back    chan struct{} // has one for each job that is put back
}

// putBack is the world's queue, which tells of each job.
type putBack struct {
	queue
	back chan<- struct{}
}

func (q putBack) Send(ctx context.Context, delay time.Duration, jobs ...delivery.Job) error {
	defer func() {
		for range jobs {
			q.back <- struct{}{}
		}
	}()
	return q.queue.Send(ctx, delay, jobs...)
}

func (s *slow) Send(ctx context.Context, url, eventID string, body []byte, secrets ...string) delivery.Answer {
	if url == s.url {
		s.begun <- eventID
		<-s.release
	}
	return s.world.Send(ctx, url, eventID, body, secrets...)
}

func newSlow(t *testing.T) (*slow, endpoint.Endpoint) {
	t.Helper()
	w := newWorld(t)
	ep := w.create("acct_1", event.All)
	s := &slow{world: w, url: ep.URL, begun: make(chan string, 100), release: make(chan struct{}), back: make(chan struct{}, 1000)}
	w.Sender, w.Queue = s, putBack{queue{w}, s.back}
	return s, ep
}

// each invokes the function for n jobs, each by itself and all at once.
func (s *slow) each(ep endpoint.Endpoint, n int) *sync.WaitGroup {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { s.invoke(delivery.Job{EndpointID: ep.ID, Event: of(i)}) })
	}
	return &all
}

// a slow endpoint keeps a few invocations busy; the others are there for everybody else's.
func TestASlowEndpointIsGivenAFewInvocations(t *testing.T) {
	t.Parallel()
	s, ep := newSlow(t)
	s.answer(ep, delivery.Answer{Code: http.StatusOK, Took: 8 * time.Second})
	const jobs = 30
	all := s.each(ep, jobs)
	seen := map[string]bool{}
	for range endpoint.Places {
		seen[<-s.begun] = true
	}
	for range jobs - endpoint.Places { // all others are put back without an answer
		<-s.back
	}
	if n := len(s.begun); n != 0 {
		t.Errorf("%d more are sent side by side", n)
	}
	close(s.release)
	all.Wait()
	for range 400 {
		s.clock.Pass(time.Second)
		s.work()
	}
	for len(s.begun) > 0 {
		id := <-s.begun
		if seen[id] {
			t.Errorf("%s was sent twice", id)
		}
		seen[id] = true
	}
	if len(seen) != jobs {
		t.Errorf("%d of %d were sent", len(seen), jobs)
	}
}

func TestAnEndpointThatAnswersQuicklyIsCalledAsOftenAsThereIsSomething(t *testing.T) {
	t.Parallel()
	s, ep := newSlow(t)
	first := s.each(ep, 1)
	<-s.begun
	s.release <- struct{}{}
	first.Wait()
	if !s.endpoint(ep).Quick(s.clock.Now()) {
		t.Fatal("it is not known to be quick")
	}
	all := s.each(ep, 31)
	for range 30 { // one of them was delivered before
		<-s.begun
	}
	close(s.release)
	all.Wait()
	if len(s.waiting) > 0 {
		t.Errorf("%d were put back", len(s.waiting))
	}
	s.clock.Pass(endpoint.QuickFor - time.Minute)
	s.invoke(delivery.Job{EndpointID: ep.ID, Event: of(50)})
	if got := s.endpoint(ep); !got.QuickAt.Equal(s.clock.Now()) {
		t.Errorf("that it still is was not noted: %v", got.QuickAt)
	}
}

// What has been quick can hang from one moment to the next: that is noted while it is waited for.
func TestAQuickEndpointThatTakesLongerIsNotQuickAnyMore(t *testing.T) {
	t.Parallel()
	s, ep := newSlow(t)
	first := s.each(ep, 1)
	<-s.begun
	s.release <- struct{}{}
	first.Wait()
	s.invoke(delivery.Job{EndpointID: ep.ID, Event: of(0)}) // it came twice, and changes nothing
	all := s.each(ep, 2)
	<-s.begun
	for deadline := time.Now().Add(time.Minute); s.endpoint(ep).Quick(s.clock.Now()); {
		if time.Now().After(deadline) {
			t.Fatal("it is taken to be quick for as long as it likes")
		}
	}
	close(s.release)
	all.Wait()
}

// An invocation that dies does not take its place along.
func TestAPlaceIsFreeAgainAtItsTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ep := w.create("acct_1", event.All)
	for range endpoint.Places {
		if _, free, err := w.endpoints.Enter(t.Context(), w.endpoint(ep), w.clock.Now().Add(placeFor)); !free || err != nil {
			t.Fatal(free, err)
		}
	}
	w.invoke(delivery.Job{EndpointID: ep.ID, Event: of(1)})
	if len(w.to(ep)) != 0 || len(w.waiting) != 1 {
		t.Fatalf("%+v, %+v", w.to(ep), w.waiting)
	}
	w.clock.Pass(placeFor)
	w.work()
	if len(w.to(ep)) != 1 || w.delivery(ep, of(1)).Status != delivery.Delivered {
		t.Errorf("%+v", w.to(ep))
	}
}
