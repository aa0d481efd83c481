package telegram

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-telegram/bot/models"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
)

// maxCallbackBytes bounds one update.
const maxCallbackBytes = 1 << 20

// proofHeader carries the secret that was given to setWebhook.
const proofHeader = "X-Telegram-Bot-Api-Secret-Token"

// update has the kinds that Connect asks for; a bot's webhook brings one at a time. The library's type is not used here:
// it gives up the whole update for one part of a kind that it does not know, and Telegram would bring it again for a day.
type update struct {
	Message       json.RawMessage `json:"message"`
	EditedMessage json.RawMessage `json:"edited_message"`
	CallbackQuery json.RawMessage `json:"callback_query"`
	MyChatMember  json.RawMessage `json:"my_chat_member"`
}

// ParseCallback reads one update.
func (a *Adapter) ParseCallback(_ context.Context, ch provider.Channel, r *provider.Request) ([]provider.Event, error) {
	if r.Method != http.MethodPost {
		return nil, fmt.Errorf("%w: method", provider.ErrMalformed)
	}
	if !proven(ch, r.Header.Get(proofHeader)) {
		return nil, provider.ErrProof
	}
	if len(r.Body) > maxCallbackBytes {
		return nil, fmt.Errorf("%w: larger than 1 MiB", provider.ErrMalformed)
	}
	var u update
	if b := bytes.TrimSpace(r.Body); !utf8.Valid(b) || len(b) == 0 || b[0] != '{' || json.Unmarshal(b, &u) != nil {
		return nil, fmt.Errorf("%w: not an object of JSON in UTF-8", provider.ErrMalformed)
	}
	e, err := u.event()
	if err != nil || e == (provider.Event{}) {
		return nil, err
	}
	return []provider.Event{e}, nil
}

