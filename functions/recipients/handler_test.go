package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/api/apitest"
	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/channel"
	"contactcenter/shared/claim"
	"contactcenter/shared/content"
	"contactcenter/shared/id"
	"contactcenter/shared/idempotency"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/recipient"
	"contactcenter/shared/restriction"
	"contactcenter/shared/rules"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
	"contactcenter/shared/sign/signtest"
)

const (
	acct   = "acct_1"
	anna   = "+35799123456"
	email  = "anna@example.com"
	canary = "canary-5d1f"
)

type world struct {
	*apitest.Server
	t         *testing.T
	env       *awstest.Env
	clock     *apitest.Clock
	store     *recipient.Store
	accounts  *account.Store
	messages  *message.Store
	channels  *channel.Store
	providers *registry.Store
	audit     *audit.Log
	rules     *rules.Store
	requests  *claim.Requests
	ids       id.Source
	keyer     id.ConversationKeyer
	queueURL  string
	tables    []string
	channel   string
	log       *bytes.Buffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	env, ctx := awstest.New(t), t.Context()
	w := &world{t: t, env: env, clock: apitest.NewClock(time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)), log: &bytes.Buffer{}}
	recipients, messages, channels := env.Table(ctx, awstest.RecipientsTable()), env.Table(ctx, awstest.MessagesTable()), env.Table(ctx, awstest.ChannelsTable())
	accounts, events := env.Table(ctx, awstest.AccountsTable()), env.Table(ctx, awstest.AuditTable())
	w.tables, w.queueURL = []string{recipients, messages, channels, accounts, events}, env.Queue(ctx, nil)
	w.ids = id.Source{Now: w.clock.Now, Random: rand.Reader}
	w.audit = &audit.Log{DB: env.DynamoDB, Table: events, IDs: w.ids, Now: w.clock.Now}
	var err error
	if w.keyer, err = id.NewConversationKeyer([]byte("0123456789abcdef")); err != nil {
		t.Fatal(err)
	}
	w.accounts = &account.Store{DB: env.DynamoDB, Table: accounts, Now: w.clock.Now, DefaultPlanID: "demo", Audit: w.audit}
	sealer, opener := sealtest.Sealer(seal.Content), sealtest.Opener(seal.Content)
	w.store = &recipient.Store{DB: env.DynamoDB, Table: recipients, Keys: w.keyer, Seal: sealer, Open: opener, Audit: w.audit, IDs: w.ids, Now: w.clock.Now}
	w.messages = &message.Store{DB: env.DynamoDB, Table: messages, Retention: message.DefaultRetention, Sealer: sealer, Opener: opener}
	w.channels = &channel.Store{DB: env.DynamoDB, Table: channels, Audit: audittest.New(t, env)}
	w.providers = &registry.Store{DB: env.DynamoDB, Table: channels, Now: w.clock.Now, Audit: w.audit}
	if _, err := w.providers.Put(ctx, registry.Entry{ID: "edna", Name: "edna", Status: registry.Enabled, ChannelTypes: []string{"whatsapp"}, TransferCountries: []string{"CY", "RU"}}, audittest.ByOperator()); err != nil {
		t.Fatal(err)
	}
	w.rules = &rules.Store{DB: env.DynamoDB, Table: accounts, Now: w.clock.Now, Audit: w.audit}
	w.requests = &claim.Requests{DB: env.DynamoDB, Table: env.Table(ctx, awstest.ComplaintsTable()), Audit: w.audit, Now: w.clock.Now}
	h := &Handler{
		Audit: w.audit, Acceptances: w.rules, Requests: w.requests, Signer: signtest.Key("a"),
		Recipients: w.store, Accounts: w.accounts, Messages: w.messages, Channels: w.channels, Queue: &recipient.Queue{SQS: env.SQS, URL: w.queueURL},
		Keys:      &idempotency.Middleware{Keys: &idempotency.Store{DB: env.DynamoDB, Table: accounts, Now: w.clock.Now}, Timeout: timeout},
		Providers: w.providers, IDs: w.ids, Conversations: w.keyer, Now: w.clock.Now,
	}
	w.Server = apitest.NewServer(t, api.New(api.Config{Log: slog.New(slog.NewJSONHandler(w.log, nil)), Now: w.clock.Now}, api.RecipientsRoutes(h)))
	w.channel = w.newChannel(acct)
	return w
}

