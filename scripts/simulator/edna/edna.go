// Package edna stands in for edna Pulse on one machine and in tests: the part of its HTTP API that the Contact Center
// uses, with edna's rules, error bodies and callbacks, as https://docs-pulse.edna.io describes them. It is written
// from that documentation and shares no code with the adapter that it is there to test.
//
// Where it departs from edna, it says so:
//   - callback/set takes http URLs on the loopback interface, where edna wants https.
//   - Free text to a person who has not written within 24 hours is delivered, unless strict_window is on.
//   - A webhook is retried by the documented schedule, which can be scaled.
//   - Undocumented answers (429, the body of a 401) are plausible, not edna's.
//
// Under /_sim/ it is steered and asked what it saw; see sim.go.
package edna

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Sender is one registered WhatsApp number of the account, with a cascade of its own.
type Sender struct {
	SubjectID int64
	Subject   string
	// Address is the number in digits, with or without a plus.
	Address string
	// CascadeID of its single-stage cascade; 0: 100000 + SubjectID.
	CascadeID int64
	// Inactive senders are listed, without their subject id, as not registered.
	Inactive bool
	// CascadeDisabled: its cascade is not ACTIVE.
	CascadeDisabled bool
}

// Options set the simulator up. The zero value is usable: every field has a default.
type Options struct {
	// APIKey is asked for in X-API-KEY; "": "local-edna-key".
	APIKey string
	// WebhookKey is sent as the Authorization of every callback; "": "local-edna-webhook-key".
	WebhookKey string
	// Senders; nil: DefaultSenders().
	Senders []Sender
	// Templates; nil: DefaultTemplates().
	Templates []Template
	// RetrySchedule is the wait before each further attempt at a callback; nil: 4 s, 128 s, 2048 s.
	RetrySchedule []time.Duration
	// StatusDelays are the times after acceptance at which each status is reported; nil: sent 20 ms, delivered 60 ms,
	// read 150 ms.
	StatusDelays map[string]time.Duration
	// Workers bound the callbacks under way; 0: 32.
	Workers int
	// KeepCalls bounds the calls that are remembered; 0: 100,000.
	KeepCalls int
	// HTTP makes the callbacks; nil: a client of its own.
	HTTP *http.Client
	// Clock; nil: time.Now. Waiting is by timers of package time in any case.
	Clock func() time.Time
	// Seed of what is random, as in the behaviour of that name.
	Seed uint64
	// Logger is told about callbacks that fail, never with content or addresses; nil: silent.
	Logger *slog.Logger
}

// DefaultSenders are the local stack's pool: subjects 1001 to 1010, numbers +35799001001 to +35799001010.
func DefaultSenders() []Sender {
	var s []Sender
	for i := int64(1); i <= 10; i++ {
		n := 1000 + i
		s = append(s, Sender{SubjectID: n, Subject: "LOCAL_" + strconv.FormatInt(n, 10) + "_WA", Address: "3579900" + strconv.FormatInt(n, 10)})
	}
	return s
}

// Simulator is edna. It is safe for concurrent use; Close ends its callbacks.
type Simulator struct {
	o     Options
	mux   *http.ServeMux
	queue *queue

	mu          sync.Mutex
	rng         *rand.Rand
	senders     []Sender
	bySubject   map[int64]Sender
	byCascade   map[int64]Sender
	templates   []Template
	hooks       map[int64]webhooks // by subject; 0 is the account
	global      behaviour
	perSender   map[int64]behaviour
	calls       callLog
	taken       map[string]*message // by requestId, complete
	takenBy     map[int64]int       // messages accepted, by subject
	recent      map[[32]byte]time.Time
	recentSwept time.Time
	history     ring[*message]
	lastWrote   map[person]time.Time
	nextID      int64
}

type person struct {
	subject int64
	address string
}

type webhooks struct{ status, inbound, matcher string }

// message is one that was sent or received, as history knows it.
type message struct {
	id        int64
	requestID string
	comment   string
	direction string
	subject   int64
	cascade   int64
	address   string
	status    string
	at        time.Time
	stage     string
}

