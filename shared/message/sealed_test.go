package message_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
)

// what lies in the table shows neither content nor addresses.
func TestTheTableHoldsNeitherContentNorAddresses(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for i, text := range []string{"a canary, short", strings.Repeat("a canary, long ", 300)} {
		create(t, s, fresh(mid(i), text))
	}
	reply := fresh(mid(5), "a canary that was received")
	reply.Direction, reply.Outcome = message.Inbound, message.Received
	if _, _, err := s.Receive(t.Context(), reply, "reply-1"); err != nil {
		t.Fatal(err)
	}
	out, err := s.DB.(*dynamodb.Client).Scan(t.Context(), &dynamodb.ScanInput{TableName: &s.Table})
	if err != nil || len(out.Items) < 5 {
		t.Fatalf("%d items, %v", len(out.Items), err)
	}
	for _, it := range out.Items {
		for name, v := range it {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			if raw, ok := v.(*types.AttributeValueMemberB); ok {
				b = raw.Value
			}
			if bytes.Contains(b, []byte("canary")) || bytes.Contains(b, []byte("79990001122")) {
				t.Errorf("the attribute %s holds %s", name, b)
			}
		}
	}
}

// without an opener, a store tells where messages stand and nothing else.
func TestAStoreWithoutAnOpenerShowsNoContent(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	m := create(t, s, fresh(mid(1), "hello"))
	s.Opener = nil
	states, err := s.States(t.Context(), account, []id.Message{m.ID})
	if got := states[m.ID]; err != nil || got.Outcome != message.Queued || got.Address != "" || got.Content.Text != "" {
		t.Errorf("got %v, %v", got.Outcome, err)
	}
	w, err := s.Report(t.Context(), account, chn, m.ID, message.Report{Status: message.Delivered, At: at(1)})
	if err != nil || !w.Applied || w.Message.Address != "" || w.Message.Content.Text != "" {
		t.Errorf("a report: applied %v, %v", w.Applied, err)
	}
	if got, err := s.Get(t.Context(), account, m.ID); err == nil || got.Address != "" {
		t.Errorf("it was read, %v", err)
	}
	if _, err := s.Conversation(t.Context(), account, talk); err == nil {
		t.Error("its conversation was read")
	}
	if _, _, err := s.InConversation(t.Context(), account, talk, attr.Page{Size: 10}); err == nil {
		t.Error("its conversation was listed")
	}
	reply := fresh(mid(5), "reply")
	for range 2 { // a repeated reply is known without being opened
		if _, _, err := s.Receive(t.Context(), reply, "reply-1"); err != nil {
			t.Error(err)
		}
	}
	s.Sealer = nil
	if err := s.Create(t.Context(), fresh(mid(2), "x")); err == nil {
		t.Error("a message was recorded without being sealed")
	}
}

// a blob that is moved to another account's message, or to another message of the same account, does not
// open there.
func TestWhatIsSealedForOneMessageDoesNotOpenInAnother(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long ", 500)
	for name, to := range map[string]func(*message.Message){
		"another account": func(m *message.Message) { m.AccountID = "acc_b" },
		"another message": func(m *message.Message) { m.ID = mid(2) },
	} {
		for _, text := range []string{"short", long} {
			for _, prefix := range []string{"m#", "x#"} {
				if text == "short" && prefix == "x#" {
					continue
				}
				t.Run(fmt.Sprintf("%s, %s%d", name, prefix, len(text)), func(t *testing.T) {
					t.Parallel()
					s := newStore(t)
					from := create(t, s, fresh(mid(1), text))
					target := fresh(mid(1), text)
					to(&target)
					create(t, s, target)
					stolen := raw(t, s, from, prefix)["z"]
					it := raw(t, s, target, prefix)
					it["z"] = stolen
					if _, err := s.DB.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &s.Table, Item: it}); err != nil {
						t.Fatal(err)
					}
					if got, err := s.Get(t.Context(), target.AccountID, target.ID); !errors.Is(err, seal.ErrSealed) || got.Content.Text != "" {
						t.Errorf("it opened: %v", err)
					}
				})
			}
		}
	}
}

// A key that a function has not got yet is told apart from a value that is damaged: the message can wait for it.
func TestAnUnknownKeyIsToldApart(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	m := create(t, s, fresh(mid(1), "hello"))
	s.Opener = sealtest.Opener(seal.Credentials)
	if _, err := s.Get(t.Context(), account, m.ID); !errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("got %v", err)
	}
}

func raw(t *testing.T, s *message.Store, m message.Message, prefix string) map[string]types.AttributeValue {
	t.Helper()
	out, err := s.DB.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &s.Table, Key: map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: m.AccountID + "#" + m.ID.Conversation}, "sk": &types.AttributeValueMemberS{Value: prefix + m.ID.Unique},
	}})
	if err != nil || len(out.Item) == 0 {
		t.Fatalf("no item: %v", err)
	}
	return out.Item
}
