//go:build e2e

package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

//
func TestSendersOfThePoolAreGivenToOneChannelEach(t *testing.T) {
	t.Parallel()
	const pool, wanted = 10, 25
	s := ownStack(t, nil)
	var mu sync.Mutex
	holders := map[string]string{}
	active := map[string]*account{}
	unavailable := 0
	var all sync.WaitGroup
	for range wanted {
		a := newAccount(t, s, plan{Limit: 10})
		version := a.accept().Version
		confirmations := a.confirmations(version)
		all.Go(func() {
			got := a.call(t, http.MethodPost, "/v1/channels", map[string]any{"provider_id": "edna", "name": "one of many"})
			if got.status == http.StatusCreated {
				id := decode[channel](t, got, http.StatusCreated).ID
				got = a.call(t, http.MethodPost, "/v1/channels/"+id+"/activate", confirmations)
			}
			mu.Lock()
			defer mu.Unlock()
			if got.status == http.StatusConflict {
				got.refused(t, http.StatusConflict, "sender_unavailable")
				unavailable++
				return
			}
			ch := decode[channel](t, got, http.StatusOK)
			if other, taken := holders[ch.Address]; taken {
				t.Errorf("%s was given to %s and to %s", ch.Address, other, ch.ID)
			}
			holders[ch.Address] = ch.ID
			active[ch.ID] = a
		})
	}
	all.Wait()
	if len(holders) != pool || unavailable != wanted-pool {
		t.Fatalf("%d channels have a sender, %d were refused; want %d and %d", len(holders), unavailable, pool, wanted-pool)
	}
	// A deleted channel gives its sender back, once.
	for id, a := range active {
		for range 2 {
			if got := a.call(t, http.MethodDelete, "/v1/channels/"+id, nil); got.status != http.StatusNoContent && got.status != http.StatusNotFound {
				t.Errorf("%v", got)
			}
		}
		a.call(t, http.MethodGet, "/v1/channels/"+id, nil).refused(t, http.StatusNotFound, "channel_not_found")
		a.call(t, http.MethodPost, "/v1/messages", order(channel{ID: id}, person(), text(unique("text ")))).refused(t, http.StatusNotFound, "channel_not_found")
		break
	}
	a := newAccount(t, s, plan{Limit: 10})
	ch := a.channel()
	a.until(a.send(order(ch, person(), text(unique("text ")))).ID, 20*time.Second, "read", status("read"))
	b := newAccount(t, s, plan{Limit: 10})
	b.accept()
	got := b.call(t, http.MethodPost, "/v1/channels", map[string]any{"provider_id": "edna", "name": "one too many"})
	if got.status == http.StatusCreated {
		got = b.call(t, http.MethodPost, "/v1/channels/"+decode[channel](t, got, http.StatusCreated).ID+"/activate", b.confirmations(b.accept().Version))
	}
	got.refused(t, http.StatusConflict, "sender_unavailable")
	if _, taken := holders[ch.Address]; !taken {
		t.Errorf("%s is none of the pool's addresses", ch.Address)
	}
}

func TestDeactivatedChannelSendsNothing(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 100, Rate: 1, WindowSeconds: 3, Burst: 1})
	first := a.send(order(ch, person(), text(unique("text "))))
	waiting := a.send(order(ch, person(), text(unique("text "))))
	a.until(first.ID, 20*time.Second, "read", status("read"))
	if got := decode[channel](t, a.call(t, http.MethodPost, "/v1/channels/"+ch.ID+"/deactivate", nil), http.StatusOK); got.Status != "inactive" {
		t.Errorf("%+v", got)
	}
	a.call(t, http.MethodPost, "/v1/messages", order(ch, person(), text(unique("text ")))).refused(t, http.StatusConflict, "channel_inactive")
	got := a.until(waiting.ID, 30*time.Second, "final", message.final)
	if got.Status == "rejected" && got.code() != "channel_inactive" || got.Status != "rejected" && !got.taken() {
		t.Errorf("a message that waited when its channel was deactivated: %v", got)
	}
	// Renamed, and active again.
	if got := decode[channel](t, a.call(t, http.MethodPatch, "/v1/channels/"+ch.ID, map[string]any{"name": "another name"}), http.StatusOK); got.Name != "another name" || got.Status != "inactive" {
		t.Errorf("%+v", got)
	}
	if got := decode[channel](t, a.call(t, http.MethodPost, "/v1/channels/"+ch.ID+"/activate", a.confirmations(first.RulesVersion)), http.StatusOK); got.Status != "active" || got.Address != ch.Address {
		t.Errorf("%+v", got)
	}
	wait(t, 10*time.Second, func() (bool, string) { // others may have seen the channel inactive for five seconds more
		m := a.send(order(ch, person(), text(unique("text "))))
		return a.until(m.ID, 30*time.Second, "final", message.final).taken(), "still inactive: " + m.String()
	})
}

