package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/api/apitest"
	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/channel"
	"contactcenter/shared/content"
	"contactcenter/shared/event/eventtest"
	"contactcenter/shared/id"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/message"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/edna"
	"contactcenter/shared/recipient"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
	"contactcenter/shared/telemetry/telemetrytest"
	keep "contactcenter/shared/templates"
)

const (
	acct    = "acct_1"
	person  = "+35799123456"
	hookKey = "test-hook-key"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// flaky fails the write or read that it is told to, counted from the next one on.
type flaky struct {
	message.DynamoDB
	countdown atomic.Int64
}

var errEngine = errors.New("the engine is not there")

func (f *flaky) fails() bool { return f.countdown.Add(-1) == 0 }

func (f *flaky) GetItem(ctx context.Context, in *dynamodb.GetItemInput, o ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	if f.fails() {
		return nil, errEngine
	}
	return f.DynamoDB.GetItem(ctx, in, o...)
}

func (f *flaky) PutItem(ctx context.Context, in *dynamodb.PutItemInput, o ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	if f.fails() {
		return nil, errEngine
	}
	return f.DynamoDB.PutItem(ctx, in, o...)
}

func (f *flaky) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, o ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	if f.fails() {
		return nil, errEngine
	}
	return f.DynamoDB.UpdateItem(ctx, in, o...)
}

// world is a webhook with edna's adapter, stores over the wire, and two channels of one account.
type world struct {
	told      *eventtest.Recorder
	t         testing.TB
	env       *awstest.Env
	db        *flaky
	clock     *apitest.Clock
	messages  *message.Store
	channels  *channel.Store
	templates *keep.Store
	accounts  *account.Store
	flags     *recipient.Flags
	keyer     id.ConversationKeyer
	ids       id.Source
	handler   *Handler
	server    *apitest.Server
	log       *telemetrytest.Log
	// first and second are ids of channels.
	first, second string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	ctx := context.Background()
	env := awstest.New(t)
	w := &world{t: t, env: env, db: &flaky{DynamoDB: env.DynamoDB}, clock: apitest.NewClock(noon), log: &telemetrytest.Log{}}
	w.messages = &message.Store{DB: w.db, Table: env.Table(ctx, awstest.MessagesTable()), Retention: message.DefaultRetention, Sealer: sealtest.Sealer(seal.Content), Opener: sealtest.Opener(seal.Content)}
	w.channels = &channel.Store{DB: env.DynamoDB, Table: env.Table(ctx, awstest.ChannelsTable()), Audit: audittest.New(t, env)}
	w.templates = &keep.Store{DB: w.db, Table: w.channels.Table, Sealer: sealtest.Sealer(seal.Credentials), Opener: sealtest.Opener(seal.Credentials)}
	w.ids = id.Source{Now: w.clock.Now, Random: rand.Reader}
	var err error
	if w.keyer, err = id.NewConversationKeyer([]byte("0123456789abcdef")); err != nil {
		t.Fatal(err)
	}
	w.accounts = &account.Store{DB: env.DynamoDB, Table: env.Table(ctx, awstest.AccountsTable()), Now: w.clock.Now, DefaultPlanID: "demo", Audit: audittest.New(t, env)}
	recipients := env.Table(ctx, awstest.RecipientsTable())
	w.flags = &recipient.Flags{DB: env.DynamoDB, Table: recipients}
	w.first, w.second = w.channel("1001"), w.channel("1002")
	log := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.told = &eventtest.Recorder{}
	h := &Handler{
		channels: &channel.Cache{Store: known{w.channels}, Now: w.clock.Now}, stored: known{w.channels},
		adapters: map[string]provider.Adapter{edna.ID: edna.New(edna.Config{APIKey: "k", WebhookKeys: []string{hookKey}, Now: w.clock.Now})},
		recorder: recorder{messages: w.messages, accounts: w.accounts, stops: &recipient.Stops{DB: env.DynamoDB, Table: recipients, Keys: w.keyer}, templates: w.templates, events: w.told, keyer: w.keyer, ids: w.ids, log: log},
		log:      log,
	}
	w.handler = h
	w.server = apitest.NewServer(t, api.New(api.Config{Log: log, Now: w.clock.Now}, api.WebhookRoutes(h)))
	return w
}

