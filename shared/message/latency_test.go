package message_test

import (
	"slices"
	"testing"
	"time"

	"contactcenter/shared/id"
	"contactcenter/shared/message"
)

// the time before a message was to go is nobody's delay.
func TestTheTimeBeforeSendAtIsNoLatency(t *testing.T) {
	t.Parallel()
	m := message.Message{
		ID: id.Message{Unique: mid(0).Unique, Conversation: mid(0).Conversation}, Direction: message.Outbound, Outcome: message.Sent, Report: message.Delivered, SendAt: at(60), TransferCompletedAt: at(62),
		Steps: []message.Step{{Status: message.Sent, At: at(62)}, {Status: message.Delivered, At: at(65)}},
	}
	var statuses []message.Status
	for _, s := range m.Timeline() {
		statuses = append(statuses, s.Status)
	}
	if want := []message.Status{message.Scheduled, message.Queued, message.Sent, message.Delivered}; !slices.Equal(statuses, want) {
		t.Errorf("the timeline is %v", statuses)
	}
	if l, ok := m.Latency(); !ok || l.Queue != 2*time.Second || l.Provider != 3*time.Second || l.Total() != 5*time.Second {
		t.Errorf("got %+v, %v", l, ok)
	}
	m.Outcome, m.Report, m.TransferCompletedAt, m.Steps = message.Canceled, "", time.Time{}, []message.Step{{Status: message.Canceled, At: at(30)}}
	if steps := m.Timeline(); len(steps) != 2 || steps[0].Status != message.Scheduled {
		t.Errorf("canceled before its time: %+v", steps)
	}
}

// what is waiting for us, what is held and what the provider takes are told apart, and their sum is the timeline's.
func TestTheTimelineSumsToTheTotal(t *testing.T) {
	t.Parallel()
	step := func(status message.Status, sec int) message.Step { return message.Step{Status: status, At: at(sec)} }
	ms := func(sec int) time.Duration { return time.Duration(sec) * time.Second }
	cases := map[string]struct {
		report message.Status
		steps  []message.Step
		want   message.Latency
	}{
		"handed over and nothing reported yet": {"", []message.Step{step(message.Sent, 2)}, message.Latency{Queue: ms(2)}},
		"delivered": {message.Delivered, []message.Step{step(message.Sent, 2), step(message.Delivered, 5)},
			message.Latency{Queue: ms(2), Provider: ms(3), Reported: true}},
		"read": {message.Read, []message.Step{step(message.Sent, 2), step(message.Delivered, 5), step(message.Read, 9)},
			message.Latency{Queue: ms(2), Provider: ms(7), Reported: true}},
		"undelivered": {message.Failed, []message.Step{step(message.Sent, 2), step(message.Failed, 3)},
			message.Latency{Queue: ms(2), Provider: ms(1), Reported: true}},
		"held twice": {message.Read, []message.Step{step(message.Held, 1), step(message.Held, 3), step(message.Queued, 6), step(message.Sent, 7), step(message.Read, 8)},
			message.Latency{Queue: ms(2), Held: ms(5), Provider: ms(1), Reported: true}},
		"tried again": {message.Delivered, []message.Step{step(message.Queued, 4), step(message.Sent, 9), step(message.Delivered, 10)},
			message.Latency{Queue: ms(9), Provider: ms(1), Reported: true}},
		"a report that overtook our own write": {message.Delivered, []message.Step{step(message.Delivered, 3), step(message.Sent, 4)},
			message.Latency{Queue: ms(4), Reported: true}},
		"the provider's own word that it has it, and then ours": {message.Sent, []message.Step{step(message.Sent, 3), step(message.Sent, 4)}, message.Latency{Queue: ms(4)}},
		"a provider whose clock is behind":                      {message.Delivered, []message.Step{step(message.Sent, 3), step(message.Delivered, -9)}, message.Latency{Queue: ms(3), Reported: true}},
	}
	for name, c := range cases {
		m := message.Message{ID: mid(0), Direction: message.Outbound, Outcome: message.Sent, Report: c.report, Steps: c.steps, TransferCompletedAt: at(1)}
		got, known := m.Latency()
		if !known || got != c.want {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, known, c.want)
		}
		line := m.Timeline()
		if whole := line[len(line)-1].At.Sub(line[0].At); got.Total() != whole {
			t.Errorf("%s: the total is %s, the timeline's %s", name, got.Total(), whole)
		}
	}
	unknown := map[string]message.Message{
		"it waits":        {ID: mid(0), Direction: message.Outbound, Outcome: message.Queued},
		"it was refused":  {ID: mid(0), Direction: message.Outbound, Outcome: message.Failed, Steps: []message.Step{step(message.Failed, 1)}},
		"it is a reply":   {ID: mid(0), Direction: message.Inbound, Outcome: message.Received},
		"nobody knows it": {ID: mid(0), Direction: message.Outbound, Outcome: message.Unknown, Report: message.Delivered, Steps: []message.Step{step(message.Unknown, 1), step(message.Delivered, 2)}},
	}
	for name, m := range unknown {
		if got, known := m.Latency(); known {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}
