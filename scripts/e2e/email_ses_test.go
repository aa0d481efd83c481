//go:build e2e

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// emailSES are credentials that the simulator takes. Each test has an address and a topic of its own: a topic tells all of
// its endpoints everything.
func emailSES(name string) map[string]string {
	topic := "contact-center-" + map[string]string{"forms": "1", "replies": "2", "failures": "3", "proof": "4"}[name]
	topic = strings.TrimSuffix(topic, "-")
	return map[string]string{
		"region": "us-east-1", "access_key_id": "AKIALOCALSES00000001", "secret_access_key": "local-ses-secret-access-key",
		"from_address": "Demo Shop <" + name + "@example.com>", "configuration_set": topic, "topic_arn": "arn:aws:sns:us-east-1:000000000000:" + topic,
	}
}

// letters makes an active channel whose topic calls it.
func (a *account) letters(s *stack, name string) channel {
	a.t.Helper()
	ch := a.own("email_ses", emailSES(name))
	wait(a.t, 20*time.Second, func() (bool, string) {
		for _, x := range s.steer(a.t, http.MethodGet, "email_ses", "subscriptions", nil)["subscriptions"].([]any) {
			if sub := x.(map[string]any); sub["endpoint"] == ch.CallbackURL && sub["confirmed"] == true {
				return true, ""
			}
		}
		return false, "the subscription is not confirmed"
	})
	return ch
}

// sesSends are the sends of one message that the simulator saw: SES's request, and the letter in it.
func (s *stack) sesSends(t *testing.T, messageID string) (requests []map[string]any, letters []string) {
	t.Helper()
	told := s.steer(t, http.MethodGet, "email_ses", "calls?request_id="+messageID, nil)
	for _, c := range told["calls"].([]any) {
		request := c.(map[string]any)["request"].(map[string]any)
		letter := ""
		if raw, is := request["Content"].(map[string]any)["Raw"].(map[string]any); is {
			b, err := base64.StdEncoding.DecodeString(raw["Data"].(string))
			if err != nil {
				t.Fatal(err)
			}
			letter = string(b)
		}
		requests, letters = append(requests, request), append(letters, letter)
	}
	return requests, letters
}

func mailbox() string { return fmt.Sprintf("anna%d@example.net", people.Add(1)) }

func email(subject, text, html string) content {
	c := content{Type: "email", Subject: &subject, HTML: html}
	if text != "" {
		c.Text = &text
	}
	return c
}

//
func TestEmailSESTakesCredentialsOnlyWhenAWSDoes(t *testing.T) {
	t.Parallel()
	s := common.shared
	a := newAccount(t, s, plan{Limit: 100})
	a.accept()
	right := emailSES("credentials")
	for name, wrong := range map[string]map[string]string{
		"another secret":                 with(right, "secret_access_key", "canary-wrong"),
		"another key":                    with(right, "access_key_id", "AKIACANARY0000000000"),
		"an address of somebody else":    with(right, "from_address", "shop@example.org"),
		"no address":                     with(right, "from_address", "Demo Shop"),
		"no region":                      with(right, "region", "us-east-1.evil.example/"),
		"another region":                 with(right, "region", "eu-west-1"),
		"a topic that is not there":      with(right, "topic_arn", "arn:aws:sns:us-east-1:000000000000:other"),
		"a set that is not there":        with(right, "configuration_set", "other"),
		"a topic that is no topic's ARN": with(right, "topic_arn", "contact-center"),
	} {
		p := a.call(t, http.MethodPost, "/v1/channels", ownChannel("email_ses", wrong)).refused(t, http.StatusConflict, "credentials_invalid")
		if p.Detail == "" || strings.Contains(strings.ToLower(p.Detail), "canary") {
			t.Errorf("%s: %q", name, p.Detail)
		}
	}
	a.call(t, http.MethodPost, "/v1/channels", ownChannel("email_ses", with(right, "topic_arn", ""))).refused(t, http.StatusUnprocessableEntity, "credentials_required")
	plain := with(right, "configuration_set", "")
	delete(plain, "configuration_set")
	ch := decode[channel](t, a.call(t, http.MethodPost, "/v1/channels", ownChannel("email_ses", plain)), http.StatusCreated)
	t.Cleanup(func() { a.deleteChannel(ch.ID) })
	if len(ch.SetupSteps) != 3 || ch.SetupSteps[0].Value != ch.CallbackURL || ch.Address != "credentials@example.com" || ch.Type != "email" || ch.Status != "inactive" {
		t.Errorf("%+v", ch)
	}
}

