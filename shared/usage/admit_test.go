package usage_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/awsclient"
	"contactcenter/shared/id"
	"contactcenter/shared/usage"
)

func always(terms usage.Terms) usage.TermsOf {
	return func(context.Context, bool) (usage.Terms, error) { return terms, nil }
}

// cached gives old terms until they are asked for anew.
func cached(old, now usage.Terms) usage.TermsOf {
	return func(_ context.Context, fresh bool) (usage.Terms, error) {
		if fresh {
			return now, nil
		}
		return old, nil
	}
}

func entries(list []usage.Entry) []id.Message {
	var ids []id.Message
	for _, e := range list {
		ids = append(ids, e.Message)
	}
	slices.SortFunc(ids, func(x, y id.Message) int { return cmp.Compare(x.Unique, y.Unique) })
	return ids
}

func TestAdmitSortsMessagesByWhatTheGateSays(t *testing.T) {
	t.Parallel()
	rated, narrow, more, daily := monthly, monthly, monthly, monthly
	rated.Rate = usage.Rate{Limit: 2, Window: time.Second, Burst: 2}
	narrow.InFlight = 2
	more.Version, more.Limit = "basic@2", 8
	daily.Kind = usage.Day
	cases := map[string]struct {
		terms  usage.Terms // of the gate
		asked  usage.TermsOf
		before func(*testing.T, fixture)
		waited bool
		ids    []id.Message

		granted, busy, expired, limited, delayed, crowded, blocked []id.Message
		wait                                                       time.Duration
		used                                                       int64
	}{
		"granted":                {terms: monthly, ids: msgs(1, 3), granted: msgs(1, 3), used: 3},
		"one delivered twice":    {terms: monthly, ids: append(msgs(1, 2), msg(1)), granted: msgs(1, 2), used: 2},
		"as many as are left":    {terms: monthly, ids: msgs(1, 7), granted: msgs(1, 5), limited: msgs(6, 2), used: 5},
		"none is left":           {terms: monthly, before: reserved(monthly, 11, 5), ids: msgs(1, 2), limited: msgs(1, 2), used: 5},
		"as many as the ledger":  {terms: narrow, ids: msgs(1, 3), granted: msgs(1, 2), crowded: msgs(3, 1), used: 2},
		"as many as the burst":   {terms: rated, ids: msgs(1, 3), granted: msgs(1, 2), delayed: msgs(3, 1), wait: 500 * time.Millisecond, used: 2},
		"busy":                   {terms: monthly, before: reserved(monthly, 1, 2), ids: msgs(1, 3), busy: msgs(1, 2), granted: msgs(3, 1), used: 3},
		"expired":                {terms: monthly, before: expired(monthly, 1, 2), ids: msgs(1, 3), expired: msgs(1, 2), granted: msgs(3, 1), used: 3},
		"expired, and no others": {terms: monthly, asked: always(more), before: expired(monthly, 1, 2), ids: msgs(1, 2), expired: msgs(1, 2), used: 2},
		"blocked":                {terms: monthly, before: func(t *testing.T, f fixture) { f.block(t) }, ids: msgs(1, 2), blocked: msgs(1, 2)},
		"behind the line":        {terms: rated, before: inLine(rated, 4), ids: msgs(1, 1), delayed: msgs(1, 1)},
		"past the line":          {terms: rated, before: inLine(rated, 4), waited: true, ids: msgs(1, 1), granted: msgs(1, 1), used: 1},
		"other terms":            {terms: monthly, asked: always(more), before: reserved(monthly, 11, 5), ids: msgs(1, 4), granted: msgs(1, 3), limited: msgs(4, 1), used: 8},
		"terms that the caller does not know yet": {terms: more, asked: cached(monthly, more), before: reserved(more, 11, 5), ids: msgs(1, 4),
			granted: msgs(1, 3), limited: msgs(4, 1), used: 8},
		"a new period": {terms: daily, before: func(t *testing.T, f fixture) {
			reserved(daily, 11, 5)(t, f)
			f.clock.Move(24 * time.Hour)
		}, ids: msgs(1, 6), granted: msgs(1, 5), limited: msgs(6, 1), used: 5},
		"a period that can't be closed yet": {terms: daily, before: func(t *testing.T, f fixture) {
			reserved(daily, 1, 1)(t, f)
			f.clock.Move(24 * time.Hour)
			if _, err := f.Roll(t.Context(), f.gate(t), daily); err != nil {
				t.Fatal(err)
			}
			f.clock.Move(24 * time.Hour)
		}, ids: msgs(1, 3), expired: msgs(1, 1), crowded: msgs(2, 2)},
		"a period of another length": {terms: monthly, asked: always(daily), before: reserved(monthly, 11, 5), ids: msgs(1, 2), granted: msgs(1, 2), used: 2},
	}
	for name, c := range cases {
		for _, hinted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, hinted=%v", name, hinted), func(t *testing.T) {
				t.Parallel()
				f := newGate(t, c.terms)
				hint := usage.Gate{}
				if hinted { // the view from before everything that happened
					hint = f.gate(t)
					hint.Entries = nil
				}
				if c.before != nil {
					c.before(t, f)
				}
				terms := c.asked
				if terms == nil {
					terms = always(c.terms)
				}
				a, err := f.Admit(t.Context(), account, terms, c.ids, hint, 77, usage.Turn{Waited: c.waited})
				if err != nil {
					t.Fatal(err)
				}
				for what, pair := range map[string][2][]id.Message{
					"granted": {entries(a.Granted), c.granted}, "busy": {entries(a.Busy), c.busy}, "expired": {entries(a.Expired), c.expired},
					"limited": {a.Limited, c.limited}, "delayed": {a.Delayed, c.delayed}, "crowded": {a.Crowded, c.crowded}, "blocked": {a.Blocked, c.blocked},
				} {
					if !slices.Equal(pair[0], pair[1]) {
						t.Errorf("%s: got %v, want %v", what, pair[0], pair[1])
					}
				}
				if g := f.gate(t); g.Used != c.used || a.Gate.Used != c.used || a.Wait != c.wait {
					t.Errorf("used %d, as the answer has it %d, wait %v; want %d, wait %v", g.Used, a.Gate.Used, a.Wait, c.used, c.wait)
				}
			})
		}
	}
}

