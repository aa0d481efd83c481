package twiliosms

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
)

// Bounds of one callback. Twilio sends at most ten files with a message.
const (
	maxCallbackBytes = 1 << 20
	maxMedia         = 100
)

// ParseCallback reads a callback of Twilio: a form that tells a message's status or what a recipient wrote. Twilio proves
// itself by a signature over the URL and the form. Statuses have no time of their own: the moment they come is theirs.
func (a *Adapter) ParseCallback(_ context.Context, ch provider.Channel, r *provider.Request) ([]provider.Event, error) {
	switch r.Method {
	case http.MethodHead, http.MethodGet:
		return nil, nil
	case http.MethodPost:
	default:
		return nil, fmt.Errorf("%w: method", provider.ErrMalformed)
	}
	if len(r.Body) > maxCallbackBytes {
		return nil, fmt.Errorf("%w: larger than 1 MiB", provider.ErrMalformed)
	}
	form := formOf(r)
	if !proven(ch.Credentials[credentialToken], r.URL, form, r.Body, r.Header.Get(HeaderSignature)) {
		return nil, provider.ErrProof
	}
	if form == nil {
		return other(r.Body)
	}
	for name, values := range form {
		if !utf8.ValidString(name) || !utf8.ValidString(strings.Join(values, "")) {
			return nil, fmt.Errorf("%w: not UTF-8", provider.ErrMalformed)
		}
	}
	switch id := first(form, "MessageSid", "SmsSid", "SmsMessageSid"); {
	case id != "" && form.Has("MessageStatus"):
		return status(id, r.Query.Get(queryMessage), form), nil
	case id != "" && form.Get("From") != "" && strings.EqualFold(form.Get("SmsStatus"), "received"):
		return replies(id, form, r.Body), nil
	case form.Has("AccountSid"):
		return nil, nil // of Twilio, and of a kind that is not ours
	}
	return nil, fmt.Errorf("%w: none of the parameters that are described", provider.ErrMalformed)
}

// formOf reads a form. nil: the body says that it is something else, or can't be read as one.
func formOf(r *provider.Request) url.Values {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil && kind != "application/x-www-form-urlencoded" {
		return nil
	}
	form, err := url.ParseQuery(string(r.Body))
	if err != nil {
		return nil
	}
	return form
}

// other looks at a body that is no form. Twilio sends such by products that nobody set up here: there is nothing to tell.
func other(body []byte) ([]provider.Event, error) {
	if trimmed := bytes.TrimSpace(body); len(trimmed) == 0 || trimmed[0] != '{' && trimmed[0] != '[' || !json.Valid(trimmed) {
		return nil, fmt.Errorf("%w: neither a form nor JSON", provider.ErrMalformed)
	}
	return nil, nil
}

// first is the value of the first of some parameters that is there.
func first(form url.Values, names ...string) string {
	for _, name := range names {
		if v := form.Get(name); v != "" {
			return v
		}
	}
	return ""
}

// status reads what became of a message. What is before "sent" is not passed on, and what Twilio may add is unknown.
func status(id, messageID string, form url.Values) []provider.Event {
	s := &provider.StatusReport{MessageID: messageID, ProviderMessageID: id}
	switch word := strings.ToLower(form.Get("MessageStatus")); word {
	case "sent", "delivered", "read":
		s.Status = word
		return []provider.Event{{Status: s}}
	case "failed", "undelivered", "canceled":
		s.Status = "failed"
	default:
		return nil
	}
	code, err := strconv.ParseInt(form.Get("ErrorCode"), 10, 32)
	if err != nil || code <= 0 {
		code = 0
	}
	text := ""
	if code > 0 {
		text = strconv.FormatInt(code, 10)
	}
	failure(s, code, text)
	if form.Get("MessageStatus") == "canceled" {
		s.Fault, s.Detail = provider.FaultCustomer, "the message was canceled in Twilio's account"
	}
	events := []provider.Event{{Status: s}}
	if r, _ := reasonOf(code); r.optedOut && form.Get("To") != "" {
		events = append(events, provider.Event{OptOut: &provider.OptOut{From: form.Get("To")}})
	}
	return events
}

// replies reads what a recipient wrote. A message with several files becomes one reply for each, so that nothing is lost: the
// first has the text as its caption, and the ids of the others add a number to the message's. What Twilio says of the
// recipient besides the number (city, country) is left out.
func replies(messageSID string, form url.Values, body []byte) []provider.Event {
	from, text := form.Get("From"), form.Get("Body")
	reply := func(id string, c content.Content) provider.Event {
		return provider.Event{Reply: &provider.Reply{ID: id, From: from, Content: c, Raw: body}}
	}
	var events []provider.Event
	for i := range maxMedia {
		n := strconv.Itoa(i)
		address := form.Get("MediaUrl" + n)
		if address == "" {
			break
		}
		// Twilio keeps a file until the account deletes it, and wants the account's credentials of whoever fetches it.
		m := &content.Media{URL: address, MIMEType: form.Get("MediaContentType" + n)}
		m.Kind = kindOf(m.MIMEType)
		if name := address[strings.LastIndexByte(address, '/')+1:]; sid(name, "ME") {
			m.MediaID = name
		}
		id := messageSID
		if i > 0 {
			id += "/" + n
		} else {
			m.Caption = text
		}
		events = append(events, reply(id, content.Content{Type: content.TypeMedia, Media: m}))
	}
	if len(events) == 0 {
		events = append(events, reply(messageSID, content.Content{Type: content.TypeText, Text: text}))
	}
	// Only of a Messaging Service with Advanced Opt-Out. Twilio has acted on the word itself, by the service's own list of words.
	switch form.Get("OptOutType") {
	case "STOP":
		events = append(events, provider.Event{OptOut: &provider.OptOut{From: from}})
	case "START":
		events = append(events, provider.Event{OptOut: &provider.OptOut{From: from, Lifted: true}})
	}
	return events
}

// kindOf sorts a file by its type; what is neither picture, film nor sound is a document.
func kindOf(mimeType string) string {
	switch kind, _, _ := strings.Cut(strings.ToLower(mimeType), "/"); kind {
	case content.Image, content.Video, content.Audio:
		return kind
	}
	return content.Document
}
