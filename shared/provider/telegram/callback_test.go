package telegram_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/telegram"
)

func parse(t *testing.T, body string) []provider.Event {
	t.Helper()
	events, err := telegram.New(telegram.Config{BaseURL: "http://127.0.0.1:1"}).ParseCallback(t.Context(), channel(), post(body))
	if err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return events
}

//
func TestUpdatesAreRead(t *testing.T) {
	t.Parallel()
	at := time.Date(2016, 1, 30, 1, 57, 9, 0, time.UTC)
	text := func(s string) content.Content { return content.Content{Type: content.TypeText, Text: s} }
	file := func(m content.Media) content.Content { return content.Content{Type: content.TypeMedia, Media: &m} }
	for _, c := range []struct {
		name, more string
		want       content.Content
	}{
		{"the first word", `,"text":"/start","entities":[{"offset":0,"length":6,"type":"bot_command"}]`, text("/start")},
		{"an empty text", `,"text":""`, text("")},
		{
			"a photo in three sizes", `,"photo":[{"file_id":"s","file_size":1,"width":90,"height":67},{"file_id":"l","file_size":44212,"width":800,"height":600},` +
				`{"file_id":"m","file_size":2,"width":320,"height":240}],"caption":"look"`,
			file(content.Media{Kind: "image", MediaID: "l", SizeBytes: 44212, Caption: "look"}),
		},
		{
			"a document", `,"document":{"file_id":"d","file_name":"счёт.pdf","mime_type":"application/pdf","file_size":7}`,
			file(content.Media{Kind: "document", MediaID: "d", Filename: "счёт.pdf", MIMEType: "application/pdf", SizeBytes: 7}),
		},
		{"a film", `,"video":{"file_id":"v","mime_type":"video/mp4","duration":3,"width":1,"height":1}`, file(content.Media{Kind: "video", MediaID: "v", MIMEType: "video/mp4"})},
		{"a round film", `,"video_note":{"file_id":"n","length":240,"duration":3,"file_size":9}`, file(content.Media{Kind: "video", MediaID: "n", SizeBytes: 9})},
		{"spoken", `,"voice":{"file_id":"o","mime_type":"audio/ogg","duration":3,"file_size":-1}`, file(content.Media{Kind: "audio", MediaID: "o", MIMEType: "audio/ogg"})},
		{
			"music", `,"audio":{"file_id":"a","mime_type":"audio/mpeg","duration":3,"performer":"x","title":"y","file_name":"y.mp3"}`,
			file(content.Media{Kind: "audio", MediaID: "a", MIMEType: "audio/mpeg", Filename: "y.mp3"}),
		},
		{
			"an animation, which is a document too", `,"animation":{"file_id":"g","mime_type":"video/mp4"},"document":{"file_id":"g","mime_type":"video/mp4"}`,
			file(content.Media{Kind: "video", MediaID: "g", MIMEType: "video/mp4"}),
		},
		{
			"a place", `,"location":{"latitude":-2.890287,"longitude":-79.004333}`,
			content.Content{Type: content.TypeLocation, Location: &content.Location{Latitude: -2.890287, Longitude: -79.004333}},
		},
		{
			"a place with a name", `,"location":{"latitude":1,"longitude":2},"venue":{"location":{"latitude":1,"longitude":2},"title":"Cuenca","address":"Provincia del Azuay","foursquare_id":"4"}`,
			content.Content{Type: content.TypeLocation, Location: &content.Location{Latitude: 1, Longitude: 2, Name: "Cuenca", Address: "Provincia del Azuay"}},
		},
		{"a sticker", `,"sticker":{"file_id":"s","emoji":"👍"}`, content.Content{Type: content.TypeOther}},
		{"a contact", `,"contact":{"phone_number":"0788531373","first_name":"Adolf"}`, content.Content{Type: content.TypeOther}},
		{"something newer", `,"hologram":{"x":[1]}`, content.Content{Type: content.TypeOther}},
		{"half a surrogate pair", `,"text":"a\ud83d"`, content.Content{Type: content.TypeOther}},
		{"a text of another type", `,"text":{"new":"form"}`, content.Content{Type: content.TypeOther}},
		{"a photo of nothing", `,"photo":[]`, content.Content{Type: content.TypeOther}},
		{"an origin of a kind nobody knows", `,"text":"a","forward_origin":{"type":"mars"},"reply_to_message":"?"`, text("a")},
	} {
		body := message("41", person, c.more)
		events := parse(t, body)
		if len(events) != 1 || events[0].Reply == nil {
			t.Fatalf("%s: got %+v", c.name, events)
		}
		r := *events[0].Reply
		if c.want.Type == content.TypeOther {
			c.want.Raw = r.Raw
		}
		if !reflect.DeepEqual(r.Content, c.want) {
			t.Errorf("%s: got %+v %+v", c.name, r.Content.Type, r.Content.Media)
		}
		if r.ID != "41" || r.From != person || !r.At.Equal(at) || !bytes.Contains([]byte(body), r.Raw) || r.ReplyTo != "" || r.ReplyToProviderID != "" {
			t.Errorf("%s: got id %q from %q at %v about %q", c.name, r.ID, r.From, r.At, r.ReplyToProviderID)
		}
	}
}

