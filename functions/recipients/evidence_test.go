package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"contactcenter/shared/audit"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/claim"
	"contactcenter/shared/evidence"
	"contactcenter/shared/id"
	"contactcenter/shared/recipient"
	"contactcenter/shared/rules"
	"contactcenter/shared/sign"
	"contactcenter/shared/sign/signtest"
)

// fataler is a test or a check of a property.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// bundle asks for all parts of a bundle and verifies them as anybody can.
func (w *world) bundle(t fataler, accountID, recipientID, begin string, size int) (parts []evidence.Part, signed []string) {
	t.Helper()
	path, body := "/v1/recipients/"+recipientID+"/evidence", begin
	for range 200 {
		a := w.User(accountID, "user_7").Do("POST", path, body)
		if a.Status != 200 {
			t.Fatalf("part %d: %d %s", len(signed)+1, a.Status, a.Body)
		}
		jws := a.Text("jws")
		if a.Text("sha256") != sign.Hash(jws) || !strings.HasPrefix(a.Text("id"), "evb_") || int(a.JSON["part"].(float64)) != len(signed)+1 {
			t.Fatalf("%s", a.Body)
		}
		signed = append(signed, jws)
		next := a.Text("next_page_token")
		if (next == "") != (a.JSON["last"] == true) {
			t.Fatalf("%s", a.Body)
		}
		if next == "" {
			parts, err := evidence.VerifyBundle(signtest.Keys("b", "a"), signed...)
			if err != nil {
				t.Fatalf("%v", err)
			}
			return parts, signed
		}
		body = fmt.Sprintf(`{"page_size":%d,"page_token":%q}`, size, next)
	}
	t.Fatalf("the bundle has no end")
	return nil, nil
}

func (w *world) accept(accountID, version string) {
	w.t.Helper()
	a := rules.Acceptance{
		ID: id.AcceptancePrefix + version, AccountID: accountID, RulesVersion: version, Capacity: rules.Self, UserID: "user_of_" + accountID, SourceIP: "192.0.2.7", At: w.clock.Now(),
		Documents: []rules.Document{{ID: "rules", Version: "1", SHA256: strings.Repeat("a", 64)}, {ID: "dpa", Version: "dpa-3", SHA256: strings.Repeat("b", 64)}},
	}
	if err := w.rules.Accept(w.t.Context(), a, audittest.By(accountID)); err != nil {
		w.t.Fatal(err)
	}
}

// note puts an event into the audit log.
func (w *world) note(accountID, action, target string, change func(*audit.Event)) {
	w.t.Helper()
	e := audittest.By(accountID)
	e.Action, e.Target = action, target
	if change != nil {
		change(&e)
	}
	if err := w.audit.Write(w.t.Context(), e); err != nil {
		w.t.Fatal(err)
	}
}

func actions(parts []evidence.Part) []string {
	var out []string
	for _, p := range parts {
		for _, e := range p.AuditEvents {
			out = append(out, e["action"].(string))
		}
	}
	slices.Sort(out)
	return out
}

