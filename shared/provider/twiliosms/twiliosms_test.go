package twiliosms_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	sim "contactcenter/scripts/simulator/twiliosms"
	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/providertest"
	"contactcenter/shared/provider/twiliosms"
	"contactcenter/shared/telemetry/telemetrytest"
)

const (
	number   = "+15550101001"
	callback = "https://crm.example/v1/callbacks/twilio_sms/chn_1"
)

// channel is a number of the simulator's account, as Connect would have set it up.
func channel() provider.Channel {
	return provider.Channel{
		ID: "chn_1", Type: "sms", Address: number,
		Settings:    map[string]string{"sender": number, "callback_url": callback},
		Credentials: map[string]string{"account_sid": sim.DefaultAccountSID, "auth_token": sim.DefaultAuthToken, "sender": number},
	}
}

// signed is a callback with Twilio's proof, made here by Twilio's description and not by the adapter's code.
func signed(r *provider.Request) *provider.Request {
	mac := hmac.New(sha1.New, []byte(sim.DefaultAuthToken))
	mac.Write([]byte(r.URL))
	if form, err := url.ParseQuery(string(r.Body)); err == nil {
		for _, name := range slices.Sorted(maps.Keys(form)) {
			mac.Write([]byte(name + form.Get(name)))
		}
	}
	r.Header.Set("X-Twilio-Signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return r
}

func post(query string, form url.Values) *provider.Request {
	r := &provider.Request{
		Method: http.MethodPost, Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=UTF-8"}}, URL: callback, Body: []byte(form.Encode()),
	}
	if query != "" {
		r.URL += "?" + query
		r.Query, _ = url.ParseQuery(query)
	}
	return signed(r)
}

// status has the parameters that Twilio describes, and some that it may add.
func status(id, word string, more ...string) *provider.Request {
	form := url.Values{
		"MessageSid": {"SM5"}, "SmsSid": {"SM5"}, "MessageStatus": {word}, "SmsStatus": {word}, "To": {providertest.Recipient}, "From": {number},
		"AccountSid": {sim.DefaultAccountSID}, "ApiVersion": {"2010-04-01"}, "MessagingServiceSid": {""}, "RawDlrDoneDate": {"2611241146"}, "ANewParameter": {"x"},
	}
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return post("message_id="+id, form)
}

func reply(id, from, text string, more ...string) *provider.Request {
	form := url.Values{
		"MessageSid": {id}, "SmsSid": {id}, "SmsMessageSid": {id}, "AccountSid": {sim.DefaultAccountSID}, "From": {from}, "To": {number}, "Body": {text},
		"NumMedia": {"0"}, "NumSegments": {"1"}, "FromCountry": {"CY"}, "FromCity": {"Nicosia"}, "ToCountry": {"US"}, "SmsStatus": {"received"}, "ApiVersion": {"2010-04-01"},
	}
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return post("", form)
}

//
func TestTheAdapterConforms(t *testing.T) {
	t.Parallel()
	logs := &telemetrytest.Log{}
	providertest.Run(t, providertest.Kit{
		New: func(url string, timeout time.Duration) provider.Adapter {
			return twiliosms.New(twiliosms.Config{BaseURL: url, Timeout: timeout})
		},
		Simulator: func(t *testing.T) providertest.Simulator {
			s := sim.New(sim.Options{HTTP: &http.Client{Transport: nowhere{}}, Logger: slog.New(slog.NewJSONHandler(logs, nil))})
			t.Cleanup(s.Close)
			return providertest.Simulator{Handler: s, Accepted: func() int { _, n := s.Calls(""); return n }}
		},
		Channel:  channel(),
		SendPath: "/2010-04-01/Accounts/" + sim.DefaultAccountSID + "/Messages.json",
		Answers:  answers(),
		Read: func(body []byte) (string, string, error) {
			form, err := url.ParseQuery(string(body))
			return form.Get("To"), form.Get("Body"), err
		},
		Fixed: []string{number, "false", callback + "?message_id=msg_1"},
		Samples: map[string]content.Content{
			"a picture":  media(content.Image, "what you ordered"),
			"a film":     media(content.Video, "how it works"),
			"a sound":    media(content.Audio, "how it sounds"),
			"a document": media(content.Document, ""),
			"a template": {Type: content.TypeTemplate, Template: &content.Template{
				Name: "HX00000000000000000000000000000001", Variables: map[string]string{"1": "Ann <b>", "2": "A-7 & \u2028"},
			}},
		},
		Leaves:   leaves,
		Status:   func(id, word string) *provider.Request { return status(id, word) },
		Timeless: true,
		Reply:    func(id, from, text string) *provider.Request { return reply(id, from, text) },
		Sign:     func(r *provider.Request) { signed(r) },
		Unproven: map[string]func(*provider.Request){
			"an empty signature":          func(r *provider.Request) { r.Header.Set("X-Twilio-Signature", "") },
			"another signature":           func(r *provider.Request) { r.Header.Set("X-Twilio-Signature", "0/KCTR6DLpKmkAf8muzZqo1nDgQ=") },
			"a signature cut short":       func(r *provider.Request) { r.Header.Set("X-Twilio-Signature", r.Header.Get("X-Twilio-Signature")[:5]) },
			"a parameter more":            func(r *provider.Request) { r.Body = append(r.Body, "&MessageStatus=delivered"...) },
			"another query":               func(r *provider.Request) { r.URL += "?message_id=msg_2" },
			"another channel's URL":       func(r *provider.Request) { r.URL = callback + "2" },
			"plain HTTP":                  func(r *provider.Request) { r.URL = "http" + r.URL[5:] },
			"a body that says it is JSON": func(r *provider.Request) { r.Header.Set("Content-Type", "application/json") },
			"a hash that was added to it": func(r *provider.Request) { r.URL += "?bodySHA256=00" },
			"a parameter that was renamed": func(r *provider.Request) {
				r.Body = bytes.Replace(r.Body, []byte("AccountSid"), []byte("Accountsid"), 1)
				r.Body = append(r.Body, 'x')
			},
		},
		Ignored: map[string]*provider.Request{
			"HEAD, without proof":         {Method: http.MethodHead},
			"GET, without proof":          {Method: http.MethodGet},
			"accepted":                    status("msg_1", "accepted"),
			"queued":                      status("msg_1", "queued"),
			"sending":                     status("msg_1", "sending"),
			"a status nobody knows":       status("msg_1", "pondered"),
			"something else of Twilio's":  post("", url.Values{"AccountSid": {sim.DefaultAccountSID}, "EventType": {"onConversationAdded"}}),
			"a message that is receiving": post("", url.Values{"AccountSid": {sim.DefaultAccountSID}, "MessageSid": {"SM1"}, "SmsStatus": {"receiving"}}),
		},
		Logs: logs.String,
	})
}

// nowhere takes callbacks and does nothing about them.
type nowhere struct{}

func (nowhere) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Header: http.Header{}, Request: r}, nil
}

