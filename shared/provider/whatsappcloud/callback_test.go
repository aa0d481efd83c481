package whatsappcloud_test

import (
	"bytes"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
)

func read(t *testing.T, r *provider.Request) ([]provider.Event, error) {
	t.Helper()
	return adapter("http://127.0.0.1:1", time.Second).ParseCallback(t.Context(), channel(), r)
}

// A vector that was computed by another program.
func TestTheSignatureIsTheMACOfTheRawBody(t *testing.T) {
	t.Parallel()
	r := &provider.Request{
		Method: http.MethodPost, Body: []byte(`{"object":"page","entry":[]}`),
		Header: http.Header{"X-Hub-Signature-256": {"sha256=e6e9d7a842a48e17f43a34d6125d0d933e2aab92ee37f0993a4d493b50e3d438"}},
	}
	a := adapter("http://127.0.0.1:1", time.Second)
	if events, err := a.ParseCallback(t.Context(), with(map[string]string{"app_secret": "app-secret"}), r); err != nil || events != nil {
		t.Errorf("got %d events, %v", len(events), err)
	}
	if _, err := a.ParseCallback(t.Context(), with(map[string]string{"app_secret": "app-secret2"}), r); !errors.Is(err, provider.ErrProof) {
		t.Errorf("another secret proves: %v", err)
	}
}

func TestAStatusSaysWhatBecameOfAMessage(t *testing.T) {
	t.Parallel()
	at := time.Unix(1750030073, 0).UTC()
	const opaque = `,"biz_opaque_callback_data":"msg_7"`
	for _, c := range []struct {
		name, status string
		want         provider.StatusReport
	}{
		{"sent, with its price", status("wamid.7", "sent", opaque+metered), provider.StatusReport{MessageID: "msg_7", Status: "sent"}},
		{"delivered, without our id", status("wamid.7", "delivered", metered), provider.StatusReport{Status: "delivered"}},
		{"read, with another program's id", status("wamid.7", "read", `,"biz_opaque_callback_data":"{\"source\":\"api\"}"`), provider.StatusReport{Status: "read"}},
		{"read by a person without a number", strings.Replace(status("wamid.7", "read", ""), `"recipient_id":"35799123456"`, `"recipient_user_id":"CY.13491208655302741918"`, 1), provider.StatusReport{Status: "read"}},
		{"not on WhatsApp", status("wamid.7", "failed", opaque+failure("131026")), provider.StatusReport{
			MessageID: "msg_7", Status: "failed", Code: "recipient_invalid", ProviderCode: "131026", Fault: provider.FaultRecipient, Permanent: true,
		}},
		{"the window was closed", status("wamid.7", "failed", failure("131047")), provider.StatusReport{
			Status: "failed", Code: "reply_window_closed", ProviderCode: "131047", Fault: provider.FaultCustomer, Permanent: true,
		}},
		{"a limit for marketing", status("wamid.7", "failed", failure("131049")), provider.StatusReport{
			Status: "failed", Code: "provider_refused", ProviderCode: "131049", Fault: provider.FaultProvider, Permanent: true,
		}},
		{"a failure that passes", status("wamid.7", "failed", failure("131000")), provider.StatusReport{
			Status: "failed", Code: "provider_unavailable", ProviderCode: "131000", Fault: provider.FaultProvider,
		}},
		{"a code that is new", status("wamid.7", "failed", failure("139999")), provider.StatusReport{
			Status: "failed", Code: "provider_refused", ProviderCode: "139999", Fault: provider.FaultProvider, Permanent: true,
		}},
		{"no error", status("wamid.7", "failed", ""), provider.StatusReport{Status: "failed", Code: "provider_refused", Fault: provider.FaultProvider, Permanent: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			events, err := read(t, post(statuses(c.status)))
			if err != nil || len(events) != 1 || events[0].Status == nil {
				t.Fatalf("got %d events, %v", len(events), err)
			}
			got := *events[0].Status
			if (got.Detail == "") != (c.want.Code == "") {
				t.Errorf("detail %q", got.Detail)
			}
			got.Detail, c.want.ProviderMessageID, c.want.At = "", "wamid.7", at
			if got != c.want {
				t.Errorf("got %+v\nwant %+v", got, c.want)
			}
		})
	}
}

