package availability

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"contactcenter/shared/attr"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/registry"
)

func at(s string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05", s)
	if err != nil {
		t, err = time.Parse("2006-01-02 15:04", s)
	}
	if err != nil {
		panic(err)
	}
	return t
}

// past is a table with what was recorded, and a clock.
type past struct {
	t       *testing.T
	now     time.Time
	beats   *Beats
	health  *health.Store
	entries []registry.Entry
}

func (p *past) List(context.Context) ([]registry.Entry, error) { return p.entries, nil }

func newPast(t *testing.T, now string) *past {
	t.Helper()
	env := awstest.New(t)
	table := env.Table(t.Context(), awstest.UsageTable())
	return &past{
		t: t, now: at(now), beats: &Beats{DB: env.DynamoDB, Table: table}, health: &health.Store{DB: env.DynamoDB, Table: table},
		entries: []registry.Entry{{ID: "edna", Name: "Instant WhatsApp", CreatedAt: at("2026-01-01 00:00")}},
	}
}

func (p *past) beat(when string) {
	p.t.Helper()
	if err := p.beats.Good(p.t.Context(), at(when), time.Minute); err != nil {
		p.t.Fatal(err)
	}
}

func (p *past) fails(when string) {
	p.t.Helper()
	if err := p.beats.Failed(p.t.Context(), at(when)); err != nil {
		p.t.Fatal(err)
	}
}

