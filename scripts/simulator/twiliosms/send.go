package twiliosms

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"contactcenter/scripts/simulator/stage"
)

// order is the body of a send as far as it could be read.
type order struct {
	url.Values
	err error
}

// look reads what a call is about before it is judged. Our id of a message is in the query of its StatusCallback.
func look(e *stage.Exchange) {
	form, err := url.ParseQuery(string(e.Body))
	e.Own = order{form, err}
	e.To, e.Sender = form.Get("To"), form.Get("From")
	if e.Sender == "" {
		e.Sender = form.Get("MessagingServiceSid")
	}
	if u, err := url.Parse(form.Get("StatusCallback")); err == nil {
		e.RequestID = u.Query().Get("message_id")
	}
}

// refused is an error of Twilio's.
type refused struct {
	status, code int
	message      string
}

// magic are the recipients that Twilio documents for its test credentials.
func magic(to string) (refused, bool) {
	r, found := map[string]refused{
		"+15005550001": {400, 21211, "The 'To' number +15005550001 is not a valid phone number."},
		"+15005550002": {400, 21612, "The 'To' phone number: +15005550002, is not currently reachable using the 'From' phone number"},
		"+15005550003": {403, 21408, "Permission to send an SMS has not been enabled for the region indicated by the 'To' number: +15005550003."},
		"+15005550004": {400, 21610, "Attempt to send to unsubscribed recipient"},
		"+15005550009": {400, 21614, "'To' number: +15005550009, is not a valid mobile number"},
	}[to]
	return r, found
}

func (s *Simulator) send(e *stage.Exchange) {
	o := e.Own.(order)
	if o.err != nil || !utf8.ValidString(o.Get("Body")) {
		problem(e, http.StatusBadRequest, 20001, "Unable to parse the request")
		return
	}
	for _, check := range []func(order, stage.Behaviour) (refused, bool){s.checkSender, s.checkRecipient, s.checkContent} {
		if r, bad := check(o, s.stage.Behaviour(e.Sender)); bad {
			problem(e, r.status, r.code, r.message)
			return
		}
	}
	s.accept(e, o)
}

func (s *Simulator) checkSender(o order, b stage.Behaviour) (refused, bool) {
	from, service := o.Get("From"), o.Get("MessagingServiceSid")
	number, owned := s.number(from)
	switch {
	case from == "" && service == "":
		return refused{400, 21603, "A 'From' or 'MessagingServiceSid' parameter is required."}, true
	case service != "" && service != s.o.ServiceSID:
		return refused{400, 21705, "The Messaging Service Sid " + service + " is invalid."}, true
	case service == "" && !owned:
		return refused{400, 21606, "The 'From' phone number " + from + " is not a valid, SMS-capable inbound phone number or short code for your account."}, true
	case service == "" && number.Voice:
		return refused{400, 21661, "'From' " + from + " is not SMS-capable."}, true
	case b.Own.(*own).QueueFull:
		return refused{429, 21611, "This 'From' number has exceeded the maximum number of queued messages"}, true
	}
	return refused{}, false
}

func (s *Simulator) checkRecipient(o order, _ stage.Behaviour) (refused, bool) {
	to := o.Get("To")
	if r, found := magic(to); found {
		return r, true
	}
	s.mu.Lock()
	out := s.out[pair{sender(o), to}]
	s.mu.Unlock()
	switch {
	case to == "":
		return refused{400, 21604, "A 'To' phone number is required."}, true
	case !isE164(to):
		return refused{400, 21211, "The 'To' number " + to + " is not a valid phone number."}, true
	case to == o.Get("From"):
		return refused{400, 21266, "'To' and 'From' number cannot be the same: " + to}, true
	case out:
		return refused{400, 21610, "Attempt to send to unsubscribed recipient"}, true
	}
	return refused{}, false
}

