package providertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
)

// Texts are those that a careless hand changes, none longer than limit characters (0: 4,000).
func Texts(limit int) map[string]string {
	if limit == 0 {
		limit = 4000
	}
	return map[string]string{
		"emoji and ZWJ":       "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽",
		"right-to-left marks": "\u200fשלום\u200e \u202eabc\u202c \u2067x\u2069",
		"CRLF and CR and LF":  "a\r\nb\rc\nd\u2028e\u2029f\u0085g",
		"composed":            "é Å ñ",
		"decomposed":          "e\u0301 A\u030a n\u0303",
		"blanks at the ends":  " \t\n text \u00a0\u3000\n ",
		"only blanks":         "   ",
		"BBCode":              "[b]bold[/b] [url=https://example.com]x[/url]",
		"HTML":                `<b>&amp; "x" 'y'</b> <script>alert(1)</script> &lt;`,
		"JSON and escapes":    `{"a":"\u0041\n"} \\ \" / \/ %s %d ${x} {{1}}`,
		"control characters":  "a\u0000b\u0001c\u001bd\u007f",
		"beyond the BMP":      "𝒳𐍈\U0010ffff",
		"BOM and non-breaks":  "\ufeffa\u200bb\u2060c\ufffd",
		"long":                strings.Repeat("щ", min(limit, 4000)),
	}
}

func byteForByte(t *testing.T, k Kit) {
	l := connect(t, k, ample, nil)
	for name, s := range Texts(l.Capabilities().Content[content.TypeText].MaxTextRunes) {
		before := len(l.sends(k.SendPath))
		m := k.text("msg_"+strings.ReplaceAll(name, " ", ""), s)
		_, err := l.Send(t.Context(), k.Channel, m)
		if l.Capabilities().Check(m.Content) != nil { // blanks alone, on some
			k.mustBe(t, err, provider.Permanent)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, got, err := k.Read(l.sends(k.SendPath)[before].body)
		if err != nil || got != s {
			t.Errorf("%s: sent %q, arrived %q, %v", name, s, got, err)
		}
	}
}

// everyForm sends one of every form, with all its parts.
func everyForm(t *testing.T, k Kit) {
	l := connect(t, k, ample, nil)
	can, shown := l.Capabilities(), map[content.Type]bool{content.TypeText: true}
	n := 0
	for name, c := range k.Samples {
		if m := can.Check(c); m != nil {
			t.Errorf("%s: %s %s", name, m.Field, m.Detail)
			continue
		}
		l.mu.Lock()
		before := len(l.seen)
		l.mu.Unlock()
		n++
		if _, err := l.Send(t.Context(), k.Channel, provider.Message{ID: fmt.Sprintf("msg_sample%d", n), To: k.to(), Content: c}); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		l.accepts(t, n)
		shown[c.Type] = true
		l.mu.Lock()
		calls := slices.Clone(l.seen[before:])
		l.mu.Unlock()
		arrived := map[string]bool{}
		for _, call := range calls {
			for _, leaf := range k.leaves(t, call.body) {
				arrived[leaf] = true
			}
		}
		for _, part := range parts(t, c) {
			if k.Instead != nil {
				part = k.Instead(part)
			}
			if part != "" && !arrived[part] {
				t.Errorf("%s: %q did not arrive as it is", name, part)
			}
		}
	}
	for form := range can.Content {
		if !shown[form] {
			t.Errorf("there is no sample of %s", form)
		}
	}
}

// parts are the strings of a content that the customer wrote.
func parts(t *testing.T, c content.Content) []string {
	t.Helper()
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	if err := json.Unmarshal(raw, &body); err != nil {
		t.Fatal(err)
	}
	delete(body, "type")
	delete(body, "kind")
	delete(body, "language")
	delete(body, "latitude") // a number may be written in more than one way
	delete(body, "longitude")
	return leaves(body)
}

// leaves are the strings and numbers of a call's body.
func (k Kit) leaves(t *testing.T, raw []byte) []string {
	t.Helper()
	if k.Leaves != nil {
		out, err := k.Leaves(raw)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if len(raw) == 0 {
		return nil
	}
	var body any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&body); err != nil {
		form, err := url.ParseQuery(string(raw))
		if err != nil {
			t.Fatal("the body is neither JSON nor a form")
		}
		body = map[string][]string(form)
	}
	return leaves(body)
}

func minimal(t *testing.T, k Kit) {
	l := connect(t, k, ample, nil)
	if _, err := l.Send(t.Context(), k.Channel, k.message("msg_1")); err != nil {
		t.Fatal(err)
	}
	phone := strings.TrimPrefix(k.to(), "+")
	l.mu.Lock()
	all := slices.Clone(l.seen)
	l.mu.Unlock()
	for _, s := range all {
		outside := fmt.Sprint(s.path, s.query, s.header)
		if strings.Contains(outside, Canary) || strings.Contains(outside, phone) {
			t.Errorf("text or address outside of the body: %s", outside)
		}
	}
	send := l.sends(k.SendPath)[0]
	to, _, err := k.Read(send.body)
	if err != nil || strings.TrimPrefix(to, "+") != phone {
		t.Errorf("the recipient arrived as %q, %v", to, err)
	}
	allowed := append([]string{to, k.message("msg_1").Content.Text, "msg_1"}, k.Fixed...)
	for _, leaf := range k.leaves(t, send.body) {
		if !slices.Contains(allowed, leaf) {
			t.Errorf("the provider is also given %q", leaf)
		}
	}
}

func leaves(v any) []string {
	var out []string
	switch v := v.(type) {
	case map[string]any:
		for _, x := range v {
			out = append(out, leaves(x)...)
		}
	case []any:
		for _, x := range v {
			out = append(out, leaves(x)...)
		}
	case map[string][]string:
		for _, x := range v {
			out = append(out, x...)
		}
	case nil:
	default:
		out = append(out, fmt.Sprint(v))
	}
	return out
}

func refused(t *testing.T, k Kit) {
	l := connect(t, k, ample, nil)
	cases := map[string]content.Content{
		"a form that providers send and nobody orders": {Type: content.TypeOther, Raw: json.RawMessage(`{"x":"` + Canary + `"}`)},
		"no form at all":    {},
		"invalid UTF-8":     {Type: content.TypeText, Text: Canary + "\xff"},
		"half a surrogate":  {Type: content.TypeText, Text: Canary + "\xed\xa0\x80"},
		"a template's hull": {Type: content.TypeTemplate},
		"a location's hull": {Type: content.TypeLocation},
	}
	if limit := l.Capabilities().Content[content.TypeText].MaxTextRunes; limit > 0 {
		cases["a text beyond the limit"] = content.Content{Type: content.TypeText, Text: strings.Repeat("é", limit+1)}
		if _, err := l.Send(t.Context(), k.Channel, k.text("msg_full", strings.Repeat("é", limit))); err != nil {
			t.Errorf("a text at the limit: %v", err)
		}
	}
	before := len(l.sends(k.SendPath))
	for name, c := range cases {
		_, err := l.Send(t.Context(), k.Channel, provider.Message{ID: "msg_1", To: k.to(), Content: c})
		if e := k.mustBe(t, err, provider.Permanent); e.Code != "content_not_supported" {
			t.Errorf("%s: code %q", name, e.Code)
		}
	}
	if n := len(l.sends(k.SendPath)) - before; n != 0 {
		t.Errorf("%d calls were made", n)
	}
}
