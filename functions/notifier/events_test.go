package main

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/channel"
	"contactcenter/shared/claim"
	"contactcenter/shared/content"
	"contactcenter/shared/endpoint"
	"contactcenter/shared/event"
	"contactcenter/shared/id"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/restriction"
	"contactcenter/shared/rules"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
	"contactcenter/shared/usage"
)

// What only some events may carry, and what none may.
const (
	words      = "the words of the message"
	address    = "+35799123456"
	credential = "a sealed credential"
	privately  = "what only the operator reads"
)

// known is one resource of each kind of acct_1's, by the kind.
type known map[string]string

// real gives the notifier the resources as they are kept, instead of the test's own.
func (w *world) real() known {
	w.t.Helper()
	ctx, now, db := w.t.Context(), w.clock.Now, w.env.DynamoDB
	messages, channels := w.env.Table(ctx, awstest.MessagesTable()), w.env.Table(ctx, awstest.ChannelsTable())
	gates, complaints := w.env.Table(ctx, awstest.UsageTable()), w.env.Table(ctx, awstest.ComplaintsTable())
	v := &views{
		messages:  &message.Store{DB: db, Table: messages, Retention: message.DefaultRetention, Sealer: sealtest.Sealer(seal.Content), Opener: sealtest.Opener(seal.Content)},
		channels:  &channel.Store{DB: db, Table: channels, Audit: w.log},
		providers: &registry.Store{DB: db, Table: channels, Now: now, Audit: w.log},
		health:    health.NewReader(&health.Store{DB: db, Table: gates}, now),
		endpoints: w.endpoints,
		accounts:  w.accounts, gates: &usage.Store{DB: db, Table: gates, Now: now},
		rules:    &rules.Store{DB: db, Table: w.accounts.Table, Now: now, Audit: w.log},
		evidence: &claim.Requests{DB: db, Table: complaints, Now: now, Audit: w.log}, baseURL: "https://contact.example.com", now: now,
	}
	w.Resources = v

	must := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	mid, err := id.Source{Now: now, Random: rand.Reader}.NewMessage("0123456789abcdef")
	must(err)
	m := message.Message{
		AccountID: "acct_1", ID: mid, Direction: message.Outbound, ChannelID: "chn_1", ProviderID: "telegram", Address: address, OnLimit: message.Reject,
		Content: content.Content{Type: content.TypeText, Text: words}, ClientReference: "order 7", RulesVersion: "2026-12-01", CreatedBy: "user_1", Outcome: message.Queued,
	}
	m.ContentSHA256, err = m.Content.SHA256()
	must(err)
	must(v.messages.(*message.Store).Create(ctx, m))
	must(v.channels.(*channel.Store).Create(ctx, channel.Channel{
		ID: "chn_0000000000000001", AccountID: "acct_1", ProviderID: "telegram", Type: "telegram", Name: "Orders", Address: "@orders", Status: channel.Inactive,
		SealedCredentials: []byte(credential), Settings: map[string]string{"hidden": privately}, CreatedAt: now(), CreatedBy: "user_1",
	}, audittest.By("acct_1")))
	_, err = v.providers.(*registry.Store).Put(ctx, registry.Entry{
		ID: "telegram", Name: "Telegram", LegalEntity: "Telegram FZ-LLC", Website: "https://telegram.org", Onboarding: registry.OwnAccount, ChannelTypes: []string{"telegram"},
		TransferCountries: []string{"AE"}, TermsVersion: "1", Status: registry.Enabled, Documents: []registry.Document{{Title: "Terms", URL: "https://telegram.org/tos"}},
		CredentialFields: []registry.CredentialField{{Name: "bot_token", Kind: "secret"}},
	}, audittest.ByOperator())
	must(err)
	must(v.rules.(*rules.Store).Publish(ctx, rules.Version{
		Version: "2026-12-01", EffectiveAt: noon.Add(7 * 24 * time.Hour), Documents: []rules.Document{{ID: "rules", Version: "2", SHA256: strings.Repeat("a", 64)}},
	}, audittest.ByOperator()))
	w.accounts.Audit = w.log
	by := audittest.ByOperator()
	by.AccountID, by.Action, by.Target = "acct_1", "restriction.created", "rst_0000000000000001"
	must(w.accounts.Restrict(ctx, restriction.Restriction{
		ID: by.Target, AccountID: "acct_1", Kind: restriction.Block, Reason: "Messages without consent", Clause: "11", From: now(), CreatedBy: privately,
	}, by))
	_, err = v.evidence.(*claim.Requests).Open(ctx, claim.Evidence{ID: "evr_0000000000000001", AccountID: "acct_1", Reason: "Show that they agreed", DueAt: noon.Add(24 * time.Hour)}, audittest.ByOperator())
	must(err)
	terms, err := w.accounts.Terms(ctx, "acct_1", true)
	must(err)
	must(v.gates.(*usage.Store).Create(ctx, "acct_1", terms))
	return known{
		"message": mid.String(), "channel": "chn_0000000000000001", "provider": "telegram", "rules": "2026-12-01", "account": "rst_0000000000000001",
		"evidence": "evr_0000000000000001", "usage": "", "endpoint": w.create("acct_1", 0).ID,
	}
}

