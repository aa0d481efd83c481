// Package telegram stands in for Telegram's Bot API on one machine and in tests: the part that the Contact Center uses, with
// Telegram's rules, error bodies and updates, as https://core.telegram.org/bots/api describes them and as its public server
// (github.com/tdlib/telegram-bot-api) words them. It shares no code with the adapter that it is there to test.
//
// From the documentation or the server: the form of answers, errors and updates; the descriptions of errors; the bounds of
// text, caption and callback_data; that a bot can't write to who has not started it, or has blocked it; the rules of
// setWebhook (https, ports, the secret's length and characters); the header with the secret; repeats of an update until
// it is answered with 2xx, at once, then after 2 s, 4 s and so on up to a minute; that blanks alone are no text.
//
// Where it departs from Telegram, or assumes:
//   - setWebhook takes http URLs, and any port, on the loopback interface.
//   - A file is not fetched from its URL; an error of fetching is steered by fetch_error.
//   - A text is delivered as it came, where Telegram's server takes blanks off its ends and replaces control characters.
//   - Whoever started another bot of this simulator is answered with 403 "bot can't initiate conversation with a user",
//     everybody else with 400 "chat not found". Which of the two Telegram answers depends on what its server knows.
//   - Flood limits are off unless chat_seconds is steered. Telegram's are not documented as hard numbers.
//   - At most 100 buttons. An update that fails does not hold up the next one of its chat, and Retry-After is not heeded.
//   - The errors of missing parts of a place are plausible, not Telegram's.
//
// Under /_sim/ it is steered and asked what it saw; see package stage, type own and inbound.go.
package telegram

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"contactcenter/scripts/simulator/stage"
)

// Bot is an account of the Bot API.
type Bot struct {
	// Token is its id, a colon and a secret. Username ends in "bot".
	Token, Username string
}

func (b Bot) id() string {
	id, _, _ := strings.Cut(b.Token, ":")
	return id
}

// DefaultBots are those of the local stack: "7000001:local-telegram-bot-1", @local_1_bot, up to 10.
func DefaultBots() []Bot {
	var out []Bot
	for i := 1; i <= 10; i++ {
		n := strconv.Itoa(i)
		out = append(out, Bot{strconv.Itoa(7_000_000+i) + ":local-telegram-bot-" + n, "local_" + n + "_bot"})
	}
	return out
}

// Options set the simulator up. The zero value is usable: every field has a default.
type Options struct {
	// Bots; nil: DefaultBots().
	Bots []Bot
	// RetrySchedule is the wait before each further attempt at an update; nil: Telegram's, for half an hour.
	RetrySchedule []time.Duration
	// HTTP brings the updates; nil: a client of its own.
	HTTP *http.Client
	// Clock; nil: time.Now.
	Clock func() time.Time
	// Logger is told about updates that fail, never with content or addresses; nil: silent.
	Logger *slog.Logger
}

// Simulator is the Bot API. It is safe for concurrent use; Close ends its callbacks.
type Simulator struct {
	stage *stage.Stage
	bots  map[string]*bot // by id

	mu sync.Mutex
	// last is the bot whose webhook was set last.
	last string
}

// bot is a Bot with what Telegram knows of it.
type bot struct {
	Bot
	hook       hook
	nextID     int64
	nextUpdate int64
	chats      map[int64]*chat
}

// hook is what setWebhook said.
type hook struct {
	url, secret string
	allowed     []string
}

// chat is one of a bot with a person or, below zero, a group.
type chat struct {
	id                            int64
	started, blocked, deactivated bool
	lastSent                      time.Time
	// messages are those of both sides, as Telegram shows them.
	messages map[int64]map[string]any
}

