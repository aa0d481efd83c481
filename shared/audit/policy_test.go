package audit_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

type statement struct {
	Effect   string `yaml:"Effect"`
	Action   any    `yaml:"Action"`
	Resource any    `yaml:"Resource"`
}

// grants gives every statement of the template's functions and roles, by the resource that has it.
func grants(t *testing.T) map[string][]statement {
	t.Helper()
	b, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Resources map[string]struct {
			Type       string `yaml:"Type"`
			Properties struct {
				Policies []struct {
					Statement      []statement `yaml:"Statement"`
					PolicyDocument struct {
						Statement []statement `yaml:"Statement"`
					} `yaml:"PolicyDocument"`
				} `yaml:"Policies"`
			} `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(b, &template); err != nil {
		t.Fatal(err)
	}
	out := map[string][]statement{}
	for name, r := range template.Resources {
		if r.Type != "AWS::Serverless::Function" && r.Type != "AWS::IAM::Role" {
			continue
		}
		for _, p := range r.Properties.Policies {
			out[name] = append(append(out[name], p.Statement...), p.PolicyDocument.Statement...)
		}
	}
	return out
}

// the log is append-only. No function may change, remove or replace in bulk what it holds.
func TestNoFunctionMayDoMoreWithTheAuditLogThanAddAndRead(t *testing.T) {
	t.Parallel()
	readers := 0
	for name, list := range grants(t) {
		for _, s := range list {
			resource := fmt.Sprint(s.Resource)
			if strings.Contains(resource, "*") && strings.Contains(fmt.Sprint(s.Action), "dynamodb") {
				t.Errorf("%s may %v on %s", name, s.Action, resource)
			}
			if !strings.Contains(resource, "AuditTable") {
				continue
			}
			readers++
			allowed := []string{"dynamodb:PutItem", "dynamodb:Query"}
			if strings.Contains(resource, "/index/") {
				allowed = allowed[1:]
			}
			for _, action := range actions(s) {
				if !slices.Contains(allowed, action) {
					t.Errorf("%s may %s on %s", name, action, resource)
				}
			}
		}
	}
	if readers < 3 {
		t.Errorf("found %d statements about the audit log", readers)
	}
}

func actions(s statement) []string {
	list, ok := s.Action.([]any)
	if !ok {
		return []string{fmt.Sprint(s.Action)}
	}
	var out []string
	for _, a := range list {
		text := fmt.Sprint(a)
		if pair, ok := a.(map[string]any); ok { // the parser takes a:b in brackets for a map
			for k, v := range pair {
				text = fmt.Sprint(k, ":", v)
			}
		}
		out = append(out, text)
	}
	return out
}
