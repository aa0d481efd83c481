//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// restrict puts a restriction of the account into force, and gives its id.
func (a *account) restrict(s *stack, body map[string]any) string {
	a.t.Helper()
	body["reason"] = "Spam was reported."
	if body["clause"] == nil {
		body["clause"] = "13"
	}
	got := s.operator(a.t).call(a.t, http.MethodPost, "/v1/operator/accounts/"+a.id+"/restrictions", body)
	var made struct {
		ID     string `json:"id"`
		Status string `json:"status"`
	}
	if err := json.Unmarshal(got.body, &made); err != nil || got.status != http.StatusCreated || made.Status != "active" {
		a.t.Fatalf("restrict: %v", got)
	}
	return made.ID
}

func (a *account) lift(s *stack, restrictionID string) {
	a.t.Helper()
	if got := s.operator(a.t).call(a.t, http.MethodDelete, "/v1/operator/restrictions/"+restrictionID, nil); got.status != http.StatusNoContent {
		a.t.Fatalf("lift: %v", got)
	}
}

// while 50 messages wait the account is blocked: the provider hears nothing more, and everything but sending goes
// on. When the block is lifted all of them go, once each and in their order.
func TestABlockHoldsWhatWaitsAndLiftingLetsItGoOnceInOrder(t *testing.T) {
	t.Parallel()
	const waiting = 50
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 1000, Rate: 2, Burst: 2})
	before := s.lastCall(t)
	to := person()
	var ids []string
	for i := range waiting {
		ids = append(ids, a.send(order(ch, to, text(fmt.Sprintf("text %d %s", i, unique(""))))).ID)
	}
	rst := a.restrict(s, map[string]any{"kind": "block"})
	time.Sleep(5 * time.Second)
	called := len(s.sendsBy(t, ch.sender(t), before))
	p := a.call(t, http.MethodPost, "/v1/messages", order(ch, to, text(unique("text ")))).refused(t, http.StatusForbidden, "account_restricted")
	if p.RestrictionID != rst || !strings.Contains(p.Detail, "Spam was reported.") {
		t.Errorf("the refusal is %+v", p)
	}
	a.call(t, http.MethodPost, "/v1/channels", map[string]any{"provider_id": "edna", "name": "more"}).refused(t, http.StatusForbidden, "account_restricted")
	a.call(t, http.MethodPost, "/v1/channels/"+ch.ID+"/activate", a.confirmations(a.message(ids[0]).RulesVersion)).refused(t, http.StatusForbidden, "account_restricted")
	s.inbound(t, inbound{SenderID: ch.sender(t), From: to, Text: "still there?"})
	last := a.until(ids[waiting-1], 60*time.Second, "held", status("held"))
	wait(t, 20*time.Second, func() (bool, string) {
		list := a.messages("conversation_id=" + last.ConversationID)
		return slices.ContainsFunc(list, func(m message) bool { return m.Direction == "inbound" }), "the reply is not there"
	})
	if got := a.call(t, http.MethodGet, "/v1/channels/"+ch.ID, nil); !strings.Contains(string(got.body), `"status":"active"`) {
		t.Errorf("the channel while blocked: %v", got)
	}
	if u := a.usage(); len(u.Restrictions) != 1 {
		t.Errorf("usage shows the restrictions %v", u.Restrictions)
	}
	if n := len(s.sendsBy(t, ch.sender(t), before)); n != called {
		t.Errorf("%d calls 5 s after the block, %d a while later", called, n)
	}
	if called >= waiting {
		t.Fatal("all were sent before the block: the test shows nothing")
	}
	a.setPlan(s, plan{Limit: 1000})
	a.lift(s, rst)
	for _, id := range ids {
		a.until(id, 90*time.Second, "read", status("read"))
	}
	var went []string
	for _, c := range s.sendsBy(t, ch.sender(t), before) {
		if c.Accepted {
			went = append(went, c.RequestID)
		}
	}
	if !slices.Equal(went, ids) {
		t.Errorf("they were handed over as %v, want %v", went, ids)
	}
	a.untilUsed(30*time.Second, waiting)
}

