package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/api/apitest"
	"contactcenter/shared/attr"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/cache"
	"contactcenter/shared/channel"
	"contactcenter/shared/content"
	"contactcenter/shared/event/eventtest"
	"contactcenter/shared/id"
	"contactcenter/shared/idempotency"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/rules"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
)

// arranger stands where a provider's adapter stands. The adapters are tested against their providers' stand-ins.
type arranger struct {
	provider.Adapter
	mu    sync.Mutex
	calls []string
	err   error
}

func (*arranger) Capabilities() provider.Capabilities {
	return provider.Capabilities{
		RepeatSafe: true, ChannelTypes: []string{"toy"}, AddressKind: "phone", Content: map[content.Type]provider.Limits{content.TypeText: {MaxTextRunes: 7}}, Statuses: []string{"delivered"},
	}
}

func (a *arranger) Activate(_ context.Context, ch provider.Channel, callbackURL string) (map[string]string, string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, ch.SenderID+" "+callbackURL)
	return map[string]string{"cascade": "7"}, "+35799009999", a.err
}

func (a *arranger) failWith(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
}

func (a *arranger) seen() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string{}, a.calls...)
}

type world struct {
	// waited is how long requests waited; faster, if set, is what happens while they do.
	waited time.Duration
	faster func()
	told   *eventtest.Recorder
	*apitest.Server
	clock     *apitest.Clock
	rules     *rules.Store
	providers *registry.Store
	channels  *channel.Store
	edna      *arranger
	toy       *toy
	log       *bytes.Buffer
	table     string // of channels
	db        *dynamodb.Client
	accounts  *account.Store
	health    *health.Store
}

func ednaEntry() registry.Entry {
	return registry.Entry{
		ID: "edna", Name: "Instant WhatsApp", LegalEntity: "MF Management Ltd", Website: "https://edna.io", Onboarding: registry.Native,
		ChannelTypes: []string{"whatsapp", "sms"}, TransferCountries: []string{"CY", "DE"}, TermsVersion: "2026-01", Status: registry.Enabled,
	}
}

