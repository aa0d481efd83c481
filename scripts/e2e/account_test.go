//go:build e2e

package e2e

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

type content struct {
	Type      string            `json:"type"`
	Text      *string           `json:"text,omitempty"`
	Name      string            `json:"name,omitempty"`
	Language  string            `json:"language,omitempty"`
	Variables map[string]string `json:"variables,omitempty"`
	Latitude  *float64          `json:"latitude,omitempty"`
	Longitude *float64          `json:"longitude,omitempty"`
	Address   string            `json:"address,omitempty"`
	Kind      string            `json:"kind,omitempty"`
	URL       string            `json:"url,omitempty"`
	Filename  string            `json:"filename,omitempty"`
	Caption   string            `json:"caption,omitempty"`
	MediaID   string            `json:"media_id,omitempty"`
	MIMEType  string            `json:"mime_type,omitempty"`
	SizeBytes int64             `json:"size_bytes,omitempty"`
	Buttons   []any             `json:"buttons,omitempty"`
	List      map[string]any    `json:"list,omitempty"`
	ExpiresAt *timestamp        `json:"expires_at,omitempty"`
	Payload   string            `json:"payload,omitempty"`
	Raw       json.RawMessage   `json:"raw,omitempty"`

	Subject     *string          `json:"subject,omitempty"`
	HTML        string           `json:"html,omitempty"`
	Attachments []map[string]any `json:"attachments,omitempty"`
	Source      []byte           `json:"source,omitempty"`
}

func text(s string) content { return content{Type: "text", Text: &s} }

type message struct {
	ID                  string     `json:"id"`
	Status              string     `json:"status"`
	ChannelID           string     `json:"channel_id"`
	ConversationID      string     `json:"conversation_id"`
	ProviderID          string     `json:"provider_id"`
	Direction           string     `json:"direction"`
	To                  string     `json:"to"`
	From                string     `json:"from"`
	Content             content    `json:"content"`
	ContentSHA256       string     `json:"content_sha256"`
	ClientReference     string     `json:"client_reference"`
	OnLimit             string     `json:"on_limit"`
	ExpiresAt           *timestamp `json:"expires_at"`
	SendAt              *timestamp `json:"send_at"`
	RulesVersion        string     `json:"rules_version"`
	CreatedBy           string     `json:"created_by"`
	CreatedAt           *timestamp `json:"created_at"`
	UpdatedAt           *timestamp `json:"updated_at"`
	ReplyTo             string     `json:"reply_to"`
	Attempts            int        `json:"attempts"`
	ProviderMessageID   string     `json:"provider_message_id"`
	TransferCompletedAt *timestamp `json:"transfer_completed_at"`
	Transfer            *struct {
		ProviderID      string   `json:"provider_id"`
		ProviderVersion int64    `json:"provider_version"`
		Countries       []string `json:"countries"`
	} `json:"transfer"`
	HeldReason string     `json:"held_reason"`
	ReleaseAt  *timestamp `json:"release_at"`
	Error      *struct {
		Code         string `json:"code"`
		Detail       string `json:"detail"`
		FaultDomain  string `json:"fault_domain"`
		ProviderCode string `json:"provider_code"`
		Permanent    bool   `json:"permanent"`
	} `json:"error"`
	Timeline []struct {
		Status string    `json:"status"`
		At     timestamp `json:"at"`
		Reason string    `json:"reason"`
	} `json:"timeline"`
	Latency *struct {
		QueueMs    int64  `json:"queue_ms"`
		HeldMs     *int64 `json:"held_ms"`
		ProviderMs *int64 `json:"provider_ms"`
		TotalMs    int64  `json:"total_ms"`
	} `json:"latency"`
}

