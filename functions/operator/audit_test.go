package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"contactcenter/shared/api"
	"contactcenter/shared/api/apitest"
	"contactcenter/shared/attr"
)

// told gives the events that a list shows, oldest first, as action, target, before, after and reason.
func told(t *testing.T, c apitest.Client, path string) []string {
	t.Helper()
	var list []string
	for _, item := range c.Get(path).Want(t, path, 200, "").JSON["items"].([]any) {
		e := item.(map[string]any)
		before, _ := json.Marshal(e["before"])
		after, _ := json.Marshal(e["after"])
		reason, _ := e["reason"].(string)
		list = append([]string{fmt.Sprint(e["action"], " ", e["target"], " ", string(before), " ", string(after), " ", reason)}, list...)
		if actor := e["actor"].(map[string]any); actor["kind"] != "operator" || actor["id"] != "op_1" || e["request_id"] != "req-1" || e["source_ip"] != "192.0.2.7" {
			t.Errorf("the event is %v", e)
		}
	}
	return list
}

// what the operator sets is in the log with what was before and after and the reason; what changes
// nothing, and what is refused, is not.
func TestWhatTheOperatorSetsIsInTheLogWithItsReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	op := w.Operator()
	with := func(body, reason string) string { return strings.TrimSuffix(body, "}") + `,"reason":"` + reason + `"}` }
	op.Do("PUT", "/v1/operator/providers/edna", ednaBody).Want(t, "put provider", 200, "")
	doc := func(name string) string {
		return `{"id":"` + name + `","version":"1","sha256":"` + strings.Repeat("a", 64) + `","url":"https://example.com/` + name + `"}`
	}
	published := `{"version":"2026-11-01","effective_at":"2026-11-01T00:00:00Z","documents":[` + doc("rules") + "," + doc("terms") + "," + doc("privacy") + `],"prohibited_uses":[]}`
	const of10 = `{"limit":10,"period":"month","rate_burst":20,"rate_limit":20,"rate_window_seconds":1}`
	const of20 = `{"limit":20,"period":"month","rate_burst":20,"rate_limit":20,"rate_window_seconds":1}`
	steps := []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"a plan", "PUT", "plans/demo", with(plan10, "first"), 200, `plan.changed demo null ` + of10 + ` first`},
		{"the same plan", "PUT", "plans/demo", with(plan10, "again"), 200, ""},
		{"another limit", "PUT", "plans/demo", plan20, 200, `plan.changed demo ` + of10 + ` ` + of20 + ` `},
		{"a bad plan", "PUT", "plans/demo", `{}`, 422, ""},
		{"a second plan", "PUT", "plans/big", plan20, 200, `plan.changed big null ` + of20 + ` `},
		{"a new account's plan", "PUT", "accounts/acct_1", with(`{"plan_id":"demo"}`, "signed"), 200, `account.plan_changed acct_1 null {"plan_id":"demo"} signed`},
		{"the same plan of it", "PUT", "accounts/acct_1", `{"plan_id":"demo"}`, 200, ""},
		{"another plan of it", "PUT", "accounts/acct_1", `{"plan_id":"big"}`, 200, `account.plan_changed acct_1 {"plan_id":"demo"} {"plan_id":"big"} `},
		{"an unknown plan of it", "PUT", "accounts/acct_1", `{"plan_id":"none"}`, 422, ""},
		{"a sender", "PUT", "providers/edna/senders/1001", with(`{"address":"+35799001001"}`, "bought"), 200, `sender.changed 1001 null {"in_pool":true,"provider_id":"edna"} bought`},
		{"the same sender", "PUT", "providers/edna/senders/1001", `{"address":"+35799001001"}`, 200, ""},
		{"its address", "PUT", "providers/edna/senders/1001", `{"address":"+35799001002"}`, 200, `sender.changed 1001 {"in_pool":true,"provider_id":"edna"} {"address_changed":true,"in_pool":true,"provider_id":"edna"} `},
		{"Rules", "POST", "rules", with(published, "new law"), 201, `rules.published 2026-11-01 null {"acceptance":"explicit","effective_at":"2026-11-01T00:00:00Z"} new law`},
		{"the same Rules", "POST", "rules", published, 201, ""},
		{"other Rules of that name", "POST", "rules", strings.Replace(published, `"version":"1"`, `"version":"2"`, 1), 409, ""},
	}
	seen := len(told(t, op, "/v1/operator/audit-events")) // of the provider
	for _, st := range steps {
		op.Do(st.method, "/v1/operator/"+st.path, st.body).Want(t, st.name, st.status, "")
		list := told(t, op, "/v1/operator/audit-events")
		if st.want != "" {
			seen++
		}
		if len(list) != seen || st.want != "" && list[seen-1] != st.want {
			t.Fatalf("%s: the log has %d events, want %d; they are\n%s", st.name, len(list), seen, strings.Join(list, "\n"))
		}
	}
	own := told(t, op, "/v1/operator/audit-events?account_id=acct_1")
	if len(own) != 2 || !strings.HasPrefix(own[0], "account.plan_changed acct_1 null") {
		t.Errorf("of the account it has\n%s", strings.Join(own, "\n"))
	}
	if list := told(t, op, "/v1/operator/audit-events?account_id=acct_2"); len(list) != 0 {
		t.Errorf("of another account it has %v", list)
	}
}

