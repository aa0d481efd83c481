package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/channel"
	"contactcenter/shared/claim"
	"contactcenter/shared/provider/registry"
)

// the operator reads a complaint, finds the account, decides step by step; each step is in the audit log with
// its reason, and without anything of the claimant.
func TestAnOperatorReviewsAComplaint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	op := w.Operator()
	op.Do("PUT", "/v1/operator/plans/demo", plan10).Want(t, "plan", 200, "")
	op.Do("PUT", "/v1/operator/accounts/acct_1", `{"plan_id":"demo"}`).Want(t, "account", 200, "")
	op.Do("PUT", "/v1/operator/providers/edna", ednaBody).Want(t, "provider", 200, "")
	if _, err := w.providers.PutSender(ctx, "edna", registry.Sender{ID: "1001", Address: "+35799001001"}, audittest.ByOperator()); err != nil {
		t.Fatal(err)
	}
	const channelID = "chn_0000000000000001"
	if _, err := w.providers.TakeSender(ctx, "edna", channelID); err != nil {
		t.Fatal(err)
	}
	if err := w.channels.Create(ctx, channel.Channel{ID: channelID, AccountID: "acct_1", ProviderID: "edna", Type: "whatsapp", Name: "n", CreatedAt: w.clock.Now()}, audittest.By("acct_1")); err != nil {
		t.Fatal(err)
	}
	c, err := w.claims.Receive(ctx, "cmp_0000000000000001", "spam", claim.Statement{Description: "canary text", SenderAddress: "00357 99001001", Contact: claim.Contact{Name: "canary name"}})
	if err != nil {
		t.Fatal(err)
	}
	c2, err := w.claims.Receive(ctx, "cmp_0000000000000002", "other", claim.Statement{Description: "canary text", SenderAddress: "+357 99 001001"})
	if err != nil {
		t.Fatal(err)
	}
	path := "/v1/operator/complaints/" + c.ID
	list := op.Get("/v1/operator/complaints?status=open&page_size=1").Want(t, "list", 200, "")
	if items := list.JSON["items"].([]any); len(items) != 1 || items[0].(map[string]any)["id"] != c2.ID || list.Text("next_page_token") == "" || strings.Contains(list.Body, "canary") {
		t.Errorf("the list is %s", list.Body)
	}
	if a := op.Get(path).Want(t, "read", 200, ""); a.Text("description") != "canary text" || a.JSON["contact"].(map[string]any)["name"] != "canary name" || a.JSON["sender_is_now"] != nil {
		t.Errorf("it is shown as %s", a.Body)
	}
	a := op.Get("/v1/operator/complaints/"+c2.ID).Want(t, "read", 200, "")
	if hint, _ := a.JSON["sender_is_now"].(map[string]any); hint["account_id"] != "acct_1" || hint["channel_id"] != channelID {
		t.Errorf("whose the sender is: %s", a.Body)
	}
	for name, c := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"no reason":          {`{"status":"in_review"}`, 422, "invalid_request"},
		"a blank reason":     {`{"status":"in_review","reason":"  "}`, 422, "invalid_request"},
		"an unknown status":  {`{"status":"lost","reason":"r"}`, 422, "invalid_request"},
		"an unknown account": {`{"account_id":"acct_9","reason":"r"}`, 422, "invalid_request"},
		"an unknown field":   {`{"reason":"r","description":"x"}`, 422, "invalid_request"},
		"what is so already": {`{"status":"open","reason":"r"}`, 200, ""},
	} {
		op.Do("PATCH", path, c.body).Want(t, name, c.status, c.code)
	}
	a = op.Do("PATCH", path, `{"status":"in_review","account_id":"acct_1","note":"asked canary name","reason":"the sender is theirs"}`).Want(t, "review", 200, "")
	if a.Text("status") != "in_review" || a.Text("account_id") != "acct_1" || a.Text("note") != "asked canary name" {
		t.Errorf("it is shown as %s", a.Body)
	}
	op.Do("PATCH", path, `{"status":"open","reason":"r"}`).Want(t, "back to open", 409, "conflict")
	op.Do("PATCH", path, `{"status":"upheld","reason":"no consent"}`).Want(t, "uphold", 200, "")
	if items := op.Get("/v1/operator/complaints?account_id=acct_1&status=upheld").JSON["items"].([]any); len(items) != 1 {
		t.Errorf("of the account: %v", items)
	}
	// A restriction may follow, by the operator's own act, and names the complaint.
	restrict := `{"kind":"block","reason":"Messages without consent","clause":"11","complaint_id":"` + c.ID + `"}`
	made := op.Do("POST", "/v1/operator/accounts/acct_1/restrictions", restrict).Want(t, "restrict", 201, "")
	for name, other := range map[string]string{"an unknown complaint": "cmp_0000000000000009", "what is no complaint": "canary"} {
		if a := op.Do("POST", "/v1/operator/accounts/acct_1/restrictions", strings.Replace(restrict, c.ID, other, 1)).Want(t, name, 422, "invalid_request"); a.Field() != "complaint_id" {
			t.Errorf("%s: the problem is about %q", name, a.Field())
		}
	}
	if a := op.Get(path).Want(t, "read", 200, ""); fmt.Sprint(a.JSON["restrictions"]) != "["+made.Text("id")+"]" {
		t.Errorf("the complaint shows the restrictions %v, want %s", a.JSON["restrictions"], made.Text("id"))
	}
	op.Get("/v1/operator/complaints?status=lost").Want(t, "an unknown status", 422, "invalid_request")
	op.Get("/v1/operator/complaints/cmp_x").Want(t, "a malformed id", 404, "not_found")
	op.Get("/v1/operator/complaints/cmp_0000000000000009").Want(t, "an unknown id", 404, "not_found")
	got := ""
	for _, e := range audittest.Of(t, w.audit, "") {
		if e.Action == "complaint.reviewed" {
			got += e.Actor.ID + ": " + e.After["status"].(string) + " (" + e.Reason + ") "
		}
		if strings.Contains(e.Reason, "canary") || strings.Contains(strings.Join(values(e.After), " "), "canary") {
			t.Errorf("the event holds what a claimant wrote: %+v", e)
		}
	}
	if want := "op_1: in_review (the sender is theirs) op_1: upheld (no consent) "; got != want {
		t.Errorf("the log of decisions is %q", got)
	}
}

