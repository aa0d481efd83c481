// Package edna stands in for edna Pulse on one machine and in tests: the part of its HTTP API that the Contact Center
// uses, with edna's rules, error bodies and callbacks, as https://docs-pulse.edna.io describes them. It is written
// from that documentation and shares no code with the adapter that it is there to test.
//
// Where it departs from edna, it says so:
//   - callback/set takes http URLs on the loopback interface, where edna wants https.
//   - Free text to a person who has not written within 24 hours is delivered, unless strict_window is on.
//   - A webhook is retried by the documented schedule, which can be scaled.
//   - Undocumented answers (429, the body of a 401) are plausible, not edna's.
//   - The form of BUTTON and LIST_PICKER is assumed: a keyboard as templates have it, and sections of items named as in the
//     reply to a list. Their limits are WhatsApp's, and so is that two buttons may not have one title.
//   - Attachments are not fetched. Only a document's must have a name.
//
// Under /_sim/ it is steered and asked what it saw; see package stage, type own and inbound.go.
package edna

import (
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"contactcenter/scripts/simulator/stage"
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

// DefaultSenders are the local stack's pool: subjects 1001 to 1010, numbers +35799001001 to +35799001010. Two more, 1011 and
// 1012, are in no pool: they are for providers that are added while the stack runs.
func DefaultSenders() []Sender {
	var s []Sender
	for i := int64(1); i <= 12; i++ {
		n := 1000 + i
		s = append(s, Sender{SubjectID: n, Subject: "LOCAL_" + strconv.FormatInt(n, 10) + "_WA", Address: "3579900" + strconv.FormatInt(n, 10)})
	}
	return s
}

// Simulator is edna. It is safe for concurrent use; Close ends its callbacks.
type Simulator struct {
	o     Options
	stage *stage.Stage

	mu          sync.Mutex
	senders     []Sender
	bySubject   map[int64]Sender
	byCascade   map[int64]Sender
	templates   []Template
	hooks       map[int64]webhooks  // by subject; 0 is the account
	taken       map[string]*message // by requestId, complete
	recent      map[[32]byte]time.Time
	recentSwept time.Time
	history     stage.Ring[*message]
	lastWrote   map[person]time.Time
	nextID      int64
}

// Call is one call as GET _sim/calls shows it. RequestID is edna's requestId, To the address as it was given.
type Call = stage.Call

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
	if o.KeepCalls <= 0 {
		o.KeepCalls = 100_000
	}
	s := &Simulator{
		o: o, senders: o.Senders, templates: o.Templates,
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
	s.stage = stage.New(stage.Options{
		Fail: fail, Known: s.known, Forget: s.forget, Own: func() any { return &own{} }, NumericIDs: true,
		RetrySchedule: o.RetrySchedule, StatusDelays: o.StatusDelays, Workers: o.Workers, KeepCalls: o.KeepCalls,
		HTTP: o.HTTP, Clock: o.Clock, Seed: o.Seed, Logger: o.Logger,
	})
	s.routes()
	return s
}

// Settings are the environment of the functions that reach the simulator at a base URL.
func Settings(baseURL string) map[string]string {
	return map[string]string{
		"EDNA_BASE_URL":     baseURL + "/api",
		"EDNA_API_KEY":      "local-edna-key",
		"EDNA_WEBHOOK_KEYS": "local-edna-webhook-key",
	}
}

// Start makes a simulator with the settings in force, of which the first of the webhook keys is the current one. The
// function that it gives ends it.
func Start(settings map[string]string, log *slog.Logger) (http.Handler, func()) {
	current, _, _ := strings.Cut(settings["EDNA_WEBHOOK_KEYS"], ",")
	s := New(Options{APIKey: settings["EDNA_API_KEY"], WebhookKey: strings.TrimSpace(current), Logger: log})
	return s, s.Close
}

// own are edna's fields of the behaviour, beside those of package stage.
type own struct {
	// ArrayCallbacks: each callback is a list of one, which edna's documentation also shows.
	ArrayCallbacks bool `json:"array_callbacks"`
	// StrictWindow: outside the 24 hours after a person wrote, text that matches no approved template ends as
	// no-match-template.
	StrictWindow bool `json:"strict_window"`
}

func ownOf(b stage.Behaviour) own { return *b.Own.(*own) }

// forget is what _sim/reset does: everything but senders, templates and registered callback URLs.
func (s *Simulator) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = map[string]*message{}
	s.recent = map[[32]byte]time.Time{}
	s.history = stage.NewRing[*message](s.o.KeepCalls)
	s.lastWrote = map[person]time.Time{}
}

