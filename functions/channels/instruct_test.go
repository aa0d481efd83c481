package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"contactcenter/shared/api"
	"contactcenter/shared/api/apitest"
	"contactcenter/shared/audit"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/restriction"
	"contactcenter/shared/rules"
)

const activations = "/v1/operator/activations"

// redemption is the operator's request with a token and what is in force.
func redemption(token string) string {
	return strings.Replace(confirmation, "{", `{"instruction":"`+token+`",`, 1)
}

func instructed(t *testing.T, user apitest.Client, channelID, body string) apitest.Answer {
	t.Helper()
	return user.Do("POST", "/v1/channels/"+channelID+"/activation-instructions", body).Want(t, "instruct", 201, "")
}

// an operator with a valid instruction activates that channel once, in the customer's name, and the log says so.
func TestAnOperatorFollowsAnInstructionOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	user, op := w.User("acct_1", "user_7"), w.Operator()
	channelID := w.create(t, user)
	given := instructed(t, user, channelID, "")
	wantMembers(t, "the instruction", given, map[string]any{"channel_id": channelID, "expires_at": "2026-11-24T11:00:00.000Z"})
	token := given.Text("instruction")

	a := op.Do("POST", activations, redemption(token)).Want(t, "follow", 200, "")
	wantMembers(t, "the answer", a, map[string]any{"channel_id": channelID, "instruction_id": given.Text("id"), "status": "active", "activated_by": "user_7", "activated_at": "2026-11-24T10:00:00.000Z"})
	wantMembers(t, "the customer's view", user.Get("/v1/channels/"+channelID), map[string]any{"status": "active", "activated_by": "user_7"})

	user.Do("POST", "/v1/channels/"+channelID+"/deactivate", "").Want(t, "deactivate", 200, "")
	op.Do("POST", activations, redemption(token)).Want(t, "replay", 403, "forbidden")
	wantMembers(t, "after the replay", user.Get("/v1/channels/"+channelID), map[string]any{"status": "inactive"})

	var activated []audit.Event
	for _, e := range audittest.Of(t, w.channels.Audit, "acct_1") {
		if e.Action == "channel.activated" {
			activated = append(activated, e)
		}
	}
	if len(activated) != 1 {
		t.Fatalf("the log has %d activations", len(activated))
	}
	e := activated[0]
	if e.InstructionID != given.Text("id") || e.Actor != (audit.Actor{Kind: audit.Operator, ID: "op_1"}) || e.After["activated_by"] != "user_7" ||
		e.RulesVersion != "2026-11-01" || e.Target != channelID || e.RequestID != "req-1" || e.SourceIP != "192.0.2.7" {
		t.Errorf("the log says %+v", e)
	}
}

// used, expired, withdrawn, altered and invented instructions get one answer, and nothing happens.
func TestAnInstructionThatIsNotGoodGetsOneAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	user, op := w.User("acct_1", "user_7"), w.Operator()
	first, second, deleted := w.create(t, user), w.create(t, user), w.create(t, user)
	token := func(channelID string) string {
		return instructed(t, user, channelID, `{"expires_in_seconds":60}`).Text("instruction")
	}

	used := token(second)
	op.Do("POST", activations, redemption(used)).Want(t, "follow", 200, "")
	withdrawn := instructed(t, user, first, `{}`)
	user.Do("DELETE", "/v1/channels/"+first+"/activation-instructions/"+withdrawn.Text("id"), "").Want(t, "withdraw", 204, "")
	user.Do("DELETE", "/v1/channels/"+first+"/activation-instructions/"+withdrawn.Text("id"), "").Want(t, "withdraw again", 204, "")
	gone := token(deleted)
	user.Do("DELETE", "/v1/channels/"+deleted, "").Want(t, "delete", 204, "")
	good, expired := token(first), token(first)
	calls := len(w.edna.seen())

	bad := map[string]string{
		"used": used, "withdrawn": withdrawn.Text("instruction"), "of a deleted channel": gone, "invented": "x", "of the right form": first + ".ins_0000000000000000." + strings.Repeat("A", 43),
		"moved to another channel": strings.Replace(good, first, second, 1), "cut": good[:len(good)-1], "longer": good + "A",
		"an id": withdrawn.Text("id"), "a user's token": "eyJhbGciOiJSUzI1NiJ9.e30.x",
	}
	var answer string
	check := func(name, token string) {
		t.Helper()
		a := op.Do("POST", activations, redemption(token)).Want(t, name, 403, "forbidden")
		if answer == "" {
			answer = a.Body
		}
		if a.Body != answer {
			t.Errorf("%s is told\n%s, others\n%s", name, a.Body, answer)
		}
	}
	for name, token := range bad {
		check(name, token)
	}
	w.clock.Pass(time.Minute)
	check("expired", expired)
	if n := len(w.edna.seen()); n != calls {
		t.Errorf("the provider was called %d times", n-calls)
	}
	wantMembers(t, "afterwards", user.Get("/v1/channels/"+first), map[string]any{"status": "inactive"})
	op.Do("POST", activations, redemption("")).Want(t, "an empty one", 422, "invalid_request")
	op.Do("POST", activations, confirmation).Want(t, "none", 422, "invalid_request")
}

