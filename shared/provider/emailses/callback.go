package emailses

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"

	"contactcenter/shared/provider"
)

// notification is what SES publishes: an event of a letter that was sent (eventType from a configuration set,
// notificationType from an identity's feedback), or a letter that was received.
type notification struct {
	EventType        string `json:"eventType"`
	NotificationType string `json:"notificationType"`
	Mail             struct {
		Timestamp   string              `json:"timestamp"`
		Source      string              `json:"source"`
		MessageID   string              `json:"messageId"`
		Destination []string            `json:"destination"`
		Tags        map[string][]string `json:"tags"`
		// Headers are told of received letters, and of sent ones where the customer wants that.
		Headers []struct {
			Name  string `json:"name"`
			Value string `json:"value"`
		} `json:"headers"`
		CommonHeaders struct {
			From      []string `json:"from"`
			MessageID string   `json:"messageId"`
		} `json:"commonHeaders"`
	} `json:"mail"`
	Delivery struct {
		Timestamp string `json:"timestamp"`
	} `json:"delivery"`
	Open struct {
		Timestamp string `json:"timestamp"`
	} `json:"open"`
	Bounce struct {
		Timestamp  string       `json:"timestamp"`
		Type       string       `json:"bounceType"`
		SubType    string       `json:"bounceSubType"`
		Recipients []recipients `json:"bouncedRecipients"`
	} `json:"bounce"`
	Complaint struct {
		Timestamp  string       `json:"timestamp"`
		SubType    string       `json:"complaintSubType"`
		Feedback   string       `json:"complaintFeedbackType"`
		Recipients []recipients `json:"complainedRecipients"`
	} `json:"complaint"`
	Receipt struct {
		Recipients []string `json:"recipients"`
		Action     struct {
			Encoding string `json:"encoding"`
		} `json:"action"`
	} `json:"receipt"`
	Content *string `json:"content"`
}

type recipients struct {
	Address string `json:"emailAddress"`
	Status  string `json:"status"`
}

// ParseCallback reads what SNS posts: what SES publishes to the channel's topic, and the topic's question whether we want
// that at all, which is answered by visiting the URL that comes with it. The proof is SNS's signature with the topic's
// name in it, not older than an hour; there is none by headers.
//
// What the topic tells of other senders, and of letters that something else sent, is left out.
func (a *Adapter) ParseCallback(ctx context.Context, ch provider.Channel, r *provider.Request) ([]provider.Event, error) {
	if r.Method != "" && r.Method != http.MethodPost {
		return nil, nil
	}
	acc, fail := accountOf(ch.Credentials)
	if fail != nil {
		return nil, provider.ErrProof // without a topic there is nothing that a callback could prove
	}
	e, message, err := a.open(ctx, acc, r)
	if err != nil {
		return nil, err
	}
	switch e.Type {
	case kindSubscribe:
		return nil, a.confirm(ctx, acc, e)
	case kindNotification:
		return read(acc, e, message)
	}
	return nil, nil
}

// read reads one message of the topic. Not every one is of SES's forms: when a topic is chosen SES writes a sentence to it,
// and its owner can publish what he likes.
func read(acc account, e envelope, message string) ([]provider.Event, error) {
	var shape struct {
		Mail json.RawMessage `json:"mail"`
	}
	if json.Unmarshal([]byte(message), &shape) != nil || len(shape.Mail) == 0 {
		return nil, nil
	}
	var n notification
	if err := json.Unmarshal([]byte(message), &n); err != nil {
		return nil, fmt.Errorf("%w: a field has an unexpected type", provider.ErrMalformed)
	}
	if n.NotificationType == "Received" {
		return received(acc, n, e.Message, message)
	}
	return events(acc, n), nil
}

// events reads what became of a letter.
func events(acc account, n notification) []provider.Event {
	kind := n.EventType
	s := provider.StatusReport{ProviderMessageID: n.Mail.MessageID}
	if kind == "" {
		// An identity's feedback has no tags. SES's id says whether the letter is one of ours.
		if kind = n.NotificationType; !acc.sent(n) {
			return nil
		}
	} else if tags := n.Mail.Tags[tagMessage]; len(tags) == 1 {
		s.MessageID = tags[0]
	} else {
		return nil // a letter that something else sent by the same configuration set
	}
	if s.ProviderMessageID == "" {
		return nil
	}
	switch kind {
	case "Send":
		s.Status, s.At = "sent", moment(n.Mail.Timestamp)
	case "Delivery":
		s.Status, s.At = "delivered", moment(n.Delivery.Timestamp)
	case "Open":
		s.Status, s.At = "read", moment(n.Open.Timestamp)
	case "Bounce":
		s.At = moment(n.Bounce.Timestamp)
		return bounced(acc, n, s)
	case "Complaint":
		s.At = moment(n.Complaint.Timestamp)
		return complained(acc, n, s)
	case "Reject":
		s.At = moment(n.Mail.Timestamp)
		failed(&s, true, "provider_refused", provider.FaultCustomer, kind, "the provider found malware in the letter")
	case "Rendering Failure":
		s.At = moment(n.Mail.Timestamp)
		failed(&s, true, "provider_refused", provider.FaultCustomer, "RenderingFailure", "the template could not be filled in with these variables")
	default: // DeliveryDelay: still on its way. Click, Subscription: nothing of a message's state.
		return nil
	}
	return []provider.Event{{Status: &s}}
}

