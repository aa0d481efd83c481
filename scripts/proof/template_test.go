package proof

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// function is one function of the template: what invokes it, what it may do, and what it is told.
type function struct {
	events      map[string]map[string]any
	statements  []statement
	environment map[string]any
}

// statement is one statement of a policy, with lists where the template has one name alone.
type statement struct {
	sid                string
	actions, resources []string
	condition          string
}

// resources are those of the template.
func resources(t *testing.T) map[string]any {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root(), "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	return object(t, doc, "Resources")
}

// functions are the functions of the template.
func functions(t *testing.T) map[string]function {
	t.Helper()
	resources := resources(t)
	out := map[string]function{}
	for name := range resources {
		r := object(t, resources, name)
		if r["Type"] != "AWS::Serverless::Function" {
			continue
		}
		properties := object(t, r, "Properties")
		f := function{events: map[string]map[string]any{}, environment: map[string]any{}}
		if e, ok := properties["Environment"]; ok {
			f.environment = object(t, e.(map[string]any), "Variables")
		}
		for event := range object(t, properties, "Events") {
			f.events[event] = object(t, object(t, properties, "Events"), event)
		}
		policies := properties["Policies"]
		if role, ok := properties["Role"].(string); ok {
			id, _, _ := strings.Cut(role, ".")
			policies = object(t, object(t, resources, id), "Properties")["Policies"]
		}
		list, ok := policies.([]any)
		if !ok {
			t.Fatalf("%s has no list of policies: %v", name, policies)
		}
		for _, p := range list {
			p := p.(map[string]any)
			if d, ok := p["PolicyDocument"].(map[string]any); ok {
				p = d
			}
			for _, s := range p["Statement"].([]any) {
				f.statements = append(f.statements, read(t, name, s.(map[string]any)))
			}
		}
		out[name] = f
	}
	if len(out) < 7 {
		t.Fatalf("the template has %d functions", len(out))
	}
	return out
}

func object(t *testing.T, in map[string]any, name string) map[string]any {
	t.Helper()
	o, ok := in[name].(map[string]any)
	if !ok {
		t.Fatalf("the template's %s is %T", name, in[name])
	}
	return o
}

func read(t *testing.T, name string, s map[string]any) statement {
	t.Helper()
	if s["Effect"] != "Allow" || s["NotAction"] != nil || s["NotResource"] != nil {
		t.Errorf("%s has a statement of another kind: %v", name, s)
	}
	out := statement{sid: fmt.Sprint(s["Sid"]), actions: names(s["Action"]), resources: names(s["Resource"])}
	if c, ok := s["Condition"].(map[string]any); ok {
		for _, operator := range slices.Sorted(maps.Keys(c)) {
			keys := c[operator].(map[string]any)
			for _, key := range slices.Sorted(maps.Keys(keys)) {
				out.condition += strings.TrimPrefix(key, "dynamodb:") + " " + strings.Join(names(keys[key]), " ")
			}
		}
	}
	return out
}

// names reads one text or a list of texts. The parser takes "a:b" in brackets for a map.
func names(v any) []string {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var out []string
	for _, x := range list {
		if pair, ok := x.(map[string]any); ok && len(pair) == 1 {
			for k, v := range pair {
				x = fmt.Sprint(k, ":", v)
			}
		}
		out = append(out, fmt.Sprint(x))
	}
	return out
}

// granted lists what a function may do, one entry for each table, index, queue, key or log group.
func (f function) granted() map[string]string {
	out := map[string]string{}
	for _, s := range f.statements {
		for _, r := range s.resources {
			what := strings.NewReplacer("${", "", "}", "", ".Arn", "", ".KeyArn", "").Replace(r)
			if s.condition != "" {
				what += " if " + s.condition
			}
			var actions []string
			for _, a := range s.actions {
				_, action, _ := strings.Cut(a, ":")
				actions = append(actions, action)
			}
			slices.Sort(actions)
			out[what] = strings.TrimSpace(out[what] + " " + strings.Join(actions, " "))
		}
	}
	return out
}

// what must never be in a policy, whatever else is.
func TestPoliciesNeverGrantWhatTheRulesForbid(t *testing.T) {
	t.Parallel()
	all := functions(t)
	for name, f := range all {
		for what, actions := range f.granted() {
			if strings.Contains(actions, "*") || strings.HasPrefix(what, "*") || strings.Contains(what, ":*") {
				t.Errorf("%s may do %s on %s: name what it needs", name, actions, what)
			}
			if strings.Contains(actions, "Scan") {
				t.Errorf("%s may read all of %s at once", name, what)
			}
			if strings.HasPrefix(what, "AuditTable") {
				for _, a := range strings.Fields(actions) {
					if a != "PutItem" && a != "Query" {
						t.Errorf("%s may %s audit events: they are only added to and read", name, a)
					}
				}
			}
		}
	}
	for what, actions := range all["OperatorFunction"].granted() {
		writes := slices.ContainsFunc(strings.Fields(actions), func(a string) bool {
			return a == "PutItem" || a == "UpdateItem" || a == "DeleteItem" || a == "BatchWriteItem"
		})
		switch {
		case strings.HasPrefix(what, "MessagesTable"):
			t.Errorf("the operator's function may %s messages", actions)
		case strings.HasPrefix(what, "RecipientsTable"):
			t.Errorf("the operator's function may %s recipients", actions)
		case strings.HasPrefix(what, "ChannelsTable") && writes && !strings.Contains(what, " if LeadingKeys "):
			t.Errorf("the operator's function may %s channels: it could make one active", actions)
		case strings.Contains(actions, "Decrypt"):
			t.Errorf("the operator's function may open what is sealed (%s)", what)
		}
	}
}

