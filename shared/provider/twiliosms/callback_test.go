package twiliosms_test

import (
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	sim "contactcenter/scripts/simulator/twiliosms"
	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/twiliosms"
)

const person = "+35799123456"

func parse(t *testing.T, r *provider.Request) []provider.Event {
	t.Helper()
	events, err := twiliosms.New(twiliosms.Config{}).ParseCallback(t.Context(), channel(), r)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// The vectors are those of Twilio's own libraries and its page on securing webhooks.
func TestSignaturesAreThoseThatTwilioPublishes(t *testing.T) {
	t.Parallel()
	const (
		at   = "https://mycompany.com/myapp.php?foo=1&bar=2"
		hash = "&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
		body = `{"property": "value", "boolean": true}`
		form = "application/x-www-form-urlencoded"
	)
	call := url.Values{"Digits": {"1234"}, "CallSid": {"CA1234567890ABCDE"}, "To": {"+18005551212"}, "Caller": {"+14158675309"}, "From": {"+14158675309"}}
	conference := url.Values{"ReasonConferenceEnded": {"test"}, "Reason": {"Participant"}}
	for name, values := range call {
		conference[name] = values
	}
	for _, c := range []struct {
		name, url, kind, body, signature string
		want                             bool
	}{
		{"a form", at, form, call.Encode(), "RSOYDt4T1cUTdK1PDd93/VVr8B8=", true},
		{"a form with a name that begins another", at, form, conference.Encode(), "vOEb5UThFn24KEfnOFLQY2AE5FY=", true},
		{"a form without a content type", at, "", call.Encode(), "RSOYDt4T1cUTdK1PDd93/VVr8B8=", true},
		{"signed with the port, called without", at, form, call.Encode(), "kvajT1Ptam85bY51eRf/AJRuM3w=", true},
		{"signed without the port, called with it", strings.Replace(at, ".com", ".com:1234", 1), form, call.Encode(), "RSOYDt4T1cUTdK1PDd93/VVr8B8=", true},
		{"over HTTP", strings.Replace(at, "https", "http", 1), form, call.Encode(), "0ZXoZLH/DfblKGATFgpif+LLRf4=", true},
		{"over HTTP by another port", strings.Replace(at, "https://mycompany.com", "http://mycompany.com:1234", 1), form, call.Encode(), "Zmvh+3yNM1Phv2jhDCwEM3q5ebU=", true},
		{"JSON by its hash", at + hash, "application/json", body, "a9nBmqA0ju/hNViExpshrM61xv4=", true},
		{"JSON by its hash alone", "https://mycompany.com/myapp.php?" + hash[1:], "application/json", body, "y77kIzt2vzLz71DgmJGsen2scGs=", true},
		{"a short form", at, form, "property=value&boolean=true", "NBdBDr/T/lgjI+tlgpXjKZQZs/k=", true},
		{"another form", at, form, strings.Replace(call.Encode(), "1234", "1235", 1), "RSOYDt4T1cUTdK1PDd93/VVr8B8=", false},
		{"another path", strings.Replace(at, "myapp", "yourapp", 1), form, call.Encode(), "RSOYDt4T1cUTdK1PDd93/VVr8B8=", false},
		{"another host", strings.Replace(at, "my", "your", 1), form, call.Encode(), "RSOYDt4T1cUTdK1PDd93/VVr8B8=", false},
		{"other JSON under the hash", at + hash, "application/json", strings.Replace(body, "true", "false", 1), "a9nBmqA0ju/hNViExpshrM61xv4=", false},
		{"JSON without a hash", at, "application/json", body, "vOEb5UThFn24KEfnOFLQY2AE5FY=", false},
	} {
		ch := channel()
		ch.Credentials["auth_token"] = "12345"
		r := &provider.Request{Method: http.MethodPost, Header: http.Header{"X-Twilio-Signature": {c.signature}}, URL: c.url, Body: []byte(c.body)}
		if c.kind != "" {
			r.Header.Set("Content-Type", c.kind)
		}
		_, err := twiliosms.New(twiliosms.Config{}).ParseCallback(t.Context(), ch, r)
		if proven := !errors.Is(err, provider.ErrProof); proven != c.want {
			t.Errorf("%s: got %v", c.name, err)
		}
		ch.Credentials = nil
		if _, err := twiliosms.New(twiliosms.Config{}).ParseCallback(t.Context(), ch, r); !errors.Is(err, provider.ErrProof) {
			t.Errorf("%s, of a channel without credentials: got %v", c.name, err)
		}
	}
}

func TestAStatusThatEndsBadlySaysWhy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status, error string
		code          string
		fault         provider.Fault
		permanent     bool
	}{
		{"undelivered", "30003", "provider_unavailable", provider.FaultRecipient, false},
		{"undelivered", "30004", "provider_refused", provider.FaultRecipient, true},
		{"undelivered", "30005", "recipient_invalid", provider.FaultRecipient, true},
		{"undelivered", "30006", "recipient_invalid", provider.FaultRecipient, true},
		{"undelivered", "30007", "provider_refused", provider.FaultProvider, true},
		{"undelivered", "30008", "provider_unavailable", provider.FaultProvider, false},
		{"failed", "30001", "provider_unavailable", provider.FaultCustomer, false},
		{"failed", "30002", "sender_unavailable", provider.FaultCustomer, true},
		{"undelivered", "30017", "provider_unavailable", provider.FaultProvider, false},
		{"failed", "30022", "provider_unavailable", provider.FaultCustomer, false},
		{"failed", "30034", "sender_unavailable", provider.FaultCustomer, true},
		{"failed", "30036", "delivery_expired", provider.FaultProvider, true},
		{"failed", "63016", "reply_window_closed", provider.FaultCustomer, true},
		{"failed", "20003", "credentials_invalid", provider.FaultCustomer, true},
		{"failed", "99999", "provider_refused", provider.FaultProvider, true},
		{"failed", "", "provider_refused", provider.FaultProvider, true},
		{"failed", "none", "provider_refused", provider.FaultProvider, true},
		{"canceled", "", "provider_refused", provider.FaultCustomer, true},
	} {
		events := parse(t, status("msg_1", c.status, "ErrorCode", c.error, "ErrorMessage", "to "+person))
		if len(events) != 1 || events[0].Status == nil {
			t.Fatalf("%s %s: got %+v", c.status, c.error, events)
		}
		s := events[0].Status
		want := c.error
		if want == "none" {
			want = ""
		}
		if s.Status != "failed" || s.MessageID != "msg_1" || s.ProviderMessageID != "SM5" || s.Code != c.code || s.Fault != c.fault || s.Permanent != c.permanent || s.ProviderCode != want {
			t.Errorf("%s %s: got %+v", c.status, c.error, s)
		}
		if s.Detail == "" || strings.Contains(s.Detail, person) {
			t.Errorf("%s %s: detail %q", c.status, c.error, s.Detail)
		}
	}
}

