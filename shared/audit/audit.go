// Package audit knows who changed what, when and why. A change of state by a person and its event are one write: neither is
// there without the other. Events are only ever added. They hold what is needed to judge an act, and never content,
// addresses, recipients' names or secrets.
package audit

import (
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Kinds of actors.
const (
	// User is a duly authorized user of an account.
	User = "user"
	// Operator is one who works for the operator of the Contact Center.
	Operator = "operator"
	// System is the Contact Center itself, where it does what a person decided before.
	System = "system"
)

// Actor is who did something.
type Actor struct {
	// Kind is User, Operator or System.
	Kind string
	// ID is the subject of the token; of the system, the name of what acted.
	ID string
	// AccountID is a user's account.
	AccountID string
}

// Event is one change of state. It is written once and never changed.
type Event struct {
	// ID is given by Log.Write, and At where it is missing. Ids sort by time, and those of one chain by their places in it.
	ID string
	At time.Time
	// AccountID is whose account it concerns; "": the operator's own affairs, which no account sees.
	AccountID string
	Actor     Actor
	// Action names what happened, for example "channel.activated".
	Action string
	// Target is the id of what was changed.
	Target string
	// Before and After are what was changed, in few and small values that JSON can hold; nil: it was not there, or is not
	// any more. Together they may have MaxValues bytes.
	Before, After map[string]any
	// Reason is what the actor gave as the reason, in their own words.
	Reason string
	// InstructionID is the activation instruction that was followed, ComplaintID the complaint that led to this.
	InstructionID, ComplaintID string
	RequestID, SourceIP        string
	// RulesVersion is the version of the Rules that the act was done under or that it confirms.
	RulesVersion string
	// Sequence is the event's place in the chain of its account, from 1, or of the operator's own affairs; 0: it is older than
	// the chain. PreviousHash and Hash are hexadecimal digits; WithheldSalt and WithheldHash stand for what the account is
	// not shown, where there is such (see package chain). Log.Write gives them.
	Sequence                   int64
	PreviousHash, Hash         string
	WithheldSalt, WithheldHash string
}

// MaxValues bounds Before and After together, as JSON, in bytes.
const MaxValues = 4096

// Refused says that nothing was written, because a change's condition did not hold.
type Refused struct {
	// Index is the change's place among those given to Write; of several the first.
	Index int
	// Item is what is stored instead; empty where there is none.
	Item map[string]types.AttributeValue
}

// Error says that a condition did not hold.
func (*Refused) Error() string { return "the change was refused: its condition does not hold" }

// AsRefused gives the refusal in err, or nil.
func AsRefused(err error) *Refused {
	r := new(Refused)
	if errors.As(err, &r) {
		return r
	}
	return nil
}

var errIncomplete = errors.New("audit event: it needs an action, a target and an actor")
