// Package twiliosms stands in for Twilio Programmable Messaging on one machine and in tests: the part of the API 2010-04-01
// that the Contact Center uses, with Twilio's rules, error bodies and signed callbacks. It is written from Twilio's
// documentation and shares no code with the adapter that it is there to test.
//
// Documented by Twilio: paths, parameters and their bounds, the form of answers and errors, Basic authentication, the words
// STOP and START and what follows, error 21610, the recipients +15005550001 to +15005550009 with errors of their own (they are
// those of Twilio's test credentials), statuses and their order, callbacks and their signature, the fallback URL.
//
// Assumed, where the documentation is silent:
//   - Which error goes under 400 and which under 403 or 429: 21408 comes under 403, 21611 under 429, the others under 400.
//   - The path of another account than that of the credentials is answered 401, as wrong credentials are.
//   - A status callback that is answered with an error is not made again. (Twilio documents one repeat, when no connection
//     comes about.)
//   - The reply to STOP and START, which Twilio sends by itself, is left out.
//
// Where it departs from Twilio: callbacks may go to http URLs of this machine, and nothing is fetched from a MediaUrl.
//
// Under /_sim/ it is steered and asked what it saw; see package stage and type own, and inbound.go for inbound and webhook.
package twiliosms

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"contactcenter/scripts/simulator/stage"
)

// What the local stack's account is called, and what lets one in.
const (
	DefaultAccountSID = "AC00000000000000000000000000000001"
	DefaultAuthToken  = "local-twilio-auth-token"
	// DefaultServiceSID is the account's Messaging Service, which sends by the account's first number.
	DefaultServiceSID = "MG00000000000000000000000000000001"
)

// Number is one of the account's telephone numbers.
type Number struct {
	SID    string
	Number string // E.164
	// Voice numbers send no messages.
	Voice bool
}

// Options set the simulator up. The zero value is usable: every field has a default.
type Options struct {
	// AccountSID and AuthToken; "": those of the local stack.
	AccountSID, AuthToken string
	// ServiceSID of a Messaging Service; "": DefaultServiceSID.
	ServiceSID string
	// Suspended: the account is.
	Suspended bool
	// Numbers; nil: DefaultNumbers().
	Numbers []Number
	// Templates are the Content SIDs that can be sent, with the names of their variables; nil: DefaultTemplates().
	Templates map[string][]string
	// HTTP makes the callbacks; nil: a client of its own.
	HTTP *http.Client
	// Clock; nil: time.Now. Waiting is by timers of package time in any case.
	Clock func() time.Time
	// Logger is told about callbacks that fail, never with content or addresses; nil: silent.
	Logger *slog.Logger
}

// DefaultNumbers are +15550101001 to +15550101010, and +15550101099, which is for calls only.
func DefaultNumbers() []Number {
	var out []Number
	for i := 1; i <= 10; i++ {
		out = append(out, Number{SID: fmt.Sprintf("PN%032d", i), Number: fmt.Sprintf("+1555010%04d", 1000+i)})
	}
	return append(out, Number{SID: fmt.Sprintf("PN%032d", 99), Number: "+15550101099", Voice: true})
}

// DefaultTemplates is one, of two variables.
func DefaultTemplates() map[string][]string {
	return map[string][]string{"HX00000000000000000000000000000001": {"1", "2"}}
}

// Simulator is Twilio with one account. It is safe for concurrent use; Close ends its callbacks.
type Simulator struct {
	o     Options
	stage *stage.Stage

	mu     sync.Mutex
	hooks  map[string]hooks // by number or service
	out    map[pair]bool    // who opted out
	nextID int
}

// hooks are where Twilio tells what was written to a number or a service.
type hooks struct{ url, fallback string }

// pair is a sender and a recipient.
type pair struct{ sender, recipient string }

// own are Twilio's fields of the behaviour, beside those of package stage.
type own struct {
	// QueueFull: the sender's queue takes no more.
	QueueFull bool `json:"queue_full"`
}

// Call is one call as GET _sim/calls shows it. RequestID is our id of the message, To the number as it was given.
type Call = stage.Call

// New starts a simulator.
func New(o Options) *Simulator {
	if o.AccountSID == "" {
		o.AccountSID = DefaultAccountSID
	}
	if o.AuthToken == "" {
		o.AuthToken = DefaultAuthToken
	}
	if o.ServiceSID == "" {
		o.ServiceSID = DefaultServiceSID
	}
	if o.Numbers == nil {
		o.Numbers = DefaultNumbers()
	}
	if o.Templates == nil {
		o.Templates = DefaultTemplates()
	}
	s := &Simulator{o: o, hooks: map[string]hooks{}}
	s.forget()
	s.stage = stage.New(stage.Options{
		Fail: fail, Known: s.known, Forget: s.forget, Own: func() any { return &own{} },
		Delivered: func(status int) bool { return status >= 200 && status < 300 },
		StatusDelays: map[string]time.Duration{
			"accepted": time.Millisecond, "queued": 5 * time.Millisecond, "sending": 10 * time.Millisecond, "undelivered": 60 * time.Millisecond,
		},
		HTTP: o.HTTP, Clock: o.Clock, Logger: o.Logger,
	})
	s.routes()
	return s
}