// R-4.1b: a bundle has consents, opt-outs, acceptances, what became of each message and where it was transferred to, and the audit
// events that concern the recipient; not what messages say, nor the recipient's name.
func TestABundleHasAllEvidenceOfOneRecipient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.message(acct, w.channel, anna, canary)
	w.message(acct, w.channel, email, canary)
	other := w.newChannel(acct)
	w.message(acct, other, "+35799000009", canary)
	made := w.enter(`{"addresses":["` + anna + `","` + email + `"],"name":"Anna ` + canary + `"}`)
	recipientID := made.Text("id")
	w.user().Do("PUT", "/v1/recipients/"+recipientID+"/consents", `{"items":[{"channel_id":"`+w.channel+`","purpose":"news","status":"given","source":"form","obtained_at":"2026-11-01T00:00:00.000Z","proof_reference":"crm/77"}]}`).Want(t, "consents", 200, "")
	w.user().Do("PUT", "/v1/recipients/"+recipientID+"/opt-outs/"+w.channel, "").Want(t, "opt-out", 200, "")
	w.accept(acct, "2026-11-01")
	w.note(acct, "channel.activated", w.channel, nil)
	w.note(acct, "channel.renamed", other, nil)
	w.note(acct, "conversation.assigned", first.ConversationID(), nil)
	restricting := func(recipientID string) func(*audit.Event) {
		return func(e *audit.Event) {
			e.Actor, e.ComplaintID, e.SourceIP = audit.Actor{Kind: audit.Operator, ID: canary}, canary, canary
			e.After = map[string]any{"kind": "block", "recipient_id": recipientID}
		}
	}
	w.note(acct, "restriction.created", "rst_1", restricting(recipientID))
	w.note(acct, "restriction.created", "rst_2", restricting("rcp_other"))
	w.clock.Pass(time.Second)
	parts, signed := w.bundle(t, acct, recipientID, "", 0)
	if len(parts) != 1 {
		t.Fatalf("%d parts", len(parts))
	}
	p := parts[0]
	if b, err := json.Marshal(p); err != nil || strings.Contains(string(b), canary) {
		t.Errorf("%v: something is in it that must not be: %s", err, b)
	}
	if p.AccountID != acct || p.RecipientID != recipientID || !slices.Equal(p.Recipient.Addresses, []string{anna, email}) || p.Period != nil || *p.Totals != (evidence.Totals{Messages: 2, AuditEvents: 7}) {
		t.Errorf("%+v", p)
	}
	if len(p.Consents) != 1 || p.Consents[0].ProofReference != "crm/77" || p.Consents[0].Status != "given" || len(p.OptOuts) != 1 || p.OptOuts[0].Source != "account" {
		t.Errorf("consents %+v, opt-outs %+v", p.Consents, p.OptOuts)
	}
	if p.AuditHead == nil || len(p.AuditHead.Hash) != 64 || p.AuditEvents[0]["sequence"] == nil {
		t.Errorf("the chain of the audit is missing: %+v, %v", p.AuditHead, p.AuditEvents[0])
	}
	if len(p.Acceptances) != 1 || p.Acceptances[0].RulesVersion != "2026-11-01" || p.Acceptances[0].Documents[1].Version != "dpa-3" || p.Acceptances[0].UserID == "" {
		t.Errorf("acceptances %+v", p.Acceptances)
	}
	want := []string{"channel.activated", "conversation.assigned", "recipient.consents_set", "recipient.created", "recipient.opted_out", "restriction.created", "rules.accepted"}
	if got := actions(parts); !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
	for _, m := range p.Messages {
		if m.ID != first.String() {
			continue
		}
		if m.Address != anna || m.Status != "sent" || len(m.ContentSHA256) != 64 || m.ClientReference != "ref" || len(m.Timeline) != 2 || m.ProviderMessageID != "p-1" ||
			m.Transfer == nil || m.Transfer.ProviderVersion != 1 || !slices.Equal(m.Transfer.Countries, []string{"CY", "RU"}) || m.Transfer.CompletedAt == nil {
			t.Errorf("%+v", m)
		}
	}
	if _, err := evidence.VerifyBundle(signtest.Keys("b"), signed...); !errors.Is(err, sign.ErrKey) {
		t.Errorf("with other keys: %v", err)
	}
	w.wantNowhere("bundle", "99123456")
}

