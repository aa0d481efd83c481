package edna

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/httpclient"
)

// scheduleRequest is the body of cascade/schedule.
type scheduleRequest struct {
	RequestID        string           `json:"requestId"`
	CascadeID        int64            `json:"cascadeId"`
	SubscriberFilter subscriberFilter `json:"subscriberFilter"`
	Content          scheduleContent  `json:"content"`
}

type subscriberFilter struct {
	Address string `json:"address"`
	Type    string `json:"type"`
}

type scheduleContent struct {
	WhatsApp whatsappContent `json:"whatsappContent"`
}

// whatsappContent is a content in edna's form.
//
// Uncertain: edna's documentation names the content types BUTTON and LIST_PICKER without an example that could be seen.
// BUTTON is assumed to have the header, footer and keyboard of a template's text, which is known from edna's own clients.
// LIST_PICKER is assumed to name its rows as the reply to one does: identifier, title and subtitle, in sections under
// listPicker. edna refuses a content that it can't read, so a wrong assumption shows as a refusal, not as another message.
type whatsappContent struct {
	ContentType string      `json:"contentType"`
	Text        *string     `json:"text,omitempty"`
	Attachment  *attachment `json:"attachment,omitempty"`
	Location    *location   `json:"location,omitempty"`
	Header      *plainText  `json:"header,omitempty"`
	Footer      *plainText  `json:"footer,omitempty"`
	Keyboard    *keyboard   `json:"keyboard,omitempty"`
	ListPicker  *listPicker `json:"listPicker,omitempty"`
}

type attachment struct {
	URL  string `json:"url"`
	Name string `json:"name,omitempty"`
}

type listPicker struct {
	Title    string        `json:"title"`
	Sections []listSection `json:"sections"`
}

type listSection struct {
	Title string     `json:"title,omitempty"`
	Items []listItem `json:"items"`
}

type listItem struct {
	Identifier string `json:"identifier"`
	Title      string `json:"title"`
	Subtitle   string `json:"subtitle,omitempty"`
}

type location struct {
	Longitude float64 `json:"longitude"`
	Latitude  float64 `json:"latitude"`
	Address   string  `json:"address,omitempty"`
}

type plainText struct {
	Text string `json:"text"`
}

type keyboard struct {
	Rows []keyboardRow `json:"rows"`
}

type keyboardRow struct {
	Buttons []button `json:"buttons"`
}

type button struct {
	Text       string `json:"text"`
	ButtonType string `json:"buttonType"`
	Payload    string `json:"payload,omitempty"`
	URL        string `json:"url,omitempty"`
	Phone      string `json:"phone,omitempty"`
}

// Send hands one message to edna's cascade/schedule. A nil error means that edna took it, now or (Duplicate) by an
// earlier attempt; delivery is told by callback.
func (a *Adapter) Send(ctx context.Context, ch provider.Channel, m provider.Message) (provider.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	receipt, err := a.send(ctx, ch, m)
	if err != nil {
		return provider.Receipt{}, err
	}
	return receipt, nil
}

func (a *Adapter) send(ctx context.Context, ch provider.Channel, m provider.Message) (provider.Receipt, *provider.Error) {
	cascade, err := strconv.ParseInt(ch.Settings[settingCascade], 10, 64)
	if err != nil {
		return provider.Receipt{}, senderUnavailable("the channel has no cascade: activate it again")
	}
	address, found := strings.CutPrefix(m.To, "+")
	if !found || !phone(address) {
		return provider.Receipt{}, &provider.Error{
			Kind: provider.Permanent, Code: "recipient_invalid", Fault: provider.FaultCustomer, Detail: "the recipient's address is not a telephone number",
		}
	}
	body, fail := a.whatsapp(ctx, ch, m.Content)
	if fail != nil {
		return provider.Receipt{}, fail
	}
	answer, p, fail := a.call(ctx, http.MethodPost, "/cascade/schedule", scheduleRequest{
		RequestID:        m.ID,
		CascadeID:        cascade,
		SubscriberFilter: subscriberFilter{Address: address, Type: "PHONE"},
		Content:          scheduleContent{WhatsApp: body},
	})
	if fail != nil {
		if fail.Kind == provider.Permanent && duplicate(p) {
			return provider.Receipt{Duplicate: true}, nil
		}
		if fail.ProviderCode == "matched-template-not-found" {
			a.forgetTemplates(ch)
		}
		return provider.Receipt{}, fail
	}
	var taken struct {
		RequestID string `json:"requestId"`
	}
	if err := json.Unmarshal(answer, &taken); err != nil || taken.RequestID != m.ID {
		return provider.Receipt{}, httpclient.Unreadable()
	}
	return provider.Receipt{}, nil
}