//
func TestNewRulesMustBeAcceptedAnew(t *testing.T) {
	t.Parallel()
	s := ownStack(t, nil)
	a, ch := ready(t, s, plan{Limit: 100})
	first := a.send(order(ch, person(), text(unique("text "))))
	a.until(first.ID, 20*time.Second, "read", status("read"))
	current := decode[rules](t, a.call(t, http.MethodGet, "/v1/rules/current", nil), http.StatusOK)
	published := map[string]any{
		"version": "2026-11-20", "effective_at": "2026-11-20T00:00:00.000Z", "documents": current.Documents,
		"prohibited_uses": current.ProhibitedUses,
	}
	if got := s.operator(t).call(t, http.MethodPost, "/v1/operator/rules", published); got.status != http.StatusCreated {
		t.Fatal(got)
	}
	wait(t, time.Minute, func() (bool, string) {
		now := decode[rules](t, a.call(t, http.MethodGet, "/v1/rules/current", nil), http.StatusOK)
		return now.Version == "2026-11-20", "the new version is not in force"
	})
	wait(t, time.Minute, func() (bool, string) {
		got := a.call(t, http.MethodPost, "/v1/messages", order(ch, person(), text(unique("text "))))
		return got.status == http.StatusForbidden && got.problem(t).Code == "rules_not_accepted", "sent without acceptance: " + got.String()
	})
	// What was sent can be read, replies come in, and a user may end it.
	before := a.messages("conversation_id=" + first.ConversationID)
	reply := unique("Reply ")
	s.inbound(t, inbound{SenderID: ch.sender(t), From: digits(first.To), Text: reply})
	wait(t, 20*time.Second, func() (bool, string) {
		return len(a.messages("conversation_id="+first.ConversationID)) == len(before)+1, "the reply is not there"
	})
	a.accept()
	m := a.send(order(ch, person(), text(unique("text "))))
	if m.RulesVersion != "2026-11-20" {
		t.Errorf("%v", m)
	}
	a.until(m.ID, 20*time.Second, "read", status("read"))
	old := decode[rules](t, a.call(t, http.MethodGet, "/v1/rules/"+current.Version, nil), http.StatusOK)
	if old.Version != current.Version {
		t.Errorf("%+v", old)
	}
}

func TestUnknownAccountHasTheDemoPlan(t *testing.T) {
	t.Parallel()
	awayFromPeriodsEnd(t, "month")
	s := common.shared
	c := s.user(t, unique("acct_"), "user_1", allScopes)
	u := decode[usage](t, c.call(t, http.MethodGet, "/v1/usage", nil), http.StatusOK)
	if u.PlanID != "demo" || u.Limit != 1000 || u.Used != 0 || u.Remaining != 1000 || u.Rate.Limit != 20 || u.Rate.WindowSeconds != 1 || u.Restrictions == nil || u.ResetsAt.Before(time.Now()) || u.Period != time.Now().UTC().Format("2006-01") {
		t.Errorf("%+v", u)
	}
}

// an operator activates by a customer's instruction alone: that channel, once, in the customer's name. The
// token does nothing else, and nothing twice.
func TestAnInstructionActivatesOneChannelOnce(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 10})
	operator := s.operator(t)
	activate := func(body map[string]any) *answer {
		return operator.call(t, http.MethodPost, "/v1/operator/activations", body)
	}
	var told struct {
		ID          string    `json:"id"`
		ChannelID   string    `json:"channel_id"`
		Instruction string    `json:"instruction"`
		ExpiresAt   timestamp `json:"expires_at"`
	}
	instruct := func(seconds int) map[string]any {
		t.Helper()
		got := a.call(t, http.MethodPost, "/v1/channels/"+ch.ID+"/activation-instructions", map[string]any{"expires_in_seconds": seconds})
		if err := strictly(got.body, &told); err != nil || got.status != http.StatusCreated || told.ChannelID != ch.ID || told.Instruction == "" {
			t.Fatalf("%v %v", err, got)
		}
		body := a.confirmations(a.accept().Version)
		body["instruction"] = told.Instruction
		return body
	}
	state := func() channel {
		return decode[channel](t, a.call(t, http.MethodGet, "/v1/channels/"+ch.ID, nil), http.StatusOK)
	}
	a.call(t, http.MethodPost, "/v1/channels/"+ch.ID+"/deactivate", nil)

	// Withdrawn, and expired.
	withdrawn := instruct(3600)
	if got := a.call(t, http.MethodDelete, "/v1/channels/"+ch.ID+"/activation-instructions/"+told.ID, nil); got.status != http.StatusNoContent {
		t.Error(got)
	}
	activate(withdrawn).refused(t, http.StatusForbidden, "forbidden")
	late := instruct(1)
	wait(t, 5*time.Second, func() (bool, string) { return time.Now().After(told.ExpiresAt.Add(10 * time.Millisecond)), "not yet" })
	activate(late).refused(t, http.StatusForbidden, "forbidden")
	if got := state(); got.Status != "inactive" {
		t.Errorf("%+v", got)
	}

	// It is no token for anything else, whoever holds it.
	good := instruct(3600)
	token := good["instruction"].(string)
	for _, path := range []string{"/v1/channels/" + ch.ID + "/activate", "/v1/channels/" + ch.ID + "/deactivate"} {
		if got := (&caller{s, token}).call(t, http.MethodPost, path, a.confirmations("x")); got.status != http.StatusUnauthorized {
			t.Errorf("the instruction as a token: %v", got)
		}
		if got := operator.call(t, http.MethodPost, path, good); got.status != http.StatusUnauthorized && got.status != http.StatusForbidden {
			t.Errorf("the operator with an instruction: %v", got)
		}
	}
	other := maps.Clone(good)
	other["channel_id"] = "chn_0000000000000000"
	activate(other).refused(t, http.StatusUnprocessableEntity, "invalid_request")
	outdated := maps.Clone(good)
	outdated["transfer_countries"] = []string{"AQ"}
	activate(outdated).refused(t, http.StatusConflict, "confirmation_outdated")
	if got := state(); got.Status != "inactive" {
		t.Errorf("%+v", got)
	}

	// Once.
	if got := activate(good); got.status != http.StatusOK {
		t.Fatal(got)
	}
	if got := state(); got.Status != "active" || got.ActivatedBy != "user_1" {
		t.Errorf("%+v", got)
	}
	a.call(t, http.MethodPost, "/v1/channels/"+ch.ID+"/deactivate", nil)
	activate(good).refused(t, http.StatusForbidden, "forbidden")
	if got := state(); got.Status != "inactive" {
		t.Errorf("after a replay: %+v", got)
	}
}