func version() rules.Version {
	return rules.Version{Version: "2026-11-01", EffectiveAt: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
}

// newWorld gives a handler with Rules in force that acct_1 accepted, and edna with a pool of senders.
func newWorld(t *testing.T, senders int) *world {
	t.Helper()
	env, ctx := awstest.New(t), t.Context()
	accounts, channels := env.Table(ctx, awstest.AccountsTable()), env.Table(ctx, awstest.ChannelsTable())
	clock := apitest.NewClock(time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC))
	events := audittest.New(t, env)
	w := &world{
		clock:     clock,
		rules:     &rules.Store{DB: env.DynamoDB, Table: accounts, Now: clock.Now, Audit: events},
		providers: &registry.Store{DB: env.DynamoDB, Table: channels, Now: clock.Now, Audit: events},
		channels:  &channel.Store{DB: env.DynamoDB, Table: channels, Audit: events},
		edna:      &arranger{},
		toy:       &toy{},
		log:       &bytes.Buffer{},
		table:     channels,
		db:        env.DynamoDB,
	}
	w.put(t, ednaEntry())
	for i := range senders {
		sender := registry.Sender{ID: fmt.Sprintf("%d", 1001+i), Address: fmt.Sprintf("+3579900%d", 1001+i)}
		if _, err := w.providers.PutSender(ctx, "edna", sender, audittest.ByOperator()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.rules.Publish(ctx, version(), audittest.ByOperator()); err != nil {
		t.Fatal(err)
	}
	for _, accountID := range []string{"acct_1", "acct_2"} {
		if err := w.rules.Accept(ctx, rules.Acceptance{ID: "acc_" + accountID, AccountID: accountID, RulesVersion: "2026-11-01", Capacity: rules.Self, At: clock.Now()}, audittest.By(accountID)); err != nil {
			t.Fatal(err)
		}
	}
	w.accounts = &account.Store{
		DB: env.DynamoDB, Table: accounts, Now: clock.Now, DefaultPlanID: "demo",
		Audit: audittest.New(t, env),
	}
	w.health = &health.Store{DB: env.DynamoDB, Table: env.Table(ctx, awstest.UsageTable())}
	w.told = &eventtest.Recorder{}
	h := &Handler{
		Events: w.told,
		Health: health.NewReader(w.health, clock.Now), Statuses: cache.New[string, api.ServiceStatus](statusAge, 1, clock.Now),
		Credentials: sealtest.Sealer(seal.Credentials),
		Accounts:    w.accounts, Rules: w.rules, Providers: w.providers, Channels: w.channels, Adapters: map[string]provider.Adapter{"edna": w.edna, "toy": w.toy},
		Keys: &idempotency.Middleware{Keys: &idempotency.Store{DB: env.DynamoDB, Table: accounts, Now: clock.Now}, Timeout: timeout},
		IDs:  id.Source{Now: clock.Now, Random: rand.Reader}, Random: rand.Reader, Now: clock.Now,
		Wait: func(_ context.Context, d time.Duration) error {
			w.waited += d
			clock.Pass(d)
			if w.faster != nil {
				w.faster()
			}
			return nil
		},
	}
	log := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.Server = apitest.NewServer(t, api.New(api.Config{Log: log, Now: clock.Now}, api.ChannelsRoutes(h)))
	return w
}

func (w *world) put(t *testing.T, e registry.Entry) {
	t.Helper()
	if _, err := w.providers.Put(t.Context(), e, audittest.ByOperator()); err != nil {
		t.Fatal(err)
	}
}

func (w *world) publish(t *testing.T, v rules.Version) {
	t.Helper()
	if err := w.rules.Publish(t.Context(), v, audittest.ByOperator()); err != nil {
		t.Fatal(err)
	}
}

func (w *world) accept(t *testing.T, a rules.Acceptance) {
	t.Helper()
	if err := w.rules.Accept(t.Context(), a, audittest.By(a.AccountID)); err != nil {
		t.Fatal(err)
	}
}

func (w *world) create(t *testing.T, c apitest.Client) string {
	t.Helper()
	return c.Do("POST", "/v1/channels", `{"provider_id":"edna","name":"Orders"}`).Want(t, "create", 201, "").Text("id")
}

const confirmation = `{"rules_version":"2026-11-01","provider_terms_version":"2026-01","transfer_countries":["DE","CY"]}`

// a channel of a native provider takes no credentials and is active after the customer's confirmation alone.
func TestAChannelLivesFromCreationToDeletion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	user := w.User("acct_1", "user_7")

	created := user.Do("POST", "/v1/channels", `{"provider_id":"edna","name":"Orders"}`).Want(t, "create", 201, "")
	channelID := created.Text("id")
	path := "/v1/channels/" + channelID
	if got := created.Header.Get("Location"); got != path {
		t.Errorf("Location is %q", got)
	}
	wantMembers(t, "created", created, map[string]any{
		"provider_id": "edna", "type": "whatsapp", "name": "Orders", "address": "+35799001001", "status": "inactive",
		"callback_url": "https://api.example.com/v1/callbacks/edna/" + channelID, "activated_by": nil, "activated_at": nil,
	})

	wantMembers(t, "renamed", user.Do("PATCH", path, `{"name":"Support"}`).Want(t, "rename", 200, ""), map[string]any{"name": "Support", "status": "inactive"})
	w.clock.Pass(time.Minute)
	active := map[string]any{"status": "active", "activated_by": "user_7", "activated_at": "2026-11-24T10:01:00.000Z", "address": "+35799009999"}
	wantMembers(t, "activated", user.Do("POST", path+"/activate", confirmation).Want(t, "activate", 200, ""), active)
	if got := w.edna.seen(); len(got) != 1 || got[0] != "1001 https://api.example.com/v1/callbacks/edna/"+channelID {
		t.Errorf("the provider was asked %q", got)
	}

	w.clock.Pass(time.Minute)
	again := w.User("acct_1", "user_8").Do("POST", path+"/activate", confirmation).Want(t, "activate again", 200, "")
	wantMembers(t, "activated again", again, active)
	if got := w.edna.seen(); len(got) != 1 {
		t.Errorf("activating an active channel asked the provider again: %q", got)
	}
	kept, err := w.channels.Get(t.Context(), channelID)
	if err != nil {
		t.Fatal(err)
	}
	if !kept.Confirmation.Matches(channel.Confirmation{RulesVersion: "2026-11-01", ProviderTermsVersion: "2026-01", TransferCountries: []string{"CY", "DE"}}) || kept.Settings["cascade"] != "7" {
		t.Errorf("the activation kept %+v, %v", kept.Confirmation, kept.Settings)
	}

	wantMembers(t, "deactivated", user.Do("POST", path+"/deactivate", "").Want(t, "deactivate", 200, ""), map[string]any{"status": "inactive"})
	user.Do("POST", path+"/deactivate", "").Want(t, "deactivate again", 200, "")
	user.Do("POST", "/v1/channels", `{"provider_id":"edna","name":"Second"}`).Want(t, "create without a free sender", 409, "sender_unavailable")
	user.Do("DELETE", path, "").Want(t, "delete", 204, "")
	for _, gone := range []apitest.Answer{user.Get(path), user.Do("DELETE", path, ""), user.Do("POST", path+"/activate", confirmation), user.Do("PATCH", path, `{"name":"x"}`), user.Do("POST", path+"/deactivate", "")} {
		gone.Want(t, "a deleted channel", 404, "channel_not_found")
	}
	if list := user.Get("/v1/channels").JSON["items"].([]any); len(list) != 0 {
		t.Errorf("a deleted channel is listed: %v", list)
	}
	if old, err := w.channels.Lookup(t.Context(), channelID); err != nil || old.AccountID != "acct_1" || !old.Deleted() {
		t.Errorf("what is kept of a deleted channel: %+v, %v", old, err)
	}
	w.create(t, user) // the sender is free again
}

func wantMembers(t *testing.T, what string, a apitest.Answer, want map[string]any) {
	t.Helper()
	for name, v := range want {
		if !reflect.DeepEqual(a.JSON[name], v) {
			t.Errorf("%s: %s is %v, want %v", what, name, a.JSON[name], v)
		}
	}
}

//
func TestCreateRefusesWhatItCanNotMake(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for name, status := range map[string]registry.Status{"off": registry.Disabled, "gone": registry.Removed, "no_sender": registry.Enabled} {
		e := ednaEntry()
		e.ID, e.Status = name, status
		w.put(t, e)
	}
	cases := []struct {
		name, body  string
		status      int
		code, field string
	}{
		{"no body", ``, 422, "invalid_request", "body"},
		{"no object", `[]`, 422, "invalid_request", "body"},
		{"bad JSON", `{"provider_id":`, 400, "invalid_request", ""},
		{"nothing in it", `{}`, 422, "invalid_request", "name"},
		{"an unknown field", `{"provider_id":"edna","name":"n","active":true}`, 422, "invalid_request", "active"},
		{"a status of one's own", `{"provider_id":"edna","name":"n","status":"active"}`, 422, "invalid_request", "status"},
		{"a number as name", `{"provider_id":"edna","name":7}`, 422, "invalid_request", "name"},
		{"a long name", `{"provider_id":"edna","name":"` + strings.Repeat("é", 129) + `"}`, 422, "invalid_request", "name"},
		{"no such provider", `{"provider_id":"telegram","name":"n"}`, 422, "invalid_request", "provider_id"},
		{"a type that the provider has not", `{"provider_id":"edna","name":"n","type":"email"}`, 422, "invalid_request", "type"},
		{"credentials for a native provider", `{"provider_id":"edna","name":"n","credentials":{"api_key":"k"}}`, 422, "invalid_request", "credentials"},
		{"empty credentials for a native provider", `{"provider_id":"edna","name":"n","credentials":{}}`, 422, "invalid_request", "credentials"},
		{"a disabled provider", `{"provider_id":"off","name":"n"}`, 409, "provider_disabled", ""},
		{"a removed provider", `{"provider_id":"gone","name":"n"}`, 409, "provider_removed", ""},
		{"a native provider without a sender", `{"provider_id":"no_sender","name":"n"}`, 409, "sender_unavailable", ""},
	}
	user := w.User("acct_1", "user_7")
	for _, c := range cases {
		a := user.Do("POST", "/v1/channels", c.body).Want(t, c.name, c.status, c.code)
		if a.Field() != c.field {
			t.Errorf("%s: the problem is about %q, want %q\n%s", c.name, a.Field(), c.field, a.Body)
		}
	}
	if list := user.Get("/v1/channels").JSON["items"].([]any); len(list) != 0 {
		t.Errorf("refused requests left %v", list)
	}
	w.create(t, user) // none of them took the sender
}

func TestAHundredChannelsAtOnceShareTenSenders(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 10)
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		senders = map[string]string{}
		refused int
	)
	for i := range 100 {
		wg.Go(func() {
			a := w.User(fmt.Sprintf("acct_%d", i%3), "user_7").Do("POST", "/v1/channels", `{"provider_id":"edna","name":"n"}`)
			mu.Lock()
			defer mu.Unlock()
			switch a.Status {
			case http.StatusCreated:
				if other, ok := senders[a.Text("address")]; ok {
					t.Errorf("sender %s was given to %s and %s", a.Text("address"), other, a.Text("id"))
				}
				senders[a.Text("address")] = a.Text("id")
			case http.StatusConflict:
				refused++
				a.Want(t, "create", 409, "sender_unavailable")
			default:
				t.Errorf("answer is %d\n%s", a.Status, a.Body)
			}
		})
	}
	wg.Wait()
	if len(senders) != 10 || refused != 90 {
		t.Errorf("%d channels were made and %d refused, want 10 and 90", len(senders), refused)
	}
}

