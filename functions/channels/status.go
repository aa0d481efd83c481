package main

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"contactcenter/shared/api"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/registry"
)

// Health tells how well providers and channels work, a few seconds old.
type Health interface {
	Report(ctx context.Context, of health.Subject) (health.Report, error)
	States(ctx context.Context, of ...health.Subject) (map[health.Subject]health.Report, error)
}

const (
	// statusAge is how old the page of the status may be: anybody may ask for it, as often as he likes.
	statusAge = 2 * time.Second
	// reportsAtOnce is how many providers are read at a time.
	reportsAtOnce = 8
)

// GetStatus answers GET /v1/status.
func (h *Handler) GetStatus(w http.ResponseWriter, r *http.Request) {
	page, err := h.Statuses.Load("", func() (api.ServiceStatus, error) { return h.status(r.Context()) })
	if err != nil {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, page)
}

func (h *Handler) status(ctx context.Context) (api.ServiceStatus, error) {
	now := h.Now()
	out := api.ServiceStatus{Providers: []api.ProviderHealth{}, UpdatedAt: api.At(now)}
	list, err := h.Providers.List(ctx)
	if err != nil {
		return out, err
	}
	reports := make([]health.Report, len(list))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(reportsAtOnce)
	for i, e := range list {
		group.Go(func() (err error) {
			reports[i], err = h.Health.Report(ctx, health.OfProvider(e.ID))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return out, err
	}
	for i, e := range list {
		if e.Status != registry.Removed {
			out.Providers = append(out.Providers, statusOf(e, reports[i]))
		}
	}
	return out, nil
}

func statusOf(e registry.Entry, report health.Report) api.ProviderHealth {
	e = working(e, report)
	f := report.Figures
	out := api.ProviderHealth{
		ID: e.ID, Name: e.Name, Status: api.ProviderHealthStatus(e.Health.State), Since: api.OptionalTime(e.Health.Since), ErrorRate: f.ErrorRate(), Calls: f.Calls,
		LatencyMs: api.ProviderLatency{P50: f.Quantile(0.5).Milliseconds(), P95: f.Quantile(0.95).Milliseconds()},
	}
	if e.Status == registry.Disabled {
		out.Status, out.Since = api.ProviderHealthStatus(registry.Disabled), nil
	}
	return out
}

func working(e registry.Entry, report health.Report) registry.Entry {
	return e.Working(registry.HealthState(report.State), report.Since)
}

// withHealth gives entries with their providers' health.
func (h *Handler) withHealth(ctx context.Context, list ...registry.Entry) ([]registry.Entry, error) {
	subjects := make([]health.Subject, len(list))
	for i, e := range list {
		subjects[i] = health.OfProvider(e.ID)
	}
	states, err := h.Health.States(ctx, subjects...)
	if err != nil {
		return nil, err
	}
	out := make([]registry.Entry, len(list))
	for i, e := range list {
		out[i] = working(e, states[subjects[i]])
	}
	return out, nil
}

// addHealth shows how channels work: their provider's health where that is worse. Channels can be shown without.
func (h *Handler) addHealth(ctx context.Context, list []api.Channel) {
	var subjects []health.Subject
	for _, c := range list {
		subjects = append(subjects, health.OfChannel(c.ID), health.OfProvider(c.ProviderID))
	}
	states, err := h.Health.States(ctx, subjects...)
	if err != nil {
		api.Note(ctx, err)
		return
	}
	for i, c := range list {
		state := api.Health(health.OfWay(states, c.ProviderID, c.ID))
		list[i].Health = &state
	}
}
