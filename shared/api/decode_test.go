package api

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"contactcenter/shared/content"
)

func send(contentType, body string) *http.Request {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/v1/messages", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	return r
}

// problemOf gives status, code and the fields of the errors, "field:code" each.
func problemOf(err error) (status int, code Code, fields string) {
	p := new(Problem)
	if !errors.As(err, &p) {
		return 0, "", ""
	}
	list := make([]string, len(p.Errors))
	for i, e := range p.Errors {
		list[i] = e.Field + ":" + e.Code
	}
	return p.Status, p.Code, strings.Join(list, " ")
}

//
func TestDecodeRefusesWhatItDoesNotUnderstandExactly(t *testing.T) {
	t.Parallel()
	text := func(rest string) string {
		return `{"channel_id":"c","to":"+35799","content":{"type":"text","text":"x"}` + rest + `}`
	}
	for _, c := range []struct {
		name, contentType, body string
		status                  int
		fields                  string
	}{
		{"a body that is form data", "application/x-www-form-urlencoded", text(""), 415, ""},
		{"a body without a type", "", text(""), 415, ""},
		{"a charset other than UTF-8", "application/json; charset=iso-8859-1", text(""), 415, ""},
		{"a body that is too large", "application/json", text(`,"client_reference":"` + strings.Repeat("a", MaxBody) + `"`), 413, ""},
		{"an empty body", "application/json", "", 422, "body:required"},
		{"an empty body without a type", "", "", 422, "body:required"},
		{"a body of blanks", "application/json", " \r\n", 422, "body:required"},
		{"bad JSON", "application/json", `{"channel_id":`, 400, ""},
		{"data behind the value", "application/json", text("") + "{}", 400, ""},
		{"deep nesting", "application/json", strings.Repeat("[", 100) + strings.Repeat("]", 100), 422, ""},
		{"invalid UTF-8", "application/json", text(",\"client_reference\":\"a\xff\""), 422, ""},
		{"a lone high surrogate", "application/json", text(`,"client_reference":"a\ud83d"`), 422, ""},
		{"a lone low surrogate", "application/json", text(`,"client_reference":"\ude00"`), 422, ""},
		{"a high surrogate before another character", "application/json", text(`,"client_reference":"\ud83d\u0041"`), 422, ""},
		{"a list in place of the object", "application/json", `[]`, 422, "body:wrong_type"},
		{"null in place of the object", "application/json", `null`, 422, "body:wrong_type"},
		{"a field that is not known", "application/json", text(`,"subject":"x"`), 422, "subject:unknown_field"},
		{"a field in other letters", "application/json", text(`,"Client_Reference":"x"`), 422, "Client_Reference:unknown_field"},
		{"a field that is there twice", "application/json", text(`,"to":"+1"`), 422, "to:duplicate_field"},
		{"a field that is there twice, spelt differently", "application/json", text(`,"\u0074o":"+1"`), 422, "to:duplicate_field"},
		{"a number for a string", "application/json", text(`,"client_reference":7`), 422, "client_reference:wrong_type"},
		{"null for a string", "application/json", text(`,"client_reference":null`), 422, "client_reference:wrong_type"},
		{"an empty string", "application/json", text(`,"client_reference":""`), 422, "client_reference:invalid_value"},
		{"a value outside the enumeration", "application/json", text(`,"on_limit":"drop"`), 422, "on_limit:invalid_value"},
		{"a time that is none", "application/json", text(`,"expires_at":"tomorrow"`), 422, "expires_at:invalid_value"},
		{"a missing field", "application/json", `{"to":"+1"}`, 422, "content:required"},
		{"content without a type", "application/json", `{"content":{"text":"x"}}`, 422, "content.type:required"},
		{"content of an unknown type", "application/json", `{"content":{"type":"fax"}}`, 422, "content.type:invalid_value"},
		{"content with another type's field", "application/json", `{"content":{"type":"text","text":"x","url":"y"}}`, 422, "content.url:unknown_field"},
		{"empty text", "application/json", `{"content":{"type":"text","text":""}}`, 422, "content.text:invalid_value"},
		{"empty variables", "application/json", `{"content":{"type":"template","name":"n","variables":{}}}`, 422, "content.variables:invalid_value"},
		{"a variable that is a number", "application/json", `{"content":{"type":"template","name":"n","variables":{"a":1}}}`, 422, "content.variables.a:wrong_type"},
		{"a latitude out of range", "application/json", `{"content":{"type":"location","latitude":90.1,"longitude":0}}`, 422, "content.latitude:invalid_value"},
		{"a number that is too large", "application/json", `{"content":{"type":"location","latitude":1e999,"longitude":0}}`, 422, "content.latitude:invalid_value"},
		{"several at once", "application/json", `{"a":1,"content":{"type":"text","b":2},"to":3}`, 422, "content.text:required content.b:unknown_field to:wrong_type a:unknown_field"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var req SendMessageRequest
			status, code, fields := problemOf(DecodeJSON(send(c.contentType, c.body), &req))
			if status != c.status || fields != c.fields {
				t.Errorf("got %d %s %q, want %d %q", status, code, fields, c.status, c.fields)
			}
		})
	}
}

