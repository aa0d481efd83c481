package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/claim"
	"contactcenter/shared/rules"
)

// anybody may complain, without a token, and gets a receipt.
func TestAnybodyMayComplain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t, version("v1", w.clock.Now().Add(-time.Hour)))
	w.clock.Pass(rules.CurrentAge)
	nobody := w.As(nil)
	a := nobody.Do("POST", "/v1/complaints", `{"category":"spam","description":"Every day.","sender_address":"+35799001001","contact":{"name":"Ann","email":"ann@example.com","phone":"+35799123456"}}`).Want(t, "complain", 201, "")
	if !strings.HasPrefix(a.Text("id"), "cmp_") || a.Text("received_at") == "" || len(a.JSON) != 2 {
		t.Errorf("the receipt is %s", a.Body)
	}
	c, err := w.claims.Get(t.Context(), a.Text("id"))
	if err != nil || c.Category != "spam" || c.Status != claim.Open {
		t.Fatalf("recorded is %+v, %v", c, err)
	}
	if what, err := w.claims.Statement(c); err != nil || what.Description != "Every day." || what.SenderAddress != "+35799001001" || what.Contact.Phone != "+35799123456" {
		t.Errorf("recorded is %+v, %v", what, err)
	}
	nobody.Do("POST", "/v1/complaints", `{"category":"other","description":"Something else."}`).Want(t, "a complaint of no category, by nobody", 201, "")
	cases := []struct{ name, body, field string }{
		{"nothing", `{}`, "category"},
		{"an unknown category", `{"category":"rain","description":"x"}`, "category"},
		{"no description", `{"category":"spam"}`, "description"},
		{"a blank description", `{"category":"spam","description":"  "}`, "description"},
		{"a long description", `{"category":"spam","description":"` + strings.Repeat("x", 4001) + `"}`, "description"},
		{"a long name", `{"category":"spam","description":"x","contact":{"name":"` + strings.Repeat("x", 321) + `"}}`, "contact.name"},
		{"an unknown field", `{"category":"spam","description":"x","account_id":"acct_1"}`, "account_id"},
		{"a contact of another kind", `{"category":"spam","description":"x","contact":"ann@example.com"}`, "contact"},
	}
	for _, c := range cases {
		if a := nobody.Do("POST", "/v1/complaints", c.body).Want(t, c.name, 422, "invalid_request"); a.Field() != c.field {
			t.Errorf("%s: the problem is about %q\n%s", c.name, a.Field(), a.Body)
		}
	}
	if list, _, err := w.claims.List(t.Context(), "", "", attr.Page{Size: 10}); err != nil || len(list) != 2 {
		t.Errorf("%d complaints, %v", len(list), err)
	}
}

// so many an hour from one source; what can't be used is not counted.
func TestComplaintsAreLimitedPerSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nobody := w.As(nil)
	const fine = `{"category":"other","description":"x"}`
	for range 2 * claim.PerSource {
		nobody.Do("POST", "/v1/complaints", `{}`).Want(t, "nothing", 422, "")
	}
	for range claim.PerSource {
		nobody.Do("POST", "/v1/complaints", fine).Want(t, "within the limit", 201, "")
	}
	a := nobody.Do("POST", "/v1/complaints", fine).Want(t, "above it", 429, "rate_limit_reached")
	if a.Header.Get("Retry-After") != "3600" || a.JSON["limit"] != float64(claim.PerSource) {
		t.Errorf("Retry-After is %q: %s", a.Header.Get("Retry-After"), a.Body)
	}
	w.clock.Pass(claim.SourceWindow)
	nobody.Do("POST", "/v1/complaints", fine).Want(t, "an hour later", 201, "")
}

