package twiliosms

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Twilio signs with HMAC-SHA1.
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"contactcenter/scripts/simulator/stage"
)

// inbound is the body of POST _sim/inbound: a recipient writes to a number, or to a number of a service. STOP and its like
// opt the recipient out, START and its like back in.
type inbound struct {
	stage.Inbound
	// Sid of the message, to send one twice; absent: a new one.
	Sid string `json:"sid"`
	// Media are files: the type, and where it is.
	Media []struct {
		URL         string `json:"url"`
		ContentType string `json:"content_type"`
	} `json:"media"`
}

func (s *Simulator) postInbound(w http.ResponseWriter, r *http.Request) {
	var in inbound
	if !s.stage.ReadInbound(w, r, &in, &in.Inbound) {
		return
	}
	if in.Text == nil {
		stage.Complain(w, http.StatusBadRequest, "text is needed; it may be empty")
		return
	}
	if in.Sid == "" {
		in.Sid = s.sid("SM")
	}
	sender := string(in.SenderID)
	form := s.form(in)
	word := keyword(*in.Text)
	s.mu.Lock()
	hook := s.hooks[sender]
	switch word {
	case "STOP":
		s.out[pair{sender, in.From}] = true
	case "START":
		delete(s.out, pair{sender, in.From})
	}
	s.mu.Unlock()
	if sender == s.o.ServiceSID {
		form.Set("MessagingServiceSid", sender)
		if word != "" { // the service has Advanced Opt-Out
			form.Set("OptOutType", word)
		}
	}
	facts, c := map[string]any{"id": in.Sid}, s.callback(hook.url, form)
	if hook.fallback == "" || hook.url == "" {
		s.stage.AnswerInbound(w, r, sender, c, facts)
		return
	}
	if status := s.stage.Deliver(r.Context(), sender, c); status >= 200 && status < 300 {
		stage.Answer(w, http.StatusOK, map[string]any{"id": in.Sid, "delivered": true, "status": status})
		return
	}
	form.Set("ErrorCode", "11200")
	form.Set("ErrorUrl", hook.url)
	facts["fallback"] = true
	s.stage.AnswerInbound(w, r, sender, s.callback(hook.fallback, form), facts)
}

// form is an inbound message in Twilio's parameters.
func (s *Simulator) form(in inbound) url.Values {
	to := string(in.SenderID)
	if to == s.o.ServiceSID {
		to = s.o.Numbers[0].Number
	}
	form := url.Values{
		"MessageSid": {in.Sid}, "SmsSid": {in.Sid}, "SmsMessageSid": {in.Sid}, "AccountSid": {s.o.AccountSID}, "From": {in.From}, "To": {to},
		"Body": {*in.Text}, "NumMedia": {strconv.Itoa(len(in.Media))}, "NumSegments": {"1"}, "SmsStatus": {"received"}, "ApiVersion": {"2010-04-01"},
		"FromCountry": {"CY"}, "FromCity": {""}, "FromState": {""}, "FromZip": {""}, "ToCountry": {"US"}, "ToCity": {""}, "ToState": {""}, "ToZip": {""},
	}
	for i, m := range in.Media {
		form.Set("MediaUrl"+strconv.Itoa(i), m.URL)
		form.Set("MediaContentType"+strconv.Itoa(i), m.ContentType)
	}
	return form
}

// keyword sorts a message whose whole text is one of the words that Twilio acts on.
func keyword(text string) string {
	switch strings.ToUpper(strings.TrimSpace(text)) {
	case "STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT":
		return "STOP"
	case "START", "YES", "UNSTOP":
		return "START"
	case "HELP", "INFO":
		return "HELP"
	}
	return ""
}

// callback is one in Twilio's form, signed: over the URL, and name and value of each parameter in the order of their names.
func (s *Simulator) callback(target string, form url.Values) stage.Callback {
	if target == "" {
		return stage.Callback{}
	}
	mac := hmac.New(sha1.New, []byte(s.o.AuthToken))
	_, _ = mac.Write([]byte(target))
	for _, name := range slices.Sorted(maps.Keys(form)) {
		_, _ = mac.Write([]byte(name + form.Get(name)))
	}
	return stage.Callback{
		URL: target, Body: []byte(form.Encode()),
		Header: http.Header{
			"Content-Type": {"application/x-www-form-urlencoded; charset=UTF-8"}, "User-Agent": {"TwilioProxy/1.1"},
			"X-Twilio-Signature": {base64.StdEncoding.EncodeToString(mac.Sum(nil))},
		},
	}
}

// postWebhook is Twilio's console: POST _sim/webhook {"sender_id", "url", "fallback_url"} says where what is written to a
// service goes. A number's is set by the API.
func (s *Simulator) postWebhook(w http.ResponseWriter, r *http.Request) {
	var in struct {
		SenderID stage.ID `json:"sender_id"`
		URL      string   `json:"url"`
		Fallback string   `json:"fallback_url"`
	}
	if !stage.Read(w, r, &in) {
		return
	}
	switch {
	case !s.known(string(in.SenderID)):
		stage.Complain(w, http.StatusNotFound, "no such sender")
		return
	case !callable(in.URL) || in.Fallback != "" && !callable(in.Fallback):
		stage.Complain(w, http.StatusBadRequest, "no URL that can be called")
		return
	}
	s.mu.Lock()
	s.hooks[string(in.SenderID)] = hooks{in.URL, in.Fallback}
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}
