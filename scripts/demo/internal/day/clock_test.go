package day

import (
	"testing"
	"time"
)

func TestTheClockRunsAtItsSpeedAndStandsWhenItIsTold(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	c := newClock(240, func() time.Time { return now })
	expect := func(want string) {
		t.Helper()
		if got := clockTime(c.shows()); got != want {
			t.Errorf("it shows %s, want %s", got, want)
		}
	}
	now = now.Add(time.Minute)
	expect("08:00")
	c.run()
	now = now.Add(15 * time.Second)
	expect("09:00")
	if left := c.real(10 * time.Hour); left != 15*time.Second {
		t.Errorf("ten is in %s", left)
	}
	c.stand()
	c.stand()
	now = now.Add(time.Hour)
	expect("09:00")
	c.run()
	now = now.Add(7500 * time.Millisecond)
	expect("09:30")
}
