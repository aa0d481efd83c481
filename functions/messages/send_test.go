package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"contactcenter/shared/api"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/message"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/registry"
)

func TestASentMessageIsAnsweredQueuedAndCanBeRead(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	a := s.call(testAccount, "POST", "/v1/messages", s.textTo(testAddress, "Your order is ready", `,"client_reference":"deal-1842","on_limit":"hold","expires_at":"2026-12-01T12:00:00+02:00"`))
	m := a.message(t)
	if a.status != http.StatusAccepted || a.header.Get("Location") != "/v1/messages/"+m.ID || a.header.Get("X-Request-Id") != "req-1" {
		t.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	sum := sha256.Sum256([]byte("Your order is ready"))
	want := fmt.Sprintf(`{"channel_id":%q,"client_reference":"deal-1842","content":{"type":"text","text":"Your order is ready"},"content_sha256":%q,"conversation_id":%q,`+
		`"created_at":"2026-11-24T10:00:06.000Z","created_by":"user_7","direction":"outbound","expires_at":"2026-12-01T10:00:00.000Z","id":%q,"on_limit":"hold","provider_id":"edna",`+
		`"rules_version":"2026-11-01","status":"queued","to":"+35799123456","updated_at":"2026-11-24T10:00:06.000Z"}`, s.channel.ID, hex.EncodeToString(sum[:]), s.mid(m.ID).ConversationID(), m.ID)
	if got := strings.TrimSpace(string(a.body)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := a.header.Get("RateLimit-Policy"), `"plan-period";q=3;w=2592000, "plan-rate";q=20;w=1`; got != want {
		t.Errorf("RateLimit-Policy is %s", got)
	}
	if got := a.header.Get("RateLimit"); !strings.HasPrefix(got, `"plan-period";r=3;t=`) || !strings.Contains(got, `"plan-rate";r=20;t=0`) {
		t.Errorf("RateLimit is %s", got)
	}
	if got, want := s.queued(), fmt.Sprintf(`[{"account_id":"acct_1","message_id":%q}]`, m.ID); "["+strings.Join(got, ",")+"]" != want {
		t.Errorf("the queue holds %s, want %s", got, want)
	}
	read := s.get(m.ID)
	if read.Status != message.Queued || *read.Attempts != 0 || len(read.Timeline) != 1 || read.Timeline[0].Status != message.Queued || read.Content.Text != "Your order is ready" {
		t.Errorf("read %+v", read)
	}
	if other := s.call(otherAccount, "GET", "/v1/messages/"+m.ID, ""); other.status != 404 || other.problem(t).Code != api.CodeNotFound {
		t.Errorf("another account got %d", other.status)
	}
}

//
func TestWhatCannotBeAcceptedIsRefusedAndChangesNothing(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	content := func(c string) string {
		return fmt.Sprintf(`{"channel_id":%q,"to":"+35799123456","content":%s}`, s.channel.ID, c)
	}
	for _, c := range []struct {
		name, account, body string
		headers             []string
		status              int
		code                api.Code
		field               string
	}{
		{"an account that did not accept the Rules", "acct_3", s.text("x"), nil, 403, api.CodeRulesNotAccepted, ""},
		{"an account that did not accept the Rules, with a bad body", "acct_3", "{", nil, 403, api.CodeRulesNotAccepted, ""},
		{"an account id that is none", "acct#1", s.text("x"), nil, 403, api.CodeForbidden, ""},
		{"bad JSON", testAccount, "{", nil, 400, api.CodeInvalidRequest, ""},
		{"no body", testAccount, "", nil, 422, api.CodeInvalidRequest, "body"},
		{"an unknown field", testAccount, s.textTo(testAddress, "x", `,"dry_run":true`), nil, 422, api.CodeInvalidRequest, "dry_run"},
		{"neither channel nor conversation", testAccount, `{"content":{"type":"text","text":"x"}}`, nil, 422, api.CodeInvalidRequest, "channel_id"},
		{"channel and conversation", testAccount, s.textTo(testAddress, "x", `,"conversation_id":"cnv_0123456789abcdef"`), nil, 422, api.CodeInvalidRequest, "channel_id"},
		{"a conversation that is not there", testAccount, `{"conversation_id":"cnv_0123456789abcdef","content":{"type":"text","text":"x"}}`, nil, 404, api.CodeNotFound, "conversation_id"},
		{"a conversation id that is none", testAccount, `{"conversation_id":"x","content":{"type":"text","text":"x"}}`, nil, 404, api.CodeNotFound, "conversation_id"},
		{"a channel that is not there", testAccount, strings.Replace(s.text("x"), s.channel.ID, "chn_zzzzzzzzzzzzzzzz", 1), nil, 404, api.CodeChannelNotFound, "channel_id"},
		{"another account's channel", otherAccount, s.text("x"), nil, 404, api.CodeChannelNotFound, "channel_id"},
		{"a number without plus", testAccount, s.textTo("35799123456", "x", ""), nil, 422, api.CodeRecipientInvalid, "to"},
		{"a number with spaces", testAccount, s.textTo("+357 99 123456", "x", ""), nil, 422, api.CodeRecipientInvalid, "to"},
		{"a number that begins with 0", testAccount, s.textTo("+0035799123456", "x", ""), nil, 422, api.CodeRecipientInvalid, "to"},
		{"a number that is too long", testAccount, s.textTo("+1234567890123456", "x", ""), nil, 422, api.CodeRecipientInvalid, "to"},
		{"a number in other digits", testAccount, s.textTo("+٣٥٧٩٩١٢٣٤٥٦", "x", ""), nil, 422, api.CodeRecipientInvalid, "to"},
		{"a text that is too long", testAccount, s.text(strings.Repeat("ж", 4097)), nil, 422, api.CodeContentNotSupported, "content.text"},
		{"a caption, which edna can't carry", testAccount, content(`{"type":"media","kind":"image","url":"https://example.com/a.png","caption":"x"}`), nil, 422, api.CodeContentNotSupported, "content.caption"},
		{"a button of a kind that edna can't carry", testAccount, content(`{"type":"interactive","text":"x","buttons":[{"title":"Open","url":"https://example.com"}]}`), nil, 422, api.CodeContentNotSupported, "content.buttons[0].url"},
		{"interactive content without a text", testAccount, content(`{"type":"interactive","buttons":[{"title":"Yes","id":"y"}]}`), nil, 422, api.CodeInvalidRequest, "content.text"},
		{"a field that only replies have", testAccount, content(`{"type":"media","kind":"image","url":"https://example.com/a.png","media_id":"7"}`), nil, 422, api.CodeInvalidRequest, "content.media_id"},
		{"media that nobody can fetch", testAccount, content(`{"type":"media","kind":"image","url":"file:///a.png"}`), nil, 422, api.CodeInvalidRequest, "content.url"},
		{"a letter without a text", testAccount, content(`{"type":"email","subject":"Your order"}`), nil, 422, api.CodeInvalidRequest, "content.text"},
		{"a letter", testAccount, content(`{"type":"email","subject":"Your order","text":"is ready"}`), nil, 422, api.CodeContentNotSupported, "content.type"},
		{"a location's name, which edna can't carry", testAccount, content(`{"type":"location","latitude":35.1,"longitude":33.4,"name":"Office"}`), nil, 422, api.CodeContentNotSupported, "content.name"},
		{"variables that are too large", testAccount, content(`{"type":"template","name":"n","variables":{"a":"` + strings.Repeat("<", 60_000) + `"}}`), nil, 422, api.CodeContentNotSupported, "content"},
		{"an expiry in the past", testAccount, s.textTo(testAddress, "x", `,"expires_at":"2026-11-24T10:00:00Z"`), nil, 422, api.CodeInvalidRequest, "expires_at"},
		{"an expiry too far ahead", testAccount, s.textTo(testAddress, "x", `,"expires_at":"2026-12-25T10:00:00Z"`), nil, 422, api.CodeInvalidRequest, "expires_at"},
		{"a reference that is too long", testAccount, s.textTo(testAddress, "x", `,"client_reference":"`+strings.Repeat("ж", 129)+`"`), nil, 422, api.CodeInvalidRequest, "client_reference"},
		{"a key that is too long", testAccount, s.text("x"), []string{"Idempotency-Key: " + strings.Repeat("k", 256)}, 422, api.CodeInvalidRequest, "Idempotency-Key"},
		{"a key with a quote left open", testAccount, s.text("x"), []string{`Idempotency-Key: "k`}, 422, api.CodeInvalidRequest, "Idempotency-Key"},
		{"a key that is empty", testAccount, s.text("x"), []string{`Idempotency-Key: ""`}, 422, api.CodeInvalidRequest, "Idempotency-Key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.call(c.account, "POST", "/v1/messages", c.body, c.headers...)
			p := a.problem(t)
			field := ""
			if len(p.Errors) > 0 {
				field = p.Errors[0].Field
			}
			if a.status != c.status || p.Status != c.status || p.Code != c.code || field != c.field || p.RequestID != "req-1" {
				t.Errorf("got %d %s, want %d %s %q", a.status, a.body, c.status, c.code, c.field)
			}
			if c.account != "acct#1" && a.header.Get("RateLimit") == "" {
				t.Error("no RateLimit header")
			}
		})
	}
	if got := s.queued(); len(got) != 0 {
		t.Errorf("the queue holds %v", got)
	}
}

func TestAChannelMustBeActiveAtTheVeryMoment(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.send("first")
	want := func(status int, code api.Code) {
		t.Helper()
		a := s.call(testAccount, "POST", "/v1/messages", s.text("x"))
		if status != http.StatusAccepted && (a.status != status || a.problem(t).Code != code) || a.status != status {
			t.Errorf("got %d %s, want %d %s", a.status, a.body, status, code)
		}
	}
	_, err := s.channels.Deactivate(t.Context(), s.channel.ID, audittest.By(s.channel.AccountID))
	s.must(err)
	want(409, api.CodeChannelInactive)
	s.activate()
	want(202, "")
	s.provider(registry.Disabled)
	want(409, api.CodeProviderDisabled)
	s.provider(registry.Removed)
	want(409, api.CodeProviderRemoved)
	s.provider(registry.Enabled)
	want(202, "")
	_, err = s.channels.MarkCredentialsInvalid(t.Context(), s.channel.ID, nil)
	s.must(err)
	want(409, api.CodeCredentialsInvalid)
	_, err = s.channels.Delete(t.Context(), s.channel.ID, s.clock(), audittest.By(s.channel.AccountID))
	s.must(err)
	want(404, api.CodeChannelNotFound)
}

//
func TestAUsedUpLimitIsAnsweredEarlyAndOnlyWhenNoUnitCanComeBack(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	var ids []string
	for i := range 4 {
		ids = append(ids, s.send(fmt.Sprint("m", i)).ID)
	}
	s.dispatch(ids[0])
	s.dispatch(ids[1])
	_, entry := s.reserve(ids[2])
	if a := s.call(testAccount, "POST", "/v1/messages", s.text("x")); a.status != 202 {
		t.Fatalf("a unit may still come back: got %d %s", a.status, a.body)
	}
	_, err := s.h.Messages.Sent(t.Context(), testAccount, entry.Message, entry.Claim, message.Handover{At: s.clock(), Attempt: true})
	s.must(err)
	a := s.call(testAccount, "POST", "/v1/messages", s.text("x"))
	p := a.problem(t)
	if a.status != 429 || p.Code != api.CodeUsageLimitReached || *p.Limit != 3 || *p.Used != 3 || p.PlanID != "demo" || !p.ResetsAt.Equal(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if got, want := a.header.Get("Retry-After"), fmt.Sprint(int(p.ResetsAt.Sub(s.clock()).Seconds())); got != want {
		t.Errorf("Retry-After is %s, want %s", got, want)
	}
	if !strings.HasPrefix(a.header.Get("RateLimit"), `"plan-period";r=0;`) {
		t.Errorf("RateLimit is %s", a.header.Get("RateLimit"))
	}
	if a := s.call(testAccount, "POST", "/v1/messages", s.textTo(testAddress, "x", `,"on_limit":"hold"`)); a.status != 202 {
		t.Errorf("a message that may be held got %d %s", a.status, a.body)
	}
	s.moveTo(p.ResetsAt.Time)
	if a := s.call(testAccount, "POST", "/v1/messages", s.text("x")); a.status != 202 || !strings.HasPrefix(a.header.Get("RateLimit"), `"plan-period";r=3;`) {
		t.Errorf("in the next period: got %d %s", a.status, a.body)
	}
}

func TestContentComesBackByteForByte(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	check := func(t interface{ Errorf(string, ...any) }, text string) {
		s.advance(time.Millisecond)
		a := s.call(testAccount, "POST", "/v1/messages", s.text(text))
		if a.status != 202 {
			t.Errorf("%q: got %d %s", text, a.status, a.body)
			return
		}
		read := s.get(a.message(s.t).ID)
		sum := sha256.Sum256([]byte(text))
		if read.Content.Text != text || read.ContentSha256 != hex.EncodeToString(sum[:]) {
			t.Errorf("sent %q, read %q", text, read.Content.Text)
		}
	}
	for _, text := range []string{
		"👩‍👩‍👧‍👦 family", "\u202eRTL\u202c \u200f", "a\r\nb\rc\n", "é e\u0301 ﬁ", "  blanks \t", "[b]x[/b] <b>&amp;</b>", "\u0000\u0001\u007f", "\u2028\u2029", "\ufeffBOM\ufffd", strings.Repeat("ж", 4096), strings.Repeat("<", 4096),
	} {
		check(t, text)
	}
	rapid.Check(t, func(t *rapid.T) { check(t, rapid.StringN(1, 300, -1).Draw(t, "text")) })
}

func TestOtherContentComesBackAsItWas(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	for _, c := range []struct{ content, hash string }{
		{`{"type":"template","name":"order_ready","language":"en","variables":{"1":"","ü":"<b>"}}`, `{"language":"en","name":"order_ready","type":"template","variables":{"1":"","ü":"<b>"}}`},
		{`{"type":"template","name":"order_ready"}`, `{"name":"order_ready","type":"template"}`},
		{`{"type":"location","latitude":35.126400,"longitude":-33.4e0,"address":"Nicosia"}`, `{"address":"Nicosia","latitude":35.1264,"longitude":-33.4,"type":"location"}`},
	} {
		a := s.call(testAccount, "POST", "/v1/messages", fmt.Sprintf(`{"channel_id":%q,"to":"+35799123456","content":%s}`, s.channel.ID, c.content))
		if a.status != 202 {
			t.Fatalf("%s: %d %s", c.content, a.status, a.body)
		}
		sum := sha256.Sum256([]byte(c.hash))
		var raw struct{ Content json.RawMessage }
		read := s.call(testAccount, "GET", a.header.Get("Location"), "")
		s.must(json.Unmarshal(read.body, &raw))
		var got, want any
		s.must(json.Unmarshal(raw.Content, &got))
		s.must(json.Unmarshal([]byte(c.content), &want))
		if fmt.Sprint(got) != fmt.Sprint(want) || read.message(t).ContentSha256 != hex.EncodeToString(sum[:]) {
			t.Errorf("sent %s, read %s", c.content, read.body)
		}
	}
}

func TestARepeatedKeyIsAnsweredAsTheFirstTime(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	body := s.text("once")
	first := s.call(testAccount, "POST", "/v1/messages", body, "Idempotency-Key: k-1")
	m := first.message(t)
	s.dispatch(m.ID)
	_, err := s.channels.Deactivate(t.Context(), s.channel.ID, audittest.By(s.channel.AccountID))
	s.must(err)
	s.advance(time.Hour)
	// The same payload in other words, under the same key in its quoted form, on a channel that is inactive by now.
	again := s.call(testAccount, "POST", "/v1/messages", strings.Replace(body, ",", " ,\n", 1), `Idempotency-Key: "k-1"`)
	if again.status != 202 || string(again.body) != string(first.body) || again.header.Get("Location") != first.header.Get("Location") || again.header.Get("Idempotency-Replayed") != "true" || first.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("got %d %v %s, want %s", again.status, again.header, again.body, first.body)
	}
	if s.activate(); len(s.queued()) != 1 {
		t.Error("the repeat queued a reference")
	}
	for _, c := range []struct {
		name, account, body string
		status              int
		code                api.Code
	}{
		{"another payload", testAccount, s.text("other"), 422, api.CodeKeyReused},
		{"an account that has no such key", otherAccount, body, 404, api.CodeChannelNotFound},
	} {
		if a := s.call(c.account, "POST", "/v1/messages", c.body, "Idempotency-Key: k-1"); a.status != c.status || a.problem(t).Code != c.code {
			t.Errorf("%s: got %d %s", c.name, a.status, a.body)
		}
	}
	s.advance(24 * time.Hour)
	if a := s.call(testAccount, "POST", "/v1/messages", s.text("another day"), "Idempotency-Key: k-1"); a.status != 202 || a.message(t).ID == m.ID {
		t.Errorf("a day later: got %d %s", a.status, a.body)
	}
}

func TestTheSameKeyAtOnceMakesOneMessage(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	const callers = 12
	answers := make([]answer, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			answers[i] = s.callWith(t.Context(), testAccount, "POST", "/v1/messages", s.text("once"), "Idempotency-Key: k")
		})
	}
	wg.Wait()
	ids, accepted := map[string]bool{}, 0
	for _, a := range answers {
		switch a.status {
		case 202:
			accepted++
			ids[a.message(t).ID] = true
		case 409:
			if a.problem(t).Code != api.CodeKeyInUse || a.header.Get("Retry-After") != "1" {
				t.Errorf("got %s", a.body)
			}
		default:
			t.Errorf("got %d %s", a.status, a.body)
		}
	}
	if accepted == 0 || len(ids) != 1 || len(s.queued()) != 1 {
		t.Errorf("%d accepted, ids %v", accepted, ids)
	}
}

