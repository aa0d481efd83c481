package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/api"
	"contactcenter/shared/attr"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/channel"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/edna"
)

// talk gives a conversation, as a call answers it.
func (s *stack) talk(method, path, body string) api.Conversation {
	s.t.Helper()
	a := s.call(testAccount, method, path, body)
	var c api.Conversation
	if err := json.Unmarshal(a.body, &c); err != nil || a.status != 200 {
		s.t.Fatalf("%s %s: %d %s %v", method, path, a.status, a.body, err)
	}
	return c
}

func (s *stack) markRead(conversationID, upTo string) api.Conversation {
	s.t.Helper()
	return s.talk("POST", "/v1/conversations/"+conversationID+"/read", fmt.Sprintf(`{"up_to_message_id":%q}`, upTo))
}

// reply records a reply, a second later than what was before.
func (s *stack) reply(from, text string) message.Message {
	s.t.Helper()
	s.advance(time.Second)
	return s.receive(text, from)
}

// listed gives the addresses of a list of conversations, page by page.
func (s *stack) listed(query string, size int) (addresses []string) {
	s.t.Helper()
	for token := ""; ; {
		target := fmt.Sprintf("/v1/conversations?%s&page_size=%d", query, size)
		if token != "" {
			target += "&page_token=" + url.QueryEscape(token)
		}
		a := s.call(testAccount, "GET", target, "")
		if a.status != 200 {
			s.t.Fatalf("%s: %d %s", target, a.status, a.body)
		}
		var page api.ConversationList
		s.must(json.Unmarshal(a.body, &page))
		for _, c := range page.Items {
			addresses = append(addresses, c.Address)
		}
		if token = page.NextPageToken; token == "" {
			return addresses
		}
	}
}

//
func TestRepliesAreUnreadUntilTheAccountReadThem(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	const person = "+35799000001"
	first := s.reply(person, "one")
	cnv := first.ID.ConversationID()
	second := s.reply(person, "two")
	s.advance(time.Second)
	answer := s.call(testAccount, "POST", "/v1/messages", s.textTo(person, "answer", "")).message(t)
	third := s.reply(person, "three")
	for _, c := range []struct {
		name   string
		upTo   string
		marker string
		unread int64
	}{
		{"up to the first", first.ID.String(), first.ID.String(), 2},
		{"up to our answer", answer.ID, answer.ID, 1},
		{"back to the second, which changes nothing", second.ID.String(), answer.ID, 1},
		{"up to the last", third.ID.String(), third.ID.String(), 0},
		{"the same again", third.ID.String(), third.ID.String(), 0},
	} {
		s.advance(time.Second)
		got := s.markRead(cnv, c.upTo)
		if got.UnreadCount != c.unread || got.Read == nil || got.Read.UpToMessageID != c.marker || got.Read.ReadBy != "user_7" {
			t.Errorf("%s: unread %d, %+v", c.name, got.UnreadCount, got.Read)
		}
		if shown := s.talk("GET", "/v1/conversations/"+cnv, ""); !reflect.DeepEqual(shown, got) {
			t.Errorf("%s: its read shows %+v", c.name, shown)
		}
	}
	if got := s.talk("GET", "/v1/conversations/"+cnv, ""); got.LastMessage == nil || got.LastMessage.ID != third.ID.String() || got.LastMessage.Content.Text != "three" || !got.LastOutboundAt.Equal(answer.CreatedAt.Time) {
		t.Errorf("got %+v", got)
	}
	s.reply(person, "four")
	if got := s.talk("GET", "/v1/conversations/"+cnv, ""); got.UnreadCount != 1 {
		t.Errorf("after one more, %d are unread", got.UnreadCount)
	}
}

