// Command erasure erases what messages hold of a recipient, and all that is kept of an account that was
// closed, and certifies both. It can read neither content nor addresses: it works by keys.
package main

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/channel"
	"contactcenter/shared/endpoint"
	"contactcenter/shared/environment"
	"contactcenter/shared/function"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/recipient"
	"contactcenter/shared/seal/openers"
	"contactcenter/shared/templates"
	"contactcenter/shared/usage"
	"contactcenter/shared/withdraw"
)

func main() {
	function.Start("erasure", build, func(h *Handler, _ *slog.Logger) any { return h.Handle })
}

func build(ctx context.Context, getenv func(string) string, log *slog.Logger) (*Handler, error) {
	env, err := environment.Require(getenv, "RECIPIENTS_TABLE", "MESSAGES_TABLE", "USAGE_TABLE", "ACCOUNTS_TABLE", "ERASURE_QUEUE_URL", "CHANNELS_TABLE", "DEFAULT_PLAN_ID")
	if err != nil {
		return nil, err
	}
	cfg, err := awsclient.Load(ctx)
	if err != nil {
		return nil, err
	}
	signer, err := openers.Signer(ctx, cfg, getenv)
	if err != nil {
		return nil, err
	}
	db, now := awsclient.NewDynamoDB(cfg), time.Now
	messages := &message.Store{DB: db, Table: env["MESSAGES_TABLE"], Retention: message.DefaultRetention}
	accounts := &account.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now, DefaultPlanID: env["DEFAULT_PLAN_ID"]}
	return &Handler{
		Purge: Purge{
			Closures: accounts, Channels: &channel.Store{DB: db, Table: env["CHANNELS_TABLE"]}, Senders: &registry.Store{DB: db, Table: env["CHANNELS_TABLE"], Now: now},
			Templates:  &templates.Purger{DB: db, Table: env["CHANNELS_TABLE"]},
			Endpoints:  &endpoint.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now},
			Recipients: &recipient.Purger{DB: db, Table: env["RECIPIENTS_TABLE"]},
		},
		Jobs: &recipient.Store{DB: db, Table: env["RECIPIENTS_TABLE"], Now: now}, Messages: messages,
		Withdraw: withdraw.Withdrawer{
			Messages: messages, Gates: &usage.Store{DB: db, Table: env["USAGE_TABLE"], Now: now}, Now: now, Random: rand.Uint32,
			Accounts: accounts,
			Note:     func(ctx context.Context, err error) { log.WarnContext(ctx, "entry not settled", "error", err.Error()) },
		},
		Signer: signer, SQS: awsclient.NewSQS(cfg), QueueURL: env["ERASURE_QUEUE_URL"], Log: log, Now: now,
	}, nil
}
