package main

import (
	"testing"

	"contactcenter/shared/api"
	"contactcenter/shared/audit"
	"contactcenter/shared/message"
	"contactcenter/shared/restriction"
	"contactcenter/shared/usage"
)

// restrict puts a restriction into force, and its terms to the gate, as the operator's function does.
func (s *stack) restrict(r restriction.Restriction) {
	s.t.Helper()
	ctx := s.t.Context()
	r.AccountID, r.Reason, r.Clause, r.From = testAccount, "Spam was reported.", "13", s.clock()
	e := audit.Event{AccountID: testAccount, Actor: audit.Actor{Kind: audit.Operator, ID: "op"}, Action: "restriction.created", Target: r.ID}
	s.must(s.accounts.Restrict(ctx, r, e))
	s.adopt()
}

func (s *stack) lift(restrictionID string) {
	s.t.Helper()
	e := audit.Event{AccountID: testAccount, Actor: audit.Actor{Kind: audit.Operator, ID: "op"}, Action: "restriction.lifted", Target: restrictionID}
	_, _, err := s.accounts.Lift(s.t.Context(), restrictionID, "op", e)
	s.must(err)
	s.adopt()
}

// adopt brings the terms of now to the gate.
func (s *stack) adopt() {
	s.t.Helper()
	ctx := s.t.Context()
	terms, err := s.accounts.Terms(ctx, testAccount, true)
	s.must(err)
	g, err := s.h.Gates.Read(ctx, testAccount, true)
	s.must(err)
	_, err = s.h.Gates.AdoptTerms(ctx, g, terms)
	s.must(err)
}

// a blocked account, and a blocked channel, get 403 with the reason, also for a bad address, and can still read.
func TestWhatIsBlockedCannotBeSent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scope  func(s *stack) restriction.Scope
		status int
	}{
		"the account": {func(*stack) restriction.Scope { return restriction.Scope{} }, 403},
		"the channel": {func(s *stack) restriction.Scope { return restriction.Scope{ChannelID: s.channel.ID} }, 403},
		"the recipient": {func(s *stack) restriction.Scope {
			rcp, err := s.recipients.Ensure(s.t.Context(), testAccount, testAddress)
			s.must(err)
			return restriction.Scope{RecipientID: rcp}
		}, 403},
		"the provider":     {func(*stack) restriction.Scope { return restriction.Scope{ProviderID: "edna"} }, 403},
		"another provider": {func(*stack) restriction.Scope { return restriction.Scope{ProviderID: "pigeon"} }, 202},
		"the channel by another provider": {func(s *stack) restriction.Scope {
			return restriction.Scope{ProviderID: "pigeon", ChannelID: s.channel.ID}
		}, 202},
		"another recipient": {func(*stack) restriction.Scope { return restriction.Scope{RecipientID: "rcp_zzzzzzzzzzzzzzzz"} }, 202},
		"another channel":   {func(*stack) restriction.Scope { return restriction.Scope{ChannelID: "chn_zzzzzzzzzzzzzzzz"} }, 202},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			sent := s.send("x")
			s.dispatch(sent.ID)
			s.restrict(restriction.Restriction{ID: "rst_0123456789abcdef", Kind: restriction.Block, Scope: c.scope(s)})
			a := s.call(testAccount, "POST", "/v1/messages", s.text("x"))
			if a.status != c.status {
				t.Fatalf("got %d %s", a.status, a.body)
			}
			if c.status != 403 {
				return
			}
			if p := a.problem(t); p.Code != api.CodeAccountRestricted || p.RestrictionID != "rst_0123456789abcdef" || p.Detail != "Clause 13: Spam was reported." {
				t.Errorf("got %+v", p)
			}
			if a := s.call(testAccount, "GET", "/v1/messages/"+sent.ID, ""); a.status != 200 {
				t.Errorf("reading gives %d", a.status)
			}
		})
	}
}

// the early 429 and the headers are those of the restriction's limit, and name it.
func TestTheEarlyRefusalIsByTheRestrictionsLimit(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	sent := s.send("x")
	s.dispatch(sent.ID)
	limit := int64(1)
	s.restrict(restriction.Restriction{ID: "rst_0123456789abcdef", Kind: restriction.Limit, Limit: &limit})
	g, err := s.h.Gates.Read(t.Context(), testAccount, true)
	s.must(err)
	if g.Used != 1 || g.Remaining != 0 {
		t.Fatalf("the gate is %+v", g)
	}
	var list []usage.Settlement
	for _, e := range g.Entries {
		list = append(list, usage.Settlement{Entry: e})
	}
	s.must(s.h.Gates.Settle(t.Context(), g, list))
	a := s.call(testAccount, "POST", "/v1/messages", s.text("y"))
	p := a.problem(t)
	if a.status != 429 || p.RestrictionID != "rst_0123456789abcdef" || *p.Limit != 1 || *p.Used != 1 {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

// what waits is shown as held from the moment of the block on, wherever it is in the line, and as before when it ends.
func TestWhatARestrictionKeepsIsShownAsHeld(t *testing.T) {
	t.Parallel()
	for name, scope := range map[string]func(s *stack) restriction.Scope{
		"the account":  func(*stack) restriction.Scope { return restriction.Scope{} },
		"the channel":  func(s *stack) restriction.Scope { return restriction.Scope{ChannelID: s.channel.ID} },
		"the provider": func(*stack) restriction.Scope { return restriction.Scope{ProviderID: "edna"} },
		"the recipient": func(s *stack) restriction.Scope {
			rcp, err := s.recipients.Ensure(s.t.Context(), testAccount, testAddress)
			s.must(err)
			return restriction.Scope{RecipientID: rcp}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			s.dispatch(s.send("makes the gate").ID)
			m := s.send("waits")
			s.restrict(restriction.Restriction{ID: "rst_0123456789abcdef", Kind: restriction.Block, Scope: scope(s)})
			if got := s.get(m.ID); got.Status != message.Held || got.HeldReason != message.HeldAccountRestricted {
				t.Errorf("it is %s for %q", got.Status, got.HeldReason)
			}
			s.lift("rst_0123456789abcdef")
			if got := s.get(m.ID); got.Status != message.Queued || got.HeldReason != "" {
				t.Errorf("afterwards it is %s for %q", got.Status, got.HeldReason)
			}
		})
	}
}
