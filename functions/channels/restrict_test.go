package main

import (
	"testing"
	"time"

	"contactcenter/shared/audit"
	"contactcenter/shared/restriction"
)

// restrict puts a restriction of acct_1 into force.
func (w *world) restrict(t *testing.T, r restriction.Restriction) {
	t.Helper()
	if _, err := w.accounts.Get(t.Context(), "acct_1"); err != nil {
		t.Fatal(err)
	}
	r.AccountID, r.Reason, r.Clause, r.From = "acct_1", "Spam was reported.", "13", w.clock.Now()
	e := audit.Event{AccountID: "acct_1", Actor: audit.Actor{Kind: audit.Operator, ID: "op"}, Action: "restriction.created", Target: r.ID}
	if err := w.accounts.Restrict(t.Context(), r, e); err != nil {
		t.Fatal(err)
	}
}

// a blocked account neither creates nor activates channels; reading, renaming, deactivating and deleting go on.
// what was active before is as it was when the block has ended, and what was not is not.
func TestABlockedAccountNeitherCreatesNorActivatesAndItsChannelsStayAsTheyWere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	user := w.User("acct_1", "user_7")
	active, inactive := w.create(t, user), w.create(t, user)
	user.Do("POST", "/v1/channels/"+active+"/activate", confirmation).Want(t, "activate", 200, "")
	w.restrict(t, restriction.Restriction{ID: "rst_0123456789abcdef", Kind: restriction.Block, Until: w.clock.Now().Add(time.Hour)})
	create := user.Do("POST", "/v1/channels", `{"provider_id":"edna","name":"More"}`).Want(t, "create", 403, "account_restricted")
	if create.Text("restriction_id") != "rst_0123456789abcdef" || create.Text("detail") != "Clause 13: Spam was reported." {
		t.Errorf("the answer is %s", create.Body)
	}
	user.Do("POST", "/v1/channels/"+inactive+"/activate", confirmation).Want(t, "activate", 403, "account_restricted")
	w.User("acct_2", "user_9").Do("POST", "/v1/channels", `{"provider_id":"edna","name":"Other"}`).Want(t, "another account creates", 201, "")
	for id, status := range map[string]string{active: "active", inactive: "inactive"} {
		if got := user.Get("/v1/channels/"+id).Want(t, "read", 200, "").Text("status"); got != status {
			t.Errorf("%s is %s while blocked, want %s", id, got, status)
		}
	}
	user.Do("PATCH", "/v1/channels/"+inactive, `{"name":"Renamed"}`).Want(t, "rename", 200, "")
	w.clock.Pass(time.Hour)
	for id, status := range map[string]string{active: "active", inactive: "inactive"} {
		if got := user.Get("/v1/channels/"+id).Want(t, "read", 200, "").Text("status"); got != status {
			t.Errorf("%s is %s after the block, want %s", id, got, status)
		}
	}
	user.Do("POST", "/v1/channels/"+inactive+"/activate", confirmation).Want(t, "activate after the block", 200, "")
}

// on a blocked provider no channel is made or activated.
func TestOnABlockedProviderNoChannelIsMadeOrActivated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	user := w.User("acct_1", "user_7")
	had := w.create(t, user)
	w.restrict(t, restriction.Restriction{ID: "rst_0000000000000001", Kind: restriction.Block, Scope: restriction.Scope{ProviderID: "pigeon"}})
	user.Do("POST", "/v1/channels/"+had+"/activate", confirmation).Want(t, "activate where another provider is blocked", 200, "")
	user.Do("POST", "/v1/channels/"+had+"/deactivate", "").Want(t, "deactivate", 200, "")
	w.restrict(t, restriction.Restriction{ID: "rst_0000000000000002", Kind: restriction.Block, Scope: restriction.Scope{ProviderID: "edna"}})
	user.Do("POST", "/v1/channels/"+had+"/activate", confirmation).Want(t, "activate", 403, "account_restricted")
	user.Do("POST", "/v1/channels", `{"provider_id":"edna","name":"More"}`).Want(t, "create", 403, "account_restricted")
}

// who may not activate does not have it done either.
func TestABlockedAccountGivesNoInstructionToActivate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	user := w.User("acct_1", "user_7")
	channelID := w.create(t, user)
	w.restrict(t, restriction.Restriction{ID: "rst_0123456789abcdef", Kind: restriction.Block, Until: w.clock.Now().Add(time.Hour)})
	path := "/v1/channels/" + channelID + "/activation-instructions"
	user.Do("POST", path, "").Want(t, "instruct while blocked", 403, "account_restricted")
	w.clock.Pass(time.Hour)
	user.Do("POST", path, "").Want(t, "instruct afterwards", 201, "")
}

// a blocked channel can be deactivated, and not activated again; another can.
func TestABlockedChannelIsNotActivatedAndAnotherIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	user := w.User("acct_1", "user_7")
	blocked, free := w.create(t, user), w.create(t, user)
	user.Do("POST", "/v1/channels/"+blocked+"/activate", confirmation).Want(t, "activate", 200, "")
	w.restrict(t, restriction.Restriction{ID: "rst_0123456789abcdef", Kind: restriction.Block, Scope: restriction.Scope{ChannelID: blocked}})
	user.Do("POST", "/v1/channels/"+blocked+"/deactivate", "").Want(t, "deactivate", 200, "")
	user.Do("POST", "/v1/channels/"+blocked+"/activate", confirmation).Want(t, "activate the blocked one", 403, "account_restricted")
	user.Do("POST", "/v1/channels/"+free+"/activate", confirmation).Want(t, "activate another", 200, "")
}
