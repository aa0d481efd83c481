package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/api/apitest"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
)

// toy is the adapter of a provider that is used with an account of one's own. It takes one token.
type toy struct {
	provider.Adapter
	mu      sync.Mutex
	checked []string
	down    bool
	// known tells whether the URL's channel is stored; closed: the provider does not register URLs.
	known  func(channelID string) bool
	closed bool
}

const goodToken = "canary-token-good"

func (a *toy) Connect(_ context.Context, ch provider.Channel, callbackURL string) (provider.Connection, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.checked = append(a.checked, ch.Credentials["token"])
	switch {
	case a.down:
		return provider.Connection{}, &provider.Error{Kind: provider.Retry, Code: "provider_unavailable", Fault: provider.FaultProvider}
	case ch.Credentials["token"] != goodToken:
		return provider.Connection{}, &provider.Error{Kind: provider.Credentials, Code: "credentials_invalid", Detail: "no such bot"}
	}
	return provider.Connection{Settings: map[string]string{"callback_url": callbackURL}, Address: "@toy"}, nil
}

// Subscribe registers the URL, as a provider does that calls it meanwhile.
func (a *toy) Subscribe(_ context.Context, ch provider.Channel, callbackURL string) (map[string]string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || ch.Credentials["token"] != goodToken || a.known != nil && !a.known(ch.ID) {
		return nil, &provider.Error{Kind: provider.Retry, Code: "provider_unavailable", Fault: provider.FaultProvider}
	}
	return map[string]string{"subscribed": callbackURL}, nil
}

// Setup tells what is left to do by hand.
func (*toy) Setup(ch provider.Channel, callbackURL string) []provider.SetupStep {
	if ch.Settings["subscribed"] == callbackURL {
		return nil
	}
	return []provider.SetupStep{{Title: "Enter the URL", Detail: "In the settings of " + ch.Address, Value: callbackURL}}
}

func toyEntry() registry.Entry {
	return registry.Entry{
		ID: "toy", Name: "Toy", LegalEntity: "Toy Ltd", Website: "https://toy.example", Onboarding: registry.OwnAccount, ChannelTypes: []string{"toy"},
		TransferCountries: []string{"CY"}, TermsVersion: "1", Status: registry.Enabled,
		CredentialFields: []registry.CredentialField{{Name: "bot", Kind: "text"}, {Name: "token", Kind: "secret"}},
	}
}

func ownAccount(bot, token string) string {
	return fmt.Sprintf(`{"provider_id":"toy","name":"Bot","credentials":{"bot":%q,"token":%q}}`, bot, token)
}

const toyConfirmation = `{"rules_version":"2026-11-01","provider_terms_version":"1","transfer_countries":["CY"]}`

//
func TestCredentialsAreCheckedFieldByField(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.put(t, toyEntry())
	unserved := toyEntry()
	unserved.ID = "telegram"
	w.put(t, unserved)
	user := w.User("acct_1", "user_7")
	for _, c := range []struct {
		name, body string
		status     int
		code       string
		fields     []string
	}{
		{"none", `{"provider_id":"toy","name":"n"}`, 422, "credentials_required", []string{"credentials"}},
		{"none, for a provider without an adapter", `{"provider_id":"telegram","name":"n"}`, 422, "credentials_required", []string{"credentials"}},
		{"an empty object", `{"provider_id":"toy","name":"n","credentials":{}}`, 422, "credentials_required", []string{"credentials"}},
		{"one of two", `{"provider_id":"toy","name":"n","credentials":{"bot":"b"}}`, 422, "credentials_required", []string{"credentials.token"}},
		{"an empty one", ownAccount("", goodToken), 422, "credentials_required", []string{"credentials.bot"}},
		{"one too many", `{"provider_id":"toy","name":"n","credentials":{"bot":"b","token":"t","extra":"canary"}}`, 422, "invalid_request", []string{"credentials.extra"}},
		{"one that is too long", ownAccount("b", strings.Repeat("canary", 2000)), 422, "invalid_request", []string{"credentials.token"}},
		{"no string", `{"provider_id":"toy","name":"n","credentials":{"bot":"b","token":7}}`, 422, "invalid_request", []string{"credentials.token"}},
	} {
		a := user.Do("POST", "/v1/channels", c.body).Want(t, c.name, c.status, c.code)
		var p struct{ Errors []struct{ Field string } }
		if err := json.Unmarshal([]byte(a.Body), &p); err != nil {
			t.Fatal(err)
		}
		var fields []string
		for _, e := range p.Errors {
			fields = append(fields, e.Field)
		}
		if strings.Join(fields, " ") != strings.Join(c.fields, " ") || strings.Contains(a.Body, "canary") {
			t.Errorf("%s: the problem is about %v\n%s", c.name, fields, a.Body)
		}
	}
	if list := user.Get("/v1/channels").JSON["items"].([]any); len(list) != 0 || len(w.toy.checked) != 0 {
		t.Errorf("refused requests left %v; the provider was asked %d times", list, len(w.toy.checked))
	}
}

