//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// A batch has a result for each message; scheduled messages among them go at their time, not before and at most
// seconds after, not when the schedule comes round; one that was moved goes later, and one that was canceled never.
func TestABatchAndItsScheduledMessagesGoWhenTheyAreTo(t *testing.T) {
	t.Parallel()
	a, ch := ready(t, common.shared, plan{Limit: 100})
	at := time.Now().Add(65 * time.Second).UTC().Truncate(time.Millisecond)
	when := func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
	orders := []any{order(ch, person(), text(unique("now "))), order(ch, "+357", text("x"))}
	for i := range 3 {
		orders = append(orders, order(ch, person(), text(unique(fmt.Sprint("later ", i))), "send_at", when(at)))
	}
	type results struct {
		Results []struct {
			Index   int      `json:"index"`
			Message *message `json:"message"`
			Problem *problem `json:"problem"`
		} `json:"results"`
	}
	body := map[string]any{"messages": orders}
	first := a.call(t, http.MethodPost, "/v1/messages/batch", body, "Idempotency-Key", "batch-1")
	got := decode[results](t, first, http.StatusAccepted).Results
	if len(got) != 5 || got[0].Message == nil || got[1].Problem == nil || got[1].Problem.Code != "recipient_invalid" || got[2].Message == nil || got[2].Message.Status != "scheduled" {
		t.Fatalf("the results: %s", first)
	}
	again := a.call(t, http.MethodPost, "/v1/messages/batch", body, "Idempotency-Key", "batch-1")
	if again.header.Get("Idempotency-Replayed") != "true" || decode[results](t, again, http.StatusAccepted).Results[4].Message.ID != got[4].Message.ID {
		t.Errorf("the repeat: %s", again)
	}
	a.until(got[0].Message.ID, 10*time.Second, "read", status("read"))
	kept, moved, canceled := got[2].Message.ID, got[3].Message.ID, got[4].Message.ID
	if m := decode[message](t, a.call(t, http.MethodPatch, "/v1/messages/"+moved, map[string]any{"send_at": when(at.Add(time.Hour))}), http.StatusOK); m.Status != "scheduled" || !m.SendAt.Equal(at.Add(time.Hour)) {
		t.Errorf("the moved message: %v", m)
	}
	if m := decode[message](t, a.call(t, http.MethodPost, "/v1/messages/"+canceled+"/cancel", nil), http.StatusOK); m.Status != "canceled" {
		t.Errorf("the canceled message: %v", m)
	}
	m := a.until(kept, 90*time.Second, "sent", func(m message) bool { return m.TransferCompletedAt != nil })
	if late := m.TransferCompletedAt.Sub(at); late < 0 || late > 30*time.Second {
		t.Errorf("it went %v after its time", late)
	}
	if m := a.message(moved); m.Status != "scheduled" {
		t.Errorf("the moved message is %s", m.Status)
	}
	if calls := common.shared.callsFor(t, canceled); len(calls) != 0 {
		t.Errorf("the canceled message reached the provider")
	}
}
