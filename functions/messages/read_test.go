package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"contactcenter/shared/api"
	"contactcenter/shared/content"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/usage"
)

//
func TestAMessageIsShownAsItStands(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	m := s.send("x")
	s.advance(time.Second)
	g, e := s.reserve(m.ID)
	if got := s.get(m.ID); got.Status != message.Sending {
		t.Errorf("in a dispatcher's hands it is %s", got.Status)
	}
	s.advance(usage.Lease + 2*time.Second)
	if got := s.get(m.ID); got.Status != message.Queued {
		t.Errorf("after the lease it is %s", got.Status)
	}
	at := s.clock()
	_, err := s.h.Messages.Sent(t.Context(), testAccount, e.Message, e.Claim, message.Handover{ProviderMessageID: "p-1", At: at, Attempt: true})
	s.must(err)
	s.must(s.h.Gates.Settle(t.Context(), g, []usage.Settlement{{Entry: e}}))
	s.advance(time.Second)
	_, err = s.h.Messages.End(t.Context(), testAccount, e.Message, e.Lease, message.Ending{Status: message.Failed, At: at}) // refused
	s.must(err)
	got := s.get(m.ID)
	if got.Status != message.Sent || *got.Attempts != 1 || got.ProviderMessageID != "p-1" || !got.TransferCompletedAt.Equal(at) || !got.UpdatedAt.Equal(at) || len(got.Timeline) != 2 || got.Timeline[1].Status != message.Sent || got.Error != nil {
		t.Errorf("sent, it is %+v", got)
	}
}

// once the provider has a message, its GET says where its time went.
func TestAMessageTellsWhereItsTimeWent(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	m := s.send("x")
	stored, err := s.h.Messages.Get(t.Context(), testAccount, s.mid(m.ID))
	s.must(err)
	s.advance(time.Second)
	_, err = s.h.Messages.Hold(t.Context(), stored, 1, s.clock(), message.HeldUsageLimit, time.Time{})
	s.must(err)
	if got := s.get(m.ID); got.Latency != nil {
		t.Errorf("before it is handed over it tells %+v", got.Latency)
	}
	s.advance(3 * time.Second)
	_, err = s.h.Messages.Sent(t.Context(), testAccount, stored.ID, 1, message.Handover{At: s.clock(), Attempt: true})
	s.must(err)
	if l := s.get(m.ID).Latency; l == nil || l.QueueMs < 1000 || l.HeldMs == nil || *l.HeldMs != 3000 || l.ProviderMs != nil || l.TotalMs != l.QueueMs+3000 {
		t.Errorf("handed over, it tells %+v", l)
	}
	_, err = s.h.Messages.Report(t.Context(), testAccount, s.channel.ID, stored.ID, message.Report{Status: message.Delivered, At: s.clock().Add(250 * time.Millisecond)})
	s.must(err)
	got := s.get(m.ID)
	whole := got.Timeline[len(got.Timeline)-1].At.Sub(got.Timeline[0].At.Time).Milliseconds()
	if l := got.Latency; l == nil || l.ProviderMs == nil || *l.ProviderMs != 250 || l.TotalMs != whole || l.TotalMs != l.QueueMs+*l.HeldMs+*l.ProviderMs {
		t.Errorf("delivered after %d ms, it tells %+v", whole, l)
	}
}

//
func TestAFailureTellsWhoseFaultItIs(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	m := s.send("x")
	_, e := s.reserve(m.ID)
	_, err := s.h.Messages.End(t.Context(), testAccount, e.Message, e.Lease, message.Ending{Status: message.Failed, At: s.clock(), Attempt: true,
		Problem: &message.Problem{Code: "provider_refused", Detail: "d", FaultDomain: "recipient", ProviderCode: "e1", Permanent: true}})
	s.must(err)
	if got := s.get(m.ID); got.Error == nil || *got.Error != (api.MessageError{Code: "provider_refused", Detail: "d", FaultDomain: "recipient", ProviderCode: "e1", Permanent: true}) || got.Timeline[1].Reason != "provider_refused" {
		t.Errorf("got %+v", got)
	}
}

//
func TestAHeldMessageTellsWhyAndUntilWhen(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	m := s.send("x")
	stored, err := s.h.Messages.Get(t.Context(), testAccount, s.mid(m.ID))
	s.must(err)
	release := s.clock().Add(time.Hour)
	_, err = s.h.Messages.Hold(t.Context(), stored, 1, s.clock(), message.HeldUsageLimit, release)
	s.must(err)
	if got := s.get(m.ID); got.Status != message.Held || got.HeldReason != "usage_limit_reached" || !got.ReleaseAt.Equal(release) {
		t.Errorf("got %+v", got)
	}
}

