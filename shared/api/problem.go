package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Code is a stable name of what went wrong, for programs.
type Code string

// The codes that answers carry.
const (
	CodeInvalidRequest       Code = "invalid_request"
	CodeUnauthorized         Code = "unauthorized"
	CodeForbidden            Code = "forbidden"
	CodeNotFound             Code = "not_found"
	CodeMethodNotAllowed     Code = "method_not_allowed"
	CodeRequestTooLarge      Code = "request_too_large"
	CodeUnsupportedMediaType Code = "unsupported_media_type"
	CodeRulesNotAccepted     Code = "rules_not_accepted"
	CodeAccountRestricted    Code = "account_restricted"
	CodeChannelNotFound      Code = "channel_not_found"
	CodeChannelInactive      Code = "channel_inactive"
	CodeSenderUnavailable    Code = "sender_unavailable"
	CodeCredentialsRequired  Code = "credentials_required"
	CodeCredentialsInvalid   Code = "credentials_invalid"
	CodeConfirmationOutdated Code = "confirmation_outdated"
	CodeProviderDisabled     Code = "provider_disabled"
	CodeProviderRemoved      Code = "provider_removed"
	CodeProviderUnavailable  Code = "provider_unavailable"
	CodeProviderRefused      Code = "provider_refused"
	CodeCountryNotAllowed    Code = "transfer_country_not_allowed"
	CodeContentNotSupported  Code = "content_not_supported"
	CodeRecipientInvalid     Code = "recipient_invalid"
	CodeRecipientOptedOut    Code = "recipient_opted_out"
	CodeReplyWindowClosed    Code = "reply_window_closed"
	CodeUsageLimitReached    Code = "usage_limit_reached"
	CodeRateLimitReached     Code = "rate_limit_reached"
	CodeMessageNotCancelable Code = "message_not_cancelable"
	CodeKeyReused            Code = "idempotency_key_reused"
	CodeKeyInUse             Code = "idempotency_key_in_use"
	CodeConflict             Code = "conflict"
	CodeTryAgain             Code = "try_again"
	CodeInternalError        Code = "internal_error"
)

// Codes gives every code, in the order of this file.
func Codes() []Code {
	return []Code{
		CodeInvalidRequest,
		CodeUnauthorized,
		CodeForbidden,
		CodeNotFound,
		CodeMethodNotAllowed,
		CodeRequestTooLarge,
		CodeUnsupportedMediaType,
		CodeRulesNotAccepted,
		CodeAccountRestricted,
		CodeChannelNotFound,
		CodeChannelInactive,
		CodeSenderUnavailable,
		CodeCredentialsRequired,
		CodeCredentialsInvalid,
		CodeConfirmationOutdated,
		CodeProviderDisabled,
		CodeProviderRemoved,
		CodeProviderUnavailable,
		CodeProviderRefused,
		CodeCountryNotAllowed,
		CodeContentNotSupported,
		CodeRecipientInvalid,
		CodeRecipientOptedOut,
		CodeReplyWindowClosed,
		CodeUsageLimitReached,
		CodeRateLimitReached,
		CodeMessageNotCancelable,
		CodeKeyReused,
		CodeKeyInUse,
		CodeConflict,
		CodeTryAgain,
		CodeInternalError,
	}
}

// Fault domains: whose fault a problem is.
const (
	FaultCustomer  = "customer"
	FaultPlatform  = "platform"
	FaultProvider  = "provider"
	FaultRecipient = "recipient"
)

type kind struct {
	status        int
	fault         string
	title, detail string
}

