// Command account shows an account and what it has used of its Service Plan, and the Rules; it records who accepted them.
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
	"contactcenter/shared/function"
	"contactcenter/shared/id"
	"contactcenter/shared/idempotency"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/recipient"
	"contactcenter/shared/release"
	"contactcenter/shared/rules"
	"contactcenter/shared/seal"
	"contactcenter/shared/sign"
	"contactcenter/shared/usage"
)

// timeout is the function's own, as template.yaml sets it.
const timeout = 10 * time.Second

func main() {
	function.Start("account", build, func(h *Handler, log *slog.Logger) any {
		return api.Handler(api.New(api.Config{Log: log, Now: time.Now}, api.AccountRoutes(h)))
	})
}

func build(ctx context.Context, getenv func(string) string, _ *slog.Logger) (*Handler, error) {
	env, err := environment.Require(getenv, "MESSAGES_TABLE", "USAGE_TABLE", "ACCOUNTS_TABLE", "DEFAULT_PLAN_ID", "COMPLAINTS_TABLE", "AUDIT_TABLE", "SOURCE_KEY", "CHANNELS_TABLE", "ERASURE_QUEUE_URL", "RELEASE_QUEUE_URL")
	if err != nil {
		return nil, err
	}
	cfg, err := awsclient.Load(ctx)
	if err != nil {
		return nil, err
	}
	// Complaints and appeals can be sealed here, and not opened.
	sealer, err := seal.SealerFrom(getenv, seal.Complaints)
	if err != nil {
		return nil, err
	}
	signers, err := sign.KeysFrom(getenv)
	if err != nil {
		return nil, err
	}
	db, now := awsclient.NewDynamoDB(cfg), time.Now
	ids := id.Source{Now: now, Random: rand.Reader}
	events := &audit.Log{DB: db, Table: env["AUDIT_TABLE"], IDs: ids, Now: now}
	accounts := &account.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now, DefaultPlanID: env["DEFAULT_PLAN_ID"], Audit: events}
	client := awsclient.NewSQS(cfg)
	providers := &registry.Store{DB: db, Table: env["CHANNELS_TABLE"], Now: now}
	return &Handler{
		Reports: &availability.Reports{
			Beats: &availability.Beats{DB: db, Table: env["USAGE_TABLE"]}, Health: &health.Store{DB: db, Table: env["USAGE_TABLE"]}, Providers: providers, Now: now,
		},
		Complaints: &claim.Complaints{DB: db, Table: env["COMPLAINTS_TABLE"], Sealer: sealer, Now: now},
		Sources:    &claim.Sources{DB: db, Table: env["COMPLAINTS_TABLE"], Key: []byte(env["SOURCE_KEY"]), Now: now},
		Appeals:    &claim.Appeals{DB: db, Table: env["COMPLAINTS_TABLE"], Sealer: sealer, Audit: events, Now: now},
		Evidence:   &claim.Requests{DB: db, Table: env["COMPLAINTS_TABLE"], Audit: events, Now: now},
		Accounts:   accounts,
		Closures:   accounts,
		Purges:     &recipient.Queue{SQS: client, URL: env["ERASURE_QUEUE_URL"]},
		Release:    &release.Queue{SQS: client, URL: env["RELEASE_QUEUE_URL"]},
		Channels:   &channel.Store{DB: db, Table: env["CHANNELS_TABLE"]},
		Providers:  providers,
		Gates:      &usage.Store{DB: db, Table: env["USAGE_TABLE"], Now: now},
		Messages:   &message.Store{DB: db, Table: env["MESSAGES_TABLE"], Retention: message.DefaultRetention},
		Rules:      &rules.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now, Audit: events},
		Audit:      events,
		Signers:    signers,
		Keys:       &idempotency.Middleware{Keys: &idempotency.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now}, Timeout: timeout},
		IDs:        ids,
		Now:        now,
	}, nil
}