// who holds a key that opens what is sealed. The operator's function opens what a claimant wrote to
// the operator, and nothing that is a customer's.
func TestFewFunctionsHoldAKeyThatOpens(t *testing.T) {
	t.Parallel()
	want := map[string][]string{
		"COMPLAINTS_SEAL_PRIVATE":  {"OperatorFunction"},
		"CONTENT_SEAL_PRIVATE":     {"DispatcherFunction", "MessagesFunction", "NotifierFunction", "RecipientsFunction"},
		"CREDENTIALS_SEAL_PRIVATE": {"DispatcherFunction", "TemplatesFunction", "WebhookFunction"},
		"EVIDENCE_SIGN_PRIVATE":    {"ErasureFunction", "RecipientsFunction"},
		"WEBHOOKS_SEAL_PRIVATE":    {"EndpointsFunction", "NotifierFunction"},
	}
	got := map[string][]string{}
	for name, f := range functions(t) {
		for variable, value := range f.environment {
			if strings.HasSuffix(variable, "_PRIVATE") {
				got[variable] = append(got[variable], name)
			} else if name == "OperatorFunction" && strings.Contains(fmt.Sprint(value), "{{resolve:") && !strings.HasSuffix(variable, "_SEAL_PUBLIC") {
				t.Errorf("the operator's function is given a secret: %s", variable)
			}
		}
	}
	for variable := range got {
		slices.Sort(got[variable])
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("keys are held by %v, want %v", got, want)
	}
}

// who may call a route, said a second time and by rule, so that a route with another
// authorizer or scope than its path asks for is noticed.
func TestEveryRouteAsksForItsScope(t *testing.T) {
	t.Parallel()
	public := []string{
		"GET /v1/rules", "GET /v1/rules/current", "GET /v1/rules/{version}", "GET /v1/rules/current/prohibited-uses", "POST /v1/complaints", "GET /v1/status", "GET /v1/openapi.json", "GET /v1/evidence-keys",
		"GET /v1/callbacks/{provider_id}/{channel_id}", "HEAD /v1/callbacks/{provider_id}/{channel_id}", "POST /v1/callbacks/{provider_id}/{channel_id}",
	}
	n := 0
	for name, f := range functions(t) {
		for event, e := range f.events {
			if e["Type"] != "HttpApi" {
				continue
			}
			n++
			p := object(t, e, "Properties")
			auth := object(t, p, "Auth")
			route := fmt.Sprint(strings.ToUpper(fmt.Sprint(p["Method"])), " ", p["Path"])
			got := fmt.Sprint(auth["Authorizer"])
			if scopes := auth["AuthorizationScopes"]; scopes != nil {
				got += " " + strings.Join(names(scopes), " ")
			}
			want := asked(route, slices.Contains(public, route))
			if got != want {
				t.Errorf("%s %s: %s asks for %q, its path for %q", name, event, route, got, want)
			}
			// The operator's routes have a function of their own, apart from the redemption of an instruction.
			operators := strings.HasPrefix(route[strings.Index(route, " ")+1:], "/v1/operator/")
			if operators != (name == "OperatorFunction") && route != "POST /v1/operator/activations" && !(name == "OperatorFunction" && slices.Contains(public, route)) {
				t.Errorf("%s is served by %s", route, name)
			}
		}
	}
	if n < 30 {
		t.Errorf("%d routes were looked at", n)
	}
}

// asked is what a route must ask of a caller, by its method and path.
func asked(route string, public bool) string {
	method, path, _ := strings.Cut(route, " ")
	under := func(prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }
	access := "write"
	if method == "GET" {
		access = "read"
	}
	switch {
	case public:
		return "NONE"
	case under("/v1/operator"):
		return "OperatorJwt operator"
	case under("/v1/messages"), under("/v1/conversations"):
		return "CrmJwt messages:" + access
	case path == "/v1/channels/{id}/activate", path == "/v1/channels/{id}/deactivate", under("/v1/channels/{id}/activation-instructions"):
		return "CrmJwt channels:activate"
	case under("/v1/channels"), under("/v1/providers"):
		return "CrmJwt channels:" + access
	case path == "/v1/recipients/{id}/export", path == "/v1/recipients/{id}/evidence":
		return "CrmJwt account:read" // a POST because it is made anew, and changes nothing
	case path == "/v1/recipients/lookup":
		return "CrmJwt account:read" // a POST because an address belongs in no URL
	default:
		return "CrmJwt account:" + access
	}
}

// the table of who may not call what (scripts/e2e/input_test.go) has a row for each route: this is the same
// check without starting the stack.
func TestEveryRouteHasARowInTheTableOfAccess(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join(root(), "scripts", "e2e", "input_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range functions(t) {
		for event, e := range f.events {
			if e["Type"] != "HttpApi" {
				continue
			}
			p := object(t, e, "Properties")
			if row := fmt.Sprintf("%q:", fmt.Sprint(p["Method"], " ", p["Path"])); !strings.Contains(string(b), row) {
				t.Errorf("%s %s: the table of access has no row %s", name, event, row)
			}
		}
	}
}
