package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/api/apitest"
	"contactcenter/shared/audit"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/availability"
	"contactcenter/shared/channel"
	"contactcenter/shared/claim"
	"contactcenter/shared/content"
	"contactcenter/shared/id"
	"contactcenter/shared/idempotency"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/recipient"
	"contactcenter/shared/release"
	"contactcenter/shared/rules"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
	"contactcenter/shared/sign/signtest"
	"contactcenter/shared/usage"
)

type world struct {
	*apitest.Server
	clock    *apitest.Clock
	accounts *account.Store
	gates    *usage.Store
	messages *message.Store
	rules    *rules.Store
	evidence *claim.Requests
	claims   *claim.Complaints // the operator's
	appeals  *claim.Appeals    // the operator's
	audit    *audit.Log
	ids      id.Source

	channels  *channel.Store
	providers *registry.Store
	health    *health.Store
	beats     *availability.Beats
	sqs       *sqs.Client
	erasures  string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	env, ctx := awstest.New(t), t.Context()
	accounts, gates, messages := env.Table(ctx, awstest.AccountsTable()), env.Table(ctx, awstest.UsageTable()), env.Table(ctx, awstest.MessagesTable())
	clock := apitest.NewClock(time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC))
	events := audittest.New(t, env)
	w := &world{
		clock:    clock,
		accounts: &account.Store{DB: env.DynamoDB, Table: accounts, Now: clock.Now, DefaultPlanID: "demo", Audit: events},
		gates:    &usage.Store{DB: env.DynamoDB, Table: gates, Now: clock.Now},
		messages: &message.Store{DB: env.DynamoDB, Table: messages, Retention: message.DefaultRetention, Sealer: sealtest.Sealer(seal.Content)},
		rules:    &rules.Store{DB: env.DynamoDB, Table: accounts, Now: clock.Now, Audit: events},
		ids:      id.Source{Now: clock.Now, Random: rand.Reader},
	}
	w.plan(t, 1000, usage.Month)
	complaints := env.Table(ctx, awstest.ComplaintsTable())
	sealer, opener := sealtest.Pair(seal.Complaints)
	w.audit = events
	w.evidence = &claim.Requests{DB: env.DynamoDB, Table: complaints, Audit: w.audit, Now: clock.Now}
	w.claims = &claim.Complaints{DB: env.DynamoDB, Table: complaints, Sealer: sealer, Opener: opener, Audit: w.audit, Now: clock.Now}
	w.appeals = &claim.Appeals{DB: env.DynamoDB, Table: complaints, Sealer: sealer, Opener: opener, Audit: w.audit, Now: clock.Now}
	channels := env.Table(ctx, awstest.ChannelsTable())
	w.channels = &channel.Store{DB: env.DynamoDB, Table: channels, Audit: events}
	w.providers = &registry.Store{DB: env.DynamoDB, Table: channels, Now: clock.Now, Audit: events}
	w.sqs, w.erasures = env.SQS, env.Queue(ctx, nil)
	w.health = &health.Store{DB: env.DynamoDB, Table: gates}
	w.beats = &availability.Beats{DB: env.DynamoDB, Table: gates}
	h := &Handler{
		Reports:  &availability.Reports{Beats: w.beats, Health: w.health, Providers: w.providers, Now: clock.Now},
		Closures: w.accounts, Purges: &recipient.Queue{SQS: env.SQS, URL: w.erasures}, Release: &release.Queue{SQS: env.SQS, URL: env.Queue(ctx, nil)}, Channels: w.channels, Providers: w.providers,
		Appeals:    &claim.Appeals{DB: env.DynamoDB, Table: complaints, Sealer: sealer, Audit: w.audit, Now: clock.Now},
		Complaints: &claim.Complaints{DB: env.DynamoDB, Table: complaints, Sealer: sealer, Now: clock.Now}, Evidence: w.evidence,
		Sources:  &claim.Sources{DB: env.DynamoDB, Table: complaints, Key: []byte("key"), Now: clock.Now},
		Accounts: w.accounts, Gates: w.gates, Messages: w.messages, Rules: w.rules, Audit: events, Signers: signtest.Keys("new", "old"),
		Keys: &idempotency.Middleware{Keys: &idempotency.Store{DB: env.DynamoDB, Table: accounts, Now: clock.Now}, Timeout: timeout},
		IDs:  w.ids, Now: clock.Now,
	}
	w.Server = apitest.NewServer(t, api.New(api.Config{Log: slog.New(slog.NewJSONHandler(io.Discard, nil)), Now: clock.Now}, api.AccountRoutes(h)))
	return w
}

