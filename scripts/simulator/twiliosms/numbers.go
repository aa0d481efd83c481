package twiliosms

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"contactcenter/scripts/simulator/stage"
)

// listNumbers lists those that hold what is asked for: Twilio's filter takes a part of a number.
func (s *Simulator) listNumbers(e *stage.Exchange) {
	wanted := strings.ReplaceAll(e.Request.URL.Query().Get("PhoneNumber"), "*", "")
	list := []map[string]any{}
	for _, n := range s.o.Numbers {
		if strings.Contains(n.Number, wanted) {
			list = append(list, s.showNumber(n))
		}
	}
	e.JSON(http.StatusOK, map[string]any{"incoming_phone_numbers": list, "page": 0, "page_size": 50, "end": len(list), "start": 0, "next_page_uri": nil})
}

func (s *Simulator) showNumber(n Number) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hooks[n.Number]
	return map[string]any{
		"sid": n.SID, "account_sid": s.o.AccountSID, "phone_number": n.Number, "friendly_name": n.Number,
		"capabilities": map[string]bool{"voice": true, "sms": !n.Voice, "mms": !n.Voice, "fax": false},
		"sms_url":      h.url, "sms_method": "POST", "sms_fallback_url": h.fallback, "sms_fallback_method": "POST", "sms_application_sid": "", "status": "in-use",
	}
}

func (s *Simulator) updateNumber(e *stage.Exchange) {
	form, err := url.ParseQuery(string(e.Body))
	if err != nil {
		problem(e, http.StatusBadRequest, 20001, "Unable to parse the request")
		return
	}
	for _, n := range s.o.Numbers {
		if n.SID+".json" != e.Request.PathValue("sid") {
			continue
		}
		for _, name := range []string{"SmsUrl", "SmsFallbackUrl"} {
			if v := form.Get(name); v != "" && !callable(v) {
				problem(e, http.StatusBadRequest, 21502, "Invalid "+name)
				return
			}
		}
		s.mu.Lock()
		h := s.hooks[n.Number]
		if form.Has("SmsUrl") {
			h.url = form.Get("SmsUrl")
		}
		if form.Has("SmsFallbackUrl") {
			h.fallback = form.Get("SmsFallbackUrl")
		}
		s.hooks[n.Number] = h
		s.mu.Unlock()
		e.JSON(http.StatusOK, s.showNumber(n))
		return
	}
	problem(e, http.StatusNotFound, 20404, "The requested resource was not found")
}

// callable: an address that Twilio would call, or one on this machine.
func callable(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || len(raw) > 4000 || strings.Contains(u.Hostname(), "_") {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	return u.Scheme == "https" || u.Scheme == "http" && local
}