// a reason is text of at most 256 characters.
func TestAReasonIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	op := w.Operator()
	op.Do("PUT", "/v1/operator/providers/edna", ednaBody).Want(t, "put provider", 200, "")
	op.Do("PUT", "/v1/operator/plans/demo", plan10).Want(t, "put plan", 200, "")
	for path, body := range map[string]string{
		"plans/demo": plan20, "accounts/acct_1": `{"plan_id":"demo"}`, "providers/edna/senders/1": `{"address":"+35799001001"}`,
	} {
		for _, reason := range []string{`"` + strings.Repeat("x", 257) + `"`, `7`, `null`} {
			a := op.Do("PUT", "/v1/operator/"+path, strings.TrimSuffix(body, "}")+`,"reason":`+reason+`}`).Want(t, path, 422, "invalid_request")
			if a.Field() != "reason" {
				t.Errorf("%s: the problem is about %q", path, a.Field())
			}
		}
		op.Do("PUT", "/v1/operator/"+path, strings.TrimSuffix(body, "}")+`,"reason":"`+strings.Repeat("é", 256)+`"}`).Want(t, path, 200, "")
	}
}

// the log is read by operators, and asked for in the right way.
func TestTheLogIsTheOperators(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const path = "/v1/operator/audit-events"
	w.As(&api.Principal{UserID: "u", AccountID: "acct_1", Scopes: []string{"operator", "account:read"}}).Get(path).Want(t, "a customer", 403, "forbidden")
	w.As(&api.Principal{UserID: "op"}).Get(path).Want(t, "an operator without the scope", 403, "forbidden")
	w.As(nil).Get(path).Want(t, "nobody", 401, "")
	for _, bad := range []string{"?page_size=0", "?page_size=201", "?page_token=x", "?account_id=", "?account_id=a%20b", "?action=x"} {
		w.Operator().Get(path+bad).Want(t, bad, 422, "invalid_request")
	}
	w.Operator().Do("DELETE", path, "").Want(t, "another method", 405, "method_not_allowed")
	for range 3 {
		w.Operator().Do("PUT", "/v1/operator/plans/demo", plan10)
		w.Operator().Do("PUT", "/v1/operator/plans/demo", plan20)
	}
	first := w.Operator().Get(path+"?page_size=4").Want(t, "a page", 200, "")
	rest := w.Operator().Get(path+"?page_size=4&page_token="+first.Text("next_page_token")).Want(t, "the next", 200, "")
	if n, m := len(first.JSON["items"].([]any)), len(rest.JSON["items"].([]any)); n != 4 || m != 2 || rest.Text("next_page_token") != "" {
		t.Errorf("the pages have %d and %d events", n, m)
	}
}

// the operator checks an account's log and their own, and is told which event is the first that does not hold.
func TestTheOperatorVerifiesTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const path = "/v1/operator/audit-events/verification"
	op := w.Operator()
	for range 2 {
		op.Do("PUT", "/v1/operator/plans/demo", plan10).Want(t, "a plan", 200, "")
		op.Do("PUT", "/v1/operator/plans/demo", plan20).Want(t, "a plan", 200, "")
	}
	own := op.Get(path).Want(t, "their own", 200, "")
	if !strings.Contains(own.Body, `"verified":true`) || own.JSON["events"] != own.JSON["to"] || own.JSON["events"].(float64) < 4 {
		t.Errorf("their own: %s", own.Body)
	}
	if a := op.Get(path+"?account_id=acct_1").Want(t, "an account's", 200, ""); a.JSON["events"] != 0.0 {
		t.Errorf("an account's: %s", a.Body)
	}
	items := op.Get("/v1/operator/audit-events").Want(t, "list", 200, "").JSON["items"].([]any)
	second := items[len(items)-2].(map[string]any)
	if _, err := w.audit.DB.(*dynamodb.Client).UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: &w.audit.Table, Key: attr.Item{"pk": attr.String("operator"), "sk": attr.String(second["id"].(string))}, UpdateExpression: aws.String("SET #to = :nobody"),
		ExpressionAttributeNames: map[string]string{"#to": "actor_id"}, ExpressionAttributeValues: attr.Item{":nobody": attr.String("nobody")},
	}); err != nil {
		t.Fatal(err)
	}
	found := op.Get(path).Want(t, "one changed", 200, "")
	if want := fmt.Sprintf(`"first_broken":{"id":"%s","sequence":2,"why":"changed"}`, second["id"]); !strings.Contains(found.Body, want) || !strings.Contains(found.Body, `"verified":false`) {
		t.Errorf("one changed: %s, want %s", found.Body, want)
	}
	w.As(&api.Principal{UserID: "u", AccountID: "acct_1", Scopes: []string{"operator", "account:read"}}).Get(path).Want(t, "a customer", 403, "forbidden")
	for _, bad := range []string{"?page_size=1", "?page_token=x", "?account_id=", "?account_id=a%20b", "?action=x"} {
		op.Get(path+bad).Want(t, bad, 422, "invalid_request")
	}
}
