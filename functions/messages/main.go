// Command messages takes Business messages in, shows, lists and cancels them, and keeps the inbox: conversations,
// up to where they were read, and whose task they are.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/audit"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/channel"
	"contactcenter/shared/environment"
	"contactcenter/shared/event"
	"contactcenter/shared/function"
	"contactcenter/shared/id"
	"contactcenter/shared/idempotency"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/adapters"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/queue"
	"contactcenter/shared/recipient"
	"contactcenter/shared/rules"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/openers"
	"contactcenter/shared/usage"
)

func main() {
	function.Start("messages", build, func(h *Handler, log *slog.Logger) any {
		return api.Handler(api.New(api.Config{Log: log, Now: time.Now}, api.MessagesRoutes(h)))
	})
}

func build(ctx context.Context, getenv func(string) string, _ *slog.Logger) (*Handler, error) {
	env, err := environment.Require(getenv, "MESSAGES_TABLE", "USAGE_TABLE", "ACCOUNTS_TABLE", "CHANNELS_TABLE", "RECIPIENTS_TABLE", "AUDIT_TABLE", "DISPATCH_QUEUE_URL", "EVENT_QUEUE_URL", "CONVERSATION_KEY", "DEFAULT_PLAN_ID")
	if err != nil {
		return nil, err
	}
	conversations, err := id.NewConversationKeyer([]byte(env["CONVERSATION_KEY"]))
	if err != nil {
		return nil, fmt.Errorf("read CONVERSATION_KEY: %w", err)
	}
	cfg, err := awsclient.Load(ctx)
	if err != nil {
		return nil, err
	}
	sealer, err := seal.SealerFrom(getenv, seal.Content)
	if err != nil {
		return nil, err
	}
	opener, err := openers.Content(ctx, cfg, getenv)
	if err != nil {
		return nil, err
	}
	db, now := awsclient.NewDynamoDB(cfg), time.Now
	client := awsclient.NewSQS(cfg)
	ids := id.Source{Now: now, Random: rand.Reader}
	return &Handler{
		DB: db,
		Messages: &message.Store{
			DB: db, Table: env["MESSAGES_TABLE"], Retention: message.DefaultRetention, Sealer: sealer, Opener: opener,
			Audit: &audit.Log{DB: db, Table: env["AUDIT_TABLE"], IDs: ids, Now: now},
		},
		Gates:        &usage.Store{DB: db, Table: env["USAGE_TABLE"], Now: now},
		Keys:         &idempotency.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now},
		Queue:        &queue.Queue{SQS: client, URL: env["DISPATCH_QUEUE_URL"]},
		Events:       &event.Queue{SQS: client, URL: env["EVENT_QUEUE_URL"]},
		Rules:        &rules.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now},
		Accounts:     &account.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now, DefaultPlanID: env["DEFAULT_PLAN_ID"]},
		Channels:     &channel.Store{DB: db, Table: env["CHANNELS_TABLE"]},
		Health:       health.NewReader(&health.Store{DB: db, Table: env["USAGE_TABLE"]}, now),
		Providers:    &registry.Store{DB: db, Table: env["CHANNELS_TABLE"], Now: now},
		Recipients:   &recipient.Store{DB: db, Table: env["RECIPIENTS_TABLE"], Keys: conversations, Seal: sealer, Open: opener, IDs: ids, Now: now},
		OptOuts:      &recipient.Flags{DB: db, Table: env["RECIPIENTS_TABLE"]},
		Capabilities: adapters.Capabilities(),
		IDs:          ids, Conversations: conversations, Now: now, Wait: awsclient.Wait, Random: mathrand.Uint32,
	}, nil
}
