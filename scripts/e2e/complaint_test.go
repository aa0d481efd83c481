//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

type evidence struct {
	ID           string    `json:"id"`
	AccountID    string    `json:"account_id"`
	Status       string    `json:"status"`
	Overdue      bool      `json:"overdue"`
	Reason       string    `json:"reason"`
	DueAt        timestamp `json:"due_at"`
	RecipientIDs []string  `json:"recipient_ids"`
	Period       *struct {
		From timestamp `json:"from"`
		To   timestamp `json:"to"`
	} `json:"period"`
	ComplaintID string     `json:"complaint_id"`
	Note        string     `json:"note"`
	CreatedAt   timestamp  `json:"created_at"`
	UpdatedAt   *timestamp `json:"updated_at"`
	Submissions []struct {
		Statement   string              `json:"statement"`
		Documents   []map[string]string `json:"documents"`
		Bundles     []map[string]string `json:"bundles"`
		SubmittedBy string              `json:"submitted_by"`
		SubmittedAt timestamp           `json:"submitted_at"`
	} `json:"submissions"`
}

func evidenceFor(accountID string) map[string]any {
	return map[string]any{"account_id": accountID, "reason": "Show that they agreed", "due_at": time.Now().Add(time.Hour).UTC().Format(timestampForm)}
}

// a complaint comes in without a token; the operator finds the account, asks it for evidence, looks at the
// answer, and restricts it by an act of its own. The claimant's data reaches neither the account nor any log.
func TestAComplaintLeadsToEvidenceAndToARestriction(t *testing.T) {
	t.Parallel()
	s := ownStack(t, []string{"LOG_LEVEL=DEBUG"}, "-parameter", "LogLevel=DEBUG")
	a, ch := ready(t, s, plan{Limit: 100})
	op := s.operator(t)
	canary := unique("Claimant")
	told := map[string]any{
		"category": "spam", "description": "They write to me every day. " + canary, "sender_address": ch.Address,
		"contact": map[string]any{"name": canary, "email": canary + "@example.com", "phone": "+35799777666"},
	}
	receipt := decode[struct {
		ID         string    `json:"id"`
		ReceivedAt timestamp `json:"received_at"`
	}](t, (&caller{stack: s}).call(t, http.MethodPost, "/v1/complaints", told), http.StatusCreated)

	type complaint struct {
		ID            string            `json:"id"`
		Category      string            `json:"category"`
		Status        string            `json:"status"`
		AccountID     string            `json:"account_id"`
		Description   string            `json:"description"`
		SenderAddress string            `json:"sender_address"`
		Contact       map[string]string `json:"contact"`
		Note          string            `json:"note"`
		Restrictions  []string          `json:"restrictions"`
		SenderIsNow   map[string]string `json:"sender_is_now"`
		ReceivedAt    timestamp         `json:"received_at"`
		UpdatedAt     *timestamp        `json:"updated_at"`
	}
	path := "/v1/operator/complaints/" + receipt.ID
	c := decode[complaint](t, op.call(t, http.MethodGet, path, nil), http.StatusOK)
	if c.Contact["name"] != canary || c.SenderIsNow["account_id"] != a.id || c.Status != "open" {
		t.Errorf("the operator reads %+v", c)
	}
	decode[complaint](t, op.call(t, http.MethodPatch, path, map[string]any{"status": "in_review", "account_id": a.id, "note": "called " + canary, "reason": "the sender is theirs"}), http.StatusOK)

	ask := evidenceFor(a.id)
	ask["complaint_id"] = receipt.ID
	asked := decode[evidence](t, op.call(t, http.MethodPost, "/v1/operator/evidence-requests", ask), http.StatusCreated)
	own := "/v1/evidence-requests/" + asked.ID
	if got := decode[evidence](t, a.call(t, http.MethodGet, own, nil), http.StatusOK); got.Status != "open" || got.Overdue || got.ComplaintID != receipt.ID {
		t.Errorf("the account reads %+v", got)
	}
	answer := map[string]any{"statement": "They signed a form.", "documents": []map[string]string{{"title": "Form", "url": "https://example.com/form.pdf", "sha256": sha("form")}}}
	if got := decode[evidence](t, a.call(t, http.MethodPost, own+"/submissions", answer), http.StatusCreated); got.Status != "submitted" {
		t.Errorf("answered is %+v", got)
	}
	decided := "/v1/operator/evidence-requests/" + asked.ID
	decode[evidence](t, op.call(t, http.MethodPatch, decided, map[string]any{"status": "rejected", "note": "Which form?"}), http.StatusOK)
	decode[evidence](t, a.call(t, http.MethodPost, own+"/submissions", answer), http.StatusCreated)
	if got := decode[evidence](t, op.call(t, http.MethodPatch, decided, map[string]any{"status": "accepted"}), http.StatusOK); got.Status != "accepted" || len(got.Submissions) != 2 {
		t.Errorf("accepted is %+v", got)
	}
	// Nothing followed by itself: the account sends.
	m := a.send(order(ch, person(), text(unique("text "))))
	a.until(m.ID, 20*time.Second, "read", status("read"))

	if got := op.call(t, http.MethodPost, "/v1/operator/accounts/"+a.id+"/restrictions", map[string]any{"kind": "block", "reason": "Messages without consent", "clause": "11", "complaint_id": receipt.ID}); got.status != http.StatusCreated {
		t.Fatal(got)
	}
	decode[complaint](t, op.call(t, http.MethodPatch, path, map[string]any{"status": "upheld", "reason": "no consent"}), http.StatusOK)
	if c := decode[complaint](t, op.call(t, http.MethodGet, path, nil), http.StatusOK); len(c.Restrictions) != 1 || c.Status != "upheld" {
		t.Errorf("the operator reads %+v", c)
	}
	wait(t, 20*time.Second, func() (bool, string) {
		got := a.call(t, http.MethodPost, "/v1/messages", order(ch, person(), text(unique("text "))))
		return got.status == http.StatusForbidden && got.problem(t).Code == "account_restricted", "still sends: " + got.String()
	})

	// The account sees that there is a complaint, and nothing of whoever made it.
	var seen bytes.Buffer
	for _, r := range routes(t) {
		if r.method != http.MethodGet || r.authorizer != "CrmJwt" || strings.Contains(r.path, "{") {
			continue
		}
		seen.Write(a.call(t, http.MethodGet, r.path, nil).body)
	}
	for _, p := range []string{own, "/v1/messages/" + m.ID, "/v1/channels/" + ch.ID} {
		seen.Write(a.call(t, http.MethodGet, p, nil).body)
	}
	a.call(t, http.MethodGet, path, nil) // the operator's own route: refused by the gateway
	listed := decode[list[json.RawMessage]](t, op.call(t, http.MethodGet, "/v1/operator/audit-events", nil), http.StatusOK)
	for _, e := range listed.Items {
		seen.Write(e)
	}
	if !bytes.Contains(seen.Bytes(), []byte(receipt.ID)) {
		t.Error("nothing names the complaint: nothing was tested")
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	for place, b := range map[string][]byte{"what the account and the audit show": seen.Bytes(), "the logs": s.output.Bytes()} {
		if at := bytes.Index(b, []byte(canary)); at >= 0 || bytes.Contains(b, []byte("99777666")) {
			t.Errorf("the claimant's data is in %s: …%s…", place, b[max(0, at-300):min(len(b), max(0, at)+100)])
		}
	}
}