// proven compares hashes: the time it takes tells nothing of the secret.
func proven(ch provider.Channel, given string) bool {
	if ch.Credentials[CredentialToken] == "" {
		return false
	}
	want, got := sha256.Sum256([]byte(secret(ch))), sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// event reads the one thing that an update tells; the zero Event: nothing. The errors of encoding/json are not passed
// on: they can quote the body.
func (u update) event() (provider.Event, error) {
	var e provider.Event
	var err error
	switch {
	case present(u.Message):
		e.Reply, err = written(u.Message, false)
	case present(u.EditedMessage):
		e.Reply, err = written(u.EditedMessage, true)
	case present(u.CallbackQuery):
		e.Reply, err = pressed(u.CallbackQuery)
	case present(u.MyChatMember):
		e.OptOut, err = membership(u.MyChatMember)
	}
	return e, err
}

func present(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// head is what every message has.
type head struct {
	ID       int64 `json:"message_id"`
	Chat     chat  `json:"chat"`
	Date     int64 `json:"date"`
	EditDate int64 `json:"edit_date"`
	// What else is looked at on its own: of another shape than today's, it doesn't cost the message.
	Answered json.RawMessage `json:"reply_to_message"`
	Location json.RawMessage `json:"location"`
}

type chat struct {
	ID int64 `json:"id"`
}

// address is a chat's as a recipient's.
func (c chat) address() string { return strconv.FormatInt(c.ID, 10) }

// written reads a message. One that was edited is a further reply, with the new content: what the customer has seen stays
// what it was. Only the moves of a live location, which come every few seconds, are left out.
func written(raw json.RawMessage, edited bool) (*provider.Reply, error) {
	var h head
	if json.Unmarshal(raw, &h) != nil || h.ID <= 0 || h.Chat.ID == 0 {
		return nil, fmt.Errorf("%w: a message without id or chat", provider.ErrMalformed)
	}
	id, at := strconv.FormatInt(h.ID, 10), h.Date
	if edited {
		if present(h.Location) {
			return nil, nil
		}
		id, at = id+":edit:"+strconv.FormatInt(h.EditDate, 10), h.EditDate
	}
	r := &provider.Reply{ID: id, From: h.Chat.address(), Content: contentOf(raw), At: moment(at), Raw: raw}
	var answered struct {
		ID int64 `json:"message_id"`
	}
	if json.Unmarshal(h.Answered, &answered) == nil && answered.ID > 0 {
		r.ReplyToProviderID = strconv.FormatInt(answered.ID, 10)
	}
	return r, nil
}

// query is a pressed button. Telegram says nothing of when it was.
type query struct {
	ID   string `json:"id"`
	From struct {
		ID int64 `json:"id"`
	} `json:"from"`
	Data    *string `json:"data"`
	Message *struct {
		ID       int64 `json:"message_id"`
		Chat     chat  `json:"chat"`
		Keyboard struct {
			Rows [][]button `json:"inline_keyboard"`
		} `json:"reply_markup"`
	} `json:"message"`
}

// pressed reads a pressed button as a reply of the button's title, with its data as the payload. The query is not
// answered (answerCallbackQuery): nothing is sent that the customer did not order. Until Telegram gives up waiting, the
// recipient's app shows a progress bar on the button.
func pressed(raw json.RawMessage) (*provider.Reply, error) {
	var q query
	if json.Unmarshal(raw, &q) != nil || q.ID == "" || q.From.ID == 0 {
		return nil, fmt.Errorf("%w: a callback query without id or sender", provider.ErrMalformed)
	}
	r := &provider.Reply{ID: ":press:" + q.ID, From: strconv.FormatInt(q.From.ID, 10), Raw: raw}
	r.Content = content.Content{Type: content.TypeOther, Raw: raw}
	title := ""
	if m := q.Message; m != nil && m.ID > 0 && m.Chat.ID != 0 {
		r.ReplyToProviderID = strconv.FormatInt(m.ID, 10)
		r.ID, r.From = r.ReplyToProviderID+r.ID, m.Chat.address()
		title = q.title()
	}
	if q.Data == nil || content.HalfSurrogate(raw) {
		return r, nil
	}
	if title != "" {
		r.Content = content.Content{Type: content.TypeText, Text: title}
	}
	r.Content.Payload = *q.Data
	return r, nil
}

// title finds the pressed button in its message, which Telegram sends along unless it is too old.
func (q query) title() string {
	for _, row := range q.Message.Keyboard.Rows {
		for _, b := range row {
			if q.Data != nil && b.CallbackData == *q.Data {
				return b.Text
			}
		}
	}
	return ""
}

// membership reads what became of the bot in a chat. Of a person's it is told when the person blocks the bot, which makes
// it "kicked", and when that is taken back; of a group's when the bot is put out, leaves and comes back.
func membership(raw json.RawMessage) (*provider.OptOut, error) {
	var m struct {
		Chat chat  `json:"chat"`
		Date int64 `json:"date"`
		Old  struct {
			Status string `json:"status"`
		} `json:"old_chat_member"`
		New struct {
			Status string `json:"status"`
		} `json:"new_chat_member"`
	}
	if json.Unmarshal(raw, &m) != nil || m.Chat.ID == 0 {
		return nil, fmt.Errorf("%w: a change of membership without a chat", provider.ErrMalformed)
	}
	was, is := out(m.Old.Status), out(m.New.Status)
	if m.New.Status == "" || was == is {
		return nil, nil
	}
	return &provider.OptOut{From: m.Chat.address(), Lifted: was, At: moment(m.Date)}, nil
}

func out(status string) bool { return status == "kicked" || status == "left" }

// body is what a message can hold that has a form here. The parts are the library's types; other members that a message
// can have beside them are kept in Reply.Raw.
type body struct {
	Text      *string            `json:"text"`
	Caption   string             `json:"caption"`
	Photo     []models.PhotoSize `json:"photo"`
	Video     *models.Video      `json:"video"`
	VideoNote *models.VideoNote  `json:"video_note"`
	Animation *models.Animation  `json:"animation"`
	Audio     *models.Audio      `json:"audio"`
	Voice     *models.Voice      `json:"voice"`
	Document  *models.Document   `json:"document"`
	Location  *models.Location   `json:"location"`
	Venue     *models.Venue      `json:"venue"`
}

// contentOf names the form of a message. What it can't say without loss stays Telegram's own JSON: stickers, contacts, polls,
// and whatever is newer than this.
func contentOf(raw json.RawMessage) content.Content {
	other := content.Content{Type: content.TypeOther, Raw: raw}
	var b body
	if content.HalfSurrogate(raw) || json.Unmarshal(raw, &b) != nil {
		return other
	}
	switch {
	case b.Text != nil:
		return content.Content{Type: content.TypeText, Text: *b.Text}
	case b.Venue != nil: // which comes with its location
		return place(b.Venue.Location, b.Venue.Title, b.Venue.Address)
	case b.Location != nil:
		return place(*b.Location, "", "")
	}
	m := b.media()
	if m.MediaID == "" {
		return other
	}
	m.Caption, m.SizeBytes = b.Caption, max(0, m.SizeBytes)
	return content.Content{Type: content.TypeMedia, Media: &m}
}

func place(l models.Location, name, address string) content.Content {
	return content.Content{Type: content.TypeLocation, Location: &content.Location{Latitude: l.Latitude, Longitude: l.Longitude, Name: name, Address: address}}
}

// media gives the file by Telegram's file_id, which stays valid. The URL that getFile makes of it, for an hour, would hold
// the token.
func (b body) media() content.Media {
	switch {
	case len(b.Photo) > 0:
		best := b.Photo[0] // one photo in several sizes
		for _, p := range b.Photo {
			if p.Width*p.Height > best.Width*best.Height {
				best = p
			}
		}
		return content.Media{Kind: content.Image, MediaID: best.FileID, SizeBytes: int64(best.FileSize)}
	case b.Animation != nil: // which comes as a document too
		return content.Media{
			Kind: content.Video, MediaID: b.Animation.FileID, Filename: b.Animation.FileName, MIMEType: b.Animation.MimeType, SizeBytes: b.Animation.FileSize,
		}
	case b.Video != nil:
		return content.Media{Kind: content.Video, MediaID: b.Video.FileID, Filename: b.Video.FileName, MIMEType: b.Video.MimeType, SizeBytes: b.Video.FileSize}
	case b.VideoNote != nil:
		return content.Media{Kind: content.Video, MediaID: b.VideoNote.FileID, SizeBytes: int64(b.VideoNote.FileSize)}
	case b.Audio != nil:
		return content.Media{Kind: content.Audio, MediaID: b.Audio.FileID, Filename: b.Audio.FileName, MIMEType: b.Audio.MimeType, SizeBytes: b.Audio.FileSize}
	case b.Voice != nil:
		return content.Media{Kind: content.Audio, MediaID: b.Voice.FileID, MIMEType: b.Voice.MimeType, SizeBytes: b.Voice.FileSize}
	case b.Document != nil:
		return content.Media{
			Kind: content.Document, MediaID: b.Document.FileID, Filename: b.Document.FileName, MIMEType: b.Document.MimeType, SizeBytes: b.Document.FileSize,
		}
	}
	return content.Media{}
}

// moment reads Telegram's seconds; the zero time when there are none.
func moment(unix int64) time.Time {
	if unix <= 0 {
		return time.Time{}
	}
	return time.Unix(unix, 0).UTC()
}
