package event_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"contactcenter/shared/event"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func TestTheSameStepIsTheSameEventAndAnotherIsNot(t *testing.T) {
	t.Parallel()
	e := event.New(event.MessageSent, "acct_1", "msg_1", noon, "")
	if again := event.New(event.MessageSent, "acct_1", "msg_1", noon.Add(time.Microsecond), ""); again != e {
		t.Errorf("%+v, then %+v", e, again)
	}
	for name, other := range map[string]event.Event{
		"another type":     event.New(event.MessageRead, "acct_1", "msg_1", noon, ""),
		"another account":  event.New(event.MessageSent, "acct_2", "msg_1", noon, ""),
		"another resource": event.New(event.MessageSent, "acct_1", "msg_2", noon, ""),
		"a second time":    event.New(event.MessageSent, "acct_1", "msg_1", noon, "2"),
		"for an account":   e.For("acct_1"),
	} {
		if other.ID == e.ID {
			t.Errorf("%s has the same id", name)
		}
	}
	if later := event.New(event.MessageSent, "acct_1", "msg_1", noon.Add(time.Millisecond), ""); event.Compare(e, later) >= 0 {
		t.Error("ids do not sort by time")
	}
}

func TestSetsAreStoredAndReadBack(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{nil, {"message.sent"}, {"message.queued", "evidence.requested"}} {
		s, unknown := event.SetOf(names...)
		if back := event.Decode(s.Encode()); unknown != "" || back != s || !slices.Equal(back.Names(), names) {
			t.Errorf("%v became %v", names, back.Names())
		}
	}
	if s := event.Decode("*"); s != event.All || len(s.Names()) != len(event.Types()) || event.All.Encode() != "*" {
		t.Errorf("all are %v", s.Names())
	}
	if s := event.Decode("message.sent message.of_tomorrow"); !slices.Equal(s.Names(), []string{"message.sent"}) {
		t.Errorf("%v", s.Names())
	}
	if _, unknown := event.SetOf("message.sent", "endpoint.test"); unknown != "endpoint.test" {
		t.Errorf("%q", unknown)
	}
}

func TestOnlyEventsAreReadFromTheQueue(t *testing.T) {
	t.Parallel()
	e := event.New(event.UsageReset, "acct_1", "", noon, "")
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := event.Parse(string(b)); err != nil || got != e {
		t.Errorf("%+v, %v", got, err)
	}
	for _, body := range []string{"", "{}", "x", `{"event_id":"evt_1","type":"usage.reset","at":"2026-11-24T12:00:00Z"}`, `{"event_id":"` + e.ID + `","type":"usage.sold","at":"2026-11-24T12:00:00Z"}`} {
		if _, err := event.Parse(body); !errors.Is(err, event.ErrMalformed) {
			t.Errorf("%q: %v", body, err)
		}
	}
}
