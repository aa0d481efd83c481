// Command webhook takes the callbacks of Communication Providers: what became of messages, and what recipients wrote.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"contactcenter/shared/api"
	"contactcenter/shared/awsclient"
	channelstore "contactcenter/shared/channel"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/edna"
	"contactcenter/shared/telemetry"
)

func main() {
	log := telemetry.NewLogger(os.Stdout, os.Getenv("LOG_LEVEL"))
	h, err := build(context.Background(), os.Getenv, log)
	if err != nil {
		log.Error("webhook can't start", slog.String("error", err.Error()))
		os.Exit(1)
	}
	lambda.Start(api.Handler(api.New(api.Config{Log: log, Now: time.Now}, api.WebhookRoutes(h))))
}

func build(ctx context.Context, getenv func(string) string, log *slog.Logger) (*Handler, error) {
	env := map[string]string{}
	for _, name := range []string{"MESSAGES_TABLE", "CHANNELS_TABLE", "CONVERSATION_KEY"} {
		if env[name] = getenv(name); env[name] == "" {
			return nil, fmt.Errorf("the environment variable %s is not set", name)
		}
	}
	conversations, err := id.NewConversationKeyer([]byte(env["CONVERSATION_KEY"]))
	if err != nil {
		return nil, fmt.Errorf("read CONVERSATION_KEY: %w", err)
	}
	cfg, err := awsclient.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("read AWS configuration: %w", err)
	}
	db, now := awsclient.NewDynamoDB(cfg), time.Now
	return &Handler{
		channels: storedChannels{&channelstore.Cache{Store: lookup{&channelstore.Store{DB: db, Table: env["CHANNELS_TABLE"]}}, Now: now}},
		adapters: map[string]provider.Adapter{edna.ID: edna.New(edna.ConfigFrom(getenv))},
		recorder: recorder{
			messages: &message.Store{DB: db, Table: env["MESSAGES_TABLE"], Retention: message.DefaultRetention},
			keyer:    conversations, ids: id.Source{Now: now, Random: rand.Reader}, log: log,
		},
		log: log,
	}, nil
}

// lookup gives deleted channels too: what happened to their messages is still recorded.
type lookup struct{ store *channelstore.Store }

func (l lookup) Get(ctx context.Context, channelID string) (channelstore.Channel, error) {
	return l.store.Lookup(ctx, channelID)
}

// storedChannels finds channels, at most 5 s old. What the cache can miss in that time changes no callback's meaning.
type storedChannels struct{ cache *channelstore.Cache }

func (s storedChannels) find(ctx context.Context, channelID string) (channel, error) {
	c, err := s.cache.Get(ctx, channelID)
	if errors.Is(err, channelstore.ErrNotFound) {
		return channel{}, errNoChannel
	}
	return channel{accountID: c.AccountID, providerID: c.ProviderID, Channel: c.ForProvider()}, err
}