// failed makes a failure of a report.
func failed(s *provider.StatusReport, permanent bool, code string, fault provider.Fault, word, detail string) {
	s.Status, s.Permanent = "failed", permanent
	s.Code, s.Fault, s.Detail = code, fault, detail
	if codeForm.MatchString(word) {
		s.ProviderCode = word
	}
}

// codeForm admits a word of the provider's only if it can be nothing but a code.
var codeForm = regexp.MustCompile(`^[A-Za-z0-9./]{1,60}$`)

// bounced reads the end of a letter that did not arrive. A bounce that is not permanent is an end as well: SES reports it
// when it has given up trying.
func bounced(acc account, n notification, s provider.StatusReport) []provider.Event {
	word := n.Bounce.Type + "/" + n.Bounce.SubType
	for _, r := range n.Bounce.Recipients {
		if r.Status != "" {
			word += "/" + r.Status
			break
		}
	}
	permanent := n.Bounce.Type == "Permanent"
	switch {
	case permanent && (n.Bounce.SubType == "OnAccountSuppressionList" || n.Bounce.SubType == "UnsubscribedRecipient"):
		failed(&s, true, "recipient_opted_out", provider.FaultRecipient, word, "the recipient is on the account's list of those who get no letters")
		return append([]provider.Event{{Status: &s}}, optedOut(acc, n, s.At)...)
	case permanent:
		failed(&s, true, "recipient_invalid", provider.FaultRecipient, word, "the recipient's mail server does not take letters for this address")
	default:
		failed(&s, false, "provider_refused", provider.FaultRecipient, word, "the letter could not be delivered in the time that the provider tries")
	}
	return []provider.Event{{Status: &s}}
}

// complained reads a recipient's word that the letter was unwanted. Not every report is one.
func complained(acc account, n notification, s provider.StatusReport) []provider.Event {
	switch n.Complaint.Feedback {
	case "not-spam", "auth-failure":
		return nil
	}
	out := optedOut(acc, n, s.At)
	if n.Complaint.SubType == "OnAccountSuppressionList" { // SES did not try to deliver it
		failed(&s, true, "recipient_opted_out", provider.FaultRecipient, "Complaint/"+n.Complaint.SubType, "the recipient is on the account's list of those who get no letters")
		out = append([]provider.Event{{Status: &s}}, out...)
	}
	return out
}

// optedOut tells that the recipient wants no more letters of this sender. The address is the one that was written to: that
// in a complaint is only the mail provider's word.
func optedOut(acc account, n notification, at time.Time) []provider.Event {
	if !acc.sent(n) {
		return nil
	}
	to := n.Mail.Destination
	if len(to) != 1 {
		to = nil
		for _, r := range slices.Concat(n.Bounce.Recipients, n.Complaint.Recipients) {
			to = append(to, r.Address)
		}
	}
	var out []provider.Event
	for _, address := range to {
		if address = bare(address); address != "" {
			out = append(out, provider.Event{OptOut: &provider.OptOut{From: address, At: at}})
		}
	}
	return out
}

// sent says whether a letter is one of this channel's sender: a topic can serve several.
func (acc account) sent(n notification) bool {
	from := n.Mail.CommonHeaders.From
	if len(from) == 0 && n.Mail.Source == "" {
		return true
	}
	return acc.is(n.Mail.Source) || slices.ContainsFunc(from, acc.is)
}

// is says whether an address is the channel's. Upper and lower case are one: no mail server that receives for the channel
// tells them apart.
func (acc account) is(address string) bool { return strings.EqualFold(bare(address), acc.from.Address) }

// bare is the address alone, of one that may have a name, with its domain in lower case: domains are the same in any case
// (RFC 1035), and whoever writes one down mostly writes it like that. The part before the @ stays as it is, as only the
// recipient's server knows what case means there; "": it can't be read.
func bare(s string) string {
	a, err := mail.ParseAddress(s)
	if err != nil {
		a = &mail.Address{Address: strings.Trim(strings.TrimSpace(s), "<>")}
	}
	at := strings.LastIndexByte(a.Address, '@')
	if at < 0 || strings.ContainsAny(a.Address, "<> \r\n") {
		return ""
	}
	return a.Address[:at] + strings.ToLower(a.Address[at:])
}

// moment reads SES's time of an event, the zero time when there is none to read.
func moment(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
