package main

import (
	"strings"
	"testing"
	"time"

	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/registry"
)

// an account reads which outages of a month were the platform's and which a provider's, over which time that is known, and page by page.
func TestAnAccountReadsTheReportOfAMonth(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.User("acct_1", "user_7")
	// It is the 24th, ten o'clock.
	w.clock.Pass(-10 * 24 * time.Hour)
	if _, err := w.providers.Put(t.Context(), registry.Entry{ID: "edna", Name: "Instant WhatsApp", Status: registry.Enabled}, audittest.ByOperator()); err != nil {
		t.Fatal(err)
	}
	beat := func() {
		t.Helper()
		if err := w.beats.Good(t.Context(), w.clock.Now(), 24*time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	note := func(state health.State) {
		t.Helper()
		if err := w.health.Note(t.Context(), health.OfProvider("edna"), health.Change{State: state, At: w.clock.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	beat()
	w.clock.Pass(24 * time.Hour)
	beat()
	note(health.Outage)
	w.clock.Pass(90 * time.Minute)
	note(health.Degraded)
	w.clock.Pass(15 * time.Minute)
	note(health.Operational)
	w.clock.Pass(3 * 24 * time.Hour)
	beat()
	w.clock.Pass(24 * time.Hour)
	beat()
	got := user.Get("/v1/reports/2026-11").Want(t, "this month", 200, "")
	// Records begin on the 14th at ten: 19,320 minutes are before that. Of the 4,425 without a beat 105 are known of edna all the same.
	const want = `{"complete":false,"items":[` +
		`{"fault_domain":"provider","provider_id":"edna","since":"2026-11-15T11:30:00.000Z","state":"degraded","until":"2026-11-15T11:45:00.000Z"},` +
		`{"fault_domain":"provider","provider_id":"edna","since":"2026-11-15T10:00:00.000Z","state":"outage","until":"2026-11-15T11:30:00.000Z"},` +
		`{"fault_domain":"platform","reason":"silent","since":"2026-11-15T10:00:00.000Z","state":"outage","until":"2026-11-18T11:45:00.000Z"}],` +
		`"month":"2026-11","platform":{"availability":0.39425,"observed_minutes":7305,"outage_minutes":4425,"outages":1,"unobserved_minutes":19320},` +
		`"providers":[{"availability":0.96984,"degradations":1,"degraded_minutes":15,"observed_minutes":2985,` +
		`"outage_minutes":90,"outages":1,"provider_id":"edna","unobserved_minutes":23640}],` +
		`"recorded_since":"2026-11-14T10:00:00.000Z","since":"2026-11-01T00:00:00.000Z","until":"2026-11-19T11:45:00.000Z"}`
	if body := strings.TrimSpace(got.Body); body != want {
		t.Errorf("got\n%s\nwant\n%s", body, want)
	}
	first := user.Get("/v1/reports/2026-11?page_size=2").Want(t, "a page", 200, "")
	rest := user.Get("/v1/reports/2026-11?page_size=2&page_token="+first.Text("next_page_token")).Want(t, "the next page", 200, "")
	if len(first.JSON["items"].([]any)) != 2 || len(rest.JSON["items"].([]any)) != 1 || rest.Text("next_page_token") != "" {
		t.Errorf("%s\n%s", first.Body, rest.Body)
	}
	before := user.Get("/v1/reports/2026-10").Want(t, "the month before", 200, "")
	if p := before.JSON["platform"].(map[string]any); p["availability"] != nil || p["unobserved_minutes"] != 31*24*60.0 || before.JSON["complete"] != true {
		t.Errorf("of a month without records it says %s", before.Body)
	}
	for month, c := range map[string]struct {
		status int
		code   string
	}{
		"2026-12": {404, "not_found"}, "2025-09": {404, "not_found"}, "2026-13": {422, "invalid_request"}, "november": {422, "invalid_request"},
		"2026-11?page_size=0": {422, "invalid_request"}, "2026-11?page_token=x": {422, "invalid_request"}, "2026-11?of=edna": {422, "invalid_request"},
	} {
		user.Get("/v1/reports/"+month).Want(t, month, c.status, c.code)
	}
}
