package whatsappcloud

import (
	"net/http"
	"strconv"
	"strings"

	"contactcenter/scripts/simulator/stage"
)

// inbound is the body of POST _sim/inbound: a recipient writes. From is a number or a business-scoped id. Type is that of
// Meta's message, "": text; Content takes the place of its object of that name. With text and payload, the types button,
// button_reply and list_reply are made. Type user_preferences with payload stop or resume is a recipient who wants no
// marketing messages any more, or wants them again.
type inbound struct {
	stage.Inbound
	// ID of the message, to send one twice; "": a new one.
	ID string `json:"id"`
}

func (s *Simulator) postInbound(w http.ResponseWriter, r *http.Request) {
	var in inbound
	if !stage.Read(w, r, &in) {
		return
	}
	n, known := s.numbers[string(in.SenderID)]
	preference := in.Type == "user_preferences" && (in.Payload == "stop" || in.Payload == "resume")
	switch {
	case !known:
		stage.Complain(w, http.StatusNotFound, "no such sender")
		return
	case in.From == "" || in.Text == nil && in.Content == nil && !preference:
		stage.Complain(w, http.StatusBadRequest, "from and text (or content) are needed")
		return
	}
	p := pair{n.ID, strings.TrimPrefix(in.From, "+")}
	at := s.stage.Now()
	seconds := strconv.FormatInt(at.Unix(), 10)
	s.mu.Lock()
	if in.ID == "" {
		s.n++
		in.ID = wamidOf(p.person, s.n)
	}
	quoted := s.sent[in.ReplyTo]
	hook := s.hookOf(n)
	if preference {
		s.optedOut[p] = in.Payload == "stop"
		hook = s.hooks[""] // a number's or an account's URL does not get these
	} else {
		s.lastWrote[p] = at
	}
	s.mu.Unlock()

	if preference {
		value := s.value(n, "user_preferences", map[string]any{
			"wa_id": p.person, "detail": "User requested to " + in.Payload + " marketing messages", "category": "marketing_messages", "value": in.Payload, "timestamp": at.Unix(),
		})
		s.stage.AnswerInbound(w, r, n.ID, s.callback(hook, n.Account, "user_preferences", value), nil)
		return
	}
	value := s.value(n, "messages", in.message(n, p, seconds, quoted))
	value["contacts"] = []any{in.contact(p)}
	s.stage.AnswerInbound(w, r, n.ID, s.callback(hook, n.Account, "messages", value), map[string]any{"id": in.ID})
}

func (in inbound) contact(p pair) map[string]any {
	out := map[string]any{"profile": map[string]string{"name": in.Name}}
	if bsuid.MatchString(p.person) {
		out["user_id"] = p.person
	} else {
		out["wa_id"] = p.person
	}
	return out
}

func (in inbound) message(n Number, p pair, seconds, quoted string) map[string]any {
	out := map[string]any{"id": in.ID, "timestamp": seconds}
	if bsuid.MatchString(p.person) { // a person whose number is not told
		out["from_user_id"] = p.person
	} else {
		out["from"] = p.person
	}
	if quoted != "" {
		out["context"] = map[string]string{"from": digits(n.Display), "id": quoted}
	}
	kind := in.Type
	if kind == "" {
		kind = "text"
	}
	var what any = in.Content
	if in.Content == nil {
		switch kind {
		case "text":
			what = map[string]any{"body": in.Text}
		case "button":
			what = map[string]any{"text": in.Text, "payload": in.Payload}
		case "button_reply", "list_reply":
			what = map[string]any{"type": kind, kind: map[string]any{"id": in.Payload, "title": in.Text}}
		default:
			what = map[string]any{"text": in.Text}
		}
	}
	if kind == "button_reply" || kind == "list_reply" {
		kind = "interactive"
	}
	out["type"], out[kind] = kind, what
	return out
}

// putWebhook is what a person does in the app's dashboard: it sets the app's own callback URL, which is checked.
func (s *Simulator) putWebhook(w http.ResponseWriter, r *http.Request) {
	var in struct {
		URL   string `json:"callback_url"`
		Token string `json:"verify_token"`
	}
	if !stage.Read(w, r, &in) {
		return
	}
	if fault := s.verify(r.Context(), hook{in.URL, in.Token}); fault != "" {
		stage.Complain(w, http.StatusBadRequest, fault)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks[""] = in.URL
	for account := range s.accounts {
		s.subscribed[account] = true
	}
	w.WriteHeader(http.StatusNoContent)
}

// putTemplate is Meta's decision on a template: it gets another status, and the app is told.
func (s *Simulator) putTemplate(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Name     string `json:"name"`
		Language string `json:"language"`
		Status   string `json:"status"`
	}
	if !stage.Read(w, r, &in) {
		return
	}
	s.mu.Lock()
	var changed Template
	for i, t := range s.templates {
		if t.Name == in.Name && t.Language == in.Language {
			s.templates[i].Status = in.Status
			changed = s.templates[i]
		}
	}
	hook := s.hooks[""] // a number's or an account's URL does not get these
	s.mu.Unlock()
	if changed.ID == "" {
		stage.Complain(w, http.StatusNotFound, "no such template")
		return
	}
	id, _ := strconv.ParseInt(changed.ID, 10, 64)
	value := map[string]any{
		"event": in.Status, "message_template_id": id, "message_template_name": changed.Name, "message_template_language": changed.Language, "reason": "NONE",
		"message_template_category": changed.Category,
	}
	s.stage.AnswerInbound(w, r, "", s.callback(hook, DefaultAccount, "message_template_status_update", value), nil)
}