// a bundle that is too large for one answer comes in parts, which belong together and can't be left out.
func TestABundleInPartsIsWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	second := w.newChannel(acct)
	var want []string
	for i, to := range []string{anna, email, anna, anna, email} {
		want = append(want, w.message(acct, []string{w.channel, second}[i%2], to, "x").String())
	}
	recipientID := w.enter(`{"addresses":["` + anna + `","` + email + `"]}`).Text("id")
	for i := range 130 { // more than fit into one part
		w.note(acct, "recipient.updated", recipientID, func(e *audit.Event) { e.Reason = fmt.Sprint(i) })
	}
	parts, signed := w.bundle(t, acct, recipientID, `{"page_size":2}`, 2)
	var got []string
	for _, p := range parts {
		for _, m := range p.Messages {
			got = append(got, m.ID)
		}
		if len(p.Messages) > 2 {
			t.Errorf("a part has %d messages", len(p.Messages))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || len(parts) < 4 || parts[len(parts)-1].Totals.AuditEvents != 131 {
		t.Errorf("%d parts have %v, want %v", len(parts), got, want)
	}
	again, _ := w.bundle(t, acct, recipientID, `{"page_size":2}`, 2)
	keys := signtest.Keys("a")
	if parts[0].BundleID == again[0].BundleID {
		t.Error("two bundles have the same id")
	}
	for name, cut := range map[string][]string{
		"the first is missing": signed[1:], "one is missing": slices.Delete(slices.Clone(signed), 1, 2), "the last is missing": signed[:len(signed)-1], "none": nil,
		"two are exchanged": append([]string{signed[0], signed[2], signed[1]}, signed[3:]...), "one is there twice": append([]string{signed[0], signed[0]}, signed[1:]...),
		"one too many": append(slices.Clone(signed), signed[len(signed)-1]),
	} {
		if _, err := evidence.VerifyBundle(keys, cut...); err == nil {
			t.Errorf("%s, and it verifies", name)
		}
	}
	for i, jws := range signed {
		changed := slices.Clone(signed)
		changed[i] = jws[:len(jws)/2] + string(jws[len(jws)/2]^1) + jws[len(jws)/2+1:]
		if _, err := evidence.VerifyBundle(keys, changed...); err == nil {
			t.Errorf("a byte of part %d is another, and it verifies", i+1)
		}
	}
}

// whatever the account's own words are, an answer stays below what Lambda and API Gateway take, which is 6 MB.
func TestAPartIsNeverTooLarge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	recipientID := w.enter(`{"addresses":["` + anna + `"]}`).Text("id")
	var consents []string
	long := func(n int) string { return strings.Repeat("<", n) } // six bytes each in JSON
	for i := range recipient.MaxConsents {
		consents = append(consents, fmt.Sprintf(`{"channel_id":%q,"purpose":"%03d%s","status":"given","source":%q,"obtained_at":"2026-11-01T00:00:00.000Z","proof_reference":%q}`, w.channel, i, strings.Repeat("x", maxPurpose-3), strings.Repeat("x", maxSource), strings.Repeat("x", maxProof)))
	}
	w.user().Do("PUT", "/v1/recipients/"+recipientID+"/consents", `{"items":[`+strings.Join(consents, ",")+`]}`).Want(t, "consents", 200, "")
	for range 110 {
		w.note(acct, "recipient.updated", recipientID, func(e *audit.Event) {
			e.Reason, e.After = long(4000), map[string]any{"x": strings.Repeat("y", audit.MaxValues-50)}
		})
	}
	_, signed := w.bundle(t, acct, recipientID, "", mostMessages)
	for i, jws := range signed {
		if len(jws) > 5<<20 {
			t.Errorf("part %d has %d bytes", i+1, len(jws))
		}
	}
	if len(signed) < 2 {
		t.Errorf("%d parts, the first of %d bytes", len(signed), len(signed[0]))
	}
}

