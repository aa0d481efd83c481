package telegram_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	sim "contactcenter/scripts/simulator/telegram"
	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/providertest"
	"contactcenter/shared/provider/telegram"
	"contactcenter/shared/telemetry/telemetrytest"
)

const (
	botID  = "7000001"
	token  = botID + ":local-telegram-bot-1"
	person = "3527065"
)

func channel() provider.Channel {
	return provider.Channel{ID: "chn_1", Type: "telegram", Address: "@local_1_bot", Credentials: map[string]string{"bot_token": token}}
}

func adapter(url string, timeout time.Duration) *telegram.Adapter {
	return telegram.New(telegram.Config{BaseURL: url, Timeout: timeout})
}

// secret is worked out here a second time.
func secret(token, channelID string) string {
	h := hmac.New(sha256.New, []byte(token))
	h.Write([]byte(channelID))
	return hex.EncodeToString(h.Sum(nil))
}

func post(body string) *provider.Request {
	return &provider.Request{
		Method: http.MethodPost, Header: http.Header{"X-Telegram-Bot-Api-Secret-Token": {secret(token, "chn_1")}, "Content-Type": {"application/json"}}, Body: []byte(body),
	}
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// message is an update of a message with some more members.
func message(id, from, more string) string {
	return fmt.Sprintf(`{"update_id":174114370,"message":{"message_id":%s,"from":{"id":%[2]s,"is_bot":false,"first_name":"Nic","last_name":"Pottier","username":"nicpottier"},`+
		`"chat":{"id":%[2]s,"first_name":"Nic","type":"private"},"date":1454119029%s}}`, id, from, more)
}

// started is a simulator in which the person has started the bot.
func started(t *testing.T, log *slog.Logger) *sim.Simulator {
	t.Helper()
	s := sim.New(sim.Options{Logger: log})
	t.Cleanup(s.Close)
	s.Begin(botID, 3527065)
	return s
}

func media(kind, caption string) content.Content {
	return content.Content{Type: content.TypeMedia, Media: &content.Media{Kind: kind, URL: "https://files.example/a?x=1&y=<2>", Caption: caption}}
}

func buttons() content.Content {
	return content.Content{Type: content.TypeInteractive, Interactive: &content.Interactive{
		Text: "Is <b>10:00</b> fine?", Buttons: []content.Button{{Title: "Yes ✓", ID: "yes:1"}, {Title: "No", ID: strings.Repeat("n", 64)}, {Title: "Map", URL: "https://map.example/?a=1&b=2"}},
	}}
}

//
func TestTheAdapterConforms(t *testing.T) {
	t.Parallel()
	logs := &telemetrytest.Log{}
	providertest.Run(t, providertest.Kit{
		New: func(url string, timeout time.Duration) provider.Adapter { return adapter(url, timeout) },
		Simulator: func(t *testing.T) providertest.Simulator {
			s := started(t, slog.New(slog.NewJSONHandler(logs, nil)))
			return providertest.Simulator{Handler: s, Accepted: func() int { _, n := s.Calls(""); return n }}
		},
		Channel:   channel(),
		Recipient: person,
		SendPath:  "/bot" + token + "/sendMessage",
		Statuses:  map[int]provider.Kind{http.StatusForbidden: provider.Permanent}, // it is about the chat
		Answers:   answers(),
		Read: func(body []byte) (string, string, error) {
			var b struct {
				ChatID json.Number `json:"chat_id"`
				Text   string
			}
			err := json.Unmarshal(body, &b)
			return b.ChatID.String(), b.Text, err
		},
		Samples: map[string]content.Content{
			"a place":      {Type: content.TypeLocation, Location: &content.Location{Latitude: 0, Longitude: 33.4}},
			"a named one":  {Type: content.TypeLocation, Location: &content.Location{Latitude: 35.1, Longitude: 33.4, Name: "Clinic", Address: "1 Long Street, Nicosia"}},
			"a picture":    media(content.Image, "look <i>here</i>"),
			"a film":       media(content.Video, ""),
			"a sound":      media(content.Audio, "hear"),
			"a document":   media(content.Document, strings.Repeat("щ", 1024)),
			"with buttons": buttons(),
		},
		Reply: func(id, from, text string) *provider.Request {
			return post(message(id, from, `,"text":`+quote(text)))
		},
		Unproven: map[string]func(*provider.Request){
			"another channel's secret": func(r *provider.Request) { r.Header.Set("X-Telegram-Bot-Api-Secret-Token", secret(token, "chn_2")) },
			"another bot's secret":     func(r *provider.Request) { r.Header.Set("X-Telegram-Bot-Api-Secret-Token", secret("1:x", "chn_1")) },
			"an empty one":             func(r *provider.Request) { r.Header.Set("X-Telegram-Bot-Api-Secret-Token", "") },
			"one cut short": func(r *provider.Request) {
				r.Header.Set("X-Telegram-Bot-Api-Secret-Token", secret(token, "chn_1")[:63])
			},
			"in capitals": func(r *provider.Request) {
				r.Header.Set("X-Telegram-Bot-Api-Secret-Token", strings.ToUpper(secret(token, "chn_1")))
			},
			"elsewhere": func(r *provider.Request) {
				r.Header = http.Header{"Authorization": {secret(token, "chn_1")}}
			},
		},
		Ignored: map[string]*provider.Request{
			"an update of a kind that was not asked for": post(`{"update_id":1,"poll_answer":{"poll_id":"7","option_ids":[0]}}`),
			"an update of nothing":                       post(`{"update_id":1}`),
			"null":                                       post(`{"update_id":1,"message":null}`),
			"a live location that moves": post(`{"update_id":1,"edited_message":{"message_id":7,"date":1,"edit_date":2,"chat":{"id":5},` +
				`"location":{"latitude":1,"longitude":2,"live_period":900}}}`),
			"a member who becomes an administrator": post(membership(person, "member", "administrator")),
			"a membership without a status":         post(membership(person, "member", "")),
		},
		Logs: logs.String,
	})
}

func membership(chat, before, after string) string {
	return fmt.Sprintf(`{"update_id":9,"my_chat_member":{"chat":{"id":%s,"type":"private"},"from":{"id":%[1]s},"date":1454119029,`+
		`"old_chat_member":{"user":{"id":7000001},"status":%q},"new_chat_member":{"user":{"id":7000001},"status":%q,"until_date":0}}}`, chat, before, after)
}

func answers() []providertest.Answer {
	refusal := func(status int, description, code, providerCode string) providertest.Answer {
		return providertest.Answer{
			Name: description, Status: status, Kind: provider.Permanent, Code: code, ProviderCode: providerCode,
			Body: fmt.Sprintf(`{"ok":false,"error_code":%d,"description":%s}`, status, quote(description)),
		}
	}
	return []providertest.Answer{
		refusal(403, "Forbidden: bot was blocked by the user", "provider_refused", "403"),
		refusal(403, "Forbidden: user is deactivated", "recipient_invalid", "403"),
		refusal(403, "Forbidden: bot can't initiate conversation with a user", "recipient_invalid", "403"),
		refusal(403, "Forbidden: bot can't send messages to bots", "recipient_invalid", "403"),
		refusal(403, "Forbidden: bot was kicked from the supergroup chat", "provider_refused", "403"),
		refusal(403, "Forbidden: bot is not a member of the supergroup chat", "recipient_invalid", "403"),
		refusal(403, "Forbidden: something new", "provider_refused", "403"),
		refusal(400, "Bad Request: chat not found", "recipient_invalid", "400"),
		refusal(400, "Bad Request: PEER_ID_INVALID", "recipient_invalid", "400 PEER_ID_INVALID"),
		refusal(400, "Bad Request: chat_id is empty", "recipient_invalid", "400"),
		refusal(400, "Bad Request: message text is empty", "content_not_supported", "400"),
		refusal(400, "Bad Request: text must be non-empty", "content_not_supported", "400"),
		refusal(400, "Bad Request: message is too long", "content_not_supported", "400"),
		refusal(400, "Bad Request: message to be replied not found", "provider_refused", "400"),
		refusal(400, "Bad Request: BUTTON_DATA_INVALID", "provider_refused", "400 BUTTON_DATA_INVALID"),
		refusal(400, "Bad Request: wrong file identifier/HTTP URL specified", "provider_refused", "400"),
		refusal(400, "Bad Request: Wrong type of the web page content", "provider_refused", "400"),
		refusal(400, "Bad Request: not enough rights to send text messages to the chat", "provider_refused", "400"),
		refusal(400, "Bad Request: text '"+providertest.Canary+"' is odd", "provider_refused", "400"),
		refusal(400, "Bad Request: "+strings.ToUpper(providertest.Canary), "provider_refused", "400"),
		refusal(404, "Not Found: method not found", "provider_refused", "404"),
		{
			Name: "an upgraded group", Status: 400, Kind: provider.Permanent, Code: "recipient_invalid",
			Body: `{"ok":false,"error_code":400,"description":"Bad Request: group chat was upgraded to a supergroup chat","parameters":{"migrate_to_chat_id":-1001}}`,
		},
		{Name: "an unknown token", Status: 401, Body: `{"ok":false,"error_code":401,"description":"Unauthorized"}`, Kind: provider.Credentials, Code: "credentials_invalid", ProviderCode: "401"},
		{
			Name: "a wait in the body", Status: 429, Kind: provider.Retry, RetryAfter: 30 * time.Second,
			Body: `{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 30","parameters":{"retry_after":30}}`,
		},
		{
			Name: "a wait in body and header", Status: 429, Header: http.Header{"Retry-After": {"31"}}, Kind: provider.Retry, RetryAfter: 31 * time.Second,
			Body: `{"ok":false,"error_code":429,"parameters":{"retry_after":30}}`,
		},
		{Name: "a wait beyond belief", Status: 429, Kind: provider.Retry, RetryAfter: 24 * time.Hour, Body: `{"ok":false,"parameters":{"retry_after":9223372036854775807}}`},
		{Name: "an error under status 200", Status: 200, Body: `{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}`, Kind: provider.Permanent, Code: "recipient_invalid"},
		{Name: "neither taken nor refused", Status: 200, Body: `{"ok":false}`, Kind: provider.Ambiguous, Code: "outcome_unknown"},
		{Name: "taken without an id", Status: 200, Body: `{"ok":true,"result":{"date":1}}`, Kind: provider.Ambiguous, Code: "outcome_unknown"},
		{Name: "taken as something else", Status: 200, Body: `{"ok":true,"result":true}`, Kind: provider.Ambiguous, Code: "outcome_unknown"},
		{Name: "another success", Status: 202, Body: `{"ok":true,"result":{"message_id":7}}`, Kind: provider.Ambiguous, Code: "outcome_unknown"},
		{Name: "a redirect", Status: 307, Header: http.Header{"Location": {"/elsewhere"}}, Kind: provider.Retry},
		{Name: "the server restarts", Status: 500, Body: `{"ok":false,"error_code":500,"description":"Internal Server Error: restart"}`, Kind: provider.Retry, Code: "provider_unavailable"},
	}
}

func TestWhoSaysNoIsTold(t *testing.T) {
	t.Parallel()
	for description, want := range map[string]struct {
		fault    provider.Fault
		optedOut bool
	}{
		"Forbidden: bot was blocked by the user":                 {provider.FaultRecipient, true},
		"Bad Request: USER_IS_BLOCKED":                           {provider.FaultRecipient, true},
		"Forbidden: bot was kicked from the group chat":          {provider.FaultRecipient, true},
		"Forbidden: user is deactivated":                         {provider.FaultRecipient, false},
		"Forbidden: bot can't initiate conversation with a user": {provider.FaultRecipient, false},
		"Bad Request: chat not found":                            {provider.FaultRecipient, false},
		"Bad Request: failed to get HTTP URL content":            {provider.FaultCustomer, false},
	} {
		status := 400
		if strings.HasPrefix(description, "Forbidden") {
			status = 403
		}
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, `{"ok":false,"error_code":%d,"description":%s}`, status, quote(description))
		}))
		_, err := adapter(s.URL, time.Second).Send(t.Context(), channel(), provider.Message{To: person, Content: content.Content{Type: content.TypeText, Text: "x"}})
		s.Close()
		var e *provider.Error
		if !errors.As(err, &e) || e.Kind != provider.Permanent || e.Fault != want.fault || e.OptedOut != want.optedOut || e.Detail == "" {
			t.Errorf("%s: got %+v", description, e)
		}
	}
}