func (w *world) newChannel(accountID string) string {
	w.t.Helper()
	channelID, err := w.ids.New(id.ChannelPrefix)
	if err == nil {
		err = w.channels.Create(w.t.Context(), channel.Channel{ID: channelID, AccountID: accountID, ProviderID: "edna", Type: "whatsapp", Name: "Shop", CreatedAt: w.clock.Now(), CreatedBy: "user_7"}, audittest.By(accountID))
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return channelID
}

// message puts a message that was sent into a conversation.
func (w *world) message(accountID, channelID, to, text string) id.Message {
	w.t.Helper()
	w.clock.Pass(time.Second)
	mid, err := w.ids.NewMessage(w.keyer.Key(accountID, channelID, to))
	if err != nil {
		w.t.Fatal(err)
	}
	c := content.Content{Type: content.TypeText, Text: text}
	sum, err := c.SHA256()
	if err != nil {
		w.t.Fatal(err)
	}
	m := message.Message{
		AccountID: accountID, ID: mid, Direction: message.Outbound, ChannelID: channelID, ProviderID: "edna", Address: to, Content: c, ContentSHA256: sum,
		Outcome: message.Queued, ClientReference: "ref",
	}
	if err := w.messages.Create(w.t.Context(), m); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.messages.Sent(w.t.Context(), accountID, mid, 1, message.Handover{ProviderMessageID: "p-1", At: w.clock.Now(), Attempt: true, ProviderVersion: 1}); err != nil {
		w.t.Fatal(err)
	}
	return mid
}

func (w *world) user() apitest.Client { return w.User(acct, "user_7") }

func (w *world) enter(body string) apitest.Answer {
	w.t.Helper()
	return w.user().Do("POST", "/v1/recipients", body).Want(w.t, "enter", 201, "")
}

func (w *world) events() []string {
	w.t.Helper()
	list, _, err := w.audit.Of(w.t.Context(), acct, attr.Page{Size: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append(out, e.Action)
	}
	slices.Sort(out) // the clock stands: events of one millisecond have no order
	return out
}

// stored is everything in all tables, as bytes.
func (w *world) stored() string {
	w.t.Helper()
	var out strings.Builder
	for _, table := range w.tables {
		found, err := w.env.DynamoDB.Scan(context.Background(), &dynamodb.ScanInput{TableName: &table})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, it := range found.Items {
			var plain map[string]any
			if err := unmarshal(it, &plain); err != nil {
				w.t.Fatal(err)
			}
			fmt.Fprintln(&out, plain)
		}
	}
	return out.String()
}

func (w *world) wantNowhere(what string, needles ...string) {
	w.t.Helper()
	all := w.stored() + w.log.String()
	for {
		out, err := w.env.SQS.ReceiveMessage(w.t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &w.queueURL, MaxNumberOfMessages: 10})
		if err != nil {
			w.t.Fatal(err)
		}
		if len(out.Messages) == 0 {
			break
		}
		for _, m := range out.Messages {
			all += *m.Body
		}
	}
	for _, n := range needles {
		if strings.Contains(all, n) {
			w.t.Errorf("%s: %q is in clear somewhere", what, n)
		}
	}
}

// what the account entered is kept, sealed, and comes back as it was; nothing is added, nothing else is taken.
func TestR9_1OnlyWhatTheAccountEntersIsKeptAndSealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.enter(`{"addresses":["` + anna + `","` + email + `"],"name":"` + canary + ` Anna"}`)
	if made.Header.Get("Location") != "/v1/recipients/"+made.Text("id") || made.Text("source") != "account" || made.Text("name") != canary+" Anna" {
		t.Errorf("%s", made.Body)
	}
	got := w.user().Get("/v1/recipients/"+made.Text("id")).Want(t, "read", 200, "")
	if got.Body != made.Body {
		t.Errorf("%s\n%s", got.Body, made.Body)
	}
	var names []string
	for name := range got.JSON {
		names = append(names, name)
	}
	slices.Sort(names)
	if want := "addresses created_at id name opt_outs source updated_at"; strings.Join(names, " ") != want {
		t.Errorf("fields: %v", names)
	}
	for _, address := range []string{anna, email} {
		found := w.user().Do("POST", "/v1/recipients/lookup", `{"address":"`+address+`"}`).Want(t, "look up", 200, "")
		if found.Text("id") != made.Text("id") {
			t.Errorf("%s", found.Body)
		}
	}
	w.User("acct_2", "user_1").Get("/v1/recipients/"+made.Text("id")).Want(t, "another account", 404, "not_found")
	w.User("acct_2", "user_1").Do("POST", "/v1/recipients/lookup", `{"address":"`+anna+`"}`).Want(t, "another account looks up", 404, "not_found")
	w.wantNowhere("sealed", canary, "99123456", "example.com")
}

