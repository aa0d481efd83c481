package main

import (
	"net/http"
	"slices"
	"testing"

	"contactcenter/shared/event"
	"contactcenter/shared/event/eventtest"
)

// an accepted message and a canceled one are told to an account that listens; with the same key, the same event again.
func TestAcceptedAndCanceledMessagesAreTold(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	eventtest.Listen(t, s.accounts, testAccount)
	s.told.Break(true)
	if a := s.call(testAccount, http.MethodPost, "/v1/messages", s.text("hello"), "Idempotency-Key: k"); a.status != http.StatusServiceUnavailable {
		t.Fatalf("what could not be told is answered %d", a.status)
	}
	s.told.Break(false)
	m := s.send("hello", "Idempotency-Key: k")
	again := s.send("hello", "Idempotency-Key: k")
	if m.ID != again.ID || !slices.Equal(s.told.Types(), []event.Type{event.MessageQueued}) || s.told.Events()[0].Resource != m.ID {
		t.Errorf("%v", s.told.Events())
	}
	if a := s.call(testAccount, http.MethodPost, "/v1/messages/"+m.ID+"/cancel", ""); a.status != http.StatusOK {
		t.Fatalf("%d", a.status)
	}
	if got := s.told.Types(); !slices.Equal(got, []event.Type{event.MessageQueued, event.MessageCanceled}) {
		t.Errorf("%v", got)
	}
	if a := s.call(testAccount, http.MethodPost, "/v1/messages/batch", `{"messages":[`+s.text("one")+`,`+s.text("two")+`]}`); a.status != http.StatusAccepted || len(s.told.Events()) != 4 {
		t.Errorf("%d, %v", a.status, s.told.Types())
	}
}

func TestAnAccountThatDoesNotListenIsToldNothing(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.send("hello")
	if got := s.told.Events(); len(got) != 0 {
		t.Errorf("%v", got)
	}
}