func TestEachFormGoesByItsMethodAndNothingElse(t *testing.T) {
	t.Parallel()
	row := func(b map[string]any) any { return []any{b} }
	url := "https://files.example/a?x=1&y=<2>"
	for _, c := range []struct {
		name    string
		given   content.Content
		replyTo string
		method  string
		want    map[string]any
	}{
		{"a text, without any markup", content.Content{Type: content.TypeText, Text: "<b>*a*"}, "", "sendMessage", map[string]any{"text": "<b>*a*"}},
		{"a picture", media(content.Image, "c"), "", "sendPhoto", map[string]any{"photo": url, "caption": "c"}},
		{"a film", media(content.Video, ""), "", "sendVideo", map[string]any{"video": url}},
		{"a sound", media(content.Audio, ""), "", "sendAudio", map[string]any{"audio": url}},
		{"a document", media(content.Document, ""), "", "sendDocument", map[string]any{"document": url}},
		{
			"a place on the equator", content.Content{Type: content.TypeLocation, Location: &content.Location{Longitude: 33.4}}, "",
			"sendLocation", map[string]any{"latitude": 0.0, "longitude": 33.4},
		},
		{
			"a place with its name", content.Content{Type: content.TypeLocation, Location: &content.Location{Latitude: 1, Longitude: 2, Name: "n", Address: "a"}}, "",
			"sendVenue", map[string]any{"latitude": 1.0, "longitude": 2.0, "title": "n", "address": "a"},
		},
		{"buttons, each in a row", buttons(), "", "sendMessage", map[string]any{"text": "Is <b>10:00</b> fine?", "reply_markup": map[string]any{"inline_keyboard": []any{
			row(map[string]any{"text": "Yes ✓", "callback_data": "yes:1"}), row(map[string]any{"text": "No", "callback_data": strings.Repeat("n", 64)}),
			row(map[string]any{"text": "Map", "url": "https://map.example/?a=1&b=2"}),
		}}}},
		{
			"an answer", content.Content{Type: content.TypeText, Text: "a"}, "41",
			"sendMessage", map[string]any{"text": "a", "reply_parameters": map[string]any{"message_id": 41.0}},
		},
		{
			"an answer to a message that was edited", content.Content{Type: content.TypeText, Text: "a"}, "41:edit:1454119030",
			"sendMessage", map[string]any{"text": "a", "reply_parameters": map[string]any{"message_id": 41.0}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var path string
			var got map[string]any
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				path = r.URL.Path
				_ = json.NewDecoder(r.Body).Decode(&got)
				_, _ = w.Write([]byte(`{"ok":true,"result":{"message_id":133}}`))
			}))
			defer s.Close()
			receipt, err := adapter(s.URL, time.Second).Send(t.Context(), channel(), provider.Message{ID: "msg_1", To: person, Content: c.given, ReplyTo: c.replyTo})
			if err != nil || receipt != (provider.Receipt{ProviderMessageID: "133"}) {
				t.Fatalf("got %+v, %v", receipt, err)
			}
			c.want["chat_id"] = 3527065.0
			if path != "/bot"+token+"/"+c.method || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s: got %v\nwant %v", path, got, c.want)
			}
		})
	}
}

