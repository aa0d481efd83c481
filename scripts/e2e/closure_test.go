//go:build e2e

package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// when an account is closed nothing more is sent, and after the purge it has neither channels nor messages nor
// recipients; what waited never reached the provider. The log of what was done stays, whole.
func TestAClosedAccountLeavesNothing(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 1})
	sent := a.send(order(ch, person(), text(unique("sent "))))
	a.until(sent.ID, 15*time.Second, "read", status("read"))
	held := a.send(order(ch, person(), text(unique("held ")), "on_limit", "hold"))
	a.until(held.ID, 15*time.Second, "held", status("held"))
	a.call(t, http.MethodPost, "/v1/recipients", map[string]any{"addresses": []string{person()}, "name": "Ann"})
	type closure struct {
		Status        string     `json:"status"`
		RequestedAt   timestamp  `json:"requested_at"`
		RequestedBy   string     `json:"requested_by"`
		PurgeAt       timestamp  `json:"purge_at"`
		PurgedAt      *timestamp `json:"purged_at"`
		Conversations int64      `json:"conversations_purged"`
		Canceled      int64      `json:"messages_canceled"`
		Certificate   string     `json:"certificate"`
	}
	a.call(t, http.MethodPost, "/v1/account/closure", map[string]any{"confirm": "acct_other"}).refused(t, http.StatusUnprocessableEntity, "invalid_request")
	now := time.Now().Add(6 * time.Second).UTC().Format("2006-01-02T15:04:05.000Z")
	if c := decode[closure](t, a.call(t, http.MethodPost, "/v1/account/closure", map[string]any{"confirm": a.id, "purge_at": now}), http.StatusAccepted); c.Status != "closing" {
		t.Errorf("closing: %+v", c)
	}
	a.call(t, http.MethodPost, "/v1/messages", order(ch, person(), text("no"))).refused(t, http.StatusForbidden, "account_restricted")
	wait(t, 4*time.Minute, func() (bool, string) {
		c := decode[closure](t, a.call(t, http.MethodGet, "/v1/account/closure", nil), http.StatusOK)
		return c.Status == "closed" && c.Conversations == 2 && c.Canceled == 1, "the account is " + c.Status
	})
	// The certificate can be read by whoever still has a token of the account, and by the operator, and is verified by itself.
	own := a.call(t, http.MethodGet, "/v1/account/closure", nil)
	if out, err := s.verify(t, own.body); err != nil || !strings.Contains(out, "closing of "+a.id+": verified") || !strings.Contains(out, "conversations 2, messages 2, of which canceled 1") {
		t.Errorf("%v: %s", err, out)
	}
	theirs := decode[struct {
		ID        string    `json:"id"`
		PlanID    string    `json:"plan_id"`
		CreatedAt timestamp `json:"created_at"`
		Closure   closure   `json:"closure"`
	}](t, s.operator(t).call(t, http.MethodGet, "/v1/operator/accounts/"+a.id, nil), http.StatusOK)
	if theirs.Closure.Certificate == "" || theirs.Closure.Certificate != decode[closure](t, own, http.StatusOK).Certificate {
		t.Errorf("the operator reads %+v", theirs)
	}
	a.call(t, http.MethodGet, "/v1/messages/"+sent.ID, nil).refused(t, http.StatusNotFound, "not_found")
	a.call(t, http.MethodGet, "/v1/channels/"+ch.ID, nil).refused(t, http.StatusNotFound, "channel_not_found")
	type list struct {
		Items []any `json:"items"`
	}
	for _, path := range []string{"/v1/channels", "/v1/recipients"} {
		if got := decode[list](t, a.call(t, http.MethodGet, path, nil), http.StatusOK); len(got.Items) != 0 {
			t.Errorf("%s still lists %d", path, len(got.Items))
		}
	}
	if calls := s.callsFor(t, held.ID); len(calls) != 0 {
		t.Error("what was held reached the provider")
	}
	path := "/v1/operator/audit-events/verification?account_id=" + a.id
	if v := decode[verification](t, s.operator(t).call(t, http.MethodGet, path, nil), http.StatusOK); !v.Verified || v.Events < 5 || v.From != 1 {
		t.Errorf("the account's log is %+v", v)
	}
}
