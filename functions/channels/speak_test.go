package main

import (
	"slices"
	"strings"
	"testing"

	"contactcenter/shared/api/apitest"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/channel"
	"contactcenter/shared/provider/registry"
)

const cannotYet = "can't speak to this provider yet"

// pool gives a native provider a sender.
func (w *world) pool(t *testing.T, providerID, senderID string) {
	t.Helper()
	if _, err := w.providers.PutSender(t.Context(), providerID, registry.Sender{ID: senderID, Address: "+3579900" + senderID}, audittest.ByOperator()); err != nil {
		t.Fatal(err)
	}
}

// adapter is what a channel names as what speaks for it.
func (w *world) adapter(t *testing.T, a apitest.Answer) string {
	t.Helper()
	c, err := w.channels.Get(t.Context(), a.Text("id"))
	if err != nil {
		t.Fatal(err)
	}
	return c.Adapter
}

// the registry alone makes a provider usable, with a kind of channel that nothing else knows. What speaks for a
// channel stays with it, whatever the entry says later.
func TestAnEntryThatNamesAnAdapterMakesChannelsThatWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	user := w.User("acct_1", "user_7")
	e := ednaEntry()
	e.ID, e.Adapter, e.ChannelTypes = "x_chat", "edna", []string{"webchat"}
	w.put(t, e)
	w.pool(t, "x_chat", "2001")

	carries := user.Get("/v1/providers/x_chat/capabilities").Want(t, "capabilities", 200, "")
	if !strings.Contains(carries.Body, `"channel_types":["webchat"]`) || !strings.Contains(carries.Body, `"provider_id":"x_chat"`) {
		t.Errorf("the capabilities are %s", carries.Body)
	}
	created := user.Do("POST", "/v1/channels", `{"provider_id":"x_chat","name":"n","type":"webchat"}`).Want(t, "create", 201, "")
	callback := "https://api.example.com/v1/callbacks/x_chat/" + created.Text("id")
	wantMembers(t, "created", created, map[string]any{"provider_id": "x_chat", "type": "webchat", "callback_url": callback, "setup_steps": nil})
	if got := w.adapter(t, created); got != "edna" {
		t.Errorf("the channel names %q", got)
	}

	e.Adapter = "toy"
	w.put(t, e)
	path := "/v1/channels/" + created.Text("id")
	wantMembers(t, "active", user.Do("POST", path+"/activate", confirmation).Want(t, "activate", 200, ""), map[string]any{"status": "active"})
	if got, want := w.edna.seen(), []string{"2001 " + callback}; !slices.Equal(got, want) {
		t.Errorf("the adapter was asked %q, want %q", got, want)
	}
	if got := w.adapter(t, created); got != "edna" {
		t.Errorf("after another entry and an activation the channel names %q", got)
	}
}

// a channel of a provider that nothing speaks to can be made; it says what it waits for, and is not activated.
func TestAChannelThatNothingSpeaksForWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	user := w.User("acct_1", "user_7")
	e := ednaEntry()
	e.ID = "newcomer"
	w.put(t, e)
	user.Do("POST", "/v1/channels", `{"provider_id":"newcomer","name":"n"}`).Want(t, "create without a sender", 409, "sender_unavailable")
	w.pool(t, "newcomer", "2001")
	created := user.Do("POST", "/v1/channels", `{"provider_id":"newcomer","name":"n"}`).Want(t, "create", 201, "")
	path := "/v1/channels/" + created.Text("id")
	for what, a := range map[string]apitest.Answer{"created": created, "read": user.Get(path), "listed": user.Get("/v1/channels")} {
		if !strings.Contains(a.Body, cannotYet) || !strings.Contains(a.Body, `"status":"inactive"`) {
			t.Errorf("%s: %s", what, a.Body)
		}
	}
	if got := w.adapter(t, created); got != channel.Unspoken {
		t.Errorf("the channel names %q", got)
	}
	refused := user.Do("POST", path+"/activate", confirmation).Want(t, "activate", 409, "provider_disabled")
	if !strings.Contains(refused.Text("detail"), cannotYet) {
		t.Errorf("the answer is %s", refused.Body)
	}
	carries := user.Get("/v1/providers/newcomer/capabilities").Want(t, "capabilities", 409, "provider_disabled")
	if !strings.Contains(carries.Text("detail"), cannotYet) {
		t.Errorf("the answer is %s", carries.Body)
	}
	wantMembers(t, "refused", user.Get(path), map[string]any{"status": "inactive", "activated_at": nil})

	e.Adapter = "edna"
	w.put(t, e)
	wantMembers(t, "spoken to", user.Get(path), map[string]any{"status": "inactive", "setup_steps": nil})
	wantMembers(t, "active", user.Do("POST", path+"/activate", confirmation).Want(t, "activate", 200, ""), map[string]any{"status": "active"})
	if got := w.adapter(t, created); got != "edna" {
		t.Errorf("the active channel names %q", got)
	}
}

