package edna_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/edna"
)

func read(t *testing.T, body string) ([]provider.Event, error) {
	t.Helper()
	return adapter("http://127.0.0.1:1", time.Second).ParseCallback(t.Context(), channel(), post(webhookKey, body))
}

func TestAStatusSaysWhatBecameOfAMessage(t *testing.T) {
	t.Parallel()
	at := time.Date(2025, 1, 30, 11, 7, 55, 0, time.UTC)
	for _, c := range []struct {
		name, status, failure    string
		want, code, providerCode string
		fault                    provider.Fault
	}{
		{"sent", "SENT", "null", "sent", "", "", ""},
		{"delivered, in lower case", "delivered", "null", "delivered", "", "", ""},
		{"read, in mixed case", "Read", "null", "read", "", "", ""},
		{"cancelled by the 20-minute rule", "CANCELLED", "null", "failed", "provider_duplicate", "cancelled", provider.FaultCustomer},
		{"expired", "EXPIRED", "null", "failed", "delivery_expired", "expired", provider.FaultRecipient},
		{"no template matched", "NO-MATCH-TEMPLATE", `"not-template-match"`, "failed", "provider_refused", "not-template-match", provider.FaultCustomer},
		{"undelivered, not on WhatsApp", "UNDELIVERED", `"not-whatsapp-user"`, "failed", "recipient_invalid", "not-whatsapp-user", provider.FaultRecipient},
		{"failed, out of balance", "FAILED", `"error-insufficient-balance"`, "failed", "provider_refused", "error-insufficient-balance", provider.FaultPlatform},
		{"failed without a reason", "FAILED", "null", "failed", "provider_refused", "failed", provider.FaultProvider},
		{"failed with a reason that is a sentence", "FAILED", `"to 35799123456: no"`, "failed", "provider_refused", "failed", provider.FaultProvider},
		{"failed with a reason that is an object", "FAILED", `{"code":7}`, "failed", "provider_refused", "failed", provider.FaultProvider},
		{"an error as the status", "error-address-format", "null", "failed", "recipient_invalid", "error-address-format", provider.FaultCustomer},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, body := range []string{status("msg_7", c.status, c.failure), "[" + status("msg_7", c.status, c.failure) + "]"} {
				events, err := read(t, body)
				if err != nil || len(events) != 1 || events[0].Status == nil {
					t.Fatalf("got %d events, %v", len(events), err)
				}
				got := *events[0].Status
				if (got.Detail == "") != (c.code == "") {
					t.Errorf("detail %q", got.Detail)
				}
				got.Detail = ""
				want := provider.StatusReport{
					MessageID: "msg_7", ProviderMessageID: "8681748", Status: c.want, At: at, Code: c.code, ProviderCode: c.providerCode, Fault: c.fault, Permanent: c.code != "",
				}
				if got != want {
					t.Errorf("got %+v\nwant %+v", got, want)
				}
			}
		})
	}
}

