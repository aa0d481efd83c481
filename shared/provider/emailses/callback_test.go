package emailses_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	sim "contactcenter/scripts/simulator/emailses"
	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/emailses"
)

// read gives what a notification tells, in short.
func short(events []provider.Event) string {
	var out []string
	for _, e := range events {
		switch {
		case e.Status != nil:
			s := e.Status
			out = append(out, fmt.Sprintf("%s %s %s %s permanent=%v", s.Status, s.Code, s.ProviderCode, s.Fault, s.Permanent))
		case e.OptOut != nil:
			out = append(out, "opt-out "+e.OptOut.From)
		default:
			out = append(out, "?")
		}
	}
	return strings.Join(out, "; ")
}

func bounceOf(kind, sub string) string {
	return strings.NewReplacer(`"Permanent"`, `"`+kind+`"`, `"General"`, `"`+sub+`"`).Replace(bounce)
}

func TestEventsAreReadAsSESMeansThem(t *testing.T) {
	t.Parallel()
	sns := fresh(t)
	complaint := func(fields string) string {
		return `{"complaint":{"complainedRecipients":[{"emailAddress":"redacted@isp.example"}],"timestamp":"2017-08-05T00:41:02.669Z","feedbackId":"x"` + fields + `}}`
	}
	elsewhere := func(s string) string { return strings.ReplaceAll(s, "shop@example.com", "else@example.com") }
	for name, c := range map[string]struct{ message, want string }{
		"a permanent bounce":               {event("Bounce", "msg_1", bounce), "failed recipient_invalid Permanent/General/5.1.1 recipient permanent=true"},
		"an unknown address":               {event("Bounce", "msg_1", bounceOf("Permanent", "NoEmail")), "failed recipient_invalid Permanent/NoEmail/5.1.1 recipient permanent=true"},
		"SES's own list":                   {event("Bounce", "msg_1", bounceOf("Permanent", "Suppressed")), "failed recipient_invalid Permanent/Suppressed/5.1.1 recipient permanent=true"},
		"the account's list":               {event("Bounce", "msg_1", bounceOf("Permanent", "OnAccountSuppressionList")), "failed recipient_opted_out Permanent/OnAccountSuppressionList/5.1.1 recipient permanent=true; opt-out " + recipient},
		"one who unsubscribed":             {event("Bounce", "msg_1", bounceOf("Permanent", "UnsubscribedRecipient")), "failed recipient_opted_out Permanent/UnsubscribedRecipient/5.1.1 recipient permanent=true; opt-out " + recipient},
		"a full mailbox":                   {event("Bounce", "msg_1", bounceOf("Transient", "MailboxFull")), "failed provider_refused Transient/MailboxFull/5.1.1 recipient permanent=false"},
		"nobody knows why":                 {event("Bounce", "msg_1", bounceOf("Undetermined", "Undetermined")), "failed provider_refused Undetermined/Undetermined/5.1.1 recipient permanent=false"},
		"a bounce that quotes":             {event("Bounce", "msg_1", bounceOf("Permanent", "to "+recipient)), "failed recipient_invalid  recipient permanent=true"},
		"a bounce of nothing":              {event("Bounce", "msg_1", `{}`), "failed provider_refused / recipient permanent=false"},
		"a complaint":                      {event("Complaint", "msg_1", complaint(`,"complaintFeedbackType":"abuse"`)), "opt-out " + recipient},
		"a complaint that says no more":    {event("Complaint", "msg_1", complaint(``)), "opt-out " + recipient},
		"a complaint of before":            {event("Complaint", "msg_1", complaint(`,"complaintSubType":"OnAccountSuppressionList"`)), "failed recipient_opted_out Complaint/OnAccountSuppressionList recipient permanent=true; opt-out " + recipient},
		"that it is no spam":               {event("Complaint", "msg_1", complaint(`,"complaintFeedbackType":"not-spam"`)), ""},
		"a complaint of another sender":    {elsewhere(event("Complaint", "msg_1", complaint(``))), ""},
		"malware":                          {event("Reject", "msg_1", `{"reject":{"reason":"Bad content"}}`), "failed provider_refused Reject customer permanent=true"},
		"a template that can't be filled":  {event("Rendering Failure", "msg_1", `{"failure":{"errorMessage":"Attribute 'x' is not present","templateName":"t"}}`), "failed provider_refused RenderingFailure customer permanent=true"},
		"a delivery":                       {event("Delivery", "msg_1", delivery), "delivered    permanent=false"},
		"an opening":                       {event("Open", "msg_1", opened), "read    permanent=false"},
		"two tags of one name":             {strings.Replace(event("Delivery", "msg_1", delivery), `["msg_1"]`, `["msg_1","msg_2"]`, 1), ""},
		"feedback by the identity":         {strings.Replace(event("Bounce", "msg_1", bounce), `"eventType"`, `"notificationType"`, 1), "failed recipient_invalid Permanent/General/5.1.1 recipient permanent=true"},
		"feedback by another identity":     {elsewhere(strings.Replace(event("Bounce", "msg_1", bounce), `"eventType"`, `"notificationType"`, 1)), ""},
		"an event without the letter's id": {`{"eventType":"Delivery","mail":{"tags":{"message_id":["msg_1"]}},"delivery":{}}`, ""},
	} {
		events, err := sns.adapter(nowhere, time.Second).ParseCallback(t.Context(), channel(), sns.sign(envelope(c.message)))
		if err != nil || short(events) != c.want {
			t.Errorf("%s: got %q, %v, want %q", name, short(events), err, c.want)
		}
		for _, e := range events {
			if s := e.Status; s != nil && (s.ProviderMessageID != sesID || strings.HasPrefix(name, "feedback") == (s.MessageID == "msg_1") || strings.Contains(s.Detail, recipient)) {
				t.Errorf("%s: %+v", name, s)
			}
		}
	}
	for name, message := range map[string]string{"a list for a text": `{"eventType":["Delivery"],"mail":{}}`, "a number for the letter": `{"eventType":"Send","mail":7}`, "a received letter without id": `{"notificationType":"Received","mail":{}}`} {
		if events, err := sns.adapter(nowhere, time.Second).ParseCallback(t.Context(), channel(), sns.sign(envelope(message))); !errors.Is(err, provider.ErrMalformed) || events != nil {
			t.Errorf("%s: %v, %v", name, events, err)
		}
	}
}

