package emailses

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"

	"contactcenter/scripts/simulator/stage"
)

// order is the body of SendEmail, as far as it is looked at.
type order struct {
	FromEmailAddress     string
	Destination          struct{ ToAddresses, CcAddresses, BccAddresses []string }
	ConfigurationSetName string
	EmailTags            []struct{ Name, Value string }
	Content              struct {
		Raw      *struct{ Data []byte }
		Template *struct {
			TemplateName string
			TemplateData string
			Headers      []struct{ Name, Value string }
		}
		Simple json.RawMessage
	}
}

type read struct {
	order
	err error
}

func (o order) tag(name string) string {
	for _, t := range o.EmailTags {
		if t.Name == name {
			return t.Value
		}
	}
	return ""
}

// peek reads what a call is about before it is judged, so that also a failed one is remembered with it.
func (s *Simulator) peek(c *call) {
	in := &read{}
	in.err = json.Unmarshal(c.Body, &in.order)
	c.Own, c.RequestID, c.Sender = in, in.tag("message_id"), bare(in.FromEmailAddress)
	if len(in.Destination.ToAddresses) > 0 {
		c.To = in.Destination.ToAddresses[0]
	}
}

var tag = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)

// maxLine is the longest line of a letter, in bytes, with its end.
const maxLine = 1000

// send goes through what SES asks of a letter.
func (s *Simulator) send(c *call) {
	in := c.Own.(*read)
	if in.err != nil {
		c.problem(http.StatusBadRequest, "BadRequestException", "The request body is not valid.")
		return
	}
	o := in.order
	to := slices.Concat(o.Destination.ToAddresses, o.Destination.CcAddresses, o.Destination.BccAddresses)
	sandbox := ownOf(s.stage.Behaviour(c.Sender)).Sandbox
	bad := func(message string) { c.problem(http.StatusBadRequest, "BadRequestException", message) }
	switch _, set := s.o.ConfigurationSets[o.ConfigurationSetName]; {
	case o.ConfigurationSetName != "" && !set:
		c.problem(http.StatusNotFound, "NotFoundException", "Configuration set <"+o.ConfigurationSetName+"> does not exist.")
		return
	case len(to) == 0 || len(to) > 50:
		bad("Recipient count is not between 1 and 50.")
		return
	case slices.ContainsFunc(to, func(a string) bool { return bare(a) == "" || !ascii(a) }):
		bad("Local address contains control or whitespace")
		return
	case slices.ContainsFunc(o.EmailTags, func(t struct{ Name, Value string }) bool {
		return !tag.MatchString(t.Name) || !tag.MatchString(t.Value)
	}):
		bad("Invalid tag.")
		return
	case !s.verified(c.Sender):
		s.unverified(c, c.Sender)
		return
	}
	if i := slices.IndexFunc(to, func(a string) bool { return sandbox && !s.verified(bare(a)) && !ofSimulator(bare(a)) }); i >= 0 {
		s.unverified(c, to[i])
		return
	}
	fate, refused := s.judge(o)
	if refused != "" {
		kind, message, _ := strings.Cut(refused, ": ")
		status := http.StatusBadRequest
		if kind == "NotFoundException" {
			status = http.StatusNotFound
		}
		c.problem(status, kind, message)
		return
	}
	s.accept(c, o, fate)
}

// unverified is the answer for an address that is no identity. It quotes the address, as SES does.
func (s *Simulator) unverified(c *call, address string) {
	c.problem(http.StatusBadRequest, "MessageRejected",
		"Email address is not verified. The following identities failed the check in region "+strings.ToUpper(s.o.Region)+": "+address)
}

// judge looks at the letter itself: what becomes of it ("" as usual), or why it is refused.
func (s *Simulator) judge(o order) (fate, refused string) {
	switch {
	case o.Content.Raw != nil && o.Content.Template == nil && o.Content.Simple == nil:
		return "", raw(o.Content.Raw.Data)
	case o.Content.Template != nil && o.Content.Raw == nil && o.Content.Simple == nil:
		t := o.Content.Template
		variables, found := s.o.Templates[t.TemplateName]
		var values map[string]any
		switch {
		case !found:
			return "", "NotFoundException: Template " + t.TemplateName + " does not exist."
		case json.Unmarshal([]byte(t.TemplateData), &values) != nil:
			return "", "BadRequestException: Invalid template data."
		}
		for _, v := range variables {
			if _, given := values[v]; !given {
				return "rendering_failure", "" // taken, and told of by an event
			}
		}
		return "", ""
	}
	return "", "BadRequestException: Exactly one of Simple, Raw and Template is needed."
}

func raw(letter []byte) (refused string) {
	m, err := mail.ReadMessage(bytes.NewReader(letter))
	if err != nil || m.Header.Get("From") == "" {
		return "BadRequestException: Missing required header 'From'."
	}
	for line := range bytes.SplitSeq(letter, []byte("\n")) {
		if len(line)+1 > maxLine {
			return "BadRequestException: Line is longer than 1000 characters."
		}
	}
	return ""
}

func ofSimulator(address string) bool { return strings.HasSuffix(address, "@simulator.amazonses.com") }