func values(m map[string]any) []string {
	var out []string
	for _, v := range m {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// the operator asks, looks at the answer, and decides; nothing follows by itself.
func TestAnOperatorAsksForEvidence(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	op := w.Operator()
	op.Do("PUT", "/v1/operator/plans/demo", plan10).Want(t, "plan", 200, "")
	op.Do("PUT", "/v1/operator/accounts/acct_1", `{"plan_id":"demo"}`).Want(t, "account", 200, "")
	c, err := w.claims.Receive(ctx, "cmp_0000000000000001", "spam", claim.Statement{Description: "x"})
	if err != nil {
		t.Fatal(err)
	}
	body := `{"account_id":"acct_1","reason":"Show consent","due_at":"2026-11-25T10:00:00Z","recipient_ids":["rcp_0000000000000001"],"complaint_id":"` + c.ID + `"}`
	cases := []struct{ name, old, new, field string }{
		{"an unknown account", "acct_1", "acct_9", "account_id"},
		{"no account", `"account_id":"acct_1",`, "", "account_id"},
		{"a time that is over", "2026-11-25", "2026-11-23", "due_at"},
		{"a time far ahead", "2026-11-25", "2029-11-23", "due_at"},
		{"an unknown complaint", c.ID, "cmp_0000000000000009", "complaint_id"},
		{"what is no complaint", c.ID, "x", "complaint_id"},
		{"what is no recipient", "rcp_0000000000000001", "+35799123456", "recipient_ids[0]"},
		{"a period that ends first", `"recipient_ids"`, `"period":{"from":"2026-11-02T00:00:00Z","to":"2026-11-01T00:00:00Z"},"recipient_ids"`, "period"},
		{"an unknown field", `"reason"`, `"restrict":true,"reason"`, "restrict"},
		{"a blank reason", "Show consent", "  ", "reason"},
	}
	for _, c := range cases {
		if a := op.Do("POST", "/v1/operator/evidence-requests", strings.Replace(body, c.old, c.new, 1)).Want(t, c.name, 422, "invalid_request"); a.Field() != c.field {
			t.Errorf("%s: the problem is about %q\n%s", c.name, a.Field(), a.Body)
		}
	}
	if items := op.Get("/v1/operator/evidence-requests").JSON["items"].([]any); len(items) != 0 {
		t.Errorf("refused requests left %v", items)
	}
	a := op.With("Idempotency-Key", "k").Do("POST", "/v1/operator/evidence-requests", body).Want(t, "ask", 201, "")
	path := "/v1/operator/evidence-requests/" + a.Text("id")
	if a.Text("status") != "open" || a.Header.Get("Location") != path {
		t.Errorf("asked is %s", a.Body)
	}
	op.Do("PATCH", path, `{"status":"accepted"}`).Want(t, "accept before an answer", 409, "conflict")
	w.clock.Pass(25 * time.Hour)
	if items := op.Get("/v1/operator/evidence-requests?overdue=true&account_id=acct_1").JSON["items"].([]any); len(items) != 1 || items[0].(map[string]any)["overdue"] != true {
		t.Errorf("overdue are %v", items)
	}
	e, err := w.evidence.Get(ctx, a.Text("id"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.evidence.Submit(ctx, e, claim.Submission{By: "user_7", Statement: "They signed."}, audittest.By("acct_1")); err != nil {
		t.Fatal(err)
	}
	a = op.Get(path).Want(t, "read", 200, "")
	if subs, _ := a.JSON["submissions"].([]any); len(subs) != 1 || a.Text("status") != "submitted" {
		t.Errorf("answered is %s", a.Body)
	}
	op.Do("PATCH", path, `{"status":"open"}`).Want(t, "back to open", 422, "invalid_request")
	op.Do("PATCH", path, `{"status":"accepted","note":"Thank you"}`).Want(t, "accept", 200, "")
	op.Do("PATCH", path, `{"status":"rejected"}`).Want(t, "reject what is accepted", 409, "conflict")
	for _, q := range []string{"overdue=maybe", "status=late", "page_token=x"} {
		op.Get("/v1/operator/evidence-requests?"+q).Want(t, q, 422, "invalid_request")
	}
	op.Get("/v1/operator/evidence-requests/evr_0000000000000009").Want(t, "an unknown id", 404, "not_found")
	for _, e := range audittest.Of(t, w.audit, "acct_1") {
		if e.Action != "account.plan_changed" && !strings.HasPrefix(e.Action, "evidence.") {
			t.Errorf("something else happened: %+v", e)
		}
	}
}