func TestBothVersionsOfTheSignatureAreProof(t *testing.T) {
	t.Parallel()
	sns := fresh(t)
	for _, version := range []string{"1", "2"} {
		for _, subject := range []any{"Amazon SES Email Event Notification", "", nil} {
			e := envelope(event("Delivery", "msg_1", delivery))
			e["SignatureVersion"], e["Subject"] = version, subject
			if events, err := sns.adapter(nowhere, time.Second).ParseCallback(t.Context(), channel(), sns.sign(e)); err != nil || len(events) != 1 {
				t.Errorf("version %s, subject %v: %d events, %v", version, subject, len(events), err)
			}
		}
	}
}

// serving is an adapter whose SNS serves these certificates, and how often it was asked.
func serving(t *testing.T, certificate func(path string) (int, []byte)) (*emailses.Adapter, string, func() int) {
	t.Helper()
	asked := make(chan struct{}, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		status, body := certificate(r.URL.Path)
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	return emailses.New(emailses.Config{SNSBaseURL: server.URL, Timeout: 5 * time.Second}), server.URL, func() int { return len(asked) }
}

func TestACertificateIsHadOnceAndOnlyFromSNS(t *testing.T) {
	t.Parallel()
	sns := fresh(t)
	at := func(s signer, url string) *provider.Request {
		e := envelope(event("Delivery", "msg_1", delivery))
		e["SigningCertURL"] = url
		return s.sign(e)
	}
	a, base, asked := serving(t, func(string) (int, []byte) { return http.StatusOK, sns.cert })
	for range 3 {
		if events, err := a.ParseCallback(t.Context(), channel(), at(sns, base+"/x.pem")); err != nil || len(events) != 1 {
			t.Fatal(err)
		}
	}
	if n := asked(); n != 1 {
		t.Errorf("the certificate was asked for %d times", n)
	}
	// A forgery does not even have us ask.
	for _, url := range []string{"https://sns.us-east-1.amazonaws.com.evil.example/x.pem", "https://evil.example/x.pem", "file:///x.pem", strings.Replace(base, "http:", "https:", 1) + "/x.pem", base + "/x.pem#y", base + "/x.txt", ":"} {
		if _, err := a.ParseCallback(t.Context(), channel(), at(sns, url)); !errors.Is(err, provider.ErrProof) {
			t.Errorf("%s: %v", url, err)
		}
	}
	for i := range 40 { // many names do not fill the memory
		if _, err := a.ParseCallback(t.Context(), channel(), at(sns, fmt.Sprintf("%s/%d.pem", base, i))); err != nil {
			t.Error(err)
		}
	}
	if n := asked(); n != 41 {
		t.Errorf("certificates were asked for %d times", n)
	}
	old := newSigner(t, time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour))
	for name, c := range map[string]struct {
		status  int
		body    []byte
		signer  signer
		noProof bool
	}{
		"one that ran out":      {http.StatusOK, old.cert, old, true},
		"one that is not there": {http.StatusNotFound, nil, sns, true},
		"no certificate":        {http.StatusOK, []byte("<html>"), sns, true},
		"no certificate in PEM": {http.StatusOK, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), sns, true},
		"SNS is out of order":   {http.StatusServiceUnavailable, nil, sns, false},
	} {
		a, base, _ := serving(t, func(string) (int, []byte) { return c.status, c.body })
		_, err := a.ParseCallback(t.Context(), channel(), at(c.signer, base+"/x.pem"))
		if err == nil || errors.Is(err, provider.ErrProof) != c.noProof || strings.Contains(err.Error(), "://") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestASubscriptionIsConfirmedOnlyToTheChannelsTopic(t *testing.T) {
	t.Parallel()
	sns := fresh(t)
	for name, c := range map[string]struct {
		change  map[string]any
		answer  int
		visited bool
		want    error
		again   bool
	}{
		"the topic's":             {answer: http.StatusOK, visited: true},
		"with a token used up":    {answer: http.StatusBadRequest, visited: true},
		"while SNS is out":        {answer: http.StatusServiceUnavailable, visited: true, again: true},
		"another topic's":         {change: map[string]any{"TopicArn": sim.DefaultTopic + "2"}, want: provider.ErrProof},
		"a URL of another host":   {change: map[string]any{"SubscribeURL": "https://evil.example/?Action=ConfirmSubscription"}, want: provider.ErrProof},
		"a URL of another topic":  {change: map[string]any{"SubscribeURL": "?Action=ConfirmSubscription&TopicArn=other"}, want: provider.ErrProof},
		"a URL of another action": {change: map[string]any{"SubscribeURL": "?Action=DeleteTopic&TopicArn=" + sim.DefaultTopic}, want: provider.ErrProof},
		"that of an hour ago":     {change: map[string]any{"Timestamp": "2017-08-05T00:41:02.669Z"}, want: provider.ErrProof},
		"the end of one":          {change: map[string]any{"Type": "UnsubscribeConfirmation"}},
	} {
		var visits []string
		a, base, _ := serving(t, func(path string) (int, []byte) {
			if path == "/x.pem" {
				return http.StatusOK, sns.cert
			}
			visits = append(visits, path)
			return c.answer, nil
		})
		e := envelope("You have chosen to subscribe to the topic")
		delete(e, "Subject")
		e["Type"], e["SigningCertURL"], e["Token"] = "SubscriptionConfirmation", base+"/x.pem", "2336412f37"
		e["SubscribeURL"] = base + "/?Action=ConfirmSubscription&TopicArn=" + sim.DefaultTopic + "&Token=2336412f37"
		for k, v := range c.change {
			if s, is := v.(string); is && strings.HasPrefix(s, "?") {
				v = base + "/" + s
			}
			e[k] = v
		}
		events, err := a.ParseCallback(t.Context(), channel(), sns.sign(e))
		if events != nil || c.want != nil && !errors.Is(err, c.want) || (err != nil) != (c.want != nil || c.again) || (len(visits) == 1) != c.visited {
			t.Errorf("%s: %v, %v, %d visits", name, events, err, len(visits))
		}
	}
}

// letterOf reads a received letter.
func letterOf(t *testing.T, sns signer, notification string) *provider.Reply {
	t.Helper()
	events, err := sns.adapter(nowhere, time.Second).ParseCallback(t.Context(), channel(), sns.sign(envelope(notification)))
	if err != nil || len(events) != 1 || events[0].Reply == nil {
		t.Fatalf("got %d events, %v", len(events), err)
	}
	return events[0].Reply
}

func TestLettersAreReadWithoutLoss(t *testing.T) {
	t.Parallel()
	sns := fresh(t)
	head := "From: anna@example.net\r\nTo: shop@example.com\r\nMIME-Version: 1.0\r\n"
	mixed := "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	plain := "Content-Type: text/plain; charset=utf-8\r\n\r\n"
	for name, c := range map[string]struct {
		letter string
		want   content.Content // without Source
		source bool
	}{
		"a text without subject":    {head + plain + "hello\r\n there", content.Content{Type: content.TypeText, Text: "hello\r\n there"}, false},
		"a text without headers":    {"\r\nhello", content.Content{Type: content.TypeText, Text: "hello"}, false},
		"a text with a subject":     {head + "Subject: =?utf-8?B?4oSW?= =?iso-8859-1?Q?7_=E9?=\r\n" + plain + "a", email("№7 é", "a", ""), false},
		"quoted printable":          {head + "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9 =\r\nau lait=20", content.Content{Type: content.TypeText, Text: "café au lait "}, false},
		"Windows letters":           {head + "Subject: x\r\nContent-Type: text/plain; charset=windows-1251\r\nContent-Transfer-Encoding: base64\r\n\r\nz/Do4uXy", email("x", "Привет", ""), false},
		"HTML alone":                {head + "Subject: x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>a</p>", email("x", "", "<p>a</p>"), false},
		"alternatives":              {head + "Subject: x\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n" + plain + "a\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>a</p>\r\n--b--\r\n", email("x", "a", "<p>a</p>"), false},
		"a file":                    {head + "Subject: x\r\n" + mixed + "--b\r\n" + plain + "a\r\n--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=\"a b.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0=\r\n--b--\r\n", with(email("x", "a", ""), content.Attachment{Filename: "a b.pdf", MIMEType: "application/pdf", SizeBytes: 5}), true},
		"a file and no subject":     {head + mixed + "--b\r\n" + plain + "a\r\n--b\r\nContent-Type: image/png; name=a.png\r\nContent-ID: <1>\r\n\r\n12345\r\n--b--\r\n", with(email("", "a", ""), content.Attachment{Filename: "a.png", MIMEType: "image/png", SizeBytes: 5}), true},
		"two texts":                 {head + mixed + "--b\r\n" + plain + "a\r\n--b\r\n" + plain + "b\r\n--b--\r\n", with(email("", "a", ""), content.Attachment{MIMEType: "text/plain", SizeBytes: 1}), true},
		"a letter in a letter":      {head + mixed + "--b\r\n" + plain + "a\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\nz\r\n--b--\r\n", with(email("", "a", ""), content.Attachment{MIMEType: "message/rfc822", SizeBytes: 15}), true},
		"other readers":             {head + "Cc: b@example.net\r\nSubject: x\r\n" + plain + "a", email("x", "a", ""), true},
		"another address to answer": {head + "Reply-To: b@example.net\r\nSubject: x\r\n" + plain + "a", email("x", "a", ""), true},
		"letters of no alphabet":    {head + "Subject: x\r\nContent-Type: text/plain; charset=x-unknown\r\n\r\na", email("x", "a", ""), true},
		"letters of another one":    {head + "Subject: x\r\n" + plain + "a\xff", email("x", "a\ufffd", ""), true},
		"half of a letter":          {head + "Subject: x\r\n" + mixed + "--b\r\n" + plain + "a", email("x", "a", ""), true},
		"parts without a boundary":  {head + "Subject: x\r\nContent-Type: multipart/mixed\r\n\r\na", email("", "", ""), true},
		"an empty letter":           {head + "Subject: x\r\n" + plain, email("x", "", ""), false},
		"nothing":                   {"", email("", "", ""), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := letterOf(t, sns, arrived("77", recipient, c.letter))
			got := r.Content
			source := []byte(nil)
			if got.Email != nil {
				source = got.Email.Source
				got.Email.Source = nil
			}
			a, err := json.Marshal(got)
			b, err2 := json.Marshal(c.want)
			if err != nil || err2 != nil || string(a) != string(b) {
				t.Errorf("got %s, want %s", a, b)
			}
			if c.source != (source != nil) && c.letter != "" || c.source && string(source) != c.letter {
				t.Errorf("source: %q", source)
			}
		})
	}
}

