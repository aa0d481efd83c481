package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/channel"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/provider"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
)

// ownAccount gives the bench's channel credentials.
func (b *bench) ownAccount(token string) {
	b.t.Helper()
	sealed, err := channel.SealCredentials(sealtest.Sealer(seal.Credentials), testAccount, b.channel, map[string]string{"token": token})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.channels.ReplaceCredentials(b.t.Context(), b.channel, channel.Connected{Sealed: sealed}, audittest.By(testAccount)); err != nil {
		b.t.Fatal(err)
	}
	b.d.Credentials = sealtest.Opener(seal.Credentials)
}

// the provider is called with the account's credentials; when it refuses them the channel is taken out of use.
func TestRefusedCredentialsTakeTheChannelOutOfUse(t *testing.T) {
	t.Parallel()
	b := newBench(t, 10, slow())
	b.ownAccount("canary-token")
	refused := &provider.Error{Kind: provider.Credentials, Code: "credentials_invalid", Fault: provider.FaultPlatform}
	b.provider.answers = []error{nil, refused}
	first, second, third := b.accept("+1001", nil), b.accept("+1002", nil), b.accept("+1003", nil)
	for _, m := range []id.Message{first, second, third} {
		b.deliver(1, m)
	}
	b.wantStatus(first, message.Sent, "")
	b.wantStatus(second, message.Failed, "credentials_invalid")
	b.wantStatus(third, message.Rejected, "credentials_invalid")
	b.wantUsed(1)
	if got := b.provider.tokens; len(got) != 2 || got[0] != "canary-token" {
		t.Errorf("the provider was called with %d tokens", len(got))
	}
	c, err := b.channels.Get(t.Context(), b.channel)
	if err != nil || c.Status != channel.CredentialsInvalid {
		t.Errorf("the channel is %s, %v", c.Status, err)
	}
	if strings.Contains(b.logs.String(), "canary") {
		t.Error("a credential was logged")
	}
}

// unmarkable are channels that can't be taken out of use.
type unmarkable struct{ Channels }

func (unmarkable) MarkCredentialsInvalid(context.Context, channel.Channel) (bool, error) {
	return false, errors.New("the channel can't be written")
}

// that nothing was sent is known, whatever becomes of the channel.
func TestAMessageWithRefusedCredentialsFailedThoughItsChannelCouldNotBeMarked(t *testing.T) {
	t.Parallel()
	b := newBench(t, 10, slow())
	b.ownAccount("canary-token")
	b.d.Channels = unmarkable{b.d.Channels}
	b.provider.answers = []error{&provider.Error{Kind: provider.Credentials, Code: "credentials_invalid", Fault: provider.FaultPlatform}}
	m := b.accept("+1001", nil)
	b.deliver(1, m)
	b.wantStatus(m, message.Failed, "credentials_invalid")
	b.wantUsed(0)
	if !strings.Contains(b.logs.String(), "channel not taken out of use") {
		t.Error("it was not reported")
	}
}

// what a native provider says of the operator's key does not change the customer's channel.
func TestTheOperatorsRefusedKeyLeavesTheChannelActive(t *testing.T) {
	t.Parallel()
	b := newBench(t, 10, slow())
	b.provider.answers = []error{&provider.Error{Kind: provider.Credentials, Code: "credentials_invalid", Fault: provider.FaultPlatform}}
	m := b.accept("+1001", nil)
	b.deliver(1, m)
	b.wantStatus(m, message.Queued, "")
	if c, err := b.channels.Get(t.Context(), b.channel); err != nil || c.Status != channel.Active {
		t.Errorf("the channel is %s, %v", c.Status, err)
	}
}

// a function that has the key not yet sends nothing, and the message waits.
func TestAMessageWaitsForAKeyThatIsNotThereYet(t *testing.T) {
	t.Parallel()
	b := newBench(t, 10, slow())
	m := b.accept("+1001", nil)
	opener := b.messages.Opener
	b.messages.Opener = sealtest.Opener(seal.Credentials)
	b.deliver(1, m)
	if len(b.provider.calls) != 0 {
		t.Error("the provider was called")
	}
	b.messages.Opener = opener
	b.wantStatus(m, message.Queued, "")
}
