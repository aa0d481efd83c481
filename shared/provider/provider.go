// Package provider knows what a Communication Provider is to the Contact Center: the contract that every adapter keeps, and the
// errors that say what to do next. Package registry below knows the providers that there are, with the operator's switch and
// pools of senders; what one provider's API looks like is known only by the package of that provider's name.
package provider

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"contactcenter/shared/content"
)

// Channel is all that an adapter learns about a Communication channel.
type Channel struct {
	ID string
	// Type is the kind of channel, for example "whatsapp".
	Type string
	// Address is the sender's number or handle as recipients see it.
	Address string
	// SenderID is the provider's own name for the sender, for a sender of the operator's native pool.
	SenderID string
	// Settings are what the adapter itself returned from Connect, Subscribe or Activate; nobody else reads them. They are no place for a
	// secret.
	Settings map[string]string
	// Credentials are the account's own, for providers that are reached with the customer's account. Never logged. Connect,
	// Subscribe, Send, ParseCallback, Verify and Templates get them; Activate and Setup don't.
	Credentials map[string]string
}

// Message is all that a provider gets of a Business message: whom it is for, and the content, unchanged.
type Message struct {
	// ID is our message id. A provider that knows duplicates by a reference is given this one.
	ID      string
	To      string
	Content content.Content
	// ReplyTo is the provider's own id of the message that this one answers; "": none.
	ReplyTo string
}

// Receipt is a provider's word that it took a message.
type Receipt struct {
	// ProviderMessageID is the provider's own id of the message; empty when it tells it only later.
	ProviderMessageID string
	// Duplicate says that the provider had taken this message before, by an earlier attempt of ours.
	Duplicate bool
}

// Adapter speaks to one Communication Provider. Both methods are safe for concurrent use.
type Adapter interface {
	// Send hands one message over, once, and does not retry. Its errors are *Error.
	Send(ctx context.Context, ch Channel, m Message) (Receipt, error)
	// ParseCallback proves a callback's origin, then reads it. It returns ErrProof when the proof fails, and an
	// error wrapping ErrMalformed when the body can't be read. Fields and kinds it does not know are ignored.
	ParseCallback(ctx context.Context, ch Channel, r *Request) ([]Event, error)
	// Capabilities says what the provider's API can carry and guarantee.
	Capabilities() Capabilities
}

// Activator is an adapter that has something to arrange with its provider before a channel can be used: to find
// the sender, to register the callback URL. It returns the settings that later calls get, and the sender's
// address as the provider shows it ("" when it doesn't). Its errors are *Error.
type Activator interface {
	Activate(ctx context.Context, ch Channel, callbackURL string) (settings map[string]string, address string, err error)
}

// Connector is an adapter of a provider that is reached with the customer's account. Connect tries the credentials when
// they are entered, by harmless calls, and has the provider call callbackURL where its API allows that. It may be called
// again for the same channel, with other credentials. Its errors are *Error, of the kind Credentials when the provider
// does not take them, with a Detail that tells the customer what to do.
type Connector interface {
	Connect(ctx context.Context, ch Channel, callbackURL string) (Connection, error)
}

// Subscriber is a Connector whose provider checks the callback URL, by a GET that Verify answers, while it is told of it. So
// Subscribe is called when the channel and its credentials are stored, and returns the settings in place of Connect's. Its
// errors are *Error; they undo nothing: then Setup tells what is to be done by hand.
type Subscriber interface {
	Subscribe(ctx context.Context, ch Channel, callbackURL string) (settings map[string]string, err error)
}

// Connection is what came of Connect.
type Connection struct {
	// Settings that later calls get.
	Settings map[string]string
	// Address is the sender's number or handle as recipients see it; "": the provider doesn't show it.
	Address string
}

// SetupStep is something that the customer has to do at the provider by hand, because its API does not allow it.
type SetupStep struct {
	// Title says what to do, Detail where, Value what to enter there. None of them is a secret.
	Title, Detail, Value string
}

// Guide is an adapter whose provider asks for steps by hand.
type Guide interface {
	Setup(ch Channel, callbackURL string) []SetupStep
}

// Verifier is an adapter whose provider checks a callback URL by a GET that wants a certain answer. It returns the body
// of that answer, or ErrProof.
type Verifier interface {
	Verify(ctx context.Context, ch Channel, r *Request) ([]byte, error)
}

// TemplateLister is an adapter whose provider keeps message templates. Its errors are *Error.
type TemplateLister interface {
	// Templates lists those of the channel's sender, in whatever state, at most MaxTemplates.
	Templates(ctx context.Context, ch Channel) ([]Template, error)
}

// MaxTemplates bounds what Templates returns.
const MaxTemplates = 1000