func TestASenderOfAChannelThatWasNeverMadeComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	user := w.User("acct_1", "user_7")
	kept := w.create(t, user)
	if _, err := w.providers.TakeSender(t.Context(), "edna", "chn_cut_short"); err != nil {
		t.Fatal(err)
	}
	user.Do("POST", "/v1/channels", `{"provider_id":"edna","name":"n"}`).Want(t, "while it may still be made", 409, "sender_unavailable")
	w.clock.Pass(10 * time.Minute)
	w.create(t, user)
	user.Do("POST", "/v1/channels", `{"provider_id":"edna","name":"n"}`).Want(t, "with both in use", 409, "sender_unavailable")
	user.Get("/v1/channels/"+kept).Want(t, "the first channel", 200, "")
}

// What waited for a channel that is gone may be sent by its sender for some seconds more: nobody else has it by then.
func TestASenderThatCameFreeIsNobodysForAWhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	one, other := w.User("acct_1", "user_1"), w.User("acct_2", "user_2")
	kept, gone := w.create(t, one), w.create(t, one)
	one.Do("DELETE", "/v1/channels/"+gone, "").Want(t, "delete", 204, "")
	w.create(t, other)
	if w.waited != registry.Rest {
		t.Errorf("another account has the sender after %s", w.waited)
	}
	one.Do("DELETE", "/v1/channels/"+kept, "").Want(t, "delete", 204, "")
	w.clock.Pass(registry.Rest)
	if w.create(t, other); w.waited != registry.Rest {
		t.Errorf("a sender that has rested is waited for: %s", w.waited)
	}
}