func (m message) String() string {
	b, err := json.Marshal(m)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// code is that of the message's error, "" without one.
func (m message) code() string {
	if m.Error == nil {
		return ""
	}
	return m.Error.Code
}

// final tells whether nothing but late proof of delivery can follow.
func (m message) final() bool {
	return slices.Contains([]string{"sent", "delivered", "read", "failed", "rejected", "expired", "canceled", "unknown"}, m.Status)
}

// taken tells whether the provider has the message.
func (m message) taken() bool {
	return slices.Contains([]string{"sent", "delivered", "read"}, m.Status)
}

type usage struct {
	PlanID    string `json:"plan_id"`
	Period    string `json:"period"`
	Limit     int64  `json:"limit"`
	Used      int64  `json:"used"`
	Remaining int64  `json:"remaining"`
	InFlight  int64  `json:"in_flight"`
	// ThresholdReachedAt says when the shares of the limit were used up, by percent.
	ThresholdReachedAt map[string]timestamp `json:"threshold_reached_at"`
	ResetsAt           timestamp            `json:"resets_at"`
	Rate               struct {
		Limit         int64 `json:"limit"`
		WindowSeconds int64 `json:"window_seconds"`
		Burst         int64 `json:"burst"`
	} `json:"rate"`
	Restrictions       []json.RawMessage `json:"restrictions"`
	PlanLimit          *int64            `json:"plan_limit"`
	PlanRate           json.RawMessage   `json:"plan_rate"`
	LimitRestrictionID string            `json:"limit_restriction_id"`
	RateRestrictionID  string            `json:"rate_restriction_id"`
}

type channel struct {
	ID          string     `json:"id"`
	ProviderID  string     `json:"provider_id"`
	Type        string     `json:"type"`
	Name        string     `json:"name"`
	Address     string     `json:"address"`
	Status      string     `json:"status"`
	CallbackURL string     `json:"callback_url"`
	ActivatedBy string     `json:"activated_by"`
	ActivatedAt *timestamp `json:"activated_at"`
	CreatedAt   *timestamp `json:"created_at"`
	Health      string     `json:"health"`
	// SetupSteps are left to do by hand at the provider.
	SetupSteps []struct {
		Title  string `json:"title"`
		Detail string `json:"detail"`
		Value  string `json:"value"`
	} `json:"setup_steps"`

	ConfirmationRequired bool            `json:"confirmation_required"`
	Confirmations        json.RawMessage `json:"confirmations"`
	Confirmed            json.RawMessage `json:"confirmed"`
}

// sender is the number of the channel's sender in the provider's own books.
func (c channel) sender(t *testing.T) int64 {
	t.Helper()
	digits := c.Address[max(0, len(c.Address)-4):]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		t.Fatalf("address %q of channel %s: %v", c.Address, c.ID, err)
	}
	return n
}

type conversation struct {
	ID                  string     `json:"id"`
	ChannelID           string     `json:"channel_id"`
	RecipientID         string     `json:"recipient_id"`
	Address             string     `json:"address"`
	LastInboundAt       *timestamp `json:"last_inbound_at"`
	LastOutboundAt      *timestamp `json:"last_outbound_at"`
	ReplyWindowClosesAt *timestamp `json:"reply_window_closes_at"`
	LastMessage         *message   `json:"last_message"`
	UnreadCount         int64      `json:"unread_count"`
	Read                *struct {
		UpToMessageID string    `json:"up_to_message_id"`
		ReadBy        string    `json:"read_by"`
		ReadAt        timestamp `json:"read_at"`
	} `json:"read"`
	Assignee *struct {
		UserID     string    `json:"user_id"`
		AssignedBy string    `json:"assigned_by"`
		AssignedAt timestamp `json:"assigned_at"`
	} `json:"assignee"`
}

type list[T any] struct {
	Items         []T    `json:"items"`
	NextPageToken string `json:"next_page_token"`
	// PreviousPageToken is of a conversation's messages.
	PreviousPageToken string `json:"previous_page_token"`
}

type rules struct {
	Version     string    `json:"version"`
	EffectiveAt timestamp `json:"effective_at"`
	Acceptance  string    `json:"acceptance"`
	Documents   []struct {
		ID      string `json:"id"`
		Version string `json:"version"`
		SHA256  string `json:"sha256"`
		URL     string `json:"url"`
	} `json:"documents"`
	ProhibitedUses []struct {
		ID    string `json:"id"`
		Title string `json:"title"`
	} `json:"prohibited_uses"`
}

type providerEntry struct {
	ID                string   `json:"id"`
	Adapter           string   `json:"adapter"`
	Name              string   `json:"name"`
	LegalEntity       string   `json:"legal_entity"`
	Website           string   `json:"website"`
	Onboarding        string   `json:"onboarding"`
	ChannelTypes      []string `json:"channel_types"`
	TransferCountries []string `json:"transfer_countries"`
	Documents         []struct {
		Title string `json:"title"`
		URL   string `json:"url"`
	} `json:"documents"`
	TermsVersion     string            `json:"terms_version"`
	Status           string            `json:"status"`
	Health           string            `json:"health"`
	Since            *timestamp        `json:"since"`
	CredentialFields []json.RawMessage `json:"credential_fields"`
	Limits           json.RawMessage   `json:"limits"`
}

// plan is a Service Plan of the test's own.
type plan struct {
	Limit  int64
	Period string // "": month
	// Rate per WindowSeconds (0: 1) with Burst (0: Rate). Rate 0: 1,000 a second.
	Rate, WindowSeconds, Burst int64
}