// a wrong key is found out when it is entered.
func TestCredentialsThatTheProviderDoesNotTakeAreNotKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.put(t, toyEntry())
	user := w.User("acct_1", "user_7")
	a := user.Do("POST", "/v1/channels", ownAccount("b", "canary-wrong")).Want(t, "a wrong token", 409, "credentials_invalid")
	if !strings.Contains(a.Body, "no such bot") || strings.Contains(a.Body, "canary") {
		t.Errorf("the answer is %s", a.Body)
	}
	w.toy.down = true
	user.Do("POST", "/v1/channels", ownAccount("b", goodToken)).Want(t, "while the provider is down", 503, "provider_unavailable")
	if list := user.Get("/v1/channels").JSON["items"].([]any); len(list) != 0 {
		t.Errorf("refused requests left %v", list)
	}
}

// credentials are write-only, sealed for their account and channel, and nowhere else.
func TestCredentialsAreSealedAndNeverShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.put(t, toyEntry())
	user := w.User("acct_1", "user_7").With("Idempotency-Key", `"k-1"`)
	created := user.Do("POST", "/v1/channels", ownAccount("canary-bot", goodToken)).Want(t, "create", 201, "")
	again := user.Do("POST", "/v1/channels", ownAccount("canary-bot", goodToken)).Want(t, "again", 201, "")
	user = w.User("acct_1", "user_7")
	path := "/v1/channels/" + created.Text("id")
	answers := []apitest.Answer{created, again, user.Get(path), user.Get("/v1/channels"), user.Do("PATCH", path, `{"name":"x"}`),
		user.Do("PATCH", path, `{"name":"y","credentials":{"bot":"canary-other","token":"`+goodToken+`"}}`).Want(t, "replace", 200, "")}
	for i, a := range answers {
		if strings.Contains(a.Body, "canary") || strings.Contains(a.Body, "credential") || a.Status >= 300 {
			t.Errorf("answer %d is %d %s", i, a.Status, a.Body)
		}
	}
	if strings.Contains(w.log.String(), "canary") {
		t.Error("a credential was logged")
	}
	for _, e := range audittest.Of(t, w.channels.Audit, "acct_1") {
		if b, err := json.Marshal(e); err != nil || bytes.Contains(b, []byte("canary")) {
			t.Errorf("a credential is in the audit event %s, %v", e.Action, err)
		}
	}
	for _, table := range []string{w.rules.Table, w.channels.Table, w.channels.Audit.Table} {
		out, err := w.db.Scan(t.Context(), &dynamodb.ScanInput{TableName: &table})
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range out.Items {
			for name, v := range it {
				text := fmt.Sprintf("%v", v)
				if b, ok := v.(*types.AttributeValueMemberB); ok {
					text = string(b.Value)
				}
				if b, err := json.Marshal(v); err != nil || strings.Contains(text+string(b), "canary") {
					t.Errorf("a credential is in the attribute %s", name)
				}
			}
		}
	}
	c, err := w.channels.Get(t.Context(), created.Text("id"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.WithCredentials(sealtest.Opener(seal.Credentials))
	if err != nil || p.Credentials["bot"] != "canary-other" || p.Credentials["token"] != goodToken {
		t.Errorf("opened they have %d fields, %v", len(p.Credentials), err)
	}
	c.AccountID = "acct_2"
	if _, err := c.WithCredentials(sealtest.Opener(seal.Credentials)); err == nil {
		t.Error("they opened for another account")
	}
}

// other credentials end credentials_invalid, but only a user's activation makes the channel active again.
func TestOtherCredentialsDoNotActivate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.put(t, toyEntry())
	user := w.User("acct_1", "user_7")
	channelID := user.Do("POST", "/v1/channels", ownAccount("b", goodToken)).Want(t, "create", 201, "").Text("id")
	path := "/v1/channels/" + channelID
	replace := `{"credentials":{"bot":"b","token":"` + goodToken + `"}}`
	is := func(what, status string, a apitest.Answer) {
		t.Helper()
		if a.Status != 200 || a.Text("status") != status {
			t.Errorf("%s: the answer is %d %s, want status %s", what, a.Status, a.Body, status)
		}
	}
	is("replaced while inactive", "inactive", user.Do("PATCH", path, replace))
	is("activated", "active", user.Do("POST", path+"/activate", toyConfirmation))
	is("replaced while active", "active", user.Do("PATCH", path, replace))
	c, err := w.channels.Get(t.Context(), channelID)
	if err != nil {
		t.Fatal(err)
	}
	if marked, err := w.channels.MarkCredentialsInvalid(t.Context(), channelID, []byte("others")); err != nil || marked {
		t.Fatal(marked, err)
	}
	is("others were refused", "active", user.Get(path))
	if marked, err := w.channels.MarkCredentialsInvalid(t.Context(), channelID, c.SealedCredentials); err != nil || !marked {
		t.Fatal(marked, err)
	}
	is("these were refused", "credentials_invalid", user.Get(path))
	user.Do("PATCH", path, `{"credentials":{"bot":"b","token":"wrong"}}`).Want(t, "wrong ones", 409, "credentials_invalid")
	is("after wrong ones", "credentials_invalid", user.Get(path))
	is("after right ones", "inactive", user.Do("PATCH", path, replace))
	is("activated anew", "active", user.Do("POST", path+"/activate", toyConfirmation))

	native := w.create(t, user)
	user.Do("PATCH", "/v1/channels/"+native, replace).Want(t, "credentials for a native channel", 422, "invalid_request")
	w.User("acct_2", "user_9").Do("PATCH", path, replace).Want(t, "of another account", 404, "channel_not_found")
	user.Do("DELETE", path, "").Want(t, "delete", 204, "")
	if c, err := w.channels.Lookup(t.Context(), channelID); err != nil || len(c.SealedCredentials) != 0 {
		t.Errorf("the deleted channel has %d bytes of credentials, %v", len(c.SealedCredentials), err)
	}
}

