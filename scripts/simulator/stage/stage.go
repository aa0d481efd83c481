// Package stage is what every provider's simulator stands on: it is steered, it misbehaves as it is told, it remembers the
// calls it saw, and it makes callbacks with their order, repeats and retries. What a provider's API is like (its routes,
// rules, error bodies and the form of its callbacks) is the business of that provider's package beside this one; see
// package edna for one that uses all of it.
//
// A simulator is made of four things:
//
//	s := &Simulator{...}
//	s.stage = stage.New(stage.Options{Known: s.known, Forget: s.forget, Fail: s.fail, HTTP: o.HTTP, ...})
//	s.stage.Handle("POST /v1/{number}/messages", stage.Route{
//		Send:  true,          // a send: what delay_ms, fail_status and drop_answer are about
//		Check: s.hasToken,    // answers and returns false when the call's proof, method or size is wrong
//		Look:  s.look,        // says whose call it is: sets Sender, RequestID, To of the exchange
//		Serve: s.send,        // the provider's rules: answers with e.JSON(...); what it takes it gives to stage.Accept
//	})
//	s.stage.Steer("POST", "inbound", s.inbound)
//
// A taken message is given to Accept with a Life: the statuses that follow (Behaviour.Fate has those that were steered)
// and a function that makes the callback of each at its time, with the provider's method, proof, content type and body.
// Inbound messages are decoded with Read into a struct that embeds Inbound, and sent off with Deliver.
//
// Senders have ids that are strings here. Where a provider's are numbers, Options.NumericIDs shows them as such.
//
// Locks: Stage calls none of the functions that it is given while it holds its own lock, so they may lock the
// simulator's and call Stage under it.
package stage

import (
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options say what a provider adds. The zero value is usable.
type Options struct {
	// Fail answers a call with an error of the provider's form, for a failure that was steered; nil: the status's text as
	// JSON.
	Fail func(e *Exchange, status int)
	// Known says whether a sender exists, for steering; nil: every one does.
	Known func(sender string) bool
	// Forget is the provider's part of a reset: messages and what follows from them, not senders or webhooks.
	Forget func()
	// Own makes the provider's own fields of the behaviour, with their defaults: a pointer to a struct, whose fields have
	// JSON names without omitempty. They are read back from Behaviour.Own. nil: it has none.
	Own func() any
	// NumericIDs: sender ids are shown as numbers, and only numbers are asked for.
	NumericIDs bool

	// Delivered says whether an answer ends a callback; nil: one with 200 does.
	Delivered func(status int) bool
	// RetrySchedule is the wait before each further attempt at a callback; empty: there is no other.
	RetrySchedule []time.Duration
	// StatusDelays are the times after acceptance at which each status is reported, by its name in lower case. Those that
	// are absent: sent 20 ms, delivered 60 ms, read 150 ms, any other as delivered.
	StatusDelays map[string]time.Duration
	// Workers bound the callbacks under way; 0: 32.
	Workers int
	// KeepCalls bounds the calls that are remembered; 0: 100,000.
	KeepCalls int
	// HTTP makes the callbacks; nil: CallbackClient(). It is the stage's: Close closes its idle connections.
	HTTP *http.Client
	// Clock; nil: time.Now. Waiting is by timers of package time in any case.
	Clock func() time.Time
	// Seed of what is random, as in the behaviour of that name.
	Seed uint64
	// Logger is told about callbacks that fail, never with content or addresses; nil: silent.
	Logger *slog.Logger
}

// Stage serves one simulator. It is safe for concurrent use; Close ends its callbacks.
type Stage struct {
	o        Options
	api      *http.ServeMux
	steering *http.ServeMux
	queue    *queue

	mu        sync.Mutex
	rng       *rand.Rand
	global    Behaviour
	perSender map[string]Behaviour
	calls     callLog
	accepted  int
	takenBy   map[string]int // messages accepted, by sender
}

// New starts a stage without routes of its provider's.
func New(o Options) *Stage {
	if o.Fail == nil {
		o.Fail = func(e *Exchange, status int) { e.JSON(status, map[string]string{"error": http.StatusText(status)}) }
	}
	if o.Known == nil {
		o.Known = func(string) bool { return true }
	}
	if o.Forget == nil {
		o.Forget = func() {}
	}
	if o.Delivered == nil {
		o.Delivered = func(status int) bool { return status == http.StatusOK }
	}
	delays := map[string]time.Duration{"sent": 20 * time.Millisecond, "delivered": 60 * time.Millisecond, "read": 150 * time.Millisecond}
	for k, v := range o.StatusDelays {
		delays[strings.ToLower(k)] = v
	}
	o.StatusDelays = delays
	if o.Workers <= 0 {
		o.Workers = 32
	}
	if o.KeepCalls <= 0 {
		o.KeepCalls = 100_000
	}
	if o.HTTP == nil {
		o.HTTP = CallbackClient()
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Stage{o: o, api: http.NewServeMux(), steering: http.NewServeMux(), queue: newQueue(o.Workers)}
	s.forget()
	s.steeringRoutes()
	return s
}

// CallbackClient makes callbacks over HTTP and HTTPS, within 10 s each, and follows no redirect.
func CallbackClient() *http.Client {
	return &http.Client{
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			MaxIdleConnsPerHost: 64,
			IdleConnTimeout:     30 * time.Second,
		},
	}
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0xed4a)) }

// Now is the time by the simulator's clock.
func (s *Stage) Now() time.Time { return s.o.Clock() }

// HTTP is the client of the callbacks, for a simulator that also checks their addresses.
func (s *Stage) HTTP() *http.Client { return s.o.HTTP }

// Reset forgets calls, behaviour, callbacks that wait, and what the provider's Forget does.
func (s *Stage) Reset() {
	s.mu.Lock()
	s.forget()
	s.mu.Unlock()
	s.o.Forget()
	s.queue.clear()
}

// forget is the stage's part of a reset. The caller holds mu, or is New.
func (s *Stage) forget() {
	s.rng = newRand(s.o.Seed)
	s.global, s.perSender = s.defaults(), map[string]Behaviour{}
	s.calls = callLog{keepBytes: 64 << 20, ring: NewRing[*Call](s.o.KeepCalls)}
	s.accepted, s.takenBy = 0, map[string]int{}
}

// Close ends the callbacks, those under way too, and waits for them.
func (s *Stage) Close() {
	s.queue.close()
	s.o.HTTP.CloseIdleConnections()
}

// ServeHTTP serves the steering under /_sim/ and the provider's routes elsewhere.
func (s *Stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/_sim/") {
		s.steering.ServeHTTP(w, r)
		return
	}
	s.api.ServeHTTP(w, r)
}
