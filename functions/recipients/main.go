// Command recipients keeps End recipients with their consents and opt-outs, exports what is kept of one, and begins to
// erase it.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/audit"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/channel"
	"contactcenter/shared/claim"
	"contactcenter/shared/environment"
	"contactcenter/shared/function"
	"contactcenter/shared/id"
	"contactcenter/shared/idempotency"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/recipient"
	"contactcenter/shared/rules"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/openers"
)

// timeout is the function's own, as template.yaml sets it.
const timeout = 10 * time.Second

func main() {
	function.Start("recipients", build, func(h *Handler, log *slog.Logger) any {
		return api.Handler(api.New(api.Config{Log: log, Now: time.Now}, api.RecipientsRoutes(h)))
	})
}

func build(ctx context.Context, getenv func(string) string, _ *slog.Logger) (*Handler, error) {
	env, err := environment.Require(getenv, "RECIPIENTS_TABLE", "MESSAGES_TABLE", "CHANNELS_TABLE", "ACCOUNTS_TABLE", "AUDIT_TABLE", "COMPLAINTS_TABLE", "ERASURE_QUEUE_URL", "CONVERSATION_KEY")
	if err != nil {
		return nil, err
	}
	keyer, err := id.NewConversationKeyer([]byte(env["CONVERSATION_KEY"]))
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
	signer, err := openers.Signer(ctx, cfg, getenv)
	if err != nil {
		return nil, err
	}
	db, now := awsclient.NewDynamoDB(cfg), time.Now
	ids := id.Source{Now: now, Random: rand.Reader}
	events := &audit.Log{DB: db, Table: env["AUDIT_TABLE"], IDs: ids, Now: now}
	return &Handler{
		Recipients: &recipient.Store{
			DB: db, Table: env["RECIPIENTS_TABLE"], Keys: keyer, Seal: sealer, Open: opener, IDs: ids, Now: now,
			Audit: events,
		},
		Accounts:  &account.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now},
		Messages:  &message.Store{DB: db, Table: env["MESSAGES_TABLE"], Retention: message.DefaultRetention, Opener: opener},
		Channels:  &channel.Store{DB: db, Table: env["CHANNELS_TABLE"]},
		Providers: &registry.Store{DB: db, Table: env["CHANNELS_TABLE"], Now: now},
		Audit:     events, Acceptances: &rules.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now}, Requests: &claim.Requests{DB: db, Table: env["COMPLAINTS_TABLE"], Now: now},
		Signer: signer,
		Queue:  &recipient.Queue{SQS: awsclient.NewSQS(cfg), URL: env["ERASURE_QUEUE_URL"]},
		Keys:   &idempotency.Middleware{Keys: &idempotency.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now}, Timeout: timeout},
		IDs:    ids, Conversations: keyer, Now: now,
	}, nil
}