func (w *world) plan(t *testing.T, limit int64, period usage.PeriodKind) {
	t.Helper()
	p := account.Plan{ID: "demo", Limit: limit, Period: period, Rate: account.Rate{Limit: 20, WindowSeconds: 1, Burst: 40}}
	if _, _, err := w.accounts.PutPlan(t.Context(), p, audittest.ByOperator()); err != nil {
		t.Fatal(err)
	}
}

// reserve puts n messages of acct_1 into flight.
func (w *world) reserve(t *testing.T, n int) []id.Message {
	t.Helper()
	var list []id.Message
	for range n {
		mid, err := w.ids.NewMessage("0123456789abcdef")
		if err != nil {
			t.Fatal(err)
		}
		m := message.Message{
			AccountID: "acct_1", ID: mid, Direction: message.Outbound, ChannelID: "chn_1", ProviderID: "edna", Address: "+35799123456",
			Content: content.Content{Type: content.TypeText, Text: "x"}, ContentSHA256: strings.Repeat("0", 64), Outcome: message.Queued,
		}
		if err := w.messages.Create(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		list = append(list, mid)
	}
	terms := func(_ context.Context, fresh bool) (usage.Terms, error) {
		return w.accounts.Terms(t.Context(), "acct_1", fresh)
	}
	a, err := w.gates.Admit(t.Context(), "acct_1", terms, list, usage.Gate{}, 1, usage.Turn{Waited: true})
	if err != nil || len(a.Granted) != n {
		t.Fatalf("reserve: %d granted, %v", len(a.Granted), err)
	}
	return list
}

func wantUsage(t *testing.T, what string, a apitest.Answer, want string) {
	t.Helper()
	a.Want(t, what, 200, "")
	if got := strings.TrimSpace(a.Body); got != want {
		t.Errorf("%s: usage is\n%s\nwant\n%s", what, got, want)
	}
}

func show(limit, used, remaining, inFlight int, period, resets string) string {
	return fmt.Sprintf(`{"in_flight":%d,"limit":%d,"period":%q,"plan_id":"demo","rate":{"burst":40,"limit":20,"window_seconds":1},"remaining":%d,"resets_at":%q,"restrictions":[],"used":%d}`,
		inFlight, limit, period, remaining, resets, used)
}

//
func TestUsageShowsTheGateAsItIsNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.User("acct_1", "user_7")
	const december, january = "2026-12-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z"
	wantUsage(t, "before the first message", user.Get("/v1/usage"), show(1000, 0, 1000, 0, "2026-11", december))

	list := w.reserve(t, 3)
	wantUsage(t, "with three in flight", user.Get("/v1/usage"), show(1000, 3, 997, 3, "2026-11", december))
	if _, err := w.messages.Sent(t.Context(), "acct_1", list[0], 1, message.Handover{At: w.clock.Now(), Attempt: true}); err != nil {
		t.Fatal(err)
	}
	wantUsage(t, "with one done but not settled", user.Get("/v1/usage"), show(1000, 3, 997, 2, "2026-11", december))

	w.plan(t, 5000, usage.Month)
	wantUsage(t, "with a larger plan, at once", user.Get("/v1/usage"), show(5000, 3, 4997, 2, "2026-11", december))
	w.plan(t, 2, usage.Month)
	wantUsage(t, "with a plan below what is used", user.Get("/v1/usage"), show(2, 3, 0, 2, "2026-11", december))
	w.plan(t, 100, usage.Day)
	wantUsage(t, "with periods of another length", user.Get("/v1/usage"), show(100, 0, 100, 2, "2026-11-24", "2026-11-25T00:00:00.000Z"))
	w.plan(t, 1000, usage.Month)
	w.clock.Pass(10 * 24 * time.Hour)
	wantUsage(t, "in the next period, before anybody rolled it", user.Get("/v1/usage"), show(1000, 0, 1000, 2, "2026-12", january))

	wantUsage(t, "of another account", w.User("acct_2", "user_9").Get("/v1/usage"), show(1000, 0, 1000, 0, "2026-12", january))
}

