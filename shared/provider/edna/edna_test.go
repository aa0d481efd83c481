package edna_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	sim "contactcenter/scripts/simulator/edna"
	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/edna"
	"contactcenter/shared/provider/providertest"
	"contactcenter/shared/telemetry/telemetrytest"
)

const (
	apiKey     = "test-api-key"
	webhookKey = "test-webhook-key"
	oldKey     = "test-webhook-key-before-rotation"
)

// channel is sender 1001 of the simulator, as Activate would have set it up.
func channel() provider.Channel {
	return provider.Channel{
		ID: "chn_1", Type: "whatsapp", Address: "+35799001001", SenderID: "1001",
		Settings: map[string]string{"subject_id": "1001", "subject": "LOCAL_1001_WA", "cascade_id": "101001"},
	}
}

func adapter(url string, timeout time.Duration) *edna.Adapter {
	return edna.New(edna.Config{BaseURL: url + "/api", APIKey: apiKey, WebhookKeys: []string{webhookKey, oldKey}, Timeout: timeout})
}

func post(key, body string) *provider.Request {
	return &provider.Request{Method: http.MethodPost, Header: http.Header{"Authorization": {key}}, Body: []byte(body)}
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func status(id, word, failure string) string {
	return fmt.Sprintf(`{"requestId":%s,"messageId":8681748,"cascadeId":11,"cascadeStageUUID":"001-test001","subject":"LOCAL_1001_WA","subjectId":1001,"status":%s,`+
		`"statusAt":"2025-01-30T11:07:55Z","error":%s,"comment":null,"paymentData":{"@type":"WhatsAppConversationPaymentData","conversationId":"test0001",`+
		`"conversationType":"marketing","chargeable":true,"type":"WHATSAPP_CONVERSATION"}}`, quote(id), quote(word), failure)
}

func reply(id, from, content string) string {
	return fmt.Sprintf(`{"id":%s,"subject":"LOCAL_1001_WA","subjectId":1001,"subscriber":{"id":202,"identifier":%s},"userInfo":{"userName":"alex","firstName":null,`+
		`"lastName":null,"avatarUrl":null},"messageContent":%s,"receivedAt":"2022-04-29T15:30:08Z","replyOutMessageId":5043874,`+
		`"replyOutMessageExternalRequestId":"msg_asked","replyInMessageId":null}`, id, quote(from), content)
}

func textContent(text string) string {
	return `{"type":"TEXT","attachment":null,"location":null,"caption":null,"text":` + quote(text) + `,"payload":null,"story":null,"items":null}`
}

// pressed is a text with buttons, and chosen one with a list, both with all that they can have.
func pressed() content.Content {
	return content.Content{Type: content.TypeInteractive, Interactive: &content.Interactive{
		Text: "Is 10:00 fine?", Header: "Your visit", Footer: "Clinic", Buttons: []content.Button{{Title: "Yes ✓", ID: "yes:1"}, {Title: "No", ID: "no:1"}},
	}}
}

func chosen() content.Content {
	return content.Content{Type: content.TypeInteractive, Interactive: &content.Interactive{
		Text: "Choose a time", Header: "Times", Footer: "All in local time", List: &content.List{Button: "Show", Sections: []content.Section{
			{Title: "Morning", Rows: []content.Row{{ID: "t-10", Title: "10:00", Description: "Room 1"}, {ID: "t-11", Title: "11:00"}}},
			{Title: "Evening", Rows: []content.Row{{ID: "t-18", Title: "18:00"}}},
		}},
	}}
}

//
func TestTheAdapterConforms(t *testing.T) {
	t.Parallel()
	logs := &telemetrytest.Log{}
	providertest.Run(t, providertest.Kit{
		New: func(url string, timeout time.Duration) provider.Adapter { return adapter(url, timeout) },
		Simulator: func(t *testing.T) providertest.Simulator {
			s := sim.New(sim.Options{APIKey: apiKey, WebhookKey: webhookKey, Logger: slog.New(slog.NewJSONHandler(logs, nil))})
			t.Cleanup(s.Close)
			return providertest.Simulator{Handler: s, Accepted: func() int { _, n := s.Calls(0); return n }}
		},
		Channel:  channel(),
		SendPath: "/api/cascade/schedule",
		Answers:  ednaAnswers(),
		Read: func(body []byte) (string, string, error) {
			var b struct {
				SubscriberFilter struct{ Address string }
				Content          struct {
					WhatsappContent struct{ Text string }
				}
			}
			err := json.Unmarshal(body, &b)
			return b.SubscriberFilter.Address, b.Content.WhatsappContent.Text, err
		},
		Fixed: []string{"101001", "PHONE", "TEXT"},
		Samples: map[string]content.Content{
			"a template": {Type: content.TypeTemplate, Template: &content.Template{Name: "order_shipped", Language: "en", Variables: map[string]string{"1": "Ann", "2": "A-7"}}},
			"a place":    {Type: content.TypeLocation, Location: &content.Location{Latitude: 35.1, Longitude: 33.4, Address: "1 Long Street, Nicosia"}},
			"a picture":  {Type: content.TypeMedia, Media: &content.Media{Kind: content.Image, URL: "https://files.example/a.png?x=1&y=<2>"}},
			"a film":     {Type: content.TypeMedia, Media: &content.Media{Kind: content.Video, URL: "https://files.example/a.mp4", Filename: "a film.mp4"}},
			"a sound":    {Type: content.TypeMedia, Media: &content.Media{Kind: content.Audio, URL: "https://files.example/a.ogg"}},
			"a document": {Type: content.TypeMedia, Media: &content.Media{Kind: content.Document, URL: "https://files.example/1", Filename: "счёт №7.pdf"}},
			"buttons":    pressed(),
			"a list":     chosen(),
		},
		Instead: func(part string) string {
			switch part {
			case "order_shipped":
				return "" // edna finds it by the text that it becomes
			case "Ann", "A-7":
				return "Hello Ann, your order A-7 is on its way."
			}
			return part
		},
		Status: func(id, s string) *provider.Request { return post(webhookKey, status(id, s, "null")) },
		Reply: func(id, from, text string) *provider.Request {
			return post(webhookKey, reply(id, from[1:], textContent(text)))
		},
		Unproven: map[string]func(*provider.Request){
			"an empty key":          func(r *provider.Request) { r.Header.Set("Authorization", "") },
			"another key":           func(r *provider.Request) { r.Header.Set("Authorization", "other") },
			"a key cut short":       func(r *provider.Request) { r.Header.Set("Authorization", webhookKey[:5]) },
			"a key with more to it": func(r *provider.Request) { r.Header.Set("Authorization", webhookKey+"x") },
			"a bearer token":        func(r *provider.Request) { r.Header.Set("Authorization", "Bearer "+webhookKey) },
			"the key elsewhere": func(r *provider.Request) {
				r.Header = http.Header{"X-Api-Key": {webhookKey}}
			},
		},
		Ignored: map[string]*provider.Request{
			"HEAD, without proof":         {Method: http.MethodHead},
			"GET, without proof":          {Method: http.MethodGet},
			"an empty list":               post(webhookKey, "[]"),
			"an object of nothing known":  post(webhookKey, `{"eventType":"something new","id":7}`),
			"a list of nothing known":     post(webhookKey, `[1,"x",null,[],{}]`),
			"enqueued":                    post(webhookKey, status("msg_1", "ENQUEUED", "null")),
			"delayed":                     post(webhookKey, status("msg_1", "delayed", "null")),
			"a status nobody knows":       post(webhookKey, status("msg_1", "PONDERED", "null")),
			"template news of another's":  post(webhookKey, `{"messageMatcher":{"id":98,"status":"APPROVED"},"subjectIds":[18594]}`),
			"another sender's status":     post(webhookKey, `{"requestId":"msg_1","subjectId":1002,"status":"READ"}`),
			"another subject's status":    post(webhookKey, `{"requestId":"msg_1","subject":"OTHER_WA","status":"READ"}`),
			"another sender's reply":      post(webhookKey, `{"id":1,"subjectId":1002,"subscriber":{"identifier":"35799123456"},"messageContent":{"type":"TEXT","text":"x"}}`),
			"a message we did not send":   post(webhookKey, `{"requestId":null,"messageId":7,"subjectId":1001,"status":"READ"}`),
			"under the key that is going": post(oldKey, "[]"),
		},
		Logs: logs.String,
	})
}

func ednaAnswers() []providertest.Answer {
	body := func(title, detail string) string {
		return `{"title":` + quote(title) + `,"status":400,"detail":` + quote(detail) + `}`
	}
	general := "Cascade scheduling request is not valid. Violations: "
	refusal := func(title, code string) providertest.Answer {
		return providertest.Answer{
			Name: title, Status: 400, Body: body(title, general+"'"+providertest.Canary+"'"), Kind: provider.Permanent, Code: code, ProviderCode: title,
		}
	}
	return []providertest.Answer{
		{Name: "requestId-is-not-unique", Status: 400, Body: body("requestId-is-not-unique", "x"), Duplicate: true},
		{Name: "requestId-is-not-unique as the only violation", Status: 400, Body: body("cascade-scheduling-request-not-valid", general+"requestId-is-not-unique"), Duplicate: true},
		{
			Name: "requestId-is-not-unique quoted from a text", Status: 400, Kind: provider.Permanent, Code: "provider_refused",
			Body: body("cascade-scheduling-request-not-valid", general+"text 'requestId-is-not-unique' is not valid"),
		},
		{Name: "an error under status 200", Status: 200, Body: body("cascade-not-found", "x"), Kind: provider.Permanent, Code: "sender_unavailable", ProviderCode: "cascade-not-found"},
		{Name: "a failure under status 200", Status: 200, Body: `{"title":"error-system","status":500}`, Kind: provider.Retry, Code: "provider_unavailable"},
		{Name: "a title that quotes", Status: 400, Body: body(providertest.Canary+" is not valid", "x"), Kind: provider.Permanent, Code: "provider_refused", ProviderCode: "400"},
		{Name: "201", Status: 201, Body: `{"requestId":"msg_1"}`, Kind: provider.Ambiguous, Code: "outcome_unknown"},
		{Name: "307", Status: 307, Header: http.Header{"Location": {"/elsewhere"}}, Kind: provider.Retry},
		{Name: "a wait", Status: 429, Header: http.Header{"Retry-After": {"3"}}, Kind: provider.Retry, RetryAfter: 3 * time.Second},
		{Name: "wrong key", Status: 401, Body: `{"title":"unauthorized","status":401}`, Kind: provider.Credentials, Code: "credentials_invalid", ProviderCode: "unauthorized"},
		refusal("content-not-specified", "provider_refused"),
		refusal("text-not-specified", "provider_refused"),
		refusal("matched-template-not-found", "provider_refused"),
		refusal("cascade-not-found", "sender_unavailable"),
		refusal("request-doesn't-contain-content-for-all-cascade-stages", "provider_refused"),
		refusal("cascade-scheduling-request-not-valid", "provider_refused"),
		refusal("some-new-code", "provider_refused"),
	}
}

func TestWhatIsChosenFromGoesInEdnasForm(t *testing.T) {
	t.Parallel()
	text := func(s string) map[string]any { return map[string]any{"text": s} }
	button := func(title, id string) map[string]any {
		return map[string]any{"buttons": []any{map[string]any{"text": title, "buttonType": "QUICK_REPLY", "payload": id}}}
	}
	for _, c := range []struct {
		name  string
		given content.Content
		want  map[string]any
	}{
		{"buttons, each in a row", pressed(), map[string]any{
			"contentType": "BUTTON", "text": "Is 10:00 fine?", "header": text("Your visit"), "footer": text("Clinic"),
			"keyboard": map[string]any{"rows": []any{button("Yes ✓", "yes:1"), button("No", "no:1")}},
		}},
		{"a list in sections", chosen(), map[string]any{
			"contentType": "LIST_PICKER", "text": "Choose a time", "header": text("Times"), "footer": text("All in local time"),
			"listPicker": map[string]any{"title": "Show", "sections": []any{
				map[string]any{"title": "Morning", "items": []any{
					map[string]any{"identifier": "t-10", "title": "10:00", "subtitle": "Room 1"}, map[string]any{"identifier": "t-11", "title": "11:00"},
				}},
				map[string]any{"title": "Evening", "items": []any{map[string]any{"identifier": "t-18", "title": "18:00"}}},
			}},
		}},
		{
			"a file without a name", content.Content{Type: content.TypeMedia, Media: &content.Media{Kind: content.Audio, URL: "https://files.example/a.ogg"}},
			map[string]any{"contentType": "AUDIO", "attachment": map[string]any{"url": "https://files.example/a.ogg"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, a, _ := running(t, sim.Options{})
			if _, err := a.Send(t.Context(), channel(), provider.Message{ID: "msg_1", To: "+35799123456", Content: c.given}); err != nil {
				t.Fatal(err)
			}
			if got := sent(t, s); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v\nwant %v", got, c.want)
			}
		})
	}
}

// edna ignores a text beside an attachment, so a caption would be lost.
func TestWhatEdnaWouldLoseIsRefused(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]content.Media{
		"a caption":               {Kind: content.Image, URL: "https://files.example/a.png", Caption: "look"},
		"a document without name": {Kind: content.Document, URL: "https://files.example/a"},
		"a long name":             {Kind: content.Document, URL: "https://files.example/a", Filename: strings.Repeat("é", 71)},
	} {
		m := edna.Capabilities().Check(content.Content{Type: content.TypeMedia, Media: &m})
		if m == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
