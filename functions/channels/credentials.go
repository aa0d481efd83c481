package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"contactcenter/shared/api"
	"contactcenter/shared/channel"
	"contactcenter/shared/event"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/registry"
)

// maxCredential bounds one credential, in bytes: a private key in PEM fits.
const maxCredential = 8 << 10

// checkCredentials compares what was entered with the fields that the provider's entry names. No answer repeats a value.
func checkCredentials(e registry.Entry, credentials map[string]string) error {
	if e.Onboarding == registry.Native {
		if credentials != nil {
			var errs api.FieldErrors
			errs.Add("credentials", api.FieldUnknown, "must be left out: the provider is used without an account of one's own")
			return errs.Err()
		}
		return nil
	}
	if len(credentials) == 0 {
		return api.NewProblem(api.CodeCredentialsRequired).WithField("credentials", "must have the provider's credential_fields")
	}
	var errs api.FieldErrors
	required := api.NewProblem(api.CodeCredentialsRequired)
	known := map[string]bool{}
	for _, f := range e.CredentialFields {
		known[f.Name] = true
		switch value := credentials[f.Name]; {
		case value == "" && f.Optional:
		case value == "":
			required.Errors.Add("credentials."+f.Name, string(api.CodeCredentialsRequired), "is required")
		case len(value) > maxCredential:
			errs.Add("credentials."+f.Name, api.FieldInvalid, fmt.Sprintf("must have at most %d bytes", maxCredential))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(credentials)) {
		if !known[name] {
			errs.Add("credentials."+name, api.FieldUnknown, "is none of the provider's credential_fields")
		}
	}
	if len(required.Errors) > 0 {
		required.Errors = append(required.Errors, errs...)
		return required
	}
	return errs.Err()
}

// connect tries credentials at the provider and has it call back, where its adapter can, and seals them for the channel.
func (h *Handler) connect(r *http.Request, c channel.Channel, credentials map[string]string) (channel.Connected, error) {
	out := channel.Connected{Settings: c.Settings, Address: c.Address, Adapter: c.AdapterID()}
	if connector, ok := h.Adapters[c.AdapterID()].(provider.Connector); ok {
		ctx, cancel := context.WithTimeout(r.Context(), activateTimeout)
		defer cancel()
		p := c.ForProvider()
		p.Credentials = credentials
		connection, err := connector.Connect(ctx, p, channel.CallbackURL(h.base(r), c.ProviderID, c.ID))
		if err != nil {
			return out, refusedCredentials(r, err)
		}
		out.Settings, out.Address = connection.Settings, connection.Address
	}
	var err error
	out.Sealed, err = channel.SealCredentials(h.Credentials, c.AccountID, c.ID, credentials)
	return out, err
}

func refusedCredentials(r *http.Request, err error) error {
	fail := new(provider.Error)
	if !errors.As(err, &fail) || fail.Kind != provider.Credentials {
		return providerProblem(r, err)
	}
	detail := "The provider does not accept these credentials. They were not kept, and nothing was changed."
	if fail.Detail != "" {
		detail += " It says: " + fail.Detail
	}
	return api.NewProblem(api.CodeCredentialsInvalid).WithDetail(detail).WithField("credentials", "are not accepted by the provider")
}

// replaceCredentials takes other credentials for a channel.
func (h *Handler) replaceCredentials(r *http.Request, c channel.Channel, credentials map[string]string) (channel.Channel, error) {
	e, err := h.Providers.Read(r.Context(), c.ProviderID)
	if errors.Is(err, registry.ErrNotFound) {
		return channel.Channel{}, api.NewProblem(api.CodeProviderRemoved)
	}
	if err != nil {
		return channel.Channel{}, api.TryAgain(r, err)
	}
	if err := checkCredentials(e, credentials); err != nil {
		return channel.Channel{}, err
	}
	if h.Adapters[c.AdapterID()] == nil { // by now something may speak to the provider
		c.Adapter = h.speakerOf(e)
	}
	connected, err := h.connect(r, c, credentials)
	if err != nil {
		return channel.Channel{}, err
	}
	if c, err = h.Channels.ReplaceCredentials(r.Context(), c.ID, connected, api.AuditEvent(r.Context())); err != nil {
		return c, err
	}
	h.happened(r.Context(), event.ChannelUpdated, c, h.Now())
	return h.subscribe(r, c, credentials), nil
}

// subscribe has a provider call back that checks the URL meanwhile, and so wants the channel to be there. When that fails
// the channel stays: its setup steps say what is left to do by hand.
func (h *Handler) subscribe(r *http.Request, c channel.Channel, credentials map[string]string) channel.Channel {
	subscriber, ok := h.Adapters[c.AdapterID()].(provider.Subscriber)
	if !ok {
		return c
	}
	ctx, cancel := context.WithTimeout(r.Context(), activateTimeout)
	defer cancel()
	p := c.ForProvider()
	p.Credentials = credentials
	settings, err := subscriber.Subscribe(ctx, p, channel.CallbackURL(h.base(r), c.ProviderID, c.ID))
	if err == nil {
		err = h.Channels.Settle(ctx, c.ID, settings)
	}
	if err != nil {
		api.Note(r.Context(), err)
		return c
	}
	c.Settings = settings
	return c
}
