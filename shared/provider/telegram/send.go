package telegram

import (
	"context"
	"strconv"
	"strings"

	"github.com/go-telegram/bot/models"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/httpclient"
)

// chatID is the address of a person (who is the same to every bot) or, with a minus, of a group.
const chatID = `-?[1-9][0-9]{0,15}`

// order is the body of every send method. A text goes without parse_mode, so that nothing in it is markup, and with
// whatever preview of a link Telegram makes by itself.
type order struct {
	ChatID      int64                   `json:"chat_id"`
	Text        string                  `json:"text,omitempty"`
	Photo       string                  `json:"photo,omitempty"`
	Video       string                  `json:"video,omitempty"`
	Audio       string                  `json:"audio,omitempty"`
	Document    string                  `json:"document,omitempty"`
	Caption     string                  `json:"caption,omitempty"`
	Latitude    *float64                `json:"latitude,omitempty"`
	Longitude   *float64                `json:"longitude,omitempty"`
	Title       string                  `json:"title,omitempty"`
	Address     string                  `json:"address,omitempty"`
	ReplyMarkup *keyboard               `json:"reply_markup,omitempty"`
	Reply       *models.ReplyParameters `json:"reply_parameters,omitempty"`
}

// keyboard is an inline keyboard. The library's own type always writes a copy_text, which makes it another kind of button.
type keyboard struct {
	Rows [][]button `json:"inline_keyboard"`
}

type button struct {
	Text         string `json:"text"`
	CallbackData string `json:"callback_data,omitempty"`
	URL          string `json:"url,omitempty"`
}

// Send hands one message to the chat m.To. A nil error means that Telegram took it, which is the last that is heard of it.
func (a *Adapter) Send(ctx context.Context, ch provider.Channel, m provider.Message) (provider.Receipt, error) {
	receipt, err := a.send(ctx, ch, m)
	if err != nil {
		return provider.Receipt{}, err
	}
	return receipt, nil
}

func (a *Adapter) send(ctx context.Context, ch provider.Channel, m provider.Message) (provider.Receipt, *provider.Error) {
	if m := Capabilities().Check(m.Content); m != nil {
		return provider.Receipt{}, m.Refusal()
	}
	chat, err := strconv.ParseInt(m.To, 10, 64)
	if err != nil || !Capabilities().KnowsAs(m.To) {
		return provider.Receipt{}, &provider.Error{
			Kind: provider.Permanent, Code: "recipient_invalid", Fault: provider.FaultCustomer,
			Detail: "the recipient's address is not the number of a chat, as it is told with what the recipient writes",
		}
	}
	o, method := say(m.Content)
	o.ChatID = chat
	if m.ReplyTo != "" {
		if o.Reply = answering(m.ReplyTo); o.Reply == nil {
			return provider.Receipt{}, &provider.Error{
				Kind: provider.Permanent, Code: "provider_refused", Fault: provider.FaultCustomer, Detail: "what is answered is no message that Telegram can show as such",
			}
		}
	}
	var taken struct {
		MessageID int64 `json:"message_id"`
	}
	if fail := a.call(ctx, ch, method, o, &taken); fail != nil {
		return provider.Receipt{}, fail
	}
	if taken.MessageID <= 0 {
		return provider.Receipt{}, httpclient.Unreadable()
	}
	return provider.Receipt{ProviderMessageID: strconv.FormatInt(taken.MessageID, 10)}, nil
}

// say gives the method of a content, and its part of the order. The content is one that the capabilities name.
func say(c content.Content) (order, string) {
	switch c.Type {
	case content.TypeLocation:
		l := c.Location
		o := order{Latitude: &l.Latitude, Longitude: &l.Longitude, Title: l.Name, Address: l.Address}
		if l.Name == "" {
			return o, "sendLocation"
		}
		return o, "sendVenue"
	case content.TypeMedia:
		m := c.Media
		switch m.Kind {
		case content.Image:
			return order{Photo: m.URL, Caption: m.Caption}, "sendPhoto"
		case content.Video:
			return order{Video: m.URL, Caption: m.Caption}, "sendVideo"
		case content.Audio:
			return order{Audio: m.URL, Caption: m.Caption}, "sendAudio"
		}
		return order{Document: m.URL, Caption: m.Caption}, "sendDocument"
	case content.TypeInteractive:
		k := &keyboard{}
		for _, b := range c.Interactive.Buttons { // each in a row of its own, so that no title is cut
			k.Rows = append(k.Rows, []button{{Text: b.Title, CallbackData: b.ID, URL: b.URL}})
		}
		return order{Text: c.Interactive.Text, ReplyMarkup: k}, "sendMessage"
	}
	return order{Text: c.Text}, "sendMessage"
}

// answering names the message that is answered. If it is gone Telegram refuses: allow_sending_without_reply stays off, because
// a message without what it answers is another than the customer ordered.
func answering(id string) *models.ReplyParameters {
	number, _, _ := strings.Cut(id, ":")
	n, err := strconv.Atoi(number)
	if err != nil || n <= 0 {
		return nil
	}
	return &models.ReplyParameters{MessageID: n}
}
