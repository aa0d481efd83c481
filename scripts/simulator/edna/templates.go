package edna

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"contactcenter/scripts/simulator/stage"
)

// Template is an approved text of the account.
type Template struct {
	ID       int64
	Name     string
	Language string
	Text     string
	Header   string
	Footer   string
	// Buttons are quick replies.
	Buttons []string
	// Status; "": APPROVED.
	Status string
	// SubjectID of the sender that has it; 0: every sender.
	SubjectID int64
}

// DefaultTemplates are those of the local stack, for every sender.
func DefaultTemplates() []Template {
	return []Template{
		{ID: 98, Name: "order_ready", Language: "en", Text: "Your order is ready"},
		{ID: 99, Name: "order_shipped", Language: "en", Text: "Hello {{1}}, your order {{2}} is on its way."},
		{ID: 100, Name: "order_shipped", Language: "ru", Text: "Здравствуйте, {{1}}! Заказ {{2}} уже в пути."},
		{ID: 101, Name: "appointment", Language: "en", Text: "Your appointment is on {{date}} at {{time}}.", Footer: "Reply to change it", Buttons: []string{"Confirm", "Cancel"}},
		{ID: 102, Name: "not_yet", Language: "en", Text: "Waiting for approval", Status: "PENDING"},
		{ID: 103, Name: "turned_down", Language: "en", Text: "Buy now", Status: "REJECTED"},
	}
}

var variable = regexp.MustCompile(`\\\{\\\{[^{}]+\\\}\\\}`)

// pattern is what a text must look like to be this template: each variable stands for some text.
func pattern(text string) *regexp.Regexp {
	return regexp.MustCompile(`(?s)\A` + variable.ReplaceAllLiteralString(regexp.QuoteMeta(text), `.+`) + `\z`)
}

func (t Template) approved() bool { return t.Status == "" || t.Status == "APPROVED" }

// matches says whether a content is one of the sender's approved templates. The caller holds mu.
func (s *Simulator) matches(subject int64, w whatsapp) bool {
	if w.ContentType != "TEXT" || w.Text == nil {
		return false
	}
	header, footer := "", ""
	if w.Header != nil {
		header = w.Header.Text
	}
	if w.Footer != nil {
		footer = w.Footer.Text
	}
	for _, t := range s.templates {
		mine := t.SubjectID == 0 || t.SubjectID == subject
		if mine && t.approved() && t.Header == header && t.Footer == footer && pattern(t.Text).MatchString(*w.Text) {
			return true
		}
	}
	return false
}

// matchers answers message-matchers/get-by-request.
func (s *Simulator) matchers(c *call) {
	var ask struct {
		SubjectID *int64 `json:"subjectId"`
	}
	if json.Unmarshal(c.Body, &ask) != nil {
		c.problem(http.StatusInternalServerError, "error-system", "System error")
		return
	}
	list := []map[string]any{}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ask.SubjectID != nil {
		c.Sender = senderID(*ask.SubjectID)
		if _, known := s.bySubject[*ask.SubjectID]; !known {
			c.problem(http.StatusBadRequest, "error-subject-unknown", "Subject is unknown")
			return
		}
	}
	for _, t := range s.templates {
		if t.SubjectID == 0 || ask.SubjectID == nil || t.SubjectID == *ask.SubjectID {
			list = append(list, t.wire())
		}
	}
	c.reply(list)
}

// change is the body of PUT _sim/templates: WhatsApp has looked at a template of the sender's, and it is told.
type change struct {
	SenderID stage.ID `json:"sender_id"`
	ID       int64    `json:"id"`
	Status   string   `json:"status"`
	// OlderShape tells it as older accounts are told.
	OlderShape bool `json:"older_shape"`
}

func (s *Simulator) putTemplate(w http.ResponseWriter, r *http.Request) {
	var in change
	if !stage.Read(w, r, &in) {
		return
	}
	subject := parseID(string(in.SenderID))
	s.mu.Lock()
	i := slices.IndexFunc(s.templates, func(t Template) bool { return t.ID == in.ID && (t.SubjectID == 0 || t.SubjectID == subject) })
	_, known := s.bySubject[subject]
	if i < 0 || !known {
		s.mu.Unlock()
		stage.Complain(w, http.StatusNotFound, "no such template of such a sender")
		return
	}
	s.templates = slices.Clone(s.templates) // not those of the options, which another simulator may have too
	s.templates[i].Status = in.Status
	t, hook := s.templates[i], s.hook(subject).matcher
	s.mu.Unlock()
	var body any = []any{t.wire()}
	if in.OlderShape {
		body = map[string]any{"messageMatcher": t.wire(), "subjectIds": []int64{subject}}
	}
	c := s.callback(hook, body, s.stage.Behaviour(senderID(subject)))
	c.Body = stage.Marshal(body) // it is a list already, or never one
	s.stage.AnswerInbound(w, r, senderID(subject), c, map[string]any{"id": t.ID})
}

func (t Template) wire() map[string]any {
	status := t.Status
	if status == "" {
		status = "APPROVED"
	}
	content := map[string]any{
		"attachment": nil, "action": nil, "caption": nil, "header": nil, "text": t.Text, "footer": nil, "keyboard": nil,
		"textExampleParams": []string{},
	}
	if t.Header != "" {
		content["header"] = map[string]any{"headerType": "TEXT", "text": t.Header, "attachment": nil}
	}
	if t.Footer != "" {
		content["footer"] = map[string]any{"text": t.Footer}
	}
	if len(t.Buttons) > 0 {
		var row []map[string]any
		for _, b := range t.Buttons {
			row = append(row, map[string]any{
				"text": b, "buttonType": "QUICK_REPLY", "url": nil, "urlPostfix": nil, "phone": nil, "payload": strings.ToUpper(b), "otpType": nil,
			})
		}
		content["keyboard"] = map[string]any{"rows": []map[string]any{{"buttons": row}}}
	}
	return map[string]any{
		"id": t.ID, "name": t.Name, "channelType": "WHATSAPP", "language": t.Language, "content": content, "contentType": "TEXT",
		"category": "UTILITY", "status": status, "locked": false, "type": "OPERATOR", "createdAt": "2026-01-10T09:00:00Z", "updatedAt": "2026-01-10T09:00:00Z",
	}
}
