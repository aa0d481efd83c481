package availability

import (
	"cmp"
	"slices"
	"time"

	"contactcenter/shared/provider/health"
)

// Span is a time.
type Span struct{ From, Until time.Time }

func (s Span) length() time.Duration { return max(s.Until.Sub(s.From), 0) }

// within cuts a span to another.
func (s Span) within(o Span) Span {
	if s.From.Before(o.From) {
		s.From = o.From
	}
	if s.Until.After(o.Until) {
		s.Until = o.Until
	}
	return s
}

// Outage is a time in which a provider, or the platform, did not work or only in part.
type Outage struct {
	// ProviderID is "" for the platform.
	ProviderID string
	State      health.State
	// Reason is the platform's only.
	Reason Reason
	Span
	// Ongoing: it was not over when the report was made. Until is that moment then.
	Ongoing bool
}

// Summary sums up a provider's time, or the platform's.
type Summary struct {
	// ProviderID is "" for the platform.
	ProviderID string
	// Observed is the time of which there are records, Unobserved the rest of the report's.
	Observed, Unobserved time.Duration
	Outage, Degraded     time.Duration
	Outages              int
	Degradations         int
}

// Available gives the share of the observed time that was no outage; known is false where not even a minute was observed. Degraded time is no
// outage.
func (s Summary) Available() (share float64, known bool) {
	if s.Observed < time.Minute {
		return 0, false
	}
	return 1 - float64(s.Outage)/float64(s.Observed), true
}

// Report is what is known of a month.
type Report struct {
	Month Month
	// Span is the time that it is about: of a month that is not over, until now.
	Span
	// Complete: the month is over.
	Complete bool
	// RecordedSince is when the records begin; zero: there are none.
	RecordedSince time.Time
	Platform      Summary
	Providers     []Summary // by id
	// Outages are those that lie in the time, cut to it, the last to begin first.
	Outages []Outage
}

// records are what a report is made of.
type records struct {
	pulse     Pulse
	gaps      []Gap
	gapsCut   bool
	providers []history
}

// history is what is recorded of a provider.
type history struct {
	id      string
	since   time.Time // when it was added
	before  health.Change
	changes []health.Change
	cut     bool
}

// report puts the records of a month together.
func report(m Month, now time.Time, rec records) Report {
	out := Report{Month: m, Span: Span{m.From, m.Until()}, RecordedSince: rec.pulse.First}
	if out.Complete = !now.Before(out.Until); !out.Complete {
		out.Until = now
	}
	down := rec.platform(out.Span, now)
	observed := out.observed(rec.pulse.First)
	if rec.gapsCut { // what comes after the last one that was read is not known
		observed = observed.within(Span{observed.From, rec.gaps[len(rec.gaps)-1].Until})
	}
	out.Platform = summary(out.Span, observed, nil, down)
	out.Outages = cutTo(observed, down)
	for _, h := range rec.providers {
		if !h.since.Before(out.Until) {
			continue // it was added later
		}
		observed := out.observed(rec.pulse.First)
		if h.since.After(observed.From) {
			observed.From = h.since
		}
		if h.cut {
			observed = observed.within(Span{observed.From, h.changes[len(h.changes)-1].At})
		}
		list := h.outages(observed, now)
		s := summary(out.Span, observed, down, list)
		s.ProviderID = h.id
		out.Providers = append(out.Providers, s)
		out.Outages = append(out.Outages, list...)
	}
	slices.SortStableFunc(out.Outages, func(a, b Outage) int { return cmp.Compare(b.place(), a.place()) })
	return out
}

// observed is the part of the report's time from a moment on; zero: there is none.
func (r Report) observed(since time.Time) Span {
	if since.IsZero() {
		return Span{r.Until, r.Until}
	}
	from := latest(r.From, since)
	if from.After(r.Until) {
		from = r.Until
	}
	return Span{from, r.Until}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// platform gives the gaps of a time as outages, with the one that goes on.
func (r records) platform(over Span, now time.Time) []Outage {
	var list []Outage
	for _, g := range r.gaps {
		list = append(list, Outage{State: health.Outage, Reason: g.Reason, Span: Span{g.From, g.Until}})
	}
	if why := r.pulse.interrupted(now); why != "" && !r.gapsCut {
		list = append(list, Outage{State: health.Outage, Reason: why, Span: Span{r.pulse.Last, now}, Ongoing: over.Until.Equal(now)})
	}
	return cutTo(over, list)
}

// outages gives what a provider's changes say of a time: of neighbours of one state the first counts.
func (h history) outages(over Span, now time.Time) []Outage {
	var list []Outage
	state, from := h.before.State, over.From
	end := func(at time.Time, ongoing bool) {
		if state == health.Outage || state == health.Degraded {
			list = append(list, Outage{ProviderID: h.id, State: state, Span: Span{from, at}, Ongoing: ongoing})
		}
	}
	for _, c := range h.changes {
		if c.State == state {
			continue
		}
		end(c.At, false)
		state, from = c.State, c.At
	}
	end(over.Until, over.Until.Equal(now))
	return cutTo(over, list)
}

// cutTo cuts outages to a time and leaves out what is not in it.
func cutTo(over Span, list []Outage) []Outage {
	var out []Outage
	for _, o := range list {
		if o.Span = o.within(over); o.length() > 0 {
			out = append(out, o)
		}
	}
	return out
}

// summary sums up outages of the observed part of a time. While the platform itself did not work, nobody observed providers, but for what is recorded
// of them all the same.
func summary(whole, observed Span, platform, list []Outage) Summary {
	s := Summary{Observed: observed.length()}
	for _, o := range list {
		part := o.within(observed).length()
		switch {
		case part <= 0:
		case o.State == health.Outage:
			s.Outage, s.Outages = s.Outage+part, s.Outages+1
		default:
			s.Degraded, s.Degradations = s.Degraded+part, s.Degradations+1
		}
	}
	for _, p := range cutTo(observed, platform) {
		unseen := p.length()
		for _, o := range list {
			unseen -= o.within(p.Span).length()
		}
		s.Observed -= unseen
	}
	s.Unobserved = whole.length() - s.Observed
	return s
}
