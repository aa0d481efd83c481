package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"contactcenter/shared/account"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/channel"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/restriction"
	"contactcenter/shared/rules"
	"contactcenter/shared/usage"
)

func confirm(accountID string, more string) string {
	return fmt.Sprintf(`{"confirm":%q%s}`, accountID, more)
}

// a user of the account closes it: everything is held at once, until it is taken back or purged.
func TestAnAccountIsClosedAtOnceAndCanBeReopenedUntilItIsPurged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.User("acct_1", "user_7")
	user.Get("/v1/account/closure").Want(t, "before", 404, "not_found")
	for name, body := range map[string]string{
		"without a word": `{}`, "with another account's id": confirm("acct_2", ""), "in the past": confirm("acct_1", `,"purge_at":"2026-11-24T09:00:00.000Z"`),
		"too far ahead": confirm("acct_1", `,"purge_at":"2026-12-24T09:00:00.000Z"`), "with a field that nobody knows": confirm("acct_1", `,"now":true`),
	} {
		user.Do("POST", "/v1/account/closure", body).Want(t, name, 422, "invalid_request")
	}
	if st, err := w.accounts.Standing(t.Context(), "acct_1", true); err != nil || len(st.Restrictions) != 0 {
		t.Fatalf("what was refused restricts: %v, %v", st.Restrictions, err)
	}
	first := user.Do("POST", "/v1/account/closure", confirm("acct_1", "")).Want(t, "close", 202, "")
	if first.Text("status") != "closing" || first.Text("purge_at") != "2026-12-01T10:00:00.000Z" || first.Text("requested_by") != "user_7" {
		t.Errorf("closing: %s", first.Body)
	}
	w.clock.Pass(time.Minute)
	if again := user.Do("POST", "/v1/account/closure", confirm("acct_1", `,"purge_at":"2026-11-25T10:00:00.000Z"`)).Want(t, "again", 202, ""); again.Body != first.Body {
		t.Errorf("closed twice: %s", again.Body)
	}
	st, err := w.accounts.Standing(t.Context(), "acct_1", true)
	if err != nil || len(st.Restrictions) != 1 || st.Restrictions[0].Clause != "14" || !st.Restrictions[0].Closure {
		t.Fatalf("restricted by %+v, %v", st.Restrictions, err)
	}
	if _, blocked := st.Restrictions.Blocking(restriction.Way{}); !blocked {
		t.Error("a closing account may send")
	}
	if g, err := w.gates.Read(t.Context(), "acct_1", true); err != nil || !g.Blocked {
		t.Errorf("its gate is open: %v", err)
	}
	out, err := w.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &w.erasures, MaxNumberOfMessages: 10})
	if err != nil || len(out.Messages) == 0 || *out.Messages[0].Body != `{"account_id":"acct_1","erasure_id":"account"}` {
		t.Errorf("the purge is not queued: %v", err)
	}
	user.Do("DELETE", "/v1/account/closure", "").Want(t, "reopen", 204, "")
	user.Do("DELETE", "/v1/account/closure", "").Want(t, "reopen again", 204, "")
	if st, err = w.accounts.Standing(t.Context(), "acct_1", true); err != nil || len(st.Restrictions) != 0 {
		t.Errorf("still restricted: %+v, %v", st.Restrictions, err)
	}
	if got := user.Get("/v1/account/closure").Want(t, "after", 200, ""); got.Text("status") != "canceled" {
		t.Errorf("after: %s", got.Body)
	}
	user.Do("POST", "/v1/account/closure", confirm("acct_1", "")).Want(t, "close once more", 202, "")
	var actions []string
	for _, e := range audittest.Of(t, w.audit, "acct_1") {
		actions = append(actions, e.Action)
	}
	if got := strings.Join(actions, " "); !strings.Contains(got, "account.closing") || !strings.Contains(got, "account.reopened") {
		t.Errorf("the log holds %s", got)
	}
	if _, err := w.accounts.Find(t.Context(), "acct_2"); err == nil {
		t.Error("another account was touched")
	}
}

