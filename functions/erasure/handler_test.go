package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/account"
	"contactcenter/shared/api/apitest"
	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/content"
	"contactcenter/shared/evidence"
	"contactcenter/shared/id"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/message"
	"contactcenter/shared/recipient"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
	"contactcenter/shared/sign/signtest"
	"contactcenter/shared/usage"
	"contactcenter/shared/withdraw"
)

const (
	acct      = "acct_1"
	anna      = "+35799123456"
	channelID = "chn_0123456789abcdef"
	// reference is the customer's own name for a message; it may name a person.
	reference = "order-of-anna"
)

type world struct {
	t        *testing.T
	env      *awstest.Env
	h        *Handler
	clock    *apitest.Clock
	store    *recipient.Store
	messages *message.Store
	gates    *usage.Store
	accounts *account.Store
	ids      id.Source
	keyer    id.ConversationKeyer
	log      *bytes.Buffer
	tables   []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	env, ctx := awstest.New(t), t.Context()
	w := &world{t: t, env: env, clock: apitest.NewClock(time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)), log: &bytes.Buffer{}}
	now := w.clock.Now
	w.ids = id.Source{Now: now, Random: rand.Reader}
	var err error
	if w.keyer, err = id.NewConversationKeyer([]byte("0123456789abcdef")); err != nil {
		t.Fatal(err)
	}
	sealer, opener := sealtest.Sealer(seal.Content), sealtest.Opener(seal.Content)
	for _, in := range []*dynamodb.CreateTableInput{awstest.RecipientsTable(), awstest.MessagesTable(), awstest.UsageTable(), awstest.AccountsTable(), awstest.AuditTable()} {
		w.tables = append(w.tables, env.Table(ctx, in))
	}
	w.store = &recipient.Store{
		DB: env.DynamoDB, Table: w.tables[0], Keys: w.keyer, Seal: sealer, Open: opener, IDs: w.ids, Now: now,
		Audit: &audit.Log{DB: env.DynamoDB, Table: w.tables[4], IDs: w.ids, Now: now},
	}
	w.messages = &message.Store{DB: env.DynamoDB, Table: w.tables[1], Retention: message.DefaultRetention, Sealer: sealer, Opener: opener, Audit: w.store.Audit}
	w.gates = &usage.Store{DB: env.DynamoDB, Table: w.tables[2], Now: now}
	w.accounts = &account.Store{DB: env.DynamoDB, Table: w.tables[3], Now: now, DefaultPlanID: "test", Audit: audittest.New(t, env)}
	if _, _, err := w.accounts.PutPlan(ctx, account.Plan{ID: "test", Limit: 100, Period: usage.Month, Rate: account.Rate{Limit: 100, WindowSeconds: 1, Burst: 100}}, audittest.ByOperator()); err != nil {
		t.Fatal(err)
	}
	blind := &message.Store{DB: env.DynamoDB, Table: w.tables[1], Retention: message.DefaultRetention} // as the function has it: without keys
	log := slog.New(slog.NewJSONHandler(w.log, nil))
	w.h = &Handler{
		Signer: signtest.Key("a"), Jobs: &recipient.Store{DB: env.DynamoDB, Table: w.tables[0], Now: now}, Messages: blind, SQS: env.SQS, QueueURL: env.Queue(ctx, nil), Log: log, Now: now,
		Withdraw: withdraw.Withdrawer{Messages: blind, Gates: w.gates, Accounts: w.accounts, Now: now, Random: mathrand.Uint32, Note: func(_ context.Context, err error) { t.Error(err) }},
	}
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) message(to, text string, change func(*message.Message)) id.Message {
	w.t.Helper()
	w.clock.Pass(time.Millisecond)
	mid, err := w.ids.NewMessage(w.keyer.Key(acct, channelID, to))
	w.must(err)
	c := content.Content{Type: content.TypeText, Text: text}
	sum, err := c.SHA256()
	w.must(err)
	m := message.Message{
		AccountID: acct, ID: mid, Direction: message.Outbound, ChannelID: channelID, ProviderID: "edna", Address: to, Content: c, ContentSHA256: sum,
		Outcome: message.Queued, ClientReference: reference,
	}
	if change != nil {
		change(&m)
	}
	w.must(w.messages.Create(w.t.Context(), m))
	w.must(w.messages.Touch(w.t.Context(), m))
	return mid
}

