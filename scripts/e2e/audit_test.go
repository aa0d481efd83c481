//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"testing"
)

// event is one of the audit log.
type event struct {
	ID        string    `json:"id"`
	At        timestamp `json:"at"`
	AccountID string    `json:"account_id"`
	Actor     struct {
		Kind      string `json:"kind"`
		ID        string `json:"id"`
		AccountID string `json:"account_id"`
	} `json:"actor"`
	Action        string         `json:"action"`
	Target        string         `json:"target"`
	Before        map[string]any `json:"before"`
	After         map[string]any `json:"after"`
	Reason        string         `json:"reason"`
	InstructionID string         `json:"instruction_id"`
	ComplaintID   string         `json:"complaint_id"`
	RequestID     string         `json:"request_id"`
	SourceIP      string         `json:"source_ip"`
	RulesVersion  string         `json:"rules_version"`
	Sequence      int64          `json:"sequence"`
	PreviousHash  string         `json:"previous_hash"`
	Hash          string         `json:"hash"`
	WithheldHash  string         `json:"withheld_hash"`
	WithheldSalt  string         `json:"withheld_salt"`
}

// the account and the operator read who did what, by which instruction and why; the account is not
// told who of the operator's it was, and sees nothing of others.
func TestTheLogTellsWhoDidWhat(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 10})
	operator := s.operator(t)
	a.call(t, http.MethodPost, "/v1/channels/"+ch.ID+"/deactivate", nil)
	instruction := decode[struct {
		ID          string    `json:"id"`
		ChannelID   string    `json:"channel_id"`
		Instruction string    `json:"instruction"`
		ExpiresAt   timestamp `json:"expires_at"`
	}](t, a.call(t, http.MethodPost, "/v1/channels/"+ch.ID+"/activation-instructions", nil), http.StatusCreated)
	body := a.confirmations(a.accept().Version)
	body["instruction"] = instruction.Instruction
	if got := operator.call(t, http.MethodPost, "/v1/operator/activations", body); got.status != http.StatusOK {
		t.Fatal(got)
	}
	reason := unique("reason ")
	if got := operator.call(t, http.MethodPut, "/v1/operator/accounts/"+a.id, map[string]any{"plan_id": "demo", "reason": reason}); got.status != http.StatusOK {
		t.Fatal(got)
	}

	all := pages[event](t, operator, "/v1/operator/audit-events?account_id="+a.id)
	own := pages[event](t, a.caller, "/v1/audit-events")
	if len(all) != len(own) || len(own) < 6 {
		t.Fatalf("the operator sees %d events of the account, the account %d", len(all), len(own))
	}
	told := map[string]int{}
	for i, e := range own {
		told[fmt.Sprint(e.Actor.Kind, " ", e.Action)]++
		full := all[i]
		if e.ID != full.ID || e.AccountID != a.id || full.AccountID != a.id || full.Actor.ID == "" || full.RequestID == "" || full.SourceIP == "" {
			t.Errorf("the account sees %+v, the operator %+v", e, full)
		}
		if e.Hash == "" || e.Hash != full.Hash || e.Sequence != full.Sequence {
			t.Errorf("their places in the chain differ: %+v and %+v", e, full)
		}
		if e.Actor.Kind == "operator" && (e.Actor.ID != "" || e.SourceIP != "" || e.RequestID != "" || e.WithheldSalt != "") {
			t.Errorf("the account is told who it was: %+v", e)
		}
		if e.Action == "channel.activated" && e.Actor.Kind == "operator" && (e.InstructionID != instruction.ID || e.Target != ch.ID || e.After["activated_by"] != "user_1" || e.RulesVersion == "") {
			t.Errorf("the activation by instruction: %+v", e)
		}
		if e.Reason == reason && (e.Before["plan_id"] != a.planID || e.After["plan_id"] != "demo") {
			t.Errorf("the change of plan: %+v", e)
		}
	}
	for _, want := range []string{
		"user rules.accepted", "user channel.created", "user channel.activated", "user channel.deactivated", "user channel.activation_instructed",
		"operator channel.activated", "operator account.plan_changed",
	} {
		if told[want] == 0 {
			t.Errorf("the log does not tell of %q: %v", want, told)
		}
	}
	if own[0].Reason != reason {
		t.Errorf("the newest is %+v", own[0])
	}
}
