package delivery

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"contactcenter/shared/endpoint"
)

const (
	// Timeout is how long an endpoint may take to answer.
	Timeout = 15 * time.Second
	// maxAnswer is how much of an answer is read, and thrown away.
	maxAnswer = 4 << 10
	dialTime  = 5 * time.Second
)

// Why an endpoint did not answer. They are codes; nothing of the error's text is kept, which can hold addresses.
const (
	WhyTimeout     = "timeout"
	WhyNotAllowed  = "address_not_allowed"
	WhyUnreachable = "unreachable"
	WhySecret      = "secret_unreadable"
)

// Answer is what came of one attempt.
type Answer struct {
	// Code is the HTTP status; 0: it did not answer, and Why says why.
	Code int
	Why  string
	Took time.Duration
	// RetryAfter is what the endpoint asked for; 0: nothing.
	RetryAfter time.Duration
}

// OK reports whether the endpoint has the event.
func (a Answer) OK() bool { return a.Code >= 200 && a.Code < 300 }

// Quiet reports whether the endpoint as a whole is better left alone for a while: it does not answer, or says that it has too much.
func (a Answer) Quiet() bool {
	switch a.Code {
	case 0, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return a.RetryAfter > 0 && !a.OK()
}

// Sender sends to endpoints. It follows no redirect, uses no proxy, and connects to no address that targets does not allow,
// whatever the host's name resolves to at that moment.
type Sender struct {
	HTTP *http.Client
	Now  func() time.Time
}

// NewSender makes the sender of a process. It keeps no connection: those of one account's server are not there for another's.
func NewSender(targets endpoint.Targets, now func() time.Time) *Sender {
	dialer := &net.Dialer{Timeout: dialTime, Control: targets.Control}
	return &Sender{Now: now, HTTP: &http.Client{
		Timeout:       Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: nil, DialContext: dialer.DialContext, DisableKeepAlives: true, TLSHandshakeTimeout: dialTime, MaxResponseHeaderBytes: 16 << 10,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		},
	}}
}

// Send posts a body, signed with each secret, and tells what came of it. It never fails: what went wrong is in the answer.
func (s *Sender) Send(ctx context.Context, url, eventID string, body []byte, secrets ...string) Answer {
	began := s.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return Answer{Why: WhyUnreachable}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "ContactCenter-Webhooks/1")
	if err := endpoint.Sign(req.Header, eventID, began, body, secrets...); err != nil {
		return Answer{Why: WhySecret}
	}
	res, err := s.HTTP.Do(req)
	if err != nil {
		return Answer{Why: why(err), Took: s.Now().Sub(began)}
	}
	defer func() { _ = res.Body.Close() }()                         // nothing more is wanted of it
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer)) // the status is the answer
	return Answer{Code: res.StatusCode, Took: s.Now().Sub(began), RetryAfter: retryAfter(res.Header, s.Now())}
}

func why(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, endpoint.ErrAddress):
		return WhyNotAllowed
	case errors.As(err, &timeout) && timeout.Timeout():
		return WhyTimeout
	}
	return WhyUnreachable
}

// retryAfter reads seconds or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if n, err := strconv.Atoi(text); err == nil && n >= 0 {
		return min(time.Duration(min(n, 7*24*3600))*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}
