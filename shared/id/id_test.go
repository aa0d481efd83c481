package id

import (
	"bytes"
	"crypto/rand"
	"errors"
	"sort"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestMessageIDsSortByTimeAndReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMilli(rapid.Int64Range(0, 1<<47).Draw(t, "ms")).UTC()
		now := at
		src := Source{Now: func() time.Time { return now }, Random: rand.Reader}
		keyer, err := NewConversationKeyer(bytes.Repeat([]byte{7}, 16))
		if err != nil {
			t.Fatal(err)
		}
		key := keyer.Key("acct_a", "chn_b", rapid.String().Draw(t, "address"))
		first, err := src.NewMessage(key)
		if err != nil {
			t.Fatal(err)
		}
		now = at.Add(time.Millisecond)
		second, err := src.NewMessage(key)
		if err != nil {
			t.Fatal(err)
		}
		if !sort.StringsAreSorted([]string{first.String(), second.String()}) {
			t.Fatalf("%s does not sort before %s", first, second)
		}
		back, err := ParseMessage(first.String())
		if err != nil || back != first || !back.Time().Equal(at) {
			t.Fatalf("read back %+v at %s, %v; want %+v at %s", back, back.Time(), err, first, at)
		}
	})
}

func TestMalformedIDsAreRefused(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "msg_", "msg_x", "cnv_0000000000000000", "msg_0000000000000000000000000000000", "msg_000000000000000000000000000000000", "msg_0000000000000000000000000000000u", "MSG_00000000000000000000000000000000"} {
		if _, err := ParseMessage(s); !errors.Is(err, ErrMalformed) {
			t.Errorf("ParseMessage(%q) = %v, want ErrMalformed", s, err)
		}
	}
}

func TestConversationKeysTellAccountsChannelsAndAddressesApart(t *testing.T) {
	t.Parallel()
	keyer, err := NewConversationKeyer([]byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, parts := range [][3]string{{"a", "b", "c"}, {"ab", "", "c"}, {"a", "bc", ""}, {"", "ab", "c"}, {"a", "b", "d"}} {
		k := keyer.Key(parts[0], parts[1], parts[2])
		if seen[k] {
			t.Errorf("key of %v was given twice", parts)
		}
		seen[k] = true
	}
}

// The id of a message tells whether it came in a batch, whatever the randomness is.
func TestAnIDTellsWhetherItsMessageCameInABatch(t *testing.T) {
	t.Parallel()
	const conversation = "0123456789abcdef"
	for _, random := range []byte{0x00, 0x7f, 0x80, 0xff} {
		s := Source{Now: func() time.Time { return time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC) }, Random: bytes.NewReader(bytes.Repeat([]byte{random}, 64))}
		one, err := s.NewMessage(conversation)
		if err != nil || one.OfBatch() {
			t.Errorf("%#x: a single message's id is %s, %v", random, one, err)
		}
		batch, err := s.NewBatch()
		if err != nil {
			t.Fatal(err)
		}
		for _, index := range []int{0, 1, 127, 128, BatchSize - 1} {
			m, err := batch.Message(index, conversation)
			if err != nil || !m.OfBatch() || !m.Time().Equal(one.Time()) {
				t.Errorf("%#x: the id of message %d of a batch is %s, %v", random, index, m, err)
			}
			if again, err := ParseMessage(m.String()); err != nil || !again.OfBatch() {
				t.Errorf("%#x: read again it is %v, %v", random, again, err)
			}
		}
	}
	if (Message{Unique: "not an id"}).OfBatch() {
		t.Error("what is no id is of a batch")
	}
}
