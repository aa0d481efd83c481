package emailses

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"contactcenter/shared/content"
)

// boundary parts the alternatives of a letter. It can't be in them: base64 has no underscore.
const boundary = "=_alternative"

// letter writes a letter as RFC 5322 wants it, with what was asked for and nothing else: SES itself adds Message-ID, Date
// and its signature. Bodies go as base64, so that every byte of them arrives. c is a text or an email.
func letter(from, to, answered string, c content.Content) []byte {
	var b bytes.Buffer
	header := func(name, value string) { b.WriteString(name + ": " + value + "\r\n") }
	header("From", from)
	header("To", to)
	text, html := c.Text, ""
	if c.Type == content.TypeEmail {
		text, html = c.Email.Text, c.Email.HTML
		header("Subject", unstructured(c.Email.Subject))
	}
	if answered != "" {
		header("In-Reply-To", answered)
		header("References", answered)
	}
	header("MIME-Version", "1.0")
	switch {
	case html == "":
		part(&b, "text/plain", text)
	case text == "":
		part(&b, "text/html", html)
	default:
		header("Content-Type", `multipart/alternative; boundary="`+boundary+`"`)
		b.WriteString("\r\n--" + boundary + "\r\n")
		part(&b, "text/plain", text)
		b.WriteString("--" + boundary + "\r\n")
		part(&b, "text/html", html)
		b.WriteString("--" + boundary + "--\r\n")
	}
	return b.Bytes()
}

// part writes the rest of a header and a body. base64 of a line is 76 characters (RFC 2045, section 6.8).
func part(b *bytes.Buffer, mediaType, body string) {
	b.WriteString("Content-Type: " + mediaType + "; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	const line = 76 / 4 * 3
	for len(body) > 0 {
		n := min(line, len(body))
		b.WriteString(base64.StdEncoding.EncodeToString([]byte(body[:n])) + "\r\n")
		body = body[n:]
	}
}

// maxPlain bounds a header's value that goes as it is, in bytes: with its name the line has less than 78 characters.
const maxPlain = 60

// unstructured writes a header's value. What a reader could take for something else than it is (blanks at its ends, other
// characters than ASCII's, what looks encoded, a long line) goes as encoded words (RFC 2047), which decode to its bytes.
func unstructured(s string) string {
	if plain(s) && len(s) <= maxPlain {
		return s
	}
	const most = 45 // bytes of UTF-8 whose encoded word has 72 of the 75 characters that it may have
	var words []string
	for len(s) > 0 {
		n := min(most, len(s))
		for n < len(s) && !utf8.RuneStart(s[n]) {
			n--
		}
		words = append(words, "=?utf-8?b?"+base64.StdEncoding.EncodeToString([]byte(s[:n]))+"?=")
		s = s[n:]
	}
	return strings.Join(words, "\r\n ")
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return s == strings.TrimSpace(s) && !strings.Contains(s, "=?")
}
