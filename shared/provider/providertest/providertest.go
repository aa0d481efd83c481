// Package providertest is the conformance kit: what every Communication Provider's adapter must do, whoever the provider
// is. An adapter's own test describes the adapter in a Kit and calls Run, which speaks to the provider's simulator
// over HTTP and breaks the connection between them in every way that a network can.
package providertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
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
	brief = time.Second
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

// fault is what the network does to a call of SendPath. pass lets the simulator answer.
type fault func(w http.ResponseWriter, r *http.Request, pass func(http.ResponseWriter))

// line is the connection between an adapter and the simulator.
type line struct {
	provider.Adapter
	sim Simulator
	url string

	mu    sync.Mutex
	fault fault
	seen  []seen
}

// seen is one call as the provider's side of the line saw it.
type seen struct {
	path, query string
	header      http.Header
	body        []byte
}

// connect starts a simulator, a faulty line, and an adapter at its other end. It is ended with the test.
func connect(t *testing.T, k Kit, timeout time.Duration, f fault) *line {
	t.Helper()
	l := &line{sim: k.Simulator(t), fault: f}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		l.mu.Lock()
		l.seen = append(l.seen, seen{r.URL.Path, r.URL.RawQuery, r.Header.Clone(), body})
		f := l.fault
		l.mu.Unlock()
		pass := func(w http.ResponseWriter) {
			r.Body = io.NopCloser(bytes.NewReader(body))
			l.sim.Handler.ServeHTTP(w, r)
		}
		if f == nil || r.URL.Path != k.SendPath {
			pass(w)
			return
		}
		f(w, r, pass)
	}))
	server.Config.ErrorLog = nil
	t.Cleanup(server.Close)
	l.url = server.URL
	l.Adapter = k.New(l.url, timeout)
	return l
}

func (l *line) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = nil
}

func (l *line) sends(path string) []seen {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []seen
	for _, s := range l.seen {
		if s.path == path {
			out = append(out, s)
		}
	}
	return out
}

func (l *line) accepts(t *testing.T, want int) {
	t.Helper()
	if got := l.sim.Accepted(); got != want {
		t.Errorf("the provider accepted %d messages, want %d", got, want)
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

func takenOnce(t *testing.T, k Kit) {
	l := connect(t, k, ample, nil)
	r, err := l.Send(t.Context(), k.Channel, k.message("msg_1"))
	if err != nil || r.Duplicate {
		t.Fatalf("got %+v, %v", r, err)
	}
	l.accepts(t, 1)
	if n := len(l.sends(k.SendPath)); n != 1 {
		t.Errorf("%d calls for one send", n)
	}
	if !l.Capabilities().RepeatSafe {
		return
	}
	r, err = l.Send(t.Context(), k.Channel, k.message("msg_1"))
	if err != nil || !r.Duplicate {
		t.Errorf("the second send of a message: got %+v, %v, want a duplicate", r, err)
	}
	l.accepts(t, 1)
}

// instead answers without letting the provider know of the call.
func instead(a Answer) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ func(http.ResponseWriter)) {
		for k, v := range a.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(a.Status)
		_, _ = io.WriteString(w, a.Body)
	}
}

func sorted(t *testing.T, k Kit) {
	echo := `{"title":"` + Canary + `","message":"to ` + k.to() + `","detail":"` + Canary + `"}`
	answers := slices.Clone(k.Answers)
	for status, kind := range map[int]provider.Kind{
		400: provider.Permanent, 401: provider.Credentials, 403: provider.Credentials, 404: provider.Permanent, 405: provider.Permanent,
		408: provider.Retry, 429: provider.Retry, 500: provider.Retry, 502: provider.Ambiguous, 503: provider.Retry, 504: provider.Ambiguous,
	} {
		if own, different := k.Statuses[status]; different {
			kind = own
		}
		for name, body := range map[string]string{"empty": "", "HTML": "<html>" + Canary, "quoting": echo} {
			answers = append(answers, Answer{Name: fmt.Sprintf("%d, body %s", status, name), Status: status, Body: body, Kind: kind})
		}
	}
	for _, a := range answers {
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			l := connect(t, k, ample, instead(a))
			r, err := l.Send(t.Context(), k.Channel, k.message("msg_1"))
			l.accepts(t, 0)
			if a.Duplicate {
				if err != nil || !r.Duplicate {
					t.Errorf("got %+v, %v, want a duplicate", r, err)
				}
				return
			}
			e := k.mustBe(t, err, a.Kind)
			if a.Code != "" && e.Code != a.Code || a.ProviderCode != "" && e.ProviderCode != a.ProviderCode {
				t.Errorf("got code %q, provider code %q, want %q, %q", e.Code, e.ProviderCode, a.Code, a.ProviderCode)
			}
			if a.RetryAfter != 0 && e.RetryAfter != a.RetryAfter {
				t.Errorf("got a wait of %v, want %v", e.RetryAfter, a.RetryAfter)
			}
			if n := len(l.sends(k.SendPath)); n != 1 {
				t.Errorf("the adapter made %d calls: retrying is not its affair", n)
			}
		})
	}
}

