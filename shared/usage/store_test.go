package usage_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/id"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/usage"
)

const account = "acc_a"

var (
	start   = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	monthly = usage.Terms{PlanID: "basic", Version: "basic@1", Limit: 5, Kind: usage.Month, InFlight: 20}
)

// fixture is a gate's store under a clock that the test moves.
type fixture struct {
	*usage.Store
	clock *clock
	db    *dynamodb.Client
}

func newStore(t testing.TB) fixture {
	t.Helper()
	env, c := awstest.New(t), &clock{now: start}
	return fixture{Store: &usage.Store{DB: env.DynamoDB, Table: env.Table(t.Context(), awstest.UsageTable()), Now: c.Now}, clock: c, db: env.DynamoDB}
}

// newGate is newStore with a gate in it.
func newGate(t testing.TB, terms usage.Terms) fixture {
	t.Helper()
	f := newStore(t)
	if err := f.Create(t.Context(), account, terms); err != nil {
		t.Fatal(err)
	}
	return f
}

// msg gives the id of the n-th message of a test.
func msg(n int) id.Message {
	return id.Message{Unique: fmt.Sprintf("01hs0000000%05d", n), Conversation: "0123456789abcdef"}
}

func msgs(from, n int) []id.Message {
	list := make([]id.Message, n)
	for i := range list {
		list[i] = msg(from + i)
	}
	return list
}