// a provider that checks the callback URL while it is told of it finds the channel, and one that can't be told leaves
// the steps by hand.
func TestACallbackURLIsRegisteredOnceTheChannelIsStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.put(t, toyEntry())
	w.toy.known = func(channelID string) bool {
		c, err := w.channels.Get(t.Context(), channelID)
		return err == nil && len(c.SealedCredentials) > 0
	}
	user := w.User("acct_1", "user_7")
	created := user.Do("POST", "/v1/channels", ownAccount("b", goodToken)).Want(t, "create", 201, "")
	path := "/v1/channels/" + created.Text("id")
	for name, a := range map[string]apitest.Answer{"the answer": created, "a later look": user.Get(path)} {
		if strings.Contains(a.Body, "setup_steps") {
			t.Errorf("%s still tells of steps: %s", name, a.Body)
		}
	}
	replace := `{"credentials":{"bot":"other","token":"` + goodToken + `"}}`
	for _, closed := range []bool{true, false} {
		w.toy.mu.Lock()
		w.toy.closed = closed
		w.toy.mu.Unlock()
		user.Do("PATCH", path, replace).Want(t, "replace", 200, "")
		if told := strings.Contains(user.Get(path).Body, "setup_steps"); told != closed {
			t.Errorf("registration closed: %v, steps told: %v", closed, told)
		}
	}
}
