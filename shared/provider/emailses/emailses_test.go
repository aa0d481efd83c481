package emailses_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"mime"
	"mime/multipart"
	"net/http"
	"net/mail"
	"strings"
	"testing"
	"time"

	sim "contactcenter/scripts/simulator/emailses"
	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/emailses"
	"contactcenter/shared/provider/httpclient"
	"contactcenter/shared/provider/providertest"
	"contactcenter/shared/telemetry/telemetrytest"
)

const (
	recipient = "anna.jones@example.net"
	nowhere   = "http://127.0.0.1:1"
	sesID     = "0100018c1f2e3d4c-6f1d2c3b-1a2b-4c5d-8e9f-0a1b2c3d4e5f-000000"
)

func credentials() map[string]string {
	return map[string]string{
		"region": sim.DefaultRegion, "access_key_id": sim.DefaultAccessKeyID, "secret_access_key": sim.DefaultSecretAccessKey,
		"from_address": "Demo Shop <shop@example.com>", "configuration_set": sim.DefaultConfigurationSet, "topic_arn": sim.DefaultTopic,
	}
}

func channel() provider.Channel {
	return provider.Channel{ID: "chn_1", Type: "email", Address: "shop@example.com", Credentials: credentials()}
}

// signer is SNS in the tests: a key, and its certificate.
type signer struct {
	key  *rsa.PrivateKey
	cert []byte
}

func newSigner(t testing.TB, from, until time.Time) signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "sns.amazonaws.com"}, NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func fresh(t testing.TB) signer {
	return newSigner(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
}

// RoundTrip serves the certificate wherever it is said to be, and lets everything else through.
func (s signer) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "-test.pem") {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(s.cert)), Request: r}, nil
	}
	return http.DefaultTransport.RoundTrip(r)
}

// client makes calls as the adapter's own does, but for the certificate.
func (s signer) client() *http.Client {
	c := httpclient.New()
	c.Transport = both{s, c.Transport}
	return c
}

type both struct {
	signer
	rest http.RoundTripper
}

func (b both) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "-test.pem") {
		return b.signer.RoundTrip(r)
	}
	return b.rest.RoundTrip(r)
}

// envelope is what SNS posts, as a test may change it before it is signed.
func envelope(message string) map[string]any {
	return map[string]any{
		"Type": "Notification", "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "TopicArn": sim.DefaultTopic, "Subject": "Amazon SES Email Event Notification",
		"Message": message, "Timestamp": time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), "SignatureVersion": "1",
		"SigningCertURL": nowhere + "/SimpleNotificationService-test.pem", "UnsubscribeURL": nowhere + "/?Action=Unsubscribe",
	}
}

// sign makes a call of an envelope.
func (s signer) sign(e map[string]any) *provider.Request {
	var text strings.Builder
	for _, name := range []string{"Message", "MessageId", "SubscribeURL", "Subject", "Timestamp", "Token", "TopicArn", "Type"} {
		if v, is := e[name].(string); is {
			text.WriteString(name + "\n" + v + "\n")
		}
	}
	one, two := sha1.Sum([]byte(text.String())), sha256.Sum256([]byte(text.String()))
	hash, sum := crypto.SHA1, one[:]
	if e["SignatureVersion"] == "2" {
		hash, sum = crypto.SHA256, two[:]
	}
	signature, err := rsa.SignPKCS1v15(nil, s.key, hash, sum)
	if err != nil {
		panic(err)
	}
	e["Signature"] = base64.StdEncoding.EncodeToString(signature)
	kind, _ := e["Type"].(string)
	return &provider.Request{
		Method: http.MethodPost, Header: http.Header{"X-Amz-Sns-Message-Type": {kind}, "Content-Type": {"text/plain; charset=UTF-8"}}, Body: marshal(e),
	}
}

func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSpace(b.Bytes())
}

func (s signer) adapter(url string, timeout time.Duration) *emailses.Adapter {
	return emailses.New(emailses.Config{BaseURL: url, HTTP: s.client(), Timeout: timeout})
}

