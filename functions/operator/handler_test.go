package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/api/apitest"
	"contactcenter/shared/audit"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/availability"
	"contactcenter/shared/channel"
	"contactcenter/shared/claim"
	"contactcenter/shared/event/eventtest"
	"contactcenter/shared/id"
	"contactcenter/shared/idempotency"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/restriction"
	"contactcenter/shared/rules"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
	"contactcenter/shared/usage"
)

type world struct {
	health *health.Store
	*apitest.Server
	clock     *apitest.Clock
	accounts  *account.Store
	gates     *usage.Store
	providers *registry.Store
	channels  *channel.Store
	ids       id.Source
	evidence  *claim.Requests
	claims    *claim.Complaints
	appeals   *claim.Appeals
	released  *released
	told      *eventtest.Recorder
	handler   *Handler
	audit     *audit.Log
}

// released keeps what the operator asked to release. It can be made to fail.
type released struct {
	asked []string
	err   error
}

func (r *released) ask(what string) error {
	if r.err == nil {
		r.asked = append(r.asked, what)
	}
	return r.err
}

func (r *released) Account(_ context.Context, accountID string) error { return r.ask(accountID) }
func (r *released) Plan(_ context.Context, planID string) error       { return r.ask("plan " + planID) }
func (r *released) Provider(_ context.Context, providerID string) error {
	return r.ask("provider " + providerID)
}

// take gives what was asked since the last call.
func (r *released) take() string {
	asked := strings.Join(r.asked, ", ")
	r.asked = nil
	return asked
}

func newWorld(t *testing.T) *world {
	t.Helper()
	env, ctx := awstest.New(t), t.Context()
	accounts := env.Table(ctx, awstest.AccountsTable())
	gates := env.Table(ctx, awstest.UsageTable())
	channels := env.Table(ctx, awstest.ChannelsTable())
	clock := apitest.NewClock(time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC))
	events := audittest.New(t, env)
	complaints := env.Table(ctx, awstest.ComplaintsTable())
	sealer, opener := sealtest.Pair(seal.Complaints)
	w := &world{
		evidence:  &claim.Requests{DB: env.DynamoDB, Table: complaints, Audit: events, Now: clock.Now},
		claims:    &claim.Complaints{DB: env.DynamoDB, Table: complaints, Sealer: sealer, Opener: opener, Audit: events, Now: clock.Now},
		appeals:   &claim.Appeals{DB: env.DynamoDB, Table: complaints, Sealer: sealer, Opener: opener, Audit: events, Now: clock.Now},
		clock:     clock,
		accounts:  &account.Store{DB: env.DynamoDB, Table: accounts, Now: clock.Now, DefaultPlanID: "demo"},
		gates:     &usage.Store{DB: env.DynamoDB, Table: gates, Now: clock.Now},
		providers: &registry.Store{DB: env.DynamoDB, Table: channels, Now: clock.Now, Audit: events},
		channels:  &channel.Store{DB: env.DynamoDB, Table: channels, Audit: events},
		ids:       id.Source{Now: clock.Now, Random: rand.Reader},
		released:  &released{}, told: &eventtest.Recorder{},
	}
	w.audit = events
	w.health = &health.Store{DB: env.DynamoDB, Table: w.gates.Table}
	h := &Handler{
		Health:     health.NewReader(w.health, clock.Now),
		Reports:    &availability.Reports{Beats: &availability.Beats{DB: env.DynamoDB, Table: gates}, Health: w.health, Providers: w.providers, Now: clock.Now},
		Complaints: w.claims, Evidence: w.evidence, Appeals: w.appeals,
		Accounts: &account.Store{DB: env.DynamoDB, Table: accounts, Now: clock.Now, DefaultPlanID: "demo", Audit: w.audit}, // another container's
		Channels: w.channels, IDs: w.ids, Events: w.told,
		Gates: w.gates, Providers: w.providers, Release: w.released, Rules: &rules.Store{DB: env.DynamoDB, Table: accounts, Now: clock.Now, Audit: events}, Audit: events, Adapters: []string{"edna", "telegram"},
		Keys: &idempotency.Middleware{Keys: &idempotency.Store{DB: env.DynamoDB, Table: accounts, Now: clock.Now}, Timeout: timeout}, Now: clock.Now,
	}
	w.handler = h
	w.Server = apitest.NewServer(t, api.New(api.Config{Log: slog.New(slog.NewJSONHandler(io.Discard, nil)), Now: clock.Now}, api.OperatorRoutes(h)))
	return w
}