//
func TestWhatTelegramCantCarryIsRefusedWithoutACall(t *testing.T) {
	t.Parallel()
	text := content.Content{Type: content.TypeText, Text: "a"}
	interactive := func(i content.Interactive) content.Content {
		return content.Content{Type: content.TypeInteractive, Interactive: &i}
	}
	one := []content.Button{{Title: "a", ID: "a"}}
	named := media(content.Document, "")
	named.Media.Filename = "a.pdf"
	for name, c := range map[string]struct {
		m    provider.Message
		code string
	}{
		"a template":               {provider.Message{To: person, Content: content.Content{Type: content.TypeTemplate, Template: &content.Template{Name: "a"}}}, "content_not_supported"},
		"a long caption":           {provider.Message{To: person, Content: media(content.Image, strings.Repeat("a", 1025))}, "content_not_supported"},
		"a file's name":            {provider.Message{To: person, Content: named}, "content_not_supported"},
		"a name without address":   {provider.Message{To: person, Content: content.Content{Type: content.TypeLocation, Location: &content.Location{Name: "n"}}}, "content_not_supported"},
		"a header":                 {provider.Message{To: person, Content: interactive(content.Interactive{Text: "a", Header: "h", Buttons: one})}, "content_not_supported"},
		"a list":                   {provider.Message{To: person, Content: interactive(content.Interactive{Text: "a", List: &content.List{Button: "a"}})}, "content_not_supported"},
		"a button that calls":      {provider.Message{To: person, Content: interactive(content.Interactive{Text: "a", Buttons: []content.Button{{Title: "a", Phone: "+35799123456"}}})}, "content_not_supported"},
		"65 bytes of data":         {provider.Message{To: person, Content: interactive(content.Interactive{Text: "a", Buttons: []content.Button{{Title: "a", ID: strings.Repeat("é", 32) + "a"}}})}, "content_not_supported"},
		"a telephone number":       {provider.Message{To: "+35799123456", Content: text}, "recipient_invalid"},
		"a name":                   {provider.Message{To: "@nicpottier", Content: text}, "recipient_invalid"},
		"a number out of range":    {provider.Message{To: "99999999999999999999", Content: text}, "recipient_invalid"},
		"an answer to nothing":     {provider.Message{To: person, Content: text, ReplyTo: ":press:7"}, "provider_refused"},
		"an answer to a foreigner": {provider.Message{To: person, Content: text, ReplyTo: "wamid.7"}, "provider_refused"},
	} {
		_, err := adapter("http://127.0.0.1:1", time.Second).Send(t.Context(), channel(), c.m)
		var e *provider.Error
		if !errors.As(err, &e) || e.Kind != provider.Permanent || e.Code != c.code {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// the token is in every URL, so it could be in every error.
func TestTheTokenIsInNoError(t *testing.T) {
	t.Parallel()
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, `{"ok":false,"error_code":400,"description":"Bad Request: %s"}`, r.URL.Path)
	}))
	defer echo.Close()
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else the server would not notice that the caller leaves
		<-r.Context().Done()
	}))
	defer silent.Close()
	for name, base := range map[string]string{
		"it is quoted back": echo.URL, "no answer": silent.URL, "refused": "http://127.0.0.1:1", "no TLS": strings.Replace(echo.URL, "http:", "https:", 1),
		"not a URL": "http://127.0.0.1:x", "not encrypted": "http://telegram.example", "no such host": "https://telegram.invalid",
	} {
		for _, bad := range []string{token, token + "/../x", "7000001:" + strings.Repeat("x", 61), "a b"} {
			ch := channel()
			ch.Credentials["bot_token"] = bad
			a := adapter(base, 200*time.Millisecond)
			_, err := a.Send(t.Context(), ch, provider.Message{To: person, Content: content.Content{Type: content.TypeText, Text: "x"}})
			_, err2 := a.Connect(t.Context(), ch, "https://cc.example/v1/callbacks/telegram/chn_1")
			if err == nil || err2 == nil {
				t.Fatalf("%s: got %v, %v", name, err, err2)
			}
			for _, e := range []error{err, err2} {
				if said := fmt.Sprintf("%v %+v %#v", e, e, e); strings.Contains(said, bad) || strings.Contains(said, "local-telegram") {
					t.Errorf("%s: %s", name, said)
				}
			}
		}
	}
}