func TestAReplyIsReadInItsForm(t *testing.T) {
	t.Parallel()
	text := func(s, payload string) content.Content {
		return content.Content{Type: content.TypeText, Text: s, Payload: payload}
	}
	other := func(raw string) content.Content { return content.Content{Type: content.TypeOther, Raw: []byte(raw)} }
	media := func(kind, name, mime, caption string, size int64) content.Content {
		return content.Content{Type: content.TypeMedia, Media: &content.Media{Kind: kind, URL: "https://files.example/1", Filename: name, MIMEType: mime, Caption: caption, SizeBytes: size}}
	}
	for _, c := range []struct {
		name, from, content string
		wantFrom            string
		want                content.Content
	}{
		{"text", "35799123456", textContent(" Thank you \r\n"), "+35799123456", text(" Thank you \r\n", "")},
		{"text of a person known by a business-scoped id", "US.13491208655302741918", textContent("x"), "US.13491208655302741918", text("x", "")},
		{"text of a person whose id is a long number", "13491208655302741918", textContent("x"), "13491208655302741918", text("x", "")},
		{"a button", "35799123456", `{"type":"TEXT","text":"Confirm","payload":"CONFIRM"}`, "+35799123456", text("Confirm", "CONFIRM")},
		{"a button by its own type", "35799123456", `{"type":"BUTTON","text":"Confirm","payload":"CONFIRM"}`, "+35799123456", text("Confirm", "CONFIRM")},
		{
			"a list item", "35799123456", `{"type":"LIST_PICKER","text":null,"items":[{"identifier":"01","title":"item 1","subtitle":null}]}`,
			"+35799123456", text("item 1", "01"),
		},
		{"two list items", "35799123456", `{"type":"LIST_PICKER","items":[{"title":"a"},{"title":"b"}]}`, "+35799123456", other(`{"type":"LIST_PICKER","items":[{"title":"a"},{"title":"b"}]}`)},
		{
			"a location", "35799123456", `{"type":"LOCATION","location":{"latitude":35.1,"longitude":-33.25,"name":"Home","address":"St 1"}}`, "+35799123456",
			content.Content{Type: content.TypeLocation, Location: &content.Location{Latitude: 35.1, Longitude: -33.25, Name: "Home", Address: "St 1"}},
		},
		{"a location without coordinates", "35799123456", `{"type":"LOCATION","location":{}}`, "+35799123456", other(`{"type":"LOCATION","location":{}}`)},
		{
			"an image", "35799123456", `{"type":"IMAGE","attachment":{"url":"https://files.example/1","mimeType":"image/png","size":7},"caption":"look"}`, "+35799123456",
			media("image", "", "image/png", "look", 7),
		},
		{"a document", "35799123456", `{"type":"document","attachment":{"url":"https://files.example/1","name":"a.pdf"}}`, "+35799123456", media("document", "a.pdf", "", "", 0)},
		{
			"a sound whose size is a string", "35799123456", `{"type":"AUDIO","text":null,"attachment":{"url":"https://files.example/1","mimeType":"audio/ogg","size":"70000"}}`, "+35799123456",
			media("audio", "", "audio/ogg", "", 70000),
		},
		{
			"an image of no size that counts", "35799123456", `{"type":"IMAGE","text":"","attachment":{"url":"https://files.example/1","size":-1.5}}`, "+35799123456",
			media("image", "", "", "", 0),
		},
		{
			"an image with a text beside it", "35799123456", `{"type":"IMAGE","text":"x","attachment":{"url":"https://files.example/1"}}`, "+35799123456",
			other(`{"type":"IMAGE","text":"x","attachment":{"url":"https://files.example/1"}}`),
		},
		{"a video without a URL", "35799123456", `{"type":"VIDEO","attachment":null}`, "+35799123456", other(`{"type":"VIDEO","attachment":null}`)},
		{"a flow", "35799123456", `{"type":"FLOW","text":"{\"a\": 1}"}`, "+35799123456", other(`{"type":"FLOW","text":"{\"a\": 1}"}`)},
		{"a kind that is new", "35799123456", `{"type":"HOLOGRAM", "x": [1.0, "\u0041"]}`, "+35799123456", other(`{"type":"HOLOGRAM", "x": [1.0, "\u0041"]}`)},
		{"a known kind of another shape", "35799123456", `{"type":"TEXT","text":{"body":"x"}}`, "+35799123456", other(`{"type":"TEXT","text":{"body":"x"}}`)},
		{"an escaped emoji", "35799123456", `{"type":"TEXT","text":"\ud83d\ude00 \\ud83d"}`, "+35799123456", text(`😀 \ud83d`, "")},
		{"half a surrogate pair", "35799123456", `{"type":"TEXT","text":"\ud83d!"}`, "+35799123456", other(`{"type":"TEXT","text":"\ud83d!"}`)},
		{"the other half", "35799123456", `{"type":"TEXT","text":"\\\ude00"}`, "+35799123456", other(`{"type":"TEXT","text":"\\\ude00"}`)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			item := reply("101", c.from, c.content)
			want := provider.Reply{
				ID: "1001:101", From: c.wantFrom, Content: c.want, ReplyTo: "msg_asked", ReplyToProviderID: "5043874",
				At: time.Date(2022, 4, 29, 15, 30, 8, 0, time.UTC), Raw: []byte(item),
			}
			for _, body := range []string{item, " \n" + item + "\t", "[ " + item + " ]"} {
				events, err := read(t, body)
				if err != nil || len(events) != 1 || events[0].Reply == nil {
					t.Fatalf("got %d events, %v", len(events), err)
				}
				if !reflect.DeepEqual(*events[0].Reply, want) {
					t.Errorf("got %#v\nwant %#v", *events[0].Reply, want)
				}
				if _, err := events[0].Reply.Content.SHA256(); err != nil {
					t.Errorf("it can't be hashed: %v", err)
				}
			}
		})
	}
}