func reserved(terms usage.Terms, from, n int) func(*testing.T, fixture) {
	return func(t *testing.T, f fixture) { f.reserve(t, terms, 1, msgs(from, n)...) }
}

func expired(terms usage.Terms, from, n int) func(*testing.T, fixture) {
	return func(t *testing.T, f fixture) {
		f.reserve(t, terms, 1, msgs(from, n)...)
		f.clock.Move(usage.Lease + time.Second)
	}
}

func inLine(terms usage.Terms, n int64) func(*testing.T, fixture) {
	return func(t *testing.T, f fixture) {
		if _, err := f.Queue(t.Context(), f.gate(t), terms.Rate, n, false); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAdmitMakesTheFirstGateUnderFreshTerms(t *testing.T) {
	t.Parallel()
	f := newStore(t)
	more := monthly
	more.Version, more.Limit = "basic@2", 8
	a, err := f.Admit(t.Context(), account, cached(monthly, more), msgs(1, 2), usage.Gate{}, 1, usage.Turn{Waited: false})
	if err != nil || len(a.Granted) != 2 || a.Gate.Limit != 8 {
		t.Fatalf("got %+v, %v", a, err)
	}
}

func TestABurstThatWasLoweredMeanwhileBoundsTheNextTry(t *testing.T) {
	t.Parallel()
	older, wide, narrow := monthly, monthly, monthly
	older.Version = "basic@0"
	wide.Rate = usage.Rate{Limit: 100, Window: time.Second, Burst: 10}
	narrow.Version, narrow.Rate = "basic@2", usage.Rate{Limit: 100, Window: time.Second, Burst: 2}
	cases := map[string]func(*testing.T) fixture{
		"the gate has the new terms already": func(t *testing.T) fixture { return newGate(t, narrow) },
		"the gate has even older terms":      func(t *testing.T) fixture { return newGate(t, older) },
		"there is no gate yet":               func(t *testing.T) fixture { return newStore(t) },
	}
	for name, begin := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := begin(t)
			a, err := f.Admit(t.Context(), account, cached(wide, narrow), msgs(1, 4), usage.Gate{}, 1, usage.Turn{Waited: false})
			if err != nil || len(a.Granted) != 2 || len(a.Delayed) != 2 {
				t.Errorf("%d are granted and %d delayed, %v; want 2 and 2", len(a.Granted), len(a.Delayed), err)
			}
		})
	}
}

// meddler changes what happens to the update requests of a store.
type meddler struct {
	usage.DynamoDB
	update func(ctx context.Context, in *dynamodb.UpdateItemInput) (*dynamodb.UpdateItemOutput, error)
}

func (m meddler) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	return m.update(ctx, in)
}