func (f fixture) gate(t testing.TB) usage.Gate {
	t.Helper()
	g, err := f.Read(t.Context(), account, true)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// reserve reserves as a caller does who has just read the gate.
func (f fixture) reserve(t testing.TB, terms usage.Terms, nonce uint32, messages ...id.Message) usage.Gate {
	t.Helper()
	g, err := f.Reserve(t.Context(), account, terms, usage.Claim{Messages: messages, Nonce: nonce, Gate: f.gate(t)})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (f fixture) block(t testing.TB) {
	t.Helper()
	_, err := f.db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: &f.Table, Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: account}, "sk": &types.AttributeValueMemberS{Value: "gate"}},
		UpdateExpression: aws.String("SET #x = :x"), ExpressionAttributeNames: map[string]string{"#x": "x"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":x": &types.AttributeValueMemberBOOL{Value: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func wantRefused(t testing.TB, err error) usage.Gate {
	t.Helper()
	refused := new(usage.Refused)
	if !errors.As(err, &refused) {
		t.Fatalf("got %v, want a refusal", err)
	}
	return refused.Gate
}

func wantCount(t testing.TB, g usage.Gate, used, remaining int64, entries int) {
	t.Helper()
	if g.Used != used || g.Remaining != remaining || len(g.Entries) != entries {
		t.Fatalf("used %d, remaining %d, %d entries; want %d, %d, %d", g.Used, g.Remaining, len(g.Entries), used, remaining, entries)
	}
}

func TestAMissingGateIsSaidToBeMissing(t *testing.T) {
	t.Parallel()
	f := newStore(t)
	_, read := f.Read(t.Context(), account, true)
	_, reserve := f.Reserve(t.Context(), account, monthly, usage.Claim{Messages: msgs(0, 1), Gate: usage.Gate{Period: "2026-11"}})
	_, take := f.Take(t.Context(), account, msgs(0, 1), 1)
	_, closed := f.ClosedPeriod(t.Context(), account, "2026-10")
	for name, err := range map[string]error{"Read": read, "Reserve": reserve, "Take": take, "ClosedPeriod": closed} {
		if !errors.Is(err, usage.ErrNoGate) {
			t.Errorf("%s: %v, want ErrNoGate", name, err)
		}
	}
	if err := f.Wake(t.Context(), account); err != nil {
		t.Errorf("Wake: %v, want nothing", err)
	}
}

func TestANewGateHasEverythingLeft(t *testing.T) {
	t.Parallel()
	f := newGate(t, monthly)
	g := f.gate(t)
	wantCount(t, g, 0, 5, 0)
	if g.AccountID != account || g.Period != "2026-11" || !g.Ends.Equal(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)) || g.Version != monthly.Version || g.PlanID != monthly.PlanID || g.Limit != 5 || g.Blocked || g.Previous != "" {
		t.Fatalf("got %+v", g)
	}
	f.reserve(t, monthly, 1, msg(1))
	if err := f.Create(t.Context(), account, monthly); err != nil {
		t.Fatal(err)
	}
	wantCount(t, f.gate(t), 1, 4, 1)
}

func TestAReservationTakesUnitsAndNamesLeasesByTheGatesSequence(t *testing.T) {
	t.Parallel()
	f := newGate(t, monthly)
	first := f.reserve(t, monthly, 7, msg(1), msg(2), msg(3))
	second := f.reserve(t, monthly, 8, msg(4))
	wantCount(t, second, 4, 1, 4)
	for n, lease := range map[int]int64{1: 1, 2: 2, 3: 3} {
		e := first.Entries[msg(n).Unique]
		if e.Lease != lease || e.Claim != lease || e.Nonce != 7 || e.Message != msg(n) || !e.Counts() || e.Expires.Before(start.Add(usage.Lease)) || e.Expires.After(start.Add(usage.Lease+time.Second)) {
			t.Errorf("entry %d: %+v", n, e)
		}
	}
	if e := second.Entries[msg(4).Unique]; e.Lease != 4 || e.Nonce != 8 {
		t.Errorf("entry 4: %+v", e)
	}
}

func TestAReservationIsRefusedAsAWhole(t *testing.T) {
	t.Parallel()
	rated := monthly
	rated.Rate = usage.Rate{Limit: 2, Window: time.Second, Burst: 2}
	narrow := monthly
	narrow.InFlight = 2
	changed := monthly
	changed.Version = "basic@2"
	cases := map[string]struct {
		terms  usage.Terms
		before func(*testing.T, fixture)
		claim  func(g usage.Gate) usage.Claim
		with   usage.Terms
	}{
		"one message is in the ledger": {terms: monthly, with: monthly, before: func(t *testing.T, f fixture) { f.reserve(t, monthly, 1, msg(2)) },
			claim: func(g usage.Gate) usage.Claim { return usage.Claim{Messages: msgs(1, 3), Gate: g} }},
		"the number leaves no room for all": {terms: monthly, with: monthly, before: func(t *testing.T, f fixture) { f.reserve(t, monthly, 1, msgs(11, 3)...) },
			claim: func(g usage.Gate) usage.Claim { return usage.Claim{Messages: msgs(1, 3), Gate: g} }},
		"the ledger has no room for all": {terms: narrow, with: narrow, before: func(t *testing.T, f fixture) { f.reserve(t, narrow, 1, msg(9)) },
			claim: func(g usage.Gate) usage.Claim { return usage.Claim{Messages: msgs(1, 2), Gate: g} }},
		"the account is blocked": {terms: monthly, with: monthly, before: func(t *testing.T, f fixture) { f.block(t) },
			claim: func(g usage.Gate) usage.Claim { return usage.Claim{Messages: msgs(1, 1), Gate: g} }},
		"the terms are others": {terms: monthly, with: changed, before: func(*testing.T, fixture) {},
			claim: func(g usage.Gate) usage.Claim { return usage.Claim{Messages: msgs(1, 1), Gate: g} }},
		"the period is another": {terms: monthly, with: monthly, before: func(*testing.T, fixture) {},
			claim: func(g usage.Gate) usage.Claim {
				g.Period = "2026-10"
				return usage.Claim{Messages: msgs(1, 1), Gate: g}
			}},
		"the gate was idle and is at work": {terms: rated, with: rated, before: func(t *testing.T, f fixture) { f.reserve(t, rated, 1, msg(9)) },
			claim: func(g usage.Gate) usage.Claim {
				g.NextFree = time.Time{}
				return usage.Claim{Messages: msgs(1, 1), Gate: g}
			}},
		"the gate was at work and is idle": {terms: rated, with: rated, before: func(*testing.T, fixture) {},
			claim: func(g usage.Gate) usage.Claim {
				g.NextFree = start.Add(time.Second)
				return usage.Claim{Messages: msgs(1, 1), Gate: g}
			}},
		"the frequency leaves no room for all": {terms: rated, with: rated, before: func(t *testing.T, f fixture) { f.reserve(t, rated, 1, msg(9)) },
			claim: func(g usage.Gate) usage.Claim { return usage.Claim{Messages: msgs(1, 2), Gate: g} }},
		"others stand in the line": {terms: rated, with: rated, before: func(t *testing.T, f fixture) {
			if _, err := f.Queue(t.Context(), f.gate(t), rated.Rate, 1, false); err != nil {
				t.Fatal(err)
			}
		}, claim: func(g usage.Gate) usage.Claim { return usage.Claim{Messages: msgs(1, 1), Gate: g} }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newGate(t, c.terms)
			c.before(t, f)
			before := f.gate(t)
			_, err := f.Reserve(t.Context(), account, c.with, c.claim(before))
			seen := wantRefused(t, err)
			wantCount(t, seen, before.Used, before.Remaining, len(before.Entries))
			wantCount(t, f.gate(t), before.Used, before.Remaining, len(before.Entries))
		})
	}
}

func TestOneWhoWaitedPassesTheLine(t *testing.T) {
	t.Parallel()
	terms := monthly
	terms.Rate = usage.Rate{Limit: 2, Window: time.Second, Burst: 2}
	f := newGate(t, terms)
	if _, err := f.Queue(t.Context(), f.gate(t), terms.Rate, 3, false); err != nil {
		t.Fatal(err)
	}
	g, err := f.Reserve(t.Context(), account, terms, usage.Claim{Messages: msgs(1, 2), Gate: f.gate(t), Turn: usage.Turn{Waited: true}})
	if err != nil {
		t.Fatal(err)
	}
	wantCount(t, g, 2, 3, 2)
	if want := start.Add(time.Second); !g.NextFree.Equal(want) {
		t.Fatalf("next free at %v, want %v", g.NextFree, want)
	}
}

func TestAClaimWithoutAUnitCountsNothing(t *testing.T) {
	t.Parallel()
	f := newGate(t, monthly)
	g, err := f.Take(t.Context(), account, msgs(1, 2), 5)
	if err != nil {
		t.Fatal(err)
	}
	wantCount(t, g, 0, 5, 2)
	if e := g.Entries[msg(2).Unique]; e.Counts() || e.Lease != 2 || e.Nonce != 5 {
		t.Fatalf("got %+v", e)
	}
	_, err = f.Take(t.Context(), account, msgs(2, 1), 6)
	wantRefused(t, err)
	if err := f.Settle(t.Context(), g, []usage.Settlement{{Entry: g.Entries[msg(1).Unique], GiveBack: true}}); err != nil {
		t.Fatal(err)
	}
	wantCount(t, f.gate(t), 0, 5, 1)
}

func TestATakeoverKeepsTheClaimAndChangesTheLease(t *testing.T) {
	t.Parallel()
	f := newGate(t, monthly)
	g := f.reserve(t, monthly, 1, msg(1))
	e := g.Entries[msg(1).Unique]
	if _, err := f.TakeOver(t.Context(), account, monthly, e, g, 2, true); err == nil {
		t.Fatal("an entry was taken over while its lease runs")
	}
	for i := range 2 {
		f.clock.Move(usage.Lease + time.Second)
		before := e
		g, err := f.TakeOver(t.Context(), account, monthly, e, g, uint32(2+i), true)
		if err != nil {
			t.Fatal(err)
		}
		wantCount(t, g, 1, 4, 1)
		e = g.Entries[msg(1).Unique]
		if e.Claim != 1 || e.Lease != before.Lease+1 || e.Nonce != uint32(2+i) || !e.Counts() || !e.Expires.After(f.clock.Now()) {
			t.Fatalf("got %+v", e)
		}
		f.clock.Move(usage.Lease + time.Second)
		_, err = f.TakeOver(t.Context(), account, monthly, before, g, 9, true)
		wantRefused(t, err)
	}
}

func TestATakeoverOfAnEntryThatCountsNothing(t *testing.T) {
	t.Parallel()
	for _, counts := range []bool{false, true} {
		t.Run(fmt.Sprintf("counts=%v", counts), func(t *testing.T) {
			t.Parallel()
			f := newGate(t, monthly)
			g, err := f.Take(t.Context(), account, msgs(1, 1), 1)
			if err != nil {
				t.Fatal(err)
			}
			f.clock.Move(usage.Lease + time.Second)
			g, err = f.TakeOver(t.Context(), account, monthly, g.Entries[msg(1).Unique], g, 2, counts)
			if err != nil {
				t.Fatal(err)
			}
			used := int64(0)
			if counts {
				used = 1
			}
			wantCount(t, g, used, 5-used, 1)
			if e := g.Entries[msg(1).Unique]; e.Lease != 2 || e.Claim != 2 || e.Counts() != counts {
				t.Fatalf("got %+v", e)
			}
		})
	}
}

func TestATakeoverWithAUnitIsRefusedWhenNoneIsLeft(t *testing.T) {
	t.Parallel()
	f := newGate(t, monthly)
	g, err := f.Take(t.Context(), account, msgs(1, 1), 1)
	if err != nil {
		t.Fatal(err)
	}
	f.reserve(t, monthly, 3, msgs(10, 5)...)
	f.clock.Move(usage.Lease + time.Second)
	_, err = f.TakeOver(t.Context(), account, monthly, g.Entries[msg(1).Unique], f.gate(t), 2, true)
	wantRefused(t, err)
	wantCount(t, f.gate(t), 5, 0, 6)
}

func TestSettlingRemovesOnesOwnEntriesOnly(t *testing.T) {
	t.Parallel()
	f := newGate(t, monthly)
	old := f.reserve(t, monthly, 1, msgs(1, 4)...)
	f.clock.Move(usage.Lease + time.Second)
	over, err := f.TakeOver(t.Context(), account, monthly, old.Entries[msg(2).Unique], old, 2, true)
	if err != nil {
		t.Fatal(err)
	}
	list := []usage.Settlement{
		{Entry: old.Entries[msg(1).Unique], GiveBack: true}, {Entry: old.Entries[msg(2).Unique], GiveBack: true},
		{Entry: old.Entries[msg(3).Unique]}, {Entry: old.Entries[msg(3).Unique]},
	}
	for range 2 { // the second time nothing is left to do
		if err := f.Settle(t.Context(), old, list); err != nil {
			t.Fatal(err)
		}
		g := f.gate(t)
		wantCount(t, g, 3, 2, 2)
		if g.Entries[msg(2).Unique] != over.Entries[msg(2).Unique] {
			t.Fatal("somebody else's entry was touched")
		}
	}
}

func TestChangedTermsKeepWhatWasUsed(t *testing.T) {
	t.Parallel()
	f := newGate(t, monthly)
	g := f.reserve(t, monthly, 1, msgs(1, 3)...)
	less := monthly
	less.PlanID, less.Version, less.Limit = "tiny", "tiny@1", 2
	after, err := f.AdoptTerms(t.Context(), g, less)
	if err != nil {
		t.Fatal(err)
	}
	wantCount(t, after, 3, -1, 3)
	if after.Version != less.Version || after.PlanID != "tiny" || after.Limit != 2 {
		t.Fatalf("got %+v", after)
	}
	_, err = f.AdoptTerms(t.Context(), g, less)
	wantRefused(t, err)
	after, err = f.AdoptTerms(t.Context(), after, monthly)
	if err != nil {
		t.Fatal(err)
	}
	wantCount(t, after, 3, 2, 3)
}

func TestAPeriodIsClosedSettledAndExported(t *testing.T) {
	t.Parallel()
	daily := monthly
	daily.Kind = usage.Day
	f := newGate(t, daily)
	g := f.reserve(t, daily, 1, msgs(1, 3)...)
	f.clock.Move(24 * time.Hour)
	rolled, err := f.Roll(t.Context(), g, daily)
	if err != nil {
		t.Fatal(err)
	}
	wantCount(t, rolled, 0, 5, 3)
	if rolled.Period != "2026-11-25" || rolled.Previous != "2026-11-24" || rolled.PreviousUsed != 3 || len(rolled.OpenEntries()) != 3 {
		t.Fatalf("got %+v", rolled)
	}
	_, err = f.Roll(t.Context(), g, daily)
	wantRefused(t, err)
	if _, err := f.Roll(t.Context(), rolled, daily); !errors.Is(err, usage.ErrPreviousOpen) {
		t.Fatalf("got %v, want ErrPreviousOpen", err)
	}
	if _, err := f.Export(t.Context(), rolled); !errors.Is(err, usage.ErrPreviousOpen) {
		t.Fatalf("got %v, want ErrPreviousOpen", err)
	}
	rolled = f.reserve(t, daily, 2, msg(9))
	// The view is of the period before on purpose: a holder that slept through midnight settles with what it knows.
	if err := f.Settle(t.Context(), g, []usage.Settlement{{Entry: g.Entries[msg(1).Unique], GiveBack: true}, {Entry: g.Entries[msg(2).Unique]}, {Entry: g.Entries[msg(3).Unique]}}); err != nil {
		t.Fatal(err)
	}
	wantCount(t, f.gate(t), 1, 4, 1)
	// And here the view is older than the entry.
	if err := f.Settle(t.Context(), g, []usage.Settlement{{Entry: rolled.Entries[msg(9).Unique], GiveBack: true}}); err != nil {
		t.Fatal(err)
	}
	wantCount(t, f.gate(t), 0, 5, 0)
	for range 2 {
		if g, err = f.Export(t.Context(), f.gate(t)); err != nil || g.Previous != "" {
			t.Fatalf("got %+v, %v, %+v", g, err, f.gate(t))
		}
	}
	if n, err := f.ClosedPeriod(t.Context(), account, "2026-11-24"); err != nil || n != 2 {
		t.Fatalf("closed period: %d, %v", n, err)
	}
}

func TestGatesAreDueWhenTheirPeriodEndsOrSomebodyWakesThem(t *testing.T) {
	t.Parallel()
	f := newGate(t, monthly)
	due := func() bool {
		t.Helper()
		list, _, err := f.Due(t.Context(), usage.Shard(account), 10, "")
		if err != nil {
			t.Fatal(err)
		}
		return len(list) == 1 && list[0] == account
	}
	steps := []struct {
		name string
		do   func() error
		want bool
	}{
		{"new", func() error { return nil }, false},
		{"the period is over", func() error { f.clock.Set(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)); return nil }, true},
		{"postponed", func() error { return f.Postpone(t.Context(), f.gate(t), f.clock.Now().Add(time.Hour)) }, false},
		{"woken", func() error { f.clock.Move(time.Minute); return f.Wake(context.Background(), account) }, true},
		{"postponed, but woken again after it was looked at", func() error {
			g := f.gate(t)
			f.clock.Move(time.Minute)
			if err := f.Wake(t.Context(), account); err != nil {
				return err
			}
			f.clock.Move(time.Minute)
			return f.Postpone(t.Context(), g, f.clock.Now().Add(time.Hour))
		}, true},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if got := due(); got != s.want {
			t.Fatalf("%s: due is %v, want %v", s.name, got, s.want)
		}
	}
}

