package message

import "time"

// Latency is where the time of an outbound message went, in whole milliseconds.
type Latency struct {
	// Queue is from its acceptance, or from its send_at, until its provider had it, without the time that it was held.
	Queue time.Duration
	// Held is how long it was set aside before that.
	Held time.Duration
	// Provider is from then until the last that the provider reported of its delivery.
	Provider time.Duration
	// Reported says that the provider reported anything; else Provider is 0 because it is not known.
	Reported bool
}

// Total is the time between the first and the last step of the timeline, from send_at on where the message had one.
func (l Latency) Total() time.Duration { return l.Queue + l.Held + l.Provider }

// Latency splits the message's time by its timeline. It reports false for a message that no provider is known to have taken.
func (m Message) Latency() (Latency, bool) {
	if m.Direction != Outbound || m.TransferCompletedAt.IsZero() {
		return Latency{}, false
	}
	steps := m.Timeline()
	taken := 0
	for i, s := range steps {
		if s.Status == Sent {
			taken = i // the last: the provider's own "sent" may have come before ours
		}
	}
	if taken == 0 {
		return Latency{}, false
	}
	var l Latency
	for i := 1; i < len(steps); i++ {
		took := time.Duration(steps[i].At.UnixMilli()-steps[i-1].At.UnixMilli()) * time.Millisecond
		switch {
		case steps[i-1].Status == Scheduled:
			// It was not to go yet.
		case i > taken:
			l.Provider += took
		case steps[i-1].Status == Held:
			l.Held += took
		default:
			l.Queue += took
		}
	}
	l.Reported = taken < len(steps)-1
	return l, true
}