func waits(t *testing.T, k Kit) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		l := connect(t, k, ample, instead(Answer{Status: status, Header: http.Header{"Retry-After": {"17"}}}))
		_, err := l.Send(t.Context(), k.Channel, k.message("msg_1"))
		e := k.mustBe(t, err, provider.Retry)
		if e.Throttled != (status == http.StatusTooManyRequests) {
			t.Errorf("%d: throttled is %v: a slower pace is no outage, and an outage no pace", status, e.Throttled)
		}
		if e.RetryAfter != 17*time.Second {
			t.Errorf("%d: a wait of %v, want 17s", status, e.RetryAfter)
		}
		date := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
		l = connect(t, k, ample, instead(Answer{Status: status, Header: http.Header{"Retry-After": {date}}}))
		_, err = l.Send(t.Context(), k.Channel, k.message("msg_1"))
		if e := k.mustBe(t, err, provider.Retry); e.RetryAfter < 59*time.Minute || e.RetryAfter > time.Hour {
			t.Errorf("%d: a wait of %v until a date in an hour", status, e.RetryAfter)
		}
	}
}

func unreachable(t *testing.T, k Kit) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	plain := connect(t, k, ample, nil)
	server := httptest.NewServer(plain.sim.Handler)
	defer server.Close()
	for name, address := range map[string]string{
		"the connection is refused": "http://" + closed.Addr().String(),
		"there is no TLS":           strings.Replace(server.URL, "http:", "https:", 1),
	} {
		a := k.New(address, ample)
		_, err := a.Send(t.Context(), k.Channel, k.message("msg_1"))
		if e := k.mustBe(t, err, provider.Retry); strings.Contains(e.Error(), "://") {
			t.Errorf("%s: the error quotes the URL", name)
		}
	}
}

// hang holds a call until its caller leaves.
func hang(r *http.Request) { <-r.Context().Done() }

func unanswered(t *testing.T, k Kit) {
	for name, c := range map[string]struct {
		accepted int
		fault    fault
	}{
		"the provider is silent and has not got it": {0, func(_ http.ResponseWriter, r *http.Request, _ func(http.ResponseWriter)) { hang(r) }},
		"the provider is silent and has got it": {1, func(_ http.ResponseWriter, r *http.Request, pass func(http.ResponseWriter)) {
			pass(httptest.NewRecorder())
			hang(r)
		}},
		"the connection drops after it got it": {1, func(_ http.ResponseWriter, _ *http.Request, pass func(http.ResponseWriter)) {
			pass(httptest.NewRecorder())
			panic(http.ErrAbortHandler)
		}},
		"the connection is reset in the middle of the answer": {1, func(w http.ResponseWriter, _ *http.Request, pass func(http.ResponseWriter)) {
			pass(httptest.NewRecorder())
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{\"re")
			if tcp, is := conn.(*net.TCPConn); is {
				_ = tcp.SetLinger(0)
			}
			_ = conn.Close()
		}},
		"the answer stops in the middle": {1, func(w http.ResponseWriter, r *http.Request, pass func(http.ResponseWriter)) {
			pass(httptest.NewRecorder())
			w.Header().Set("Content-Length", "90")
			_, _ = io.WriteString(w, `{"re`)
			_ = http.NewResponseController(w).Flush()
			hang(r)
		}},
		"the answer is not HTTP": {1, func(w http.ResponseWriter, _ *http.Request, pass func(http.ResponseWriter)) {
			pass(httptest.NewRecorder())
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, Canary+" to "+k.to()+"\r\n\r\n")
				_ = conn.Close()
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := connect(t, k, brief, c.fault)
			_, err := l.Send(t.Context(), k.Channel, k.message("msg_1"))
			k.mustBe(t, err, provider.Ambiguous)
			l.accepts(t, c.accepted)
			l.repeat(t, k, c.accepted)
		})
	}
}

