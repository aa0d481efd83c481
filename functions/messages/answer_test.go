package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"contactcenter/shared/api"
	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/edna"
)

// quoting lets the channel answer to a message, and take text and place only in the day after the recipient wrote.
func quoting(s *stack) {
	can := edna.Capabilities()
	can.ReplyTo, can.OutsideWindow = true, []content.Type{content.TypeTemplate}
	s.h.Capabilities = map[string]provider.Capabilities{edna.ID: can}
}

func (s *stack) openWindow(closes time.Time) {
	s.t.Helper()
	s.must(s.h.Messages.OpenWindow(s.t.Context(), testAccount, s.h.Conversations.Key(testAccount, s.channel.ID, testAddress), closes))
}

func TestAMessageAnswersOneOfItsConversationThatTheProviderHas(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	quoting(s)
	s.openWindow(s.clock().Add(time.Hour))
	reply, elsewhere := s.receive("Where is it?", testAddress), s.receive("Hello", "+35799000001")
	waiting := s.send("On its way")
	for _, c := range []struct {
		name, to string
		want     int
	}{
		{"a reply", reply.ID.String(), 202},
		{"a message of another conversation", elsewhere.ID.String(), 422},
		{"one that the provider does not have yet", waiting.ID, 422},
		{"one that never was", "msg_" + strings.Repeat("0", 40), 422},
		{"no id", "41", 422},
	} {
		a := s.call(testAccount, "POST", "/v1/messages", s.textTo(testAddress, "Tomorrow", fmt.Sprintf(`,"reply_to":%q`, c.to)))
		if a.status != c.want {
			t.Errorf("%s: answered %d %s", c.name, a.status, a.body)
			continue
		}
		if c.want == 202 && a.message(t).ReplyTo != c.to {
			t.Errorf("%s: it answers %q", c.name, a.message(t).ReplyTo)
		}
		if c.want == 422 && (a.problem(t).Code != api.CodeInvalidRequest || a.problem(t).Errors[0].Field != "reply_to") {
			t.Errorf("%s: %s", c.name, a.body)
		}
	}
	s.h.Capabilities = map[string]provider.Capabilities{edna.ID: edna.Capabilities()}
	if p := s.call(testAccount, "POST", "/v1/messages", s.textTo(testAddress, "Tomorrow", fmt.Sprintf(`,"reply_to":%q`, reply.ID.String()))).problem(t); p.Code != api.CodeContentNotSupported {
		t.Errorf("on a channel that can't say so: %s", p.Code)
	}
}

func TestOutsideOfTheWindowOnlyWhatTheProviderTakesIsAccepted(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	quoting(s)
	template := fmt.Sprintf(`{"channel_id":%q,"to":%q,"content":{"type":"template","name":"order_ready","language":"en"}}`, s.channel.ID, testAddress)
	text := s.text("Hello")
	if p := s.call(testAccount, "POST", "/v1/messages", text).problem(t); p.Code != api.CodeReplyWindowClosed || p.Status != 422 || strings.Contains(p.Detail, "closed at") {
		t.Errorf("who never wrote: %+v", p)
	}
	if a := s.call(testAccount, "POST", "/v1/messages", template); a.status != 202 {
		t.Errorf("a template: answered %d %s", a.status, a.body)
	}
	s.openWindow(s.clock().Add(time.Hour))
	if a := s.call(testAccount, "POST", "/v1/messages", text); a.status != 202 {
		t.Errorf("in the window: answered %d %s", a.status, a.body)
	}
	s.advance(time.Hour)
	if p := s.call(testAccount, "POST", "/v1/messages", text).problem(t); p.Code != api.CodeReplyWindowClosed || !strings.Contains(p.Detail, "closed at 2026-11-24T11:00") || p.Errors[0].Detail != "can only be template at present" {
		t.Errorf("after it: %+v", p)
	}
	s.h.Capabilities = map[string]provider.Capabilities{edna.ID: edna.Capabilities()}
	if a := s.call(testAccount, "POST", "/v1/messages", text); a.status != 202 {
		t.Errorf("where the provider decides by the content: answered %d", a.status)
	}
}
