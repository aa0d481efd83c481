package main

import (
	"net/http"
	"slices"
	"testing"

	"contactcenter/shared/event"
	"contactcenter/shared/event/eventtest"
)

// what the operator does is told: what concerns one account to that, what concerns everybody to all who
// listen.
func TestWhatTheOperatorDoesIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.Operator()
	c.Do(http.MethodPut, "/v1/operator/plans/demo", `{"limit":10,"period":"month","rate":{"limit":1,"window_seconds":1}}`).Want(t, "plan", http.StatusOK, "")
	w.accounts.Audit = w.audit
	eventtest.Listen(t, w.accounts, "acct_1")
	if _, err := w.accounts.Get(t.Context(), "acct_2"); err != nil {
		t.Fatal(err)
	}
	entry := `{"name":"Toy","legal_entity":"Toy Ltd","website":"https://toy.example","onboarding":"native","channel_types":["whatsapp"],"transfer_countries":["CY"],"documents":[{"title":"Terms","url":"https://toy.example/terms"}],"terms_version":"1","status":`
	for _, status := range []string{"enabled", "disabled", "enabled", "removed"} {
		for range 2 { // repeated, it says the same
			c.Do(http.MethodPut, "/v1/operator/providers/edna", entry+`"`+status+`"}`).Want(t, status, http.StatusOK, "")
		}
	}
	var ids []string
	for _, accountID := range []string{"acct_1", "acct_2"} {
		a := c.Do(http.MethodPost, "/v1/operator/accounts/"+accountID+"/restrictions", `{"kind":"block","reason":"x","clause":"13"}`).Want(t, "restrict", http.StatusCreated, "")
		ids = append(ids, a.Text("id"))
	}
	for _, id := range ids {
		c.Do(http.MethodDelete, "/v1/operator/restrictions/"+id, "").Want(t, "lift", http.StatusNoContent, "")
	}
	want := []event.Type{
		event.SubprocessorAdded, event.ProviderDisabled, event.ProviderStatusChanged, event.ProviderRemoved, event.AccountRestricted, event.AccountRestrictionLifted,
	}
	if got := w.told.Types(); !slices.Equal(got, want) {
		t.Fatalf("%v", got)
	}
	for _, e := range w.told.Events() {
		if e.Type.OfEverybody() != (e.AccountID == "") || e.AccountID == "acct_2" {
			t.Errorf("%+v", e)
		}
	}
}