func email(subject, text, html string) content.Content {
	return content.Content{Type: content.TypeEmail, Email: &content.Email{Subject: subject, Text: text, HTML: html}}
}

func with(c content.Content, a ...content.Attachment) content.Content {
	c.Email.Attachments = a
	return c
}

func TestALetterSaysWhoWroteItAndWhatItAnswers(t *testing.T) {
	t.Parallel()
	sns := fresh(t)
	base := arrived("o3vrnil0e2ic", "Anna@Example.NET", plainLetter(recipient, "a"))
	edit := func(pairs ...string) string {
		out := strings.NewReplacer(pairs...).Replace(base)
		if out == base {
			t.Fatalf("%q changes nothing", pairs)
		}
		return out
	}
	headers := `"headers":[{"name":"Message-ID","value":"<a1@mail.example.net>"}]`
	answering := func(lines string) string { return edit(headers, `"headers":[`+lines+`]`) }
	for name, c := range map[string]struct{ notification, id, from, answers string }{
		"as it is":                    {base, "o3vrnil0e2ic <a1@mail.example.net>", "Anna@example.net", ""},
		"no From":                     {edit(`["Anna Jones <Anna@Example.NET>"]`, `[]`), "o3vrnil0e2ic <a1@mail.example.net>", "bounces@mail.example.net", ""},
		"a report of a mail server":   {edit(`["Anna Jones <Anna@Example.NET>"]`, `null`, `"bounces@mail.example.net"`, `"<>"`), "o3vrnil0e2ic <a1@mail.example.net>", "<>", ""},
		"a From that can't be read":   {edit(`Anna Jones <Anna@Example.NET>`, `Anna (x <anna@Example.NET>`), "o3vrnil0e2ic <a1@mail.example.net>", "bounces@mail.example.net", ""},
		"no Message-ID":               {edit(`"messageId":"<a1@mail.example.net>"`, `"x":1`, headers, `"headers":[]`), "o3vrnil0e2ic -", "Anna@example.net", ""},
		"a Message-ID of two lines":   {edit(`"messageId":"<a1@mail.example.net>"`, `"messageId":"<a1@x>\r\nBcc: b"`), "o3vrnil0e2ic -", "Anna@example.net", ""},
		"an answer to us":             {answering(`{"name":"in-reply-to","value":"<0100018c-1-000000@email.amazonses.com>"}`), "o3vrnil0e2ic <a1@mail.example.net>", "Anna@example.net", "0100018c-1-000000"},
		"an answer in another region": {answering(`{"name":"In-Reply-To","value":" <0102-1@eu-west-1.amazonses.com> "}`), "o3vrnil0e2ic <a1@mail.example.net>", "Anna@example.net", "0102-1"},
		"an answer by references":     {answering(`{"name":"In-Reply-To","value":"<x@y>"},{"name":"References","value":"<0100-1@email.amazonses.com> <0100-2@email.amazonses.com> <x@y>"}`), "o3vrnil0e2ic <a1@mail.example.net>", "Anna@example.net", "0100-2"},
		"an answer to somebody else":  {answering(`{"name":"In-Reply-To","value":"<0100@amazonses.com.evil.example>"}`), "o3vrnil0e2ic <a1@mail.example.net>", "Anna@example.net", ""},
	} {
		r := letterOf(t, sns, c.notification)
		if r.ID != c.id || r.From != c.from || r.ReplyToProviderID != c.answers || r.ReplyTo != "" || r.At != time.Date(2015, 9, 11, 20, 32, 33, 936e6, time.UTC) {
			t.Errorf("%s: got %q, %q, %q, %v", name, r.ID, r.From, r.ReplyToProviderID, r.At)
		}
	}
}

