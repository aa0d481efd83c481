package api

import (
	"encoding/json"
	"fmt"
	"time"

	"contactcenter/shared/content"
)

// Content is a message's content, in its flat form.
type Content = content.Content

// Time is a point in time as the contract shows it: RFC 3339 in UTC with milliseconds.
type Time struct{ time.Time }

const timeLayout = "2006-01-02T15:04:05.000Z"

// At gives t as the contract shows it.
func At(t time.Time) Time { return Time{t.UTC()} }

// OptionalTime gives nil for the zero time, so that the field is left out.
func OptionalTime(t time.Time) *Time {
	if t.IsZero() {
		return nil
	}
	at := At(t)
	return &at
}

// MarshalJSON writes the time with exactly three digits of a second's fraction.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(`"` + t.UTC().Format(timeLayout) + `"`), nil
}

// UnmarshalJSON reads any RFC 3339 time.
func (t *Time) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("read time: %w", err)
	}
	at, err := parseTime(s)
	if err != nil {
		return err
	}
	*t = at
	return nil
}

func parseTime(s string) (Time, error) {
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || !strict(s) {
		return Time{}, fmt.Errorf("the time is not RFC 3339")
	}
	if y := at.UTC().Year(); y < 1970 || y > 9999 {
		return Time{}, fmt.Errorf("the time is out of range")
	}
	return At(at), nil
}

// strict reports whether a time that time.Parse took is one of RFC 3339: time.Parse also takes a comma, an hour of one digit, and a
// zone a day away.
func strict(s string) bool {
	if len(s) < len("2006-01-02T15:04:05Z") || s[len("2006-01-02T15")] != ':' || s[len("2006-01-02T15:04:05")] == ',' {
		return false
	}
	zone := s[len(s)-len("07:00"):]
	return s[len(s)-1] == 'Z' || zone[:2] < "24" && zone[3:] < "60"
}
