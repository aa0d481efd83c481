// Package whatsappcloud speaks to WhatsApp's Cloud API, which is a part of Meta's Graph API
// (https://developers.facebook.com/docs/whatsapp/cloud-api), with the customer's own account. It knows its paths, fields,
// error codes and callbacks, and nothing about accounts, usage or storage.
//
// The API knows no duplicates: a send whose answer got lost stays open. It echoes a message's id in the statuses
// (biz_opaque_callback_data); they always carry its own id, the wamid.
package whatsappcloud

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/httpclient"
)

// ID is the provider's name in the registry, in paths and in configuration.
const ID = "whatsapp_cloud"

// DefaultBaseURL is the Graph API with the version that this package is written for.
const DefaultBaseURL = "https://graph.facebook.com/v25.0"

// The names of the credentials.
const (
	credNumber      = "phone_number_id"
	credAccount     = "waba_id"
	credToken       = "access_token"
	credAppSecret   = "app_secret"
	credVerifyToken = "verify_token"
)

// Config is what the operator sets. Everything that lets one in is the customer's.
type Config struct {
	// BaseURL is the API's address with its version; "": DefaultBaseURL.
	BaseURL string
	// HTTP makes the calls; nil: httpclient.New().
	HTTP *http.Client
	// Timeout bounds each call; 0: httpclient.DefaultTimeout.
	Timeout time.Duration
	// ManyTimeout bounds what takes several calls: Connect, Subscribe and Templates; 0: 10 s.
	ManyTimeout time.Duration
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// ConfigFrom reads WHATSAPP_CLOUD_BASE_URL.
func ConfigFrom(getenv func(string) string) Config {
	return Config{BaseURL: getenv("WHATSAPP_CLOUD_BASE_URL")}
}

// Adapter implements provider.Adapter and what goes with an account of one's own. It is safe for concurrent use.
type Adapter struct {
	base   string
	caller httpclient.Caller
	many   time.Duration
	now    func() time.Time
}

var (
	_ provider.Adapter        = (*Adapter)(nil)
	_ provider.Connector      = (*Adapter)(nil)
	_ provider.Subscriber     = (*Adapter)(nil)
	_ provider.Guide          = (*Adapter)(nil)
	_ provider.Verifier       = (*Adapter)(nil)
	_ provider.TemplateLister = (*Adapter)(nil)
)

// New makes an adapter. Make one per process: it holds connections.
func New(c Config) *Adapter {
	base := strings.TrimRight(cmp.Or(c.BaseURL, DefaultBaseURL), "/")
	a := &Adapter{
		base: base, many: c.ManyTimeout, now: c.Now,
		caller: httpclient.Caller{HTTP: cmp.Or(c.HTTP, httpclient.New()), Base: base, Timeout: c.Timeout},
	}
	if a.many <= 0 {
		a.many = 10 * time.Second
	}
	if a.now == nil {
		a.now = time.Now
	}
	return a
}

// userID is a business-scoped id, which stands for a person whose number is not told: a country, then letters and digits,
// with a part between them for ids that several portfolios share.
const userID = `[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}`

// replyWindow is how long after a recipient's message anything but a template is taken.
const replyWindow = 24 * time.Hour

// Capabilities says what the Cloud API carries. The lengths are those of Meta's pages of each kind of message. An id of a
// button or row is bounded there in characters, here in bytes: they are the same for ids that are made for machines.
func Capabilities() provider.Capabilities {
	captioned := provider.MediaLimits{MaxCaptionRunes: 1024}
	document := provider.MediaLimits{MaxCaptionRunes: 1024, Filename: true}
	return provider.Capabilities{
		ChannelTypes: []string{"whatsapp"},
		AddressKind:  "phone",
		UserID:       userID,
		Content: map[content.Type]provider.Limits{
			content.TypeText:     {MaxTextRunes: 4096},
			content.TypeTemplate: {NeedsLanguage: true},
			content.TypeLocation: {},
			content.TypeMedia: {Kinds: map[string]provider.MediaLimits{
				content.Image: captioned, content.Video: captioned, content.Audio: {}, content.Document: document,
			}},
			content.TypeInteractive: {
				MaxTextRunes: 1024, MaxHeaderRunes: 60, MaxFooterRunes: 60,
				Buttons: &provider.ButtonLimits{Max: 3, Reply: true, URL: true, OneKind: true, MaxURL: 1, UniqueTitles: true, MaxTitleRunes: 20, MaxIDBytes: 256},
				List: &provider.ListLimits{
					MaxTextRunes: 4096, MaxButtonRunes: 20, MaxSections: 10, MaxRows: 10, MaxSectionRunes: 24, MaxTitleRunes: 24, MaxIDBytes: 200, MaxDescriptRunes: 72,
				},
			},
		},
		ReplyTo:       true,
		Statuses:      []string{"sent", "delivered", "read", "failed"},
		OwnIDsOnly:    true,
		ReplyWindow:   replyWindow,
		OutsideWindow: []content.Type{content.TypeTemplate},
	}
}

// Capabilities is the function of that name.
func (*Adapter) Capabilities() provider.Capabilities { return Capabilities() }

// call makes one call of the API, decodes a success into out, and sorts everything else.
//
// Every call carries the proof that whoever holds the token also holds the app's secret: an app can be set to ask for it,
// and a secret that is not the app's is found out when it is entered, not when the first callback fails.
func (a *Adapter) call(ctx context.Context, ch provider.Channel, method, path string, query url.Values, body, out any) *provider.Error {
	var payload []byte
	if body != nil {
		var err error
		if payload, err = httpclient.JSON(body); err != nil {
			return httpclient.NotMade("the request could not be written as JSON")
		}
	}
	if query == nil {
		query = url.Values{}
	}
	token := ch.Credentials[credToken]
	query.Set("appsecret_proof", hex.EncodeToString(mac(ch.Credentials[credAppSecret], []byte(token))))
	req, err := http.NewRequestWithContext(ctx, method, a.base+path+"?"+query.Encode(), bytes.NewReader(payload))
	if err != nil {
		return httpclient.NotMade("the provider's address in the configuration is not a URL")
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	answer, err := a.caller.Do(ctx, req)
	if err != nil {
		return provider.Failure(err)
	}
	return a.read(answer, out)
}

func mac(key string, of []byte) []byte {
	h := hmac.New(sha256.New, []byte(key))
	h.Write(of)
	return h.Sum(nil)
}

// read takes an answer apart. What counts is the error's code, as Meta asks for, and the status only where there is none.
func (a *Adapter) read(answer httpclient.Answer, out any) *provider.Error {
	var failed struct {
		Error *graphError `json:"error"`
	}
	if json.Unmarshal(answer.Body, &failed) == nil && failed.Error != nil && failed.Error.Code != "" {
		return a.refusal(answer, *failed.Error)
	}
	switch {
	case answer.Status != http.StatusOK && (answer.Status < 200 || answer.Status > 299):
		return httpclient.Refusal(answer, a.now())
	case answer.Status != http.StatusOK || answer.Oversized || json.Unmarshal(answer.Body, out) != nil:
		return httpclient.Unreadable()
	}
	return nil
}

// decimal: one of the Graph API's ids, and nothing that could lead a path elsewhere.
func decimal(s string) bool {
	return s != "" && len(s) <= 32 && strings.Trim(s, "0123456789") == ""
}