// Of several who wait for senders, each gets the one that has rested when its turn comes.
func TestManyWaitForSendersThatRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	one, other := w.User("acct_1", "user_1"), w.User("acct_2", "user_2")
	first, second := w.create(t, one), w.create(t, one)
	one.Do("DELETE", "/v1/channels/"+first, "").Want(t, "delete", 204, "")
	w.clock.Pass(time.Second)
	one.Do("DELETE", "/v1/channels/"+second, "").Want(t, "delete", 204, "")
	w.faster = func() { // somebody else, who waited too
		w.faster = nil
		if _, err := w.providers.TakeSender(t.Context(), "edna", "chn_faster"); err != nil {
			t.Error(err)
		}
	}
	w.create(t, other)
	if w.waited != registry.Rest {
		t.Errorf("it waited %s, want until the second has rested", w.waited)
	}
	other.Do("POST", "/v1/channels", `{"provider_id":"edna","name":"n"}`).Want(t, "with both in use", 409, "sender_unavailable")
}

func TestTheSameIdempotencyKeyMakesOneChannel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	user := w.User("acct_1", "user_7").With("Idempotency-Key", `"k-1"`)
	first := w.create(t, user)
	again := user.Do("POST", "/v1/channels", `{"name":"Orders", "provider_id":"edna"}`).Want(t, "again", 201, "")
	if again.Text("id") != first || again.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the second answer has id %s, want %s; replayed %q", again.Text("id"), first, again.Header.Get("Idempotency-Replayed"))
	}
	user.Do("POST", "/v1/channels", `{"provider_id":"edna","name":"Other"}`).Want(t, "another payload", 422, "idempotency_key_reused")
}

