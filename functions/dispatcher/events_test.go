package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/event"
	"contactcenter/shared/event/eventtest"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/provider"
)

// what becomes of a message is told, to an account that listens.
func TestWhatBecomesOfAMessageIsTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limit  int64
		answer error
		change func(*bench) func(*message.Message)
		want   []event.Type
	}{
		"sent":   {limit: 100, want: []event.Type{event.MessageSent}},
		"failed": {limit: 100, answer: refusal(provider.Permanent), want: []event.Type{event.MessageFailed}},
		"expired": {limit: 100, change: func(b *bench) func(*message.Message) {
			return func(m *message.Message) { m.ExpiresAt = b.Now() }
		}, want: []event.Type{event.MessageExpired}},
		"unknown": {limit: 100, answer: lost(), change: func(b *bench) func(*message.Message) {
			b.provider.repeatSafe = false
			return nil
		}, want: []event.Type{event.MessageUnknown}},
		"rejected at the limit": {limit: 0, want: []event.Type{event.MessageRejected}},
		"held at the limit": {limit: 0, change: func(*bench) func(*message.Message) {
			return func(m *message.Message) { m.OnLimit = message.Hold }
		}, want: []event.Type{event.MessageHeld}},
		"the last one that the number allows": {limit: 1, want: []event.Type{event.MessageSent, event.UsageLimitReached, event.UsageThresholdReached}},
		"queued when its time comes": {limit: 100, change: func(b *bench) func(*message.Message) {
			return func(m *message.Message) { m.SendAt = b.Now() }
		}, want: []event.Type{event.MessageQueued, event.MessageSent}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, c.limit, account.Rate{Limit: 100, WindowSeconds: 1})
			eventtest.Listen(t, b.accounts, testAccount)
			if c.answer != nil {
				b.provider.answers = []error{c.answer}
			}
			var change func(*message.Message)
			if c.change != nil {
				change = c.change(b)
			}
			m := b.accept("+35799000001", change)
			b.deliver(1, m)
			b.deliver(2, m) // a duplicate tells the same again
			got := b.told.Types()
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("told of %v, want %v", got, c.want)
			}
		})
	}
}

func TestAnAccountThatDoesNotListenIsToldNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, account.Rate{Limit: 100, WindowSeconds: 1})
	b.deliver(1, b.accept("+35799000001", nil))
	if got := b.told.Events(); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// What could not be told is told when the message comes again; it is handed over once all the same.
func TestAnEventThatCouldNotBePublishedIsPublishedLater(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, account.Rate{Limit: 100, WindowSeconds: 1})
	eventtest.Listen(t, b.accounts, testAccount)
	m := b.accept("+35799000001", nil)
	b.told.Break(true)
	if again := b.deliver(1, m); len(again) != 1 {
		t.Fatalf("the message does not come again: %v", again)
	}
	b.told.Break(false)
	b.pass(time.Minute)
	if again := b.deliver(2, m); len(again) != 0 {
		t.Errorf("it comes a third time")
	}
	if got := b.told.Types(); !slices.Equal(got, []event.Type{event.MessageSent}) || len(b.provider.accepted) != 1 {
		t.Errorf("told of %v, handed over %d times", got, len(b.provider.accepted))
	}
}

// that refused credentials took a channel out of use is told once, however many messages are on their way with them.
func TestAChannelWithRefusedCredentialsIsToldOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, 100, account.Rate{Limit: 100, WindowSeconds: 1})
	b.ownAccount("token")
	eventtest.Listen(t, b.accounts, testAccount)
	refused := &provider.Error{Kind: provider.Credentials, Code: "credentials_invalid", Fault: provider.FaultPlatform}
	b.provider.during = func(string) { b.pass(50 * time.Millisecond) }
	var list []id.Message
	for i := range 5 {
		b.provider.answers = append(b.provider.answers, refused)
		list = append(list, b.accept(fmt.Sprintf("+100%d", i), nil))
	}
	b.deliver(1, list...)
	for range 2 { // another read of the channel that is a little old
		b.deliver(2, b.accept("+1009", nil))
	}
	n := 0
	for _, e := range b.told.Events() {
		if e.Type == event.ChannelUpdated {
			n++
			if e.Resource != b.channel || e.AccountID != testAccount {
				t.Errorf("%+v", e)
			}
		}
	}
	if n != 1 {
		t.Errorf("it was told %d times: %v", n, b.told.Types())
	}
}
