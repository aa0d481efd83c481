package message_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"contactcenter/shared/attr"
	"contactcenter/shared/content"
	"contactcenter/shared/id"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/message"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
)

const account = "acc_a"

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const (
	talk = "0123456789abcdef" // a conversation's key
	chn  = "chn_0123456789abcdef"
)

func newStore(t testing.TB) *message.Store {
	t.Helper()
	env := awstest.New(t)
	return &message.Store{DB: env.DynamoDB, Retention: 30 * 24 * time.Hour, Table: env.Table(t.Context(), awstest.MessagesTable()), Sealer: sealtest.Sealer(seal.Content), Opener: sealtest.Opener(seal.Content)}
}

// mid gives the id of a message that was made n milliseconds after start.
func mid(n int) id.Message { return idAt(start.Add(time.Duration(n)*time.Millisecond), talk) }

func idAt(at time.Time, conversation string) id.Message {
	source := id.Source{Now: func() time.Time { return at }, Random: strings.NewReader("abcd")}
	m, err := source.NewMessage(conversation)
	if err != nil {
		panic(err)
	}
	return m
}

// fresh is a new message of a text.
func fresh(m id.Message, text string) message.Message {
	hash := sha256.Sum256([]byte(text))
	return message.Message{
		AccountID: account, ID: m, Direction: message.Outbound, ChannelID: chn, ProviderID: "edna", Address: "79990001122",
		Content: content.Content{Type: content.TypeText, Text: text}, ContentSHA256: hex.EncodeToString(hash[:]), OnLimit: message.Reject,
		RulesVersion: "2026-01", CreatedBy: "crm", Outcome: message.Queued,
	}
}

func create(t testing.TB, s *message.Store, m message.Message) message.Message {
	t.Helper()
	if err := s.Create(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return m
}

func get(t testing.TB, s *message.Store, m id.Message) message.Message {
	t.Helper()
	got, err := s.Get(t.Context(), account, m)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

var rejected = &message.Problem{Code: "usage_limit_reached", Detail: "the plan's number is used up", FaultDomain: "account", Permanent: true}

func TestAMessageIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("длинный текст ", 200)
	cases := map[string]func(*message.Message){
		"short": func(*message.Message) {},
		"long":  func(m *message.Message) { m.Content.Text = long },
		"with everything": func(m *message.Message) {
			m.ClientReference, m.OnLimit, m.ExpiresAt, m.Outcome = "order 17", message.Hold, at(3600), message.Scheduled
			m.ReleaseAt = time.Time{}
		},
		"inbound": func(m *message.Message) {
			m.Direction, m.Outcome, m.ReplyTo, m.ProviderMessageID = message.Inbound, message.Received, "msg_x", "p-1"
		},
		"template": func(m *message.Message) {
			m.Content = content.Content{Type: content.TypeTemplate, Template: &content.Template{Name: "hello", Language: "en", Variables: map[string]string{"1": "Ann"}}}
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			m := fresh(mid(1), "hello")
			change(&m)
			for range 2 { // a retry changes nothing
				create(t, s, m)
			}
			got := get(t, s, m.ID)
			m.External = name == "long"
			if !reflect.DeepEqual(got, m) {
				t.Fatalf("got\n%#v\nwant\n%#v", got, m)
			}
			if _, err := s.Get(t.Context(), "acc_b", m.ID); !errors.Is(err, message.ErrNotFound) {
				t.Fatalf("another account: got %v, want ErrNotFound", err)
			}
		})
	}
}