// R-4.1a.
func TestActivationNeedsEveryConfirmationAsItIsInForce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	user := w.User("acct_1", "user_7")
	path := "/v1/channels/" + w.create(t, user) + "/activate"
	cases := []struct {
		name, body  string
		status      int
		code, field string
	}{
		{"nothing confirmed", `{}`, 422, "invalid_request", "provider_terms_version"},
		{"no rules version", `{"provider_terms_version":"2026-01","transfer_countries":["CY","DE"]}`, 422, "invalid_request", "rules_version"},
		{"no provider terms", `{"rules_version":"2026-11-01","transfer_countries":["CY","DE"]}`, 422, "invalid_request", "provider_terms_version"},
		{"no countries", `{"rules_version":"2026-11-01","provider_terms_version":"2026-01"}`, 422, "invalid_request", "transfer_countries"},
		{"null countries", `{"rules_version":"2026-11-01","provider_terms_version":"2026-01","transfer_countries":null}`, 422, "invalid_request", "transfer_countries"},
		{"more than that", `{"rules_version":"2026-11-01","provider_terms_version":"2026-01","transfer_countries":["CY","DE"],"force":true}`, 422, "invalid_request", "force"},
		{"other rules", `{"rules_version":"2025-01-01","provider_terms_version":"2026-01","transfer_countries":["CY","DE"]}`, 409, "confirmation_outdated", ""},
		{"other terms", `{"rules_version":"2026-11-01","provider_terms_version":"2025-01","transfer_countries":["CY","DE"]}`, 409, "confirmation_outdated", ""},
		{"fewer countries", `{"rules_version":"2026-11-01","provider_terms_version":"2026-01","transfer_countries":["CY"]}`, 409, "confirmation_outdated", ""},
		{"no country", `{"rules_version":"2026-11-01","provider_terms_version":"2026-01","transfer_countries":[]}`, 409, "confirmation_outdated", ""},
		{"more countries", `{"rules_version":"2026-11-01","provider_terms_version":"2026-01","transfer_countries":["CY","DE","US"]}`, 409, "confirmation_outdated", ""},
	}
	for _, c := range cases {
		a := user.Do("POST", path, c.body).Want(t, c.name, c.status, c.code)
		if a.Field() != c.field {
			t.Errorf("%s: the problem is about %q, want %q", c.name, a.Field(), c.field)
		}
		if c.status == 409 && (a.Text("rules_version") != "2026-11-01" || a.Text("provider_terms_version") != "2026-01" || fmt.Sprint(a.JSON["transfer_countries"]) != "[CY DE]") {
			t.Errorf("%s: the problem does not say what is in force\n%s", c.name, a.Body)
		}
	}
	wantMembers(t, "after refusals", user.Get(strings.TrimSuffix(path, "/activate")), map[string]any{"status": "inactive"})
	if got := w.edna.seen(); len(got) != 0 {
		t.Errorf("the provider was asked %q", got)
	}
	user.Do("POST", path, `{"rules_version":"2026-11-01","provider_terms_version":"2026-01","transfer_countries":["DE","CY","DE"]}`).Want(t, "the same set", 200, "")
}

//
func TestOnlyAUserOfTheAccountActivates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	path := "/v1/channels/" + w.create(t, w.User("acct_1", "user_7")) + "/activate"
	all := []string{"operator", "channels:activate", "channels:write", "channels:read"}
	cases := []struct {
		name   string
		who    *api.Principal
		status int
		code   string
	}{
		{"nobody", nil, 401, "unauthorized"},
		{"a user without the scope", &api.Principal{UserID: "u", AccountID: "acct_1", Scopes: []string{"channels:write", "channels:read"}}, 403, "forbidden"},
		{"an operator", &api.Principal{UserID: "op", Operator: true, Scopes: []string{"operator"}}, 403, "forbidden"},
		{"an operator with every scope", &api.Principal{UserID: "op", Operator: true, Scopes: all}, 403, "forbidden"},
		{"an operator who names the account", &api.Principal{UserID: "op", AccountID: "acct_1", Operator: true, Scopes: all}, 403, "forbidden"},
		{"a user of another account", &api.Principal{UserID: "u", AccountID: "acct_2", Scopes: all}, 404, "channel_not_found"},
	}
	for _, c := range cases {
		w.As(c.who).Do("POST", path, confirmation).Want(t, c.name, c.status, c.code)
	}
	if got := w.edna.seen(); len(got) != 0 {
		t.Errorf("the provider was asked %q", got)
	}
	wantMembers(t, "afterwards", w.User("acct_1", "user_7").Get(strings.TrimSuffix(path, "/activate")), map[string]any{"status": "inactive"})
}

