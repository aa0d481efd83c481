package main

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/api/apitest"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/delivery"
	"contactcenter/shared/endpoint"
	"contactcenter/shared/event"
	"contactcenter/shared/id"
	"contactcenter/shared/idempotency"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
	"contactcenter/shared/usage"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

type world struct {
	*apitest.Server
	t          *testing.T
	env        *awstest.Env
	clock      *apitest.Clock
	handler    *Handler
	deliveries *delivery.Store
	queue      string
}

func newWorld(t *testing.T, targets endpoint.Targets) *world {
	t.Helper()
	env := awstest.New(t)
	w := &world{t: t, env: env, clock: apitest.NewClock(noon), queue: env.Queue(t.Context(), nil)}
	table, events := env.Table(t.Context(), awstest.AccountsTable()), audittest.New(t, env)
	accounts := &account.Store{DB: env.DynamoDB, Table: table, Now: w.clock.Now, DefaultPlanID: "demo", Audit: events}
	if _, _, err := accounts.PutPlan(t.Context(), account.Plan{ID: "demo", Limit: 10, Period: usage.Month, Rate: account.Rate{Limit: 1, WindowSeconds: 1}}, audittest.ByOperator()); err != nil {
		t.Fatal(err)
	}
	w.deliveries = &delivery.Store{DB: env.DynamoDB, Table: env.Table(t.Context(), awstest.EventsTable()), Now: w.clock.Now}
	w.handler = &Handler{
		Accounts:   accounts,
		Endpoints:  &endpoint.Store{DB: env.DynamoDB, Table: table, Now: w.clock.Now, Sealer: sealtest.Sealer(seal.Webhooks), Opener: sealtest.Opener(seal.Webhooks), Audit: events},
		Deliveries: w.deliveries, Replays: &delivery.Replays{SQS: env.SQS, URL: w.queue}, Sender: delivery.NewSender(targets, time.Now),
		Keys:    &idempotency.Middleware{Keys: &idempotency.Store{DB: env.DynamoDB, Table: table, Now: w.clock.Now}, Timeout: timeout},
		Targets: targets, Resolver: net.DefaultResolver, IDs: id.Source{Now: w.clock.Now, Random: rand.Reader}, Random: rand.Reader, Now: w.clock.Now,
	}
	w.Server = apitest.NewServer(t, api.New(api.Config{Log: slog.New(slog.DiscardHandler), Now: w.clock.Now}, api.EndpointsRoutes(w.handler)))
	return w
}

func (w *world) user() apitest.Client { return w.User("acct_1", "user_7") }

// create makes an endpoint and gives its path and secret.
func (w *world) create(url string) (path, secret string) {
	w.t.Helper()
	a := w.user().Do(http.MethodPost, "/v1/webhook-endpoints", `{"url":"`+url+`"}`).Want(w.t, "create", http.StatusCreated, "")
	return "/v1/webhook-endpoints/" + a.Text("id"), a.Text("secret")
}

// receiver is a CRM's server, which keeps what it was sent.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	status  int
	headers []http.Header
	bodies  [][]byte
}

func newReceiver(t *testing.T, status int) *receiver {
	t.Helper()
	rec := &receiver{status: status}
	rec.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		rec.mu.Lock()
		defer rec.mu.Unlock()
		rec.headers, rec.bodies = append(rec.headers, r.Header), append(rec.bodies, body)
		w.WriteHeader(rec.status)
	}))
	t.Cleanup(rec.Close)
	return rec
}

func verified(t *testing.T, secret string, h http.Header, body []byte) {
	t.Helper()
	wh, err := webhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := wh.Verify(body, h); err != nil {
		t.Errorf("the standard's library refuses it: %v", err)
	}
}

//
func TestASecretIsShownWhereItIsMadeAndNowhereElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, endpoint.Local)
	path, secret := w.create("http://127.0.0.1:1/")
	if !strings.HasPrefix(secret, "whsec_") {
		t.Errorf("%q", secret)
	}
	for _, p := range []string{path, "/v1/webhook-endpoints", path + "/deliveries"} {
		if a := w.user().Get(p).Want(t, p, http.StatusOK, ""); strings.Contains(a.Body, "whsec_") || strings.Contains(a.Body, `"secret"`) {
			t.Errorf("%s shows a secret: %s", p, a.Body)
		}
	}
	if a := w.user().Do(http.MethodPatch, path, `{"description":"ours"}`).Want(t, "patch", http.StatusOK, ""); strings.Contains(a.Body, "whsec_") || a.Text("description") != "ours" {
		t.Errorf("%s", a.Body)
	}
}

