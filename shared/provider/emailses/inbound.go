package emailses

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jhillyerd/enmime/v2"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
)

// maxStored bounds a letter's content as JSON, in bytes, so that it fits into one item of the table, which has 400 KB.
const maxStored = 350 << 10

// maxMultiparts bounds how often a letter that is taken apart names a boundary, as each of its multiparts does. With every
// further one within the one before, the library takes twice as long: at 20 nearly a second, at 50 for ever.
const maxMultiparts = 16

// received reads a letter that somebody wrote to the channel. raw is the message as it stands in the callback.
func received(acc account, n notification, raw json.RawMessage, message string) ([]provider.Event, error) {
	to := n.Receipt.Recipients
	if len(to) == 0 {
		to = n.Mail.Destination
	}
	if len(to) > 0 && !slices.ContainsFunc(to, acc.is) {
		return nil, nil // to another address that the same rule serves
	}
	if n.Mail.MessageID == "" {
		return nil, fmt.Errorf("%w: a letter without id", provider.ErrMalformed)
	}
	return []provider.Event{{Reply: &provider.Reply{
		ID:                replyID(n),
		From:              author(n),
		Content:           letterContent(n, message),
		ReplyToProviderID: answers(n),
		At:                moment(n.Mail.Timestamp),
		Raw:               raw,
	}}}, nil
}

// replyID is SES's id of the letter, which is unique, a blank, and the letter's own Message-ID, which an answer names and
// which its writer can repeat; "-" stands for one that can't be named.
func replyID(n notification) string {
	own := n.Mail.CommonHeaders.MessageID
	if own == "" {
		own = n.header("Message-ID")
	}
	if !messageIDForm.MatchString(own) {
		own = "-"
	}
	return n.Mail.MessageID + " " + own
}

// header is the first header of a name.
func (n notification) header(name string) string {
	for _, h := range n.Mail.Headers {
		if strings.EqualFold(h.Name, name) {
			return strings.TrimSpace(h.Value)
		}
	}
	return ""
}

// author is the address of the letter's From, else of its envelope; a report of a mail server has "<>" there.
func author(n notification) string {
	for _, s := range append(slices.Clone(n.Mail.CommonHeaders.From), n.header("From"), n.Mail.Source) {
		if address := bare(s); address != "" {
			return address
		}
	}
	return "<>"
}

// answers is SES's id of the letter that this one answers: the part before the @ of a Message-ID that SES made.
func answers(n notification) string {
	ids := strings.Fields(n.header("In-Reply-To"))
	chain := strings.Fields(n.header("References"))
	slices.Reverse(chain) // the last one is the letter before this one
	for _, id := range append(ids, chain...) {
		local, domain, found := strings.Cut(strings.Trim(id, "<>,"), "@")
		if found && ascii(local) && strings.HasSuffix(strings.ToLower(domain), ".amazonses.com") {
			return local
		}
	}
	return ""
}

// letterContent is what a letter says. A rule that stores letters elsewhere tells only of them: then it is SES's JSON.
func letterContent(n notification, message string) content.Content {
	if n.Content == nil {
		return content.Content{Type: content.TypeOther, Raw: json.RawMessage(message)}
	}
	source := []byte(*n.Content)
	if n.encoded() {
		if decoded, err := base64.StdEncoding.DecodeString(strings.NewReplacer("\r", "", "\n", "").Replace(*n.Content)); err == nil {
			source = decoded
		}
	}
	l := readLetter(source)
	if l.nothingBut(l.email.Text) && l.email.Text != "" {
		return content.Content{Type: content.TypeText, Text: l.email.Text}
	}
	if l.more {
		l.email.Source = source
	}
	c := content.Content{Type: content.TypeEmail, Email: &l.email}
	if b, err := json.Marshal(c); err != nil || len(b) > maxStored {
		// What was read out of it stands in the source as well.
		c.Email = &content.Email{Subject: l.email.Subject, Attachments: l.email.Attachments, Source: source}
		if b, err = json.Marshal(c); err != nil || len(b) > maxStored {
			c.Email = &content.Email{Source: source}
		}
	}
	return c
}

// encoded says whether the letter is given as base64, which the customer chooses in the rule. Where SES does not tell, a
// letter's first header does: base64 has no colon.
func (n notification) encoded() bool {
	switch strings.ToUpper(n.Receipt.Action.Encoding) {
	case "BASE64":
		return true
	case "UTF8", "UTF-8":
		return false
	}
	return !strings.Contains(*n.Content, ":")
}

// reading is a letter while it is read. more: it has something that email does not hold.
type reading struct {
	email   content.Email
	hasText bool
	hasHTML bool
	more    bool
}

// nothingBut says whether the letter is no more than this text.
func (l *reading) nothingBut(text string) bool {
	return !l.more && l.email.Subject == "" && l.email.HTML == "" && len(l.email.Attachments) == 0 && l.email.Text == text
}

// readLetter takes a letter apart as far as it can be. What it had to guess or could not read makes it one with more.
func readLetter(source []byte) *reading {
	l := &reading{}
	if bytes.Count(bytes.ToLower(source), []byte("boundary")) > maxMultiparts {
		l.more = true
		return l
	}
	// An alphabet that is not named is not guessed.
	parser := enmime.NewParser(enmime.DisableTextConversion(true), enmime.DisableCharacterDetection(true), enmime.MinCharsetDetectRunes(math.MaxInt))
	letter, err := parser.ReadEnvelope(bytes.NewReader(source))
	if err != nil {
		l.more = true
		return l
	}
	l.email.Subject = l.clean(letter.GetHeader("Subject"))
	l.more = l.more || letter.GetHeader("Cc") != "" || letter.GetHeader("Reply-To") != ""
	letter.Root.DepthMatchAll(func(p *enmime.Part) bool {
		l.part(p)
		return false
	})
	return l
}

// part takes one part of a letter: the first text and the first HTML are its body, the rest is attached.
func (l *reading) part(p *enmime.Part) {
	for _, e := range p.Errors {
		l.more = l.more || e.Name != enmime.ErrorPlainTextFromHTML // that HTML has no text beside it is no fault of it
	}
	kind := strings.ToLower(p.ContentType)
	attached := p.Disposition == "attachment" || p.FileName != ""
	switch {
	case p.FirstChild != nil || strings.HasPrefix(kind, "multipart/"):
	case (kind == "text/plain" || kind == "") && !attached && !l.hasText:
		l.hasText, l.email.Text = true, l.clean(string(p.Content))
	case kind == "text/html" && !attached && !l.hasHTML:
		l.hasHTML, l.email.HTML = true, l.clean(string(p.Content))
	default:
		l.more = true
		l.email.Attachments = append(l.email.Attachments, content.Attachment{
			Filename: l.clean(p.FileName), MIMEType: l.clean(kind), SizeBytes: int64(len(p.Content)),
		})
	}
}

// clean makes valid UTF-8 of what says that it is.
func (l *reading) clean(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	l.more = true
	return strings.ToValidUTF8(s, "\ufffd")
}
