package main

import (
	"net/http"
	"slices"
	"testing"

	"contactcenter/shared/event"
	"contactcenter/shared/event/eventtest"
)

// a reply, and what a provider reported, are told to an account that listens, each once.
func TestWhatAProviderReportsIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	eventtest.Listen(t, w.accounts, acct)
	m := w.message()
	w.sent(m)
	w.told.Break(true)
	if status := w.post(w.first, statusBody(1001, m.ID, "DELIVERED")); status != http.StatusServiceUnavailable {
		t.Fatalf("a callback that could not be told of is answered %d", status)
	}
	w.told.Break(false)
	for range 2 { // the provider repeats
		w.stored(w.first, statusBody(1001, m.ID, "DELIVERED"))
		w.stored(w.first, statusBody(1001, m.ID, "READ"))
		w.stored(w.first, replyBody(1001, 1, "thanks", ""))
	}
	w.stored(w.first, statusBody(1001, m.ID, "DELIVERED")) // late: it says nothing new
	if got := w.told.Types(); !slices.Equal(got, []event.Type{event.MessageDelivered, event.MessageRead, event.MessageReceived}) {
		t.Errorf("%v", got)
	}
}

func TestAnAccountThatDoesNotListenIsToldNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.message()
	w.sent(m)
	w.stored(w.first, statusBody(1001, m.ID, "READ"))
	w.stored(w.first, replyBody(1001, 1, "thanks", ""))
	if got := w.told.Events(); len(got) != 0 {
		t.Errorf("%v", got)
	}
}
