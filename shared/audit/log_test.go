package audit_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/api/apitest"
	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/audit/chain"
	"contactcenter/shared/id"
	"contactcenter/shared/localaws/awstest"
)

type world struct {
	*awstest.Env
	log    *audit.Log
	things string
	clock  *apitest.Clock
}

func newWorld(t *testing.T) *world {
	t.Helper()
	env := awstest.New(t)
	clock := apitest.NewClock(time.Date(2026, 11, 24, 23, 59, 58, 0, time.UTC))
	return &world{
		Env: env, things: env.Table(t.Context(), awstest.AccountsTable()), clock: clock,
		log: &audit.Log{DB: env.DynamoDB, Table: env.Table(t.Context(), awstest.AuditTable()), IDs: id.Source{Now: clock.Now, Random: rand.Reader}, Now: clock.Now},
	}
}

func act(accountID, target string) audit.Event {
	return audit.Event{AccountID: accountID, Actor: audit.Actor{Kind: audit.User, ID: "user_1", AccountID: accountID}, Action: "thing.changed", Target: target}
}

// put makes a thing that must not be there yet.
func (w *world) put(name string) types.TransactWriteItem {
	return types.TransactWriteItem{Put: &types.Put{
		TableName: &w.things, Item: attr.Item{"pk": attr.String(name), "sk": attr.String("thing"), "by": attr.String("somebody")},
		ConditionExpression: aws.String("attribute_not_exists(#pk)"), ExpressionAttributeNames: map[string]string{"#pk": "pk"},
	}}
}

func (w *world) there(t *testing.T, name string) bool {
	t.Helper()
	out, err := w.DynamoDB.GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: &w.things, Key: attr.Item{"pk": attr.String(name), "sk": attr.String("thing")}, ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Item) > 0
}

func (w *world) of(t *testing.T, accountID string) []audit.Event {
	t.Helper()
	list, _, err := w.log.Of(t.Context(), accountID, attr.Page{Size: 100})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// actor, before, after, reason, time, source and the version of the Rules are kept as they were given.
func TestAnEventIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := audit.Event{
		AccountID: "acct_1", Actor: audit.Actor{Kind: audit.Operator, ID: "op_1"}, Action: "account.plan_changed", Target: "acct_1",
		Before: map[string]any{"plan_id": "demo", "limit": 10.0}, After: map[string]any{"plan_id": "big"}, Reason: "asked for it",
		InstructionID: "ins_1", ComplaintID: "cmp_1", RequestID: "req_1", SourceIP: "192.0.2.1", RulesVersion: "2026-11-01",
	}
	if err := w.log.Write(t.Context(), e, w.put("a")); err != nil {
		t.Fatal(err)
	}
	list := w.of(t, "acct_1")
	if len(list) != 1 || !id.Valid(id.AuditPrefix, list[0].ID) || !list[0].At.Equal(w.clock.Now()) {
		t.Fatalf("the account has the events %+v", list)
	}
	e.ID, e.At = list[0].ID, list[0].At
	e.Sequence, e.PreviousHash, e.Hash, e.WithheldSalt, e.WithheldHash = 1, chain.Start, list[0].Hash, list[0].WithheldSalt, list[0].WithheldHash
	if got, want := fmt.Sprintf("%+v", list[0]), fmt.Sprintf("%+v", e); got != want {
		t.Errorf("read\n%s, written was\n%s", got, want)
	}
	if !w.there(t, "a") {
		t.Error("the change is not there")
	}
}

// neither a change without its event, nor an event without its change.
func TestAChangeAndItsEventAreOneWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.log.Write(t.Context(), act("acct_1", "a"), w.put("a")); err != nil {
		t.Fatal(err)
	}
	refused := audit.AsRefused(w.log.Write(t.Context(), act("acct_1", "b"), w.put("b"), w.put("a")))
	if refused == nil || refused.Index != 1 || attr.Text(refused.Item, "by") != "somebody" {
		t.Errorf("the refusal is %+v, want that of the second change with what is stored", refused)
	}
	if w.there(t, "b") || len(w.of(t, "acct_1")) != 1 {
		t.Error("a refused change left something behind")
	}
	again := act("acct_1", "c")
	again.ID = w.of(t, "acct_1")[0].ID
	if err := w.log.Write(t.Context(), again, w.put("c")); err != nil {
		t.Fatal(err)
	}
	list := w.of(t, "acct_1")
	if len(list) != 2 || list[0].ID == list[1].ID || list[1].Target != "a" {
		t.Errorf("an event that names an id of another's leaves %+v", list)
	}
}

func TestAnEventThatSaysTooLittleOrTooMuchIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cases := map[string]func(*audit.Event){
		"no action": func(e *audit.Event) { e.Action = "" },
		"no target": func(e *audit.Event) { e.Target = "" },
		"no actor":  func(e *audit.Event) { e.Actor = audit.Actor{} },
		"nobody":    func(e *audit.Event) { e.Actor.ID = "" },
		"too much":  func(e *audit.Event) { e.After = map[string]any{"x": strings.Repeat("y", audit.MaxValues)} },
		"no JSON":   func(e *audit.Event) { e.After = map[string]any{"x": func() {}} },
	}
	for name, change := range cases {
		e := act("acct_1", "a")
		change(&e)
		if err := w.log.Write(t.Context(), e, w.put("a")); err == nil {
			t.Errorf("%s: written", name)
		}
	}
	if w.there(t, "a") {
		t.Error("the change was made without an event")
	}
}

