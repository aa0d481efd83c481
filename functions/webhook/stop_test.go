package main

import (
	"context"
	"testing"
	"time"

	"contactcenter/shared/message"
	"contactcenter/shared/recipient"
)

func (w *world) optedOut(channelID string) bool {
	w.t.Helper()
	k := w.keyer.Key(acct, channelID, person)
	out, err := w.flags.OptedOut(context.Background(), acct, true, k)
	if err != nil {
		w.t.Fatal(err)
	}
	return out[k]
}

// a recipient's STOP is an opt-out of that channel, the reply is recorded as every other, and nothing is
// sent: the webhook has neither an adapter's Send nor a queue.
func TestAReplyThatIsOnlyStopIsAnOptOutAndIsRecordedAsEveryOther(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want bool
	}{
		{"STOP", true}, {" stop\r\n", true}, {"Unsubscribe", true}, {"СТОП", true}, {"ΣΤΟΠ", true}, {"opt out", true},
		{"please stop", false}, {"stop it", false}, {"START", false}, {"bus stop?", false}, {"stop.", false}, {"cancel", false},
	} {
		t.Run(c.text, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.stored(w.first, replyBody(1001, 1, c.text, ""))
			list := w.inbox(w.first)
			if len(list) != 1 || list[0].Content.Text != c.text || list[0].Status() != message.Received {
				t.Errorf("the reply was not recorded as it came: %d", len(list))
			}
			if got := w.optedOut(w.first); got != c.want {
				t.Errorf("opted out: %v, want %v", got, c.want)
			}
			if w.optedOut(w.second) {
				t.Error("another channel is closed too")
			}
		})
	}
}

// START does not undo an opt-out, and the provider's repeat of an old STOP does not undo the account's lifting.
func TestOnlyTheAccountLiftsAnOptOutAndARepeatedCallbackDoesNotBringItBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stored(w.first, replyBody(1001, 1, "STOP", ""))
	w.stored(w.first, replyBody(1001, 2, "START", ""))
	if !w.optedOut(w.first) {
		t.Fatal("START lifted the opt-out")
	}
	w.lift(w.first)
	w.clock.Pass(time.Minute)
	w.stored(w.first, replyBody(1001, 1, "STOP", ""))
	if w.optedOut(w.first) {
		t.Error("a repeat of a callback brought the opt-out back")
	}
	w.stored(w.first, replyBody(1001, 3, "STOP", ""))
	if !w.optedOut(w.first) {
		t.Error("a new STOP did not count")
	}
}

func (w *world) lift(channelID string) {
	w.t.Helper()
	ctx := context.Background()
	store, r := w.recipients(person)
	if err := store.LiftOptOut(ctx, r, channelID, byUser()); err != nil {
		w.t.Fatal(err)
	}
}

// a storage failure anywhere in between loses neither the opt-out nor the reply.
func TestAnOptOutWhoseStorageFailsIsAskedForAgain(t *testing.T) {
	t.Parallel()
	for n := int64(1); ; n++ {
		w := newWorld(t)
		w.db.countdown.Store(n)
		body := replyBody(1001, 7, "STOP", "")
		if w.post(w.first, body) == 200 {
			return // every request has failed once
		}
		w.stored(w.first, body)
		if !w.optedOut(w.first) || len(w.inbox(w.first)) != 1 {
			t.Errorf("failure of request %d: opted out %v, %d replies", n, w.optedOut(w.first), len(w.inbox(w.first)))
		}
	}
}

func TestTheWordsAreInSmallLetters(t *testing.T) {
	t.Parallel()
	for _, word := range recipient.StopWords() {
		if !recipient.IsStop(word) {
			t.Errorf("%q is not found", word)
		}
	}
}
