package telegram

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"contactcenter/scripts/simulator/stage"
)

// setWebhook registers a bot's one webhook; without a URL it takes it away.
func (s *Simulator) setWebhook(c *call) {
	h := hook{url: c.args["url"], secret: c.args["secret_token"]}
	if why := h.fault(); why != "" {
		c.bad(why)
		return
	}
	if list := c.args["allowed_updates"]; list != "" && json.Unmarshal([]byte(list), &h.allowed) != nil {
		c.bad("can't parse allowed updates JSON object")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.allowed == nil {
		h.allowed = c.bot.hook.allowed // which stays what it was
	}
	c.bot.hook = h
	if h.url != "" {
		s.last = c.bot.id()
	}
	c.JSON(http.StatusOK, map[string]any{"ok": true, "result": true, "description": "Webhook was set"})
}

const secretCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

func (h hook) fault() string {
	if h.url == "" {
		return ""
	}
	u, err := url.Parse(h.url)
	switch {
	case len(h.secret) > 256:
		return "secret token is too long"
	case strings.Trim(h.secret, secretCharacters) != "":
		return "secret token contains unallowed characters"
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return "invalid webhook URL specified"
	case loopback(u.Hostname()):
		return ""
	case u.Scheme != "https":
		return "bad webhook: An HTTPS URL must be provided for webhook"
	case !slices.Contains([]string{"", "443", "80", "88", "8443"}, u.Port()):
		return "bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443"
	}
	return ""
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (s *Simulator) getWebhookInfo(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.result(map[string]any{
		"url": c.bot.hook.url, "has_custom_certificate": false, "pending_update_count": 0, "allowed_updates": append([]string{}, c.bot.hook.allowed...),
	})
}

// update is the callback of one update, without a URL where the bot has no webhook or did not ask for updates of this
// kind. The caller holds the lock.
func (b *bot) update(kind string, v any) stage.Callback {
	b.nextUpdate++
	c := stage.Callback{
		URL: b.hook.url, Body: stage.Marshal(map[string]any{"update_id": b.nextUpdate, kind: v}),
		Header: http.Header{"Content-Type": {"application/json"}, "Accept-Encoding": {"gzip, deflate"}},
	}
	if len(b.hook.allowed) > 0 && !slices.Contains(b.hook.allowed, kind) {
		c.URL = ""
	}
	if b.hook.secret != "" {
		c.Header.Set("X-Telegram-Bot-Api-Secret-Token", b.hook.secret)
	}
	return c
}
