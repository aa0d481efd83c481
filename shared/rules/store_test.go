package rules_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"contactcenter/shared/api/apitest"
	"contactcenter/shared/attr"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/id"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/rules"
)

// newStores gives two stores on one table, as two containers have.
func newStores(t *testing.T) (operator, customer *rules.Store, clock *apitest.Clock) {
	t.Helper()
	env := awstest.New(t)
	table := env.Table(t.Context(), awstest.AccountsTable())
	clock = apitest.NewClock(time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC))
	events := audittest.New(t, env)
	return &rules.Store{DB: env.DynamoDB, Table: table, Now: clock.Now, Audit: events}, &rules.Store{DB: env.DynamoDB, Table: table, Now: clock.Now, Audit: events}, clock
}

func version(name string, at time.Time) rules.Version {
	return rules.Version{Version: name, EffectiveAt: at, Documents: []rules.Document{{ID: "rules", Version: name, SHA256: "ab", URL: "https://example.com"}}}
}

// what was accepted stays what it was.
func TestAVersionNeverChanges(t *testing.T) {
	t.Parallel()
	s, other, clock := newStores(t)
	v := version("v1", clock.Now())
	cases := []struct {
		name   string
		change func(*rules.Version)
		want   error
	}{
		{"the first time", func(*rules.Version) {}, nil},
		{"the same again", func(*rules.Version) {}, nil},
		{"the same moment in another zone", func(v *rules.Version) { v.EffectiveAt = v.EffectiveAt.In(time.FixedZone("x", 3600)) }, nil},
		{"another moment", func(v *rules.Version) { v.EffectiveAt = v.EffectiveAt.Add(time.Hour) }, rules.ErrPublished},
		{"another hash", func(v *rules.Version) { v.Documents = []rules.Document{{ID: "rules", Version: "v1", SHA256: "cd"}} }, rules.ErrPublished},
		{"another mode of acceptance", func(v *rules.Version) { v.Mode = rules.Notice }, rules.ErrPublished},
		{"the same mode, said expressly", func(v *rules.Version) { v.Mode = rules.Explicit }, nil},
		{"no documents", func(v *rules.Version) { v.Documents = nil }, rules.ErrPublished},
		{"a use more", func(v *rules.Version) { v.ProhibitedUses = []rules.ProhibitedUse{{ID: "x"}} }, rules.ErrPublished},
	}
	for _, c := range cases {
		w := v
		c.change(&w)
		if err := s.Publish(t.Context(), w, audittest.ByOperator()); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if got, err := other.Get(t.Context(), "v1"); err != nil || !got.Same(v) {
			t.Errorf("%s: it is now %+v, %v", c.name, got, err)
		}
	}
}

func TestTheVersionInForceIsSeenWithinSeconds(t *testing.T) {
	t.Parallel()
	operator, customer, clock := newStores(t)
	now := clock.Now()
	want := func(what, version string, wantErr error) {
		t.Helper()
		got, err := customer.Current(t.Context())
		if got.Version != version || !errors.Is(err, wantErr) {
			t.Errorf("%s: current is %q, %v, want %q", what, got.Version, err, version)
		}
	}
	want("before any", "", rules.ErrNoneInForce)
	for name, in := range map[string]time.Duration{"old": -2 * time.Hour, "new": -time.Hour, "next": time.Minute} {
		if err := operator.Publish(t.Context(), version(name, now.Add(in)), audittest.ByOperator()); err != nil {
			t.Fatal(err)
		}
	}
	want("while the answer is kept", "", rules.ErrNoneInForce)
	clock.Pass(rules.CurrentAge)
	want("then", "new", nil)
	clock.Pass(time.Minute - rules.CurrentAge - time.Millisecond)
	want("just before the next", "new", nil)
	clock.Pass(time.Millisecond)
	want("at the moment of the next", "next", nil)
}

func TestOnlyAPositiveAnswerIsKept(t *testing.T) {
	t.Parallel()
	s, other, clock := newStores(t)
	ask := func(s *rules.Store, account, version string, want bool) {
		t.Helper()
		if got, err := s.Accepted(t.Context(), account, version); got != want || err != nil {
			t.Errorf("%s accepted %s: %v, %v, want %v", account, version, got, err, want)
		}
	}
	ask(s, "acct_1", "v1", false)
	if err := other.Accept(t.Context(), rules.Acceptance{ID: "acc_1", AccountID: "acct_1", RulesVersion: "v1", Capacity: rules.Self, UserID: "u", At: clock.Now()}, audittest.By("acct_1")); err != nil {
		t.Fatal(err)
	}
	ask(s, "acct_1", "v1", true)
	ask(s, "acct_1", "v1", true)
	ask(s, "acct_1", "v2", false)
	ask(s, "acct_2", "v1", false)
}

