package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/content"
	"contactcenter/shared/message"
)

func TestCallbackURLIsCheckedByHeadAndGet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gone := w.channel("1003")
	if _, err := w.channels.Delete(context.Background(), gone, noon, audittest.By(acct)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path string
		want       int
	}{
		{"inactive channel", path(w.first), 200},
		{"deleted channel", path(gone), 404},
		{"no such channel", path("chn_0000000000000000"), 404},
		{"no channel id", path("x"), 404},
		{"another provider", "/v1/callbacks/telegram/" + w.first, 404},
	} {
		for _, method := range []string{http.MethodHead, http.MethodGet} {
			answer := w.server.As(nil).Do(method, c.path, "")
			if answer.Status != c.want || c.want == 200 && answer.Body != "" {
				t.Errorf("%s of %s: %d %q, want %d", method, c.name, answer.Status, answer.Body, c.want)
			}
		}
	}
}

// R-P.3.
func TestRefusedCallbackChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.message()
	w.sent(m)
	for _, c := range []struct {
		name, path, key, body string
		want                  int
	}{
		{"no proof", path(w.first), "", statusBody(1001, m.ID, "READ"), 401},
		{"wrong proof", path(w.first), "Bearer " + hookKey, statusBody(1001, m.ID, "READ"), 401},
		{"not JSON, and no proof", path(w.first), "", "{", 401},
		{"not JSON", path(w.first), hookKey, "{", 400},
		{"empty", path(w.first), hookKey, "", 400},
		{"larger than 1 MiB", path(w.first), hookKey, `{"x":"` + strings.Repeat("x", 1<<20) + `"}`, 413},
		{"no such channel", path("chn_0000000000000000"), hookKey, statusBody(1001, m.ID, "READ"), 404},
		{"another provider", "/v1/callbacks/telegram/" + w.first, hookKey, statusBody(1001, m.ID, "READ"), 404},
	} {
		answer := w.server.As(nil).With("Authorization", c.key).Do(http.MethodPost, c.path, c.body)
		if answer.Status != c.want || answer.Code() == "" {
			t.Errorf("%s: %d %s, want %d", c.name, answer.Status, answer.Body, c.want)
		}
	}
	if got := w.get(m.ID); got.Status() != message.Sent || len(got.Steps) != 1 {
		t.Errorf("message: %s %v", got.Status(), got.Steps)
	}
}

// R-P.3.
func TestStatusMovesAMessageOnlyForward(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		reports []string
		want    message.Status
	}{
		{"sent", []string{"SENT"}, message.Sent},
		{"delivered", []string{"delivered"}, message.Delivered},
		{"read at once", []string{"READ"}, message.Read},
		{"delivered after read", []string{"READ", "DELIVERED"}, message.Read},
		{"sent after read", []string{"READ", "SENT"}, message.Read},
		{"failed", []string{"FAILED"}, message.Failed},
		{"failed after delivered", []string{"DELIVERED", "FAILED"}, message.Delivered},
		{"delivered after failed", []string{"FAILED", "DELIVERED"}, message.Delivered},
		{"sent after failed", []string{"FAILED", "SENT"}, message.Failed},
		{"still on its way", []string{"ENQUEUED", "DELAYED"}, message.Sent},
		{"each twice", []string{"SENT", "SENT", "DELIVERED", "DELIVERED", "READ", "READ"}, message.Read},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			m := w.message()
			w.sent(m)
			for _, r := range c.reports {
				w.stored(w.first, statusBody(1001, m.ID, r))
			}
			if got := w.get(m.ID).Status(); got != c.want {
				t.Errorf("message is %s, want %s", got, c.want)
			}
		})
	}
}

func TestStatusBeforeOurOwnOutcomeIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.message()
	w.stored(w.first, statusBody(1001, m.ID, "DELIVERED"))
	if got := w.get(m.ID); got.Report != message.Delivered || got.Outcome != message.Queued {
		t.Errorf("before: %s, reported %s", got.Outcome, got.Report)
	}
	w.sent(m)
	got := w.get(m.ID)
	if got.Status() != message.Delivered || got.ProviderMessageID != "8681748" {
		t.Errorf("after: %s %q", got.Status(), got.ProviderMessageID)
	}
}