func (w *world) channel(senderID string) string {
	w.t.Helper()
	channelID, err := w.ids.New(id.ChannelPrefix)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.channels.Create(context.Background(), channel.Channel{
		ID: channelID, AccountID: acct, ProviderID: edna.ID, Type: "whatsapp", Name: "Shop", SenderID: senderID, CreatedAt: noon,
	}, audittest.By(acct)); err != nil {
		w.t.Fatal(err)
	}
	return channelID
}

func path(channelID string) string { return "/v1/callbacks/edna/" + channelID }

// post sends a callback as edna does.
func (w *world) post(channelID, body string) int {
	w.t.Helper()
	return w.server.As(nil).With("Authorization", hookKey).Do(http.MethodPost, path(channelID), body).Status
}

// stored posts a callback that is to be stored.
func (w *world) stored(channelID, body string) {
	w.t.Helper()
	if status := w.post(channelID, body); status != http.StatusOK {
		w.t.Fatalf("callback answered %d", status)
	}
}

// message records a queued message on the first channel.
func (w *world) message() message.Message {
	w.t.Helper()
	mid, err := w.ids.NewMessage(w.keyer.Key(acct, w.first, person))
	if err != nil {
		w.t.Fatal(err)
	}
	m := message.Message{
		AccountID: acct, ID: mid, Direction: message.Outbound, ChannelID: w.first, ProviderID: edna.ID, Address: person,
		Content: content.Content{Type: content.TypeText, Text: "hello"}, Outcome: message.Queued,
	}
	m.ContentSHA256, _ = m.Content.SHA256() // text always has a hash
	if err := w.messages.Create(context.Background(), m); err != nil {
		w.t.Fatal(err)
	}
	return m
}

// sent records our own outcome.
func (w *world) sent(m message.Message) {
	w.t.Helper()
	written, err := w.messages.Sent(context.Background(), acct, m.ID, 1, message.Handover{At: w.clock.Now(), Attempt: true})
	if err != nil || !written.Applied {
		w.t.Fatalf("sent: %v %v", written.Applied, err)
	}
}

func (w *world) get(m id.Message) message.Message {
	w.t.Helper()
	got, err := w.messages.Get(context.Background(), acct, m)
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

// inbox lists the messages of the recipient's conversation on a channel.
func (w *world) inbox(channelID string) []message.Message {
	w.t.Helper()
	list, _, err := w.messages.InConversation(context.Background(), acct, w.keyer.Key(acct, channelID, person), attr.Page{Size: 200})
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

func statusBody(sender int, m id.Message, status string) string {
	return fmt.Sprintf(`{"requestId":%q,"messageId":8681748,"cascadeId":11,"subject":"s","subjectId":%d,"status":%q,"statusAt":"2026-11-24T11:59:00Z","error":null}`, m.String(), sender, status)
}

func replyBody(sender, number int, text, replyTo string) string {
	quoted, _ := json.Marshal(text) // a string always has JSON
	return fmt.Sprintf(`{"id":%d,"subject":"s","subjectId":%d,"subscriber":{"id":202,"identifier":"35799123456"},"messageContent":{"type":"TEXT","text":%s},"receivedAt":"2026-11-24T11:59:00Z","replyOutMessageExternalRequestId":%q}`,
		number, sender, quoted, replyTo)
}

// recipients gives the store as a function with everything has it, and a recipient with an address.
func (w *world) recipients(address string) (*recipient.Store, recipient.Recipient) {
	w.t.Helper()
	ctx := context.Background()
	s := &recipient.Store{
		DB: w.env.DynamoDB, Table: w.flags.Table, Keys: w.keyer, Seal: sealtest.Sealer(seal.Content), Open: sealtest.Opener(seal.Content), IDs: w.ids, Now: w.clock.Now,
		Audit: &audit.Log{DB: w.env.DynamoDB, Table: w.env.Table(ctx, awstest.AuditTable()), IDs: w.ids, Now: w.clock.Now},
	}
	recipientID, err := s.Ensure(ctx, acct, address)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := s.Get(ctx, acct, recipientID)
	if err != nil {
		w.t.Fatal(err)
	}
	return s, r
}

func byUser() audit.Event {
	return audit.Event{AccountID: acct, Actor: audit.Actor{Kind: audit.User, ID: "user_7", AccountID: acct}}
}
