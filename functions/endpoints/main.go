// Command endpoints keeps the webhook endpoints of accounts: where their own systems want to be told of events. It makes and shows
// secrets, which no other function that users reach may open.
package main

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/audit"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/delivery"
	"contactcenter/shared/endpoint"
	"contactcenter/shared/environment"
	"contactcenter/shared/function"
	"contactcenter/shared/id"
	"contactcenter/shared/idempotency"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/openers"
)

// timeout is the function's own, as template.yaml sets it: a test event may take its 15 seconds.
const timeout = 25 * time.Second

func main() {
	function.Start("endpoints", build, func(h *Handler, log *slog.Logger) any {
		return api.Handler(api.New(api.Config{Log: log, Now: time.Now}, api.EndpointsRoutes(h)))
	})
}

func build(ctx context.Context, getenv func(string) string, _ *slog.Logger) (*Handler, error) {
	env, err := environment.Require(getenv, "ACCOUNTS_TABLE", "AUDIT_TABLE", "EVENTS_TABLE", "EVENT_QUEUE_URL", "DEFAULT_PLAN_ID")
	if err != nil {
		return nil, err
	}
	cfg, err := awsclient.Load(ctx)
	if err != nil {
		return nil, err
	}
	sealer, err := seal.SealerFrom(getenv, seal.Webhooks)
	if err != nil {
		return nil, err
	}
	opener, err := openers.Webhooks(ctx, cfg, getenv)
	if err != nil {
		return nil, err
	}
	db, now := awsclient.NewDynamoDB(cfg), time.Now
	ids := id.Source{Now: now, Random: rand.Reader}
	changes := &audit.Log{DB: db, Table: env["AUDIT_TABLE"], IDs: ids, Now: now}
	targets := endpoint.ParseTargets(getenv("EVENT_TARGETS"))
	return &Handler{
		Accounts:   &account.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now, DefaultPlanID: env["DEFAULT_PLAN_ID"]},
		Endpoints:  &endpoint.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now, Sealer: sealer, Opener: opener, Audit: changes},
		Deliveries: &delivery.Store{DB: db, Table: env["EVENTS_TABLE"], Now: now},
		Replays:    &delivery.Replays{SQS: awsclient.NewSQS(cfg), URL: env["EVENT_QUEUE_URL"]},
		Sender:     delivery.NewSender(targets, now),
		Keys:       &idempotency.Middleware{Keys: &idempotency.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now}, Timeout: timeout},
		Targets:    targets, Resolver: net.DefaultResolver, IDs: ids, Random: rand.Reader, Now: now,
	}, nil
}
