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

// show shows a channel, with what is left to do by hand.
func (h *Handler) show(r *http.Request, c channel.Channel, e registry.Entry) api.Channel {
	v := api.ChannelView{BaseURL: h.base(r)}
	if current, err := h.Rules.Current(r.Context()); err == nil {
		v.RulesVersion = current.Version
	} else if !errors.Is(err, rules.ErrNoneInForce) {
		api.Note(r.Context(), err) // the channel can be shown without
	}
	out := api.ChannelOf(c, e, v)
	if guide, ok := h.Adapters[c.AdapterID()].(provider.Guide); ok {
		for _, s := range guide.Setup(c.ForProvider(), out.CallbackURL) {
			out.SetupSteps = append(out.SetupSteps, api.SetupStep{Title: s.Title, Detail: s.Detail, Value: s.Value})
		}
	}
	out.SetupSteps = append(out.SetupSteps, h.unspokenSteps(c, e)...)
	return out
}

// base is where providers call back.
func (h *Handler) base(r *http.Request) string {
	if h.PublicBaseURL != "" {
		return h.PublicBaseURL
	}
	return "https://" + api.CallFrom(r.Context()).Domain
}
