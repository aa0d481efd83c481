package whatsappcloud

import (
	"context"
	"crypto/hmac"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"contactcenter/shared/id"
	"contactcenter/shared/provider"
)

// Bounds of one callback. Meta puts at most 1,000 events in one.
const (
	maxCallbackBytes = 1 << 20
	maxEvents        = 1000
)

// envelope is every webhook of the Graph API.
type envelope struct {
	Object string `json:"object"`
	Entry  []struct {
		ID      ident    `json:"id"`
		Changes []change `json:"changes"`
	} `json:"entry"`
}

type change struct {
	Field string          `json:"field"`
	Value json.RawMessage `json:"value"`
}

// value is what the field messages tells of a number, and user_preferences.
type value struct {
	Metadata struct {
		NumberID ident `json:"phone_number_id"`
	} `json:"metadata"`
	Messages    []json.RawMessage `json:"messages"`
	Statuses    []json.RawMessage `json:"statuses"`
	Preferences []json.RawMessage `json:"user_preferences"`
}

type status struct {
	ID          ident        `json:"id"`
	Status      string       `json:"status"`
	Timestamp   ident        `json:"timestamp"`
	Recipient   ident        `json:"recipient_id"`
	RecipientID ident        `json:"recipient_user_id"`
	Opaque      ident        `json:"biz_opaque_callback_data"`
	Errors      []graphError `json:"errors"`
}

// preference is what a recipient decided by a button of the app.
type preference struct {
	Number    ident  `json:"wa_id"`
	UserID    ident  `json:"user_id"`
	Category  string `json:"category"`
	Value     string `json:"value"`
	Timestamp ident  `json:"timestamp"`
}

// ident is an identifier or a time that comes as a string or as a number. What is neither is none.
type ident string

func (i *ident) UnmarshalJSON(b []byte) error {
	*i = ""
	if b[0] == '"' {
		return json.Unmarshal(b, (*string)(i))
	}
	if b[0] == '-' || b[0] >= '0' && b[0] <= '9' {
		*i = ident(b)
	}
	return nil
}

// ParseCallback reads a webhook. Meta proves itself by a MAC of the raw body with the app's secret. What concerns another
// number than the channel's, or is of no known kind, is left out; so is an event that can't be read, unless there is
// nothing else: Meta would only repeat the whole batch, for days.
func (a *Adapter) ParseCallback(_ context.Context, ch provider.Channel, r *provider.Request) ([]provider.Event, error) {
	if !proven(ch.Credentials[credAppSecret], r) {
		return nil, provider.ErrProof
	}
	if r.Method != http.MethodPost {
		return nil, fmt.Errorf("%w: method", provider.ErrMalformed)
	}
	e, err := open(r.Body)
	if err != nil || e.Object != "whatsapp_business_account" {
		return nil, err
	}
	n := reader{channel: ch}
	for _, entry := range e.Entry {
		for _, c := range entry.Changes {
			n.change(string(entry.ID), c)
		}
	}
	switch {
	case len(n.events) > maxEvents:
		return nil, fmt.Errorf("%w: more than %d events", provider.ErrMalformed, maxEvents)
	case len(n.events) == 0 && n.unread > 0:
		return nil, fmt.Errorf("%w: %d events have an unexpected shape", provider.ErrMalformed, n.unread)
	}
	return n.events, nil
}

// proven compares the MACs in constant time. Without a secret nothing is proven.
func proven(secret string, r *provider.Request) bool {
	given, found := strings.CutPrefix(r.Header.Get("X-Hub-Signature-256"), "sha256=")
	sum, err := hex.DecodeString(given)
	return found && err == nil && secret != "" && hmac.Equal(sum, mac(secret, r.Body))
}