func (p plan) body() map[string]any {
	if p.Period == "" {
		p.Period = "month"
	}
	if p.Rate == 0 {
		p.Rate = 1000
	}
	if p.WindowSeconds == 0 {
		p.WindowSeconds = 1
	}
	if p.Burst == 0 {
		p.Burst = p.Rate
	}
	return map[string]any{"limit": p.Limit, "period": p.Period, "rate": map[string]any{"limit": p.Rate, "window_seconds": p.WindowSeconds, "burst": p.Burst}}
}

func unique(prefix string) string {
	b := make([]byte, 6)
	rand.Read(b)
	return prefix + hex.EncodeToString(b)
}

// account is a Customer Account of a test, with a user who may do everything.
type account struct {
	*caller
	t      *testing.T
	id     string
	planID string
}

// in is the account as a subtest uses it: what fails is the subtest.
func (a *account) in(t *testing.T) *account {
	b := *a
	b.t = t
	return &b
}

// newAccount makes an account with a plan of its own. It has not accepted the Rules.
func newAccount(t *testing.T, s *stack, p plan) *account {
	t.Helper()
	awayFromPeriodsEnd(t, p.Period)
	a := &account{t: t, id: unique("acct_"), planID: unique("plan_")}
	a.setPlan(s, p)
	got := s.operator(t).call(t, http.MethodPut, "/v1/operator/accounts/"+a.id, map[string]any{"plan_id": a.planID})
	if got.status != http.StatusOK {
		t.Fatalf("put the account on a plan: %v", got)
	}
	a.caller = s.user(t, a.id, "user_1", allScopes)
	return a
}

// awayFromPeriodsEnd waits until a period has ended that would end while a test runs: what it counts would begin anew, and what it holds would go.
func awayFromPeriodsEnd(t *testing.T, period string) {
	t.Helper()
	const longest = 4 * time.Minute
	now := time.Now().UTC()
	ends := time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	if period == "day" {
		ends = time.Date(now.Year(), now.Month(), now.Day()+1, 0, 0, 0, 0, time.UTC)
	}
	if left := ends.Sub(now); left < longest {
		t.Logf("a period ends in %v: waiting for that", left)
		time.Sleep(left + time.Second)
	}
}

// setPlan changes the account's plan, for at once.
func (a *account) setPlan(s *stack, p plan) {
	a.t.Helper()
	if got := s.operator(a.t).call(a.t, http.MethodPut, "/v1/operator/plans/"+a.planID, p.body()); got.status != http.StatusOK {
		a.t.Fatalf("put a plan: %v", got)
	}
}

func (a *account) accept() rules {
	a.t.Helper()
	current := decode[rules](a.t, (&caller{stack: a.stack}).call(a.t, http.MethodGet, "/v1/rules/current", nil), http.StatusOK)
	var documents []map[string]string
	for _, d := range current.Documents {
		documents = append(documents, map[string]string{"id": d.ID, "version": d.Version, "sha256": d.SHA256})
	}
	got := a.call(a.t, http.MethodPost, "/v1/rules/acceptances", map[string]any{"rules_version": current.Version, "documents": documents, "capacity": "self"})
	if got.status != http.StatusCreated {
		a.t.Fatalf("accept the Rules: %v", got)
	}
	return current
}

func (a *account) provider() providerEntry {
	a.t.Helper()
	return decode[providerEntry](a.t, a.call(a.t, http.MethodGet, "/v1/providers/edna", nil), http.StatusOK)
}

// confirmations are what activating a channel asks for.
func (a *account) confirmations(rulesVersion string) map[string]any {
	a.t.Helper()
	p := a.provider()
	return map[string]any{"rules_version": rulesVersion, "provider_terms_version": p.TermsVersion, "transfer_countries": p.TransferCountries}
}

// channel creates and activates a channel. When the test ends it gives the sender back, behaving as usual.
func (a *account) channel() channel {
	a.t.Helper()
	version := a.accept().Version
	a.stack.senders.take()
	a.t.Cleanup(a.stack.senders.giveBack)
	created := decode[channel](a.t, a.call(a.t, http.MethodPost, "/v1/channels", map[string]any{"provider_id": "edna", "name": a.t.Name()}), http.StatusCreated)
	a.t.Cleanup(func() { a.deleteChannel(created.ID) })
	active := decode[channel](a.t, a.call(a.t, http.MethodPost, "/v1/channels/"+created.ID+"/activate", a.confirmations(version)), http.StatusOK)
	if active.Status != "active" || active.Address == "" {
		a.t.Fatalf("channel after activation: %+v", active)
	}
	// Whoever had the sender before may have left it behaving in some way.
	a.stack.behave(a.t, active.sender(a.t), nil)
	return active
}