// bad input is told by field and changes nothing.
func TestRecipientsInputIsChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.enter(`{"addresses":["` + anna + `"]}`)
	before := w.stored()
	for _, c := range []struct{ name, body, field string }{
		{"no addresses", `{}`, "addresses"},
		{"an empty list", `{"addresses":[]}`, "addresses"},
		{"an unknown field", `{"addresses":["+35799000001"],"birthday":"2000-01-01"}`, "birthday"},
		{"a name that is empty", `{"addresses":["+35799000001"],"name":""}`, "name"},
		{"a name of blanks", `{"addresses":["+35799000001"],"name":"  "}`, "name"},
		{"a name that is too long", `{"addresses":["+35799000001"],"name":"` + strings.Repeat("x", 257) + `"}`, "name"},
		{"an address with blanks", `{"addresses":["+357 99 000001"]}`, "addresses[0]"},
		{"an address twice", `{"addresses":["+35799000001","+35799000001"]}`, "addresses[1]"},
		{"an address that is too long", `{"addresses":["` + strings.Repeat("x", 321) + `"]}`, "addresses[0]"},
		{"too many addresses", `{"addresses":["` + strings.Repeat(`+35799000001","`, 20) + `+35799000002"]}`, "addresses"},
		{"a number", `{"addresses":[35799000001]}`, "addresses[0]"},
	} {
		a := w.user().Do("POST", "/v1/recipients", c.body).Want(t, c.name, 422, "invalid_request")
		if a.Field() != c.field {
			t.Errorf("%s: field %q, want %q", c.name, a.Field(), c.field)
		}
		if c.body != `{}` {
			w.user().Do("PATCH", "/v1/recipients/"+made.Text("id"), c.body).Want(t, c.name+" by PATCH", 422, "invalid_request")
		}
	}
	w.user().Do("POST", "/v1/recipients", `{"addresses":["+35799000001","`+anna+`"]}`).Want(t, "an address of another recipient", 409, "conflict")
	w.user().Get("/v1/recipients/rcp_x").Want(t, "a malformed id", 404, "not_found")
	w.user().Get("/v1/recipients/rcp_0000000000000000").Want(t, "no such recipient", 404, "not_found")
	w.user().Do("POST", "/v1/recipients/lookup", `{"address":"+35799000001"}`).Want(t, "no such address", 404, "not_found")
	w.user().Do("POST", "/v1/recipients/lookup", `{"address":" x"}`).Want(t, "no address", 422, "invalid_request")
	if after := w.stored(); after != before {
		t.Errorf("something changed:\n%s\n%s", before, after)
	}
}

// what was entered can be corrected and deleted; every such act is in the audit log, without the person's data.
func TestR9_10RecipientsAreCorrectedAndDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.enter(`{"addresses":["` + anna + `"],"name":"` + canary + `"}`)
	path := "/v1/recipients/" + made.Text("id")
	w.clock.Pass(time.Minute)
	w.user().Do("PATCH", path, `{"addresses":["`+email+`"]}`).Want(t, "correct", 200, "")
	w.user().Do("PATCH", path, `{"name":"`+canary+`"}`).Want(t, "nothing new", 200, "")
	w.user().Do("POST", "/v1/recipients/lookup", `{"address":"`+anna+`"}`).Want(t, "the old address", 404, "not_found")
	w.user().Do("POST", "/v1/recipients/lookup", `{"address":"`+email+`"}`).Want(t, "the new address", 200, "")
	other := w.enter(`{"addresses":["` + anna + `"]}`)
	w.user().Do("PATCH", path, `{"addresses":["`+anna+`"]}`).Want(t, "another's address", 409, "conflict")
	w.user().Do("DELETE", path, "").Want(t, "delete", 204, "")
	w.user().Get(path).Want(t, "deleted", 404, "not_found")
	w.user().Do("DELETE", path, "").Want(t, "delete again", 404, "not_found")
	w.User("acct_2", "user_1").Do("DELETE", "/v1/recipients/"+other.Text("id"), "").Want(t, "another account", 404, "not_found")
	if got := fmt.Sprint(w.events()); got != "[recipient.created recipient.created recipient.deleted recipient.updated]" {
		t.Errorf("events: %s", got)
	}
	w.wantNowhere("audit", canary, "99123456", "example.com")
}

