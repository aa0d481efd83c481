//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/awsclient"
)

// table speaks to DynamoDB about one of the stack's tables.
func (s *stack) table(t *testing.T, logicalID string) (*dynamodb.Client, string) {
	t.Helper()
	client := dynamodb.New(dynamodb.Options{Region: "us-east-1", BaseEndpoint: &s.dynamodb, Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""), HTTPClient: awsclient.HTTPClient(storeTimeout)})
	tables, err := client.ListTables(t.Context(), &dynamodb.ListTablesInput{})
	if err != nil {
		t.Fatalf("list the tables: %v", err)
	}
	for _, name := range tables.TableNames {
		if strings.Contains(name, logicalID) {
			return client, name
		}
	}
	t.Fatalf("no %s among %v", logicalID, tables.TableNames)
	return nil, ""
}

// scan gives all items of one of the stack's tables, as the engine has them.
func (s *stack) scan(t *testing.T, logicalID string) []map[string]types.AttributeValue {
	t.Helper()
	client, name := s.table(t, logicalID)
	var out []map[string]types.AttributeValue
	for p := dynamodb.NewScanPaginator(client, &dynamodb.ScanInput{TableName: aws.String(name), ConsistentRead: aws.Bool(true)}); p.HasMorePages(); {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatalf("read %s: %v", name, err)
		}
		out = append(out, page.Items...)
	}
	return out
}

func written(item map[string]types.AttributeValue, name string) string {
	if s, ok := item[name].(*types.AttributeValueMemberS); ok {
		return s.Value
	}
	return ""
}

