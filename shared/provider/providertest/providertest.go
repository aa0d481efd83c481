// Package providertest is the conformance kit: what every Communication Provider's adapter must do, whoever the provider
// is. An adapter's own test describes the adapter in a Kit and calls Run, which speaks to the provider's simulator
// over HTTP and breaks the connection between them in every way that a network can.
package providertest

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
)

// Kit describes one adapter to the tests.
type Kit struct {
	// New makes the adapter, towards a provider at this URL (scheme, host and port), with sends bounded by timeout.
	New func(url string, timeout time.Duration) provider.Adapter
	// Simulator starts a provider that knows Channel and nothing else yet.
	Simulator func(t *testing.T) Simulator
	// Channel is ready for sending.
	Channel provider.Channel
	// Recipient is whom the messages are for, as the contract writes it; "": Recipient.
	Recipient string
	// SendPath is the path of the call that hands a message over.
	SendPath string
	// Statuses are those of HTTP that mean something else with this provider than everywhere, and what.
	Statuses map[int]provider.Kind
	// Answers are the provider's own error answers, besides the statuses that mean the same everywhere.
	Answers []Answer
	// Read says what the body of a send gives the provider: whom it is for, as the provider writes it, and the text.
	Read func(body []byte) (to, text string, err error)
	// Samples are contents of every form that the capabilities name, besides text, with every part that can be carried. Each is
	// accepted, and each of its strings arrives as it is.
	Samples map[string]content.Content
	// Leaves gives the strings of a call, where its body is neither JSON nor a form. Instead gives what stands for a sample's
	// string that the provider wants in another form, for example the number of a template for its name.
	Leaves  func(body []byte) ([]string, error)
	Instead func(part string) string
	// Fixed are the values that a send of text may hold besides recipient, text and message id: names and ids that
	// say nothing of a person.
	Fixed []string
	// Status and Reply make callbacks that carry the provider's proof. from is as a reply's From would be. Status is not
	// called for what the capabilities say is never reported.
	Status func(messageID, status string) *provider.Request
	// Timeless: the provider's statuses tell no time. A report then has none.
	Timeless bool
	Reply    func(id, from, text string) *provider.Request
	// Sign proves a callback whose body was changed, where the proof covers the body; nil: it doesn't.
	Sign func(r *provider.Request)
	// Unproven are ways to spoil the proof, besides leaving out all headers.
	Unproven map[string]func(*provider.Request)
	// Ignored are callbacks, with proof, that have nothing to tell.
	Ignored map[string]*provider.Request
	// Logs returns what was logged so far on either side; nil: nothing is.
	Logs func() string
}

// Simulator is a running stand-in for the provider.
type Simulator struct {
	Handler http.Handler
	// Accepted is how many messages it took.
	Accepted func() int
}

// to is the recipient of the kit's messages.
func (k Kit) to() string {
	if k.Recipient != "" {
		return k.Recipient
	}
	return Recipient
}

// with gives a callback another body, with proof again.
func (k Kit) with(r *provider.Request, body []byte) *provider.Request {
	r.Body = body
	if k.Sign != nil {
		k.Sign(r)
	}
	return r
}

// callback makes one with proof, whatever it tells.
func (k Kit) callback() *provider.Request { return k.Reply("77", k.to(), "a") }

// reports says whether the provider reports any status.
func (k Kit) reports() bool {
	return len(k.New("http://127.0.0.1:1", brief).Capabilities().Statuses) > 0
}

// Answer is one answer of the provider and what an adapter must make of it.
type Answer struct {
	Name   string
	Status int
	Header http.Header
	Body   string
	Kind   provider.Kind
	// Code and ProviderCode are checked where they are not empty.
	Code, ProviderCode string
	RetryAfter         time.Duration
	// Duplicate: it is no error, but a receipt that says so.
	Duplicate bool
}

// The recipient and the text of the tests. Neither may be seen anywhere but in the call to the provider.
const (
	Recipient = "+35799123456"
	Canary    = "canary-1f0b7c"
)

const (
	ample = 10 * time.Second
	// brief is the timeout of a call that is never answered. It has to be enough for a call that is.
	brief = 3 * time.Second
)