// The SDK asks again when an answer does not arrive, and the second try finds the work of the first.
func TestALostAnswerIsRecognisedByItsNonce(t *testing.T) {
	t.Parallel()
	f := newGate(t, monthly)
	doubled := usage.Store{Table: f.Table, Now: f.clock.Now, DB: meddler{f.db, func(ctx context.Context, in *dynamodb.UpdateItemInput) (*dynamodb.UpdateItemOutput, error) {
		if _, err := f.db.UpdateItem(ctx, in); err != nil {
			return nil, err
		}
		return f.db.UpdateItem(ctx, in)
	}}}
	a, err := doubled.Admit(t.Context(), account, always(monthly), msgs(1, 2), f.gate(t), 5, usage.Turn{Waited: false})
	if err != nil || !slices.Equal(entries(a.Granted), msgs(1, 2)) || len(a.Busy) != 0 {
		t.Fatalf("reserve: %+v, %v", a, err)
	}
	g, err := doubled.Take(t.Context(), account, msgs(3, 2), 6)
	if err != nil || g.Entries[msg(4).Unique].Nonce != 6 {
		t.Fatalf("take: %v", err)
	}
	f.clock.Move(usage.Lease + time.Second)
	for _, m := range []id.Message{msg(1), msg(3)} {
		before := g.Entries[m.Unique]
		g, err = doubled.TakeOver(t.Context(), account, monthly, before, g, 7, true)
		if e := g.Entries[m.Unique]; err != nil || e.Nonce != 7 || e.Lease <= before.Lease {
			t.Fatalf("take over: %+v, %v", e, err)
		}
	}
	if err := doubled.Settle(t.Context(), g, []usage.Settlement{{Entry: g.Entries[msg(1).Unique], GiveBack: true}, {Entry: g.Entries[msg(3).Unique], GiveBack: true}}); err != nil {
		t.Fatal(err)
	}
	wantCount(t, f.gate(t), 1, 4, 2)
}

func TestWhatWasGrantedIsTheCallersWhateverFailsAfterwards(t *testing.T) {
	t.Parallel()
	daily := monthly
	daily.Kind, daily.Rate = usage.Day, usage.Rate{Limit: 2, Window: time.Second, Burst: 2}
	f := newGate(t, daily)
	failed := errors.New("no answer")
	midnight := usage.Store{Table: f.Table, Now: f.clock.Now, DB: meddler{f.db, func(ctx context.Context, in *dynamodb.UpdateItemInput) (*dynamodb.UpdateItemOutput, error) {
		defer f.clock.Move(24 * time.Hour)
		return f.db.UpdateItem(ctx, in)
	}}}
	terms := func(_ context.Context, fresh bool) (usage.Terms, error) {
		if fresh {
			return usage.Terms{}, failed
		}
		return daily, nil
	}
	a, err := midnight.Admit(t.Context(), account, terms, msgs(1, 3), f.gate(t), 5, usage.Turn{Waited: false})
	if !errors.Is(err, failed) || !slices.Equal(entries(a.Granted), msgs(1, 2)) {
		t.Fatalf("granted %v, %v", entries(a.Granted), err)
	}
}

func TestAViewOfThePeriodBeforeDoesNotCountIntoIt(t *testing.T) {
	t.Parallel()
	daily := monthly
	daily.Kind = usage.Day
	f := newGate(t, daily)
	old := f.gate(t)
	taken, err := f.Take(t.Context(), account, msgs(9, 1), 3)
	if err != nil {
		t.Fatal(err)
	}
	f.clock.Move(24 * time.Hour)
	_, err = f.Reserve(t.Context(), account, daily, usage.Claim{Messages: msgs(1, 1), Gate: old})
	wantRefused(t, err)
	_, err = f.TakeOver(t.Context(), account, daily, taken.Entries[msg(9).Unique], taken, 4, true)
	wantRefused(t, err)
	wantCount(t, f.gate(t), 0, 5, 1)
}

func TestAViewWithoutItsLedgerDoesNotExport(t *testing.T) {
	t.Parallel()
	daily := monthly
	daily.Kind = usage.Day
	f := newGate(t, daily)
	f.reserve(t, daily, 1, msg(1))
	f.clock.Move(24 * time.Hour)
	g, err := f.Roll(t.Context(), f.gate(t), daily)
	if err != nil {
		t.Fatal(err)
	}
	g.Entries = nil
	if _, err := f.Export(t.Context(), g); !errors.Is(err, usage.ErrPreviousOpen) {
		t.Fatalf("got %v, want ErrPreviousOpen", err)
	}
	if _, err := f.ClosedPeriod(t.Context(), account, "2026-11-24"); !errors.Is(err, usage.ErrNoGate) {
		t.Fatalf("the period was exported: %v", err)
	}
}