func TestAWriteToAMissingMessageSaysThatItIsMissing(t *testing.T) {
	t.Parallel()
	s, ctx := newStore(t), t.Context()
	writes := map[string]func() (message.Written, error){
		"Fence": func() (message.Written, error) { return s.Fence(ctx, account, mid(1), 1) },
		"Sent":  func() (message.Written, error) { return s.Sent(ctx, account, mid(1), 1, message.Handover{At: at(1)}) },
		"End": func() (message.Written, error) {
			return s.End(ctx, account, mid(1), 1, message.Ending{Status: message.Failed, At: at(1)})
		},
		"Hold": func() (message.Written, error) {
			return s.Hold(ctx, fresh(mid(1), ""), 1, at(1), message.HeldUsageLimit, at(9))
		},
		"Release": func() (message.Written, error) { return s.Release(ctx, fresh(mid(1), ""), at(1)) },
		"Retry":   func() (message.Written, error) { return s.Retry(ctx, account, mid(1), 1, at(1), "busy", at(2)) },
		"Await":   func() (message.Written, error) { return s.Await(ctx, fresh(mid(1), ""), 1, at(1), at(2)) },
		"Report": func() (message.Written, error) {
			return s.Report(ctx, account, chn, mid(1), message.Report{Status: message.Delivered, At: at(1)})
		},
		"Report of sent": func() (message.Written, error) {
			return s.Report(ctx, account, chn, mid(1), message.Report{Status: message.Sent, At: at(1)})
		},
		"Tail": func() (message.Written, error) {
			_, err := s.Tail(ctx, account, mid(1), time.Time{})
			return message.Written{}, err
		},
		"Conversation": func() (message.Written, error) {
			_, err := s.Conversation(ctx, account, talk)
			return message.Written{}, err
		},
	}
	for name, write := range writes {
		if _, err := write(); !errors.Is(err, message.ErrNotFound) {
			t.Errorf("%s: got %v, want ErrNotFound", name, err)
		}
	}
}

// A step is one write of a message's life; it gives what the write answered.
type step func(*testing.T, *message.Store) (message.Written, error)

func fence(lease int64) step {
	return func(t *testing.T, s *message.Store) (message.Written, error) {
		return s.Fence(t.Context(), account, mid(1), lease)
	}
}

func sent(claim int64, sec int) step {
	return func(t *testing.T, s *message.Store) (message.Written, error) {
		return s.Sent(t.Context(), account, mid(1), claim, message.Handover{At: at(sec), ProviderMessageID: "p-1", Attempt: true})
	}
}

func end(status message.Status, lease, claim int64, sec int) step {
	return func(t *testing.T, s *message.Store) (message.Written, error) {
		return s.End(t.Context(), account, mid(1), lease, message.Ending{Status: status, At: at(sec), Problem: rejected, Claim: claim, Attempt: true})
	}
}

func hold(lease int64, sec int) step {
	return func(t *testing.T, s *message.Store) (message.Written, error) {
		return s.Hold(t.Context(), get(t, s, mid(1)), lease, at(sec), message.HeldUsageLimit, at(999))
	}
}

func release(sec int) step {
	return func(t *testing.T, s *message.Store) (message.Written, error) {
		return s.Release(t.Context(), get(t, s, mid(1)), at(sec))
	}
}

func retry(lease int64, sec int) step {
	return func(t *testing.T, s *message.Store) (message.Written, error) {
		return s.Retry(t.Context(), account, mid(1), lease, at(sec), "provider_busy", at(sec+10))
	}
}

func await(lease int64, sec int) step {
	return func(t *testing.T, s *message.Store) (message.Written, error) {
		return s.Await(t.Context(), get(t, s, mid(1)), lease, at(sec), at(sec+10))
	}
}

func report(status message.Status, sec int) step {
	return func(t *testing.T, s *message.Store) (message.Written, error) {
		r := message.Report{Status: status, At: at(sec), ProviderMessageID: "p-1"}
		if status == message.Failed {
			r.Problem = &message.Problem{Code: "undeliverable", FaultDomain: "recipient", Permanent: true}
		}
		return s.Report(t.Context(), account, chn, mid(1), r)
	}
}

