package main

import (
	"strings"
	"testing"

	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/claim"
)

// the operator lists appeals, reads one, and decides with a reason; the restriction stays until it is lifted.
func TestAnOperatorDecidesAnAppeal(t *testing.T) {
	t.Parallel()
	w := restricted(t)
	op := w.Operator()
	rst := w.restrict(t, block)
	a, err := w.appeals.Open(t.Context(), claim.Appeal{ID: "apl_0000000000000001", AccountID: "acct_1", RestrictionID: rst, CreatedBy: "user_7"}, "canary text", audittest.By("acct_1"))
	if err != nil {
		t.Fatal(err)
	}
	path := "/v1/operator/appeals/" + a.ID
	for query, want := range map[string]int{"": 1, "?status=open": 1, "?status=declined": 0, "?account_id=acct_1": 1, "?account_id=acct_2": 0} {
		got := op.Get("/v1/operator/appeals"+query).Want(t, "list "+query, 200, "")
		if items := got.JSON["items"].([]any); len(items) != want || strings.Contains(got.Body, "canary") {
			t.Errorf("%q lists %s", query, got.Body)
		}
	}
	op.Get("/v1/operator/appeals?status=lost").Want(t, "an unknown status", 422, "invalid_request")
	if got := op.Get(path).Want(t, "read", 200, ""); got.Text("statement") != "canary text" || got.Text("restriction_id") != rst || got.Text("account_id") != "acct_1" {
		t.Errorf("it is shown as %s", got.Body)
	}
	for _, missing := range []string{"apl_0000000000000009", "x"} {
		op.Get("/v1/operator/appeals/"+missing).Want(t, "what there is not", 404, "not_found")
	}
	for name, c := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"no reason":          {`{"status":"accepted"}`, 422, "invalid_request"},
		"a blank reason":     {`{"status":"accepted","reason":" "}`, 422, "invalid_request"},
		"an unknown status":  {`{"status":"lost","reason":"r"}`, 422, "invalid_request"},
		"an unknown field":   {`{"status":"accepted","reason":"r","text":"x"}`, 422, "invalid_request"},
		"what is so already": {`{"status":"open","reason":"r"}`, 409, "conflict"},
	} {
		op.Do("PATCH", path, c.body).Want(t, name, c.status, c.code)
	}
	if got := op.Do("PATCH", path, `{"status":"accepted","reason":"You are right."}`).Want(t, "accept", 200, ""); got.Text("status") != "accepted" || got.Text("reason") != "You are right." {
		t.Errorf("it is shown as %s", got.Body)
	}
	op.Do("PATCH", path, `{"status":"declined","reason":"r"}`).Want(t, "decline what was accepted", 409, "conflict")
	if got := op.Get("/v1/operator/restrictions/"+rst).Want(t, "read", 200, ""); got.Text("status") != "active" {
		t.Errorf("the restriction is %s", got.Body)
	}
	if got := w.events(t); !strings.HasPrefix(got, "appeal.decided "+rst+" You are right. by operator; restriction.appealed "+rst) || strings.Contains(got, "canary") {
		t.Errorf("the audit has %q", got)
	}
}
