package main

import (
	"strings"
	"testing"
	"time"

	"contactcenter/shared/provider/registry"
)

// R-4.1a, R-4.4: what is in force is shown before activation; when the provider's terms or countries change, the channel asks
// for a new confirmation, stays in use, and still shows what was confirmed, until its user confirms what is in force.
func TestChangedTermsOrCountriesAskForANewConfirmation(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*registry.Entry){
		"terms":     func(e *registry.Entry) { e.TermsVersion = "2026-02" },
		"countries": func(e *registry.Entry) { e.TransferCountries = []string{"CY", "DE", "US"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			user := w.User("acct_1", "user_7")
			path := "/v1/channels/" + w.create(t, user)
			before := user.Get(path).Want(t, "get", 200, "")
			wantMembers(t, "before activation", before, map[string]any{
				"confirmation_required": false, "confirmed": nil,
				"confirmations": map[string]any{"rules_version": "2026-11-01", "provider_terms_version": "2026-01", "transfer_countries": []any{"CY", "DE"}},
			})
			user.Do("POST", path+"/activate", `{"rules_version":"2026-11-01","transfer_countries":["CY","DE"]}`).Want(t, "without terms", 422, "invalid_request")
			user.Do("POST", path+"/activate", confirmation).Want(t, "activate", 200, "")
			confirmed := map[string]any{"rules_version": "2026-11-01", "provider_terms_version": "2026-01", "transfer_countries": []any{"CY", "DE"}, "at": "2026-11-24T10:00:00.000Z", "by": "user_7"}
			wantMembers(t, "active", user.Get(path), map[string]any{"confirmation_required": false, "confirmed": confirmed})

			e := ednaEntry()
			change(&e)
			w.put(t, e) // and nothing needs to pass for it to be seen
			wantMembers(t, "after the change", user.Get(path), map[string]any{"status": "active", "confirmation_required": true, "confirmed": confirmed})
			user.Do("POST", path+"/activate", confirmation).Want(t, "with what was in force", 409, "confirmation_outdated")
			now := strings.Replace(`{"rules_version":"2026-11-01","provider_terms_version":"TERMS","transfer_countries":["`+strings.Join(e.TransferCountries, `","`)+`"]}`, "TERMS", e.TermsVersion, 1)
			w.clock.Pass(time.Minute)
			again := user.Do("POST", path+"/activate", now).Want(t, "with what is in force", 200, "")
			wantMembers(t, "confirmed anew", again, map[string]any{"status": "active", "confirmation_required": false, "activated_at": "2026-11-24T10:01:00.000Z"})
		})
	}
}

// a provider that is removed or disabled, and comes back, leaves its channels as their customer had them.
func TestAProviderThatComesBackActivatesNothing(t *testing.T) {
	t.Parallel()
	for status, shown := range map[registry.Status]string{registry.Removed: "provider_removed", registry.Disabled: "provider_disabled"} {
		w := newWorld(t, 2)
		user := w.User("acct_1", "user_7")
		active, inactive := "/v1/channels/"+w.create(t, user), "/v1/channels/"+w.create(t, user)
		user.Do("POST", active+"/activate", confirmation).Want(t, "activate", 200, "")
		e := ednaEntry()
		e.Status = status
		w.put(t, e)
		w.clock.Pass(registry.CacheAge)
		for _, path := range []string{active, inactive} {
			wantMembers(t, "while it is off", user.Get(path), map[string]any{"status": shown})
			user.Do("POST", path+"/activate", confirmation).Want(t, "activate while it is off", 409, shown)
		}
		user.Do("POST", "/v1/channels", `{"provider_id":"edna","name":"n"}`).Want(t, "create while it is off", 409, shown)
		if list := user.Get("/v1/providers").Want(t, "providers", 200, ""); !strings.Contains(list.Body, `"status":"`+string(status)+`"`) {
			t.Errorf("the list is %s", list.Body)
		}
		w.put(t, ednaEntry())
		w.clock.Pass(registry.CacheAge)
		wantMembers(t, "what was active", user.Get(active), map[string]any{"status": "active"})
		wantMembers(t, "what was not", user.Get(inactive), map[string]any{"status": "inactive"})
	}
}

// a provider that is added at run time is listed at once, with all that a customer must know of it.
func TestAProviderAddedAtRunTimeIsListedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	user := w.User("acct_1", "user_7")
	user.Get("/v1/providers").Want(t, "list", 200, "")
	e := ednaEntry()
	e.ID, e.Name, e.Documents = "newcomer", "Newcomer", []registry.Document{{Title: "Terms", URL: "https://example.com/terms"}}
	w.put(t, e)
	list := user.Get("/v1/providers").Want(t, "list", 200, "")
	for _, want := range []string{`"id":"newcomer"`, `"https://example.com/terms"`, `"MF Management Ltd"`, `"https://edna.io"`, `"Instant WhatsApp"`, `"transfer_countries":["CY","DE"]`} {
		if !strings.Contains(list.Body, want) {
			t.Errorf("the list is %s, want %s", list.Body, want)
		}
	}
	w.pool(t, "newcomer", "2001")
	user.Do("POST", "/v1/channels", `{"provider_id":"newcomer","name":"n"}`).Want(t, "create", 201, "")
}