//
func TestTheLifeOfAMessage(t *testing.T) {
	t.Parallel()
	type expect struct {
		do      step
		applied bool
		status  message.Status
	}
	cases := map[string][]expect{
		"waited for its sender, then sent": {
			{await(1, 1), true, message.Queued}, {fence(3), true, message.Queued}, {await(2, 2), false, message.Queued}, {sent(4, 3), true, message.Sent},
			{await(9, 4), false, message.Sent},
		},
		"sent, delivered, read": {
			{sent(4, 1), true, message.Sent}, {report(message.Sent, 2), false, message.Sent}, {report(message.Delivered, 3), true, message.Delivered},
			{report(message.Delivered, 4), false, message.Delivered}, {report(message.Read, 5), true, message.Read},
			{report(message.Delivered, 6), false, message.Read}, {report(message.Failed, 7), false, message.Read}, {report(message.Sent, 8), false, message.Read},
			{sent(4, 9), false, message.Read}, {end(message.Failed, 9, 0, 9), false, message.Read}, {hold(9, 9), false, message.Read}, {retry(9, 9), false, message.Read},
			{release(9), false, message.Read}, {fence(9), false, message.Read},
		},
		"read without a word of delivery": {{sent(4, 1), true, message.Sent}, {report(message.Read, 2), true, message.Read}, {report(message.Delivered, 3), false, message.Read}},
		"an undelivered message that was delivered after all": {
			{sent(4, 1), true, message.Sent}, {report(message.Failed, 2), true, message.Failed}, {report(message.Failed, 3), false, message.Failed},
			{report(message.Sent, 3), false, message.Failed}, {report(message.Delivered, 4), true, message.Delivered},
		},
		"a report that overtakes the outcome": {
			{report(message.Delivered, 2), true, message.Delivered}, {end(message.Failed, 1, 0, 3), false, message.Delivered}, {hold(1, 3), false, message.Delivered},
			{retry(1, 3), false, message.Delivered}, {fence(2), true, message.Delivered}, {sent(1, 4), true, message.Delivered},
		},
		"a report in place of a lost outcome": {{report(message.Sent, 2), true, message.Sent}, {report(message.Sent, 3), false, message.Sent}, {sent(1, 4), true, message.Sent}, {report(message.Delivered, 5), true, message.Delivered}},
		"unknown, then known":                 {{end(message.Unknown, 1, 1, 1), true, message.Unknown}, {report(message.Sent, 2), true, message.Sent}, {report(message.Delivered, 3), true, message.Delivered}},
		"unknown, then sent by the earlier holder": {
			{fence(2), true, message.Queued}, {end(message.Unknown, 2, 1, 1), true, message.Unknown}, {end(message.Failed, 1, 0, 2), false, message.Unknown}, {sent(1, 3), true, message.Sent},
		},
		"canceled stays so": {
			{end(message.Canceled, 1, 0, 1), true, message.Canceled}, {sent(2, 2), false, message.Canceled}, {report(message.Delivered, 3), false, message.Canceled},
			{fence(3), false, message.Canceled}, {hold(3, 3), false, message.Canceled}, {release(3), false, message.Canceled}, {end(message.Rejected, 3, 0, 3), false, message.Canceled},
		},
		"rejected stays so": {{end(message.Rejected, 1, 0, 1), true, message.Rejected}, {sent(2, 2), false, message.Rejected}, {report(message.Read, 3), false, message.Rejected}},
		"held and released": {
			{hold(1, 1), true, message.Held}, {hold(2, 2), true, message.Held}, {release(3), true, message.Queued}, {release(3), false, message.Queued}, {sent(3, 4), true, message.Sent},
		},
		"a held message is canceled": {{hold(1, 1), true, message.Held}, {end(message.Canceled, 2, 0, 2), true, message.Canceled}},
		"a fence keeps earlier holders from ending badly, later ones not": {
			{fence(5), true, message.Queued}, {fence(4), false, message.Queued}, {fence(5), true, message.Queued}, {end(message.Failed, 4, 0, 1), false, message.Queued},
			{hold(4, 1), false, message.Queued}, {retry(4, 1), false, message.Queued}, {retry(5, 1), true, message.Queued}, {retry(6, 1), true, message.Queued},
			{hold(7, 2), true, message.Held}, {end(message.Failed, 8, 0, 3), true, message.Failed},
		},
		"a fence does not keep an earlier holder from the truth": {{fence(5), true, message.Queued}, {sent(1, 1), true, message.Sent}},
	}
	for name, steps := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			create(t, s, fresh(mid(1), "hello"))
			for i, e := range steps {
				before := get(t, s, mid(1))
				w, err := e.do(t, s)
				if err != nil {
					t.Fatalf("step %d: %v", i, err)
				}
				after := get(t, s, mid(1))
				if w.Applied != e.applied || w.Message.Status() != e.status {
					t.Fatalf("step %d: applied %v, status %s; want %v, %s", i, w.Applied, w.Message.Status(), e.applied, e.status)
				}
				if err := s.Open(t.Context(), &w.Message); err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(w.Message, after) {
					t.Fatalf("step %d: the answer is\n%#v\nbut the message is\n%#v", i, w.Message, after)
				}
				if !w.Applied && !reflect.DeepEqual(before, after) {
					t.Fatalf("step %d was refused and changed the message", i)
				}
			}
		})
	}
}

