//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// telegramBot are credentials that the simulator takes. Each test has a bot of its own.
func telegramBot(n int) (id string, credentials map[string]string) {
	id = fmt.Sprintf("%d", 7000000+n)
	return id, map[string]string{"bot_token": fmt.Sprintf("%s:local-telegram-bot-%d", id, n)}
}

// telegramPerson is somebody's chat.
func telegramPerson() string { return strings.TrimPrefix(person(), "+") }

// telegramSends are the sends to one chat that the simulator saw, by "method body".
func (s *stack) telegramSends(t *testing.T, botID, to string) []string {
	t.Helper()
	var out []string
	for _, c := range s.steer(t, http.MethodGet, "telegram", "calls?sender_id="+botID, nil)["calls"].([]any) {
		seen := c.(map[string]any)
		if seen["to"] != to {
			continue
		}
		request := seen["request"].(map[string]any)
		delete(request, "chat_id")
		b, err := json.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		path := seen["path"].(string)
		out = append(out, path[strings.LastIndex(path, "/")+1:]+" "+unescaped(string(b)))
	}
	return out
}

//
func TestTelegramTakesATokenOnlyWhenTelegramDoes(t *testing.T) {
	t.Parallel()
	s := common.shared
	a := newAccount(t, s, plan{Limit: 100})
	a.accept()
	_, right := telegramBot(1)
	for name, wrong := range map[string]string{
		"a revoked token": "7000001:canary-revoked", "another bot's": "7000002:local-telegram-bot-1", "not a token": "canary wrong/../x",
	} {
		p := a.call(t, http.MethodPost, "/v1/channels", ownChannel("telegram", with(right, "bot_token", wrong))).refused(t, http.StatusConflict, "credentials_invalid")
		if !strings.Contains(p.Detail, "@BotFather") || strings.Contains(p.Detail, "canary") {
			t.Errorf("%s: %q", name, p.Detail)
		}
	}
	a.call(t, http.MethodPost, "/v1/channels", ownChannel("telegram", with(right, "bot_token", ""))).refused(t, http.StatusUnprocessableEntity, "credentials_required")
	made := decode[channel](t, a.call(t, http.MethodPost, "/v1/channels", ownChannel("telegram", right)), http.StatusCreated)
	t.Cleanup(func() { a.deleteChannel(made.ID) })
	if made.Address != "@local_1_bot" || made.Type != "telegram" || made.Status != "inactive" || len(made.SetupSteps) != 0 {
		t.Errorf("got %+v", made)
	}
	if got := s.raw(t, http.MethodPost, made.CallbackURL, http.Header{"Content-Type": {"application/json"}}, []byte(`{"update_id":1}`)); got.status != http.StatusUnauthorized {
		t.Errorf("an update without the secret: %v", got)
	}
}

// every form that Telegram carries arrives as it was written, and that it was taken is the last that is heard.
func TestTelegramCarriesEveryForm(t *testing.T) {
	t.Parallel()
	s := common.shared
	a := newAccount(t, s, plan{Limit: 100})
	bot, credentials := telegramBot(2)
	ch := a.own("telegram", credentials)
	latitude, longitude, choose, file := 35.1, -33.25, "Choose <b>", "https://files.example/a?x=%20&y=1"
	for name, c := range map[string]struct {
		content content
		want    string
	}{
		"a text":        {text(" “Hi” 👋\r\n <b>*x* "), `sendMessage {"text":" “Hi” 👋\r\n <b>*x* "}`},
		"a picture":     {content{Type: "media", Kind: "image", URL: file, Caption: "yours"}, `sendPhoto {"caption":"yours","photo":"` + file + `"}`},
		"a film":        {content{Type: "media", Kind: "video", URL: file}, `sendVideo {"video":"` + file + `"}`},
		"a sound":       {content{Type: "media", Kind: "audio", URL: file}, `sendAudio {"audio":"` + file + `"}`},
		"a document":    {content{Type: "media", Kind: "document", URL: file}, `sendDocument {"document":"` + file + `"}`},
		"a place":       {content{Type: "location", Latitude: &latitude, Longitude: &longitude}, `sendLocation {"latitude":35.1,"longitude":-33.25}`},
		"a named place": {content{Type: "location", Latitude: &latitude, Longitude: &longitude, Name: "Office", Address: "St 1"}, `sendVenue {"address":"St 1","latitude":35.1,"longitude":-33.25,"title":"Office"}`},
		"buttons": {
			content{Type: "interactive", Text: &choose, Buttons: []any{map[string]any{"title": "Yes ✓", "id": "yes:1"}, map[string]any{"title": "Open", "url": "https://shop.example/?a=1"}}},
			`sendMessage {"reply_markup":{"inline_keyboard":[[{"callback_data":"yes:1","text":"Yes ✓"}],[{"text":"Open","url":"https://shop.example/?a=1"}]]},"text":"Choose <b>"}`,
		},
	} {
		to := telegramPerson()
		s.steer(t, http.MethodPost, "telegram", "start", map[string]any{"sender_id": bot, "from": to})
		got := a.until(a.send(order(ch, to, c.content)).ID, 20*time.Second, "sent", status("sent"))
		if got.Attempts != 1 || got.ProviderMessageID == "" {
			t.Errorf("%s: %v", name, got)
		}
		if sends := s.telegramSends(t, bot, to); len(sends) != 1 || sends[0] != c.want {
			t.Errorf("%s: Telegram got %s", name, sends)
		}
	}
	for name, c := range map[string]content{
		"a text that is too long": text(strings.Repeat("щ", 4097)),
		"a template":              {Type: "template", Name: "x"},
		"a file's name":           {Type: "media", Kind: "document", URL: file, Filename: "a.pdf"},
		"a name without address":  {Type: "location", Latitude: &latitude, Longitude: &longitude, Name: "Office"},
		"too many bytes of data":  {Type: "interactive", Text: &choose, Buttons: []any{map[string]any{"title": "a", "id": strings.Repeat("é", 33)}}},
		"a list":                  {Type: "interactive", Text: &choose, List: map[string]any{"button": "Show", "sections": []any{map[string]any{"rows": []any{map[string]any{"id": "1", "title": "1"}}}}}},
	} {
		if got := a.call(t, http.MethodPost, "/v1/messages", order(ch, telegramPerson(), c)); got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %v", name, got)
		}
	}
}