func TestAMarkerNamesAMessageOfItsConversation(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	mine, other := s.reply("+35799000001", "one"), s.reply("+35799000002", "two")
	path := "/v1/conversations/" + mine.ID.ConversationID() + "/read"
	ghost := mine.ID
	ghost.Unique = "zzzzzzzzzzzzzzzz"
	for body, field := range map[string]string{
		fmt.Sprintf(`{"up_to_message_id":%q}`, other.ID): "up_to_message_id",
		fmt.Sprintf(`{"up_to_message_id":%q}`, ghost):    "up_to_message_id",
		`{"up_to_message_id":"x"}`:                       "up_to_message_id",
		`{}`:                                             "up_to_message_id",
		fmt.Sprintf(`{"up_to_message_id":%q,"by":"x"}`, mine.ID): "by",
	} {
		a := s.call(testAccount, "POST", path, body)
		if p := a.problem(t); a.status != 422 || len(p.Errors) != 1 || p.Errors[0].Field != field {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	if a := s.call(otherAccount, "POST", path, fmt.Sprintf(`{"up_to_message_id":%q}`, mine.ID)); a.status != 404 {
		t.Errorf("another account got %d", a.status)
	}
	if got := s.talk("GET", "/v1/conversations/"+mine.ID.ConversationID(), ""); got.UnreadCount != 1 || got.Read != nil {
		t.Errorf("something was marked: %+v", got)
	}
}

func TestAConversationIsOneUsersTaskAtATime(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	m := s.reply("+35799000001", "one")
	path := "/v1/conversations/" + m.ID.ConversationID() + "/assignee"
	if c := s.talk("PUT", path, `{"user_id":"ann"}`); c.Assignee == nil || c.Assignee.UserID != "ann" || c.Assignee.AssignedBy != "user_7" || !c.Assignee.AssignedAt.Equal(s.clock()) {
		t.Errorf("got %+v", c.Assignee)
	}
	s.advance(time.Second)
	s.talk("PUT", path, `{"user_id":"ann"}`) // changes nothing
	s.advance(time.Second)
	if c := s.talk("PUT", path, `{"user_id":"ann#bob"}`); c.Assignee == nil || c.Assignee.UserID != "ann#bob" {
		t.Errorf("got %+v", c.Assignee)
	}
	for user, want := range map[string]int{"ann": 0, "ann#bob": 1, "bob": 0} {
		if got := s.listed("assignee_id="+url.QueryEscape(user), 10); len(got) != want {
			t.Errorf("%s has %v", user, got)
		}
	}
	for range 2 { // the second finds nothing to do
		s.advance(time.Second)
		if a := s.call(testAccount, "DELETE", path, ""); a.status != 204 {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if c := s.talk("GET", "/v1/conversations/"+m.ID.ConversationID(), ""); c.Assignee != nil || len(s.listed("assignee_id="+url.QueryEscape("ann#bob"), 10)) != 0 {
		t.Errorf("it is still a task: %+v", c.Assignee)
	}
	var got []string
	for _, e := range audittest.Of(t, s.audit, testAccount) {
		got = append(got, fmt.Sprintf("%s %v %v %s", e.Action, e.Before["user_id"], e.After["user_id"], e.Actor.ID))
		if e.Target != m.ID.ConversationID() {
			t.Errorf("audit: %s is of %s", e.Action, e.Target)
		}
	}
	want := []string{"conversation.assigned <nil> ann user_7", "conversation.assigned ann ann#bob user_7", "conversation.unassigned ann#bob <nil> user_7"}
	if !slices.Equal(got, want) {
		t.Errorf("audit: got %q, want %q", got, want)
	}
	for body, field := range map[string]string{`{}`: "user_id", `{"user_id":""}`: "user_id", `{"user_id":"` + strings.Repeat("é", 256) + `"}`: "user_id", `{"user_id":"a","team":"b"}`: "team"} {
		if a := s.call(testAccount, "PUT", path, body); a.status != 422 || a.problem(t).Errors[0].Field != field {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	for _, method := range []string{"PUT", "DELETE"} {
		if a := s.call(otherAccount, method, path, map[string]string{"PUT": `{"user_id":"eve"}`}[method]); a.status != 404 {
			t.Errorf("%s: another account got %d", method, a.status)
		}
	}
}

func TestConversationsAreFoundByWhatTheyAreFilteredBy(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	second := channel.Channel{ID: "chn_000000000000000b", AccountID: testAccount, ProviderID: edna.ID, Type: "whatsapp", Name: "b", CreatedAt: s.clock()}
	foreign := channel.Channel{ID: "chn_000000000000000c", AccountID: otherAccount, ProviderID: edna.ID, Type: "whatsapp", Name: "c", CreatedAt: s.clock()}
	for _, c := range []channel.Channel{second, foreign} {
		s.must(s.channels.Create(t.Context(), c, audittest.By(c.AccountID)))
	}
	first := s.channel
	var cnv []string
	for i, where := range []channel.Channel{first, first, first, second} {
		s.channel = where
		address := fmt.Sprintf("+3579900000%d", min(i, 2)) // the last has a conversation on both channels
		m := s.reply(address, "hello")
		cnv = append(cnv, m.ID.ConversationID())
		s.advance(2 * time.Hour)
	}
	s.channel = first
	for i := range 4 {
		s.talk("PUT", "/v1/conversations/"+cnv[i]+"/assignee", `{"user_id":"ann"}`)
	}
	s.talk("PUT", "/v1/conversations/"+cnv[1]+"/assignee", `{"user_id":"bob"}`)
	s.advance(time.Minute)
	s.call(testAccount, "POST", "/v1/messages", s.textTo("+35799000000", "x", `,"client_reference":"deal 7"`))
	s.call(testAccount, "POST", "/v1/messages", s.textTo("+35799000000", "y", `,"client_reference":"deal 7"`))
	s.advance(time.Minute)
	s.call(testAccount, "POST", "/v1/messages", s.textTo("+35799000002", "z", `,"client_reference":"deal 7"`))
	last := s.talk("GET", "/v1/conversations/"+cnv[2], "")
	s.talk("POST", "/v1/conversations/"+cnv[0]+"/read", `{"up_to_message_id":"`+s.talk("GET", "/v1/conversations/"+cnv[0], "").LastMessage.ID+`"}`)
	s.call(testAccount, "DELETE", "/v1/conversations/"+cnv[1]+"/assignee", "")
	const a, b, c = "+35799000000", "+35799000001", "+35799000002"
	for query, want := range map[string][]string{
		"assignee_id=ann":                                               {c, a, c},
		"assignee_id=bob":                                               nil,
		"assignee_id=ann&channel_id=" + second.ID:                       {c},
		"assignee_id=ann&client_reference=deal+7":                       {c, a},
		"client_reference=deal+7":                                       {c, a},
		"recipient_id=" + last.RecipientID:                              {c, c},
		"recipient_id=" + last.RecipientID + "&channel_id=" + first.ID:  {c},
		"recipient_id=" + last.RecipientID + "&client_reference=deal+7": {c},
		"recipient_id=" + last.RecipientID + "&assignee_id=bob":         nil,
		"channel_id=" + second.ID:                                       {c},
		"unassigned=true&channel_id=" + first.ID:                        {b},
		"unread=true&channel_id=" + first.ID:                            {c, b},
		"unread=true&assignee_id=ann":                                   {c, c},
		"unread=true&unassigned=true&client_reference=deal+7":           nil,
		"unassigned=true&recipient_id=" + last.RecipientID:              nil,
	} {
		for _, size := range []int{1, 2, 200} {
			if got := s.listed(query, size); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s by %d: got %v, want %v", query, size, got, want)
			}
		}
	}
	for target, status := range map[string]int{
		"assignee_id=" + strings.Repeat("a", 256): 422, "unread=true": 422, "unread=1&assignee_id=ann": 422, "recipient_id=rcp_0000000000000000": 404, "assignee_id=ann&channel_id=" + foreign.ID: 404,
		"assignee_id=ann&page_token=x": 422,
	} {
		if got := s.call(testAccount, "GET", "/v1/conversations?"+target, ""); got.status != status {
			t.Errorf("%s: %d %s", target, got.status, got.body)
		}
	}
	var page api.ConversationList
	s.must(json.Unmarshal(s.call(testAccount, "GET", "/v1/conversations?assignee_id=ann&page_size=1", "").body, &page))
	if got := s.call(testAccount, "GET", "/v1/conversations?assignee_id=bob&page_token="+url.QueryEscape(page.NextPageToken), ""); page.NextPageToken == "" || got.status != 422 {
		t.Errorf("another list took the token: %d %s", got.status, got.body)
	}
	for _, query := range []string{"assignee_id=ann", "client_reference=deal+7"} {
		if got := s.call(otherAccount, "GET", "/v1/conversations?"+query, ""); got.status != 200 || strings.Contains(string(got.body), "cnv_") {
			t.Errorf("%s: another account got %d %s", query, got.status, got.body)
		}
	}
}

//
func TestAConversationIsReadInBothDirections(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	var all []string // oldest first
	for i := range 10 {
		all = append(all, s.reply(testAddress, fmt.Sprint("m", i)).ID.String())
	}
	cnv := s.mid(all[0]).ConversationID()
	read := func(size int, query string) (ids []string, older, newer string) {
		a := s.call(testAccount, "GET", fmt.Sprintf("/v1/messages?conversation_id=%s&page_size=%d%s", cnv, size, query), "")
		var page api.MessageList
		if err := json.Unmarshal(a.body, &page); err != nil || a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		for _, m := range page.Items {
			ids = append(ids, m.ID)
		}
		return ids, page.NextPageToken, page.PreviousPageToken
	}
	by := func(token string) string { return "&page_token=" + url.QueryEscape(token) }
	newestFirst := func(from, to int) []string {
		list := slices.Clone(all[from:to])
		slices.Reverse(list)
		return list
	}
	check := func(what string, got, want []string) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	top, older, _ := read(3, "")
	check("the newest", top, newestFirst(7, 10))
	middle, older, back := read(3, by(older))
	check("older ones", middle, newestFirst(4, 7))
	_, _, deepest := read(3, by(older))
	again, onward, newer := read(2, by(back))
	check("back to newer ones", again, newestFirst(7, 9))
	down, _, _ := read(2, by(onward))
	check("and down again", down, newestFirst(5, 7))
	rest, _, newest := read(5, by(newer))
	check("up to the newest", rest, newestFirst(9, 10))
	none, _, same := read(5, by(newest))
	check("there is none newer", none, nil)
	all = append(all, s.reply(testAddress, "new").ID.String())
	found, _, _ := read(5, by(same))
	check("until one comes", found, newestFirst(10, 11))
	everything, _, _ := read(50, by(deepest)+"&status=received")
	check("all newer ones of a status", everything, newestFirst(4, 11))
	if a := s.call(testAccount, "GET", "/v1/messages?conversation_id=cnv_zzzzzzzzzzzzzzzz"+by(same), ""); a.status != 422 {
		t.Errorf("another conversation took the token: %d", a.status)
	}
}

// fill writes clones of an item under other keys, 25 at a time.
func (s *stack) fill(like attr.Item, keys []attr.Item) {
	s.t.Helper()
	for some := range slices.Chunk(keys, 25) {
		var writes []types.WriteRequest
		for _, k := range some {
			it := attr.Item{}
			for name, v := range like {
				it[name] = v
			}
			for name, v := range k {
				it[name] = v
			}
			writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: it}})
		}
		_, err := s.db.BatchWriteItem(s.t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{s.h.Messages.Table: writes}})
		s.must(err)
	}
}

// units are the read units that a request takes.
func (s *stack) units(target string) (float64, int64) {
	s.t.Helper()
	s.call(testAccount, "GET", target, "") // makes the recipients, and fills what is kept in memory
	s.counter.Reset()
	if a := s.call(testAccount, "GET", target, ""); a.status != 200 {
		s.t.Fatalf("%s: %d %s", target, a.status, a.body)
	}
	u := s.counter.Report().Total
	return u.ReadUnits, u.Requests
}

// Fifty of ten thousand conversations cost what fifty of a hundred do.
func TestAListCostsTheSameHoweverManyConversationsThereAre(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	for i := range 100 {
		m := s.reply(fmt.Sprintf("+357990%05d", i), "hello")
		s.advance(time.Second)
		if i%2 == 0 {
			s.markRead(m.ID.ConversationID(), m.ID.String())
		}
	}
	target := "/v1/conversations?page_size=50&channel_id=" + s.channel.ID
	few, requests := s.units(target)
	var below []attr.Item // listed in earlier hours, as Touch lists them
	for i := range 9900 {
		hour := s.clock().Add(-time.Duration(1+i/10) * time.Hour).Format("2006-01-02T15")
		below = append(below, attr.Item{"pk": attr.String(testAccount + "#" + s.channel.ID + "#inbox"), "sk": attr.String(fmt.Sprintf("%s#%016d", hour, i))})
	}
	s.fill(attr.Item{"ttl": attr.Int(s.clock().Add(time.Hour).Unix())}, below)
	many, again := s.units(target)
	t.Logf("50 of 100: %v read units in %d requests; of 10,000: %v in %d", few, requests, many, again)
	if few != many || requests != again {
		t.Errorf("50 of 100 take %v read units in %d requests, of 10,000 %v in %d", few, requests, many, again)
	}
	if few > 150 {
		t.Errorf("a page takes %v read units", few)
	}
}

// A conversation of ten thousand messages costs what one of ten does, whoever wrote them.
func TestAConversationCostsTheSameHoweverLongItIs(t *testing.T) {
	t.Parallel()
	for name, inbound := range map[string]func(int) bool{
		"only replies": func(int) bool { return true }, "no reply": func(int) bool { return false }, "by turns": func(i int) bool { return i%2 == 0 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var costs [2][2]float64
			for n, length := range []int{10, 10000} {
				s := newStack(t)
				s.moveTo(s.clock().Add(24 * time.Hour))
				var m id.Message
				for i := range 10 {
					s.advance(time.Second)
					if inbound(i) {
						m = s.receive("hello", testAddress).ID
						continue
					}
					m = s.mid(s.send("hello").ID)
					s.endAs(m)
				}
				s.lengthen(m, length-10)
				costs[n][0], _ = s.units("/v1/conversations/" + m.ConversationID())
				costs[n][1], _ = s.units("/v1/messages?page_size=10&conversation_id=" + m.ConversationID())
			}
			t.Logf("%s: %v read units", name, costs)
			if costs[0] != costs[1] {
				t.Errorf("with 10 messages it takes %v read units, with 10,000 %v", costs[0], costs[1])
			}
		})
	}
}

