package edna

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
)

// Bounds of one callback.
const (
	maxCallbackBytes = 1 << 20
	maxCallbackItems = 100
)

// callback holds the fields of all three kinds of callback: replies, statuses and news of templates.
type callback struct {
	// Of all.
	Subject   string `json:"subject"`
	SubjectID ident  `json:"subjectId"`
	// Of news of a template, in its older shape.
	SubjectIDs []ident `json:"subjectIds"`
	// Of a status.
	RequestID ident           `json:"requestId"`
	MessageID ident           `json:"messageId"`
	Status    string          `json:"status"`
	StatusAt  string          `json:"statusAt"`
	Error     json.RawMessage `json:"error"`
	// Of a reply.
	ID         ident `json:"id"`
	Subscriber struct {
		Identifier ident `json:"identifier"`
	} `json:"subscriber"`
	MessageContent  json.RawMessage `json:"messageContent"`
	ReceivedAt      string          `json:"receivedAt"`
	ReplyOutID      ident           `json:"replyOutMessageId"`
	ReplyOutRequest ident           `json:"replyOutMessageExternalRequestId"`
}

type messageContent struct {
	Type       string `json:"type"`
	Attachment *struct {
		URL      string `json:"url"`
		Name     string `json:"name"`
		MIMEType string `json:"mimeType"`
		Size     ident  `json:"size"`
	} `json:"attachment"`
	Location *struct {
		Latitude  *float64 `json:"latitude"`
		Longitude *float64 `json:"longitude"`
		Name      string   `json:"name"`
		Address   string   `json:"address"`
	} `json:"location"`
	Caption string  `json:"caption"`
	Text    *string `json:"text"`
	Payload string  `json:"payload"`
	Items   []struct {
		Identifier string `json:"identifier"`
		Title      string `json:"title"`
	} `json:"items"`
}

// ident is an identifier that comes as a number or as a string.
type ident string

func (i *ident) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*i = ""
		return nil
	}
	if b[0] == '"' {
		return json.Unmarshal(b, (*string)(i))
	}
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return err
	}
	*i = ident(n)
	return nil
}

// ParseCallback reads a callback of edna: one object or a list of them. edna proves itself by the webhook key as the
// whole of the header Authorization, and checks the URL by HEAD and GET without it. What concerns another sender than
// the channel's, or is of no known kind, is left out.
func (a *Adapter) ParseCallback(_ context.Context, ch provider.Channel, r *provider.Request) ([]provider.Event, error) {
	switch r.Method {
	case http.MethodHead, http.MethodGet:
		return nil, nil
	case http.MethodPost:
	default:
		return nil, fmt.Errorf("%w: method", provider.ErrMalformed)
	}
	if !a.proven(r.Header.Get("Authorization")) {
		return nil, provider.ErrProof
	}
	items, err := split(r.Body)
	if err != nil {
		return nil, err
	}
	var events []provider.Event
	for _, item := range items {
		e, err := a.event(ch, item)
		if err != nil {
			return nil, err
		}
		again := e.TemplatesChanged && slices.Contains(events, e) // one word of it is enough
		if e != (provider.Event{}) && !again {
			events = append(events, e)
		}
	}
	return events, nil
}

// proven compares hashes, with every key: the time it takes tells neither a key's length nor which one matched.
func (a *Adapter) proven(key string) bool {
	given := sha256.Sum256([]byte(key))
	match := 0
	for i := range a.keyHashes {
		match |= subtle.ConstantTimeCompare(given[:], a.keyHashes[i][:])
	}
	return match == 1
}

func split(body []byte) ([]json.RawMessage, error) {
	if len(body) > maxCallbackBytes {
		return nil, fmt.Errorf("%w: larger than 1 MiB", provider.ErrMalformed)
	}
	if !utf8.Valid(body) {
		return nil, fmt.Errorf("%w: not UTF-8", provider.ErrMalformed)
	}
	body = bytes.Trim(body, " \t\r\n")
	if len(body) == 0 || !json.Valid(body) {
		return nil, fmt.Errorf("%w: not JSON", provider.ErrMalformed)
	}
	switch body[0] {
	case '{':
		return []json.RawMessage{bytes.Clone(body)}, nil
	case '[':
		var items []json.RawMessage
		if err := json.Unmarshal(body, &items); err != nil {
			return nil, fmt.Errorf("%w: not a list", provider.ErrMalformed)
		}
		if len(items) > maxCallbackItems {
			return nil, fmt.Errorf("%w: more than 100 items", provider.ErrMalformed)
		}
		return items, nil
	}
	return nil, fmt.Errorf("%w: neither an object nor a list", provider.ErrMalformed)
}

// event reads one item; the zero Event is nothing to report. The errors of encoding/json are not passed on: they can
// quote the body.
func (a *Adapter) event(ch provider.Channel, raw json.RawMessage) (provider.Event, error) {
	var s shape
	if raw[0] != '{' || json.Unmarshal(raw, &s) != nil {
		return provider.Event{}, nil
	}
	reply, status, template := present(s.MessageContent), present(s.RequestID) && present(s.Status), s.template()
	if !reply && !status && !template {
		return provider.Event{}, nil // something newer than this
	}
	var c callback
	if err := json.Unmarshal(raw, &c); err != nil {
		return provider.Event{}, fmt.Errorf("%w: a field has an unexpected type", provider.ErrMalformed)
	}
	if !ours(ch, c) {
		return provider.Event{}, nil
	}
	if reply {
		r, err := replyOf(ch, c, raw)
		return provider.Event{Reply: r}, err
	}
	if !status {
		return provider.Event{TemplatesChanged: true}, nil
	}
	if c.RequestID == "" {
		return provider.Event{}, nil // a message that somebody sent by edna's own pages
	}
	return provider.Event{Status: statusOf(c)}, nil
}