// members is what the data of an event about each kind of resource consists of: what its GET shows, and no more. A channel is shown
// without what is left to do by hand.
func members() map[string]string {
	return map[string]string{
		"message": "attempts channel_id client_reference content content_sha256 conversation_id created_at created_by direction id provider_id " +
			"rules_version status timeline to updated_at",
		"channel":  "address callback_url confirmation_required confirmations created_at health id name provider_id status type",
		"provider": "channel_types credential_fields documents health id legal_entity name onboarding since status terms_version transfer_countries website",
		"rules":    "acceptance documents effective_at prohibited_uses version",
		"account":  "clause from id kind reason scope",
		"endpoint": "created_at event_types id status url",
		"evidence": "account_id created_at due_at id overdue reason status updated_at",
		"usage":    "in_flight limit period plan_id rate remaining resets_at restrictions used",
	}
}

// an event of each type of the catalogue goes to those that it concerns and that asked for
// it: of one account to its endpoints, of everybody to those of every account; once, however often it is published. It shows what it is
// about as a GET does: content and a recipient's address only with the account's own message, a credential never.
func TestEachTypeOfEventGoesToWhoeverAskedForItWithItsResource(t *testing.T) {
	t.Parallel()
	for _, typ := range event.Types() {
		t.Run(string(typ), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			resource, ok := w.real()[typ.Resource()]
			if !ok {
				t.Fatalf("no resource of the kind %s", typ.Resource())
			}
			only, _ := event.SetOf(string(typ))
			others := event.Set(0)
			for i, name := range event.All.Names() {
				if name != string(typ) {
					others |= 1 << i
				}
			}
			asks, silent, second, stopped := w.create("acct_1", only), w.create("acct_1", others), w.create("acct_2", event.All), w.create("acct_1", event.All)
			if _, err := w.endpoints.Stop(t.Context(), stopped, endpoint.Failing); err != nil {
				t.Fatal(err)
			}
			accountID := "acct_1"
			if typ.OfEverybody() {
				accountID = ""
			}
			e := event.New(typ, accountID, resource, noon, "")
			for range 3 { // as often as it is published
				w.invoke(e)
				for _, one := range w.published() {
					w.invoke(one)
				}
				w.work()
			}
			want := map[string]int{asks.ID: 1, silent.ID: 0, second.ID: 0, stopped.ID: 0}
			if typ.OfEverybody() {
				want[second.ID] = 1
			}
			for _, ep := range []endpoint.Endpoint{asks, silent, second, stopped} {
				got := w.to(ep)
				if len(got) != want[ep.ID] {
					t.Errorf("the endpoint %s of %s was sent %d, want %d", ep.ID, ep.AccountID, len(got), want[ep.ID])
				}
				for _, s := range got {
					w.check(s, e, ep.AccountID)
				}
			}
		})
	}
}

// published gives the events that the notifier published itself since the last call, as their queue would.
func (w *world) published() []event.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.events
	w.events = nil
	return list
}

// check compares what was sent with the event that it is of.
func (w *world) check(s sending, e event.Event, accountID string) {
	w.t.Helper()
	if e.AccountID == "" {
		e = e.For(accountID)
	}
	if s.eventID != e.ID || s.body["type"] != string(e.Type) || s.body["account_id"] != accountID || s.body["timestamp"] != "2026-11-24T12:00:00.000Z" || len(s.body) != 4 || len(s.secrets) != 1 {
		w.t.Errorf("sent %+v", s)
	}
	data, _ := s.body["data"].(map[string]any)
	if got, want := strings.Join(slices.Sorted(maps.Keys(data)), " "), members()[e.Type.Resource()]; got != want {
		w.t.Errorf("its data has\n%s, want\n%s", got, want)
	}
	if name := map[string]string{"rules": "version", "usage": ""}[e.Type.Resource()]; name != "" && data[name] != e.Resource || e.Type.Resource() != "rules" && e.Resource != "" && data["id"] != e.Resource {
		w.t.Errorf("it is about %v, want %s", data, e.Resource)
	}
	raw, err := json.Marshal(s.body)
	if err != nil {
		w.t.Fatal(err)
	}
	for what, own := range map[string]bool{words: e.Type.Resource() == "message", address: e.Type.Resource() == "message", credential: false, privately: false} {
		if strings.Contains(string(raw), what) != own {
			w.t.Errorf("%q is in the event: %v\n%s", what, !own, raw)
		}
	}
}

// What is not there any more, or is another account's, is not sent.
func TestAnEventAboutWhatIsGoneOrSomebodyElsesIsNotSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	resources := w.real()
	own, foreign := w.create("acct_1", event.All), w.create("acct_2", event.All)
	for _, typ := range []event.Type{event.MessageSent, event.ChannelUpdated, event.AccountRestricted, event.EvidenceRequested} {
		w.invoke(event.New(typ, "acct_2", resources[typ.Resource()], noon, ""))
		w.invoke(event.New(typ, "acct_1", resources[typ.Resource()][:4]+"0000000000000009", noon, ""))
	}
	w.invoke(event.New(event.SubprocessorAdded, "acct_1", "nobody", noon, ""), event.New(event.RulesPublished, "acct_1", "2020", noon, ""))
	w.work()
	if n, m := len(w.to(own)), len(w.to(foreign)); n+m != 0 {
		t.Errorf("%d were sent to the account, %d to another: %+v", n, m, w.sent)
	}
}