// what is not confirmed as it is in force, or not accepted, or not usable, leaves the instruction as it is.
func TestARefusalThatIsNotAboutTheInstructionLeavesItUsable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	user, op := w.User("acct_1", "user_7"), w.Operator()
	channelID := w.create(t, user)
	token := instructed(t, user, channelID, `{}`).Text("instruction")
	old := strings.Replace(redemption(token), "2026-01", "2025-01", 1)
	a := op.Do("POST", activations, old).Want(t, "other terms", 409, "confirmation_outdated")
	if a.Text("provider_terms_version") != "2026-01" {
		t.Errorf("the problem does not say what is in force: %s", a.Body)
	}
	op.Do("POST", activations, strings.Replace(redemption(token), `["DE","CY"]`, `["CY"]`, 1)).Want(t, "fewer countries", 409, "confirmation_outdated")
	op.Do("POST", activations, strings.Replace(redemption(token), "{", `{"force":true,`, 1)).Want(t, "more than that", 422, "invalid_request")

	next := version()
	next.Version, next.EffectiveAt = "2026-11-24", w.clock.Now()
	w.publish(t, next)
	w.clock.Pass(6 * time.Second)
	newer := strings.Replace(redemption(token), "2026-11-01", "2026-11-24", 1)
	op.Do("POST", activations, newer).Want(t, "Rules that the account did not accept", 403, "rules_not_accepted")
	w.accept(t, rules.Acceptance{ID: "acc_new", AccountID: "acct_1", RulesVersion: "2026-11-24", Capacity: rules.Self, At: w.clock.Now()})

	e := ednaEntry()
	e.Status = registry.Disabled
	w.put(t, e)
	w.clock.Pass(registry.CacheAge)
	op.Do("POST", activations, newer).Want(t, "a disabled provider", 409, "provider_disabled")
	w.put(t, ednaEntry())
	w.clock.Pass(registry.CacheAge)
	w.edna.failWith(fmt.Errorf("no answer"))
	op.Do("POST", activations, newer).Want(t, "a provider that does not answer", 503, "provider_unavailable")
	w.edna.failWith(nil)
	wantMembers(t, "before", user.Get("/v1/channels/"+channelID), map[string]any{"status": "inactive"})
	op.Do("POST", activations, newer).Want(t, "at last", 200, "")
}

// no operator's credential activates by any route, and no customer's follows an instruction.
func TestEachKindOfTokenHasItsOwnWayToActivate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	user := w.User("acct_1", "user_7")
	channelID := w.create(t, user)
	token := instructed(t, user, channelID, `{}`).Text("instruction")
	one := "/v1/channels/" + channelID
	every := []string{"operator", "channels:activate", "channels:write", "channels:read", "account:write"}
	for name, c := range map[string]struct {
		who          *api.Principal
		method, path string
		status       int
	}{
		"an operator activates":                           {&api.Principal{UserID: "op", Operator: true, Scopes: every}, "POST", one + "/activate", 403},
		"an operator instructs":                           {&api.Principal{UserID: "op", Operator: true, Scopes: every}, "POST", one + "/activation-instructions", 403},
		"an operator withdraws":                           {&api.Principal{UserID: "op", Operator: true, Scopes: every}, "DELETE", one + "/activation-instructions/ins_0000000000000000", 403},
		"a customer follows":                              {&api.Principal{UserID: "u", AccountID: "acct_1", Scopes: every}, "POST", activations, 403},
		"a customer who claims to be an operator follows": {&api.Principal{UserID: "u", AccountID: "acct_1", Operator: true, Scopes: every}, "POST", activations, 403},
		"an operator without the scope follows":           {&api.Principal{UserID: "op", Scopes: every[1:]}, "POST", activations, 403},
		"nobody follows":                                  {nil, "POST", activations, 401},
		"nobody instructs":                                {nil, "POST", one + "/activation-instructions", 401},
		"a user without the permission instructs":         {&api.Principal{UserID: "u", AccountID: "acct_1", Scopes: every[2:]}, "POST", one + "/activation-instructions", 403},
		"another account instructs":                       {&api.Principal{UserID: "u", AccountID: "acct_2", Scopes: every}, "POST", one + "/activation-instructions", 404},
		"another account withdraws":                       {&api.Principal{UserID: "u", AccountID: "acct_2", Scopes: every}, "DELETE", one + "/activation-instructions/ins_0000000000000000", 404},
	} {
		body := confirmation
		switch {
		case c.path == activations:
			body = redemption(token)
		case !strings.HasSuffix(c.path, "/activate"):
			body = ""
		}
		w.As(c.who).Do(c.method, c.path, body).Want(t, name, c.status, "")
	}
	wantMembers(t, "afterwards", user.Get(one), map[string]any{"status": "inactive"})
	w.Operator().Do("POST", activations, redemption(token)).Want(t, "the instruction is still good", 200, "")
}

