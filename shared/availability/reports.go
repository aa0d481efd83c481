package availability

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"contactcenter/shared/attr"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/registry"
)

const (
	// most bounds how many changes of one subject a report of a month reads. What comes after them counts as not observed.
	most = 10_000
	// readAtOnce is how many providers are read at a time.
	readAtOnce = 8
)

// Reports makes reports of months.
type Reports struct {
	Beats interface {
		Pulse(ctx context.Context) (Pulse, error)
		Gaps(ctx context.Context, from, to time.Time, most int) ([]Gap, bool, error)
	}
	Health interface {
		LastChange(ctx context.Context, of health.Subject, before time.Time, consistent bool) (health.Change, error)
		Changes(ctx context.Context, of health.Subject, from, to time.Time, most int) ([]health.Change, bool, error)
	}
	Providers interface {
		List(ctx context.Context) ([]registry.Entry, error)
	}
	Now func() time.Time
}

// Month gives the report of a month, or ErrNoReport. Three requests, and two for each provider.
func (r *Reports) Month(ctx context.Context, m Month) (Report, error) {
	now := r.Now().UTC()
	if !m.reported(now) {
		return Report{}, ErrNoReport
	}
	rec, err := r.read(ctx, m)
	if err != nil {
		return Report{}, err
	}
	return report(m, now, rec), nil
}

func (r *Reports) read(ctx context.Context, m Month) (records, error) {
	var rec records
	var err error
	if rec.pulse, err = r.Beats.Pulse(ctx); err != nil {
		return rec, err
	}
	if rec.gaps, rec.gapsCut, err = r.Beats.Gaps(ctx, m.From, m.Until(), most); err != nil {
		return rec, err
	}
	list, err := r.Providers.List(ctx)
	if err != nil {
		return rec, err
	}
	rec.providers = make([]history, len(list))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readAtOnce)
	for i, e := range list {
		group.Go(func() (err error) {
			rec.providers[i], err = r.history(ctx, e, m)
			return err
		})
	}
	return rec, group.Wait()
}

func (r *Reports) history(ctx context.Context, e registry.Entry, m Month) (history, error) {
	h := history{id: e.ID, since: e.CreatedAt}
	var err error
	if h.before, err = r.Health.LastChange(ctx, health.OfProvider(e.ID), m.From, false); err != nil {
		return h, err
	}
	h.changes, h.cut, err = r.Health.Changes(ctx, health.OfProvider(e.ID), m.From, m.Until(), most)
	return h, err
}

// place orders outages by when they began, and of one moment by whose they are.
func (o Outage) place() string {
	return fmt.Sprintf("%013d#%s#%s", o.From.UnixMilli(), o.ProviderID, o.State)
}

const attrPlace = "place"

// Page gives a part of the report's outages, and where the next begins. A token of another month is attr.ErrToken.
func (r Report) Page(p attr.Page) (list []Outage, next string, err error) {
	const attrMonth = "month"
	start, err := attr.Start(p.Token, map[string]string{attrMonth: r.Month.String()}, attrPlace)
	if err != nil {
		return nil, "", err
	}
	after := attr.Text(start, attrPlace)
	for _, o := range r.Outages {
		if after != "" && strings.Compare(o.place(), after) >= 0 {
			continue
		}
		if len(list) == p.Size {
			last := list[len(list)-1].place()
			next, err = attr.Token(attr.Item{attrMonth: attr.String(r.Month.String()), attrPlace: attr.String(last)})
			return list, next, err
		}
		list = append(list, o)
	}
	return list, "", nil
}
