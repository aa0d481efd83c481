//go:build e2e

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// route is one of the template.
type route struct {
	method, path, authorizer, scope string
}

var (
	routeForm  = regexp.MustCompile(`Type: HttpApi\s+Properties:\s+ApiId: !Ref Api\s+Method: (\w+)\s+Path: (\S+)\s+Auth: \{Authorizer: (\w+)(?:, AuthorizationScopes: \["?([^\]"]+)"?\])?\}`)
	routeEvent = regexp.MustCompile(`\s{10}Type: HttpApi\s`)
)

// routes reads the template. A route that is written in another way fails the test.
func routes(t *testing.T) []route {
	t.Helper()
	source, err := os.ReadFile(common.root + "/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var out []route
	for _, m := range routeForm.FindAllSubmatch(source, -1) {
		out = append(out, route{string(m[1]), string(m[2]), string(m[3]), string(m[4])})
	}
	if n := len(routeEvent.FindAll(source, -1)); n != len(out) || n == 0 {
		t.Fatalf("the template has %d routes, %d were understood", n, len(out))
	}
	return out
}

// victim is an account with something in it that others would like to reach.
type victim struct {
	*account
	channel       channel
	sent, waiting message
	recipient     string // of what was sent
	asked         string // an evidence request
	hook          string // a webhook endpoint, which nothing is sent to
}

func newVictim(t *testing.T, s *stack) *victim {
	t.Helper()
	a, ch := ready(t, s, plan{Limit: 1})
	v := &victim{account: a, channel: ch}
	v.sent = a.send(order(ch, person(), text(unique("text ")), "client_reference", "victim"))
	a.until(v.sent.ID, 20*time.Second, "read", status("read"))
	a.untilUsed(20*time.Second, 1)
	v.waiting = a.send(order(ch, person(), text(unique("text ")), "on_limit", "hold", "client_reference", "victim"))
	a.until(v.waiting.ID, 60*time.Second, "held", status("held"))
	v.recipient = decode[recipient](t, a.call(t, http.MethodPost, "/v1/recipients/lookup", map[string]any{"address": v.sent.To}), http.StatusOK).ID
	v.asked = decode[evidence](t, s.operator(t).call(t, http.MethodPost, "/v1/operator/evidence-requests", evidenceFor(a.id)), http.StatusCreated).ID
	v.hook = decode[hook](t, a.call(t, http.MethodPost, "/v1/webhook-endpoints", map[string]any{"url": "http://127.0.0.1:9/", "event_types": []string{"evidence.requested"}}), http.StatusCreated).ID
	return v
}

// everything is all that can be seen of an account, as bytes.
func (v *victim) everything(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	for _, path := range []string{
		"/v1/account", "/v1/usage", "/v1/channels", "/v1/channels/" + v.channel.ID, "/v1/conversations?channel_id=" + v.channel.ID, "/v1/messages?client_reference=victim",
		"/v1/messages/" + v.sent.ID, "/v1/messages/" + v.waiting.ID, "/v1/rules/acceptances", "/v1/rules/current", "/v1/providers/edna", "/v1/evidence-requests/" + v.asked,
		"/v1/recipients/" + v.recipient, "/v1/recipients/" + v.recipient + "/consents",
		"/v1/webhook-endpoints", "/v1/webhook-endpoints/" + v.hook, "/v1/webhook-endpoints/" + v.hook + "/deliveries",
	} {
		got := v.call(t, http.MethodGet, path, nil)
		if got.status != http.StatusOK {
			t.Errorf("%v", got)
		}
		fmt.Fprintf(&out, "%s\n%s\n", path, got.body)
	}
	return out.String()
}

// ids are all ids of the account that a path can name.
func (v *victim) ids() []string {
	return []string{v.channel.ID, v.sent.ID, v.waiting.ID, v.sent.ConversationID, v.waiting.ConversationID, v.asked, v.hook}
}

// ghost puts ids of the same form into a path, that nobody has.
func (v *victim) ghost(path string) string {
	for _, id := range v.ids() {
		other := "0"
		if strings.HasSuffix(id, other) {
			other = "1"
		}
		path = strings.ReplaceAll(path, id, id[:len(id)-1]+other)
	}
	return path
}

// blurred is an answer without what differs between any two: ids and times.
func (v *victim) blurred(a *answer) string {
	header := a.header.Clone()
	for _, name := range []string{"Date", "X-Request-Id", "Apigw-Requestid", "Content-Length"} {
		header.Del(name)
	}
	body := string(a.body)
	for _, id := range v.ids() {
		body = strings.ReplaceAll(strings.ReplaceAll(body, id, "ID"), v.ghost(id), "ID")
	}
	if a.header.Get("X-Request-Id") != "" {
		body = strings.ReplaceAll(body, a.header.Get("X-Request-Id"), "REQUEST")
	}
	return fmt.Sprintf("%d %v %s", a.status, header, body)
}

// attempt is how a route is called in the tests of who may call it: a request that would be fine for whoever may.
type attempt struct {
	path func(v *victim) string
	body func(t *testing.T, v *victim) any
	// foreign is what another account is told: 0, the route names nothing of an account.
	foreign int
	code    string
	// public is what anybody is told on a route without a token: 0, it is answered 200.
	public int
}

func at(path string) func(*victim) string { return func(*victim) string { return path } }

func noBody(*testing.T, *victim) any { return nil }

func object(fields map[string]any) func(*testing.T, *victim) any {
	return func(*testing.T, *victim) any { return fields }
}

func attempts() map[string]attempt {
	sent := func(v *victim) string { return "/v1/messages/" + v.sent.ID }
	one := func(v *victim) string { return "/v1/channels/" + v.channel.ID }
	callback := func(v *victim) string { return "/v1/callbacks/edna/" + v.channel.ID }
	theirs := func(v *victim) string { return "/v1/recipients/" + v.recipient }
	of := func(what string) func(*victim) string {
		return func(v *victim) string { return theirs(v) + "/" + what }
	}
	registry := map[string]any{
		"name": "edna", "legal_entity": "x", "website": "https://example.com", "onboarding": "native", "channel_types": []string{"whatsapp"}, "transfer_countries": []string{"AQ"},
		"documents": []any{}, "terms_version": "x", "status": "removed",
	}
	hooked := func(more string) func(*victim) string {
		return func(v *victim) string { return "/v1/webhook-endpoints/" + v.hook + more }
	}
	return map[string]attempt{
		"POST /v1/messages": {path: at("/v1/messages"), body: func(t *testing.T, v *victim) any { return order(v.channel, person(), text(unique("text "))) }, foreign: http.StatusNotFound, code: "channel_not_found"},
		"POST /v1/messages/batch": {path: at("/v1/messages/batch"), body: func(t *testing.T, v *victim) any {
			return map[string]any{"messages": []any{order(v.channel, person(), text(unique("text ")))}}
		}},
		"GET /v1/messages":      {path: func(v *victim) string { return "/v1/messages?conversation_id=" + v.sent.ConversationID }, body: noBody},
		"GET /v1/messages/{id}": {path: sent, body: noBody, foreign: http.StatusNotFound, code: "not_found"},
		"PATCH /v1/messages/{id}": {path: func(v *victim) string { return "/v1/messages/" + v.waiting.ID }, body: func(*testing.T, *victim) any {
			return map[string]any{"send_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}
		}, foreign: http.StatusNotFound, code: "not_found"},
		"POST /v1/messages/{id}/cancel": {path: func(v *victim) string { return "/v1/messages/" + v.waiting.ID + "/cancel" }, body: noBody, foreign: http.StatusNotFound, code: "not_found"},
		"GET /v1/conversations":         {path: func(v *victim) string { return "/v1/conversations?channel_id=" + v.channel.ID }, body: noBody},
		"GET /v1/conversations/{id}":    {path: func(v *victim) string { return "/v1/conversations/" + v.sent.ConversationID }, body: noBody, foreign: http.StatusNotFound, code: "not_found"},
		"POST /v1/conversations/{id}/read": {path: func(v *victim) string { return "/v1/conversations/" + v.sent.ConversationID + "/read" }, body: func(_ *testing.T, v *victim) any {
			return map[string]any{"up_to_message_id": v.sent.ID}
		}, foreign: http.StatusNotFound, code: "not_found"},
		"PUT /v1/conversations/{id}/assignee": {
			path: func(v *victim) string { return "/v1/conversations/" + v.sent.ConversationID + "/assignee" }, body: object(map[string]any{"user_id": "user_2"}), foreign: http.StatusNotFound, code: "not_found",
		},
		"DELETE /v1/conversations/{id}/assignee": {
			path: func(v *victim) string { return "/v1/conversations/" + v.sent.ConversationID + "/assignee" }, body: noBody, foreign: http.StatusNotFound, code: "not_found",
		},
		"GET /v1/providers":                   {path: at("/v1/providers"), body: noBody},
		"GET /v1/providers/{id}/capabilities": {path: at("/v1/providers/edna/capabilities"), body: noBody},
		"GET /v1/providers/{id}":              {path: at("/v1/providers/edna"), body: noBody},
		"POST /v1/channels":                   {path: at("/v1/channels"), body: object(map[string]any{"provider_id": "nobody", "name": "x"})},
		"GET /v1/channels":                    {path: at("/v1/channels"), body: noBody},
		"GET /v1/channels/{id}":               {path: one, body: noBody, foreign: http.StatusNotFound, code: "channel_not_found"},
		"GET /v1/channels/{id}/templates": {
			path: func(v *victim) string { return one(v) + "/templates" }, body: noBody, foreign: http.StatusNotFound, code: "channel_not_found",
		},
		"PATCH /v1/channels/{id}":  {path: one, body: object(map[string]any{"name": "taken over"}), foreign: http.StatusNotFound, code: "channel_not_found"},
		"DELETE /v1/channels/{id}": {path: one, body: noBody, foreign: http.StatusNotFound, code: "channel_not_found"},
		"POST /v1/channels/{id}/activate": {
			path: func(v *victim) string { return one(v) + "/activate" }, foreign: http.StatusNotFound, code: "channel_not_found",
			body: func(_ *testing.T, v *victim) any { return v.confirmations(v.sent.RulesVersion) },
		},
		"POST /v1/channels/{id}/activation-instructions": {
			path: func(v *victim) string { return one(v) + "/activation-instructions" }, body: object(map[string]any{}), foreign: http.StatusNotFound, code: "channel_not_found",
		},
		"DELETE /v1/channels/{id}/activation-instructions/{instruction_id}": {
			path: func(v *victim) string { return one(v) + "/activation-instructions/ins_0000000000000000" }, body: noBody, foreign: http.StatusNotFound, code: "channel_not_found",
		},
		"POST /v1/operator/activations": {path: at("/v1/operator/activations"), body: object(map[string]any{
			"instruction": "x", "rules_version": "x", "provider_terms_version": "x", "transfer_countries": []any{},
		})},
		"POST /v1/channels/{id}/deactivate":          {path: func(v *victim) string { return one(v) + "/deactivate" }, body: noBody, foreign: http.StatusNotFound, code: "channel_not_found"},
		"GET /v1/audit-events":                       {path: at("/v1/audit-events"), body: noBody},
		"GET /v1/audit-events/verification":          {path: at("/v1/audit-events/verification"), body: noBody},
		"GET /v1/operator/audit-events/verification": {path: func(v *victim) string { return "/v1/operator/audit-events/verification?account_id=" + v.id }, body: noBody},
		"GET /v1/operator/audit-events":              {path: func(v *victim) string { return "/v1/operator/audit-events?account_id=" + v.id }, body: noBody},
		"GET /v1/account":                            {path: at("/v1/account"), body: noBody},
		"GET /v1/usage":                              {path: at("/v1/usage"), body: noBody},
		"GET /v1/reports/{month}":                    {path: at("/v1/reports/" + time.Now().UTC().Format("2006-01")), body: noBody},
		"GET /v1/operator/reports/{month}":           {path: at("/v1/operator/reports/" + time.Now().UTC().Format("2006-01")), body: noBody},
		"GET /v1/status":                             {path: at("/v1/status"), body: noBody},
		"GET /v1/recipients":                         {path: at("/v1/recipients"), body: noBody},
		"GET /v1/account/processing-record":          {path: at("/v1/account/processing-record"), body: noBody},
		"POST /v1/account/closure":                   {path: at("/v1/account/closure"), body: func(*testing.T, *victim) any { return map[string]any{"confirm": "acct_nobody"} }},
		"GET /v1/account/closure":                    {path: at("/v1/account/closure"), body: noBody},
		"DELETE /v1/account/closure":                 {path: at("/v1/account/closure"), body: noBody},
		"GET /v1/openapi.json":                       {path: at("/v1/openapi.json"), body: noBody},
		"GET /v1/rules/current":                      {path: at("/v1/rules/current"), body: noBody},
		"GET /v1/evidence-keys":                      {path: at("/v1/evidence-keys"), body: noBody},
		"GET /v1/rules":                              {path: at("/v1/rules"), body: noBody},
		"GET /v1/rules/current/prohibited-uses":      {path: at("/v1/rules/current/prohibited-uses"), body: noBody},
		"GET /v1/rules/{version}":                    {path: func(v *victim) string { return "/v1/rules/" + v.sent.RulesVersion }, body: noBody},
		"POST /v1/rules/acceptances":                 {path: at("/v1/rules/acceptances"), body: object(map[string]any{"rules_version": "x", "documents": []any{}, "capacity": "self"})},
		// What can't be used isn't counted against the source, and public all the same.
		"POST /v1/complaints":                           {path: at("/v1/complaints"), body: object(map[string]any{"category": "rain", "description": "x"}), public: http.StatusUnprocessableEntity},
		"GET /v1/evidence-requests":                     {path: at("/v1/evidence-requests"), body: noBody},
		"GET /v1/evidence-requests/{id}":                {path: func(v *victim) string { return "/v1/evidence-requests/" + v.asked }, body: noBody, foreign: http.StatusNotFound, code: "not_found"},
		"POST /v1/evidence-requests/{id}/submissions":   {path: func(v *victim) string { return "/v1/evidence-requests/" + v.asked + "/submissions" }, body: object(map[string]any{"statement": "x", "documents": []any{}}), foreign: http.StatusNotFound, code: "not_found"},
		"POST /v1/account/restrictions/{id}/appeals":    {path: at("/v1/account/restrictions/rst_0000000000000001/appeals"), body: object(map[string]any{"text": "x"}), foreign: http.StatusNotFound, code: "not_found"},
		"GET /v1/account/restrictions/{id}/appeals":     {path: at("/v1/account/restrictions/rst_0000000000000001/appeals"), body: noBody, foreign: http.StatusNotFound, code: "not_found"},
		"POST /v1/webhook-endpoints":                    {path: at("/v1/webhook-endpoints"), body: object(map[string]any{"url": "ftp://crm.example.com"})},
		"GET /v1/webhook-endpoints":                     {path: at("/v1/webhook-endpoints"), body: noBody},
		"GET /v1/webhook-endpoints/{id}":                {path: hooked(""), body: noBody, foreign: http.StatusNotFound, code: "not_found"},
		"PATCH /v1/webhook-endpoints/{id}":              {path: hooked(""), body: object(map[string]any{"description": "x"}), foreign: http.StatusNotFound, code: "not_found"},
		"DELETE /v1/webhook-endpoints/{id}":             {path: hooked(""), body: noBody, foreign: http.StatusNotFound, code: "not_found"},
		"POST /v1/webhook-endpoints/{id}/rotate-secret": {path: hooked("/rotate-secret"), body: noBody, foreign: http.StatusNotFound, code: "not_found"},
		"POST /v1/webhook-endpoints/{id}/test":          {path: hooked("/test"), body: noBody, foreign: http.StatusNotFound, code: "not_found"},
		"GET /v1/webhook-endpoints/{id}/deliveries":     {path: hooked("/deliveries"), body: noBody, foreign: http.StatusNotFound, code: "not_found"},
		"POST /v1/webhook-endpoints/{id}/replay":        {path: hooked("/replay"), body: object(map[string]any{"from": "2026-11-01T00:00:00.000Z", "to": "2026-11-02T00:00:00.000Z"}), foreign: http.StatusNotFound, code: "not_found"},
		"GET /v1/operator/appeals":                      {path: at("/v1/operator/appeals"), body: noBody},
		"GET /v1/operator/appeals/{id}":                 {path: at("/v1/operator/appeals/apl_0000000000000001"), body: noBody},
		"PATCH /v1/operator/appeals/{id}":               {path: at("/v1/operator/appeals/apl_0000000000000001"), body: object(map[string]any{"status": "accepted", "reason": "x"})},
		"GET /v1/operator/complaints":                   {path: at("/v1/operator/complaints"), body: noBody},
		"GET /v1/operator/complaints/{id}":              {path: at("/v1/operator/complaints/cmp_0000000000000001"), body: noBody},
		"PATCH /v1/operator/complaints/{id}":            {path: at("/v1/operator/complaints/cmp_0000000000000001"), body: object(map[string]any{"status": "dismissed", "reason": "x"})},
		"POST /v1/operator/evidence-requests":           {path: at("/v1/operator/evidence-requests"), body: func(_ *testing.T, v *victim) any { return evidenceFor(v.id) }},
		"GET /v1/operator/evidence-requests":            {path: at("/v1/operator/evidence-requests"), body: noBody},
		"GET /v1/operator/evidence-requests/{id}":       {path: func(v *victim) string { return "/v1/operator/evidence-requests/" + v.asked }, body: noBody},
		"PATCH /v1/operator/evidence-requests/{id}":     {path: func(v *victim) string { return "/v1/operator/evidence-requests/" + v.asked }, body: object(map[string]any{"status": "accepted"})},
		"GET /v1/rules/acceptances":                     {path: at("/v1/rules/acceptances"), body: noBody},

		"PATCH /v1/account":                                {path: at("/v1/account"), body: object(map[string]any{"retention_days": 0})},
		"POST /v1/recipients":                              {path: at("/v1/recipients"), body: object(map[string]any{"addresses": []string{}})},
		"POST /v1/recipients/lookup":                       {path: at("/v1/recipients/lookup"), body: func(_ *testing.T, v *victim) any { return map[string]any{"address": v.sent.To} }, foreign: http.StatusNotFound, code: "not_found"},
		"GET /v1/recipients/{id}":                          {path: theirs, body: noBody, foreign: http.StatusNotFound, code: "not_found"},
		"PATCH /v1/recipients/{id}":                        {path: theirs, body: object(map[string]any{"name": "taken over"}), foreign: http.StatusNotFound, code: "not_found"},
		"DELETE /v1/recipients/{id}":                       {path: theirs, body: noBody, foreign: http.StatusNotFound, code: "not_found"},
		"PUT /v1/recipients/{id}/consents":                 {path: of("consents"), body: object(map[string]any{"items": []any{}}), foreign: http.StatusNotFound, code: "not_found"},
		"GET /v1/recipients/{id}/consents":                 {path: of("consents"), body: noBody, foreign: http.StatusNotFound, code: "not_found"},
		"PUT /v1/recipients/{id}/opt-outs/{channel_id}":    {path: func(v *victim) string { return theirs(v) + "/opt-outs/" + v.channel.ID }, body: noBody, foreign: http.StatusNotFound, code: "not_found"},
		"DELETE /v1/recipients/{id}/opt-outs/{channel_id}": {path: func(v *victim) string { return theirs(v) + "/opt-outs/" + v.channel.ID }, body: noBody, foreign: http.StatusNotFound, code: "not_found"},
		"POST /v1/recipients/{id}/export":                  {path: of("export"), body: noBody, foreign: http.StatusNotFound, code: "not_found"},
		"POST /v1/recipients/{id}/evidence":                {path: of("evidence"), body: noBody, foreign: http.StatusNotFound, code: "not_found"},
		"POST /v1/recipients/{id}/erase":                   {path: of("erase"), body: noBody, foreign: http.StatusNotFound, code: "not_found"},
		"GET /v1/erasures/{id}":                            {path: at("/v1/erasures/ers_0123456789abcdef"), body: noBody, foreign: http.StatusNotFound, code: "not_found"},

		"PUT /v1/operator/providers/{id}":                     {path: at("/v1/operator/providers/edna"), body: object(registry)},
		"GET /v1/operator/providers/{id}":                     {path: at("/v1/operator/providers/edna"), body: noBody},
		"GET /v1/operator/providers/{id}/versions":            {path: at("/v1/operator/providers/edna/versions"), body: noBody},
		"PUT /v1/operator/providers/{id}/senders/{sender_id}": {path: at("/v1/operator/providers/edna/senders/1001"), body: object(map[string]any{"address": "+35799009999"})},
		"PUT /v1/operator/plans/{id}":                         {path: func(v *victim) string { return "/v1/operator/plans/" + v.planID }, body: object(plan{Limit: 9999}.body())},
		"GET /v1/operator/plans/{id}":                         {path: func(v *victim) string { return "/v1/operator/plans/" + v.planID }, body: noBody},
		"PUT /v1/operator/accounts/{id}":                      {path: func(v *victim) string { return "/v1/operator/accounts/" + v.id }, body: object(map[string]any{"plan_id": "demo"})},
		"GET /v1/operator/accounts/{id}":                      {path: func(v *victim) string { return "/v1/operator/accounts/" + v.id }, body: noBody},
		"POST /v1/operator/accounts/{id}/restrictions": {
			path: func(v *victim) string { return "/v1/operator/accounts/" + v.id + "/restrictions" },
			body: object(map[string]any{"kind": "block", "reason": "none", "clause": "13"}),
		},
		"GET /v1/operator/accounts/{id}/restrictions": {path: func(v *victim) string { return "/v1/operator/accounts/" + v.id + "/restrictions" }, body: noBody},
		"GET /v1/operator/usage":                      {path: func(v *victim) string { return "/v1/operator/usage?account_id=" + v.id }, body: noBody},
		"GET /v1/operator/restrictions/{id}":          {path: at("/v1/operator/restrictions/rst_0123456789abcdef"), body: noBody},
		"DELETE /v1/operator/restrictions/{id}":       {path: at("/v1/operator/restrictions/rst_0123456789abcdef"), body: noBody},
		"POST /v1/operator/rules": {path: at("/v1/operator/rules"), body: object(map[string]any{
			"version": "9999-01-01", "effective_at": "2026-01-01T00:00:00.000Z", "documents": []any{}, "prohibited_uses": []any{},
		})},

		"POST /v1/callbacks/{provider_id}/{channel_id}": {path: callback, body: object(map[string]any{})},
		"GET /v1/callbacks/{provider_id}/{channel_id}":  {path: callback, body: noBody},
		"HEAD /v1/callbacks/{provider_id}/{channel_id}": {path: callback, body: noBody},
	}
}

// forged makes a token without a signature, or with one that nobody can check.
func forged(header string, claims map[string]any, signature string) string {
	c, _ := json.Marshal(claims)
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(c) + "." + signature
}

// each route of the template by everybody who may not call it. Nothing changes.
func TestNobodyMayCallWhatIsNotTheirs(t *testing.T) {
	t.Parallel()
	s := ownStack(t, nil)
	v := newVictim(t, s)
	stranger := newAccount(t, s, plan{Limit: 10})
	stranger.accept()
	before := v.everything(t)

	expired := int64(-60)
	other := s.token(t, tokenRequest{AccountID: v.id, Subject: "user_1", Scope: allScopes, Audience: "somebody-else"})
	late := s.token(t, tokenRequest{AccountID: v.id, Subject: "user_1", Scope: allScopes, TTLSeconds: &expired})
	claims := map[string]any{"iss": "https://crm.example.com", "aud": "contact-center", "sub": "user_1", "account_id": v.id, "scope": allScopes + " operator", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix()}
	parts := strings.Split(v.token, ".")
	tampered := parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"account_id":"`+v.id+`"}`)) + "." + parts[2]
	nobody := map[string]*caller{
		"no token":                  {s, ""},
		"a token that is none":      {s, "nonsense"},
		"an expired token":          {s, late},
		"another audience's token":  {s, other},
		"a token without signature": {s, forged(`{"alg":"none","typ":"JWT"}`, claims, "")},
		"a token signed by HS256":   {s, forged(`{"alg":"HS256","typ":"JWT"}`, claims, base64.RawURLEncoding.EncodeToString([]byte("signature")))},
		"a tampered token":          {s, tampered},
	}
	operator := s.operator(t)
	lateOperator := &caller{s, s.token(t, tokenRequest{Subject: "operator_1", Scope: "operator", TTLSeconds: &expired})}
	table := attempts()
	seen := map[string]bool{}
	for _, r := range routes(t) {
		name := r.method + " " + r.path
		row, known := table[name]
		if !known {
			t.Errorf("%s has no row in this test: say what others are told", name)
			continue
		}
		seen[name] = true
		call := func(c *caller) *answer { return c.call(t, r.method, row.path(v), row.body(t, v)) }
		switch r.authorizer {
		case "NONE":
			if strings.HasPrefix(r.path, "/v1/callbacks/") {
				if got := call(v.caller); r.method == http.MethodPost && got.status != http.StatusUnauthorized {
					t.Errorf("%s with a token and no proof of the provider: %v", name, got)
				}
				continue
			}
			if got := call(&caller{s, ""}); got.status != max(row.public, http.StatusOK) {
				t.Errorf("%s is public: %v", name, got)
			}
		case "CrmJwt":
			for who, c := range nobody {
				if got := call(c); got.status != http.StatusUnauthorized || !got.fromGateway() {
					t.Errorf("%s with %s: %v", name, who, got)
				}
			}
			if got := call(operator); got.status != http.StatusUnauthorized && got.status != http.StatusForbidden {
				t.Errorf("%s by the operator: %v", name, got)
			}
			scopes := strings.Join(slices.DeleteFunc(strings.Fields(allScopes), func(x string) bool { return x == r.scope }), " ")
			if got := call(s.user(t, v.id, "user_2", scopes)); got.status != http.StatusForbidden || !got.fromGateway() {
				t.Errorf("%s without %s: %v", name, r.scope, got)
			}
			if got := call(s.user(t, v.id, "user_2", "operator")); got.status != http.StatusForbidden || !got.fromGateway() {
				t.Errorf("%s by a customer's token with the scope operator: %v", name, got)
			}
			if row.foreign != 0 {
				theirs := call(stranger.caller)
				theirs.refused(t, row.foreign, row.code)
				// What is somebody else's is told as what never was.
				nothing := stranger.call(t, r.method, v.ghost(row.path(v)), row.body(t, v))
				if a, b := v.blurred(theirs), v.blurred(nothing); a != b {
					t.Errorf("%s tells what is another account's from what never was:\n%s\n%s", name, a, b)
				}
			}
			// A customer's token without an account is nobody's.
			if got := call(s.user(t, "", "user_3", allScopes)); got.status != http.StatusForbidden && got.status != http.StatusUnauthorized {
				t.Errorf("%s by a token without an account: %v", name, got)
			}
		case "OperatorJwt":
			for who, c := range nobody {
				if got := call(c); got.status != http.StatusUnauthorized || !got.fromGateway() {
					t.Errorf("%s with %s: %v", name, who, got)
				}
			}
			for who, c := range map[string]*caller{
				"a customer": v.caller, "a customer with the scope operator": s.user(t, v.id, "user_2", "operator"), "an expired operator": lateOperator,
				"a customer with every scope": s.user(t, v.id, "user_2", allScopes+" operator"),
			} {
				if got := call(c); got.status != http.StatusUnauthorized && got.status != http.StatusForbidden {
					t.Errorf("%s by %s: %v", name, who, got)
				}
			}
		default:
			t.Errorf("%s: authorizer %q", name, r.authorizer)
		}
	}
	for name := range table {
		if !seen[name] {
			t.Errorf("the template has no route %s", name)
		}
	}
	// What others may list is their own, and empty.
	for _, path := range []string{"/v1/messages?conversation_id=" + v.sent.ConversationID, "/v1/messages?client_reference=victim", "/v1/conversations?channel_id=" + v.channel.ID, "/v1/channels"} {
		got := stranger.call(t, http.MethodGet, path, nil)
		if got.status == http.StatusNotFound && !strings.Contains(path, "client_reference") && path != "/v1/channels" {
			continue
		}
		if found := decode[list[json.RawMessage]](t, got, http.StatusOK); len(found.Items) != 0 {
			t.Errorf("another account sees in %s: %s", path, got.body)
		}
	}
	stranger.call(t, http.MethodPost, "/v1/messages", map[string]any{"conversation_id": v.sent.ConversationID, "content": text("x")}).refused(t, http.StatusNotFound, "not_found")
	if after := v.everything(t); after != before {
		t.Errorf("something changed:\n%s\n%s", before, after)
	}
	if got := operator.call(t, http.MethodGet, "/v1/operator/plans/"+v.planID, nil); !strings.Contains(string(got.body), `"limit":1,`) {
		t.Errorf("the plan changed: %v", got)
	}
}

// bad input gets a problem with its own code, and changes nothing.
func TestBadInputIsRefusedAndChangesNothing(t *testing.T) {
	t.Parallel()
	s := common.shared
	v := newVictim(t, s)
	before := v.everything(t)
	lastCalls := len(s.sendsBy(t, v.channel.sender(t), 0))
	fine := func(changes map[string]any) map[string]any {
		o := order(v.channel, person(), text(unique("text ")), "on_limit", "hold")
		for k, x := range changes {
			if x == nil {
				delete(o, k)
			} else {
				o[k] = x
			}
		}
		return o
	}
	raw := func(s string) []byte { return []byte(s) }
	deep := strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)
	tests := []struct {
		name, method, path string
		body               any
		status             int
		code               string
		header             []string
	}{
		{name: "evidence for a request that is none", method: "POST", path: "/v1/recipients/" + v.lookup(t, v.sent.To).ID + "/evidence", body: map[string]any{"evidence_request_id": "evr_0000000000000001"}, status: 422, code: "invalid_request"},
		{name: "evidence with a token that nobody gave out", method: "POST", path: "/v1/recipients/" + v.lookup(t, v.sent.To).ID + "/evidence", body: map[string]any{"page_token": "x"}, status: 422, code: "invalid_request"},
		{name: "no body", method: "POST", path: "/v1/messages", body: raw(""), status: 422, code: "invalid_request"},
		{name: "bad JSON", method: "POST", path: "/v1/messages", body: raw("{"), status: 400, code: "invalid_request"},
		{name: "two JSON values", method: "POST", path: "/v1/messages", body: raw("{} {}"), status: 400, code: "invalid_request"},
		{name: "a list", method: "POST", path: "/v1/messages", body: raw("[]"), status: 422, code: "invalid_request"},
		{name: "null", method: "POST", path: "/v1/messages", body: raw("null"), status: 422, code: "invalid_request"},
		{name: "a number", method: "POST", path: "/v1/messages", body: raw("1e999"), status: 422, code: "invalid_request"},
		{name: "an empty object", method: "POST", path: "/v1/messages", body: raw("{}"), status: 422, code: "invalid_request"},
		{name: "nesting deeper than JSON readers go", method: "POST", path: "/v1/messages", body: raw(`{"content":` + deep + `}`), status: 400, code: "invalid_request"},
		{name: "deep nesting", method: "POST", path: "/v1/messages", body: raw(`{"content":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `}`), status: 422, code: "invalid_request"},
		{name: "an unknown field", method: "POST", path: "/v1/messages", body: fine(map[string]any{"send_faster": true}), status: 422, code: "invalid_request"},
		{name: "an unknown field within", method: "POST", path: "/v1/messages", body: fine(map[string]any{"content": map[string]any{"type": "text", "text": "x", "bold": true}}), status: 422, code: "invalid_request"},
		{name: "another case", method: "POST", path: "/v1/messages", body: fine(map[string]any{"Client_Reference": "x"}), status: 422, code: "invalid_request"},
		{name: "a field twice", method: "POST", path: "/v1/messages", body: raw(`{"channel_id":"` + v.channel.ID + `","to":"+35799123456","to":"+35799123457","content":{"type":"text","text":"x"}}`), status: 422, code: "invalid_request"},
		{name: "to is a number", method: "POST", path: "/v1/messages", body: fine(map[string]any{"to": 35799123456}), status: 422, code: "invalid_request"},
		{name: "to is null", method: "POST", path: "/v1/messages", body: raw(`{"channel_id":"` + v.channel.ID + `","to":null,"content":{"type":"text","text":"x"}}`), status: 422, code: "invalid_request"},
		{name: "to is missing", method: "POST", path: "/v1/messages", body: fine(map[string]any{"to": nil}), status: 422, code: "invalid_request"},
		{name: "to without a plus", method: "POST", path: "/v1/messages", body: fine(map[string]any{"to": "35799123456"}), status: 422, code: "recipient_invalid"},
		{name: "to with blanks", method: "POST", path: "/v1/messages", body: fine(map[string]any{"to": "+357 99 123456"}), status: 422, code: "recipient_invalid"},
		{name: "to too long", method: "POST", path: "/v1/messages", body: fine(map[string]any{"to": "+35799123456789012345"}), status: 422, code: "recipient_invalid"},
		{name: "to in other digits", method: "POST", path: "/v1/messages", body: fine(map[string]any{"to": "+٣٥٧٩٩١٢٣٤٥٦"}), status: 422, code: "recipient_invalid"},
		{name: "to is an address of another kind", method: "POST", path: "/v1/messages", body: fine(map[string]any{"to": "ann@example.com"}), status: 422, code: "recipient_invalid"},
		{name: "to and conversation_id", method: "POST", path: "/v1/messages", body: fine(map[string]any{"conversation_id": v.sent.ConversationID}), status: 422, code: "invalid_request"},
		{name: "no content", method: "POST", path: "/v1/messages", body: fine(map[string]any{"content": nil}), status: 422, code: "invalid_request"},
		{name: "content is text", method: "POST", path: "/v1/messages", body: fine(map[string]any{"content": "hello"}), status: 422, code: "invalid_request"},
		{name: "text is a number", method: "POST", path: "/v1/messages", body: fine(map[string]any{"content": map[string]any{"type": "text", "text": 5}}), status: 422, code: "invalid_request"},
		{name: "no type", method: "POST", path: "/v1/messages", body: fine(map[string]any{"content": map[string]any{"text": "x"}}), status: 422, code: "invalid_request"},
		{name: "on_limit", method: "POST", path: "/v1/messages", body: fine(map[string]any{"on_limit": "wait"}), status: 422, code: "invalid_request"},
		{name: "client_reference too long", method: "POST", path: "/v1/messages", body: fine(map[string]any{"client_reference": strings.Repeat("x", 129)}), status: 422, code: "invalid_request"},
		{name: "expires_at in another form", method: "POST", path: "/v1/messages", body: fine(map[string]any{"expires_at": "tomorrow"}), status: 422, code: "invalid_request"},
		{name: "expires_at is a number", method: "POST", path: "/v1/messages", body: fine(map[string]any{"expires_at": 1795514400}), status: 422, code: "invalid_request"},
		{name: "send_at is not there yet", method: "POST", path: "/v1/messages", body: fine(map[string]any{"send_at": "2030-01-01T00:00:00.000Z"}), status: 422, code: "invalid_request"},
		{name: "no such channel", method: "POST", path: "/v1/messages", body: fine(map[string]any{"channel_id": "chn_0000000000000000"}), status: 404, code: "channel_not_found"},
		{name: "a malformed channel id", method: "POST", path: "/v1/messages", body: fine(map[string]any{"channel_id": "../../x"}), status: 404, code: "channel_not_found"},
		{name: "an empty channel id", method: "POST", path: "/v1/messages", body: fine(map[string]any{"channel_id": ""}), status: 422, code: "invalid_request"},
		{name: "no such conversation", method: "POST", path: "/v1/messages", body: map[string]any{"conversation_id": "cnv_0000000000000000", "content": text("x")}, status: 404, code: "not_found"},
		{name: "another media type", method: "POST", path: "/v1/messages", body: fine(nil), status: 415, code: "unsupported_media_type", header: []string{"Content-Type", "text/plain"}},
		{name: "a form", method: "POST", path: "/v1/messages", body: raw("to=x"), status: 415, code: "unsupported_media_type", header: []string{"Content-Type", "application/x-www-form-urlencoded"}},
		{name: "a large body", method: "POST", path: "/v1/messages", body: fine(map[string]any{"content": text(strings.Repeat("x", 1<<20))}), status: 413, code: "request_too_large"},

		{name: "a message that is not there", method: "GET", path: "/v1/messages/msg_00000000000000000000000000000000", status: 404, code: "not_found"},
		{name: "a malformed message id", method: "GET", path: "/v1/messages/msg_x", status: 404, code: "not_found"},
		{name: "a message id of another kind", method: "GET", path: "/v1/messages/" + v.channel.ID, status: 404, code: "not_found"},
		{name: "an escaped message id", method: "GET", path: "/v1/messages/%2e%2e%2fchannels", status: 404},
		{name: "cancel of a malformed id", method: "POST", path: "/v1/messages/msg_x/cancel", status: 404, code: "not_found"},
		{name: "cancel of what is not there", method: "POST", path: "/v1/messages/msg_00000000000000000000000000000000/cancel", status: 404, code: "not_found"},
		{name: "cancel of what is read", method: "POST", path: "/v1/messages/" + v.sent.ID + "/cancel", status: 409, code: "message_not_cancelable"},
		{name: "messages of nothing", method: "GET", path: "/v1/messages", status: 422, code: "invalid_request"},
		{name: "messages by status alone", method: "GET", path: "/v1/messages?status=read", status: 422, code: "invalid_request"},
		{name: "messages of a status that is none", method: "GET", path: "/v1/messages?client_reference=victim&status=lost", status: 422, code: "invalid_request"},
		{name: "a page of 0", method: "GET", path: "/v1/messages?client_reference=victim&page_size=0", status: 422, code: "invalid_request"},
		{name: "a page of 201", method: "GET", path: "/v1/messages?client_reference=victim&page_size=201", status: 422, code: "invalid_request"},
		{name: "a page of many", method: "GET", path: "/v1/channels?page_size=ten", status: 422, code: "invalid_request"},
		{name: "a page token that is none", method: "GET", path: "/v1/messages?client_reference=victim&page_token=nonsense", status: 422, code: "invalid_request"},
		{name: "a page token of channels that is none", method: "GET", path: "/v1/channels?page_token=" + url.QueryEscape("eyJwayI6IngifQ=="), status: 422, code: "invalid_request"},
		{name: "an unknown query parameter", method: "GET", path: "/v1/channels?colour=red", status: 422, code: "invalid_request"},
		{name: "conversations of no channel", method: "GET", path: "/v1/conversations", status: 422, code: "invalid_request"},
		{name: "a malformed conversation id", method: "GET", path: "/v1/conversations/cnv_x", status: 404, code: "not_found"},
		{name: "conversations of a recipient that is not there", method: "GET", path: "/v1/conversations?recipient_id=rcp_0000000000000000", status: 404, code: "not_found"},
		{name: "conversations of a channel that is not there", method: "GET", path: "/v1/conversations?assignee_id=user_1&channel_id=chn_0000000000000000", status: 404, code: "channel_not_found"},
		{name: "conversations with a token of another list", method: "GET", path: "/v1/conversations?assignee_id=user_1&page_token=nonsense", status: 422, code: "invalid_request"},
		{name: "a marker at a message that is not there", method: "POST", path: "/v1/conversations/" + v.sent.ConversationID + "/read", body: map[string]any{"up_to_message_id": "msg_00000000000000000000000000000000"}, status: 422, code: "invalid_request"},
		{name: "a marker at nothing", method: "POST", path: "/v1/conversations/" + v.sent.ConversationID + "/read", body: map[string]any{}, status: 422, code: "invalid_request"},
		{name: "a task of nobody", method: "PUT", path: "/v1/conversations/" + v.sent.ConversationID + "/assignee", body: map[string]any{"user_id": ""}, status: 422, code: "invalid_request"},
		{name: "a task with a field of its own", method: "PUT", path: "/v1/conversations/" + v.sent.ConversationID + "/assignee", body: map[string]any{"user_id": "user_2", "team": "x"}, status: 422, code: "invalid_request"},
		{name: "a task in what is not there", method: "PUT", path: "/v1/conversations/cnv_0000000000000000/assignee", body: map[string]any{"user_id": "user_2"}, status: 404, code: "not_found"},

		{name: "a provider that is not there", method: "GET", path: "/v1/providers/smoke", status: 404, code: "not_found"},
		{name: "a channel of a provider that is not there", method: "POST", path: "/v1/channels", body: map[string]any{"provider_id": "smoke", "name": "x"}, status: 422, code: "invalid_request"},
		{name: "a channel without a name", method: "POST", path: "/v1/channels", body: map[string]any{"provider_id": "edna"}, status: 422, code: "invalid_request"},
		{name: "a channel of a type that the provider has not", method: "POST", path: "/v1/channels", body: map[string]any{"provider_id": "edna", "name": "x", "type": "pigeon"}, status: 422, code: "invalid_request"},
		{name: "a channel with a field of its own", method: "POST", path: "/v1/channels", body: map[string]any{"provider_id": "edna", "name": "x", "status": "active"}, status: 422, code: "invalid_request"},
		{name: "a channel with credentials that nobody asked for", method: "POST", path: "/v1/channels", body: map[string]any{"provider_id": "edna", "name": "x", "credentials": map[string]string{"a": "b"}}, status: 422, code: "invalid_request"},
		{name: "activation without confirmations", method: "POST", path: "/v1/channels/" + v.channel.ID + "/activate", body: map[string]any{}, status: 422, code: "invalid_request"},
		{name: "activation without countries", method: "POST", path: "/v1/channels/" + v.channel.ID + "/activate", body: map[string]any{"rules_version": "x", "provider_terms_version": "x"}, status: 422, code: "invalid_request"},
		{name: "activation with what is not in force", method: "POST", path: "/v1/channels/" + v.channel.ID + "/activate", body: map[string]any{"rules_version": "x", "provider_terms_version": "x", "transfer_countries": []string{}}, status: 409, code: "confirmation_outdated"},
		{name: "an instruction with a field of its own", method: "POST", path: "/v1/channels/" + v.channel.ID + "/activation-instructions", body: map[string]any{"operator": "operator_1"}, status: 422, code: "invalid_request"},
		{name: "an instruction for 8 days", method: "POST", path: "/v1/channels/" + v.channel.ID + "/activation-instructions", body: map[string]any{"expires_in_seconds": 8 * 24 * 3600}, status: 422, code: "invalid_request"},
		{name: "an instruction for no time", method: "POST", path: "/v1/channels/" + v.channel.ID + "/activation-instructions", body: map[string]any{"expires_in_seconds": 0}, status: 422, code: "invalid_request"},
		{name: "an instruction for no channel", method: "POST", path: "/v1/channels/chn_x/activation-instructions", body: map[string]any{}, status: 404, code: "channel_not_found"},
		{name: "withdrawal of what was never given", method: "DELETE", path: "/v1/channels/" + v.channel.ID + "/activation-instructions/ins_x", status: 404, code: "not_found"},
		{name: "another status by PATCH", method: "PATCH", path: "/v1/channels/" + v.channel.ID, body: map[string]any{"status": "inactive"}, status: 422, code: "invalid_request"},
		{name: "a malformed channel", method: "GET", path: "/v1/channels/chn_x", status: 404, code: "channel_not_found"},

		{name: "Rules that are not there", method: "GET", path: "/v1/rules/1999-01-01", status: 404, code: "not_found"},
		{name: "acceptance of other Rules", method: "POST", path: "/v1/rules/acceptances", body: map[string]any{"rules_version": "1999-01-01", "documents": []any{}, "capacity": "self"}, status: 422, code: "invalid_request"},
		{name: "acceptance for a legal entity without a name", method: "POST", path: "/v1/rules/acceptances", body: map[string]any{"rules_version": v.sent.RulesVersion, "documents": documents(t, v.account), "capacity": "legal_entity"}, status: 422, code: "invalid_request"},
		{name: "acceptance in another capacity", method: "POST", path: "/v1/rules/acceptances", body: map[string]any{"rules_version": v.sent.RulesVersion, "documents": documents(t, v.account), "capacity": "friend"}, status: 422, code: "invalid_request"},
		{name: "acceptance of some documents", method: "POST", path: "/v1/rules/acceptances", body: map[string]any{"rules_version": v.sent.RulesVersion, "documents": documents(t, v.account)[:1], "capacity": "self"}, status: 0},
	}
	for _, test := range tests {
		got := v.call(t, test.method, test.path, test.body, test.header...)
		if test.status == 0 {
			if got.status < 400 || got.status >= 500 {
				t.Errorf("%s: %v", test.name, got)
			}
			continue
		}
		code := ""
		if !got.fromGateway() && got.status >= 400 {
			code = got.problem(t).Code
		}
		if got.status != test.status || code != test.code {
			t.Errorf("%s: want %d %s: %v", test.name, test.status, test.code, got)
		}
	}
	// The gateway's own limit.
	huge := v.call(t, http.MethodPost, "/v1/messages", []byte(strings.Repeat(" ", 11<<20)))
	huge.byGateway(t, http.StatusRequestEntityTooLarge)
	// Methods and paths that are not there.
	for _, test := range []struct{ method, path string }{
		{"PUT", "/v1/messages"}, {"DELETE", "/v1/messages/" + v.sent.ID}, {"PATCH", "/v1/usage"}, {"GET", "/v1/nothing"}, {"GET", "/"}, {"POST", "/v1/operator/accounts/" + v.id}, {"TRACE", "/v1/messages"},
		{"GET", "/v1/messages/" + v.sent.ID + "/"}, {"GET", "//v1/messages"}, {"GET", "/v1/../v1/usage"},
	} {
		if got := v.call(t, test.method, test.path, nil); got.status != http.StatusNotFound && got.status != http.StatusMethodNotAllowed {
			t.Errorf("%s %s: %v", test.method, test.path, got)
		}
	}
	if after := v.everything(t); after != before {
		t.Errorf("something changed:\n%s\n%s", before, after)
	}
	if n := len(s.sendsBy(t, v.channel.sender(t), 0)); n != lastCalls {
		t.Errorf("the provider was called %d times more", n-lastCalls)
	}
}

