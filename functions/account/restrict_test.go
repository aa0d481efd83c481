package main

import (
	"strings"
	"testing"
	"time"

	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/restriction"
)

// the account sees what restricts it, why, by which clause and until when, and of a complaint only the id; what
// has ended is not shown.: usage shows the limits that hold, and what the plan's own are.
func TestAnAccountSeesWhatRestrictsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.User("acct_1", "user_7")
	user.Get("/v1/account").Want(t, "the account's first call", 200, "")
	limit := int64(7)
	for _, r := range []restriction.Restriction{
		{ID: "rst_0000000000000001", Kind: restriction.Block, Scope: restriction.Scope{ChannelID: "chn_0123456789abcdef"}, Reason: "Spam was reported.", Clause: "13", ComplaintID: "cmp_0123456789abcdef", Until: w.clock.Now().Add(time.Hour)},
		{ID: "rst_0000000000000002", Kind: restriction.Limit, Limit: &limit, Rate: &restriction.Rate{Limit: 1, WindowSeconds: 2}, Reason: "Too many.", Clause: "8"},
		{ID: "rst_0000000000000003", Kind: restriction.Block, Reason: "Over soon.", Clause: "13", Until: w.clock.Now().Add(time.Second)},
	} {
		r.AccountID, r.From, r.CreatedBy = "acct_1", w.clock.Now(), "op_1"
		e := audittest.ByOperator()
		e.AccountID, e.Action, e.Target = "acct_1", "restriction.created", r.ID
		if err := w.accounts.Restrict(t.Context(), r, e); err != nil {
			t.Fatal(err)
		}
	}
	w.clock.Pass(2 * time.Second)
	block := `{"clause":"13","complaint_id":"cmp_0123456789abcdef","from":"2026-11-24T10:00:00.000Z","id":"rst_0000000000000001","kind":"block","reason":"Spam was reported.","scope":{"channel_id":"chn_0123456789abcdef"},"until":"2026-11-24T11:00:00.000Z"}`
	lower := `{"clause":"8","from":"2026-11-24T10:00:00.000Z","id":"rst_0000000000000002","kind":"limit","limit":7,"rate":{"burst":1,"limit":1,"window_seconds":2},"reason":"Too many.","scope":{}}`
	for _, path := range []string{"/v1/account", "/v1/usage"} {
		if got := user.Get(path).Want(t, path, 200, "").Body; !strings.Contains(got, `"restrictions":[`+block+`,`+lower+`]`) {
			t.Errorf("%s shows %s", path, got)
		}
	}
	got := user.Get("/v1/usage").Body
	for _, part := range []string{`"limit":7,"limit_restriction_id":"rst_0000000000000002"`, `"plan_limit":1000`, `"plan_rate":{"burst":40,"limit":20,"window_seconds":1}`, `"rate":{"burst":1,"limit":1,"window_seconds":2}`, `"rate_restriction_id":"rst_0000000000000002"`} {
		if !strings.Contains(got, part) {
			t.Errorf("usage has no %s: %s", part, got)
		}
	}
	if other := w.User("acct_2", "user_9").Get("/v1/usage").Want(t, "another account", 200, ""); !strings.Contains(other.Body, `"restrictions":[]`) {
		t.Errorf("another account sees %s", other.Body)
	}
}
