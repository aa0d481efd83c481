// Package twiliosms speaks to Twilio Programmable Messaging by its API 2010-04-01 (https://www.twilio.com/docs/messaging/api)
// with the customer's own account: SMS, and MMS where the sender's number and the network of the recipient have it. It knows
// Twilio's paths, fields, error codes, callbacks and their signature, and nothing about accounts, usage or storage.
//
// Twilio takes the same message twice: its API has no key against repeats. A call that was not answered is ambiguous. Our id
// of a message rides in the query of its StatusCallback, so statuses name it.
package twiliosms

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/httpclient"
)

// ID is Twilio's name in the registry, in paths and in configuration.
const ID = "twilio_sms"

// DefaultBaseURL is Twilio's API in its region us1. Others are, for example, https://api.dublin.ie1.twilio.com.
const DefaultBaseURL = "https://api.twilio.com"

// The credentials that a customer enters.
const (
	// credentialAccount is the Account SID, credentialToken the primary Auth Token: API keys will not do, for Twilio signs
	// callbacks with the Auth Token.
	credentialAccount = "account_sid"
	credentialToken   = "auth_token"
	// credentialSender is a number of the account in E.164, or the SID of a Messaging Service.
	credentialSender = "sender"
)

// Config is what the operator holds towards Twilio.
type Config struct {
	// BaseURL is the API's address without the version; "": DefaultBaseURL.
	BaseURL string
	// HTTP makes the calls; nil: httpclient.New().
	HTTP *http.Client
	// Timeout bounds each call; 0: httpclient.DefaultTimeout.
	Timeout time.Duration
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// ConfigFrom reads TWILIO_SMS_BASE_URL.
func ConfigFrom(getenv func(string) string) Config {
	return Config{BaseURL: getenv("TWILIO_SMS_BASE_URL")}
}

// Adapter implements provider.Adapter, provider.Connector and provider.Guide. It is safe for concurrent use.
type Adapter struct {
	base   string
	caller httpclient.Caller
	now    func() time.Time
}

var (
	_ provider.Adapter   = (*Adapter)(nil)
	_ provider.Connector = (*Adapter)(nil)
	_ provider.Guide     = (*Adapter)(nil)
)

// New makes an adapter. Make one per process: it holds connections.
func New(c Config) *Adapter {
	base := strings.TrimRight(cmp.Or(c.BaseURL, DefaultBaseURL), "/")
	a := &Adapter{
		base: base, now: c.Now,
		caller: httpclient.Caller{HTTP: cmp.Or(c.HTTP, httpclient.New()), Base: base, Timeout: c.Timeout},
	}
	if a.now == nil {
		a.now = time.Now
	}
	return a
}

// maxBody bounds the parameter Body, in characters (Message resource; error 21617 beyond it).
const maxBody = 1600

// Capabilities says what Twilio's API carries by SMS and MMS. A text goes to Twilio in one piece; the network carries it in
// segments that the phone joins again. A media message is one file by its URL, with a caption as Body: a name can't be given,
// phones show what the file's server says. That every kind of file can have a caption is what Twilio lists for MMS; a network
// may still refuse a kind or a size, which a status tells.
func Capabilities() provider.Capabilities {
	media := provider.MediaLimits{MaxCaptionRunes: maxBody}
	return provider.Capabilities{
		ChannelTypes: []string{"sms"},
		AddressKind:  "phone",
		Content: map[content.Type]provider.Limits{
			content.TypeText: {MaxTextRunes: maxBody},
			content.TypeMedia: {Kinds: map[string]provider.MediaLimits{
				content.Image: media, content.Video: media, content.Audio: media, content.Document: media,
			}},
			// A template's name is its Content SID, which stands for one language.
			content.TypeTemplate: {NoLanguage: true},
		},
		Statuses: []string{"sent", "delivered", "failed"},
		// Twilio reads the answer of an inbound message as instructions. No body: none.
		CallbackStatus: http.StatusNoContent,
	}
}

// Capabilities is the function of that name.
func (*Adapter) Capabilities() provider.Capabilities { return Capabilities() }

// problem is Twilio's error body. Its message is never passed on: it quotes the request.
type problem struct {
	Code json.Number `json:"code"`
}

// account is who calls, and with what.
type account struct{ sid, token string }

func accountOf(ch provider.Channel) (account, bool) {
	a := account{ch.Credentials[credentialAccount], ch.Credentials[credentialToken]}
	return a, sid(a.sid, "AC") && a.token != ""
}

// call makes one call below the account's own path and returns the body of a success. form nil: GET. The error is nil or
// says what follows.
func (a *Adapter) call(ctx context.Context, by account, path string, query, form url.Values) ([]byte, *provider.Error) {
	method, body := http.MethodGet, ""
	if form != nil {
		method, body = http.MethodPost, form.Encode()
	}
	target := a.base + "/2010-04-01/Accounts/" + url.PathEscape(by.sid) + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		return nil, httpclient.NotMade("Twilio's address in the configuration is not a URL")
	}
	req.SetBasicAuth(by.sid, by.token)
	req.Header.Set("Accept", "application/json")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := a.caller.Do(ctx, req)
	if err != nil {
		return nil, provider.Failure(err)
	}
	switch {
	case answer.Oversized && answer.Status < 300:
		return nil, httpclient.Unreadable()
	case answer.Status == http.StatusOK || answer.Status == http.StatusCreated:
		return answer.Body, nil
	case answer.Status > 200 && answer.Status < 300:
		return nil, httpclient.Unreadable()
	}
	return nil, refusal(answer, a.now())
}

// refusal sorts an error answer: by Twilio's code where that is known, else by the status. Twilio gives some codes under more
// than one status (21408 under 400 and 403), so the code goes first.
func refusal(answer httpclient.Answer, now time.Time) *provider.Error {
	e := httpclient.Refusal(answer, now)
	var p problem
	if json.Unmarshal(answer.Body, &p) != nil {
		return e
	}
	code, err := p.Code.Int64()
	if err != nil || code <= 0 {
		return e
	}
	e.ProviderCode = p.Code.String()
	r, known := reasonOf(code)
	if !known {
		return e
	}
	e.Kind, e.Code, e.Fault, e.Detail, e.OptedOut, e.Throttled, e.RetryAfter = r.kind, r.code, r.fault, r.detail, r.optedOut, r.throttled, 0
	if e.Kind == provider.Retry {
		e.RetryAfter = max(httpclient.RetryAfter(answer.Header, now), r.wait)
	}
	return e
}

// sid checks the form of one of Twilio's ids: two letters that say of what, and 32 hexadecimal digits.
func sid(s, prefix string) bool {
	return len(s) == 34 && strings.HasPrefix(s, prefix) && strings.Trim(s[2:], "0123456789abcdefABCDEF") == ""
}

// phone: a number in E.164.
func phone(s string) bool {
	return len(s) >= 6 && len(s) <= 16 && s[0] == '+' && s[1] != '0' && strings.Trim(s[1:], "0123456789") == ""
}