//
func TestEveryAcceptanceIsListed(t *testing.T) {
	t.Parallel()
	s, _, clock := newStores(t)
	var wg sync.WaitGroup
	for i := range 7 {
		wg.Go(func() {
			a := rules.Acceptance{ID: fmt.Sprintf("acc_%d", i), AccountID: "acct_1", RulesVersion: "v1", Capacity: rules.LegalEntity, LegalEntityName: "n", UserID: "u", SourceIP: "::1", At: clock.Now()}
			for range 2 {
				if err := s.Accept(t.Context(), a, audittest.By("acct_1")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got := ""
	page := attr.Page{Size: 3}
	for {
		list, next, err := s.Acceptances(t.Context(), "acct_1", page)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range list {
			got += a.ID + " "
		}
		if page.Token = next; next == "" {
			break
		}
	}
	if want := "acc_6 acc_5 acc_4 acc_3 acc_2 acc_1 acc_0 "; got != want {
		t.Errorf("listed are %q", got)
	}
}

// use accepts a version of which the account had notice, once, in the capacity of the acceptance before.
func TestUseAcceptsAVersionOnceWhereTheVersionProvidesForIt(t *testing.T) {
	t.Parallel()
	operator, customer, clock := newStores(t)
	ctx := t.Context()
	first, notice, explicit := version("v1", clock.Now()), version("v2", clock.Now().Add(time.Hour)), version("v3", clock.Now().Add(2*time.Hour))
	notice.Mode = rules.Notice
	for _, v := range []rules.Version{first, notice, explicit} {
		if err := operator.Publish(ctx, v, audittest.ByOperator()); err != nil {
			t.Fatal(err)
		}
	}
	accepted := rules.Acceptance{ID: "acc_0000000000000001", AccountID: "acct_1", RulesVersion: "v1", Documents: first.Plain(), Capacity: rules.LegalEntity, LegalEntityName: "n", UserID: "u", SourceIP: "::1", At: clock.Now()}
	if err := customer.Accept(ctx, accepted, audittest.By("acct_1")); err != nil {
		t.Fatal(err)
	}
	stands := func(account string, v rules.Version, accepted, permits bool) rules.Agreement {
		t.Helper()
		a, err := customer.Agreement(ctx, account, v)
		if err != nil || a.Accepted != accepted || a.Permits() != permits {
			t.Errorf("%s to %s: %+v, %v", account, v.Version, a, err)
		}
		return a
	}
	stands("acct_1", first, true, true)
	stands("acct_1", explicit, false, false)
	stands("acct_2", notice, false, false)
	earlier := stands("acct_1", notice, false, true).Earlier
	if earlier == nil {
		t.Fatal("there is no earlier acceptance")
	}
	clock.Pass(90 * time.Minute)
	var wg sync.WaitGroup
	for i, s := range []*rules.Store{operator, customer, operator, customer} {
		wg.Go(func() {
			u := rules.Use{AccountID: "acct_1", UserID: fmt.Sprintf("user_%d", i), SourceIP: "192.0.2.1", At: clock.Now()}
			if err := s.AcceptByUse(ctx, notice, *earlier, u); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	stands("acct_1", notice, true, true)
	if err := customer.AcceptByUse(ctx, explicit, *earlier, rules.Use{AccountID: "acct_1", UserID: "u", At: clock.Now()}); err == nil {
		t.Error("a version that wants an express acceptance was accepted by use")
	}
	list, _, err := customer.Acceptances(ctx, "acct_1", attr.Page{Size: 10})
	if err != nil || len(list) != 2 || list[1].Kind != rules.ByRequest {
		t.Fatalf("%+v, %v", list, err)
	}
	got := list[0]
	if got.Kind != rules.ByUse || got.RulesVersion != "v2" || got.Capacity != rules.LegalEntity || got.LegalEntityName != "n" || got.SourceIP != "192.0.2.1" || !got.At.Equal(clock.Now()) || len(got.Documents) != 1 || got.Documents[0] != notice.Plain()[0] {
		t.Errorf("recorded is %+v", got)
	}
}

// the acceptance by use is the account's last one, also of a version that was published for a time before the earlier one.
func TestUseIsListedBehindTheAcceptanceBeforeIt(t *testing.T) {
	t.Parallel()
	operator, customer, clock := newStores(t)
	first, notice := version("v1", clock.Now().Add(-2*time.Hour)), version("v2", clock.Now().Add(-time.Hour))
	notice.Mode = rules.Notice
	acceptanceID, err := id.Source{Now: clock.Now, Random: rand.Reader}.New(id.AcceptancePrefix)
	if err != nil {
		t.Fatal(err)
	}
	earlier := rules.Acceptance{ID: acceptanceID, AccountID: "acct_1", RulesVersion: "v1", Documents: first.Plain(), Capacity: rules.Self, UserID: "u", SourceIP: "::1", At: clock.Now()}
	for _, err := range []error{
		operator.Publish(t.Context(), first, audittest.ByOperator()), customer.Accept(t.Context(), earlier, audittest.By("acct_1")),
		operator.Publish(t.Context(), notice, audittest.ByOperator()),
		customer.AcceptByUse(t.Context(), notice, earlier, rules.Use{AccountID: "acct_1", UserID: "u", At: clock.Now().Add(time.Minute)}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	list, _, err := customer.Acceptances(t.Context(), "acct_1", attr.Page{Size: 1})
	if err != nil || len(list) != 1 || list[0].RulesVersion != "v2" {
		t.Errorf("the last acceptance is %+v, %v", list, err)
	}
}

//
func TestVersionsAreListedByWhenTheyComeIntoForce(t *testing.T) {
	t.Parallel()
	operator, customer, clock := newStores(t)
	for i, name := range []string{"b", "c", "a", "d", "e"} {
		if err := operator.Publish(t.Context(), version(name, clock.Now().Add(time.Duration(i)*time.Hour)), audittest.ByOperator()); err != nil {
			t.Fatal(err)
		}
	}
	got := ""
	page := attr.Page{Size: 2}
	for {
		list, next, err := customer.List(t.Context(), page)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range list {
			got += v.Version
		}
		if page.Token = next; next == "" {
			break
		}
	}
	if got != "edacb" {
		t.Errorf("listed are %q", got)
	}
	if _, _, err := customer.List(t.Context(), attr.Page{Size: 2, Token: "x"}); !errors.Is(err, attr.ErrToken) {
		t.Errorf("another token: %v", err)
	}
}