// event is one of a letter that was sent, with SES's fields.
func event(kind, tagged, own string) string {
	m := map[string]any{
		"timestamp": "2017-08-05T00:40:01.123Z", "source": "Demo Shop <shop@example.com>", "sourceArn": "arn:aws:ses:us-east-1:000000000000:identity/example.com",
		"sendingAccountId": "000000000000", "messageId": sesID, "destination": []string{recipient}, "headersTruncated": false,
		"headers": []any{map[string]string{"name": "To", "value": recipient}}, "commonHeaders": map[string]any{"from": []string{"Demo Shop <shop@example.com>"}, "to": []string{recipient}},
		"tags": map[string]any{"message_id": []string{tagged}, "ses:configuration-set": []string{"contact-center"}},
	}
	var more map[string]any
	if err := json.Unmarshal([]byte(own), &more); err != nil {
		panic(err)
	}
	e := map[string]any{"eventType": kind, "mail": m}
	for k, v := range more {
		e[k] = v
	}
	return string(marshal(e))
}

const (
	delivery = `{"delivery":{"timestamp":"2017-08-05T00:41:02.669Z","processingTimeMillis":546,"recipients":["` + recipient + `"],"smtpResponse":"250 2.6.0 Message received","reportingMTA":"mta.example.com"}}`
	opened   = `{"open":{"timestamp":"2017-08-05T00:42:02.669Z","ipAddress":"192.0.2.1","userAgent":"Mozilla/5.0"}}`
	bounce   = `{"bounce":{"bounceType":"Permanent","bounceSubType":"General","bouncedRecipients":[{"emailAddress":"` + recipient + `","action":"failed","status":"5.1.1","diagnosticCode":"smtp; 550 5.1.1 user unknown"}],"timestamp":"2017-08-05T00:41:02.669Z","feedbackId":"0100015dae2ab8f3","reportingMTA":"dsn; mta.example.com"}}`
)

func status(id, s string) string {
	switch s {
	case "sent":
		return event("Send", id, `{"send":{}}`)
	case "delivered":
		return event("Delivery", id, delivery)
	case "read":
		return event("Open", id, opened)
	}
	return event("Bounce", id, bounce)
}

// arrived is the notification of a letter that was received.
func arrived(id, from, letter string) string {
	pass := map[string]string{"status": "PASS"}
	return string(marshal(map[string]any{
		"notificationType": "Received",
		"receipt": map[string]any{
			"timestamp": "2015-09-11T20:32:33.936Z", "processingTimeMillis": 406, "recipients": []string{"shop@example.com"}, "spamVerdict": pass, "virusVerdict": pass,
			"spfVerdict": pass, "dkimVerdict": pass, "dmarcVerdict": pass, "action": map[string]string{"type": "SNS", "topicArn": sim.DefaultTopic, "encoding": "BASE64"},
		},
		"mail": map[string]any{
			"timestamp": "2015-09-11T20:32:33.936Z", "source": "bounces@mail.example.net", "messageId": id, "destination": []string{"shop@example.com"}, "headersTruncated": false,
			"headers":       []any{map[string]string{"name": "Message-ID", "value": "<a1@mail.example.net>"}},
			"commonHeaders": map[string]any{"from": []string{"Anna Jones <" + from + ">"}, "to": []string{"shop@example.com"}, "messageId": "<a1@mail.example.net>"},
		},
		"content": base64.StdEncoding.EncodeToString([]byte(letter)),
	}))
}

func plainLetter(from, text string) string {
	return "From: Anna Jones <" + from + ">\r\nTo: shop@example.com\r\nMessage-ID: <a1@mail.example.net>\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString([]byte(text)) + "\r\n"
}

// sent is the body of a send.
type sent struct {
	FromEmailAddress     string
	Destination          struct{ ToAddresses []string }
	ConfigurationSetName string
	EmailTags            []struct{ Name, Value string }
	Content              struct {
		Raw      *struct{ Data []byte }
		Template *struct {
			TemplateName, TemplateData string
			Headers                    []struct{ Name, Value string }
		}
	}
}

