package api

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// route is one route with who may call it.
type route struct{ function, method, path, authorizer, scopes string }

func documented(t *testing.T) []route {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(Document(), &doc); err != nil {
		t.Fatal(err)
	}
	var list []route
	for path, item := range doc.Paths {
		for method, v := range item {
			op, ok := v.(map[string]any)
			if !ok {
				continue // the path's parameters
			}
			r := route{function: op["tags"].([]any)[0].(string), method: strings.ToUpper(method), path: path, authorizer: "NONE"}
			for _, s := range op["security"].([]any) {
				for name, scopes := range s.(map[string]any) {
					r.authorizer = name
					for _, scope := range scopes.([]any) {
						r.scopes += scope.(string) + " "
					}
				}
			}
			list = append(list, r)
		}
	}
	return list
}

func deployed(t *testing.T) []route {
	t.Helper()
	b, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	type event struct {
		Type       string `yaml:"Type"`
		Properties struct {
			Method string `yaml:"Method"`
			Path   string `yaml:"Path"`
			Auth   struct {
				Authorizer string `yaml:"Authorizer"`
				Scopes     []any  `yaml:"AuthorizationScopes"`
			} `yaml:"Auth"`
		} `yaml:"Properties"`
	}
	var template struct {
		Resources map[string]struct {
			Type       string `yaml:"Type"`
			Properties struct {
				Events map[string]event `yaml:"Events"`
			} `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(b, &template); err != nil {
		t.Fatal(err)
	}
	var list []route
	for name, res := range template.Resources {
		for _, e := range res.Properties.Events {
			if res.Type != "AWS::Serverless::Function" || e.Type != "HttpApi" {
				continue
			}
			p := e.Properties
			r := route{function: strings.ToLower(strings.TrimSuffix(name, "Function")), method: strings.ToUpper(p.Method), path: p.Path, authorizer: p.Auth.Authorizer}
			for _, s := range p.Auth.Scopes {
				if pair, ok := s.(map[string]any); ok { // the parser takes a:b in brackets for a map
					for k, v := range pair {
						s = fmt.Sprint(k, ":", v)
					}
				}
				r.scopes += fmt.Sprint(s) + " "
			}
			list = append(list, r)
		}
	}
	return list
}

func TestTheTemplateHasTheRoutesAndScopesOfTheDocument(t *testing.T) {
	t.Parallel()
	set := func(list []route) map[route]bool {
		m := map[route]bool{}
		for _, r := range list {
			m[r] = true
		}
		return m
	}
	doc, template := set(documented(t)), set(deployed(t))
	if len(doc) < 30 || len(template) < 30 {
		t.Fatalf("read %d routes of the document and %d of the template", len(doc), len(template))
	}
	for r := range doc {
		if !template[r] {
			t.Errorf("not in template.yaml: %+v", r)
		}
	}
	for r := range template {
		if !doc[r] {
			t.Errorf("not in openapi.yaml: %+v", r)
		}
	}
}

func TestEveryCodeIsInTheTable(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("problem.go")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[Code]bool{}
	for _, c := range Codes() {
		if listed[c] {
			t.Errorf("%s is listed twice", c)
		}
		listed[c] = true
	}
	found := regexp.MustCompile(`\sCode\w+\s+Code = "(\w+)"`).FindAllSubmatch(source, -1)
	if len(found) != len(listed) {
		t.Errorf("%d codes are defined, %d listed", len(found), len(listed))
	}
	for _, m := range found {
		c := Code(m[1])
		if !listed[c] {
			t.Errorf("Codes does not give %s", c)
		}
		if c != CodeInternalError && NewProblem(c).Title == NewProblem(CodeInternalError).Title {
			t.Errorf("the table has no words for %s", c)
		}
	}
}
