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

	"contactcenter/shared/api/apitest"
	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/claim"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
)

type world struct {
	*awstest.Env
	table      string
	clock      *apitest.Clock
	log        *audit.Log
	complaints *claim.Complaints
	requests   *claim.Requests
}

func newWorld(t *testing.T) *world {
	t.Helper()
	env := awstest.New(t)
	sealer, opener := sealtest.Pair(seal.Complaints)
	w := &world{Env: env, table: env.Table(t.Context(), awstest.ComplaintsTable()), clock: apitest.NewClock(time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)), log: audittest.New(t, env)}
	w.log.Now, w.log.IDs.Now = w.clock.Now, w.clock.Now // events in the order of what the test does
	w.complaints = &claim.Complaints{DB: env.DynamoDB, Table: w.table, Sealer: sealer, Opener: opener, Audit: w.log, Now: w.clock.Now}
	w.requests = &claim.Requests{DB: env.DynamoDB, Table: w.table, Audit: w.log, Now: w.clock.Now}
	return w
}

func complaintID(n int) string { return fmt.Sprintf("cmp_%016d", n) }

func evidenceID(n int) string { return fmt.Sprintf("evr_%016d", n) }

const canary = "Canary-4711"

func (w *world) receive(t *testing.T, n int) claim.Complaint {
	t.Helper()
	c, err := w.complaints.Receive(t.Context(), complaintID(n), "spam", claim.Statement{
		Description: "They write every day. " + canary, SenderAddress: "+35799001001", Contact: claim.Contact{Name: canary, Email: canary + "@example.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// what a claimant wrote is nowhere in the table, and the operator reads it.
func TestWhatAClaimantWroteIsSealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.receive(t, 1)
	if _, err := w.complaints.Review(t.Context(), c, claim.Review{Note: "Asked " + canary}, withReason("r")); err != nil {
		t.Fatal(err)
	}
	out, err := w.DynamoDB.Scan(t.Context(), &dynamodb.ScanInput{TableName: &w.table})
	if err != nil || len(out.Items) != 1 {
		t.Fatalf("%d items, %v", len(out.Items), err)
	}
	if all := fmt.Sprintf("%q", fmt.Sprint(out.Items)); strings.Contains(all, canary) || strings.Contains(all, "99001001") {
		t.Errorf("the table holds it: %s", all)
	}
	for name, v := range out.Items[0] {
		if strings.Contains(fmt.Sprintf("%s", v), canary) {
			t.Errorf("%s holds it", name)
		}
	}
	got, err := w.complaints.Get(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	what, err := w.complaints.Statement(got)
	if err != nil || !strings.HasSuffix(what.Description, canary) || what.Contact.Name != canary || what.SenderAddress != "+35799001001" {
		t.Errorf("the operator reads %+v, %v", what, err)
	}
	if note, err := w.complaints.Note(got); err != nil || note != "Asked "+canary {
		t.Errorf("the note is %q, %v", note, err)
	}
	for _, e := range audittest.Of(t, w.log, "") {
		if strings.Contains(fmt.Sprint(e), canary) {
			t.Errorf("the audit log holds it: %+v", e)
		}
	}
}

func withReason(reason string) audit.Event {
	e := audittest.ByOperator()
	e.Reason = reason
	return e
}

// only certain steps are possible, and each is in the log of decisions once.
func TestAComplaintGoesStepByStepAndEachIsLogged(t *testing.T) {
	t.Parallel()
	steps := []struct {
		from, to claim.Status
		ok       bool
	}{
		{claim.Open, claim.InReview, true}, {claim.Open, claim.Upheld, true}, {claim.Open, claim.Dismissed, true},
		{claim.InReview, claim.Open, false}, {claim.InReview, claim.Upheld, true}, {claim.InReview, claim.Dismissed, true},
		{claim.Upheld, claim.Open, false}, {claim.Upheld, claim.Dismissed, false}, {claim.Upheld, claim.InReview, true},
		{claim.Dismissed, claim.Open, false}, {claim.Dismissed, claim.Upheld, false}, {claim.Dismissed, claim.InReview, true},
	}
	for _, s := range steps {
		if s.from.May(s.to) != s.ok {
			t.Errorf("from %s to %s: %v", s.from, s.to, !s.ok)
		}
	}
	w := newWorld(t)
	c := w.receive(t, 1)
	stale := c
	var err error
	if c, err = w.complaints.Review(t.Context(), c, claim.Review{Status: claim.InReview, AccountID: "acct_1"}, withReason("it looks real")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.complaints.Review(t.Context(), stale, claim.Review{Status: claim.Dismissed}, withReason("r")); !errors.Is(err, claim.ErrChanged) {
		t.Errorf("a change of what was changed meanwhile: %v", err)
	}
	if _, err := w.complaints.Review(t.Context(), c, claim.Review{Status: claim.Open}, withReason("r")); !errors.Is(err, claim.ErrStatus) {
		t.Errorf("back to open: %v", err)
	}
	if _, err := w.complaints.Review(t.Context(), c, claim.Review{Status: claim.InReview, AccountID: "acct_1"}, withReason("r")); err != nil {
		t.Errorf("what is so already: %v", err)
	}
	log := audittest.Of(t, w.log, "")
	if len(log) != 1 || log[0].Action != "complaint.reviewed" || log[0].Reason != "it looks real" || log[0].Before["status"] != "open" || log[0].After["status"] != "in_review" || log[0].After["account_id"] != "acct_1" || log[0].ComplaintID != c.ID {
		t.Errorf("the log is %+v", log)
	}
	if own := audittest.Of(t, w.log, "acct_1"); len(own) != 0 {
		t.Errorf("the account sees %+v", own)
	}
}

func TestComplaintsAreListedNewestFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := range 7 {
		c := w.receive(t, n)
		if n%2 == 1 {
			if _, err := w.complaints.Review(t.Context(), c, claim.Review{Status: claim.InReview, AccountID: "acct_1"}, withReason("r")); err != nil {
				t.Fatal(err)
			}
		}
	}
	all := func(status claim.Status, account string) string {
		t.Helper()
		got, page := "", attr.Page{Size: 2}
		for {
			list, next, err := w.complaints.List(t.Context(), status, account, page)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range list {
				got += c.ID[len(c.ID)-1:]
			}
			if page.Token = next; next == "" {
				return got
			}
		}
	}
	for name, c := range map[string]struct {
		status        claim.Status
		account, want string
	}{
		"all": {"", "", "6543210"}, "open": {claim.Open, "", "6420"}, "in review": {claim.InReview, "", "531"}, "of an account": {"", "acct_1", "531"},
		"open of an account": {claim.Open, "acct_1", ""}, "of another account": {"", "acct_2", ""},
	} {
		if got := all(c.status, c.account); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if _, _, err := w.complaints.List(t.Context(), "", "", attr.Page{Size: 2, Token: "x"}); !errors.Is(err, attr.ErrToken) {
		t.Errorf("another token: %v", err)
	}
	w.clock.Pass(claim.Retention + time.Hour)
	if got := all("", ""); got != "" {
		t.Errorf("after their time there are still %q", got)
	}
	if ok, err := w.complaints.Exists(t.Context(), complaintID(1)); ok || err != nil {
		t.Errorf("after its time it exists: %v, %v", ok, err)
	}
}

// a source may complain so many times an hour, exactly, and its address is not kept.
func TestASourceMayComplainSoManyTimesAnHour(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := &claim.Sources{DB: w.DynamoDB, Table: w.table, Key: []byte("key"), Now: w.clock.Now}
	var counted, refused atomic.Int64
	var wg sync.WaitGroup
	for range 3 * claim.PerSource {
		wg.Go(func() {
			many := new(claim.TooMany)
			switch err := s.Count(t.Context(), "192.0.2.44"); {
			case err == nil:
				counted.Add(1)
			case errors.As(err, &many) && many.ResetsAt.Equal(w.clock.Now().Add(claim.SourceWindow)):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if counted.Load() != claim.PerSource || refused.Load() != 2*claim.PerSource {
		t.Errorf("%d counted, %d refused", counted.Load(), refused.Load())
	}
	if err := s.Count(t.Context(), "192.0.2.45"); err != nil {
		t.Errorf("another source: %v", err)
	}
	for i := range claim.PerSource {
		if err := s.Count(t.Context(), fmt.Sprintf("2001:db8:1:2::%x", i+1)); err != nil {
			t.Error(err)
		}
	}
	if err := s.Count(t.Context(), "2001:db8:1:2:ffff::1"); err == nil {
		t.Error("another address of the same network counts on its own")
	}
	w.clock.Pass(claim.SourceWindow)
	if err := s.Count(t.Context(), "192.0.2.44"); err != nil {
		t.Errorf("an hour later: %v", err)
	}
	out, err := w.DynamoDB.Scan(t.Context(), &dynamodb.ScanInput{TableName: &w.table})
	if err != nil || len(out.Items) == 0 {
		t.Fatalf("%d items, %v", len(out.Items), err)
	}
	for _, it := range out.Items {
		if text := fmt.Sprint(attr.Text(it, "pk"), attr.Text(it, "sk")); strings.Contains(text, "192.0.2") || attr.Number(it, "ttl") == 0 {
			t.Errorf("kept is %v", it)
		}
	}
}

// open, submitted, rejected, submitted again, accepted; each step is an audit event that the account sees.
func TestAnEvidenceRequestGoesFromOpenToAccepted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	r, err := w.requests.Open(ctx, claim.Evidence{ID: evidenceID(1), AccountID: "acct_1", Reason: "a complaint", DueAt: w.clock.Now().Add(time.Hour), RecipientIDs: []string{"rcp_1"}, ComplaintID: complaintID(1)}, audittest.ByOperator())
	if err != nil {
		t.Fatal(err)
	}
	answer := claim.Submission{By: "user_1", Statement: "They agreed.", Documents: []claim.Document{{Title: "Form", URL: "https://example.com/form"}}}
	if _, err := w.requests.Decide(ctx, r, claim.Accepted, "", audittest.ByOperator()); !errors.Is(err, claim.ErrStatus) {
		t.Errorf("accepted before it was answered: %v", err)
	}
	stale := r
	w.clock.Pass(time.Minute)
	steps := []func() error{
		func() error { r, err = w.requests.Submit(ctx, r, answer, audittest.By("acct_1")); return err },
		func() error {
			r, err = w.requests.Decide(ctx, r, claim.Rejected, "Which form?", audittest.ByOperator())
			return err
		},
		func() error { r, err = w.requests.Submit(ctx, r, answer, audittest.By("acct_1")); return err },
		func() error {
			r, err = w.requests.Decide(ctx, r, claim.Accepted, "Thank you", audittest.ByOperator())
			return err
		},
	}
	for i, step := range steps {
		if err := step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		w.clock.Pass(time.Minute)
	}
	if _, err := w.requests.Submit(ctx, r, answer, audittest.By("acct_1")); !errors.Is(err, claim.ErrStatus) {
		t.Errorf("an answer to what is accepted: %v", err)
	}
	if _, err := w.requests.Submit(ctx, stale, answer, audittest.By("acct_1")); !errors.Is(err, claim.ErrChanged) {
		t.Errorf("an answer to what was read long ago: %v", err)
	}
	got, err := w.requests.Get(ctx, r.ID)
	if err != nil || got.Status != claim.Accepted || got.Note != "Thank you" || got.Submissions != 2 {
		t.Errorf("it is %+v, %v", got, err)
	}
	subs, err := w.requests.Submissions(ctx, r.ID)
	if err != nil || len(subs) != 2 || subs[1].Statement != answer.Statement || len(subs[0].Documents) != 1 || !subs[0].At.After(subs[1].At) {
		t.Errorf("the answers are %+v, %v", subs, err)
	}
	log := ""
	for _, e := range audittest.Of(t, w.log, "acct_1") {
		log += e.Action + " "
	}
	if want := "evidence.requested evidence.submitted evidence.rejected evidence.submitted evidence.accepted "; log != want {
		t.Errorf("the log is %q", log)
	}
}

// what is not answered in time is overdue, in the lists too, and nothing else happens.
func TestAnUnansweredEvidenceRequestBecomesOverdue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	for n := range 4 {
		r, err := w.requests.Open(ctx, claim.Evidence{ID: evidenceID(n), AccountID: fmt.Sprintf("acct_%d", n%2), Reason: "r", DueAt: w.clock.Now().Add(time.Duration(n+1) * time.Hour)}, audittest.ByOperator())
		if err == nil && n == 1 {
			_, err = w.requests.Submit(ctx, r, claim.Submission{By: "u", Statement: "s"}, audittest.By(r.AccountID))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	overdue := func(account string) string {
		t.Helper()
		list, _, err := w.requests.List(ctx, claim.Which{AccountID: account, Overdue: true}, attr.Page{Size: 10})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, r := range list {
			got += r.ID[len(r.ID)-1:]
		}
		return got
	}
	if got := overdue(""); got != "" {
		t.Errorf("at first overdue are %q", got)
	}
	before := len(audittest.Of(t, w.log, "acct_0"))
	w.clock.Pass(3*time.Hour + time.Minute)
	if got := overdue(""); got != "20" {
		t.Errorf("overdue are %q", got)
	}
	if got := overdue("acct_0"); got != "20" {
		t.Errorf("overdue of acct_0 are %q", got)
	}
	if n, err := w.requests.Overdue(ctx, "acct_1"); n != 0 || err != nil {
		t.Errorf("overdue of acct_1: %d, %v", n, err)
	}
	if after := len(audittest.Of(t, w.log, "acct_0")); after != before {
		t.Errorf("%d events came by themselves", after-before)
	}
}