// receive records a reply.
func (s *stack) receive(text, from string) message.Message {
	s.t.Helper()
	mid, err := s.h.IDs.NewMessage(s.h.Conversations.Key(testAccount, s.channel.ID, from))
	s.must(err)
	c := content.Content{Type: content.TypeText, Text: text}
	hash, err := c.SHA256()
	s.must(err)
	m, _, err := s.h.Messages.Receive(s.t.Context(), message.Message{
		AccountID: testAccount, ID: mid, Direction: message.Inbound, ChannelID: s.channel.ID, ProviderID: "edna", Address: from, Content: c, ContentSHA256: hash,
		Outcome: message.Received, ProviderMessageID: "in-1", ReplyTo: "msg_x",
	}, mid.Unique)
	s.must(err)
	s.must(s.h.Messages.Touch(s.t.Context(), m))
	return m
}

func TestAReplyIsShownAndAnsweredInItsConversation(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	reply := s.receive("Hello", "+35799000001")
	got := s.get(reply.ID.String())
	if got.Direction != message.Inbound || got.Status != message.Received || got.From != "+35799000001" || got.To != "" || got.ReplyTo != "msg_x" || got.Attempts != nil || got.RulesVersion != "" {
		t.Errorf("got %+v", got)
	}
	s.advance(time.Minute)
	a := s.call(testAccount, "POST", "/v1/messages", fmt.Sprintf(`{"conversation_id":%q,"content":{"type":"text","text":"Hi"}}`, got.ConversationID))
	answer := a.message(t)
	if a.status != 202 || answer.To != "+35799000001" || answer.ChannelID != s.channel.ID || answer.ConversationID != got.ConversationID {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	for _, target := range []string{"/v1/conversations/" + got.ConversationID, "/v1/conversations?channel_id=" + s.channel.ID} {
		a := s.call(testAccount, "GET", target, "")
		last, err := json.Marshal(s.get(answer.ID))
		s.must(err)
		want := fmt.Sprintf(`{"address":"+35799000001","channel_id":%q,"id":%q,"last_inbound_at":"2026-11-24T10:00:06.000Z","last_message":%s,"last_outbound_at":"2026-11-24T10:01:06.000Z","recipient_id":%q,"reply_window_closes_at":"2026-11-25T10:00:06.000Z","unread_count":1}`, s.channel.ID, got.ConversationID, last, s.recipientOf("+35799000001"))
		if strings.Contains(target, "?") {
			want = `{"items":[` + want + `]}`
		}
		if body := strings.TrimSpace(string(a.body)); body != want {
			t.Errorf("%s:\ngot  %s\nwant %s", target, body, want)
		}
	}
	for _, target := range []string{"/v1/conversations/" + got.ConversationID, "/v1/conversations?channel_id=" + s.channel.ID, "/v1/conversations/cnv_zzzzzzzzzzzzzzzz", "/v1/conversations/x", "/v1/messages/x", "/v1/conversations?channel_id=x"} {
		if a := s.call(otherAccount, "GET", target, ""); a.status != 404 {
			t.Errorf("%s: another account got %d", target, a.status)
		}
	}
	if a := s.call(otherAccount, "POST", "/v1/messages", fmt.Sprintf(`{"conversation_id":%q,"content":{"type":"text","text":"Hi"}}`, got.ConversationID)); a.status != 404 {
		t.Errorf("another account got %d", a.status)
	}
}

// list reads all pages of a list, and gives the ids.
func (s *stack) list(query string, size int) (ids []string, pages int) {
	s.t.Helper()
	token := ""
	for {
		target := fmt.Sprintf("/v1/messages?%s&page_size=%d", query, size)
		if token != "" {
			target += "&page_token=" + url.QueryEscape(token)
		}
		a := s.call(testAccount, "GET", target, "")
		if a.status != 200 {
			s.t.Fatalf("%s: %d %s", target, a.status, a.body)
		}
		var page api.MessageList
		s.must(json.Unmarshal(a.body, &page))
		for _, m := range page.Items {
			ids = append(ids, m.ID)
		}
		if pages++; page.NextPageToken == "" || pages > 50 {
			return ids, pages
		}
		token = page.NextPageToken
	}
}

//
func TestListsGiveEveryMessageOnceNewestFirst(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	var all, sent, referred []string // newest first
	var conversation string
	for i := range 13 {
		s.advance(time.Second)
		rest := ""
		if i%2 == 0 {
			rest = `,"client_reference":"deal & more"`
		}
		m := s.call(testAccount, "POST", "/v1/messages", s.textTo(testAddress, fmt.Sprint("m", i), rest)).message(t)
		conversation = m.ConversationID
		all = append([]string{m.ID}, all...)
		if i%2 == 0 {
			referred = append([]string{m.ID}, referred...)
		}
		if i%6 == 0 { // the plan's three
			s.dispatch(m.ID)
			sent = append([]string{m.ID}, sent...)
		}
	}
	s.call(testAccount, "POST", "/v1/messages", s.textTo("+35799000009", "elsewhere", ""))
	byReference := "client_reference=" + url.QueryEscape("deal & more")
	for _, c := range []struct {
		query string
		want  []string
	}{
		{"conversation_id=" + conversation, all},
		{byReference, referred},
		{"conversation_id=" + conversation + "&status=sent", sent},
		{byReference + "&status=sent", sent},
		{"conversation_id=" + conversation + "&" + byReference, referred},
		{"conversation_id=" + conversation + "&status=read", nil},
		{"conversation_id=cnv_zzzzzzzzzzzzzzzz", nil},
	} {
		for _, size := range []int{1, 2, 5, 200} {
			if got, _ := s.list(c.query, size); fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%s by %d:\ngot  %v\nwant %v", c.query, size, got, c.want)
			}
		}
	}
	if _, pages := s.list("conversation_id="+conversation+"&status=sent", 3); pages > 2 {
		t.Errorf("a filtered page is filled: took %d pages", pages)
	}
}