// the operator's list is complete and in order, across days and pages; an account's has its own only.
func TestListsAreCompleteNewestFirstAndOfOneAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var all, mine []string
	for i := range 23 {
		accountID := []string{"acct_1", "acct_2", ""}[i%3]
		e := act(accountID, fmt.Sprintf("t%02d", i))
		if err := w.log.Write(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e.Target)
		if accountID == "acct_1" {
			mine = append(mine, e.Target)
		}
		w.clock.Pass(time.Second) // past midnight after the third
	}
	slices.Reverse(all)
	slices.Reverse(mine)
	lists := map[string]struct {
		read func(p attr.Page) ([]audit.Event, string, error)
		want []string
	}{
		"all":           {func(p attr.Page) ([]audit.Event, string, error) { return w.log.All(t.Context(), p, "") }, all},
		"all of one":    {func(p attr.Page) ([]audit.Event, string, error) { return w.log.All(t.Context(), p, "acct_1") }, mine},
		"of an account": {func(p attr.Page) ([]audit.Event, string, error) { return w.log.Of(t.Context(), "acct_1", p) }, mine},
		"of nobody":     {func(p attr.Page) ([]audit.Event, string, error) { return w.log.Of(t.Context(), "acct_3", p) }, nil},
	}
	for name, l := range lists {
		for _, size := range []int{1, 3, 8, 23, 200} {
			var got []string
			token, pages := "", 0
			for {
				list, next, err := l.read(attr.Page{Size: size, Token: token})
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if len(list) > size {
					t.Errorf("%s: a page of %d has %d events", name, size, len(list))
				}
				for _, e := range list {
					got = append(got, e.Target)
				}
				if pages++; next == "" || pages > 50 {
					break
				}
				token = next
			}
			if !slices.Equal(got, l.want) {
				t.Errorf("%s in pages of %d: %v, want %v", name, size, got, l.want)
			}
		}
	}
	_, token, err := w.log.Of(t.Context(), "acct_1", attr.Page{Size: 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func() error{
		"another account": func() error {
			_, _, err := w.log.Of(t.Context(), "acct_2", attr.Page{Size: 1, Token: token})
			return err
		},
		"everybody": func() error { _, _, err := w.log.All(t.Context(), attr.Page{Size: 1, Token: token}, ""); return err },
	} {
		if err := read(); !errors.Is(err, attr.ErrToken) {
			t.Errorf("a token of acct_1 in the list of %s gives %v", name, err)
		}
	}
}

// answers gives one error after the other, then success.
type answers struct {
	audit.DynamoDB
	errs   []error
	tokens []string
	places int
}

func (a *answers) Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	a.places++
	return &dynamodb.QueryOutput{}, nil
}

func (a *answers) TransactWriteItems(_ context.Context, in *dynamodb.TransactWriteItemsInput, _ ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	a.tokens = append(a.tokens, aws.ToString(in.ClientRequestToken))
	if len(a.errs) == 0 {
		return &dynamodb.TransactWriteItemsOutput{}, nil
	}
	err := a.errs[0]
	a.errs = a.errs[1:]
	return nil, err
}

func canceled(codes ...string) error {
	e := &types.TransactionCanceledException{}
	for _, c := range codes {
		e.CancellationReasons = append(e.CancellationReasons, types.CancellationReason{Code: aws.String(c)})
	}
	return e
}

// zeros is randomness that makes every wait end at once.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// a transaction that came at a bad moment is tried again with the place that is the next one then; what the caller's own
// condition refuses is never tried again.
func TestATransactionThatMeetsAnotherIsTriedAgain(t *testing.T) {
	t.Parallel()
	const refuses = "ConditionalCheckFailed"
	meets, moved := canceled("TransactionConflict", "None", "None"), canceled("None", refuses, "None")
	cases := map[string]struct {
		errs    []error
		calls   int
		refused bool
		fails   bool
	}{
		"once":                        {[]error{meets}, 2, false, false},
		"three times":                 {[]error{meets, meets, meets}, 4, false, false},
		"again and again":             {slices.Repeat([]error{meets}, 50), 30, false, true},
		"another took the place":      {[]error{moved}, 2, false, false},
		"others take every place":     {slices.Repeat([]error{moved}, 50), 30, false, true},
		"a condition is not met":      {[]error{canceled(refuses, "None", "None")}, 1, true, true},
		"both":                        {[]error{canceled(refuses, "TransactionConflict", "None")}, 1, true, true},
		"a condition, and the place":  {[]error{canceled(refuses, refuses, "None")}, 1, true, true},
		"the place, then a condition": {[]error{moved, canceled(refuses, "None", "None")}, 2, true, true},
		"an event of that id":         {[]error{canceled("None", "None", refuses)}, 1, false, true},
		"something else":              {[]error{errors.New("no network")}, 1, false, true},
	}
	for name, c := range cases {
		db := &answers{errs: c.errs}
		now := func() time.Time { return time.Unix(1_800_000_000, 0) }
		log := &audit.Log{DB: db, Table: "audit", IDs: id.Source{Now: now, Random: zeros{}}, Now: now}
		err := log.Write(t.Context(), act("acct_1", "a"), types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{}})
		if (err != nil) != c.fails || (audit.AsRefused(err) != nil) != c.refused || len(db.tokens) != c.calls || db.places != c.calls {
			t.Errorf("%s: %d calls, %d looks at the place, then %v", name, len(db.tokens), db.places, err)
		}
	}
}