func TestDecodeTakesEveryFieldOfEveryKind(t *testing.T) {
	t.Parallel()
	var plan PutPlanRequest
	if err := DecodeJSON(send("application/json; charset=UTF-8", `{"limit":1000,"period":"month","rate":{"limit":20,"window_seconds":1,"burst":5}}`), &plan); err != nil {
		t.Fatal(err)
	}
	if plan.Limit != 1000 || plan.Period != PeriodKindMonth || plan.Rate.WindowSeconds != 1 || *plan.Rate.Burst != 5 {
		t.Errorf("got %+v", plan)
	}
	var activate ActivateChannelRequest
	if err := Decode([]byte(`{"rules_version":"1","provider_terms_version":"2","transfer_countries":["CY","DE"]}`), &activate); err != nil {
		t.Fatal(err)
	}
	if len(activate.TransferCountries) != 2 || activate.TransferCountries[1] != "DE" {
		t.Errorf("got %+v", activate)
	}
	for _, bad := range []string{`{"limit":1.5,"period":"month","rate":{}}`, `{"limit":"1","period":"month","rate":{}}`, `{"limit":99999999999999999999,"period":"month","rate":{}}`} {
		if _, _, fields := problemOf(Decode([]byte(bad), new(PutPlanRequest))); !strings.HasPrefix(fields, "limit:wrong_type") {
			t.Errorf("%s: got %q", bad, fields)
		}
	}
}

//
func TestTextIsDecodedByteForByte(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Filter(func(s string) bool { return s != "" && utf8.ValidString(s) }).Draw(t, "text")
		escape := rapid.SliceOfN(rapid.Bool(), len(text), len(text)).Draw(t, "escape")
		var req SendMessageRequest
		if err := Decode([]byte(`{"content":{"type":"text","text":`+spell(text, escape)+`}}`), &req); err != nil {
			t.Fatal(err)
		}
		if req.Content.Text != text {
			t.Fatalf("got %q, want %q", req.Content.Text, text)
		}
	})
}

// spell writes a JSON string, with some characters as \u escapes.
func spell(s string, escape []bool) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range s {
		switch {
		case r < ' ' || r == '"' || r == '\\' || escape[i]:
			for _, u := range utf16of(r) {
				b.WriteString(`\u`)
				for shift := 12; shift >= 0; shift -= 4 {
					b.WriteByte("0123456789abcdef"[u>>shift&15])
				}
			}
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func utf16of(r rune) []uint16 {
	if r < 0x10000 {
		return []uint16{uint16(r)}
	}
	r -= 0x10000
	return []uint16{uint16(0xd800 + r>>10), uint16(0xdc00 + r&0x3ff)}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"channel_id":"c","to":"+35799","content":{"type":"text","text":"x"},"expires_at":"2026-12-01T10:00:00.000Z"}`,
		`{"content":{"type":"location","latitude":1e2,"longitude":-0.5,"name":"n"}}`,
		`{"content":{"type":"template","name":"n","variables":{"1":"a"}},"content":null}`,
		`{"content":{"type":"text","text":"\ud83d\ude00 \u0000"}}`, "\"\xff\"", `[[[[`, `{"a":{"a":[{"a":1}]}}`, `"\ud800"`, `{"\ud800":1}`, `\`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var req SendMessageRequest
		err := Decode(body, &req)
		if err != nil {
			if status, _, _ := problemOf(err); status != 400 && status != 422 {
				t.Fatalf("answer %v", err)
			}
			return
		}
		if !utf8.ValidString(req.Content.Text) || strings.ContainsRune(req.Content.Text, utf8.RuneError) && !strings.Contains(string(body), "\uFFFD") && !strings.Contains(strings.ToLower(string(body)), `\ufffd`) {
			t.Fatal("text was repaired")
		}
		if req.Content.Type == content.TypeText && req.Content.Text == "" {
			t.Fatal("empty text was taken")
		}
		if _, err := req.Content.SHA256(); err != nil {
			t.Fatal(err)
		}
	})
}
