package message_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/message"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
)

// countedStore is a store whose calls are counted.
func countedStore(t testing.TB) (*message.Store, *awsclient.Counter) {
	t.Helper()
	env, count := awstest.New(t), &awsclient.Counter{}
	cfg := env.Config()
	count.Attach(&cfg)
	db := dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.BaseEndpoint = &env.DynamoDBURL })
	return &message.Store{
		DB: db, Retention: 30 * 24 * time.Hour, Table: env.Table(t.Context(), awstest.MessagesTable()), Audit: audittest.New(t, env),
		Sealer: sealtest.Sealer(seal.Content), Opener: sealtest.Opener(seal.Content),
	}, count
}

func receive(t testing.TB, s *message.Store, n int) message.Message {
	t.Helper()
	m := fresh(mid(n), "hello")
	m.Direction, m.Outcome = message.Inbound, message.Received
	m, _, err := s.Receive(t.Context(), m, fmt.Sprint("reply-", n))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func conversation(t testing.TB, s *message.Store) message.Conversation {
	t.Helper()
	c, err := s.Conversation(t.Context(), account, talk)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mark(t testing.TB, s *message.Store, n int) bool {
	t.Helper()
	applied, err := s.MarkRead(t.Context(), account, message.Marker{UpTo: mid(n), By: "user_1", At: at(n)})
	if err != nil {
		t.Fatal(err)
	}
	return applied
}

// A message that is sent pays nothing for the inbox, a reply one write unit.
func TestWhatTheInboxCostsAMessage(t *testing.T) {
	t.Parallel()
	s, count := countedStore(t)
	create(t, s, fresh(mid(1), "hello"))
	if got := count.Report().Total; got.WriteUnits != 1 || got.Requests != 1 {
		t.Errorf("a message that is sent takes %+v", got)
	}
	count.Reset()
	receive(t, s, 2)
	if got := count.Report().Total; got != (awsclient.Usage{Requests: 4, WriteUnits: 3, ReadUnits: 1}) {
		t.Errorf("a reply takes %+v", got)
	}
	count.Reset()
	receive(t, s, 2) // the provider repeats it
	if got := count.Report().Total; got.Requests != 2 {
		t.Errorf("a repeat takes %+v", got)
	}
	if c := conversation(t, s); c.Unread != 1 || !c.LastOutboundAt.Equal(mid(1).Time()) || !c.LastInboundAt.Equal(mid(2).Time()) || c.Last.ID != mid(2) {
		t.Errorf("got %+v", c)
	}
}

func TestWhoWroteLastIsKnownHoweverFarBackTheOtherWrote(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]bool{"many replies after what was sent": true, "much was sent after a reply": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			write := func(n int, inbound bool) {
				if inbound {
					receive(t, s, n)
					return
				}
				create(t, s, fresh(mid(n), "hello"))
			}
			write(1, !reply)
			for n := 2; n < 130; n++ {
				write(n, reply)
			}
			c := conversation(t, s)
			in, out := c.LastInboundAt.Sub(start).Milliseconds(), c.LastOutboundAt.Sub(start).Milliseconds()
			if reply && (in != 129 || out != 1) || !reply && (in != 1 || out != 129) {
				t.Errorf("last reply at %d, last sent at %d", in, out)
			}
		})
	}
}

func TestMarkersNeverGoBackWhateverTheOrder(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for n := 1; n <= 8; n++ {
		receive(t, s, n)
	}
	var all sync.WaitGroup
	for n := 1; n <= 7; n++ {
		all.Go(func() { mark(t, s, n) })
	}
	all.Wait()
	if c := conversation(t, s); c.Unread != 1 || c.Read.UpTo != mid(7) {
		t.Errorf("unread %d, read up to %s", c.Unread, c.Read.UpTo)
	}
	if mark(t, s, 3) {
		t.Error("the marker went back")
	}
}

func TestRepliesAtOnceAreEachCounted(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var all sync.WaitGroup
	for n := 1; n <= 20; n++ {
		all.Go(func() { receive(t, s, n) })
	}
	all.Wait()
	if c := conversation(t, s); c.Unread != 20 || !c.LastInboundAt.Equal(mid(20).Time()) {
		t.Errorf("unread %d, last at %s", c.Unread, c.LastInboundAt)
	}
	mark(t, s, 20)
	if c := conversation(t, s); c.Unread != 0 {
		t.Errorf("when all are read, %d are unread", c.Unread)
	}
}

