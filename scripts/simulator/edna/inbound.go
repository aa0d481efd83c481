package edna

import (
	"net/http"
	"strings"
	"time"

	"contactcenter/scripts/simulator/stage"
)

// inbound is the body of POST _sim/inbound: a recipient writes. Type is that of messageContent, "": TEXT; Content takes
// the place of messageContent; the answered message is named by its requestId.
type inbound struct {
	stage.Inbound
	// ID of the message, to send one twice; absent: a new one.
	ID int64 `json:"id"`
}

func (s *Simulator) postInbound(w http.ResponseWriter, r *http.Request) {
	var in inbound
	if !s.stage.ReadInbound(w, r, &in, &in.Inbound) {
		return
	}
	sender := s.bySubject[parseID(string(in.SenderID))]
	from := strings.TrimPrefix(in.From, "+")
	at := s.stage.Now()
	s.mu.Lock()
	if in.ID == 0 {
		s.nextID++
		in.ID = s.nextID
	}
	s.lastWrote[person{sender.SubjectID, from}] = at
	s.history.Add(&message{id: in.ID, direction: "IN", subject: sender.SubjectID, address: from, status: "RECEIVED", at: at})
	var repliedID any
	if m := s.taken[in.ReplyTo]; m != nil {
		repliedID = m.id
	}
	hook := s.hook(sender.SubjectID).inbound
	s.mu.Unlock()

	id := senderID(sender.SubjectID)
	c := s.callback(hook, in.body(sender, from, at, repliedID), s.stage.Behaviour(id))
	s.stage.AnswerInbound(w, r, id, c, map[string]any{"id": in.ID})
}

func (in inbound) body(sender Sender, from string, at time.Time, repliedID any) map[string]any {
	var content any = in.Content
	if in.Content == nil {
		kind := in.Type
		if kind == "" {
			kind = "TEXT"
		}
		content = map[string]any{
			"type": kind, "attachment": nil, "location": nil, "caption": nil, "text": in.Text, "payload": orNull(in.Payload), "story": nil, "items": nil,
		}
	}
	return map[string]any{
		"id": in.ID, "subject": sender.Subject, "subjectId": sender.SubjectID,
		"subscriber":     map[string]any{"id": subscriberID(from), "identifier": from},
		"userInfo":       map[string]any{"userName": orNull(in.Name), "firstName": nil, "lastName": nil, "avatarUrl": nil},
		"messageContent": content, "receivedAt": at.UTC().Format(time.RFC3339),
		"replyOutMessageId": repliedID, "replyOutMessageExternalRequestId": orNull(in.ReplyTo), "replyInMessageId": nil,
	}
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// subscriberID is edna's number of a person, the same each time.
func subscriberID(from string) int64 {
	var h uint32 = 2166136261
	for i := range len(from) {
		h = (h ^ uint32(from[i])) * 16777619
	}
	return int64(h)
}