// send reserves usage for n messages of an account, as the dispatcher does.
func (w *world) send(t *testing.T, accountID string, n int) usage.Admission {
	t.Helper()
	list := make([]id.Message, n)
	for i := range list {
		var err error
		if list[i], err = w.ids.NewMessage("0123456789abcdef"); err != nil {
			t.Fatal(err)
		}
	}
	terms := func(ctx context.Context, fresh bool) (usage.Terms, error) {
		return w.accounts.Terms(ctx, accountID, fresh)
	}
	a, err := w.gates.Admit(t.Context(), accountID, terms, list, usage.Gate{}, 1, usage.Turn{Waited: true})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (w *world) gate(t *testing.T, accountID string) usage.Gate {
	t.Helper()
	g, err := w.gates.Read(t.Context(), accountID, true)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// due tells for which accounts the scheduled reset has something to do.
func (w *world) due(t *testing.T) string {
	t.Helper()
	var all []string
	for i := range usage.Shards {
		list, _, err := w.gates.Due(t.Context(), fmt.Sprintf("s%02d", i), 100, "")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, list...)
	}
	return strings.Join(all, " ")
}

const (
	plan10   = `{"limit":10,"period":"month","rate":{"limit":20,"window_seconds":1}}`
	plan20   = `{"limit":20,"period":"month","rate":{"limit":20,"window_seconds":1}}`
	plan3    = `{"limit":3,"period":"month","rate":{"limit":20,"window_seconds":1}}`
	ednaBody = `{"name":"Instant WhatsApp","legal_entity":"MF Management Ltd","website":"https://edna.io","onboarding":"native","channel_types":["whatsapp"],"transfer_countries":["CY"],"documents":[{"title":"Terms","url":"https://edna.io/terms"}],"terms_version":"2026-01","status":"enabled"}`
)

//
func TestAChangedPlanHoldsAtOnceAndKeepsWhatWasUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	op := w.Operator()
	op.Do("PUT", "/v1/operator/plans/demo", plan10).Want(t, "put plan", 200, "")
	w.send(t, "acct_1", 4)
	w.send(t, "acct_2", 1)
	if _, err := w.accounts.Get(t.Context(), "acct_silent"); err != nil { // a member without a gate
		t.Fatal(err)
	}
	steps := []struct {
		name, body                  string
		limit, used, remaining, due int64
		version, woken              string
	}{
		{"the same again", plan10, 10, 4, 6, 0, "demo.1", ""},
		{"a lower limit, below what is used", plan3, 3, 4, -1, 0, "demo.2", ""},
		{"a higher one", plan20, 20, 4, 16, 0, "demo.3", "acct_1 acct_2"},
	}
	for _, st := range steps {
		op.Do("PUT", "/v1/operator/plans/demo", st.body).Want(t, st.name, 200, "")
		if got := w.released.take(); !strings.HasSuffix(got, "plan demo") {
			t.Errorf("%s: released %q", st.name, got)
		}
		g := w.gate(t, "acct_1")
		if g.Limit != st.limit || g.Used != st.used || g.Remaining != st.remaining || g.Version != st.version {
			t.Errorf("%s: the gate has limit %d, used %d, remaining %d, version %s", st.name, g.Limit, g.Used, g.Remaining, g.Version)
		}
		got := strings.Fields(w.due(t))
		if len(got) != len(strings.Fields(st.woken)) {
			t.Errorf("%s: due are %v, want %q", st.name, got, st.woken)
		}
	}
	if g := w.gate(t, "acct_2"); g.Limit != 20 || g.Used != 1 {
		t.Errorf("the other member has limit %d, used %d", g.Limit, g.Used)
	}
	// The dispatcher still has the old terms in memory: they no longer count.
	if a := w.send(t, "acct_1", 16); len(a.Granted) != 16 {
		t.Errorf("with room for 16, %d were granted", len(a.Granted))
	}
	if a := w.send(t, "acct_2", 20); len(a.Granted) != 19 {
		t.Errorf("with room for 19, %d were granted", len(a.Granted))
	}
}

