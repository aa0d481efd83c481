//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// twilioSMS are credentials that the simulator takes, for one of its numbers. Each test has a number of its own.
func twilioSMS(number int) map[string]string {
	return map[string]string{
		"account_sid": "AC00000000000000000000000000000001", "auth_token": "local-twilio-auth-token", "sender": fmt.Sprintf("+1555010%04d", 1000+number),
	}
}

// twilioForms are the sends of one message that the simulator saw.
func (s *stack) twilioForms(t *testing.T, messageID string) []url.Values {
	t.Helper()
	told := s.steer(t, http.MethodGet, "twilio_sms", "calls?request_id="+messageID, nil)
	var out []url.Values
	for _, c := range told["calls"].([]any) {
		form, err := url.ParseQuery(c.(map[string]any)["request"].(string))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, form)
	}
	return out
}

//
func TestTwilioSMSTakesCredentialsOnlyWhenTwilioDoes(t *testing.T) {
	t.Parallel()
	s := common.shared
	a := newAccount(t, s, plan{Limit: 100})
	a.accept()
	right := twilioSMS(1)
	for name, wrong := range map[string]map[string]string{
		"another token":             with(right, "auth_token", "canary-wrong"),
		"another account":           with(right, "account_sid", "AC00000000000000000000000000000009"),
		"a number of somebody else": with(right, "sender", "+15550109999"),
		"a number for calls":        with(right, "sender", "+15550101099"),
	} {
		p := a.call(t, http.MethodPost, "/v1/channels", ownChannel("twilio_sms", wrong)).refused(t, http.StatusConflict, "credentials_invalid")
		if p.Detail == "" || strings.Contains(p.Detail, "canary") {
			t.Errorf("%s: %q", name, p.Detail)
		}
	}
	a.call(t, http.MethodPost, "/v1/channels", ownChannel("twilio_sms", with(right, "sender", ""))).refused(t, http.StatusUnprocessableEntity, "credentials_required")
	service := decode[channel](t, a.call(t, http.MethodPost, "/v1/channels", ownChannel("twilio_sms", with(right, "sender", "MG00000000000000000000000000000001"))), http.StatusCreated)
	t.Cleanup(func() { a.deleteChannel(service.ID) })
	if len(service.SetupSteps) != 2 || service.SetupSteps[0].Value != service.CallbackURL || service.Address != "" {
		t.Errorf("a service: %+v", service)
	}
	number := decode[channel](t, a.call(t, http.MethodPost, "/v1/channels", ownChannel("twilio_sms", right)), http.StatusCreated)
	t.Cleanup(func() { a.deleteChannel(number.ID) })
	if len(number.SetupSteps) != 0 || number.Address != right["sender"] || number.Type != "sms" || number.Status != "inactive" {
		t.Errorf("a number: %+v", number)
	}
}

// every form that SMS carries arrives as it was written, and is reported on.
func TestTwilioSMSCarriesEveryForm(t *testing.T) {
	t.Parallel()
	s := common.shared
	a := newAccount(t, s, plan{Limit: 100})
	ch := a.own("twilio_sms", twilioSMS(2))
	to := person()
	long := strings.Repeat("щ", 1600)
	for name, c := range map[string]struct {
		content content
		want    url.Values
	}{
		"a text":            {text(" “Hi” 👋\r\n\x00 <b> "), url.Values{"Body": {" “Hi” 👋\r\n\x00 <b> "}}},
		"a long text":       {text(long), url.Values{"Body": {long}}},
		"a picture":         {content{Type: "media", Kind: "image", URL: "https://files.example/a.png?x=%20", Caption: "yours"}, url.Values{"MediaUrl": {"https://files.example/a.png?x=%20"}, "Body": {"yours"}}},
		"a document, alone": {content{Type: "media", Kind: "document", URL: "https://files.example/a.pdf"}, url.Values{"MediaUrl": {"https://files.example/a.pdf"}}},
		"a template": {
			content{Type: "template", Name: "HX00000000000000000000000000000001", Variables: map[string]string{"1": "Ann", "2": "A-7"}},
			url.Values{"ContentSid": {"HX00000000000000000000000000000001"}, "ContentVariables": {`{"1":"Ann","2":"A-7"}`}},
		},
	} {
		m := a.send(order(ch, to, c.content))
		got := a.until(m.ID, 20*time.Second, "delivered", status("delivered"))
		if got.Attempts != 1 || !strings.HasPrefix(got.ProviderMessageID, "SM") && !strings.HasPrefix(got.ProviderMessageID, "MM") {
			t.Errorf("%s: %v", name, got)
		}
		sends := s.twilioForms(t, m.ID)
		if len(sends) != 1 {
			t.Fatalf("%s: %d sends", name, len(sends))
		}
		want := url.Values{"To": {to}, "From": {ch.Address}, "SmartEncoded": {"false"}, "StatusCallback": {ch.CallbackURL + "?message_id=" + m.ID}}
		for k, v := range c.want {
			want[k] = v
		}
		if sends[0].Encode() != want.Encode() {
			t.Errorf("%s: Twilio got %s", name, sends[0].Encode())
		}
	}
	for name, c := range map[string]content{
		"a text that is too long":  text(long + "щ"),
		"a file with a name":       {Type: "media", Kind: "document", URL: "https://files.example/a.pdf", Filename: "a.pdf"},
		"a template of a language": {Type: "template", Name: "HX00000000000000000000000000000001", Language: "en"},
	} {
		p := a.call(t, http.MethodPost, "/v1/messages", order(ch, to, c)).refused(t, http.StatusUnprocessableEntity, "content_not_supported")
		if p.Detail == "" {
			t.Errorf("%s: %+v", name, p)
		}
	}
	a.untilUsed(20*time.Second, 5)
}