//
func TestTelegramRepliesButtonsAndBlocks(t *testing.T) {
	t.Parallel()
	s := common.shared
	a := newAccount(t, s, plan{Limit: 100})
	bot, credentials := telegramBot(3)
	ch := a.own("telegram", credentials)
	to, choose := telegramPerson(), "Choose"

	// Nobody can be written to who has not started the bot.
	stranger := a.until(a.send(order(ch, to, text("hello"))).ID, 20*time.Second, "failed", status("failed"))
	if stranger.code() != "recipient_invalid" || !strings.Contains(stranger.Error.Detail, "start the bot") || stranger.Error.FaultDomain != "recipient" {
		t.Errorf("%v", stranger)
	}
	says := func(in map[string]any) {
		t.Helper()
		in["sender_id"], in["from"] = bot, to
		s.hears(t, "telegram", in)
	}
	told := s.steer(t, http.MethodPost, "telegram", "start", map[string]any{"sender_id": bot, "from": to})
	if told["delivered"] != true {
		t.Fatalf("start: %v", told)
	}
	asked := a.send(order(ch, to, content{Type: "interactive", Text: &choose, Buttons: []any{map[string]any{"title": "Yes ✓", "id": "yes:1"}}}))
	a.until(asked.ID, 20*time.Second, "sent", status("sent"))
	question := a.message(asked.ID).ProviderMessageID

	seen := map[string]bool{}
	next := func() message {
		t.Helper()
		for _, r := range a.messages("conversation_id=" + asked.ConversationID) {
			if r.Direction == "inbound" && !seen[r.ID] {
				seen[r.ID] = true
				return a.message(r.ID)
			}
		}
		t.Fatal("no further reply")
		return message{}
	}
	if r := next(); *r.Content.Text != "/start" || r.From != to {
		t.Errorf("%v", r)
	}
	var last message
	for _, c := range []struct {
		in   map[string]any
		want string
	}{
		{map[string]any{"text": " thanks 👋\r\n", "reply_to_message_id": json.Number(question), "id": 5001}, "text| thanks 👋\r\n||||" + asked.ID},
		{map[string]any{"payload": "yes:1"}, "text|Yes ✓|yes:1|||" + asked.ID},
		{map[string]any{"content": map[string]any{"photo": []any{map[string]any{"file_id": "f1", "width": 9, "height": 9}}, "caption": "look"}}, "media|||image|f1|"},
		{map[string]any{"content": map[string]any{"sticker": map[string]any{"file_id": "s1"}}}, "other|||||"},
		{map[string]any{"text": "thank you", "id": 5001, "edited": true}, "text|thank you||||"},
		{map[string]any{"text": "and you?"}, "text|and you?||||"},
	} {
		says(c.in)
		last = next()
		said := ""
		if last.Content.Text != nil {
			said = *last.Content.Text
		}
		if got := strings.Join([]string{last.Content.Type, said, last.Content.Payload, last.Content.Kind, last.Content.MediaID, last.ReplyTo}, "|"); got != c.want {
			t.Errorf("%v was read as %q", c.in, got)
		}
	}
	// A reply can be answered, and nothing was sent that nobody asked for.
	a.call(t, http.MethodPost, "/v1/messages", order(ch, "+35799123456", text("x"))).refused(t, http.StatusUnprocessableEntity, "recipient_invalid")
	a.until(a.send(order(ch, to, text("fine"), "reply_to", last.ID)).ID, 20*time.Second, "sent", status("sent"))
	sends := s.telegramSends(t, bot, to)
	if n := len(sends); n != 3 || !strings.Contains(sends[n-1], `"reply_parameters":{"message_id":`+last.ProviderMessageID+`}`) {
		t.Errorf("%s", sends)
	}
	// A block is an opt-out, which ends with it.
	chat := map[string]any{"sender_id": bot, "from": to}
	s.steer(t, http.MethodPost, "telegram", "block", chat)
	wait(t, 10*time.Second, func() (bool, string) {
		got := a.call(t, http.MethodPost, "/v1/messages", order(ch, to, text("more")))
		return got.status == http.StatusUnprocessableEntity && strings.Contains(string(got.body), "recipient_opted_out"), got.String()
	})
	s.steer(t, http.MethodPost, "telegram", "unblock", chat)
	wait(t, 10*time.Second, func() (bool, string) {
		got := a.call(t, http.MethodPost, "/v1/messages", order(ch, to, text("welcome back")))
		return got.status == http.StatusAccepted, got.String()
	})
}