// attend has a user read a conversation, and take it as a task.
func (w *world) attend(mid id.Message) {
	w.t.Helper()
	_, err := w.messages.MarkRead(w.t.Context(), acct, message.Marker{UpTo: mid, By: "user_agent", At: w.clock.Now()})
	w.must(err)
	w.must(w.messages.Assign(w.t.Context(), acct, mid.Conversation, message.Assignment{UserID: "user_agent", By: "user_7", At: w.clock.Now()}, audittest.By(acct)))
}

func inbound(m *message.Message) {
	m.Direction, m.Outcome, m.ClientReference = message.Inbound, message.Received, ""
}

// admit puts a message into a dispatcher's hands.
func (w *world) admit(mid id.Message) (usage.Gate, usage.Entry) {
	w.t.Helper()
	terms := func(ctx context.Context, fresh bool) (usage.Terms, error) { return w.accounts.Terms(ctx, acct, fresh) }
	a, err := w.gates.Admit(w.t.Context(), acct, terms, []id.Message{mid}, usage.Gate{}, mathrand.Uint32(), usage.Turn{Waited: true})
	w.must(err)
	if len(a.Granted) != 1 {
		w.t.Fatalf("not granted: %+v", a)
	}
	return a.Gate, a.Granted[0]
}

func (w *world) sent(mid id.Message, g usage.Gate, e usage.Entry) {
	w.t.Helper()
	_, err := w.messages.Sent(w.t.Context(), acct, mid, e.Claim, message.Handover{ProviderMessageID: "wamid." + anna, At: w.clock.Now(), Attempt: true})
	w.must(err)
	w.must(w.gates.Settle(w.t.Context(), g, []usage.Settlement{{Entry: e}}))
}

func (w *world) erase(address string) recipient.Reference {
	w.t.Helper()
	ctx := w.t.Context()
	recipientID, err := w.store.Ensure(ctx, acct, address)
	w.must(err)
	r, err := w.store.Get(ctx, acct, recipientID)
	w.must(err)
	erasureID, err := w.ids.New(id.ErasurePrefix)
	w.must(err)
	job := recipient.Erasure{AccountID: acct, ID: erasureID, RecipientID: recipientID, RequestedAt: w.clock.Now(), Conversations: []string{w.keyer.Key(acct, "chn_other", address), w.keyer.Key(acct, channelID, address)}}
	e := audit.Event{AccountID: acct, Actor: audit.Actor{Kind: audit.User, ID: "user_7", AccountID: acct}}
	w.must(w.store.Erase(ctx, r, job, false, e))
	return recipient.Reference{AccountID: acct, ErasureID: erasureID}
}

// work hands the job to the function once, and says whether it is done.
func (w *world) work(ref recipient.Reference) bool {
	w.t.Helper()
	body, err := json.Marshal(ref)
	w.must(err)
	out, err := w.h.Handle(w.t.Context(), events.SQSEvent{Records: []events.SQSMessage{{MessageId: "1", ReceiptHandle: "none", Body: string(body)}}})
	w.must(err)
	return len(out.BatchItemFailures) == 0
}

func (w *world) job(ref recipient.Reference) recipient.Erasure {
	w.t.Helper()
	j, err := w.store.Erasure(w.t.Context(), ref.AccountID, ref.ErasureID)
	w.must(err)
	return j
}

func (w *world) get(mid id.Message) message.Message {
	w.t.Helper()
	m, err := w.messages.Get(w.t.Context(), acct, mid)
	w.must(err)
	return m
}

// stored is everything in all tables and in the log, as bytes.
func (w *world) stored() string {
	w.t.Helper()
	var out strings.Builder
	for _, table := range w.tables {
		found, err := w.env.DynamoDB.Scan(w.t.Context(), &dynamodb.ScanInput{TableName: &table})
		w.must(err)
		for _, it := range found.Items {
			for name, v := range it {
				fmt.Fprintf(&out, "%s=%s ", name, plain(v))
			}
		}
	}
	return out.String() + w.log.String()
}

func plain(v types.AttributeValue) string {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	case *types.AttributeValueMemberB:
		return string(v.Value)
	}
	b, _ := json.Marshal(v)
	return string(b)
}