// R-P.1.
func TestAFailureLeavesNothingBehindAndTheSameKeyRunsAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		fail       func(*stack, bool)
		references int // after the failure
	}{
		{"the reference fails", func(s *stack, on bool) { s.queue.fail = on }, 0},
		{"the record fails", func(s *stack, on bool) { s.writes.failPut.Store(on) }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			c.fail(s, true)
			a := s.call(testAccount, "POST", "/v1/messages", s.text("x"), "Idempotency-Key: k")
			if a.status != 503 || a.problem(t).Code != api.CodeTryAgain || a.header.Get("Retry-After") != "1" {
				t.Fatalf("got %d %s", a.status, a.body)
			}
			refs := s.queued()
			if len(refs) != c.references {
				t.Fatalf("the queue holds %v", refs)
			}
			for _, ref := range refs { // nothing that was not answered 202 is there
				var r struct {
					MessageID string `json:"message_id"`
				}
				s.must(json.Unmarshal([]byte(ref), &r))
				if got := s.call(testAccount, "GET", "/v1/messages/"+r.MessageID, ""); got.status != 404 {
					t.Errorf("a message is there: %s", got.body)
				}
			}
			if again := s.call(testAccount, "POST", "/v1/messages", s.text("x"), "Idempotency-Key: k"); again.status != 503 {
				t.Errorf("still failing: got %d", again.status)
			}
			c.fail(s, false)
			other := s.call(testAccount, "POST", "/v1/messages", s.text("other"), "Idempotency-Key: k")
			if other.status != 422 || other.problem(t).Code != api.CodeKeyReused {
				t.Errorf("another payload: got %d %s", other.status, other.body)
			}
			s.queued()
			a = s.call(testAccount, "POST", "/v1/messages", s.text("x"), "Idempotency-Key: k")
			if a.status != 202 || a.header.Get("Idempotency-Replayed") != "" {
				t.Fatalf("got %d %s", a.status, a.body)
			}
			if got := s.queued(); len(got) != 1 || !strings.Contains(got[0], a.message(t).ID) {
				t.Errorf("the queue holds %v", got)
			}
			if len(refs) == 1 && !strings.Contains(refs[0], a.message(t).ID) {
				t.Error("it ran again under another id")
			}
		})
	}
}

