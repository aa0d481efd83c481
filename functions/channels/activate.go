package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/channel"
	"contactcenter/shared/event"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/restriction"
	"contactcenter/shared/rules"
)

// ActivateChannel answers POST /v1/channels/{id}/activate. Only a user of the channel's own account may: a principal
// without an account has none.
func (h *Handler) ActivateChannel(w http.ResponseWriter, r *http.Request) {
	if p := api.PrincipalFrom(r.Context()); p.AccountID == "" || p.Operator {
		api.WriteError(w, r, api.NewProblem(api.CodeForbidden).WithDetail("Only a duly authorized user of the account activates its channels."))
		return
	}
	h.answer(w, r, func(ctx context.Context, c channel.Channel) (channel.Channel, error) { return h.activate(r, c) })
}

func (h *Handler) activate(r *http.Request, c channel.Channel) (channel.Channel, error) {
	current, agreement, err := h.entitled(r, c)
	if err != nil {
		return channel.Channel{}, err
	}
	var req api.ActivateChannelRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return channel.Channel{}, err
	}
	confirmed := channel.Confirmation{RulesVersion: req.RulesVersion, ProviderTermsVersion: req.ProviderTermsVersion, TransferCountries: req.TransferCountries}
	c, inForce, err := h.confirm(r, c, current, confirmed)
	if err != nil {
		return channel.Channel{}, err
	}
	if !agreement.Accepted { // activating is a use, and here the version is even named
		p := api.PrincipalFrom(r.Context())
		u := rules.Use{AccountID: p.AccountID, UserID: p.UserID, SourceIP: api.CallFrom(r.Context()).SourceIP, At: h.Now()}
		if err := h.Rules.AcceptByUse(r.Context(), current, *agreement.Earlier, u); err != nil {
			return channel.Channel{}, api.TryAgain(r, err)
		}
	}
	if c.Status == channel.Active && c.Confirmation.Matches(inForce) {
		return c, nil
	}
	a := channel.Activation{By: api.PrincipalFrom(r.Context()).UserID, Confirmation: inForce, Adapter: c.AdapterID()}
	if a.Settings, a.Address, err = h.arrange(r, c); err != nil {
		return channel.Channel{}, err
	}
	a.At = h.Now()
	if c, err = h.Channels.Activate(r.Context(), c.ID, a, api.AuditEvent(r.Context())); err == nil {
		h.happened(r.Context(), event.ChannelActivated, c, c.ActivatedAt)
	}
	return c, err
}

// entitled gives the Rules in force, and how the channel's account has agreed to them: it must have, and be under no
// restriction that forbids it, before the channel is activated, whoever does it.
func (h *Handler) entitled(r *http.Request, c channel.Channel) (rules.Version, rules.Agreement, error) {
	current, err := h.Rules.Current(r.Context())
	if errors.Is(err, rules.ErrNoneInForce) {
		return rules.Version{}, rules.Agreement{}, api.TryAgain(r, err).WithDetail("The operator has not published any Rules yet.")
	}
	if err != nil {
		return rules.Version{}, rules.Agreement{}, api.TryAgain(r, err)
	}
	agreement, err := h.Rules.Agreement(r.Context(), c.AccountID, current)
	if err != nil {
		return rules.Version{}, rules.Agreement{}, api.TryAgain(r, err)
	}
	if !agreement.Permits() {
		return rules.Version{}, rules.Agreement{}, api.NewProblem(api.CodeRulesNotAccepted)
	}
	if err := h.permitted(r, c.AccountID, restriction.Way{ProviderID: c.ProviderID, ChannelID: c.ID}); err != nil {
		return rules.Version{}, rules.Agreement{}, err
	}
	return current, agreement, nil
}

// confirm gives what is in force for a channel, which must be what was confirmed, and the channel with what speaks for it.
// Its provider must be usable.
func (h *Handler) confirm(r *http.Request, c channel.Channel, current rules.Version, confirmed channel.Confirmation) (channel.Channel, channel.Confirmation, error) {
	none := channel.Confirmation{}
	e, err := h.Providers.Read(r.Context(), c.ProviderID)
	if errors.Is(err, registry.ErrNotFound) {
		return c, none, api.NewProblem(api.CodeProviderRemoved)
	}
	if err != nil {
		return c, none, api.TryAgain(r, err)
	}
	if err := switchedOn(e); err != nil {
		return c, none, err
	}
	if err := h.letsGo(r, c.AccountID, e); err != nil {
		return c, none, err
	}
	if c, err = h.spokenFor(c, e); err != nil {
		return c, none, err
	}
	inForce := channel.Confirmation{RulesVersion: current.Version, ProviderTermsVersion: e.TermsVersion, TransferCountries: e.TransferCountries}
	if !confirmed.Matches(inForce) {
		return c, none, outdated(inForce)
	}
	return c, inForce, nil
}

// letsGo refuses a provider that takes data where the account lets none go.
func (h *Handler) letsGo(r *http.Request, accountID string, e registry.Entry) error {
	a, err := h.Accounts.Find(r.Context(), accountID)
	if errors.Is(err, account.ErrNotFound) {
		return nil // not known yet, so it has no list
	}
	if err != nil {
		return api.TryAgain(r, err)
	}
	if outside, no := a.Countries.Forbid(e.TransferCountries); no {
		return api.CountryNotAllowed("transfer_countries", outside)
	}
	return nil
}

func outdated(inForce channel.Confirmation) error {
	p := api.NewProblem(api.CodeConfirmationOutdated)
	p.Confirmations = &api.Confirmations{
		RulesVersion: inForce.RulesVersion, ProviderTermsVersion: inForce.ProviderTermsVersion, TransferCountries: append([]string{}, inForce.TransferCountries...),
	}
	return p
}

// arrange lets the provider's adapter prepare the channel, where it has something to prepare.
func (h *Handler) arrange(r *http.Request, c channel.Channel) (settings map[string]string, address string, err error) {
	activator, ok := h.Adapters[c.AdapterID()].(provider.Activator)
	if !ok {
		return c.Settings, "", nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), activateTimeout)
	defer cancel()
	settings, address, err = activator.Activate(ctx, c.ForProvider(), channel.CallbackURL(h.base(r), c.ProviderID, c.ID))
	if err != nil {
		return nil, "", providerProblem(r, err)
	}
	return settings, address, nil
}

// providerProblem says why a provider did not arrange a channel: 503 where it may later, 502 where it won't.
func providerProblem(r *http.Request, err error) error {
	fail := provider.Failure(err)
	api.Note(r.Context(), err)
	code, status := api.CodeProviderRefused, http.StatusBadGateway
	if fail.Kind == provider.Retry || fail.Kind == provider.Ambiguous {
		code, status = api.CodeProviderUnavailable, http.StatusServiceUnavailable
	}
	switch c := api.Code(fail.Code); c {
	case api.CodeSenderUnavailable, api.CodeCredentialsInvalid, api.CodeTryAgain, api.CodeProviderUnavailable, api.CodeProviderRefused:
		code = c
	}
	p := api.NewProblem(code).WithStatus(status)
	p.FaultDomain = string(provider.FaultProvider)
	if fail.Fault != "" {
		p.FaultDomain = string(fail.Fault)
	}
	if fail.Detail != "" {
		p.Detail = fail.Detail
	}
	if status == http.StatusServiceUnavailable {
		p.RetryAfter = max(fail.RetryAfter, time.Second)
	}
	return p
}