// opened takes a letter apart with the standard library, which the adapter does not use for that: its headers, decoded, and
// its bodies.
func takenApart(letter []byte) (headers map[string]string, bodies map[string]string, err error) {
	m, err := mail.ReadMessage(bytes.NewReader(letter))
	if err != nil {
		return nil, nil, err
	}
	headers, bodies = map[string]string{}, map[string]string{}
	for name, values := range m.Header {
		if headers[name], err = new(mime.WordDecoder).DecodeHeader(values[0]); err != nil || len(values) != 1 {
			return nil, nil, errors.Join(err, errors.New(name+" is there twice, or can't be decoded"))
		}
	}
	take := func(h interface{ Get(string) string }, r io.Reader) error {
		kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
		if err != nil || params["charset"] != "utf-8" || h.Get("Content-Transfer-Encoding") != "base64" {
			return errors.Join(err, errors.New("a part that is not base64 of UTF-8"))
		}
		b, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, r))
		bodies[kind] = string(b)
		return err
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return nil, nil, err
	}
	if kind != "multipart/alternative" {
		return headers, bodies, take(m.Header, m.Body)
	}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextPart()
		if err == io.EOF {
			return headers, bodies, nil
		}
		if err == nil {
			err = take(p.Header, p)
		}
		if err != nil {
			return nil, nil, err
		}
	}
}

// parts are all strings that a send gives to SES, those inside of the letter too.
func parts(body []byte) ([]string, error) {
	var s sent
	if len(body) == 0 || body[0] != '{' {
		return nil, nil
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return nil, err
	}
	out := append([]string{s.FromEmailAddress, s.ConfigurationSetName}, s.Destination.ToAddresses...)
	for _, t := range s.EmailTags {
		out = append(out, t.Name, t.Value)
	}
	if t := s.Content.Template; t != nil {
		values := map[string]string{}
		if err := json.Unmarshal([]byte(t.TemplateData), &values); err != nil {
			return nil, err
		}
		out = append(out, t.TemplateName)
		for _, v := range values {
			out = append(out, v)
		}
		for _, h := range t.Headers {
			out = append(out, h.Name, h.Value)
		}
	}
	if s.Content.Raw == nil {
		return out, nil
	}
	headers, bodies, err := takenApart(s.Content.Raw.Data)
	for name, v := range headers {
		out = append(out, name, v)
	}
	for _, v := range bodies {
		out = append(out, v)
	}
	return out, err
}