func TestARepeatedCreateGivesTheSameEndpointAndSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, endpoint.Local)
	c := w.user().With("Idempotency-Key", `"k1"`)
	first := c.Do(http.MethodPost, "/v1/webhook-endpoints", `{"url":"http://127.0.0.1:1/"}`).Want(t, "first", http.StatusCreated, "")
	second := c.Do(http.MethodPost, "/v1/webhook-endpoints", `{"url":"http://127.0.0.1:1/"}`).Want(t, "second", http.StatusCreated, "")
	if first.Body != second.Body || second.Header.Get("Idempotency-Replayed") != "true" || first.Header.Get("Location") != second.Header.Get("Location") {
		t.Errorf("%s\n%s", first.Body, second.Body)
	}
	c.Do(http.MethodPost, "/v1/webhook-endpoints", `{"url":"http://127.0.0.1:2/"}`).Want(t, "another payload", http.StatusUnprocessableEntity, "idempotency_key_reused")
	path := first.Header.Get("Location")
	k := w.user().With("Idempotency-Key", `"k2"`)
	one := k.Do(http.MethodPost, path+"/rotate-secret", "").Want(t, "rotate", http.StatusOK, "")
	two := k.Do(http.MethodPost, path+"/rotate-secret", "").Want(t, "rotate again", http.StatusOK, "")
	if one.Text("secret") == first.Text("secret") || one.Text("secret") != two.Text("secret") || two.Header.Get("Idempotency-Replayed") != "true" || one.Text("previous_secret_valid_until") != "2026-11-25T12:00:00.000Z" {
		t.Errorf("%s\n%s", one.Body, two.Body)
	}
}

func TestWhatIsWrongWithAnEndpointIsSaidAndChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, endpoint.Public)
	for name, c := range map[string]struct{ body, field string }{
		"no url":                  {`{}`, "url"},
		"without TLS":             {`{"url":"http://93.184.215.14/"}`, "url"},
		"on this machine":         {`{"url":"https://127.0.0.1/"}`, "url"},
		"the cloud's own address": {`{"url":"https://169.254.169.254/latest/meta-data"}`, "url"},
		"a private address":       {`{"url":"https://10.0.0.1/"}`, "url"},
		"a type that is none":     {`{"url":"https://93.184.215.14/","event_types":["message.sent","message.sold"]}`, "event_types"},
		"the test's type":         {`{"url":"https://93.184.215.14/","event_types":["endpoint.test"]}`, "event_types"},
		"no type":                 {`{"url":"https://93.184.215.14/","event_types":[]}`, "event_types"},
		"an unknown field":        {`{"url":"https://93.184.215.14/","secret":"whsec_x"}`, "secret"},
		"a long description":      {`{"url":"https://93.184.215.14/","description":"` + strings.Repeat("x", 201) + `"}`, "description"},
	} {
		if a := w.user().Do(http.MethodPost, "/v1/webhook-endpoints", c.body).Want(t, name, http.StatusUnprocessableEntity, "invalid_request"); a.Field() != c.field {
			t.Errorf("%s: %s", name, a.Body)
		}
	}
	if a := w.user().Get("/v1/webhook-endpoints"); strings.TrimSpace(a.Body) != `{"items":[]}` {
		t.Errorf("%s", a.Body)
	}
	path, _ := w.create("https://93.184.215.14/")
	w.user().Do(http.MethodPatch, path, `{"url":"https://127.0.0.1/"}`).Want(t, "moved to this machine", http.StatusUnprocessableEntity, "invalid_request")
	w.user().Do(http.MethodPatch, path, `{"status":"gone"}`).Want(t, "a status that is none", http.StatusUnprocessableEntity, "invalid_request")
}

// another account's endpoint is not there.
func TestEndpointsAreTheirAccountsAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, endpoint.Local)
	path, _ := w.create("http://127.0.0.1:1/")
	other := w.User("acct_2", "user_9")
	for _, c := range [][2]string{
		{http.MethodGet, ""}, {http.MethodPatch, ""}, {http.MethodDelete, ""}, {http.MethodPost, "/rotate-secret"}, {http.MethodPost, "/test"}, {http.MethodGet, "/deliveries"}, {http.MethodPost, "/replay"},
	} {
		body := ""
		if c[0] == http.MethodPatch || c[1] == "/replay" {
			body = `{}`
		}
		other.Do(c[0], path+c[1], body).Want(t, c[0]+c[1], http.StatusNotFound, "not_found")
	}
	w.user().Get(path).Want(t, "its own", http.StatusOK, "")
	w.user().Do(http.MethodDelete, path, "").Want(t, "delete", http.StatusNoContent, "")
	w.user().Get(path).Want(t, "deleted", http.StatusNotFound, "not_found")
}