func TestTwilioSMSRepliesAndOptOuts(t *testing.T) {
	t.Parallel()
	s := common.shared
	a := newAccount(t, s, plan{Limit: 100})
	ch := a.own("twilio_sms", twilioSMS(3))
	to := person()
	m := a.send(order(ch, to, text("hello")))
	a.until(m.ID, 20*time.Second, "delivered", status("delivered"))
	said := " thanks 👋\r\n"
	in := map[string]any{"sender_id": ch.Address, "from": to, "text": said, "sid": "SM" + strings.Repeat("a", 32)}
	s.hears(t, "twilio_sms", in)
	s.hears(t, "twilio_sms", in)
	s.hears(t, "twilio_sms", map[string]any{"sender_id": ch.Address, "from": to, "text": "look", "media": []map[string]string{
		{"url": "https://api.twilio.com/x/Media/ME" + strings.Repeat("1", 32), "content_type": "image/jpeg"}, {"url": "https://api.twilio.com/x/2", "content_type": "text/vcard"},
	}})
	var got []string
	for _, r := range a.messages("conversation_id=" + m.ConversationID) {
		switch {
		case r.Direction != "inbound":
		case r.Content.Type == "text":
			got = append(got, *r.Content.Text)
		default:
			got = append(got, r.Content.Kind+" "+r.Content.Caption+" "+r.Content.MIMEType)
		}
		if r.Direction == "inbound" && r.From != to {
			t.Errorf("%v", r)
		}
	}
	if text := strings.Join(got, "|"); len(got) != 3 || !strings.Contains(text, said) || !strings.Contains(text, "image look image/jpeg") || !strings.Contains(text, "document  text/vcard") {
		t.Errorf("replies: %q", got)
	}

	// The recipient's own word, and Twilio's refusal of one who said it elsewhere.
	s.hears(t, "twilio_sms", map[string]any{"sender_id": ch.Address, "from": to, "text": "STOP"})
	a.call(t, http.MethodPost, "/v1/messages", order(ch, to, text("more"))).refused(t, http.StatusUnprocessableEntity, "recipient_opted_out")
	blocked := a.send(order(ch, "+15005550004", text("hello")))
	if f := a.until(blocked.ID, 20*time.Second, "failed", status("failed")); f.code() != "recipient_opted_out" || f.Error.ProviderCode != "21610" || f.Error.FaultDomain != "recipient" {
		t.Errorf("%v", f)
	}
	a.call(t, http.MethodPost, "/v1/messages", order(ch, "+15005550004", text("more"))).refused(t, http.StatusUnprocessableEntity, "recipient_opted_out")
}

