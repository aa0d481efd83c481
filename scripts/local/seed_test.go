package main

import (
	"encoding/json"
	"strings"
	"testing"

	"contactcenter/scripts/simulator/simulators"
)

// What is printed for a person to create a channel with is what the seed's row of the provider asks for.
func TestTheSimulatorsCredentialsAreThoseThatTheSeedAsksFor(t *testing.T) {
	t.Parallel()
	var seeds []struct {
		Path string `json:"path"`
		Body struct {
			Fields []struct {
				Name     string `json:"name"`
				Optional bool   `json:"optional"`
			} `json:"credential_fields"`
		} `json:"body"`
	}
	if err := json.Unmarshal(seedFile, &seeds); err != nil {
		t.Fatal(err)
	}
	given := map[string]map[string]string{}
	for _, p := range simulators.All() {
		given[p.ID] = p.Credentials
	}
	for _, s := range seeds {
		id, found := strings.CutPrefix(s.Path, "/v1/operator/providers/")
		if !found || strings.Contains(id, "/") {
			continue
		}
		credentials, known := given[id]
		if !known {
			t.Errorf("%s has no simulator", id)
		}
		asked := map[string]bool{}
		for _, f := range s.Body.Fields {
			asked[f.Name] = true
			if credentials[f.Name] == "" && !f.Optional {
				t.Errorf("%s: no %s", id, f.Name)
			}
		}
		for name := range credentials {
			if !asked[name] {
				t.Errorf("%s: %s is not asked for", id, name)
			}
		}
	}
}
