package whatsappcloud

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"contactcenter/shared/provider"
	"contactcenter/shared/provider/httpclient"
)

// graphError is the error of an answer, and one of a failed status. Its texts are never passed on: they can quote the
// request.
type graphError struct {
	Code    json.Number `json:"code"`
	Subcode json.Number `json:"error_subcode"`
	Message string      `json:"message"`
}

// meaning is what an error code means.
type meaning struct {
	kind     provider.Kind
	code     string
	fault    provider.Fault
	detail   string
	wait     time.Duration
	optedOut bool
	// throttled: the provider works, and asks for a slower pace.
	throttled bool
}

// refusal sorts an error answer by its code. The number of one that is not known here is still shown, and its kind follows
// from the status.
func (a *Adapter) refusal(answer httpclient.Answer, g graphError) *provider.Error {
	e := httpclient.Refusal(answer, a.now())
	asked := httpclient.RetryAfter(answer.Header, a.now())
	if answer.Status < 300 { // an error under a success
		e.Kind, e.Code, e.Detail = provider.Permanent, "provider_refused", "the provider refused the request"
	}
	n, err := strconv.Atoi(g.Code.String())
	if err != nil || n < 0 {
		return e
	}
	e.ProviderCode = strconv.Itoa(n)
	m, known := meaningOf(n)
	if n == 100 {
		m = badParameter(g)
	}
	if !known {
		return e
	}
	e.Kind, e.Code, e.Fault, e.Detail, e.OptedOut, e.Throttled, e.RetryAfter = m.kind, m.code, m.fault, m.detail, m.optedOut, m.throttled, 0
	if m.kind == provider.Retry {
		e.RetryAfter = max(m.wait, asked)
	}
	return e
}

// badParameter tells what error 100, a parameter that is not accepted, is about.
func badParameter(g graphError) meaning {
	switch {
	case strings.Contains(g.Message, "appsecret_proof"):
		// The wording is Meta's answer to a proof that does not fit; there is no code for it.
		return credentials("app_secret is not the secret of the app that access_token was made for: see App settings, Basic")
	case g.Subcode == "33":
		return credentials("the provider does not know the id, or access_token may not use it: check phone_number_id and waba_id, and what the token's system user is assigned to")
	}
	return refusedBy(provider.FaultCustomer, "the provider does not accept a part of the message")
}

func credentials(detail string) meaning {
	return meaning{kind: provider.Credentials, code: "credentials_invalid", fault: provider.FaultCustomer, detail: detail}
}

func refusedBy(fault provider.Fault, detail string) meaning {
	return meaning{kind: provider.Permanent, code: "provider_refused", fault: fault, detail: detail}
}

func unavailable(detail string, wait time.Duration) meaning {
	return meaning{kind: provider.Retry, code: "provider_unavailable", fault: provider.FaultProvider, detail: detail, wait: wait}
}

func slower(detail string, wait time.Duration) meaning {
	m := unavailable(detail, wait)
	m.throttled = true
	return m
}

func recipientInvalid(fault provider.Fault, detail string) meaning {
	return meaning{kind: provider.Permanent, code: "recipient_invalid", fault: fault, detail: detail}
}

func senderUnavailable(detail string) meaning {
	return meaning{kind: provider.Permanent, code: "sender_unavailable", fault: provider.FaultCustomer, detail: detail}
}

func (m meaning) asError() *provider.Error {
	return &provider.Error{Kind: m.kind, Code: m.code, Fault: m.fault, Detail: m.detail}
}

// meaningOf knows the codes of answers and of failed statuses.
//
// Meta's page of error codes has most of them. 131050, 131052, 131053, 132005 and 132007 are known from other software
// that speaks this API, so what they mean is uncertain.
func meaningOf(code int) (meaning, bool) {
	switch code {
	case 0, 3, 10, 190, 131005:
		return credentials("the provider does not accept access_token, or it lacks the permissions whatsapp_business_messaging and whatsapp_business_management: make a new one for a system user"), true
	case 1, 2, 131000, 131016, 131057:
		return unavailable("the provider can't take messages at present", 0), true
	case 4, 80007:
		return slower("the app or the WhatsApp Business Account makes too many calls", time.Minute), true
	case 130429:
		return slower("the number sends faster than the provider allows", time.Second), true
	case 131056:
		// The limit of one pair of numbers is no reason to hold up others, so no wait is named: the dispatcher's own, which
		// doubles from try to try, stands in for the 4^X seconds that Meta asks for.
		return slower("too many messages to one recipient in a short time", 0), true
	case 131048:
		return slower("the provider limits the number, because recipients block or report it", 0), true
	case 33, 133010, 131037, 131045, 131031, 368, 130497:
		return senderUnavailable("the provider does not let this number send: its state is shown in the provider's WhatsApp Manager"), true
	case 131042:
		return refusedBy(provider.FaultCustomer, "the account at the provider has no valid way of paying"), true
	case 131021:
		return recipientInvalid(provider.FaultCustomer, "the recipient is the sender's own number"), true
	case 131026:
		return recipientInvalid(provider.FaultRecipient, "the recipient can't be reached by WhatsApp, or has not accepted its terms"), true
	case 131030:
		return recipientInvalid(provider.FaultCustomer, "the sender is a test number, and the recipient is not in its list"), true
	case 131047:
		return meaning{kind: provider.Permanent, code: "reply_window_closed", fault: provider.FaultCustomer, detail: "the recipient last wrote more than 24 hours ago: send a template"}, true
	case 131049:
		return refusedBy(provider.FaultProvider, "the provider delivers no more marketing messages to this recipient at present: not before 24 hours have passed"), true
	case 130472:
		return refusedBy(provider.FaultProvider, "the provider keeps marketing messages from this recipient as a part of an experiment"), true
	case 131050:
		return meaning{
			kind: provider.Permanent, code: "recipient_opted_out", fault: provider.FaultRecipient, detail: "the recipient wants no marketing messages from this sender", optedOut: true,
		}, true
	case 131051:
		return refusedBy(provider.FaultCustomer, "the provider does not carry this type of message"), true
	case 131052, 131053:
		return refusedBy(provider.FaultCustomer, "the provider could not fetch the file, or does not accept its type or size"), true
	case 100, 131008, 131009, 135000:
		return refusedBy(provider.FaultCustomer, "the provider does not accept a part of the message"), true
	}
	switch {
	case code >= 200 && code <= 299:
		return credentials("access_token lacks a permission: whatsapp_business_messaging and whatsapp_business_management are needed"), true
	case code >= 132000 && code <= 132999:
		return refusedBy(provider.FaultCustomer, templateDetail(code)), true
	}
	return meaning{}, false
}

func templateDetail(code int) string {
	switch code {
	case 132000, 132012:
		return "the variables are not those of the template"
	case 132001:
		return "there is no approved template of this name and language"
	case 132005:
		return "the template with its variables is too long"
	case 132007:
		return "a variable breaks the provider's rules for templates"
	case 132015:
		return "the template is paused, because recipients did not like it"
	case 132016:
		return "the template is disabled for good"
	}
	return "the provider does not accept the template or its variables"
}