func TestWhatAWriteLeavesBehind(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	create(t, s, fresh(mid(1), "hello"))
	do := func(st step) message.Message {
		t.Helper()
		w, err := st(t, s)
		if err != nil || !w.Applied {
			t.Fatalf("applied %v, %v", w.Applied, err)
		}
		return w.Message
	}
	m := do(retry(1, 1))
	if m.Attempts != 1 || !m.NotBefore.Equal(at(11)) {
		t.Fatalf("after a retry: %+v", m)
	}
	m = do(hold(2, 2))
	if m.HeldReason != message.HeldUsageLimit || !m.ReleaseAt.Equal(at(999)) {
		t.Fatalf("held: %+v", m)
	}
	m = do(release(3))
	if m.HeldReason != "" || !m.ReleaseAt.IsZero() {
		t.Fatalf("released: %+v", m)
	}
	m = do(end(message.Failed, 3, 9, 4))
	if m.Attempts != 2 || m.Claim != 9 || !m.NotBefore.IsZero() || *m.Error() != *rejected {
		t.Fatalf("failed: %+v", m)
	}
	m = do(sent(9, 5))
	if m.Attempts != 3 || m.Claim != 9 || m.ProviderMessageID != "p-1" || !m.TransferCompletedAt.Equal(at(5)) || m.OutcomeError != nil || m.Error() != nil {
		t.Fatalf("sent: %+v", m)
	}
	m = do(report(message.Failed, 6))
	if m.Error() == nil || m.Error().Code != "undeliverable" {
		t.Fatalf("reported as failed: %+v", m)
	}
	want := []message.Step{
		{Status: message.Queued, At: m.CreatedAt()}, {Status: message.Queued, At: at(1), Reason: "provider_busy"}, {Status: message.Held, At: at(2), Reason: message.HeldUsageLimit},
		{Status: message.Queued, At: at(3), Reason: "released"}, {Status: message.Failed, At: at(4), Reason: rejected.Code}, {Status: message.Sent, At: at(5)},
		{Status: message.Failed, At: at(6), Reason: "undeliverable"},
	}
	if got := m.Timeline(); !reflect.DeepEqual(got, want) {
		t.Fatalf("timeline\n%v\nwant\n%v", got, want)
	}
}

func TestStatesLeavesOutWhatIsMissing(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	create(t, s, fresh(mid(1), "hello"))
	create(t, s, fresh(mid(2), strings.Repeat("long ", 500)))
	got, err := s.States(t.Context(), account, []id.Message{mid(1), mid(2), mid(3), mid(1)})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[mid(1)].Outcome != message.Queued || !got[mid(2)].External {
		t.Fatalf("got %+v", got)
	}
	if got, err := s.States(t.Context(), account, nil); err != nil || len(got) != 0 {
		t.Fatalf("none asked for: %v, %v", got, err)
	}
}

func TestMoreMessagesThanOneRequestTakesAreReadAllTheSame(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var ids []id.Message
	for i := range 101 {
		ids = append(ids, mid(i))
		create(t, s, fresh(mid(i), "hello"))
	}
	reads := map[string]func(context.Context, string, []id.Message) (map[id.Message]message.Message, error){"States": s.States, "Standings": s.Standings}
	for name, read := range reads {
		if got, err := read(t.Context(), account, ids); err != nil || len(got) != len(ids) {
			t.Errorf("%s: %d messages, %v; want %d", name, len(got), err, len(ids))
		}
	}
}

func TestTheTailOfAConversation(t *testing.T) {
	t.Parallel()
	const reply = "reply" // everything else is the outcome of an outbound message
	cases := map[string]struct {
		before   []message.Status
		previous int // index in before; −1: none
	}{
		"nothing before":                           {nil, -1},
		"one that waits":                           {[]message.Status{message.Queued}, 0},
		"the newest of those handed over":          {[]message.Status{message.Sent, message.Sent}, 1},
		"replies do not count":                     {[]message.Status{message.Held, reply, reply}, 0},
		"behind many replies":                      {[]message.Status{message.Queued, reply, reply, reply, reply, reply, reply, reply, reply, reply}, 0},
		"replies only":                             {[]message.Status{reply, reply, reply, reply, reply}, -1},
		"a canceled one hides none that waits":     {[]message.Status{message.Queued, message.Canceled}, 0},
		"a rejected one hides none that waits":     {[]message.Status{message.Held, message.Rejected, message.Expired}, 0},
		"one that failed without an attempt, too":  {[]message.Status{message.Held, message.Failed}, 0},
		"one that is unknown was handed over":      {[]message.Status{message.Sent, message.Unknown}, 1},
		"nothing but ends that nobody handed over": {[]message.Status{message.Canceled, message.Rejected}, -1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			for i, outcome := range c.before {
				m := fresh(mid(i), "hello")
				m.Outcome = outcome
				if outcome == reply {
					m.Outcome, m.Direction = message.Received, message.Inbound
				}
				create(t, s, m)
			}
			this := create(t, s, fresh(mid(100), strings.Repeat("this one is long ", 100)))
			create(t, s, fresh(mid(101), "a later one"))
			tail, err := s.Tail(t.Context(), account, this.ID, this.CreatedAt())
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Open(t.Context(), &tail.Message); err != nil {
				t.Fatal(err)
			}
			if tail.Message.ID != this.ID || tail.Message.Content.Text != this.Content.Text {
				t.Fatalf("got %+v", tail.Message)
			}
			var active time.Time // of the newest that was surely listed, as far as the query had to look
			for i := len(c.before) - 1; i >= max(c.previous, 0) && active.IsZero(); i-- {
				if o := c.before[i]; o != message.Queued && o != message.Held && o != message.Canceled {
					active = mid(i).Time()
				}
			}
			if !tail.Active.Equal(active) {
				t.Fatalf("active at %v, want %v", tail.Active, active)
			}
			switch {
			case c.previous < 0 && tail.Previous != nil:
				t.Fatalf("previous is %s, want none", tail.Previous.ID)
			case c.previous >= 0 && (tail.Previous == nil || tail.Previous.ID != mid(c.previous)):
				t.Fatalf("previous is %+v, want %d", tail.Previous, c.previous)
			}
		})
	}
}

