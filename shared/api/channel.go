package api

import (
	"contactcenter/shared/channel"
	"contactcenter/shared/provider/registry"
)

// ChannelView is what showing a channel needs beside the channel.
type ChannelView struct {
	// BaseURL is where providers call back; "": not known, so no callback_url is shown.
	BaseURL string
	// RulesVersion is the version in force; "": none, or not known.
	RulesVersion string
}

// ChannelOf shows a channel. While its provider is switched off that is what its status says; the customer's own setting is
// kept, and shown again afterwards. It also shows what is in force and what was confirmed, so that both can be compared
// before the channel is activated. What is left to do by hand is not shown here.
func ChannelOf(c channel.Channel, e registry.Entry, v ChannelView) Channel {
	status := c.Status
	switch e.Status {
	case registry.Disabled:
		status = channel.ProviderDisabled
	case registry.Removed:
		status = channel.ProviderRemoved
	}
	out := Channel{ID: c.ID, ProviderID: c.ProviderID, Type: c.Type, Name: c.Name, Address: c.Address, Status: ChannelStatus(status), CreatedAt: OptionalTime(c.CreatedAt)}
	if v.BaseURL != "" {
		out.CallbackURL = channel.CallbackURL(v.BaseURL, c.ProviderID, c.ID)
	}
	if c.Status == channel.Active || c.Status == channel.CredentialsInvalid {
		out.ActivatedBy, out.ActivatedAt = c.ActivatedBy, OptionalTime(c.ActivatedAt)
	}
	if e.TermsVersion == "" { // there is no entry any more
		return out
	}
	inForce := channel.Confirmation{ProviderTermsVersion: e.TermsVersion, TransferCountries: e.TransferCountries}
	out.Confirmations = &TermsInForce{ProviderTermsVersion: e.TermsVersion, TransferCountries: append([]string{}, e.TransferCountries...), RulesVersion: v.RulesVersion}
	if c.ActivatedAt.IsZero() {
		return out
	}
	was := c.Confirmation
	out.Confirmed = &ConfirmedTerms{
		RulesVersion: was.RulesVersion, ProviderTermsVersion: was.ProviderTermsVersion, TransferCountries: append([]string{}, was.TransferCountries...),
		At: OptionalTime(c.ActivatedAt), By: c.ActivatedBy,
	}
	inForce.RulesVersion = was.RulesVersion // new Rules are accepted by the account, not by its channels
	out.ConfirmationRequired = !was.Matches(inForce)
	return out
}