func (s *Simulator) known(sender string) bool {
	_, known := s.bySubject[parseID(sender)]
	return known
}

// senderID is a subject's id as package stage knows it; "" for none.
func senderID(subject int64) string {
	if subject == 0 {
		return ""
	}
	return strconv.FormatInt(subject, 10)
}

// Calls returns what the API saw of a sender (0: of all), oldest first, and how many messages it accepted.
func (s *Simulator) Calls(subject int64) ([]Call, int) { return s.stage.Calls(senderID(subject)) }

// Close ends the callbacks, those under way too, and waits for them.
func (s *Simulator) Close() { s.stage.Close() }

// ServeHTTP serves the API under /api/ and the steering under /_sim/.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.stage.ServeHTTP(w, r) }

func (s *Simulator) routes() {
	api := func(method, path string, send bool, look, serve func(*call)) {
		s.stage.Handle("/api/"+path, stage.Route{
			Send:  send,
			Check: func(e *stage.Exchange) bool { return s.check(&call{e}, method) },
			Look:  func(e *stage.Exchange) { look(&call{e}) },
			Serve: func(e *stage.Exchange) { serve(&call{e}) },
		})
	}
	unseen := func(*call) {}
	api(http.MethodGet, "channel-profile", false, unseen, s.channelProfile)
	api(http.MethodPost, "cascade/get-all", false, unseen, s.cascades)
	api(http.MethodPost, "cascade/schedule", true, s.peek, s.schedule)
	api(http.MethodPost, "message-matchers/get-by-request", false, unseen, s.matchers)
	api(http.MethodPost, "messages/history", false, unseen, s.messagesHistory)
	api(http.MethodPost, "callback/set", false, unseen, s.callbackSet)
	api("", "", false, unseen, func(c *call) { c.problem(http.StatusNotFound, "not-found", "Not found") })
	s.stage.Steer(http.MethodPost, "inbound", s.postInbound)
	s.stage.Steer(http.MethodPut, "templates", s.putTemplate)
}

// check refuses what edna does not look into. method "": any.
func (s *Simulator) check(c *call, method string) bool {
	switch {
	case c.TooLarge:
		c.problem(http.StatusRequestEntityTooLarge, "request-too-large", "Request too large")
	case c.Request.Header.Get("X-API-KEY") != s.o.APIKey:
		c.problem(http.StatusUnauthorized, "unauthorized", "Auth error")
	case method != "" && c.Request.Method != method:
		c.problem(http.StatusMethodNotAllowed, "method-not-allowed", "Method not allowed")
	default:
		return true
	}
	return false
}

// call is one call of the API while it is served.
type call struct{ *stage.Exchange }

// reply answers with 200.
func (c *call) reply(v any) { c.JSON(http.StatusOK, v) }

// problem answers with an error body of edna's form.
func (c *call) problem(status int, title, detail string) {
	c.JSON(status, map[string]any{"title": title, "status": status, "detail": detail})
}

// fail is a failure that was steered.
func fail(e *stage.Exchange, status int) {
	c := call{e}
	c.problem(status, failTitle(status), http.StatusText(status))
}

func failTitle(status int) string {
	switch {
	case status == http.StatusUnauthorized:
		return "unauthorized"
	case status == http.StatusTooManyRequests:
		return "too-many-requests"
	case status >= 500:
		return "error-system"
	}
	return "request-not-valid"
}

// callback is one in edna's form, with the webhook key as it is in Authorization.
func (s *Simulator) callback(url string, body any, b stage.Behaviour) stage.Callback {
	if ownOf(b).ArrayCallbacks {
		body = []any{body}
	}
	return stage.Callback{
		URL: url, Body: stage.Marshal(body),
		Header: http.Header{"Content-Type": {"application/json"}, "Authorization": {s.o.WebhookKey}},
	}
}
