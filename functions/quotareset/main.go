// Command quotareset closes usage periods, releases held messages and resolves what was left in flight. It creates no
// messages, reads no content and calls no provider.
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

	accountstore "contactcenter/shared/account"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/channel"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/queue"
	"contactcenter/shared/telemetry"
	"contactcenter/shared/usage"
)

// writesAtOnce bounds the message writes of one account that run side by side.
const writesAtOnce = 8

func main() {
	log := telemetry.NewLogger(os.Stdout, os.Getenv("LOG_LEVEL"))
	h, err := build(context.Background(), os.Getenv, log)
	if err != nil {
		log.Error("quotareset can't start", slog.String("error", err.Error()))
		os.Exit(1)
	}
	lambda.Start(h.Handle)
}

func build(ctx context.Context, getenv func(string) string, log *slog.Logger) (*Handler, error) {
	env := map[string]string{}
	for _, name := range []string{"MESSAGES_TABLE", "USAGE_TABLE", "ACCOUNTS_TABLE", "CHANNELS_TABLE", "DISPATCH_QUEUE_URL", "DEFAULT_PLAN_ID"} {
		if env[name] = getenv(name); env[name] == "" {
			return nil, fmt.Errorf("the environment variable %s is not set", name)
		}
	}
	cfg, err := awsclient.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("read AWS configuration: %w", err)
	}
	db, now := awsclient.NewDynamoDB(cfg), time.Now
	return &Handler{
		Reset: Reset{
			Usage:    &usage.Store{DB: db, Table: env["USAGE_TABLE"], Now: now},
			Messages: &message.Store{DB: db, Table: env["MESSAGES_TABLE"], Retention: message.DefaultRetention},
			Queue:    &queue.Queue{SQS: awsclient.NewSQS(cfg), URL: env["DISPATCH_QUEUE_URL"]},
			Terms:    &accountstore.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now, DefaultPlanID: env["DEFAULT_PLAN_ID"]},
			Channels: openChannels{
				channels:  &channel.Store{DB: db, Table: env["CHANNELS_TABLE"]},
				providers: &registry.Store{DB: db, Table: env["CHANNELS_TABLE"], Now: now},
			},
			Now: now, Random: rand.Reader, WritesAtOnce: writesAtOnce,
		},
		Log: log,
	}, nil
}

// openChannels says whether messages of a channel must stay held: while its provider is disabled. A channel that was
// deactivated or deleted, and a provider that was removed, hold nothing back: the dispatcher says no to those messages.
type openChannels struct {
	channels  *channel.Store
	providers *registry.Store
}

func (o openChannels) Closed(ctx context.Context, channelID string) (bool, error) {
	c, err := o.channels.Get(ctx, channelID)
	if errors.Is(err, channel.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	p, err := o.providers.Get(ctx, c.ProviderID)
	if errors.Is(err, registry.ErrNotFound) {
		return false, nil
	}
	return p.Status == registry.Disabled, err
}