// Run runs every test of the kit.
func Run(t *testing.T, k Kit) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*testing.T, Kit)
	}{
		{"a message is taken once", takenOnce},
		{"an error answer is sorted", sorted},
		{"a wait that the provider asks for is kept", waits},
		{"a provider that can't be reached may be tried again", unreachable},
		{"an answer that never comes leaves the outcome open", unanswered},
		{"an answer that can't be read leaves the outcome open", unreadable},
		{"unknown fields in an answer are ignored", unknownFields},
		{"a call that its caller gave up is not made", givenUp},
		{"text arrives byte for byte", byteForByte},
		{"every form arrives as it is", everyForm},
		{"nothing but address and text goes to the provider", minimal},
		{"what can't be carried exactly is refused without a call", refused},
		{"sends go side by side", sideBySide},
		{"statuses are read", statuses},
		{"replies are read", replies},
		{"callbacks may be repeated and come in any order", anyOrder},
		{"callbacks without proof are turned away", unproven},
		{"callbacks that tell nothing are ignored", ignored},
		{"a body that can't be read is said to be malformed", malformed},
		{"capabilities are complete", capabilities},
		{"neither text nor address is in an error or a log", silent},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, k)
		})
	}
}

func (k Kit) message(id string) provider.Message {
	return k.text(id, Canary+" "+id)
}

func (k Kit) text(id, s string) provider.Message {
	return provider.Message{ID: id, To: k.to(), Content: content.Content{Type: content.TypeText, Text: s}}
}

// mustBe checks the kind of a send's error and that it keeps quiet about the message.
func (k Kit) mustBe(t *testing.T, err error, want provider.Kind) *provider.Error {
	t.Helper()
	var e *provider.Error
	if !errors.As(err, &e) {
		t.Fatalf("got error %v, want a *provider.Error of kind %d", err, want)
	}
	if e.Kind != want {
		t.Errorf("got kind %d (%v), want %d", e.Kind, err, want)
	}
	if e.Code == "" || e.Fault == "" {
		t.Errorf("the error has code %q and fault %q, want both", e.Code, e.Fault)
	}
	k.quiet(t, fmt.Sprintf("%v %+v %#v %s %s", err, e, e, e.Detail, e.ProviderCode))
	return e
}

func (k Kit) quiet(t *testing.T, said string) {
	t.Helper()
	for _, secret := range []string{Canary, k.to(), strings.TrimPrefix(k.to(), "+")} {
		if strings.Contains(said, secret) {
			t.Errorf("the text or the address is told: %s", said)
		}
	}
}

func capabilities(t *testing.T, k Kit) {
	c := k.New("http://127.0.0.1:1", brief).Capabilities()
	if len(c.ChannelTypes) == 0 || c.ChannelTypes[0] == "" || len(c.Content) == 0 {
		t.Errorf("got %+v", c)
	}
	if !slices.Contains([]string{"phone", "email", "user_id"}, c.AddressKind) {
		t.Errorf("address kind %q", c.AddressKind)
	}
	if _, err := regexp.Compile(c.UserID); err != nil || c.UserID != "" && c.KnowsAs(k.to()) != (c.AddressKind == "user_id") {
		t.Errorf("the pattern of the provider's own ids: %v; an address is one: %v", err, c.KnowsAs(k.to()))
	}
	for _, s := range c.Statuses {
		if !slices.Contains([]string{"sent", "delivered", "read", "failed"}, s) {
			t.Errorf("status %q", s)
		}
	}
	for _, form := range c.OutsideWindow {
		if _, carried := c.Content[form]; !carried || c.ReplyWindow == 0 {
			t.Errorf("outside of a window of %v: %s", c.ReplyWindow, form)
		}
	}
}

func silent(t *testing.T, k Kit) {
	quote := func(w http.ResponseWriter, _ *http.Request, _ func(http.ResponseWriter)) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, `{"title":"x %[1]s","code":"%[1]s","status":400,"detail":"%[1]s to %[2]s","error":{"message":"%[1]s","code":7},"description":"%[2]s"}`, Canary, k.to())
	}
	l := connect(t, k, ample, quote)
	_, err := l.Send(t.Context(), k.Channel, k.message("msg_1"))
	k.mustBe(t, err, provider.Permanent)
	l.mend()
	if _, err := l.Send(t.Context(), k.Channel, k.message("msg_2")); err != nil {
		t.Error(err)
	}
	if k.Logs != nil {
		k.quiet(t, k.Logs())
	}
}
