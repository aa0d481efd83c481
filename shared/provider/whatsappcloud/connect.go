package whatsappcloud

import (
	"context"
	"crypto/hmac"
	"net/http"
	"net/url"
	"strings"

	"contactcenter/shared/provider"
	"contactcenter/shared/provider/httpclient"
)

// settingWebhook says that the number's callbacks go to the channel's URL, since Subscribe had it so.
const settingWebhook = "webhook"

type named struct {
	ID string `json:"id"`
}

// Connect reads the number, looks for it in the WhatsApp Business Account, and asks for one of the account's templates: so
// it is seen that the token is good, may do both, and belongs to the app of the secret.
func (a *Adapter) Connect(ctx context.Context, ch provider.Channel, _ string) (provider.Connection, error) {
	if fail := wellFormed(ch.Credentials); fail != nil {
		return provider.Connection{}, fail
	}
	ctx, cancel := context.WithTimeout(ctx, a.many)
	defer cancel()
	address, fail := a.connect(ctx, ch)
	if fail != nil {
		return provider.Connection{}, httpclient.AsRead(fail)
	}
	return provider.Connection{Settings: map[string]string{}, Address: address}, nil
}

// wellFormed looks at the credentials before they are put into calls. Verify tokens have no other form than that.
func wellFormed(c map[string]string) *provider.Error {
	switch {
	case !decimal(c[credNumber]):
		return credentials("phone_number_id is the number's id at Meta, made of digits: see WhatsApp, API Setup in the app's dashboard").asError()
	case !decimal(c[credAccount]):
		return credentials("waba_id is the WhatsApp Business Account's id, made of digits: see WhatsApp, API Setup in the app's dashboard").asError()
	case !printable(c[credToken]):
		return credentials("access_token holds blanks or characters that no token has").asError()
	case !printable(c[credAppSecret]):
		return credentials("app_secret holds blanks or characters that no secret has").asError()
	case !printable(c[credVerifyToken]):
		return credentials("verify_token must be of letters, digits and signs, without blanks").asError()
	}
	return nil
}

// printable: ASCII without blanks, and not empty.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}

func (a *Adapter) connect(ctx context.Context, ch provider.Channel) (string, *provider.Error) {
	number, account := ch.Credentials[credNumber], ch.Credentials[credAccount]
	var shown struct {
		ID      string `json:"id"`
		Address string `json:"display_phone_number"`
	}
	if fail := a.call(ctx, ch, http.MethodGet, "/"+number, url.Values{"fields": {"id,display_phone_number,verified_name"}}, nil, &shown); fail != nil {
		return "", unknownID(fail, "phone_number_id is no id of a telephone number")
	}
	if fail := a.findNumber(ctx, ch); fail != nil {
		return "", fail
	}
	var templates listing
	if fail := a.call(ctx, ch, http.MethodGet, "/"+account+"/message_templates", url.Values{"fields": {"id"}, "limit": {"1"}}, nil, &templates); fail != nil {
		return "", unknownID(fail, "waba_id is no id of a WhatsApp Business Account")
	}
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, shown.Address)
	if !phone(digits) {
		return "", nil
	}
	return "+" + digits, nil
}

// findNumber looks for the number among those of the account: what is subscribed to is the account.
func (a *Adapter) findNumber(ctx context.Context, ch provider.Channel) *provider.Error {
	const pages = 10
	query := url.Values{"fields": {"id"}, "limit": {"100"}}
	for range pages {
		var page struct {
			Data   []named `json:"data"`
			Paging struct {
				Cursors struct {
					After string `json:"after"`
				} `json:"cursors"`
				Next string `json:"next"`
			} `json:"paging"`
		}
		if fail := a.call(ctx, ch, http.MethodGet, "/"+ch.Credentials[credAccount]+"/phone_numbers", query, nil, &page); fail != nil {
			return unknownID(fail, "waba_id is no id of a WhatsApp Business Account")
		}
		for _, n := range page.Data {
			if n.ID == ch.Credentials[credNumber] {
				return nil
			}
		}
		if page.Paging.Next == "" || page.Paging.Cursors.After == "" {
			break
		}
		query.Set("after", page.Paging.Cursors.After)
	}
	return credentials("the number of phone_number_id does not belong to the WhatsApp Business Account of waba_id").asError()
}

// unknownID makes a refusal of an id, which is the customer's entry here, one of the credentials.
func unknownID(e *provider.Error, detail string) *provider.Error {
	if e.Kind != provider.Permanent || e.Fault == provider.FaultPlatform {
		return e
	}
	out := credentials(detail).asError()
	out.ProviderCode = e.ProviderCode
	return out
}