// Template is a message template at the provider.
type Template struct {
	// ID is the provider's own; Name and Language are what a template message names.
	ID, Name, Language string
	// Status is "approved", "pending", "rejected", "paused", "disabled" or "draft". Only an approved one can be sent.
	Status string
	// Category as the provider calls it, for example "utility"; "": it has none.
	Category string
	// Text is the body with its placeholders. Variables are the names that a message's variables must have, in order.
	Text      string
	Variables []string
}

// Request is a provider's callback as it came: raw bytes, decoded from the gateway's base64 if it was.
type Request struct {
	Method string
	Header http.Header
	Query  url.Values
	Body   []byte
	// URL is the callback URL as the provider was given it, with the query of this call. Some providers sign it.
	URL string
}

// ErrProof: the callback does not carry the provider's proof of origin.
var ErrProof = errors.New("callback carries no valid proof of origin")

// ErrMalformed: the callback's body is not what the provider's documentation describes.
var ErrMalformed = errors.New("callback can't be read")

// Event is one thing that a provider reports. Exactly one of its members is set.
type Event struct {
	Status *StatusReport
	Reply  *Reply
	OptOut *OptOut
	// TemplatesChanged: a template of the channel's sender is another than before.
	TemplatesChanged bool
}

// OptOut is a recipient's word to the provider, or by a button of its app, that the channel may not write to it any
// more: it blocked the bot, it answered STOP where the provider acts on that itself. A failed status that says so is
// followed by one.
type OptOut struct {
	// From is the recipient's address, as a reply's From would be.
	From string
	// Lifted: it may again, by the recipient's own act.
	Lifted bool
	At     time.Time
}

// StatusReport says what became of a message of ours.
type StatusReport struct {
	// MessageID is our id, where the provider echoes it; else ProviderMessageID identifies the message.
	MessageID         string
	ProviderMessageID string
	// Status is "sent", "delivered", "read" or "failed". Other reports of a provider are not passed on.
	Status string
	// At is the provider's own time of it; zero: it does not say.
	At time.Time
	// Code, ProviderCode, Detail and Fault explain a failure. Code is one of ours.
	Code, ProviderCode, Detail string
	Fault                      Fault
	Permanent                  bool
}

// Reply is what an End recipient wrote.
type Reply struct {
	// ID is the provider's id of the reply, unique within the channel: the key against duplicates, and what Message.ReplyTo is
	// when this reply is answered.
	ID      string
	From    string
	Content content.Content
	// ReplyTo is our id of the message that is answered, where the provider says so; ReplyToProviderID its own, which is found
	// again with Capabilities.OwnIDsOnly.
	ReplyTo           string
	ReplyToProviderID string
	At                time.Time
	// Raw is the reply's part of the callback, byte for byte.
	Raw []byte
}

// Fault says whose fault a failure is.
type Fault string

// The fault domains.
const (
	FaultCustomer  Fault = "customer"
	FaultPlatform  Fault = "platform"
	FaultProvider  Fault = "provider"
	FaultRecipient Fault = "recipient"
)

// Kind says what to do after a failed call.
type Kind int

const (
	// Permanent: the provider refused, and will again. The message has failed.
	Permanent Kind = iota + 1
	// Retry: the provider certainly did not take it, and may later; not before RetryAfter.
	Retry
	// Ambiguous: the provider may have taken it. Repeat only where that is safe.
	Ambiguous
	// Credentials: the provider does not know us. Nothing on this channel will pass until somebody mends that.
	Credentials
)

// Error is why a provider's call failed, and what follows from it. Detail is ours, safe to show and to log: it
// holds no content, address or secret.
type Error struct {
	Kind Kind
	// Code is one of the contract's stable codes, for example "provider_refused".
	Code string
	// ProviderCode is the provider's own word for it.
	ProviderCode string
	Detail       string
	Fault        Fault
	// RetryAfter is how long the provider asks us to wait; 0: it did not say.
	RetryAfter time.Duration
	// OptedOut: the failure says that the recipient has opted out of the channel.
	OptedOut bool
	// Throttled: the provider works and asks for a slower pace, by a 429 or a code of its own. It is no sign of an outage.
	Throttled bool
	// Err is the cause, for logs. Adapters keep URLs with secrets, bodies and addresses out of it.
	Err error
}

func (e *Error) Error() string {
	s := e.Code
	if e.ProviderCode != "" {
		s += " (" + e.ProviderCode + ")"
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Failure gives the Error that an adapter's call failed with. Any other error is a fault of ours, in the middle of a call: the
// provider may have the message.
func Failure(err error) *Error {
	e := new(Error)
	if !errors.As(err, &e) {
		e = &Error{Kind: Ambiguous, Code: "provider_unavailable", Fault: FaultPlatform, Err: err}
	}
	return e
}
