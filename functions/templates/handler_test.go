package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"contactcenter/shared/api"
	"contactcenter/shared/api/apitest"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/channel"
	"contactcenter/shared/id"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
	"contactcenter/shared/templates"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// toy is a provider that has templates for whoever knows the token of an account. Bare has none.
type toy struct {
	provider.Adapter
	mu    sync.Mutex
	asked []string
	has   []provider.Template
	err   error
}

func (p *toy) Templates(_ context.Context, ch provider.Channel) ([]provider.Template, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, ch.Credentials["token"])
	return p.has, p.err
}

func (p *toy) set(has []provider.Template, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.has, p.err = has, err
}

func (p *toy) calls() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.asked...)
}

type bare struct{ provider.Adapter }

// broken fails every write.
type broken struct{ templates.DynamoDB }

func (broken) UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	return nil, fmt.Errorf("the engine is not there")
}

type world struct {
	*apitest.Server
	t         *testing.T
	clock     *apitest.Clock
	toy       *toy
	channels  *channel.Store
	providers *registry.Store
	kept      *templates.Store
	handler   *Handler
	log       *bytes.Buffer
	ids       id.Source
}

func newWorld(t *testing.T) *world {
	t.Helper()
	env := awstest.New(t)
	table, events := env.Table(t.Context(), awstest.ChannelsTable()), audittest.New(t, env)
	w := &world{t: t, clock: apitest.NewClock(noon), toy: &toy{}, log: &bytes.Buffer{}}
	w.ids = id.Source{Now: w.clock.Now, Random: rand.Reader}
	w.channels = &channel.Store{DB: env.DynamoDB, Table: table, Audit: events}
	w.providers = &registry.Store{DB: env.DynamoDB, Table: table, Now: w.clock.Now, Audit: events}
	w.kept = &templates.Store{DB: env.DynamoDB, Table: table, Sealer: sealtest.Sealer(seal.Credentials), Opener: sealtest.Opener(seal.Credentials)}
	w.turn("toy", registry.Enabled)
	w.turn("bare", registry.Enabled)
	w.handler = &Handler{
		Channels: w.channels, Providers: w.providers, Templates: w.kept, Credentials: sealtest.Opener(seal.Credentials),
		Adapters: map[string]provider.Adapter{"toy": w.toy, "bare": bare{}}, Now: w.clock.Now,
	}
	log := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.Server = apitest.NewServer(t, api.New(api.Config{Log: log, Now: w.clock.Now}, api.TemplatesRoutes(w.handler)))
	return w
}

// turn sets a provider's switch, and lets the time pass until everybody has seen it.
func (w *world) turn(providerID string, status registry.Status) {
	w.t.Helper()
	e := registry.Entry{
		ID: providerID, Name: providerID, LegalEntity: "Toy Ltd", Website: "https://toy.example", Onboarding: registry.OwnAccount, ChannelTypes: []string{"toy"},
		TransferCountries: []string{"CY"}, TermsVersion: "1", Status: status, CredentialFields: []registry.CredentialField{{Name: "token", Kind: "secret"}},
	}
	if _, err := w.providers.Put(w.t.Context(), e, audittest.ByOperator()); err != nil {
		w.t.Fatal(err)
	}
	w.clock.Pass(registry.CacheAge)
}

// channel makes one of an account, with a token of its own.
func (w *world) channel(accountID, providerID string) string {
	w.t.Helper()
	channelID, err := w.ids.New(id.ChannelPrefix)
	if err != nil {
		w.t.Fatal(err)
	}
	sealed, err := channel.SealCredentials(sealtest.Sealer(seal.Credentials), accountID, channelID, map[string]string{"token": "canary-" + accountID})
	if err != nil {
		w.t.Fatal(err)
	}
	c := channel.Channel{ID: channelID, AccountID: accountID, ProviderID: providerID, Type: "toy", Name: "Bot", CreatedAt: noon, SealedCredentials: sealed}
	if err := w.channels.Create(w.t.Context(), c, audittest.By(accountID)); err != nil {
		w.t.Fatal(err)
	}
	return "/v1/channels/" + channelID + "/templates"
}