// New starts a simulator.
func New(o Options) *Simulator {
	if o.APIKey == "" {
		o.APIKey = "local-edna-key"
	}
	if o.WebhookKey == "" {
		o.WebhookKey = "local-edna-webhook-key"
	}
	if o.Senders == nil {
		o.Senders = DefaultSenders()
	}
	if o.Templates == nil {
		o.Templates = DefaultTemplates()
	}
	if o.RetrySchedule == nil {
		o.RetrySchedule = []time.Duration{4 * time.Second, 128 * time.Second, 2048 * time.Second}
	}
	delays := map[string]time.Duration{"sent": 20 * time.Millisecond, "delivered": 60 * time.Millisecond, "read": 150 * time.Millisecond}
	for k, v := range o.StatusDelays {
		delays[k] = v
	}
	o.StatusDelays = delays
	if o.Workers <= 0 {
		o.Workers = 32
	}
	if o.KeepCalls <= 0 {
		o.KeepCalls = 100_000
	}
	if o.HTTP == nil {
		o.HTTP = callbackClient()
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Simulator{
		o: o, mux: http.NewServeMux(), senders: o.Senders, templates: o.Templates,
		bySubject: map[int64]Sender{}, byCascade: map[int64]Sender{}, hooks: map[int64]webhooks{},
		nextID: 8_000_000,
	}
	for i, x := range s.senders {
		if x.CascadeID == 0 {
			x.CascadeID = 100_000 + x.SubjectID
		}
		s.senders[i] = x
		s.bySubject[x.SubjectID] = x
		s.byCascade[x.CascadeID] = x
	}
	s.forget()
	s.queue = newQueue(o.Workers)
	s.routes()
	return s
}

func callbackClient() *http.Client {
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

// forget is what _sim/reset does: everything but senders, templates and registered callback URLs. The caller holds
// mu, or is New.
func (s *Simulator) forget() {
	s.rng = newRand(s.o.Seed)
	s.global, s.perSender = defaultBehaviour(), map[int64]behaviour{}
	s.calls = callLog{keepBytes: 64 << 20, ring: ring[*Call]{keep: s.o.KeepCalls}}
	s.taken, s.takenBy = map[string]*message{}, map[int64]int{}
	s.recent = map[[32]byte]time.Time{}
	s.history = ring[*message]{keep: s.o.KeepCalls}
	s.lastWrote = map[person]time.Time{}
}

// Close ends the callbacks, those under way too, and waits for them.
func (s *Simulator) Close() {
	s.queue.close()
	s.o.HTTP.CloseIdleConnections()
}

func (s *Simulator) routes() {
	api := func(method, path string, h func(*call)) {
		s.mux.HandleFunc("/api/"+path, func(w http.ResponseWriter, r *http.Request) { s.serveAPI(w, r, method, h) })
	}
	api(http.MethodGet, "channel-profile", s.channelProfile)
	api(http.MethodPost, "cascade/get-all", s.cascades)
	api(http.MethodPost, "cascade/schedule", s.schedule)
	api(http.MethodPost, "message-matchers/get-by-request", s.matchers)
	api(http.MethodPost, "messages/history", s.messagesHistory)
	api(http.MethodPost, "callback/set", s.callbackSet)
	s.mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		s.serveAPI(w, r, "", func(c *call) { c.problem(http.StatusNotFound, "not-found", "Not found") })
	})
	s.simRoutes()
}

// ServeHTTP serves the API under /api/ and the steering under /_sim/.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

const maxBody = 1 << 20

// serveAPI reads a call, checks the key, lets h answer, and remembers it.
func (s *Simulator) serveAPI(w http.ResponseWriter, r *http.Request, method string, h func(*call)) {
	c := &call{r: r, at: s.o.Clock()}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	c.body = body
	switch {
	case err != nil:
		c.problem(http.StatusRequestEntityTooLarge, "request-too-large", "Request too large")
	case r.Header.Get("X-API-KEY") != s.o.APIKey:
		c.problem(http.StatusUnauthorized, "unauthorized", "Auth error")
	case method != "" && r.Method != method:
		c.problem(http.StatusMethodNotAllowed, "method-not-allowed", "Method not allowed")
	default:
		s.behave(c, h)
	}
	record := c.record()
	s.mu.Lock()
	s.calls.add(record)
	s.mu.Unlock()
	if !wait(r.Context(), c.delay) || c.drop {
		panic(http.ErrAbortHandler) // closes the connection without an answer
	}
	w.Header().Set("Content-Type", "application/json")
	if c.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(c.retryAfter))
	}
	w.WriteHeader(c.status)
	_, _ = w.Write(c.answer)
}

// wait returns false when the caller left first.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