func TestListsRefuseWhatTheyDoNotKnow(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	a, b := s.send("a"), s.call(testAccount, "POST", "/v1/messages", s.textTo("+35799000009", "b", "")).message(t)
	s.send("c")
	var page api.MessageList
	s.must(json.Unmarshal(s.call(testAccount, "GET", "/v1/messages?page_size=1&conversation_id="+a.ConversationID, "").body, &page))
	token := url.QueryEscape(page.NextPageToken)
	if token == "" {
		t.Fatal("no token")
	}
	for query, field := range map[string]string{
		"":                                "conversation_id",
		"?status=sent":                    "conversation_id",
		"?conversation_id=x":              "conversation_id",
		"?client_reference=r&status=gone": "status",
		"?client_reference=r&page_size=0": "page_size",
		"?client_reference=r&to=%2B357":   "to",
		"?client_reference=" + strings.Repeat("a", 129):                 "client_reference",
		"?client_reference=r&page_token=x":                              "page_token",
		"?client_reference=r&page_token=" + token:                       "page_token",
		"?conversation_id=" + b.ConversationID + "&page_token=" + token: "page_token",
	} {
		got := s.call(testAccount, "GET", "/v1/messages"+query, "")
		if p := got.problem(t); got.status != 422 || len(p.Errors) != 1 || p.Errors[0].Field != field {
			t.Errorf("%s: got %d %s, want %s", query, got.status, got.body, field)
		}
	}
	if got := s.call(otherAccount, "GET", "/v1/messages?conversation_id="+a.ConversationID+"&page_token="+token, ""); got.status != 422 {
		t.Errorf("another account's token: got %d %s", got.status, got.body)
	}
	if got := s.call(testAccount, "GET", "/v1/conversations", ""); got.status != 422 {
		t.Errorf("conversations of no channel: got %d", got.status)
	}
	if got := s.call(testAccount, "PUT", "/v1/messages", ""); got.status != 405 || got.header.Get("Allow") != "GET, POST" {
		t.Errorf("got %d, Allow %q", got.status, got.header.Get("Allow"))
	}
}

func (s *stack) cancel(accountID, messageID string) answer {
	s.t.Helper()
	return s.call(accountID, "POST", "/v1/messages/"+messageID+"/cancel", "")
}

// ledger is how many entries the gate's ledger holds.
func (s *stack) ledger() int {
	s.t.Helper()
	g, err := s.h.Gates.Read(s.t.Context(), testAccount, true)
	s.must(err)
	return len(g.Entries)
}

