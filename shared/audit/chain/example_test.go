package chain_test

import (
	"encoding/json"
	"fmt"

	"contactcenter/shared/audit/chain"
)

// An account verifies offline what GET /v1/audit-events listed, and that it still has the head that was written down earlier.
func ExampleVerify() {
	page := `{"items": [
	  {"account_id": "acct_1", "action": "account.plan_changed", "actor": {"kind": "operator"}, "after": {"plan_id": "big"}, "at": "2026-11-24T10:00:01.000Z",
	   "hash": "2e505594293a21e34cba6d3b14dcd842f5c82783cf9ece8b52683547d3fc2ef7", "id": "aud_06h100406ek24m0e", "previous_hash": "c111db0e7cce6e95bb97c51cd90475a2651a7cd7a5309f5fc9699e535430c913",
	   "reason": "asked for it", "sequence": 2, "target": "acct_1", "withheld_hash": "9379308f50f5dfdf3c504ef0ee6d1dd83693b8a82a9b6a3c589e217aeef8c4b4"},
	  {"account_id": "acct_1", "action": "channel.activated", "actor": {"account_id": "acct_1", "id": "user_1", "kind": "user"}, "at": "2026-11-24T10:00:00.000Z",
	   "hash": "c111db0e7cce6e95bb97c51cd90475a2651a7cd7a5309f5fc9699e535430c913", "id": "aud_06h1004000000000", "previous_hash": "0000000000000000000000000000000000000000000000000000000000000000",
	   "request_id": "req_1", "rules_version": "2026-11-01", "sequence": 1, "source_ip": "192.0.2.1", "target": "chn_1"}]}`
	var list struct {
		Items []chain.Record `json:"items"`
	}
	if err := json.Unmarshal([]byte(page), &list); err != nil {
		panic(err)
	}
	writtenDown := chain.Link{Sequence: 1, Hash: "c111db0e7cce6e95bb97c51cd90475a2651a7cd7a5309f5fc9699e535430c913"}
	report := chain.Verify(list.Items, chain.Link{}, writtenDown)
	fmt.Println(report.Verified, report.From, report.To, report.HeadHash == list.Items[0]["hash"])

	list.Items[1]["source_ip"] = "192.0.2.2"
	report = chain.Verify(list.Items, chain.Link{}, writtenDown)
	fmt.Println(report.Verified, report.FirstBroken.Sequence, report.FirstBroken.Why)
	// Output:
	// true 1 2 true
	// false 1 changed
}