// the same Idempotency-Key gives no second instruction, and no token a second time.
func TestARepeatedInstructionHasNoToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	user := w.User("acct_1", "user_7")
	channelID := w.create(t, user)
	keyed := user.With("Idempotency-Key", "k1")
	first := instructed(t, keyed, channelID, "")
	again := instructed(t, keyed, channelID, "")
	if first.Text("instruction") == "" || again.Text("instruction") != "" || again.Text("id") != first.Text("id") || again.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("first\n%s, then\n%s", first.Body, again.Body)
	}
	w.Operator().Do("POST", activations, redemption(first.Text("instruction"))).Want(t, "the first token", 200, "")
}

func TestInstructionsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	user := w.User("acct_1", "user_7")
	channelID := w.create(t, user)
	path := "/v1/channels/" + channelID + "/activation-instructions"
	for _, body := range []string{`{"expires_in_seconds":0}`, `{"expires_in_seconds":-1}`, `{"expires_in_seconds":604801}`, `{"expires_in_seconds":1.5}`, `{"expires_in_seconds":"60"}`, `{"expires_in_seconds":null}`} {
		if a := user.Do("POST", path, body).Want(t, body, 422, "invalid_request"); a.Field() != "expires_in_seconds" {
			t.Errorf("%s: the problem is about %q", body, a.Field())
		}
	}
	user.Do("POST", path, `{"channel_id":"chn_1"}`).Want(t, "an unknown field", 422, "invalid_request")
	a := user.Do("POST", path, `{"expires_in_seconds":604800}`).Want(t, "a week", 201, "")
	wantMembers(t, "a week", a, map[string]any{"expires_at": "2026-12-01T10:00:00.000Z"})
	for _, name := range []string{"ins_0000000000000000", "x", a.Text("instruction")} {
		user.Do("DELETE", path+"/"+name, "").Want(t, "withdraw "+name, 404, "not_found")
	}
	w.Operator().Do("POST", activations, redemption(a.Text("instruction"))).Want(t, "follow", 200, "")
	user.Do("DELETE", path+"/"+a.Text("id"), "").Want(t, "withdraw what was followed", 409, "conflict")
}

// a provider that is disabled or removed and then enabled again leaves every channel as its customer had it, and an
// instruction that came before lets nothing become active by itself.
func TestAProvidersReturnActivatesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	user := w.User("acct_1", "user_7")
	active, never, deactivated := w.create(t, user), w.create(t, user), w.create(t, user)
	for _, c := range []string{active, deactivated} {
		user.Do("POST", "/v1/channels/"+c+"/activate", confirmation).Want(t, "activate", 200, "")
	}
	user.Do("POST", "/v1/channels/"+deactivated+"/deactivate", "").Want(t, "deactivate", 200, "")
	instructed(t, user, never, `{}`)
	before := len(audittest.Of(t, w.channels.Audit, "acct_1"))
	for _, status := range []registry.Status{registry.Disabled, registry.Removed} {
		for _, st := range []registry.Status{status, registry.Enabled} {
			e := ednaEntry()
			e.Status = st
			w.put(t, e)
			w.clock.Pass(registry.CacheAge)
		}
		for id, want := range map[string]string{active: "active", never: "inactive", deactivated: "inactive"} {
			wantMembers(t, "after "+string(status), user.Get("/v1/channels/"+id), map[string]any{"status": want})
		}
	}
	if n := len(audittest.Of(t, w.channels.Audit, "acct_1")); n != before {
		t.Errorf("the log has %d more events of the account", n-before)
	}
}

// a block stops an instruction as it stops a user, and its end activates nothing by itself.
func TestABlockStopsAnInstructionAndItsEndActivatesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	user, op := w.User("acct_1", "user_7"), w.Operator()
	channelID := w.create(t, user)
	token := instructed(t, user, channelID, `{"expires_in_seconds":604800}`).Text("instruction")
	w.restrict(t, restriction.Restriction{ID: "rst_0123456789abcdef", Kind: restriction.Block, Until: w.clock.Now().Add(time.Hour)})
	op.Do("POST", activations, redemption(token)).Want(t, "while it is blocked", 403, "account_restricted")
	w.clock.Pass(2 * time.Hour)
	wantMembers(t, "afterwards", user.Get("/v1/channels/"+channelID), map[string]any{"status": "inactive"})
	op.Do("POST", activations, redemption(token)).Want(t, "the instruction is still good", 200, "")
}
