package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/channel"
	"contactcenter/shared/claim"
	"contactcenter/shared/endpoint"
	"contactcenter/shared/event"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/restriction"
	"contactcenter/shared/rules"
	"contactcenter/shared/usage"
)

// views shows what events are about. Each is the account's own read, for which its endpoint asked.
type views struct {
	messages interface {
		Get(ctx context.Context, accountID string, mid id.Message) (message.Message, error)
	}
	channels interface {
		Lookup(ctx context.Context, channelID string) (channel.Channel, error)
	}
	providers interface {
		api.ProviderVersions
		Read(ctx context.Context, providerID string) (registry.Entry, error)
	}
	health interface {
		States(ctx context.Context, of ...health.Subject) (map[health.Subject]health.Report, error)
	}
	accounts interface {
		Standing(ctx context.Context, accountID string, fresh bool) (account.Standing, error)
		Restriction(ctx context.Context, restrictionID string) (restriction.Restriction, error)
	}
	gates interface {
		Read(ctx context.Context, accountID string, consistent bool) (usage.Gate, error)
	}
	rules interface {
		Current(ctx context.Context) (rules.Version, error)
		Get(ctx context.Context, version string) (rules.Version, error)
	}
	endpoints interface {
		Get(ctx context.Context, accountID, endpointID string) (endpoint.Endpoint, error)
	}
	evidence interface {
		Get(ctx context.Context, id string) (claim.Evidence, error)
		Submissions(ctx context.Context, id string) ([]claim.Submission, error)
	}
	// baseURL is where providers call back; "": the domain of whoever asks, which is not known here.
	baseURL string
	now     func() time.Time
}

// Show implements Resources.
func (v *views) Show(ctx context.Context, e event.Event) (any, error) {
	switch e.Type.Resource() {
	case "message":
		return v.message(ctx, e)
	case "channel":
		return v.channel(ctx, e)
	case "provider":
		return v.provider(ctx, e.Resource)
	case "usage":
		return v.usage(ctx, e.AccountID)
	case "rules":
		version, err := v.rules.Get(ctx, e.Resource)
		return api.RulesOf(version), gone(err, rules.ErrNotFound)
	case "account":
		r, err := v.accounts.Restriction(ctx, e.Resource)
		if err == nil && r.AccountID != e.AccountID {
			err = restriction.ErrNotFound
		}
		return api.RestrictionOf(r), gone(err, restriction.ErrNotFound)
	case "evidence":
		return v.request(ctx, e)
	case "endpoint":
		ep, err := v.endpoints.Get(ctx, e.AccountID, e.Resource)
		return api.WebhookEndpointOf(ep, v.now()), gone(err, endpoint.ErrNotFound)
	}
	return nil, fmt.Errorf("event %s: its type is not known here", e.ID)
}

// gone turns the error of what is not there into errGone.
func gone(err, notFound error) error {
	if errors.Is(err, notFound) {
		return errGone
	}
	return err
}

func (v *views) message(ctx context.Context, e event.Event) (any, error) {
	mid, err := id.ParseMessage(e.Resource)
	if err != nil {
		return nil, errGone
	}
	m, err := v.messages.Get(ctx, e.AccountID, mid)
	if err != nil {
		return nil, gone(err, message.ErrNotFound)
	}
	place := api.InLine
	if m.Scheduled(v.now()) {
		place = api.NotDue
	}
	return api.WholeMessageOf(ctx, m, place, v.providers)
}

func (v *views) channel(ctx context.Context, e event.Event) (any, error) {
	c, err := v.channels.Lookup(ctx, e.Resource)
	if err != nil {
		return nil, gone(err, channel.ErrNotFound)
	}
	if c.AccountID != e.AccountID || c.Deleted() {
		return nil, errGone
	}
	entry, err := v.providers.Read(ctx, c.ProviderID)
	if errors.Is(err, registry.ErrNotFound) {
		entry, err = registry.Entry{ID: c.ProviderID, Status: registry.Removed}, nil
	}
	if err != nil {
		return nil, err
	}
	current, err := v.rules.Current(ctx)
	if err != nil && !errors.Is(err, rules.ErrNoneInForce) {
		return nil, err
	}
	states, err := v.health.States(ctx, health.OfChannel(c.ID), health.OfProvider(c.ProviderID))
	if err != nil {
		return nil, err
	}
	out, state := api.ChannelOf(c, entry, api.ChannelView{BaseURL: v.baseURL, RulesVersion: current.Version}), api.Health(health.OfWay(states, c.ProviderID, c.ID))
	out.Health = &state
	return out, nil
}

func (v *views) provider(ctx context.Context, providerID string) (any, error) {
	e, err := v.providers.Read(ctx, providerID)
	if err != nil {
		return nil, gone(err, registry.ErrNotFound)
	}
	of := health.OfProvider(providerID)
	states, err := v.health.States(ctx, of)
	if err != nil {
		return nil, err
	}
	return api.ProviderOf(e.Working(registry.HealthState(states[of].State), states[of].Since)), nil
}

func (v *views) usage(ctx context.Context, accountID string) (any, error) {
	st, err := v.accounts.Standing(ctx, accountID, true)
	if err != nil {
		return nil, err
	}
	g, err := v.gates.Read(ctx, accountID, true)
	if err != nil && !errors.Is(err, usage.ErrNoGate) {
		return nil, err
	}
	return api.UsageOf(g, st, v.now(), g.InFlight(func(id.Message) bool { return false })), nil
}

func (v *views) request(ctx context.Context, e event.Event) (any, error) {
	r, err := v.evidence.Get(ctx, e.Resource)
	if err == nil && r.AccountID != e.AccountID {
		err = claim.ErrNotFound
	}
	if err != nil {
		return nil, gone(err, claim.ErrNotFound)
	}
	subs, err := v.evidence.Submissions(ctx, e.Resource)
	return api.EvidenceRequestOf(r, subs, v.now()), err
}
