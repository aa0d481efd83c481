// Package whatsappcloud stands in for WhatsApp's Cloud API on one machine and in tests: the part of the Graph API that the
// Contact Center uses, with Meta's rules, error bodies and webhooks. It is written from Meta's documentation and shares no
// code with the adapter that it is there to test.
//
// From documentation: the paths and bodies, bearer tokens and appsecret_proof, the codes of errors and their bodies, the
// lengths of every kind of message, the 24-hour window, templates with their states and variables, 80 messages a second
// for a number, one message in six seconds to one person after a burst of 45, the order in which callback URLs are looked
// for, the check of a URL before it is taken, the signature of webhooks, and the echo of biz_opaque_callback_data.
//
// Assumed: the HTTP status of rate limits (rate_status), whether a closed window is an answer or a failed status
// (late_errors), error 2200 for a URL whose check fails, the times between attempts at a webhook, and the order in which
// faults of one message are found.
//
// Where it departs from Meta, it says so: callback URLs may be http on the loopback interface, files are not fetched, and
// one token and one app are good for all accounts.
//
// Under /_sim/ it is steered and asked what it saw; see package stage, type own, and steering.go.
package whatsappcloud

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"contactcenter/scripts/simulator/stage"
)

// The default credentials, together with the numbers of DefaultNumbers. A verify token is the customer's own invention.
const (
	DefaultAccount     = "200000000000001"
	DefaultAccessToken = "local-whatsapp-token"
	DefaultAppSecret   = "local-whatsapp-app-secret"
)

// appID is the app that the token was made for.
const appID = "300000000000001"

// Number is a telephone number of a WhatsApp Business Account.
type Number struct {
	// ID is its phone_number_id, Account its account's.
	ID, Account string
	// Display is how it is shown, for example "+357 99 002001".
	Display string
}

// Options set the simulator up. The zero value is usable: every field has a default.
type Options struct {
	// AccessToken and AppSecret; "": those above.
	AccessToken, AppSecret string
	// Numbers; nil: DefaultNumbers().
	Numbers []Number
	// Templates; nil: DefaultTemplates().
	Templates []Template
	// OpenWindow: anything may be sent at any time, as open_window does.
	OpenWindow bool
	// RetrySchedule is the wait before each further attempt at a webhook; nil: from 5 s to 6 h.
	RetrySchedule []time.Duration
	// StatusDelays, Workers, KeepCalls, HTTP, Clock and Seed are those of package stage.
	StatusDelays map[string]time.Duration
	Workers      int
	KeepCalls    int
	HTTP         *http.Client
	Clock        func() time.Time
	Seed         uint64
	// Logger is told about callbacks that fail, never with content or addresses; nil: silent.
	Logger *slog.Logger
}

// DefaultNumbers are ten of DefaultAccount, 100000000000001 to 100000000000010, +357 99 002001 to +357 99 002010, and one
// of another account, which has the ids 100000000000011 and 200000000000002.
func DefaultNumbers() []Number {
	var out []Number
	for i := 1; i <= 10; i++ {
		out = append(out, Number{fmt.Sprintf("1000000000000%02d", i), DefaultAccount, fmt.Sprintf("+357 99 0020%02d", i)})
	}
	return append(out, Number{"100000000000011", "200000000000002", "+357 99 002011"})
}

// Simulator is the Cloud API. It is safe for concurrent use; Close ends its callbacks.
type Simulator struct {
	o       Options
	stage   *stage.Stage
	numbers map[string]Number
	// accounts are the ids of the numbers' accounts.
	accounts map[string]bool

	mu         sync.Mutex
	templates  []Template
	subscribed map[string]bool   // accounts that the app gets webhooks of
	hooks      map[string]string // callback URLs by number, by account, and the app's own under ""
	sent       map[string]string // wamid by biz_opaque_callback_data
	lastWrote  map[pair]time.Time
	optedOut   map[pair]bool
	pairs      map[pair]*bucket
	flow       map[string]*bucket
	n          int64
}

// pair is a number of ours and a person: digits, or a business-scoped id.
type pair struct{ number, person string }

// bucket has room for burst messages and gets one back every so often.
type bucket struct {
	level float64
	at    time.Time
}

