//go:build e2e

package e2e

import (
	"testing"
	"time"
)

// onTheWay is how much longer one call may take than another from the moment that a dispatcher lets it go to the provider, on a machine that is
// busy with other things.
const onTheWay = 500 * time.Millisecond

// best measures up to three times, until what is found is as it should be. Whatever else the machine does makes times longer, never shorter:
// so one measurement that shows what is wanted is enough, and what is our own doing is found each time.
func best(t *testing.T, measure func(try int) (complaint string)) {
	t.Helper()
	var complaints []string
	for try := range 3 {
		complaint := measure(try)
		if complaint == "" {
			return
		}
		t.Logf("measurement %d: %s", try+1, complaint)
		complaints = append(complaints, complaint)
	}
	t.Errorf("measured %d times: %q", len(complaints), complaints)
}

// stillness is for how long the machine did not let even this program run: altogether, and at most at a time.
type stillness struct{ sum, longest time.Duration }

// way is how much longer one call may have taken than another.
func (s stillness) way() time.Duration { return onTheWay + s.longest }

// pulse notices when the machine stands still. The function that it gives ends that, and says what it was like.
func pulse() (end func() stillness) {
	const beat, late = 20 * time.Millisecond, 100 * time.Millisecond
	done, told := make(chan struct{}), make(chan stillness)
	go func() {
		var still stillness
		ticker := time.NewTicker(beat)
		defer ticker.Stop()
		last := time.Now()
		for {
			select {
			case <-ticker.C:
			case <-done:
				told <- still
				return
			}
			if gap := time.Since(last); gap > late {
				still.sum, still.longest = still.sum+gap, max(still.longest, gap)
			}
			last = time.Now()
		}
	}()
	return func() stillness {
		close(done)
		return <-told
	}
}

// paced expects that of calls, in the order of their times, there are nowhere more than burst and limit for each window together: between
// any two of them, however far apart. One may take longer than another on its way.
func paced(t *testing.T, what string, at []time.Time, burst, limit int, window, way time.Duration) {
	t.Helper()
	for i := range at {
		for j := i + burst; j < len(at); j++ {
			// After a burst they come one by one.
			least := time.Duration(j-i+1-burst) * window / time.Duration(limit)
			if gap := at[j].Sub(at[i]); gap < least-way {
				t.Errorf("%s: %d calls within %v, which takes %v", what, j-i+1, gap, least)
				return
			}
		}
	}
}

// windowed expects that no window of time has more than limit calls, in the order of their times: so no two windows have twice as many, and
// so on. What the way does to single calls may show in one window out of four.
func windowed(t *testing.T, what string, at []time.Time, limit int, window, way time.Duration) {
	t.Helper()
	full := 0
	for i := range max(len(at)-limit, 0) {
		if at[i+limit].Sub(at[i]) < window {
			full++
		}
	}
	if 4*full > max(len(at)-limit, 4) {
		t.Errorf("%s: %d windows of %v have more than %d calls: %v", what, full, window, limit, at)
	}
	for i := range at {
		for j := i + limit; j < len(at); j++ {
			least := time.Duration((j-i)/limit) * window
			if gap := at[j].Sub(at[i]); gap < least-way {
				t.Errorf("%s: %d calls within %v, which takes %v", what, j-i+1, gap, least)
				return
			}
		}
	}
}

// times are those of calls, in their order.
func times(calls []providerCall) []time.Time {
	var at []time.Time
	for _, c := range calls {
		at = append(at, c.At)
	}
	return at
}