func (w *world) user() apitest.Client { return w.User("acct_1", "user_7") }

func list(names ...string) []provider.Template {
	var out []provider.Template
	for i, name := range names {
		out = append(out, provider.Template{ID: fmt.Sprint(i), Name: name, Language: "en", Status: "approved", Category: "utility", Text: "Hi {{1}}", Variables: []string{"1"}})
	}
	return out
}

func read(t *testing.T, a apitest.Answer) (names string, out api.TemplateList) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.Want(t, "list", http.StatusOK, "").Body), &out); err != nil {
		t.Fatal(err)
	}
	for _, x := range out.Items {
		names += x.Name + " "
	}
	return strings.TrimSpace(names), out
}

func TestTemplatesAreListedAsTheProviderHasThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := w.channel("acct_1", "toy")
	told := list("ready")
	told = append(told, provider.Template{ID: "7", Name: "new", Language: "de", Status: "pending", Text: "x"})
	w.toy.set(told, nil)
	a := w.user().Get(path).Want(t, "list", http.StatusOK, "")
	want := `{"items":[{"language":"de","name":"new","provider_template_id":"7","status":"pending","text":"x","variables":[]},` +
		`{"category":"utility","language":"en","name":"ready","provider_template_id":"0","status":"approved","text":"Hi {{1}}","variables":["1"]}],"synced_at":"2026-11-24T12:00:08.000Z"}`
	if strings.TrimSpace(a.Body) != want {
		t.Errorf("got %s\nwant %s", a.Body, want)
	}
	if got := w.toy.calls(); len(got) != 1 || got[0] != "canary-acct_1" {
		t.Errorf("the provider was asked with %q", got)
	}
}

func TestTheProviderIsAskedOnceAMinuteAndAfterAChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := w.channel("acct_1", "toy")
	channelID := strings.Split(path, "/")[3]
	look := func(want string, calls int) {
		t.Helper()
		if got, _ := read(t, w.user().Get(path)); got != want || len(w.toy.calls()) != calls {
			t.Errorf("got %q after %d calls, want %q after %d", got, len(w.toy.calls()), want, calls)
		}
	}
	w.toy.set(list("first"), nil)
	look("first", 1)
	w.toy.set(list("second"), nil)
	w.clock.Pass(templates.Age - time.Second)
	look("first", 1)
	w.clock.Pass(time.Second)
	look("second", 2)
	w.toy.set(list("third"), nil)
	w.clock.Pass(time.Second)
	look("second", 2)
	if err := w.kept.Changed(t.Context(), channelID, w.clock.Now()); err != nil {
		t.Fatal(err)
	}
	w.clock.Pass(time.Second)
	look("third", 3)
	look("third", 3)
}

