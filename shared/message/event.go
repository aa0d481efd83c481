package message

import (
	"strconv"
	"time"

	"contactcenter/shared/event"
)

// Event is the event of a step that the message took: false when it did not take it, or when it is none that anybody is told of. A
// step gives the same event whenever it is asked for.
func (m Message) Event(s Status) (event.Event, bool) {
	switch s {
	case Scheduled, Sending:
		return event.Event{}, false
	case Queued, Received:
		at := m.CreatedAt()
		if !m.SendAt.IsZero() {
			at = m.SendAt
		}
		return event.New(event.Type("message."+s), m.AccountID, m.ID.String(), at, ""), (s == Received) == (m.Direction == Inbound)
	case Held:
		at, nth := m.holding()
		return event.New(event.MessageHeld, m.AccountID, m.ID.String(), at, strconv.Itoa(nth)), nth > 0
	}
	for _, step := range m.Steps {
		if step.Status == s {
			return event.New(event.Type("message."+s), m.AccountID, m.ID.String(), step.At, ""), true
		}
	}
	return event.Event{}, false
}

// holding tells since when the message has been held, and for which time: 0, it never was. One that is held again before it was
// released is held since the first time.
func (m Message) holding() (since time.Time, nth int) {
	held := false
	for _, step := range m.Steps {
		if step.Status == Held && !held {
			since, nth = step.At, nth+1
		}
		held = step.Status == Held
	}
	return since, nth
}