// repeat sends the message again over a sound line: afterwards the provider has it once.
func (l *line) repeat(t *testing.T, k Kit, accepted int) {
	t.Helper()
	if !l.Capabilities().RepeatSafe {
		return
	}
	l.mend()
	r, err := k.New(l.url, ample).Send(t.Context(), k.Channel, k.message("msg_1"))
	if err != nil || r.Duplicate != (accepted == 1) {
		t.Errorf("repeated: got %+v, %v", r, err)
	}
	l.accepts(t, 1)
}

func unreadable(t *testing.T, k Kit) {
	for name, body := range map[string]string{
		"empty":              "",
		"HTML":               "<html>" + Canary + "</html>",
		"half of it":         `{"`,
		"null":               "null",
		"a list":             "[]",
		"an empty object":    "{}",
		"numbers throughout": `{"requestId":1,"messages":2,"id":[],"ok":"?","result":7,"sid":{}}`,
		"huge":               `{"x":"` + strings.Repeat(Canary, 1<<17) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := connect(t, k, ample, func(w http.ResponseWriter, _ *http.Request, pass func(http.ResponseWriter)) {
				pass(httptest.NewRecorder())
				_, _ = io.WriteString(w, body)
			})
			_, err := l.Send(t.Context(), k.Channel, k.message("msg_1"))
			k.mustBe(t, err, provider.Ambiguous)
			l.repeat(t, k, 1)
		})
	}
}

func unknownFields(t *testing.T, k Kit) {
	l := connect(t, k, ample, func(w http.ResponseWriter, _ *http.Request, pass func(http.ResponseWriter)) {
		r := httptest.NewRecorder()
		pass(r)
		w.WriteHeader(r.Code)
		_, _ = w.Write(extend(r.Body.Bytes()))
	})
	if _, err := l.Send(t.Context(), k.Channel, k.message("msg_1")); err != nil {
		t.Errorf("got %v", err)
	}
}

// extend adds fields that nobody knows to a JSON object, before and after its own.
func extend(object []byte) []byte {
	object = bytes.TrimSpace(object)
	if len(object) < 2 || object[0] != '{' {
		return object
	}
	inner := bytes.TrimSpace(object[1 : len(object)-1])
	if len(inner) > 0 {
		inner = append(slices.Clone(inner), ',')
	}
	return slices.Concat([]byte(`{"aNewField":{"deep":[1,null,{"x":"y"}]},`), inner, []byte(`"zNewField":[true]}`))
}

