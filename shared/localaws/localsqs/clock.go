package localsqs

import (
	"context"
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
	waiting chan struct{} // closed when pending grows
}

type alarm struct {
	at time.Time
	ch chan time.Time
}

// NewManualClock returns a clock that shows start.
func NewManualClock(start time.Time) *ManualClock {
	return &ManualClock{now: start, waiting: make(chan struct{})}
}

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
	close(c.waiting)
	c.waiting = make(chan struct{})
	return a.ch
}

// AwaitPending returns when at least n calls of After wait for the clock to move: for a test that has to know that a long
// poll is at rest before it goes on.
func (c *ManualClock) AwaitPending(ctx context.Context, n int) error {
	for {
		c.mu.Lock()
		have, grows := len(c.pending), c.waiting
		c.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-grows:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
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