// every form that SES carries arrives as it was written, and is reported on.
func TestEmailSESCarriesEveryForm(t *testing.T) {
	t.Parallel()
	s := common.shared
	a := newAccount(t, s, plan{Limit: 100})
	ch := a.letters(s, "forms")
	body := func(kind, b string) string {
		return "Content-Type: " + kind + "; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString([]byte(b)) + "\r\n"
	}
	head := func(to string) string { return "From: \"Demo Shop\" <forms@example.com>\r\nTo: " + to + "\r\n" }
	for name, c := range map[string]struct {
		content content
		rest    string
	}{
		"a text":   {text(" “Hi” 👋\r\n\x00 <b> "), "MIME-Version: 1.0\r\n" + body("text/plain", " “Hi” 👋\r\n\x00 <b> ")},
		"a letter": {email("Your order", "On its way", ""), "Subject: Your order\r\nMIME-Version: 1.0\r\n" + body("text/plain", "On its way")},
		"a letter with HTML": {
			email("№ 7", "a", "<p>a</p>"), "Subject: =?utf-8?b?4oSWIDc=?=\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"=_alternative\"\r\n\r\n" +
				"--=_alternative\r\n" + body("text/plain", "a") + "--=_alternative\r\n" + body("text/html", "<p>a</p>") + "--=_alternative--\r\n",
		},
	} {
		to := mailbox()
		m := a.send(order(ch, to, c.content))
		got := a.until(m.ID, 20*time.Second, "delivered", status("delivered"))
		if got.Attempts != 1 || got.ProviderMessageID == "" {
			t.Errorf("%s: %v", name, got)
		}
		requests, letters := s.sesSends(t, m.ID)
		if len(letters) != 1 || letters[0] != head(to)+c.rest {
			t.Errorf("%s: SES got %q", name, letters)
			continue
		}
		delete(requests[0], "Content")
		want := `{"ConfigurationSetName":"contact-center-1","Destination":{"ToAddresses":["` + to + `"]},"EmailTags":[{"Name":"message_id","Value":"` + m.ID + `"}],` +
			`"FromEmailAddress":"\"Demo Shop\" \u003cforms@example.com\u003e"}`
		if told, err := json.Marshal(requests[0]); err != nil || string(told) != want {
			t.Errorf("%s: SES got %s", name, told)
		}
	}
	m := a.send(order(ch, mailbox(), content{Type: "template", Name: "order_shipped", Variables: map[string]string{"name": "Ann & <b>", "number": "A-7"}}))
	a.until(m.ID, 20*time.Second, "delivered", status("delivered"))
	requests, _ := s.sesSends(t, m.ID)
	if told, err := json.Marshal(requests[0]["Content"]); err != nil || string(told) != `{"Template":{"TemplateData":"{\"name\":\"Ann \u0026 \u003cb\u003e\",\"number\":\"A-7\"}","TemplateName":"order_shipped"}}` {
		t.Errorf("a template: SES got %s", told)
	}
	for name, c := range map[string]content{
		"a picture":                {Type: "media", Kind: "image", URL: "https://files.example/a.png"},
		"a template of a language": {Type: "template", Name: "order_shipped", Language: "en"},
	} {
		if p := a.call(t, http.MethodPost, "/v1/messages", order(ch, mailbox(), c)).refused(t, http.StatusUnprocessableEntity, "content_not_supported"); p.Detail == "" {
			t.Errorf("%s: %+v", name, p)
		}
	}
	a.call(t, http.MethodPost, "/v1/messages", order(ch, "+35799000001", text("x"))).refused(t, http.StatusUnprocessableEntity, "recipient_invalid")
}