func TestALetterComesInEveryEncodingOfTheRule(t *testing.T) {
	t.Parallel()
	sns := fresh(t)
	letter := plainLetter(recipient, "a")
	coded := base64.StdEncoding.EncodeToString([]byte(letter))
	base := arrived("77", recipient, letter)
	quoted := string(marshal(letter))
	for name, n := range map[string]string{
		"base64, as said":     base,
		"base64, not said":    strings.Replace(base, `"encoding":"BASE64",`, "", 1),
		"base64 in lines":     strings.Replace(base, coded, coded[:60]+`\r\n`+coded[60:], 1),
		"UTF-8, as said":      strings.Replace(strings.Replace(base, `"BASE64"`, `"UTF8"`, 1), `"`+coded+`"`, quoted, 1),
		"UTF-8, not said":     strings.Replace(strings.Replace(base, `"encoding":"BASE64",`, "", 1), `"`+coded+`"`, quoted, 1),
		"UTF-8, said base64s": strings.Replace(base, `"`+coded+`"`, quoted, 1),
	} {
		if r := letterOf(t, sns, n); r.Content.Type != content.TypeText || r.Content.Text != "a" {
			b, _ := json.Marshal(r.Content)
			t.Errorf("%s: got %s", name, b)
		}
	}
	// A rule that stores letters in a bucket tells where.
	stored := strings.Replace(strings.Replace(base, `,"content":"`+coded+`"`, "", 1), `"content":"`+coded+`",`, "", 1)
	if r := letterOf(t, sns, stored); r.Content.Type != content.TypeOther || string(r.Content.Raw) != stored {
		t.Error("a letter without its content is not kept as SES tells of it")
	}
}