// sealedValues counts what is sealed in the messages' and the recipients' tables.
func (w *world) sealedValues() int {
	w.t.Helper()
	n := 0
	for _, table := range w.tables[:2] {
		found, err := w.env.DynamoDB.Scan(w.t.Context(), &dynamodb.ScanInput{TableName: &table})
		w.must(err)
		for _, it := range found.Items {
			for name, v := range it {
				if b, ok := v.(*types.AttributeValueMemberB); ok && name != "ha" && len(b.Value) > seal.Overhead {
					n++
				}
			}
		}
	}
	return n
}

// after the job nothing of the person is left in any table, in clear or sealed, nor in the logs; what waited is canceled,
// what was counted stays counted, states and times remain, and other recipients are untouched.
func TestR9_10ErasureLeavesStatesAndNothingOfThePerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	long := strings.Repeat("a long text ", 500)
	sent := w.message(anna, "sent", nil)
	g, e := w.admit(sent)
	w.sent(sent, g, e)
	reply := w.message(anna, "reply", inbound)
	longReply := w.message(anna, long, inbound)
	queued, held := w.message(anna, long, nil), w.message(anna, "held", nil)
	m := w.get(held)
	_, err := w.messages.Hold(t.Context(), m, 0, w.clock.Now(), message.HeldUsageLimit, time.Time{})
	w.must(err)
	other := w.message("+35799000009", "another's", nil)
	before := w.get(other)

	ref := w.erase(anna)
	if w.work(ref) {
		t.Error("done although a message may still appear that was accepted before")
	}
	straggler := sent // what was accepted just before and is recorded just after
	straggler.Unique = queued.Unique[:15] + "0"
	if straggler.Unique != queued.Unique {
		late := w.get(other)
		late.ID, late.Address, late.Content.Text = straggler, anna, "late"
		w.must(w.messages.Create(t.Context(), late))
	}
	w.clock.Pass(settled)
	if !w.work(ref) {
		t.Fatalf("not done: %+v", w.job(ref))
	}
	j := w.job(ref)
	if j.Status != recipient.Done || j.CompletedAt.IsZero() || j.Canceled < 2 || len(j.Conversations) != 0 {
		t.Errorf("%+v", j)
	}
	if c := w.certified(j); c.Erased.Recipients != 1 || c.Erased.Addresses != 1 || c.Erased.Messages != j.Erased || c.Erased.MessagesCanceled != j.Canceled {
		t.Errorf("certified is %+v", c.Erased)
	}
	for what, c := range map[string]struct {
		id   id.Message
		want message.Status
	}{"sent": {sent, message.Sent}, "reply": {reply, message.Received}, "long reply": {longReply, message.Received}, "queued": {queued, message.Canceled}, "held": {held, message.Canceled}} {
		m := w.get(c.id)
		if m.Status() != c.want || m.ErasedAt.IsZero() || m.Address != "" || m.Content.Text != "" || m.ContentSHA256 != "" || m.ClientReference != "" || m.ProviderMessageID != "" {
			t.Errorf("%s: %+v", what, m)
		}
		if len(m.Timeline()) == 0 {
			t.Errorf("%s: no timeline", what)
		}
	}
	if w.get(sent).Claim == 0 {
		t.Error("what was counted is counted no more")
	}
	if after := w.get(other); after.Address != before.Address || after.Content.Text != before.Content.Text || after.Status() != message.Queued {
		t.Errorf("another recipient's message changed: %+v", after)
	}
	if list, _, err := w.messages.ByReference(t.Context(), acct, reference, attr.Page{Size: 10}); err != nil || len(list) != 1 {
		t.Errorf("by reference: %d, %v", len(list), err)
	}
	if n := w.sealedValues(); n != 1 {
		t.Errorf("%d sealed values are left, want that of the other recipient", n)
	}
	if all := w.stored(); strings.Contains(all, "99123456") || strings.Contains(all, "a long text") {
		t.Error("something of the person is left in clear")
	}
	listed, _, err := w.messages.Conversations(t.Context(), acct, channelID, attr.Page{Size: 10}, nil)
	w.must(err)
	for _, c := range listed {
		if c.Address == "" || c.Key == sent.Conversation {
			t.Errorf("the erased conversation is still listed: %+v", c)
		}
	}
	gate, err := w.gates.Read(t.Context(), acct, true)
	if err != nil || gate.Used != 1 || len(gate.Entries) != 0 {
		t.Errorf("used %d, %d entries, %v", gate.Used, len(gate.Entries), err)
	}
	if !w.work(ref) {
		t.Error("a repeated reference is not done")
	}
}