func TestEmailSESLettersComeBack(t *testing.T) {
	t.Parallel()
	s := common.shared
	a := newAccount(t, s, plan{Limit: 100})
	ch := a.letters(s, "replies")
	to := mailbox()
	m := a.send(order(ch, to, email("Your order", "On its way", "")))
	a.until(m.ID, 20*time.Second, "delivered", status("delivered"))

	in := map[string]any{"sender_id": "replies@example.com", "topic_arn": emailSES("replies")["topic_arn"], "from": to, "name": "Anna", "subject": "Re: Your order", "text": " thanks 👋\r\n", "reply_to_request_id": m.ID, "id": "ses-1-" + m.ID, "message_id": "<a1@mail.example.net>"}
	s.hears(t, "email_ses", in)
	s.hears(t, "email_ses", in) // told twice, there once
	s.hears(t, "email_ses", map[string]any{"sender_id": "replies@example.com", "topic_arn": emailSES("replies")["topic_arn"], "from": to, "text": "no subject"})
	s.hears(t, "email_ses", map[string]any{"sender_id": "replies@example.com", "topic_arn": emailSES("replies")["topic_arn"], "from": to, "content": "From: " + to + "\r\nTo: replies@example.com\r\nSubject: a file\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nsee it\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0=\r\n--b--\r\n"})
	replies := map[string]message{}
	for _, r := range a.messages("conversation_id=" + m.ConversationID) {
		if r.Direction == "inbound" {
			replies[r.Content.Type+" "+str(r.Content.Subject)] = r
			if r.From != to {
				t.Errorf("%v", r)
			}
		}
	}
	answer, plain, file := replies["email Re: Your order"], replies["text "], replies["email a file"]
	if len(replies) != 3 || str(answer.Content.Text) != " thanks 👋\r\n" || answer.ReplyTo != m.ID || str(plain.Content.Text) != "no subject" {
		t.Errorf("%v", replies)
	}
	if str(file.Content.Text) != "see it" || len(file.Content.Attachments) != 1 || file.Content.Attachments[0]["filename"] != "a.pdf" || file.Content.Attachments[0]["size_bytes"] != 5.0 || !strings.Contains(string(file.Content.Source), "JVBERi0=") {
		t.Errorf("%+v", file.Content)
	}

	// An answer to the answer names it, as mail programs want it.
	back := a.send(order(ch, to, email("Re: Your order", "Any time", ""), "reply_to", answer.ID))
	a.until(back.ID, 20*time.Second, "delivered", status("delivered"))
	if _, letters := s.sesSends(t, back.ID); len(letters) != 1 || !strings.Contains(letters[0], "\r\nIn-Reply-To: <a1@mail.example.net>\r\nReferences: <a1@mail.example.net>\r\n") {
		t.Errorf("%q", letters)
	}
}

