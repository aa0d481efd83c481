// Command webhook takes the callbacks of Communication Providers: what became of messages, and what recipients wrote.
package main

import (
	"context"
	"crypto/rand"
	"log/slog"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/channel"
	"contactcenter/shared/environment"
	"contactcenter/shared/event"
	"contactcenter/shared/function"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/adapters"
	"contactcenter/shared/recipient"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/openers"
	keep "contactcenter/shared/templates"
)

func main() {
	function.Start("webhook", build, func(h *Handler, log *slog.Logger) any {
		return api.Handler(api.New(api.Config{Log: log, Now: time.Now}, api.WebhookRoutes(h)))
	})
}

func build(ctx context.Context, getenv func(string) string, log *slog.Logger) (*Handler, error) {
	env, err := environment.Require(getenv, "MESSAGES_TABLE", "CHANNELS_TABLE", "ACCOUNTS_TABLE", "RECIPIENTS_TABLE", "EVENT_QUEUE_URL", "CONVERSATION_KEY")
	if err != nil {
		return nil, err
	}
	keyer, err := id.NewConversationKeyer([]byte(env["CONVERSATION_KEY"]))
	if err != nil {
		return nil, err
	}
	cfg, err := awsclient.Load(ctx)
	if err != nil {
		return nil, err
	}
	sealer, err := seal.SealerFrom(getenv, seal.Content)
	if err != nil {
		return nil, err
	}
	credentials, err := openers.Credentials(ctx, cfg, getenv)
	if err != nil {
		return nil, err
	}
	db, now := awsclient.NewDynamoDB(cfg), time.Now
	stored := known{&channel.Store{DB: db, Table: env["CHANNELS_TABLE"]}}
	return &Handler{
		channels: &channel.Cache{Store: stored, Now: now}, stored: stored,
		adapters: adapters.All(getenv),
		log:      log, credentials: credentials, publicBaseURL: getenv("PUBLIC_BASE_URL"),
		recorder: recorder{
			messages:  &message.Store{DB: db, Table: env["MESSAGES_TABLE"], Retention: message.DefaultRetention, Sealer: sealer},
			accounts:  &account.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now},
			stops:     &recipient.Stops{DB: db, Table: env["RECIPIENTS_TABLE"], Keys: keyer},
			templates: &keep.Store{DB: db, Table: env["CHANNELS_TABLE"]},
			events:    &event.Queue{SQS: awsclient.NewSQS(cfg), URL: env["EVENT_QUEUE_URL"]},
			keyer:     keyer, ids: id.Source{Now: now, Random: rand.Reader}, log: log,
		},
	}, nil
}

// known gives every channel that ever was, for the cache.
type known struct{ store *channel.Store }

func (k known) Get(ctx context.Context, channelID string) (channel.Channel, error) {
	return k.store.Lookup(ctx, channelID)
}
