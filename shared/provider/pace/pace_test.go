package pace_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"contactcenter/shared/api/apitest"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/provider/pace"
)

// however many take slots, and however late each call leaves within its guard, no window has more than the bound.
func TestNoWindowHasMoreSlotsThanTheBound(t *testing.T) {
	t.Parallel()
	for name, rate := range map[string]pace.Rate{
		"evenly":              {Limit: 10, Window: time.Second, Burst: 1},
		"one at a time":       {Limit: 1, Window: 2 * time.Second, Burst: 1},
		"with a burst":        {Limit: 10, Window: time.Second, Burst: 4},
		"all of it at once":   {Limit: 5, Window: time.Second, Burst: 5},
		"a burst left out":    {Limit: 20, Window: 3 * time.Second},
		"several in a minute": {Limit: 30, Window: time.Minute, Burst: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := awstest.New(t)
			clock := apitest.NewClock(time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC))
			s := &pace.Store{DB: env.DynamoDB, Table: env.Table(t.Context(), awstest.UsageTable()), Now: clock.Now}
			var (
				mu    sync.Mutex
				slots []time.Time
			)
			step := rate.Window / 40
			begun := clock.Now()
			for clock.Now().Sub(begun) < 4*rate.Window {
				var wg sync.WaitGroup
				for range 6 {
					wg.Go(func() {
						at, taken, err := s.Take(context.Background(), "edna", rate, step)
						if err != nil {
							t.Error(err)
						}
						if taken {
							mu.Lock()
							defer mu.Unlock()
							slots = append(slots, at)
						} else if !at.After(clock.Now()) {
							t.Errorf("a slot that is not free is free at %v", at.Sub(clock.Now()))
						}
					})
				}
				wg.Wait()
				clock.Pass(step)
			}
			slices.SortFunc(slots, time.Time.Compare)
			for i := int(rate.Limit); i < len(slots); i++ {
				// The earlier call leaves as late as it may, the later one at once.
				if gap := slots[i].Sub(slots[i-int(rate.Limit)].Add(pace.Guard)); gap < rate.Window {
					t.Fatalf("%d calls may lie within %v", rate.Limit+1, gap)
				}
			}
			least := int(rate.Limit-max(rate.Burst, 1)+1) * 5 / 2
			if len(slots) < least {
				t.Errorf("in four windows %d slots were given, want at least %d", len(slots), least)
			}
		})
	}
}
