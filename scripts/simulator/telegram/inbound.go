package telegram

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"contactcenter/scripts/simulator/stage"
)

// inbound is the body of POST _sim/inbound: a person writes, and so starts the bot. from is the person's id. Without
// sender_id it is to the bot whose webhook was set last. Content is put in place of text, for example
// {"location":{"latitude":35,"longitude":33}}. With payload a button is pressed: of the message reply_to_message_id, or of
// the last one that has such a button.
type inbound struct {
	stage.Inbound
	// ID of the message, to send one twice, or to edit it; absent: a new one.
	ID        int64 `json:"id"`
	ReplyToID int64 `json:"reply_to_message_id"`
	// Edited: it is the message ID with another content.
	Edited bool `json:"edited"`
}

// of finds the bot and the person of a steering request. It has answered when it returns nil.
func (s *Simulator) of(w http.ResponseWriter, in *stage.Inbound) (*bot, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in.SenderID == "" {
		in.SenderID = stage.ID(s.last)
	}
	b := s.bots[string(in.SenderID)]
	person, err := strconv.ParseInt(in.From, 10, 64)
	switch {
	case b == nil:
		stage.Complain(w, http.StatusNotFound, "no such sender")
	case err != nil || person == 0:
		stage.Complain(w, http.StatusBadRequest, "from: want the number of a person or, below zero, of a group")
	default:
		return b, person
	}
	return nil, 0
}

func (s *Simulator) postInbound(w http.ResponseWriter, r *http.Request) {
	var in inbound
	if !stage.Read(w, r, &in) {
		return
	}
	b, person := s.of(w, &in.Inbound)
	if b == nil {
		return
	}
	s.mu.Lock()
	c := b.chat(person)
	callback, facts, why := s.write(b, c, in)
	s.mu.Unlock()
	if why != "" {
		stage.Complain(w, http.StatusConflict, why)
		return
	}
	s.stage.AnswerInbound(w, r, b.id(), callback, facts)
}

// write makes the update of what a person does. The caller holds the lock.
func (s *Simulator) write(b *bot, c *chat, in inbound) (stage.Callback, map[string]any, string) {
	if c.blocked || c.deactivated {
		return stage.Callback{}, nil, "the person has blocked the bot or left Telegram"
	}
	c.started = true
	if in.Payload != "" {
		return s.press(b, c, in)
	}
	m := map[string]any{"from": c.person(in.Name), "chat": c.shown(), "date": s.stage.Now().Unix()}
	var content map[string]json.RawMessage
	switch {
	case in.Content != nil && json.Unmarshal(in.Content, &content) == nil:
		for name, v := range content {
			m[name] = v
		}
	case in.Text != nil:
		m["text"] = *in.Text
	default:
		return stage.Callback{}, nil, "from and text (or content, or payload) are needed"
	}
	if answered := c.messages[in.ReplyToID]; answered != nil {
		m["reply_to_message"] = quoted(answered)
	}
	kind := "message"
	if in.ID == 0 {
		in.ID = b.keep(c, m)
	} else {
		m["message_id"], c.messages[in.ID] = in.ID, m
	}
	if in.Edited {
		kind, m["edit_date"] = "edited_message", s.stage.Now().Unix()
	}
	return b.update(kind, m), map[string]any{"id": in.ID}, ""
}

// press is a button's. The caller holds the lock.
func (s *Simulator) press(b *bot, c *chat, in inbound) (stage.Callback, map[string]any, string) {
	var found map[string]any
	for _, id := range slices.Backward(sortedKeys(c.messages)) {
		raw, _ := c.messages[id]["reply_markup"].(json.RawMessage)
		if (in.ReplyToID == 0 || in.ReplyToID == id) && strings.Contains(string(raw), string(stage.Marshal(in.Payload))) {
			found = c.messages[id]
			break
		}
	}
	if found == nil {
		return stage.Callback{}, nil, "the chat has no message with such a button"
	}
	b.nextUpdate++
	q := map[string]any{
		"id": strconv.FormatInt(4_382_000_000_000_000_000+b.nextUpdate, 10), "from": c.person(in.Name), "message": found,
		"chat_instance": "-5120000000000000000", "data": in.Payload,
	}
	return b.update("callback_query", q), map[string]any{"id": q["id"]}, ""
}

func sortedKeys(m map[int64]map[string]any) []int64 {
	var out []int64
	for id := range m {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

func (c *chat) person(name string) map[string]any {
	if name == "" {
		name = "Local"
	}
	id := c.id
	if id < 0 {
		id = 1_000_000 - id // somebody in the group
	}
	return map[string]any{"id": id, "is_bot": false, "first_name": name, "language_code": "en"}
}

// postStart is POST _sim/start {"sender_id", "from"}: a person presses Start, which sends "/start".
func (s *Simulator) postStart(w http.ResponseWriter, r *http.Request) {
	var in stage.Inbound
	if !stage.Read(w, r, &in) {
		return
	}
	b, person := s.of(w, &in)
	if b == nil {
		return
	}
	start := "/start"
	in.Text = &start
	s.mu.Lock()
	callback, facts, why := s.write(b, b.chat(person), inbound{Inbound: in})
	s.mu.Unlock()
	if why != "" {
		stage.Complain(w, http.StatusConflict, why)
		return
	}
	s.stage.AnswerInbound(w, r, b.id(), callback, facts)
}

// postMembership is POST _sim/block and _sim/unblock {"sender_id", "from"}: a person blocks the bot, or puts it out of a
// group, or takes that back.
func (s *Simulator) postMembership(w http.ResponseWriter, r *http.Request, blocked bool) {
	var in stage.Inbound
	if !stage.Read(w, r, &in) {
		return
	}
	b, person := s.of(w, &in)
	if b == nil {
		return
	}
	member := func(out bool) map[string]any {
		if out {
			return map[string]any{"user": b.user(), "status": "kicked", "until_date": 0}
		}
		return map[string]any{"user": b.user(), "status": "member"}
	}
	s.mu.Lock()
	c := b.chat(person)
	c.started, c.blocked = true, blocked
	callback := b.update("my_chat_member", map[string]any{
		"chat": c.shown(), "from": c.person(in.Name), "date": s.stage.Now().Unix(), "old_chat_member": member(!blocked), "new_chat_member": member(blocked),
	})
	s.mu.Unlock()
	s.stage.AnswerInbound(w, r, b.id(), callback, nil)
}

// postDeactivate is POST _sim/deactivate {"sender_id", "from"}: a person leaves Telegram, of which no update tells.
func (s *Simulator) postDeactivate(w http.ResponseWriter, r *http.Request) {
	var in stage.Inbound
	if !stage.Read(w, r, &in) {
		return
	}
	b, person := s.of(w, &in)
	if b == nil {
		return
	}
	s.mu.Lock()
	b.chat(person).deactivated = true
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}
