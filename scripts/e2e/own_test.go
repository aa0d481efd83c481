//go:build e2e

package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"testing"
)

// own creates a channel of a provider that is reached with the account's own credentials, and activates it.
func (a *account) own(providerID string, credentials map[string]string) channel {
	a.t.Helper()
	version := a.accept().Version
	created := decode[channel](a.t, a.call(a.t, http.MethodPost, "/v1/channels", ownChannel(providerID, credentials)), http.StatusCreated)
	a.t.Cleanup(func() { a.deleteChannel(created.ID) })
	p := decode[providerEntry](a.t, a.call(a.t, http.MethodGet, "/v1/providers/"+providerID, nil), http.StatusOK)
	confirmed := map[string]any{"rules_version": version, "provider_terms_version": p.TermsVersion, "transfer_countries": p.TransferCountries}
	active := decode[channel](a.t, a.call(a.t, http.MethodPost, "/v1/channels/"+created.ID+"/activate", confirmed), http.StatusOK)
	if active.Status != "active" {
		a.t.Fatalf("channel after activation: %+v", active)
	}
	return active
}

// ownChannel is the body of POST /v1/channels with credentials.
func ownChannel(providerID string, credentials map[string]string) map[string]any {
	return map[string]any{"provider_id": providerID, "name": "own " + providerID, "credentials": credentials}
}

// with is a map with another value.
func with(m map[string]string, name, value string) map[string]string {
	out := maps.Clone(m)
	out[name] = value
	return out
}

// steer gives a simulator a steering request, and its answer's fields.
func (s *stack) steer(t *testing.T, method, providerID, what string, body any) map[string]any {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	got := s.raw(t, method, s.sim+"/"+providerID+"/_sim/"+what, nil, raw)
	if got.status >= 300 {
		t.Fatalf("steer %s: %v", providerID, got)
	}
	out := map[string]any{}
	if len(got.body) > 0 {
		if err := json.Unmarshal(got.body, &out); err != nil {
			t.Fatalf("steer %s: %v", providerID, got)
		}
	}
	return out
}

// hears lets a person write to a channel by a simulator, and expects that it is taken.
func (s *stack) hears(t *testing.T, providerID string, in map[string]any) {
	t.Helper()
	if told := s.steer(t, http.MethodPost, providerID, "inbound", in); told["delivered"] != true {
		t.Fatalf("let a person write: %v", told)
	}
}
