package main

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/rules"
)

// publish publishes a version that comes into force in some time.
func (s *stack) publish(name string, in time.Duration, mode rules.Mode) {
	s.t.Helper()
	s.must(s.rules.Publish(s.t.Context(), rules.Version{
		Version: name, EffectiveAt: s.clock().Add(in), Mode: mode, Documents: []rules.Document{{ID: "rules", Version: name, SHA256: "ab", URL: "https://example.com"}},
	}, audittest.ByOperator()))
	s.advance(rules.CurrentAge)
}

func (s *stack) acceptances(accountID string) []rules.Acceptance {
	s.t.Helper()
	list, _, err := s.rules.Acceptances(context.WithoutCancel(s.t.Context()), accountID, attr.Page{Size: 10})
	s.must(err)
	return list
}

// a message goes under the Rules that are in force when it is sent, and says which.
func TestAMessageSaysUnderWhichRulesItWent(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	body := `{"channel_id":"` + s.channel.ID + `","to":"+35799123456","content":{"type":"text","text":"x"}}`
	sent := ""
	send := func(what string, status int, version string) {
		t.Helper()
		a := s.call(testAccount, http.MethodPost, "/v1/messages", body)
		if a.status != status {
			t.Fatalf("%s: %d %s", what, a.status, a.body)
		}
		if status == http.StatusForbidden {
			if p := a.problem(t); p.Code != "rules_not_accepted" {
				t.Errorf("%s: %s", what, a.body)
			}
			return
		}
		m := a.message(t)
		if m.RulesVersion != version {
			t.Errorf("%s: it went under %q, want %q", what, m.RulesVersion, version)
		}
		if sent == "" {
			sent = m.ID
		}
	}
	s.publish("2026-11-25", time.Minute, rules.Notice)
	s.publish("2026-11-26", 2*time.Minute, rules.Explicit)
	send("before the new version is in force", http.StatusAccepted, testRules)
	if n := len(s.acceptances(testAccount)); n != 1 {
		t.Errorf("%d acceptances before it is in force", n)
	}
	s.advance(time.Minute)
	if refused := s.call(testAccount, http.MethodPost, "/v1/messages", `{"channel_id":"`+s.channel.ID+`","to":"nobody","content":{"type":"text","text":"x"}}`); refused.status != http.StatusUnprocessableEntity || len(s.acceptances(testAccount)) != 1 {
		t.Errorf("a refused message: %d, %d acceptances", refused.status, len(s.acceptances(testAccount)))
	}
	send("once it is", http.StatusAccepted, "2026-11-25")
	list := s.acceptances(testAccount)
	if len(list) != 2 || !slices.ContainsFunc(list, func(a rules.Acceptance) bool {
		return a.Kind == rules.ByUse && a.RulesVersion == "2026-11-25" && a.UserID != "" && a.Documents[0].SHA256 == "ab"
	}) {
		t.Errorf("recorded is %+v", list)
	}
	s.advance(time.Minute)
	send("with a version that is to be accepted expressly", http.StatusForbidden, "")
	if m := s.get(sent); m.RulesVersion != testRules {
		t.Errorf("what was sent before is under %q now", m.RulesVersion)
	}
	s.must(s.rules.Accept(t.Context(), rules.Acceptance{ID: "acc_z", AccountID: testAccount, RulesVersion: "2026-11-26", Capacity: rules.Self, UserID: "u", At: s.clock()}, audittest.By(testAccount)))
	send("once it is accepted", http.StatusAccepted, "2026-11-26")
}

// notice binds only those who accepted before.
func TestNoticeBindsNobodyWhoNeverAccepted(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.publish("2026-11-24", -time.Minute, rules.Notice)
	a := s.call("acct_new", http.MethodPost, "/v1/messages", `{"channel_id":"`+s.channel.ID+`","to":"+35799123456","content":{"type":"text","text":"x"}}`)
	if a.status != http.StatusForbidden || a.problem(t).Code != "rules_not_accepted" || len(s.acceptances("acct_new")) != 0 {
		t.Errorf("%d %s, %d acceptances", a.status, a.body, len(s.acceptances("acct_new")))
	}
}

// acceptance by use costs the first message two writes, and no other message anything.
func TestAcceptanceByUseIsPaidOnce(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.dispatch(s.send("warm").ID) // there is a gate then
	s.publish("2026-11-24", -time.Minute, rules.Notice)
	s.counter.Reset()
	s.send("the first under the new version")
	if got := s.counter.Report().Total.WriteUnits; got != 3 {
		t.Errorf("the first message took %v write units", got)
	}
	s.counter.Reset()
	s.send("the second")
	s.counter.Reset()
	s.send("the third")
	if got := s.counter.Report().Total; !asCharged(got, awsclient.Usage{Requests: 3, WriteUnits: 1, ReadUnits: 1.5}) {
		t.Errorf("a later message took %+v", got)
	}
}

// the categories of prohibited uses are shown, and nothing that is sent is looked through for them.
func TestProhibitedUsesFilterNothing(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	uses := []rules.ProhibitedUse{{ID: "spam", Title: "Messages to people who did not agree"}, {ID: "fraud", Title: "Deception: phishing, false identity"}, {ID: "malware", Title: "Harmful software"}}
	s.must(s.rules.Publish(t.Context(), rules.Version{Version: "2026-11-24", EffectiveAt: s.clock().Add(-time.Minute), Mode: rules.Notice, ProhibitedUses: uses}, audittest.ByOperator()))
	s.advance(rules.CurrentAge)
	for _, u := range uses {
		for _, text := range []string{u.ID, u.Title} {
			if m := s.send(text); m.Content.Text != text {
				t.Errorf("%q became %q", text, m.Content.Text)
			}
		}
	}
}