// the recipient of a conversation is found by its address, whichever channel it was on, deleted ones included.
func TestAnAddressOfAConversationHasARecipient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gone := w.newChannel(acct)
	w.message(acct, gone, anna, "hello")
	if _, err := w.channels.Delete(t.Context(), gone, w.clock.Now(), audittest.By(acct)); err != nil {
		t.Fatal(err)
	}
	found := w.user().Do("POST", "/v1/recipients/lookup", `{"address":"`+anna+`"}`).Want(t, "look up", 200, "")
	if found.Text("source") != "conversation" {
		t.Errorf("%s", found.Body)
	}
	w.User("acct_2", "user_1").Do("POST", "/v1/recipients/lookup", `{"address":"`+anna+`"}`).Want(t, "another account", 404, "not_found")
	if got := w.user().Get("/v1/recipients/" + found.Text("id")); got.Body != found.Body {
		t.Errorf("%s\n%s", got.Body, found.Body)
	}
}

// a repeat under the same key gives the same recipient, and the key's record keeps nothing of the person.
func TestARepeatedKeyMakesNoSecondRecipientAndKeepsNoAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := `{"addresses":["` + anna + `"],"name":"` + canary + `"}`
	client := w.user().With("Idempotency-Key", "key-1")
	first := client.Do("POST", "/v1/recipients", body).Want(t, "first", 201, "")
	again := client.Do("POST", "/v1/recipients", body).Want(t, "again", 201, "")
	if again.Body != first.Body || again.Header.Get("Idempotency-Replayed") != "true" || first.Header.Get("Idempotency-Replayed") != "" {
		t.Errorf("%s\n%s", first.Body, again.Body)
	}
	client.Do("POST", "/v1/recipients", `{"addresses":["+35799000001"]}`).Want(t, "another payload", 422, "idempotency_key_reused")
	w.wantNowhere("keys", canary, "99123456")
}

// consents are one record for each channel and purpose, with source, time and proof; they are the account's word, sealed.
func TestR9_6ConsentsAreRecordedByChannelAndPurpose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.enter(`{"addresses":["` + anna + `"]}`)
	path := "/v1/recipients/" + made.Text("id") + "/consents"
	consent := func(purpose, more string) string {
		return `{"channel_id":"` + w.channel + `","purpose":"` + purpose + `","status":"given","source":"` + canary + ` form","obtained_at":"2026-11-01T10:00:00.000Z"` + more + `}`
	}
	if got := w.user().Get(path).Want(t, "none yet", 200, ""); strings.TrimSpace(got.Body) != `{"items":[]}` {
		t.Errorf("%s", got.Body)
	}
	put := w.user().Do("PUT", path, `{"items":[`+consent("news", `,"proof_reference":"https://crm.example.com/1"`)+`,`+consent("service", "")+`]}`).Want(t, "record", 200, "")
	if got := w.user().Get(path).Want(t, "read", 200, ""); got.Body != put.Body || !strings.Contains(got.Body, "proof_reference") {
		t.Errorf("%s\n%s", got.Body, put.Body)
	}
	for _, c := range []struct{ name, body, field string }{
		{"one purpose twice", `{"items":[` + consent("news", "") + `,` + consent("news", "") + `]}`, "items[1].purpose"},
		{"a channel that is not the account's", `{"items":[` + strings.Replace(consent("news", ""), w.channel, w.newChannel("acct_2"), 1) + `]}`, "items[0].channel_id"},
		{"a time in the future", `{"items":[` + strings.Replace(consent("news", ""), "2026-11-01", "2027-11-01", 1) + `]}`, "items[0].obtained_at"},
		{"an unknown status", `{"items":[` + strings.Replace(consent("news", ""), "given", "maybe", 1) + `]}`, "items[0].status"},
		{"an unknown field", `{"items":[` + consent("news", `,"ip":"x"`) + `]}`, "items[0].ip"},
		{"no list", `{}`, "items"},
	} {
		a := w.user().Do("PUT", path, c.body).Want(t, c.name, 422, "invalid_request")
		if a.Field() != c.field {
			t.Errorf("%s: field %q, want %q", c.name, a.Field(), c.field)
		}
	}
	w.User("acct_2", "user_1").Get(path).Want(t, "another account", 404, "not_found")
	if got := fmt.Sprint(w.events()); got != "[recipient.consents_set recipient.created]" {
		t.Errorf("events: %s", got)
	}
	w.wantNowhere("consents", canary)
}