// Audit, R-2.4, R-3.4: each route of the template that changes something, called by whoever may, leaves an event with the
// person who did it; or the table says why it does not.
func TestEveryChangeByAPersonIsInTheAudit(t *testing.T) {
	t.Parallel()
	s := ownStack(t, nil)
	a, first := ready(t, s, plan{Limit: 100})
	operator := s.operator(t)
	entry := decode[map[string]any](t, operator.call(t, http.MethodGet, "/v1/operator/providers/edna", nil), http.StatusOK)
	for _, name := range []string{"id", "health", "since", "credential_fields"} {
		delete(entry, name)
	}
	current := decode[rules](t, a.call(t, http.MethodGet, "/v1/rules/current", nil), http.StatusOK)
	confirmations := a.confirmations(current.Version)
	other := newAccount(t, s, plan{Limit: 5})
	w := &acts{t: t, s: s, a: a, done: map[string]bool{}}

	// The operator's.
	w.operator(operator, "PUT /v1/operator/plans/{id}", "/v1/operator/plans/"+unique("plan_"), plan{Limit: 7}.body())
	w.operator(operator, "PUT /v1/operator/accounts/{id}", "/v1/operator/accounts/"+a.id, map[string]any{"plan_id": other.planID})
	changed := map[string]any{}
	for k, v := range entry {
		changed[k] = v
	}
	changed["website"] = "https://edna.io/another"
	w.operator(operator, "PUT /v1/operator/providers/{id}", "/v1/operator/providers/edna", changed)
	w.operator(operator, "POST /v1/operator/rules", "/v1/operator/rules", map[string]any{
		"version": "2099-01-01", "effective_at": "2099-01-01T00:00:00.000Z", "documents": current.Documents, "prohibited_uses": current.ProhibitedUses,
	})

	restricted := w.operator(operator, "POST /v1/operator/accounts/{id}/restrictions", "/v1/operator/accounts/"+a.id+"/restrictions", map[string]any{"kind": "limit", "limit": 5, "reason": "a test", "clause": "13"})
	lift := restricted.header.Get("Location")
	w.user("POST /v1/account/restrictions/{id}/appeals", "/v1/account/restrictions/"+strings.TrimPrefix(lift, "/v1/operator/restrictions/")+"/appeals", map[string]any{"text": "x"})
	w.operator(operator, "PATCH /v1/operator/appeals/{id}", "/v1/operator/appeals/"+w.last, map[string]any{"status": "accepted", "reason": "a test"})
	w.operator(operator, "DELETE /v1/operator/restrictions/{id}", lift, nil)

	w.caller(&caller{stack: s}, "POST /v1/complaints", "/v1/complaints", map[string]any{"category": "spam", "description": "x"})
	w.operator(operator, "PATCH /v1/operator/complaints/{id}", "/v1/operator/complaints/"+w.last, map[string]any{"status": "dismissed", "reason": "a test"})
	w.operator(operator, "POST /v1/operator/evidence-requests", "/v1/operator/evidence-requests", evidenceFor(a.id))
	request := w.last
	w.user("POST /v1/evidence-requests/{id}/submissions", "/v1/evidence-requests/"+request+"/submissions", map[string]any{"statement": "x", "documents": []any{}})
	w.operator(operator, "PATCH /v1/operator/evidence-requests/{id}", "/v1/operator/evidence-requests/"+request, map[string]any{"status": "accepted"})

	// The customer's.
	newcomer := newAccount(t, s, plan{Limit: 5})
	w.a = newcomer
	w.user("POST /v1/rules/acceptances", "/v1/rules/acceptances", map[string]any{"rules_version": current.Version, "documents": documents(t, newcomer), "capacity": "self"})
	w.user("POST /v1/account/closure", "/v1/account/closure", map[string]any{"confirm": newcomer.id})
	w.user("DELETE /v1/account/closure", "/v1/account/closure", nil)
	w.a = a
	w.user("PATCH /v1/account", "/v1/account", map[string]any{"retention_days": 90})
	w.user("POST /v1/webhook-endpoints", "/v1/webhook-endpoints", map[string]any{"url": "http://127.0.0.1:9/events"})
	endpoint := "/v1/webhook-endpoints/" + w.last
	w.user("PATCH /v1/webhook-endpoints/{id}", endpoint, map[string]any{"description": "the CRM"})
	w.user("POST /v1/webhook-endpoints/{id}/rotate-secret", endpoint+"/rotate-secret", nil)
	w.user("DELETE /v1/webhook-endpoints/{id}", endpoint, nil)
	w.user("POST /v1/recipients", "/v1/recipients", map[string]any{"addresses": []string{person()}, "name": "Ann"})
	who := "/v1/recipients/" + w.last
	w.user("PATCH /v1/recipients/{id}", who, map[string]any{"name": "Anna"})
	w.user("PUT /v1/recipients/{id}/consents", who+"/consents", map[string]any{"items": []any{map[string]any{
		"channel_id": first.ID, "purpose": "news", "status": "given", "source": "a form", "obtained_at": "2026-01-01T00:00:00.000Z"}}})
	w.user("PUT /v1/recipients/{id}/opt-outs/{channel_id}", who+"/opt-outs/"+first.ID, nil)
	w.user("DELETE /v1/recipients/{id}/opt-outs/{channel_id}", who+"/opt-outs/"+first.ID, nil)
	w.user("POST /v1/recipients/{id}/erase", who+"/erase", nil)
	w.user("POST /v1/recipients", "/v1/recipients", map[string]any{"addresses": []string{person()}})
	w.user("DELETE /v1/recipients/{id}", "/v1/recipients/"+w.last, nil)
	w.user("PATCH /v1/channels/{id}", "/v1/channels/"+first.ID, map[string]any{"name": "another name"})
	talk := "/v1/conversations/" + a.send(order(first, person(), text("hello"))).ConversationID + "/assignee"
	w.user("PUT /v1/conversations/{id}/assignee", talk, map[string]any{"user_id": "user_2"})
	w.user("DELETE /v1/conversations/{id}/assignee", talk, nil)
	w.user("POST /v1/channels/{id}/deactivate", "/v1/channels/"+first.ID+"/deactivate", nil)
	w.user("POST /v1/channels/{id}/activate", "/v1/channels/"+first.ID+"/activate", confirmations)
	created := w.user("POST /v1/channels", "/v1/channels", map[string]any{"provider_id": "edna", "name": "second"})
	second := decode[channel](t, created, http.StatusCreated).ID
	instruct := func() string {
		got := w.user("POST /v1/channels/{id}/activation-instructions", "/v1/channels/"+second+"/activation-instructions", map[string]any{})
		told := map[string]any{}
		if err := strictly(got.body, &told); err != nil {
			t.Fatal(err)
		}
		if id, ok := told["id"].(string); ok {
			w.user("DELETE /v1/channels/{id}/activation-instructions/{instruction_id}", "/v1/channels/"+second+"/activation-instructions/"+id, nil)
			got = w.user("POST /v1/channels/{id}/activation-instructions", "/v1/channels/"+second+"/activation-instructions", map[string]any{})
			if err := strictly(got.body, &told); err != nil {
				t.Fatal(err)
			}
		}
		token, _ := told["instruction"].(string)
		return token
	}
	redemption := map[string]any{"instruction": instruct()}
	for k, v := range confirmations {
		redemption[k] = v
	}
	w.operator(operator, "POST /v1/operator/activations", "/v1/operator/activations", redemption)
	w.user("DELETE /v1/channels/{id}", "/v1/channels/"+second, nil)

	w.operator(operator, "PUT /v1/operator/providers/{id}/senders/{sender_id}", "/v1/operator/providers/edna/senders/1999", map[string]any{"address": "+35799001999"})

	// No events, and why.
	for route, why := range map[string]string{
		"POST /v1/messages":                             "the message itself says who made it and when, and is kept: created_by, timeline",
		"POST /v1/messages/batch":                       "as POST /v1/messages",
		"POST /v1/webhook-endpoints/{id}/test":          "changes nothing; the delivery is listed",
		"POST /v1/webhook-endpoints/{id}/replay":        "changes nothing; the deliveries are listed",
		"PATCH /v1/messages/{id}":                       "the message's timeline has it",
		"POST /v1/messages/{id}/cancel":                 "the message's timeline has it",
		"POST /v1/conversations/{id}/read":              "the marker itself says who moved it and when: read_by, read_at",
		"POST /v1/callbacks/{provider_id}/{channel_id}": "a provider's, not a person's",
		"HEAD /v1/callbacks/{provider_id}/{channel_id}": "changes nothing",
		"POST /v1/recipients/{id}/export":               "reads: what is exported is in the answer, and nothing is kept of it",
		"POST /v1/recipients/{id}/evidence":             "reads, as the export",
		"POST /v1/recipients/lookup":                    "reads; a POST because an address belongs in no URL",
	} {
		if why == "" {
			t.Errorf("%s: say why", route)
		}
		w.done[route] = true
	}
	for _, r := range routes(t) {
		if name := r.method + " " + r.path; r.method != http.MethodGet && !w.done[name] {
			t.Errorf("%s is neither called here nor said to need no event", name)
		}
	}
}

