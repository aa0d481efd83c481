//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

type available struct {
	ProviderID        string   `json:"provider_id"`
	Availability      *float64 `json:"availability"`
	Outages           int      `json:"outages"`
	OutageMinutes     float64  `json:"outage_minutes"`
	Degradations      int      `json:"degradations"`
	DegradedMinutes   float64  `json:"degraded_minutes"`
	ObservedMinutes   float64  `json:"observed_minutes"`
	UnobservedMinutes float64  `json:"unobserved_minutes"`
}

type monthlyReport struct {
	Month         string      `json:"month"`
	Since         timestamp   `json:"since"`
	Until         timestamp   `json:"until"`
	Complete      bool        `json:"complete"`
	RecordedSince *timestamp  `json:"recorded_since"`
	Platform      available   `json:"platform"`
	Providers     []available `json:"providers"`
	Items         []struct {
		FaultDomain string     `json:"fault_domain"`
		ProviderID  string     `json:"provider_id"`
		State       string     `json:"state"`
		Reason      string     `json:"reason"`
		Since       timestamp  `json:"since"`
		Until       *timestamp `json:"until"`
	} `json:"items"`
	NextPageToken string `json:"next_page_token"`
}

// edna answers 503 for a while. The report of the month shows that as edna's outage, goes on while it does, and has its end; the platform had
// none, and what was before the stack was there is not observed.
func TestAnOutageIsInTheReportOfTheMonth(t *testing.T) {
	t.Parallel()
	s := ownStack(t, nil)
	a, ch := ready(t, s, plan{Limit: 5000, Rate: 1000})
	began := time.Now()
	path := "/v1/reports/" + began.UTC().Format("2006-01")
	report := func() monthlyReport {
		return decode[monthlyReport](t, a.call(t, http.MethodGet, path, nil), http.StatusOK)
	}
	s.reset(t)
	if r := report(); r.RecordedSince == nil || len(r.Items) != 0 || r.Complete {
		t.Errorf("at first it is %+v", r)
	}
	s.behave(t, ch.sender(t), map[string]any{"fail_status": 503})
	byPerson := a.inOrder(ch, 20, 5)
	wait(t, 30*time.Second, func() (bool, string) {
		r := report()
		return len(r.Items) > 0 && r.Items[0].State == "outage" && r.Items[0].Until == nil, fmt.Sprintf("it is %+v", r)
	})
	s.behave(t, ch.sender(t), nil)
	for _, ids := range byPerson {
		a.until(ids[len(ids)-1], time.Minute, "read", status("read"))
	}
	var r monthlyReport
	wait(t, time.Minute, func() (bool, string) {
		s.reset(t)
		r = report()
		return len(r.Items) >= 2 && r.Items[0].State == "degraded" && r.Items[0].Until != nil, fmt.Sprintf("it is %+v", r)
	})
	outage := r.Items[len(r.Items)-1]
	if outage.State != "outage" && len(r.Items) > 2 { // it may have been degraded first
		outage = r.Items[len(r.Items)-2]
	}
	if outage.State != "outage" || outage.FaultDomain != "provider" || outage.ProviderID != "edna" || outage.Since.Before(began) || outage.Until == nil || !outage.Until.After(outage.Since.Time) {
		t.Errorf("the outage is %+v", outage)
	}
	for _, p := range r.Providers {
		if want := p.ProviderID == "edna"; (p.Outages > 0) != want || (p.OutageMinutes > 0) != want {
			t.Errorf("of %s it says %+v", p.ProviderID, p)
		}
	}
	if r.Platform.Outages != 0 || r.Platform.Availability != nil && *r.Platform.Availability != 1 || r.Platform.UnobservedMinutes <= 0 {
		t.Errorf("of the platform it says %+v", r.Platform)
	}
	operators := decode[monthlyReport](t, s.operator(t).call(t, http.MethodGet, "/v1/operator/reports/"+r.Month, nil), http.StatusOK)
	if len(operators.Items) != len(r.Items) || len(operators.Providers) != len(r.Providers) {
		t.Errorf("the operator's is %+v", operators)
	}
}
