package twiliosms

import (
	"context"
	"encoding/json"
	"net/url"

	"contactcenter/shared/provider"
	"contactcenter/shared/provider/httpclient"
)

// The settings of a channel.
const (
	settingSender   = "sender"
	settingCallback = "callback_url"
)

// Connect asks Twilio for the account, and for the sender's number among those of the account, and has what is written to
// that number sent to callbackURL. A Messaging Service can't be looked at nor set up here: that is another host of Twilio's,
// so its inbound URL is a step by hand.
func (a *Adapter) Connect(ctx context.Context, ch provider.Channel, callbackURL string) (provider.Connection, error) {
	sender := ch.Credentials[credentialSender]
	by, usable := accountOf(ch)
	switch {
	case !usable:
		return provider.Connection{}, invalid("account_sid is AC and 32 hexadecimal digits, and auth_token belongs to it: both are on the first page of Twilio's console")
	case !phone(sender) && !sid(sender, "MG"):
		return provider.Connection{}, invalid("sender is one of the account's numbers with its country code, for example +15551230000, or the SID of a Messaging Service (MG and 32 hexadecimal digits)")
	}
	if e := a.checkAccount(ctx, by); e != nil {
		return provider.Connection{}, e
	}
	out := provider.Connection{Settings: map[string]string{settingSender: sender, settingCallback: callbackURL}}
	if !phone(sender) {
		return out, nil // recipients see one of the service's numbers
	}
	if e := a.setUpNumber(ctx, by, sender, callbackURL); e != nil {
		return provider.Connection{}, e
	}
	out.Address = sender
	return out, nil
}

func (a *Adapter) checkAccount(ctx context.Context, by account) *provider.Error {
	answer, e := a.call(ctx, by, ".json", nil, nil)
	if e != nil {
		return connecting(e)
	}
	var found struct {
		SID    string `json:"sid"`
		Status string `json:"status"`
	}
	switch {
	case json.Unmarshal(answer, &found) != nil || found.SID != by.sid:
		return connecting(httpclient.Unreadable())
	case found.Status != "active":
		return invalid("the account is suspended or closed: see Twilio's console")
	}
	return nil
}

// number is one of the account's numbers.
type number struct {
	SID          string `json:"sid"`
	PhoneNumber  string `json:"phone_number"`
	Application  string `json:"sms_application_sid"`
	Capabilities struct {
		SMS bool `json:"sms"`
		MMS bool `json:"mms"`
	} `json:"capabilities"`
}

func (a *Adapter) setUpNumber(ctx context.Context, by account, sender, callbackURL string) *provider.Error {
	answer, e := a.call(ctx, by, "/IncomingPhoneNumbers.json", url.Values{"PhoneNumber": {sender}}, nil)
	if e != nil {
		return connecting(e)
	}
	var list struct {
		Numbers []number `json:"incoming_phone_numbers"`
	}
	if json.Unmarshal(answer, &list) != nil {
		return connecting(httpclient.Unreadable())
	}
	for _, n := range list.Numbers {
		switch { // Twilio's filter takes a part of a number, too
		case n.PhoneNumber != sender || !sid(n.SID, "PN"):
		case !n.Capabilities.SMS && !n.Capabilities.MMS:
			return invalid("the sender's number can't send messages: choose one with SMS among its capabilities")
		default:
			_, e := a.call(ctx, by, "/IncomingPhoneNumbers/"+url.PathEscape(n.SID)+".json", nil, hook(n, callbackURL))
			return connecting(e)
		}
	}
	return invalid("the sender's number is none of this account's: see Phone Numbers, Active Numbers in Twilio's console")
}

// hook are the parameters that have Twilio call back. Twilio repeats no call that we answer with an error, but makes it once
// more to the fallback URL: that is a second chance for what a recipient wrote. The URLs of an application would go before a
// number's own.
func hook(n number, callbackURL string) url.Values {
	form := url.Values{"SmsUrl": {callbackURL}, "SmsMethod": {"POST"}, "SmsFallbackUrl": {callbackURL}, "SmsFallbackMethod": {"POST"}}
	if n.Application != "" {
		form.Set("SmsApplicationSid", "")
	}
	return form
}

// connecting makes an error of a call that hands no message over, and may be made again: nothing about it is ambiguous.
func connecting(e *provider.Error) *provider.Error {
	switch {
	case e == nil:
		return nil
	case e.Kind == provider.Credentials:
		return coded(invalid("compare account_sid and auth_token with the first page of Twilio's console"), e.ProviderCode)
	case e.ProviderCode == "20404" || e.ProviderCode == "404":
		return coded(invalid("there is no such account: compare account_sid with the first page of Twilio's console"), e.ProviderCode)
	}
	return httpclient.AsRead(e)
}

func invalid(detail string) *provider.Error {
	return &provider.Error{Kind: provider.Credentials, Code: "credentials_invalid", Fault: provider.FaultCustomer, Detail: detail}
}

func coded(e *provider.Error, code string) *provider.Error {
	e.ProviderCode = code
	return e
}

// Setup says where a Messaging Service's inbound URL is entered. A number needs nothing by hand.
func (*Adapter) Setup(ch provider.Channel, callbackURL string) []provider.SetupStep {
	if !sid(ch.Settings[settingSender], "MG") {
		return nil
	}
	where := "In Twilio's console open Messaging, Services, your service, Integration, and choose \"Send a webhook\". "
	return []provider.SetupStep{
		{Title: "Receive replies", Detail: where + "Enter this as Request URL, with HTTP POST.", Value: callbackURL},
		{Title: "Receive replies that could not be delivered at once", Detail: where + "Enter this as Fallback URL, with HTTP POST.", Value: callbackURL},
	}
}