func version(name string, effective time.Time) rules.Version {
	return rules.Version{
		Version: name, EffectiveAt: effective,
		Documents: []rules.Document{
			{ID: "rules", Version: name, SHA256: strings.Repeat("a", 64), URL: "https://example.com/rules"},
			{ID: "terms", Version: "3", SHA256: strings.Repeat("b", 64), URL: "https://example.com/terms"},
			{ID: "privacy", Version: "5", SHA256: strings.Repeat("c", 64), URL: "https://example.com/privacy"},
		},
		ProhibitedUses: []rules.ProhibitedUse{{ID: "spam", Title: "Spam"}},
	}
}

func (w *world) publish(t *testing.T, v rules.Version) {
	t.Helper()
	if err := w.rules.Publish(t.Context(), v, audittest.ByOperator()); err != nil {
		t.Fatal(err)
	}
}

func documents(replace ...string) string {
	s := fmt.Sprintf(`[{"id":"rules","version":"v1","sha256":"%s"},{"id":"terms","version":"3","sha256":"%s"},{"id":"privacy","version":"5","sha256":"%s"}]`,
		strings.Repeat("a", 64), strings.Repeat("b", 64), strings.Repeat("c", 64))
	return strings.NewReplacer(replace...).Replace(s)
}

//
func TestTheRulesInForceAreThoseThatCameIntoForceLast(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nobody := w.As(nil)
	nobody.Get("/v1/rules/current").Want(t, "before any", 404, "not_found")
	now := w.clock.Now()
	w.publish(t, version("v1", now.Add(-time.Hour)))
	w.publish(t, version("v2", now.Add(time.Hour)))
	w.publish(t, version("v0", now.Add(-2*time.Hour)))
	w.clock.Pass(rules.CurrentAge)
	a := nobody.Get("/v1/rules/current").Want(t, "current", 200, "")
	if a.Text("version") != "v1" || a.Text("effective_at") != "2026-11-24T09:00:00.000Z" || len(a.JSON["documents"].([]any)) != 3 || len(a.JSON["prohibited_uses"].([]any)) != 1 {
		t.Errorf("current is %s", a.Body)
	}
	w.clock.Pass(2 * time.Hour)
	if a := nobody.Get("/v1/rules/current"); a.Text("version") != "v2" {
		t.Errorf("later, current is %s", a.Body)
	}
	if a := nobody.Get("/v1/rules/v0").Want(t, "an old version", 200, ""); a.Text("version") != "v0" {
		t.Errorf("v0 is %s", a.Body)
	}
	nobody.Get("/v1/rules/v9").Want(t, "an unknown version", 404, "not_found")
	list := nobody.Get("/v1/rules?page_size=2").Want(t, "the first two versions", 200, "")
	if items := list.JSON["items"].([]any); len(items) != 2 || items[0].(map[string]any)["version"] != "v2" || items[1].(map[string]any)["version"] != "v1" || list.Text("next_page_token") == "" {
		t.Errorf("the list begins %s", list.Body)
	}
	nobody.Get("/v1/rules?page_token=x").Want(t, "another page token", 422, "invalid_request")
	nobody.Get("/v1/rules/acceptances").Want(t, "acceptances without a token", 401, "")
}

