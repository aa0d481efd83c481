package emailses

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// request makes one signed call; change may spoil it after it was signed.
func request(t *testing.T, key aws.Credentials, service, method, url, body string, change func(*http.Request)) (int, string, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(t.Context(), key, req, hex.EncodeToString(hash[:]), service, DefaultRegion, time.Now()); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("X-Amzn-Errortype"), string(out)
}

var right = aws.Credentials{AccessKeyID: DefaultAccessKeyID, SecretAccessKey: DefaultSecretAccessKey}

func running(t *testing.T, o Options) (*Simulator, string) {
	t.Helper()
	o.ConfirmAfter = time.Millisecond
	s := New(o)
	server := httptest.NewServer(http.StripPrefix("/email_ses", s))
	t.Cleanup(func() { s.Close(); server.Close() })
	return s, server.URL + "/email_ses"
}

func TestOnlyWhatIsSignedIsServed(t *testing.T) {
	t.Parallel()
	_, url := running(t, Options{})
	for name, c := range map[string]struct {
		key    aws.Credentials
		as     string
		change func(*http.Request)
		want   string
	}{
		"signed":              {key: right, as: "ses"},
		"another key":         {key: aws.Credentials{AccessKeyID: "AKIA1", SecretAccessKey: DefaultSecretAccessKey}, as: "ses", want: "UnrecognizedClientException"},
		"another secret":      {key: aws.Credentials{AccessKeyID: DefaultAccessKeyID, SecretAccessKey: "x"}, as: "ses", want: "SignatureDoesNotMatch"},
		"for another service": {key: right, as: "sns", want: "SignatureDoesNotMatch"},
		"not at all":          {key: right, as: "ses", change: func(r *http.Request) { r.Header.Del("Authorization") }, want: "MissingAuthenticationTokenException"},
		"for another path":    {key: right, as: "ses", change: func(r *http.Request) { r.URL.Path = strings.Replace(r.URL.Path, "example.com", "example.org", 1) }, want: "SignatureDoesNotMatch"},
		"with another query":  {key: right, as: "ses", change: func(r *http.Request) { r.URL.RawQuery = "a=b" }, want: "SignatureDoesNotMatch"},
		"with another date": {key: right, as: "ses", change: func(r *http.Request) {
			r.Header.Set("X-Amz-Date", time.Now().UTC().Add(time.Second).Format("20060102T150405Z"))
		}, want: "SignatureDoesNotMatch"},
		"a quarter of an hour on": {key: right, as: "ses", change: func(r *http.Request) {
			r.Header.Set("X-Amz-Date", time.Now().UTC().Add(15*time.Minute).Format("20060102T150405Z"))
		}, want: "SignatureDoesNotMatch"},
	} {
		status, kind, _ := request(t, c.key, c.as, http.MethodGet, url+"/v2/email/identities/example.com", "", c.change)
		if c.want == "" && status != http.StatusOK || c.want != "" && (status != http.StatusForbidden || kind != c.want) {
			t.Errorf("%s: %d %s", name, status, kind)
		}
	}
	body := `{"FromEmailAddress":"a@example.com"}`
	status, kind, _ := request(t, right, "ses", http.MethodPost, url+"/v2/email/outbound-emails", body, func(r *http.Request) {
		r.Body = io.NopCloser(strings.NewReader(strings.Replace(body, "a@", "b@", 1)))
	})
	if status != http.StatusForbidden || kind != "SignatureDoesNotMatch" {
		t.Errorf("another body: %d %s", status, kind)
	}
}

// send is the body of a send, with a part of it in another form.
func send(part, instead string) string {
	letter := base64.StdEncoding.EncodeToString([]byte("From: shop@example.com\r\nTo: a@example.net\r\n\r\nhello\r\n"))
	return strings.Replace(`{"FromEmailAddress":"Shop <shop@example.com>","Destination":{"ToAddresses":["a@example.net"]},"ConfigurationSetName":"contact-center",`+
		`"EmailTags":[{"Name":"message_id","Value":"msg_1"}],"Content":{"Raw":{"Data":"`+letter+`"}}}`, part, instead, 1)
}