func TestAListIsReadInItsOrderAndPassesOverWhatIsUnknown(t *testing.T) {
	t.Parallel()
	events, err := read(t, "["+strings.Join([]string{
		status("msg_1", "SENT", "null"), `{"new":"kind"}`, reply(`"a-7"`, "35799123456", textContent("x")), status("msg_2", "ENQUEUED", "null"), status("msg_1", "READ", "null"),
	}, ",")+"]")
	if err != nil || len(events) != 3 {
		t.Fatalf("got %d events, %v", len(events), err)
	}
	if events[0].Status.Status != "sent" || events[1].Reply.ID != "1001:a-7" || events[2].Status.Status != "read" {
		t.Error("not in the order of the list")
	}
}

func TestNewsOfATemplateIsReadInBothOfItsShapes(t *testing.T) {
	t.Parallel()
	const news = `{"id":98,"name":"order_ready","channelType":"WHATSAPP","language":"en","content":{"text":"x"},"contentType":"TEXT","category":"UTILITY","status":"APPROVED","locked":false,"type":"OPERATOR"}`
	for _, c := range []struct {
		name, body string
		told       bool
	}{
		{"a list of templates", "[" + news + "," + news + "]", true},
		{"one template", news, true},
		{"the older shape", `{"messageMatcher":` + news + `,"subjectIds":[18594,1001]}`, true},
		{"the older shape, with ids as strings", `{"messageMatcher":` + news + `,"subjectIds":["1001"]}`, true},
		{"the older shape, of another sender", `{"messageMatcher":` + news + `,"subjectIds":[18594]}`, false},
		{"one that says it is another sender's", strings.Replace(news, `{"id"`, `{"subjectId":1002,"id"`, 1), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			events, err := read(t, c.body)
			want := []provider.Event{{TemplatesChanged: true}}
			if !c.told {
				want = nil
			}
			if err != nil || !slices.Equal(events, want) {
				t.Errorf("got %+v, %v, want %+v", events, err, want)
			}
		})
	}
	events, err := read(t, "["+status("msg_1", "SENT", "null")+","+news+"]")
	if err != nil || len(events) != 2 || events[0].Status == nil || !events[1].TemplatesChanged {
		t.Errorf("beside a status: got %+v, %v", events, err)
	}
}

