package whatsappcloud

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// getNode shows a number or an account.
func (s *Simulator) getNode(c *call) {
	n, found := s.numbers[c.id()]
	switch {
	case found:
		s.mu.Lock()
		hook := s.hooks[n.ID]
		s.mu.Unlock()
		shown := map[string]any{"id": n.ID, "display_phone_number": n.Display, "verified_name": "Local Business"}
		if hook != "" {
			shown["webhook_configuration"] = map[string]string{"phone_number": hook}
		}
		c.reply(shown)
	case s.accounts[c.id()]:
		c.reply(map[string]string{"id": c.id(), "name": "Local Business"})
	default:
		c.unknown()
	}
}

func (s *Simulator) phoneNumbers(c *call) {
	if !s.accounts[c.id()] {
		c.unknown()
		return
	}
	var list []map[string]any
	for _, n := range s.o.Numbers {
		if n.Account == c.id() {
			list = append(list, map[string]any{"id": n.ID, "display_phone_number": n.Display, "verified_name": "Local Business"})
		}
	}
	page(c, list)
}

// page answers with a part of a list, by cursors.
func page[T any](c *call, list []T) {
	query := c.Request.URL.Query()
	start, _ := strconv.Atoi(query.Get("after"))
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil || limit <= 0 {
		limit = 25
	}
	start = min(max(start, 0), len(list))
	end := min(start+limit, len(list))
	paging := map[string]any{"cursors": map[string]string{"before": strconv.Itoa(start), "after": strconv.Itoa(end)}}
	if end < len(list) {
		query.Set("after", strconv.Itoa(end))
		paging["next"] = "https://graph.facebook.com" + c.Request.URL.Path + "?" + query.Encode()
	}
	out := map[string]any{"data": append([]T{}, list[start:end]...)}
	if len(list) > 0 {
		out["paging"] = paging
	}
	c.reply(out)
}

func (s *Simulator) getSubscribed(c *call) {
	if !s.accounts[c.id()] {
		c.unknown()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []map[string]any{}
	if s.subscribed[c.id()] {
		entry := map[string]any{"whatsapp_business_api_data": map[string]string{"id": appID, "name": "Local App", "link": "https://www.facebook.com/games/?app_id=" + appID}}
		if hook := s.hooks[c.id()]; hook != "" {
			entry["override_callback_uri"] = hook
		}
		list = append(list, entry)
	}
	c.reply(map[string]any{"data": list})
}

// hook is a callback URL as it is set, and the token that it is checked with.
type hook struct {
	URL   string `json:"override_callback_uri"`
	Token string `json:"verify_token"`
}

// subscribe has the app get an account's webhooks. Without a URL, the account's own is taken away.
func (s *Simulator) subscribe(c *call) {
	var in hook
	switch {
	case !s.accounts[c.id()]:
		c.unknown()
		return
	case len(c.Body) > 0 && json.Unmarshal(c.Body, &in) != nil:
		c.refuse(http.StatusBadRequest, 100, "Invalid parameter", "")
		return
	}
	s.setHook(c, in)
}

// setNumber sets a number's callback URL. An empty one takes it away.
func (s *Simulator) setNumber(c *call) {
	var in struct {
		Webhook *hook `json:"webhook_configuration"`
	}
	if !s.known(c.id()) {
		c.unknown()
		return
	}
	if json.Unmarshal(c.Body, &in) != nil || in.Webhook == nil {
		c.refuse(http.StatusBadRequest, 100, "Invalid parameter", "")
		return
	}
	s.setHook(c, *in.Webhook)
}

func (s *Simulator) setHook(c *call, h hook) {
	if h.URL != "" {
		if fault := s.verify(c.Request.Context(), h); fault != "" {
			// The number of this error is assumed.
			c.refuse(http.StatusBadRequest, 2200, "Callback verification failed", fault)
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hooks[c.id()] = h.URL; s.accounts[c.id()] {
		s.subscribed[c.id()] = true
	}
	c.reply(map[string]bool{"success": true})
}

// verify asks a callback URL for a challenge.
func (s *Simulator) verify(ctx context.Context, h hook) string {
	u, err := url.Parse(h.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return "the URL is not https"
	case len(h.URL) > 200:
		return "the URL has more than 200 characters"
	case h.Token == "":
		return "there is no verify_token"
	}
	challenge := strconv.FormatInt(time.Now().UnixNano()%1_000_000_000, 10)
	query := u.Query()
	query.Set("hub.mode", "subscribe")
	query.Set("hub.challenge", challenge)
	query.Set("hub.verify_token", h.Token)
	u.RawQuery = query.Encode()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "the URL can't be called"
	}
	resp, err := s.stage.HTTP().Do(req)
	if err != nil {
		return "the URL does not answer"
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil || resp.StatusCode != http.StatusOK || string(body) != challenge {
		return fmt.Sprintf("the URL answers with status %d and not with the challenge", resp.StatusCode)
	}
	return ""
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// hookOf finds where a number's webhooks go: to its own URL, its account's, or the app's. The caller holds mu.
func (s *Simulator) hookOf(n Number) string {
	for _, owner := range []string{n.ID, n.Account, ""} {
		if s.hooks[owner] != "" && s.subscribed[n.Account] {
			return s.hooks[owner]
		}
	}
	return ""
}

func (s *Simulator) messageTemplates(c *call) {
	if !s.accounts[c.id()] {
		c.unknown()
		return
	}
	s.mu.Lock()
	list := slices.Clone(s.templates)
	s.mu.Unlock()
	page(c, list)
}
