package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/attr"
	"contactcenter/shared/event"
	"contactcenter/shared/provider/registry"
)

// Events makes what happened known to those who asked for it.
type Events interface {
	Publish(ctx context.Context, list ...event.Event) error
}

// happened publishes what the operator did to an account, when that listens.
func (h *Handler) happened(ctx context.Context, t event.Type, accountID, resource string, at time.Time) error {
	a, err := h.Accounts.Find(ctx, accountID)
	if errors.Is(err, account.ErrNotFound) {
		return nil
	}
	if err != nil || !a.Listens.Has(t) {
		return err
	}
	return h.Events.Publish(ctx, event.New(t, accountID, resource, at, ""))
}

// switched publishes what the last change of a provider's entry means to everybody. A request that is repeated publishes the same
// again.
func (h *Handler) switched(ctx context.Context, providerID string) error {
	changes, _, err := h.Providers.Versions(ctx, providerID, attr.Page{Size: 2}) // the newest first
	if err != nil || len(changes) == 0 {
		return err
	}
	now := changes[0]
	var t event.Type
	switch {
	case len(changes) == 1:
		t = event.SubprocessorAdded
	case now.Entry.Status == changes[1].Entry.Status:
		return nil
	case now.Entry.Status == registry.Disabled:
		t = event.ProviderDisabled
	case now.Entry.Status == registry.Removed:
		t = event.ProviderRemoved
	default:
		t = event.ProviderStatusChanged
	}
	return h.Events.Publish(ctx, event.New(t, "", providerID, now.At, strconv.FormatInt(now.Entry.Version, 10)))
}

// published publishes that a version of the Rules was published, at the time at which it was first: a request that is repeated, with
// whatever key, publishes the same again.
func (h *Handler) published(ctx context.Context, version string) error {
	v, err := h.Rules.Get(ctx, version)
	if err != nil {
		return err
	}
	at := v.PublishedAt
	if at.IsZero() {
		at = v.EffectiveAt
	}
	return h.Events.Publish(ctx, event.New(event.RulesPublished, "", v.Version, at, ""))
}