// when an account is purged and has no users any more, the operator still has the certificate.
func TestTheOperatorReadsTheCertificateOfAPurgedAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	op := w.Operator()
	op.Do("PUT", "/v1/operator/plans/demo", plan3).Want(t, "put plan", 200, "")
	op.Do("PUT", "/v1/operator/accounts/acct_1", `{"plan_id":"demo"}`).Want(t, "account", 200, "")
	now := w.clock.Now()
	c := account.Closure{AccountID: "acct_1", Status: account.Closing, RestrictionID: "rst_0123456789abcdef", RequestedAt: now, RequestedBy: "user_7", PurgeAt: now}
	block := restriction.Restriction{ID: c.RestrictionID, AccountID: "acct_1", Kind: restriction.Block, Reason: "closing", Clause: "14", From: now, Closure: true}
	e := audittest.By("acct_1")
	e.Action, e.Target = "account.closing", "acct_1"
	closing := &account.Store{DB: w.accounts.DB, Table: w.accounts.Table, Now: w.clock.Now, DefaultPlanID: "demo", Audit: w.audit}
	if err := closing.Close(t.Context(), c, block, e); err != nil {
		t.Fatal(err)
	}
	c.Status, c.PurgedAt, c.Certificate = account.Closed, now, "a.b.c"
	if err := w.accounts.Advance(t.Context(), &c, account.Closing); err != nil {
		t.Fatal(err)
	}
	a := op.Get("/v1/operator/accounts/acct_1").Want(t, "get", 200, "")
	if closure, _ := a.JSON["closure"].(map[string]any); closure["status"] != "closed" || closure["certificate"] != "a.b.c" {
		t.Errorf("the account is %s", a.Body)
	}
}

func TestAnAccountsNewPlanHoldsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	op := w.Operator()
	op.Do("PUT", "/v1/operator/plans/demo", plan3).Want(t, "put plan", 200, "")
	op.Do("PUT", "/v1/operator/plans/big", plan20).Want(t, "put plan", 200, "")
	w.send(t, "acct_1", 3)
	w.send(t, "acct_2", 3)

	op.Do("PUT", "/v1/operator/accounts/acct_1", `{"plan_id":"none"}`).Want(t, "an unknown plan", 422, "invalid_request")
	for range 2 {
		a := op.Do("PUT", "/v1/operator/accounts/acct_1", `{"plan_id":"big"}`).Want(t, "another plan", 200, "")
		if a.Text("id") != "acct_1" || a.Text("plan_id") != "big" || a.Text("created_at") == "" {
			t.Errorf("the answer is %s", a.Body)
		}
	}
	if g := w.gate(t, "acct_1"); g.PlanID != "big" || g.Limit != 20 || g.Used != 3 || g.Remaining != 17 {
		t.Errorf("the gate is on %s with limit %d, used %d, remaining %d", g.PlanID, g.Limit, g.Used, g.Remaining)
	}
	if g := w.gate(t, "acct_2"); g.PlanID != "demo" || g.Limit != 3 {
		t.Errorf("the other account is on %s with limit %d", g.PlanID, g.Limit)
	}
	if got := w.due(t); got != "acct_1" {
		t.Errorf("due are %q", got)
	}
	if got := w.released.take(); !strings.HasSuffix(got, "acct_1, acct_1") {
		t.Errorf("released are %q", got)
	}
	if a := op.Get("/v1/operator/accounts/acct_1").Want(t, "get", 200, ""); a.Text("plan_id") != "big" {
		t.Errorf("the account is %s", a.Body)
	}
	op.Get("/v1/operator/accounts/acct_unknown").Want(t, "an unknown account", 404, "not_found")
	if a := op.Get("/v1/operator/accounts/acct_1"); a.JSON["closure"] != nil {
		t.Errorf("an open account is %s", a.Body)
	}
	op.Do("PUT", "/v1/operator/accounts/acct_new", `{"plan_id":"big"}`).Want(t, "an account before its first call", 200, "")
	if a := w.send(t, "acct_new", 5); len(a.Granted) != 5 {
		t.Errorf("it was granted %d of 5", len(a.Granted))
	}
	op.Do("PUT", "/v1/operator/accounts/plan%23demo", `{"plan_id":"big"}`).Want(t, "an id that is none", 422, "invalid_request")
	op.Do("PUT", "/v1/operator/accounts/acct_1", `{"plan_id":"big","limit":5}`).Want(t, "an unknown field", 422, "invalid_request")
}

func TestPlansAreShownWithTheirDefaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	op := w.Operator()
	const want = `{"id":"demo","limit":10,"period":"month","rate":{"burst":20,"limit":20,"window_seconds":1}}`
	if a := op.Do("PUT", "/v1/operator/plans/demo", plan10); strings.TrimSpace(a.Body) != want {
		t.Errorf("put gives %s", a.Body)
	}
	if a := op.Get("/v1/operator/plans/demo"); strings.TrimSpace(a.Body) != want {
		t.Errorf("get gives %s", a.Body)
	}
	op.Get("/v1/operator/plans/none").Want(t, "an unknown plan", 404, "not_found")
	op.Do("PUT", "/v1/operator/plans/zero", `{"limit":0,"period":"day","rate":{"limit":1,"window_seconds":60,"burst":5}}`).Want(t, "a plan that lets nothing pass", 200, "")
}

func TestBadPutsAreRefusedByField(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	op := w.Operator()
	edna := func(replace ...string) string { return strings.NewReplacer(replace...).Replace(ednaBody) }
	plan := func(replace ...string) string { return strings.NewReplacer(replace...).Replace(plan10) }
	op.Do("PUT", "/v1/operator/providers/edna", ednaBody).Want(t, "put provider", 200, "")
	cases := []struct{ name, path, body, field string }{
		{"a plan of nothing", "plans/p", `{}`, "limit"},
		{"a negative limit", "plans/p", plan(`"limit":10`, `"limit":-1`), "limit"},
		{"a limit in words", "plans/p", plan(`"limit":10`, `"limit":"10"`), "limit"},
		{"a broken limit", "plans/p", plan(`"limit":10`, `"limit":1.5`), "limit"},
		{"a huge limit", "plans/p", plan(`"limit":10`, `"limit":99999999999`), "limit"},
		{"an unknown period", "plans/p", plan("month", "week"), "period"},
		{"no rate", "plans/p", `{"limit":10,"period":"day"}`, "rate"},
		{"a rate of 0", "plans/p", plan(`"limit":20`, `"limit":0`), "rate.limit"},
		{"a window of 0", "plans/p", plan(`"window_seconds":1`, `"window_seconds":0`), "rate.window_seconds"},
		{"a burst of 0", "plans/p", plan(`"window_seconds":1`, `"window_seconds":1,"burst":0`), "rate.burst"},
		{"an unknown field in the rate", "plans/p", plan(`"window_seconds":1`, `"window_seconds":1,"per":"s"`), "rate.per"},
		{"a version of one's own", "plans/p", plan(`"limit":10`, `"limit":10,"version":7`), "version"},
		{"an id that is none", "plans/a%20b", plan10, "id"},

		{"a provider of nothing", "providers/p", `{}`, "channel_types"},
		{"an id that is no slug", "providers/Edna", ednaBody, "id"},
		{"a website without a scheme", "providers/p", edna("https://edna.io\"", "edna.io\""), "website"},
		{"a script as website", "providers/p", edna(`"https://edna.io"`, `"javascript:alert(1)"`), "website"},
		{"an unknown onboarding", "providers/p", edna(`"native"`, `"magic"`), "onboarding"},
		{"no channel type", "providers/p", edna(`["whatsapp"]`, `[]`), "channel_types"},
		{"a channel type twice", "providers/p", edna(`["whatsapp"]`, `["sms","sms"]`), "channel_types"},
		{"a country in words", "providers/p", edna(`["CY"]`, `["Cyprus"]`), "transfer_countries[0]"},
		{"an unknown status", "providers/p", edna(`"enabled"`, `"paused"`), "status"},
		{"a health of one's own", "providers/p", edna(`"status":`, `"health":"outage","status":`), "health"},
		{"a document without its address", "providers/p", edna(`,"url":"https://edna.io/terms"`, ``), "documents[0].url"},
		{"credentials of a native provider", "providers/p", edna(`"status":`, `"credential_fields":[{"name":"k","kind":"secret"}],"status":`), "credential_fields"},
		{"an own account without credentials", "providers/p", edna(`"native"`, `"own_account"`), "credential_fields"},
		{"blank terms", "providers/p", edna(`"2026-01"`, `" "`), "terms_version"},

		{"a sender without an address", "providers/edna/senders/1", `{}`, "address"},
		{"a local number", "providers/edna/senders/1", `{"address":"0179123456"}`, "address"},
		{"a number with blanks", "providers/edna/senders/1", `{"address":"+357 99 001001"}`, "address"},
		{"a sender given to a channel", "providers/edna/senders/1", `{"address":"+35799001001","channel_id":"chn_1"}`, "channel_id"},
	}
	for _, c := range cases {
		a := op.Do("PUT", "/v1/operator/"+c.path, c.body).Want(t, c.name, 422, "invalid_request")
		if a.Field() != c.field {
			t.Errorf("%s: the problem is about %q, want %q\n%s", c.name, a.Field(), c.field, a.Body)
		}
	}
	op.Get("/v1/operator/plans/p").Want(t, "a refused plan", 404, "not_found")
	op.Get("/v1/operator/providers/p").Want(t, "a refused provider", 404, "not_found")
}