func documents(t *testing.T, a *account) []map[string]string {
	t.Helper()
	var out []map[string]string
	for _, d := range decode[rules](t, a.call(t, http.MethodGet, "/v1/rules/current", nil), http.StatusOK).Documents {
		out = append(out, map[string]string{"id": d.ID, "version": d.Version, "sha256": d.SHA256})
	}
	return out
}

func TestOperatorInputIsChecked(t *testing.T) {
	t.Parallel()
	s := common.shared
	operator := s.operator(t)
	id := unique("plan_")
	fine := plan{Limit: 5}.body()
	with := func(name string, value any) map[string]any {
		o := map[string]any{}
		for k, x := range fine {
			o[k] = x
		}
		o[name] = value
		return o
	}
	rate := func(limit, window, burst any) map[string]any {
		return map[string]any{"limit": limit, "window_seconds": window, "burst": burst}
	}
	for name, body := range map[string]any{
		"a negative limit": with("limit", -1), "a limit with a fraction": with("limit", 1.5), "a limit in text": with("limit", "5"), "another period": with("period", "year"),
		"an unknown field": with("colour", "red"), "a rate of 0": with("rate", rate(0, 1, 1)), "a window of 0": with("rate", rate(1, 0, 1)), "a burst of 0": with("rate", rate(1, 1, 0)),
		"no rate": with("rate", map[string]any{}), "a negative rate": with("rate", rate(-5, 1, 1)), "an enormous limit": with("limit", json.RawMessage("1e400")), "a limit that overflows": with("limit", json.RawMessage("9223372036854775808")),
	} {
		if got := operator.call(t, http.MethodPut, "/v1/operator/plans/"+id, body); got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %v", name, got)
		}
	}
	operator.call(t, http.MethodGet, "/v1/operator/plans/"+id, nil).refused(t, http.StatusNotFound, "not_found")
	account := unique("acct_")
	if got := operator.call(t, http.MethodPut, "/v1/operator/accounts/"+account, map[string]any{"plan_id": id}); got.status < 400 || got.status >= 500 {
		t.Errorf("a plan that is not there: %v", got)
	}
	if got := operator.call(t, http.MethodPut, "/v1/operator/plans/"+id, fine); got.status != http.StatusOK {
		t.Errorf("%v", got)
	}
	for name, c := range map[string]struct {
		path string
		body any
	}{
		"a sender without an address":      {"/v1/operator/providers/edna/senders/9999", map[string]any{}},
		"a provider without anything":      {"/v1/operator/providers/" + unique("p"), map[string]any{}},
		"a provider of a malformed id":     {"/v1/operator/providers/Not%20A%20Slug", map[string]any{}},
		"an account without a plan":        {"/v1/operator/accounts/" + account, map[string]any{}},
		"an account with an unknown field": {"/v1/operator/accounts/" + account, map[string]any{"plan_id": id, "vip": true}},
	} {
		if got := operator.call(t, http.MethodPut, c.path, c.body); got.status != http.StatusUnprocessableEntity && got.status != http.StatusNotFound {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := operator.call(t, http.MethodPost, "/v1/operator/rules", map[string]any{"version": "x"}); got.status != http.StatusUnprocessableEntity {
		t.Errorf("Rules without documents: %v", got)
	}
	for name, c := range map[string]struct {
		body   map[string]any
		status int
	}{
		"an activation without an instruction":         {map[string]any{"rules_version": "x", "provider_terms_version": "x", "transfer_countries": []string{}}, http.StatusUnprocessableEntity},
		"an activation of a channel by name":           {map[string]any{"channel_id": "chn_0000000000000000"}, http.StatusUnprocessableEntity},
		"an activation by an instruction that is none": {map[string]any{"instruction": "nonsense", "rules_version": "x", "provider_terms_version": "x", "transfer_countries": []string{}}, http.StatusForbidden},
	} {
		if got := operator.call(t, http.MethodPost, "/v1/operator/activations", c.body); got.status != c.status {
			t.Errorf("%s: %v", name, got)
		}
	}
	// A published version never changes.
	current := decode[rules](t, (&caller{stack: s}).call(t, http.MethodGet, "/v1/rules/current", nil), http.StatusOK)
	changed := map[string]any{"version": current.Version, "effective_at": current.EffectiveAt, "documents": current.Documents, "prohibited_uses": []any{}}
	if got := operator.call(t, http.MethodPost, "/v1/operator/rules", changed); got.status != http.StatusConflict {
		t.Errorf("a published version again, with a change: %v", got)
	}
}

func TestPreflightIsAnsweredForTheCRMOnly(t *testing.T) {
	t.Parallel()
	s := common.shared
	ask := func(origin string) *answer {
		return s.raw(t, http.MethodOptions, s.api+"/v1/messages", http.Header{"Origin": {origin}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"authorization,content-type,idempotency-key"}}, nil)
	}
	got := ask("http://localhost:5173")
	if got.status != http.StatusNoContent || got.header.Get("Access-Control-Allow-Origin") != "http://localhost:5173" || got.header.Get("Access-Control-Allow-Headers") != "authorization,content-type,idempotency-key" {
		t.Errorf("%v %v", got, got.header)
	}
	if got := ask("https://evil.example"); got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%v %v", got, got.header)
	}
	current := s.raw(t, http.MethodGet, s.api+"/v1/rules/current", http.Header{"Origin": {"http://localhost:5173"}}, nil)
	if exposed := current.header.Get("Access-Control-Expose-Headers"); exposed != "location,x-request-id,ratelimit,ratelimit-policy,retry-after,idempotency-replayed" {
		t.Errorf("exposed headers: %q", exposed)
	}
}
