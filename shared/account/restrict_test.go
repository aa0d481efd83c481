package account_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/restriction"
	"contactcenter/shared/usage"
)

// restrictable gives a store with a plan of 100 and a known account, and its audit log.
func restrictable(t *testing.T, now func() time.Time) (*account.Store, *audit.Log) {
	t.Helper()
	env := awstest.New(t)
	log := audittest.New(t, env)
	s := &account.Store{DB: env.DynamoDB, Table: env.Table(t.Context(), awstest.AccountsTable()), Now: now, DefaultPlanID: "demo", Audit: log}
	if _, _, err := s.PutPlan(t.Context(), account.Plan{ID: "demo", Limit: 100, Period: usage.Month, Rate: account.Rate{Limit: 20, WindowSeconds: 1}}, audittest.ByOperator()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "acct_1"); err != nil {
		t.Fatal(err)
	}
	return s, log
}

func event(action, target string) audit.Event {
	e := audittest.ByOperator()
	e.AccountID, e.Action, e.Target = "acct_1", action, target
	return e
}

func limitTo(n int) restriction.Restriction {
	limit := int64(n)
	return restriction.Restriction{ID: fmt.Sprintf("rst_%016d", n), AccountID: "acct_1", Kind: restriction.Limit, Limit: &limit, Reason: "r", Clause: "13", CreatedBy: "op"}
}

// none of several changes at once is lost, each has its event, and a restriction is lifted once.
func TestRestrictionsThatAreMadeAndLiftedAtOnceAreAllKept(t *testing.T) {
	t.Parallel()
	s, log := restrictable(t, time.Now)
	const n = 20
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			if err := s.Restrict(t.Context(), limitTo(10+i), event("restriction.created", limitTo(10+i).ID)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	st, err := s.Standing(t.Context(), "acct_1", true)
	if err != nil || len(st.Restrictions) != n || st.Terms.Limit != 10 || st.PlanTerms.Limit != 100 || st.LimitedBy.NumberBy != limitTo(10).ID {
		t.Errorf("standing is %+v, %v", st, err)
	}
	var lifted atomic.Int64
	for range n {
		group.Go(func() {
			_, did, err := s.Lift(t.Context(), limitTo(10).ID, "op", event("restriction.lifted", limitTo(10).ID))
			if err != nil {
				t.Error(err)
			}
			if did {
				lifted.Add(1)
			}
		})
	}
	group.Wait()
	if st, err = s.Standing(t.Context(), "acct_1", true); err != nil || len(st.Restrictions) != n-1 || st.Terms.Limit != 11 || lifted.Load() != 1 {
		t.Errorf("lifted %d times, standing is %+v, %v", lifted.Load(), st, err)
	}
	if events := audittest.Of(t, log, "acct_1"); len(events) != n+1 {
		t.Errorf("the audit has %d events: %+v", len(events), events)
	}
	var all []string
	page := attr.Page{Size: 7}
	for {
		list, next, err := s.ListRestrictions(t.Context(), "acct_1", page)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			all = append(all, string(r.StatusAt(time.Now())))
		}
		if page.Token = next; next == "" {
			break
		}
	}
	if got := fmt.Sprint(all); got != "["+strings.Repeat("active ", n-1)+"lifted]" {
		t.Errorf("newest first, they are %s", got)
	}
}

// the version of the terms names the restrictions in force, and is the plan's own again when the last has ended.
func TestTheVersionNamesTheRestrictionsInForce(t *testing.T) {
	t.Parallel()
	var now atomic.Pointer[time.Time]
	at := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	now.Store(&at)
	s, _ := restrictable(t, func() time.Time { return *now.Load() })
	version := func() string {
		terms, err := s.Terms(t.Context(), "acct_1", false)
		if err != nil {
			t.Fatal(err)
		}
		return terms.Version
	}
	plain := version()
	first, second := limitTo(10), limitTo(20)
	first.Until, second.Scope.ChannelID = at.Add(2*time.Second), "chn_1" // of another scope, and named all the same
	seen := map[string]bool{plain: true}
	for _, r := range []restriction.Restriction{first, second} {
		if err := s.Restrict(t.Context(), r, event("restriction.created", r.ID)); err != nil {
			t.Fatal(err)
		}
		if seen[version()] {
			t.Errorf("with %s, the version is %s as before", r.ID, version())
		}
		seen[version()] = true
	}
	later := at.Add(2 * time.Second) // what is in memory is younger than 5 s
	now.Store(&later)
	if v := version(); seen[v] {
		t.Errorf("when the first has ended, the version is %s as before", v)
	}
	if _, _, err := s.Lift(t.Context(), second.ID, "op", event("restriction.lifted", second.ID)); err != nil {
		t.Fatal(err)
	}
	if v := version(); v != plain {
		t.Errorf("without restrictions the version is %s, want %s", v, plain)
	}
}
