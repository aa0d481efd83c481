package emailses

import (
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"net/mail"
	"strings"
	"time"

	"contactcenter/scripts/simulator/stage"
)

// inbound is the body of POST _sim/inbound: somebody writes to sender_id, which is an address ("": DefaultFrom). Content, a
// string, takes the place of the whole letter. reply_to_request_id is the message_id tag of the letter that is answered.
type inbound struct {
	stage.Inbound
	Subject string `json:"subject"`
	HTML    string `json:"html"`
	// MessageID of the letter; "": a new one. ID is SES's, to have one told twice.
	MessageID string `json:"message_id"`
	ID        string `json:"id"`
	// Encoding of the rule: "UTF-8" or "Base64"; "": Base64.
	Encoding string `json:"encoding"`
	// TopicArn of the rule; "": the first topic.
	TopicArn string `json:"topic_arn"`
}

func (s *Simulator) postInbound(w http.ResponseWriter, r *http.Request) {
	in := inbound{Inbound: stage.Inbound{SenderID: DefaultFrom}, Encoding: "Base64", TopicArn: s.o.Topics[0]}
	if !s.stage.ReadInbound(w, r, &in, &in.Inbound) {
		return
	}
	if in.ID == "" {
		in.ID = random(20)
	}
	if in.MessageID == "" {
		in.MessageID = "<" + random(12) + "@mail.example.net>"
	}
	s.mu.Lock()
	if id := s.sent[in.ReplyTo]; id != "" {
		in.ReplyTo = "<" + id + "@email.amazonses.com>"
	} else {
		in.ReplyTo = ""
	}
	s.mu.Unlock()
	letter := in.letter()
	if in.Content != nil && json.Unmarshal(in.Content, &letter) != nil {
		stage.Complain(w, http.StatusBadRequest, "content: want a letter as a string")
		return
	}
	sender := string(in.SenderID)
	b := s.stage.Behaviour(sender)
	calls := s.publish(in.TopicArn, string(stage.Marshal(in.notification(letter, s.stage.Now()))), b)
	status, delivered := 0, len(calls) > 0
	for _, c := range calls {
		if status = s.stage.Deliver(r.Context(), sender, c); status < 200 || status >= 300 {
			delivered = false
		}
	}
	stage.Answer(w, http.StatusOK, map[string]any{"delivered": delivered, "status": status, "id": in.ID, "message_id": in.MessageID, "endpoints": len(calls)})
}

// letter writes what a mail program would.
func (in inbound) letter() string {
	var b strings.Builder
	line := func(s string) { b.WriteString(s + "\r\n") }
	from := mail.Address{Name: in.Name, Address: in.From}
	line("From: " + from.String())
	line("To: " + string(in.SenderID))
	if in.Subject != "" {
		line("Subject: " + mime.BEncoding.Encode("utf-8", in.Subject))
	}
	line("Message-ID: " + in.MessageID)
	if in.ReplyTo != "" {
		line("In-Reply-To: " + in.ReplyTo)
		line("References: " + in.ReplyTo)
	}
	line("MIME-Version: 1.0")
	part := func(kind, body string) {
		line("Content-Type: " + kind + "; charset=utf-8")
		line("Content-Transfer-Encoding: base64")
		line("")
		encoded := base64.StdEncoding.EncodeToString([]byte(body))
		for len(encoded) > 76 {
			line(encoded[:76])
			encoded = encoded[76:]
		}
		line(encoded)
	}
	text := ""
	if in.Text != nil {
		text = *in.Text
	}
	if in.HTML == "" {
		part("text/plain", text)
		return b.String()
	}
	line(`Content-Type: multipart/alternative; boundary="b1"`)
	line("")
	line("--b1")
	part("text/plain", text)
	line("--b1")
	part("text/html", in.HTML)
	line("--b1--")
	return b.String()
}

// notification is what SES publishes of a received letter.
func (in inbound) notification(letter string, at time.Time) map[string]any {
	headers, common := []any{}, map[string]any{"from": []string{in.From}, "to": []string{string(in.SenderID)}}
	if m, err := mail.ReadMessage(strings.NewReader(letter)); err == nil {
		for name, values := range m.Header {
			for _, v := range values {
				headers = append(headers, map[string]string{"name": name, "value": v})
			}
		}
		if v := m.Header.Get("From"); v != "" {
			common["from"] = []string{v}
		}
		common["messageId"], common["subject"] = m.Header.Get("Message-Id"), m.Header.Get("Subject")
	}
	encoding := "UTF8"
	if strings.EqualFold(in.Encoding, "Base64") {
		encoding, letter = "BASE64", base64.StdEncoding.EncodeToString([]byte(letter))
	}
	pass := map[string]string{"status": "PASS"}
	return map[string]any{
		"notificationType": "Received",
		"receipt": map[string]any{
			"timestamp": stamp(at), "processingTimeMillis": 300, "recipients": []string{string(in.SenderID)}, "spamVerdict": pass, "virusVerdict": pass,
			"spfVerdict": pass, "dkimVerdict": pass, "dmarcVerdict": pass, "action": map[string]string{"type": "SNS", "topicArn": in.TopicArn, "encoding": encoding},
		},
		"mail": map[string]any{
			"timestamp": stamp(at), "source": in.From, "messageId": in.ID, "destination": []string{string(in.SenderID)}, "headersTruncated": false,
			"headers": headers, "commonHeaders": common,
		},
		"content": letter,
	}
}
