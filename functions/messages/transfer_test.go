package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/edna"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/usage"
)

// R-4.1b: a message shows to whom it was handed over and to which countries that provider took data then, whatever its entry
// says by now.
func TestAMessageShowsWhereItsDataWentThen(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	m := s.send("hello")
	if got := s.get(m.ID).Transfer; got != nil {
		t.Errorf("before the hand-over, the transfer is %+v", got)
	}
	g, e := s.reserve(m.ID)
	_, err := s.h.Messages.Sent(t.Context(), testAccount, e.Message, e.Claim, message.Handover{At: s.clock(), Attempt: true, ProviderVersion: 1})
	s.must(err)
	s.must(s.h.Gates.Settle(t.Context(), g, []usage.Settlement{{Entry: e}}))
	then, err := s.registry.Read(t.Context(), "edna")
	s.must(err)
	s.provider(registry.Removed)
	got := s.get(m.ID)
	if got.Transfer == nil || got.Transfer.ProviderID != "edna" || got.Transfer.ProviderVersion != 1 || fmt.Sprint(got.Transfer.Countries) != fmt.Sprint(then.TransferCountries) || len(got.Transfer.Countries) != 2 {
		t.Errorf("the transfer is %+v", got.Transfer)
	}
}

// while its provider is switched off, a message that waits for its turn is shown as held, wherever its reference is;
// it can be canceled; and it is shown as queued again once the provider is back.
func TestAMessageThatWaitsForASwitchedOffProviderIsShownAsHeld(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	m, other := s.send("hello"), s.send("good day")
	s.provider(registry.Disabled)
	if got := s.get(m.ID); got.Status != message.Held || got.HeldReason != message.HeldProviderDisabled {
		t.Errorf("it is %s for %q", got.Status, got.HeldReason)
	}
	if a := s.call(testAccount, "GET", "/v1/messages?status=held&conversation_id="+m.ConversationID, ""); a.status != 200 || strings.Count(string(a.body), `"held_reason":"provider_disabled"`) != 2 {
		t.Errorf("the list of held messages is %d %s", a.status, a.body)
	}
	if a := s.call(testAccount, "POST", "/v1/messages/"+other.ID+"/cancel", ""); a.status != 200 {
		t.Errorf("cancelling answers %d %s", a.status, a.body)
	}
	s.provider(registry.Enabled)
	if got := s.get(m.ID); got.Status != message.Queued || got.HeldReason != "" {
		t.Errorf("it is %s for %q", got.Status, got.HeldReason)
	}
}

// a provider that was enabled a moment ago is refused to nobody by what is still in memory.
func TestAnEnabledProviderTakesMessagesAtOnce(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.provider(registry.Disabled)
	if a := s.call(testAccount, "POST", "/v1/messages", s.text("x")); a.status != 409 {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	_, err := s.registry.Put(t.Context(), registry.Entry{ID: edna.ID, Name: "edna", Status: registry.Enabled, ChannelTypes: []string{"whatsapp"}, TransferCountries: []string{"CY", "DE"}}, audittest.ByOperator())
	s.must(err)
	if a := s.call(testAccount, "POST", "/v1/messages", s.text("x")); a.status != 202 {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

// a message that waits because nothing gets through to its provider is shown as held, and as queued when that is over.
func TestAMessageThatWaitsForAnOutageIsShownAsHeld(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	m, of := s.send("hello"), health.OfProvider(edna.ID)
	_, opened, err := s.health.Open(t.Context(), of, s.clock(), s.clock(), s.clock().Add(2*time.Second))
	if s.must(err); !opened {
		t.Fatal("the breaker is not open")
	}
	if got := s.get(m.ID); got.Status != message.Held || got.HeldReason != message.HeldProviderOutage {
		t.Errorf("it is %s for %q", got.Status, got.HeldReason)
	}
	s.advance(5 * time.Second)
	if _, claimed, err := s.health.Claim(t.Context(), of, s.clock(), 7); err != nil || !claimed {
		t.Fatal(err)
	}
	if _, closed, err := s.health.Close(t.Context(), of, s.clock(), 7); err != nil || !closed {
		t.Fatal(err)
	}
	if got := s.get(m.ID); got.Status != message.Queued || got.HeldReason != "" {
		t.Errorf("it is %s for %q", got.Status, got.HeldReason)
	}
}