func TestListsGiveEveryMessageOnceInOrder(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var want, withoutContent []string
	for i := range 7 {
		m := fresh(mid(i), strings.Repeat("text ", 1+200*(i%2)))
		m.ClientReference = "order 17"
		create(t, s, m)
		if w, err := s.Hold(t.Context(), m, 1, at(1), message.HeldUsageLimit, time.Time{}); err != nil || !w.Applied {
			t.Fatalf("%+v, %v", w, err)
		}
		want, withoutContent = append(want, m.ID.String()+m.Content.Text), append(withoutContent, m.ID.String())
	}
	reversed := make([]string, len(want))
	for i, w := range want {
		reversed[len(want)-1-i] = w
	}
	type list func(attr.Page) ([]message.Message, string, error)
	ctx := t.Context()
	cases := map[string]struct {
		list list
		want []string
	}{
		"conversation": {func(p attr.Page) ([]message.Message, string, error) {
			return s.InConversation(ctx, account, talk, p)
		}, reversed},
		"reference": {func(p attr.Page) ([]message.Message, string, error) {
			return s.ByReference(ctx, account, "order 17", p)
		}, reversed},
		"held": {func(p attr.Page) ([]message.Message, string, error) { return s.HeldStandings(ctx, account, p) }, withoutContent},
	}
	tokens := map[string]string{}
	for name, c := range cases {
		var got []string
		p := attr.Page{Size: 3}
		for {
			list, next, err := c.list(p)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, m := range list {
				got = append(got, m.ID.String()+m.Content.Text)
			}
			if next == "" {
				break
			}
			p.Token, tokens[name] = next, next
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got\n%v\nwant\n%v", name, got, c.want)
		}
	}
	tokens["another account's list"] = token(t, func(p attr.Page) (string, error) {
		for i := range 2 {
			m := fresh(mid(50+i), "x")
			m.AccountID = "acc_b"
			create(t, s, m)
		}
		_, next, err := s.InConversation(ctx, "acc_b", talk, p)
		return next, err
	})
	tokens["nonsense"], tokens["an empty object"] = "nonsense!", "e30"
	tokens["a key outside the list"] = "eyJwayI6ImFjY19hIzAxMjM0NTY3ODlhYmNkZWYiLCJzayI6IngjMDAifQ" // {"pk":"acc_a#0123456789abcdef","sk":"x#00"}
	tokens["a value of the query that is no key"] = "eyJwayI6Im0jIiwic2siOiJtIzAwIn0"               // {"pk":"m#","sk":"m#00"}
	for of, token := range tokens {
		for name, c := range cases {
			if _, _, err := c.list(attr.Page{Size: 3, Token: token}); of != name && !errors.Is(err, attr.ErrToken) {
				t.Errorf("%s took the token of %s: %v", name, of, err)
			}
		}
	}
}

func token(t *testing.T, list func(attr.Page) (string, error)) string {
	t.Helper()
	next, err := list(attr.Page{Size: 1})
	if err != nil || next == "" {
		t.Fatalf("no token: %v", err)
	}
	return next
}