func TestAKeyWhoseHolderStoppedIsTakenOver(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	// A process that stops between the reference and the record: neither does it answer, nor does it release the key.
	s.queue.after = func() { panic("killed") }
	s.call(testAccount, "POST", "/v1/messages", s.text("x"), "Idempotency-Key: k")
	s.queue.after = nil
	first := s.queued()
	if len(first) != 1 {
		t.Fatalf("the queue holds %v", first)
	}
	if a := s.call(testAccount, "POST", "/v1/messages", s.text("x"), "Idempotency-Key: k"); a.status != 409 || a.problem(t).Code != api.CodeKeyInUse {
		t.Fatalf("while it may still run: got %d %s", a.status, a.body)
	}
	s.advance(message.IntakeTime)
	a := s.call(testAccount, "POST", "/v1/messages", s.text("x"), "Idempotency-Key: k")
	if a.status != 202 || !strings.Contains(first[0], a.message(t).ID) {
		t.Fatalf("got %d %s, want the id of %s", a.status, a.body, first[0])
	}
	if s.queue.later != 1 {
		t.Error("the reference of an old id is not sent later: a dispatcher would give it up before the message is there")
	}
	if again := s.call(testAccount, "POST", "/v1/messages", s.text("x"), "Idempotency-Key: k"); again.status != 202 || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("got %d %s", again.status, again.body)
	}
}