func TestTwilioSMSFailures(t *testing.T) {
	t.Parallel()
	s := common.shared
	a := newAccount(t, s, plan{Limit: 100})
	ch := a.own("twilio_sms", twilioSMS(4))
	for to, want := range map[string][2]string{
		"+15005550001": {"recipient_invalid", "21211"}, "+15005550002": {"provider_refused", "21612"}, "+15005550003": {"provider_refused", "21408"}, "+15005550009": {"recipient_invalid", "21614"},
	} {
		got := a.until(a.send(order(ch, to, text("x"))).ID, 20*time.Second, "failed", status("failed"))
		if got.code() != want[0] || got.Error.ProviderCode != want[1] || got.Attempts != 1 {
			t.Errorf("%s: %v", to, got)
		}
	}
	a.untilUsed(20*time.Second, 0)
	behave := func(b map[string]any) {
		b["sender_id"] = ch.Address
		s.steer(t, http.MethodPut, "twilio_sms", "behaviour", b)
	}
	t.Cleanup(func() { behave(map[string]any{}) })

	behave(map[string]any{"statuses": []string{"queued", "sent", "undelivered"}, "status_error": "30006"})
	got := a.until(a.send(order(ch, person(), text("x"))).ID, 20*time.Second, "failed", status("failed"))
	if got.code() != "recipient_invalid" || got.Error.ProviderCode != "30006" || got.Error.FaultDomain != "recipient" {
		t.Errorf("%v", got)
	}
	// Twilio has no key against repeats: a lost answer is not followed by a second message.
	behave(map[string]any{"drop_answer": true, "callbacks": false})
	lost := a.send(order(ch, person(), text("x")))
	if got := a.until(lost.ID, 20*time.Second, "unknown", status("unknown")); got.code() != "outcome_unknown" {
		t.Errorf("%v", got)
	}
	if n := len(s.twilioForms(t, lost.ID)); n != 1 {
		t.Errorf("%d sends of a message whose answer was lost", n)
	}
	// With callbacks, proof of delivery corrects it.
	behave(map[string]any{"drop_answer": true})
	a.until(a.send(order(ch, person(), text("x"))).ID, 20*time.Second, "delivered", status("delivered"))
	// A full queue passes.
	behave(map[string]any{"queue_full": true})
	full := a.send(order(ch, person(), text("x")))
	wait(t, 20*time.Second, func() (bool, string) { return len(s.twilioForms(t, full.ID)) >= 1, "no call" })
	behave(map[string]any{})
	if got := a.until(full.ID, 60*time.Second, "delivered", status("delivered")); got.Attempts < 2 {
		t.Errorf("%v", got)
	}
	// Credentials that Twilio takes no longer take the channel out of use.
	behave(map[string]any{"fail_status": 401})
	if got := a.until(a.send(order(ch, person(), text("x"))).ID, 20*time.Second, "failed", status("failed")); got.code() != "credentials_invalid" {
		t.Errorf("%v", got)
	}
	if shown := decode[channel](t, a.call(t, http.MethodGet, "/v1/channels/"+ch.ID, nil), http.StatusOK); shown.Status != "credentials_invalid" {
		t.Errorf("%+v", shown)
	}
}

// R-P.3.
func TestTwilioSMSCallbacksNeedTwiliosSignature(t *testing.T) {
	t.Parallel()
	s := common.shared
	a := newAccount(t, s, plan{Limit: 100})
	ch := a.own("twilio_sms", twilioSMS(5))
	s.steer(t, http.MethodPut, "twilio_sms", "behaviour", map[string]any{"sender_id": ch.Address, "callbacks": false})
	m := a.send(order(ch, person(), text("x")))
	a.until(m.ID, 20*time.Second, "sent", status("sent"))
	form := url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"delivered"}, "AccountSid": {twilioSMS(5)["account_sid"]}}.Encode()
	for name, signature := range map[string]string{"none": "", "wrong": "0/KCTR6DLpKmkAf8muzZqo1nDgQ="} {
		h := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
		if signature != "" {
			h.Set("X-Twilio-Signature", signature)
		}
		if got := s.raw(t, http.MethodPost, ch.CallbackURL+"?message_id="+m.ID, h, []byte(form)); got.status != http.StatusUnauthorized {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := a.message(m.ID); got.Status != "sent" {
		t.Errorf("%v", got)
	}
}

// a Messaging Service is set up by the steps that the channel shows; what it says of STOP and START is kept.
func TestTwilioSMSByAMessagingService(t *testing.T) {
	t.Parallel()
	s := common.shared
	a := newAccount(t, s, plan{Limit: 100})
	const service = "MG00000000000000000000000000000001"
	ch := a.own("twilio_sms", with(twilioSMS(1), "sender", service))
	s.steer(t, http.MethodPost, "twilio_sms", "webhook", map[string]any{"sender_id": service, "url": ch.SetupSteps[0].Value, "fallback_url": ch.SetupSteps[1].Value})
	to := person()
	m := a.send(order(ch, to, text("hello https://example.com/a/long/link")))
	a.until(m.ID, 20*time.Second, "delivered", status("delivered"))
	if sends := s.twilioForms(t, m.ID); len(sends) != 1 || sends[0].Get("MessagingServiceSid") != service || sends[0].Has("From") || sends[0].Get("ShortenUrls") != "false" {
		t.Errorf("Twilio got %v", sends)
	}
	s.hears(t, "twilio_sms", map[string]any{"sender_id": service, "from": to, "text": "UNSUBSCRIBE"})
	a.call(t, http.MethodPost, "/v1/messages", order(ch, to, text("more"))).refused(t, http.StatusUnprocessableEntity, "recipient_opted_out")
	s.hears(t, "twilio_sms", map[string]any{"sender_id": service, "from": to, "text": "START"})
	a.until(a.send(order(ch, to, text("again"))).ID, 20*time.Second, "delivered", status("delivered"))
	var inbound int
	for _, r := range a.messages("conversation_id=" + m.ConversationID) {
		if r.Direction == "inbound" {
			inbound++
		}
	}
	if inbound != 2 {
		t.Errorf("%d replies, want both words", inbound)
	}
}
