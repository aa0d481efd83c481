//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"
)

// bytes in, bytes to the provider, bytes back, and the same from the recipient.
func TestTextReachesTheProviderByteForByte(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 1000})
	texts := map[string]string{
		"emoji":                          "🎉 done 👍🏽",
		"emoji joined by ZWJ":            "👩‍👩‍👧‍👦 🏳️‍🌈",
		"flags":                          "🇨🇾🇬🇧",
		"right-to-left marks":            "\u200fשלום\u200e abc \u202eكتاب\u202c \u2067x\u2069",
		"CRLF, CR and LF":                "one\r\ntwo\rthree\nfour\n\r",
		"NFC":                            "\u00e9\u00c5",
		"NFD":                            "e\u0301A\u030a",
		"leading and trailing blanks":    "  \t two \n\n ",
		"only blanks":                    "   ",
		"no-break and zero-width blanks": "\u00a0a\u200bb\ufeffc\u3000",
		"BBCode":                         "[b]bold[/b] [url=https://example.com]x[/url]",
		"HTML":                           `<b>bold</b> <script>alert("x")</script> &amp; &lt;`,
		"line and paragraph separators":  "a\u2028b\u2029c",
		"quotes and backslashes":         `"\" '\\' \n \u0041 / \/`,
		"control characters":             "a\u0001b\u0008c\u001fd\u007fe\u0085f",
		"noncharacters":                  "a\ufffeb\uffffc\U0010ffffd",
		"the replacement character":      "a\ufffdb",
		"a variable of a template":       "{{1}} {{name}} ${x} %s %d",
		"outside the BMP":                "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𠜎",
		"combining marks":                "Z̤͔ͧ̑̓ä͖̭̈̇lͮ̒ͫǧ̗͚̚o̙̔ͮ̇͐̇",
		"4,096 characters":               longText(4096),
		"NUL":                            "a\u0000b",
	}
	ids := map[string]string{}
	for name, body := range texts {
		got := a.call(t, http.MethodPost, "/v1/messages", order(ch, person(), text(body)))
		if got.status == http.StatusUnprocessableEntity && name == "NUL" {
			t.Logf("NUL is refused: %s", got.problem(t).Code)
			continue // refused, or carried as it is
		}
		m := decode[message](t, got, http.StatusAccepted)
		if *m.Content.Text != body || m.ContentSHA256 != sha(body) {
			t.Errorf("%s: the answer has %q, hash %s", name, *m.Content.Text, m.ContentSHA256)
		}
		ids[name] = m.ID
	}
	for name, id := range ids {
		m := a.until(id, 20*time.Second, "read", status("read"))
		if *m.Content.Text != texts[name] || m.ContentSHA256 != sha(texts[name]) {
			t.Errorf("%s: GET has %q, hash %s", name, *m.Content.Text, m.ContentSHA256)
		}
		calls := s.callsFor(t, id)
		if len(calls) != 1 || calls[0].Request.Content.WhatsApp.Text == nil || *calls[0].Request.Content.WhatsApp.Text != texts[name] {
			t.Errorf("%s: the provider got %+v", name, calls)
		}
	}

	// And back: what a person writes.
	to := person()
	m := a.send(order(ch, to, text(unique("hello "))))
	for name, body := range texts {
		s.inbound(t, inbound{SenderID: ch.sender(t), From: digits(to), Text: body})
		found := a.messages("status=received&conversation_id=" + m.ConversationID)
		if len(found) == 0 || found[0].Content.Text == nil || *found[0].Content.Text != body || found[0].ContentSHA256 != sha(body) {
			t.Errorf("%s: the reply is %v", name, found)
		}
	}
}

// what is no text is refused, and not repaired.
func TestTextThatIsNoTextIsRefused(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 10})
	for name, raw := range map[string]string{
		"invalid UTF-8":                  "a\xff\xfeb",
		"an encoded surrogate":           "a\xed\xa0\x80b",
		"an overlong form":               "a\xc0\xafb",
		"a cut sequence":                 "a\xf0\x9f\x8e",
		"a lone high surrogate":          `a\ud83db`,
		"a lone low surrogate":           `a\udf89b`,
		"surrogates the wrong way round": `\udf89\ud83d`,
		"a high surrogate at the end":    `a\ud83d`,
	} {
		body := []byte(`{"channel_id":"` + ch.ID + `","to":"` + person() + `","content":{"type":"text","text":"` + raw + `"}}`)
		p := a.call(t, http.MethodPost, "/v1/messages", body).refused(t, http.StatusUnprocessableEntity, "invalid_request")
		if p.FaultDomain != "customer" {
			t.Errorf("%s: %+v", name, p)
		}
	}
	// A proper pair is a character.
	m := a.send(order(ch, person(), text("x")))
	paired := []byte(`{"channel_id":"` + ch.ID + `","to":"` + person() + `","content":{"type":"text","text":"\ud83c\udf89"}}`)
	n := decode[message](t, a.call(t, http.MethodPost, "/v1/messages", paired), http.StatusAccepted)
	if *n.Content.Text != "🎉" || n.ContentSHA256 != sha("🎉") {
		t.Errorf("%v", n)
	}
	a.until(m.ID, 10*time.Second, "read", status("read"))
	a.until(n.ID, 10*time.Second, "read", status("read"))
	a.untilUsed(10*time.Second, 2)
}

// what a filter would look at goes the very way of everything else: one attempt, no other status, the same call, and the bytes as they were written.
func TestUnwelcomeTextsGoTheWayOfAllOthers(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 1000})
	way := func(body string) string {
		m := a.send(order(ch, person(), text(body)))
		m = a.until(m.ID, 30*time.Second, "read", status("read"))
		calls := s.callsFor(t, m.ID)
		if len(calls) != 1 || *m.Content.Text != body || m.ContentSHA256 != sha(body) || *calls[0].Request.Content.WhatsApp.Text != body {
			t.Fatalf("%q: %v %+v", body, m, calls)
		}
		out := fmt.Sprintf("%d attempts, error %v, held %q:", m.Attempts, m.Error, m.HeldReason)
		for _, step := range m.Timeline {
			// A report may overtake our own writing; anything else would be a way of its own.
			if !slices.Contains([]string{"queued", "sent", "delivered", "read"}, step.Status) || step.Reason != "" {
				out += " " + step.Status + " " + step.Reason
			}
		}
		return out + fmt.Sprintf(" as %s, accepted %v", calls[0].Request.Content.WhatsApp.ContentType, calls[0].Accepted)
	}
	usual := way("Your order is ready " + unique(""))
	for _, body := range unwelcome {
		if got := way(body + " " + unique("")); got != usual {
			t.Errorf("%q went another way: %s, others go %s", body, got, usual)
		}
	}
}