func TestLettersAreRefusedAsSESRefusesThem(t *testing.T) {
	t.Parallel()
	_, url := running(t, Options{})
	long := base64.StdEncoding.EncodeToString([]byte("From: shop@example.com\r\n\r\n" + strings.Repeat("x", 1000) + "\r\n"))
	raw := `{"Raw":{"Data":"` + strings.SplitN(strings.SplitN(send("", ""), `"Data":"`, 2)[1], `"`, 2)[0] + `"}}`
	for name, c := range map[string]struct {
		body, kind string
		status     int
	}{
		"a letter":                       {send("", ""), "", 200},
		"a template":                     {send(raw, `{"Template":{"TemplateName":"order_shipped","TemplateData":"{}"}}`), "", 200},
		"no identity of the account":     {send("shop@example.com>", "shop@example.org>"), "MessageRejected", 400},
		"no recipient":                   {send(`["a@example.net"]`, `[]`), "BadRequestException", 400},
		"a recipient that is none":       {send(`a@example.net`, `a b`), "BadRequestException", 400},
		"a recipient beyond ASCII":       {send(`a@example.net`, `щ@example.net`), "BadRequestException", 400},
		"another set":                    {send(`:"contact-center"`, `:"x"`), "NotFoundException", 404},
		"a tag with a dot":               {send(`msg_1`, `msg.1`), "BadRequestException", 400},
		"a letter without From":          {send(raw, `{"Raw":{"Data":"`+base64.StdEncoding.EncodeToString([]byte("To: a\r\n\r\n"))+`"}}`), "BadRequestException", 400},
		"a line beyond 1,000 characters": {send(raw, `{"Raw":{"Data":"`+long+`"}}`), "BadRequestException", 400},
		"an unknown template":            {send(raw, `{"Template":{"TemplateName":"x","TemplateData":"{}"}}`), "NotFoundException", 404},
		"no content":                     {send(raw, `{}`), "BadRequestException", 400},
		"no JSON":                        {"{", "BadRequestException", 400},
	} {
		status, kind, body := request(t, right, "ses", http.MethodPost, url+"/v2/email/outbound-emails", c.body, nil)
		if status != c.status || kind != c.kind || (status == 200) != strings.Contains(body, `"MessageId"`) {
			t.Errorf("%s: %d %s %s", name, status, kind, body)
		}
	}
	steer(t, http.MethodPut, url+"/_sim/behaviour", `{"sandbox":true}`)
	for to, want := range map[string]int{"a@example.net": 400, "b@example.com": 200, "success@simulator.amazonses.com": 200} {
		if status, _, body := request(t, right, "ses", http.MethodPost, url+"/v2/email/outbound-emails", send("a@example.net", to), nil); status != want || want == 400 && !strings.Contains(body, to) {
			t.Errorf("in the sandbox, to %s: %d %s", to, status, body)
		}
	}
}

func steer(t *testing.T, method, url, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s: %s %s %v", url, resp.Status, b, err)
	}
	return string(b)
}

// endpoint is what a topic calls; it checks signatures with the certificate that it is pointed to.
type endpoint struct {
	url string
	mu  sync.Mutex
	got []map[string]any
}

func listen(t *testing.T, confirm bool) *endpoint {
	t.Helper()
	e := &endpoint{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m map[string]any
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Error(err)
			return
		}
		if err := verify(m); err != nil {
			t.Error(err)
		}
		if m["Type"] == "SubscriptionConfirmation" {
			if confirm {
				if resp, err := http.Get(m["SubscribeURL"].(string)); err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusOK { //nolint:noctx // a test's
					t.Error(err)
				}
			}
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.got = append(e.got, m)
	}))
	t.Cleanup(server.Close)
	e.url = server.URL
	return e
}

func verify(m map[string]any) error {
	resp, err := http.Get(m["SigningCertURL"].(string)) //nolint:noctx // a test's
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(raw)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	var text string
	for _, name := range []string{"Message", "MessageId", "SubscribeURL", "Subject", "Timestamp", "Token", "TopicArn", "Type"} {
		if v, is := m[name].(string); is {
			text += name + "\n" + v + "\n"
		}
	}
	signature, err := base64.StdEncoding.DecodeString(m["Signature"].(string))
	if err != nil {
		return err
	}
	if m["SignatureVersion"] == "2" {
		h := sha256.Sum256([]byte(text))
		return rsa.VerifyPKCS1v15(cert.PublicKey.(*rsa.PublicKey), crypto.SHA256, h[:], signature)
	}
	h := sha1.Sum([]byte(text))
	return rsa.VerifyPKCS1v15(cert.PublicKey.(*rsa.PublicKey), crypto.SHA1, h[:], signature)
}

// messages waits for so many, and gives what kind each is of.
func (e *endpoint) messages(t *testing.T, n int) []map[string]any {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		e.mu.Lock()
		got := slices.Clone(e.got)
		e.mu.Unlock()
		if len(got) >= n || time.Now().After(deadline) {
			var out []map[string]any
			for _, m := range got {
				var inner map[string]any
				if err := json.Unmarshal([]byte(m["Message"].(string)), &inner); err != nil {
					t.Fatal(err)
				}
				out = append(out, inner)
			}
			return out
		}
	}
}

