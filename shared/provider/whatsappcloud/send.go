package whatsappcloud

import (
	"context"
	"net/http"
	"strings"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/httpclient"
)

// order is the body of a send. A recipient is named by number (To) or by its business-scoped id (Recipient).
type order struct {
	Product       string       `json:"messaging_product"`
	RecipientType string       `json:"recipient_type"`
	To            string       `json:"to,omitempty"`
	Recipient     string       `json:"recipient,omitempty"`
	Context       *answered    `json:"context,omitempty"`
	Opaque        string       `json:"biz_opaque_callback_data,omitempty"`
	Type          string       `json:"type"`
	Text          *body        `json:"text,omitempty"`
	Image         *file        `json:"image,omitempty"`
	Video         *file        `json:"video,omitempty"`
	Audio         *file        `json:"audio,omitempty"`
	Document      *file        `json:"document,omitempty"`
	Location      *place       `json:"location,omitempty"`
	Template      *template    `json:"template,omitempty"`
	Interactive   *interactive `json:"interactive,omitempty"`
}

type answered struct {
	MessageID string `json:"message_id"`
}

type body struct {
	Body string `json:"body"`
}

type file struct {
	Link     string `json:"link"`
	Caption  string `json:"caption,omitempty"`
	Filename string `json:"filename,omitempty"`
}

type place struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	Name      string  `json:"name,omitempty"`
	Address   string  `json:"address,omitempty"`
}

type interactive struct {
	Type   string  `json:"type"`
	Header *header `json:"header,omitempty"`
	Body   label   `json:"body"`
	Footer *label  `json:"footer,omitempty"`
	Action action  `json:"action"`
}

type header struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type label struct {
	Text string `json:"text"`
}

type action struct {
	Buttons    []button  `json:"buttons,omitempty"`
	Button     string    `json:"button,omitempty"`
	Sections   []section `json:"sections,omitempty"`
	Name       string    `json:"name,omitempty"`
	Parameters *opens    `json:"parameters,omitempty"`
}

type button struct {
	Type  string   `json:"type"`
	Reply idTitled `json:"reply"`
}

type idTitled struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

type opens struct {
	Text string `json:"display_text"`
	URL  string `json:"url"`
}

type section struct {
	Title string `json:"title,omitempty"`
	Rows  []row  `json:"rows"`
}

type row struct {
	ID          string `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
}

// taken is the answer to a send.
type taken struct {
	Messages []struct {
		ID string `json:"id"`
	} `json:"messages"`
}

// Send hands one message to the number's messages. A nil error means that the API took it; delivery is told by callback.
func (a *Adapter) Send(ctx context.Context, ch provider.Channel, m provider.Message) (provider.Receipt, error) {
	number := ch.Credentials[credNumber]
	if !decimal(number) {
		return provider.Receipt{}, credentials("phone_number_id is missing, or not made of digits").asError()
	}
	o, fail := orderOf(m)
	if fail != nil {
		return provider.Receipt{}, fail
	}
	var t taken
	if fail := a.call(ctx, ch, http.MethodPost, "/"+number+"/messages", nil, o, &t); fail != nil {
		return provider.Receipt{}, fail
	}
	if len(t.Messages) != 1 || t.Messages[0].ID == "" {
		return provider.Receipt{}, httpclient.Unreadable()
	}
	return provider.Receipt{ProviderMessageID: t.Messages[0].ID}, nil
}

// orderOf says a message in the API's form, exactly or not at all.
func orderOf(m provider.Message) (*order, *provider.Error) {
	can := Capabilities()
	if mismatch := can.Check(m.Content); mismatch != nil {
		return nil, mismatch.Refusal()
	}
	o := &order{Product: "whatsapp", RecipientType: "individual", Opaque: m.ID}
	switch digits, isNumber := strings.CutPrefix(m.To, "+"); {
	case isNumber && phone(digits):
		o.To = digits
	case can.KnowsAs(m.To):
		o.Recipient = m.To
	default:
		return nil, recipientInvalid(provider.FaultCustomer, "the recipient's address is not a telephone number").asError()
	}
	if m.ReplyTo != "" {
		o.Context = &answered{m.ReplyTo}
	}
	return o, o.carry(m.Content)
}

func (o *order) carry(c content.Content) *provider.Error {
	o.Type = string(c.Type)
	switch c.Type {
	case content.TypeText:
		o.Text = &body{c.Text}
	case content.TypeLocation:
		o.Location = &place{c.Location.Latitude, c.Location.Longitude, c.Location.Name, c.Location.Address}
	case content.TypeMedia:
		o.attach(*c.Media)
	case content.TypeInteractive:
		o.Interactive = interactiveOf(*c.Interactive)
	case content.TypeTemplate:
		var fail *provider.Error
		o.Template, fail = templateOf(*c.Template)
		return fail
	}
	return nil
}

func (o *order) attach(m content.Media) {
	f := &file{Link: m.URL, Caption: m.Caption, Filename: m.Filename}
	o.Type = m.Kind
	switch m.Kind {
	case content.Image:
		o.Image = f
	case content.Video:
		o.Video = f
	case content.Audio:
		o.Audio = f
	case content.Document:
		o.Document = f
	}
}

func interactiveOf(m content.Interactive) *interactive {
	out := &interactive{Body: label{m.Text}}
	if m.Header != "" {
		out.Header = &header{"text", m.Header}
	}
	if m.Footer != "" {
		out.Footer = &label{m.Footer}
	}
	switch {
	case m.List != nil:
		out.Type, out.Action.Button = "list", m.List.Button
		for _, s := range m.List.Sections {
			rows := []row{}
			for _, r := range s.Rows {
				rows = append(rows, row(r))
			}
			out.Action.Sections = append(out.Action.Sections, section{s.Title, rows})
		}
	case m.Buttons[0].URL != "":
		out.Type, out.Action.Name = "cta_url", "cta_url"
		out.Action.Parameters = &opens{m.Buttons[0].Title, m.Buttons[0].URL}
	default:
		out.Type = "button"
		for _, b := range m.Buttons {
			out.Action.Buttons = append(out.Action.Buttons, button{"reply", idTitled{b.ID, b.Title}})
		}
	}
	return out
}

// phone: an E.164 number without its plus.
func phone(s string) bool {
	return len(s) >= 5 && len(s) <= 15 && strings.Trim(s, "0123456789") == ""
}