// kindOf is the one table of codes: status, whose fault, what it is, and what to do.
func kindOf(c Code) kind {
	switch c {
	case CodeInvalidRequest:
		return kind{422, FaultCustomer, "The request can't be used", "Correct the fields under errors and send it again."}
	case CodeUnauthorized:
		return kind{401, FaultCustomer, "No valid token", "Send a valid token in the Authorization header."}
	case CodeForbidden:
		return kind{403, FaultCustomer, "Not allowed", "Use a token of an account, with the scope that this route needs."}
	case CodeNotFound:
		return kind{404, FaultCustomer, "Not found", "Check the id: your account has nothing under it."}
	case CodeMethodNotAllowed:
		return kind{405, FaultCustomer, "The method is not allowed here", "Use one of the methods in the Allow header."}
	case CodeRequestTooLarge:
		return kind{413, FaultCustomer, "The request is too large", "Send at most 256 KiB."}
	case CodeUnsupportedMediaType:
		return kind{415, FaultCustomer, "The body is not JSON", "Send JSON in UTF-8, with Content-Type: application/json."}
	case CodeRulesNotAccepted:
		return kind{403, FaultCustomer, "The Rules are not accepted", "Read GET /v1/rules/current and accept it with POST /v1/rules/acceptances."}
	case CodeAccountRestricted:
		return kind{403, FaultCustomer, "The account is restricted", "See the restrictions in GET /v1/usage, or ask the operator."}
	case CodeChannelNotFound:
		return kind{404, FaultCustomer, "No such channel", "Use the id of one of the channels in GET /v1/channels."}
	case CodeChannelInactive:
		return kind{409, FaultCustomer, "The channel is not active", "A duly authorized user activates it with POST /v1/channels/{id}/activate."}
	case CodeSenderUnavailable:
		return kind{409, FaultPlatform, "No sender is free", "Try later, or ask the operator for a sender."}
	case CodeCredentialsRequired:
		return kind{422, FaultCustomer, "The provider needs credentials", "Send the credential_fields that GET /v1/providers/{id} lists."}
	case CodeCredentialsInvalid:
		return kind{409, FaultCustomer, "The provider does not accept the credentials", "Correct them with PATCH /v1/channels/{id}, then activate the channel."}
	case CodeConfirmationOutdated:
		return kind{409, FaultCustomer, "The confirmation is outdated", "Show the user what is in force now, as this problem gives it, and let them confirm that."}
	case CodeProviderDisabled:
		return kind{409, FaultPlatform, "The provider is disabled", "Wait until the operator enables it, or use a channel of another provider."}
	case CodeProviderRemoved:
		return kind{409, FaultPlatform, "The provider was removed", "Use a channel of another provider."}
	case CodeProviderUnavailable:
		return kind{503, FaultProvider, "The provider does not answer", "Try again later."}
	case CodeProviderRefused:
		return kind{409, FaultProvider, "The provider refused", "See the detail, and the provider's documentation."}
	case CodeCountryNotAllowed:
		return kind{422, FaultCustomer, "The account does not let data go there", "The provider takes data to countries that are not in the account's allowed_transfer_countries. Use a channel of another provider, or change the list with PATCH /v1/account."}
	case CodeContentNotSupported:
		return kind{422, FaultCustomer, "The channel can't carry this content", "Send content that the channel carries exactly; nothing is converted or shortened."}
	case CodeRecipientInvalid:
		return kind{422, FaultCustomer, "The recipient's address is not valid", "Correct the address; it is never repaired."}
	case CodeRecipientOptedOut:
		return kind{422, FaultRecipient, "The recipient has opted out", "Do not write to this recipient on this channel."}
	case CodeReplyWindowClosed:
		return kind{422, FaultCustomer, "The reply window is closed", "Send a template, or wait until the recipient writes."}
	case CodeUsageLimitReached:
		return kind{429, FaultCustomer, "The usage limit is reached", "Wait until resets_at, send with on_limit \"hold\", or ask for another Service Plan."}
	case CodeRateLimitReached:
		return kind{429, FaultCustomer, "The rate limit is reached", "Try again after the seconds in Retry-After."}
	case CodeMessageNotCancelable:
		return kind{409, FaultCustomer, "The message can't be canceled", "It is on its way to the provider, or done. Read it to see where it is."}
	case CodeKeyReused:
		return kind{422, FaultCustomer, "The Idempotency-Key was used for another request", "Use a new key for a new request."}
	case CodeKeyInUse:
		return kind{409, FaultCustomer, "A request with this Idempotency-Key is being worked on", "Send it again after the seconds in Retry-After."}
	case CodeConflict:
		return kind{409, FaultCustomer, "It conflicts with what is there", "Read what is there and decide anew."}
	case CodeTryAgain:
		return kind{503, FaultPlatform, "Not possible at the moment", "Send the same request again, with the same Idempotency-Key if it had one."}
	default:
		return kind{500, FaultPlatform, "Something went wrong on our side", "Try again. If it stays, tell the operator the request_id."}
	}
}

// FieldError is one thing that is wrong with one field.
type FieldError struct {
	// Field is the field's path, for example "content.text" or "documents[0].id".
	Field string `json:"field"`
	// Code is "required", "unknown_field", "wrong_type", "invalid_value" or "duplicate_field".
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Codes of a FieldError.
const (
	FieldRequired  = "required"
	FieldUnknown   = "unknown_field"
	FieldWrongType = "wrong_type"
	FieldInvalid   = "invalid_value"
	FieldDuplicate = "duplicate_field"
)

// FieldErrors collects what is wrong with a request.
type FieldErrors []FieldError

// Add notes one more.
func (e *FieldErrors) Add(field, code, detail string) {
	const most = 100
	if len(*e) < most {
		*e = append(*e, FieldError{Field: cut(field), Code: code, Detail: detail})
	}
}

func cut(s string) string {
	const most = 128
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most]) + "…"
}

// within gives what is noted of one item of a list, by the item's own field names.
func (e FieldErrors) within(item string) FieldErrors {
	var out FieldErrors
	for _, f := range e {
		if rest, ok := strings.CutPrefix(f.Field, item+"."); ok {
			out = append(out, FieldError{Field: rest, Code: f.Code, Detail: f.Detail})
		}
	}
	return out
}

