package stage

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Callback is one call of a webhook, in the provider's form.
type Callback struct {
	// URL; "": there is none to call.
	URL string
	// Method; "": POST.
	Method string
	// Header has the content type and the provider's proof. Every attempt carries the same.
	Header http.Header
	Body   []byte
}

// Life is what becomes of a taken message.
type Life struct {
	// Statuses in their own order. They are reported at the times of Options.StatusDelays, each after the first attempt at
	// the one before it, in another order when that is steered.
	Statuses []string
	// Wait passes before the life begins.
	Wait time.Duration
	// Tell notes that a status is reached and makes its callback, in the behaviour in force then. It is called for each
	// status, also while callbacks are off.
	Tell func(status string, at time.Time, now Behaviour) Callback
}

// Accept counts a message as taken by a call and lets its life follow. The call's Sender is the message's.
func (s *Stage) Accept(e *Exchange, life Life) {
	e.Accepted = true
	s.mu.Lock()
	s.accepted++
	s.takenBy[e.Sender]++
	b := s.of(e.Sender)
	e.reported = new([]string)
	f := following{
		reported: e.reported,
		sender:   e.Sender, statuses: slices.Clone(life.Statuses), times: life.Statuses, tell: life.Tell,
		from: time.Now().Add(max(0, life.Wait) + time.Duration(b.CallbackDelayMS)*time.Millisecond),
	}
	if b.ReorderCallbacks {
		s.shuffle(f.statuses)
	}
	s.mu.Unlock()
	f.generation = s.queue.now()
	s.follow(f)
}

// shuffle puts statuses in an order that is surely not theirs. The caller holds mu.
func (s *Stage) shuffle(statuses []string) {
	natural := slices.Clone(statuses)
	s.rng.Shuffle(len(statuses), func(i, j int) { statuses[i], statuses[j] = statuses[j], statuses[i] })
	if slices.Equal(natural, statuses) {
		slices.Reverse(statuses)
	}
}

// following is a life that is still to be told. Times are the statuses whose delays are used, in their own order.
type following struct {
	sender          string
	statuses, times []string
	from            time.Time
	generation      int
	tell            func(status string, at time.Time, now Behaviour) Callback
	reported        *[]string
}

func (s *Stage) follow(f following) {
	if len(f.statuses) == 0 {
		return
	}
	delay, known := s.o.StatusDelays[strings.ToLower(f.times[0])]
	if !known {
		delay = s.o.StatusDelays["delivered"]
	}
	s.queue.after(time.Until(f.from.Add(delay)), func(ctx context.Context) {
		if !s.queue.current(f.generation) {
			return // forgotten meanwhile
		}
		now := s.Behaviour(f.sender)
		c := f.tell(f.statuses[0], s.o.Clock(), now)
		if now.Callbacks && c.URL != "" {
			s.deliver(ctx, delivery{callback: c, generation: f.generation, taken: s.reports(f.reported, f.statuses[0])}, now)
		}
		f.statuses, f.times = f.statuses[1:], f.times[1:]
		s.follow(f)
	})
}

// reports gives what notes a status as told.
func (s *Stage) reports(list *[]string, status string) func() {
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		*list = append(*list, status)
	}
}

// Deliver makes the first attempt at a callback, with the repeats that are steered, and schedules further ones when it is
// not answered as it must be. It returns the status that was answered, 0 when none was.
func (s *Stage) Deliver(ctx context.Context, sender string, c Callback) int {
	return s.deliver(ctx, delivery{callback: c, generation: s.queue.now()}, s.Behaviour(sender))
}

// delivery is one callback on its way.
type delivery struct {
	callback   Callback
	attempt    int
	generation int
	// taken is called once the callback is answered as it must be; nil: nobody wants to know.
	taken func()
}

func (d delivery) done() {
	if d.taken != nil {
		d.taken()
	}
}

func (s *Stage) deliver(ctx context.Context, d delivery, b Behaviour) int {
	status := s.post(ctx, d.callback)
	for range b.RepeatCallbacks {
		_ = s.post(ctx, d.callback)
	}
	if s.o.Delivered(status) {
		d.done()
	} else {
		s.retry(d, status, b.RetryScale)
	}
	return status
}

func (s *Stage) retry(d delivery, status int, scale float64) {
	if d.attempt >= len(s.o.RetrySchedule) {
		s.o.Logger.Warn("callback given up", "attempts", d.attempt+1, "status", status)
		return
	}
	wait := s.o.RetrySchedule[d.attempt]
	if scale > 0 {
		wait = time.Duration(float64(wait) * scale)
	}
	d.attempt++
	s.o.Logger.Info("callback will be repeated", "attempt", d.attempt, "status", status, "wait_ms", wait.Milliseconds())
	s.queue.after(wait, func(ctx context.Context) {
		if !s.queue.current(d.generation) {
			return
		}
		if status := s.post(ctx, d.callback); !s.o.Delivered(status) {
			s.retry(d, status, scale)
			return
		}
		d.done()
	})
}

func (s *Stage) post(ctx context.Context, c Callback) int {
	method := c.Method
	if method == "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL, bytes.NewReader(c.Body))
	if err != nil {
		return 0
	}
	for name, values := range c.Header {
		req.Header[name] = values
	}
	resp, err := s.o.HTTP.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode
}
