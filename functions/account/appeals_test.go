package main

import (
	"strings"
	"testing"
	"time"

	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/claim"
	"contactcenter/shared/restriction"
)

// an account appeals against its own restriction while that is in force, once at a time, and reads how the appeal stands.
func TestAnAccountAppealsAgainstARestriction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, other := w.User("acct_1", "user_7"), w.User("acct_2", "user_9")
	user.Get("/v1/account").Want(t, "the account's first call", 200, "")
	for _, r := range []restriction.Restriction{
		{ID: "rst_0000000000000001", Kind: restriction.Block, Reason: "Spam was reported.", Clause: "13"},
		{ID: "rst_0000000000000002", Kind: restriction.Block, Reason: "Over soon.", Clause: "13", Until: w.clock.Now().Add(time.Second)},
	} {
		r.AccountID, r.From, r.CreatedBy = "acct_1", w.clock.Now(), "op_1"
		e := audittest.ByOperator()
		e.AccountID, e.Action, e.Target = "acct_1", "restriction.created", r.ID
		if err := w.accounts.Restrict(t.Context(), r, e); err != nil {
			t.Fatal(err)
		}
	}
	w.clock.Pass(2 * time.Second)
	const path = "/v1/account/restrictions/rst_0000000000000001/appeals"
	for name, c := range map[string]struct{ body, field string }{
		"nothing":          {`{}`, "text"},
		"a blank text":     {`{"text":" \n"}`, "text"},
		"a long text":      {`{"text":"` + strings.Repeat("x", 4001) + `"}`, "text"},
		"an unknown field": {`{"text":"x","status":"accepted"}`, "status"},
	} {
		if a := user.Do("POST", path, c.body).Want(t, name, 422, "invalid_request"); a.Field() != c.field {
			t.Errorf("%s: the problem is about %q", name, a.Field())
		}
	}
	if got := user.Get(path).Want(t, "list", 200, ""); got.Body != `{"items":[]}`+"\n" {
		t.Errorf("what was refused left %s", got.Body)
	}
	other.Do("POST", path, `{"text":"x"}`).Want(t, "another account appeals", 404, "not_found")
	other.Get(path).Want(t, "another account lists", 404, "not_found")
	user.Do("POST", "/v1/account/restrictions/rst_0000000000000009/appeals", `{"text":"x"}`).Want(t, "an unknown restriction", 404, "not_found")
	user.Do("POST", "/v1/account/restrictions/x/appeals", `{"text":"x"}`).Want(t, "what is no id", 404, "not_found")
	user.Do("POST", "/v1/account/restrictions/rst_0000000000000002/appeals", `{"text":"x"}`).Want(t, "one that has ended", 409, "conflict")
	made := user.Do("POST", path, `{"text":"It was not us."}`).Want(t, "appeal", 201, "")
	if made.Text("status") != "open" || made.Text("restriction_id") != "rst_0000000000000001" || made.Text("created_by") != "user_7" || strings.Contains(made.Body, "not us") {
		t.Errorf("the answer is %s", made.Body)
	}
	user.Do("POST", path, `{"text":"It still was not us."}`).Want(t, "another", 409, "conflict")
	a, err := w.appeals.Get(t.Context(), made.Text("id"))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := w.appeals.Text(a); err != nil || text != "It was not us." {
		t.Errorf("the operator reads %q, %v", text, err)
	}
	if _, err := w.appeals.Decide(t.Context(), a, claim.AppealDeclined, "It was your key.", audittest.ByOperator()); err != nil {
		t.Fatal(err)
	}
	if got := user.Get(path).Want(t, "list", 200, ""); !strings.Contains(got.Body, `"reason":"It was your key."`) || !strings.Contains(got.Body, `"status":"declined"`) {
		t.Errorf("after the decision: %s", got.Body)
	}
	user.Do("POST", path, `{"text":"We changed the key."}`).Want(t, "another afterwards", 201, "")
}
