// Command channels shows Communication Providers, and creates, activates, deactivates and deletes channels.
package main

import (
	"context"
	"crypto/rand"
	"log/slog"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/audit"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/cache"
	"contactcenter/shared/channel"
	"contactcenter/shared/environment"
	"contactcenter/shared/event"
	"contactcenter/shared/function"
	"contactcenter/shared/id"
	"contactcenter/shared/idempotency"
	"contactcenter/shared/provider/adapters"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/rules"
	"contactcenter/shared/seal"
)

// timeout is the function's own, as template.yaml sets it.
const timeout = 29 * time.Second

func main() {
	function.Start("channels", build, func(h *Handler, log *slog.Logger) any {
		return api.Handler(api.New(api.Config{Log: log, Now: time.Now}, api.ChannelsRoutes(h)))
	})
}

func build(ctx context.Context, getenv func(string) string, _ *slog.Logger) (*Handler, error) {
	env, err := environment.Require(getenv, "ACCOUNTS_TABLE", "CHANNELS_TABLE", "AUDIT_TABLE", "USAGE_TABLE", "EVENT_QUEUE_URL")
	if err != nil {
		return nil, err
	}
	cfg, err := awsclient.Load(ctx)
	if err != nil {
		return nil, err
	}
	credentials, err := seal.SealerFrom(getenv, seal.Credentials)
	if err != nil {
		return nil, err
	}
	db, now := awsclient.NewDynamoDB(cfg), time.Now
	ids := id.Source{Now: now, Random: rand.Reader}
	return &Handler{
		Accounts:      &account.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now},
		Rules:         &rules.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now},
		Providers:     &registry.Store{DB: db, Table: env["CHANNELS_TABLE"], Now: now},
		Channels:      &channel.Store{DB: db, Table: env["CHANNELS_TABLE"], Audit: &audit.Log{DB: db, Table: env["AUDIT_TABLE"], IDs: ids, Now: now}},
		Credentials:   credentials,
		Adapters:      adapters.All(getenv),
		Events:        &event.Queue{SQS: awsclient.NewSQS(cfg), URL: env["EVENT_QUEUE_URL"]},
		Keys:          &idempotency.Middleware{Keys: &idempotency.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now}, Timeout: timeout},
		IDs:           ids,
		Random:        rand.Reader,
		Now:           now,
		Wait:          awsclient.Wait,
		Health:        health.NewReader(&health.Store{DB: db, Table: env["USAGE_TABLE"]}, now),
		Statuses:      cache.New[string, api.ServiceStatus](statusAge, 1, now),
		PublicBaseURL: getenv("PUBLIC_BASE_URL"),
	}, nil
}