//
func TestARecipientsWishIsAnOptOut(t *testing.T) {
	t.Parallel()
	preference := func(members string) *provider.Request {
		return post(change("user_preferences", about(number, `"user_preferences":[{"detail":"x","category":"marketing_messages","timestamp":1731705721,`+members+`}]`)))
	}
	at := time.Unix(1731705721, 0).UTC()
	for name, c := range map[string]struct {
		r    *provider.Request
		want provider.OptOut
	}{
		"no marketing any more":                {preference(`"wa_id":"35799123456","value":"stop"`), provider.OptOut{From: "+35799123456", At: at}},
		"marketing again":                      {preference(`"wa_id":"35799123456","value":"resume"`), provider.OptOut{From: "+35799123456", At: at, Lifted: true}},
		"no marketing, by a person without":    {preference(`"user_id":"CY.1349","value":"stop"`), provider.OptOut{From: "CY.1349", At: at}},
		"a message that failed because of it":  {post(statuses(status("wamid.7", "failed", failure("131050")))), provider.OptOut{From: "+35799123456", At: time.Unix(1750030073, 0).UTC()}},
		"the same, known only by its own name": {post(statuses(strings.Replace(status("wamid.7", "failed", failure("131050")), `"recipient_id":"35799123456"`, `"recipient_user_id":"CY.1349"`, 1))), provider.OptOut{From: "CY.1349", At: time.Unix(1750030073, 0).UTC()}},
	} {
		events, err := read(t, c.r)
		if err != nil || len(events) == 0 {
			t.Errorf("%s: got %d events, %v", name, len(events), err)
			continue
		}
		if last := events[len(events)-1]; last.OptOut == nil || *last.OptOut != c.want {
			t.Errorf("%s: got %+v", name, last.OptOut)
		}
	}
}

func TestNewsOfATemplateAreSaidToBe(t *testing.T) {
	t.Parallel()
	for _, field := range []string{"message_template_status_update", "message_template_components_update", "template_category_update"} {
		events, err := read(t, post(change(field, `{"event":"APPROVED","message_template_id":1689556908129832,"message_template_name":"order_ready","message_template_language":"en-US","reason":"NONE"}`)))
		if err != nil || len(events) != 1 || !events[0].TemplatesChanged {
			t.Errorf("%s: got %d events, %v", field, len(events), err)
		}
	}
}

