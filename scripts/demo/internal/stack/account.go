package stack

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Need is what a new account is to have. Without a provider it gets edna, without a name "Demo", without a period months, and
// without a rate one that stands in nobody's way.
type Need struct {
	Provider, Name string
	// Credentials are those of an account of its own with the provider.
	Credentials map[string]string
	// Limit is the number of messages in a period, "day" or "month"; Rate how many a second.
	Limit  int64
	Period string
	Rate   int64
}

// Account is a Customer Account of this run, with a plan and a channel of its own. It calls as its user.
type Account struct {
	*Caller
	ID, Plan string
	Channel  Channel
	// Sender is whom the provider knows the channel by.
	Sender string
	// Confirm is what activating the channel has to confirm.
	Confirm map[string]any

	need Need
	// before is the number of the sender's last call before this account had it.
	before int
}

// Channel is a Communication channel as the API shows it.
type Channel struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	Status  string `json:"status"`
}

// Message is a Business message as the API shows it.
type Message struct {
	ID             string `json:"id"`
	Status         string `json:"status"`
	Direction      string `json:"direction"`
	ConversationID string `json:"conversation_id"`
	ContentSHA256  string `json:"content_sha256"`
	ReplyTo        string `json:"reply_to"`
	Attempts       int    `json:"attempts"`
	Error          *struct {
		Code string `json:"code"`
	} `json:"error"`
	Timeline []Step `json:"timeline"`
}

// Step is one of a message's timeline.
type Step struct {
	Status string `json:"status"`
}

// Reached tells whether the message ever had a status.
func (m Message) Reached(status string) bool {
	return m.Status == status || slices.Contains(m.Timeline, Step{status})
}

// Taken tells whether the provider has it.
func (m Message) Taken() bool {
	return slices.Contains([]string{"sent", "delivered", "read"}, m.Status)
}

// Ended tells whether nothing but late proof of delivery can follow.
func (m Message) Ended() bool {
	return m.Taken() || slices.Contains([]string{"failed", "rejected", "expired", "canceled", "unknown"}, m.Status)
}

// Usage is what an account has used of its plan.
type Usage struct {
	Period   string `json:"period"`
	Limit    int64  `json:"limit"`
	Used     int64  `json:"used"`
	InFlight int64  `json:"in_flight"`
}

// Unique is an id that no other run has.
func Unique(prefix string) string {
	b := make([]byte, 6)
	_, _ = rand.Read(b) // it never fails
	return prefix + hex.EncodeToString(b)
}

// NewAccount makes an account with a plan of its own, accepts the Rules and creates a channel that is not active yet. With an error it
// may give an account too, which has a channel to leave.
func NewAccount(ctx context.Context, s *Stack, need Need) (*Account, error) {
	need = need.complete()
	id := Unique("acct_demo_")
	a := &Account{Caller: s.User(id, "user_demo", UserScopes), ID: id, need: need}
	if err := a.SetPlan(ctx, need.Limit, need.Period); err != nil {
		return nil, err
	}
	if err := a.acceptRules(ctx); err != nil {
		return nil, err
	}
	order := map[string]any{"provider_id": need.Provider, "name": need.Name}
	if need.Credentials != nil {
		order["credentials"] = need.Credentials
	}
	if err := a.Call(ctx, http.MethodPost, "/v1/channels", order, http.StatusCreated, &a.Channel); err != nil {
		return nil, fmt.Errorf("create a channel: %w", err)
	}
	if a.Sender = a.Channel.Address; need.Provider == "edna" {
		// In the local pool, edna's number of a sender is the end of its address.
		a.Sender = a.Sender[max(0, len(a.Sender)-4):]
	}
	if err := a.rememberCalls(ctx); err != nil {
		return a, err
	}
	// Who had the sender before may have left it behaving in some way.
	return a, a.Behave(ctx, nil)
}

func (n Need) complete() Need {
	if n.Provider == "" {
		n.Provider = "edna"
	}
	if n.Name == "" {
		n.Name = "Demo"
	}
	if n.Period == "" {
		n.Period = "month"
	}
	if n.Rate == 0 {
		n.Rate = 1000
	}
	return n
}

// SetPlan puts the account on a new plan, as the operator.
func (a *Account) SetPlan(ctx context.Context, limit int64, period string) error {
	operator, plan := a.Stack.Operator(), Unique("demo-")
	rate := map[string]any{"limit": a.need.Rate, "window_seconds": 1, "burst": a.need.Rate}
	if err := operator.Call(ctx, http.MethodPut, "/v1/operator/plans/"+plan, map[string]any{"limit": limit, "period": period, "rate": rate}, http.StatusOK, nil); err != nil {
		return fmt.Errorf("make a plan: %w", err)
	}
	if err := operator.Call(ctx, http.MethodPut, "/v1/operator/accounts/"+a.ID, map[string]any{"plan_id": plan, "reason": "demo"}, http.StatusOK, nil); err != nil {
		return fmt.Errorf("put the account on a plan: %w", err)
	}
	return nil
}

// rememberCalls finds the sender's last call so far.
func (a *Account) rememberCalls(ctx context.Context) error {
	calls, err := a.Sends(ctx)
	if err == nil && len(calls) > 0 {
		a.before = calls[len(calls)-1].Seq
	}
	return err
}

