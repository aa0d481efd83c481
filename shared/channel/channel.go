// Package channel knows Communication channels: what an account has set up to send by, whether it may be used, and what
// the customer confirmed when it was activated.
package channel

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"contactcenter/shared/provider"
)

// Status is what the customer has made of a channel. What the provider's own state adds to it is shown, never stored.
type Status string

// The stored statuses.
const (
	Inactive Status = "inactive"
	Active   Status = "active"
	// CredentialsInvalid: the provider no longer takes the channel's credentials. The customer activates it anew.
	CredentialsInvalid Status = "credentials_invalid"
)

// Unspoken is the Adapter of a channel that was made while nothing spoke to its provider. No adapter has this name.
const Unspoken = "-"

// Statuses that are shown in place of the stored one while the provider is switched off.
const (
	ProviderDisabled Status = "provider_disabled"
	ProviderRemoved  Status = "provider_removed"
)

// ErrNotFound: there is no such channel, or it was deleted.
var ErrNotFound = errors.New("channel not found")

// Channel is one Communication channel of an account.
type Channel struct {
	ID         string
	AccountID  string
	ProviderID string
	// Adapter names what speaks to the provider for this channel, as the provider's entry named it when the channel was set
	// up, so that nobody has to read the entry for that: see AdapterID. Unspoken: this software had nothing that does. "":
	// what has the provider's id.
	Adapter string
	// Type is the kind of channel, for example "whatsapp".
	Type string
	Name string
	// Address is the sender's number or handle as recipients see it.
	Address string
	// SenderID is the provider's name for the sender, when it comes from the operator's native pool.
	SenderID string
	// Settings are the provider's adapter's own; nobody else reads them.
	Settings map[string]string
	// SealedCredentials are the account's own, for a provider that is used with the customer's account: see
	// SealCredentials and WithCredentials. They are never shown.
	SealedCredentials []byte

	Status    Status
	CreatedAt time.Time
	// CreatedBy and ActivatedBy are users: subjects of tokens.
	CreatedBy   string
	ActivatedBy string
	ActivatedAt time.Time
	// Confirmation is what the customer confirmed at the last activation.
	Confirmation Confirmation
	// PausedUntil is when the provider wants to be called again at the earliest; zero: at once.
	PausedUntil time.Time
	// DeletedAt is set on a deleted channel, which only Lookup gives.
	DeletedAt time.Time
}

// Confirmation is what a customer confirms when activating a channel.
type Confirmation struct {
	RulesVersion         string   `json:"rules_version"`
	ProviderTermsVersion string   `json:"provider_terms_version"`
	TransferCountries    []string `json:"transfer_countries"`
}

// Matches reports whether two confirmations say the same; the order and repetition of countries don't count.
func (c Confirmation) Matches(o Confirmation) bool {
	return c.RulesVersion == o.RulesVersion && c.ProviderTermsVersion == o.ProviderTermsVersion &&
		slices.Equal(set(c.TransferCountries), set(o.TransferCountries))
}

func set(list []string) []string {
	s := slices.Clone(list)
	slices.Sort(s)
	return slices.Compact(s)
}

// AdapterID names what speaks to the provider for this channel.
func (c Channel) AdapterID() string { return cmp.Or(c.Adapter, c.ProviderID) }

// Paused reports whether the provider does not want to be called for this channel yet.
func (c Channel) Paused(now time.Time) bool { return now.Before(c.PausedUntil) }

// Deleted reports whether the customer has deleted the channel.
func (c Channel) Deleted() bool { return !c.DeletedAt.IsZero() }

// ForProvider is what the provider's adapter learns of the channel, without credentials.
func (c Channel) ForProvider() provider.Channel {
	return provider.Channel{ID: c.ID, Type: c.Type, Address: c.Address, SenderID: c.SenderID, Settings: c.Settings}
}

// CallbackURL is where the provider reports on a channel. Base has no final slash.
func CallbackURL(base, providerID, channelID string) string {
	return strings.TrimSuffix(base, "/") + "/v1/callbacks/" + providerID + "/" + channelID
}
