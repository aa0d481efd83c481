// Package endpoint knows the webhook endpoints of an account: where its own system wants to be told of events, of which, and how
// what is sent there is signed and kept from going anywhere else. It knows no event's content.
package endpoint

import (
	"errors"
	"time"

	"contactcenter/shared/event"
)

// Status says whether an endpoint is sent anything.
type Status string

// The statuses.
const (
	Enabled  Status = "enabled"
	Disabled Status = "disabled"
)

// Why an endpoint is disabled.
const (
	// ByUser: a user of the account said so.
	ByUser = "by_user"
	// Gone: it answered 410.
	Gone = "gone"
	// Failing: nothing was delivered to it for FailingFor.
	Failing = "failing"
)

const (
	// Max is how many endpoints an account may have.
	Max = 10
	// Overlap is for how long the secret before the current one signs too.
	Overlap = 24 * time.Hour
	// FailingFor is for how long an endpoint may fail before it is disabled, and a delivery is tried.
	FailingFor = 72 * time.Hour
	// QuickWithin is how fast an endpoint answers that is called as often as there is something to send.
	QuickWithin = time.Second
	// QuickFor is for how long one that did is taken to be so.
	QuickFor = time.Hour
	// Places is how many invocations may send to one that is not known to be quick, at a time: what it takes its time for is taken
	// from all endpoints.
	Places = 4
)

var (
	// ErrNotFound: the account has no such endpoint.
	ErrNotFound = errors.New("webhook endpoint not found")
	// ErrTooMany: the account has Max endpoints.
	ErrTooMany = errors.New("too many webhook endpoints")
)

// Endpoint is one endpoint. Its secrets stay sealed until Store.Secrets opens them.
type Endpoint struct {
	ID, AccountID    string
	URL, Description string
	Types            event.Set
	Status           Status
	// Why it is disabled, and since when.
	Why        string
	DisabledAt time.Time
	CreatedAt  time.Time
	CreatedBy  string
	// FailingSince is when the first of the failures was that no success followed; zero: the last one succeeded.
	FailingSince time.Time
	// QuietUntil is until when it is left alone, because it did not answer or asked for it.
	QuietUntil time.Time
	// QuickAt is when it last was seen to answer within QuickWithin; zero: it was not, or took longer since.
	QuickAt time.Time
	// OldUntil is until when the secret before the current one signs too.
	OldUntil time.Time
	// SecretID names the request that made the current secret.
	SecretID string

	secret, old []byte // sealed
	// places are until when each place is taken.
	places [Places]time.Time
}

// unknown forgets how quick the endpoint is and who sends to it: whoever does can't give its place back any more.
func (e *Endpoint) unknown() { e.QuickAt, e.places = time.Time{}, [Places]time.Time{} }

// Quick reports whether the endpoint is known to answer quickly.
func (e Endpoint) Quick(now time.Time) bool { return now.Sub(e.QuickAt) < QuickFor }

// Wants reports whether the endpoint is to be told of events of a type.
func (e Endpoint) Wants(t event.Type) bool {
	return e.Status == Enabled && (e.Types.Has(t) || t == event.EndpointTest)
}

// listens joins what the endpoints of an account ask for. One that was disabled because it failed counts: what happens meanwhile
// is recorded, so that it can be replayed.
func listens(list []Endpoint) event.Set {
	var all event.Set
	for _, e := range list {
		if e.Why != ByUser {
			all |= e.Types
		}
	}
	return all
}