// a bundle has nothing of another account, although both write to the same people.
func TestABundleHasNothingOfAnotherAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	addresses := []string{anna, email, "+35799000001"}
	check := 0
	rapid.Check(t, func(rt *rapid.T) {
		check++
		mine, theirs := fmt.Sprintf("acct_mine%d", check), fmt.Sprintf("acct_theirs%d", check)
		w.clock.Pass(time.Minute)
		channels := map[string][]string{mine: {w.newChannel(mine), w.newChannel(mine)}, theirs: {w.newChannel(theirs), w.newChannel(theirs)}}
		of := map[string]string{}
		for _, a := range []string{mine, theirs} {
			made := w.User(a, "user_of_"+a).Do("POST", "/v1/recipients", `{"addresses":["`+anna+`","`+email+`"]}`).Want(t, "enter", 201, "")
			of[a] = made.Text("id")
		}
		want, foreign := map[string]bool{}, append([]string{theirs, of[theirs]}, channels[theirs]...)
		for range rapid.IntRange(0, 12).Draw(rt, "messages") {
			a := rapid.SampledFrom([]string{mine, theirs}).Draw(rt, "account")
			ch, to := rapid.SampledFrom(channels[a]).Draw(rt, "channel"), rapid.SampledFrom(addresses).Draw(rt, "to")
			m := w.message(a, ch, to, canary)
			switch {
			case a == theirs:
				foreign = append(foreign, m.String(), m.ConversationID())
			case to != addresses[2]:
				want[m.String()] = true
			default:
				foreign = append(foreign, m.String())
			}
		}
		for _, a := range []string{mine, theirs} {
			w.accept(a, fmt.Sprintf("rules-of-%s", a))
			w.note(a, "channel.activated", channels[a][0], nil)
			w.User(a, "user_of_"+a).Do("PUT", "/v1/recipients/"+of[a]+"/opt-outs/"+channels[a][1], "").Want(t, "opt-out", 200, "")
		}
		w.clock.Pass(time.Second)
		size := rapid.IntRange(1, 5).Draw(rt, "page size")
		parts, signed := w.bundle(rt, mine, of[mine], fmt.Sprintf(`{"page_size":%d}`, size), size)
		text := plain(rt, signed)
		for _, s := range foreign {
			if strings.Contains(text, s) {
				rt.Fatalf("%q is in the bundle", s)
			}
		}
		for _, p := range parts {
			for _, m := range p.Messages {
				delete(want, m.ID)
			}
		}
		if len(want) > 0 {
			rt.Fatalf("these are missing: %v", want)
		}
	})
}

// plain is what some documents say.
func plain(t fataler, signed []string) string {
	var out strings.Builder
	for _, jws := range signed {
		d, err := signtest.Keys("a").Verify(jws)
		if err != nil {
			t.Fatalf("%v", err)
		}
		out.Write(d.Payload)
	}
	return out.String()
}