// acceptRules accepts the Rules in force, and reads what activating a channel will have to confirm.
func (a *Account) acceptRules(ctx context.Context) error {
	var rules struct {
		Version   string `json:"version"`
		Documents []struct {
			ID      string `json:"id"`
			Version string `json:"version"`
			SHA256  string `json:"sha256"`
		} `json:"documents"`
	}
	if err := a.Call(ctx, http.MethodGet, "/v1/rules/current", nil, http.StatusOK, &rules); err != nil {
		return fmt.Errorf("read the Rules: %w", err)
	}
	acceptance := map[string]any{"rules_version": rules.Version, "documents": rules.Documents, "capacity": "self"}
	if err := a.Call(ctx, http.MethodPost, "/v1/rules/acceptances", acceptance, http.StatusCreated, nil); err != nil {
		return fmt.Errorf("accept the Rules: %w", err)
	}
	var provider struct {
		TermsVersion      string   `json:"terms_version"`
		TransferCountries []string `json:"transfer_countries"`
	}
	if err := a.Call(ctx, http.MethodGet, "/v1/providers/"+a.need.Provider, nil, http.StatusOK, &provider); err != nil {
		return fmt.Errorf("read what the provider asks for: %w", err)
	}
	a.Confirm = map[string]any{"rules_version": rules.Version, "provider_terms_version": provider.TermsVersion, "transfer_countries": provider.TransferCountries}
	return nil
}

// Activation is where the account's channel is activated.
func (a *Account) Activation() string { return "/v1/channels/" + a.Channel.ID + "/activate" }

// Activate activates the channel.
func (a *Account) Activate(ctx context.Context) error {
	if err := a.Call(ctx, http.MethodPost, a.Activation(), a.Confirm, http.StatusOK, &a.Channel); err != nil {
		return fmt.Errorf("activate the channel: %w", err)
	}
	return nil
}

// Ready makes an account with an active channel. With an error it may give an account too, as NewAccount does.
func Ready(ctx context.Context, s *Stack, need Need) (*Account, error) {
	a, err := NewAccount(ctx, s, need)
	if err != nil {
		return a, err
	}
	return a, a.Activate(ctx)
}

// Leave gives the sender back, behaving as usual, also after a failure or an interrupt.
func (a *Account) Leave(ctx context.Context) {
	if a == nil || a.Channel.ID == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	// There is nobody left to tell.
	if a.Sender != "" {
		_ = a.Behave(ctx, nil)
	}
	_ = a.Call(ctx, http.MethodDelete, "/v1/channels/"+a.Channel.ID, nil, http.StatusNoContent, nil)
}

// Message reads one message.
func (a *Account) Message(ctx context.Context, id string) (Message, error) {
	var m Message
	err := a.Call(ctx, http.MethodGet, "/v1/messages/"+id, nil, http.StatusOK, &m)
	return m, err
}

// Messages lists all messages of a conversation or a client_reference, newest first.
func (a *Account) Messages(ctx context.Context, query url.Values) ([]Message, error) {
	query.Set("page_size", "200")
	var all []Message
	for {
		var page struct {
			Items         []Message `json:"items"`
			NextPageToken string    `json:"next_page_token"`
		}
		if err := a.Call(ctx, http.MethodGet, "/v1/messages?"+query.Encode(), nil, http.StatusOK, &page); err != nil {
			return nil, fmt.Errorf("list messages: %w", err)
		}
		all = append(all, page.Items...)
		if page.NextPageToken == "" {
			return all, nil
		}
		query.Set("page_token", page.NextPageToken)
	}
}

// Usage reads what the account has used.
func (a *Account) Usage(ctx context.Context) (Usage, error) {
	var u Usage
	err := a.Call(ctx, http.MethodGet, "/v1/usage", nil, http.StatusOK, &u)
	return u, err
}

// Settled waits until nothing is in flight, and gives the usage then. It gives up after a time, with the last answer.
func (a *Account) Settled(ctx context.Context) (Usage, error) {
	var u Usage
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := Wait(limited, 50*time.Millisecond, func() (bool, error) {
		var err error
		u, err = a.Usage(limited)
		return u.InFlight == 0, err
	})
	if limited.Err() != nil && ctx.Err() == nil {
		return u, nil
	}
	return u, err
}

// Block blocks the account as the operator, and gives what lifts that.
func (a *Account) Block(ctx context.Context, reason string) (lift func(context.Context) error, err error) {
	operator := a.Stack.Operator()
	var made struct {
		ID string `json:"id"`
	}
	block := map[string]any{"kind": "block", "reason": reason, "clause": "13"}
	if err := operator.Call(ctx, http.MethodPost, "/v1/operator/accounts/"+a.ID+"/restrictions", block, http.StatusCreated, &made); err != nil {
		return nil, fmt.Errorf("block the account: %w", err)
	}
	return func(ctx context.Context) error {
		if err := operator.Call(ctx, http.MethodDelete, "/v1/operator/restrictions/"+made.ID, nil, http.StatusNoContent, nil); err != nil {
			return fmt.Errorf("lift the block: %w", err)
		}
		return nil
	}, nil
}

// Text is a message's content.
func Text(s string) map[string]any { return map[string]any{"type": "text", "text": s} }

// Person is the nth telephone number of people who do not exist: valid numbers of Cyprus.
func Person(n int) string { return fmt.Sprintf("+35799%06d", 500000+n) }

// Wait asks again and again until the answer is yes or the context ends.
func Wait(ctx context.Context, pause time.Duration, ask func() (bool, error)) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		ok, err := ask()
		if err != nil || ok {
			return err
		}
		timer.Reset(pause)
	}
}