// usual is what becomes of a letter to an address.
func usual(to string, tracked bool) []string {
	name, _, _ := strings.Cut(to, "@")
	name, _, _ = strings.Cut(name, "+")
	switch {
	case ofSimulator(to) && name == "bounce", ofSimulator(to) && name == "suppressionlist":
		return []string{"sent", "failed"}
	case ofSimulator(to) && name == "complaint":
		return []string{"sent", "delivered", "complained"}
	case tracked:
		return []string{"sent", "delivered", "read"}
	}
	return []string{"sent", "delivered"}
}

// accept takes a letter and lets its events follow.
func (s *Simulator) accept(c *call, o order, fate string) {
	id := fmt.Sprintf("%016x-%s-000000", s.stage.Now().UnixMilli(), uuid())
	b := s.stage.Behaviour(c.Sender)
	to := bare(c.To)
	statuses := b.Fate(usual(to, ownOf(b).OpenTracking)...)
	if fate != "" {
		statuses = []string{fate}
	}
	s.mu.Lock()
	s.sent[o.tag("message_id")] = id
	if o.Content.Raw != nil {
		s.letters[id] = o.Content.Raw.Data
	}
	s.mu.Unlock()
	topic, sender := s.o.ConfigurationSets[o.ConfigurationSetName], c.Sender
	sentAt := s.stage.Now()
	s.stage.Accept(c.Exchange, stage.Life{Statuses: statuses, Tell: func(status string, at time.Time, now stage.Behaviour) stage.Callback {
		calls := s.publish(topic, string(stage.Marshal(s.event(o, id, to, status, sentAt, at, now))), now)
		if len(calls) == 0 || !now.Callbacks {
			return stage.Callback{}
		}
		for _, other := range calls[1:] {
			s.stage.Deliver(s.ctx, sender, other)
		}
		return calls[0]
	}})
	c.JSON(http.StatusOK, map[string]string{"MessageId": id})
}

// stamp is a time as SES writes it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// event is what SES publishes of a letter.
func (s *Simulator) event(o order, id, to, status string, sent, at time.Time, b stage.Behaviour) map[string]any {
	tags := map[string][]string{
		"ses:operation": {"SendEmail"}, "ses:configuration-set": {o.ConfigurationSetName}, "ses:from-domain": {strings.SplitN(bare(o.FromEmailAddress), "@", 2)[1]},
	}
	for _, t := range o.EmailTags {
		tags[t.Name] = []string{t.Value}
	}
	e := map[string]any{"mail": map[string]any{
		"timestamp": stamp(sent), "source": o.FromEmailAddress, "sourceArn": "arn:aws:ses:" + s.o.Region + ":000000000000:identity/" + bare(o.FromEmailAddress),
		"sendingAccountId": "000000000000", "messageId": id, "destination": []string{to}, "headersTruncated": false,
		"headers":       []any{map[string]string{"name": "From", "value": o.FromEmailAddress}},
		"commonHeaders": map[string]any{"from": []string{o.FromEmailAddress}, "to": []string{to}, "messageId": id}, "tags": tags,
	}}
	who := []any{map[string]string{"emailAddress": to}}
	switch status {
	case "sent":
		e["eventType"], e["send"] = "Send", map[string]any{}
	case "delivered":
		e["eventType"] = "Delivery"
		e["delivery"] = map[string]any{
			"timestamp": stamp(at), "processingTimeMillis": at.Sub(sent).Milliseconds(), "recipients": []string{to}, "smtpResponse": "250 2.6.0 Message received", "reportingMTA": "mta.example.com",
		}
	case "read":
		e["eventType"], e["open"] = "Open", map[string]any{"timestamp": stamp(at), "ipAddress": "192.0.2.1", "userAgent": "Mozilla/5.0"}
	case "complained":
		e["eventType"] = "Complaint"
		e["complaint"] = map[string]any{"complainedRecipients": who, "timestamp": stamp(at), "feedbackId": uuid(), "complaintFeedbackType": "abuse", "complaintSubType": nil}
	case "rejected":
		e["eventType"], e["reject"] = "Reject", map[string]any{"reason": "Bad content"}
	case "rendering_failure":
		e["eventType"] = "Rendering Failure"
		e["failure"] = map[string]any{"errorMessage": "Attribute is not present in the rendering data.", "templateName": o.Content.Template.TemplateName}
	case "delayed":
		e["eventType"] = "DeliveryDelay"
		e["deliveryDelay"] = map[string]any{"timestamp": stamp(at), "delayType": "TransientCommunicationFailure", "delayedRecipients": who, "expirationTime": stamp(at.Add(time.Hour))}
	default:
		kind, sub, _ := strings.Cut(ownOf(b).Bounce, "/")
		if strings.HasPrefix(to, "suppressionlist") {
			kind, sub = "Permanent", "Suppressed"
		}
		e["eventType"] = "Bounce"
		e["bounce"] = map[string]any{
			"bounceType": kind, "bounceSubType": sub, "timestamp": stamp(at), "feedbackId": uuid(), "reportingMTA": "dns; mta.example.com",
			"bouncedRecipients": []any{map[string]string{"emailAddress": to, "action": "failed", "status": "5.1.1", "diagnosticCode": "smtp; 550 5.1.1 user unknown"}},
		}
	}
	return e
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