// credentials that nobody could try are kept sealed, and are not used before they were tried.
func TestCredentialsThatNobodyCouldTryAreEnteredAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	user := w.User("acct_1", "user_7")
	e := toyEntry()
	e.ID = "newcomer"
	w.put(t, e)
	const body = `{"provider_id":"newcomer","name":"n","credentials":{"bot":"b","token":"canary-wrong"}}`
	created := user.Do("POST", "/v1/channels", body).Want(t, "create", 201, "")
	path := "/v1/channels/" + created.Text("id")
	if !strings.Contains(created.Body, "were not tried") || strings.Contains(created.Body, "canary") {
		t.Errorf("the answer is %s", created.Body)
	}
	if c, err := w.channels.Get(t.Context(), created.Text("id")); err != nil || len(c.SealedCredentials) == 0 {
		t.Errorf("kept is %+v, %v", c, err)
	}
	user.Do("POST", path+"/activate", toyConfirmation).Want(t, "activate", 409, "provider_disabled")
	user.Do("PATCH", path, `{"credentials":{"bot":"b","token":"other"}}`).Want(t, "replace what nobody can try", 200, "")

	e.Adapter = "toy"
	w.put(t, e)
	shown := user.Get(path)
	if !strings.Contains(shown.Body, "Enter the credentials again") {
		t.Errorf("shown is %s", shown.Body)
	}
	refused := user.Do("POST", path+"/activate", toyConfirmation).Want(t, "activate", 409, "credentials_invalid")
	if !strings.Contains(refused.Text("detail"), "never tried") {
		t.Errorf("the answer is %s", refused.Body)
	}
	if len(w.toy.checked) != 0 {
		t.Errorf("the provider was asked %d times", len(w.toy.checked))
	}
	user.Do("PATCH", path, `{"credentials":{"bot":"b","token":"wrong"}}`).Want(t, "enter wrong ones", 409, "credentials_invalid")
	user.Do("POST", path+"/activate", toyConfirmation).Want(t, "activate after wrong ones", 409, "credentials_invalid")
	wantMembers(t, "right ones", user.Do("PATCH", path, `{"credentials":{"bot":"b","token":"`+goodToken+`"}}`).Want(t, "enter right ones", 200, ""),
		map[string]any{"address": "@toy", "setup_steps": nil, "status": "inactive"})
	wantMembers(t, "active", user.Do("POST", path+"/activate", toyConfirmation).Want(t, "activate", 200, ""), map[string]any{"status": "active"})
	if got := w.adapter(t, created); got != "toy" {
		t.Errorf("the active channel names %q", got)
	}
}

// A channel of before channels named what speaks for them is spoken for by what has its provider's id.
func TestAnOlderChannelIsSpokenForByItsProvidersAdapter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	c := channel.Channel{ID: "chn_0000000000000001", AccountID: "acct_1", ProviderID: "edna", Type: "whatsapp", Name: "n", SenderID: "1001"}
	if err := w.channels.Create(t.Context(), c, audittest.By("acct_1")); err != nil {
		t.Fatal(err)
	}
	user := w.User("acct_1", "user_7")
	path := "/v1/channels/" + c.ID
	wantMembers(t, "shown", user.Get(path).Want(t, "read", 200, ""), map[string]any{"setup_steps": nil})
	user.Do("POST", path+"/activate", confirmation).Want(t, "activate", 200, "")
	if len(w.edna.seen()) != 1 {
		t.Errorf("the adapter was asked %q", w.edna.seen())
	}
}
