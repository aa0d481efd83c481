package main

import (
	"strings"
	"testing"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/provider/registry"
)

// allow sets the account's list, as another function does, and brings its terms to the gate.
func (s *stack) allow(countries ...string) {
	s.t.Helper()
	other := &account.Store{DB: s.accounts.DB, Table: s.accounts.Table, Now: s.clock, DefaultPlanID: "demo", Audit: s.accounts.Audit}
	_, err := other.SetCountries(s.t.Context(), testAccount, countries, audittest.By(testAccount))
	s.must(err)
	terms, err := other.Terms(s.t.Context(), testAccount, true)
	s.must(err)
	s.must(s.h.Gates.Bring(s.t.Context(), testAccount, terms))
}

// R-4.1c: from the moment on at which an account's list holds, what would take data elsewhere is refused at intake, one by one and in a
// batch, and nothing of it is queued. The provider of these tests takes data to CY and DE.
func TestWhereTheAccountLetsNoDataGoNothingIsAccepted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		allowed []string
		outside string // "": it is accepted
	}{
		"no list":              {nil, ""},
		"the provider's alone": {[]string{"DE", "CY"}, ""},
		"more than those":      {[]string{"CY", "DE", "FR"}, ""},
		"one of them":          {[]string{"CY"}, "to DE"},
		"none of them":         {[]string{"US"}, "to CY, DE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			sent := s.send("x") // account and provider are in memory now
			s.dispatch(sent.ID)
			s.queued()
			s.allow(c.allowed...)
			wantRefused := func(what, field string, p api.Problem) {
				t.Helper()
				if p.Status != 422 || p.Code != api.CodeCountryNotAllowed || p.FaultDomain != api.FaultCustomer || len(p.Errors) != 1 || p.Errors[0].Field != field || !strings.HasSuffix(p.Errors[0].Detail, c.outside) {
					t.Errorf("%s: %+v", what, p)
				}
			}
			one := s.call(testAccount, "POST", "/v1/messages", s.text("x"))
			answer := s.call(testAccount, "POST", "/v1/messages", `{"conversation_id":"`+sent.ConversationID+`","content":{"type":"text","text":"x"}}`)
			several := s.call(testAccount, "POST", "/v1/messages/batch", batchOf(s.text("x"))).results(t)
			if c.outside == "" {
				if one.status != 202 || answer.status != 202 || several[0].Message == nil {
					t.Fatalf("%d %s, %d %s, %+v", one.status, one.body, answer.status, answer.body, several)
				}
				return
			}
			wantRefused("alone", "channel_id", one.problem(t))
			wantRefused("in a conversation", "conversation_id", answer.problem(t))
			wantRefused("in a batch", "channel_id", *several[0].Problem)
			if n := len(s.queued()); n != 0 {
				t.Errorf("%d are queued", n)
			}
			if a := s.call(testAccount, "GET", "/v1/messages/"+sent.ID, ""); a.status != 200 {
				t.Errorf("reading gives %d", a.status)
			}
			s.allow()
			if a := s.call(testAccount, "POST", "/v1/messages", s.text("x")); a.status != 202 {
				t.Errorf("without the list: %d %s", a.status, a.body)
			}
		})
	}
}

// R-4.1c: of an account that has sent nothing yet too, whatever is in memory of it.
func TestTheListHoldsAtOnceForAnAccountThatHasSentNothing(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	if a := s.call(testAccount, "POST", "/v1/messages", s.textTo("+357", "x", "")); a.status != 422 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	s.allow("US")
	if a := s.call(testAccount, "POST", "/v1/messages", s.text("x")); a.status != 422 || a.problem(t).Code != api.CodeCountryNotAllowed {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// R-4.1c: what a provider has just given up is not held against it.
func TestAProviderThatLeftACountryJustNowIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.send("x")
	s.allow("CY")
	other := &registry.Store{DB: s.registry.DB, Table: s.registry.Table, Now: s.clock, Audit: s.registry.Audit}
	_, err := other.Put(t.Context(), registry.Entry{ID: "edna", Name: "edna", Status: registry.Enabled, ChannelTypes: []string{"whatsapp"}, TransferCountries: []string{"CY"}}, audittest.ByOperator())
	s.must(err)
	if a := s.call(testAccount, "POST", "/v1/messages", s.text("x")); a.status != 202 {
		t.Errorf("%d %s", a.status, a.body)
	}
}