// What is read of a letter fits into the table, whatever it holds.
func TestALargeLetterFits(t *testing.T) {
	t.Parallel()
	sns := fresh(t)
	head := "From: a@example.net\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
	file := "--b\r\nContent-Type: application/pdf\r\n\r\n" + strings.Repeat("x", 1000) + "\r\n--b--\r\n"
	for name, letter := range map[string]string{
		"much HTML and a file":  head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n" + strings.Repeat("<b>", 48_000) + "\r\n" + file,
		"control characters":    head + "Content-Type: text/plain\r\n\r\n" + strings.Repeat("\x01", 150_000),
		"a subject without end": "From: a@example.net\r\nSubject: " + strings.Repeat("=?utf-8?q?=3C=3C=3C=3C=3C=3C=3C=3C?= \r\n ", 3_700) + "\r\n\r\n<",
		"files without number":  head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\nContent-Type: a/b\r\n\r\n\r\n", 5000) + "--b--\r\n",
	} {
		if len(letter) > 160_000 {
			t.Fatalf("%s: SES takes no letter of %d bytes here", name, len(letter))
		}
		r := letterOf(t, sns, arrived("77", recipient, letter))
		b, err := json.Marshal(r.Content)
		if err != nil || len(b) > 350<<10 || r.Content.Type != content.TypeEmail {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
			continue
		}
		e := r.Content.Email
		if string(e.Source) != letter && !strings.Contains(letter, e.Text+e.HTML) {
			t.Errorf("%s: something is lost", name)
		}
	}
}

