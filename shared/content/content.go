// Package content knows the forms that a Business message's content can take, checks that they are well formed,
// and hashes them. It never judges, changes or shortens them: content is opaque to everything but the
// customer and the Communication Provider (clauses 6 and 10 of the Rules).
//
// A Content prints as "[content]" in logs, errors and debug output.
package content

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/gowebpki/jcs"
)

// Type names a form of content.
type Type string

// The forms of content.
const (
	TypeText     Type = "text"
	TypeTemplate Type = "template"
	TypeLocation Type = "location"
	TypeMedia    Type = "media"
	// TypeInteractive is a text with buttons or a list to choose from.
	TypeInteractive Type = "interactive"
	// TypeEmail is a letter with a subject.
	TypeEmail Type = "email"
	// TypeOther is a reply whose form has no name here. Its bytes are kept as the provider sent them.
	TypeOther Type = "other"
)

// Content is one message's content. Exactly the member that belongs to Type is set.
type Content struct {
	Type     Type
	Text     string
	Template *Template
	Location *Location
	Media    *Media
	// Interactive and Email as well.
	Interactive *Interactive
	Email       *Email
	// Payload is the code of a pressed button or a chosen list item, on replies only.
	Payload string
	// Raw is the provider's own JSON of a reply of TypeOther.
	Raw json.RawMessage
}

// Template names a message template that the provider has approved, and the values for its variables.
type Template struct {
	Name      string            `json:"name"`
	Language  string            `json:"language,omitempty"`
	Variables map[string]string `json:"variables,omitempty"`
}

// Location is a place on the map. Latitude is in degrees north (−90 to 90), longitude in degrees east (−180 to 180).
type Location struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	Name      string  `json:"name,omitempty"`
	Address   string  `json:"address,omitempty"`
}

// The kinds of media.
const (
	Image    = "image"
	Video    = "video"
	Audio    = "audio"
	Document = "document"
)

// Media is a file by reference. What is sent has a URL. A reply has a URL, or the provider's own id of the file, or both;
// nothing of it is fetched.
type Media struct {
	// Kind is Image, Video, Audio or Document.
	Kind     string `json:"kind"`
	URL      string `json:"url,omitempty"`
	Filename string `json:"filename,omitempty"`
	Caption  string `json:"caption,omitempty"`
	// The rest is told of replies only. ExpiresAt, in RFC 3339, is until when the provider keeps the file or serves the URL,
	// whichever ends first.
	MediaID   string `json:"media_id,omitempty"`
	MIMEType  string `json:"mime_type,omitempty"`
	SizeBytes int64  `json:"size_bytes,omitempty"`
	SHA256    string `json:"sha256,omitempty"`
	ExpiresAt string `json:"expires_at,omitempty"`
}

// Interactive is a text with either Buttons or a List.
type Interactive struct {
	Text    string   `json:"text"`
	Header  string   `json:"header,omitempty"`
	Footer  string   `json:"footer,omitempty"`
	Buttons []Button `json:"buttons,omitempty"`
	List    *List    `json:"list,omitempty"`
}

// Button has exactly one of ID, which comes back as the payload of the reply, URL, which is opened, and Phone, which is
// called.
type Button struct {
	Title string `json:"title"`
	ID    string `json:"id,omitempty"`
	URL   string `json:"url,omitempty"`
	Phone string `json:"phone,omitempty"`
}

// List is opened by a button and offers rows in sections.
type List struct {
	Button   string    `json:"button"`
	Sections []Section `json:"sections"`
}

// Section is a part of a list.
type Section struct {
	Title string `json:"title,omitempty"`
	Rows  []Row  `json:"rows"`
}