func TestWhatAReplyIsAboutIsTold(t *testing.T) {
	t.Parallel()
	keyboard := `"reply_markup":{"inline_keyboard":[[{"text":"Map","url":"https://map.example"}],[{"text":"Yes ✓","callback_data":"yes:1"}]]}`
	press := func(data, more string) string {
		return `{"update_id":8,"callback_query":{"id":"4382bfdwdsb323b2d9","from":{"id":3527065,"is_bot":false,"first_name":"Nic"},"chat_instance":"-5"` + data + more + `}}`
	}
	for _, c := range []struct {
		name, body      string
		id, from, about string
		want            content.Content
	}{
		{
			"an answer", message("42", person, `,"text":"a","reply_to_message":{"message_id":41,"text":"b","chat":{"id":3527065},"reply_to_message":{"message_id":40}}`),
			"42", person, "41", content.Content{Type: content.TypeText, Text: "a"},
		},
		{
			"in a group", message("42", "-1001234567890", `,"text":"a"`), "42", "-1001234567890", "", content.Content{Type: content.TypeText, Text: "a"},
		},
		{
			"an edited text", strings.Replace(message("41", person, `,"edit_date":1454119030,"text":"b"`), `"message":`, `"edited_message":`, 1),
			"41:edit:1454119030", person, "", content.Content{Type: content.TypeText, Text: "b"},
		},
		{
			"a pressed button", press(`,"data":"yes:1"`, `,"message":{"message_id":133,"date":1,"chat":{"id":3527065},`+keyboard+`}`),
			"133:press:4382bfdwdsb323b2d9", person, "133", content.Content{Type: content.TypeText, Text: "Yes ✓", Payload: "yes:1"},
		},
		{
			"a pressed button of an old message", press(`,"data":"yes:1"`, `,"message":{"message_id":133,"date":0,"chat":{"id":3527065}}`),
			"133:press:4382bfdwdsb323b2d9", person, "133", content.Content{Type: content.TypeOther, Payload: "yes:1"},
		},
		{
			"a pressed button in a group", press(`,"data":"yes:1"`, `,"message":{"message_id":133,"date":1,"chat":{"id":-100},`+keyboard+`}`),
			"133:press:4382bfdwdsb323b2d9", "-100", "133", content.Content{Type: content.TypeText, Text: "Yes ✓", Payload: "yes:1"},
		},
		{"a pressed button of no message", press(`,"data":"yes:1"`, `,"inline_message_id":"x"`), ":press:4382bfdwdsb323b2d9", person, "", content.Content{Type: content.TypeOther, Payload: "yes:1"}},
		{"a pressed button of a game", press("", `,"game_short_name":"g"`), ":press:4382bfdwdsb323b2d9", person, "", content.Content{Type: content.TypeOther}},
	} {
		events := parse(t, c.body)
		if len(events) != 1 || events[0].Reply == nil {
			t.Fatalf("%s: got %+v", c.name, events)
		}
		r := *events[0].Reply
		if c.want.Type == content.TypeOther {
			c.want.Raw = r.Raw
		}
		if r.ID != c.id || r.From != c.from || r.ReplyToProviderID != c.about || !reflect.DeepEqual(r.Content, c.want) || !strings.Contains(c.body, string(r.Raw)) {
			t.Errorf("%s: got %+v, payload %q, text %q", c.name, r, r.Content.Payload, r.Content.Text)
		}
	}
}

