package emailses_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/emailses"
)

// FuzzParseCallback gives the parser callbacks as they come (signed: false), and messages that it gets to read because SNS
// signed them (signed: true), of which letter is the letter in them, if they have one.
func FuzzParseCallback(f *testing.F) {
	sns := fresh(f)
	nobody := transport(func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "-test.pem") {
			return sns.RoundTrip(r)
		}
		return &http.Response{StatusCode: http.StatusNotFound, Body: http.NoBody, Request: r}, nil
	})
	a := emailses.New(emailses.Config{BaseURL: nowhere, HTTP: &http.Client{Transport: nobody}})
	// The rest of the corpus, of real shapes, is in testdata.
	f.Add(false, string(sns.sign(envelope(status("msg_1", "failed"))).Body), "")
	f.Fuzz(func(t *testing.T, signed bool, message, letter string) {
		r := &provider.Request{Method: "POST", Header: map[string][]string{"X-Amz-Sns-Message-Type": {"Notification"}}, Body: []byte(message)}
		if signed {
			if !utf8.ValidString(message) {
				return // SNS sends none
			}
			if letter != "" && strings.HasPrefix(message, "{") && json.Valid([]byte(message)) {
				if own, err := withLetter(message, letter); err == nil {
					message = own
				}
			}
			r = sns.sign(envelope(message))
		}
		// The engine would wait for an input that is never read to its end.
		hang := time.AfterFunc(time.Minute, func() { panic("the parser does not come to an end") })
		events, err := a.ParseCallback(t.Context(), channel(), r)
		hang.Stop()
		if err != nil && (events != nil || !errors.Is(err, provider.ErrProof) && !errors.Is(err, provider.ErrMalformed)) {
			t.Fatalf("%v, with %d events", err, len(events))
		}
		if signed && errors.Is(err, provider.ErrProof) {
			t.Error("a signed message is turned away")
		}
		for _, e := range events {
			sane(t, e, string(r.Body))
		}
	})
}

// withLetter gives a notification another letter.
func withLetter(message, letter string) (string, error) {
	var n map[string]any
	if err := json.Unmarshal([]byte(message), &n); err != nil {
		return "", err
	}
	n["content"] = letter
	if r, is := n["receipt"].(map[string]any); is {
		delete(r, "action")
	}
	return string(marshal(n)), nil
}

// sane: whatever comes in, what goes on to the stores is well formed.
func sane(t *testing.T, e provider.Event, body string) {
	t.Helper()
	switch {
	case e.Status != nil:
		s := e.Status
		if s.ProviderMessageID == "" || s.Status == "" || (s.Status == "failed") != (s.Code != "" && s.Fault != "") {
			t.Errorf("%+v", s)
		}
	case e.OptOut != nil:
		if e.OptOut.From == "" {
			t.Error("an opt-out of nobody")
		}
	case e.Reply != nil:
		r := e.Reply
		if r.ID == "" || r.From == "" || len(r.Raw) == 0 || !strings.Contains(body, string(r.Raw)) {
			t.Errorf("%q from %q", r.ID, r.From)
		}
		raw, err := json.Marshal(r.Content)
		if err != nil || len(raw) > 400_000 && len(body) < 300_000 {
			t.Errorf("%d bytes, %v", len(raw), err)
		}
		var back content.Content
		if err := json.Unmarshal(raw, &back); err != nil {
			t.Error(err)
		}
		if _, err := r.Content.SHA256(); err != nil {
			t.Error(err)
		}
	default:
		t.Error("an event of nothing")
	}
}
