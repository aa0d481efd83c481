package main

import (
	"testing"

	"contactcenter/shared/account"
	"contactcenter/shared/content"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/provider"
)

// inbound records a reply of a recipient that the provider calls by an id.
func (b *bench) inbound(from, providerID string) id.Message {
	b.t.Helper()
	first := b.accept(from, nil) // the conversation's key is in it
	mid, err := b.ids.NewMessage(first.Conversation)
	if err != nil {
		b.t.Fatal(err)
	}
	m := message.Message{
		AccountID: testAccount, ID: mid, Direction: message.Inbound, ChannelID: b.channel, ProviderID: testProvider, Address: from,
		Content: content.Content{Type: content.TypeText, Text: "hello"}, Outcome: message.Received, ProviderMessageID: providerID,
	}
	m.ContentSHA256, _ = m.Content.SHA256() // text always has a hash
	if _, _, err := b.messages.Receive(b.t.Context(), m, providerID); err != nil {
		b.t.Fatal(err)
	}
	b.deliver(1, first)
	return mid
}

func TestAnAnswerNamesTheMessageByTheProvidersID(t *testing.T) {
	t.Parallel()
	b := newBench(t, 10, account.Rate{Limit: 100, WindowSeconds: 1, Burst: 100})
	reply := b.inbound("+35799000001", "wamid.41")
	answer := b.accept("+35799000001", func(m *message.Message) { m.ReplyTo = reply.String() })
	gone := b.accept("+35799000001", func(m *message.Message) { m.ReplyTo = "msg_gone" })
	b.deliver(1, answer)
	b.deliver(1, gone)
	b.wantStatus(answer, message.Sent, "")
	b.wantStatus(gone, message.Rejected, "invalid_request")
	if got := b.provider.answersTo; len(got) != 2 || got[0] != "" || got[1] != "wamid.41" {
		t.Errorf("the provider was given %q", got)
	}
	b.wantUsed(2)
}

// R-P.3: the provider's id is kept before the message is recorded as sent, where callbacks name it by nothing else.
func TestTheProvidersIDIsKeptWhereNothingElseNamesTheMessage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		own  bool
	}{{"it names messages by its own id alone", true}, {"it tells ours", false}} {
		b := newBench(t, 10, account.Rate{Limit: 100, WindowSeconds: 1, Burst: 100})
		b.provider.ownIDsOnly, b.provider.receipt = c.own, provider.Receipt{ProviderMessageID: "wamid.7"}
		m := b.accept("+35799000001", nil)
		b.deliver(1, m)
		b.wantStatus(m, message.Sent, "")
		found, err := b.messages.ByProviderID(t.Context(), testAccount, b.channel, "wamid.7")
		if kept := err == nil && found == m; kept != c.own {
			t.Errorf("%s: kept %v, %v", c.name, kept, err)
		}
	}
}

// a refusal that says that the recipient opted out is an opt-out from then on.
func TestARefusalThatTellsOfAnOptOutIsRecorded(t *testing.T) {
	t.Parallel()
	b := newBench(t, 10, account.Rate{Limit: 100, WindowSeconds: 1, Burst: 100})
	b.provider.answers = []error{&provider.Error{Kind: provider.Permanent, Code: "provider_refused", ProviderCode: "21610", Fault: provider.FaultRecipient, OptedOut: true}}
	first, second := b.accept("+35799000001", nil), b.accept("+35799000001", nil)
	b.deliver(1, first)
	b.deliver(1, second)
	b.wantStatus(first, message.Failed, "provider_refused")
	b.wantStatus(second, message.Rejected, "recipient_opted_out")
	if len(b.provider.calls) != 1 {
		t.Errorf("%d calls", len(b.provider.calls))
	}
}
