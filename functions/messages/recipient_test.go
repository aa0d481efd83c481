package main

import (
	"net/http"
	"strings"
	"testing"

	"contactcenter/shared/api"
	"contactcenter/shared/recipient"
)

// who opted out of a channel is not written to on it; another recipient is.
func TestR9_6AMessageToWhoOptedOutIsRefusedAtTheDoor(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.send("before")
	o := recipient.OptOut{ChannelID: s.channel.ID, Since: s.clock(), Source: recipient.ByRecipient}
	stops := &recipient.Stops{DB: s.recipients.DB, Table: s.recipients.Table, Keys: s.h.Conversations}
	s.must(stops.Record(t.Context(), testAccount, testAddress, o))
	s.queued()
	a := s.call(testAccount, "POST", "/v1/messages", s.text("after"))
	if p := a.problem(t); a.status != 422 || p.Code != api.CodeRecipientOptedOut || p.FaultDomain != "recipient" || strings.Contains(string(a.body), testAddress) {
		t.Errorf("%d %s", a.status, a.body)
	}
	if n := len(s.queued()); n != 0 {
		t.Errorf("%d references were queued", n)
	}
	if a := s.call(testAccount, "POST", "/v1/messages", s.textTo("+35799000009", "x", "")); a.status != http.StatusAccepted {
		t.Errorf("another recipient: %d %s", a.status, a.body)
	}
}

// a conversation shows its recipient, who is made at the first read and not on the way of a message; it is the same in
// both reads, and no other account's.
func TestAConversationShowsItsRecipient(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	m := s.send("hello")
	if found, err := s.recipients.Of(t.Context(), testAccount, testAddress); err != nil || len(found) != 0 {
		t.Errorf("sending made a recipient: %v %v", found, err)
	}
	one := s.call(testAccount, "GET", "/v1/conversations/"+m.ConversationID, "")
	found, err := s.recipients.Of(t.Context(), testAccount, testAddress)
	s.must(err)
	if found[testAddress] == "" || !strings.Contains(string(one.body), `"recipient_id":"`+found[testAddress]+`"`) {
		t.Errorf("%v %d %s", found, one.status, one.body)
	}
	r, err := s.recipients.Get(t.Context(), testAccount, found[testAddress])
	if err != nil || r.Origin != recipient.Conversed || len(r.Addresses) != 1 || r.Addresses[0] != testAddress || r.Name != "" {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := s.recipients.Get(t.Context(), otherAccount, found[testAddress]); err != recipient.ErrNotFound {
		t.Errorf("another account: %v", err)
	}
	again := s.call(testAccount, "GET", "/v1/conversations/"+m.ConversationID, "")
	if string(again.body) != string(one.body) {
		t.Errorf("%s\n%s", one.body, again.body)
	}
}

// recipientOf gives the id of the recipient that has an address.
func (s *stack) recipientOf(address string) string {
	s.t.Helper()
	found, err := s.recipients.Of(s.t.Context(), testAccount, address)
	s.must(err)
	return found[address]
}