// certified is what the certificate of a job says, which is the job's and names nobody.
func (w *world) certified(j recipient.Erasure) evidence.Erasure {
	w.t.Helper()
	c, err := evidence.VerifyErasure(signtest.Keys("a"), j.Certificate)
	if err != nil || c.AccountID != acct || c.ErasureID != j.ID || !c.RequestedAt.Equal(j.RequestedAt) || !c.CompletedAt.Equal(j.CompletedAt) {
		w.t.Errorf("the certificate: %v: %+v", err, c)
	}
	d, err := signtest.Keys("a").Verify(j.Certificate)
	if err != nil || strings.Contains(string(d.Payload), j.RecipientID) || strings.Contains(string(d.Payload), anna) {
		w.t.Errorf("%v: it names the person: %s", err, d.Payload)
	}
	return c
}

// a certificate counts every message that this erasure took, however often it was cut off, and none that an earlier one took.
func TestR9_10TheCertificateCountsWhatThisErasureTook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.message(anna, "earlier", inbound)
	first := w.erase(anna)
	w.clock.Pass(settled)
	if !w.work(first) || w.certified(w.job(first)).Erased.Messages != 1 {
		t.Fatalf("%+v", w.job(first))
	}
	w.clock.Pass(2 * time.Minute)
	w.message(anna, "one", inbound)
	w.message(anna, "two", inbound)
	second := w.erase(anna)
	for range 3 { // as if each time it died before it noted how far it was
		job := w.job(second)
		p, err := w.h.Messages.Part(t.Context(), acct, job.Conversations[0], "", job.RequestedAt)
		w.must(err)
		for _, m := range p.Messages {
			_, err := w.h.message(t.Context(), m, job.RequestedAt)
			w.must(err)
		}
	}
	w.clock.Pass(settled)
	if !w.work(second) {
		t.Fatalf("%+v", w.job(second))
	}
	if j := w.job(second); j.Erased != 2 || w.certified(j).Erased.Messages != 2 {
		t.Errorf("%d were erased: %+v", j.Erased, w.certified(j))
	}
}

// a message that a dispatcher has in hand is waited for, then erased with what it became.
func TestR9_10ErasureWaitsForWhatIsInFlight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mid := w.message(anna, "in flight", nil)
	g, e := w.admit(mid)
	ref := w.erase(anna)
	w.clock.Pass(settled)
	if w.work(ref) || !w.job(ref).Left && w.job(ref).Status == recipient.Done {
		t.Error("did not wait")
	}
	if m := w.get(mid); m.Outcome != message.Queued || m.Address != anna {
		t.Errorf("%+v", m)
	}
	w.sent(mid, g, e)
	if !w.work(ref) {
		t.Fatal("not done")
	}
	if m := w.get(mid); m.Status() != message.Sent || m.Claim != e.Claim || m.Address != "" {
		t.Errorf("%+v", m)
	}
}

// a late word of the provider on an erased message moves its status and brings nothing of the person back.
func TestR9_10ALateReportBringsNothingBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mid := w.message(anna, "x", nil)
	g, e := w.admit(mid)
	w.sent(mid, g, e)
	ref := w.erase(anna)
	w.clock.Pass(settled)
	w.work(ref)
	_, err := w.messages.Report(t.Context(), acct, channelID, mid, message.Report{
		Status: message.Failed, At: w.clock.Now(), ProviderMessageID: "wamid." + anna, Problem: &message.Problem{Code: "provider_refused", Detail: "no such user " + anna, FaultDomain: "recipient"},
	})
	w.must(err)
	if m := w.get(mid); m.Status() != message.Failed || m.Error().Code != "provider_refused" || m.Error().Detail != "" || m.ProviderMessageID != "" {
		t.Errorf("%+v %+v", m, m.Error())
	}
	if strings.Contains(w.stored(), "99123456") {
		t.Error("something of the person came back")
	}
}

