package emailses

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"time"

	"contactcenter/shared/provider"
	"contactcenter/shared/provider/httpclient"
)

// quotaWait is how long to wait when the quota of a day is used up: it is counted over the last 24 hours, so some of it
// comes back all the time. The documentation names waits of up to ten minutes.
const quotaWait = 10 * time.Minute

var (
	errorType = regexp.MustCompile(`^[A-Za-z][A-Za-z.]{2,79}$`)
	xmlCode   = regexp.MustCompile(`<Code>([A-Za-z.]{1,80})</Code>`)
)

// word is what an error answer says: SES's error type, or SNS's code, and its message, which is never passed on: it can
// quote addresses.
func word(answer httpclient.Answer) (kind, message string) {
	var body struct {
		Message string `json:"message"`
		Type    string `json:"__type"`
		Code    string `json:"code"`
	}
	_ = json.Unmarshal(answer.Body, &body) // SNS answers with XML, and what stands in between with anything
	candidates := []string{answer.Header.Get("X-Amzn-Errortype"), body.Type, body.Code}
	if m := xmlCode.FindSubmatch(answer.Body); m != nil {
		candidates = append(candidates, string(m[1]))
	}
	for _, c := range candidates {
		// The header's value can go on with a colon and a URL, the body's can begin with a name space and a hash sign.
		c, _, _ = strings.Cut(c, ":")
		if _, after, found := strings.Cut(c, "#"); found {
			c = after
		}
		if errorType.MatchString(c) {
			return c, body.Message
		}
	}
	return "", body.Message
}

// refusal sorts an error answer by SES's error type where there is one, else by its status.
func (a *Adapter) refusal(answer httpclient.Answer) *provider.Error {
	e := httpclient.Refusal(answer, a.now())
	kind, message := word(answer)
	if kind == "" {
		return e
	}
	e.ProviderCode = kind
	// The account is the customer's, so are its limits, its identities and its permissions.
	become := func(k provider.Kind, code, detail string) {
		e.Kind, e.Code, e.Fault, e.Detail = k, code, provider.FaultCustomer, detail
	}
	switch kind {
	case "TooManyRequestsException", "ThrottlingException", "Throttling", "LimitExceededException":
		// LimitExceededException is documented for counts of resources. Whether a quota of sending can answer with it is not
		// said, so the message is kept rather than failed.
		become(provider.Retry, "provider_unavailable", "the account's rate or quota at the provider is used up")
		e.RetryAfter = httpclient.RetryAfter(answer.Header, a.now())
		if strings.Contains(message, "Daily message quota") {
			e.RetryAfter = max(e.RetryAfter, quotaWait)
		}
	case "SendingPausedException":
		become(provider.Retry, "provider_unavailable", "sending is paused in the account or its configuration set")
		e.RetryAfter = quotaWait
	case "AccountSuspendedException":
		become(provider.Permanent, "sender_unavailable", "the provider has suspended the account's sending")
	case "MailFromDomainNotVerifiedException":
		become(provider.Permanent, "sender_unavailable", "the sender's MAIL FROM domain is not verified")
	case "MessageRejected":
		become(provider.Permanent, "provider_refused", "the provider does not take the letter")
		if strings.HasPrefix(message, "Email address is not verified") {
			become(provider.Permanent, "sender_unavailable", "the sender's address is no verified identity")
		}
	case "NotFoundException":
		become(provider.Permanent, "provider_refused", "the account has no such template or configuration set")
	case "BadRequestException", "ValidationException":
		become(provider.Permanent, "provider_refused", "the provider does not accept the letter")
	case "AccessDeniedException", "AccessDenied", "AuthorizationError":
		become(provider.Credentials, "credentials_invalid", "the access key's policy does not allow this call")
	case "RequestExpired", "RequestTimeTooSkewed":
		becomeSkewed(e)
	case "SignatureDoesNotMatch", "InvalidSignatureException":
		if strings.HasPrefix(message, "Signature expired") || strings.HasPrefix(message, "Signature not yet current") {
			becomeSkewed(e)
		}
	}
	return e
}

// becomeSkewed: a clock is wrong, and it is not the customer's.
func becomeSkewed(e *provider.Error) {
	e.Kind, e.Code, e.Fault = provider.Retry, "provider_unavailable", provider.FaultPlatform
	e.Detail = "the provider's clock and ours differ"
}

// unverified says whether a refusal is about this recipient: in SES's sandbox it has to be a verified identity as well.
func unverified(answer httpclient.Answer, to string) bool {
	if answer.Status != http.StatusBadRequest {
		return false
	}
	kind, message := word(answer)
	return kind == "MessageRejected" && strings.HasPrefix(message, "Email address is not verified") &&
		strings.Contains(strings.ToLower(message), strings.ToLower(to))
}
