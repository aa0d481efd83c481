package twiliosms

import (
	"context"
	"encoding/json"
	"net/url"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/httpclient"
)

// queryMessage is the query parameter of a StatusCallback that holds our id of the message.
const queryMessage = "message_id"

// Send hands one message to Twilio. A nil error means that Twilio took it into its queue.
func (a *Adapter) Send(ctx context.Context, ch provider.Channel, m provider.Message) (provider.Receipt, error) {
	by, usable := accountOf(ch)
	if !usable {
		return provider.Receipt{}, &provider.Error{
			Kind: provider.Credentials, Code: "credentials_invalid", Fault: provider.FaultCustomer, Detail: "the channel has no Account SID and Auth Token",
		}
	}
	form, refused := order(ch, m)
	if refused != nil {
		return provider.Receipt{}, refused
	}
	answer, fail := a.call(ctx, by, "/Messages.json", nil, form)
	if fail != nil {
		return provider.Receipt{}, fail
	}
	var taken struct {
		SID string `json:"sid"`
	}
	if json.Unmarshal(answer, &taken) != nil || !sid(taken.SID, "SM") && !sid(taken.SID, "MM") {
		return provider.Receipt{}, httpclient.Unreadable()
	}
	return provider.Receipt{ProviderMessageID: taken.SID}, nil
}

// order says a message in Twilio's parameters, exactly or not at all.
func order(ch provider.Channel, m provider.Message) (url.Values, *provider.Error) {
	if mismatch := Capabilities().Check(m.Content); mismatch != nil {
		return nil, mismatch.Refusal()
	}
	if !phone(m.To) {
		return nil, &provider.Error{
			Kind: provider.Permanent, Code: "recipient_invalid", Fault: provider.FaultCustomer, Detail: "the recipient's address is not a telephone number",
		}
	}
	// Without it Twilio may follow the Messaging Service's setting, which by default puts similar letters of the GSM alphabet in
	// place of others.
	form := url.Values{"To": {m.To}, "SmartEncoded": {"false"}}
	switch sender := ch.Settings[settingSender]; {
	case sid(sender, "MG"):
		form.Set("MessagingServiceSid", sender)
		form.Set("ShortenUrls", "false") // else the service's own setting may count, and links would be replaced
	case phone(sender):
		form.Set("From", sender)
	default:
		return nil, &provider.Error{
			Kind: provider.Permanent, Code: "sender_unavailable", Fault: provider.FaultPlatform, Detail: "the channel has no sender: enter its credentials again",
		}
	}
	if callback := ch.Settings[settingCallback]; callback != "" {
		form.Set("StatusCallback", callback+"?"+url.Values{queryMessage: {m.ID}}.Encode())
	}
	switch c := m.Content; c.Type {
	case content.TypeText:
		form.Set("Body", c.Text)
	case content.TypeMedia:
		form.Set("MediaUrl", c.Media.URL)
		if c.Media.Caption != "" {
			form.Set("Body", c.Media.Caption)
		}
	case content.TypeTemplate:
		form.Set("ContentSid", c.Template.Name)
		if len(c.Template.Variables) > 0 {
			variables, err := json.Marshal(c.Template.Variables)
			if err != nil {
				return nil, &provider.Error{
					Kind: provider.Permanent, Code: "provider_refused", Fault: provider.FaultPlatform, Detail: "the variables could not be written as JSON",
				}
			}
			form.Set("ContentVariables", string(variables))
		}
	}
	return form, nil
}