// acts calls routes and looks for their events.
type acts struct {
	t    *testing.T
	s    *stack
	a    *account
	done map[string]bool
	// last is the id in the last answer.
	last string
}

// caller calls a route that leaves no event: nobody of whom anything is known.
func (w *acts) caller(c *caller, route, path string, body any) {
	w.t.Helper()
	w.by(c, "", "", route, path, body)
}

func (w *acts) user(route, path string, body any) *answer {
	w.t.Helper()
	return w.by(w.a.caller, "user", "user_1", route, path, body)
}

func (w *acts) operator(c *caller, route, path string, body any) *answer {
	w.t.Helper()
	return w.by(c, "operator", "operator_1", route, path, body)
}

// by makes the call, and expects one event with the actor, whose request is this one.
func (w *acts) by(c *caller, kind, sub, route, path string, body any) *answer {
	w.t.Helper()
	method, _, _ := strings.Cut(route, " ")
	got := c.call(w.t, method, path, body)
	w.done[route] = true
	if got.status >= 300 {
		w.t.Fatalf("%s: %v", route, got)
	}
	var named struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(got.body, &named) == nil {
		w.last = named.ID
	}
	if kind == "" {
		return got
	}
	var found []map[string]types.AttributeValue
	for _, e := range w.s.scan(w.t, "AuditTable") {
		if written(e, "request_id") == got.header.Get("X-Request-Id") {
			found = append(found, e)
		}
	}
	if len(found) != 1 {
		w.t.Errorf("%s left %d events", route, len(found))
		return got
	}
	e := found[0]
	if written(e, "actor_kind") != kind || written(e, "actor_id") != sub || written(e, "action") == "" || written(e, "target") == "" {
		w.t.Errorf("%s left %v", route, e)
	}
	if at, err := time.Parse(timestampForm, written(e, "at")); err == nil && time.Since(at) > time.Minute {
		w.t.Errorf("%s left an event of %v", route, at)
	}
	return got
}
