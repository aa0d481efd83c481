// Command dispatcher takes references of messages from the queue, applies the Service Plan's usage limits, hands the
// messages to their Communication Providers and records what came of it.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/channel"
	"contactcenter/shared/environment"
	"contactcenter/shared/event"
	"contactcenter/shared/function"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/adapters"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/pace"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/recipient"
	"contactcenter/shared/release"
	"contactcenter/shared/seal/openers"
	"contactcenter/shared/usage"
)

func main() {
	function.Start("dispatcher", build, func(d *Dispatcher, _ *slog.Logger) any { return d.Handle })
}

func build(ctx context.Context, getenv func(string) string, log *slog.Logger) (*Dispatcher, error) {
	cfg, err := awsclient.Load(ctx)
	if err != nil {
		return nil, err
	}
	env, err := environment.Require(getenv, "MESSAGES_TABLE", "USAGE_TABLE", "ACCOUNTS_TABLE", "CHANNELS_TABLE", "RECIPIENTS_TABLE", "DISPATCH_QUEUE_URL", "EVENT_QUEUE_URL", "CONVERSATION_KEY", "DEFAULT_PLAN_ID")
	if err != nil {
		return nil, err
	}
	opener, err := openers.Content(ctx, cfg, getenv)
	if err != nil {
		return nil, err
	}
	credentials, err := openers.Credentials(ctx, cfg, getenv)
	if err != nil {
		return nil, err
	}
	keys, err := id.NewConversationKeyer([]byte(env["CONVERSATION_KEY"]))
	if err != nil {
		return nil, fmt.Errorf("read CONVERSATION_KEY: %w", err)
	}
	db, now := awsclient.NewDynamoDB(cfg), time.Now
	client := awsclient.NewSQS(cfg)
	happenings := &event.Queue{SQS: client, URL: env["EVENT_QUEUE_URL"]}
	states := &health.Store{DB: db, Table: env["USAGE_TABLE"]}
	monitor := &health.Monitor{Changed: health.Noted(states, log, health.Publish(happenings, log)), Records: states, Log: log, Now: now, Random: rand.Uint64}
	channels := &channel.Store{DB: db, Table: env["CHANNELS_TABLE"]}
	return &Dispatcher{
		Gates:       &usage.Store{DB: db, Table: env["USAGE_TABLE"], Now: now},
		Messages:    &message.Store{DB: db, Table: env["MESSAGES_TABLE"], Retention: message.DefaultRetention, Opener: opener},
		Accounts:    &account.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now, DefaultPlanID: env["DEFAULT_PLAN_ID"]},
		Channels:    &pausableChannels{store: channels, cache: &channel.Cache{Store: channels, Now: now}},
		Providers:   &registry.Store{DB: db, Table: env["CHANNELS_TABLE"], Now: now},
		Pace:        &pace.Store{DB: db, Table: env["USAGE_TABLE"], Now: now},
		Scopes:      &usage.Scopes{DB: db, Table: env["USAGE_TABLE"], Now: now},
		Waiting:     &release.Store{DB: db, Table: env["USAGE_TABLE"], Now: now},
		Recipients:  &recipient.Store{DB: db, Table: env["RECIPIENTS_TABLE"], Keys: keys, Now: now},
		OptOuts:     &recipient.Flags{DB: db, Table: env["RECIPIENTS_TABLE"]},
		Stops:       &recipient.Stops{DB: db, Table: env["RECIPIENTS_TABLE"], Keys: keys},
		Adapters:    adapters.All(getenv),
		Credentials: credentials,
		Events:      happenings,
		SQS:         client, QueueURL: env["DISPATCH_QUEUE_URL"],
		Health: monitor, Hints: &Hints{}, Log: log, Now: now, Sleep: awsclient.Wait, Random: rand.Uint64,
	}, nil
}

// pausableChannels gives channels from a cache of at most 5 s, and writes pauses.
type pausableChannels struct {
	store *channel.Store
	cache *channel.Cache
}

func (p *pausableChannels) Get(ctx context.Context, channelID string, fresh bool) (channel.Channel, error) {
	if fresh {
		p.cache.Forget(channelID)
	}
	return p.cache.Get(ctx, channelID)
}

func (p *pausableChannels) Pause(ctx context.Context, channelID string, until time.Time) error {
	defer p.cache.Forget(channelID)
	return p.store.Pause(ctx, channelID, until)
}

func (p *pausableChannels) MarkCredentialsInvalid(ctx context.Context, c channel.Channel) (bool, error) {
	defer p.cache.Forget(c.ID)
	return p.store.MarkCredentialsInvalid(ctx, c.ID, c.SealedCredentials)
}
