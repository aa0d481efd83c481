// Package telemetrytest has a log for tests.
package telemetrytest

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long Await waits: programs start slowly on a machine that is busy.
const patience = 2 * time.Minute

// Log is a log, or an output, that many write to while a test reads it or waits for it. The zero Log is empty.
type Log struct {
	mu   sync.Mutex
	all  bytes.Buffer
	more chan struct{} // closed by the next write
}

// Write adds to the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
	return l.all.Write(p)
}

// String is all that was written.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// Bytes is a copy of all that was written.
func (l *Log) Bytes() []byte { return []byte(l.String()) }

// Await waits until the log has a part n times, and ends the test when it has not in two minutes.
func (l *Log) Await(t testing.TB, n int, part string) {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		all, more := l.now()
		if strings.Count(all, part) >= n {
			return
		}
		select {
		case <-more:
		case <-late.C:
			t.Fatalf("the log never had %q %d times:\n%s", part, n, all)
		}
	}
}

// now is all that was written, and what tells of more.
func (l *Log) now() (string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more == nil {
		l.more = make(chan struct{})
	}
	return l.all.String(), l.more
}
