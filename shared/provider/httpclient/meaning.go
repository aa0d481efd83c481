package httpclient

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"contactcenter/shared/provider"
)

// Refusal sorts an answer that is not a success by its status alone: 401 and 403 are about credentials; 408, 429,
// redirects and 5xx pass with time, after Retry-After if it is given; 502 and 504 come from a gateway that may have passed
// the request on; everything else is final. An adapter refines
// it with what its provider's body says.
func Refusal(a Answer, now time.Time) *provider.Error {
	e := &provider.Error{Code: "provider_unavailable", ProviderCode: strconv.Itoa(a.Status), Fault: provider.FaultProvider}
	switch s := a.Status; {
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		e.Kind, e.Code, e.Detail = provider.Credentials, "credentials_invalid", "the provider does not accept the credentials"
	case s == http.StatusTooManyRequests:
		e.Kind, e.Throttled, e.Detail = provider.Retry, true, "the provider asks for a slower pace"
	case s == http.StatusBadGateway || s == http.StatusGatewayTimeout:
		e.Kind, e.Detail = provider.Ambiguous, "something before the provider answered in its place"
	case s == http.StatusRequestTimeout || s >= 500 || s >= 300 && s < 400:
		e.Kind, e.Detail = provider.Retry, "the provider can't take messages at present"
	default:
		e.Kind, e.Code, e.Detail = provider.Permanent, "provider_refused", "the provider refused the request"
	}
	if e.Kind == provider.Retry {
		e.RetryAfter = RetryAfter(a.Header, now)
	}
	return e
}

// RetryAfter reads the header of that name: seconds or an HTTP date (RFC 9110, section 10.2.3), 0 when it is absent, past
// or unreadable, and at most MaxRetryAfter.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if digits(v) {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n > int64(MaxRetryAfter/time.Second) {
			return MaxRetryAfter
		}
		return time.Duration(n) * time.Second
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), MaxRetryAfter)
}

func digits(s string) bool {
	for _, r := range s {
		if r < '0' || r > '9' {
			return false
		}
	}
	return s != ""
}

// Unreadable is the error for an answer that does not say what became of the request.
func Unreadable() *provider.Error {
	return &provider.Error{
		Kind: provider.Ambiguous, Code: "outcome_unknown", Fault: provider.FaultProvider, Detail: "the provider's answer can't be read",
	}
}

// NotMade is the error for a request that could not even be made: detail says what of ours is wrong.
func NotMade(detail string) *provider.Error {
	return &provider.Error{Kind: provider.Permanent, Code: "provider_refused", Fault: provider.FaultPlatform, Detail: detail}
}

// AsRead makes an error of a call that only looks something up, or sets what was set: nothing was handed over, so nothing is
// ambiguous. Nil stays nil.
func AsRead(e *provider.Error) *provider.Error {
	if e != nil && e.Kind == provider.Ambiguous {
		e.Kind, e.Code = provider.Retry, "provider_unavailable"
	}
	return e
}