// open reads the envelope. The errors of encoding/json are not passed on: they can quote the body.
func open(body []byte) (envelope, error) {
	var e envelope
	switch {
	case len(body) > maxCallbackBytes:
		return e, fmt.Errorf("%w: larger than 1 MiB", provider.ErrMalformed)
	case !utf8.Valid(body):
		return e, fmt.Errorf("%w: not UTF-8", provider.ErrMalformed)
	case !json.Valid(body):
		return e, fmt.Errorf("%w: not JSON", provider.ErrMalformed)
	case json.Unmarshal(body, &e) != nil:
		return e, fmt.Errorf("%w: not a webhook of the Graph API", provider.ErrMalformed)
	}
	return e, nil
}

// reader gathers the events of one callback.
type reader struct {
	channel provider.Channel
	events  []provider.Event
	unread  int
}

func (n *reader) change(account string, c change) {
	switch c.Field {
	case "messages", "user_preferences":
		n.values(c.Value)
	case "message_template_status_update", "message_template_components_update", "template_category_update":
		if account == n.channel.Credentials[credAccount] {
			n.events = append(n.events, provider.Event{TemplatesChanged: true})
		}
	}
}

func (n *reader) values(raw json.RawMessage) {
	var v value
	if json.Unmarshal(raw, &v) != nil {
		n.unread++
		return
	}
	if string(v.Metadata.NumberID) != n.channel.Credentials[credNumber] {
		return
	}
	for _, raw := range v.Messages {
		n.message(raw)
	}
	for _, raw := range v.Statuses {
		n.status(raw)
	}
	for _, raw := range v.Preferences {
		n.preference(raw)
	}
}

func (n *reader) status(raw json.RawMessage) {
	var s status
	if json.Unmarshal(raw, &s) != nil || s.ID == "" {
		n.unread++
		return
	}
	report := provider.StatusReport{ProviderMessageID: string(s.ID), Status: s.Status, At: moment(s.Timestamp)}
	if strings.HasPrefix(string(s.Opaque), id.MessagePrefix) { // else another program's, which sends by the same number
		report.MessageID = string(s.Opaque)
	}
	optedOut := false
	switch s.Status {
	case "sent", "delivered", "read":
	case "failed":
		optedOut = s.explain(&report)
	default: // played, deleted: nothing that becomes of a message
		return
	}
	n.events = append(n.events, provider.Event{Status: &report})
	if from := address(s.Recipient, s.RecipientID); optedOut && from != "" {
		n.events = append(n.events, provider.Event{OptOut: &provider.OptOut{From: from, At: report.At}})
	}
}

// explain says why a message failed, and whether it is because the recipient opted out.
func (s status) explain(report *provider.StatusReport) bool {
	m := refusedBy(provider.FaultProvider, "the provider could not deliver the message")
	if len(s.Errors) > 0 {
		if n, err := strconv.Atoi(s.Errors[0].Code.String()); err == nil && n >= 0 {
			report.ProviderCode = strconv.Itoa(n)
			if known, ok := meaningOf(n); ok {
				m = known
			}
		}
	}
	report.Code, report.Fault, report.Detail, report.Permanent = m.code, m.fault, m.detail, m.kind != provider.Retry
	return m.optedOut
}

func (n *reader) preference(raw json.RawMessage) {
	var p preference
	if json.Unmarshal(raw, &p) != nil {
		n.unread++
		return
	}
	from := address(p.Number, p.UserID)
	if from == "" || p.Value != "stop" && p.Value != "resume" {
		return
	}
	n.events = append(n.events, provider.Event{OptOut: &provider.OptOut{From: from, Lifted: p.Value == "resume", At: moment(p.Timestamp)}})
}

// address is a person's number, or the business-scoped id of one whose number is not told.
func address(number, userID ident) string {
	if phone(string(number)) {
		return "+" + string(number)
	}
	if userID != "" {
		return string(userID)
	}
	return string(number)
}

// moment reads a time in seconds, the zero time when there is none to read.
func moment(s ident) time.Time {
	seconds, err := strconv.ParseInt(string(s), 10, 64)
	const year9999 = 253402300799 // later times have no RFC 3339 form
	if err != nil || seconds <= 0 || seconds > year9999 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}
