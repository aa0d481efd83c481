// Command operator sets what is the operator's: plans, accounts' plans, providers, native senders, the Rules. It reads no
// message and activates no channel.
package main

import (
	"context"
	"crypto/rand"
	"log/slog"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/audit"
	"contactcenter/shared/availability"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/channel"
	"contactcenter/shared/claim"
	"contactcenter/shared/environment"
	"contactcenter/shared/event"
	"contactcenter/shared/function"
	"contactcenter/shared/id"
	"contactcenter/shared/idempotency"
	"contactcenter/shared/provider/adapters"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/release"
	"contactcenter/shared/rules"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/openers"
	"contactcenter/shared/usage"
)

// timeout is the function's own, as template.yaml sets it.
const timeout = 10 * time.Second

func main() {
	function.Start("operator", build, func(h *Handler, log *slog.Logger) any {
		return api.Handler(api.New(api.Config{Log: log, Now: time.Now}, api.OperatorRoutes(h)))
	})
}

func build(ctx context.Context, getenv func(string) string, _ *slog.Logger) (*Handler, error) {
	env, err := environment.Require(getenv, "USAGE_TABLE", "ACCOUNTS_TABLE", "CHANNELS_TABLE", "RELEASE_QUEUE_URL", "AUDIT_TABLE", "EVENT_QUEUE_URL", "DEFAULT_PLAN_ID", "COMPLAINTS_TABLE")
	if err != nil {
		return nil, err
	}
	cfg, err := awsclient.Load(ctx)
	if err != nil {
		return nil, err
	}
	sealer, err := seal.SealerFrom(getenv, seal.Complaints)
	if err != nil {
		return nil, err
	}
	opener, err := openers.Complaints(ctx, cfg, getenv)
	if err != nil {
		return nil, err
	}
	db, now := awsclient.NewDynamoDB(cfg), time.Now
	client := awsclient.NewSQS(cfg)
	ids := id.Source{Now: now, Random: rand.Reader}
	events := &audit.Log{DB: db, Table: env["AUDIT_TABLE"], IDs: ids, Now: now}
	states := &health.Store{DB: db, Table: env["USAGE_TABLE"]}
	providers := &registry.Store{DB: db, Table: env["CHANNELS_TABLE"], Now: now, Audit: events}
	return &Handler{
		Reports:    &availability.Reports{Beats: &availability.Beats{DB: db, Table: env["USAGE_TABLE"]}, Health: states, Providers: providers, Now: now},
		Complaints: &claim.Complaints{DB: db, Table: env["COMPLAINTS_TABLE"], Sealer: sealer, Opener: opener, Audit: events, Now: now},
		Appeals:    &claim.Appeals{DB: db, Table: env["COMPLAINTS_TABLE"], Sealer: sealer, Opener: opener, Audit: events, Now: now},
		Evidence:   &claim.Requests{DB: db, Table: env["COMPLAINTS_TABLE"], Audit: events, Now: now},
		Accounts:   &account.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now, DefaultPlanID: env["DEFAULT_PLAN_ID"], Audit: events},
		Channels:   &channel.Store{DB: db, Table: env["CHANNELS_TABLE"]},
		IDs:        ids,
		Gates:      &usage.Store{DB: db, Table: env["USAGE_TABLE"], Now: now},
		Health:     health.NewReader(states, now),
		Providers:  providers,
		Release:    &release.Queue{SQS: client, URL: env["RELEASE_QUEUE_URL"]},
		Events:     &event.Queue{SQS: client, URL: env["EVENT_QUEUE_URL"]},
		Rules:      &rules.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now, Audit: events},
		Audit:      events,
		Adapters:   adapters.IDs(),
		Keys:       &idempotency.Middleware{Keys: &idempotency.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now}, Timeout: timeout},
		Now:        now,
	}, nil
}