func TestAWaitingMessageCanBeCanceled(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	m := s.send("never mind " + strings.Repeat("x", 1000)) // long enough to lie in an item of its own
	s.advance(time.Second)
	if a := s.cancel(otherAccount, m.ID); a.status != 404 {
		t.Errorf("another account got %d", a.status)
	}
	a := s.cancel(testAccount, m.ID)
	got := a.message(t)
	if a.status != 200 || got.Status != message.Canceled || got.Content.Text != m.Content.Text || !got.UpdatedAt.Equal(s.clock()) || got.Error != nil {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	if n := s.ledger(); n != 0 {
		t.Errorf("the ledger holds %d entries", n)
	}
	if a := s.cancel(testAccount, m.ID); a.status != 409 || a.problem(t).Code != api.CodeMessageNotCancelable {
		t.Errorf("again: got %d %s", a.status, a.body)
	}
	if g, _ := s.h.Gates.Read(t.Context(), testAccount, true); g.Used != 0 || g.Remaining != 3 {
		t.Errorf("it was counted: %+v", g)
	}
	if a := s.call(testAccount, "POST", "/v1/messages/"+m.ID+"/cancel", `{"why":1}`); a.status != 422 {
		t.Errorf("a body with something in it: got %d", a.status)
	}
}

// no dispatcher has looked at the message, and none will.
func TestTheConversationOfACanceledMessageIsListed(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	m := s.send("never mind")
	for range 2 {
		s.cancel(testAccount, m.ID)
	}
	if got := s.listed("channel_id="+s.channel.ID, 10); !slices.Equal(got, []string{testAddress}) {
		t.Errorf("the channel's conversations are %v", got)
	}
}

func TestAHeldMessageCanBeCanceled(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	m := s.send("x")
	stored, err := s.h.Messages.Get(t.Context(), testAccount, s.mid(m.ID))
	s.must(err)
	_, err = s.h.Messages.Hold(t.Context(), stored, 1, s.clock(), message.HeldUsageLimit, time.Time{})
	s.must(err)
	if a := s.cancel(testAccount, m.ID); a.status != 200 || s.get(m.ID).Status != message.Canceled {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

// a message shows that it is held before its dispatcher lets go of it.
func TestACancelWaitsForTheDispatcherThatSetTheMessageAside(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		// meanwhile is what the dispatcher does while the cancel waits.
		meanwhile func(s *stack, m message.Message, g usage.Gate, e usage.Entry)
		status    int
		code      api.Code
		ends      message.Status
	}{
		"it lets go, and the message is canceled": {func(s *stack, _ message.Message, g usage.Gate, e usage.Entry) {
			s.must(s.h.Gates.Settle(s.t.Context(), g, []usage.Settlement{{Entry: e, GiveBack: true}}))
		}, 200, "", message.Canceled},
		"it hands the message over after all": {func(s *stack, m message.Message, _ usage.Gate, e usage.Entry) {
			_, err := s.h.Messages.Sent(s.t.Context(), testAccount, m.ID, e.Claim, message.Handover{At: s.clock(), Attempt: true})
			s.must(err)
		}, 409, api.CodeMessageNotCancelable, message.Sent},
		"it takes its time, and the user is asked to try again": {func(*stack, message.Message, usage.Gate, usage.Entry) {}, 503, api.CodeTryAgain, message.Held},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			id := s.send("x").ID
			g, e := s.reserve(id)
			m, err := s.h.Messages.Get(t.Context(), testAccount, s.mid(id))
			s.must(err)
			_, err = s.h.Messages.Hold(t.Context(), m, e.Lease, s.clock(), message.HeldProviderDisabled, time.Time{})
			s.must(err)
			once := sync.OnceFunc(func() { tc.meanwhile(s, m, g, e) })
			s.meanwhile = once
			a := s.cancel(testAccount, id)
			if a.status != tc.status || tc.code != "" && a.problem(t).Code != tc.code || s.get(id).Status != tc.ends || s.waited == 0 || s.waited > 2*time.Second {
				t.Errorf("after %v: got %d %s, the message is %s", s.waited, a.status, a.body, s.get(id).Status)
			}
		})
	}
}