// what a GET answers can be put back, changed or not; an id that is not the path's is refused.
func TestWhatIsReadCanBePutBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	op := w.Operator()
	for path, body := range map[string]string{"/v1/operator/providers/edna": ednaBody, "/v1/operator/plans/demo": plan10} {
		op.Do("PUT", path, body).Want(t, "put", 200, "")
		read := op.Get(path).Want(t, "read", 200, "")
		if again := op.Do("PUT", path, read.Body).Want(t, "put back", 200, ""); again.Body != read.Body {
			t.Errorf("%s was %s and is %s", path, read.Body, again.Body)
		}
		if got := op.Do("PUT", path+"x", read.Body).Want(t, "put elsewhere", 422, "invalid_request"); got.Field() != "id" {
			t.Errorf("%s: the problem is about %q", path, got.Field())
		}
	}
}

//
func TestAProviderIsPutWholeAndItsSwitchWakesItsAccounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	op := w.Operator()
	op.Do("PUT", "/v1/operator/plans/demo", plan10).Want(t, "put plan", 200, "")
	first := op.Do("PUT", "/v1/operator/providers/edna", ednaBody).Want(t, "put", 200, "")
	w.clock.Pass(time.Minute)
	if again := op.Do("PUT", "/v1/operator/providers/edna", ednaBody).Want(t, "put again", 200, ""); again.Body != first.Body {
		t.Errorf("the same again gives\n%s, first it was\n%s", again.Body, first.Body)
	}
	if got := op.Get("/v1/operator/providers/edna"); got.Body != first.Body {
		t.Errorf("get gives\n%s, put gave\n%s", got.Body, first.Body)
	}
	op.Get("/v1/operator/providers/none").Want(t, "an unknown provider", 404, "not_found")

	op.Do("PUT", "/v1/operator/providers/edna/senders/1001", `{"address":"+35799001001"}`).Want(t, "put sender", 200, "")
	if _, err := w.providers.TakeSender(t.Context(), "edna", "chn_1"); err != nil {
		t.Fatal(err)
	}
	if err := w.channels.Create(t.Context(), channel.Channel{ID: "chn_1", AccountID: "acct_1", ProviderID: "edna", Type: "whatsapp", Name: "n", SenderID: "1001", CreatedBy: "u"}, audittest.By("acct_1")); err != nil {
		t.Fatal(err)
	}
	w.released.take()
	disabled := strings.Replace(ednaBody, "enabled", "disabled", 1)
	if a := op.Do("PUT", "/v1/operator/providers/edna", disabled).Want(t, "disable", 200, ""); a.Text("status") != "disabled" {
		t.Errorf("status is %s", a.Text("status"))
	}
	if got := w.released.take(); got != "" {
		t.Errorf("disabling releases %q", got)
	}
	w.released.err = errors.New("queue is down")
	op.Do("PUT", "/v1/operator/providers/edna", ednaBody).Want(t, "enable while the queue is down", 503, "try_again")
	w.released.err = nil
	op.Do("PUT", "/v1/operator/providers/edna", ednaBody).Want(t, "enable again", 200, "")
	if got := w.released.take(); got != "provider edna" {
		t.Errorf("enabling releases %q", got)
	}
	op.Do("PUT", "/v1/operator/providers/edna", strings.Replace(ednaBody, "enabled", "removed", 1)).Want(t, "remove", 200, "")
	if got := w.released.take(); got != "provider edna" {
		t.Errorf("removing releases %q, to be refused", got)
	}
	if c, err := w.channels.Get(t.Context(), "chn_1"); err != nil || c.Status != channel.Inactive {
		t.Errorf("the switch changed the channel: %+v, %v", c, err)
	}
}