// an erased person who opted out is not written to again, and may be entered again.
func TestR9_10AnOptOutOutlivesErasure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.message(anna, "x", nil)
	stops := &recipient.Stops{DB: w.env.DynamoDB, Table: w.tables[0], Keys: w.keyer}
	w.must(stops.Record(t.Context(), acct, anna, recipient.OptOut{ChannelID: channelID, Since: w.clock.Now(), Source: recipient.ByRecipient}))
	ref := w.erase(anna)
	w.clock.Pass(settled)
	if !w.work(ref) {
		t.Fatal("not done")
	}
	k := w.keyer.Key(acct, channelID, anna)
	out, err := (&recipient.Flags{DB: w.env.DynamoDB, Table: w.tables[0]}).OptedOut(t.Context(), acct, true, k)
	if err != nil || !out[k] {
		t.Errorf("opted out: %v, %v", out, err)
	}
	if _, err := w.store.Ensure(t.Context(), acct, anna); err != recipient.ErrErasing {
		t.Errorf("a late read made a recipient anew: %v", err)
	}
	r, err := w.store.Create(t.Context(), recipient.Recipient{AccountID: acct, ID: "rcp_0123456789abcdef", Addresses: []string{anna}}, audit.Event{AccountID: acct, Actor: audit.Actor{Kind: audit.User, ID: "user_7", AccountID: acct}})
	w.must(err)
	if list, err := w.store.OptOuts(t.Context(), r); err != nil || len(list) != 1 || list[0].Source != recipient.ByRecipient {
		t.Errorf("%+v %v", list, err)
	}
}

// whose task the conversation was, and who read it, goes with its messages.
func TestAnErasedConversationIsNobodysTask(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.attend(w.message(anna, "hello", inbound))
	other := w.message("+35799000009", "another's", inbound)
	w.attend(other)
	ref := w.erase(anna)
	w.clock.Pass(settled)
	if !w.work(ref) {
		t.Fatal("not done")
	}
	if list, _, err := w.messages.Assigned(t.Context(), acct, "user_agent", "", 10); err != nil || len(list) != 1 || list[0] != other.Conversation {
		t.Errorf("the user has %v, %v", list, err)
	}
	c, err := w.messages.Conversation(t.Context(), acct, w.keyer.Key(acct, channelID, anna))
	if err != nil || c.Assignee.UserID != "" || c.Read.By != "" || c.Unread != 0 {
		t.Errorf("%+v, %v", c, err)
	}
}

// what comes after the request is a new beginning: it is not erased, and its conversation is listed.
func TestWhatComesAfterTheRequestIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.message(anna, "before", nil)
	ref := w.erase(anna)
	w.clock.Pass(time.Second)
	after := w.message(anna, "after", inbound)
	w.clock.Pass(settled)
	if !w.work(ref) {
		t.Fatal("not done")
	}
	if m := w.get(after); m.Content.Text != "after" || !m.ErasedAt.IsZero() {
		t.Errorf("%+v", m)
	}
	list, _, err := w.messages.Conversations(t.Context(), acct, channelID, attr.Page{Size: 10}, nil)
	if err != nil || len(list) != 1 || list[0].Address != anna {
		t.Errorf("%+v %v", list, err)
	}
}

func TestAReferenceWithoutAJobIsDroppedAfterAWhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	erasureID, err := w.ids.New(id.ErasurePrefix)
	w.must(err)
	ref := recipient.Reference{AccountID: acct, ErasureID: erasureID}
	if w.work(ref) {
		t.Error("dropped at once: its job may be on the way")
	}
	w.clock.Pass(lostAfter + time.Second)
	if !w.work(ref) {
		t.Error("kept for ever")
	}
}

// what is written to the person after the erasure, in the same hour, is listed anew: erased messages, whose conversation
// was taken out of the list, don't count as its activity.
func TestAConversationThatGoesOnAfterAnErasureIsListedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mid := w.message(anna, "before", nil)
	gate, entry := w.admit(mid)
	w.sent(mid, gate, entry)
	before, err := w.messages.Tail(t.Context(), acct, w.message(anna, "soon", func(m *message.Message) { m.Outcome = message.Canceled }), w.clock.Now())
	if err != nil || before.Active.IsZero() {
		t.Fatalf("before the erasure: %+v, %v", before, err)
	}
	ref := w.erase(anna)
	w.clock.Pass(settled + time.Second)
	if !w.work(ref) {
		t.Fatal("not done")
	}
	after, err := w.messages.Tail(t.Context(), acct, w.message(anna, "after", nil), w.clock.Now())
	if err != nil || !after.Active.IsZero() {
		t.Errorf("a dispatcher would take the conversation for listed at %v, %v", after.Active, err)
	}
}