func subscribe(t *testing.T, base, endpoint string) (int, string) {
	t.Helper()
	form := url.Values{"Action": {"Subscribe"}, "Version": {"2010-03-31"}, "TopicArn": {DefaultTopic}, "Protocol": {"http"}, "Endpoint": {endpoint}}
	status, _, body := request(t, right, "sns", http.MethodPost, base+"/", form.Encode(), nil)
	return status, body
}

func TestATopicTellsThoseWhoConfirmed(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1", "2"} {
		t.Run("version "+version, func(t *testing.T) {
			t.Parallel()
			_, base := running(t, Options{})
			steer(t, http.MethodPut, base+"/_sim/behaviour", `{"signature_version":"`+version+`"}`)
			one, two, silent := listen(t, true), listen(t, true), listen(t, false)
			for _, e := range []*endpoint{one, two, silent} {
				if status, body := subscribe(t, base, e.url); status != http.StatusOK || !strings.Contains(body, "pending confirmation") {
					t.Fatalf("%d %s", status, body)
				}
			}
			for deadline := time.Now().Add(time.Minute); strings.Count(steer(t, http.MethodGet, base+"/_sim/subscriptions", ""), `"confirmed":true`) < 2 && time.Now().Before(deadline); {
			}
			if status, _, body := request(t, right, "ses", http.MethodPost, base+"/v2/email/outbound-emails", send("", ""), nil); status != http.StatusOK {
				t.Fatal(body)
			}
			for _, e := range []*endpoint{one, two} {
				var kinds []string
				for _, m := range e.messages(t, 2) {
					kinds = append(kinds, m["eventType"].(string)+" "+m["mail"].(map[string]any)["tags"].(map[string]any)["message_id"].([]any)[0].(string))
				}
				if fmt.Sprint(kinds) != "[Send msg_1 Delivery msg_1]" {
					t.Error(kinds)
				}
			}
			told := steer(t, http.MethodPost, base+"/_sim/inbound", `{"from":"a@example.net","subject":"№","text":"hi","html":"<p>hi</p>","reply_to_request_id":"msg_1"}`)
			if !strings.Contains(told, `"delivered":true`) || !strings.Contains(told, `"endpoints":2`) {
				t.Error(told)
			}
			arrived := one.messages(t, 3)[2]
			letter, err := base64.StdEncoding.DecodeString(arrived["content"].(string))
			if err != nil || !strings.Contains(string(letter), "In-Reply-To: <") || arrived["notificationType"] != "Received" {
				t.Errorf("%v, %s", err, letter)
			}
			if n := len(silent.messages(t, 0)); n != 0 {
				t.Errorf("one who did not confirm was told %d times", n)
			}
		})
	}
}

func TestASubscriptionIsRefusedAsSNSRefusesIt(t *testing.T) {
	t.Parallel()
	_, base := running(t, Options{})
	if status, body := subscribe(t, base, "https://example.com/"); status != http.StatusBadRequest || !strings.Contains(body, "<Code>InvalidParameter</Code>") {
		t.Errorf("another protocol: %d %s", status, body)
	}
	resp, err := http.Get(base + "/?Action=ConfirmSubscription&Token=x&TopicArn=" + DefaultTopic) //nolint:noctx // a test's
	if err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("another token: %v", err)
	}
}

func TestTheAddressesOfTheMailboxSimulator(t *testing.T) {
	t.Parallel()
	for to, want := range map[string]string{
		"success@simulator.amazonses.com": "Send Delivery", "bounce@simulator.amazonses.com": "Send Bounce", "complaint+x@simulator.amazonses.com": "Send Delivery Complaint",
		"suppressionlist@simulator.amazonses.com": "Send Bounce", "ooto@simulator.amazonses.com": "Send Delivery",
	} {
		t.Run(to, func(t *testing.T) {
			t.Parallel()
			_, base := running(t, Options{})
			e := listen(t, true)
			if status, body := subscribe(t, base, e.url); status != http.StatusOK {
				t.Fatal(body)
			}
			for deadline := time.Now().Add(time.Minute); !strings.Contains(steer(t, http.MethodGet, base+"/_sim/subscriptions", ""), `"confirmed":true`) && time.Now().Before(deadline); {
			}
			if status, _, body := request(t, right, "ses", http.MethodPost, base+"/v2/email/outbound-emails", send("a@example.net", to), nil); status != http.StatusOK {
				t.Fatal(body)
			}
			var kinds []string
			for _, m := range e.messages(t, strings.Count(want, " ")+1) {
				kinds = append(kinds, m["eventType"].(string))
			}
			if strings.Join(kinds, " ") != want {
				t.Errorf("got %s", kinds)
			}
		})
	}
}