func TestAHeldMessageLeavesTheListWhenItIsReleasedOrEnded(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]step{"released": release(2), "canceled": end(message.Canceled, 2, 0, 2), "sent": sent(1, 2)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			create(t, s, fresh(mid(1), "hello"))
			for _, st := range []step{hold(1, 1), leave} {
				if w, err := st(t, s); err != nil || !w.Applied {
					t.Fatalf("%+v, %v", w, err)
				}
			}
			if list, _, err := s.HeldStandings(t.Context(), account, attr.Page{Size: 10}); err != nil || len(list) != 0 {
				t.Fatalf("still held: %v, %v", list, err)
			}
		})
	}
}

func TestConversationsAreListedByTheirLastActivity(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	keys := []string{"000000000000000a", "000000000000000b", "000000000000000c", "000000000000000d"}
	say := func(conversation int, minutes int, inbound bool) {
		t.Helper()
		m := fresh(idAt(start.Add(time.Duration(minutes)*time.Minute), keys[conversation]), "hello")
		m.Outcome = message.Sent
		if inbound {
			m.Direction, m.Outcome = message.Inbound, message.Received
		}
		create(t, s, m)
		for range 2 {
			if err := s.Touch(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		if listed, err := s.Listed(t.Context(), m); err != nil || !listed {
			t.Fatalf("listed: %v, %v", listed, err)
		}
	}
	say(0, 0, false)
	say(1, 5, false)
	say(2, 70, false)
	say(3, 75, true)
	say(0, 130, true)
	say(1, 140, false)
	say(0, 150, false)
	for size := 1; size <= 5; size++ {
		var got []string
		p := attr.Page{Size: size}
		for {
			list, next, err := s.Conversations(t.Context(), account, chn, p, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range list {
				got = append(got, fmt.Sprintf("%s %s", c.Key[15:], c.LastActivityAt().Sub(start)))
			}
			if p.Token = next; next == "" {
				break
			}
		}
		want := []string{"a 2h30m0s", "b 2h20m0s", "d 1h15m0s", "c 1h10m0s"}
		if size == 1 { // exact within a page, by the hour between pages
			want = []string{"b 2h20m0s", "a 2h30m0s", "d 1h15m0s", "c 1h10m0s"}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("pages of %d: got %v, want %v", size, got, want)
		}
	}
	c, err := s.Conversation(t.Context(), account, keys[0])
	if err != nil || !c.LastInboundAt.Equal(start.Add(130*time.Minute)) || !c.LastOutboundAt.Equal(start.Add(150*time.Minute)) || c.ID() != "cnv_"+keys[0] {
		t.Fatalf("got %+v, %v", c, err)
	}
	elsewhere := fresh(idAt(start.Add(9*time.Hour), keys[0]), "x")
	if listed, err := s.Listed(t.Context(), elsewhere); err != nil || listed {
		t.Fatalf("listed in an hour without a message: %v, %v", listed, err)
	}
	next := token(t, func(p attr.Page) (string, error) {
		_, next, err := s.Conversations(t.Context(), account, chn, p, nil)
		return next, err
	})
	if _, _, err := s.Conversations(t.Context(), account, "chn_000000000000000z", attr.Page{Size: 1, Token: next}, nil); !errors.Is(err, attr.ErrToken) {
		t.Fatalf("another channel took the token: %v", err)
	}
}

func TestAReplyIsRecordedOnceHoweverOftenItArrives(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"hello", strings.Repeat("long ", 500)} {
		s := newStore(t)
		type answer struct {
			m     message.Message
			first bool
			err   error
		}
		answers := make(chan answer)
		const parallel = 100
		for i := range parallel {
			go func() {
				m := fresh(mid(i), text)
				m.Direction, m.Outcome = message.Inbound, message.Received
				got, first, err := s.Receive(t.Context(), m, "reply-1")
				answers <- answer{got, first, err}
			}()
		}
		ids, firsts := map[id.Message]bool{}, 0
		for range parallel {
			a := <-answers
			if a.err != nil {
				t.Fatal(a.err)
			}
			ids[a.m.ID] = true
			if a.first {
				firsts++
			}
		}
		list, _, err := s.InConversation(t.Context(), account, talk, attr.Page{Size: 10})
		if err != nil || len(list) != 1 || len(ids) != 1 || !ids[list[0].ID] || firsts != 1 || list[0].Content.Text != text {
			t.Fatalf("%d messages, %d ids, %d firsts, %v", len(list), len(ids), firsts, err)
		}
	}
}
