package main

import (
	"fmt"
	"strings"
	"testing"
)

// R-4.1c: an account says to which countries data may go. It is off at first and again by null; each change is one audit event, and
// reaches the gate, so that whoever acts under the terms of before looks again.
func TestAnAccountSaysToWhichCountriesDataMayGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.User("acct_1", "user_7")
	shown := func() string {
		t.Helper()
		list, ok := user.Get("/v1/account").Want(t, "read", 200, "").JSON["allowed_transfer_countries"]
		if !ok {
			return "off"
		}
		return fmt.Sprint(list)
	}
	if got := shown(); got != "off" {
		t.Errorf("at first it is %s", got)
	}
	w.reserve(t, 1)
	before, err := w.gates.Read(t.Context(), "acct_1", true)
	if err != nil {
		t.Fatal(err)
	}
	set := func(what, body, want string) {
		t.Helper()
		user.Do("PATCH", "/v1/account", body).Want(t, what, 200, "")
		if got := shown(); got != want {
			t.Errorf("%s: it is %s, want %s", what, got, want)
		}
	}
	set("set", `{"allowed_transfer_countries":["DE","CY","DE"]}`, "[CY DE]")
	if after, err := w.gates.Read(t.Context(), "acct_1", true); err != nil || after.Version == before.Version || after.Remaining != before.Remaining {
		t.Errorf("the gate is %+v, %v", after, err)
	}
	set("the same in another order", `{"allowed_transfer_countries":["CY","DE"]}`, "[CY DE]")
	set("with the retention", `{"allowed_transfer_countries":["CY"],"retention_days":30}`, "[CY]")
	set("the retention alone", `{"retention_days":31}`, "[CY]")
	set("off", `{"allowed_transfer_countries":null}`, "off")
	set("off again", `{"allowed_transfer_countries":null}`, "off")
	if after, err := w.gates.Read(t.Context(), "acct_1", true); err != nil || after.Version != before.Version {
		t.Errorf("the gate is %+v, %v", after, err)
	}
	var changes []string
	for _, e := range user.Get("/v1/audit-events").Want(t, "audit", 200, "").JSON["items"].([]any) {
		if e := e.(map[string]any); e["action"] == "account.transfer_countries_changed" {
			changes = append(changes, fmt.Sprint(e["before"], e["after"]))
		}
	}
	const list = "map[allowed_transfer_countries:"
	if got, want := strings.Join(changes, "\n"), list+"[CY]] "+list+"<nil>]\n"+list+"[CY DE]] "+list+"[CY]]\n"+list+"<nil>] "+list+"[CY DE]]"; got != want {
		t.Errorf("the audit log has\n%s\nwant\n%s", got, want)
	}
}

// R-4.1c: an empty list could be meant as all or as none: it is refused. So is what is no country of its own.
func TestAListOfCountriesThatCanNotBeMeantIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.User("acct_1", "user_7")
	for name, c := range map[string]struct{ body, field string }{
		"nothing":           {`{}`, "body"},
		"an empty list":     {`{"allowed_transfer_countries":[]}`, "allowed_transfer_countries"},
		"no list":           {`{"allowed_transfer_countries":"CY"}`, "allowed_transfer_countries"},
		"small letters":     {`{"allowed_transfer_countries":["CY","de"]}`, "allowed_transfer_countries[1]"},
		"three letters":     {`{"allowed_transfer_countries":["CYP"]}`, "allowed_transfer_countries[0]"},
		"several in one":    {`{"allowed_transfer_countries":["CY DE"]}`, "allowed_transfer_countries[0]"},
		"the union":         {`{"allowed_transfer_countries":["EU"]}`, "allowed_transfer_countries[0]"},
		"a null within":     {`{"allowed_transfer_countries":[null]}`, "allowed_transfer_countries[0]"},
		"too many":          {`{"allowed_transfer_countries":["CY"` + strings.Repeat(`,"CY"`, 250) + `]}`, "allowed_transfer_countries"},
		"a wrong retention": {`{"allowed_transfer_countries":["CY"],"retention_days":0}`, "retention_days"},
		"a null retention":  {`{"retention_days":null}`, "retention_days"},
	} {
		got := user.Do("PATCH", "/v1/account", c.body).Want(t, name, 422, "invalid_request")
		if !strings.Contains(got.Body, `"field":"`+c.field+`"`) {
			t.Errorf("%s: %s", name, got.Body)
		}
	}
	if got := user.Get("/v1/account"); strings.Contains(got.Body, "allowed_transfer_countries") || got.JSON["retention_days"] != 365.0 {
		t.Errorf("something was set: %s", got.Body)
	}
}