func TestNoContentAndNoAddressIsLogged(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	const canary, number = "canary-7f3a", "+35799777888"
	a := s.call(testAccount, "POST", "/v1/messages", s.textTo(number, canary, ""), "Idempotency-Key: k")
	s.get(a.message(t).ID)
	s.call(testAccount, "GET", "/v1/messages?client_reference="+canary, "")
	s.call(testAccount, "POST", "/v1/messages", s.textTo(number+" "+canary, canary, ""))
	s.call(testAccount, "POST", "/v1/messages", s.textTo(number, canary, `,"`+canary+`":1`))
	s.call(testAccount, "POST", "/v1/messages", `{"`+canary)
	s.writes.failPut.Store(true)
	s.call(testAccount, "POST", "/v1/messages", s.textTo(number, canary, ""))
	if log := s.log.String(); strings.Contains(log, canary) || strings.Contains(log, number[1:]) || strings.Count(log, "\n") != 7 {
		t.Errorf("the log tells: %s", log)
	}
}

// TestWhatAcceptingAMessageCosts holds the costs that docs/performance.md tells: with everything in memory that may be
// kept in memory.
func TestWhatAcceptingAMessageCosts(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.dispatch(s.send("warm").ID) // there is a gate then
	for _, c := range []struct {
		name    string
		headers []string
		want    awsclient.Usage
	}{
		{"without a key", nil, awsclient.Usage{Requests: 3, WriteUnits: 1, ReadUnits: 1.5}},
		{"with a key", []string{"Idempotency-Key: k"}, awsclient.Usage{Requests: 4, WriteUnits: 2, ReadUnits: 1.5}},
	} {
		s.counter.Reset()
		s.send("x", c.headers...)
		if got := s.counter.Report().Total; !asCharged(got, c.want) {
			t.Errorf("%s: got %+v, want %+v: %+v", c.name, got, c.want, s.counter.Report().Calls)
		}
	}
}