// A request's size does not tell how much is kept: what one item can't hold is refused, and changes nothing.
func TestConsentsThatOneItemCanNotHoldAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := "/v1/recipients/" + w.enter(`{"addresses":["`+anna+`"]}`).Text("id") + "/consents"
	list := func(n int, sign string) string {
		items := make([]string, n)
		for i := range items {
			items[i] = fmt.Sprintf(`{"channel_id":%q,"purpose":"%d","status":"given","source":"form","obtained_at":"2026-11-01T10:00:00.000Z","proof_reference":"%s"}`, w.channel, i, strings.Repeat(sign, 1024))
		}
		return `{"items":[` + strings.Join(items, ",") + `]}`
	}
	put := w.user().Do("PUT", path, list(100, "<")).Want(t, "signs that JSON for pages writes in six", 200, "")
	if a := w.user().Do("PUT", path, list(75, "\u2028")).Want(t, "signs that JSON always writes in six", 422, "invalid_request"); a.Field() != "items" {
		t.Errorf("field %q", a.Field())
	}
	if got := w.user().Get(path).Want(t, "read", 200, ""); got.Body != put.Body {
		t.Error("the refused ones were kept")
	}
}

// an opt-out holds for all addresses of the recipient, stays as it was when it is made again, reaches addresses that are
// added later, and is lifted by the account only.
func TestR9_6OptOutsAreSeenByConversation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	flags := &recipient.Flags{DB: w.env.DynamoDB, Table: w.store.Table}
	closed := func(address string) bool {
		k := w.keyer.Key(acct, w.channel, address)
		out, err := flags.OptedOut(t.Context(), acct, true, k)
		if err != nil {
			t.Fatal(err)
		}
		return out[k]
	}
	made := w.enter(`{"addresses":["` + anna + `"]}`)
	path := "/v1/recipients/" + made.Text("id")
	optOut := path + "/opt-outs/" + w.channel
	first := w.user().Do("PUT", optOut, "").Want(t, "opt out", 200, "")
	if first.Text("source") != "account" || first.Text("since") == "" || !closed(anna) {
		t.Errorf("%s", first.Body)
	}
	w.clock.Pass(time.Hour)
	if again := w.user().Do("PUT", optOut, "{}").Want(t, "again", 200, ""); again.Body != first.Body {
		t.Errorf("%s\n%s", again.Body, first.Body)
	}
	if got := w.user().Get(path); !strings.Contains(got.Body, `"opt_outs":[`+strings.TrimSpace(first.Body)+`]`) {
		t.Errorf("%s", got.Body)
	}
	w.user().Do("PATCH", path, `{"addresses":["`+anna+`","`+email+`"]}`).Want(t, "another address", 200, "")
	if !closed(email) {
		t.Error("the opt-out does not hold for the new address")
	}
	w.user().Do("PUT", path+"/opt-outs/"+w.newChannel("acct_2"), "").Want(t, "another account's channel", 404, "channel_not_found")
	w.User("acct_2", "user_1").Do("DELETE", optOut, "").Want(t, "another account", 404, "not_found")
	w.user().Do("DELETE", optOut, "").Want(t, "lift", 204, "")
	w.user().Do("DELETE", optOut, "").Want(t, "lift again", 204, "")
	if closed(anna) || closed(email) {
		t.Error("the channel is still closed")
	}
	if got := fmt.Sprint(w.events()); got != "[recipient.created recipient.opt_out_lifted recipient.opted_out recipient.updated]" {
		t.Errorf("events: %s", got)
	}
}

