package stack

import "testing"

func TestStepsOfAMessageMayBeSkipped(t *testing.T) {
	t.Parallel()
	m := Message{Status: "read", Timeline: []Step{{Status: "queued"}, {Status: "delivered"}, {Status: "read"}}}
	if !m.Reached("delivered") || !m.Reached("read") || m.Reached("sent") {
		t.Errorf("%+v", m)
	}
}

func TestMessagesOutOfOrderAreCounted(t *testing.T) {
	t.Parallel()
	calls := []Send{{Seq: 1, MessageID: "a1"}, {Seq: 2, MessageID: "b1", Accepted: true}, {Seq: 3, MessageID: "a2", Accepted: true}, {Seq: 4, MessageID: "a1", Accepted: true}, {Seq: 5, MessageID: "b2", Accepted: true}}
	if n := OutOfOrder([][]string{{"a1", "never taken", "a2"}, {"b1", "b2"}}, calls); n != 1 {
		t.Errorf("%d are out of order, want 1", n)
	}
}