//
func TestABlockIsAnOptOut(t *testing.T) {
	t.Parallel()
	at := time.Date(2016, 1, 30, 1, 57, 9, 0, time.UTC)
	for _, c := range []struct {
		name, chat, before, after string
		lifted                    bool
	}{
		{"a person blocks the bot", person, "member", "kicked", false},
		{"and takes it back", person, "kicked", "member", true},
		{"a group puts it out", "-100", "administrator", "kicked", false},
		{"it leaves a group", "-100", "member", "left", false},
		{"and comes back", "-100", "left", "restricted", true},
	} {
		events := parse(t, membership(c.chat, c.before, c.after))
		want := &provider.OptOut{From: c.chat, Lifted: c.lifted, At: at}
		if len(events) != 1 || !reflect.DeepEqual(events[0].OptOut, want) || events[0].Reply != nil {
			t.Errorf("%s: got %+v", c.name, events)
		}
	}
}

func TestAnUpdateWithoutWhatEveryOneHasIsMalformed(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"message":{"chat":{"id":5},"text":"a"}}`, `{"message":{"message_id":7,"text":"a"}}`, `{"message":{"message_id":"7","chat":{"id":5}}}`, `{"message":7}`,
		`{"callback_query":{"from":{"id":5}}}`, `{"callback_query":{"id":"7"}}`, `{"my_chat_member":{"date":1}}`, `[{"update_id":1}]`,
	} {
		_, err := adapter("http://127.0.0.1:1", time.Second).ParseCallback(t.Context(), channel(), post(body))
		if !errors.Is(err, provider.ErrMalformed) {
			t.Errorf("%s: got %v", body, err)
		}
	}
}

func TestWithoutCredentialsThereIsNoProof(t *testing.T) {
	t.Parallel()
	ch := channel()
	ch.Credentials = nil
	r := post(message("41", person, `,"text":"a"`))
	r.Header.Set("X-Telegram-Bot-Api-Secret-Token", secret("", "chn_1"))
	if _, err := adapter("http://127.0.0.1:1", time.Second).ParseCallback(t.Context(), ch, r); !errors.Is(err, provider.ErrProof) {
		t.Errorf("got %v", err)
	}
}

// FuzzParseCallback holds whatever a body is to what follows from it: an error of the contract and nothing, or events that
// are whole and whose bytes are the body's.
func FuzzParseCallback(f *testing.F) {
	shapes, err := filepath.Glob("testdata/updates/*.json")
	if err != nil || len(shapes) == 0 {
		f.Fatalf("no shapes: %v", err)
	}
	for _, name := range shapes {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	a := telegram.New(telegram.Config{BaseURL: "http://127.0.0.1:1"})
	f.Fuzz(func(t *testing.T, body []byte) {
		r := post("")
		r.Body = bytes.Clone(body)
		events, err := a.ParseCallback(t.Context(), channel(), r)
		if !bytes.Equal(r.Body, body) {
			t.Fatal("the body was changed")
		}
		if err != nil {
			if !errors.Is(err, provider.ErrMalformed) || events != nil {
				t.Fatalf("%v with %d events", err, len(events))
			}
			return
		}
		if len(events) > 1 {
			t.Fatalf("%d events of one update", len(events))
		}
		for _, e := range events {
			whole(t, body, e)
		}
	})
}

func whole(t *testing.T, body []byte, e provider.Event) {
	t.Helper()
	if e.Status != nil || e.TemplatesChanged || (e.Reply == nil) == (e.OptOut == nil) {
		t.Fatalf("got %+v", e)
	}
	if e.OptOut != nil {
		if e.OptOut.From == "" || e.OptOut.From == "0" {
			t.Fatal("an opt-out of nobody")
		}
		return
	}
	r := e.Reply
	if r.ID == "" || r.From == "" || r.From == "0" || len(r.Raw) == 0 || !bytes.Contains(body, r.Raw) {
		t.Fatalf("got a reply with id %q", r.ID)
	}
	if _, err := r.Content.SHA256(); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(r.Content)
	var again content.Content
	if err != nil || json.Unmarshal(raw, &again) != nil || r.Content.Type == content.TypeText && again.Text != r.Content.Text {
		t.Fatalf("the content is not what it was after it is stored: %v", err)
	}
}