func media(kind, caption string) content.Content {
	return content.Content{Type: content.TypeMedia, Media: &content.Media{Kind: kind, URL: "https://files.example/a%20b?c=d&e=" + kind, Caption: caption}}
}

// leaves are the values of a form, and those of the JSON in it.
func leaves(body []byte) ([]string, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	var out []string
	for name, values := range form {
		if name == "ContentVariables" {
			var variables map[string]string
			if err := json.Unmarshal([]byte(values[0]), &variables); err != nil {
				return nil, err
			}
			values = slices.Collect(maps.Values(variables))
		}
		out = append(out, values...)
	}
	return out, nil
}

// answers are Twilio's errors, as its documentation and its own libraries show them.
func answers() []providertest.Answer {
	body := func(code, status int) string {
		return fmt.Sprintf(`{"code":%d,"message":"The 'To' number %s: %s","more_info":"https://www.twilio.com/docs/errors/%d","status":%d,"details":{"x":1}}`,
			code, providertest.Recipient, providertest.Canary, code, status)
	}
	of := func(status, code int, kind provider.Kind, ours string) providertest.Answer {
		return providertest.Answer{Name: fmt.Sprintf("%d under %d", code, status), Status: status, Body: body(code, status), Kind: kind, Code: ours, ProviderCode: fmt.Sprint(code)}
	}
	wait := of(429, 20429, provider.Retry, "provider_unavailable")
	wait.Header, wait.RetryAfter = http.Header{"Retry-After": {"3"}}, 3*time.Second
	return []providertest.Answer{
		of(401, 20003, provider.Credentials, "credentials_invalid"),
		of(403, 20003, provider.Credentials, "credentials_invalid"),
		wait,
		of(429, 21611, provider.Retry, "provider_unavailable"),
		of(400, 21611, provider.Retry, "provider_unavailable"),
		of(400, 14107, provider.Retry, "provider_unavailable"),
		of(400, 21211, provider.Permanent, "recipient_invalid"),
		of(400, 21614, provider.Permanent, "recipient_invalid"),
		of(400, 21408, provider.Permanent, "provider_refused"),
		of(403, 21408, provider.Permanent, "provider_refused"),
		of(400, 21610, provider.Permanent, "recipient_opted_out"),
		of(400, 21612, provider.Permanent, "provider_refused"),
		of(400, 21617, provider.Permanent, "content_not_supported"),
		of(400, 21620, provider.Permanent, "content_not_supported"),
		of(400, 21655, provider.Permanent, "content_not_supported"),
		of(400, 21606, provider.Permanent, "sender_unavailable"),
		of(400, 21609, provider.Permanent, "provider_refused"),
		of(404, 20404, provider.Permanent, "sender_unavailable"),
		of(400, 63016, provider.Permanent, "reply_window_closed"),
		of(400, 99999, provider.Permanent, "provider_refused"),
		of(500, 20500, provider.Retry, "provider_unavailable"),
		of(503, 20503, provider.Retry, "provider_unavailable"),
		{Name: "a code that is a string", Status: 400, Body: `{"code":"21211"}`, Kind: provider.Permanent, Code: "recipient_invalid", ProviderCode: "21211"},
		{Name: "a code that quotes", Status: 400, Body: `{"code":"` + providertest.Canary + `"}`, Kind: provider.Permanent, Code: "provider_refused", ProviderCode: "400"},
		{Name: "202", Status: 202, Body: `{"sid":"SM00000000000000000000000000000001"}`, Kind: provider.Ambiguous, Code: "outcome_unknown"},
		{Name: "an id that is none", Status: 201, Body: `{"sid":"SM1"}`, Kind: provider.Ambiguous, Code: "outcome_unknown"},
		{Name: "307", Status: 307, Header: http.Header{"Location": {"/elsewhere"}}, Kind: provider.Retry},
	}
}
