package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"contactcenter/shared/api"
	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/audit/chain"
)

// an account sees what was done in it and to it, not who of the operator did it, nothing of a complaint, and
// nothing of anybody else's.
func TestAnAccountSeesItsOwnEventsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	operator := audit.Actor{Kind: audit.Operator, ID: "op_secret"}
	user := audit.Actor{Kind: audit.User, ID: "user_7", AccountID: "acct_1"}
	for _, e := range []audit.Event{
		{AccountID: "acct_1", Actor: user, Action: "channel.created", Target: "chn_1", RequestID: "req_user", SourceIP: "192.0.2.9"},
		{AccountID: "acct_1", Actor: operator, Action: "restriction.created", Target: "rst_1", Reason: "too many", ComplaintID: "cmp_secret", RequestID: "req_secret",
			SourceIP: "198.51.100.77", After: map[string]any{"kind": "block", "complaint_id": "cmp_secret", "claimant": "cmp_secret"}},
		{AccountID: "acct_1", Actor: operator, Action: "complaint.reviewed", Target: "cmp_secret"},
		{AccountID: "acct_2", Actor: audit.Actor{Kind: audit.User, ID: "u_secret", AccountID: "acct_2"}, Action: "channel.created", Target: "chn_secret"},
		{Actor: operator, Action: "plan.changed", Target: "plan_secret"},
	} {
		if err := w.rules.Audit.Write(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	a := w.User("acct_1", "user_8").Get("/v1/audit-events").Want(t, "list", 200, "")
	if strings.Contains(a.Body, "secret") || strings.Contains(a.Body, "198.51.100.77") {
		t.Errorf("it shows what is not its own: %s", a.Body)
	}
	for _, want := range []string{
		`"action":"restriction.created"`, `"actor":{"kind":"operator"}`, `"after":{"kind":"block"}`, `"reason":"too many"`,
		`"action":"channel.created"`, `"actor":{"account_id":"acct_1","id":"user_7","kind":"user"}`, `"source_ip":"192.0.2.9"`, `"request_id":"req_user"`,
	} {
		if !strings.Contains(a.Body, want) {
			t.Errorf("it does not have %s: %s", want, a.Body)
		}
	}
	if n := len(a.JSON["items"].([]any)); n != 2 {
		t.Errorf("it has %d events", n)
	}
	w.As(&api.Principal{UserID: "u", AccountID: "acct_1", Scopes: []string{"channels:read"}}).Get("/v1/audit-events").Want(t, "without the scope", 403, "forbidden")
	w.Operator().Get("/v1/audit-events").Want(t, "an operator", 403, "forbidden")
	for _, bad := range []string{"?page_size=0", "?page_token=x", "?account_id=acct_2"} {
		w.User("acct_1", "u").Get("/v1/audit-events"+bad).Want(t, bad, 422, "invalid_request")
	}
	token := w.User("acct_1", "u").Get("/v1/audit-events?page_size=1").Text("next_page_token")
	w.User("acct_2", "u").Get("/v1/audit-events?page_token="+token).Want(t, "another account's page token", 422, "invalid_request")
}

// an account checks that nothing in its log was changed, removed or slipped in, by the route and by what it is shown.
func TestAnAccountVerifiesItsLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const path = "/v1/audit-events/verification"
	user := w.User("acct_1", "user_8")
	if a := user.Get(path).Want(t, "nothing yet", 200, ""); strings.TrimSpace(a.Body) != `{"events":0,"unchained":0,"verified":true}` {
		t.Errorf("with nothing in the log: %s", a.Body)
	}
	for i := range 4 {
		e := audit.Event{AccountID: "acct_1", Actor: audit.Actor{Kind: audit.Operator, ID: "op_secret"}, Action: "restriction.created", Target: "rst_1", ComplaintID: "cmp_secret", SourceIP: "198.51.100.77"}
		if i%2 == 0 {
			e = audit.Event{AccountID: "acct_1", Actor: audit.Actor{Kind: audit.User, ID: "user_7", AccountID: "acct_1"}, Action: "channel.created", Target: "chn_1", SourceIP: "192.0.2.9"}
		}
		if err := w.rules.Audit.Write(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	a := user.Get("/v1/audit-events").Want(t, "list", 200, "")
	var list struct {
		Items []chain.Record `json:"items"`
	}
	if err := json.Unmarshal([]byte(a.Body), &list); err != nil {
		t.Fatal(err)
	}
	found := user.Get(path).Want(t, "all in order", 200, "")
	offline := chain.Verify(list.Items, chain.Link{}, chain.Link{})
	if !offline.Verified || offline.Events != 4 || strings.Contains(a.Body, "secret") || strings.Contains(a.Body, "withheld_salt") {
		t.Errorf("from what is shown: %+v, of %s", offline, a.Body)
	}
	if want := `{"events":4,"from":1,"head_hash":"` + offline.HeadHash + `","to":4,"unchained":0,"verified":true}`; strings.TrimSpace(found.Body) != want {
		t.Errorf("found %s, want %s", found.Body, want)
	}
	newest := list.Items[0]["id"].(string)
	db := w.rules.Audit.DB.(*dynamodb.Client)
	if _, err := db.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &w.rules.Audit.Table, Key: attr.Item{"pk": attr.String("account#acct_1"), "sk": attr.String(newest)}}); err != nil {
		t.Fatal(err)
	}
	found = user.Get(path).Want(t, "the newest cut off", 200, "")
	if want := `"first_broken":{"id":"` + newest + `","sequence":4,"why":"missing"}`; !strings.Contains(found.Body, want) || !strings.Contains(found.Body, `"verified":false`) || !strings.Contains(found.Body, `"to":3`) {
		t.Errorf("with the newest cut off: %s", found.Body)
	}
	w.As(&api.Principal{UserID: "u", AccountID: "acct_1", Scopes: []string{"channels:read"}}).Get(path).Want(t, "without the scope", 403, "forbidden")
	w.Operator().Get(path).Want(t, "an operator", 403, "forbidden")
	for _, bad := range []string{"?page_size=1", "?page_token=x", "?account_id=acct_2"} {
		user.Get(path+bad).Want(t, bad, 422, "invalid_request")
	}
}
