package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/api/apitest"
	"contactcenter/shared/audit"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/channel"
	"contactcenter/shared/event/eventtest"
	"contactcenter/shared/id"
	"contactcenter/shared/idempotency"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/message"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/edna"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/queue"
	"contactcenter/shared/recipient"
	"contactcenter/shared/rules"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
	"contactcenter/shared/telemetry"
	"contactcenter/shared/telemetry/telemetrytest"
	"contactcenter/shared/usage"
)

const (
	testAccount  = "acct_1"
	otherAccount = "acct_2"
	testRules    = "2026-11-01"
	testAddress  = "+35799123456"
)

var errInjected = errors.New("injected")

// stack is the function on engines of its own, with a clock that stands until it is moved.
type stack struct {
	health   *health.Store
	t        *testing.T
	h        *Handler
	http     http.Handler
	log      *telemetrytest.Log
	now      atomic.Pointer[time.Time]
	queue    *faultyQueue
	writes   *faultyDynamoDB
	counter  *awsclient.Counter
	sqs      *sqs.Client
	queueURL string
	channels *channel.Store
	registry *registry.Store
	accounts *account.Store
	rules    *rules.Store
	channel  channel.Channel

	recipients *recipient.Store
	told       *eventtest.Recorder
	audit      *audit.Log
	db         *dynamodb.Client

	// meanwhile happens while the handler waits, for waited altogether.
	meanwhile func()
	waited    time.Duration
}

func newStack(t *testing.T) *stack {
	t.Helper()
	ctx := t.Context()
	env := awstest.New(t)
	s := &stack{t: t, log: &telemetrytest.Log{}, counter: &awsclient.Counter{}}
	s.moveTo(time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC))
	cfg := env.Config()
	s.counter.Attach(&cfg)
	db := dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.BaseEndpoint = &env.DynamoDBURL })
	s.db = db
	s.sqs, s.queueURL = env.SQS, env.Queue(ctx, nil)
	messages := env.Table(ctx, table("messages", "held:hk,hs", "reference:rk,rs", "scheduled:sh,sd"))
	gates, accounts, channels := env.Table(ctx, table("usage", "due:sh,due")), env.Table(ctx, table("accounts")), env.Table(ctx, table("channels", "account:ak,as"))
	s.writes = &faultyDynamoDB{DynamoDB: db}
	s.queue = &faultyQueue{Queue: &queue.Queue{SQS: sqs.NewFromConfig(cfg, func(o *sqs.Options) { o.BaseEndpoint = &env.SQSURL }), URL: s.queueURL}}
	s.channels = &channel.Store{DB: db, Table: channels, Audit: audittest.New(t, env)}
	s.registry = &registry.Store{DB: db, Table: channels, Now: s.clock, Audit: audittest.New(t, env)}
	s.accounts = &account.Store{DB: db, Table: accounts, Now: s.clock, DefaultPlanID: "demo", Audit: audittest.New(t, env)}
	s.rules = &rules.Store{DB: db, Table: accounts, Now: s.clock, Audit: audittest.New(t, env)}
	keyer, err := id.NewConversationKeyer([]byte("a secret of the deployment"))
	s.must(err)
	s.told = &eventtest.Recorder{}
	s.h = &Handler{
		Events:   s.told,
		Messages: &message.Store{DB: s.writes, Table: messages, Retention: message.DefaultRetention, Sealer: sealtest.Sealer(seal.Content), Opener: sealtest.Opener(seal.Content)}, Gates: &usage.Store{DB: db, Table: gates, Now: s.clock},
		Keys: &idempotency.Store{DB: db, Table: accounts, Now: s.clock}, Queue: s.queue, Rules: s.rules, Accounts: s.accounts, Channels: s.channels, Providers: s.registry,
		Capabilities: map[string]provider.Capabilities{edna.ID: (*edna.Adapter)(nil).Capabilities()},
		IDs:          id.Source{Now: s.clock, Random: rand.Reader}, Conversations: keyer, Now: s.clock, Random: mathrand.Uint32, Wait: s.wait,
	}
	s.health = &health.Store{DB: db, Table: gates}
	s.h.Health = health.NewReader(s.health, s.clock)
	recipients := env.Table(ctx, awstest.RecipientsTable())
	s.audit = &audit.Log{DB: db, Table: env.Table(ctx, awstest.AuditTable()), IDs: s.h.IDs, Now: s.clock}
	s.h.Messages.Audit = s.audit
	s.recipients = &recipient.Store{
		DB: db, Table: recipients, Keys: keyer, Seal: sealtest.Sealer(seal.Content), Open: sealtest.Opener(seal.Content), IDs: s.h.IDs, Now: s.clock,
		Audit: s.audit,
	}
	s.h.DB = db
	s.h.Recipients, s.h.OptOuts = s.recipients, &recipient.Flags{DB: db, Table: recipients}
	s.http = api.New(api.Config{Log: telemetry.NewLogger(s.log, "INFO"), Now: s.clock}, api.MessagesRoutes(s.h))
	s.seed(ctx)
	return s
}

