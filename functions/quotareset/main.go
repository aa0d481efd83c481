// Command quotareset closes usage periods, releases held messages and resolves what was left in flight. It creates no
// messages, reads no content and calls no provider.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/availability"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/channel"
	"contactcenter/shared/environment"
	"contactcenter/shared/event"
	"contactcenter/shared/function"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/queue"
	"contactcenter/shared/release"
	"contactcenter/shared/usage"
)

func main() {
	function.Start("quotareset", build, func(h *Handler, _ *slog.Logger) any { return h.Invoke })
}

// writesAtOnce bounds the message writes of one account that run side by side.
const writesAtOnce = 8

func build(ctx context.Context, getenv func(string) string, log *slog.Logger) (*Handler, error) {
	env, err := environment.Require(getenv, "MESSAGES_TABLE", "USAGE_TABLE", "ACCOUNTS_TABLE", "CHANNELS_TABLE", "DISPATCH_QUEUE_URL", "RELEASE_QUEUE_URL", "EVENT_QUEUE_URL", "DEFAULT_PLAN_ID", "SWEEP_RATE")
	if err != nil {
		return nil, err
	}
	sweeps, err := every(env["SWEEP_RATE"])
	if err != nil {
		return nil, err
	}
	cfg, err := awsclient.Load(ctx)
	if err != nil {
		return nil, err
	}
	db, now := awsclient.NewDynamoDB(cfg), time.Now
	client := awsclient.NewSQS(cfg)
	accounts := &account.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now, DefaultPlanID: env["DEFAULT_PLAN_ID"]}
	providers := &registry.Store{DB: db, Table: env["CHANNELS_TABLE"], Now: now}
	waiting := &release.Store{DB: db, Table: env["USAGE_TABLE"], Now: now}
	jobs := Jobs{Waiting: waiting, Members: accounts, Providers: providers, Queue: &release.Queue{SQS: client, URL: env["RELEASE_QUEUE_URL"]}}
	messages := &message.Store{DB: db, Table: env["MESSAGES_TABLE"], Retention: message.DefaultRetention}
	dispatch := &queue.Queue{SQS: client, URL: env["DISPATCH_QUEUE_URL"]}
	scheduled := Scheduled{Messages: messages, Queue: dispatch, Now: now, WritesAtOnce: writesAtOnce}
	happenings := &event.Queue{SQS: client, URL: env["EVENT_QUEUE_URL"]}
	states := &health.Store{DB: db, Table: env["USAGE_TABLE"]}
	sweep := &health.Sweep{Changed: health.Noted(states, log, health.Publish(happenings, log)), Store: states, Providers: names(providers), Now: now, Log: log}
	pulse := &Pulse{
		Beats: &availability.Beats{DB: db, Table: env["USAGE_TABLE"]}, Every: sweeps, Now: now,
		Looks: []func(context.Context) error{planAnswers(accounts), queueAnswers(client, env["DISPATCH_QUEUE_URL"])},
	}
	return &Handler{Log: log, Jobs: jobs, Scheduled: scheduled, Health: sweep, Pulse: pulse, Reset: Reset{
		Usage:    &usage.Store{DB: db, Table: env["USAGE_TABLE"], Now: now},
		Messages: messages,
		Queue:    dispatch,
		Terms:    accounts,
		Events:   happenings,
		Channels: &obstacles{
			channels:  &channel.Cache{Store: &channel.Store{DB: db, Table: env["CHANNELS_TABLE"]}, Now: now},
			providers: providers, waiting: waiting,
		},
		Now: now, Random: rand.Reader, WritesAtOnce: writesAtOnce,
	}}, nil
}

// names gives the ids of the registry's providers.
func names(providers *registry.Store) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		list, err := providers.List(ctx)
		ids := make([]string, len(list))
		for i, e := range list {
			ids[i] = e.ID
		}
		return ids, err
	}
}

// obstacles tells what stands in the way of a channel's messages: by its channel, at most 5 s old, and by the registry, at
// most a second.
type obstacles struct {
	channels interface {
		Get(ctx context.Context, channelID string) (channel.Channel, error)
	}
	providers interface {
		Recent(ctx context.Context, providerID string) (registry.Entry, error)
	}
	waiting interface {
		Mark(ctx context.Context, accountID, providerID string, version int64) error
	}
}

// Obstacle implements channels. It marks an account whose messages wait for a provider, whatever they were held for
// first.
func (o *obstacles) Obstacle(ctx context.Context, channelID string) (string, error) {
	ch, err := o.channels.Get(ctx, channelID)
	if errors.Is(err, channel.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	entry, err := o.providers.Recent(ctx, ch.ProviderID)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return "", nil
	case err != nil:
		return "", err
	case entry.Status == registry.Disabled:
		return message.HeldProviderDisabled, o.waiting.Mark(ctx, ch.AccountID, entry.ID, entry.Version)
	case ch.Status != channel.Active:
		return message.HeldChannelInactive, nil
	}
	return "", nil
}