//
func TestTheLimitIsExactUnder500AtOnce(t *testing.T) {
	t.Parallel()
	const limit = 100
	terms := monthly
	terms.Limit, terms.InFlight = limit, 30
	f := newGate(t, terms)
	var (
		mu                     sync.Mutex
		changed                = sync.NewCond(&mu)
		kept, settled, highest int64
		group                  sync.WaitGroup
	)
	// try reports whether n is done: it had a unit, or all units are somebody's for good.
	try := func(n int, nonce uint32) bool {
		mu.Lock()
		seen := settled
		mu.Unlock()
		a, err := f.Admit(t.Context(), account, always(terms), msgs(n, 1), usage.Gate{}, nonce, usage.Turn{Waited: false})
		if err != nil {
			return false // the gate moved too fast
		}
		if len(a.Granted) > 0 {
			st := usage.Settlement{Entry: a.Granted[0], GiveBack: n%3 == 0}
			for f.Settle(t.Context(), a.Gate, []usage.Settlement{st}) != nil {
			}
			mu.Lock()
			defer mu.Unlock()
			highest = max(highest, a.Gate.Used)
			if settled++; !st.GiveBack {
				kept++
			}
			if changed.Signal(); kept == limit {
				changed.Broadcast()
			}
			return true
		}
		mu.Lock()
		defer mu.Unlock()
		for seen == settled && kept < limit {
			changed.Wait()
		}
		return kept == limit
	}
	for n := range 500 {
		group.Go(func() {
			for nonce := uint32(n); !try(n, nonce); nonce += 1000 {
			}
		})
	}
	group.Wait()
	g := f.gate(t)
	if kept != limit || g.Used != limit || highest > limit || g.Remaining != 0 || len(g.Entries) != 0 {
		t.Fatalf("%d kept, used %d, at most %d, remaining %d, %d entries", kept, g.Used, highest, g.Remaining, len(g.Entries))
	}
}

// A backlog of 300 messages at 10 a second and a burst of 10: what is delayed takes its place in the line and comes back
// at that place's time, rounded up to whole seconds as SQS counts visibility.
//
func TestABacklogGoesOutAtTheRateAndNoFaster(t *testing.T) {
	t.Parallel()
	terms := monthly
	terms.Limit, terms.Rate = 1000, usage.Rate{Limit: 10, Window: time.Second, Burst: 10}
	f := newGate(t, terms)
	type waiting struct {
		at    time.Time
		tries int
		m     id.Message
	}
	var queue []waiting
	for i := range 300 {
		queue = append(queue, waiting{at: start, m: msg(i)})
	}
	var granted []time.Time
	requests := 0
	for len(queue) > 0 {
		slices.SortStableFunc(queue, func(x, y waiting) int { return x.at.Compare(y.at) })
		if queue[0].at.After(f.clock.Now()) {
			f.clock.Set(queue[0].at)
		}
		n := 0
		for n < len(queue) && n < 10 && !queue[n].at.After(f.clock.Now()) {
			n++
		}
		batch := queue[:n:n]
		queue = queue[n:]
		tries, ids, waited := map[id.Message]int{}, []id.Message{}, false
		for _, w := range batch {
			ids, tries[w.m], waited = append(ids, w.m), w.tries+1, waited || w.tries > 0
		}
		a, err := f.Admit(t.Context(), account, always(terms), ids, usage.Gate{}, uint32(requests), usage.Turn{Waited: waited})
		if err != nil {
			t.Fatal(err)
		}
		requests++
		var done []usage.Settlement
		for _, e := range a.Granted {
			granted = append(granted, f.clock.Now())
			done = append(done, usage.Settlement{Entry: e})
		}
		if err := f.Settle(t.Context(), a.Gate, done); err != nil {
			t.Fatal(err)
		}
		if len(a.Delayed) == 0 {
			continue
		}
		first, err := f.Queue(t.Context(), a.Gate, terms.Rate, int64(len(a.Delayed)), false)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range a.Delayed {
			wait := max(first.Add(time.Duration(i)*100*time.Millisecond).Sub(f.clock.Now()), 1)
			queue = append(queue, waiting{at: f.clock.Now().Add((wait + time.Second - 1).Truncate(time.Second)), tries: tries[m], m: m})
		}
	}
	took := granted[len(granted)-1].Sub(granted[0])
	t.Logf("300 messages in %v, %d batches", took, requests)
	if len(granted) != 300 || took < 28*time.Second || took > 32*time.Second {
		t.Fatalf("%d messages in %v", len(granted), took)
	}
	for i := range granted {
		if j := i + 20; j < len(granted) && granted[j].Sub(granted[i]) < time.Second {
			t.Fatalf("more than 20 messages in the second from %v", granted[i].Sub(start))
		}
	}
}