// the opt-out that a recipient made before the account entered them is shown, with who made it.
func TestR9_6AnOptOutByTheRecipientIsShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stops := &recipient.Stops{DB: w.env.DynamoDB, Table: w.store.Table, Keys: w.keyer}
	for range 2 {
		if err := stops.Record(t.Context(), acct, anna, recipient.OptOut{ChannelID: w.channel, Since: w.clock.Now(), Source: recipient.ByRecipient}); err != nil {
			t.Fatal(err)
		}
		w.clock.Pass(time.Hour)
	}
	made := w.enter(`{"addresses":["` + anna + `"]}`)
	if !strings.Contains(made.Body, `"since":"2026-11-24T10:00:00.000Z","source":"recipient"`) {
		t.Errorf("%s", made.Body)
	}
}

type export struct {
	ID        string          `json:"id"`
	Messages  []api.Message   `json:"messages"`
	Recipient json.RawMessage `json:"recipient"`
	Next      string          `json:"next_page_token"`
}

// R-4.1b: an export has everything of the recipient, in pages, with the disclosure of each transfer, and nothing of
// another recipient or account.
func TestR9_10AnExportHasAllOfOneRecipientAndNothingOfAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	second := w.newChannel(acct)
	var want []string
	for i, to := range []string{anna, email, anna, anna, email} {
		ch := []string{w.channel, second}[i%2]
		want = append(want, w.message(acct, ch, to, fmt.Sprint("text ", i)).String())
	}
	w.message(acct, w.channel, "+35799000009", canary)
	w.message("acct_2", w.newChannel("acct_2"), anna, canary)
	made := w.enter(`{"addresses":["` + anna + `","` + email + `"],"name":"Anna"}`)
	path := "/v1/recipients/" + made.Text("id") + "/export"
	var got []string
	token := ""
	for range 10 {
		body := `{"page_size":2}`
		if token != "" {
			body = `{"page_size":2,"page_token":"` + token + `"}`
		}
		a := w.user().Do("POST", path, body).Want(t, "export", 200, "")
		var e export
		if err := json.Unmarshal([]byte(a.Body), &e); err != nil || !strings.HasPrefix(e.ID, "exp_") || a.Text("generated_at") == "" || !strings.Contains(string(e.Recipient), anna) {
			t.Fatalf("%v %s", err, a.Body)
		}
		if strings.Contains(a.Body, canary) {
			t.Errorf("something of another: %s", a.Body)
		}
		for _, m := range e.Messages {
			got = append(got, m.ID)
			if m.Transfer == nil || m.Transfer.ProviderID != "edna" || m.Transfer.ProviderVersion != 1 || !slices.Equal(m.Transfer.Countries, []string{"CY", "RU"}) || m.TransferCompletedAt == nil || len(m.Timeline) != 2 || m.To == "" || m.Content == nil {
				t.Errorf("%+v", m)
			}
		}
		if token = e.Next; token == "" {
			break
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	w.user().Do("POST", path, `{"page_token":"eHg"}`).Want(t, "a token of nothing", 422, "invalid_request")
	w.user().Do("POST", path, `{"page_size":201}`).Want(t, "a page too large", 422, "invalid_request")
	w.User("acct_2", "user_1").Do("POST", path, "").Want(t, "another account", 404, "not_found")
	one, two := w.user().With("Idempotency-Key", "k").Do("POST", path, ""), w.user().With("Idempotency-Key", "k").Do("POST", path, "")
	if one.Text("id") == "" || one.Text("id") != two.Text("id") || two.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%s\n%s", one.Body, two.Body)
	}
	w.wantNowhere("export", "99123456", "text 1")
}