func TestTelegramFailures(t *testing.T) {
	t.Parallel()
	s := common.shared
	a := newAccount(t, s, plan{Limit: 100})
	bot, credentials := telegramBot(4)
	ch := a.own("telegram", credentials)
	behave := func(b map[string]any) {
		b["sender_id"] = bot
		s.steer(t, http.MethodPut, "telegram", "behaviour", b)
	}
	t.Cleanup(func() { behave(map[string]any{}) })
	someone := func() string {
		to := telegramPerson()
		s.steer(t, http.MethodPost, "telegram", "start", map[string]any{"sender_id": bot, "from": to})
		return to
	}
	// What only the answer to a send tells: an opt-out, so that the next one is refused at once.
	to := someone()
	behave(map[string]any{"fail_status": 403})
	if got := a.until(a.send(order(ch, to, text("x"))).ID, 20*time.Second, "failed", status("failed")); got.code() != "provider_refused" && got.code() != "recipient_opted_out" || got.Error.FaultDomain != "recipient" {
		t.Errorf("%v", got)
	}
	wait(t, 10*time.Second, func() (bool, string) {
		got := a.call(t, http.MethodPost, "/v1/messages", order(ch, to, text("more")))
		return got.status == http.StatusUnprocessableEntity && strings.Contains(string(got.body), "recipient_opted_out"), got.String()
	})
	// A file that Telegram can't fetch.
	behave(map[string]any{"fetch_error": "failed to get HTTP URL content"})
	if got := a.until(a.send(order(ch, someone(), content{Type: "media", Kind: "image", URL: "https://files.example/a"})).ID, 20*time.Second, "failed", status("failed")); got.code() != "provider_refused" || got.Error.FaultDomain != "customer" || got.Error.ProviderCode != "400" {
		t.Errorf("%v", got)
	}
	// There is no key against repeats: a lost answer is not followed by a second message.
	behave(map[string]any{"drop_answer": true})
	to = someone()
	if got := a.until(a.send(order(ch, to, text("x"))).ID, 20*time.Second, "unknown", status("unknown")); got.code() != "outcome_unknown" {
		t.Errorf("%v", got)
	}
	if sends := s.telegramSends(t, bot, to); len(sends) != 1 {
		t.Errorf("%s", sends)
	}
	// Flooded, and taken after the wait that Telegram asks for.
	behave(map[string]any{"fail_status": 429, "retry_after_seconds": 2})
	to = someone()
	flooded := a.send(order(ch, to, text("x")))
	wait(t, 20*time.Second, func() (bool, string) { return len(s.telegramSends(t, bot, to)) > 0, "no call" })
	behave(map[string]any{})
	if got := a.until(flooded.ID, 60*time.Second, "sent", status("sent")); got.Attempts < 2 {
		t.Errorf("%v", got)
	}
	// A token that was revoked takes the channel out of use.
	behave(map[string]any{"fail_status": 401})
	if got := a.until(a.send(order(ch, someone(), text("x"))).ID, 20*time.Second, "failed", status("failed")); got.code() != "credentials_invalid" {
		t.Errorf("%v", got)
	}
	if shown := decode[channel](t, a.call(t, http.MethodGet, "/v1/channels/"+ch.ID, nil), http.StatusOK); shown.Status != "credentials_invalid" {
		t.Errorf("%+v", shown)
	}
}