func TestAFailureThatIsAnOptOutIsFollowedByOne(t *testing.T) {
	t.Parallel()
	events := parse(t, status("msg_1", "failed", "ErrorCode", "21610", "To", person))
	if len(events) != 2 || events[0].Status.Code != "recipient_opted_out" || !reflect.DeepEqual(events[1].OptOut, &provider.OptOut{From: person}) {
		t.Errorf("got %+v", events)
	}
}

// nothing of what a recipient sends is lost.
func TestFilesComeOneByOneAndTheTextWithTheFirst(t *testing.T) {
	t.Parallel()
	at := "https://api.twilio.com/2010-04-01/Accounts/" + sim.DefaultAccountSID + "/Messages/MM1/Media/"
	first, second := "ME00000000000000000000000000000001", "ME00000000000000000000000000000002"
	r := reply("MM1", person, " look \r\n👋", "NumMedia", "3", "MediaUrl0", at+first, "MediaContentType0", "image/jpeg",
		"MediaUrl1", at+second, "MediaContentType1", "text/vcard", "MediaUrl2", "https://elsewhere.example/x", "MediaContentType2", "AUDIO/amr")
	got := parse(t, r)
	want := []provider.Reply{
		{ID: "MM1", Content: file(content.Media{Kind: content.Image, URL: at + first, MediaID: first, MIMEType: "image/jpeg", Caption: " look \r\n👋"})},
		{ID: "MM1/1", Content: file(content.Media{Kind: content.Document, URL: at + second, MediaID: second, MIMEType: "text/vcard"})},
		{ID: "MM1/2", Content: file(content.Media{Kind: content.Audio, URL: "https://elsewhere.example/x", MIMEType: "AUDIO/amr"})},
	}
	if len(got) != len(want) {
		t.Fatalf("%d events", len(got))
	}
	for i := range want {
		want[i].From, want[i].Raw = person, r.Body
		if !reflect.DeepEqual(got[i].Reply, &want[i]) {
			t.Errorf("reply %d: got %#v %#v", i, got[i].Reply, got[i].Reply.Content.Media)
		}
	}
}

func file(m content.Media) content.Content {
	return content.Content{Type: content.TypeMedia, Media: &m}
}