// who accepted, in which capacity, when and from where.: which documents, by version and hash.
func TestAnAcceptanceIsRecordedWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t, version("v1", w.clock.Now().Add(-time.Hour)))
	user := w.User("acct_1", "user_7")
	body := `{"rules_version":"v1","documents":` + documents() + `,"capacity":"legal_entity","legal_entity_name":"Müller & Söhne OHG"}`
	a := user.Do("POST", "/v1/rules/acceptances", body).Want(t, "accept", 201, "")
	want := map[string]any{
		"rules_version": "v1", "capacity": "legal_entity", "legal_entity_name": "Müller & Söhne OHG", "accepted_by": "user_7", "kind": "explicit",
		"accepted_at": "2026-11-24T10:00:00.000Z", "ip_address": "192.0.2.7",
	}
	for name, v := range want {
		if a.JSON[name] != v {
			t.Errorf("%s is %v, want %v", name, a.JSON[name], v)
		}
	}
	w.clock.Pass(time.Second)
	w.User("acct_1", "user_8").Do("POST", "/v1/rules/acceptances", `{"rules_version":"v1","documents":`+documents()+`,"capacity":"self"}`).Want(t, "accept again", 201, "")
	list := user.Get("/v1/rules/acceptances").Want(t, "list", 200, "").JSON["items"].([]any)
	if len(list) != 2 || list[0].(map[string]any)["accepted_by"] != "user_8" || fmt.Sprint(list[1]) != fmt.Sprint(a.JSON) {
		t.Errorf("the list is %v", list)
	}
	if ok, err := w.rules.Accepted(t.Context(), "acct_1", "v1"); !ok || err != nil {
		t.Errorf("accepted: %v, %v", ok, err)
	}
	if got := user.Get("/v1/account").Want(t, "account", 200, ""); got.Text("id") != "acct_1" || got.Text("plan_id") != "demo" || got.Text("rules_accepted") != "v1" {
		t.Errorf("account is %s", got.Body)
	}
	other := w.User("acct_2", "user_9")
	if list := other.Get("/v1/rules/acceptances").JSON["items"].([]any); len(list) != 0 {
		t.Errorf("another account sees %v", list)
	}
	if ok, err := w.rules.Accepted(t.Context(), "acct_2", "v1"); ok || err != nil {
		t.Errorf("another account accepted: %v, %v", ok, err)
	}
}

//
func TestAnAcceptanceOfAnythingElseIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := w.clock.Now()
	w.publish(t, version("v0", now.Add(-2*time.Hour)))
	w.publish(t, version("v1", now.Add(-time.Hour)))
	w.publish(t, version("v2", now.Add(time.Hour)))
	w.clock.Pass(rules.CurrentAge)
	with := func(version, documents, rest string) string {
		return `{"rules_version":"` + version + `","documents":` + documents + `,` + rest + `}`
	}
	const self = `"capacity":"self"`
	cases := []struct {
		name, body  string
		status      int
		code, field string
	}{
		{"nothing", `{}`, 422, "invalid_request", "capacity"},
		{"an unknown field", with("v1", documents(), self+`,"accept":true`), 422, "invalid_request", "accept"},
		{"no capacity", `{"rules_version":"v1","documents":` + documents() + `}`, 422, "invalid_request", "capacity"},
		{"an unknown capacity", with("v1", documents(), `"capacity":"boss"`), 422, "invalid_request", "capacity"},
		{"a legal entity without a name", with("v1", documents(), `"capacity":"legal_entity"`), 422, "invalid_request", "legal_entity_name"},
		{"a legal entity with an empty name", with("v1", documents(), `"capacity":"legal_entity","legal_entity_name":""`), 422, "invalid_request", "legal_entity_name"},
		{"a legal entity with a blank name", with("v1", documents(), `"capacity":"legal_entity","legal_entity_name":"  "`), 422, "invalid_request", "legal_entity_name"},
		{"oneself with a name", with("v1", documents(), self+`,"legal_entity_name":"x"`), 422, "invalid_request", "legal_entity_name"},
		{"an unknown version", with("v9", documents(), self), 422, "invalid_request", "rules_version"},
		{"an old version", with("v0", documents(`"v1"`, `"v0"`), self), 409, "confirmation_outdated", ""},
		{"another hash", with("v1", documents("aaaa", "dddd"), self), 422, "invalid_request", "documents"},
		{"another document version", with("v1", documents(`"version":"5"`, `"version":"6"`), self), 422, "invalid_request", "documents"},
		{"one document less", with("v1", documents(`"id":"privacy"`, `"id":"dpa"`), self), 422, "invalid_request", "documents"},
		{"no documents", with("v1", `[]`, self), 422, "invalid_request", "documents"},
		{"a document twice", with("v1", documents(`"id":"privacy"`, `"id":"terms"`), self), 422, "invalid_request", "documents"},
		{"a document of no kind", with("v1", documents(`"id":"privacy"`, `"id":"cookies"`), self), 422, "invalid_request", "documents[2].id"},
	}
	user := w.User("acct_1", "user_7")
	for _, c := range cases {
		a := user.Do("POST", "/v1/rules/acceptances", c.body).Want(t, c.name, c.status, c.code)
		if a.Field() != c.field {
			t.Errorf("%s: the problem is about %q, want %q\n%s", c.name, a.Field(), c.field, a.Body)
		}
	}
	if list := user.Get("/v1/rules/acceptances").JSON["items"].([]any); len(list) != 0 {
		t.Errorf("refused requests left %v", list)
	}
	user.Do("POST", "/v1/rules/acceptances", with("v2", documents(`"v1"`, `"v2"`), self)).Want(t, "a version that comes into force later", 201, "")
}