// Row is one thing to choose. ID comes back as the payload of the reply.
type Row struct {
	ID          string `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
}

// Email is a letter: Text, HTML, or both as alternatives of each other.
type Email struct {
	Subject string `json:"subject"`
	Text    string `json:"text,omitempty"`
	HTML    string `json:"html,omitempty"`
	// Attachments and Source are told of replies only. Source is the whole letter as it came (RFC 5322), of one that has more
	// than the rest says: attachments, other readers, parts that can't be read.
	Attachments []Attachment `json:"attachments,omitempty"`
	Source      []byte       `json:"source,omitempty"`
}

// Attachment describes a file that came with a letter.
type Attachment struct {
	Filename  string `json:"filename,omitempty"`
	MIMEType  string `json:"mime_type,omitempty"`
	SizeBytes int64  `json:"size_bytes"`
}

// wire is the JSON form of every kind of content, flat, as the API shows it.
type wire struct {
	Type      Type              `json:"type"`
	Text      *string           `json:"text,omitempty"`
	Name      string            `json:"name,omitempty"`
	Language  string            `json:"language,omitempty"`
	Variables map[string]string `json:"variables,omitempty"`
	Latitude  *float64          `json:"latitude,omitempty"`
	Longitude *float64          `json:"longitude,omitempty"`
	Address   string            `json:"address,omitempty"`
	Kind      string            `json:"kind,omitempty"`
	URL       string            `json:"url,omitempty"`
	Filename  string            `json:"filename,omitempty"`
	Caption   string            `json:"caption,omitempty"`
	MediaID   string            `json:"media_id,omitempty"`
	MIMEType  string            `json:"mime_type,omitempty"`
	SizeBytes int64             `json:"size_bytes,omitempty"`
	SHA256    string            `json:"sha256,omitempty"`
	ExpiresAt string            `json:"expires_at,omitempty"`

	Header  string   `json:"header,omitempty"`
	Footer  string   `json:"footer,omitempty"`
	Buttons []Button `json:"buttons,omitempty"`
	List    *List    `json:"list,omitempty"`

	Subject     *string      `json:"subject,omitempty"`
	HTML        string       `json:"html,omitempty"`
	Attachments []Attachment `json:"attachments,omitempty"`
	Source      []byte       `json:"source,omitempty"`

	Payload string          `json:"payload,omitempty"`
	Raw     json.RawMessage `json:"raw,omitempty"`
}

// MarshalJSON gives the flat form that the API shows and the stores keep.
func (c Content) MarshalJSON() ([]byte, error) {
	w := wire{Type: c.Type, Payload: c.Payload}
	switch c.Type {
	case TypeText:
		w.Text = &c.Text
	case TypeTemplate:
		if c.Template != nil {
			w.Name, w.Language, w.Variables = c.Template.Name, c.Template.Language, c.Template.Variables
		}
	case TypeLocation:
		if c.Location != nil {
			w.Latitude, w.Longitude = &c.Location.Latitude, &c.Location.Longitude
			w.Name, w.Address = c.Location.Name, c.Location.Address
		}
	case TypeMedia:
		if m := c.Media; m != nil {
			w.Kind, w.URL, w.Filename, w.Caption = m.Kind, m.URL, m.Filename, m.Caption
			w.MediaID, w.MIMEType, w.SizeBytes, w.SHA256, w.ExpiresAt = m.MediaID, m.MIMEType, m.SizeBytes, m.SHA256, m.ExpiresAt
		}
	case TypeInteractive:
		if i := c.Interactive; i != nil {
			w.Text, w.Header, w.Footer, w.Buttons, w.List = &i.Text, i.Header, i.Footer, i.Buttons, i.List
		}
	case TypeEmail:
		if e := c.Email; e != nil {
			w.Subject, w.HTML, w.Attachments, w.Source = &e.Subject, e.HTML, e.Attachments, e.Source
			if e.Text != "" {
				w.Text = &e.Text
			}
		}
	case TypeOther:
		w.Raw = c.Raw
	default:
		return nil, fmt.Errorf("marshal content: unknown type %q", string(c.Type))
	}
	return json.Marshal(w)
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// UnmarshalJSON reads the flat form. Limits are a provider's affair.
func (c *Content) UnmarshalJSON(b []byte) error {
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*c = Content{Type: w.Type, Payload: w.Payload}
	switch w.Type {
	case TypeText:
		c.Text = value(w.Text)
	case TypeTemplate:
		c.Template = &Template{Name: w.Name, Language: w.Language, Variables: w.Variables}
	case TypeLocation:
		c.Location = &Location{Name: w.Name, Address: w.Address}
		if w.Latitude != nil {
			c.Location.Latitude = *w.Latitude
		}
		if w.Longitude != nil {
			c.Location.Longitude = *w.Longitude
		}
	case TypeMedia:
		c.Media = &Media{
			Kind: w.Kind, URL: w.URL, Filename: w.Filename, Caption: w.Caption,
			MediaID: w.MediaID, MIMEType: w.MIMEType, SizeBytes: w.SizeBytes, SHA256: w.SHA256, ExpiresAt: w.ExpiresAt,
		}
	case TypeInteractive:
		c.Interactive = &Interactive{Text: value(w.Text), Header: w.Header, Footer: w.Footer, Buttons: w.Buttons, List: w.List}
	case TypeEmail:
		c.Email = &Email{Subject: value(w.Subject), Text: value(w.Text), HTML: w.HTML, Attachments: w.Attachments, Source: w.Source}
	case TypeOther:
		c.Raw = w.Raw
	default:
		return fmt.Errorf("unknown content type")
	}
	return nil
}

// SHA256 is the lower-case hex hash that a message carries from intake to the provider: over the UTF-8 bytes of
// the text, or over the content's canonical JSON (RFC 8785) for every other type. A reply of TypeOther that has no
// canonical form, for example because an escape in it names half a surrogate pair, is hashed as it came.
func (c Content) SHA256() (string, error) {
	b := []byte(c.Text)
	if c.Type != TypeText {
		raw, err := json.Marshal(c)
		if err != nil {
			return "", err
		}
		if b, err = jcs.Transform(raw); err != nil && c.Type != TypeOther {
			return "", fmt.Errorf("canonicalize content: %w", err)
		}
		if err != nil {
			b = c.Raw
		}
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// HalfSurrogate finds a \u escape of half a surrogate pair in valid JSON. encoding/json would replace it, and the text would
// no longer be what was written.
func HalfSurrogate(raw []byte) bool { return HalfSurrogateAt(raw) >= 0 }

// HalfSurrogateAt gives the offset of a \u escape of half a surrogate pair in valid JSON; -1: there is none.
func HalfSurrogateAt(b []byte) int {
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		if b[i+1] != 'u' {
			i++
			continue
		}
		u := escape(b[i:])
		switch {
		case u >= 0xdc00 && u <= 0xdfff:
			return i
		case u >= 0xd800 && u <= 0xdbff:
			if low := escape(b[i+6:]); low < 0xdc00 || low > 0xdfff {
				return i
			}
			i += 6
		}
		i += 5
	}
	return -1
}

// escape reads the \uXXXX at the beginning of b, or gives -1.
func escape(b []byte) int64 {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	u, err := strconv.ParseInt(string(b[2:6]), 16, 32)
	if err != nil {
		return -1
	}
	return u
}

// String keeps content out of errors and debug output.
func (Content) String() string { return "[content]" }

// GoString keeps content out of %#v.
func (Content) GoString() string { return "[content]" }

// LogValue keeps content out of logs.
func (Content) LogValue() slog.Value { return slog.StringValue("[content]") }