// take takes one of what has gathered until now.
func (b *bucket) take(now time.Time, burst float64, every time.Duration) bool {
	if b.at.IsZero() {
		b.level = burst
	} else {
		b.level = min(burst, b.level+float64(now.Sub(b.at))/float64(every))
	}
	b.at = now
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}

// own are the provider's own fields of the behaviour, beside those of package stage.
type own struct {
	// OpenWindow: anything may be sent at any time. Else a person must have written within 24 hours.
	OpenWindow bool `json:"open_window"`
	// LateErrors: a closed window is found out after the message was taken, and reported by a failed status.
	LateErrors bool `json:"late_errors"`
	// RateStatus is the status of answers to too many messages.
	RateStatus int `json:"rate_status"`
	// ErrorCode is the code in answers of fail_status.
	ErrorCode int `json:"error_code"`
	// NoEcho: statuses don't have biz_opaque_callback_data.
	NoEcho bool `json:"no_echo"`
}

func ownOf(b stage.Behaviour) own { return *b.Own.(*own) }

// New starts a simulator.
func New(o Options) *Simulator {
	if o.AccessToken == "" {
		o.AccessToken = DefaultAccessToken
	}
	if o.AppSecret == "" {
		o.AppSecret = DefaultAppSecret
	}
	if o.Numbers == nil {
		o.Numbers = DefaultNumbers()
	}
	if o.Templates == nil {
		o.Templates = DefaultTemplates()
	}
	if o.RetrySchedule == nil {
		o.RetrySchedule = []time.Duration{5 * time.Second, 30 * time.Second, 5 * time.Minute, time.Hour, 6 * time.Hour}
	}
	s := &Simulator{
		o: o, templates: o.Templates, numbers: map[string]Number{}, accounts: map[string]bool{},
		subscribed: map[string]bool{}, hooks: map[string]string{},
	}
	for _, n := range o.Numbers {
		s.numbers[n.ID], s.accounts[n.Account] = n, true
	}
	s.forget()
	s.stage = stage.New(stage.Options{
		Fail: s.fail, Known: s.known, Forget: s.forget, Own: func() any { return &own{OpenWindow: o.OpenWindow, RateStatus: http.StatusBadRequest} },
		RetrySchedule: o.RetrySchedule, StatusDelays: o.StatusDelays, Workers: o.Workers, KeepCalls: o.KeepCalls,
		HTTP: o.HTTP, Clock: o.Clock, Seed: o.Seed, Logger: o.Logger,
	})
	s.routes()
	return s
}

// Settings are the environment of the functions that reach the simulator at a base URL. What lets one in is the customer's.
func Settings(baseURL string) map[string]string {
	return map[string]string{"WHATSAPP_CLOUD_BASE_URL": baseURL + "/v25.0"}
}

// Start makes a simulator. The function that it gives ends it.
func Start(_ map[string]string, log *slog.Logger) (http.Handler, func()) {
	s := New(Options{Logger: log})
	return s, s.Close
}

// forget is what _sim/reset does: everything but numbers, templates and callback URLs.
func (s *Simulator) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = map[string]string{}
	s.lastWrote, s.optedOut = map[pair]time.Time{}, map[pair]bool{}
	s.pairs, s.flow = map[pair]*bucket{}, map[string]*bucket{}
}

func (s *Simulator) known(number string) bool { return s.numbers[number] != Number{} }

// Calls returns what the API saw of a number ("": of all), oldest first, and how many messages it accepted.
func (s *Simulator) Calls(number string) ([]stage.Call, int) { return s.stage.Calls(number) }

// Close ends the callbacks, those under way too, and waits for them.
func (s *Simulator) Close() { s.stage.Close() }

// ServeHTTP serves the API under its version and the steering under /_sim/.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.stage.ServeHTTP(w, r) }