func (s *stack) wait(_ context.Context, d time.Duration) error {
	s.waited += d
	if s.meanwhile != nil {
		s.meanwhile()
	}
	return nil
}

func (s *stack) seed(ctx context.Context) {
	s.t.Helper()
	s.must(s.rules.Publish(ctx, rules.Version{Version: testRules, EffectiveAt: s.clock().Add(-time.Hour)}, audittest.ByOperator()))
	for _, a := range []string{testAccount, otherAccount} {
		s.must(s.rules.Accept(ctx, rules.Acceptance{ID: "acc_" + a, AccountID: a, RulesVersion: testRules, At: s.clock()}, audittest.By(a)))
	}
	_, _, err := s.accounts.PutPlan(ctx, account.Plan{ID: "demo", Limit: 3, Period: usage.Month, Rate: account.Rate{Limit: 20, WindowSeconds: 1}}, audittest.ByOperator())
	s.must(err)
	s.provider(registry.Enabled)
	s.channel = channel.Channel{ID: "chn_0123456789abcdef", AccountID: testAccount, ProviderID: edna.ID, Type: "whatsapp", Name: "n", Address: "+35799001001", CreatedAt: s.clock(), CreatedBy: "user_7"}
	s.must(s.channels.Create(ctx, s.channel, audittest.By(testAccount)))
	s.activate()
}

func (s *stack) provider(status registry.Status) {
	s.t.Helper()
	_, err := s.registry.Put(s.t.Context(), registry.Entry{ID: edna.ID, Name: "edna", Status: status, ChannelTypes: []string{"whatsapp"}, TransferCountries: []string{"CY", "DE"}}, audittest.ByOperator())
	s.must(err)
	s.advance(6 * time.Second) // past what is kept in memory
}

func (s *stack) activate() {
	s.t.Helper()
	_, err := s.channels.Activate(s.t.Context(), s.channel.ID, channel.Activation{By: "user_7", At: s.clock()}, audittest.By(testAccount))
	s.must(err)
}

func (s *stack) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *stack) clock() time.Time        { return *s.now.Load() }
func (s *stack) moveTo(at time.Time)     { s.now.Store(&at) }
func (s *stack) advance(d time.Duration) { s.moveTo(s.clock().Add(d)) }

func table(name string, indexes ...string) *dynamodb.CreateTableInput {
	in := &dynamodb.CreateTableInput{TableName: &name}
	names := map[string]bool{}
	keys := func(partition, sort string) []types.KeySchemaElement {
		for _, n := range []string{partition, sort} {
			if !names[n] {
				names[n] = true
				in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: aws.String(n), AttributeType: types.ScalarAttributeTypeS})
			}
		}
		return []types.KeySchemaElement{{AttributeName: &partition, KeyType: types.KeyTypeHash}, {AttributeName: &sort, KeyType: types.KeyTypeRange}}
	}
	in.KeySchema = keys("pk", "sk")
	for _, i := range indexes {
		index, attrs, _ := strings.Cut(i, ":")
		partition, sort, _ := strings.Cut(attrs, ",")
		in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, types.GlobalSecondaryIndex{
			IndexName: &index, KeySchema: keys(partition, sort), Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		})
	}
	return in
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) message(t *testing.T) api.Message {
	t.Helper()
	var m api.Message
	if err := json.Unmarshal(a.body, &m); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return m
}

func (a answer) problem(t *testing.T) api.Problem {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal(a.body, &p); err != nil || a.header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%d %s: no problem: %v", a.status, a.body, err)
	}
	return p
}

// call calls the function as a user of an account. Headers are "Name: value".
func (s *stack) call(accountID, method, target, body string, headers ...string) answer {
	s.t.Helper()
	return s.callWith(s.t.Context(), accountID, method, target, body, headers...)
}

func (s *stack) callWith(ctx context.Context, accountID, method, target, body string, headers ...string) answer {
	r := httptest.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	p := &api.Principal{UserID: "user_7", AccountID: accountID, Scopes: []string{"messages:read", "messages:write"}}
	w := httptest.NewRecorder()
	s.http.ServeHTTP(w, r.WithContext(api.WithCall(ctx, api.Call{RequestID: "req-1", Principal: p})))
	contract, err := apitest.TheContract()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := contract.Check(method, r.URL.EscapedPath(), w.Code, w.Result().Header, w.Body.Bytes()); err != nil {
		s.t.Errorf("%s %s answers %d, not as the OpenAPI document says: %v\n%s", method, r.URL.Path, w.Code, err, w.Body.Bytes())
	}
	return answer{status: w.Code, header: w.Result().Header, body: w.Body.Bytes()}
}

// text is the body of a request to send a text.
func (s *stack) text(text string) string { return s.textTo(testAddress, text, "") }