//
func TestTheAdapterConforms(t *testing.T) {
	t.Parallel()
	logs, sns, other := &telemetrytest.Log{}, fresh(t), fresh(t)
	change := func(name string, v any) func(*provider.Request) {
		return func(r *provider.Request) {
			var e map[string]any
			if json.Unmarshal(r.Body, &e) == nil {
				e[name] = v
				r.Body = marshal(e)
			}
		}
	}
	again := func(by signer, name string, v any) func(*provider.Request) {
		return func(r *provider.Request) {
			var e map[string]any
			if json.Unmarshal(r.Body, &e) == nil {
				if name != "" {
					e[name] = v
				}
				*r = *by.sign(e)
			}
		}
	}
	past := time.Now().Add(-61 * time.Minute).UTC().Format("2006-01-02T15:04:05.000Z")
	providertest.Run(t, providertest.Kit{
		New: func(url string, timeout time.Duration) provider.Adapter { return sns.adapter(url, timeout) },
		Simulator: func(t *testing.T) providertest.Simulator {
			s := sim.New(sim.Options{Logger: slog.New(slog.NewJSONHandler(logs, nil))})
			t.Cleanup(s.Close)
			return providertest.Simulator{Handler: s, Accepted: func() int { _, n := s.Calls(""); return n }}
		},
		Channel:   channel(),
		Recipient: recipient,
		SendPath:  "/v2/email/outbound-emails",
		Answers:   answers(),
		Read: func(body []byte) (string, string, error) {
			var s sent
			if err := json.Unmarshal(body, &s); err != nil || len(s.Destination.ToAddresses) != 1 || s.Content.Raw == nil {
				return "", "", errors.Join(err, errors.New("no raw letter to one address"))
			}
			headers, bodies, err := takenApart(s.Content.Raw.Data)
			if headers["To"] != s.Destination.ToAddresses[0] {
				return "", "", errors.New("the letter names another recipient")
			}
			return headers["To"], bodies["text/plain"], err
		},
		Leaves: parts,
		Fixed: []string{
			`Demo Shop <shop@example.com>`, `"Demo Shop" <shop@example.com>`, "contact-center", "message_id", "From", "To",
			"Mime-Version", "1.0", "Content-Type", "text/plain; charset=utf-8", "Content-Transfer-Encoding", "base64",
		},
		Samples: map[string]content.Content{
			"a letter":            {Type: content.TypeEmail, Email: &content.Email{Subject: "Your order — №7", Text: "It is\non its way. ", HTML: "<p>It is<br>on its way.</p>"}},
			"a letter of HTML":    {Type: content.TypeEmail, Email: &content.Email{Subject: "=?utf-8?q?not_encoded?=", HTML: "<p>a</p>\r\n"}},
			"a letter of text":    {Type: content.TypeEmail, Email: &content.Email{Subject: " blanks \t", Text: "a"}},
			"a template":          {Type: content.TypeTemplate, Template: &content.Template{Name: "order_shipped", Variables: map[string]string{"name": "Ann & <b>", "number": "A-7"}}},
			"a long line to fold": {Type: content.TypeEmail, Email: &content.Email{Subject: strings.Repeat("щ ", 400), Text: strings.Repeat("x", 5000)}},
		},
		Status: func(id, s string) *provider.Request { return sns.sign(envelope(status(id, s))) },
		Reply: func(id, from, text string) *provider.Request {
			return sns.sign(envelope(arrived(id, from, plainLetter(from, text))))
		},
		Unproven: map[string]func(*provider.Request){
			"another message":            change("Message", status("msg_2", "delivered")),
			"another subject":            change("Subject", "x"),
			"no subject":                 change("Subject", nil),
			"another id":                 change("MessageId", "x"),
			"another kind":               change("Type", "SubscriptionConfirmation"),
			"an unknown kind":            again(sns, "Type", "Other"),
			"a signature of another key": again(other, "", nil),
			"a signature of nothing":     change("Signature", ""),
			"a signature of no base64":   change("Signature", "???"),
			"an unknown version":         change("SignatureVersion", "3"),
			"the version of another":     change("SignatureVersion", "2"),
			"another topic":              again(sns, "TopicArn", sim.DefaultTopic+"-other"),
			"an hour ago":                again(sns, "Timestamp", past),
			"in six minutes":             again(sns, "Timestamp", time.Now().Add(6*time.Minute).UTC().Format(time.RFC3339)),
			"at no time":                 again(sns, "Timestamp", "yesterday"),
			"a certificate elsewhere":    again(sns, "SigningCertURL", "http://127.0.0.2:1/SimpleNotificationService-test.pem"),
			"a certificate by a query":   again(sns, "SigningCertURL", nowhere+"/?u=SimpleNotificationService-test.pem"),
			"a certificate with a user":  again(sns, "SigningCertURL", "http://x@127.0.0.1:1/SimpleNotificationService-test.pem"),
			"no certificate":             again(sns, "SigningCertURL", nil),
			"a raw delivery": func(r *provider.Request) {
				r.Header = http.Header{"X-Amz-Sns-Rawdelivery": {"true"}}
				r.Body = []byte(status("msg_1", "delivered"))
			},
		},
		Ignored: map[string]*provider.Request{
			"GET, without proof":                {Method: http.MethodGet},
			"a sentence of SES":                 sns.sign(envelope("Successfully validated SNS topic for Amazon SES event publishing.")),
			"a subscription's success":          sns.sign(envelope(`{"notificationType":"AmazonSnsSubscriptionSucceeded","message":"You have successfully subscribed your Amazon SNS topic"}`)),
			"a list":                            sns.sign(envelope(`[]`)),
			"a delay":                           sns.sign(envelope(event("DeliveryDelay", "msg_1", `{"deliveryDelay":{"timestamp":"2020-06-16T00:25:40.095Z","delayType":"TransientCommunicationFailure"}}`))),
			"a click":                           sns.sign(envelope(event("Click", "msg_1", `{"click":{"timestamp":"2017-08-09T23:51:25.570Z","link":"https://example.com"}}`))),
			"a subscription preference":         sns.sign(envelope(event("Subscription", "msg_1", `{}`))),
			"an event nobody knows":             sns.sign(envelope(event("Pondered", "msg_1", `{}`))),
			"a letter that something else sent": sns.sign(envelope(`{"eventType":"Delivery","mail":{"messageId":"x","tags":{"ses:configuration-set":["contact-center"]}},"delivery":{"timestamp":"2017-08-05T00:41:02.669Z"}}`)),
			"feedback of another sender":        sns.sign(envelope(`{"notificationType":"Delivery","mail":{"messageId":"x","source":"else@example.com"},"delivery":{"timestamp":"2017-08-05T00:41:02.669Z"}}`)),
			"a letter to another address":       sns.sign(envelope(strings.ReplaceAll(arrived("77", recipient, plainLetter(recipient, "x")), `"shop@example.com"`, `"else@example.com"`))),
			"not spam":                          sns.sign(envelope(event("Complaint", "msg_1", `{"complaint":{"complainedRecipients":[{"emailAddress":"`+recipient+`"}],"complaintFeedbackType":"not-spam"}}`))),
		},
		Logs: logs.String,
	})
}

