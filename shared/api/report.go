package api

import (
	"context"
	"errors"
	"math"
	"net/http"
	"time"

	"contactcenter/shared/availability"
)

// Reports makes reports of months.
type Reports interface {
	Month(ctx context.Context, m availability.Month) (availability.Report, error)
}

// ShowReport answers with the report of the month in the path. It is the same for accounts and for the operator.
func ShowReport(w http.ResponseWriter, r *http.Request, reports Reports) {
	out, err := monthlyReport(r, reports)
	if err != nil {
		WriteError(w, r, err)
		return
	}
	WriteJSON(w, http.StatusOK, out)
}

func monthlyReport(r *http.Request, reports Reports) (MonthlyReport, error) {
	page, err := ReadPage(r)
	if err != nil {
		return MonthlyReport{}, err
	}
	month, err := availability.ParseMonth(r.PathValue("month"))
	if err != nil {
		var errs FieldErrors
		errs.Add("month", FieldInvalid, "must be a month, for example 2026-11")
		return MonthlyReport{}, errs.Err()
	}
	report, err := reports.Month(r.Context(), month)
	if errors.Is(err, availability.ErrNoReport) {
		return MonthlyReport{}, NewProblem(CodeNotFound).WithDetail("There are reports of the current month and of the 13 before it.")
	}
	if err != nil {
		return MonthlyReport{}, TryAgain(r, err)
	}
	list, next, err := report.Page(page)
	if err != nil {
		return MonthlyReport{}, ListProblem(r, err)
	}
	return reportOf(report, list, next), nil
}

func reportOf(r availability.Report, list []availability.Outage, next string) MonthlyReport {
	out := MonthlyReport{
		Month: r.Month.String(), Since: At(r.From), Until: At(r.Until), Complete: r.Complete, RecordedSince: OptionalTime(r.RecordedSince),
		Platform: PlatformAvailability{
			Availability: share(r.Platform), OutageMinutes: minutes(r.Platform.Outage), Outages: r.Platform.Outages,
			ObservedMinutes: minutes(r.Platform.Observed), UnobservedMinutes: minutes(r.Platform.Unobserved),
		},
		Providers: []ProviderAvailability{}, Items: []Downtime{}, NextPageToken: next,
	}
	for _, p := range r.Providers {
		out.Providers = append(out.Providers, ProviderAvailability{
			ProviderID: p.ProviderID, Availability: share(p), OutageMinutes: minutes(p.Outage), Outages: p.Outages,
			DegradedMinutes: minutes(p.Degraded), Degradations: p.Degradations, ObservedMinutes: minutes(p.Observed), UnobservedMinutes: minutes(p.Unobserved),
		})
	}
	for _, o := range list {
		out.Items = append(out.Items, downtimeOf(o))
	}
	return out
}

func downtimeOf(o availability.Outage) Downtime {
	d := Downtime{FaultDomain: FaultPlatform, State: DowntimeState(o.State), Reason: DowntimeReason(o.Reason), Since: At(o.From)}
	if o.ProviderID != "" {
		d.FaultDomain, d.ProviderID = FaultProvider, o.ProviderID
	}
	if !o.Ongoing {
		d.Until = OptionalTime(o.Until)
	}
	return d
}

// minutes gives minutes with two digits of a fraction.
func minutes(d time.Duration) float64 { return math.Round(d.Minutes()*100) / 100 }

// share gives the available share with five digits, rounded down, so that it is 1 only where nothing was amiss; nil where nothing was observed.
func share(s availability.Summary) *float64 {
	a, known := s.Available()
	if !known {
		return nil
	}
	a = math.Floor(a*1e5) / 1e5
	return &a
}
