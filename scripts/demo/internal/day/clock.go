package day

import (
	"sync"
	"time"
)

// clock is that of the day. It runs at a multiple of real time, and it stands while the day waits for something that takes as long
// as it takes. It is safe for concurrent use.
type clock struct {
	speed float64
	now   func() time.Time

	mu sync.Mutex
	// at is the time of the day at the moment since; standing says that it does not run.
	at       time.Duration
	since    time.Time
	standing bool
}

// newClock gives a clock that shows the opening hour, and stands.
func newClock(speed float64, now func() time.Time) *clock {
	return &clock{speed: speed, now: now, at: opens, since: now(), standing: true}
}

// shows is the time of the day.
func (c *clock) shows() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read()
}

func (c *clock) read() time.Duration {
	if c.standing {
		return c.at
	}
	return c.at + time.Duration(float64(c.now().Sub(c.since))*c.speed)
}

// run lets it run on, stand stops it.
func (c *clock) run() { c.set(false) }

func (c *clock) stand() { c.set(true) }

func (c *clock) set(standing bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.since, c.standing = c.read(), c.now(), standing
}

// real is how long it takes until a time of the day, if the clock goes on as it is set.
func (c *clock) real(until time.Duration) time.Duration {
	return time.Duration(float64(until-c.shows()) / c.speed)
}
