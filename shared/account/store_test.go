package account_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/api/apitest"
	"contactcenter/shared/attr"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/usage"
)

// newStores gives stores that share a table and a clock, as the containers of functions do.
func newStores(t *testing.T, n int) ([]*account.Store, *apitest.Clock) {
	t.Helper()
	env := awstest.New(t)
	table := env.Table(t.Context(), awstest.AccountsTable())
	c := apitest.NewClock(time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC))
	events := audittest.New(t, env)
	stores := make([]*account.Store, n)
	for i := range stores {
		stores[i] = &account.Store{DB: env.DynamoDB, Table: table, Now: c.Now, DefaultPlanID: "demo", Audit: events}
	}
	return stores, c
}

func demo() account.Plan {
	return account.Plan{ID: "demo", Limit: 1000, Period: usage.Month, Rate: account.Rate{Limit: 20, WindowSeconds: 1}}
}

func put(t *testing.T, s *account.Store, p account.Plan) account.Plan {
	t.Helper()
	p, _, err := s.PutPlan(t.Context(), p, audittest.ByOperator())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAnUnknownAccountGetsTheDefaultPlanOnceAtItsFirstCall(t *testing.T) {
	t.Parallel()
	stores, c := newStores(t, 1)
	s := stores[0]
	put(t, s, demo())

	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := s.Get(t.Context(), "acct_new"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	first, err := s.Get(t.Context(), "acct_new")
	if err != nil {
		t.Fatal(err)
	}
	c.Pass(time.Hour)
	second, err := s.Get(t.Context(), "acct_new")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(first, second) || first.PlanID != "demo" || first.CreatedAt.IsZero() {
		t.Errorf("account is %+v, later %+v", first, second)
	}
	if got := members(t, s, "demo"); !slices.Equal(got, []string{"acct_new"}) {
		t.Errorf("members of the plan are %v", got)
	}
	if _, err := s.Find(t.Context(), "acct_other"); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("an account that never called is found: %v", err)
	}
	for _, id := range []string{"", "plan#demo", "a b", "rules/x"} {
		if _, err := s.Get(t.Context(), id); !errors.Is(err, account.ErrID) {
			t.Errorf("account id %q: %v", id, err)
		}
	}
}

func TestTermsAreKeptForFiveSecondsAndReadAnewOnDemand(t *testing.T) {
	t.Parallel()
	stores, c := newStores(t, 2)
	operator, dispatcher := stores[0], stores[1]
	put(t, operator, demo())
	terms := func(fresh bool) usage.Terms {
		t.Helper()
		got, err := dispatcher.Terms(t.Context(), "acct_1", fresh)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	want := usage.Terms{PlanID: "demo", Version: "demo.1", Limit: 1000, Kind: usage.Month, Rate: usage.Rate{Limit: 20, Window: time.Second, Burst: 20}, InFlight: 20}
	if got := terms(false); got != want {
		t.Fatalf("terms are %+v, want %+v", got, want)
	}

	more := demo()
	more.Limit = 2000
	put(t, operator, more)
	c.Pass(account.TermsAge - time.Millisecond)
	if got := terms(false); got.Limit != 1000 {
		t.Errorf("terms were read again too early: limit %d", got.Limit)
	}
	if got := terms(true); got.Limit != 2000 || got.Version != "demo.2" {
		t.Errorf("fresh terms are %+v", got)
	}
	if got := terms(false); got.Limit != 2000 {
		t.Errorf("fresh terms were not kept: limit %d", got.Limit)
	}

	more.Limit = 3000
	put(t, operator, more)
	c.Pass(account.TermsAge)
	if got := terms(false); got.Limit != 3000 || got.Version != "demo.3" {
		t.Errorf("old terms were kept too long: %+v", got)
	}
}

func TestAPlanThatDoesNotChangeKeepsItsVersion(t *testing.T) {
	t.Parallel()
	stores, _ := newStores(t, 1)
	s := stores[0]
	cases := []struct {
		name    string
		change  func(*account.Plan)
		version int64
	}{
		{"the first time", func(*account.Plan) {}, 1},
		{"the same again", func(*account.Plan) {}, 1},
		{"the default burst in words", func(p *account.Plan) { p.Rate.Burst = p.Rate.Limit }, 1},
		{"another limit", func(p *account.Plan) { p.Limit = 5 }, 2},
		{"another burst", func(p *account.Plan) { p.Rate.Burst = 3 }, 3},
		{"another window", func(p *account.Plan) { p.Rate.WindowSeconds = 3 }, 4},
		{"another period", func(p *account.Plan) { p.Period = usage.Day }, 5},
		{"more in flight", func(p *account.Plan) { p.InFlight = 40 }, 6},
		{"a version of the caller's own is ignored", func(p *account.Plan) { p.Version = 99 }, 6},
	}
	p := demo()
	for _, c := range cases {
		c.change(&p)
		got := put(t, s, p)
		read, err := s.Plan(t.Context(), "demo")
		if err != nil {
			t.Fatal(err)
		}
		if got.Version != c.version || read != got {
			t.Errorf("%s: put gave %+v, read %+v, want version %d", c.name, got, read, c.version)
		}
	}
}

func TestPlansChangedAtOnceGetVersionsOfTheirOwn(t *testing.T) {
	t.Parallel()
	stores, _ := newStores(t, 1)
	s := stores[0]
	put(t, s, demo())
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		seen = map[int64]bool{}
	)
	for i := range 5 {
		wg.Go(func() {
			p := demo()
			p.Limit = int64(100 + i)
			got, _, err := s.PutPlan(t.Context(), p, audittest.ByOperator())
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if seen[got.Version] {
				t.Errorf("version %d was given twice", got.Version)
			}
			seen[got.Version] = true
		})
	}
	wg.Wait()
}

func TestAnAccountsPlanMovesItsMembership(t *testing.T) {
	t.Parallel()
	stores, _ := newStores(t, 1)
	s := stores[0]
	put(t, s, demo())
	big := demo()
	big.ID, big.Limit = "big", 50_000
	put(t, s, big)
	if _, err := s.Get(t.Context(), "acct_1"); err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		plan      string
		demo, big []string
		want      error
	}{
		{"big", nil, []string{"acct_1"}, nil},
		{"big", nil, []string{"acct_1"}, nil},
		{"none", nil, []string{"acct_1"}, account.ErrPlanNotFound},
		{"", nil, []string{"acct_1"}, account.ErrPlanNotFound},
		{"demo", []string{"acct_1"}, nil, nil},
	}
	for _, st := range steps {
		_, err := s.SetPlan(t.Context(), "acct_1", st.plan, audittest.ByOperator())
		if !errors.Is(err, st.want) {
			t.Fatalf("set plan %q: %v", st.plan, err)
		}
		if d, b := members(t, s, "demo"), members(t, s, "big"); !slices.Equal(d, st.demo) || !slices.Equal(b, st.big) {
			t.Errorf("after %q, demo has %v, big has %v", st.plan, d, b)
		}
	}
	a, err := s.SetPlan(t.Context(), "acct_never_seen", "big", audittest.ByOperator())
	if err != nil || a.PlanID != "big" || a.CreatedAt.IsZero() {
		t.Errorf("an account given a plan before its first call is %+v, %v", a, err)
	}
	if terms, err := s.Terms(t.Context(), "acct_never_seen", false); err != nil || terms.Limit != 50_000 {
		t.Errorf("its terms are %+v, %v", terms, err)
	}
}

func TestMembersComeInPages(t *testing.T) {
	t.Parallel()
	stores, _ := newStores(t, 1)
	s := stores[0]
	put(t, s, demo())
	for i := range 7 {
		if _, err := s.Get(t.Context(), fmt.Sprintf("acct_%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	var all []string
	page := attr.Page{Size: 3}
	for {
		list, next, err := s.Members(t.Context(), "demo", page)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, list...)
		if page.Token = next; next == "" {
			break
		}
	}
	if len(all) != 7 {
		t.Errorf("members are %v", all)
	}
	_, token, err := s.Members(t.Context(), "demo", attr.Page{Size: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Members(t.Context(), "other", attr.Page{Size: 1, Token: token}); !errors.Is(err, attr.ErrToken) {
		t.Errorf("a token of one list opened another: %v", err)
	}
}

func members(t *testing.T, s *account.Store, plan string) []string {
	t.Helper()
	list, _, err := s.Members(context.WithoutCancel(t.Context()), plan, attr.Page{Size: 100})
	if err != nil {
		t.Fatal(err)
	}
	return list
}