func givenUp(t *testing.T, k Kit) {
	l := connect(t, k, ample, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.Send(ctx, k.Channel, k.message("msg_1"))
	k.mustBe(t, err, provider.Retry)
	l.accepts(t, 0)
}

// Texts are those that a careless hand changes, none longer than limit characters (0: 4,000).
func Texts(limit int) map[string]string {
	if limit == 0 {
		limit = 4000
	}
	return map[string]string{
		"emoji and ZWJ":       "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽",
		"right-to-left marks": "\u200fשלום\u200e \u202eabc\u202c \u2067x\u2069",
		"CRLF and CR and LF":  "a\r\nb\rc\nd\u2028e\u2029f\u0085g",
		"composed":            "é Å ñ",
		"decomposed":          "e\u0301 A\u030a n\u0303",
		"blanks at the ends":  " \t\n text \u00a0\u3000\n ",
		"only blanks":         "   ",
		"BBCode":              "[b]bold[/b] [url=https://example.com]x[/url]",
		"HTML":                `<b>&amp; "x" 'y'</b> <script>alert(1)</script> &lt;`,
		"JSON and escapes":    `{"a":"\u0041\n"} \\ \" / \/ %s %d ${x} {{1}}`,
		"control characters":  "a\u0000b\u0001c\u001bd\u007f",
		"beyond the BMP":      "𝒳𐍈\U0010ffff",
		"BOM and non-breaks":  "\ufeffa\u200bb\u2060c\ufffd",
		"long":                strings.Repeat("щ", min(limit, 4000)),
	}
}

func byteForByte(t *testing.T, k Kit) {
	l := connect(t, k, ample, nil)
	for name, s := range Texts(l.Capabilities().Content[content.TypeText].MaxTextRunes) {
		before := len(l.sends(k.SendPath))
		m := k.text("msg_"+strings.ReplaceAll(name, " ", ""), s)
		_, err := l.Send(t.Context(), k.Channel, m)
		if l.Capabilities().Check(m.Content) != nil { // blanks alone, on some
			k.mustBe(t, err, provider.Permanent)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, got, err := k.Read(l.sends(k.SendPath)[before].body)
		if err != nil || got != s {
			t.Errorf("%s: sent %q, arrived %q, %v", name, s, got, err)
		}
	}
}

// everyForm sends one of every form, with all its parts.
func everyForm(t *testing.T, k Kit) {
	l := connect(t, k, ample, nil)
	can, shown := l.Capabilities(), map[content.Type]bool{content.TypeText: true}
	n := 0
	for name, c := range k.Samples {
		if m := can.Check(c); m != nil {
			t.Errorf("%s: %s %s", name, m.Field, m.Detail)
			continue
		}
		l.mu.Lock()
		before := len(l.seen)
		l.mu.Unlock()
		n++
		if _, err := l.Send(t.Context(), k.Channel, provider.Message{ID: fmt.Sprintf("msg_sample%d", n), To: k.to(), Content: c}); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		l.accepts(t, n)
		shown[c.Type] = true
		l.mu.Lock()
		calls := slices.Clone(l.seen[before:])
		l.mu.Unlock()
		arrived := map[string]bool{}
		for _, call := range calls {
			for _, leaf := range k.leaves(t, call.body) {
				arrived[leaf] = true
			}
		}
		for _, part := range parts(t, c) {
			if k.Instead != nil {
				part = k.Instead(part)
			}
			if part != "" && !arrived[part] {
				t.Errorf("%s: %q did not arrive as it is", name, part)
			}
		}
	}
	for form := range can.Content {
		if !shown[form] {
			t.Errorf("there is no sample of %s", form)
		}
	}
}

// parts are the strings of a content that the customer wrote.
func parts(t *testing.T, c content.Content) []string {
	t.Helper()
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	if err := json.Unmarshal(raw, &body); err != nil {
		t.Fatal(err)
	}
	delete(body, "type")
	delete(body, "kind")
	delete(body, "language")
	delete(body, "latitude") // a number may be written in more than one way
	delete(body, "longitude")
	return leaves(body)
}

// leaves are the strings and numbers of a call's body.
func (k Kit) leaves(t *testing.T, raw []byte) []string {
	t.Helper()
	if k.Leaves != nil {
		out, err := k.Leaves(raw)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if len(raw) == 0 {
		return nil
	}
	var body any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&body); err != nil {
		form, err := url.ParseQuery(string(raw))
		if err != nil {
			t.Fatal("the body is neither JSON nor a form")
		}
		body = map[string][]string(form)
	}
	return leaves(body)
}

func minimal(t *testing.T, k Kit) {
	l := connect(t, k, ample, nil)
	if _, err := l.Send(t.Context(), k.Channel, k.message("msg_1")); err != nil {
		t.Fatal(err)
	}
	phone := strings.TrimPrefix(k.to(), "+")
	l.mu.Lock()
	all := slices.Clone(l.seen)
	l.mu.Unlock()
	for _, s := range all {
		outside := fmt.Sprint(s.path, s.query, s.header)
		if strings.Contains(outside, Canary) || strings.Contains(outside, phone) {
			t.Errorf("text or address outside of the body: %s", outside)
		}
	}
	send := l.sends(k.SendPath)[0]
	to, _, err := k.Read(send.body)
	if err != nil || strings.TrimPrefix(to, "+") != phone {
		t.Errorf("the recipient arrived as %q, %v", to, err)
	}
	allowed := append([]string{to, k.message("msg_1").Content.Text, "msg_1"}, k.Fixed...)
	for _, leaf := range k.leaves(t, send.body) {
		if !slices.Contains(allowed, leaf) {
			t.Errorf("the provider is also given %q", leaf)
		}
	}
}

func leaves(v any) []string {
	var out []string
	switch v := v.(type) {
	case map[string]any:
		for _, x := range v {
			out = append(out, leaves(x)...)
		}
	case []any:
		for _, x := range v {
			out = append(out, leaves(x)...)
		}
	case map[string][]string:
		for _, x := range v {
			out = append(out, x...)
		}
	case nil:
	default:
		out = append(out, fmt.Sprint(v))
	}
	return out
}

func refused(t *testing.T, k Kit) {
	l := connect(t, k, ample, nil)
	cases := map[string]content.Content{
		"a form that providers send and nobody orders": {Type: content.TypeOther, Raw: json.RawMessage(`{"x":"` + Canary + `"}`)},
		"no form at all":    {},
		"invalid UTF-8":     {Type: content.TypeText, Text: Canary + "\xff"},
		"half a surrogate":  {Type: content.TypeText, Text: Canary + "\xed\xa0\x80"},
		"a template's hull": {Type: content.TypeTemplate},
		"a location's hull": {Type: content.TypeLocation},
	}
	if limit := l.Capabilities().Content[content.TypeText].MaxTextRunes; limit > 0 {
		cases["a text beyond the limit"] = content.Content{Type: content.TypeText, Text: strings.Repeat("é", limit+1)}
		if _, err := l.Send(t.Context(), k.Channel, k.text("msg_full", strings.Repeat("é", limit))); err != nil {
			t.Errorf("a text at the limit: %v", err)
		}
	}
	before := len(l.sends(k.SendPath))
	for name, c := range cases {
		_, err := l.Send(t.Context(), k.Channel, provider.Message{ID: "msg_1", To: k.to(), Content: c})
		if e := k.mustBe(t, err, provider.Permanent); e.Code != "content_not_supported" {
			t.Errorf("%s: code %q", name, e.Code)
		}
	}
	if n := len(l.sends(k.SendPath)) - before; n != 0 {
		t.Errorf("%d calls were made", n)
	}
}

func sideBySide(t *testing.T, k Kit) {
	l := connect(t, k, ample, nil)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			if _, err := l.Send(t.Context(), k.Channel, k.message(fmt.Sprintf("msg_%d", i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	l.accepts(t, 40)
}

// parse reads a callback by an adapter that can reach nobody: reading one needs no call.
func parse(t *testing.T, k Kit, r *provider.Request) ([]provider.Event, error) {
	t.Helper()
	return k.New("http://127.0.0.1:1", brief).ParseCallback(t.Context(), k.Channel, r)
}

func one(t *testing.T, k Kit, r *provider.Request) provider.Event {
	t.Helper()
	events, err := parse(t, k, r)
	if err != nil || len(events) != 1 {
		t.Fatalf("got %d events, %v, want one", len(events), err)
	}
	if (events[0].Status == nil) == (events[0].Reply == nil) {
		t.Fatal("want exactly one of status and reply")
	}
	return events[0]
}

func statuses(t *testing.T, k Kit) {
	for _, status := range k.New("http://127.0.0.1:1", brief).Capabilities().Statuses {
		r := k.Status("msg_1", status)
		e := one(t, k, r)
		if e.Status == nil || e.Status.Status != status || e.Status.MessageID != "msg_1" && e.Status.ProviderMessageID == "" {
			t.Errorf("%s: got %+v", status, e.Status)
			continue
		}
		if e.Status.At.IsZero() != k.Timeless {
			t.Errorf("%s: the time is %v", status, e.Status.At)
		}
		if failed := status == "failed"; failed != (e.Status.Code != "") || failed != (e.Status.Fault != "") {
			t.Errorf("%s: code %q, fault %q", status, e.Status.Code, e.Status.Fault)
		}
		r = k.with(r, extend(r.Body))
		if again := one(t, k, r); !reflect.DeepEqual(again, e) {
			t.Errorf("%s with unknown fields: got %+v", status, again.Status)
		}
	}
}

func replies(t *testing.T, k Kit) {
	for name, s := range Texts(0) {
		r := k.Reply("77", k.to(), s)
		e := one(t, k, r)
		if e.Reply == nil || e.Reply.From != k.to() || e.Reply.ID == "" || e.Reply.Content.Type != content.TypeText || e.Reply.Content.Text != s {
			t.Errorf("%s: not read as it was written", name)
			continue
		}
		if !bytes.Contains(r.Body, e.Reply.Raw) || len(e.Reply.Raw) == 0 {
			t.Errorf("%s: Raw is not a part of the body", name)
		}
	}
	first, second := one(t, k, k.Reply("77", k.to(), "a")), one(t, k, k.Reply("78", k.to(), "a"))
	if first.Reply.ID == second.Reply.ID {
		t.Error("two replies have one id")
	}
}

func anyOrder(t *testing.T, k Kit) {
	a := k.New("http://127.0.0.1:1", brief)
	x, y := one(t, k, k.Reply("77", k.to(), "a")), one(t, k, k.Reply("77", k.to(), "a"))
	if !reflect.DeepEqual(x, y) {
		t.Error("a repeated reply is read differently")
	}
	if !k.reports() {
		return
	}
	var first []provider.Event
	order := slices.Clone(a.Capabilities().Statuses)
	slices.Reverse(order)
	for _, status := range slices.Concat(order, order) {
		events, err := a.ParseCallback(t.Context(), k.Channel, k.Status("msg_1", status))
		if err != nil || len(events) != 1 || events[0].Status.Status != status {
			t.Fatalf("%s: got %d events, %v: an adapter remembers nothing between callbacks", status, len(events), err)
		}
		first = append(first, events...)
	}
	if !reflect.DeepEqual(first[0], first[len(order)]) {
		t.Error("a repeated callback is read differently")
	}
}

func unproven(t *testing.T, k Kit) {
	spoil := map[string]func(*provider.Request){"without headers": func(r *provider.Request) { r.Header = http.Header{} }}
	for name, f := range k.Unproven {
		spoil[name] = f
	}
	for name, f := range spoil {
		for _, r := range k.proven() {
			f(r)
			events, err := parse(t, k, r)
			if !errors.Is(err, provider.ErrProof) || events != nil {
				t.Errorf("%s: got %d events, %v, want ErrProof", name, len(events), err)
			}
		}
	}
}

// proven are callbacks with proof: of every kind, and one that can't be read.
func (k Kit) proven() []*provider.Request {
	broken := k.with(k.callback(), []byte("{"))
	out := []*provider.Request{k.Reply("77", k.to(), Canary), broken}
	if k.reports() {
		out = append(out, k.Status("msg_1", "failed"))
	}
	return out
}

func ignored(t *testing.T, k Kit) {
	for name, r := range k.Ignored {
		if events, err := parse(t, k, r); err != nil || len(events) != 0 {
			t.Errorf("%s: got %d events, %v", name, len(events), err)
		}
	}
}

func malformed(t *testing.T, k Kit) {
	for name, body := range map[string]string{
		"empty": "", "half": `{"requestId":"` + Canary, "invalid UTF-8": "{\"x\":\"\xff" + Canary + "\"}", "too large": `{"x":"` + strings.Repeat("x", 1<<20) + `"}`,
		"two documents": "{}{}", "a string": `"` + Canary + `"`, "a number": "7", "nothing but blanks": "  \n", "too deep": strings.Repeat("[", 100_000),
	} {
		r := k.with(k.callback(), []byte(body))
		events, err := parse(t, k, r)
		// A provider whose proof covers the body turns a changed one away before it reads it.
		if !errors.Is(err, provider.ErrMalformed) && !errors.Is(err, provider.ErrProof) || events != nil {
			t.Errorf("%s: got %d events, %v, want ErrMalformed", name, len(events), err)
		}
		if err != nil {
			k.quiet(t, err.Error())
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