func TestAReplyIsReadInItsForm(t *testing.T) {
	t.Parallel()
	text := func(s, payload string) content.Content {
		return content.Content{Type: content.TypeText, Text: s, Payload: payload}
	}
	media := func(m content.Media) content.Content {
		m.MediaID, m.ExpiresAt = "1003383421387256", "2025-06-15T20:59:43.000Z"
		return content.Content{Type: content.TypeMedia, Media: &m}
	}
	const file = `"id":"1003383421387256","sha256":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=","url":"https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1003&hash=x"`
	const sum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	other := content.Content{Type: content.TypeOther}
	for _, c := range []struct {
		name, members string
		want          content.Content
		quotes        string
	}{
		{"text", `"type":"text","text":{"body":" Thank you \r\n"}`, text(" Thank you \r\n", ""), ""},
		{"text that answers", `"type":"text","text":{"body":"x"},"context":{"from":"35799002001","id":"wamid.quoted"}`, text("x", ""), "wamid.quoted"},
		{"text that was forwarded", `"type":"text","text":{"body":"x"},"context":{"forwarded":true}`, text("x", ""), ""},
		{"text from an advertisement", `"type":"text","text":{"body":"x"},"referral":{"source_id":"1","headline":"h"}`, text("x", ""), ""},
		{"an empty text", `"type":"text","text":{"body":""}`, text("", ""), ""},
		{"an escaped emoji", `"type":"text","text":{"body":"\ud83d\ude00 \\ud83d"}`, text(`😀 \ud83d`, ""), ""},
		{"half a surrogate pair", `"type":"text","text":{"body":"\ud83d!"}`, other, ""},
		{"a text of another shape", `"type":"text","text":"x"`, other, ""},
		{"a text without a body", `"type":"text","text":{}`, other, ""},
		{"a template's button", `"type":"button","button":{"text":"Stop","payload":"STOP-1"},"context":{"from":"35799002001","id":"wamid.quoted"}`, text("Stop", "STOP-1"), "wamid.quoted"},
		{"a button", `"type":"interactive","interactive":{"type":"button_reply","button_reply":{"id":"y","title":"Yes"}},"context":{"id":"wamid.quoted"}`, text("Yes", "y"), "wamid.quoted"},
		{"a row", `"type":"interactive","interactive":{"type":"list_reply","list_reply":{"id":"1","title":"Mon","description":"early"}}`, text("Mon", "1"), ""},
		{"a form", `"type":"interactive","interactive":{"type":"nfm_reply","nfm_reply":{"name":"flow","body":"Sent","response_json":"{\"a\":1}"}}`, other, ""},
		{"a button of the wrong kind", `"type":"interactive","interactive":{"type":"list_reply","button_reply":{"id":"y","title":"Yes"}}`, other, ""},
		{"an image", `"type":"image","image":{` + file + `,"mime_type":"image/jpeg","caption":"look"}`, media(content.Media{Kind: "image", MIMEType: "image/jpeg", Caption: "look", SHA256: sum}), ""},
		{"a sticker", `"type":"sticker","sticker":{` + file + `,"mime_type":"image/webp","animated":false}`, media(content.Media{Kind: "image", MIMEType: "image/webp", SHA256: sum}), ""},
		{"a video", `"type":"video","video":{` + file + `,"mime_type":"video/mp4"}`, media(content.Media{Kind: "video", MIMEType: "video/mp4", SHA256: sum}), ""},
		{"a voice message", `"type":"audio","audio":{` + file + `,"mime_type":"audio/ogg; codecs=opus","voice":true}`, media(content.Media{Kind: "audio", MIMEType: "audio/ogg; codecs=opus", SHA256: sum}), ""},
		{"a document", `"type":"document","document":{` + file + `,"mime_type":"application/pdf","filename":"a.pdf"}`, media(content.Media{Kind: "document", MIMEType: "application/pdf", Filename: "a.pdf", SHA256: sum}), ""},
		{"a hash of another kind", `"type":"image","image":{"id":"1003383421387256","sha256":"abc"}`, media(content.Media{Kind: "image", SHA256: "abc"}), ""},
		{"an image without an id", `"type":"image","image":{"mime_type":"image/jpeg"}`, other, ""},
		{"a place", `"type":"location","location":{"latitude":35.1,"longitude":-33.25,"name":"Office","address":"St 1","url":"https://x.example"}`, content.Content{Type: content.TypeLocation, Location: &content.Location{Latitude: 35.1, Longitude: -33.25, Name: "Office", Address: "St 1"}}, ""},
		{"a place without coordinates", `"type":"location","location":{"name":"Office"}`, other, ""},
		{"a reaction", `"type":"reaction","reaction":{"message_id":"wamid.quoted","emoji":"\ud83d\udc4d"}`, other, "wamid.quoted"},
		{"a contact", `"type":"contacts","contacts":[{"name":{"formatted_name":"Bob"},"phones":[{"phone":"+1 555"}]}]`, other, ""},
		{"an order", `"type":"order","order":{"catalog_id":"1","product_items":[]}`, other, ""},
		{"another number", `"type":"system","system":{"body":"User changed","wa_id":"35799000000","type":"user_changed_number"}`, other, ""},
		{"what Meta does not support", `"type":"unsupported","errors":[{"code":131051,"title":"Unsupported message type"}]`, other, ""},
		{"a type that is new", `"type":"hologram","hologram":{"x":[1.0,"\u0041"]}`, other, ""},
		{"no type", `"x":1`, other, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			item := inbound("wamid.in", "35799123456", c.members)
			if c.want.Type == content.TypeOther {
				c.want.Raw = []byte(item)
			}
			want := provider.Reply{ID: "wamid.in", From: "+35799123456", Content: c.want, ReplyToProviderID: c.quotes, At: time.Unix(1749416383, 0).UTC(), Raw: []byte(item)}
			events, err := read(t, post(messages(item)))
			if err != nil || len(events) != 1 || events[0].Reply == nil {
				t.Fatalf("got %d events, %v", len(events), err)
			}
			if !reflect.DeepEqual(*events[0].Reply, want) {
				t.Errorf("got %#v %+v\nwant %#v", *events[0].Reply, events[0].Reply.Content.Media, want)
			}
			if _, err := events[0].Reply.Content.SHA256(); err != nil {
				t.Errorf("it can't be hashed: %v", err)
			}
		})
	}
}

func TestAPersonIsKnownByNumberOrById(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ from, want string }{
		"a number":              {`"from":"35799123456"`, "+35799123456"},
		"a number and an id":    {`"from":"35799123456","from_user_id":"CY.1349"`, "+35799123456"},
		"an id":                 {`"from_user_id":"US.13491208655302741918"`, "US.13491208655302741918"},
		"an id of a portfolio":  {`"from":null,"from_user_id":"US.ENT.11815799212886844830"`, "US.ENT.11815799212886844830"},
		"a number as a number":  {`"from":35799123456`, "+35799123456"},
		"what is no number":     {`"from":"AUTHORITY"`, "AUTHORITY"},
		"an id in place of one": {`"from":"US.1349","from_user_id":"US.1349"`, "US.1349"},
	} {
		events, err := read(t, post(messages(`{`+c.from+`,"id":"wamid.1","timestamp":1749416383,`+text("x")+`}`)))
		if err != nil || len(events) != 1 || events[0].Reply.From != c.want {
			t.Errorf("%s: got %+v, %v", name, events, err)
		}
	}
}

