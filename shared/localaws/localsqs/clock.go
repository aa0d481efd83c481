package localsqs

import (
	"sync"
	"time"
)

// Clock tells the engine the time and wakes its long polls.
type Clock interface {
	Now() time.Time
	// After returns a channel that receives once, when d has passed.
	After(d time.Duration) <-chan time.Time
}

// SystemClock is the machine's own clock.
type SystemClock struct{}

// Now returns the current time.
func (SystemClock) Now() time.Time { return time.Now() }

// After is time.After.
func (SystemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// ManualClock stands still until it is advanced, so that a test can pass a visibility timeout without waiting for it.
// It is safe for concurrent use.
type ManualClock struct {
	mu      sync.Mutex
	now     time.Time
	pending []alarm
}

type alarm struct {
	at time.Time
	ch chan time.Time
}

// NewManualClock returns a clock that shows start.
func NewManualClock(start time.Time) *ManualClock { return &ManualClock{now: start} }

// Now returns the time that the clock shows.
func (c *ManualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// After returns a channel that receives when the clock has been advanced by d.
func (c *ManualClock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := alarm{at: c.now.Add(d), ch: make(chan time.Time, 1)}
	if d <= 0 {
		a.ch <- c.now
		return a.ch
	}
	c.pending = append(c.pending, a)
	return a.ch
}

// Advance moves the clock forward by d and wakes whoever waited for a time up to then.
func (c *ManualClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	rest := c.pending[:0]
	for _, a := range c.pending {
		if a.at.After(c.now) {
			rest = append(rest, a)
			continue
		}
		a.ch <- c.now
	}
	clear(c.pending[len(rest):])
	c.pending = rest
}
