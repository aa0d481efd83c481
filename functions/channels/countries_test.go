package main

import (
	"strings"
	"testing"

	"contactcenter/shared/audit/audittest"
)

// R-4.1c: no channel is activated, by a user or by an instruction, whose provider takes data where the account lets none go; what was
// active stays so, and what is confirmed changes nothing about that. edna takes data to CY and DE.
func TestNoChannelIsActivatedThatTakesDataWhereTheAccountLetsNoneGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	user := w.User("acct_1", "user_7")
	active, channelID := w.create(t, user), w.create(t, user)
	user.Do("POST", "/v1/channels/"+active+"/activate", confirmation).Want(t, "activate without a list", 200, "")
	instruction := user.Do("POST", "/v1/channels/"+channelID+"/activation-instructions", "").Want(t, "instruct", 201, "").Text("instruction")
	allow := func(countries ...string) {
		t.Helper()
		if _, err := w.accounts.Get(t.Context(), "acct_1"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.accounts.SetCountries(t.Context(), "acct_1", countries, audittest.By("acct_1")); err != nil {
			t.Fatal(err)
		}
	}
	allow("CY", "FR")
	calls := len(w.edna.seen())
	got := user.Do("POST", "/v1/channels/"+channelID+"/activate", confirmation).Want(t, "activate", 422, "transfer_country_not_allowed")
	if !strings.Contains(got.Body, "takes data to DE") || got.Text("fault_domain") != "customer" {
		t.Errorf("%s", got.Body)
	}
	follow := `{"instruction":"` + instruction + `",` + confirmation[1:]
	w.Operator().Do("POST", "/v1/operator/activations", follow).Want(t, "follow the instruction", 422, "transfer_country_not_allowed")
	if n := len(w.edna.seen()); n != calls {
		t.Errorf("the provider was called %d times", n-calls)
	}
	for id, status := range map[string]string{active: "active", channelID: "inactive"} {
		if got := user.Get("/v1/channels/"+id).Want(t, "read", 200, "").Text("status"); got != status {
			t.Errorf("%s is %s, want %s", id, got, status)
		}
	}
	w.User("acct_2", "user_9").Do("POST", "/v1/channels/"+w.create(t, w.User("acct_2", "user_9"))+"/activate", confirmation).Want(t, "another account activates", 200, "")
	allow("CY", "DE")
	w.Operator().Do("POST", "/v1/operator/activations", follow).Want(t, "follow the instruction when it may", 200, "")
}