// a block of one channel leaves another alone.: it ends by itself, and what it held goes.
func TestABlockOfOneChannelLeavesAnotherAloneAndEndsByItself(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 100})
	other := a.channel()
	a.send(order(other, person(), text(unique("text "))))
	until := time.Now().Add(25 * time.Second)
	rst := a.restrict(s, map[string]any{"kind": "block", "scope": map[string]any{"channel_id": ch.ID}, "until": timestamp{until}})
	p := a.call(t, http.MethodPost, "/v1/messages", order(ch, person(), text(unique("text ")))).refused(t, http.StatusForbidden, "account_restricted")
	if p.RestrictionID != rst {
		t.Errorf("the refusal is %+v", p)
	}
	m := a.send(order(other, person(), text(unique("text "))))
	a.until(m.ID, 20*time.Second, "read", status("read"))
	time.Sleep(time.Until(until))
	after := a.send(order(ch, person(), text(unique("text "))))
	a.until(after.ID, 20*time.Second, "read", status("read"))
}

// a blocked account appeals, is told what the operator says to that, and sends again when the block is lifted.
func TestARestrictionIsAppealedAndLifted(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 100})
	op := s.operator(t)
	rst := a.restrict(s, map[string]any{"kind": "block", "scope": map[string]any{"provider_id": "edna"}})
	a.call(t, http.MethodPost, "/v1/messages", order(ch, person(), text(unique("text ")))).refused(t, http.StatusForbidden, "account_restricted")
	path := "/v1/account/restrictions/" + rst + "/appeals"
	made := decode[appeal](t, a.call(t, http.MethodPost, path, map[string]any{"text": "It was not us."}), http.StatusCreated)
	a.call(t, http.MethodPost, path, map[string]any{"text": "Again."}).refused(t, http.StatusConflict, "conflict")
	if got := decode[appeal](t, op.call(t, http.MethodGet, "/v1/operator/appeals/"+made.ID, nil), http.StatusOK); got.Statement != "It was not us." || got.RestrictionID != rst || got.AccountID != a.id {
		t.Errorf("the operator reads %+v", got)
	}
	decode[appeal](t, op.call(t, http.MethodPatch, "/v1/operator/appeals/"+made.ID, map[string]any{"status": "accepted", "reason": "You are right."}), http.StatusOK)
	own := decode[list[appeal]](t, a.call(t, http.MethodGet, path, nil), http.StatusOK)
	if len(own.Items) != 1 || own.Items[0].Status != "accepted" || own.Items[0].Reason != "You are right." || own.Items[0].Statement != "" {
		t.Errorf("the account reads %+v", own)
	}
	if got := op.call(t, http.MethodDelete, "/v1/operator/restrictions/"+rst, nil); got.status != http.StatusNoContent {
		t.Fatal(got)
	}
	a.until(a.send(order(ch, person(), text(unique("text ")))).ID, 20*time.Second, "read", status("read"))
}

type appeal struct {
	ID            string     `json:"id"`
	AccountID     string     `json:"account_id"`
	RestrictionID string     `json:"restriction_id"`
	Status        string     `json:"status"`
	Statement     string     `json:"statement"`
	Reason        string     `json:"reason"`
	CreatedBy     string     `json:"created_by"`
	CreatedAt     timestamp  `json:"created_at"`
	UpdatedAt     *timestamp `json:"updated_at"`
}

