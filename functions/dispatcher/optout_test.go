package main

import (
	"testing"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/message"
	"contactcenter/shared/recipient"
)

func (b *bench) optOut(to string) {
	b.t.Helper()
	o := recipient.OptOut{ChannelID: b.channel, Since: b.Now(), Source: recipient.ByRecipient}
	if err := b.stops.Record(b.t.Context(), testAccount, to, o); err != nil {
		b.t.Fatal(err)
	}
}

// an opt-out that arrives after a message was accepted is seen when its turn comes: it is rejected, the provider is
// not called, and its unit comes back. Others of the same batch go.
func TestR9_6AnOptOutAfterEnqueueRejectsTheMessageAndGivesItsUnitBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, 10, account.Rate{Limit: 100, WindowSeconds: 1, Burst: 100})
	out, other := b.accept("+35799000001", nil), b.accept("+35799000002", nil)
	b.optOut("+35799000001")
	b.deliver(1, out, other)
	b.wantStatus(out, message.Rejected, "recipient_opted_out")
	b.wantStatus(other, message.Sent, "")
	b.wantUsed(1)
	if p := b.get(out).Error(); p == nil || p.FaultDomain != "recipient" || !p.Permanent {
		t.Errorf("problem: %+v", p)
	}
	if len(b.provider.calls) != 1 {
		t.Errorf("%d calls", len(b.provider.calls))
	}
}

// a message that would be held is rejected, and so is one that was held and comes back.
func TestR9_6AnOptOutReachesHeldMessages(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0, account.Rate{Limit: 100, WindowSeconds: 1, Burst: 100})
	hold := func(m *message.Message) { m.OnLimit = message.Hold }
	before, after := b.accept("+35799000001", hold), b.accept("+35799000002", hold)
	b.optOut("+35799000001")
	b.deliver(1, before, after)
	b.wantStatus(before, message.Rejected, "recipient_opted_out")
	b.wantStatus(after, message.Held, "")
	b.optOut("+35799000002")
	b.deliver(1, after)
	b.wantStatus(after, message.Rejected, "recipient_opted_out")
	b.wantUsed(0)
}

// once the provider has acknowledged a message, no call carries it again, however often its reference comes; when the
// transfer was completed is recorded once.
func TestR9_4NothingIsTransferredAfterTheAcknowledgement(t *testing.T) {
	t.Parallel()
	b := newBench(t, 10, account.Rate{Limit: 100, WindowSeconds: 1, Burst: 100})
	m := b.accept("+35799000001", nil)
	b.deliver(1, m)
	first := b.get(m)
	if first.TransferCompletedAt.IsZero() || !first.TransferCompletedAt.Equal(b.Now()) {
		t.Errorf("completed at %s, now is %s", first.TransferCompletedAt, b.Now())
	}
	for i := range 10 {
		b.pass(time.Minute)
		if again := b.deliver(i+2, m); len(again) != 0 {
			t.Errorf("delivery %d comes again", i+2)
		}
	}
	if got := b.get(m); !got.TransferCompletedAt.Equal(first.TransferCompletedAt) || got.Attempts != 1 || got.Status() != message.Sent {
		t.Errorf("%+v", got)
	}
	if len(b.provider.calls) != 1 {
		t.Errorf("%d calls", len(b.provider.calls))
	}
	b.wantUsed(1)
}