// New starts a simulator.
func New(o Options) *Simulator {
	if o.Bots == nil {
		o.Bots = DefaultBots()
	}
	if o.RetrySchedule == nil {
		o.RetrySchedule = retrySchedule()
	}
	s := &Simulator{bots: map[string]*bot{}}
	for _, b := range o.Bots {
		s.bots[b.id()] = &bot{Bot: b}
	}
	s.forget()
	s.stage = stage.New(stage.Options{
		Fail: s.fail, Known: func(sender string) bool { return s.bots[sender] != nil }, Forget: s.forget, Own: func() any { return &own{} }, NumericIDs: true,
		Delivered:     func(status int) bool { return status >= 200 && status < 300 },
		RetrySchedule: o.RetrySchedule, HTTP: o.HTTP, Clock: o.Clock, Logger: o.Logger,
	})
	s.routes()
	return s
}

func retrySchedule() []time.Duration {
	out := []time.Duration{0}
	for wait := 2 * time.Second; len(out) < 36; wait = min(2*wait, time.Minute) {
		out = append(out, wait)
	}
	return out
}

// Settings are the environment of the functions that reach the simulator at a base URL.
func Settings(baseURL string) map[string]string {
	return map[string]string{"TELEGRAM_BASE_URL": baseURL}
}

// Start makes a simulator. The function that it gives ends it.
func Start(_ map[string]string, log *slog.Logger) (http.Handler, func()) {
	s := New(Options{Logger: log})
	return s, s.Close
}

// own are Telegram's fields of the behaviour, beside those of package stage.
type own struct {
	// ChatSeconds is the least time between two messages to one chat; what comes sooner is answered with 429; 0: none.
	ChatSeconds int `json:"chat_seconds"`
	// FetchError is the description by which every file is refused, for example "failed to get HTTP URL content".
	FetchError string `json:"fetch_error"`
}

// forget is what _sim/reset does: everything but bots and their webhooks.
func (s *Simulator) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.bots {
		b.nextID, b.chats = max(b.nextID, 100), map[int64]*chat{}
		b.nextUpdate = max(b.nextUpdate, 174_000_000)
	}
}

// Calls returns what the API saw of a bot ("": of all), oldest first, and how many messages it accepted.
func (s *Simulator) Calls(botID string) ([]stage.Call, int) { return s.stage.Calls(botID) }

// Begin makes a person start a bot, without an update of it.
func (s *Simulator) Begin(botID string, person int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bots[botID].chat(person).started = true
}

// Close ends the callbacks, those under way too, and waits for them.
func (s *Simulator) Close() { s.stage.Close() }

// ServeHTTP serves the API under /bot{token}/ and the steering under /_sim/.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.stage.ServeHTTP(w, r) }

// chat finds or opens one. The caller holds the simulator's lock.
func (b *bot) chat(id int64) *chat {
	if b.chats[id] == nil {
		b.chats[id] = &chat{id: id, messages: map[int64]map[string]any{}}
	}
	return b.chats[id]
}

// keep gives a message its id and remembers it. The caller holds the simulator's lock.
func (b *bot) keep(c *chat, m map[string]any) int64 {
	b.nextID++
	m["message_id"] = b.nextID
	c.messages[b.nextID] = m
	return b.nextID
}

func (b *bot) user() map[string]any {
	return map[string]any{"id": json.Number(b.id()), "is_bot": true, "first_name": "Local bot", "username": b.Username}
}

func (s *Simulator) routes() {
	method := func(name string, send bool, serve func(*call)) {
		s.stage.Handle("/{bot}/"+name, stage.Route{
			Send:  send,
			Check: s.check,
			Look:  look,
			Serve: func(e *stage.Exchange) { serve(&call{e, e.Own.(*asked)}) },
		})
	}
	method("getMe", false, func(c *call) { c.result(c.bot.user()) })
	method("setWebhook", false, s.setWebhook)
	method("deleteWebhook", false, func(c *call) { c.args["url"] = ""; s.setWebhook(c) })
	method("getWebhookInfo", false, s.getWebhookInfo)
	for name, form := range forms() {
		method(name, true, func(c *call) { s.send(c, form) })
	}
	method("{method}", false, func(c *call) { c.error(http.StatusNotFound, "Not Found: method not found") })
	s.stage.Steer(http.MethodPost, "inbound", s.postInbound)
	s.stage.Steer(http.MethodPost, "start", s.postStart)
	s.stage.Steer(http.MethodPost, "block", func(w http.ResponseWriter, r *http.Request) { s.postMembership(w, r, true) })
	s.stage.Steer(http.MethodPost, "unblock", func(w http.ResponseWriter, r *http.Request) { s.postMembership(w, r, false) })
	s.stage.Steer(http.MethodPost, "deactivate", s.postDeactivate)
}