func TestPlacesInTheLineFollowEachOtherAtTheRate(t *testing.T) {
	t.Parallel()
	terms := monthly
	terms.Rate = usage.Rate{Limit: 10, Window: time.Second, Burst: 1}
	f := newGate(t, terms)
	g := f.reserve(t, terms, 1, msg(1))
	want := start.Add(100 * time.Millisecond)
	for i := range 4 {
		at, err := f.Queue(t.Context(), g, terms.Rate, 3, false) // g is what everybody knew at first
		if err != nil {
			t.Fatal(err)
		}
		if !at.Equal(want) {
			t.Fatalf("place %d at %v, want %v", i, at, want)
		}
		want = want.Add(300 * time.Millisecond)
	}
}

func TestPlacesForTheLedgerFollowEachOtherAndAreNeverFarAhead(t *testing.T) {
	t.Parallel()
	f := newGate(t, monthly)
	g := f.reserve(t, monthly, 1, msg(1))
	for i := range 10 {
		at, err := f.Place(t.Context(), g, 100*time.Millisecond, 5, 5*time.Second, false) // g is what everybody knew at first
		if want := f.clock.Now().Add(time.Duration(i) * 500 * time.Millisecond); err != nil || !at.Equal(want) {
			t.Fatalf("place %d at %v, %v, want %v", i, at, err, want)
		}
	}
	full := f.gate(t)
	if at, err := f.Place(t.Context(), full, 100*time.Millisecond, 5, 5*time.Second, false); err != nil || !at.Equal(f.clock.Now().Add(5*time.Second)) || !f.gate(t).Line.Equal(full.Line) {
		t.Errorf("in a full line the place is at %v, %v, and it ends at %v after %v", at, err, f.gate(t).Line, full.Line)
	}
	f.clock.Move(time.Minute)
	if at, err := f.Place(t.Context(), f.gate(t), 100*time.Millisecond, 5, 5*time.Second, false); err != nil || !at.Equal(f.clock.Now()) {
		t.Errorf("when the line is over the place is at %v, %v", at, err)
	}
}