// whatsapp says the content in edna's form, exactly or not at all.
func (a *Adapter) whatsapp(ctx context.Context, ch provider.Channel, c content.Content) (whatsappContent, *provider.Error) {
	if m := Capabilities().Check(c); m != nil {
		return whatsappContent{}, m.Refusal()
	}
	switch c.Type {
	case content.TypeText:
		return whatsappContent{ContentType: "TEXT", Text: &c.Text}, nil
	case content.TypeLocation:
		l := c.Location
		return whatsappContent{ContentType: "LOCATION", Location: &location{Longitude: l.Longitude, Latitude: l.Latitude, Address: l.Address}}, nil
	case content.TypeMedia:
		m := c.Media
		return whatsappContent{ContentType: strings.ToUpper(m.Kind), Attachment: &attachment{URL: m.URL, Name: m.Filename}}, nil
	case content.TypeInteractive:
		return interactive(*c.Interactive), nil
	case content.TypeTemplate:
		return a.fillTemplate(ctx, ch, *c.Template)
	}
	return whatsappContent{}, notSupported("edna does not carry this form of content")
}

// interactive says a text with buttons, each in a row of its own as WhatsApp shows them, or with a list.
func interactive(i content.Interactive) whatsappContent {
	out := whatsappContent{Text: &i.Text}
	if i.Header != "" {
		out.Header = &plainText{i.Header}
	}
	if i.Footer != "" {
		out.Footer = &plainText{i.Footer}
	}
	if i.List == nil {
		out.ContentType, out.Keyboard = "BUTTON", &keyboard{}
		for _, b := range i.Buttons {
			row := keyboardRow{Buttons: []button{{Text: b.Title, ButtonType: "QUICK_REPLY", Payload: b.ID}}}
			out.Keyboard.Rows = append(out.Keyboard.Rows, row)
		}
		return out
	}
	out.ContentType, out.ListPicker = "LIST_PICKER", &listPicker{Title: i.List.Button}
	for _, s := range i.List.Sections {
		section := listSection{Title: s.Title}
		for _, r := range s.Rows {
			section.Items = append(section.Items, listItem{Identifier: r.ID, Title: r.Title, Subtitle: r.Description})
		}
		out.ListPicker.Sections = append(out.ListPicker.Sections, section)
	}
	return out
}

func checkText(text string) *provider.Error {
	switch {
	case text == "":
		return notSupported("the text is empty")
	case !utf8.ValidString(text):
		return notSupported("the text is not valid UTF-8")
	case utf8.RuneCountInString(text) > maxTextRunes:
		return notSupported("the text is longer than 4,096 characters")
	}
	return nil
}

func notSupported(detail string) *provider.Error {
	return &provider.Error{Kind: provider.Permanent, Code: "content_not_supported", Fault: provider.FaultCustomer, Detail: detail}
}

func senderUnavailable(detail string) *provider.Error {
	return &provider.Error{Kind: provider.Permanent, Code: "sender_unavailable", Fault: provider.FaultPlatform, Detail: detail}
}

// phone: an E.164 number without its plus.
func phone(s string) bool {
	if len(s) < 5 || len(s) > 15 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
