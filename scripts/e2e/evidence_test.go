//go:build e2e

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

type bundle struct {
	ID     string `json:"id"`
	Part   int    `json:"part"`
	Last   bool   `json:"last"`
	SHA256 string `json:"sha256"`
	JWS    string `json:"jws"`
	Next   string `json:"next_page_token"`
}

// verify runs the program that checks evidence on what the API answered, with the keys that the API shows to everybody.
func (s *stack) verify(t *testing.T, answers ...[]byte) (output string, err error) {
	t.Helper()
	dir := t.TempDir()
	keys := filepath.Join(dir, "keys.json")
	args := []string{"run", "./scripts/verify", "-keys", keys}
	for i, b := range append([][]byte{s.raw(t, http.MethodGet, s.api+"/v1/evidence-keys", nil, nil).body}, answers...) {
		name := keys
		if i > 0 {
			name = filepath.Join(dir, "answer"+string(rune('a'+i))+".json")
			args = append(args, name)
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = common.root
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// says is what a signed document says.
func says(t *testing.T, jws string) string {
	t.Helper()
	parts := strings.Split(jws, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is not signed", jws)
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// an account answers the operator's request with a bundle about one recipient, in parts. Whoever gets it verifies it without
// the API; it has nothing that messages say, and nothing of another account which writes to the same person.
func TestEvidenceIsCollectedSubmittedAndVerifiedOffline(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 100})
	other, theirs := ready(t, s, plan{Limit: 100})
	to, canary := person(), unique("canary ")
	var own []message
	for range 3 {
		m := a.send(order(ch, to, text(unique(canary)), "client_reference", unique("deal ")))
		own = append(own, a.until(m.ID, 20*time.Second, "read", status("read")))
	}
	foreign := other.send(order(theirs, to, text(canary), "client_reference", unique("another's ")))
	other.until(foreign.ID, 20*time.Second, "read", status("read"))
	s.inbound(t, inbound{SenderID: ch.sender(t), From: strings.TrimPrefix(to, "+"), Text: canary})
	r := a.lookup(t, to)
	consent := map[string]any{"items": []map[string]any{{"channel_id": ch.ID, "purpose": "news", "status": "given", "source": "form", "obtained_at": "2026-11-01T00:00:00.000Z", "proof_reference": "form 77"}}}
	if got := a.call(t, http.MethodPut, "/v1/recipients/"+r.ID+"/consents", consent); got.status != http.StatusOK {
		t.Fatal(got)
	}
	wait(t, 20*time.Second, func() (bool, string) {
		list := decode[list[message]](t, a.call(t, http.MethodGet, "/v1/messages?conversation_id="+own[0].ConversationID, nil), http.StatusOK)
		return len(list.Items) == 4, "the reply is not there"
	})
	ask := evidenceFor(a.id)
	ask["recipient_ids"] = []string{r.ID}
	asked := decode[evidence](t, s.operator(t).call(t, http.MethodPost, "/v1/operator/evidence-requests", ask), http.StatusCreated)

	var answers [][]byte
	var all strings.Builder
	var last bundle
	for body := (map[string]any{"evidence_request_id": asked.ID, "page_size": 2}); ; {
		got := a.call(t, http.MethodPost, "/v1/recipients/"+r.ID+"/evidence", body)
		last = decode[bundle](t, got, http.StatusOK)
		answers = append(answers, got.body)
		all.WriteString(says(t, last.JWS))
		if last.Next == "" {
			break
		}
		body = map[string]any{"page_token": last.Next}
	}
	if len(answers) < 2 || !last.Last || last.Part != len(answers) {
		t.Errorf("%d parts, the last is %+v", len(answers), last)
	}
	out, err := s.verify(t, answers...)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"bundle " + last.ID + ": verified", r.ID, a.id, "messages           4", last.SHA256, "none missing"} {
		if !strings.Contains(out, want) {
			t.Errorf("the program does not say %q: %s", want, out)
		}
	}
	for _, want := range []string{to, "form 77", own[0].ID, own[0].ContentSHA256, own[1].ClientReference, `"transfer_completed_at"`, `"countries":[`, `"recipient.consents_set"`, `"channel.activated"`, `"rules.accepted"`, `"evidence.requested"`, `"documents":[{`, ch.ID} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("%q is not in the bundle", want)
		}
	}
	for _, what := range []string{canary, other.id, theirs.ID, foreign.ID, foreign.ConversationID, foreign.ClientReference} {
		if strings.Contains(all.String(), what) {
			t.Errorf("%q is in the bundle", what)
		}
	}
	changed := slices.Clone(answers)
	changed[0] = changedPart(t, changed[0])
	for name, files := range map[string][][]byte{"a part changed": changed, "the first part missing": answers[1:], "the last part missing": answers[:len(answers)-1]} {
		if out, err := s.verify(t, files...); err == nil || strings.Contains(out, "verified") {
			t.Errorf("%s: %s", name, out)
		}
	}

	submit := map[string]any{"statement": "They agreed on a form.", "documents": []any{}, "bundles": []map[string]string{{"id": last.ID, "sha256": last.SHA256}}}
	decode[evidence](t, a.call(t, http.MethodPost, "/v1/evidence-requests/"+asked.ID+"/submissions", submit), http.StatusCreated)
	seen := decode[evidence](t, s.operator(t).call(t, http.MethodGet, "/v1/operator/evidence-requests/"+asked.ID, nil), http.StatusOK)
	if len(seen.Submissions) != 1 || len(seen.Submissions[0].Bundles) != 1 || seen.Submissions[0].Bundles[0]["sha256"] != last.SHA256 {
		t.Errorf("the operator reads %+v", seen)
	}
}

// changedPart gives a part in which one byte of what is signed is another; its own hash is made to fit.
func changedPart(t *testing.T, answer []byte) []byte {
	t.Helper()
	var b bundle
	if err := json.Unmarshal(answer, &b); err != nil {
		t.Fatal(err)
	}
	header, rest, _ := strings.Cut(b.JWS, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	said, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	said = []byte(strings.Replace(string(said), `"status":"read"`, `"status":"sent"`, 1))
	b.JWS = header + "." + base64.RawURLEncoding.EncodeToString(said) + "." + signature
	b.SHA256 = sha(b.JWS)
	out, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
