// Package provider knows what a Communication Provider is to the Contact Center: the contract that every adapter
// keeps, the errors that say what to do next, and the registry of providers with the operator's switch and pool
// of senders. What one provider's API looks like is known only by the package of that provider's name below.
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
	// Settings are what the adapter itself returned from Activate; nobody else reads them.
	Settings map[string]string
	// Credentials are the account's own, for providers that are reached with the customer's account. Never logged. Send,
	// ParseCallback and Check get them; Activate doesn't.
	Credentials map[string]string
}

// Message is all that a provider gets of a Business message: whom it is for, and the content, unchanged.
type Message struct {
	// ID is our message id. A provider that knows duplicates by a reference is given this one.
	ID      string
	To      string
	Content content.Content
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

// CredentialChecker is an adapter that can try an account's credentials: a harmless call with them, made when they are
// entered. The channel has them, and nothing yet that Activate would arrange. Its errors are *Error, of the kind
// Credentials when the provider does not take them, with a Detail for the customer.
type CredentialChecker interface {
	Check(ctx context.Context, ch Channel) error
}

// Capabilities are an adapter's promises as data.
type Capabilities struct {
	// RepeatSafe: a second Send with the same message id is recognised by the provider and delivers nothing twice.
	RepeatSafe bool
	// ChannelTypes that this adapter serves, the default first.
	ChannelTypes []string
	// AddressKind is what a recipient's address is: "phone" (E.164), "email" or "user_id".
	AddressKind string
	// Content lists the forms that can be carried exactly, with the provider's limits.
	Content map[content.Type]Limits
	// ReplyWindow is how long after a recipient's message free text may be sent; 0: no such rule.
	ReplyWindow time.Duration
}

// Limits bound one form of content. Zero means that the provider states none.
type Limits struct {
	// MaxTextRunes bounds a text, in Unicode code points.
	MaxTextRunes int
	// NoPlaceName: a location's name can't be carried, only its coordinates and address.
	NoPlaceName bool
}

// Request is a provider's callback as it came: raw bytes, decoded from the gateway's base64 if it was.
type Request struct {
	Method string
	Header http.Header
	Query  url.Values
	Body   []byte
}

// ErrProof: the callback does not carry the provider's proof of origin.
var ErrProof = errors.New("callback carries no valid proof of origin")

// ErrMalformed: the callback's body is not what the provider's documentation describes.
var ErrMalformed = errors.New("callback can't be read")

// Event is one thing that a provider reports. Exactly one of Status and Reply is set.
type Event struct {
	Status *StatusReport
	Reply  *Reply
}

// StatusReport says what became of a message of ours.
type StatusReport struct {
	// MessageID is our id, where the provider echoes it; else ProviderMessageID identifies the message.
	MessageID         string
	ProviderMessageID string
	// Status is "sent", "delivered", "read" or "failed". Other reports of a provider are not passed on.
	Status string
	At     time.Time
	// Code, ProviderCode, Detail and Fault explain a failure. Code is one of ours.
	Code, ProviderCode, Detail string
	Fault                      Fault
	Permanent                  bool
}

// Reply is what an End recipient wrote.
type Reply struct {
	// ID is the provider's id of the reply, unique within the channel: the key against duplicates.
	ID      string
	From    string
	Content content.Content
	// ReplyTo is our id of the message that is answered, where the provider says so; ReplyToProviderID its own.
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