// answers are SES's errors.
func answers() []providertest.Answer {
	refusal := func(status int, kind, message string, k provider.Kind, code string) providertest.Answer {
		return providertest.Answer{
			Name: kind + ", " + message, Status: status, Header: http.Header{"X-Amzn-Errortype": {kind + ":http://internal.amazon.com/coral/com.amazonaws.services.simpleemailv2/"}},
			Body: string(marshal(map[string]string{"message": message})), Kind: k, Code: code, ProviderCode: kind,
		}
	}
	wait := refusal(429, "TooManyRequestsException", "Daily message quota exceeded.", provider.Retry, "provider_unavailable")
	wait.RetryAfter = 10 * time.Minute
	body := refusal(400, "MessageRejected", "x", provider.Permanent, "provider_refused")
	body.Name, body.Header, body.Body = "the type in the body", nil, `{"__type":"com.amazonaws.ses#MessageRejected","message":"x"}`
	return []providertest.Answer{
		wait, body,
		refusal(429, "TooManyRequestsException", "Maximum sending rate exceeded.", provider.Retry, "provider_unavailable"),
		refusal(400, "Throttling", "Maximum sending rate exceeded.", provider.Retry, "provider_unavailable"),
		refusal(400, "LimitExceededException", "x", provider.Retry, "provider_unavailable"),
		refusal(400, "SendingPausedException", "x", provider.Retry, "provider_unavailable"),
		refusal(400, "AccountSuspendedException", "x", provider.Permanent, "sender_unavailable"),
		refusal(400, "MailFromDomainNotVerifiedException", "x", provider.Permanent, "sender_unavailable"),
		refusal(400, "MessageRejected", "Email address is not verified. The following identities failed the check in region US-EAST-1: shop@example.com", provider.Permanent, "sender_unavailable"),
		refusal(400, "MessageRejected", "Email address is not verified. The following identities failed the check in region US-EAST-1: "+strings.ToUpper(recipient), provider.Permanent, "recipient_invalid"),
		refusal(400, "MessageRejected", "Address is on the suppression list.", provider.Permanent, "provider_refused"),
		refusal(400, "BadRequestException", providertest.Canary, provider.Permanent, "provider_refused"),
		refusal(404, "NotFoundException", "Template x does not exist", provider.Permanent, "provider_refused"),
		refusal(403, "AccessDeniedException", "x", provider.Credentials, "credentials_invalid"),
		refusal(403, "UnrecognizedClientException", "x", provider.Credentials, "credentials_invalid"),
		refusal(403, "SignatureDoesNotMatch", "The request signature we calculated does not match", provider.Credentials, "credentials_invalid"),
		refusal(403, "SignatureDoesNotMatch", "Signature expired: 20261124T000000Z is now earlier than", provider.Retry, "provider_unavailable"),
		refusal(403, "RequestExpired", "x", provider.Retry, "provider_unavailable"),
		refusal(500, "InternalServiceError", "x", provider.Retry, "provider_unavailable"),
		refusal(500, "ConcurrentModificationException", "x", provider.Retry, "provider_unavailable"),
		{Name: "a type that quotes", Status: 400, Header: http.Header{"X-Amzn-Errortype": {providertest.Canary}}, Kind: provider.Permanent, Code: "provider_refused", ProviderCode: "400"},
		{Name: "307", Status: 307, Header: http.Header{"Location": {"/elsewhere"}}, Kind: provider.Retry},
		{Name: "an id with blanks", Status: 200, Body: `{"MessageId":"a b"}`, Kind: provider.Ambiguous},
	}
}
