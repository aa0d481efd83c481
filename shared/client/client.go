// Package client calls the Contact Center's API for programs in Go: one method for each operation of the OpenAPI
// document, with the types of shared/api. It repeats what may safely be repeated: a request that creates something is
// sent under an Idempotency-Key, so that an answer that got lost does not make two of it.
package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"contactcenter/shared/api"
)

const (
	// defaultTries is how often a request is sent at most, unless Config says otherwise.
	defaultTries = 4
	// timeout bounds one try; the gateway gives up after 30 seconds.
	timeout = 35 * time.Second
	// firstWait is the longest pause before the second try. It doubles from try to try.
	firstWait = 400 * time.Millisecond
	// longestWait is the longest pause. A Retry-After beyond it ends the tries: the caller decides.
	longestWait = 10 * time.Second
	// maxAnswer bounds an answer that is read, in bytes; the gateway's own limit is 10 MB.
	maxAnswer = 10 << 20
)

// Config is what a Client needs.
type Config struct {
	// URL is where the API is, without /v1.
	URL string
	// Token gives the token for each try; nil calls without one, as public routes may be.
	Token func(context.Context) (string, error)
	// HTTP makes the calls; nil: a client with a timeout of 35 seconds that follows no redirects.
	HTTP *http.Client
	// Tries is how often a request is sent at most; 0: 4 times.
	Tries int
}

// Client calls the API. It is safe for concurrent use.
type Client struct{ Config }

// New makes a client.
func New(c Config) *Client {
	if c.HTTP == nil {
		c.HTTP = &http.Client{Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if c.Tries <= 0 {
		c.Tries = defaultTries
	}
	c.URL = strings.TrimSuffix(c.URL, "/")
	return &Client{c}
}

// GatewayError is an answer that did not come from the Contact Center but from the gateway in front of it.
type GatewayError struct {
	Status  int
	Message string
	// RequestID is the header apigw-requestid.
	RequestID string
}

// Error tells status and message.
func (e *GatewayError) Error() string {
	return fmt.Sprintf("the gateway answers %d %s", e.Status, e.Message)
}

// request is a call of one operation.
type request struct {
	method, path string
	query        url.Values
	body         any
	key          string
	// keyed says that the operation takes an Idempotency-Key.
	keyed bool
}

// check refuses what would be another request than the one that was meant, or none, before it is sent. Its errors hold nothing that was given.
func (r request) check() error {
	for part := range strings.SplitSeq(strings.TrimPrefix(r.path, "/"), "/") {
		if part == "" || part == "." || part == ".." {
			return errors.New("an id is empty, or is no id: it would name another route")
		}
	}
	for _, c := range []byte(r.key) {
		if c <= ' ' || c > '~' {
			return errors.New("the idempotency key has characters that can't be sent")
		}
	}
	return nil
}

// do makes a call whose answer is a T. The error is an *api.Problem, a *GatewayError, or that no answer came.
func do[T any](ctx context.Context, c *Client, r request) (T, error) {
	var out T
	err := c.do(ctx, r, &out)
	return out, err
}

func (c *Client) do(ctx context.Context, r request, out any) error {
	if r.keyed && r.key == "" {
		r.key = rand.Text()
	}
	if err := r.check(); err != nil {
		return err
	}
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return fmt.Errorf("write the request: %w", err)
		}
	}
	for try := 1; ; try++ {
		answer, err := c.try(ctx, r, body)
		if err == nil && answer.status < http.StatusMultipleChoices {
			return answer.read(out)
		}
		if err == nil {
			err = answer.problem()
			if try > 1 && r.method == http.MethodDelete && answer.status == http.StatusNotFound {
				return nil // an earlier try has deleted it
			}
		}
		pause, again := answer.again(r, try)
		if !again || try == c.Tries {
			return err
		}
		if waitErr := sleep(ctx, pause); waitErr != nil {
			return errors.Join(err, waitErr)
		}
	}
}

// answer is what came back. The zero answer stands for none.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (c *Client) try(ctx context.Context, r request, body []byte) (answer, error) {
	target := c.URL + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(body))
	if err != nil {
		return answer{}, fmt.Errorf("make the request: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	if c.Token != nil {
		token, err := c.Token(ctx)
		if err != nil {
			return answer{}, fmt.Errorf("get a token: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return answer{}, fmt.Errorf("call the API: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return answer{}, fmt.Errorf("read the answer: %w", err)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: b}, nil
}

func (a answer) read(out any) error {
	if out == nil || a.status == http.StatusNoContent {
		return nil
	}
	if err := json.Unmarshal(a.body, out); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}

// problem is an answer that is none of the good ones, as an error.
func (a answer) problem() error {
	kind, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if p := new(api.Problem); err == nil && kind == "application/problem+json" && json.Unmarshal(a.body, p) == nil {
		p.RetryAfter = a.retryAfter()
		return p
	}
	var own struct {
		Message string `json:"message"`
	}
	_ = json.Unmarshal(a.body, &own) // one without a message has none
	return &GatewayError{Status: a.status, Message: own.Message, RequestID: a.header.Get("Apigw-Requestid")}
}

func (a answer) retryAfter() time.Duration {
	seconds, err := strconv.ParseInt(a.header.Get("Retry-After"), 10, 32)
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// again tells whether a request may be sent once more, and after what pause. What was refused by the gateway's own limit
// never ran. What got no answer may have: only what is the same when it is done twice is repeated then.
func (a answer) again(r request, try int) (time.Duration, bool) {
	repeatable := r.method == http.MethodGet || r.method == http.MethodPut || r.method == http.MethodDelete || r.keyed
	switch a.status {
	case http.StatusTooManyRequests:
	case 0, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if !repeatable {
			return 0, false
		}
	case http.StatusConflict:
		p := new(api.Problem)
		if !errors.As(a.problem(), &p) || p.Code != api.CodeKeyInUse {
			return 0, false
		}
	default:
		return 0, false
	}
	pause := max(backoff(try), a.retryAfter())
	return pause, pause <= longestWait
}

// backoff is a random pause up to a bound that doubles with each try.
func backoff(try int) time.Duration {
	bound := min(firstWait<<(try-1), longestWait)
	n, err := rand.Int(rand.Reader, big.NewInt(int64(bound)))
	if err != nil { // crypto/rand does not fail
		return bound
	}
	return time.Duration(n.Int64())
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func set(v url.Values, name, value string) {
	if value != "" {
		v.Set(name, value)
	}
}

// flag is a bool in a query; false is left out.
func flag(b bool) string {
	if !b {
		return ""
	}
	return "true"
}

// number is n in a query; 0 is left out.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
