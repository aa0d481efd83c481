package edna

import (
	"net/url"
	"unicode/utf8"
)

// whatsapp is the content of a message.
type whatsapp struct {
	ContentType string  `json:"contentType"`
	Text        *string `json:"text"`
	Attachment  *struct {
		URL  string `json:"url"`
		Name string `json:"name"`
	} `json:"attachment"`
	Location *struct {
		Latitude  *float64 `json:"latitude"`
		Longitude *float64 `json:"longitude"`
	} `json:"location"`
	Header   *plain `json:"header"`
	Footer   *plain `json:"footer"`
	Keyboard *struct {
		Rows []struct {
			Buttons []button `json:"buttons"`
		} `json:"rows"`
	} `json:"keyboard"`
	ListPicker *picker `json:"listPicker"`
}

type plain struct {
	Text string `json:"text"`
}

type button struct {
	Text       string `json:"text"`
	ButtonType string `json:"buttonType"`
	Payload    string `json:"payload"`
}

type picker struct {
	Title    string `json:"title"`
	Sections []struct {
		Title string `json:"title"`
		Items []struct {
			Identifier string `json:"identifier"`
			Title      string `json:"title"`
			Subtitle   string `json:"subtitle"`
		} `json:"items"`
	} `json:"sections"`
}

// unclear is edna's answer to what it has no word of its own for.
const unclear = "cascade-scheduling-request-is-not-valid"

// fault names what is missing from a content.
func (w whatsapp) fault() string {
	switch w.ContentType {
	case "":
		return "contentType-not-specified"
	case "TEXT":
		if w.Attachment == nil && empty(w.Text) {
			return "text-not-specified"
		}
	case "LOCATION":
		switch {
		case w.Location == nil || w.Location.Latitude == nil:
			return "latitude-not-specified"
		case w.Location.Longitude == nil:
			return "longitude-not-specified"
		}
	case "IMAGE", "DOCUMENT", "VIDEO", "AUDIO":
		return w.attachmentFault()
	case "BUTTON", "LIST_PICKER":
		return w.choiceFault()
	default:
		return unclear
	}
	return ""
}

func empty(s *string) bool { return s == nil || *s == "" }

func (w whatsapp) attachmentFault() string {
	if w.Attachment == nil || w.Attachment.URL == "" {
		return "content-not-specified"
	}
	u, err := url.Parse(w.Attachment.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return unclear
	case w.ContentType == "DOCUMENT" && w.Attachment.Name == "":
		return "attachmentName-not-specified"
	case utf8.RuneCountInString(w.Attachment.Name) > 70:
		return "attachmentName-is-too-long"
	}
	return ""
}

// choiceFault holds a text with something to choose from against WhatsApp's limits. The form is assumed: see the comment
// of the package.
func (w whatsapp) choiceFault() string {
	if empty(w.Text) {
		return "text-not-specified"
	}
	long := beyond(*w.Text, 1024) || w.Header != nil && beyond(w.Header.Text, 60) || w.Footer != nil && beyond(w.Footer.Text, 60)
	fits := w.ListPicker != nil && w.ListPicker.fits()
	if w.ContentType == "BUTTON" {
		fits = w.buttonsFit()
	}
	if long || !fits {
		return unclear
	}
	return ""
}

func beyond(s string, limit int) bool { return utf8.RuneCountInString(s) > limit }

func (w whatsapp) buttonsFit() bool {
	if w.Keyboard == nil {
		return false
	}
	n, titles := 0, map[string]bool{}
	for _, row := range w.Keyboard.Rows {
		for _, b := range row.Buttons {
			n++
			if b.ButtonType != "QUICK_REPLY" || b.Text == "" || beyond(b.Text, 20) || b.Payload == "" || len(b.Payload) > 256 || titles[b.Text] {
				return false
			}
			titles[b.Text] = true
		}
	}
	return n >= 1 && n <= 3
}

func (p picker) fits() bool {
	n, ids := 0, map[string]bool{}
	for _, s := range p.Sections {
		if s.Title == "" && len(p.Sections) > 1 || beyond(s.Title, 24) || len(s.Items) == 0 {
			return false
		}
		for _, i := range s.Items {
			n++
			if i.Identifier == "" || len(i.Identifier) > 200 || ids[i.Identifier] || i.Title == "" || beyond(i.Title, 24) || beyond(i.Subtitle, 72) {
				return false
			}
			ids[i.Identifier] = true
		}
	}
	return p.Title != "" && !beyond(p.Title, 20) && len(p.Sections) <= 10 && n >= 1 && n <= 10
}