// a version that provides for it is accepted by the first message after its date, once.
func TestRulesOfWhichThereWasNoticeAreAcceptedByUse(t *testing.T) {
	t.Parallel()
	s := ownStack(t, nil)
	a, ch := ready(t, s, plan{Limit: 10_000})
	current := decode[rules](t, a.call(t, http.MethodGet, "/v1/rules/current", nil), http.StatusOK)
	in := time.Now().Add(8 * time.Second)
	published := map[string]any{
		"version": "2026-11-21", "effective_at": in.UTC().Format(timestampForm), "acceptance": "notice", "documents": current.Documents, "prohibited_uses": current.ProhibitedUses,
	}
	if got := s.operator(t).call(t, http.MethodPost, "/v1/operator/rules", published); got.status != http.StatusCreated {
		t.Fatal(got)
	}
	if m := a.send(order(ch, person(), text(unique("text ")))); time.Now().Before(in) && m.RulesVersion != current.Version {
		t.Errorf("before its date: %v", m)
	}
	wait(t, time.Minute, func() (bool, string) {
		m := a.send(order(ch, person(), text(unique("text "))))
		return m.RulesVersion == "2026-11-21", "still under the old version: " + m.RulesVersion
	})
	a.send(order(ch, person(), text(unique("text "))))
	type acceptance struct {
		RulesVersion string `json:"rules_version"`
		Kind         string `json:"kind"`
		AcceptedBy   string `json:"accepted_by"`
		Capacity     string `json:"capacity"`
	}
	var list struct {
		Items []acceptance `json:"items"`
	}
	if err := json.Unmarshal(a.call(t, http.MethodGet, "/v1/rules/acceptances", nil).body, &list); err != nil {
		t.Fatal(err)
	}
	want := acceptance{"2026-11-21", "use", "user_1", "self"}
	if len(list.Items) != 2 || !slices.Contains(list.Items, want) {
		t.Errorf("acceptances are %+v", list.Items)
	}
	stranger := newAccount(t, s, plan{Limit: 10})
	stranger.call(t, http.MethodPost, "/v1/messages", order(ch, person(), text("x"))).refused(t, http.StatusForbidden, "rules_not_accepted")
}

// there are eight categories of prohibited use, and a message that says one of them goes like any other.
func TestProhibitedUsesAreShownAndFilterNothing(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 100})
	uses := decode[struct {
		Version string `json:"version"`
		Items   []struct {
			ID    string `json:"id"`
			Title string `json:"title"`
		} `json:"items"`
	}](t, (&caller{stack: s}).call(t, http.MethodGet, "/v1/rules/current/prohibited-uses", nil), http.StatusOK)
	if len(uses.Items) != 8 || uses.Version == "" {
		t.Errorf("%+v", uses)
	}
	for _, use := range uses.Items {
		for _, what := range []string{use.ID, use.Title} {
			m := a.send(order(ch, person(), text(what)))
			if read := a.until(m.ID, 20*time.Second, "read", status("read")); read.Content.Text == nil || *read.Content.Text != what || read.ContentSHA256 != sha(what) {
				t.Errorf("%q became %v", what, read)
			}
			if calls := s.callsFor(t, m.ID); len(calls) != 1 {
				t.Errorf("%q: %d calls of the provider", what, len(calls))
			}
		}
	}
}
