package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// response is what goes back to the caller.
type response struct {
	status  int
	headers http.Header
	body    []byte
}

// wire is a function's answer in payload format 2.0. Headers with several values are joined by the function;
// multiValueHeaders belongs to format 1.0 and is not looked at, as on AWS.
type wire struct {
	StatusCode      *json.Number   `json:"statusCode"`
	Headers         map[string]any `json:"headers"`
	Cookies         []string       `json:"cookies"`
	Body            *string        `json:"body"`
	IsBase64Encoded bool           `json:"isBase64Encoded"`
}

// readResponse reads a function's answer. One that has no statusCode is itself the body of a 200, in JSON. An error
// means that the caller gets a 500.
func readResponse(payload []byte) (response, error) {
	var fields map[string]json.RawMessage
	isObject := json.Unmarshal(payload, &fields) == nil && fields != nil
	if _, has := fields["statusCode"]; !isObject || !has {
		return inferred(payload)
	}
	var w wire
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber()
	if err := decoder.Decode(&w); err != nil {
		return response{}, fmt.Errorf("read the function's answer: %w", err)
	}
	if w.StatusCode == nil {
		return response{}, errors.New("the function's answer has no status")
	}
	status, err := w.StatusCode.Int64()
	if err != nil || status < 200 || status > 599 {
		return response{}, errors.New("the function's answer has an impossible status")
	}
	out := response{status: int(status), headers: http.Header{}}
	for name, v := range w.Headers {
		if allowed(name) {
			out.headers.Set(name, fmt.Sprint(v))
		}
	}
	for _, cookie := range w.Cookies {
		out.headers.Add("Set-Cookie", cookie)
	}
	if out.headers.Get("Content-Type") == "" {
		out.headers.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	if w.Body == nil {
		return out, nil
	}
	out.body = []byte(*w.Body)
	if w.IsBase64Encoded {
		if out.body, err = base64.StdEncoding.DecodeString(*w.Body); err != nil {
			return response{}, fmt.Errorf("read the body of the function's answer: %w", err)
		}
	}
	return out, nil
}

func inferred(payload []byte) (response, error) {
	if !json.Valid(payload) {
		return response{}, errors.New("the function's answer is not JSON")
	}
	body := payload
	var s string
	if json.Unmarshal(payload, &s) == nil && bytes.HasPrefix(bytes.TrimSpace(payload), []byte(`"`)) {
		body = []byte(s)
	}
	return response{status: http.StatusOK, headers: http.Header{"Content-Type": {"application/json"}}, body: body}, nil
}

// allowed leaves out what only the gateway itself may say.
func allowed(header string) bool {
	switch strings.ToLower(header) {
	case "connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer", "keep-alive", "proxy-authenticate", "apigw-requestid":
		return false
	}
	return true
}