func TestATestEventIsSentNowSignedAndLogged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, endpoint.Local)
	rec := newReceiver(t, http.StatusNoContent)
	path, secret := w.create(rec.URL + "/hook")
	a := w.user().Do(http.MethodPost, path+"/test", "").Want(t, "test", http.StatusOK, "")
	if a.Text("status") != "delivered" || a.JSON["response_status"] != 204.0 || "/v1/webhook-endpoints/"+a.Text("resource_id") != path || len(rec.bodies) != 1 {
		t.Fatalf("%s", a.Body)
	}
	verified(t, secret, rec.headers[0], rec.bodies[0])
	var body struct {
		Type, Timestamp string
		Account         string `json:"account_id"`
		Data            map[string]any
	}
	if err := json.Unmarshal(rec.bodies[0], &body); err != nil || body.Type != "endpoint.test" || body.Account != "acct_1" || body.Data["url"] != rec.URL+"/hook" || rec.headers[0].Get("webhook-id") != a.Text("event_id") {
		t.Errorf("%s, %v", rec.bodies[0], err)
	}
	if list := w.user().Get(path+"/deliveries").Want(t, "deliveries", http.StatusOK, ""); !strings.Contains(list.Body, a.Text("event_id")) {
		t.Errorf("%s", list.Body)
	}
	rec.mu.Lock()
	rec.status = http.StatusFound
	rec.mu.Unlock()
	if a := w.user().Do(http.MethodPost, path+"/test", ""); a.Text("status") != "failed" || a.JSON["response_status"] != 302.0 {
		t.Errorf("a redirect: %s", a.Body)
	}
	rec.Close()
	if a := w.user().Do(http.MethodPost, path+"/test", ""); a.Text("status") != "failed" || a.Text("failure") != "unreachable" {
		t.Errorf("nobody there: %s", a.Body)
	}
}

func TestAReplayCountsTheEventsOfTheEndpointsTypes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, endpoint.Local)
	a := w.user().Do(http.MethodPost, "/v1/webhook-endpoints", `{"url":"http://127.0.0.1:1/","event_types":["message.sent"]}`)
	path := "/v1/webhook-endpoints/" + a.Text("id")
	for i, typ := range []event.Type{event.MessageSent, event.MessageRead, event.MessageSent, event.MessageSent} {
		e := event.New(typ, "acct_1", "msg_1", noon.Add(time.Duration(i-4)*time.Hour), "")
		if err := w.deliveries.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		from, to string
		count    float64
	}{
		"all":                     {"2026-11-24T00:00:00.000Z", "2026-11-25T00:00:00.000Z", 3},
		"from the first to third": {"2026-11-24T08:00:00.000Z", "2026-11-24T10:00:00.000Z", 1},
		"none":                    {"2026-11-23T00:00:00.000Z", "2026-11-24T00:00:00.000Z", 0},
	} {
		if a := w.user().Do(http.MethodPost, path+"/replay", `{"from":"`+c.from+`","to":"`+c.to+`"}`).Want(t, name, http.StatusAccepted, ""); a.JSON["count"] != c.count {
			t.Errorf("%s: %s", name, a.Body)
		}
	}
	out, err := w.env.SQS.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &w.queue, MaxNumberOfMessages: 10})
	if err != nil || len(out.Messages) != 2 {
		t.Fatalf("%d asked for, %v", len(out.Messages), err)
	}
	if _, err := delivery.ParseReplay(*out.Messages[0].Body); err != nil {
		t.Error(err)
	}
	w.user().Do(http.MethodPost, path+"/replay", `{"from":"2026-10-01T00:00:00.000Z","to":"2026-11-25T00:00:00.000Z"}`).Want(t, "longer ago than is kept", http.StatusUnprocessableEntity, "invalid_request")
	w.user().Do(http.MethodPost, path+"/replay", `{"from":"2026-11-24T10:00:00.000Z","to":"2026-11-24T10:00:00.000Z"}`).Want(t, "no time", http.StatusUnprocessableEntity, "invalid_request")
	w.user().Do(http.MethodPatch, path, `{"status":"disabled"}`).Want(t, "disable", http.StatusOK, "")
	w.user().Do(http.MethodPost, path+"/replay", `{"from":"2026-11-24T00:00:00.000Z","to":"2026-11-25T00:00:00.000Z"}`).Want(t, "of one that is off", http.StatusConflict, "conflict")
}