// the account sees what it is asked, answers, and sees what became of it; overdue requests show in the account.
func TestAnAccountAnswersAnEvidenceRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, other := w.User("acct_1", "user_7"), w.User("acct_2", "user_9")
	open := func(n int) claim.Evidence {
		t.Helper()
		e, err := w.evidence.Open(t.Context(), claim.Evidence{
			ID: fmt.Sprintf("evr_%016d", n), AccountID: "acct_1", Reason: "Show consent", DueAt: w.clock.Now().Add(time.Hour), RecipientIDs: []string{"rcp_0000000000000001"}, ComplaintID: "cmp_0000000000000001",
			From: w.clock.Now().Add(-time.Hour), To: w.clock.Now(),
		}, audittest.ByOperator())
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := open(1)
	open(2)
	path := "/v1/evidence-requests/" + e.ID
	a := user.Get(path).Want(t, "read", 200, "")
	if a.Text("status") != "open" || a.Text("reason") != "Show consent" || a.JSON["overdue"] != false || a.Text("complaint_id") != "cmp_0000000000000001" || a.JSON["period"] == nil || a.JSON["submissions"] != nil {
		t.Errorf("it is shown as %s", a.Body)
	}
	if list := user.Get("/v1/evidence-requests?status=open&page_size=1").Want(t, "list", 200, ""); len(list.JSON["items"].([]any)) != 1 || list.Text("next_page_token") == "" {
		t.Errorf("the list is %s", list.Body)
	}
	for _, q := range []string{"status=late", "page_token=x", "account_id=acct_1"} {
		user.Get("/v1/evidence-requests?"+q).Want(t, q, 422, "invalid_request")
	}
	other.Get(path).Want(t, "another account reads", 404, "not_found")
	other.Do("POST", path+"/submissions", `{"statement":"x","documents":[]}`).Want(t, "another account answers", 404, "not_found")
	if list := other.Get("/v1/evidence-requests").JSON["items"].([]any); len(list) != 0 {
		t.Errorf("another account sees %v", list)
	}
	for name, body := range map[string]string{
		"nothing": `{}`, "no documents": `{"statement":"x"}`, "a blank statement": `{"statement":" ","documents":[]}`,
		"a document that is nowhere": `{"statement":"x","documents":[{"title":"t","url":"file:///etc/passwd"}]}`,
		"a hash that is none":        `{"statement":"x","documents":[{"title":"t","url":"https://example.com/","sha256":"` + strings.Repeat("A", 64) + `"}]}`,
		"too many documents":         `{"statement":"x","documents":[` + strings.TrimSuffix(strings.Repeat(`{"title":"t","url":"https://example.com/"},`, 21), ",") + `]}`,
		"an unknown field":           `{"statement":"x","documents":[],"status":"accepted"}`,
		"a bundle that is none":      `{"statement":"x","documents":[],"bundles":[{"id":"exp_0000000000000001","sha256":"` + strings.Repeat("a", 64) + `"}]}`,
		"a bundle without a hash":    `{"statement":"x","documents":[],"bundles":[{"id":"evb_0000000000000001"}]}`,
		"too many bundles":           `{"statement":"x","documents":[],"bundles":[` + strings.TrimSuffix(strings.Repeat(`{"id":"evb_0000000000000001","sha256":"`+strings.Repeat("a", 64)+`"},`, 101), ",") + `]}`,
	} {
		user.Do("POST", path+"/submissions", body).Want(t, name, 422, "invalid_request")
	}
	w.clock.Pass(2 * time.Hour)
	if a := user.Get("/v1/account").Want(t, "the account", 200, ""); a.JSON["evidence_requests_overdue"] != 2.0 {
		t.Errorf("the account is %s", a.Body)
	}
	if a := user.Get(path); a.JSON["overdue"] != true {
		t.Errorf("it is not overdue: %s", a.Body)
	}
	hash := strings.Repeat("a", 64)
	answer := `{"statement":"They signed.","documents":[{"title":"Form","url":"https://example.com/form.pdf"}],"bundles":[{"id":"evb_0000000000000001","sha256":"` + hash + `"}]}`
	a = user.With("Idempotency-Key", "k").Do("POST", path+"/submissions", answer).Want(t, "answer", 201, "")
	if a.Text("status") != "submitted" || a.JSON["overdue"] != false {
		t.Errorf("the answered request is %s", a.Body)
	}
	user.With("Idempotency-Key", "k").Do("POST", path+"/submissions", answer).Want(t, "the same again", 201, "")
	user.Do("POST", path+"/submissions", answer).Want(t, "a second answer", 409, "conflict")
	a = user.Get(path).Want(t, "read", 200, "")
	if subs, _ := a.JSON["submissions"].([]any); len(subs) != 1 || subs[0].(map[string]any)["submitted_by"] != "user_7" || !strings.Contains(a.Body, `"bundles":[{"id":"evb_0000000000000001","sha256":"`+hash+`"}]`) {
		t.Errorf("it is shown as %s", a.Body)
	}
	if a := user.Get("/v1/account"); a.JSON["evidence_requests_overdue"] != 1.0 {
		t.Errorf("the account is %s", a.Body)
	}
	log := audittest.Of(t, w.audit, "acct_1")
	if last := log[len(log)-1]; last.Action != "evidence.submitted" || last.Actor.ID != "user_7" || last.SourceIP == "" {
		t.Errorf("the last event is %+v", last)
	}
}
