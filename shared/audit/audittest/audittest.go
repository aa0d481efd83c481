// Package audittest gives tests an audit log, and events to write where the test is about something else.
package audittest

import (
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/id"
	"contactcenter/shared/localaws/awstest"
)

// New gives a log on a table of its own. No two of its events have the same millisecond, so that their order is that in
// which they were written.
func New(t testing.TB, env *awstest.Env) *audit.Log {
	t.Helper()
	now := new(ticks).now
	return &audit.Log{DB: env.DynamoDB, Table: env.Table(t.Context(), awstest.AuditTable()), IDs: id.Source{Now: now, Random: rand.Reader}, Now: now}
}

// ticks is a clock that goes on by a millisecond at least whenever it is looked at.
type ticks struct {
	mu   sync.Mutex
	last time.Time
}

func (c *ticks) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := time.Now().Truncate(time.Millisecond)
	if next := c.last.Add(time.Millisecond); at.Before(next) {
		at = next
	}
	c.last = at
	return at
}

// By begins an event of a user of an account.
func By(accountID string) audit.Event {
	return audit.Event{AccountID: accountID, Actor: audit.Actor{Kind: audit.User, ID: "user_1", AccountID: accountID}}
}

// ByOperator begins an event of an operator.
func ByOperator() audit.Event {
	return audit.Event{Actor: audit.Actor{Kind: audit.Operator, ID: "op_1"}}
}

// Of gives an account's events, oldest first; accountID "" gives the operator's own.
func Of(t testing.TB, l *audit.Log, accountID string) []audit.Event {
	t.Helper()
	list, _, err := l.Of(t.Context(), accountID, attr.Page{Size: 200})
	if err != nil {
		t.Fatal(err)
	}
	out := make([]audit.Event, len(list))
	for i, e := range list {
		out[len(list)-1-i] = e
	}
	return out
}