func (s *stack) textTo(to, text, rest string) string {
	t, _ := json.Marshal(text)
	return fmt.Sprintf(`{"channel_id":%q,"to":%q,"content":{"type":"text","text":%s}%s}`, s.channel.ID, to, t, rest)
}

// send sends a text that must be accepted.
func (s *stack) send(text string, headers ...string) api.Message {
	s.t.Helper()
	a := s.call(testAccount, "POST", "/v1/messages", s.text(text), headers...)
	if a.status != http.StatusAccepted {
		s.t.Fatalf("not accepted: %d %s", a.status, a.body)
	}
	return a.message(s.t)
}

func (s *stack) get(messageID string) api.Message {
	s.t.Helper()
	a := s.call(testAccount, "GET", "/v1/messages/"+messageID, "")
	if a.status != http.StatusOK {
		s.t.Fatalf("%d %s", a.status, a.body)
	}
	return a.message(s.t)
}

func (s *stack) mid(messageID string) id.Message {
	s.t.Helper()
	m, err := id.ParseMessage(messageID)
	s.must(err)
	return m
}

// queued takes all references out of the queue.
func (s *stack) queued() []string {
	s.t.Helper()
	var bodies []string
	for {
		out, err := s.sqs.ReceiveMessage(s.t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &s.queueURL, MaxNumberOfMessages: 10})
		s.must(err)
		if len(out.Messages) == 0 {
			return bodies
		}
		for _, m := range out.Messages {
			bodies = append(bodies, *m.Body)
		}
	}
}

// reserve puts a message into a dispatcher's hands.
func (s *stack) reserve(messageID string) (usage.Gate, usage.Entry) {
	s.t.Helper()
	terms, err := s.accounts.Terms(s.t.Context(), testAccount, true)
	s.must(err)
	mid := s.mid(messageID)
	a, err := s.h.Gates.Admit(s.t.Context(), testAccount, func(context.Context, bool) (usage.Terms, error) { return terms, nil }, []id.Message{mid}, usage.Gate{}, mathrand.Uint32(), usage.Turn{Waited: true})
	s.must(err)
	if len(a.Granted) != 1 {
		s.t.Fatalf("not granted: %+v", a)
	}
	return a.Gate, a.Granted[0]
}

// dispatch is a whole dispatch: the provider takes the message.
func (s *stack) dispatch(messageID string) {
	s.t.Helper()
	g, e := s.reserve(messageID)
	w, err := s.h.Messages.Sent(s.t.Context(), testAccount, e.Message, e.Claim, message.Handover{ProviderMessageID: "p-1", At: s.clock(), Attempt: true})
	s.must(err)
	if !w.Applied {
		s.t.Fatal("sent was refused")
	}
	s.must(s.h.Gates.Settle(s.t.Context(), g, []usage.Settlement{{Entry: e}}))
}

// faultyQueue fails, or runs something, when it is told to.
type faultyQueue struct {
	Queue
	mu           sync.Mutex
	fail         bool
	after        func()
	later, plain int
	delay        time.Duration // of the last that was sent later
	batches      int
	failsFrom    int
}

func (q *faultyQueue) Send(ctx context.Context, accountID string, m id.Message) error {
	return q.do(&q.plain, func() error { return q.Queue.Send(ctx, accountID, m) })
}

func (q *faultyQueue) SendLater(ctx context.Context, accountID string, m id.Message, delay time.Duration) error {
	q.mu.Lock()
	q.delay = delay
	q.mu.Unlock()
	return q.do(&q.later, func() error { return q.Queue.Send(ctx, accountID, m) })
}

func (q *faultyQueue) SendBatch(ctx context.Context, accountID string, list []queue.Delayed) (failed []id.Message, err error) {
	err = q.do(&q.batches, func() error {
		failed, err = q.Queue.SendBatch(ctx, accountID, list)
		return err
	})
	return failed, err
}

// failFrom lets batches fail from the n-th on; 0: none.
func (q *faultyQueue) failFrom(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.batches, q.failsFrom = 0, n
}

func (q *faultyQueue) do(count *int, send func() error) error {
	q.mu.Lock()
	*count++
	fail, after := q.fail || q.failsFrom > 0 && q.batches >= q.failsFrom, q.after
	q.mu.Unlock()
	if fail {
		return errInjected
	}
	err := send()
	if after != nil {
		after()
	}
	return err
}

// faultyDynamoDB fails writes of messages when it is told to.
type faultyDynamoDB struct {
	message.DynamoDB
	failPut, failUpdate atomic.Bool
}

func (d *faultyDynamoDB) PutItem(ctx context.Context, in *dynamodb.PutItemInput, o ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	if d.failPut.Load() {
		return nil, errInjected
	}
	return d.DynamoDB.PutItem(ctx, in, o...)
}

func (d *faultyDynamoDB) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, o ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	if d.failUpdate.Load() {
		return nil, errInjected
	}
	return d.DynamoDB.UpdateItem(ctx, in, o...)
}
