package main

import (
	"context"
	"errors"
	"net/http"

	"contactcenter/shared/api"
	"contactcenter/shared/channel"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/rules"
)

// entryOf gives the registry's entry of a channel's provider, by the registry's Get or, for a user who is about to act on
// what it says, by Read.
func entryOf(r *http.Request, c channel.Channel, read func(context.Context, string) (registry.Entry, error)) (registry.Entry, error) {
	e, err := read(r.Context(), c.ProviderID)
	if errors.Is(err, registry.ErrNotFound) {
		return registry.Entry{ID: c.ProviderID, Status: registry.Removed}, nil
	}
	if err != nil {
		return registry.Entry{}, api.TryAgain(r, err)
	}
	return e, nil
}

// show shows a channel. While its provider is switched off that is what its status says; the customer's own setting is
// kept, and shown again afterwards. It also shows what is in force and what was confirmed, so that both can be compared
// before the channel is activated.
func (h *Handler) show(r *http.Request, c channel.Channel, e registry.Entry) api.Channel {
	status := c.Status
	switch e.Status {
	case registry.Disabled:
		status = channel.ProviderDisabled
	case registry.Removed:
		status = channel.ProviderRemoved
	}
	out := api.Channel{
		ID: c.ID, ProviderID: c.ProviderID, Type: c.Type, Name: c.Name, Address: c.Address, Status: api.ChannelStatus(status),
		CallbackURL: channel.CallbackURL(h.base(r), c.ProviderID, c.ID), CreatedAt: api.OptionalTime(c.CreatedAt),
	}
	if guide, ok := h.Adapters[c.AdapterID()].(provider.Guide); ok {
		for _, s := range guide.Setup(c.ForProvider(), out.CallbackURL) {
			out.SetupSteps = append(out.SetupSteps, api.SetupStep{Title: s.Title, Detail: s.Detail, Value: s.Value})
		}
	}
	out.SetupSteps = append(out.SetupSteps, h.unspokenSteps(c, e)...)
	if c.Status == channel.Active || c.Status == channel.CredentialsInvalid {
		out.ActivatedBy, out.ActivatedAt = c.ActivatedBy, api.OptionalTime(c.ActivatedAt)
	}
	if e.TermsVersion == "" { // there is no entry any more
		return out
	}
	inForce := channel.Confirmation{ProviderTermsVersion: e.TermsVersion, TransferCountries: e.TransferCountries}
	out.Confirmations = &api.TermsInForce{ProviderTermsVersion: e.TermsVersion, TransferCountries: append([]string{}, e.TransferCountries...)}
	if current, err := h.Rules.Current(r.Context()); err == nil {
		out.Confirmations.RulesVersion = current.Version
	} else if !errors.Is(err, rules.ErrNoneInForce) {
		api.Note(r.Context(), err) // the channel can be shown without
	}
	if c.ActivatedAt.IsZero() {
		return out
	}
	was := c.Confirmation
	out.Confirmed = &api.ConfirmedTerms{
		RulesVersion: was.RulesVersion, ProviderTermsVersion: was.ProviderTermsVersion, TransferCountries: append([]string{}, was.TransferCountries...),
		At: api.OptionalTime(c.ActivatedAt), By: c.ActivatedBy,
	}
	inForce.RulesVersion = was.RulesVersion // new Rules are accepted by the account, not by its channels
	out.ConfirmationRequired = !was.Matches(inForce)
	return out
}

// base is where providers call back.
func (h *Handler) base(r *http.Request) string {
	if h.PublicBaseURL != "" {
		return h.PublicBaseURL
	}
	return "https://" + api.CallFrom(r.Context()).Domain
}