// Err gives the problem of a request that can't be used, or nil when nothing was noted.
func (e FieldErrors) Err() error {
	if len(e) == 0 {
		return nil
	}
	p := NewProblem(CodeInvalidRequest)
	p.Errors = e
	return p
}

// Confirmations are what a user must confirm to activate a channel, as it is in force.
type Confirmations struct {
	RulesVersion         string   `json:"rules_version"`
	ProviderTermsVersion string   `json:"provider_terms_version"`
	TransferCountries    []string `json:"transfer_countries"`
}

// Problem is an answer that says what went wrong (RFC 9457). It is an error, so that handlers can return it. It holds
// nothing of a message's content.
type Problem struct { //nolint:errname // RFC 9457 calls it a problem
	Type        string      `json:"type"`
	Title       string      `json:"title"`
	Status      int         `json:"status"`
	Detail      string      `json:"detail"`
	Instance    string      `json:"instance,omitempty"`
	Code        Code        `json:"code"`
	RequestID   string      `json:"request_id"`
	FaultDomain string      `json:"fault_domain"`
	Errors      FieldErrors `json:"errors,omitempty"`

	// With 429 only.
	Limit    *int64 `json:"limit,omitempty"`
	Used     *int64 `json:"used,omitempty"`
	ResetsAt *Time  `json:"resets_at,omitempty"`
	PlanID   string `json:"plan_id,omitempty"`

	// The restriction that forbids it, or whose limit is reached.
	RestrictionID string `json:"restriction_id,omitempty"`

	// What is in force, with confirmation_outdated: members of the problem, named as in the request.
	*Confirmations

	// RetryAfter becomes the header of that name, in whole seconds, rounded up; 0: none.
	RetryAfter time.Duration `json:"-"`
	// Allow becomes the header of that name.
	Allow string `json:"-"`
}

// NewProblem gives the problem of a code, with the table's words for it.
func NewProblem(c Code) *Problem {
	k := kindOf(c)
	return &Problem{Type: "urn:contact-center:problem:" + string(c), Title: k.title, Status: k.status, Detail: k.detail, Code: c, FaultDomain: k.fault}
}

// WithDetail replaces the table's detail.
func (p *Problem) WithDetail(detail string) *Problem {
	p.Detail = detail
	return p
}

// WithStatus replaces the table's status.
func (p *Problem) WithStatus(status int) *Problem {
	p.Status = status
	return p
}

// WithField notes which field the problem is about.
func (p *Problem) WithField(field, detail string) *Problem {
	p.Errors.Add(field, string(p.Code), detail)
	return p
}

// WithRetryAfter says when to try again.
func (p *Problem) WithRetryAfter(d time.Duration) *Problem {
	p.RetryAfter = d
	return p
}

// Error gives code and status, nothing that a caller sent.
func (p *Problem) Error() string { return string(p.Code) + " (" + strconv.Itoa(p.Status) + ")" }

// WriteError answers with the problem in err. Any other error is answered 500 (504 would tell the caller no more) and
// noted for the request's log line.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	answer := ProblemOf(r, err)
	noteCode(r.Context(), answer.Code)
	if answer.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64((answer.RetryAfter+time.Second-1)/time.Second), 10))
	}
	if answer.Allow != "" {
		w.Header().Set("Allow", answer.Allow)
	}
	write(w, answer.Status, "application/problem+json", answer)
}

// ProblemOf gives the problem in err as it is shown in the answer to a request. Any other error is noted for the
// request's log line.
func ProblemOf(r *http.Request, err error) *Problem {
	p := new(Problem)
	if !errors.As(err, &p) {
		Note(r.Context(), err)
		p = NewProblem(CodeInternalError)
	}
	answer := *p
	answer.RequestID = CallFrom(r.Context()).RequestID
	if answer.Instance == "" {
		answer.Instance = r.URL.Path
	}
	return &answer
}

// TryAgain is the answer when something that should be there for a moment is not: the cause is noted for the
// request's log line.
func TryAgain(r *http.Request, cause error) *Problem {
	Note(r.Context(), cause)
	return NewProblem(CodeTryAgain).WithRetryAfter(time.Second)
}

// ItemsOf shows each entry of a page of a list. It is never nil: a list without entries is shown as [].
func ItemsOf[T, A any](list []T, show func(T) A) []A {
	items := make([]A, len(list))
	for i, one := range list {
		items[i] = show(one)
	}
	return items
}

// WriteJSON answers with a value.
func WriteJSON(w http.ResponseWriter, status int, v any) { write(w, status, "application/json", v) }

func write(w http.ResponseWriter, status int, mediaType string, v any) {
	b, err := json.Marshal(v)
	if err != nil { // our own types: a mistake of ours
		panic(err)
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the caller is gone: nobody is left to tell
}