func (s *Simulator) checkContent(o order, _ stage.Behaviour) (refused, bool) {
	files, template := o.Values["MediaUrl"], o.Get("ContentSid")
	variables, known := s.o.Templates[template]
	switch {
	case o.Get("Body") == "" && len(files) == 0 && template == "":
		return refused{400, 21619, "A text message body, media urls or a content sid must be specified."}, true
	case utf8.RuneCountInString(o.Get("Body")) > 1600:
		return refused{400, 21617, "The concatenated message body exceeds the 1600 character limit"}, true
	case len(files) > 10:
		return refused{400, 21623, "Number of media files exceeds allowed limit"}, true
	case slices.ContainsFunc(files, func(f string) bool { return !isURL(f) }):
		return refused{400, 21620, "Invalid media URL(s)"}, true
	case template == "" && o.Has("ContentVariables"):
		return refused{400, 21654, "ContentSid Required"}, true
	case template != "" && !known:
		return refused{400, 21655, "The ContentSid is Invalid"}, true
	case template != "" && !complete(o.Get("ContentVariables"), variables):
		return refused{400, 21656, "The ContentVariables Parameter is invalid"}, true
	case o.Get("StatusCallback") != "" && !callable(o.Get("StatusCallback")):
		return refused{400, 21609, "The 'StatusCallback' URL is not a valid URL."}, true
	}
	return refused{}, false
}

// complete reports whether every variable of a template has a value. Twilio has defaults for those that are absent; here
// there are none.
func complete(raw string, names []string) bool {
	var given map[string]string
	if raw == "" {
		raw = "{}"
	}
	if json.Unmarshal([]byte(raw), &given) != nil {
		return false
	}
	return !slices.ContainsFunc(names, func(name string) bool { _, has := given[name]; return !has })
}

// accept takes a message and lets its statuses follow.
func (s *Simulator) accept(e *stage.Exchange, o order) {
	kind := "SM"
	if o.Get("MediaUrl") != "" {
		kind = "MM"
	}
	id, service, from := s.sid(kind), any(nil), any(o.Get("From"))
	first := "queued"
	if o.Get("From") == "" {
		service, from, first = o.Get("MessagingServiceSid"), nil, "accepted"
	}
	at := e.At.UTC().Format(time.RFC1123Z)
	e.JSON(http.StatusCreated, map[string]any{
		"sid": id, "account_sid": s.o.AccountSID, "messaging_service_sid": service, "to": o.Get("To"), "from": from, "body": o.Get("Body"), "status": first,
		"num_segments": "1", "num_media": "0", "direction": "outbound-api", "api_version": "2010-04-01", "price": nil, "price_unit": nil,
		"error_code": nil, "error_message": nil, "date_created": at, "date_sent": nil, "date_updated": at,
		"uri":              "/2010-04-01/Accounts/" + s.o.AccountSID + "/Messages/" + id + ".json",
		"subresource_uris": map[string]string{"media": "/2010-04-01/Accounts/" + s.o.AccountSID + "/Messages/" + id + "/Media.json"},
	})
	b := s.stage.Behaviour(e.Sender)
	s.stage.Accept(e, stage.Life{Statuses: b.Fate(first, "sending", "sent", "delivered"), Tell: s.tell(o, id)})
}

// tell makes the callback of each status, when one was asked for.
func (s *Simulator) tell(o order, id string) func(string, time.Time, stage.Behaviour) stage.Callback {
	return func(status string, _ time.Time, now stage.Behaviour) stage.Callback {
		form := url.Values{
			"MessageSid": {id}, "SmsSid": {id}, "MessageStatus": {status}, "SmsStatus": {status}, "To": {o.Get("To")}, "From": {s.from(o)},
			"AccountSid": {s.o.AccountSID}, "ApiVersion": {"2010-04-01"},
		}
		if service := o.Get("MessagingServiceSid"); service != "" {
			form.Set("MessagingServiceSid", service)
		}
		switch status {
		case "undelivered", "failed":
			form.Set("ErrorCode", "30003")
			if now.StatusError != "" {
				form.Set("ErrorCode", now.StatusError)
			}
		}
		return s.callback(o.Get("StatusCallback"), form)
	}
}

// from is the number that a message comes from: a service sends by the account's first.
func (s *Simulator) from(o order) string {
	if n := o.Get("From"); n != "" {
		return n
	}
	return s.o.Numbers[0].Number
}

// sender is what a recipient opts out of.
func sender(o order) string {
	if service := o.Get("MessagingServiceSid"); service != "" {
		return service
	}
	return o.Get("From")
}

func isE164(s string) bool {
	return len(s) >= 8 && len(s) <= 16 && s[0] == '+' && strings.Trim(s[1:], "0123456789") == ""
}

func isURL(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
}