// endAs ends a message as a provider's refusal does.
func (s *stack) endAs(m id.Message) {
	s.t.Helper()
	w, err := s.h.Messages.End(s.t.Context(), testAccount, m, 1, message.Ending{Status: message.Failed, At: s.clock()})
	s.must(err)
	if !w.Applied {
		s.t.Fatal("it was not ended")
	}
}

// lengthen puts earlier messages into a conversation, like the one that is there.
func (s *stack) lengthen(m id.Message, by int) {
	s.t.Helper()
	out, err := s.db.GetItem(s.t.Context(), &dynamodb.GetItemInput{TableName: aws.String(s.h.Messages.Table), Key: attr.Item{
		"pk": attr.String(testAccount + "#" + m.Conversation), "sk": attr.String("m#" + m.Unique),
	}})
	s.must(err)
	earlier := id.Source{Now: func() time.Time { return s.clock().Add(-time.Hour) }, Random: s.h.IDs.Random}
	keys := make([]attr.Item, by)
	for i := range keys {
		k, err := earlier.NewMessage(m.Conversation)
		s.must(err)
		keys[i] = attr.Item{"pk": attr.String(testAccount + "#" + m.Conversation), "sk": attr.String("m#" + k.Unique)}
	}
	s.fill(out.Item, keys)
}

