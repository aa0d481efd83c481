package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
)

// Handler makes a handler of net/http answer API Gateway's events of an HTTP API, payload format 2.0. The path is the
// event's rawPath, which is decoded already; the body is the bytes that were sent, whatever the gateway made of them.
func Handler(h http.Handler) func(context.Context, events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	return func(ctx context.Context, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		r, err := request(ctx, e)
		if err != nil {
			return events.APIGatewayV2HTTPResponse{}, err
		}
		b := NewBuffer()
		h.ServeHTTP(b, r)
		return response(b), nil
	}
}

func request(ctx context.Context, e events.APIGatewayV2HTTPRequest) (*http.Request, error) {
	body := []byte(e.Body)
	if e.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
			return nil, fmt.Errorf("decode the event's body: it is not base64")
		}
	}
	ctx = WithCall(ctx, Call{
		RequestID: e.RequestContext.RequestID, Principal: principal(e.RequestContext.Authorizer),
		SourceIP: e.RequestContext.HTTP.SourceIP, Domain: e.RequestContext.DomainName,
	})
	r, err := http.NewRequestWithContext(ctx, e.RequestContext.HTTP.Method, "/", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("build request from event: %w", err)
	}
	r.URL = &url.URL{Path: e.RawPath, RawQuery: e.RawQueryString}
	r.RequestURI = r.URL.RequestURI()
	r.Host = e.RequestContext.DomainName
	r.RemoteAddr = e.RequestContext.HTTP.SourceIP
	r.ContentLength = int64(len(body))
	for name, value := range e.Headers {
		// The gateway joins the values of a repeated header with commas, as HTTP allows.
		r.Header.Set(name, value)
	}
	if len(e.Cookies) > 0 {
		r.Header.Set("Cookie", strings.Join(e.Cookies, "; "))
	}
	return r, nil
}

func principal(a *events.APIGatewayV2HTTPRequestContextAuthorizerDescription) *Principal {
	if a == nil || a.JWT == nil {
		return nil
	}
	claims := a.JWT.Claims
	p := &Principal{UserID: claims["sub"], AccountID: claims["account_id"]}
	for _, name := range []string{"scope", "scp"} {
		// A claim that is a list arrives as "[a b]".
		p.Scopes = append(p.Scopes, strings.Fields(strings.Trim(claims[name], "[]"))...)
	}
	p.Operator = p.AccountID == "" && p.Has("operator")
	return p
}

func response(b *Buffer) events.APIGatewayV2HTTPResponse {
	out := events.APIGatewayV2HTTPResponse{StatusCode: b.Status(), Headers: map[string]string{}}
	for name, values := range b.Header() {
		if name == "Set-Cookie" {
			out.Cookies = values
			continue
		}
		out.Headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	out.Body = string(b.Body())
	if !utf8.Valid(b.Body()) {
		out.Body, out.IsBase64Encoded = base64.StdEncoding.EncodeToString(b.Body()), true
	}
	return out
}