// when the purge has begun nobody can take it back.
func TestAnAccountThatIsBeingPurgedStaysClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.User("acct_1", "user_7")
	user.Do("POST", "/v1/account/closure", confirm("acct_1", `,"purge_at":"2026-11-24T10:00:00.000Z"`)).Want(t, "close", 202, "")
	c, err := w.accounts.Closure(t.Context(), "acct_1")
	if err != nil {
		t.Fatal(err)
	}
	c.Status = account.Purging
	if err := w.accounts.Advance(t.Context(), &c, account.Closing); err != nil {
		t.Fatal(err)
	}
	user.Do("DELETE", "/v1/account/closure", "").Want(t, "reopen", 409, "conflict")
	if st, err := w.accounts.Standing(t.Context(), "acct_1", true); err != nil || len(st.Restrictions) != 1 {
		t.Errorf("restricted by %+v, %v", st.Restrictions, err)
	}
	c.Status, c.Certificate, c.PurgedAt = account.Closed, "a.b.c", w.clock.Now()
	if err := w.accounts.Advance(t.Context(), &c, account.Purging); err != nil {
		t.Fatal(err)
	}
	if got := user.Get("/v1/account/closure").Want(t, "after", 200, ""); got.Text("certificate") != "a.b.c" || got.Text("status") != "closed" {
		t.Errorf("its last users see %s", got.Body)
	}
}

// the account's record of processing names the agreements, the sub-processors with their countries and what was
// confirmed of them, the categories of data, and for how long it is kept.
func TestTheRecordOfProcessingNamesAgreementsAndSubProcessors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plan(t, 10, usage.Month)
	if _, err := w.providers.Put(t.Context(), registry.Entry{
		ID: "edna", Name: "Instant WhatsApp", LegalEntity: "MF Management Ltd", Website: "https://edna.io", ChannelTypes: []string{"whatsapp"}, TransferCountries: []string{"CY"}, TermsVersion: "1", Status: registry.Enabled,
	}, audittest.ByOperator()); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"chn_0000000000000001", "chn_0000000000000002"} {
		c := channel.Channel{ID: name, AccountID: "acct_1", ProviderID: "edna", Type: "whatsapp", Name: "Shop", CreatedAt: w.clock.Now()}
		if err := w.channels.Create(t.Context(), c, audittest.By("acct_1")); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			if _, err := w.channels.Delete(t.Context(), name, w.clock.Now(), audittest.By("acct_1")); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.publish(t, rules.Version{Version: "2026-11-01", EffectiveAt: w.clock.Now().Add(-time.Hour)})
	if err := w.rules.Accept(t.Context(), rules.Acceptance{ID: "acc_1", AccountID: "acct_1", RulesVersion: "2026-11-01", Capacity: rules.Self, At: w.clock.Now(), UserID: "user_7", Documents: []rules.Document{{ID: "dpa", Version: "7", SHA256: strings.Repeat("a", 64)}}}, audittest.By("acct_1")); err != nil {
		t.Fatal(err)
	}
	got := w.User("acct_1", "user_7").Get("/v1/account/processing-record").Want(t, "the record", 200, "")
	for _, want := range []string{`"id":"dpa"`, `"version":"7"`, `"legal_entity":"MF Management Ltd"`, `"transfer_countries":["CY"]`, `"chn_0000000000000001"`, `"deleted":true`, `"retention_days":365`, `"subjects":"End recipients"`} {
		if !strings.Contains(got.Body, want) {
			t.Errorf("%s is not in %s", want, got.Body)
		}
	}
	if other := w.User("acct_2", "user_9").Get("/v1/account/processing-record").Want(t, "another's", 200, ""); strings.Contains(other.Body, "chn_") || strings.Contains(other.Body, "acc_1") {
		t.Errorf("another account sees %s", other.Body)
	}
}
