package main

import (
	"testing"
	"time"

	"contactcenter/shared/availability"
	"contactcenter/shared/provider/health"
)

// the operator reads the report that accounts read.
func TestTheOperatorReadsTheReportOfAMonth(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	operator := w.Operator()
	empty := operator.Get("/v1/operator/reports/2026-11").Want(t, "without records", 200, "")
	if p := empty.JSON["platform"].(map[string]any); p["availability"] != nil || p["observed_minutes"] != 0.0 || empty.JSON["recorded_since"] != nil {
		t.Errorf("without records it says %s", empty.Body)
	}
	beats := w.handler.Reports.(*availability.Reports).Beats.(*availability.Beats)
	for range 2 {
		if err := beats.Good(t.Context(), w.clock.Now(), time.Minute); err != nil {
			t.Fatal(err)
		}
		w.clock.Pass(time.Hour)
	}
	if err := w.health.Note(t.Context(), health.OfProvider("nobody"), health.Change{State: health.Outage, At: w.clock.Now()}); err != nil {
		t.Fatal(err)
	}
	got := operator.Get("/v1/operator/reports/2026-11").Want(t, "with records", 200, "")
	if p := got.JSON["platform"].(map[string]any); p["outages"] != 2.0 || p["outage_minutes"] != 120.0 || p["availability"] != 0.0 {
		t.Errorf("it says %s", got.Body)
	}
	if items := got.JSON["items"].([]any); len(items) != 2 || items[0].(map[string]any)["until"] != nil || items[1].(map[string]any)["until"] == nil {
		t.Errorf("the log is %v", items)
	}
	operator.Get("/v1/operator/reports/2027-11").Want(t, "a month to come", 404, "not_found")
	w.User("acct_1", "user_7").Get("/v1/operator/reports/2026-11").Want(t, "an account", 403, "forbidden")
}
