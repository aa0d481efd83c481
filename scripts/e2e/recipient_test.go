//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

type optOut struct {
	ChannelID string     `json:"channel_id"`
	Since     *timestamp `json:"since"`
	Source    string     `json:"source"`
}

type recipient struct {
	ID        string     `json:"id"`
	Addresses []string   `json:"addresses"`
	Name      string     `json:"name"`
	Source    string     `json:"source"`
	OptOuts   []optOut   `json:"opt_outs"`
	CreatedAt *timestamp `json:"created_at"`
	UpdatedAt *timestamp `json:"updated_at"`
}

type erasure struct {
	ID          string     `json:"id"`
	RecipientID string     `json:"recipient_id"`
	Status      string     `json:"status"`
	Erased      int64      `json:"messages_erased"`
	Canceled    int64      `json:"messages_canceled"`
	RequestedAt *timestamp `json:"requested_at"`
	CompletedAt *timestamp `json:"completed_at"`
	Certificate string     `json:"certificate"`
}

func (a *account) lookup(t *testing.T, address string) recipient {
	t.Helper()
	return decode[recipient](t, a.call(t, http.MethodPost, "/v1/recipients/lookup", map[string]any{"address": address}), http.StatusOK)
}

// a recipient who writes STOP is recorded, is not written to again on that channel, and hears nothing of it.
func TestStopIsAnOptOutAndSendsNothing(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 100})
	to := person()
	m := a.send(order(ch, to, text(unique("text "))))
	a.until(m.ID, 20*time.Second, "read", status("read"))
	calls := len(s.sendsBy(t, ch.sender(t), 0))
	s.inbound(t, inbound{SenderID: ch.sender(t), From: strings.TrimPrefix(to, "+"), Text: "Stop"})
	wait(t, 20*time.Second, func() (bool, string) {
		r := a.lookup(t, to)
		return len(r.OptOuts) == 1 && r.OptOuts[0].ChannelID == ch.ID && r.OptOuts[0].Source == "recipient", fmt.Sprintf("no opt-out: %+v", r.OptOuts)
	})
	wait(t, 20*time.Second, func() (bool, string) {
		list := decode[list[message]](t, a.call(t, http.MethodGet, "/v1/messages?conversation_id="+m.ConversationID, nil), http.StatusOK)
		return len(list.Items) == 2 && list.Items[0].Direction == "inbound" && list.Items[0].Content.Text != nil && *list.Items[0].Content.Text == "Stop", "the reply is not there"
	})
	a.call(t, http.MethodPost, "/v1/messages", order(ch, to, text("x"))).refused(t, http.StatusUnprocessableEntity, "recipient_opted_out")
	if n := len(s.sendsBy(t, ch.sender(t), 0)); n != calls {
		t.Errorf("the provider was called %d times more", n-calls)
	}
}

