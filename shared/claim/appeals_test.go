package claim_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/claim"
)

func (w *world) appeals() *claim.Appeals {
	return &claim.Appeals{DB: w.DynamoDB, Table: w.table, Sealer: w.complaints.Sealer, Opener: w.complaints.Opener, Audit: w.log, Now: w.clock.Now}
}

func against(n, restriction int) claim.Appeal {
	return claim.Appeal{ID: fmt.Sprintf("apl_%016d", n), AccountID: "acct_1", RestrictionID: fmt.Sprintf("rst_%016d", restriction), CreatedBy: "user_7"}
}

// what an account writes is sealed in the table and in no event; each step is an event that the account sees.
func TestAnAppealIsSealedAndEachStepIsLogged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.appeals()
	a, err := s.Open(t.Context(), against(1, 1), "It was not us. "+canary, audittest.By("acct_1"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := w.DynamoDB.Scan(t.Context(), &dynamodb.ScanInput{TableName: &w.table})
	if err != nil || len(out.Items) != 2 {
		t.Fatalf("%d items, %v", len(out.Items), err)
	}
	for _, it := range out.Items {
		for name, v := range it {
			if strings.Contains(fmt.Sprintf("%s", v), canary) {
				t.Errorf("%s holds it", name)
			}
		}
	}
	stale := a
	for _, step := range []struct {
		status claim.AppealStatus
		err    error
	}{{claim.AppealOpen, claim.ErrStatus}, {claim.AppealDeclined, nil}, {claim.AppealAccepted, claim.ErrStatus}, {claim.AppealOpen, nil}, {claim.AppealAccepted, nil}} {
		w.clock.Pass(time.Second)
		next, err := s.Decide(t.Context(), a, step.status, "because", audittest.ByOperator())
		if !errors.Is(err, step.err) {
			t.Errorf("from %s to %s: %v, want %v", a.Status, step.status, err, step.err)
		}
		if err == nil {
			a = next
		}
	}
	if _, err := s.Decide(t.Context(), stale, claim.AppealDeclined, "because", audittest.ByOperator()); !errors.Is(err, claim.ErrChanged) {
		t.Errorf("a decision on what was changed meanwhile: %v", err)
	}
	got, err := s.Get(t.Context(), a.ID)
	if err != nil || got.Status != claim.AppealAccepted || got.Reason != "because" || got.RestrictionID != against(1, 1).RestrictionID || got.CreatedBy != "user_7" {
		t.Errorf("it is %+v, %v", got, err)
	}
	if text, err := s.Text(got); err != nil || text != "It was not us. "+canary {
		t.Errorf("the operator reads %q, %v", text, err)
	}
	log := ""
	for _, e := range audittest.Of(t, w.log, "acct_1") {
		if strings.Contains(fmt.Sprint(e), canary) || e.Target != a.RestrictionID {
			t.Errorf("an event is %+v", e)
		}
		log += fmt.Sprintf("%s %v; ", e.Action, e.After["status"])
	}
	if want := "restriction.appealed open; appeal.decided declined; appeal.decided open; appeal.decided accepted; "; log != want {
		t.Errorf("the log is %q", log)
	}
}

// of many appeals at once against one restriction one is taken; another may follow when it is decided, and the first is
// not opened again beside it.
func TestOneAppealOfEachRestrictionIsOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.appeals()
	var taken, refused atomic.Int64
	var group sync.WaitGroup
	for n := range 10 {
		group.Go(func() {
			switch _, err := s.Open(t.Context(), against(n, 1), "x", audittest.By("acct_1")); {
			case err == nil:
				taken.Add(1)
			case errors.Is(err, claim.ErrStatus):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	group.Wait()
	if taken.Load() != 1 || refused.Load() != 9 {
		t.Fatalf("%d were taken, %d refused", taken.Load(), refused.Load())
	}
	if _, err := s.Open(t.Context(), against(20, 2), "x", audittest.By("acct_1")); err != nil {
		t.Errorf("against another restriction: %v", err)
	}
	list, _, err := s.List(t.Context(), claim.WhichAppeals{AccountID: "acct_1", RestrictionID: against(0, 1).RestrictionID}, attr.Page{Size: 20})
	if err != nil || len(list) != 1 {
		t.Fatalf("listed are %+v, %v", list, err)
	}
	first, err := s.Decide(t.Context(), list[0], claim.AppealDeclined, "no", audittest.ByOperator())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), against(30, 1), "x", audittest.By("acct_1")); err != nil {
		t.Errorf("after the decision: %v", err)
	}
	if _, err := s.Decide(t.Context(), first, claim.AppealOpen, "again", audittest.ByOperator()); !errors.Is(err, claim.ErrChanged) {
		t.Errorf("opened again beside another: %v", err)
	}
	for name, c := range map[string]struct {
		which claim.WhichAppeals
		want  int
	}{
		"all": {claim.WhichAppeals{}, 3}, "open ones": {claim.WhichAppeals{Status: claim.AppealOpen}, 2}, "declined ones": {claim.WhichAppeals{Status: claim.AppealDeclined}, 1},
		"of the account": {claim.WhichAppeals{AccountID: "acct_1"}, 3}, "of another": {claim.WhichAppeals{AccountID: "acct_2"}, 0},
	} {
		if list, _, err := s.List(t.Context(), c.which, attr.Page{Size: 20}); err != nil || len(list) != c.want {
			t.Errorf("%s: %d, %v; want %d", name, len(list), err, c.want)
		}
	}
}