func TestSlowRatesOfMinutesAndHoursKeepTheirSpacing(t *testing.T) {
	t.Parallel()
	terms := monthly
	terms.Limit, terms.Rate = 1000, usage.Rate{Limit: 7, Window: time.Hour, Burst: 1}
	f := newGate(t, terms)
	for i := range 15 {
		a, err := f.Admit(t.Context(), account, always(terms), msgs(i, 1), usage.Gate{}, uint32(i), usage.Turn{Waited: true})
		if err != nil || len(a.Granted) != 1 {
			t.Fatalf("message %d: %+v, %v", i, a, err)
		}
		if a, err = f.Admit(t.Context(), account, always(terms), msgs(100+i, 1), a.Gate, uint32(100+i), usage.Turn{Waited: true}); err != nil || len(a.Delayed) != 1 {
			t.Fatalf("message %d was followed at once: %+v, %v", i, a, err)
		}
		if err := f.Settle(t.Context(), a.Gate, []usage.Settlement{{Entry: a.Gate.Entries[msg(i).Unique]}}); err != nil {
			t.Fatal(err)
		}
		f.clock.Move(a.Wait)
	}
	if passed, want := f.clock.Now().Sub(start), 15*time.Hour/7; passed < want || passed > want+time.Second {
		t.Fatalf("15 messages took %v, want %v", passed, want)
	}
}

// A write costs a unit for each KB of the gate.
func TestAGateWithFifteenMessagesInFlightStaysWithinOneWriteUnit(t *testing.T) {
	t.Parallel()
	terms := monthly
	terms.PlanID, terms.Version, terms.Limit, terms.Rate = "business-plus", "business-plus@2026-11-24T12:00:00Z", 1_000_000, usage.Rate{Limit: 100, Window: time.Second, Burst: 100}
	sizes := map[int]int{}
	for _, n := range []int{0, 15, 20} {
		f := newGate(t, terms)
		if n > 0 {
			f.reserve(t, terms, 1, msgs(1, n)...)
		}
		out, err := f.db.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &f.Table, Key: map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: account}, "sk": &types.AttributeValueMemberS{Value: "gate"},
		}})
		if err != nil {
			t.Fatal(err)
		}
		sizes[n] = awsclient.ItemBytes(out.Item)
	}
	t.Logf("bytes by messages in flight: %v", sizes)
	if sizes[15] > 1024 {
		t.Fatalf("%d bytes, want 1024 at most", sizes[15])
	}
}

func TestOneWriteTakesAsManyAsExpressionsAllow(t *testing.T) {
	t.Parallel()
	terms := monthly
	terms.Limit, terms.InFlight, terms.Rate = 1000, 100, usage.Rate{Limit: 1000, Window: time.Second, Burst: 1000}
	f := newGate(t, terms)
	g := f.reserve(t, terms, 1, msgs(1, usage.MostAtOnce)...)
	if g, err := f.Reserve(t.Context(), account, terms, usage.Claim{Messages: msgs(100, usage.MostAtOnce), Gate: g}); err != nil || len(g.Entries) != 2*usage.MostAtOnce {
		t.Fatalf("%d entries, %v", len(g.Entries), err)
	}
	if _, err := f.Take(t.Context(), account, msgs(200, usage.MostAtOnce), 2); err != nil {
		t.Fatal(err)
	}
	g = f.gate(t)
	var all []usage.Settlement
	for _, e := range g.Entries {
		all = append(all, usage.Settlement{Entry: e, GiveBack: true})
	}
	if err := f.Settle(t.Context(), g, all); err != nil {
		t.Fatal(err)
	}
	wantCount(t, f.gate(t), 0, 1000, 0)
	a, err := f.Admit(t.Context(), account, always(terms), msgs(1, 120), usage.Gate{}, 3, usage.Turn{Waited: false})
	if err != nil || len(a.Granted) != 100 || len(a.Crowded) != 20 {
		t.Fatalf("%d granted, %d crowded, %v", len(a.Granted), len(a.Crowded), err)
	}
}

func TestMoreThanABurstAtOnceIsAMistakeOfTheCaller(t *testing.T) {
	t.Parallel()
	terms := monthly
	terms.Rate = usage.Rate{Limit: 2, Window: time.Second, Burst: 2}
	f := newGate(t, terms)
	refused := new(usage.Refused)
	if _, err := f.Reserve(t.Context(), account, terms, usage.Claim{Messages: msgs(1, 3), Gate: f.gate(t)}); err == nil || errors.As(err, &refused) {
		t.Fatalf("got %v", err)
	}
	wantCount(t, f.gate(t), 0, 5, 0)
}