// an opt-out that comes after the message was accepted, and before its turn, rejects it and gives its unit back.:
// erasing then cancels what waits, and leaves the states alone of everything.
func TestAnOptOutAndAnErasureReachWhatWaits(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 1})
	to, other := person(), person()
	sent := a.send(order(ch, to, text(unique("canary ")), "client_reference", unique("ref ")))
	a.until(sent.ID, 20*time.Second, "read", status("read"))
	a.untilUsed(20*time.Second, 1)
	held, stays := a.send(order(ch, to, text("held"), "on_limit", "hold")), a.send(order(ch, other, text("kept"), "on_limit", "hold"))
	a.until(held.ID, 60*time.Second, "held", status("held"))
	a.until(stays.ID, 60*time.Second, "held", status("held"))
	r := a.lookup(t, to)
	if got := a.call(t, http.MethodPut, "/v1/recipients/"+a.lookup(t, other).ID+"/opt-outs/"+ch.ID, nil); got.status != http.StatusOK {
		t.Fatalf("%v", got)
	}
	export := a.call(t, http.MethodPost, "/v1/recipients/"+r.ID+"/export", nil)
	if export.status != http.StatusOK || !strings.Contains(string(export.body), sent.ID) || !strings.Contains(string(export.body), held.ID) || strings.Contains(string(export.body), other) || strings.Contains(string(export.body), stays.ID) {
		t.Errorf("%v", export)
	}
	job := decode[erasure](t, a.call(t, http.MethodPost, "/v1/recipients/"+r.ID+"/erase", nil), http.StatusAccepted)
	wait(t, 60*time.Second, func() (bool, string) {
		got := a.call(t, http.MethodGet, "/v1/erasures/"+job.ID, nil)
		return decode[erasure](t, got, http.StatusOK).Status == "done", got.String()
	})
	// the certificate is verified by itself, and names nobody.
	kept := a.call(t, http.MethodGet, "/v1/erasures/"+job.ID, nil)
	if out, err := s.verify(t, kept.body); err != nil || !strings.Contains(out, "erasure "+job.ID+": verified") || !strings.Contains(out, "messages 2, of which canceled 1") {
		t.Errorf("%v: %s", err, out)
	}
	for _, what := range []string{to, r.ID} {
		if said := says(t, decode[erasure](t, kept, http.StatusOK).Certificate); strings.Contains(said, what) {
			t.Errorf("the certificate says %s", said)
		}
	}
	for id, want := range map[string]string{sent.ID: "read", held.ID: "canceled"} {
		got := a.call(t, http.MethodGet, "/v1/messages/"+id, nil)
		m := decode[map[string]any](t, got, http.StatusOK)
		var personal []string
		for _, field := range []string{"to", "content", "content_sha256", "client_reference", "provider_message_id"} {
			if _, ok := m[field]; ok {
				personal = append(personal, field)
			}
		}
		if m["status"] != want || m["erased_at"] == nil || len(personal) > 0 {
			t.Errorf("want %s without %v: %v", want, personal, got)
		}
	}
	a.call(t, http.MethodGet, "/v1/recipients/"+r.ID, nil).refused(t, http.StatusNotFound, "not_found")
	a.call(t, http.MethodPost, "/v1/recipients/lookup", map[string]any{"address": to}).refused(t, http.StatusNotFound, "not_found")
	// Room for what waits: the other recipient opted out meanwhile.
	a.setPlan(s, plan{Limit: 10})
	rejected := a.until(stays.ID, 60*time.Second, "rejected", status("rejected"))
	if rejected.Error == nil || rejected.Error.Code != "recipient_opted_out" {
		t.Errorf("%+v", rejected)
	}
	a.untilUsed(20*time.Second, 1)
	// The sender may have been another channel's before.
	for id, want := range map[string]int{sent.ID: 1, held.ID: 0, stays.ID: 0} {
		if calls := s.callsFor(t, id); len(calls) != want {
			t.Errorf("%d calls for %s, want %d", len(calls), id, want)
		}
	}
}

// of a recipient with name, e-mail and telephone number the provider of a phone channel gets the number and the
// body, and nobody gets anything who was not named in the request.
func TestAProviderGetsNumberAndBodyOnly(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 100})
	to, name, email, body := person(), unique("Anna "), unique("anna")+"@example.com", unique("text ")
	if got := a.call(t, http.MethodPost, "/v1/recipients", map[string]any{"addresses": []string{to, email}, "name": name}); got.status != http.StatusCreated {
		t.Fatalf("%v", got)
	}
	m := a.send(order(ch, to, text(body), "client_reference", unique("reference ")))
	a.until(m.ID, 20*time.Second, "read", status("read"))
	seen := string(s.raw(t, http.MethodGet, fmt.Sprintf("%s/edna/_sim/calls?sender_id=%d", s.sim, ch.sender(t)), nil, nil).body)
	if !strings.Contains(seen, strings.TrimPrefix(to, "+")) || !strings.Contains(seen, body) {
		t.Errorf("the provider saw %s", seen)
	}
	for _, what := range []string{name, email, a.id, m.ClientReference} {
		if strings.Contains(seen, what) {
			t.Errorf("the provider saw %q", what)
		}
	}
	if calls := s.callsFor(t, m.ID); len(calls) != 1 {
		t.Errorf("%d calls", len(calls))
	}
}
