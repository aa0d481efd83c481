package day

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// post brings an event to a CRM of one account, signed with a secret.
func post(t *testing.T, c *crm, path, id, secret, body string) int {
	t.Helper()
	signer, err := webhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	signature, err := signer.Sign(id, now, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("webhook-id", id)
	r.Header.Set("webhook-timestamp", fmt.Sprint(now.Unix()))
	r.Header.Set("webhook-signature", signature)
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w.Code
}

func TestTheCRMTakesWhatIsSignedAndKnowsItAgain(t *testing.T) {
	t.Parallel()
	c := newCRM(1)
	if err := c.register(0, "acct_1", func() (string, error) { return secret, nil }); err != nil {
		t.Fatal(err)
	}
	sent := `{"type":"message.sent","account_id":"acct_1","data":{"id":"msg_1"}}`
	received := `{"type":"message.received","account_id":"acct_1","data":{"id":"msg_2","from":"+35799500001","conversation_id":"cnv_1"}}`
	for i, call := range []struct {
		path, id, secret, body string
		want                   int
	}{
		{"/hook/0", "evt_1", secret, sent, 200},
		{"/hook/0", "evt_1", secret, sent, 200},
		{"/hook/0", "evt_2", secret, received, 200},
		{"/hook/0", "evt_3", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", sent, 401},
		{"/hook/0", "evt_4", secret, strings.ReplaceAll(sent, "acct_1", "acct_2"), 401},
		{"/hook/0", "evt_5", secret, "nonsense", 401},
		{"/hook/1", "evt_6", secret, sent, 404},
		{"/", "evt_7", secret, sent, 404},
	} {
		if got := post(t, c, call.path, call.id, call.secret, call.body); got != call.want {
			t.Errorf("call %d: %d, want %d", i+1, got, call.want)
		}
	}
	if got := c.arrived(0); len(got.events) != 2 || got.again != 1 || got.wrong != 3 || got.stumbled != 0 {
		t.Errorf("%+v", got)
	}
	if got := c.counts(0); got != (counts{sent: 1, ended: 1, replies: 1, events: 2}) {
		t.Errorf("%+v", got)
	}
	if e, ok := c.heard(0, "35799500001", 1); !ok || e.Data.ConversationID != "cnv_1" {
		t.Errorf("%+v, %t", e, ok)
	}
	if _, ok := c.heard(0, "35799500001", 2); ok {
		t.Error("a second message that nobody wrote")
	}
}

func TestTheCRMStumblesNowAndThenOverWhatItHasTaken(t *testing.T) {
	t.Parallel()
	c := newCRM(1)
	if err := c.register(0, "acct_1", func() (string, error) { return secret, nil }); err != nil {
		t.Fatal(err)
	}
	body := `{"type":"message.sent","account_id":"acct_1","data":{"id":"msg_1"}}`
	failed := 0
	for i := range 2 * stumbles {
		id := fmt.Sprint("evt_", i)
		status := post(t, c, "/hook/0", id, secret, body)
		if status == http.StatusInternalServerError {
			failed++
			status = post(t, c, "/hook/0", id, secret, body)
		}
		if status != http.StatusOK {
			t.Fatalf("event %d: %d", i, status)
		}
	}
	if got := c.arrived(0); failed != 2 || got.stumbled != 2 || got.again != 2 || len(got.events) != 2*stumbles {
		t.Errorf("%d failed, %d stumbled, %d came again of %d", failed, got.stumbled, got.again, len(got.events))
	}
}