// erasing takes the recipient's own data at once and leaves a job; doing it again shows the same job, and while it runs
// nothing is made of the address anew.
func TestR9_10ErasingBeginsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.message(acct, w.channel, anna, "hello")
	made := w.enter(`{"addresses":["` + anna + `"],"name":"` + canary + `"}`)
	path := "/v1/recipients/" + made.Text("id")
	w.User("acct_2", "user_1").Do("POST", path+"/erase", "").Want(t, "another account", 404, "not_found")
	first := w.user().Do("POST", path+"/erase", "").Want(t, "erase", 202, "")
	if !strings.HasPrefix(first.Text("id"), "ers_") || first.Text("status") != "running" || first.Header.Get("Location") != "/v1/erasures/"+first.Text("id") {
		t.Errorf("%s", first.Body)
	}
	if again := w.user().Do("POST", path+"/erase", "").Want(t, "again", 202, ""); again.Body != first.Body {
		t.Errorf("%s\n%s", again.Body, first.Body)
	}
	w.user().Get("/v1/erasures/"+first.Text("id")).Want(t, "progress", 200, "")
	w.User("acct_2", "user_1").Get("/v1/erasures/"+first.Text("id")).Want(t, "another account's progress", 404, "not_found")
	w.user().Get("/v1/erasures/ers_0000000000000000").Want(t, "no such erasure", 404, "not_found")
	w.user().Get(path).Want(t, "the recipient", 404, "not_found")
	w.user().Do("POST", path+"/export", "").Want(t, "an export", 404, "not_found")
	w.user().Do("POST", "/v1/recipients/lookup", `{"address":"`+anna+`"}`).Want(t, "look up", 404, "not_found")
	w.user().Do("POST", "/v1/recipients", `{"addresses":["`+anna+`"]}`).Want(t, "enter again meanwhile", 409, "conflict")
	if _, err := w.store.Ensure(t.Context(), acct, anna); err == nil {
		t.Error("a read of the conversation made a recipient anew")
	}
	w.wantNowhere("erased", canary)
	if got := fmt.Sprint(w.events()); got != "[recipient.created recipient.erased]" {
		t.Errorf("events: %s", got)
	}
}

// a recipient that is restricted keeps its addresses until that ends, so that the account can't free them of the
// restriction. Erasing is possible all the same: the restriction then holds for the addresses, of which nothing is readable.
func TestARestrictedRecipientKeepsItsAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.accounts.Get(t.Context(), acct); err != nil {
		t.Fatal(err)
	}
	made := w.enter(`{"addresses":["` + anna + `","` + email + `"]}`).Text("id")
	r := restriction.Restriction{ID: "rst_1", AccountID: acct, Kind: restriction.Block, Scope: restriction.Scope{RecipientID: made}, Reason: "Spam.", Clause: "13", From: w.clock.Now()}
	e := audittest.ByOperator()
	e.Action, e.Target = "restriction.created", r.ID
	if err := w.accounts.Restrict(t.Context(), r, e); err != nil {
		t.Fatal(err)
	}
	path := "/v1/recipients/" + made
	w.user().Do("DELETE", path, "").Want(t, "delete", 403, "account_restricted")
	w.user().Do("PATCH", path, `{"addresses":["`+anna+`"]}`).Want(t, "take an address away", 403, "account_restricted")
	w.user().Do("PATCH", path, `{"addresses":["`+anna+`","`+email+`","+35799000009"],"name":"Anna"}`).Want(t, "add an address", 200, "")
	other := w.enter(`{"addresses":["+35799000008"]}`).Text("id")
	w.user().Do("DELETE", "/v1/recipients/"+other, "").Want(t, "delete another", 204, "")

	w.user().Do("POST", path+"/erase", "").Want(t, "erase", 202, "")
	job, err := w.store.ErasureOf(t.Context(), acct, made)
	if err == nil {
		err = w.store.Finish(t.Context(), job)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.clock.Pass(time.Hour)
	for name, got := range map[string]apitest.Answer{
		"enter it again":      w.user().Do("POST", "/v1/recipients", `{"addresses":["+35799000007","`+anna+`"]}`),
		"give it to somebody": w.user().Do("PATCH", "/v1/recipients/"+w.enter(`{"addresses":["+35799000006"]}`).Text("id"), `{"addresses":["`+anna+`"]}`),
	} {
		if got.Want(t, name, 409, "conflict"); !strings.Contains(got.Text("detail"), "was erased while its recipient was restricted") {
			t.Errorf("%s: the detail is %q", name, got.Text("detail"))
		}
	}
	w.user().Do("POST", "/v1/recipients/lookup", `{"address":"`+anna+`"}`).Want(t, "look it up", 404, "not_found")
	found, err := w.store.Of(t.Context(), acct, anna, email)
	if err != nil || found[anna] != made || found[email] != made {
		t.Errorf("the restriction would look for %s, found %v, %v", made, found, err)
	}
}
