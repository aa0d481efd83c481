package health

import (
	"time"
)

// Status is what is recorded of a subject: its state, and its breaker. The zero Status is that of one of which nothing is known.
type Status struct {
	// State is what was recorded last and Since when; Bad is when there was reason for it last. See Shown.
	State      State
	Since, Bad time.Time
	// Level is 0 while the breaker is closed, else how often it was opened in a row.
	Level int
	// Opened is when this outage began. No call is made before Until; then one that holds the lease, until Probe.
	Opened, Until, Probe time.Time
	// Closed is when the breaker was closed last: what was before that counts no more.
	Closed time.Time
	// nonce names who holds the lease.
	nonce uint64
}

// Lease is how long whoever makes the trying call has for it, more than an invocation of the dispatcher can last. So there are never two.
const Lease = 12 * time.Second

// Open reports whether calls are being held back.
func (s Status) Open() bool { return s.Level > 0 }

// Shown gives the state at a moment. What was recorded lapses when nobody had reason to record it again.
func (s Status) Shown(now time.Time) (State, time.Time) {
	switch {
	case s.Open() && now.Sub(s.Until) > Idle:
		return Operational, s.Until.Add(Idle)
	case s.Open():
		return Outage, s.Since
	case s.State == Degraded && now.Sub(s.Bad) > Calm:
		return Operational, s.Bad.Add(Calm)
	case s.State == Degraded:
		return Degraded, s.Since
	}
	return Operational, s.Since
}

// The times for which a breaker stays open: doubling from openFirst to openLongest, and longer in an outage that lasts, for what
// waits comes back each time, and SQS gives up on what came back 1,000 times.
const (
	openFirst   = 2 * time.Second
	openLongest = 30 * time.Second
	// In an outage older than lastingAfter it is openLasting, older than dayLongAfter openDayLong.
	lastingAfter, openLasting = 10 * time.Minute, time.Minute
	dayLongAfter, openDayLong = time.Hour, 5 * time.Minute
)

// openFor is how long a breaker stays open that is opened at a level (from 1) of an outage of this age, give or take an eighth by chance.
func openFor(level int, age time.Duration, random uint64) time.Duration {
	d := min(openFirst<<min(max(level-1, 0), 10), openLongest)
	switch {
	case age >= dayLongAfter:
		d = openDayLong
	case age >= lastingAfter:
		d = openLasting
	}
	return d - d/8 + time.Duration(random%uint64(d/4+1))
}

// spread is over what time those that wait for a breaker come back, so that most find it closed by the one that tries, or open
// again.
func (s Status) spread(now time.Time) time.Duration {
	if now.Sub(s.Opened) >= lastingAfter {
		return Lease
	}
	return time.Second
}

// wait is how long a message is to wait; 0 when it may be handed over, or may try.
func (s Status) wait(now time.Time, random uint64) time.Duration {
	late := time.Duration(random % uint64(s.spread(now)+1))
	switch {
	case !s.Open():
		return 0
	case s.Until.After(now):
		return s.Until.Sub(now) + late
	case s.Probe.After(now):
		return time.Second + late
	}
	return 0
}
