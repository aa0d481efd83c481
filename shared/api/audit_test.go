package api_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"contactcenter/shared/api"
	"contactcenter/shared/audit"
	"contactcenter/shared/audit/chain"
)

// fullEvent has every field of an event set: the test fails for one that is not.
func fullEvent(t *testing.T, kind string) audit.Event {
	t.Helper()
	e := audit.Event{
		ID: "aud_1", At: time.Date(2026, 11, 24, 10, 0, 0, 7_000_000, time.UTC), AccountID: "acct_1", Actor: audit.Actor{Kind: kind, ID: "who", AccountID: "acct_1"},
		Action: "thing.changed", Target: "t", Before: map[string]any{"limit": 10.5, "claimant": "cmp_1"}, After: map[string]any{"complaint_id": "cmp_1"},
		Reason: "<asked>", InstructionID: "ins_1", ComplaintID: "cmp_1", RequestID: "req_1", SourceIP: "192.0.2.1", RulesVersion: "2026-11-01",
		Sequence: 2, PreviousHash: chain.Start, WithheldSalt: "00112233445566778899aabbccddeeff",
	}
	var err error
	if e.WithheldHash, err = chain.HashWithheld(e.Record()); err != nil {
		t.Fatal(err)
	}
	if e.Hash, err = chain.Hash(e.Record()); err != nil {
		t.Fatal(err)
	}
	v := reflect.ValueOf(e)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s is not set", v.Type().Field(i).Name)
		}
	}
	return e
}

func asListed(t *testing.T, v any) chain.Record {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var r chain.Record
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// what is hashed is what is shown, to the operator and to the account, so that both can check it.
func TestAnEventIsShownAsItIsHashed(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{audit.User, audit.Operator, audit.System} {
		e := fullEvent(t, kind)
		whole := asListed(t, api.AuditRecordOf(e))
		if want := asListed(t, e.Record()); !reflect.DeepEqual(whole, want) {
			t.Errorf("%s: the operator is shown %v, hashed is %v", kind, whole, want)
		}
		own, shown := api.OwnAuditRecordOf(e)
		want, withheld := chain.Withhold(e.Record())
		want[chain.HashMember], want[chain.WithheldHash] = e.Hash, e.WithheldHash
		record := asListed(t, own)
		if !shown || !reflect.DeepEqual(record, asListed(t, want)) || len(withheld) == 0 {
			t.Errorf("%s: the account is shown %v, hashed is %v", kind, record, want)
		}
		for who, r := range map[string]chain.Record{"the operator": whole, "the account": record} {
			if got, err := chain.Hash(r); err != nil || got != e.Hash {
				t.Errorf("%s: %s comes to the hash %s, %v", kind, who, got, err)
			}
		}
	}
}