func (a *account) deleteChannel(id string) {
	select {
	case <-a.stack.ended:
		return
	default:
	}
	if got := a.call(a.t, http.MethodDelete, "/v1/channels/"+id, nil); got.status != http.StatusNoContent && got.status != http.StatusNotFound {
		a.t.Errorf("delete the channel: %v", got)
	}
}

// ready makes an account with an active channel.
func ready(t *testing.T, s *stack, p plan) (*account, channel) {
	t.Helper()
	a := newAccount(t, s, p)
	return a, a.channel()
}

// people gives telephone numbers that nobody else in this run has: valid numbers of Cyprus.
var people atomic.Int64

func person() string { return fmt.Sprintf("+35799%06d", 200000+people.Add(1)) }

// order is the body of POST /v1/messages.
func order(c channel, to string, what content, more ...any) map[string]any {
	o := map[string]any{"channel_id": c.ID, "to": to, "content": what}
	for i := 0; i+1 < len(more); i += 2 {
		o[more[i].(string)] = more[i+1]
	}
	return o
}

// send sends one message and expects it to be accepted.
func (a *account) send(o map[string]any, header ...string) message {
	a.t.Helper()
	got := a.call(a.t, http.MethodPost, "/v1/messages", o, header...)
	m := decode[message](a.t, got, http.StatusAccepted)
	if location := got.header.Get("Location"); location != "/v1/messages/"+m.ID {
		a.t.Errorf("Location %q of message %s", location, m.ID)
	}
	return m
}

func (a *account) message(id string) message {
	a.t.Helper()
	return decode[message](a.t, a.call(a.t, http.MethodGet, "/v1/messages/"+id, nil), http.StatusOK)
}

func (a *account) usage() usage {
	a.t.Helper()
	u := decode[usage](a.t, a.call(a.t, http.MethodGet, "/v1/usage", nil), http.StatusOK)
	if u.Used+u.Remaining != u.Limit && u.Remaining != 0 {
		a.t.Errorf("used %d and remaining %d are not the limit %d", u.Used, u.Remaining, u.Limit)
	}
	return u
}

// until waits for a message to be as asked.
func (a *account) until(id string, limit time.Duration, what string, ok func(message) bool) message {
	a.t.Helper()
	var m message
	wait(a.t, limit, func() (bool, string) {
		m = a.message(id)
		return ok(m), "message is not " + what + ": " + m.String()
	})
	return m
}

func status(statuses ...string) func(message) bool {
	return func(m message) bool { return slices.Contains(statuses, m.Status) }
}

// untilUsed waits until so much is used and nothing is in flight.
func (a *account) untilUsed(limit time.Duration, used int64) usage {
	a.t.Helper()
	var u usage
	wait(a.t, limit, func() (bool, string) {
		u = a.usage()
		return u.Used == used && u.InFlight == 0, fmt.Sprintf("want %d used and none in flight: %+v", used, u)
	})
	return u
}

// messages lists all messages of a query, page by page.
func (a *account) messages(query string) []message {
	a.t.Helper()
	return pages[message](a.t, a.caller, "/v1/messages?page_size=200&"+query)
}

func pages[T any](t *testing.T, c *caller, path string) []T {
	t.Helper()
	var all []T
	next := ""
	for range 1000 {
		at := path
		if next != "" {
			at += "&page_token=" + url.QueryEscape(next)
		}
		page := decode[list[T]](t, c.call(t, http.MethodGet, at, nil), http.StatusOK)
		if page.Items == nil {
			t.Fatalf("%s: items is not a list", at)
		}
		all = append(all, page.Items...)
		if next = page.NextPageToken; next == "" {
			return all
		}
	}
	t.Fatalf("%s has no last page", path)
	return nil
}

// wait asks again and again until the answer is yes, for a time: for what it takes usually, or for patience where that is longer.
func wait(t *testing.T, limit time.Duration, ask func() (ok bool, otherwise string)) {
	t.Helper()
	limit = max(limit, patience)
	pause := 10 * time.Millisecond
	deadline := time.Now().Add(limit)
	for {
		ok, otherwise := ask()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %s", limit, otherwise)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
		pause = min(pause*3/2, 250*time.Millisecond)
	}
}

func sha(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// senders bounds the channels that are active at once: the pool has ten.
type senders struct{ free chan struct{} }

func newSenders(n int) *senders {
	s := &senders{free: make(chan struct{}, n)}
	for range n {
		s.free <- struct{}{}
	}
	return s
}

func (s *senders) take()     { <-s.free }
func (s *senders) giveBack() { s.free <- struct{}{} }

func digits(address string) string { return strings.TrimPrefix(address, "+") }
