package template

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"contactcenter/shared/seal"
	"contactcenter/shared/sign"
)

// mayOpen is who may open what: the functions that get the private keys and whose roles KMS lets decrypt them.
var mayOpen = map[seal.Group][]string{
	seal.Content:     {"DispatcherFunction", "MessagesFunction", "NotifierFunction", "RecipientsFunction"},
	seal.Credentials: {"DispatcherFunction", "TemplatesFunction", "WebhookFunction"},
	seal.Complaints:  {"OperatorFunction"},
	seal.Webhooks:    {"EndpointsFunction", "NotifierFunction"},
	sign.Group:       {"ErasureFunction", "RecipientsFunction"},
}

// the key's policy names the functions that open, and nothing else in the template lets
// anybody decrypt.
func TestTheKeysPolicyLetsOnlyTheFunctionsOfTheTableDecrypt(t *testing.T) {
	t.Parallel()
	tpl := deployed(t)
	decrypts := map[seal.Group][]string{}
	for _, statement := range list(section(tpl.resources["SealKey"].properties, "KeyPolicy")["Statement"]) {
		s := statement.(map[string]any)
		if !may(s, "kms:Decrypt") {
			if may(s, "kms:CreateGrant") || may(s, "kms:ReEncryptFrom") || s["NotAction"] != nil || s["NotPrincipal"] != nil {
				t.Errorf("the statement %v can give what it must not", s["Sid"])
			}
			continue
		}
		group, ok := section(section(s, "Condition"), "StringEquals")["kms:EncryptionContext:"+seal.ContextKey].(string)
		if !ok {
			t.Errorf("the statement %v lets decrypt whatever group it is", s["Sid"])
		}
		for _, role := range list(section(s, "Principal")["AWS"]) {
			decrypts[seal.Group(group)] = append(decrypts[seal.Group(group)], functionOf(role))
		}
	}
	same(t, "may decrypt", decrypts)
	if tpl.resources["SealKey"].properties["EnableKeyRotation"] != true {
		t.Error("the key does not rotate")
	}
	for id, r := range tpl.resources {
		if id == "SealKey" {
			continue
		}
		walk(r.properties, func(s string) {
			if strings.HasPrefix(s, "kms:") {
				t.Errorf("%s has the action %s: who may decrypt is said in the key's policy only", id, s)
			}
		})
	}
}

//
func TestOnlyTheFunctionsOfTheTableGetPrivateKeys(t *testing.T) {
	t.Parallel()
	tpl := deployed(t)
	gets := map[seal.Group][]string{}
	for id, r := range tpl.resources {
		if r.kind != "AWS::Serverless::Function" {
			continue
		}
		for _, g := range seal.Groups() {
			if _, ok := section(section(r.properties, "Environment"), "Variables")[seal.PrivateVariable(g)]; ok {
				gets[g] = append(gets[g], id)
			}
		}
		if _, ok := section(section(r.properties, "Environment"), "Variables")[sign.PrivateVariable]; ok {
			gets[sign.Group] = append(gets[sign.Group], id)
		}
	}
	same(t, "get the private keys", gets)
}

func deployed(t *testing.T) *Template {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	tpl, err := Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	return tpl
}

func same(t *testing.T, what string, got map[seal.Group][]string) {
	t.Helper()
	for _, l := range got {
		slices.Sort(l)
	}
	if !maps.EqualFunc(got, mayOpen, slices.Equal) {
		t.Errorf("these %s: %v, want %v", what, got, mayOpen)
	}
}

func list(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	return []any{v}
}

// may reports whether a statement allows an action.
func may(statement map[string]any, action string) bool {
	for _, a := range list(statement["Action"]) {
		pattern, _ := a.(string)
		if prefix, wild := strings.CutSuffix(pattern, "*"); pattern == action || wild && strings.HasPrefix(action, prefix) {
			return true
		}
	}
	return false
}

// functionOf names the function that has a role.
func functionOf(role any) string {
	m, _ := role.(map[string]any)
	id := ""
	for _, part := range list(m["Fn::GetAtt"]) {
		id, _, _ = strings.Cut(part.(string), ".")
		break
	}
	if id == "DispatcherRole" || id == "NotifierRole" || id == "ErasureRole" { // written out whole
		return strings.TrimSuffix(id, "Role") + "Function"
	}
	return strings.TrimSuffix(id, "Role")
}

func walk(v any, see func(string)) {
	switch v := v.(type) {
	case string:
		see(v)
	case []any:
		for _, e := range v {
			walk(e, see)
		}
	case map[string]any:
		for _, e := range v {
			walk(e, see)
		}
	}
}