// a bundle answers an evidence request that names the recipient, for the period that is asked about.
func TestABundleAnswersAnEvidenceRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.message(acct, w.channel, anna, "before")
	from := w.clock.Now().Add(time.Millisecond)
	in := w.message(acct, w.channel, anna, "within")
	to := w.clock.Now().Add(time.Millisecond)
	w.message(acct, w.channel, anna, "after")
	recipientID := w.enter(`{"addresses":["` + anna + `"]}`).Text("id")
	ask := func(accountID string, recipients ...string) string {
		t.Helper()
		requestID, err := w.ids.New(id.EvidencePrefix)
		if err != nil {
			t.Fatal(err)
		}
		r := claim.Evidence{ID: requestID, AccountID: accountID, Reason: "a claim", DueAt: w.clock.Now().Add(time.Hour), RecipientIDs: recipients, From: from, To: to}
		if _, err := w.requests.Open(t.Context(), r, audittest.ByOperator()); err != nil {
			t.Fatal(err)
		}
		return requestID
	}
	asked := ask(acct, recipientID)
	parts, _ := w.bundle(t, acct, recipientID, `{"evidence_request_id":"`+asked+`"}`, 0)
	if p := parts[0]; p.EvidenceRequestID != asked || len(p.Messages) != 1 || p.Messages[0].ID != in.String() || !p.Period.From.Equal(from) || !p.Period.To.Equal(to) || !slices.Contains(actions(parts), "evidence.requested") {
		t.Errorf("%+v", p)
	}
	period := fmt.Sprintf(`"period":{"from":%q,"to":%q}`, from.Add(-time.Hour).Format(time.RFC3339Nano), to.Format(time.RFC3339Nano))
	if parts, _ = w.bundle(t, acct, recipientID, `{"evidence_request_id":"`+asked+`",`+period+`}`, 0); len(parts[0].Messages) != 2 {
		t.Errorf("in the period that is given: %+v", parts[0].Messages)
	}
	ahead := w.clock.Now().Add(time.Hour)
	if parts, _ = w.bundle(t, acct, recipientID, fmt.Sprintf(`{"period":{"from":%q,"to":%q}}`, ahead.Format(time.RFC3339Nano), ahead.Add(time.Hour).Format(time.RFC3339Nano)), 0); len(parts[0].Messages) != 0 {
		t.Errorf("of a time that has not come: %+v", parts[0].Messages)
	}
	path := "/v1/recipients/" + recipientID + "/evidence"
	for name, body := range map[string]string{
		"another account's request":      `{"evidence_request_id":"` + ask("acct_2") + `"}`,
		"about another recipient":        `{"evidence_request_id":"` + ask(acct, "rcp_0000000000000001") + `"}`,
		"no request":                     `{"evidence_request_id":"evr_0000000000000001"}`,
		"no id":                          `{"evidence_request_id":"x"}`,
		"a period within a millisecond":  `{"period":{"from":"2026-11-01T00:00:00.0001Z","to":"2026-11-01T00:00:00.0009Z"}}`,
		"a period without time":          `{"period":{"from":"2026-11-01T00:00:00.000Z","to":"2026-11-01T00:00:00.000Z"}}`,
		"a part too large":               `{"page_size":201}`,
		"an unknown field":               `{"content":true}`,
		"a token that nobody gave out":   `{"page_token":"eHg"}`,
		"a token and a period":           `{"page_token":"eHg",` + period + `}`,
		"a bundle in place of the token": `{"page_token":"` + w.user().Do("POST", path, "").Text("jws") + `"}`,
	} {
		w.user().Do("POST", path, body).Want(t, name, 422, "invalid_request")
	}
	w.User("acct_2", "user_1").Do("POST", path, "").Want(t, "another account", 404, "not_found")
}

// a bundle says one thing from its first part to its last.
func TestABundleIsOfOneMoment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 3 {
		w.message(acct, w.channel, anna, "x")
	}
	recipientID := w.enter(`{"addresses":["` + anna + `"]}`).Text("id")
	path := "/v1/recipients/" + recipientID + "/evidence"
	begun := w.user().Do("POST", path, `{"page_size":1}`).Want(t, "the first part", 200, "")
	token := begun.Text("next_page_token")
	w.clock.Pass(time.Millisecond)
	w.message(acct, w.channel, anna, "later")
	signed := []string{begun.Text("jws")}
	for next := token; next != ""; {
		a := w.user().Do("POST", path, `{"page_token":"`+next+`"}`).Want(t, "the next part", 200, "")
		signed, next = append(signed, a.Text("jws")), a.Text("next_page_token")
	}
	parts, err := evidence.VerifyBundle(signtest.Keys("a"), signed...)
	if err != nil || parts[len(parts)-1].Totals.Messages != 3 {
		t.Errorf("%v: %+v", err, parts[len(parts)-1].Totals)
	}
	other := w.enter(`{"addresses":["` + email + `"]}`).Text("id")
	w.user().Do("POST", "/v1/recipients/"+other+"/evidence", `{"page_token":"`+token+`"}`).Want(t, "another recipient's token", 422, "invalid_request")
	w.clock.Pass(time.Second)
	w.user().Do("PATCH", "/v1/recipients/"+recipientID, `{"addresses":["`+anna+`","+35799000002"]}`).Want(t, "another address", 200, "")
	w.user().Do("POST", path, `{"page_token":"`+token+`"}`).Want(t, "after a change", 409, "conflict")
	one, two := w.user().With("Idempotency-Key", "k").Do("POST", path, ""), w.user().With("Idempotency-Key", "k").Do("POST", path, "")
	if one.Text("id") == "" || one.Text("id") != two.Text("id") || two.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%s\n%s", one.Body, two.Body)
	}
}
