package pace_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"contactcenter/shared/api/apitest"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/provider/pace"
	"contactcenter/shared/usage"
)

// however many take slots, and however late each call leaves within its guard, no window has more than the bound.
func TestNoWindowHasMoreSlotsThanTheBound(t *testing.T) {
	t.Parallel()
	of := pace.Subject{ProviderID: "edna"}
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
						at, taken, err := s.Take(context.Background(), of, rate, step, usage.Turn{Waited: true})
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

// counting counts the requests that reach the table.
type counting struct {
	pace.DynamoDB
	n atomic.Int64
}

func (c *counting) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, o ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	c.n.Add(1)
	return c.DynamoDB.UpdateItem(ctx, in, o...)
}

func newStore(t *testing.T) (*pace.Store, *counting, *apitest.Clock) {
	t.Helper()
	env := awstest.New(t)
	clock := apitest.NewClock(time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC))
	db := &counting{DynamoDB: env.DynamoDB}
	return &pace.Store{DB: db, Table: env.Table(t.Context(), awstest.UsageTable()), Now: clock.Now}, db, clock
}

// each sender has a pace of its own, beside its provider's.
func TestSendersDoNotShareSlots(t *testing.T) {
	t.Parallel()
	s, _, _ := newStore(t)
	once := pace.Rate{Limit: 1, Window: time.Minute, Burst: 1}
	for _, of := range []pace.Subject{{"twilio_sms", ""}, {"twilio_sms", "chn_1"}, {"twilio_sms", "chn_2"}, {"telegram", "chn_1"}} {
		for _, want := range []bool{true, false} {
			if _, taken, err := s.Take(t.Context(), of, once, time.Second, usage.Turn{}); err != nil || taken != want {
				t.Errorf("%v: taken %v, %v, want %v", of, taken, err, want)
			}
		}
	}
}

// What is waited for costs one request: its slot. What is known not to be free costs none.
func TestASlotIsOneRequest(t *testing.T) {
	t.Parallel()
	s, db, clock := newStore(t)
	of, rate := pace.Subject{ProviderID: "p", ChannelID: "c"}, pace.Rate{Limit: 2, Window: time.Second, Burst: 1}
	for i, step := range []struct {
		name     string
		pass     time.Duration
		taken    bool
		requests int64
	}{
		{"the first", 0, true, 1},
		{"the second, soon", 0, true, 1},
		{"the third, too soon", 0, false, 0},
		{"after a pause", time.Minute, true, 1},
		{"after another", time.Hour, true, 1},
	} {
		clock.Pass(step.pass)
		before := db.n.Load()
		_, taken, err := s.Take(t.Context(), of, rate, time.Second, usage.Turn{})
		if got := db.n.Load() - before; err != nil || taken != step.taken || got != step.requests {
			t.Errorf("%d, %s: taken %v by %d requests, %v", i, step.name, taken, got, err)
		}
	}
}

// places lie as far apart as slots, nobody who comes later goes before them, and whoever comes at their place goes.
func TestALineIsServedInItsOrder(t *testing.T) {
	t.Parallel()
	s, db, clock := newStore(t)
	others := &pace.Store{DB: s.DB, Table: s.Table, Now: s.Now} // another process, which has seen nothing
	of, rate := pace.Subject{ProviderID: "p", ChannelID: "c"}, pace.Rate{Limit: 1, Window: time.Second, Burst: 1}
	if _, taken, err := s.Take(t.Context(), of, rate, 0, usage.Turn{}); err != nil || !taken {
		t.Fatal(taken, err)
	}
	var places []time.Time
	for i := range 5 {
		from := s
		if i%2 == 1 {
			from = others
		}
		if _, taken, err := from.Take(t.Context(), of, rate, 0, usage.Turn{}); err != nil || taken {
			t.Fatalf("message %d did not have to wait: %v", i, err)
		}
		place, err := from.Line(t.Context(), of, rate, false)
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, place)
	}
	before := db.n.Load()
	for i, place := range places {
		if i > 0 && place.Sub(places[i-1]) < rate.Window {
			t.Errorf("places %d and %d lie %v apart", i-1, i, place.Sub(places[i-1]))
		}
		clock.Pass(place.Sub(clock.Now()))
		if _, taken, err := others.Take(t.Context(), of, rate, 0, usage.Turn{}); err != nil || taken && i < len(places)-1 {
			t.Errorf("somebody went before place %d: %v", i, err)
		} else if taken {
			continue
		}
		if _, taken, err := s.Take(t.Context(), of, rate, 0, usage.Turn{Waited: true}); err != nil || !taken {
			t.Errorf("place %d was not free: %v", i, err)
		}
	}
	if n := db.n.Load() - before; n > int64(len(places))+2 {
		t.Errorf("%d requests for %d places", n, len(places))
	}
	// Another rate begins another line.
	clock.Pass(rate.Window * 2)
	faster := pace.Rate{Limit: 10, Window: time.Second, Burst: 1}
	for range 3 {
		if _, err := s.Line(t.Context(), of, rate, false); err != nil {
			t.Fatal(err)
		}
	}
	if _, taken, err := s.Take(t.Context(), of, faster, 0, usage.Turn{}); err != nil || !taken {
		t.Errorf("at another rate: taken %v, %v", taken, err)
	}
}

// a single message does not stand behind the batches that line up for the same sender; those stand behind single ones, too.
func TestSingleMessagesDoNotStandBehindBatches(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		line  bool // of batches
		turn  usage.Turn
		taken bool
	}{
		"a single message behind batches":         {true, usage.Turn{}, true},
		"a batch behind batches":                  {true, usage.Turn{Batch: true}, false},
		"a batch behind single messages":          {false, usage.Turn{Batch: true}, false},
		"a single message behind single messages": {false, usage.Turn{}, false},
		"a batch at its place":                    {true, usage.Turn{Batch: true, Waited: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, clock := newStore(t)
			of, rate := pace.Subject{ProviderID: "p", ChannelID: "c"}, pace.Rate{Limit: 1, Window: time.Second, Burst: 1}
			begun := clock.Now()
			for i := range 5 {
				if place, err := s.Line(t.Context(), of, rate, c.line); err != nil || place.Sub(begun) < time.Duration(i)*rate.Window {
					t.Fatalf("place %d is at %v, %v", i, place.Sub(begun), err)
				}
			}
			for process, from := range map[string]*pace.Store{"that knows the line": s, "that does not": {DB: s.DB, Table: s.Table, Now: s.Now}} {
				if process == "that knows the line" && c.taken {
					continue // the slot is one
				}
				if _, taken, err := from.Take(t.Context(), of, rate, 0, c.turn); err != nil || taken != c.taken {
					t.Errorf("in a process %s: taken %v, %v", process, taken, err)
				}
			}
		})
	}
}