func TestASenderInUseStaysWithItsChannel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	op := w.Operator()
	const path = "/v1/operator/providers/edna/senders/1001"
	op.Do("PUT", path, `{"address":"+35799001001"}`).Want(t, "without a provider", 404, "not_found")
	op.Do("PUT", "/v1/operator/providers/edna", ednaBody).Want(t, "put provider", 200, "")
	op.Do("PUT", path, `{"address":"+35799001001"}`).Want(t, "put", 200, "")
	if a := op.Do("PUT", path, `{"address":"+35799001002"}`).Want(t, "another address while it is free", 200, ""); a.Text("address") != "+35799001002" || a.Text("provider_id") != "edna" || a.Text("id") != "1001" {
		t.Errorf("the sender is %s", a.Body)
	}
	if _, err := w.providers.TakeSender(t.Context(), "edna", "chn_1"); err != nil {
		t.Fatal(err)
	}
	if a := op.Do("PUT", path, `{"address":"+35799001002"}`).Want(t, "the same address while it is in use", 200, ""); a.Text("channel_id") != "chn_1" {
		t.Errorf("the sender is %s", a.Body)
	}
	op.Do("PUT", path, `{"address":"+35799001003"}`).Want(t, "another address while it is in use", 409, "conflict")
	own := strings.NewReplacer(`"native"`, `"own_account"`, `"status":`, `"credential_fields":[{"name":"token","kind":"secret"}],"status":`).Replace(ednaBody)
	op.Do("PUT", "/v1/operator/providers/telegram", own).Want(t, "put a provider with own accounts", 200, "")
	op.Do("PUT", "/v1/operator/providers/telegram/senders/1", `{"address":"+35799001001"}`).Want(t, "a sender for it", 409, "conflict")
}

