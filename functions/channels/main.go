// Command channels shows Communication Providers, and creates, activates, deactivates and deletes channels.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/audit"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/cache"
	"contactcenter/shared/channel"
	"contactcenter/shared/id"
	"contactcenter/shared/idempotency"
	"contactcenter/shared/provider/adapters"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/rules"
	"contactcenter/shared/seal"
	"contactcenter/shared/telemetry"
)

// timeout is the function's own, as template.yaml sets it.
const timeout = 29 * time.Second

func main() {
	log := telemetry.NewLogger(os.Stdout, os.Getenv("LOG_LEVEL"))
	h, err := build(context.Background(), os.Getenv, log)
	if err != nil {
		log.Error("channels can't start", "error", err.Error())
		os.Exit(1)
	}
	lambda.Start(api.Handler(h))
}

func build(ctx context.Context, getenv func(string) string, log *slog.Logger) (http.Handler, error) {
	accounts, channels, events := getenv("ACCOUNTS_TABLE"), getenv("CHANNELS_TABLE"), getenv("AUDIT_TABLE")
	usages := getenv("USAGE_TABLE")
	if accounts == "" || channels == "" || events == "" || usages == "" {
		return nil, fmt.Errorf("the environment variables ACCOUNTS_TABLE, CHANNELS_TABLE, AUDIT_TABLE and USAGE_TABLE must be set")
	}
	cfg, err := awsclient.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("read AWS configuration: %w", err)
	}
	credentials, err := seal.SealerFrom(getenv, seal.Credentials)
	if err != nil {
		return nil, err
	}
	db, now := awsclient.NewDynamoDB(cfg), time.Now
	ids := id.Source{Now: now, Random: rand.Reader}
	h := &Handler{
		Accounts:      &account.Store{DB: db, Table: accounts, Now: now},
		Rules:         &rules.Store{DB: db, Table: accounts, Now: now},
		Providers:     &registry.Store{DB: db, Table: channels, Now: now},
		Channels:      &channel.Store{DB: db, Table: channels, Audit: &audit.Log{DB: db, Table: events, IDs: ids, Now: now}},
		Credentials:   credentials,
		Adapters:      adapters.All(getenv),
		Keys:          &idempotency.Middleware{Keys: &idempotency.Store{DB: db, Table: accounts, Now: now}, Timeout: timeout},
		IDs:           ids,
		Random:        rand.Reader,
		Now:           now,
		Health:        health.NewReader(&health.Store{DB: db, Table: usages}, now),
		Statuses:      cache.New[string, api.ServiceStatus](statusAge, 1, now),
		PublicBaseURL: getenv("PUBLIC_BASE_URL"),
	}
	return api.New(api.Config{Log: log, Now: now}, api.ChannelsRoutes(h)), nil
}