func TestFailureSaysWhy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.message()
	w.sent(m)
	w.stored(w.first, statusBody(1001, m.ID, "cancelled"))
	if p := w.get(m.ID).Error(); p == nil || p.Code != "provider_duplicate" || p.FaultDomain == "" || !p.Permanent {
		t.Errorf("problem: %+v", p)
	}
}

func TestStatusOfAnotherChannelsMessageChangesNothing(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"SENT", "DELIVERED", "READ", "FAILED"} {
		w := newWorld(t)
		m := w.message()
		w.stored(w.second, statusBody(1002, m.ID, status))
		if got := w.get(m.ID); got.Report != "" || len(got.Steps) != 0 {
			t.Errorf("%s: reported %q, steps %v", status, got.Report, got.Steps)
		}
	}
}

func TestStatusOfAnUnknownMessageIsAcknowledged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m, err := w.ids.NewMessage(w.keyer.Key(acct, w.first, person))
	if err != nil {
		t.Fatal(err)
	}
	w.stored(w.first, statusBody(1001, m, "DELIVERED"))
	w.stored(w.first, strings.Replace(statusBody(1001, m, "DELIVERED"), m.String(), "somebody-elses-id", 1))
	if list := w.inbox(w.first); len(list) != 0 {
		t.Errorf("%d messages appeared", len(list))
	}
}

//
func TestReplyIsStoredByteForByteWithItsHash(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"Thank you", " leading and trailing ", "line\r\nline\n", "👩‍👩‍👧‍👦 e\u0301 é \u200f\u202e", "<b>[b]&amp;</b>", "\u0000\u001f\u2028", strings.Repeat("long ", 1000),
	} {
		w := newWorld(t)
		m := w.message()
		w.clock.Pass(time.Minute)
		w.stored(w.first, replyBody(1001, 101, text, m.ID.String()))
		list := w.inbox(w.first)
		if len(list) != 2 {
			t.Fatalf("%d messages", len(list))
		}
		got := list[0]
		sum := sha256.Sum256([]byte(text))
		if got.Content.Type != content.TypeText || got.Content.Text != text || got.ContentSHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("%q came as %q, hash %s", text, got.Content.Text, got.ContentSHA256)
		}
		if got.Status() != message.Received || got.Direction != message.Inbound || got.Address != person || got.ReplyTo != m.ID.String() || got.ChannelID != w.first {
			t.Errorf("reply: %+v", got)
		}
		if !got.CreatedAt().Equal(noon.Add(time.Minute)) {
			t.Errorf("received at %s", got.CreatedAt())
		}
		if log := w.log.String(); strings.Contains(log, "99123456") || len(text) > 20 && strings.Contains(log, text[:20]) {
			t.Error("the log shows an address or content")
		}
	}
}

func TestReplyListsItsConversation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stored(w.first, replyBody(1001, 1, "one", ""))
	w.clock.Pass(2 * time.Hour)
	w.stored(w.first, replyBody(1001, 2, "two", ""))
	list, _, err := w.messages.Conversations(context.Background(), acct, w.first, attr.Page{Size: 10}, nil)
	if err != nil || len(list) != 1 || !list[0].LastInboundAt.Equal(noon.Add(2*time.Hour)) {
		t.Errorf("conversations: %+v %v", list, err)
	}
}

func TestReplyToAMessageThatIsNotOursIsKeptWithoutIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stranger, err := w.ids.NewMessage(w.keyer.Key("acct_2", w.first, person))
	if err != nil {
		t.Fatal(err)
	}
	for i, to := range []string{"not-an-id", stranger.String()} {
		w.stored(w.first, replyBody(1001, i, "hi", to))
	}
	for _, m := range w.inbox(w.first) {
		if m.ReplyTo != "" {
			t.Errorf("answers %s", m.ReplyTo)
		}
	}
}

func TestEventsOfOneCallbackAreStoredInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.message()
	w.sent(m)
	w.stored(w.first, "["+strings.Join([]string{
		statusBody(1001, m.ID, "DELIVERED"), replyBody(1001, 1, "one", ""), replyBody(1001, 2, "two", ""), statusBody(1001, m.ID, "READ"),
	}, ",")+"]")
	if got := w.get(m.ID); got.Status() != message.Read || len(got.Steps) != 3 {
		t.Errorf("message: %s %v", got.Status(), got.Steps)
	}
	if list := w.inbox(w.first); len(list) != 3 {
		t.Errorf("%d messages", len(list))
	}
}

// R-P.3.
func TestSameEventAHundredTimesAtOnceIsOneRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.message()
	w.sent(m)
	body := "[" + replyBody(1001, 7, "once", m.ID.String()) + "," + statusBody(1001, m.ID, "DELIVERED") + "]"
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			if status := w.post(w.first, body); status != http.StatusOK {
				t.Errorf("answered %d", status)
			}
		})
	}
	group.Wait()
	if list := w.inbox(w.first); len(list) != 2 {
		t.Errorf("%d messages, want the one that was sent and one reply", len(list))
	}
	if got := w.get(m.ID); len(got.Steps) != 2 || got.Status() != message.Delivered {
		t.Errorf("message: %s %v", got.Status(), got.Steps)
	}
}

func TestStorageFailureAsksForTheCallbackAgainAndARepeatCompletesIt(t *testing.T) {
	t.Parallel()
	for n := int64(1); ; n++ {
		w := newWorld(t)
		m := w.message()
		w.sent(m)
		body := "[" + statusBody(1001, m.ID, "DELIVERED") + "," + replyBody(1001, 7, strings.Repeat("long ", 1000), m.ID.String()) + "]"
		w.db.countdown.Store(n)
		status := w.post(w.first, body)
		if status == http.StatusOK && n > 1 {
			if n < 5 {
				t.Errorf("a callback of a status and a long reply took %d requests only", n-1)
			}
			return // every request of the callback has failed once
		}
		if status != http.StatusServiceUnavailable {
			t.Fatalf("failure of request %d: answered %d", n, status)
		}
		w.stored(w.first, body)
		list := w.inbox(w.first)
		if len(list) != 2 || w.get(m.ID).Status() != message.Delivered || list[0].Content.Text == "" {
			t.Errorf("failure of request %d: %d messages, %s", n, len(list), w.get(m.ID).Status())
		}
		if listed, err := w.messages.Listed(context.Background(), list[0]); !listed || err != nil {
			t.Errorf("failure of request %d: conversation listed %v %v", n, listed, err)
		}
	}
}

// TestAnyOrderOfReportsEndsInTheSameStatus mixes callbacks, repeated and in any order, with our own write of "sent".
func TestAnyOrderOfReportsEndsInTheSameStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rapid.Check(t, func(rt *rapid.T) {
		reports := rapid.SliceOfN(rapid.SampledFrom([]string{"SENT", "DELIVERED", "READ", "FAILED"}), 1, 8).Draw(rt, "reports")
		ours := rapid.IntRange(0, len(reports)).Draw(rt, "our own write comes before")
		want := message.Sent
		for _, best := range []struct {
			report string
			status message.Status
		}{{"FAILED", message.Failed}, {"DELIVERED", message.Delivered}, {"READ", message.Read}} {
			for _, r := range reports {
				if r == best.report {
					want = best.status
				}
			}
		}
		m := w.message()
		highest := message.Status("")
		for i, r := range append(reports, "") {
			if i == ours {
				w.sent(m)
			}
			if r != "" {
				w.stored(w.first, statusBody(1001, m.ID, r))
			}
			now := w.get(m.ID).Status()
			if highest != "" && now.Rank() < highest.Rank() && !(highest == message.Sent && now == message.Failed) {
				rt.Fatalf("the status went from %s back to %s", highest, now)
			}
			highest = now
		}
		if got := w.get(m.ID); got.Status() != want || got.Claim != 1 {
			rt.Errorf("message is %s, want %s; claim %d", got.Status(), want, got.Claim)
		}
	})
}
