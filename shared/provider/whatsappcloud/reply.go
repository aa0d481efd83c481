package whatsappcloud

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"time"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
)

// mediaKept is how long Meta keeps a file that came by a webhook. The URL beside its id lives five minutes and opens only
// with the token, so the id alone is told.
const mediaKept = 7 * 24 * time.Hour

// message is one that a recipient wrote.
type message struct {
	ID        ident  `json:"id"`
	From      ident  `json:"from"`
	UserID    ident  `json:"from_user_id"`
	Timestamp ident  `json:"timestamp"`
	Type      string `json:"type"`
	Context   *struct {
		ID ident `json:"id"`
	} `json:"context"`
	Reaction *struct {
		MessageID ident `json:"message_id"`
	} `json:"reaction"`
}

// forms are the members that hold a message's content, each by its type.
type forms struct {
	Text *struct {
		Body *string `json:"body"`
	} `json:"text"`
	Image    *media `json:"image"`
	Sticker  *media `json:"sticker"`
	Video    *media `json:"video"`
	Audio    *media `json:"audio"`
	Document *media `json:"document"`
	Location *struct {
		Latitude  *float64 `json:"latitude"`
		Longitude *float64 `json:"longitude"`
		Name      string   `json:"name"`
		Address   string   `json:"address"`
	} `json:"location"`
	Button *struct {
		Text    *string `json:"text"`
		Payload string  `json:"payload"`
	} `json:"button"`
	Interactive *struct {
		Type   string  `json:"type"`
		Button *choice `json:"button_reply"`
		List   *choice `json:"list_reply"`
	} `json:"interactive"`
}

type media struct {
	ID       string `json:"id"`
	MIMEType string `json:"mime_type"`
	SHA256   string `json:"sha256"`
	Filename string `json:"filename"`
	Caption  string `json:"caption"`
}

type choice struct {
	ID    string  `json:"id"`
	Title *string `json:"title"`
}

func (n *reader) message(raw json.RawMessage) {
	var m message
	if json.Unmarshal(raw, &m) != nil || m.ID == "" {
		n.unread++
		return
	}
	from := address(m.From, m.UserID)
	if from == "" {
		n.unread++
		return
	}
	at := moment(m.Timestamp)
	r := &provider.Reply{ID: string(m.ID), From: from, Content: contentOf(m.Type, raw, at), At: at, Raw: raw}
	switch {
	case m.Context != nil && m.Context.ID != "":
		r.ReplyToProviderID = string(m.Context.ID)
	case m.Reaction != nil:
		r.ReplyToProviderID = string(m.Reaction.MessageID)
	}
	n.events = append(n.events, provider.Event{Reply: r})
}

// contentOf names the form of a message. What it can't say without loss stays Meta's own JSON: reactions, contacts, forms
// that were filled in, orders, and what Meta itself calls unsupported.
func contentOf(kind string, raw json.RawMessage, at time.Time) content.Content {
	other := content.Content{Type: content.TypeOther, Raw: raw}
	var f forms
	if content.HalfSurrogate(raw) || json.Unmarshal(raw, &f) != nil {
		return other
	}
	switch {
	case kind == "text" && f.Text != nil && f.Text.Body != nil:
		return content.Content{Type: content.TypeText, Text: *f.Text.Body}
	case kind == "button" && f.Button != nil && f.Button.Text != nil:
		return content.Content{Type: content.TypeText, Text: *f.Button.Text, Payload: f.Button.Payload}
	case kind == "interactive" && f.Interactive != nil:
		for kind, c := range map[string]*choice{"button_reply": f.Interactive.Button, "list_reply": f.Interactive.List} {
			if f.Interactive.Type == kind && c != nil && c.Title != nil {
				return content.Content{Type: content.TypeText, Text: *c.Title, Payload: c.ID}
			}
		}
	case kind == "location" && f.Location != nil && f.Location.Latitude != nil && f.Location.Longitude != nil:
		l := f.Location
		return content.Content{Type: content.TypeLocation, Location: &content.Location{Latitude: *l.Latitude, Longitude: *l.Longitude, Name: l.Name, Address: l.Address}}
	}
	for kept, m := range map[string]*media{"image": f.Image, "sticker": f.Sticker, "video": f.Video, "audio": f.Audio, "document": f.Document} {
		if kind == kept && m != nil && m.ID != "" {
			return m.content(kept, at)
		}
	}
	return other
}

// content is a file by its id. A sticker is an image.
func (m media) content(kind string, at time.Time) content.Content {
	if kind == "sticker" {
		kind = content.Image
	}
	out := &content.Media{Kind: kind, MediaID: m.ID, MIMEType: m.MIMEType, SHA256: m.SHA256, Filename: m.Filename, Caption: m.Caption}
	if sum, err := base64.StdEncoding.DecodeString(m.SHA256); err == nil && len(sum) == 32 {
		out.SHA256 = hex.EncodeToString(sum) // as every other hash that is shown
	}
	if !at.IsZero() {
		out.ExpiresAt = at.Add(mediaKept).Format("2006-01-02T15:04:05.000Z") // times as the API shows them
	}
	return content.Content{Type: content.TypeMedia, Media: out}
}
