package telegram

import (
	"context"
	"net/http"
	"strconv"

	"contactcenter/shared/provider"
	"contactcenter/shared/provider/httpclient"
)

// maxConnections is how many updates Telegram hands over at once, of at most 100: those of one chat come in their order.
const maxConnections = 40

// webhook is the body of setWebhook. Updates that wait at Telegram are kept.
type webhook struct {
	URL            string   `json:"url"`
	SecretToken    string   `json:"secret_token"`
	MaxConnections int      `json:"max_connections"`
	AllowedUpdates []string `json:"allowed_updates"`
}

// Connect asks Telegram who the bot is, and has it bring the bot's updates to callbackURL, which they go to alone from then
// on: a bot has one webhook.
func (a *Adapter) Connect(ctx context.Context, ch provider.Channel, callbackURL string) (provider.Connection, error) {
	var me struct {
		ID       int64  `json:"id"`
		IsBot    bool   `json:"is_bot"`
		Username string `json:"username"`
	}
	if fail := a.call(ctx, ch, "getMe", struct{}{}, &me); fail != nil {
		return provider.Connection{}, asked(fail)
	}
	if me.ID == 0 || !me.IsBot {
		return provider.Connection{}, asked(httpclient.Unreadable())
	}
	hook := webhook{
		URL: callbackURL, SecretToken: secret(ch), MaxConnections: maxConnections,
		AllowedUpdates: []string{"message", "edited_message", "callback_query", "my_chat_member"},
	}
	var set bool
	if fail := a.call(ctx, ch, "setWebhook", hook, &set); fail != nil {
		if fail.ProviderCode == strconv.Itoa(http.StatusBadRequest) {
			fail.Fault, fail.Detail = provider.FaultPlatform, "Telegram does not take the callback URL: it must be https, on port 443, 80, 88 or 8443 of a public address"
		}
		return provider.Connection{}, asked(fail)
	}
	c := provider.Connection{Settings: map[string]string{}}
	if me.Username != "" {
		c.Address = "@" + me.Username
	}
	return c, nil
}

// asked makes an error of a call that may be repeated: nothing was handed over, so nothing is ambiguous. An unknown token
// is answered with 404 where it does not even look like one.
func asked(e *provider.Error) *provider.Error {
	if e.ProviderCode == strconv.Itoa(http.StatusNotFound) {
		return badToken(e.ProviderCode)
	}
	return httpclient.AsRead(e)
}
