//go:build e2e

package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// R-4.1c: while messages wait and one is scheduled, the account forbids the country that its provider takes data to. No call leaves later
// than 5 s after; what waited ends as rejected, new messages and activations are refused, and all goes on without the list.
func TestWhatWaitsIsRejectedOnceItsCountryIsForbidden(t *testing.T) {
	t.Parallel()
	const waiting = 20
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 1000, Rate: 1, Burst: 1})
	other := decode[channel](t, a.call(t, http.MethodPost, "/v1/channels", map[string]any{"provider_id": "edna", "name": "other"}), http.StatusCreated)
	t.Cleanup(func() { a.deleteChannel(other.ID) })
	before := s.lastCall(t)
	var ids []string
	for range waiting {
		ids = append(ids, a.send(order(ch, person(), text(unique("text ")))).ID)
	}
	at := time.Now().Add(12 * time.Second).UTC()
	ids = append(ids, a.send(order(ch, person(), text(unique("text ")), "send_at", at.Format("2006-01-02T15:04:05.000Z"))).ID)
	allow := func(countries any) {
		t.Helper()
		if got := a.call(t, http.MethodPatch, "/v1/account", map[string]any{"allowed_transfer_countries": countries}); got.status != http.StatusOK {
			t.Fatal(got)
		}
	}
	allow([]string{"DE", "FR"})
	forbidden := time.Now()
	p := a.call(t, http.MethodPost, "/v1/messages", order(ch, person(), text("x"))).refused(t, http.StatusUnprocessableEntity, "transfer_country_not_allowed")
	if p.FaultDomain != "customer" || len(p.Errors) != 1 || !strings.HasSuffix(p.Errors[0].Detail, "CY") {
		t.Errorf("the refusal is %+v", p)
	}
	batch := a.call(t, http.MethodPost, "/v1/messages/batch", map[string]any{"messages": []any{order(ch, person(), text("x"))}})
	if batch.status != http.StatusAccepted || !strings.Contains(string(batch.body), `"code":"transfer_country_not_allowed"`) {
		t.Errorf("in a batch: %v", batch)
	}
	a.call(t, http.MethodPost, "/v1/channels/"+other.ID+"/activate", a.confirmations(a.message(ids[0]).RulesVersion)).refused(t, http.StatusUnprocessableEntity, "transfer_country_not_allowed")
	rejected := 0
	for _, id := range ids {
		if m := a.until(id, time.Minute, "over", (message).final); m.Status == "rejected" {
			rejected++
			if m.code() != "transfer_country_not_allowed" || m.Error.FaultDomain != "customer" || len(s.callsFor(t, id)) != 0 {
				t.Errorf("it ended as %v", m)
			}
		}
	}
	if last := a.message(ids[waiting]); last.Status != "rejected" || rejected < waiting/2 {
		t.Errorf("%d of %d were rejected, the scheduled one is %v", rejected, waiting, last)
	}
	for _, c := range s.sendsBy(t, ch.sender(t), before) {
		if late := c.At.Sub(forbidden); late > 5*time.Second {
			t.Errorf("a call left %v after the country was forbidden", late)
		}
	}
	if got := decode[channel](t, a.call(t, http.MethodGet, "/v1/channels/"+ch.ID, nil), http.StatusOK); got.Status != "active" {
		t.Errorf("the channel is %s", got.Status)
	}
	allow(nil)
	a.until(a.send(order(ch, person(), text(unique("text ")))).ID, 20*time.Second, "read", status("read"))
	a.untilUsed(20*time.Second, int64(waiting+1-rejected+1))
	t.Logf("%d of %d were rejected", rejected, waiting+1)
}