//
func TestAnAccountThatDidNotAcceptTheRulesActivatesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	user := w.User("acct_new", "user_1")
	path := "/v1/channels/" + w.create(t, user) + "/activate"
	user.Do("POST", path, confirmation).Want(t, "activate", 403, "rules_not_accepted")
	user.Do("POST", path, `{}`).Want(t, "activate with nothing confirmed", 403, "rules_not_accepted")
	if got := w.edna.seen(); len(got) != 0 {
		t.Errorf("the provider was asked %q", got)
	}
}

// in the mode "notice" activating accepts the new version; an account that never accepted any activates nothing.
func TestActivatingAcceptsNewRulesOfWhichTheAccountHadNotice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	next := version()
	next.Version, next.EffectiveAt, next.Mode = "2026-11-20", w.clock.Now().Add(-time.Hour), rules.Notice
	if err := w.rules.Publish(t.Context(), next, audittest.ByOperator()); err != nil {
		t.Fatal(err)
	}
	w.clock.Pass(rules.CurrentAge)
	user := w.User("acct_1", "user_7")
	path := "/v1/channels/" + w.create(t, user) + "/activate"
	user.Do("POST", path, confirmation).Want(t, "with the old version confirmed", 409, "confirmation_outdated")
	if ok, err := w.rules.Accepted(t.Context(), "acct_1", "2026-11-20"); ok || err != nil {
		t.Errorf("a refused activation accepted the Rules: %v, %v", ok, err)
	}
	user.Do("POST", path, strings.Replace(confirmation, "2026-11-01", "2026-11-20", 1)).Want(t, "with the new one", 200, "")
	list, _, err := w.rules.Acceptances(t.Context(), "acct_1", attr.Page{Size: 5})
	if err != nil || len(list) == 0 || !slices.ContainsFunc(list, func(a rules.Acceptance) bool {
		return a.Kind == rules.ByUse && a.RulesVersion == "2026-11-20" && a.UserID == "user_7" && a.SourceIP != ""
	}) {
		t.Errorf("the acceptances are %+v, %v", list, err)
	}
	newcomer := w.User("acct_new", "user_1")
	newcomer.Do("POST", "/v1/channels/"+w.create(t, newcomer)+"/activate", strings.Replace(confirmation, "2026-11-01", "2026-11-20", 1)).Want(t, "an account that never accepted", 403, "rules_not_accepted")
}

// nothing is activated under Rules that nobody accepted; everything else goes on.
func TestNewRulesInForceAskForANewAcceptance(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	next := version()
	next.Version, next.EffectiveAt = "2026-12-01", w.clock.Now().Add(time.Hour)
	if err := w.rules.Publish(t.Context(), next, audittest.ByOperator()); err != nil {
		t.Fatal(err)
	}
	user := w.User("acct_1", "user_7")
	path := "/v1/channels/" + w.create(t, user)
	user.Do("POST", path+"/activate", confirmation).Want(t, "before they are in force", 200, "")
	w.clock.Pass(2 * time.Hour)
	user.Do("POST", path+"/activate", confirmation).Want(t, "once they are", 403, "rules_not_accepted")
	other := "/v1/channels/" + w.create(t, user)
	user.Get(other).Want(t, "reading goes on", 200, "")
	user.Get("/v1/channels").Want(t, "listing goes on", 200, "")
	user.Do("POST", other+"/deactivate", "").Want(t, "deactivating goes on", 200, "")
	wantMembers(t, "the active channel", user.Get(path), map[string]any{"status": "active"})
}

//
func TestTheProvidersSwitchIsShownAndChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	user := w.User("acct_1", "user_7")
	active, inactive := "/v1/channels/"+w.create(t, user), "/v1/channels/"+w.create(t, user)
	user.Do("POST", active+"/activate", confirmation).Want(t, "activate", 200, "")
	steps := []struct {
		status           registry.Status
		active, inactive string
		activate         int
		code             string
	}{
		{registry.Disabled, "provider_disabled", "provider_disabled", 409, "provider_disabled"},
		{registry.Removed, "provider_removed", "provider_removed", 409, "provider_removed"},
		{registry.Enabled, "active", "inactive", 200, ""},
	}
	for _, st := range steps {
		e := ednaEntry()
		e.Status = st.status
		w.put(t, e)
		w.clock.Pass(registry.CacheAge)
		wantMembers(t, string(st.status), user.Get(active), map[string]any{"status": st.active})
		wantMembers(t, string(st.status), user.Get(inactive), map[string]any{"status": st.inactive})
		for _, item := range user.Get("/v1/channels").JSON["items"].([]any) {
			if got := item.(map[string]any)["status"]; got != st.active && got != st.inactive {
				t.Errorf("%s: the list shows %v", st.status, got)
			}
		}
		user.Do("POST", inactive+"/activate", confirmation).Want(t, "activate with the provider "+string(st.status), st.activate, st.code)
	}
}

