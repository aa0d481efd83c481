package health

import (
	"context"
	"time"

	"contactcenter/shared/cache"
)

// Report is a subject's health as it is shown.
type Report struct {
	State State
	// Since is zero when nothing was ever wrong.
	Since time.Time
	// Figures are of the last Window; States gives none.
	Figures Tally
}

// shownAge is how old a report may be, shownSize how many are kept.
const (
	shownAge  = 3 * time.Second
	shownSize = 1000
)

// Reader gives reports, at most three seconds old. Make it with NewReader.
type Reader struct {
	store   *Store
	now     func() time.Time
	figures *cache.Cache[Subject, Report]
	states  *cache.Cache[Subject, Report]
}

// NewReader makes a reader over a store.
func NewReader(store *Store, now func() time.Time) *Reader {
	return &Reader{
		store: store, now: now,
		figures: cache.New[Subject, Report](shownAge, shownSize, now), states: cache.New[Subject, Report](shownAge, shownSize, now),
	}
}

// Report gives a subject's health with its figures. One request; none when it is in memory.
func (r *Reader) Report(ctx context.Context, of Subject) (Report, error) {
	return r.figures.Load(of, func() (Report, error) {
		now := r.now()
		slots, st, err := r.store.Read(ctx, of, now)
		if err != nil {
			return Report{}, err
		}
		var out Report
		out.State, out.Since = st.Shown(now)
		for _, s := range slots {
			out.Figures.add(s.Tally)
		}
		return out, nil
	})
}

// States gives the health of subjects. One request for each hundred that are not in memory.
func (r *Reader) States(ctx context.Context, of ...Subject) (map[Subject]Report, error) {
	out, now := make(map[Subject]Report, len(of)), r.now()
	var missing []Subject
	for _, s := range of {
		if _, twice := out[s]; twice {
			continue
		}
		report, ok := r.states.Get(s)
		if out[s] = report; !ok {
			missing = append(missing, s)
		}
	}
	read, err := r.store.Statuses(ctx, missing...)
	if err != nil {
		return nil, err
	}
	for s, st := range read {
		var report Report
		report.State, report.Since = st.Shown(now)
		r.states.Put(s, report, now)
		out[s] = report
	}
	return out, nil
}

// OfWay gives how well messages of a channel get through, by States of the channel and of its provider: the worse of the two.
func OfWay(states map[Subject]Report, providerID, channelID string) State {
	of := states[OfChannel(channelID)].State
	if p := states[OfProvider(providerID)].State; p == Outage || p == Degraded && of != Outage {
		return p
	}
	return of
}