// Subscribe has the app get the account's webhooks, and those of the number sent to callbackURL instead of the app's own
// URL. Meta checks it meanwhile, by a GET that Verify answers. A number's URL goes before an account's and an app's, so
// several channels of one account don't take each other's callbacks, and what else the app serves stays as it is.
func (a *Adapter) Subscribe(ctx context.Context, ch provider.Channel, callbackURL string) (map[string]string, error) {
	if fail := wellFormed(ch.Credentials); fail != nil {
		return nil, fail
	}
	const longest = 200 // characters, by Meta's page on webhook overrides
	if len(callbackURL) > longest {
		return nil, httpclient.NotMade("the callback URL is longer than the provider takes")
	}
	ctx, cancel := context.WithTimeout(ctx, a.many)
	defer cancel()
	if fail := a.subscribe(ctx, ch, callbackURL); fail != nil {
		return nil, httpclient.AsRead(fail)
	}
	return map[string]string{settingWebhook: "number"}, nil
}

func (a *Adapter) subscribe(ctx context.Context, ch provider.Channel, callbackURL string) *provider.Error {
	subscribed, fail := a.subscribed(ctx, ch)
	if fail != nil {
		return fail
	}
	var done struct{}
	if !subscribed {
		// Without a body this would take away an account's URL that somebody set for the app: so only if there is none.
		if fail := a.call(ctx, ch, http.MethodPost, "/"+ch.Credentials[credAccount]+"/subscribed_apps", nil, nil, &done); fail != nil {
			return fail
		}
	}
	override := map[string]any{"webhook_configuration": map[string]string{"override_callback_uri": callbackURL, "verify_token": ch.Credentials[credVerifyToken]}}
	return a.call(ctx, ch, http.MethodPost, "/"+ch.Credentials[credNumber], nil, override, &done)
}

// subscribed looks for the token's app among those that get the account's webhooks.
func (a *Adapter) subscribed(ctx context.Context, ch provider.Channel) (bool, *provider.Error) {
	var app named
	if fail := a.call(ctx, ch, http.MethodGet, "/app", url.Values{"fields": {"id"}}, nil, &app); fail != nil {
		return false, fail
	}
	var list struct {
		Data []struct {
			App named `json:"whatsapp_business_api_data"`
		} `json:"data"`
	}
	if fail := a.call(ctx, ch, http.MethodGet, "/"+ch.Credentials[credAccount]+"/subscribed_apps", nil, nil, &list); fail != nil {
		return false, fail
	}
	for _, d := range list.Data {
		if d.App.ID == app.ID && app.ID != "" {
			return true, nil
		}
	}
	return false, nil
}

// Setup tells what is left to do in the app's dashboard. News of templates go to the app's own URL in any case: a
// number's can't have them.
func (a *Adapter) Setup(ch provider.Channel, callbackURL string) []provider.SetupStep {
	const where = "In the app's dashboard at developers.facebook.com, under WhatsApp, Configuration"
	if ch.Settings[settingWebhook] != "" {
		return []provider.SetupStep{{
			Title:  "Only to learn at once when a template is approved, paused or rejected: let the app's webhook point here too",
			Detail: where + ": enter this callback URL with the verify_token of the channel's credentials, and subscribe to message_template_status_update. Messages need no step: their webhook is set.",
			Value:  callbackURL,
		}}
	}
	return []provider.SetupStep{
		{Title: "Enter the callback URL", Detail: where + ": the provider could not be told by its API.", Value: callbackURL},
		{Title: "Enter the verify token", Detail: where + ": it is the verify_token of the channel's credentials, which are not shown."},
		{Title: "Subscribe to the field messages", Detail: where + ", Webhook fields: statuses and replies come by this one."},
		{Title: "Subscribe to the field message_template_status_update", Detail: where + ", Webhook fields: news of templates come by this one."},
	}
}

// maxChallenge bounds what is sent back. Meta's are numbers.
const maxChallenge = 256

// Verify answers Meta's check of the callback URL with its challenge.
func (a *Adapter) Verify(_ context.Context, ch provider.Channel, r *provider.Request) ([]byte, error) {
	token, challenge := ch.Credentials[credVerifyToken], r.Query.Get("hub.challenge")
	// The comparison of two hashes takes the same time whatever the lengths are.
	same := hmac.Equal(mac("verify", []byte(r.Query.Get("hub.verify_token"))), mac("verify", []byte(token)))
	if token == "" || !same || r.Query.Get("hub.mode") != "subscribe" || !printable(challenge) || len(challenge) > maxChallenge {
		return nil, provider.ErrProof
	}
	return []byte(challenge), nil
}