func TestWhileTheProviderCanNotBeAskedWhatItLastToldIsShown(t *testing.T) {
	t.Parallel()
	refused := &provider.Error{Kind: provider.Permanent, Code: "provider_refused", Fault: provider.FaultProvider, Detail: "no"}
	for _, c := range []struct {
		name  string
		do    func(w *world)
		first int
		code  string
	}{
		{"it is away", func(w *world) {
			w.toy.set(nil, &provider.Error{Kind: provider.Retry, Code: "provider_unavailable", Fault: provider.FaultProvider, RetryAfter: 7 * time.Second})
		}, 503, "provider_unavailable"},
		{"it says nothing that can be read", func(w *world) { w.toy.set(nil, &provider.Error{Kind: provider.Ambiguous, Code: "outcome_unknown"}) }, 503, "provider_unavailable"},
		{"it refuses", func(w *world) { w.toy.set(nil, refused) }, 502, "provider_refused"},
		{"it does not know the sender", func(w *world) {
			w.toy.set(nil, &provider.Error{Kind: provider.Permanent, Code: "sender_unavailable", Fault: provider.FaultPlatform})
		}, 502, "sender_unavailable"},
		{"it does not take the credentials", func(w *world) {
			w.toy.set(nil, &provider.Error{Kind: provider.Credentials, Code: "credentials_invalid"})
		}, 409, "credentials_invalid"},
		{"it is disabled", func(w *world) { w.turn("toy", registry.Disabled) }, 409, "provider_disabled"},
		{"it is removed", func(w *world) { w.turn("toy", registry.Removed) }, 409, "provider_removed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			kept, other := w.channel("acct_1", "toy"), w.channel("acct_1", "toy")
			w.toy.set(list("kept"), nil)
			_, before := read(t, w.user().Get(kept))
			calls := len(w.toy.calls())
			c.do(w)
			w.clock.Pass(time.Hour)
			names, after := read(t, w.user().Get(kept))
			if names != "kept" || after.SyncedAt == nil || *after.SyncedAt != *before.SyncedAt {
				t.Errorf("got %s, synced at %v, want that of %v", names, after.SyncedAt, before.SyncedAt)
			}
			w.user().Get(other).Want(t, "a list that was never there", c.first, c.code)
			if asked := len(w.toy.calls()) - calls; (asked == 0) != strings.HasPrefix(c.code, "provider_disabled") && (asked == 0) != strings.HasPrefix(c.code, "provider_removed") {
				t.Errorf("the provider was asked %d times", asked)
			}
			if strings.Contains(w.log.String(), "canary") {
				t.Error("a credential was logged")
			}
		})
	}
}

func TestAProviderWithoutTemplatesHasAnEmptyList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if a := w.user().Get(w.channel("acct_1", "bare")).Want(t, "list", http.StatusOK, ""); strings.TrimSpace(a.Body) != `{"items":[]}` {
		t.Errorf("got %s", a.Body)
	}
	path := w.channel("acct_1", "toy")
	if _, out := read(t, w.user().Get(path)); len(out.Items) != 0 || out.SyncedAt == nil {
		t.Errorf("of a provider that could have some: %+v", out)
	}
}

func TestALongListIsShownInPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := w.channel("acct_1", "toy")
	w.toy.set(list("e", "d", "c", "b", "a"), nil)
	var seen []string
	query := "?page_size=2"
	for range 5 {
		names, out := read(t, w.user().Get(path+query))
		seen = append(seen, names)
		if query = "?page_size=2&page_token=" + out.NextPageToken; out.NextPageToken == "" {
			break
		}
	}
	if got := strings.Join(seen, "|"); got != "a b|c d|e" || len(w.toy.calls()) != 1 {
		t.Errorf("got %s with %d calls", got, len(w.toy.calls()))
	}
	for _, query := range []string{"page_size=0", "page_size=201", "page_token=x", "page_token=e30"} {
		w.user().Get(path+"?"+query).Want(t, query, http.StatusUnprocessableEntity, "invalid_request")
	}
}

// Another account's channel is not there.
func TestOnlyTheAccountsOwnChannelsHaveTemplates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := w.channel("acct_2", "toy")
	gone := w.channel("acct_1", "toy")
	if _, err := w.channels.Delete(t.Context(), strings.Split(gone, "/")[3], noon, audittest.By("acct_1")); err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]string{
		"another account's": path, "deleted": gone, "none": "/v1/channels/chn_0000000000000000/templates", "no id": "/v1/channels/x/templates",
	} {
		w.user().Get(at).Want(t, name, http.StatusNotFound, "channel_not_found")
	}
	if got := w.toy.calls(); len(got) != 0 {
		t.Errorf("the provider was asked %q", got)
	}
}

func TestAListThatCanNotBeKeptIsShownAllTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := w.channel("acct_1", "toy")
	w.kept.DB = broken{w.kept.DB}
	w.toy.set(list("a"), nil)
	for calls := range 2 {
		if got, _ := read(t, w.user().Get(path)); got != "a" || len(w.toy.calls()) != calls+1 {
			t.Errorf("got %q after %d calls", got, len(w.toy.calls()))
		}
	}
}