//
func TestACallbackBeyondItsBoundsIsMalformed(t *testing.T) {
	t.Parallel()
	item := status("msg_1", "SENT", "null")
	for name, c := range map[string]struct {
		body string
		want error
	}{
		"100 items":                  {"[" + strings.Repeat(item+",", 99) + item + "]", nil},
		"101 items":                  {"[" + strings.Repeat(item+",", 100) + item + "]", provider.ErrMalformed},
		"1 MiB":                      {item + strings.Repeat(" ", 1<<20-len(item)), nil},
		"more than 1 MiB":            {item + strings.Repeat(" ", 1<<20-len(item)+1), provider.ErrMalformed},
		"a status of another type":   {`{"requestId":"msg_1","subjectId":1001,"status":7}`, provider.ErrMalformed},
		"a reply without an id":      {`{"subjectId":1001,"subscriber":{"identifier":"357991234"},"messageContent":{"type":"TEXT","text":"x"}}`, provider.ErrMalformed},
		"a reply without a person":   {`{"id":7,"subjectId":1001,"messageContent":{"type":"TEXT","text":"x"}}`, provider.ErrMalformed},
		"a time that is none":        {`{"requestId":"msg_1","subjectId":1001,"status":"SENT","statusAt":"yesterday"}`, nil},
		"a person by a number":       {`{"id":7,"subjectId":"1001","subscriber":{"identifier":35799123456},"messageContent":{"type":"TEXT","text":"x"}}`, nil},
		"a content that is a string": {`{"id":7,"subjectId":1001,"subscriber":{"identifier":"357991234"},"messageContent":"x"}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events, err := read(t, c.body)
			if !errors.Is(err, c.want) || (err == nil) == (len(events) == 0) {
				t.Errorf("got %d events, %v, want %v", len(events), err, c.want)
			}
		})
	}
}

func TestBothKeysProveDuringARotation(t *testing.T) {
	t.Parallel()
	a := adapter("http://127.0.0.1:1", time.Second)
	for _, key := range []string{webhookKey, oldKey} {
		events, err := a.ParseCallback(t.Context(), channel(), post(key, status("msg_1", "READ", "null")))
		if err != nil || len(events) != 1 {
			t.Errorf("got %d events, %v", len(events), err)
		}
	}
	for name, keys := range map[string][]string{"none": nil, "an empty one": {""}} {
		a := edna.New(edna.Config{WebhookKeys: keys})
		for _, given := range []string{"", "x"} {
			if _, err := a.ParseCallback(t.Context(), channel(), post(given, "[]")); !errors.Is(err, provider.ErrProof) {
				t.Errorf("with %s configured, %q proves: %v", name, given, err)
			}
		}
	}
}

func TestConfigurationIsReadFromTheEnvironment(t *testing.T) {
	t.Parallel()
	env := map[string]string{"EDNA_BASE_URL": "http://127.0.0.1:3001/edna/api", "EDNA_API_KEY": "k", "EDNA_WEBHOOK_KEYS": "new, old,"}
	c := edna.ConfigFrom(func(k string) string { return env[k] })
	if c.BaseURL != env["EDNA_BASE_URL"] || c.APIKey != "k" || !slices.Equal(c.WebhookKeys, []string{"new", "old"}) {
		t.Errorf("got %+v", c)
	}
}

// FuzzParseCallback: whatever comes, there is no panic, an event says exactly one thing, keeps to its channel, and holds
// only valid UTF-8.
//
func FuzzParseCallback(f *testing.F) {
	for _, body := range []string{
		status("msg_1", "DELIVERED", "null"), "[" + status("msg_1", "FAILED", `"not-whatsapp-user"`) + "," + status("msg_2", "cancelled", "null") + "]",
		reply("101", "35799123456", textContent("Thank you for your help")), "[" + reply("102", "US.1349", `{"type":"FLOW","text":"{\"a\":1}"}`) + "]",
		reply("103", "35799123456", `{"type":"LIST_PICKER","items":[{"identifier":"01","title":"item 1","subtitle":null}]}`),
		reply("104", "35799123456", `{"type":"IMAGE","attachment":{"url":"https://files.example/1","mimeType":"image/png"},"caption":"\ud83d\ude00"}`),
		reply("105", "35799123456", `{"type":"LOCATION","location":{"longitude":33.3,"latitude":35.1,"address":"x"}}`),
		reply("106", "35799123456", `{"type":"TEXT","text":"\ud83d"}`),
		`[{"id":98,"name":"order_ready","channelType":"WHATSAPP","language":"en","content":{"text":"x"},"status":"APPROVED"}]`,
		`{"messageMatcher":{"id":98},"subjectIds":[18594]}`, `{"messageMatcher":{"id":98,"status":"PAUSED"},"subjectIds":[1001]}`,
		reply("107", "35799123456", `{"type":"DOCUMENT","attachment":{"url":"https://files.example/1","name":"a.pdf","size":"7"},"caption":"c","text":null}`),
		reply("108", "35799123456", `{"type":"BUTTON","text":"Yes","payload":"yes:1"}`), reply("109", "35799123456", `{"type":"AUDIO","attachment":{"url":"u","size":1e99}}`),
		reply("110", "35799123456", `{"type":"PRODUCT","story":{"id":"1"},"items":[]}`), `{"requestId":"m","subjectId":1002,"status":"READ"}`, "[]", "{}", "null", `[null,7,"x"]`, "", "\xff", `{"id":1e400}`,
	} {
		f.Add([]byte(body))
	}
	a := edna.New(edna.Config{WebhookKeys: []string{webhookKey}})
	f.Fuzz(func(t *testing.T, body []byte) {
		before := slices.Clone(body)
		events, err := a.ParseCallback(t.Context(), channel(), post(webhookKey, string(body)))
		if err != nil && (!errors.Is(err, provider.ErrMalformed) || events != nil) {
			t.Fatalf("got %d events, %v", len(events), err)
		}
		if !slices.Equal(before, body) {
			t.Fatal("the body was changed")
		}
		for _, e := range events {
			switch {
			case e == provider.Event{TemplatesChanged: true}:
			case (e.Status == nil) == (e.Reply == nil) || e.TemplatesChanged || e.OptOut != nil:
				t.Fatal("not exactly one thing is said")
			case e.Status != nil:
				if e.Status.MessageID == "" || !slices.Contains([]string{"sent", "delivered", "read", "failed"}, e.Status.Status) {
					t.Fatalf("got %+v", e.Status)
				}
			case !strings.HasPrefix(e.Reply.ID, "1001:") || e.Reply.From == "" || !utf8.ValidString(e.Reply.Content.Text) || !strings.Contains(string(body), string(e.Reply.Raw)):
				t.Fatalf("got %#v", e.Reply)
			default:
				if _, err := e.Reply.Content.SHA256(); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
