package apitest

import (
	"net/http"
	"testing"
)

func TestTheContractFindsWhatDiffers(t *testing.T) {
	t.Parallel()
	c, err := TheContract()
	if err != nil {
		t.Fatal(err)
	}
	const (
		closure   = `{"status":"closing","requested_by":"user_7","requested_at":"2026-11-01T10:00:00.000Z","purge_at":"2026-12-01T10:00:00.000Z"`
		problem   = `{"type":"urn:x","title":"t","status":404,"detail":"d","request_id":"r","fault_domain":"customer","code":`
		inJSON    = "application/json"
		asProblem = "application/problem+json"
	)
	for _, x := range []struct {
		name, method, path string
		status             int
		kind, body         string
		fine               bool
	}{
		{"an answer as documented", "GET", "/v1/account/closure", 200, inJSON, closure + `,"purged_at":"2026-12-01T10:00:00.000Z"}`, true},
		{"a field that is not documented", "GET", "/v1/account/closure", 200, inJSON, closure + `,"mood":"good"}`, false},
		{"a field that is missing", "GET", "/v1/account/closure", 200, inJSON, `{"status":"closing"}`, false},
		{"a time without milliseconds", "GET", "/v1/account/closure", 200, inJSON, closure + `,"purged_at":"2026-12-01T10:00:00Z"}`, false},
		{"a status that is not documented", "GET", "/v1/account/closure", 202, inJSON, closure + `}`, false},
		{"another media type", "GET", "/v1/account/closure", 200, "text/plain", closure + `}`, false},
		{"a code of the operation", "GET", "/v1/account/closure", 404, asProblem, problem + `"not_found"}`, true},
		{"a code that the operation does not name", "GET", "/v1/account/closure", 404, asProblem, problem + `"channel_not_found"}`, false},
		{"the gateway's own answer", "GET", "/v1/account/closure", 404, inJSON, `{"message":"Not Found"}`, true},
		{"the gateway's own answer where it gives none", "PUT", "/v1/operator/plans/p", 422, inJSON, `{"message":"No"}`, false},
		{"no route", "GET", "/v1/nothing", 404, inJSON, `{"message":"Not Found"}`, true},
		{"a good answer of no route", "GET", "/v1/nothing", 200, inJSON, `{}`, false},
		{"a fixed path beside a parameter", "GET", "/v1/rules/acceptances", 200, inJSON, `{"items":[]}`, true},
		{"a body after 204", "DELETE", "/v1/channels/chn_1", 204, inJSON, `{}`, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			err := c.Check(x.method, x.path, x.status, http.Header{"Content-Type": {x.kind}}, []byte(x.body))
			if (err == nil) != x.fine {
				t.Errorf("%v", err)
			}
		})
	}
}