func TestAProvidersFailureLeavesTheChannelInactive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	user := w.User("acct_1", "user_7")
	path := "/v1/channels/" + w.create(t, user)
	cases := []struct {
		name   string
		err    error
		status int
		code   string
		fault  string
		retry  string
	}{
		{"it does not answer", &provider.Error{Kind: provider.Ambiguous, Code: "provider_unavailable", Fault: provider.FaultProvider}, 503, "provider_unavailable", "provider", "1"},
		{"it wants to be asked later", &provider.Error{Kind: provider.Retry, Code: "provider_unavailable", Fault: provider.FaultProvider, RetryAfter: 30 * time.Second}, 503, "provider_unavailable", "provider", "30"},
		{"it refuses", &provider.Error{Kind: provider.Permanent, Code: "provider_refused", Fault: provider.FaultProvider, Detail: "no such cascade"}, 502, "provider_refused", "provider", ""},
		{"it does not have the sender", &provider.Error{Kind: provider.Permanent, Code: "sender_unavailable", Fault: provider.FaultPlatform}, 502, "sender_unavailable", "platform", ""},
		{"it does not know the operator", &provider.Error{Kind: provider.Credentials, Code: "credentials_invalid", Fault: provider.FaultPlatform}, 502, "credentials_invalid", "platform", ""},
		{"an error that says nothing, not even whose fault it is: then it is ours", context.DeadlineExceeded, 503, "provider_unavailable", "platform", "1"},
	}
	for _, c := range cases {
		w.edna.failWith(c.err)
		a := user.Do("POST", path+"/activate", confirmation).Want(t, c.name, c.status, c.code)
		if a.Text("fault_domain") != c.fault || a.Header.Get("Retry-After") != c.retry {
			t.Errorf("%s: fault is %q, Retry-After %q", c.name, a.Text("fault_domain"), a.Header.Get("Retry-After"))
		}
		wantMembers(t, c.name, user.Get(path), map[string]any{"status": "inactive", "activated_by": nil})
	}
	w.edna.failWith(nil)
	user.Do("POST", path+"/activate", confirmation).Want(t, "afterwards", 200, "")
}

func TestAnotherAccountsChannelIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	owner, other := w.User("acct_1", "user_7"), w.User("acct_2", "user_9")
	mine := "/v1/channels/" + w.create(t, owner)
	for _, path := range []string{mine, "/v1/channels/chn_00000000000000000", "/v1/channels/chn_x", "/v1/channels/provider%23edna"} {
		for _, c := range []struct{ method, path, body string }{
			{"GET", path, ""}, {"PATCH", path, `{"name":"x"}`}, {"DELETE", path, ""}, {"POST", path + "/activate", confirmation}, {"POST", path + "/deactivate", ""},
		} {
			other.Do(c.method, c.path, c.body).Want(t, c.method+" "+c.path, 404, "channel_not_found")
		}
	}
	if list := other.Get("/v1/channels").JSON["items"].([]any); len(list) != 0 {
		t.Errorf("the other account sees %v", list)
	}
	wantMembers(t, "afterwards", owner.Get(mine), map[string]any{"name": "Orders", "status": "inactive"})
}

func TestListsComeInPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5)
	user := w.User("acct_1", "user_7")
	var made []string
	for range 5 {
		made = append([]string{w.create(t, user)}, made...) // newest first
		w.clock.Pass(time.Second)
	}
	for _, name := range []string{"zeta", "alpha"} {
		e := ednaEntry()
		e.ID = name
		w.put(t, e)
	}
	for path, want := range map[string][]string{"/v1/channels": made, "/v1/providers": {"alpha", "edna", "zeta"}} {
		var got []string
		token := ""
		for range 10 {
			a := user.Get(path+"?page_size=2"+token).Want(t, path, 200, "")
			for _, item := range a.JSON["items"].([]any) {
				got = append(got, item.(map[string]any)["id"].(string))
			}
			if a.Text("next_page_token") == "" {
				break
			}
			token = "&page_token=" + a.Text("next_page_token")
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s lists %v, want %v", path, got, want)
		}
		for _, bad := range []string{"?page_size=0", "?page_size=201", "?page_size=x", "?page_token=x", "?color=red", "?page_token=" + token[len("&page_token="):] + "x"} {
			user.Get(path+bad).Want(t, path+bad, 422, "invalid_request")
		}
	}
	token := user.Get("/v1/channels?page_size=1").Text("next_page_token")
	w.User("acct_2", "user_9").Get("/v1/channels?page_token="+token).Want(t, "another account's page token", 422, "invalid_request")
}