// A user's tasks are put in order block by block: each comes once, whatever the pages.
func TestManyTasksAreListedOnceEach(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	const tasks = blockSize + 5
	for i := range tasks {
		m := s.reply(fmt.Sprintf("+357990%05d", i), "hello")
		s.must(s.h.Messages.Assign(t.Context(), testAccount, m.ID.Conversation, message.Assignment{UserID: "ann", By: "user_7", At: s.clock()}, audittest.By(testAccount)))
	}
	for _, size := range []int{7, 100, 200} {
		got := s.listed("assignee_id=ann", size)
		slices.Sort(got)
		if n := len(slices.Compact(got)); n != tasks || len(got) != tasks {
			t.Errorf("by %d: %d were listed, %d different ones", size, len(got), n)
		}
	}
}

func TestOfManyWhoAssignAConversationTheLastHasTheWord(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	m := s.reply(testAddress, "Hello")
	answers := make([]answer, 16)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			answers[i] = s.call(testAccount, "PUT", "/v1/conversations/"+m.ID.ConversationID()+"/assignee", fmt.Sprintf(`{"user_id":"user_%d"}`, i))
		})
	}
	all.Wait()
	tasks := 0
	for i, a := range answers {
		if a.status != 200 {
			t.Errorf("answered %d %s", a.status, a.body)
		}
		tasks += len(s.listed(fmt.Sprintf("assignee_id=user_%d", i), 10))
	}
	if tasks != 1 {
		t.Errorf("it is the task of %d users", tasks)
	}
}