func TestWhatIsErasedIsNeitherUnreadNorATask(t *testing.T) {
	t.Parallel()
	for name, later := range map[string]bool{"the conversation ended": false, "the conversation went on": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := countedStore(t)
			receive(t, s, 1)
			receive(t, s, 2)
			mark(t, s, 1)
			assign := func(user string, when time.Time) {
				if err := s.Assign(t.Context(), account, talk, message.Assignment{UserID: user, By: "user_1", At: when}, audittest.By(account)); err != nil {
					t.Fatal(err)
				}
			}
			assign("ann", mid(2).Time())
			until := mid(3).Time()
			if later {
				receive(t, s, 4)
				assign("bob", mid(5).Time())
			}
			for range 2 {
				if err := s.Forget(t.Context(), account, talk, until, !later); err != nil {
					t.Fatal(err)
				}
			}
			c := conversation(t, s)
			want, user := int64(0), ""
			if later {
				want, user = 1, "bob"
			}
			if c.Unread != want || c.Read != (message.Marker{}) || c.Assignee.UserID != user {
				t.Errorf("unread %d, read %+v, assigned to %+v", c.Unread, c.Read, c.Assignee)
			}
			if list, _, err := s.Assigned(t.Context(), account, "ann", "", 10); err != nil || len(list) != 0 {
				t.Errorf("ann has %v, %v", list, err)
			}
			if err := s.PurgeAssigned(t.Context(), account); err != nil {
				t.Fatal(err)
			}
			if list, _, err := s.Assigned(t.Context(), account, "bob", "", 10); err != nil || len(list) != 0 {
				t.Errorf("bob has %v, %v", list, err)
			}
		})
	}
}

func TestNothingIsMadeOfAnErasureWhereNothingWas(t *testing.T) {
	t.Parallel()
	s, count := countedStore(t)
	if err := s.Forget(t.Context(), account, talk, start, true); err != nil {
		t.Fatal(err)
	}
	if got := count.Report().Total; got.WriteUnits != 0 {
		t.Errorf("it wrote: %+v", got)
	}
}

func TestATaskIsOneUsersWhoeverAssignsAtOnce(t *testing.T) {
	t.Parallel()
	s, _ := countedStore(t)
	receive(t, s, 1)
	users := []string{"ann", "bob", "cid"}
	var all sync.WaitGroup
	for _, u := range users {
		all.Go(func() {
			// One that always met another is refused, and says so.
			_ = s.Assign(t.Context(), account, talk, message.Assignment{UserID: u, By: u, At: at(1)}, audittest.By(account))
		})
	}
	all.Wait()
	holder := conversation(t, s).Assignee.UserID
	for _, u := range users {
		list, next, err := s.Assigned(t.Context(), account, u, "", 10)
		if err != nil || next != "" || (len(list) == 1) != (u == holder) {
			t.Errorf("%s has %v, it is the task of %q: %v", u, list, holder, err)
		}
	}
}

// A message that was canceled is no activity: its conversation is listed where it was active last, and once.
func TestAConversationIsListedOnceWhereItWasActive(t *testing.T) {
	t.Parallel()
	s, count := countedStore(t)
	const quiet, busy = "000000000000000a", "000000000000000b"
	say := func(conversation string, hours int, outcome message.Status) {
		t.Helper()
		m := fresh(idAt(start.Add(time.Duration(hours)*time.Hour), conversation), "hello")
		m.Outcome = outcome
		create(t, s, m)
		if err := s.Touch(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	say(quiet, 0, message.Sent)
	say(quiet, 4, message.Canceled)
	for hour := range 8 {
		say(busy, hour, message.Sent)
	}
	for size := 1; size <= 10; size++ {
		var got []string
		for p := (attr.Page{Size: size}); ; {
			list, next, err := s.Conversations(t.Context(), account, chn, p, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range list {
				got = append(got, c.Key)
			}
			if p.Token = next; next == "" {
				break
			}
		}
		if fmt.Sprint(got) != fmt.Sprint([]string{busy, quiet}) {
			t.Errorf("pages of %d: %v", size, got)
		}
	}
	count.Reset()
	if _, _, err := s.Conversations(t.Context(), account, chn, attr.Page{Size: 10}, nil); err != nil {
		t.Fatal(err)
	}
	if got := count.Report().Total.Requests; got > 7 {
		t.Errorf("a page takes %d requests: entries of a conversation that was met are looked at again", got)
	}
}
