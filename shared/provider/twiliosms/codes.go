package twiliosms

import (
	"time"

	"contactcenter/shared/provider"
)

// queueDrains is how long a channel rests after 21611. Twilio says no time; its queue of a number holds hours of messages, so a
// little room is there again soon.
const queueDrains = 10 * time.Second

// reason is what one of Twilio's error codes means, in an answer and in a status callback. What is not permanent may pass
// when it is sent again: after an answer we do that, after a status the customer may.
type reason struct {
	kind     provider.Kind
	code     string
	fault    provider.Fault
	detail   string
	optedOut bool
	// throttled: Twilio works, and takes less than it was given. wait is for how long, where it says nothing.
	throttled bool
	wait      time.Duration
}

// reasonOf knows the codes that a message can meet (https://www.twilio.com/docs/api/errors). Twilio adds others without
// notice and splits old ones, so an unknown one is no surprise: then the status decides. Which of the network's failures may
// pass with time is our judgement, Twilio does not say it of every code.
func reasonOf(code int64) (reason, bool) {
	customer := func(code, detail string) (reason, bool) {
		return reason{kind: provider.Permanent, code: code, fault: provider.FaultCustomer, detail: detail}, true
	}
	recipient := func(code, detail string) (reason, bool) {
		return reason{kind: provider.Permanent, code: code, fault: provider.FaultRecipient, detail: detail}, true
	}
	passing := func(fault provider.Fault, detail string) (reason, bool) {
		return reason{kind: provider.Retry, code: "provider_unavailable", fault: fault, detail: detail}, true
	}
	slower := func(fault provider.Fault, detail string) (reason, bool) {
		r, known := passing(fault, detail)
		r.throttled = true
		return r, known
	}
	switch code {
	case 20003, 20005, 20006:
		return reason{kind: provider.Credentials, code: "credentials_invalid", fault: provider.FaultCustomer, detail: "Twilio does not accept the account's credentials, or the account is not active"}, true
	case 14107, 20429:
		return slower(provider.FaultProvider, "Twilio asks for a slower pace")
	case 21611:
		r, known := slower(provider.FaultCustomer, "the sender's queue at Twilio is full: it takes messages faster than the network lets it send them")
		r.wait = queueDrains
		return r, known
	case 21610:
		r, known := recipient("recipient_opted_out", "the recipient has answered STOP to this sender, and Twilio keeps to it")
		r.optedOut = true
		return r, known
	case 21211, 21217, 21265, 21266, 21604, 63003:
		return customer("recipient_invalid", "Twilio does not accept the recipient's number")
	case 21614, 21635, 30005, 30006:
		return recipient("recipient_invalid", "the recipient's number is none that messages can be delivered to")
	case 21408:
		return customer("provider_refused", "messages to this country are not enabled in the account: see Messaging, Settings, Geo permissions in Twilio's console")
	case 21608:
		return customer("provider_refused", "a trial account sends to numbers only that were verified in Twilio's console")
	case 21612:
		return customer("provider_refused", "Twilio has no way from this sender to this recipient")
	case 20404, 21212, 21603, 21606, 21659, 21660, 21661, 21701, 21703, 21704, 21705, 30002, 30018, 30024, 30032, 30034, 30035:
		return customer("sender_unavailable", "the sender can't be used: Twilio's console says what it lacks")
	case 21602, 21605, 21617, 21619:
		return customer("content_not_supported", "Twilio takes a text of 1 to 1,600 characters")
	case 11200, 12300, 21620, 21623, 21628, 30019:
		return customer("content_not_supported", "the file can't be fetched by its URL, is of a kind that Twilio does not take, or is too large")
	case 21654, 21655, 21656, 92005, 92006, 92007:
		return customer("content_not_supported", "the template or its variables are not known: a template's name is its Content SID (HX and 32 hexadecimal digits)")
	case 21609:
		return reason{kind: provider.Permanent, code: "provider_refused", fault: provider.FaultPlatform, detail: "Twilio does not accept the address for status reports"}, true
	case 30003:
		return passing(provider.FaultRecipient, "the recipient's phone can't be reached at present")
	case 30004:
		return recipient("provider_refused", "the recipient or the network blocks messages of this sender")
	case 30007:
		r, known := recipient("provider_refused", "Twilio or the network took the message for unwanted and filtered it")
		r.fault = provider.FaultProvider
		return r, known
	case 30011:
		return recipient("content_not_supported", "the recipient's phone or network takes no media messages")
	case 30001, 30022, 30023, 30027:
		return slower(provider.FaultCustomer, "more messages than the network allows this sender")
	case 30036:
		return reason{kind: provider.Permanent, code: "delivery_expired", fault: provider.FaultProvider, detail: "the message was not delivered within its time"}, true
	case 63017, 63018:
		return slower(provider.FaultProvider, "more messages than the network takes")
	case 30008, 30017, 30410:
		return passing(provider.FaultProvider, "the network did not deliver the message")
	case 63016:
		return customer("reply_window_closed", "outside of the reply window only a template can be sent")
	}
	return reason{}, false
}

// failure is what a status that ended badly says. codeText "": Twilio gave no code.
func failure(s *provider.StatusReport, code int64, codeText string) {
	s.Code, s.Fault, s.ProviderCode, s.Permanent = "provider_refused", provider.FaultProvider, codeText, true
	s.Detail = "Twilio could not deliver the message"
	if r, known := reasonOf(code); known {
		s.Code, s.Fault, s.Detail, s.Permanent = r.code, r.fault, r.detail, r.kind == provider.Permanent || r.kind == provider.Credentials
	}
}