// beats until a moment from another on, as the schedule does; the seconds before are of no interest.
func (p *past) works(from, until string) {
	p.t.Helper()
	p.beat(from)
	// One write stands for the many between: the state's last beat is all that is kept of them.
	_, _, err := p.beats.write(p.t.Context(), "SET #la = :now", "attribute_exists(#la)", attr.Item{":now": attr.Time(at(until))})
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *past) becomes(state health.State, when string) {
	p.t.Helper()
	if err := p.health.Note(p.t.Context(), health.OfProvider("edna"), health.Change{State: state, At: at(when)}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *past) report(month string) Report {
	p.t.Helper()
	m, err := ParseMonth(month)
	if err != nil {
		p.t.Fatal(err)
	}
	r, err := (&Reports{Beats: p.beats, Health: p.health, Providers: p, Now: func() time.Time { return p.now }}).Month(p.t.Context(), m)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// log writes a report's outages, the first to begin first.
func log(r Report) string {
	var out []string
	for _, o := range r.Outages {
		whose := o.ProviderID
		if whose == "" {
			whose = "platform " + string(o.Reason)
		}
		until := o.Until.Format("02T15:04")
		if o.Ongoing {
			until = "now"
		}
		out = append([]string{fmt.Sprintf("%s %s %s-%s", whose, o.State, o.From.Format("02T15:04"), until)}, out...)
	}
	return strings.Join(out, "; ")
}

func sums(s Summary) string {
	share, known := s.Available()
	return fmt.Sprintf("%d out %v, %d degraded %v, observed %v, unobserved %v, %v %.4f", s.Outages, s.Outage, s.Degradations, s.Degraded, s.Observed, s.Unobserved, known, share)
}

// what was recorded of a provider and of the platform is told apart, cut to the month, and covers no time without records.
func TestAMonthIsMadeOfWhatWasRecorded(t *testing.T) {
	t.Parallel()
	const month = 30 * 24 * time.Hour // of November
	for name, c := range map[string]struct {
		now    string
		past   func(p *past)
		log    string
		of     string // the platform
		ofEdna string
	}{
		"nothing was ever recorded": {
			"2026-12-05 00:00", func(*past) {}, "",
			"0 out 0s, 0 degraded 0s, observed 0s, unobserved 720h0m0s, false 0.0000", "0 out 0s, 0 degraded 0s, observed 0s, unobserved 720h0m0s, false 0.0000",
		},
		"all was well": {
			"2026-12-05 00:00", func(p *past) { p.works("2026-10-01 00:00", "2026-12-05 00:00") }, "",
			"0 out 0s, 0 degraded 0s, observed 720h0m0s, unobserved 0s, true 1.0000", "0 out 0s, 0 degraded 0s, observed 720h0m0s, unobserved 0s, true 1.0000",
		},
		"the records begin within the month": {
			"2026-12-05 00:00", func(p *past) { p.works("2026-11-21 00:00", "2026-12-05 00:00") }, "",
			"0 out 0s, 0 degraded 0s, observed 240h0m0s, unobserved 480h0m0s, true 1.0000", "0 out 0s, 0 degraded 0s, observed 240h0m0s, unobserved 480h0m0s, true 1.0000",
		},
		"the month is not over": {
			"2026-11-03 00:00", func(p *past) {
				p.works("2026-11-01 00:00", "2026-11-03 00:00")
				p.becomes(health.Outage, "2026-11-02 12:00")
			},
			"edna outage 02T12:00-now",
			"0 out 0s, 0 degraded 0s, observed 48h0m0s, unobserved 0s, true 1.0000", "1 out 12h0m0s, 0 degraded 0s, observed 48h0m0s, unobserved 0s, true 0.7500",
		},
		"an outage with its aftermath": {
			"2026-12-05 00:00", func(p *past) {
				p.works("2026-10-01 00:00", "2026-12-05 00:00")
				p.becomes(health.Outage, "2026-11-10 10:00")
				p.becomes(health.Degraded, "2026-11-10 10:30")
				p.becomes(health.Operational, "2026-11-10 10:31")
				p.becomes(health.Degraded, "2026-11-12 08:00")
				p.becomes(health.Degraded, "2026-11-12 08:05") // of two processes
				p.becomes(health.Operational, "2026-11-12 08:10")
			},
			"edna outage 10T10:00-10T10:30; edna degraded 10T10:30-10T10:31; edna degraded 12T08:00-12T08:10",
			"0 out 0s, 0 degraded 0s, observed 720h0m0s, unobserved 0s, true 1.0000", "1 out 30m0s, 2 degraded 11m0s, observed 720h0m0s, unobserved 0s, true 0.9993",
		},
		"an outage over both ends of the month": {
			"2026-12-05 00:00", func(p *past) {
				p.works("2026-10-01 00:00", "2026-12-05 00:00")
				p.becomes(health.Outage, "2026-10-31 23:00")
				p.becomes(health.Operational, "2026-11-01 01:00")
				p.becomes(health.Degraded, "2026-11-30 23:00")
				p.becomes(health.Operational, "2026-12-01 02:00")
			},
			"edna outage 01T00:00-01T01:00; edna degraded 30T23:00-01T00:00",
			"0 out 0s, 0 degraded 0s, observed 720h0m0s, unobserved 0s, true 1.0000", "1 out 1h0m0s, 1 degraded 1h0m0s, observed 720h0m0s, unobserved 0s, true 0.9986",
		},
		"an outage of the whole month": {
			"2026-12-05 00:00", func(p *past) {
				p.works("2026-10-01 00:00", "2026-12-05 00:00")
				p.becomes(health.Outage, "2026-10-20 00:00")
			},
			"edna outage 01T00:00-01T00:00",
			"0 out 0s, 0 degraded 0s, observed 720h0m0s, unobserved 0s, true 1.0000", "1 out 720h0m0s, 0 degraded 0s, observed 720h0m0s, unobserved 0s, true 0.0000",
		},
		"what changes at the month's first and last moment": {
			"2026-12-05 00:00", func(p *past) {
				p.works("2026-10-01 00:00", "2026-12-05 00:00")
				p.becomes(health.Outage, "2026-10-30 00:00")
				p.becomes(health.Operational, "2026-11-01 00:00")
				p.becomes(health.Outage, "2026-12-01 00:00")
			}, "",
			"0 out 0s, 0 degraded 0s, observed 720h0m0s, unobserved 0s, true 1.0000", "0 out 0s, 0 degraded 0s, observed 720h0m0s, unobserved 0s, true 1.0000",
		},
		"no beats for an hour": {
			"2026-12-05 00:00", func(p *past) {
				p.works("2026-10-01 00:00", "2026-11-10 10:00")
				p.works("2026-11-10 11:00", "2026-12-05 00:00")
			},
			"platform silent outage 10T10:00-10T11:00",
			"1 out 1h0m0s, 0 degraded 0s, observed 720h0m0s, unobserved 0s, true 0.9986", "0 out 0s, 0 degraded 0s, observed 719h0m0s, unobserved 1h0m0s, true 1.0000",
		},
		"beats that fail": {
			"2026-12-05 00:00", func(p *past) {
				p.works("2026-10-01 00:00", "2026-11-10 10:00")
				p.fails("2026-11-10 10:01")
				p.fails("2026-11-10 10:02")
				p.works("2026-11-10 10:03", "2026-12-05 00:00")
			},
			"platform failing outage 10T10:00-10T10:03",
			"1 out 3m0s, 0 degraded 0s, observed 720h0m0s, unobserved 0s, true 0.9999", "0 out 0s, 0 degraded 0s, observed 719h57m0s, unobserved 3m0s, true 1.0000",
		},
		"beats that stopped over the month's end": {
			"2026-12-05 00:00", func(p *past) {
				p.works("2026-10-01 00:00", "2026-10-31 22:00")
				p.works("2026-11-01 02:00", "2026-11-30 23:00")
				p.works("2026-12-01 04:00", "2026-12-05 00:00")
			},
			"platform silent outage 01T00:00-01T02:00; platform silent outage 30T23:00-01T00:00",
			"2 out 3h0m0s, 0 degraded 0s, observed 720h0m0s, unobserved 0s, true 0.9958", "0 out 0s, 0 degraded 0s, observed 717h0m0s, unobserved 3h0m0s, true 1.0000",
		},
		"beats that never came again": {
			"2026-12-05 00:00", func(p *past) { p.works("2026-10-01 00:00", "2026-11-30 00:00") },
			"platform silent outage 30T00:00-01T00:00",
			"1 out 24h0m0s, 0 degraded 0s, observed 720h0m0s, unobserved 0s, true 0.9667", "0 out 0s, 0 degraded 0s, observed 696h0m0s, unobserved 24h0m0s, true 1.0000",
		},
		"an outage of both at once": {
			"2026-12-05 00:00", func(p *past) {
				p.works("2026-10-01 00:00", "2026-11-10 10:00")
				p.works("2026-11-10 11:00", "2026-12-05 00:00")
				p.becomes(health.Outage, "2026-11-10 10:40")
				p.becomes(health.Operational, "2026-11-10 11:20")
			},
			"platform silent outage 10T10:00-10T11:00; edna outage 10T10:40-10T11:20",
			"1 out 1h0m0s, 0 degraded 0s, observed 720h0m0s, unobserved 0s, true 0.9986",
			"1 out 40m0s, 0 degraded 0s, observed 719h20m0s, unobserved 40m0s, true 0.9991",
		},
		"an outage before the records began": {
			"2026-12-05 00:00", func(p *past) {
				p.works("2026-11-21 00:00", "2026-12-05 00:00")
				p.becomes(health.Outage, "2026-11-20 00:00")
				p.becomes(health.Operational, "2026-11-21 01:00")
			},
			"edna outage 21T00:00-21T01:00",
			"0 out 0s, 0 degraded 0s, observed 240h0m0s, unobserved 480h0m0s, true 1.0000", "1 out 1h0m0s, 0 degraded 0s, observed 240h0m0s, unobserved 480h0m0s, true 0.9958",
		},
		"a provider that was added within the month": {
			"2026-12-05 00:00", func(p *past) {
				p.works("2026-10-01 00:00", "2026-12-05 00:00")
				p.entries[0].CreatedAt = at("2026-11-16 00:00")
			}, "",
			"0 out 0s, 0 degraded 0s, observed 720h0m0s, unobserved 0s, true 1.0000", "0 out 0s, 0 degraded 0s, observed 360h0m0s, unobserved 360h0m0s, true 1.0000",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPast(t, c.now)
			c.past(p)
			r := p.report("2026-11")
			if got := log(r); got != c.log {
				t.Errorf("the log is\n%s\nwant\n%s", got, c.log)
			}
			if got := sums(r.Platform); got != c.of {
				t.Errorf("of the platform it says\n%s\nwant\n%s", got, c.of)
			}
			if got := sums(r.Providers[0]); got != c.ofEdna {
				t.Errorf("of edna it says\n%s\nwant\n%s", got, c.ofEdna)
			}
			if whole := r.Until.Sub(r.From); r.Complete != (whole == month) || r.Platform.Observed+r.Platform.Unobserved != whole || r.Providers[0].Observed+r.Providers[0].Unobserved != whole {
				t.Errorf("it is about %v, complete %v", whole, r.Complete)
			}
		})
	}
}

// A schedule that is a little late is no outage, and whoever beats at the same time or comes again after a crash changes nothing.
func TestABeatIsOneWriteAndAGapIsNotedOnce(t *testing.T) {
	t.Parallel()
	p := newPast(t, "2026-11-24 12:00")
	p.fails("2026-11-24 09:59") // before the first beat nothing is known
	for _, when := range []string{"10:00:00", "10:01:00", "10:03:20", "10:03:19", "10:04:00", "10:10:00", "10:10:00", "10:11:00"} {
		p.beat("2026-11-24 " + when)
	}
	if got := log(p.report("2026-11")); got != "platform silent outage 24T10:04-24T10:10; platform silent outage 24T10:11-now" {
		t.Errorf("the log is %s", got)
	}
	// The process died between the gap and the beat after it.
	if err := p.beats.close(t.Context(), Gap{From: at("2026-11-24 10:11"), Until: at("2026-11-24 10:40"), Reason: Silent}); err != nil {
		t.Fatal(err)
	}
	p.beat("2026-11-24 10:41")
	p.now = at("2026-11-24 10:42")
	r := p.report("2026-11")
	if got := log(r); got != "platform silent outage 24T10:04-24T10:10; platform silent outage 24T10:11-24T10:41" {
		t.Errorf("the log is %s", got)
	}
	if want := at("2026-11-24 10:00"); !r.RecordedSince.Equal(want) {
		t.Errorf("recorded since %v", r.RecordedSince)
	}
}

// A report reads so many changes of a provider and no more: what comes after them is not observed.
func TestWhatIsTooMuchToReadIsNotObserved(t *testing.T) {
	t.Parallel()
	since := at("2026-11-10 00:00")
	h := history{id: "edna", since: at("2026-01-01 00:00"), cut: true, changes: []health.Change{{State: health.Outage, At: since}, {State: health.Operational, At: since.Add(time.Hour)}}}
	gaps := []Gap{{From: since, Until: since.Add(time.Hour), Reason: Silent}}
	m := Month{at("2026-11-01 00:00")}
	r := report(m, at("2026-12-05 00:00"), records{pulse: Pulse{First: at("2026-01-01 00:00"), Last: at("2026-12-05 00:00"), Gap: time.Minute}, gaps: gaps, gapsCut: true, providers: []history{h}})
	for whose, s := range map[string]Summary{"platform": r.Platform, "edna": r.Providers[0]} {
		if s.Observed != 9*24*time.Hour+time.Hour || s.Outage != time.Hour || s.Outages != 1 {
			t.Errorf("of %s it says %s", whose, sums(s))
		}
	}
}

// The log is read in pages, each outage once, also while it grows.
func TestTheLogIsReadInPages(t *testing.T) {
	t.Parallel()
	p := newPast(t, "2026-11-30 00:00")
	p.works("2026-11-01 00:00", "2026-11-30 00:00")
	for i := range 7 {
		day := at("2026-11-05 00:00").AddDate(0, 0, i)
		for j, state := range []health.State{health.Outage, health.Degraded, health.Operational} {
			if err := p.health.Note(t.Context(), health.OfProvider("edna"), health.Change{State: state, At: day.Add(time.Duration(j) * time.Hour)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var all []Outage
	for page := (attr.Page{Size: 3}); ; {
		list, next, err := p.report("2026-11").Page(page)
		if err != nil {
			t.Fatal(err)
		}
		if all = append(all, list...); next == "" {
			break
		}
		if len(all) == 3 {
			p.becomes(health.Outage, "2026-11-29 00:00")
		}
		page.Token = next
	}
	if len(all) != 14 {
		t.Fatalf("%d outages", len(all))
	}
	for i := 1; i < len(all); i++ {
		if !all[i].From.Before(all[i-1].From) {
			t.Errorf("outage %d began at %v, the one before at %v", i, all[i].From, all[i-1].From)
		}
	}
	_, token, err := p.report("2026-11").Page(attr.Page{Size: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{token, "nonsense"} {
		if _, _, err := p.report("2026-10").Page(attr.Page{Size: 3, Token: token}); !errors.Is(err, attr.ErrToken) {
			t.Errorf("a token of another list gives %v", err)
		}
	}
}

func TestThereAreReportsOfThePresentMonthAndThirteenBefore(t *testing.T) {
	t.Parallel()
	p := newPast(t, "2026-11-30 23:59")
	for month, want := range map[string]error{
		"2026-11": nil, "2026-10": nil, "2025-10": nil, "2025-09": ErrNoReport, "2026-12": ErrNoReport, "2027-11": ErrNoReport,
		"2026-13": ErrMonth, "2026-00": ErrMonth, "2026-1": ErrMonth, "november": ErrMonth, "2026-11-01": ErrMonth, "": ErrMonth,
	} {
		m, err := ParseMonth(month)
		if err == nil {
			_, err = (&Reports{Beats: p.beats, Health: p.health, Providers: p, Now: func() time.Time { return p.now }}).Month(t.Context(), m)
		}
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", month, err, want)
		}
	}
}
