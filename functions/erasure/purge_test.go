package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"contactcenter/shared/account"
	"contactcenter/shared/attr"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/channel"
	"contactcenter/shared/endpoint"
	"contactcenter/shared/event"
	"contactcenter/shared/evidence"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/recipient"
	"contactcenter/shared/restriction"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
	"contactcenter/shared/sign/signtest"
	"contactcenter/shared/templates"
)

// closing gives the world channels, and what the function needs to purge an account.
type closing struct {
	*world
	channels *channel.Store
	registry *registry.Store
	kills    *kills
}

// kills lets the n-th write of a purge fail, as if the function had died there.
type kills struct {
	at, n int
}

var errKilled = errors.New("killed here")

func (k *kills) step() error {
	if k.n++; k.n == k.at {
		return errKilled
	}
	return nil
}

type killedDB struct {
	*dynamodb.Client
	kills *kills
}

func (d killedDB) DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, o ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	if err := d.kills.step(); err != nil {
		return nil, err
	}
	return d.Client.DeleteItem(ctx, in, o...)
}

func (d killedDB) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, o ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	if err := d.kills.step(); err != nil {
		return nil, err
	}
	return d.Client.UpdateItem(ctx, in, o...)
}

func newClosing(t *testing.T, killAt int) *closing {
	t.Helper()
	w := &closing{world: newWorld(t), kills: &kills{at: killAt}}
	table := w.env.Table(t.Context(), awstest.ChannelsTable())
	w.tables = append(w.tables, table)
	w.channels = &channel.Store{DB: w.env.DynamoDB, Table: table, Audit: audittest.New(t, w.env)}
	w.registry = &registry.Store{DB: w.env.DynamoDB, Table: table, Now: w.clock.Now, Audit: audittest.New(t, w.env)}
	db := killedDB{w.env.DynamoDB, w.kills}
	w.h.Purge = Purge{
		Closures: &account.Store{DB: db, Table: w.tables[3], Now: w.clock.Now, DefaultPlanID: "test"}, Channels: &channel.Store{DB: db, Table: table},
		Templates: &templates.Purger{DB: db, Table: table}, Senders: &registry.Store{DB: db, Table: table, Now: w.clock.Now}, Recipients: &recipient.Purger{DB: db, Table: w.tables[0]},
		Endpoints: &endpoint.Store{DB: db, Table: w.tables[3], Now: w.clock.Now},
	}
	w.h.Messages = &message.Store{DB: db, Table: w.tables[1], Retention: message.DefaultRetention}
	w.h.Withdraw.Messages = w.h.Messages
	if _, err := w.registry.PutSender(t.Context(), "edna", registry.Sender{ID: "1001", Address: "+35799001001"}, audittest.ByOperator()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.registry.TakeSender(t.Context(), "edna", channelID); err != nil {
		t.Fatal(err)
	}
	for _, c := range []channel.Channel{
		{ID: channelID, AccountID: acct, ProviderID: "edna", Type: "whatsapp", Name: "Shop of canary", SenderID: "1001", CreatedAt: w.clock.Now()},
		{ID: "chn_00000000deleted0", AccountID: acct, ProviderID: "edna", Type: "whatsapp", Name: "Old shop of canary", CreatedAt: w.clock.Now()},
		{ID: "chn_0000000another00", AccountID: "acct_2", ProviderID: "edna", Type: "whatsapp", Name: "Another shop", CreatedAt: w.clock.Now()},
	} {
		w.must(w.channels.Create(t.Context(), c, audittest.By(c.AccountID)))
	}
	_, err := w.channels.Delete(t.Context(), "chn_00000000deleted0", w.clock.Now(), audittest.By(acct))
	w.must(err)
	_, err = w.accounts.Get(t.Context(), acct)
	w.must(err)
	hooks := &endpoint.Store{DB: w.env.DynamoDB, Table: w.tables[3], Now: w.clock.Now, Sealer: sealtest.Sealer(seal.Webhooks), Audit: audittest.New(t, w.env)}
	w.must(hooks.Create(t.Context(), endpoint.Endpoint{
		ID: "whk_0123456789abcdef", AccountID: acct, URL: "https://canary.example.com/", Types: event.All, Status: endpoint.Enabled, CreatedAt: w.clock.Now(),
	}, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", audittest.By(acct)))
	return w
}

// close orders the purge at once.
func (w *closing) close() {
	w.t.Helper()
	now := w.clock.Now()
	block := restriction.Restriction{ID: "rst_0123456789abcdef", AccountID: acct, Kind: restriction.Block, Reason: "closing", Clause: "14", From: now, Closure: true}
	c := account.Closure{AccountID: acct, Status: account.Closing, RestrictionID: block.ID, RequestedAt: now, RequestedBy: "user_7", PurgeAt: now}
	e := audittest.By(acct)
	e.Action, e.Target = "account.closing", acct
	w.must(w.accounts.Close(w.t.Context(), c, block, e))
}

// until lets the job come again until the account is closed, and gives it.
func (w *closing) until(status account.ClosureStatus) account.Closure {
	w.t.Helper()
	ref := recipient.Reference{AccountID: acct, ErasureID: recipient.WholeAccount}
	for range 40 {
		done := w.work(ref)
		c, err := w.accounts.Closure(w.t.Context(), acct)
		w.must(err)
		if c.Status == status && (done || status != account.Closed || len(c.Channels) > 0) {
			return c
		}
		w.clock.Pass(10 * time.Second)
	}
	w.t.Fatal("the purge does not end")
	return account.Closure{}
}

// full gives the account messages of every kind, and recipients.
func (w *closing) full() {
	w.t.Helper()
	ctx := w.t.Context()
	taken := w.message(anna, "canary taken", nil)
	g, e := w.admit(taken)
	w.sent(taken, g, e)
	w.message(anna, "canary waiting", nil)
	w.attend(w.message("+35799000002", "canary written", inbound))
	w.message("+35799000003", "canary "+strings.Repeat("long ", 1000), nil)
	w.must(w.messages.KeepProviderID(ctx, acct, channelID, "wamid.canary", taken))
	w.must(w.messages.OpenWindow(ctx, acct, w.keyer.Key(acct, channelID, anna), w.clock.Now().Add(time.Hour)))
	for _, address := range []string{anna, "+35799000002"} {
		recipientID, err := w.store.Ensure(ctx, acct, address)
		w.must(err)
		r, err := w.store.Get(ctx, acct, recipientID)
		w.must(err)
		_, err = w.store.OptOut(ctx, r, channelID, audittest.By(acct))
		w.must(err)
	}
	entered, err := w.ids.New("rcp_")
	w.must(err)
	_, err = w.store.Create(ctx, recipient.Recipient{AccountID: acct, ID: entered, Addresses: []string{"canary@example.com"}, Name: "Canary"}, audittest.By(acct))
	w.must(err)
}

// left is what is still there of an account, by key.
func (w *closing) left(accountID string) []string {
	w.t.Helper()
	var found []string
	for _, table := range []string{w.tables[0], w.tables[1], w.tables[5]} {
		out, err := w.env.DynamoDB.Scan(w.t.Context(), &dynamodb.ScanInput{TableName: &table})
		w.must(err)
		for _, it := range out.Items {
			pk, sk := attr.Text(it, "pk"), attr.Text(it, "sk")
			if strings.HasPrefix(pk, accountID+"#") || strings.HasPrefix(pk, "chn_") && strings.Contains(plain(it["account_id"])+plain(it["ak"]), accountID) {
				found = append(found, pk+"/"+sk)
			}
		}
	}
	return found
}

// nothing of the account is left: messages, conversations, recipients, channels, credentials. What waited was canceled
// and never sent, its sender is free, another account is untouched.
func TestAClosedAccountIsPurged(t *testing.T) {
	t.Parallel()
	w := newClosing(t, 0)
	w.full()
	w.close()
	c := w.until(account.Closed)
	if left := w.left(acct); len(left) != 0 {
		t.Errorf("still there: %v", left)
	}
	if c.Conversations != 3 || c.Canceled != 2 || c.PurgedAt.IsZero() {
		t.Errorf("purged %+v", c)
	}
	certified := w.purged(c)
	if want := (evidence.ClosureCounts{Channels: 2, Conversations: 3, Messages: 4, MessagesCanceled: 2, RecipientRecords: c.Records}); certified.Purged != want || c.Records < 5 || certified.ConfirmedAt != nil {
		t.Errorf("certified is %+v", certified)
	}
	if sender, err := w.registry.TakeSender(t.Context(), "edna", "chn_0000000another00"); err != nil || sender.ID != "1001" {
		t.Errorf("the sender is not free: %v", err)
	}
	if _, err := w.channels.Get(t.Context(), "chn_0000000another00"); err != nil {
		t.Errorf("another account's channel: %v", err)
	}
	if st, err := w.accounts.Standing(t.Context(), acct, true); err != nil || len(st.Restrictions) != 1 {
		t.Errorf("a closed account is restricted by %v, %v", st.Restrictions, err)
	}
	// A message whose reference was still in the queue is found by the second look.
	w.message(anna, "canary late", nil)
	w.clock.Pass(12 * time.Hour)
	w.work(recipient.Reference{AccountID: acct, ErasureID: recipient.WholeAccount})
	if left := w.left(acct); len(left) != 0 {
		t.Errorf("after the second look: %v", left)
	}
	if !w.work(recipient.Reference{AccountID: acct, ErasureID: recipient.WholeAccount}) {
		t.Error("the job does not end")
	}
	c, err := w.accounts.Closure(t.Context(), acct)
	w.must(err)
	if certified := w.purged(c); certified.ConfirmedAt == nil || certified.Purged.Conversations != 4 || certified.Purged.Channels != 2 {
		t.Errorf("after the second look certified is %+v", certified)
	}
}

// purged is what the certificate of a closed account says, which names nobody.
func (w *closing) purged(c account.Closure) evidence.Closure {
	w.t.Helper()
	out, err := evidence.VerifyClosure(signtest.Keys("a"), c.Certificate)
	if err != nil || out.AccountID != acct || !out.PurgedAt.Equal(c.PurgedAt.Truncate(time.Millisecond)) {
		w.t.Errorf("the certificate: %v: %+v", err, out)
	}
	d, err := signtest.Keys("a").Verify(c.Certificate)
	if err != nil || strings.Contains(string(d.Payload), "canary") || strings.Contains(string(d.Payload), "user_7") {
		w.t.Errorf("%v: it names somebody: %s", err, d.Payload)
	}
	return out
}

// a message that a dispatcher has in hand is waited for, and its conversation stays until then.
func TestThePurgeWaitsForWhatIsInHand(t *testing.T) {
	t.Parallel()
	w := newClosing(t, 0)
	m := w.message(anna, "canary in hand", nil)
	g, e := w.admit(m)
	w.close()
	w.until(account.Purging)
	for range 5 {
		w.work(recipient.Reference{AccountID: acct, ErasureID: recipient.WholeAccount})
		w.clock.Pass(time.Second)
	}
	if w.get(m).Status() != message.Queued {
		t.Error("a message in hand was taken")
	}
	w.sent(m, g, e)
	w.until(account.Closed)
	if left := w.left(acct); len(left) != 0 {
		t.Errorf("still there: %v", left)
	}
}

// a purge that dies at any of its writes goes on where it was, and leaves nothing.
func TestAPurgeThatDiesAnywhereEndsAllTheSame(t *testing.T) {
	t.Parallel()
	for at := 1; ; at++ {
		w := newClosing(t, at)
		w.full()
		w.close()
		if c := w.until(account.Closed); w.purged(c).Purged.Channels != 2 {
			t.Errorf("killed at write %d: certified is %+v", at, w.purged(c))
		}
		if left := w.left(acct); len(left) != 0 {
			t.Errorf("killed at write %d: still there: %v", at, left)
		}
		if w.kills.n < at {
			if at < 20 {
				t.Errorf("a purge has %d writes only", w.kills.n)
			}
			return // it was not killed any more
		}
	}
}