// the restriction's number holds in place of the plan's, in usage, in the 429 and for what is handed over;
// what is held goes when it is lifted.
func TestALowerLimitThanThePlansHoldsUntilItIsLifted(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 100})
	rst := a.restrict(s, map[string]any{"kind": "limit", "limit": 2, "clause": "8"})
	for range 2 {
		a.until(a.send(order(ch, person(), text(unique("text ")))).ID, 20*time.Second, "read", status("read"))
	}
	u := a.untilUsed(20*time.Second, 2)
	if u.Limit != 2 || u.LimitRestrictionID != rst || u.PlanLimit == nil || *u.PlanLimit != 100 || len(u.ThresholdReachedAt) != 2 {
		t.Errorf("usage is %+v", u)
	}
	p := a.call(t, http.MethodPost, "/v1/messages", order(ch, person(), text(unique("text ")))).refused(t, http.StatusTooManyRequests, "usage_limit_reached")
	if *p.Limit != 2 || *p.Used != 2 || p.RestrictionID != rst || !p.ResetsAt.Equal(u.ResetsAt.Time) {
		t.Errorf("the refusal is %+v, usage %+v", p, u)
	}
	m := a.send(order(ch, person(), text(unique("text ")), "on_limit", "hold"))
	a.until(m.ID, 30*time.Second, "held", status("held"))
	a.lift(s, rst)
	a.until(m.ID, 60*time.Second, "read", status("read"))
	if u := a.untilUsed(20*time.Second, 3); u.Limit != 100 || len(u.Restrictions) != 0 {
		t.Errorf("after lifting, usage is %+v", u)
	}
}

// a block of one recipient refuses what is for them on any channel, holds what waits, and leaves others alone.
func TestABlockOfOneRecipientLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 100})
	blocked, other := person(), person()
	got := a.call(t, http.MethodPost, "/v1/recipients", map[string]any{"addresses": []string{blocked}})
	var recipient struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(got.body, &recipient); err != nil || got.status != http.StatusCreated {
		t.Fatalf("make a recipient: %v", got)
	}
	s.behave(t, ch.sender(t), map[string]any{"delay_ms": 4000})
	var waiting []string
	for range 8 { // one after the other: some wait when the block comes
		waiting = append(waiting, a.send(order(ch, blocked, text(unique("text ")))).ID)
	}
	rst := a.restrict(s, map[string]any{"kind": "block", "scope": map[string]any{"recipient_id": recipient.ID}, "clause": "9"})
	s.behave(t, ch.sender(t), nil)
	p := a.call(t, http.MethodPost, "/v1/messages", order(ch, blocked, text(unique("text ")))).refused(t, http.StatusForbidden, "account_restricted")
	if p.RestrictionID != rst {
		t.Errorf("the refusal is %+v", p)
	}
	a.until(a.send(order(ch, other, text(unique("text ")))).ID, 30*time.Second, "read", status("read"))
	last := waiting[len(waiting)-1]
	a.until(last, 60*time.Second, "held", status("held"))
	a.lift(s, rst)
	for _, id := range waiting {
		a.until(id, 90*time.Second, "read", status("read"))
		acceptedOnce(t, s.callsFor(t, id))
	}
}

// a number for one channel holds there, and another channel of the account goes on.
func TestALimitOfOneChannelHoldsThereOnly(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 100})
	other := a.channel()
	rst := a.restrict(s, map[string]any{"kind": "limit", "limit": 2, "scope": map[string]any{"channel_id": ch.ID}, "clause": "8"})
	for range 2 {
		a.until(a.send(order(ch, person(), text(unique("text ")))).ID, 30*time.Second, "read", status("read"))
	}
	m := a.until(a.send(order(ch, person(), text(unique("text ")))).ID, 30*time.Second, "rejected", status("rejected"))
	if m.code() != "usage_limit_reached" {
		t.Errorf("the third is %v", m)
	}
	held := a.send(order(ch, person(), text(unique("text ")), "on_limit", "hold"))
	a.until(held.ID, 30*time.Second, "held", status("held"))
	a.until(a.send(order(other, person(), text(unique("text ")))).ID, 30*time.Second, "read", status("read"))
	a.lift(s, rst)
	a.until(held.ID, 60*time.Second, "read", status("read"))
	a.untilUsed(30*time.Second, 4)
}
