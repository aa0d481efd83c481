package main

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"contactcenter/shared/api"
	"contactcenter/shared/api/apitest"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/channel"
	"contactcenter/shared/id"
	"contactcenter/shared/provider"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
)

// toy proves a callback's origin by the channel's own token.
type toy struct{ provider.Adapter }

func (toy) Capabilities() provider.Capabilities { return provider.Capabilities{} }

func (toy) ParseCallback(_ context.Context, ch provider.Channel, r *provider.Request) ([]provider.Event, error) {
	if token := ch.Credentials["token"]; token == "" || r.Header.Get("Authorization") != token {
		return nil, provider.ErrProof
	}
	return nil, nil
}

// the origin of an own-account channel's callback is proved with that account's credentials, and no other's.
func TestAnOwnAccountsCallbackIsProvedWithItsCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	own := func(accountID, token string) string {
		channelID, err := w.ids.New(id.ChannelPrefix)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := channel.SealCredentials(sealtest.Sealer(seal.Credentials), accountID, channelID, map[string]string{"token": token})
		if err != nil {
			t.Fatal(err)
		}
		c := channel.Channel{ID: channelID, AccountID: accountID, ProviderID: "toy", Type: "toy", Name: "Bot", CreatedAt: noon, SealedCredentials: sealed}
		if err := w.channels.Create(t.Context(), c, audittest.By(accountID)); err != nil {
			t.Fatal(err)
		}
		return channelID
	}
	first, second := own(acct, "canary-first"), own("acct_other", "canary-second")
	log := slog.New(slog.NewJSONHandler(w.log, nil))
	serve := func(o channel.Opener) *apitest.Server {
		h := &Handler{
			channels: &channel.Cache{Store: known{w.channels}, Now: w.clock.Now}, stored: known{w.channels}, adapters: map[string]provider.Adapter{"toy": toy{}}, log: log, credentials: o,
			recorder: recorder{messages: w.messages, accounts: w.accounts, keyer: w.keyer, ids: w.ids, log: log},
		}
		return apitest.NewServer(t, api.New(api.Config{Log: log, Now: w.clock.Now}, api.WebhookRoutes(h)))
	}
	right := serve(sealtest.Opener(seal.Credentials))
	for _, c := range []struct {
		name   string
		server *apitest.Server
		at     string
		proof  string
		want   int
	}{
		{"its own token", right, first, "canary-first", 200},
		{"another's token", right, first, "canary-second", 401},
		{"the other's token there", right, second, "canary-second", 200},
		{"no token", right, second, "", 401},
		{"a function whose key is not there yet", serve(sealtest.Opener(seal.Content)), first, "canary-first", 503},
	} {
		if a := c.server.As(nil).With("Authorization", c.proof).Do(http.MethodPost, "/v1/callbacks/toy/"+c.at, `{}`); a.Status != c.want || strings.Contains(a.Body, "canary") {
			t.Errorf("%s: answered %d %s, want %d", c.name, a.Status, a.Body, c.want)
		}
	}
	if strings.Contains(w.log.String(), "canary") {
		t.Error("a credential was logged")
	}
}