//
func TestRulesArePublishedOnceAndForGood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	op := w.Operator()
	doc := func(name string) string {
		return `{"id":"` + name + `","version":"1","sha256":"` + strings.Repeat("a", 64) + `","url":"https://example.com/` + name + `"}`
	}
	body := `{"version":"2026-11-01","effective_at":"2026-11-01T00:00:00Z","documents":[` + doc("rules") + "," + doc("terms") + "," + doc("privacy") + `],"prohibited_uses":[{"id":"spam","title":"Spam"}]}`
	a := op.Do("POST", "/v1/operator/rules", body).Want(t, "publish", 201, "")
	if a.Header.Get("Location") != "/v1/rules/2026-11-01" || a.Text("effective_at") != "2026-11-01T00:00:00.000Z" {
		t.Errorf("Location is %q, the body %s", a.Header.Get("Location"), a.Body)
	}
	op.Do("POST", "/v1/operator/rules", body).Want(t, "the same again", 201, "")
	op.Do("POST", "/v1/operator/rules", strings.Replace(body, "Spam", "spam", 1)).Want(t, "another body", 409, "conflict")
	cases := []struct{ name, old, new, field string }{
		{"a version that is a route", `"2026-11-01"`, `"current"`, "version"},
		{"a version with a slash", `"2026-11-01"`, `"a/b"`, "version"},
		{"no time", `"2026-11-01T00:00:00Z"`, `"tomorrow"`, "effective_at"},
		{"no privacy policy", "," + doc("privacy"), "", "documents"},
		{"an unknown document", `"id":"privacy"`, `"id":"cookies"`, "documents[2].id"},
		{"a hash in capitals", strings.Repeat("a", 64), strings.Repeat("A", 64), "documents[0].sha256"},
		{"a short hash", strings.Repeat("a", 64), "abc", "documents[0].sha256"},
		{"a document twice", doc("terms"), doc("terms") + "," + doc("terms"), "documents"},
		{"an unknown field", `"version":"2026-11-01"`, `"version":"v","draft":true`, "draft"},
		{"another mode of acceptance", `"version":"2026-11-01"`, `"version":"v","acceptance":"silence"`, "acceptance"},
	}
	for _, c := range cases {
		a := op.Do("POST", "/v1/operator/rules", strings.Replace(body, c.old, c.new, 1)).Want(t, c.name, 422, "invalid_request")
		if a.Field() != c.field {
			t.Errorf("%s: the problem is about %q, want %q\n%s", c.name, a.Field(), c.field, a.Body)
		}
	}
}

//
func TestACustomersTokenSetsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, p := range map[string]*api.Principal{
		"a customer":                      {UserID: "u", AccountID: "acct_1", Scopes: []string{"account:write", "channels:activate"}},
		"a customer with the scope":       {UserID: "u", AccountID: "acct_1", Scopes: []string{"operator"}},
		"an operator without the scope":   {UserID: "op"},
		"an operator with another scope":  {UserID: "op", Scopes: []string{"operators", "channels:write"}},
		"a customer who says operator so": {UserID: "u", AccountID: "acct_1", Scopes: []string{"operator"}, Operator: true},
	} {
		for _, c := range []struct{ method, path, body string }{
			{"PUT", "/v1/operator/plans/demo", plan10}, {"GET", "/v1/operator/plans/demo", ""}, {"PUT", "/v1/operator/accounts/acct_1", `{"plan_id":"demo"}`},
			{"PUT", "/v1/operator/providers/edna", ednaBody}, {"PUT", "/v1/operator/providers/edna/senders/1", `{"address":"+35799001001"}`}, {"POST", "/v1/operator/rules", `{}`},
		} {
			w.As(p).Do(c.method, c.path, c.body).Want(t, name+": "+c.method+" "+c.path, 403, "forbidden")
		}
	}
	w.Operator().Get("/v1/operator/plans/demo").Want(t, "afterwards", 404, "not_found")
}

// the operator sees how a provider works, and may send back what was shown, whatever it is by now.
func TestAProviderInAnOutageIsShownAndCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	op := w.Operator()
	op.Do("PUT", "/v1/operator/providers/edna", ednaBody).Want(t, "put", 200, "")
	of, now := health.OfProvider("edna"), w.clock.Now()
	if _, opened, err := w.health.Open(t.Context(), of, now, now, now.Add(time.Second)); err != nil || !opened {
		t.Fatal(err)
	}
	w.clock.Pass(4 * time.Second) // what was shown is kept for three
	got := op.Get("/v1/operator/providers/edna").Want(t, "get", 200, "")
	if got.Text("health") != "outage" {
		t.Errorf("its health is %v", got.JSON["health"])
	}
	got.JSON["status"] = "disabled"
	delete(got.JSON, "credential_fields")
	body, err := json.Marshal(got.JSON)
	if err != nil {
		t.Fatal(err)
	}
	w.clock.Pass(health.Idle + time.Minute)
	back := op.Do("PUT", "/v1/operator/providers/edna", string(body)).Want(t, "put back", 200, "")
	if back.Text("health") != "operational" || back.Text("status") != "disabled" {
		t.Errorf("it is %s", back.Body)
	}
}