func (s *Simulator) routes() {
	handle := func(pattern string, serve func(*call)) {
		method, path, _ := strings.Cut(pattern, " ")
		s.stage.Handle(method+" /{version}/"+path, stage.Route{
			Send:  path == "{id}/messages",
			Check: func(e *stage.Exchange) bool { return s.check(&call{e}) },
			Look:  func(e *stage.Exchange) { s.look(&call{e}) },
			Serve: func(e *stage.Exchange) { serve(&call{e}) },
		})
	}
	handle("GET app", func(c *call) { c.reply(map[string]string{"id": appID}) })
	handle("GET {id}", s.getNode)
	handle("POST {id}", s.setNumber)
	handle("POST {id}/messages", s.send)
	handle("GET {id}/phone_numbers", s.phoneNumbers)
	handle("GET {id}/message_templates", s.messageTemplates)
	handle("GET {id}/subscribed_apps", s.getSubscribed)
	handle("POST {id}/subscribed_apps", s.subscribe)
	s.stage.Steer(http.MethodPost, "inbound", s.postInbound)
	s.stage.Steer(http.MethodPut, "webhook", s.putWebhook)
	s.stage.Steer(http.MethodPut, "template", s.putTemplate)
}

// call is one call of the API while it is served.
type call struct{ *stage.Exchange }

func (c *call) id() string { return c.Request.PathValue("id") }

// reply answers with 200.
func (c *call) reply(v any) { c.JSON(http.StatusOK, v) }

// refuse answers with an error of the Graph API.
func (c *call) refuse(status, code int, title, details string) {
	body := map[string]any{"message": fmt.Sprintf("(#%d) %s", code, title), "type": "OAuthException", "code": code, "fbtrace_id": "ALocalTraceId"}
	if details != "" {
		body["error_data"] = map[string]string{"messaging_product": "whatsapp", "details": details}
	}
	c.JSON(status, map[string]any{"error": body})
}

// unknown answers for an id that does not exist, or that the token may not see.
func (c *call) unknown() {
	c.JSON(http.StatusBadRequest, map[string]any{"error": map[string]any{
		"message": "Unsupported " + strings.ToLower(c.Request.Method) + " request. Object with ID '" + c.id() + "' does not exist, cannot be loaded due to missing permissions, or does not support this operation.",
		"type":    "GraphMethodException", "code": 100, "error_subcode": 33, "fbtrace_id": "ALocalTraceId",
	}})
}

// check refuses what the API does not look into: a token that is not good, a proof that does not fit.
func (s *Simulator) check(c *call) bool {
	proof := c.Request.URL.Query().Get("appsecret_proof")
	switch {
	case c.TooLarge:
		c.refuse(http.StatusRequestEntityTooLarge, 1, "Request too large", "")
	case c.Request.Header.Get("Authorization") != "Bearer "+s.o.AccessToken:
		c.refuse(http.StatusUnauthorized, 190, "Invalid OAuth access token - Cannot parse access token", "")
	case proof != "" && proof != hex.EncodeToString(s.sign([]byte(s.o.AccessToken))):
		c.JSON(http.StatusBadRequest, map[string]any{"error": map[string]any{
			"message": "Invalid appsecret_proof provided in the API argument", "type": "GraphMethodException", "code": 100, "fbtrace_id": "ALocalTraceId",
		}})
	default:
		return true
	}
	return false
}

func (s *Simulator) sign(of []byte) []byte {
	h := hmac.New(sha256.New, []byte(s.o.AppSecret))
	h.Write(of)
	return h.Sum(nil)
}

// fail is a failure that was steered.
func (s *Simulator) fail(e *stage.Exchange, status int) {
	code := ownOf(s.stage.Behaviour(e.Sender)).ErrorCode
	switch {
	case code != 0:
	case status == http.StatusUnauthorized:
		code = 190
	case status == http.StatusForbidden:
		code = 10
	case status == http.StatusTooManyRequests:
		code = 130429
	case status >= 500:
		code = 131000
	default:
		code = 100
	}
	c := call{e}
	c.refuse(status, code, "Steered failure", "")
}

// callback is a webhook with the proof that it comes from the app's platform.
func (s *Simulator) callback(url string, account, field string, value any) stage.Callback {
	body := stage.Marshal(map[string]any{
		"object": "whatsapp_business_account",
		"entry":  []any{map[string]any{"id": account, "changes": []any{map[string]any{"field": field, "value": value}}}},
	})
	return stage.Callback{
		URL: url, Body: body,
		Header: http.Header{"Content-Type": {"application/json"}, "X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(s.sign(body))}},
	}
}
