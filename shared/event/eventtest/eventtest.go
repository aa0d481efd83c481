// Package eventtest gives tests a place where events are published.
package eventtest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"contactcenter/shared/account"
	"contactcenter/shared/audit"
	"contactcenter/shared/event"
)

// Recorder keeps what is published. It is safe for concurrent use.
type Recorder struct {
	mu     sync.Mutex
	list   []event.Event
	broken bool
}

// Publish keeps events.
func (r *Recorder) Publish(_ context.Context, list ...event.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken {
		return errors.New("the queue is down")
	}
	r.list = append(r.list, list...)
	return nil
}

// Break makes publishing fail, or work again.
func (r *Recorder) Break(broken bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = broken
}

// Events gives what was published, in its order, each event once.
func (r *Recorder) Events() []event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []event.Event
	for _, e := range r.list {
		if !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out
}

// Types gives the types of Events.
func (r *Recorder) Types() []event.Type {
	var out []event.Type
	for _, e := range r.Events() {
		out = append(out, e.Type)
	}
	return out
}

// Listen makes an account listen to everything.
func Listen(t testing.TB, accounts *account.Store, accountID string) {
	t.Helper()
	if _, err := accounts.Get(t.Context(), accountID); err != nil {
		t.Fatal(err)
	}
	if err := accounts.Audit.Write(t.Context(), audit.Event{
		AccountID: accountID, Actor: audit.Actor{Kind: audit.User, ID: "user_1", AccountID: accountID}, Action: "webhook_endpoint.created", Target: accountID,
	}, account.Listening(accounts.Table, accountID, event.All, 0)); err != nil {
		t.Fatal(err)
	}
}
