package edna

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// channelProfile lists the senders.
func (s *Simulator) channelProfile(c *call) {
	list := []map[string]any{}
	types := c.Request.URL.Query().Get("types")
	if types == "" || strings.Contains(types, "WHATSAPP") {
		for i, x := range s.senders {
			p := map[string]any{
				"id": i + 1, "name": x.Subject, "subjectId": x.SubjectID, "channelAttribute": strings.TrimPrefix(x.Address, "+"),
				"subject": x.Subject, "active": true, "registrationStatus": "DONE_BUSINESS_VERIFICATION", "type": "WHATSAPP",
				"instruction": "The channel is operating correctly and is ready for use.", "limit": "TIER_1K", "qualityScore": "GREEN", "qualityStatus": "CONNECTED",
			}
			if x.Inactive {
				p["subjectId"], p["active"], p["registrationStatus"] = nil, false, "NEED_VERIFY"
			}
			list = append(list, p)
		}
	}
	c.reply(list)
}

// cascades lists each sender's own, after one of two stages, which sends by two senders.
func (s *Simulator) cascades(c *call) {
	subject := func(x Sender) map[string]any {
		return map[string]any{
			"id": x.SubjectID, "name": x.Subject, "subject": x.Subject, "description": nil, "type": "WHATSAPP", "tenantId": 334,
			"testing": false, "locked": false, "approveStatus": "APPROVED",
		}
	}
	stage := func(x Sender, next ...map[string]any) map[string]any {
		var decision any
		if len(next) == 0 {
			next = []map[string]any{}
		} else {
			decision = map[string]any{"type": "TTL", "ttl": "00:00:40"}
		}
		return map[string]any{"order": 0, "uuid": "00000000-0000-4000-8000-" + pad(x.CascadeID), "decision": decision, "subject": subject(x), "stages": next}
	}
	list := []map[string]any{}
	if len(s.senders) > 1 {
		list = append(list, map[string]any{
			"id": 90, "name": "both", "status": "ACTIVE", "stagesCount": 2, "stages": []map[string]any{stage(s.senders[0], stage(s.senders[1]))},
		})
	}
	for _, x := range s.senders {
		status := "ACTIVE"
		if x.CascadeDisabled {
			status = "DISABLED"
		}
		list = append(list, map[string]any{
			"id": x.CascadeID, "name": x.Subject, "status": status, "stagesCount": 1, "stages": []map[string]any{stage(x)},
		})
	}
	c.reply(list)
}

// callbackSet registers webhooks, after a HEAD to each that must be answered with 200.
func (s *Simulator) callbackSet(c *call) {
	var in struct {
		Status    *string `json:"statusCallbackUrl"`
		Inbound   *string `json:"inMessageCallbackUrl"`
		Matcher   *string `json:"messageMatcherCallbackUrl"`
		SubjectID int64   `json:"subjectId"`
	}
	if json.Unmarshal(c.Body, &in) != nil {
		c.problem(http.StatusInternalServerError, "error-system", "System error")
		return
	}
	c.Sender = senderID(in.SubjectID)
	if _, known := s.bySubject[in.SubjectID]; in.SubjectID != 0 && !known {
		c.callbackError("error-subject-unknown")
		return
	}
	if in.Status == nil && in.Inbound == nil && in.Matcher == nil {
		c.callbackError("url-not-specified")
		return
	}
	checked := map[string]bool{}
	for _, u := range []*string{in.Status, in.Inbound, in.Matcher} {
		if u == nil || checked[*u] {
			continue
		}
		checked[*u] = true
		if code := s.checkURL(c.Request.Context(), *u); code != "" {
			c.callbackError(code)
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hooks[in.SubjectID]
	for to, u := range map[*string]*string{&h.status: in.Status, &h.inbound: in.Inbound, &h.matcher: in.Matcher} {
		if u != nil {
			*to = *u
		}
	}
	s.hooks[in.SubjectID] = h
	c.reply(map[string]string{"code": "ok"})
}

func (c *call) callbackError(code string) {
	c.JSON(http.StatusBadRequest, map[string]any{"code": code, "status": http.StatusBadRequest, "detail": strings.ReplaceAll(code, "-", " ")})
}

func (s *Simulator) checkURL(ctx context.Context, raw string) string {
	if raw == "" {
		return "url-not-specified"
	}
	if len(raw) > 500 {
		return "error-callback-url-max-length"
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return "error-callback-url-not-https"
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, raw, nil)
	if err != nil {
		return "error-callback-url-not-available"
	}
	resp, err := s.stage.HTTP().Do(req)
	if err != nil {
		return "error-callback-url-not-available"
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "error-callback-url-not-available"
	}
	return ""
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// hook returns a sender's webhooks, each the account's where the sender has none. The caller holds mu.
func (s *Simulator) hook(subject int64) webhooks {
	h, account := s.hooks[subject], s.hooks[0]
	if h.status == "" {
		h.status = account.status
	}
	if h.inbound == "" {
		h.inbound = account.inbound
	}
	if h.matcher == "" {
		h.matcher = account.matcher
	}
	return h
}

// messagesHistory answers for one person, newest first, without contents.
func (s *Simulator) messagesHistory(c *call) {
	var ask struct {
		SubscriberFilter struct {
			Address string `json:"address"`
		} `json:"subscriberFilter"`
		Offset, Limit int
		MessageID     int64  `json:"messageId"`
		Direction     string `json:"direction"`
		SubjectID     int64  `json:"subjectId"`
	}
	if json.Unmarshal(c.Body, &ask) != nil {
		c.problem(http.StatusInternalServerError, "error-system", "System error")
		return
	}
	address := strings.TrimPrefix(ask.SubscriberFilter.Address, "+")
	limit := ask.Limit
	if limit <= 0 || limit > 1000 {
		limit = 1000
	}
	var found []map[string]any
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history.Each(func(m *message) bool {
		switch {
		case address != "" && m.address != address, ask.MessageID != 0 && m.id != ask.MessageID, ask.Direction != "" && m.direction != ask.Direction,
			ask.SubjectID != 0 && m.subject != ask.SubjectID:
			return true
		}
		found = append(found, map[string]any{
			"messageId": m.id, "requestId": m.requestID, "comment": m.comment, "direction": m.direction, "channelType": "WHATSAPP",
			"subjectId": m.subject, "cascadeId": m.cascade, "address": m.address, "deliveryStatus": m.status, "createdAt": m.at.UTC().Format(time.RFC3339),
		})
		return true
	})
	page := []map[string]any{}
	for i := len(found) - 1 - max(ask.Offset, 0); i >= 0 && len(page) < limit; i-- {
		page = append(page, found[i])
	}
	c.reply(map[string]any{"content": page, "hasNext": len(found) > max(ask.Offset, 0)+limit})
}

func parseID(raw string) int64 {
	n, err := strconv.ParseInt(raw, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