func TestABatchIsReadInItsOrderAndPassesOverWhatIsUnknown(t *testing.T) {
	t.Parallel()
	body := `{"object":"whatsapp_business_account","entry":[{"id":"` + account + `","changes":[
		{"field":"messages","value":` + about(number, `"statuses":[`+status("wamid.1", "sent", "")+`,{"id":7,"status":[]},`+status("wamid.2", "played", "")+`]`) + `},
		{"field":"messages","value":"?"},{"field":"history","value":{}}]},
		{"id":"` + account + `","changes":[{"field":"messages","value":` + about(number, `"messages":[`+inbound("wamid.3", "35799123456", text("x"))+`,{"id":"wamid.4"},null],"statuses":[`+status("wamid.1", "read", "")+`]`) + `}]}]}`
	events, err := read(t, post(body))
	if err != nil || len(events) != 3 {
		t.Fatalf("got %d events, %v", len(events), err)
	}
	if events[0].Status.Status != "sent" || events[1].Reply.ID != "wamid.3" || events[2].Status.Status != "read" {
		t.Error("not in their order")
	}
}

//
func TestACallbackBeyondItsBoundsIsMalformed(t *testing.T) {
	t.Parallel()
	item := status("wamid.1", "sent", "")
	many := func(n int) string { return statuses(strings.Repeat(item+",", n-1) + item) }
	for name, c := range map[string]struct {
		body string
		want error
	}{
		"1,000 events":                     {many(1000), nil},
		"1,001 events":                     {many(1001), provider.ErrMalformed},
		"1 MiB":                            {many(1) + strings.Repeat(" ", 1<<20-len(many(1))), nil},
		"more than 1 MiB":                  {many(1) + strings.Repeat(" ", 1<<20-len(many(1))+1), provider.ErrMalformed},
		"an entry that is none":            {`{"object":"whatsapp_business_account","entry":7}`, provider.ErrMalformed},
		"a value that is none":             {change("messages", `7`), provider.ErrMalformed},
		"a status without an id":           {statuses(`{"status":"sent"}`), provider.ErrMalformed},
		"a message without an id":          {messages(`{"from":"35799123456"}`), provider.ErrMalformed},
		"a message without a person":       {messages(`{"id":"wamid.1","type":"text","text":{"body":"x"}}`), provider.ErrMalformed},
		"a time that is none":              {statuses(strings.Replace(item, "1750030073", "yesterday", 1)), nil},
		"a time beyond all calendars":      {statuses(strings.Replace(item, "1750030073", "99999999999999", 1)), nil},
		"an unreadable one beside another": {statuses(`{"status":"sent"}`, item), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events, err := read(t, post(c.body))
			if !errors.Is(err, c.want) || (err == nil) == (len(events) == 0) {
				t.Errorf("got %d events, %v, want %v", len(events), err, c.want)
			}
		})
	}
	get := post("{}")
	get.Method = http.MethodGet
	if _, err := read(t, get); !errors.Is(err, provider.ErrMalformed) {
		t.Errorf("GET: %v", err)
	}
}

// FuzzParseCallback: whatever comes with proof, there is no panic, an event says exactly one thing, keeps to its number, and
// holds only valid UTF-8.
//
func FuzzParseCallback(f *testing.F) {
	a := adapter("http://127.0.0.1:1", time.Second)
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		events, err := a.ParseCallback(t.Context(), channel(), post(string(body)))
		if err != nil && (!errors.Is(err, provider.ErrMalformed) || events != nil) {
			t.Fatalf("got %d events, %v", len(events), err)
		}
		if !bytes.Equal(before, body) {
			t.Fatal("the body was changed")
		}
		for _, e := range events {
			checkEvent(t, e, body)
		}
	})
}

func checkEvent(t *testing.T, e provider.Event, body []byte) {
	t.Helper()
	said := 0
	for _, is := range []bool{e.Status != nil, e.Reply != nil, e.OptOut != nil, e.TemplatesChanged} {
		if is {
			said++
		}
	}
	switch {
	case said != 1:
		t.Fatalf("it says %d things", said)
	case e.Status != nil:
		s := e.Status
		if s.ProviderMessageID == "" || !slices.Contains([]string{"sent", "delivered", "read", "failed"}, s.Status) || (s.Status == "failed") != (s.Code != "" && s.Fault != "") {
			t.Fatalf("got %+v", s)
		}
		if strings.Trim(s.ProviderCode, "0123456789") != "" || len(s.ProviderCode) > 20 {
			t.Fatalf("a code that is none: %q", s.ProviderCode)
		}
	case e.OptOut != nil:
		if e.OptOut.From == "" {
			t.Fatal("an opt-out of nobody")
		}
	case e.Reply != nil:
		r := e.Reply
		if r.ID == "" || r.From == "" || !utf8.ValidString(r.Content.Text) || !bytes.Contains(body, r.Raw) || len(r.Raw) == 0 {
			t.Fatalf("got %#v", r)
		}
		if _, err := r.Content.SHA256(); err != nil {
			t.Fatal(err)
		}
	}
}
