//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

const whatsappCloud = "whatsapp_cloud"

// whatsappNumber are credentials that the simulator takes, for one of its numbers. Each test has a number of its own.
func whatsappNumber(n int) map[string]string {
	return map[string]string{
		"phone_number_id": fmt.Sprintf("1000000000000%02d", n), "waba_id": "200000000000001", "access_token": "local-whatsapp-token",
		"app_secret": "local-whatsapp-app-secret", "verify_token": "canary-verify-token",
	}
}

// whatsappSends are the sends of one message that the simulator saw, without what they all have.
func (s *stack) whatsappSends(t *testing.T, messageID string) []string {
	t.Helper()
	told := s.steer(t, http.MethodGet, whatsappCloud, "calls?path=/messages&request_id="+messageID, nil)
	var out []string
	for _, c := range told["calls"].([]any) {
		request := c.(map[string]any)["request"].(map[string]any)
		if request["messaging_product"] != "whatsapp" || request["biz_opaque_callback_data"] != messageID {
			t.Errorf("sent as %v", request)
		}
		for _, name := range []string{"messaging_product", "recipient_type", "to", "type", "biz_opaque_callback_data"} {
			delete(request, name)
		}
		b, err := json.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	return out
}

// writes lets a person write to a number, so that the reply window is open.
func (s *stack) writes(t *testing.T, number map[string]string, from, text string) {
	t.Helper()
	s.hears(t, whatsappCloud, map[string]any{"sender_id": number["phone_number_id"], "from": from, "text": text})
}

//
func TestWhatsAppCloudTakesCredentialsOnlyWhenMetaDoes(t *testing.T) {
	t.Parallel()
	s := common.shared
	a := newAccount(t, s, plan{Limit: 100})
	a.accept()
	right := whatsappNumber(1)
	for name, wrong := range map[string]map[string]string{
		"another token":        with(right, "access_token", "canary-wrong"),
		"another app's secret": with(right, "app_secret", "canary-wrong"),
		"no number":            with(right, "phone_number_id", "100000000000099"),
		"another account":      with(right, "waba_id", "200000000000002"),
	} {
		p := a.call(t, http.MethodPost, "/v1/channels", ownChannel(whatsappCloud, wrong)).refused(t, http.StatusConflict, "credentials_invalid")
		if p.Detail == "" || strings.Contains(p.Detail, "canary") {
			t.Errorf("%s: %q", name, p.Detail)
		}
	}
	a.call(t, http.MethodPost, "/v1/channels", ownChannel(whatsappCloud, with(right, "verify_token", ""))).refused(t, http.StatusUnprocessableEntity, "credentials_required")
	made := decode[channel](t, a.call(t, http.MethodPost, "/v1/channels", ownChannel(whatsappCloud, right)), http.StatusCreated)
	t.Cleanup(func() { a.deleteChannel(made.ID) })
	// Meta has checked the callback URL, so what is left is only for news of templates.
	if made.Address != "+35799002001" || made.Type != "whatsapp" || made.Status != "inactive" || len(made.SetupSteps) != 1 || made.SetupSteps[0].Value != made.CallbackURL {
		t.Errorf("got %+v", made)
	}
	challenge := made.CallbackURL + "?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="
	if got := s.raw(t, http.MethodGet, challenge+"canary-verify-token", nil, nil); got.status != http.StatusOK || string(got.body) != "1158201444" {
		t.Errorf("Meta's check: %v", got)
	}
	if got := s.raw(t, http.MethodGet, challenge+"other", nil, nil); got.status != http.StatusForbidden || strings.Contains(string(got.body), "1158201444") {
		t.Errorf("somebody else's: %v", got)
	}
	// The new token is known at once.
	other := map[string]any{"credentials": with(right, "verify_token", "canary-other-token")}
	changed := decode[channel](t, a.call(t, http.MethodPatch, "/v1/channels/"+made.ID, other), http.StatusOK)
	if len(changed.SetupSteps) != 1 {
		t.Errorf("after other credentials: %+v", changed)
	}
}

// every form that WhatsApp carries arrives as it was written, and is reported on.
func TestWhatsAppCloudCarriesEveryForm(t *testing.T) {
	t.Parallel()
	s := common.shared
	a := newAccount(t, s, plan{Limit: 100})
	number := whatsappNumber(2)
	ch := a.own(whatsappCloud, number)
	latitude, longitude, choose := 35.1, -33.25, "Choose"
	for name, c := range map[string]struct {
		content content
		want    string
	}{
		"a text":     {text(" “Hi” 👋\r\n <b> "), `{"text":{"body":" “Hi” 👋\r\n <b> "}}`},
		"a picture":  {content{Type: "media", Kind: "image", URL: "https://files.example/a.png?x=%20&y=1", Caption: "yours"}, `{"image":{"caption":"yours","link":"https://files.example/a.png?x=%20&y=1"}}`},
		"a document": {content{Type: "media", Kind: "document", URL: "https://files.example/a.pdf", Filename: "счёт.pdf"}, `{"document":{"filename":"счёт.pdf","link":"https://files.example/a.pdf"}}`},
		"a place":    {content{Type: "location", Latitude: &latitude, Longitude: &longitude, Name: "Office", Address: "St 1"}, `{"location":{"address":"St 1","latitude":35.1,"longitude":-33.25,"name":"Office"}}`},
		"buttons": {
			content{Type: "interactive", Text: &choose, Buttons: []any{map[string]any{"title": "Yes", "id": "yes:1"}}},
			`{"interactive":{"action":{"buttons":[{"reply":{"id":"yes:1","title":"Yes"},"type":"reply"}]},"body":{"text":"Choose"},"type":"button"}}`,
		},
		"a page to open": {
			content{Type: "interactive", Text: &choose, Buttons: []any{map[string]any{"title": "Open", "url": "https://shop.example/?a=1"}}},
			`{"interactive":{"action":{"name":"cta_url","parameters":{"display_text":"Open","url":"https://shop.example/?a=1"}},"body":{"text":"Choose"},"type":"cta_url"}}`,
		},
		"a list": {
			content{Type: "interactive", Text: &choose, List: map[string]any{"button": "Show", "sections": []any{map[string]any{"rows": []any{map[string]any{"id": "t-10", "title": "10:00"}}}}}},
			`{"interactive":{"action":{"button":"Show","sections":[{"rows":[{"id":"t-10","title":"10:00"}]}]},"body":{"text":"Choose"},"type":"list"}}`,
		},
		"a template": {
			content{Type: "template", Name: "order_shipped", Language: "de", Variables: map[string]string{"1": "Ann", "2": "A-7"}},
			`{"template":{"components":[{"parameters":[{"text":"Ann","type":"text"},{"text":"A-7","type":"text"}],"type":"body"}],"language":{"code":"de","policy":"deterministic"},"name":"order_shipped"}}`,
		},
	} {
		to := person()
		if c.content.Type != "template" {
			s.writes(t, number, to, "hello")
		}
		m := a.send(order(ch, to, c.content))
		got := a.until(m.ID, 20*time.Second, "read", status("read"))
		if got.Attempts != 1 || !strings.HasPrefix(got.ProviderMessageID, "wamid.") {
			t.Errorf("%s: %v", name, got)
		}
		if sends := s.whatsappSends(t, m.ID); len(sends) != 1 || unescaped(sends[0]) != c.want {
			t.Errorf("%s: Meta got %s", name, sends)
		}
	}
	to := person()
	s.writes(t, number, to, "hello")
	for name, c := range map[string]content{
		"a text that is too long":         text(strings.Repeat("щ", 4097)),
		"a template without a language":   {Type: "template", Name: "order_shipped"},
		"a recording with a caption":      {Type: "media", Kind: "audio", URL: "https://files.example/a.ogg", Caption: "x"},
		"a button that calls":             {Type: "interactive", Text: &choose, Buttons: []any{map[string]any{"title": "Call", "phone": "+35799123456"}}},
		"buttons of two kinds":            {Type: "interactive", Text: &choose, Buttons: []any{map[string]any{"title": "Yes", "id": "y"}, map[string]any{"title": "Open", "url": "https://x.example"}}},
		"a text of buttons, too long":     {Type: "interactive", Text: ptr(strings.Repeat("x", 1025)), Buttons: []any{map[string]any{"title": "Yes", "id": "y"}}},
		"a letter, which is for e-mail":   {Type: "email", Text: &choose},
		"a file of a kind that is no one": {Type: "media", Kind: "sticker", URL: "https://files.example/a.webp"},
	} {
		if got := a.call(t, http.MethodPost, "/v1/messages", order(ch, to, c)); got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func ptr(s string) *string { return &s }

// unescaped undoes what encoding/json does to signs of HTML.
func unescaped(s string) string {
	return strings.NewReplacer(`\u0026`, "&", `\u003c`, "<", `\u003e`, ">").Replace(s)
}

// what people write, press and choose is read as it was meant; outside of the window only a template goes; a
// person who wants no more gets no more.
func TestWhatsAppCloudRepliesWindowAndOptOuts(t *testing.T) {
	t.Parallel()
	s := common.shared
	a := newAccount(t, s, plan{Limit: 100})
	number := whatsappNumber(3)
	ch := a.own(whatsappCloud, number)
	to := person()
	a.call(t, http.MethodPost, "/v1/messages", order(ch, to, text("hello"))).refused(t, http.StatusUnprocessableEntity, "reply_window_closed")
	m := a.send(order(ch, to, content{Type: "template", Name: "appointment", Language: "en_US", Variables: map[string]string{"first_name": "Ann", "day": "Monday"}}))
	a.until(m.ID, 20*time.Second, "read", status("read"))

	seen := map[string]bool{}
	for _, c := range []struct {
		in   map[string]any
		want string
	}{
		{map[string]any{"text": " thanks 👋\r\n", "reply_to_request_id": m.ID}, "text| thanks 👋\r\n||||" + m.ID},
		{map[string]any{"type": "button", "text": "Later", "payload": "LATER-1"}, "text|Later|LATER-1|||"},
		{map[string]any{"type": "list_reply", "text": "10:00", "payload": "t-10"}, "text|10:00|t-10|||"},
		{map[string]any{"type": "image", "content": map[string]any{"id": "1003", "mime_type": "image/jpeg", "caption": "look"}}, "media|||image|1003|"},
		{map[string]any{"type": "reaction", "content": map[string]any{"message_id": "wamid.x", "emoji": "👍"}}, "other|||||"},
	} {
		c.in["sender_id"], c.in["from"] = number["phone_number_id"], to
		c.in["id"] = "wamid." + unique("")
		s.hears(t, whatsappCloud, c.in)
		s.hears(t, whatsappCloud, c.in) // twice, and kept once
		var replies []message
		for _, r := range a.messages("conversation_id=" + m.ConversationID) {
			if r.Direction == "inbound" && !seen[r.ID] {
				seen[r.ID] = true
				replies = append(replies, a.message(r.ID))
			}
		}
		if len(replies) != 1 {
			t.Fatalf("%v: %d replies", c.in, len(replies))
		}
		r, said := replies[0], ""
		if r.Content.Text != nil {
			said = *r.Content.Text
		}
		if got := strings.Join([]string{r.Content.Type, said, r.Content.Payload, r.Content.Kind, r.Content.MediaID, r.ReplyTo}, "|"); got != c.want || r.From != to {
			t.Errorf("%v was read as %q, from %s", c.in, got, r.From)
		}
	}
	// The window is open now, and a reply can be answered.
	var asked string
	for id := range seen {
		asked = id
	}
	answer := a.send(order(ch, to, text("welcome"), "reply_to", asked))
	a.until(answer.ID, 20*time.Second, "read", status("read"))
	if sends := s.whatsappSends(t, answer.ID); len(sends) != 1 || !strings.Contains(sends[0], `"context":{"message_id":"wamid.`) {
		t.Errorf("the answer went as %s", sends)
	}
	// So can a person whose number is not told.
	nameless := "CY." + unique("")
	s.writes(t, number, nameless, "hello")
	hello := a.send(order(ch, nameless, text("welcome")))
	a.until(hello.ID, 20*time.Second, "read", status("read"))
	if sends := s.whatsappSends(t, hello.ID); len(sends) != 1 || !strings.Contains(sends[0], `"recipient":"`+nameless+`"`) {
		t.Errorf("to a person without a number it went as %s", sends)
	}
	if replies := a.messages("conversation_id=" + hello.ConversationID); len(replies) != 2 || replies[1].From != nameless {
		t.Errorf("the conversation is %v", replies)
	}
	a.call(t, http.MethodPost, "/v1/messages", order(ch, "cy.1349", text("x"))).refused(t, http.StatusUnprocessableEntity, "recipient_invalid")
	s.writes(t, number, to, "STOP")
	a.call(t, http.MethodPost, "/v1/messages", order(ch, to, text("more"))).refused(t, http.StatusUnprocessableEntity, "recipient_opted_out")

	// What only the provider knows: it fails marketing to a person who pressed "stop marketing messages".
	other := person()
	s.steer(t, http.MethodPost, whatsappCloud, "inbound", map[string]any{"sender_id": number["phone_number_id"], "from": other, "type": "user_preferences", "payload": "stop"})
	sale := content{Type: "template", Name: "welcome", Language: "en_US", Variables: map[string]string{"header.1": "Bob"}}
	late := a.until(a.send(order(ch, other, sale)).ID, 20*time.Second, "failed", status("failed"))
	if late.code() != "recipient_opted_out" || late.Error.ProviderCode != "131050" || late.Error.FaultDomain != "recipient" {
		t.Errorf("%v", late)
	}
	wait(t, 10*time.Second, func() (bool, string) {
		got := a.call(t, http.MethodPost, "/v1/messages", order(ch, other, sale))
		return got.status == http.StatusUnprocessableEntity && strings.Contains(string(got.body), "recipient_opted_out"), got.String()
	})
}

func TestWhatsAppCloudFailures(t *testing.T) {
	t.Parallel()
	s := common.shared
	a := newAccount(t, s, plan{Limit: 100})
	number := whatsappNumber(4)
	ch := a.own(whatsappCloud, number)
	behave := func(b map[string]any) {
		b["sender_id"] = number["phone_number_id"]
		s.steer(t, http.MethodPut, whatsappCloud, "behaviour", b)
	}
	t.Cleanup(func() { behave(map[string]any{}) })
	shipped := func(name string) content {
		return content{Type: "template", Name: name, Language: "en_US", Variables: map[string]string{"1": "Ann", "2": "7"}}
	}
	for what, want := range map[string]string{"no_such": "132001", "resting": "132015", "welcome": "132000"} {
		got := a.until(a.send(order(ch, person(), shipped(what))).ID, 20*time.Second, "failed", status("failed"))
		if got.code() != "provider_refused" || got.Error.ProviderCode != want || got.Attempts != 1 || got.Error.FaultDomain != "customer" {
			t.Errorf("%s: %v", what, got)
		}
	}
	a.untilUsed(20*time.Second, 0)

	// It is found out late that somebody does not use WhatsApp.
	behave(map[string]any{"statuses": []string{"sent", "failed"}, "status_error": "131026"})
	got := a.until(a.send(order(ch, person(), shipped("order_shipped"))).ID, 20*time.Second, "failed", status("failed"))
	if got.code() != "recipient_invalid" || got.Error.ProviderCode != "131026" {
		t.Errorf("%v", got)
	}
	// There is no key against repeats: a lost answer is not followed by a second message; proof of delivery corrects it.
	behave(map[string]any{"drop_answer": true, "callbacks": false})
	lost := a.send(order(ch, person(), shipped("order_shipped")))
	if got := a.until(lost.ID, 20*time.Second, "unknown", status("unknown")); got.code() != "outcome_unknown" {
		t.Errorf("%v", got)
	}
	if n := len(s.whatsappSends(t, lost.ID)); n != 1 {
		t.Errorf("%d sends of a message whose answer was lost", n)
	}
	behave(map[string]any{"drop_answer": true})
	a.until(a.send(order(ch, person(), shipped("order_shipped"))).ID, 20*time.Second, "read", status("read"))
	// Without the echo of our id, statuses find the message by Meta's.
	behave(map[string]any{"no_echo": true})
	a.until(a.send(order(ch, person(), shipped("order_shipped"))).ID, 20*time.Second, "read", status("read"))
	// The limit of one pair holds up nobody else on the channel.
	behave(map[string]any{"fail_status": 400, "error_code": 131056})
	limited := a.send(order(ch, person(), shipped("order_shipped")))
	wait(t, 20*time.Second, func() (bool, string) { return len(s.whatsappSends(t, limited.ID)) >= 1, "no call" })
	behave(map[string]any{})
	begin := time.Now()
	a.until(a.send(order(ch, person(), shipped("order_shipped"))).ID, 20*time.Second, "read", status("read"))
	if d := time.Since(begin); d > 30*time.Second {
		t.Errorf("another recipient waited %v", d)
	}
	if got := a.until(limited.ID, 60*time.Second, "read", status("read")); got.Attempts < 2 {
		t.Errorf("%v", got)
	}
	// A token that Meta takes no longer takes the channel out of use.
	behave(map[string]any{"fail_status": 400, "error_code": 190})
	if got := a.until(a.send(order(ch, person(), shipped("order_shipped"))).ID, 20*time.Second, "failed", status("failed")); got.code() != "credentials_invalid" {
		t.Errorf("%v", got)
	}
	if shown := decode[channel](t, a.call(t, http.MethodGet, "/v1/channels/"+ch.ID, nil), http.StatusOK); shown.Status != "credentials_invalid" {
		t.Errorf("%+v", shown)
	}
}

// The list of templates is Meta's; news of one come once the app's own callback URL is set by hand, as the setup step says.
func TestWhatsAppCloudTemplates(t *testing.T) {
	t.Parallel()
	s := common.shared
	a := newAccount(t, s, plan{Limit: 100})
	number := whatsappNumber(5)
	ch := a.own(whatsappCloud, number)
	list := func() map[string]string {
		t.Helper()
		out := map[string]string{}
		for _, x := range decode[templates](t, a.call(t, http.MethodGet, "/v1/channels/"+ch.ID+"/templates", nil), http.StatusOK).Items {
			out[x.Name+" "+x.Language] = x.Status + " " + strings.Join(x.Variables, ",")
		}
		return out
	}
	states := list()
	for name, want := range map[string]string{
		"sale en_US": "approved header.image,1,button.1,button.2.coupon_code", "order_shipped de": "approved 1,2", "resting en_US": "paused ", "refused en_US": "rejected ",
		"in_review en_US": "pending ",
	} {
		if states[name] != want {
			t.Errorf("%s: %q", name, states[name])
		}
	}
	s.steer(t, http.MethodPut, whatsappCloud, "webhook", map[string]any{"callback_url": ch.SetupSteps[0].Value, "verify_token": number["verify_token"]})
	decide := func(status string) {
		t.Helper()
		s.steer(t, http.MethodPut, whatsappCloud, "template", map[string]any{"name": "in_review", "language": "en_US", "status": status})
	}
	decide("APPROVED")
	t.Cleanup(func() { decide("PENDING") })
	if got := list()["in_review en_US"]; got != "approved " {
		t.Errorf("after its approval: %q", got)
	}
	m := a.send(order(ch, person(), content{Type: "template", Name: "in_review", Language: "en_US"}))
	a.until(m.ID, 10*time.Second, "read", status("read"))
}

// R-P.3.
func TestWhatsAppCloudCallbacksNeedMetasSignature(t *testing.T) {
	t.Parallel()
	s := common.shared
	a := newAccount(t, s, plan{Limit: 100})
	ch := a.own(whatsappCloud, whatsappNumber(6))
	body := []byte(`{"object":"whatsapp_business_account","entry":[]}`)
	for name, signature := range map[string]string{"none": "", "wrong": "sha256=" + strings.Repeat("0", 64)} {
		h := http.Header{"Content-Type": {"application/json"}}
		if signature != "" {
			h.Set("X-Hub-Signature-256", signature)
		}
		if got := s.raw(t, http.MethodPost, ch.CallbackURL, h, body); got.status != http.StatusUnauthorized {
			t.Errorf("%s: %v", name, got)
		}
	}
}
