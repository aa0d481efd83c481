// Package edna speaks to edna Pulse, the provider behind "Instant WhatsApp" (MF Management Ltd, https://edna.io), by its
// HTTP API (https://docs-pulse.edna.io). It knows edna's paths, fields, error codes and callbacks, and nothing about
// accounts, usage or storage.
//
// A message's id is edna's requestId, which edna takes once: a repeat is answered "requestId-is-not-unique", and
// that is how an attempt whose answer got lost is recognised.
package edna

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/httpclient"
)

// ID is edna's name in the registry, in paths and in configuration.
const ID = "edna"

// DefaultBaseURL is edna's API outside Russia. Its Russian twin is https://app.edna.ru/api.
const DefaultBaseURL = "https://app.edna.io/api"

// Config is what the operator holds towards edna.
type Config struct {
	// BaseURL is the API's address up to and with "/api"; "": DefaultBaseURL.
	BaseURL string
	// APIKey goes in the header X-API-KEY.
	APIKey string
	// WebhookKeys prove a callback's origin. The first is current; the others are accepted during a rotation.
	WebhookKeys []string
	// HTTP makes the calls; nil: httpclient.New().
	HTTP *http.Client
	// Timeout bounds each Send, with the look-up of a template if it needs one; 0: httpclient.DefaultTimeout.
	Timeout time.Duration
	// ActivateTimeout bounds an Activate with its three calls, one of which waits for edna to call us back; 0: 15 s.
	ActivateTimeout time.Duration
	// TemplateAge is how long a sender's list of templates is kept; 0: one minute.
	TemplateAge time.Duration
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// ConfigFrom reads EDNA_BASE_URL, EDNA_API_KEY and EDNA_WEBHOOK_KEYS (separated by commas, the first is current).
func ConfigFrom(getenv func(string) string) Config {
	var keys []string
	for k := range strings.SplitSeq(getenv("EDNA_WEBHOOK_KEYS"), ",") {
		if k = strings.TrimSpace(k); k != "" {
			keys = append(keys, k)
		}
	}
	return Config{BaseURL: getenv("EDNA_BASE_URL"), APIKey: getenv("EDNA_API_KEY"), WebhookKeys: keys}
}

// Adapter implements provider.Adapter, provider.Activator and provider.TemplateLister. It is safe for concurrent use.
type Adapter struct {
	base            string
	key             string
	keyHashes       [][sha256.Size]byte
	caller          httpclient.Caller
	timeout         time.Duration
	activateTimeout time.Duration
	templateAge     time.Duration
	now             func() time.Time

	mu        sync.Mutex
	templates map[int64]templateList
}

var (
	_ provider.Adapter   = (*Adapter)(nil)
	_ provider.Activator = (*Adapter)(nil)

	_ provider.TemplateLister = (*Adapter)(nil)
)

// New makes an adapter. Make one per process: it holds connections and recently read lists of templates.
func New(c Config) *Adapter {
	a := &Adapter{
		base:            strings.TrimRight(c.BaseURL, "/"),
		key:             c.APIKey,
		timeout:         c.Timeout,
		activateTimeout: c.ActivateTimeout,
		templateAge:     c.TemplateAge,
		now:             c.Now,
		templates:       map[int64]templateList{},
	}
	for _, k := range c.WebhookKeys {
		if k != "" {
			a.keyHashes = append(a.keyHashes, sha256.Sum256([]byte(k)))
		}
	}
	if a.base == "" {
		a.base = DefaultBaseURL
	}
	if a.timeout <= 0 {
		a.timeout = httpclient.DefaultTimeout
	}
	if a.activateTimeout <= 0 {
		a.activateTimeout = 15 * time.Second
	}
	if a.templateAge <= 0 {
		a.templateAge = time.Minute
	}
	if a.now == nil {
		a.now = time.Now
	}
	client := c.HTTP
	if client == nil {
		client = httpclient.New()
	}
	a.caller = httpclient.Caller{HTTP: client, Base: a.base, Timeout: a.timeout}
	return a
}

// Capabilities says what edna's API carries. WhatsApp bounds a text at 4,096 characters and free text at 24 hours
// after the recipient last wrote; later edna looks for an approved template that the text matches, so it decides itself.
//
// Media: edna documents an attachment's url and name, the name of at most 70 characters, and that it ignores a text beside
// an attachment. It documents no caption of a chat message's attachment, so none is taken: it could be lost. That only a
// document must have a name is an assumption; edna has an error for a name that is missing and does not say of which kind.
//
// Interactive: the numbers are WhatsApp's. edna's documentation names BUTTON and LIST_PICKER; see whatsappContent for
// what is assumed of their form.
func Capabilities() provider.Capabilities {
	return provider.Capabilities{
		RepeatSafe:   true,
		ChannelTypes: []string{"whatsapp"},
		AddressKind:  "phone",
		Content: map[content.Type]provider.Limits{
			content.TypeText:     {MaxTextRunes: maxTextRunes},
			content.TypeTemplate: {},
			content.TypeLocation: {NoPlaceName: true},
			content.TypeMedia: {Kinds: map[string]provider.MediaLimits{
				content.Image:    {Filename: true, MaxFilenameRunes: maxFilenameRunes},
				content.Video:    {Filename: true, MaxFilenameRunes: maxFilenameRunes},
				content.Audio:    {Filename: true, MaxFilenameRunes: maxFilenameRunes},
				content.Document: {Filename: true, NeedsFilename: true, MaxFilenameRunes: maxFilenameRunes},
			}},
			content.TypeInteractive: {
				MaxTextRunes: 1024, MaxHeaderRunes: 60, MaxFooterRunes: 60,
				Buttons: &provider.ButtonLimits{Max: 3, Reply: true, UniqueTitles: true, MaxTitleRunes: 20, MaxIDBytes: 256},
				List: &provider.ListLimits{
					MaxButtonRunes: 20, MaxSections: 10, MaxRows: 10, MaxSectionRunes: 24, MaxTitleRunes: 24, MaxIDBytes: 200, MaxDescriptRunes: 72,
				},
			},
		},
		Statuses:    []string{"sent", "delivered", "read", "failed"},
		ReplyWindow: 24 * time.Hour,
	}
}

// Capabilities is the function of that name.
func (*Adapter) Capabilities() provider.Capabilities { return Capabilities() }

const (
	maxTextRunes     = 4096
	maxFilenameRunes = 70
)

// problem is edna's error body. Its detail is never passed on: it can quote the request.
type problem struct {
	Title  string `json:"title"`
	Code   string `json:"code"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

func (p problem) word() string {
	if p.Title != "" {
		return p.Title
	}
	return p.Code
}

// call makes one call of the API and returns the body of a success. Its errors are *provider.Error; with refusals comes
// what edna said.
func (a *Adapter) call(ctx context.Context, method, path string, body any) ([]byte, problem, *provider.Error) {
	var payload []byte
	if body != nil {
		var err error
		if payload, err = httpclient.JSON(body); err != nil {
			return nil, problem{}, httpclient.NotMade("the request could not be written as JSON")
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, bytes.NewReader(payload))
	if err != nil {
		return nil, problem{}, httpclient.NotMade("edna's address in the configuration is not a URL")
	}
	req.Header.Set("X-API-KEY", a.key)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	answer, err := a.caller.Do(ctx, req)
	if err != nil {
		return nil, problem{}, provider.Failure(err)
	}
	var p problem
	_ = json.Unmarshal(answer.Body, &p) // lists and foreign bodies leave it empty, and the status decides
	// edna's own clients take an answer of 200 for an error when its body says another status.
	if answer.Status == http.StatusOK && p.Status > http.StatusOK {
		answer.Status = p.Status
	}
	if answer.Status == http.StatusOK {
		if answer.Oversized {
			return nil, p, httpclient.Unreadable()
		}
		return answer.Body, p, nil
	}
	if answer.Status > 200 && answer.Status < 300 {
		return nil, p, httpclient.Unreadable()
	}
	return nil, p, a.refusal(answer, p)
}

// refusal sorts an error answer, and names it by edna's word where there is one.
func (a *Adapter) refusal(answer httpclient.Answer, p problem) *provider.Error {
	e := httpclient.Refusal(answer, a.now())
	if !presentable(p.word()) {
		return e
	}
	e.ProviderCode = p.word()
	if e.Kind != provider.Permanent {
		return e
	}
	r := reasonOf(p.word())
	e.Code, e.Fault, e.Detail = r.code, r.fault, r.detail
	return e
}