//
func TestProvidersAreShownAsTheContractSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	user := w.User("acct_1", "user_7")
	a := user.Get("/v1/providers/edna").Want(t, "get", 200, "")
	wantMembers(t, "edna", a, map[string]any{
		"id": "edna", "name": "Instant WhatsApp", "legal_entity": "MF Management Ltd", "website": "https://edna.io", "onboarding": "native",
		"terms_version": "2026-01", "status": "enabled", "health": "operational", "since": "2026-11-24T10:00:00.000Z",
	})
	for _, list := range []string{"channel_types", "transfer_countries", "documents", "credential_fields"} {
		if _, ok := a.JSON[list].([]any); !ok {
			t.Errorf("%s is %v, want a list", list, a.JSON[list])
		}
	}
	user.Get("/v1/providers/none").Want(t, "an unknown one", 404, "not_found")
	carries := user.Get("/v1/providers/edna/capabilities").Want(t, "capabilities", 200, "")
	if want := `{"address_kind":"phone","channel_types":["whatsapp","sms"],"content":{"text":{"max_characters":7}},"provider_id":"edna","repeat_safe":true,"reply_to":false,"statuses":["delivered"]}`; !strings.Contains(carries.Body, want) {
		t.Errorf("carries %s", carries.Body)
	}
	user.Get("/v1/providers/nobody/capabilities").Want(t, "of no provider", 404, "not_found")
	user.Do("PUT", "/v1/providers/edna", `{}`).Want(t, "another method", 405, "method_not_allowed")
}

// anybody sees how the providers work; the provider's and the channel's own page say the same.
func TestTheStatusShowsHowProvidersWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	user := w.User("acct_1", "user_7")
	channelID := w.create(t, user)
	off := ednaEntry()
	off.ID, off.Status = "off", registry.Disabled
	w.put(t, off)
	gone := ednaEntry()
	gone.ID, gone.Status = "gone", registry.Removed
	w.put(t, gone)
	wantStatus(t, w, map[string]string{"edna": "operational", "off": "disabled"})
	w.fail(t, channelID, 6)
	w.clock.Pass(10 * time.Second)
	a := wantStatus(t, w, map[string]string{"edna": "outage", "off": "disabled"})
	edna := a.JSON["providers"].([]any)[0].(map[string]any)
	if edna["error_rate"] != 1.0 || edna["calls"] != 5.0 || edna["since"] != "2026-11-24T10:00:00.000Z" || edna["latency_ms"].(map[string]any)["p95"] == nil {
		t.Errorf("edna is %v", edna)
	}
	wantMembers(t, "the provider", user.Get("/v1/providers/edna"), map[string]any{"health": "outage", "since": "2026-11-24T10:00:00.000Z"})
	wantMembers(t, "the channel", user.Get("/v1/channels/"+channelID), map[string]any{"health": "outage", "status": "inactive"})
	w.clock.Pass(health.Idle + time.Minute)
	wantStatus(t, w, map[string]string{"edna": "operational", "off": "disabled"})
}

// fail makes calls that fail by edna's fault, as a dispatcher does.
func (w *world) fail(t *testing.T, channelID string, n int) {
	t.Helper()
	m := &health.Monitor{Records: w.health, Log: slog.New(slog.DiscardHandler), Now: w.clock.Now, Random: func() uint64 { return 7 }}
	for range n {
		if p, wait := m.Enter(t.Context(), "edna", channelID); wait == 0 {
			m.Done(t.Context(), p, w.clock.Now(), health.Failed, health.Failed)
		}
	}
	m.Flush(t.Context())
}

func wantStatus(t *testing.T, w *world, want map[string]string) apitest.Answer {
	t.Helper()
	a := w.As(nil).Get("/v1/status").Want(t, "status", 200, "")
	got := map[string]string{}
	for _, p := range a.JSON["providers"].([]any) {
		p := p.(map[string]any)
		got[p["id"].(string)] = p["status"].(string)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the status is %v, want %v", got, want)
	}
	return a
}
