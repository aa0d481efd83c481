package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"contactcenter/shared/event"
	"contactcenter/shared/event/eventtest"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/rules"
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

// a provider that is added is told to everybody, once, as a reference to its entry; the seed of an entry that is there, its
// changes and refused requests are not.
func TestASubprocessorThatIsAddedIsToldToEverybodyOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	op := w.Operator()
	const path = "/v1/operator/providers/telegram"
	op.Do("PUT", path, strings.Replace(ednaBody, `"CY"`, `"Cyprus"`, 1)).Want(t, "a country that is none", 422, "invalid_request")
	providers := w.handler.Providers
	w.handler.Providers = &registry.Store{DB: w.providers.DB, Table: w.providers.Table + "x", Now: w.clock.Now, Audit: w.audit}
	op.Do("PUT", path, ednaBody).Want(t, "without its table", 503, "")
	w.handler.Providers = providers
	w.toldOf(t)

	w.told.Break(true)
	op.Do("PUT", path, ednaBody).Want(t, "while nothing can be published", 503, "")
	w.told.Break(false)
	at := w.clock.Now()
	for range 3 {
		w.clock.Pass(time.Minute)
		op.Do("PUT", path, ednaBody).Want(t, "again", 200, "")
	}
	w.toldOf(t, event.New(event.SubprocessorAdded, "", "telegram", at, "1"))
	op.Do("PUT", path, strings.Replace(ednaBody, `"2026-01"`, `"2026-02"`, 1)).Want(t, "with other terms", 200, "")
	w.toldOf(t, event.New(event.SubprocessorAdded, "", "telegram", at, "1"))
}

// a version of the Rules is told to everybody when it is published, once: a request that is repeated, with its key or with
// another, is the same event; one that is refused or that fails is none.
func TestPublishedRulesAreToldToEverybodyOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	op := w.Operator()
	const path = "/v1/operator/rules"
	body := rulesBody("2026-12-01")
	op.Do("POST", path, strings.Replace(body, `"privacy"`, `"cookies"`, 1)).Want(t, "an unknown document", 422, "invalid_request")
	store := w.handler.Rules
	w.handler.Rules = &rules.Store{DB: w.accounts.DB.(rules.DynamoDB), Table: w.accounts.Table + "x", Now: w.clock.Now, Audit: w.audit}
	op.Do("POST", path, body).Want(t, "without its table", 503, "")
	w.handler.Rules = store
	w.toldOf(t)

	at := w.clock.Now()
	w.told.Break(true)
	op.With("Idempotency-Key", "a").Do("POST", path, body).Want(t, "while nothing can be published", 503, "")
	w.told.Break(false)
	want := event.New(event.RulesPublished, "", "2026-12-01", at, "")
	for _, key := range []string{"a", "a", "b", "c"} {
		w.clock.Pass(time.Minute)
		op.With("Idempotency-Key", key).Do("POST", path, body).Want(t, "again", 201, "")
		w.toldOf(t, want)
	}
	op.Do("POST", path, strings.Replace(body, "Spam", "spam", 1)).Want(t, "another body", 409, "conflict")
	w.toldOf(t, want)
	op.Do("POST", path, rulesBody("2026-12-02")).Want(t, "the next", 201, "")
	w.toldOf(t, want, event.New(event.RulesPublished, "", "2026-12-02", w.clock.Now(), ""))
}

func rulesBody(version string) string {
	var documents []string
	for _, name := range rules.DocumentIDs()[:3] {
		documents = append(documents, `{"id":"`+name+`","version":"1","sha256":"`+strings.Repeat("a", 64)+`","url":"https://example.com/`+name+`"}`)
	}
	return `{"version":"` + version + `","effective_at":"` + version + `T00:00:00Z","documents":[` + strings.Join(documents, ",") + `],"prohibited_uses":[{"id":"spam","title":"Spam"}]}`
}

// an evidence request is told to the account that is asked and to nobody else, once for its key.
func TestAnEvidenceRequestIsToldToWhoIsAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	op := w.Operator()
	op.Do("PUT", "/v1/operator/plans/demo", plan10).Want(t, "plan", 200, "")
	w.accounts.Audit = w.audit
	eventtest.Listen(t, w.accounts, "acct_1")
	eventtest.Listen(t, w.accounts, "acct_2")
	if _, err := w.accounts.Get(t.Context(), "acct_deaf"); err != nil {
		t.Fatal(err)
	}
	body := `{"account_id":"acct_1","reason":"Show that they agreed","due_at":"2026-11-25T10:00:00Z"}`
	op.Do("POST", "/v1/operator/evidence-requests", strings.Replace(body, "2026-11-25", "2026-11-23", 1)).Want(t, "a time that is over", 422, "invalid_request")
	op.Do("POST", "/v1/operator/evidence-requests", strings.Replace(body, "acct_1", "acct_deaf", 1)).Want(t, "one that does not listen", 201, "")
	w.toldOf(t)
	at, id := w.clock.Now(), ""
	for range 2 {
		w.clock.Pass(time.Second)
		a := op.With("Idempotency-Key", "k").Do("POST", "/v1/operator/evidence-requests", body).Want(t, "ask", 201, "")
		if id == "" {
			at = w.clock.Now()
		}
		id = a.Text("id")
	}
	w.toldOf(t, event.New(event.EvidenceRequested, "acct_1", id, at, ""))
}

// toldOf expects what was published, each event once and in its order; and that it names whom and what it is about, and no more.
func (w *world) toldOf(t *testing.T, want ...event.Event) {
	t.Helper()
	got := w.told.Events()
	if !slices.Equal(got, want) {
		t.Errorf("told of %+v, want %+v", got, want)
	}
	for _, e := range got {
		raw, err := json.Marshal(e)
		var members map[string]any
		if err != nil || json.Unmarshal(raw, &members) != nil {
			t.Fatal(err)
		}
		for name := range members {
			if !slices.Contains([]string{"event_id", "type", "at", "account_id", "resource"}, name) {
				t.Errorf("the event carries %s: %s", name, raw)
			}
		}
	}
}