// the categories can be read by programs, as the Rules in force name them.
func TestTheProhibitedUsesAreThoseOfTheRulesInForce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nobody := w.As(nil)
	nobody.Get("/v1/rules/current/prohibited-uses").Want(t, "before any Rules", 404, "not_found")
	w.clock.Pass(rules.CurrentAge)
	v := version("v1", w.clock.Now().Add(-time.Hour))
	v.Mode = rules.Notice
	w.publish(t, v)
	w.clock.Pass(rules.CurrentAge)
	a := nobody.Get("/v1/rules/current/prohibited-uses").Want(t, "the categories", 200, "")
	if want := `{"items":[{"id":"spam","title":"Spam"}],"version":"v1"}`; strings.TrimSpace(a.Body) != want {
		t.Errorf("the answer is %s, want %s", a.Body, want)
	}
	if a := nobody.Get("/v1/rules/current").Want(t, "the Rules", 200, ""); a.Text("acceptance") != "notice" {
		t.Errorf("current is %s", a.Body)
	}
}

// the account shows which version of the agreement on processing it accepted last.
func TestTheAccountShowsTheAgreementOnProcessingThatItAccepted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := rules.Acceptance{ID: "acc_1", AccountID: "acct_1", RulesVersion: "v1", Capacity: rules.Self, UserID: "user_7", At: w.clock.Now(), Documents: []rules.Document{{ID: "rules", Version: "v1"}, {ID: "dpa", Version: "4"}}}
	if err := w.rules.Accept(t.Context(), a, audittest.By("acct_1")); err != nil {
		t.Fatal(err)
	}
	if got := w.User("acct_1", "user_7").Get("/v1/account").Want(t, "account", 200, ""); got.Text("dpa_accepted") != "4" {
		t.Errorf("the account is %s", got.Body)
	}
	if got := w.User("acct_2", "user_9").Get("/v1/account").Want(t, "another account", 200, ""); got.Text("dpa_accepted") != "" {
		t.Errorf("the other account is %s", got.Body)
	}
}

// Whoever builds a client reads the contract where it is served; it is the document that the routes are made from.
func TestTheDocumentIsServedAsJSON(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.As(nil).Get("/v1/openapi.json").Want(t, "the document", 200, "")
	var document struct {
		OpenAPI string         `json:"openapi"`
		Paths   map[string]any `json:"paths"`
	}
	if err := json.Unmarshal([]byte(a.Body), &document); err != nil || document.OpenAPI != "3.0.3" || document.Paths["/v1/messages"] == nil {
		t.Errorf("got %.80s, %v", a.Body, err)
	}
}
