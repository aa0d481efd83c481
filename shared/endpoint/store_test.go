package endpoint_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/api/apitest"
	"contactcenter/shared/audit"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/endpoint"
	"contactcenter/shared/event"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
	"contactcenter/shared/usage"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

type world struct {
	*endpoint.Store
	t        *testing.T
	clock    *apitest.Clock
	accounts *account.Store
	log      *audit.Log
	made     int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	env := awstest.New(t)
	w := &world{t: t, clock: apitest.NewClock(noon), log: audittest.New(t, env)}
	table := env.Table(t.Context(), awstest.AccountsTable())
	w.accounts = &account.Store{DB: env.DynamoDB, Table: table, Now: w.clock.Now, DefaultPlanID: "demo", Audit: w.log}
	w.Store = &endpoint.Store{DB: env.DynamoDB, Table: table, Now: w.clock.Now, Sealer: sealtest.Sealer(seal.Webhooks), Opener: sealtest.Opener(seal.Webhooks), Audit: w.log}
	if _, _, err := w.accounts.PutPlan(t.Context(), account.Plan{ID: "demo", Limit: 10, Period: usage.Month, Rate: account.Rate{Limit: 1, WindowSeconds: 1}}, audittest.ByOperator()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.accounts.Get(t.Context(), "acct_1"); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) create(types event.Set) endpoint.Endpoint {
	w.t.Helper()
	w.made++
	e := endpoint.Endpoint{ID: fmt.Sprintf("whk_%016d", w.made), AccountID: "acct_1", URL: "https://crm.example.com/", Types: types, Status: endpoint.Enabled, CreatedAt: noon}
	if err := w.Create(w.t.Context(), e, secret(w.t), audittest.By("acct_1")); err != nil {
		w.t.Fatal(err)
	}
	got, err := w.Get(w.t.Context(), "acct_1", e.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

// hears is what the account listens to, as a publisher finds it.
func (w *world) get(e endpoint.Endpoint) endpoint.Endpoint {
	w.t.Helper()
	got, err := w.Get(w.t.Context(), e.AccountID, e.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

func (w *world) hears() event.Set {
	w.t.Helper()
	st, err := w.accounts.Standing(w.t.Context(), "acct_1", true)
	if err != nil {
		w.t.Fatal(err)
	}
	return st.Listens
}

func (w *world) subscribed() bool {
	w.t.Helper()
	list, _, err := w.Subscribers(w.t.Context(), "", 10)
	if err != nil {
		w.t.Fatal(err)
	}
	return slices.Contains(list, "acct_1")
}

func set(t *testing.T, types ...event.Type) event.Set {
	t.Helper()
	names := make([]string, len(types))
	for i, typ := range types {
		names[i] = string(typ)
	}
	s, unknown := event.SetOf(names...)
	if unknown != "" {
		t.Fatal(unknown)
	}
	return s
}

// nobody is told anything without a subscription; what an account listens to is what its endpoints ask for together.
func TestAnAccountListensToWhatItsEndpointsAskFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if w.hears() != 0 || w.subscribed() {
		t.Error("an account without endpoints listens")
	}
	a := w.create(set(t, event.MessageSent))
	if got := w.hears(); got != set(t, event.MessageSent) || w.subscribed() {
		t.Errorf("%v", got.Names())
	}
	b := w.create(set(t, event.MessageRead, event.RulesPublished))
	if got := w.hears(); got != set(t, event.MessageSent, event.MessageRead, event.RulesPublished) || !w.subscribed() {
		t.Errorf("%v", got.Names())
	}
	off := endpoint.Disabled
	if _, err := w.Update(t.Context(), "acct_1", b.ID, endpoint.Change{Status: &off}, audittest.By("acct_1")); err != nil {
		t.Fatal(err)
	}
	if got := w.hears(); got != set(t, event.MessageSent) || w.subscribed() {
		t.Errorf("with the second off by its user: %v", got.Names())
	}
	if off, err := w.Stop(t.Context(), a, endpoint.Gone); err != nil || off.Status != endpoint.Disabled || off.DisabledAt.IsZero() {
		t.Fatalf("%+v, %v", off, err)
	}
	if got := w.hears(); got != set(t, event.MessageSent) {
		t.Errorf("what an endpoint misses that is gone is not recorded: %v", got.Names())
	}
	if err := w.Delete(t.Context(), "acct_1", a.ID, audittest.By("acct_1")); err != nil {
		t.Fatal(err)
	}
	if got := w.hears(); got != 0 {
		t.Errorf("%v", got.Names())
	}
	w.create(event.All)
	if got := w.hears(); got != event.All || !w.subscribed() {
		t.Errorf("%v", got.Names())
	}
}

// each change is one write with its audit event, which holds neither the URL nor a secret.
func TestChangesOfEndpointsAreAudited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.create(event.All)
	text := "x"
	if _, err := w.Update(t.Context(), "acct_1", e.ID, endpoint.Change{Description: &text}, audittest.By("acct_1")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Rotate(t.Context(), "acct_1", e.ID, "sec_1", secret(t), audittest.By("acct_1")); err != nil {
		t.Fatal(err)
	}
	if err := w.Delete(t.Context(), "acct_1", e.ID, audittest.By("acct_1")); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, ev := range audittest.Of(t, w.log, "acct_1") {
		got = append(got, ev.Action)
		if s := fmt.Sprint(ev); strings.Contains(s, "whsec_") || strings.Contains(s, "crm.example.com") {
			t.Errorf("it says too much: %s", s)
		}
	}
	if want := []string{"webhook_endpoint.created", "webhook_endpoint.changed", "webhook_endpoint.secret_rotated", "webhook_endpoint.deleted"}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func TestAnAccountHasTenEndpointsAtMost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range endpoint.Max {
		w.create(event.All)
	}
	e := endpoint.Endpoint{ID: "whk_000000000000000z", AccountID: "acct_1", URL: "https://crm.example.com/", Types: event.All, Status: endpoint.Enabled}
	if err := w.Create(t.Context(), e, secret(t), audittest.By("acct_1")); !errors.Is(err, endpoint.ErrTooMany) {
		t.Errorf("%v", err)
	}
}

func TestTheSecretBeforeSignsForADay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.create(event.All)
	first, err := w.Secrets(e, w.clock.Now())
	if err != nil || len(first) != 1 {
		t.Fatalf("%d, %v", len(first), err)
	}
	next := secret(t)
	if e, err = w.Rotate(t.Context(), "acct_1", e.ID, "sec_1", next, audittest.By("acct_1")); err != nil {
		t.Fatal(err)
	}
	if got, err := w.Secrets(e, w.clock.Now()); err != nil || !slices.Equal(got, []string{next, first[0]}) {
		t.Errorf("%d secrets, %v", len(got), err)
	}
	if got, err := w.Secrets(e, w.clock.Now().Add(endpoint.Overlap)); err != nil || !slices.Equal(got, []string{next}) {
		t.Errorf("a day later %d secrets, %v", len(got), err)
	}
}

func TestAnEndpointHasAFewPlaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.create(event.All)
	until := noon.Add(time.Minute)
	var last endpoint.Place
	for i := range endpoint.Places { // all of them saw it as it was at first
		place, free, err := w.Enter(t.Context(), e, until.Add(time.Duration(i)*time.Millisecond))
		if !free || err != nil {
			t.Fatalf("place %d: %v, %v", i, free, err)
		}
		last = place
	}
	if _, free, err := w.Enter(t.Context(), e, until); free || err != nil {
		t.Errorf("one too many: %v, %v", free, err)
	}
	if err := w.Leave(t.Context(), e, last, true); err != nil {
		t.Fatal(err)
	}
	if got := w.get(e); !got.Quick(noon) || got.Quick(noon.Add(endpoint.QuickFor)) {
		t.Errorf("quick at %v", got.QuickAt)
	}
	if _, free, err := w.Enter(t.Context(), w.get(e), until.Add(time.Second)); !free || err != nil {
		t.Fatalf("what was left: %v, %v", free, err)
	}
	if err := w.Leave(t.Context(), e, last, false); err != nil { // who comes too late does not take it from the next
		t.Fatal(err)
	}
	if _, free, err := w.Enter(t.Context(), w.get(e), until); free || err != nil {
		t.Errorf("left by another: %v, %v", free, err)
	}
	// What a user changes leaves the places as they are, but at another URL nobody knows how quick it is, and nobody sends there yet.
	name, url := "The CRM", "https://new.example.com/"
	if _, err := w.Update(t.Context(), "acct_1", e.ID, endpoint.Change{Description: &name}, audittest.By("acct_1")); err != nil {
		t.Fatal(err)
	}
	if _, free, err := w.Enter(t.Context(), w.get(e), until); free || err != nil {
		t.Errorf("after a change: %v, %v", free, err)
	}
	if moved, err := w.Update(t.Context(), "acct_1", e.ID, endpoint.Change{URL: &url}, audittest.By("acct_1")); err != nil || moved.Quick(noon) {
		t.Errorf("%+v, %v", moved, err)
	}
	for range endpoint.Places {
		if _, free, err := w.Enter(t.Context(), w.get(e), until); !free || err != nil {
			t.Errorf("at another URL: %v, %v", free, err)
		}
	}
	w.clock.Pass(2 * time.Minute)
	if _, free, err := w.Enter(t.Context(), w.get(e), until.Add(time.Hour)); !free || err != nil {
		t.Errorf("when their time is over: %v, %v", free, err)
	}
}

func TestANoteOfTheNotifierDoesNotBringBackWhatAUserChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.create(event.All)
	failed, err := w.Fail(t.Context(), e, noon.Add(time.Minute))
	if err != nil || !failed.FailingSince.Equal(noon) || !failed.QuietUntil.Equal(noon.Add(time.Minute)) {
		t.Fatalf("%+v, %v", failed, err)
	}
	if ok, err := w.Try(t.Context(), failed, noon.Add(2*time.Minute)); !ok || err != nil {
		t.Errorf("the first try: %v, %v", ok, err)
	}
	if ok, err := w.Try(t.Context(), failed, noon.Add(2*time.Minute)); ok || err != nil {
		t.Errorf("a second at the same time: %v, %v", ok, err)
	}
	url := "https://new.example.com/"
	if _, err := w.Update(t.Context(), "acct_1", e.ID, endpoint.Change{URL: &url}, audittest.By("acct_1")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Stop(t.Context(), e, endpoint.Gone); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("stopped at the URL before: %v", err)
	}
	if got, err := w.Get(t.Context(), "acct_1", e.ID); err != nil || got.Status != endpoint.Enabled || got.URL != url {
		t.Errorf("the answer of the URL before: %+v, %v", got, err)
	}
	if _, err := w.Recover(t.Context(), endpoint.Endpoint{ID: "whk_000000000000000z", AccountID: "acct_1", URL: url}); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("one that was deleted: %v", err)
	}
}