func TestAMessageThatIsNotWaitingCannotBeCanceled(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	busy, sent, abandoned := s.send("busy"), s.send("sent"), s.send("abandoned")
	s.reserve(abandoned.ID)
	s.advance(usage.Lease + 2*time.Second) // its holder stopped; the provider may have it
	s.dispatch(sent.ID)
	s.reserve(busy.ID)
	before := s.ledger()
	for _, m := range []api.Message{busy, sent, abandoned} {
		if a := s.cancel(testAccount, m.ID); a.status != 409 || a.problem(t).Code != api.CodeMessageNotCancelable {
			t.Errorf("%s: got %d %s", m.Content.Text, a.status, a.body)
		}
	}
	if after := s.ledger(); after != before {
		t.Errorf("the ledger held %d entries, and holds %d", before, after)
	}
}

func TestACancelThatStoppedHalfWayCanBeRepeated(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	m := s.send("x")
	s.writes.failUpdate.Store(true) // the claim is taken, the end can't be written
	if a := s.cancel(testAccount, m.ID); a.status != 503 {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	s.writes.failUpdate.Store(false)
	if n := s.ledger(); n != 1 {
		t.Fatalf("the ledger holds %d entries: a late write could end the message behind the next holder's back", n)
	}
	if a := s.cancel(testAccount, m.ID); a.status != 409 {
		t.Errorf("while the lease runs: got %d", a.status)
	}
	s.advance(usage.Lease + 2*time.Second)
	if a := s.cancel(testAccount, m.ID); a.status != 200 || s.ledger() != 0 {
		t.Errorf("after the lease: got %d %s, %d entries", a.status, a.body, s.ledger())
	}
	stored, err := s.h.Messages.Get(t.Context(), testAccount, s.mid(m.ID))
	s.must(err)
	if stored.Fence == 0 {
		t.Error("the earlier holder was not fenced off")
	}
}

func TestACancelIsFinishedWhenTheCallerGoes(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	m := s.send("x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.callWith(ctx, testAccount, "POST", "/v1/messages/"+m.ID+"/cancel", "")
	if got := s.get(m.ID); got.Status != message.Canceled || s.ledger() != 0 {
		t.Errorf("it is %s, the ledger holds %d", got.Status, s.ledger())
	}
}

func TestCancelAndDispatchAtOnceEndInOne(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	for range 3 {
		m := s.send("x")
		mid := s.mid(m.ID)
		terms, err := s.accounts.Terms(t.Context(), testAccount, false)
		s.must(err)
		sent := make(chan bool)
		go func() {
			a, err := s.h.Gates.Admit(context.WithoutCancel(t.Context()), testAccount, func(context.Context, bool) (usage.Terms, error) { return terms, nil }, []id.Message{mid}, usage.Gate{}, 7, usage.Turn{Waited: true})
			if err != nil || len(a.Granted) == 0 {
				sent <- false
				return
			}
			got, err := s.h.Messages.Get(context.WithoutCancel(t.Context()), testAccount, mid) // claim, then read, then act
			if err != nil || got.Final() {
				_ = s.h.Gates.Settle(context.WithoutCancel(t.Context()), a.Gate, []usage.Settlement{{Entry: a.Granted[0], GiveBack: true}})
				sent <- false
				return
			}
			w, err := s.h.Messages.Sent(context.WithoutCancel(t.Context()), testAccount, mid, a.Granted[0].Claim, message.Handover{At: s.clock(), Attempt: true})
			sent <- err == nil && w.Applied
		}()
		a := s.cancel(testAccount, m.ID)
		if wasSent := <-sent; wasSent == (a.status == 200) && a.status == 200 {
			t.Errorf("canceled with %d, and sent", a.status)
		}
	}
}

// A page of long contents ends early, so that the answer is one that Lambda can give; its token leads on.
func TestAPageOfLongContentsEndsEarlyAndLeadsOn(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	const n = 24
	for i := range n {
		a := s.call(testAccount, "POST", "/v1/messages", s.textTo(testAddress, strings.Repeat("ж", 4000), fmt.Sprintf(`,"client_reference":"long","on_limit":"hold","send_at":"2026-11-25T10:00:%02d.000Z"`, i)))
		if a.status != 202 {
			t.Fatalf("answered %d %s", a.status, a.body)
		}
		s.advance(time.Millisecond)
	}
	conversation := s.send("short").ConversationID
	for _, query := range []string{"client_reference=long", "conversation_id=" + conversation} {
		ids, pages := s.list(query, 200)
		want := n
		if strings.HasPrefix(query, "conversation_id") {
			want++
		}
		if len(ids) != want || pages != 3 || len(slices.Compact(slices.Sorted(slices.Values(ids)))) != want {
			t.Errorf("%s: %d messages on %d pages", query, len(ids), pages)
		}
	}
}