// Settings are the environment of the functions that reach the simulator at a base URL.
func Settings(baseURL string) map[string]string {
	return map[string]string{"TWILIO_SMS_BASE_URL": baseURL}
}

// Start makes a simulator. The function that it gives ends it.
func Start(_ map[string]string, log *slog.Logger) (http.Handler, func()) {
	s := New(Options{Logger: log})
	return s, s.Close
}

// forget is what _sim/reset does: everything but numbers and where they call back.
func (s *Simulator) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out = map[pair]bool{}
}

func (s *Simulator) known(sender string) bool {
	if sender == s.o.ServiceSID {
		return true
	}
	_, owned := s.number(sender)
	return owned
}

func (s *Simulator) number(n string) (Number, bool) {
	for _, x := range s.o.Numbers {
		if x.Number == n {
			return x, true
		}
	}
	return Number{}, false
}

// sid makes the next id of a kind.
func (s *Simulator) sid(prefix string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextID++
	return fmt.Sprintf("%s%032x", prefix, s.nextID)
}

// Calls returns what the API saw of a sender ("": of all), oldest first, and how many messages it accepted.
func (s *Simulator) Calls(sender string) ([]Call, int) { return s.stage.Calls(sender) }

// Close ends the callbacks, those under way too, and waits for them.
func (s *Simulator) Close() { s.stage.Close() }

// ServeHTTP serves the API under /2010-04-01/ and the steering under /_sim/.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.stage.ServeHTTP(w, r) }

func (s *Simulator) routes() {
	const account = "/2010-04-01/Accounts/{account}"
	add := func(pattern string, r stage.Route) {
		r.Check = s.check
		s.stage.Handle(pattern, r)
	}
	add("POST "+account+"/Messages.json", stage.Route{Send: true, Look: look, Serve: s.send})
	add("GET "+account+"/IncomingPhoneNumbers.json", stage.Route{Serve: s.listNumbers})
	add("POST "+account+"/IncomingPhoneNumbers/{sid}", stage.Route{Serve: s.updateNumber})
	add("GET /2010-04-01/Accounts/{account}", stage.Route{Serve: s.showAccount})
	add("/", stage.Route{Serve: func(e *stage.Exchange) {
		problem(e, http.StatusNotFound, 20404, "The requested resource "+e.Request.URL.Path+" was not found")
	}})
	s.stage.Steer(http.MethodPost, "inbound", s.postInbound)
	s.stage.Steer(http.MethodPost, "webhook", s.postWebhook)
}

// check asks for the account's credentials.
func (s *Simulator) check(e *stage.Exchange) bool {
	user, password, _ := e.Request.BasicAuth()
	same := func(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
	inPath := strings.TrimSuffix(e.Request.PathValue("account"), ".json")
	switch {
	case e.TooLarge:
		problem(e, http.StatusRequestEntityTooLarge, 20001, "Request too large")
	case !same(user, s.o.AccountSID) || !same(password, s.o.AuthToken) || inPath != "" && inPath != s.o.AccountSID:
		problem(e, http.StatusUnauthorized, 20003, "Authenticate")
	default:
		return true
	}
	return false
}

// problem answers with an error body of Twilio's form.
func problem(e *stage.Exchange, status, code int, message string) {
	e.JSON(status, map[string]any{"code": code, "message": message, "more_info": fmt.Sprintf("https://www.twilio.com/docs/errors/%d", code), "status": status})
}

// fail is a failure that was steered.
func fail(e *stage.Exchange, status int) {
	code := 20500
	switch status {
	case http.StatusUnauthorized:
		code = 20003
	case http.StatusNotFound:
		code = 20404
	case http.StatusTooManyRequests:
		code = 20429
	case http.StatusBadRequest:
		code = 20001
	}
	problem(e, status, code, http.StatusText(status))
}

func (s *Simulator) showAccount(e *stage.Exchange) {
	status := "active"
	if s.o.Suspended {
		status = "suspended"
	}
	e.JSON(http.StatusOK, map[string]any{
		"sid": s.o.AccountSID, "owner_account_sid": s.o.AccountSID, "friendly_name": "Local", "status": status, "type": "Full",
		"uri": "/2010-04-01/Accounts/" + s.o.AccountSID + ".json",
	})
}
