package telegram

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"contactcenter/scripts/simulator/stage"
)

// form reads what a send method is about into the message that it becomes, or says what is wrong with it.
type form func(c *call, m map[string]any, b own) string

func forms() map[string]form {
	out := map[string]form{"sendMessage": text, "sendLocation": location, "sendVenue": venue}
	for method, kind := range map[string]string{"sendPhoto": "photo", "sendVideo": "video", "sendAudio": "audio", "sendDocument": "document"} {
		out[method] = file(kind)
	}
	return out
}

func text(c *call, m map[string]any, _ own) string {
	t := c.args["text"]
	switch {
	case !utf8.ValidString(t):
		return "strings must be encoded in UTF-8"
	case t == "":
		return "message text is empty"
	case strings.TrimSpace(t) == "":
		return "text must be non-empty"
	case utf8.RuneCountInString(t) > 4096:
		return "message is too long"
	}
	m["text"] = t
	return ""
}

func file(kind string) form {
	return func(c *call, m map[string]any, b own) string {
		source, caption := c.args[kind], c.args["caption"]
		u, err := url.Parse(source)
		switch {
		case source == "":
			return "there is no " + kind + " in the request"
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
			return "wrong file identifier/HTTP URL specified"
		case b.FetchError != "":
			return b.FetchError
		case utf8.RuneCountInString(caption) > 1024:
			return "message caption is too long"
		}
		sent := map[string]any{"file_id": "local-" + kind, "file_unique_id": "local", "file_size": 1000}
		if m[kind] = any(sent); kind == "photo" {
			sent["width"], sent["height"] = 90, 90
			m[kind] = []any{sent}
		}
		if caption != "" {
			m["caption"] = caption
		}
		return ""
	}
}

func location(c *call, m map[string]any, _ own) string {
	latitude, err := strconv.ParseFloat(c.args["latitude"], 64)
	longitude, err2 := strconv.ParseFloat(c.args["longitude"], 64)
	switch {
	case err != nil || latitude < -90 || latitude > 90:
		return "latitude is invalid"
	case err2 != nil || longitude < -180 || longitude > 180:
		return "longitude is invalid"
	}
	m["location"] = map[string]any{"latitude": latitude, "longitude": longitude}
	return ""
}

func venue(c *call, m map[string]any, b own) string {
	if why := location(c, m, b); why != "" {
		return why
	}
	if c.args["title"] == "" || c.args["address"] == "" {
		return "venue title and address must be non-empty"
	}
	m["venue"] = map[string]any{"location": m["location"], "title": c.args["title"], "address": c.args["address"]}
	return ""
}

// keyboard checks an inline keyboard, and gives it as the message shows it.
func keyboard(raw string) (any, string) {
	var k struct {
		Rows [][]struct {
			Text string  `json:"text"`
			Data *string `json:"callback_data"`
			URL  *string `json:"url"`
		} `json:"inline_keyboard"`
	}
	if json.Unmarshal([]byte(raw), &k) != nil {
		return nil, "can't parse reply keyboard markup JSON object"
	}
	n := 0
	for _, row := range k.Rows {
		for _, b := range row {
			n++
			switch {
			case b.Text == "":
				return nil, "can't parse inline keyboard button: text must be non-empty"
			case b.URL != nil:
				if u, err := url.Parse(*b.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "tg" {
					return nil, "inline keyboard button URL '" + *b.URL + "' is invalid: URL host is empty"
				}
			case b.Data == nil:
				return nil, "text buttons are unallowed in the inline keyboard"
			case *b.Data == "" || len(*b.Data) > 64:
				return nil, "BUTTON_DATA_INVALID"
			}
		}
	}
	if n > 100 {
		return nil, "reply markup is too long"
	}
	return json.RawMessage(raw), ""
}

// send takes a message, or refuses it as the server would: what it says first, then whom it is for.
func (s *Simulator) send(c *call, read form) {
	b := *s.stage.Behaviour(c.Sender).Own.(*own)
	m := map[string]any{}
	if why := read(c, m, b); why != "" {
		c.bad(why)
		return
	}
	if raw := c.args["reply_markup"]; raw != "" {
		shown, why := keyboard(raw)
		if why != "" {
			c.bad(why)
			return
		}
		m["reply_markup"] = shown
	}
	id, err := strconv.ParseInt(c.args["chat_id"], 10, 64)
	switch {
	case c.args["chat_id"] == "":
		c.bad("chat_id is empty")
		return
	case err != nil:
		c.bad("chat not found")
		return
	}
	now := s.stage.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	to := c.bot.chats[id]
	if !s.reaches(c, to, id) || !quotes(c, to, m) {
		return
	}
	if wait := time.Duration(b.ChatSeconds)*time.Second - now.Sub(to.lastSent); b.ChatSeconds > 0 && wait > 0 {
		c.flood(int((wait + time.Second - 1) / time.Second))
		return
	}
	to.lastSent = now
	m["from"], m["chat"], m["date"] = c.bot.user(), to.shown(), now.Unix()
	c.bot.keep(to, m)
	c.result(m)
	s.stage.Accept(c.Exchange, stage.Life{})
}

// reaches refuses chats that the bot can't write to. The caller holds the lock.
func (s *Simulator) reaches(c *call, to *chat, id int64) bool {
	switch {
	case to != nil && to.deactivated:
		c.error(http.StatusForbidden, "Forbidden: user is deactivated")
	case to != nil && to.blocked && id < 0:
		c.error(http.StatusForbidden, "Forbidden: bot was kicked from the group chat")
	case to != nil && to.blocked:
		c.error(http.StatusForbidden, "Forbidden: bot was blocked by the user")
	case to != nil && to.started:
		return true
	case id > 0 && s.knows(id):
		c.error(http.StatusForbidden, "Forbidden: bot can't initiate conversation with a user")
	default:
		c.bad("chat not found")
	}
	return false
}

// knows: some other bot was started by this person.
func (s *Simulator) knows(person int64) bool {
	for _, b := range s.bots {
		if c := b.chats[person]; c != nil && c.started {
			return true
		}
	}
	return false
}

// quotes adds the message that is answered. The caller holds the lock.
func quotes(c *call, to *chat, m map[string]any) bool {
	raw := c.args["reply_parameters"]
	if raw == "" {
		return true
	}
	var p struct {
		MessageID int64 `json:"message_id"`
		Allow     bool  `json:"allow_sending_without_reply"`
	}
	if json.Unmarshal([]byte(raw), &p) != nil {
		c.bad("can't parse reply parameters JSON object")
		return false
	}
	answered := to.messages[p.MessageID]
	if answered == nil && !p.Allow {
		c.bad("message to be replied not found")
		return false
	}
	if answered != nil {
		m["reply_to_message"] = quoted(answered)
	}
	return true
}

// quoted is a message as it stands within another: without what it answers itself.
func quoted(m map[string]any) map[string]any {
	out := maps.Clone(m)
	delete(out, "reply_to_message")
	return out
}

func (c *chat) shown() map[string]any {
	if c.id < 0 {
		return map[string]any{"id": c.id, "type": "group", "title": "Local group"}
	}
	return map[string]any{"id": c.id, "type": "private", "first_name": "Local"}
}
