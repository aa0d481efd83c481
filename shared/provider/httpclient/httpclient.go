// Package httpclient makes the HTTP calls of every adapter, under one set of rules: one total timeout, reused
// connections, no redirects, no proxy from the environment, TLS 1.2 or newer, a bounded answer. It also knows what
// a failed call means for a message: whether the provider certainly has not got it, or may have.
//
// It knows no provider. Its errors hold no URL, header or body: those can carry secrets, addresses and content.
package httpclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"contactcenter/shared/provider"
)

// The defaults of a Caller, and the longest wait that is believed from a provider.
const (
	DefaultTimeout   = 6 * time.Second
	DefaultMaxAnswer = 1 << 20
	UserAgent        = "ContactCenter/1"
	MaxRetryAfter    = 24 * time.Hour
)

// New returns a client for the calls of one process; make one and share it, it holds the connections.
//
// It speaks HTTP/1.1 only. A Lambda container is frozen between invocations, and a connection can die meanwhile:
// with HTTP/1.1 that costs one call, with HTTP/2 all that share the connection.
func New() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	dialer := &net.Dialer{Timeout: 3 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  nil,
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    3 * time.Second,
			Protocols:              protocols,
			MaxIdleConns:           64,
			MaxIdleConnsPerHost:    32,
			MaxConnsPerHost:        64,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			DisableCompression:     true,
		},
	}
}

// Caller makes calls to one provider. Only HTTP is required.
type Caller struct {
	HTTP *http.Client
	// Base is the provider's address in the configuration. Calls to any other scheme, host or port are refused: nothing that a
	// provider answers, and no part of a message, can lead data elsewhere. "": any, for providers that name a host for each
	// account.
	Base string
	// Timeout bounds one call from dialling to the last byte of the answer; 0: DefaultTimeout.
	Timeout time.Duration
	// MaxAnswer bounds the answer's body in bytes; 0: DefaultMaxAnswer.
	MaxAnswer int64
}

// Answer is a provider's complete answer, whatever its status.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	// Oversized: the body was longer than the limit, and Body is empty.
	Oversized bool
}

// Do makes one call and reads the answer. Every status is an answer, not an error. The error is a *provider.Error
// of kind Retry when the request was never completely written, and Ambiguous when it was and no answer came.
func (c Caller) Do(ctx context.Context, req *http.Request) (Answer, error) {
	if !encrypted(req.URL) {
		return Answer{}, &provider.Error{
			Kind: provider.Retry, Code: "provider_unavailable", Fault: provider.FaultPlatform,
			Detail: "the provider's address in the configuration is neither https nor on this machine",
		}
	}
	if !c.within(req.URL) {
		return Answer{}, &provider.Error{
			Kind: provider.Permanent, Code: "provider_unavailable", Fault: provider.FaultPlatform, Detail: "the call would have left the provider's own address",
		}
	}
	ctx, cancel := context.WithTimeout(ctx, orDefault(c.Timeout, DefaultTimeout))
	defer cancel()

	var written atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(i httptrace.WroteRequestInfo) {
			if i.Err == nil {
				written.Store(true)
			}
		},
	})
	req = req.WithContext(ctx)
	req.Header.Set("User-Agent", UserAgent)

	resp, err := c.HTTP.Do(req)
	if err != nil {
		return Answer{}, failure(err, written.Load())
	}
	defer resp.Body.Close()
	a := Answer{Status: resp.StatusCode, Header: resp.Header}
	limit := orDefault(c.MaxAnswer, DefaultMaxAnswer)
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return Answer{}, failure(err, true)
	}
	if int64(len(body)) > limit {
		a.Oversized = true
		return a, nil
	}
	a.Body = body
	return a, nil
}

func orDefault[T time.Duration | int64](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}

// within reports whether a call goes to the provider.
func (c Caller) within(u *url.URL) bool {
	if c.Base == "" {
		return true
	}
	base, err := url.Parse(c.Base)
	return err == nil && base.Scheme == u.Scheme && strings.EqualFold(base.Host, u.Host)
}

// encrypted allows plain HTTP only where a simulator can be: this machine, or the host of a container on it.
func encrypted(u *url.URL) bool {
	if u.Scheme == "https" {
		return true
	}
	host := u.Hostname()
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "host.docker.internal" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// failure sorts a call that brought no answer.
func failure(err error, written bool) *provider.Error {
	e := &provider.Error{Code: "provider_unavailable", Fault: provider.FaultProvider, Err: cause(err)}
	if written {
		e.Kind, e.Code, e.Detail = provider.Ambiguous, "outcome_unknown", "the provider was given the request and did not answer"
		return e
	}
	e.Kind, e.Detail = provider.Retry, "the provider could not be reached"
	return e
}

// cause replaces a transport's error by one that says the same without quoting: net/http quotes the URL, and of a
// malformed answer its first line.
func cause(err error) error {
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), timeout(err):
		return context.DeadlineExceeded
	case errors.As(err, &dns):
		return errors.New("name not resolved")
	case errors.As(err, &cert), errors.As(err, &record), errors.As(err, &alert), errors.As(err, &authority):
		return errors.New("TLS handshake failed")
	case errors.Is(err, syscall.ECONNREFUSED):
		return syscall.ECONNREFUSED
	case errors.Is(err, syscall.ECONNRESET):
		return syscall.ECONNRESET
	case errors.Is(err, syscall.EPIPE):
		return syscall.EPIPE
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return io.ErrUnexpectedEOF
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("transport failed (%T)", err)
}

func timeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// JSON is a value's text, whose strings decode to the very bytes that they were made from; HTML stays as it is.
func JSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
