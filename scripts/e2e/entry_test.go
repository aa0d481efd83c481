//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// entryOf is the body of PUT /v1/operator/providers/{id} for a native provider with one kind of channel.
func entryOf(channelType, adapter string) map[string]any {
	e := map[string]any{
		"name": "Another provider", "legal_entity": "Another Ltd", "website": "https://another.example", "onboarding": "native", "channel_types": []string{channelType},
		"transfer_countries": []string{"CY"}, "documents": []any{}, "terms_version": "1", "status": "enabled", "reason": "a test",
	}
	if adapter != "" {
		e["adapter"] = adapter
	}
	return e
}

// a provider and a kind of channel that nobody knew when the stack was built are added by configuration alone:
// within a minute a channel is created, is activated, sends and is answered.
func TestANewKindOfChannelNeedsConfigurationAlone(t *testing.T) {
	t.Parallel()
	s, op := common.shared, common.shared.operator(t)
	const senderID = 1011 // in nobody's pool
	path := "/v1/operator/providers/x_chat"
	began := time.Now()
	if got := op.call(t, http.MethodPut, path, entryOf("webchat", "edna")); got.status != http.StatusOK {
		t.Fatal(got)
	}
	if got := op.call(t, http.MethodPut, fmt.Sprintf("%s/senders/%d", path, senderID), map[string]any{"address": fmt.Sprintf("+3579900%d", senderID)}); got.status != http.StatusOK {
		t.Fatal(got)
	}
	a := newAccount(t, s, plan{Limit: 100})
	version := a.accept().Version
	created := decode[channel](t, a.call(t, http.MethodPost, "/v1/channels", map[string]any{"provider_id": "x_chat", "type": "webchat", "name": "chat"}), http.StatusCreated)
	t.Cleanup(func() { a.deleteChannel(created.ID) })
	if took := time.Since(began); took > time.Minute || created.Status != "inactive" || created.Type != "webchat" || !strings.Contains(created.CallbackURL, "/v1/callbacks/x_chat/") {
		t.Errorf("after %v: %+v", took, created)
	}
	confirmed := map[string]any{"rules_version": version, "provider_terms_version": "1", "transfer_countries": []string{"CY"}}
	active := decode[channel](t, a.call(t, http.MethodPost, "/v1/channels/"+created.ID+"/activate", confirmed), http.StatusOK)
	if active.Status != "active" {
		t.Fatalf("%+v", active)
	}

	to := person()
	m := a.until(a.send(order(active, to, text(unique("text ")))).ID, 20*time.Second, "read", status("read"))
	if m.ProviderID != "x_chat" || acceptedOnce(t, s.callsFor(t, m.ID)) != 1 {
		t.Errorf("%v", m)
	}
	s.inbound(t, inbound{SenderID: senderID, From: digits(to), Text: "hello"})
	wait(t, 20*time.Second, func() (bool, string) {
		for _, in := range a.messages("conversation_id=" + m.ConversationID) {
			if in.Direction == "inbound" {
				return true, ""
			}
		}
		return false, "no reply is there"
	})
}

// a provider that this software can't speak to yet is listed, and a channel of it can be made and waits.
func TestAProviderThatNothingSpeaksToHasChannelsThatWait(t *testing.T) {
	t.Parallel()
	s, op := common.shared, common.shared.operator(t)
	path := "/v1/operator/providers/x_unspoken"
	if got := op.call(t, http.MethodPut, path, entryOf("webchat", "no_such")); got.status != http.StatusUnprocessableEntity || !strings.Contains(string(got.body), "whatsapp_cloud") {
		t.Errorf("an adapter that there is not: %v", got)
	}
	entry := entryOf("webchat", "")
	entry["onboarding"], entry["credential_fields"] = "own_account", []any{map[string]any{"name": "token", "kind": "secret"}}
	if got := op.call(t, http.MethodPut, path, entry); got.status != http.StatusOK {
		t.Fatal(got)
	}
	a := newAccount(t, s, plan{Limit: 100})
	version := a.accept().Version
	created := decode[channel](t, a.call(t, http.MethodPost, "/v1/channels", ownChannel("x_unspoken", map[string]string{"token": "canary-token"})), http.StatusCreated)
	t.Cleanup(func() { a.deleteChannel(created.ID) })
	if len(created.SetupSteps) != 1 || !strings.Contains(created.SetupSteps[0].Detail, "can't speak to this provider yet") || created.Status != "inactive" {
		t.Errorf("%+v", created)
	}
	confirmed := map[string]any{"rules_version": version, "provider_terms_version": "1", "transfer_countries": []string{"CY"}}
	a.call(t, http.MethodPost, "/v1/channels/"+created.ID+"/activate", confirmed).refused(t, http.StatusConflict, "provider_disabled")
	a.call(t, http.MethodPost, "/v1/messages", order(created, person(), text("x"))).refused(t, http.StatusConflict, "channel_inactive")
}