func str(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func TestEmailSESFailuresAndOptOuts(t *testing.T) {
	t.Parallel()
	s := common.shared
	a := newAccount(t, s, plan{Limit: 100})
	ch := a.letters(s, "failures")
	bounced := a.until(a.send(order(ch, "bounce+"+strings.TrimSuffix(mailbox(), "@example.net")+"@simulator.amazonses.com", text("x"))).ID, 20*time.Second, "failed", status("failed"))
	if bounced.code() != "recipient_invalid" || bounced.Error.ProviderCode != "Permanent/General/5.1.1" || bounced.Error.FaultDomain != "recipient" || !bounced.Error.Permanent {
		t.Errorf("%v", bounced)
	}
	// A complaint is an opt-out.
	complaining := "complaint+" + strings.TrimSuffix(mailbox(), "@example.net") + "@simulator.amazonses.com"
	a.until(a.send(order(ch, complaining, text("x"))).ID, 20*time.Second, "delivered", status("delivered"))
	wait(t, 20*time.Second, func() (bool, string) {
		got := a.call(t, http.MethodPost, "/v1/messages", order(ch, complaining, text("more")))
		return got.status == http.StatusUnprocessableEntity && strings.Contains(string(got.body), "recipient_opted_out"), got.String()
	})

	behave := func(b map[string]any) {
		b["sender_id"] = "failures@example.com"
		s.steer(t, http.MethodPut, "email_ses", "behaviour", b)
	}
	t.Cleanup(func() { behave(map[string]any{}) })
	behave(map[string]any{"sandbox": true})
	got := a.until(a.send(order(ch, mailbox(), text("x"))).ID, 20*time.Second, "failed", status("failed"))
	if got.code() != "recipient_invalid" || got.Error.ProviderCode != "MessageRejected" || !strings.Contains(got.Error.Detail, "sandbox") {
		t.Errorf("%v", got)
	}
	behave(map[string]any{"open_tracking": true})
	a.until(a.send(order(ch, mailbox(), email("a", "", "<p>x</p>"))).ID, 20*time.Second, "read", status("read"))
	behave(map[string]any{"bounce": "Transient/MailboxFull", "statuses": []string{"sent", "failed"}})
	got = a.until(a.send(order(ch, mailbox(), text("x"))).ID, 20*time.Second, "failed", status("failed"))
	if got.code() != "provider_refused" || got.Error.Permanent || got.Error.ProviderCode != "Transient/MailboxFull/5.1.1" {
		t.Errorf("%v", got)
	}
	behave(map[string]any{})
	got = a.until(a.send(order(ch, mailbox(), content{Type: "template", Name: "order_shipped", Variables: map[string]string{"name": "Ann"}})).ID, 20*time.Second, "failed", status("failed"))
	if got.code() != "provider_refused" || got.Error.ProviderCode != "RenderingFailure" {
		t.Errorf("%v", got)
	}
	// SES has no key against repeats: a lost answer is not followed by a second letter.
	behave(map[string]any{"drop_answer": true, "callbacks": false})
	lost := a.send(order(ch, mailbox(), text("x")))
	if got := a.until(lost.ID, 20*time.Second, "unknown", status("unknown")); got.code() != "outcome_unknown" {
		t.Errorf("%v", got)
	}
	if requests, _ := s.sesSends(t, lost.ID); len(requests) != 1 {
		t.Errorf("%d sends of a letter whose answer was lost", len(requests))
	}
	behave(map[string]any{"fail_status": 403})
	if got := a.until(a.send(order(ch, mailbox(), text("x"))).ID, 20*time.Second, "failed", status("failed")); got.code() != "credentials_invalid" {
		t.Errorf("%v", got)
	}
}

// R-P.3.
func TestEmailSESCallbacksNeedTheSignatureOfTheTopic(t *testing.T) {
	t.Parallel()
	s := common.shared
	a := newAccount(t, s, plan{Limit: 100})
	ch := a.letters(s, "proof")
	s.steer(t, http.MethodPut, "email_ses", "behaviour", map[string]any{"sender_id": "proof@example.com", "statuses": []string{"sent"}, "signature_version": "2"})
	m := a.send(order(ch, mailbox(), text("x")))
	a.until(m.ID, 20*time.Second, "sent", status("sent"))
	event := `{"eventType":"Delivery","mail":{"messageId":"x","tags":{"message_id":["` + m.ID + `"]}},"delivery":{"timestamp":"2026-01-01T00:00:00Z"}}`
	forged, err := json.Marshal(map[string]string{
		"Type": "Notification", "MessageId": "1", "TopicArn": emailSES("proof")["topic_arn"], "Message": event, "Timestamp": time.Now().UTC().Format(time.RFC3339), "SignatureVersion": "1",
		"Signature": "AAAA", "SigningCertURL": s.sim + "/email_ses/SimpleNotificationService-local.pem",
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{"forged": string(forged), "raw": event, "empty": "", "half": "{"} {
		if got := s.raw(t, http.MethodPost, ch.CallbackURL, http.Header{"X-Amz-Sns-Message-Type": {"Notification"}}, []byte(body)); got.status != http.StatusUnauthorized {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := a.message(m.ID); got.Status != "sent" {
		t.Errorf("%v", got)
	}
}
