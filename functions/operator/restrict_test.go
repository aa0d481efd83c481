package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/channel"
	"contactcenter/shared/rules"
)

const block = `{"kind":"block","reason":"Spam was reported.","clause":"13"}`

// restricted gives a world with the plan of 10, Rules in force with one prohibited use, and acct_1 known.
func restricted(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.Operator().Do("PUT", "/v1/operator/plans/demo", plan10).Want(t, "put plan", 200, "")
	if _, err := w.accounts.Get(t.Context(), "acct_1"); err != nil {
		t.Fatal(err)
	}
	r := &rules.Store{DB: w.accounts.DB, Table: w.accounts.Table, Now: w.clock.Now, Audit: w.audit}
	v := rules.Version{Version: "2026-11-01", EffectiveAt: w.clock.Now().Add(-time.Hour), ProhibitedUses: []rules.ProhibitedUse{{ID: "spam", Title: "Spam"}}}
	if err := r.Publish(t.Context(), v, audittest.ByOperator()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) restrict(t *testing.T, body string) string {
	t.Helper()
	return w.Operator().Do("POST", "/v1/operator/accounts/acct_1/restrictions", body).Want(t, "restrict", 201, "").Text("id")
}

func (w *world) events(t *testing.T) string {
	t.Helper()
	list, _, err := w.audit.Of(t.Context(), "acct_1", attr.Page{Size: 50})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range list {
		all = append(all, fmt.Sprintf("%s %s %s by %s", e.Action, e.Target, e.Reason, e.Actor.Kind))
	}
	return strings.Join(all, "; ")
}

// a block reaches the gate in the very call that makes it, and lifting undoes it and lets go what was held;
// the count stays. Each is in the audit once.
func TestABlockHoldsAtOnceAndLiftingUndoesItAndNothingElse(t *testing.T) {
	t.Parallel()
	w := restricted(t)
	op := w.Operator()
	w.send(t, "acct_1", 4)
	made := op.Do("POST", "/v1/operator/accounts/acct_1/restrictions", block).Want(t, "block", 201, "")
	rst := made.Text("id")
	if made.Text("status") != "active" || made.Text("account_id") != "acct_1" || made.Text("created_by") == "" || made.Header.Get("Location") != "/v1/operator/restrictions/"+rst {
		t.Errorf("the answer is %s", made.Body)
	}
	if g := w.gate(t, "acct_1"); !g.Blocked || g.Used != 4 || g.Limit != 10 {
		t.Errorf("the gate is %+v", g)
	}
	if a := w.send(t, "acct_1", 1); len(a.Blocked) != 1 || len(a.Granted) != 0 {
		t.Errorf("while blocked: %+v", a)
	}
	w.clock.Pass(time.Second)
	for range 2 { // twice is as good as once
		op.Do("DELETE", "/v1/operator/restrictions/"+rst, "").Want(t, "lift", 204, "")
	}
	if g := w.gate(t, "acct_1"); g.Blocked || g.Used != 4 || g.Version != "demo.1" {
		t.Errorf("after lifting, the gate is %+v", g)
	}
	if a := w.send(t, "acct_1", 1); len(a.Granted) != 1 {
		t.Errorf("after lifting: %+v", a)
	}
	if got := op.Get("/v1/operator/restrictions/"+rst).Want(t, "read", 200, ""); got.Text("status") != "lifted" || got.Text("lifted_by") == "" {
		t.Errorf("after lifting it reads %s", got.Body)
	}
	if !strings.Contains(fmt.Sprint(w.released.asked), "acct_1") {
		t.Errorf("released were %q", w.released.asked)
	}
	if got, want := w.events(t), "restriction.lifted "+rst+"  by operator; restriction.created "+rst+" Spam was reported. by operator"; got != want {
		t.Errorf("the audit has %q, want %q", got, want)
	}
	if got := op.Get("/v1/operator/accounts/acct_1/restrictions").Want(t, "list", 200, ""); strings.Count(got.Body, `"status":"lifted"`) != 1 {
		t.Errorf("the list is %s", got.Body)
	}
}

// also an account that sent nothing yet is blocked at once.
func TestABlockHoldsBeforeTheFirstMessage(t *testing.T) {
	t.Parallel()
	w := restricted(t)
	w.restrict(t, block)
	if g := w.gate(t, "acct_1"); !g.Blocked {
		t.Errorf("the gate is %+v", g)
	}
	if a := w.send(t, "acct_1", 1); len(a.Blocked) != 1 {
		t.Errorf("%+v", a)
	}
}

// the smaller of the plan's limits and the restrictions' holds, at once, and what was used stays used.
func TestTheSmallerOfPlanAndRestrictionHolds(t *testing.T) {
	t.Parallel()
	w := restricted(t)
	w.send(t, "acct_1", 4)
	steps := []struct {
		name, body              string
		limit, remaining, burst int64
	}{
		{"a higher limit changes nothing", `{"kind":"limit","limit":50,"reason":"r","clause":"8"}`, 10, 6, 20},
		{"a lower one holds", `{"kind":"limit","limit":6,"reason":"r","clause":"8"}`, 6, 2, 20},
		{"the lowest of several holds", `{"kind":"limit","limit":3,"reason":"r","clause":"spam"}`, 3, -1, 20},
		{"a lower rate holds", `{"kind":"limit","rate":{"limit":2,"window_seconds":1},"reason":"r","clause":"9.3"}`, 3, -1, 2},
	}
	for _, s := range steps {
		w.restrict(t, s.body)
		terms, err := w.accounts.Terms(t.Context(), "acct_1", true)
		if err != nil {
			t.Fatal(err)
		}
		if g := w.gate(t, "acct_1"); g.Limit != s.limit || g.Remaining != s.remaining || g.Used != 4 || terms.Rate.Burst != s.burst || g.Blocked {
			t.Errorf("%s: the gate is %+v, the rate %+v", s.name, g, terms.Rate)
		}
	}
}

// a restriction ends by itself, for whoever asks then, and the scheduled reset looks at that moment.
func TestARestrictionEndsByItself(t *testing.T) {
	t.Parallel()
	w := restricted(t)
	w.send(t, "acct_1", 1)
	until := w.clock.Now().Add(time.Hour)
	rst := w.restrict(t, fmt.Sprintf(`{"kind":"block","reason":"r","clause":"13","until":%q}`, until.Format(time.RFC3339)))
	w.clock.Pass(59 * time.Minute)
	if strings.Contains(w.due(t), "acct_1") {
		t.Error("the reset looks before the restriction ends")
	}
	w.clock.Pass(time.Minute)
	if !strings.Contains(w.due(t), "acct_1") {
		t.Error("the reset does not look when the restriction ends")
	}
	if a := w.send(t, "acct_1", 1); len(a.Granted) != 1 {
		t.Errorf("after its end: %+v", a)
	}
	if got := w.Operator().Get("/v1/operator/restrictions/" + rst); got.Text("status") != "expired" {
		t.Errorf("after its end it reads %s", got.Body)
	}
}

// what can't be a restriction is refused with its field, and changes nothing.
func TestWhatCanNotBeARestrictionIsRefusedAndChangesNothing(t *testing.T) {
	t.Parallel()
	w := restricted(t)
	other := channel.Channel{ID: "chn_0123456789abcdef", AccountID: "acct_2", ProviderID: "edna", CreatedAt: w.clock.Now(), CreatedBy: "u", Type: "whatsapp"}
	if err := w.channels.Create(t.Context(), other, audittest.By("acct_2")); err != nil {
		t.Fatal(err)
	}
	with := func(member string) string { return strings.TrimSuffix(block, "}") + "," + member + "}" }
	for name, c := range map[string]struct{ body, field string }{
		"another kind":                 {`{"kind":"warn","reason":"r","clause":"13"}`, "kind"},
		"no reason":                    {`{"kind":"block","reason":" ","clause":"13"}`, "reason"},
		"no clause":                    {`{"kind":"block","reason":"r"}`, "clause"},
		"a clause that there is not":   {`{"kind":"block","reason":"r","clause":"16"}`, "clause"},
		"a use that is not prohibited": {`{"kind":"block","reason":"r","clause":"poetry"}`, "clause"},
		"an end in the past":           {with(`"until":"2026-11-24T09:00:00Z"`), "until"},
		"a block with a limit":         {with(`"limit":3`), "limit"},
		"a block with a rate":          {with(`"rate":{"limit":1,"window_seconds":1}`), "rate"},
		"a limit without one":          {`{"kind":"limit","reason":"r","clause":"13"}`, "limit"},
		"a limit below zero":           {`{"kind":"limit","limit":-1,"reason":"r","clause":"13"}`, "limit"},
		"a rate of nothing":            {`{"kind":"limit","rate":{"limit":0,"window_seconds":1},"reason":"r","clause":"13"}`, "rate.limit"},
		"another account's channel":    {with(`"scope":{"channel_id":"chn_0123456789abcdef"}`), "scope.channel_id"},
		"no recipient's id":            {with(`"scope":{"recipient_id":"+35799000001"}`), "scope.recipient_id"},
		"no complaint's id":            {with(`"complaint_id":"7"`), "complaint_id"},
		"an unknown field":             {with(`"silent":true`), "silent"},
		"an unknown scope":             {with(`"scope":{"campaign_id":"7"}`), "scope.campaign_id"},
		"no provider":                  {with(`"scope":{"provider_id":"pigeon"}`), "scope.provider_id"},
	} {
		got := w.Operator().Do("POST", "/v1/operator/accounts/acct_1/restrictions", c.body).Want(t, name, 422, "invalid_request")
		if got.Field() != c.field {
			t.Errorf("%s: field %q, want %q", name, got.Field(), c.field)
		}
	}
	w.Operator().Do("POST", "/v1/operator/accounts/acct_nobody/restrictions", block).Want(t, "an unknown account", 404, "not_found")
	for _, id := range []string{"rst_0123456789abcdef", "x"} {
		w.Operator().Do("DELETE", "/v1/operator/restrictions/"+id, "").Want(t, "lift what there is not", 404, "not_found")
	}
	if got := w.Operator().Get("/v1/operator/accounts/acct_1/restrictions"); !strings.Contains(got.Body, `"items":[]`) {
		t.Errorf("restrictions are %s", got.Body)
	}
	if got := w.events(t); got != "" {
		t.Errorf("the audit has %q", got)
	}
}

// An account has a bounded number of restrictions, so that its item stays small.
func TestRestrictionsInForceAreBounded(t *testing.T) {
	t.Parallel()
	w := restricted(t)
	for range 50 {
		w.restrict(t, block)
	}
	w.Operator().Do("POST", "/v1/operator/accounts/acct_1/restrictions", block).Want(t, "the 51st", 409, "conflict")
}

// the operator sees an account's usage with the figures that the account sees, and which of them a restriction
// makes.
func TestTheOperatorSeesAnAccountsUsage(t *testing.T) {
	t.Parallel()
	w := restricted(t)
	op := w.Operator()
	w.send(t, "acct_1", 4)
	rst := w.restrict(t, `{"kind":"limit","limit":5,"rate":{"limit":2,"window_seconds":1},"reason":"r","clause":"8"}`)
	got := op.Get("/v1/operator/usage?account_id=acct_1").Want(t, "usage", 200, "")
	for _, part := range []string{`"limit":5`, `"used":4`, `"remaining":1`, `"plan_limit":10`, `"limit_restriction_id":"` + rst + `"`, `"rate_restriction_id":"` + rst + `"`, `"plan_rate":{"burst":20`} {
		if !strings.Contains(got.Body, part) {
			t.Errorf("usage has no %s: %s", part, got.Body)
		}
	}
	op.Get("/v1/operator/usage?account_id=acct_nobody").Want(t, "an unknown account", 404, "not_found")
	op.Get("/v1/operator/usage").Want(t, "no account", 422, "invalid_request")
}