// Parts in parts in parts do not keep the webhook busy.
func TestADeepLetterIsReadInTime(t *testing.T) {
	t.Parallel()
	sns := fresh(t)
	for _, levels := range []int{16, 17, 50, 3000} {
		var b strings.Builder
		b.WriteString("From: a@example.net\r\n")
		for i := range levels {
			fmt.Fprintf(&b, "Content-Type: multipart/mixed; BOUNDARY=b%d\r\n\r\n--b%d\r\n", i, i)
		}
		b.WriteString(strings.Repeat("Content-Type: text/plain\r\n\r\nx\r\n--b0\r\n", max(0, 140_000-b.Len())/36))
		began := time.Now()
		r := letterOf(t, sns, arrived("77", recipient, b.String()))
		took := time.Since(began)
		if took > 30*time.Second || r.Content.Email == nil || string(r.Content.Email.Source) != b.String() {
			t.Errorf("%d levels: took %v", levels, took)
		}
	}
}

// TestTheWayOfALetter goes through all of it: the subscription, a send, its events, and the letter that answers.
func TestTheWayOfALetter(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1", "2"} {
		t.Run("signed by version "+version, func(t *testing.T) {
			t.Parallel()
			a, s, base := world(t, sim.Options{})
			events := make(chan provider.Event, 10)
			hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body := make([]byte, r.ContentLength)
				for n := 0; n < len(body); {
					m, err := r.Body.Read(body[n:])
					if n += m; err != nil && n < len(body) {
						t.Error(err)
						return
					}
				}
				got, err := a.ParseCallback(r.Context(), channel(), &provider.Request{Method: r.Method, Header: r.Header, Body: body})
				if err != nil {
					t.Error(err)
					w.WriteHeader(http.StatusUnauthorized)
				}
				for _, e := range got {
					events <- e
				}
			}))
			t.Cleanup(hook.Close)
			steer := func(method, path, body string) string {
				req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				var b strings.Builder
				if _, err := fmt.Fprint(&b, resp.Status); err != nil || resp.StatusCode != http.StatusOK {
					t.Fatalf("%s: %s", path, resp.Status)
				}
				out := make([]byte, 1<<16)
				n, _ := resp.Body.Read(out)
				return string(out[:n])
			}
			steer(http.MethodPut, "/_sim/behaviour", `{"open_tracking":true,"signature_version":"`+version+`"}`)
			if _, err := a.Subscribe(t.Context(), channel(), hook.URL); err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(time.Minute); !strings.Contains(steer(http.MethodGet, "/_sim/subscriptions", ""), `"confirmed":true`); {
				if time.Now().After(deadline) {
					t.Fatal("the subscription is not confirmed")
				}
			}
			r, err := a.Send(t.Context(), channel(), provider.Message{ID: "msg_1", To: recipient, Content: content.Content{Type: content.TypeText, Text: "hello"}})
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"sent", "delivered", "read"} {
				e := <-events
				if e.Status == nil || e.Status.Status != want || e.Status.MessageID != "msg_1" || e.Status.ProviderMessageID != r.ProviderMessageID || time.Since(e.Status.At) > time.Minute {
					t.Fatalf("got %+v, want %s", e.Status, want)
				}
			}
			steer(http.MethodPost, "/_sim/inbound", `{"from":"`+recipient+`","text":" hi 👋\r\n","reply_to_request_id":"msg_1"}`)
			answer := (<-events).Reply
			if answer == nil || answer.From != recipient || answer.Content.Text != " hi 👋\r\n" || answer.ReplyToProviderID != r.ProviderMessageID || !strings.Contains(answer.ID, " <") {
				t.Errorf("got %#v", answer)
			}
			if calls, n := s.Calls("shop@example.com"); n != 1 || !slices.ContainsFunc(calls, func(c sim.Call) bool { return c.RequestID == "msg_1" && c.To == recipient }) {
				t.Errorf("%d letters, calls %+v", n, calls)
			}
		})
	}
}