// asked is what a call asks for: the bot and the arguments, those that are no strings as their JSON.
type asked struct {
	bot  *bot
	args map[string]string
}

// call is one call of the API while it is served.
type call struct {
	*stage.Exchange
	*asked
}

// check finds the bot, and takes its token out of what is remembered of the call.
func (s *Simulator) check(e *stage.Exchange) bool {
	c := &call{e, &asked{}}
	token, found := strings.CutPrefix(e.Request.PathValue("bot"), "bot")
	id, _, colon := strings.Cut(token, ":")
	clean := *e.Request
	clean.URL = &url.URL{Path: "/bot" + id + ":…" + strings.TrimPrefix(e.Request.URL.Path, "/bot"+token)}
	e.Request = &clean
	b := s.bots[id]
	switch {
	case !found:
		c.error(http.StatusNotFound, "Not Found")
	case !colon || len(token) > 80:
		c.error(http.StatusUnauthorized, "Unauthorized: invalid token specified")
	case b == nil || b.Token != token:
		c.error(http.StatusUnauthorized, "Unauthorized")
	case e.TooLarge:
		c.error(http.StatusRequestEntityTooLarge, "Request Entity Too Large")
	default:
		c.bot = b
		if c.args, found = arguments(e); !found {
			c.error(http.StatusBadRequest, "Bad Request: can't parse the request's body")
			return false
		}
		e.Sender, e.Own = id, c.asked
		return true
	}
	return false
}

// arguments are those of the query and of a body of JSON or of a form.
func arguments(e *stage.Exchange) (map[string]string, bool) {
	out := map[string]string{}
	add := func(v url.Values) {
		for name := range v {
			out[name] = v.Get(name)
		}
	}
	switch kind, _, _ := strings.Cut(e.Request.Header.Get("Content-Type"), ";"); {
	case len(e.Body) == 0:
	case kind == "application/json":
		var members map[string]json.RawMessage
		if json.Unmarshal(e.Body, &members) != nil {
			return nil, false
		}
		for name, raw := range members {
			var text string
			if json.Unmarshal(raw, &text) != nil {
				text = string(raw)
			}
			out[name] = text
		}
	default:
		form, err := url.ParseQuery(string(e.Body))
		if err != nil {
			return nil, false
		}
		add(form)
	}
	return out, true
}

func look(e *stage.Exchange) { e.To = e.Own.(*asked).args["chat_id"] }

// result answers with a success.
func (c *call) result(v any) { c.JSON(http.StatusOK, map[string]any{"ok": true, "result": v}) }

func (c *call) error(status int, description string) {
	c.JSON(status, map[string]any{"ok": false, "error_code": status, "description": description})
}

// bad answers as the server does to most that it does not take.
func (c *call) bad(description string) { c.error(http.StatusBadRequest, "Bad Request: "+description) }

func (c *call) flood(seconds int) {
	c.JSON(http.StatusTooManyRequests, map[string]any{
		"ok": false, "error_code": http.StatusTooManyRequests, "description": "Too Many Requests: retry after " + strconv.Itoa(seconds),
		"parameters": map[string]any{"retry_after": seconds},
	})
	c.Header.Set("Retry-After", strconv.Itoa(seconds))
}

// fail is a failure that was steered.
func (s *Simulator) fail(e *stage.Exchange, status int) {
	c := &call{e, &asked{}}
	switch seconds := s.stage.Behaviour(e.Sender).RetryAfterSeconds; {
	case status == http.StatusTooManyRequests && seconds > 0:
		c.flood(seconds)
	case status == http.StatusForbidden:
		c.error(status, "Forbidden: bot was blocked by the user")
	default:
		c.error(status, http.StatusText(status))
	}
}
