package proof

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"contactcenter/shared/api"
)

// operation is one operation of the OpenAPI document.
type operation struct {
	route string
	value map[string]any
}

func document(t *testing.T) (doc map[string]any, operations []operation) {
	t.Helper()
	if err := yaml.Unmarshal(api.Document(), &doc); err != nil {
		t.Fatal(err)
	}
	paths := object(t, doc, "paths")
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		for method, v := range object(t, paths, path) {
			if op, ok := v.(map[string]any); ok && method != "parameters" {
				operations = append(operations, operation{strings.ToUpper(method) + " " + path, op})
			}
		}
	}
	if len(operations) < 30 {
		t.Fatalf("the document has %d operations", len(operations))
	}
	return doc, operations
}

// property is one property of a schema that a value can hold.
type property struct{ schema, name string }

// reach collects all properties that a value of the OpenAPI document can hold, through every reference.
func reach(doc map[string]any, v any, schema string, seen map[string]bool, found map[property]bool) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			reach(doc, x, schema, seen, found)
		}
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			if seen[ref] {
				return
			}
			seen[ref] = true
			var at any = doc
			for _, part := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
				at = at.(map[string]any)[part]
			}
			reach(doc, at, ref[strings.LastIndex(ref, "/")+1:], seen, found)
			return
		}
		for key, x := range v {
			switch key {
			case "example", "examples", "description", "enum", "required":
			case "properties":
				for name, p := range x.(map[string]any) {
					found[property{schema, name}] = true
					reach(doc, p, schema+"."+name, seen, found)
				}
			default:
				reach(doc, x, schema, seen, found)
			}
		}
	}
}

// no answer to an operator has a place for content, for a recipient's address or name, or for a
// message.
func TestNoAnswerToAnOperatorHasAPlaceForContent(t *testing.T) {
	t.Parallel()
	doc, operations := document(t)
	// What would be a recipient's elsewhere, and is not here.
	allowed := map[property]string{
		{"Sender", "address"}:           "the operator's own number",
		{"CredentialField", "name"}:     "what a credential is called",
		{"Provider", "name"}:            "the provider's",
		{"ComplaintContact", "name"}:    "a claimant's, who gave it to the operator",
		{"EvidencePeriod", "from"}:      "a time",
		{"EvidencePeriod", "to"}:        "a time",
		{"Problem", "errors"}:           "fields by name, never by value",
		{"OperatorProvider", "name"}:    "the provider's",
		{"OperatorRestriction", "from"}: "since when it holds",
		{"Restriction", "from"}:         "since when it holds",
		{"AuditVerification", "from"}:   "the number of an event",
		{"AuditVerification", "to"}:     "the number of an event",
	}
	forbidden := []string{"content", "text", "to", "from", "body", "variables", "address", "addresses", "name", "recipient", "recipients", "message", "messages", "payload", "caption", "filename", "raw", "last_inbound_at"}
	n := 0
	for _, op := range operations {
		if !strings.Contains(op.route, " /v1/operator/") {
			continue
		}
		n++
		found := map[property]bool{}
		reach(doc, op.value["responses"], op.route, map[string]bool{}, found)
		if len(found) == 0 && !strings.HasPrefix(op.route, "DELETE") {
			t.Errorf("%s has no properties at all in its answers", op.route)
		}
		for p := range found {
			if _, ok := allowed[p]; !ok && slices.Contains(forbidden, p.name) {
				t.Errorf("%s can answer %s.%s", op.route, p.schema, p.name)
			}
			if strings.HasPrefix(p.schema, "Message") || strings.HasPrefix(p.schema, "Conversation") || strings.HasPrefix(p.schema, "Recipient") {
				t.Errorf("%s can answer a %s", op.route, p.schema)
			}
		}
	}
	if n < 8 {
		t.Errorf("%d operator routes were looked at", n)
	}
}

// no answer to anybody has a place for a credential. What signs events is shown where it is made, and nowhere else.
func TestNoAnswerHasAPlaceForACredential(t *testing.T) {
	t.Parallel()
	doc, operations := document(t)
	for _, op := range operations {
		found := map[property]bool{}
		reach(doc, op.value["responses"], op.route, map[string]bool{}, found)
		for p := range found {
			makes := op.route == "POST /v1/webhook-endpoints" || op.route == "POST /v1/webhook-endpoints/{id}/rotate-secret"
			if makes && p == (property{"WebhookEndpointWithSecret", "secret"}) {
				continue
			}
			for _, word := range []string{"secret", "password", "api_key", "credentials", "token_value"} {
				if p.name == word || strings.HasSuffix(p.name, "_"+word) {
					t.Errorf("%s can answer %s.%s", op.route, p.schema, p.name)
				}
			}
		}
	}
}

// the document says that providers deliver, and warrants no time or rate of delivery.
func TestTheDocumentWarrantsNoDelivery(t *testing.T) {
	t.Parallel()
	doc, _ := document(t)
	if about := object(t, doc, "info")["description"].(string); !strings.Contains(strings.Join(strings.Fields(about), " "), "no time or rate of delivery is warranted (clauses 5, 7 and 12") {
		t.Errorf("the notice is gone: %s", about)
	}
	for _, word := range []string{"guarantee", "SLA", "uptime"} {
		if strings.Contains(string(api.Document()), word) {
			t.Errorf("the document says %q", word)
		}
	}
}