// what a service with Advanced Opt-Out says of a recipient's word is recorded beside the word.
func TestAWordThatTwilioActsOnIsAnOptOutBesideTheReply(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]*provider.OptOut{"STOP": {From: person}, "START": {From: person, Lifted: true}, "HELP": nil, "": nil} {
		events := parse(t, reply("SM1", person, "Alto", "OptOutType", kind))
		if events[0].Reply == nil || events[0].Reply.Content.Text != "Alto" {
			t.Errorf("%s: the reply is missing", kind)
		}
		if want == nil && len(events) != 1 || want != nil && (len(events) != 2 || !reflect.DeepEqual(events[1].OptOut, want)) {
			t.Errorf("%s: got %+v", kind, events)
		}
	}
}

func TestAReplyThatIsRepeatedByTheFallbackURLIsTheSame(t *testing.T) {
	t.Parallel()
	once := parse(t, reply("SM1", person, "hi"))[0].Reply
	again := parse(t, reply("SM1", person, "hi", "ErrorCode", "11200", "ErrorUrl", callback))
	if len(again) != 1 || again[0].Reply == nil || again[0].Reply.ID != once.ID || again[0].Reply.Content.Text != "hi" {
		t.Errorf("got %+v", again)
	}
}

func TestWhatCanNotBeReadIsMalformed(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*provider.Request{
		"no sender of a reply":  reply("SM1", "", "hi", "AccountSid", ""),
		"nothing that is known": post("", url.Values{"x": {"y"}}),
		"text that is no UTF-8": reply("SM1", person, "a\xff"),
	} {
		if strings.HasPrefix(name, "no sender") {
			form, _ := url.ParseQuery(string(r.Body))
			form.Del("AccountSid")
			r = post("", form)
		}
		events, err := twiliosms.New(twiliosms.Config{}).ParseCallback(t.Context(), channel(), r)
		if !errors.Is(err, provider.ErrMalformed) || events != nil {
			t.Errorf("%s: got %d events, %v", name, len(events), err)
		}
	}
}

// FuzzParseCallback reads any form that carries Twilio's proof.
func FuzzParseCallback(f *testing.F) {
	for _, r := range []*provider.Request{
		status("msg_1", "delivered"), status("msg_1", "undelivered", "ErrorCode", "30003"), status("msg_1", "failed", "ErrorCode", "21610"),
		reply("SM1", person, "hi"), reply("SM1", person, "STOP", "OptOutType", "STOP", "MessagingServiceSid", sim.DefaultServiceSID),
		reply("MM1", person, "look", "NumMedia", "1", "MediaUrl0", "https://api.twilio.com/x/Media/ME00000000000000000000000000000001", "MediaContentType0", "image/png"),
	} {
		f.Add(r.URL, "application/x-www-form-urlencoded", r.Body)
	}
	f.Add(callback+"?bodySHA256=44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "application/json", []byte("{}"))
	f.Fuzz(func(t *testing.T, called, kind string, body []byte) {
		r := &provider.Request{Method: http.MethodPost, Header: http.Header{"Content-Type": {kind}}, URL: called, Body: body}
		if u, err := url.Parse(called); err == nil {
			r.Query = u.Query()
		}
		if form, err := url.ParseQuery(string(body)); err == nil && kind == "application/json" && len(form) > 0 {
			r.Header.Set("X-Twilio-Signature", signed(&provider.Request{Header: http.Header{}, URL: called}).Header.Get("X-Twilio-Signature"))
		} else {
			signed(r)
		}
		events, err := twiliosms.New(twiliosms.Config{}).ParseCallback(t.Context(), channel(), r)
		if err != nil {
			if events != nil || !errors.Is(err, provider.ErrProof) && !errors.Is(err, provider.ErrMalformed) {
				t.Errorf("%d events and %v", len(events), err)
			}
			return
		}
		for _, e := range events {
			switch {
			case e.Status != nil:
				if s := e.Status; s.Status == "" || s.ProviderMessageID == "" || (s.Status == "failed") != (s.Code != "") {
					t.Errorf("status %+v", s)
				}
			case e.Reply != nil:
				if _, err := e.Reply.Content.SHA256(); err != nil || e.Reply.ID == "" || e.Reply.From == "" {
					t.Errorf("reply %+v: %v", e.Reply, err)
				}
			case e.OptOut != nil:
				if e.OptOut.From == "" {
					t.Error("an opt-out of nobody")
				}
			default:
				t.Error("an event of nothing")
			}
		}
		again, err := twiliosms.New(twiliosms.Config{}).ParseCallback(t.Context(), channel(), r)
		if err != nil || !reflect.DeepEqual(events, again) {
			t.Errorf("read again it is another: %v", err)
		}
	})
}
