package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// account is a Customer Account of this run, with a plan and a channel of its own.
type account struct {
	caller
	id      string
	channel channel
	sender  int64
	confirm map[string]any
}

type channel struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	Status  string `json:"status"`
}

type message struct {
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
	Timeline []step `json:"timeline"`
}

type step struct {
	Status string `json:"status"`
}

func (m message) reached(status string) bool {
	return m.Status == status || slices.Contains(m.Timeline, step{status})
}

// taken tells whether the provider has it.
func (m message) taken() bool {
	return slices.Contains([]string{"sent", "delivered", "read"}, m.Status)
}

// ended tells whether nothing but late proof of delivery can follow.
func (m message) ended() bool {
	return m.taken() || slices.Contains([]string{"failed", "rejected", "expired", "canceled", "unknown"}, m.Status)
}

type usage struct {
	Limit    int64 `json:"limit"`
	Used     int64 `json:"used"`
	InFlight int64 `json:"in_flight"`
}

// unique is an id that no other run has.
func unique(prefix string) string {
	b := make([]byte, 6)
	_, _ = rand.Read(b) // it never fails
	return prefix + hex.EncodeToString(b)
}

// newAccount makes an account with a plan of its own, accepts the Rules and creates a channel that is not active yet.
func newAccount(ctx context.Context, s *stack, limit int64) (*account, error) {
	operator, err := s.operator(ctx)
	if err != nil {
		return nil, err
	}
	a, plan := &account{id: unique("acct_demo_")}, unique("demo-")
	rate := map[string]any{"limit": 1000, "window_seconds": 1, "burst": 1000}
	if err := operator.call(ctx, http.MethodPut, "/v1/operator/plans/"+plan, map[string]any{"limit": limit, "period": "month", "rate": rate}, http.StatusOK, nil); err != nil {
		return nil, fmt.Errorf("make a plan: %w", err)
	}
	if err := operator.call(ctx, http.MethodPut, "/v1/operator/accounts/"+a.id, map[string]any{"plan_id": plan}, http.StatusOK, nil); err != nil {
		return nil, fmt.Errorf("make an account: %w", err)
	}
	if a.caller, err = s.user(ctx, a.id, userScopes); err != nil {
		return nil, err
	}
	if err := a.acceptRules(ctx); err != nil {
		return nil, err
	}
	if err := a.call(ctx, http.MethodPost, "/v1/channels", map[string]any{"provider_id": "edna", "name": "Demo"}, http.StatusCreated, &a.channel); err != nil {
		return nil, fmt.Errorf("create a channel: %w", err)
	}
	if a.sender, err = senderOf(a.channel.Address); err != nil {
		return a, err
	}
	// Who had the sender before may have left it behaving in some way.
	return a, s.behave(ctx, a.sender, nil)
}

// senderOf is the sender's number in the provider's books: in the local pool, the last digits of its address.
func senderOf(address string) (int64, error) {
	n, err := strconv.ParseInt(address[max(0, len(address)-4):], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the channel's sender is not one of the local pool: %w", err)
	}
	return n, nil
}

// acceptRules accepts the Rules in force, and reads what activating a channel will have to confirm.
func (a *account) acceptRules(ctx context.Context) error {
	var rules struct {
		Version   string `json:"version"`
		Documents []struct {
			ID      string `json:"id"`
			Version string `json:"version"`
			SHA256  string `json:"sha256"`
		} `json:"documents"`
	}
	if err := a.call(ctx, http.MethodGet, "/v1/rules/current", nil, http.StatusOK, &rules); err != nil {
		return fmt.Errorf("read the Rules: %w", err)
	}
	acceptance := map[string]any{"rules_version": rules.Version, "documents": rules.Documents, "capacity": "self"}
	if err := a.call(ctx, http.MethodPost, "/v1/rules/acceptances", acceptance, http.StatusCreated, nil); err != nil {
		return fmt.Errorf("accept the Rules: %w", err)
	}
	var provider struct {
		TermsVersion      string   `json:"terms_version"`
		TransferCountries []string `json:"transfer_countries"`
	}
	if err := a.call(ctx, http.MethodGet, "/v1/providers/edna", nil, http.StatusOK, &provider); err != nil {
		return fmt.Errorf("read what the provider asks for: %w", err)
	}
	a.confirm = map[string]any{"rules_version": rules.Version, "provider_terms_version": provider.TermsVersion, "transfer_countries": provider.TransferCountries}
	return nil
}

// activation is where the account's channel is activated.
func (a *account) activation() string { return "/v1/channels/" + a.channel.ID + "/activate" }

func (a *account) activate(ctx context.Context) error {
	if err := a.call(ctx, http.MethodPost, a.activation(), a.confirm, http.StatusOK, &a.channel); err != nil {
		return fmt.Errorf("activate the channel: %w", err)
	}
	return nil
}

// ready makes an account with an active channel.
func ready(ctx context.Context, s *stack, limit int64) (*account, error) {
	a, err := newAccount(ctx, s, limit)
	if err != nil {
		return a, err
	}
	return a, a.activate(ctx)
}

// leave gives the sender back, behaving as usual, also after a failure or an interrupt.
func (a *account) leave(ctx context.Context) {
	if a == nil || a.channel.ID == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	// There is nobody left to tell.
	if a.sender != 0 {
		_ = a.stack.behave(ctx, a.sender, nil)
	}
	_ = a.call(ctx, http.MethodDelete, "/v1/channels/"+a.channel.ID, nil, http.StatusNoContent, nil)
}

func (a *account) message(ctx context.Context, id string) (message, error) {
	var m message
	err := a.call(ctx, http.MethodGet, "/v1/messages/"+id, nil, http.StatusOK, &m)
	return m, err
}

func (a *account) messages(ctx context.Context, query url.Values) ([]message, error) {
	query.Set("page_size", "200")
	var all []message
	for {
		var page struct {
			Items         []message `json:"items"`
			NextPageToken string    `json:"next_page_token"`
		}
		if err := a.call(ctx, http.MethodGet, "/v1/messages?"+query.Encode(), nil, http.StatusOK, &page); err != nil {
			return nil, fmt.Errorf("list messages: %w", err)
		}
		all = append(all, page.Items...)
		if page.NextPageToken == "" {
			return all, nil
		}
		query.Set("page_token", page.NextPageToken)
	}
}

func (a *account) usage(ctx context.Context) (usage, error) {
	var u usage
	err := a.call(ctx, http.MethodGet, "/v1/usage", nil, http.StatusOK, &u)
	return u, err
}

// settled waits until nothing is in flight, and gives the usage then. It gives up after a time, with the last answer.
func (a *account) settled(ctx context.Context) (usage, error) {
	var u usage
	limited, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	err := wait(limited, 50*time.Millisecond, func() (bool, error) {
		var err error
		u, err = a.usage(limited)
		return u.InFlight == 0, err
	})
	if limited.Err() != nil && ctx.Err() == nil {
		return u, nil
	}
	return u, err
}

// text is a message's content.
func text(s string) map[string]any { return map[string]any{"type": "text", "text": s} }

// person is the nth telephone number of people who do not exist: valid numbers of Cyprus.
func person(n int) string { return fmt.Sprintf("+35799%06d", 500000+n) }
