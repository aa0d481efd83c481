// Package registry knows which Communication Providers there are, what the operator says of them, whether they are
// switched on, and the pool of native senders. How to speak to a provider is known by its adapter.
package registry

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"
)

// Onboarding says with whose account a provider is reached.
type Onboarding string

// The ways of onboarding.
const (
	// Native: with the operator's account; a sender comes from the operator's pool.
	Native Onboarding = "native"
	// OwnAccount: with the customer's own account and credentials.
	OwnAccount Onboarding = "own_account"
)

// Status is the operator's switch.
type Status string

// The positions of the switch.
const (
	Enabled Status = "enabled"
	// Disabled: messages wait until it is enabled again.
	Disabled Status = "disabled"
	// Removed: nothing is sent any more; history stays readable.
	Removed Status = "removed"
)

// HealthState is how a provider works at present.
type HealthState string

// Operational is the state of a provider of which nothing else is known. Package health knows what is known.
const Operational HealthState = "operational"

// Health is a provider's health, and since when.
type Health struct {
	State HealthState
	Since time.Time
}

// Document is a document of the provider: terms, privacy, where data goes.
type Document struct {
	Title string `json:"title"`
	URL   string `json:"url"`
}

// CredentialField is one credential that a customer enters for an own-account provider.
type CredentialField struct {
	Name string `json:"name"`
	// Kind is "secret" or "text".
	Kind string `json:"kind"`
	// Optional: it may be left out.
	Optional bool `json:"optional,omitempty"`
}

// Entry is a provider's entry in the registry.
type Entry struct {
	ID string
	// Adapter names what of this software speaks to the provider; "": what has the entry's id. See AdapterID.
	Adapter string
	// Version counts the entry's changes, from 1.
	Version     int64
	Name        string
	LegalEntity string
	Website     string
	Onboarding  Onboarding
	// ChannelTypes are the kinds of channel, the default first.
	ChannelTypes []string
	// TransferCountries are where the provider takes data to, as ISO 3166-1 alpha-2 codes.
	TransferCountries []string
	Documents         []Document
	// TermsVersion names the version of the provider's terms that customers confirm.
	TermsVersion     string
	Status           Status
	Health           Health
	CredentialFields []CredentialField
	// Limits are the provider's own, as far as it documents any.
	Limits    Limits
	CreatedAt time.Time
}

// Working gives the entry with the provider's health. Of one with which nothing was ever wrong that is so since it was added.
func (e Entry) Working(state HealthState, since time.Time) Entry {
	if state != "" {
		e.Health.State = state
	}
	if !since.IsZero() {
		e.Health.Since = since
	}
	return e
}

// Limits are a provider's own limits. What is above them waits.
type Limits struct {
	// Rate bounds what is handed to the provider by all accounts together; nil: it states no bound.
	Rate *Rate `json:"rate,omitempty"`
	// PerSender bounds what is handed over of each channel; nil: no bound.
	PerSender *Rate `json:"per_sender,omitempty"`
	// PerRecipientSeconds is the least time between two messages of one channel to one recipient; 0: none.
	PerRecipientSeconds int64 `json:"per_recipient_seconds,omitempty"`
}

// Rate is a limit on frequency: Limit messages in WindowSeconds, with Burst at once after a pause.
type Rate struct {
	Limit         int64 `json:"limit"`
	WindowSeconds int64 `json:"window_seconds"`
	Burst         int64 `json:"burst"`
}

// MaxRecipientSeconds bounds Limits.PerRecipientSeconds. What waits does so in the queue.
const MaxRecipientSeconds = 3600

// Same reports whether two limits say the same.
func (l Limits) Same(o Limits) bool {
	return same(l.Rate, o.Rate) && same(l.PerSender, o.PerSender) && l.PerRecipientSeconds == o.PerRecipientSeconds
}

func same(a, b *Rate) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// Change is one version of an entry: what it said from then on, and why.
type Change struct {
	Entry  Entry
	At     time.Time
	By     string
	Reason string
}

// AdapterID names what speaks to the provider. This software need not have it: then the provider is only listed.
func (e Entry) AdapterID() string { return cmp.Or(e.Adapter, e.ID) }

// Same reports whether the operator says the same in two entries. Their versions don't matter.
func (e Entry) Same(o Entry) bool {
	return e.ID == o.ID && e.Adapter == o.Adapter && e.Name == o.Name && e.LegalEntity == o.LegalEntity && e.Website == o.Website && e.Onboarding == o.Onboarding &&
		slices.Equal(e.ChannelTypes, o.ChannelTypes) && slices.Equal(e.TransferCountries, o.TransferCountries) && slices.Equal(e.Documents, o.Documents) &&
		e.TermsVersion == o.TermsVersion && e.Status == o.Status && slices.Equal(e.CredentialFields, o.CredentialFields) && e.Limits.Same(o.Limits)
}

// Sender is one sender of a native pool. ChannelID is "" while it is free, FreedAt when it came free; zero: it never was a channel's.
type Sender struct {
	ID        string
	Address   string
	ChannelID string
	TakenAt   time.Time
	FreedAt   time.Time
}

// Rest is how long a sender that came free is given to nobody: a dispatcher may still send by it for the channel that had it, by what it
// read of that up to 5 s before (channel.CacheAge), and a moment passes until the call begins. It is short enough for a user to wait.
const Rest = 6 * time.Second

// RestingError says that all free senders came free less than Rest ago. It is an ErrNoSender.
type RestingError struct {
	// Until is when the first of them has rested.
	Until time.Time
}

// Error tells nothing of whose the senders were.
func (e *RestingError) Error() string { return ErrNoSender.Error() + " that has rested" }

// Is makes it an ErrNoSender.
func (e *RestingError) Is(target error) bool { return target == ErrNoSender }

var (
	// ErrNotFound: there is no such provider.
	ErrNotFound = errors.New("provider not found")
	// ErrNoSender: no sender of the pool is free.
	ErrNoSender = errors.New("no free sender")
	// ErrSenderInUse: the sender belongs to a channel, so its address can't change.
	ErrSenderInUse = errors.New("sender is in use")
)

// ValidID reports whether s can be a provider's id: a slug of 1 to 64 lower-case letters, digits and "_", starting with a
// letter.
func ValidID(s string) bool {
	return s != "" && len(s) <= 64 && s[0] >= 'a' && s[0] <= 'z' && strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_'
	}) < 0
}
