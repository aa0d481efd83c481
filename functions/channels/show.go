package main

import (
	"errors"
	"net/http"

	"contactcenter/shared/api"
	"contactcenter/shared/channel"
	"contactcenter/shared/provider/registry"
)

// switchOf gives the operator's switch of a channel's provider.
func (h *Handler) switchOf(r *http.Request, c channel.Channel) (registry.Status, error) {
	e, err := h.Providers.Get(r.Context(), c.ProviderID)
	if errors.Is(err, registry.ErrNotFound) {
		return registry.Removed, nil
	}
	if err != nil {
		return "", api.TryAgain(r, err)
	}
	return e.Status, nil
}

// show shows a channel. While its provider is switched off that is what its status says; the customer's own setting is
// kept, and shown again afterwards.
func (h *Handler) show(r *http.Request, c channel.Channel, provider registry.Status) api.Channel {
	status := c.Status
	switch provider {
	case registry.Disabled:
		status = channel.ProviderDisabled
	case registry.Removed:
		status = channel.ProviderRemoved
	}
	out := api.Channel{
		ID: c.ID, ProviderID: c.ProviderID, Type: c.Type, Name: c.Name, Address: c.Address, Status: api.ChannelStatus(status),
		CallbackURL: channel.CallbackURL(h.base(r), c.ProviderID, c.ID), CreatedAt: api.OptionalTime(c.CreatedAt),
	}
	if c.Status == channel.Active || c.Status == channel.CredentialsInvalid {
		out.ActivatedBy, out.ActivatedAt = c.ActivatedBy, api.OptionalTime(c.ActivatedAt)
	}
	return out
}

// base is where providers call back.
func (h *Handler) base(r *http.Request) string {
	if h.PublicBaseURL != "" {
		return h.PublicBaseURL
	}
	return "https://" + api.CallFrom(r.Context()).Domain
}
