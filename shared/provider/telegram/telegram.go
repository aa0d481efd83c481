// Package telegram speaks to Telegram by its Bot API (https://core.telegram.org/bots/api), with the bot of the customer's
// own. It knows the API's methods, errors and updates, and nothing about accounts, usage or storage.
//
// The bot's token is a part of every URL, so no URL is ever a part of an error. Telegram knows no key against
// duplicates, and reports nothing of a message after it took it.
package telegram

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"time"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/httpclient"
)

// ID is Telegram's name in the registry, in paths and in configuration.
const ID = "telegram"

// DefaultBaseURL is the Bot API. An operator may run an API server of its own (github.com/tdlib/telegram-bot-api).
const DefaultBaseURL = "https://api.telegram.org"

// CredentialToken names the one credential: the bot's token, as @BotFather gives it.
const CredentialToken = "bot_token"

// Config is what the deployment says of Telegram. The zero value is usable.
type Config struct {
	// BaseURL is the API's address without a final slash; "": DefaultBaseURL.
	BaseURL string
	// HTTP makes the calls; nil: httpclient.New().
	HTTP *http.Client
	// Timeout bounds each call, of which Connect makes two; 0: httpclient.DefaultTimeout.
	Timeout time.Duration
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// ConfigFrom reads TELEGRAM_BASE_URL.
func ConfigFrom(getenv func(string) string) Config {
	return Config{BaseURL: getenv("TELEGRAM_BASE_URL")}
}

// Adapter implements provider.Adapter and provider.Connector. It is safe for concurrent use.
type Adapter struct {
	base   string
	caller httpclient.Caller
	now    func() time.Time
}

var (
	_ provider.Adapter   = (*Adapter)(nil)
	_ provider.Connector = (*Adapter)(nil)
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

// The documented bounds, in characters and bytes.
const (
	maxTextRunes    = 4096
	maxCaptionRunes = 1024
	maxDataBytes    = 64
	// maxButtons is not documented: others found it, and that about 10 kB of buttons are too much as well, which is left to the
	// server to say.
	maxButtons = 100
)

// Capabilities says what a bot's messages carry.
//
// A file is given by its URL, which Telegram fetches itself: photos of at most 5 MB, others of at most 20 MB; a document
// given so has to be a PDF, a ZIP or a GIF, and audio an MP3 or M4A, by the documentation. A name for it can't be given.
// A place has a name and an address (sendVenue) or neither (sendLocation). Buttons have no header, footer or list.
func Capabilities() provider.Capabilities {
	media := provider.MediaLimits{MaxCaptionRunes: maxCaptionRunes}
	return provider.Capabilities{
		ChannelTypes: []string{"telegram"},
		AddressKind:  "user_id",
		UserID:       chatID,
		Content: map[content.Type]provider.Limits{
			content.TypeText:     {MaxTextRunes: maxTextRunes, NoBlankText: true},
			content.TypeLocation: {WholePlace: true},
			content.TypeMedia: {Kinds: map[string]provider.MediaLimits{
				content.Image: media, content.Video: media, content.Audio: media, content.Document: media,
			}},
			content.TypeInteractive: {
				MaxTextRunes: maxTextRunes,
				Buttons:      &provider.ButtonLimits{Max: maxButtons, Reply: true, URL: true, MaxIDBytes: maxDataBytes},
			},
		},
		ReplyTo:    true,
		OwnIDsOnly: true,
	}
}

// Capabilities is the function of that name.
func (*Adapter) Capabilities() provider.Capabilities { return Capabilities() }

// token is a bot's token: its id, a colon, and the secret. Nothing else may become a part of a URL's path.
var token = regexp.MustCompile(`^[1-9][0-9]{0,15}:[A-Za-z0-9_-]{1,60}$`)

// secret is what Telegram sends with each update of the channel: 64 hexadecimal digits, of the 256 characters that it
// may have. Whoever knows neither the token nor it can't make it.
func secret(ch provider.Channel) string {
	h := hmac.New(sha256.New, []byte(ch.Credentials[CredentialToken]))
	h.Write([]byte(ch.ID))
	return hex.EncodeToString(h.Sum(nil))
}

// reply is the body of every answer.
type reply struct {
	OK          bool            `json:"ok"`
	Result      json.RawMessage `json:"result"`
	ErrorCode   int             `json:"error_code"`
	Description string          `json:"description"`
	Parameters  struct {
		RetryAfter int64 `json:"retry_after"`
	} `json:"parameters"`
}

// call makes one call of the API and reads the result of a success. Its errors hold neither the URL nor what Telegram said.
func (a *Adapter) call(ctx context.Context, ch provider.Channel, method string, body, result any) *provider.Error {
	if !token.MatchString(ch.Credentials[CredentialToken]) {
		return badToken("")
	}
	payload, err := httpclient.JSON(body)
	if err != nil {
		return httpclient.NotMade("the request could not be written as JSON")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base+"/bot"+ch.Credentials[CredentialToken]+"/"+method, bytes.NewReader(payload))
	if err != nil { // which quotes the URL
		return httpclient.NotMade("Telegram's address in the configuration is not a URL")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	answer, err := a.caller.Do(ctx, req)
	if err != nil {
		return provider.Failure(err)
	}
	var r reply
	readable := json.Unmarshal(answer.Body, &r) == nil
	switch {
	case answer.Status >= 300:
		return a.refusal(answer, r)
	case !readable || answer.Status != http.StatusOK:
		return httpclient.Unreadable()
	case r.OK && json.Unmarshal(r.Result, result) == nil:
		return nil
	case !r.OK && r.ErrorCode >= 300: // the status is the same number, as a rule
		answer.Status = r.ErrorCode
		return a.refusal(answer, r)
	}
	return httpclient.Unreadable()
}

func badToken(providerCode string) *provider.Error {
	return &provider.Error{
		Kind: provider.Credentials, Code: "credentials_invalid", ProviderCode: providerCode, Fault: provider.FaultCustomer,
		Detail: "Telegram does not know the bot token: ask @BotFather for the bot's current one (/mybots, the bot, API Token) and enter it whole",
	}
}