// asCharged compares what requests took. Half a read unit is for the flag of an opt-out that is not there, for which
// DynamoDB Local charges nothing in a batch.
func asCharged(got, want awsclient.Usage) bool {
	if got.ReadUnits == want.ReadUnits-0.5 {
		got.ReadUnits = want.ReadUnits
	}
	return got == want
}

func TestAnAddressIsOfTheKindThatTheProviderKnows(t *testing.T) {
	t.Parallel()
	phone := provider.Capabilities{AddressKind: "phone"}
	also := provider.Capabilities{AddressKind: "phone", UserID: `[A-Z]{2}\.[0-9]+`}
	mail, own, numbers := provider.Capabilities{AddressKind: "email"}, provider.Capabilities{AddressKind: "user_id"}, provider.Capabilities{AddressKind: "user_id", UserID: `-?[0-9]+`}
	for _, c := range []struct {
		name string
		can  provider.Capabilities
		to   string
		ok   bool
	}{
		{"a number", phone, "+35799123456", true},
		{"a number without its plus", phone, "35799123456", false},
		{"somebody's id where only numbers are known", phone, "US.1349", false},
		{"somebody's id beside numbers", also, "US.1349", true},
		{"a letter's address", mail, "anna@example.com", true},
		{"a number for a letter", mail, "+35799123456", false},
		{"any id", own, "user-1", true},
		{"an id of the provider's form", numbers, "-100200", true},
		{"an id of another form", numbers, "+35799123456", false},
		{"a line break", own, "user\n1", false},
	} {
		err := deliverable(c.can, c.to)
		problem := new(api.Problem)
		if (err == nil) != c.ok || err != nil && (!errors.As(err, &problem) || problem.Code != api.CodeRecipientInvalid) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}

func TestEverythingThatIsWrongWithAMessageIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	long := strings.Repeat("x", 129)
	for name, c := range map[string]struct{ body, fields string }{
		"nothing in it":                        {`{}`, "content channel_id to"},
		"a choice, a length and a time":        {s.textTo(testAddress, "x", `,"on_limit":"maybe","client_reference":"`+long+`","expires_at":"2020-01-01T00:00:00Z"`), "on_limit expires_at client_reference"},
		"no time, before one that is over":     {s.textTo(testAddress, "x", `,"send_at":"soon","expires_at":"2020-01-01T00:00:00Z"`), "send_at expires_at"},
		"an unknown channel and a wrong time":  {`{"channel_id":"chn_none","to":"+35799123456","content":{"type":"text","text":"x"},"expires_at":"2020-01-01T00:00:00Z"}`, "expires_at"},
		"a conversation besides, and no words": {`{"conversation_id":"cnv_1","channel_id":"chn_1","content":{"type":"text"}}`, "content.text channel_id"},
	} {
		p := s.call(testAccount, "POST", "/v1/messages", c.body).problem(t)
		inBatch := s.call(testAccount, "POST", "/v1/messages/batch", `{"messages":[`+c.body+`]}`).results(t)[0].Problem
		for where, p := range map[string]*api.Problem{"alone": &p, "in a batch": inBatch} {
			var fields []string
			for _, e := range p.Errors {
				fields = append(fields, e.Field)
			}
			if got := strings.Join(fields, " "); p.Code != api.CodeInvalidRequest || got != c.fields {
				t.Errorf("%s, %s: %s %q, want %q", name, where, p.Code, got, c.fields)
			}
		}
	}
}
