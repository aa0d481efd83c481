//go:build e2e

package e2e

import (
	"maps"
	"net/http"
	"testing"
)

// an instruction is neither a token for any route nor of use with any other route of the operator's.
func TestAnInstructionOpensNothingElse(t *testing.T) {
	t.Parallel()
	s := ownStack(t, nil)
	v := newVictim(t, s)
	idle := decode[channel](t, v.call(t, http.MethodPost, "/v1/channels", map[string]any{"provider_id": "edna", "name": "idle"}), http.StatusCreated)
	given := decode[struct {
		ID          string    `json:"id"`
		ChannelID   string    `json:"channel_id"`
		Instruction string    `json:"instruction"`
		ExpiresAt   timestamp `json:"expires_at"`
	}](t, v.call(t, http.MethodPost, "/v1/channels/"+idle.ID+"/activation-instructions", nil), http.StatusCreated)
	before := v.everything(t)
	bearer, operator := &caller{s, given.Instruction}, s.operator(t)
	table := attempts()
	tried := 0
	for _, r := range routes(t) {
		name := r.method + " " + r.path
		row, known := table[name]
		if !known || r.authorizer == "NONE" {
			continue
		}
		if got := bearer.call(t, r.method, row.path(v), row.body(t, v)); got.status != http.StatusUnauthorized {
			t.Errorf("the instruction as a token of %s: %v", name, got)
		}
		body, object := row.body(t, v).(map[string]any)
		if r.authorizer != "OperatorJwt" || !object || name == "POST /v1/operator/activations" {
			continue
		}
		tried++
		body = maps.Clone(body)
		body["instruction"] = given.Instruction
		if got := operator.call(t, r.method, row.path(v), body); got.status != http.StatusUnprocessableEntity && got.status != http.StatusNotFound {
			t.Errorf("the instruction with %s: %v", name, got)
		}
	}
	if tried < 5 {
		t.Errorf("%d routes of the operator's were tried", tried)
	}
	if after := v.everything(t); after != before {
		t.Errorf("something changed: before\n%s\nafter\n%s", before, after)
	}
	if got := decode[channel](t, v.call(t, http.MethodGet, "/v1/channels/"+idle.ID, nil), http.StatusOK); got.Status != "inactive" {
		t.Errorf("%+v", got)
	}
	good := v.confirmations(v.sent.RulesVersion)
	good["instruction"] = given.Instruction
	if got := operator.call(t, http.MethodPost, "/v1/operator/activations", good); got.status != http.StatusOK {
		t.Errorf("it is still good for what it is for: %v", got)
	}
}
