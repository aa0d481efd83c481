// Package availability knows when the platform and its Communication Providers were not seen to work, and puts that together for a month: the log
// of outages with whose they were, and figures that say which time they cover. What is not recorded counts as not observed, never as available.
// How providers work at present is known by package health.
package availability

import (
	"errors"
	"time"
)

// Month is a calendar month in UTC, by its first moment.
type Month struct{ From time.Time }

const (
	monthLayout = "2006-01"
	// earlier is how many months before the present one there are reports of. What is older may have expired already.
	earlier = 13
)

var (
	// ErrMonth: the text names no month.
	ErrMonth = errors.New("not a month")
	// ErrNoReport: the month has not begun, or is too long ago.
	ErrNoReport = errors.New("there is no report of the month")
)

// ParseMonth reads a month, like "2026-11". It returns ErrMonth.
func ParseMonth(s string) (Month, error) {
	at, err := time.Parse(monthLayout, s)
	if err != nil || at.Format(monthLayout) != s {
		return Month{}, ErrMonth
	}
	return Month{at}, nil
}

// String names the month as ParseMonth reads it.
func (m Month) String() string { return m.From.Format(monthLayout) }

// Until is the first moment after the month.
func (m Month) Until() time.Time { return m.From.AddDate(0, 1, 0) }

// reported tells whether there is a report of the month at a moment.
func (m Month) reported(now time.Time) bool {
	now = now.UTC()
	present := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	return !m.From.After(present) && !m.From.Before(present.AddDate(0, -earlier, 0))
}
