package main

import (
	"sync"
	"time"
)

const (
	// breakerThreshold is how many calls of a channel must fail in a row before it is left alone for a while.
	breakerThreshold = 5
	breakerFirst     = 2 * time.Second
	breakerLongest   = 30 * time.Second
	maxBreakers      = 1000
)

// Breakers keep channels whose provider fails from taking up the dispatcher's time: after failures in a row a
// channel is left alone, for longer each time. They are this process's own view; a pause that the provider asked for is
// kept on the channel's item instead.
type Breakers struct {
	mu       sync.Mutex
	channels map[string]breaker
}

type breaker struct {
	failures int
	until    time.Time
}

// Until is when the channel may be called again.
func (b *Breakers) Until(channelID string, now time.Time) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if br, ok := b.channels[channelID]; ok && br.until.After(now) {
		return br.until
	}
	return now
}

// Success closes a channel's breaker.
func (b *Breakers) Success(channelID string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.channels, channelID)
}

// Failure counts a failed call.
func (b *Breakers) Failure(channelID string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.channels == nil || len(b.channels) >= maxBreakers {
		b.channels = map[string]breaker{}
	}
	br := b.channels[channelID]
	br.failures++
	if br.failures >= breakerThreshold {
		br.until = now.Add(min(breakerFirst<<min(br.failures-breakerThreshold, 4), breakerLongest))
	}
	b.channels[channelID] = br
}