// shape is what tells the kinds of callback from each other.
type shape struct {
	MessageContent json.RawMessage `json:"messageContent"`
	RequestID      json.RawMessage `json:"requestId"`
	Status         json.RawMessage `json:"status"`
	Matcher        json.RawMessage `json:"messageMatcher"`
	Language       json.RawMessage `json:"language"`
	Name           json.RawMessage `json:"name"`
}

// template: edna tells of a template by the template itself, or, in older accounts, by one within messageMatcher.
func (s shape) template() bool {
	return present(s.Matcher) || present(s.Name) && present(s.Language) && present(s.Status)
}

func present(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// ours: with one webhook for a whole edna account, callbacks of every sender come to every channel.
func ours(ch provider.Channel, c callback) bool {
	if len(c.SubjectIDs) > 0 {
		return slices.Contains(c.SubjectIDs, ident(ch.SenderID))
	}
	if c.SubjectID != "" {
		return string(c.SubjectID) == ch.SenderID
	}
	subject := ch.Settings[settingSubject]
	return c.Subject == "" || subject == "" || c.Subject == subject
}

func statusOf(c callback) *provider.StatusReport {
	s := &provider.StatusReport{MessageID: string(c.RequestID), ProviderMessageID: string(c.MessageID), At: moment(c.StatusAt)}
	var word string
	_ = json.Unmarshal(c.Error, &word) // anything but a string tells us nothing
	switch status := strings.ToLower(c.Status); {
	case status == "sent" || status == "delivered" || status == "read":
		s.Status = status
		return s
	case status == "cancelled":
		explain(s, reason{"provider_duplicate", provider.FaultCustomer, "the same message had gone to the same recipient within 20 minutes"}, status)
	case status == "expired":
		explain(s, reason{"delivery_expired", provider.FaultRecipient, "the message could not be delivered in time"}, status)
	case status == "no-match-template":
		explain(s, reasonOf(status), status)
	case status == "undelivered" || status == "failed" || strings.HasPrefix(status, "error"):
		if word == "" && strings.HasPrefix(status, "error") {
			word = status
		}
		explain(s, reasonOf(word), status)
	default: // delayed, enqueued: still on its way
		return nil
	}
	if presentable(word) {
		s.ProviderCode = word
	}
	return s
}

func explain(s *provider.StatusReport, r reason, status string) {
	s.Status, s.Permanent = "failed", true
	s.Code, s.Fault, s.Detail = r.code, r.fault, r.detail
	if presentable(status) {
		s.ProviderCode = status
	}
}

func replyOf(ch provider.Channel, c callback, raw json.RawMessage) (*provider.Reply, error) {
	if c.ID == "" || c.Subscriber.Identifier == "" {
		return nil, fmt.Errorf("%w: a reply without id or sender", provider.ErrMalformed)
	}
	subject := string(c.SubjectID)
	if subject == "" {
		subject = ch.SenderID
	}
	from := string(c.Subscriber.Identifier)
	if phone(from) {
		from = "+" + from // else a business-scoped user id, which stays as it is
	}
	return &provider.Reply{
		ID:                subject + ":" + string(c.ID),
		From:              from,
		Content:           contentOf(c.MessageContent),
		ReplyTo:           string(c.ReplyOutRequest),
		ReplyToProviderID: string(c.ReplyOutID),
		At:                moment(c.ReceivedAt),
		Raw:               raw,
	}, nil
}

// contentOf names the form of a reply. What it can't say without loss stays edna's own JSON.
func contentOf(raw json.RawMessage) content.Content {
	other := content.Content{Type: content.TypeOther, Raw: raw}
	var c messageContent
	if content.HalfSurrogate(raw) || json.Unmarshal(raw, &c) != nil {
		return other
	}
	switch kind := strings.ToUpper(c.Type); kind {
	case "TEXT", "BUTTON":
		if c.Text == nil || c.Attachment != nil || c.Location != nil || len(c.Items) != 0 {
			return other
		}
		return content.Content{Type: content.TypeText, Text: *c.Text, Payload: c.Payload}
	case "LIST_PICKER":
		if len(c.Items) != 1 {
			return other
		}
		return content.Content{Type: content.TypeText, Text: c.Items[0].Title, Payload: c.Items[0].Identifier}
	case "LOCATION":
		if c.Location == nil || c.Location.Latitude == nil || c.Location.Longitude == nil {
			return other
		}
		return content.Content{Type: content.TypeLocation, Location: &content.Location{
			Latitude: *c.Location.Latitude, Longitude: *c.Location.Longitude, Name: c.Location.Name, Address: c.Location.Address,
		}}
	case "IMAGE", "VIDEO", "AUDIO", "DOCUMENT":
		if c.Attachment == nil || c.Attachment.URL == "" || value(c.Text) != "" || c.Location != nil || len(c.Items) != 0 {
			return other
		}
		size, _ := strconv.ParseInt(string(c.Attachment.Size), 10, 64) // 0, unknown, for what is no whole number
		return content.Content{Type: content.TypeMedia, Payload: c.Payload, Media: &content.Media{
			Kind: strings.ToLower(kind), URL: c.Attachment.URL, Filename: c.Attachment.Name, Caption: c.Caption,
			MIMEType: c.Attachment.MIMEType, SizeBytes: max(0, size),
		}}
	}
	return other
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// moment reads edna's time of an event, the zero time when there is none to read.
func moment(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
