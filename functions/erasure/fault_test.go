package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"contactcenter/shared/attr"
	"contactcenter/shared/message"
	"contactcenter/shared/recipient"
	"contactcenter/shared/usage"
)

// failing is a table of messages one of whose writes fails.
type failing struct {
	message.DynamoDB
	// left is how many writes pass before that one; failed says that it was reached.
	left   atomic.Int32
	failed atomic.Bool
}

var errThrottled = errors.New("throttled")

func (f *failing) write() error {
	if f.left.Add(-1) == -1 {
		f.failed.Store(true)
		return errThrottled
	}
	return nil
}

func (f *failing) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, o ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	if err := f.write(); err != nil {
		return nil, err
	}
	return f.DynamoDB.UpdateItem(ctx, in, o...)
}

func (f *failing) DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, o ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	if err := f.write(); err != nil {
		return nil, err
	}
	return f.DynamoDB.DeleteItem(ctx, in, o...)
}

// whichever write fails, the job does in the end what it would have done, and says so.
func TestAnErasureLeavesNothingWhicheverWriteFails(t *testing.T) {
	t.Parallel()
	for n := 0; ; n++ {
		w := newWorld(t)
		table := &failing{DynamoDB: w.env.DynamoDB}
		table.left.Store(int32(n))
		w.h.Messages.DB = table
		waits, refused := w.message(anna, "waits", nil), w.message(anna, "refused", nil)
		g, e := w.admit(refused)
		w.sent(refused, g, e)
		_, err := w.messages.Report(t.Context(), acct, channelID, refused, message.Report{
			Status: message.Failed, At: w.clock.Now(), ProviderMessageID: "wamid." + anna, Problem: &message.Problem{Code: "provider_refused", Detail: "no such user " + anna, FaultDomain: "recipient"},
		})
		w.must(err)
		ref := w.erase(anna)
		w.clock.Pass(settled)
		for tries := 0; !w.work(ref); tries++ {
			if tries > 5 {
				t.Fatalf("write %d fails: it does not come to an end: %s", n, w.log.String())
			}
			w.clock.Pass(usage.Lease + inHand) // what was claimed before the failure is free again
		}
		if !table.failed.Load() {
			if n < 5 {
				t.Fatalf("the job makes %d writes", n)
			}
			return
		}
		name := fmt.Sprintf("write %d fails", n)
		if all := w.stored(); strings.Contains(all, "99123456") || w.sealedValues() > 0 {
			t.Errorf("%s: something of the person is left", name)
		}
		if j := w.job(ref); j.Status != recipient.Done || j.Erased != 2 || j.Canceled != 1 {
			t.Errorf("%s: the job is %s, erased %d and canceled %d", name, j.Status, j.Erased, j.Canceled)
		}
		if c := w.certified(w.job(ref)); c.Erased.Messages != 2 || c.Erased.MessagesCanceled != 1 {
			t.Errorf("%s: certified is %+v", name, c.Erased)
		}
		if m := w.get(waits); m.Status() != message.Canceled || m.ErasedAt.IsZero() {
			t.Errorf("%s: %+v", name, m)
		}
		if list, _, err := w.messages.Conversations(t.Context(), acct, channelID, attr.Page{Size: 10}, nil); err != nil || len(list) != 0 {
			t.Errorf("%s: listed: %+v, %v", name, list, err)
		}
	}
}

// a late report that was cut short is told again by the provider, and brings nothing back either.
func TestALateReportThatIsToldAgainBringsNothingBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mid := w.message(anna, "x", nil)
	g, e := w.admit(mid)
	w.sent(mid, g, e)
	ref := w.erase(anna)
	w.clock.Pass(settled)
	w.work(ref)
	table := &failing{DynamoDB: w.env.DynamoDB}
	table.left.Store(1)
	w.messages.DB = table
	report := message.Report{
		Status: message.Failed, At: w.clock.Now(), ProviderMessageID: "wamid." + anna, Problem: &message.Problem{Code: "provider_refused", Detail: "no such user " + anna, FaultDomain: "recipient"},
	}
	if _, err := w.messages.Report(t.Context(), acct, channelID, mid, report); !errors.Is(err, errThrottled) {
		t.Fatalf("the first time: %v", err)
	}
	_, err := w.messages.Report(t.Context(), acct, channelID, mid, report)
	w.must(err)
	if strings.Contains(w.stored(), "99123456") {
		t.Error("something of the person came back")
	}
}
