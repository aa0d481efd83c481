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

// Media is a file by reference. Kind is image, video, audio or document.
type Media struct {
	Kind     string `json:"kind"`
	URL      string `json:"url"`
	Filename string `json:"filename,omitempty"`
	Caption  string `json:"caption,omitempty"`
	MIMEType string `json:"mime_type,omitempty"`
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
	MIMEType  string            `json:"mime_type,omitempty"`
	Payload   string            `json:"payload,omitempty"`
	Raw       json.RawMessage   `json:"raw,omitempty"`
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
		if c.Media != nil {
			w.Kind, w.URL, w.Filename, w.Caption, w.MIMEType = c.Media.Kind, c.Media.URL, c.Media.Filename, c.Media.Caption, c.Media.MIMEType
		}
	case TypeOther:
		w.Raw = c.Raw
	default:
		return nil, fmt.Errorf("marshal content: unknown type %q", string(c.Type))
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads the flat form. It does not check limits: see Validate.
func (c *Content) UnmarshalJSON(b []byte) error {
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*c = Content{Type: w.Type, Payload: w.Payload}
	switch w.Type {
	case TypeText:
		if w.Text != nil {
			c.Text = *w.Text
		}
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
		c.Media = &Media{Kind: w.Kind, URL: w.URL, Filename: w.Filename, Caption: w.Caption, MIMEType: w.MIMEType}
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

// String keeps content out of errors and debug output.
func (Content) String() string { return "[content]" }

// GoString keeps content out of %#v.
func (Content) GoString() string { return "[content]" }

// LogValue keeps content out of logs.
func (Content) LogValue() slog.Value { return slog.StringValue("[content]") }
