// Command notifier tells accounts' own systems what happened, where they asked for it: it records events, sends them to webhook
// endpoints, and tries again what was not taken.
package main

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/channel"
	"contactcenter/shared/claim"
	"contactcenter/shared/delivery"
	"contactcenter/shared/endpoint"
	"contactcenter/shared/environment"
	"contactcenter/shared/event"
	"contactcenter/shared/function"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/rules"
	"contactcenter/shared/seal/openers"
	"contactcenter/shared/usage"
)

func main() {
	function.Start("notifier", build, func(n *Notifier, _ *slog.Logger) any { return n.Invoke })
}

func build(ctx context.Context, getenv func(string) string, log *slog.Logger) (*Notifier, error) {
	env, err := environment.Require(getenv, "ACCOUNTS_TABLE", "EVENTS_TABLE", "MESSAGES_TABLE", "CHANNELS_TABLE", "USAGE_TABLE", "COMPLAINTS_TABLE", "EVENT_QUEUE_URL", "DELIVERY_QUEUE_URL", "DEFAULT_PLAN_ID")
	if err != nil {
		return nil, err
	}
	cfg, err := awsclient.Load(ctx)
	if err != nil {
		return nil, err
	}
	content, err := openers.Content(ctx, cfg, getenv)
	if err != nil {
		return nil, err
	}
	secrets, err := openers.Webhooks(ctx, cfg, getenv)
	if err != nil {
		return nil, err
	}
	db, now := awsclient.NewDynamoDB(cfg), time.Now
	client := awsclient.NewSQS(cfg)
	endpoints := &endpoint.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now, Opener: secrets}
	resources := &views{
		endpoints: endpoints,
		messages:  &message.Store{DB: db, Table: env["MESSAGES_TABLE"], Retention: message.DefaultRetention, Opener: content},
		channels:  &channel.Store{DB: db, Table: env["CHANNELS_TABLE"]},
		providers: &registry.Store{DB: db, Table: env["CHANNELS_TABLE"], Now: now},
		health:    health.NewReader(&health.Store{DB: db, Table: env["USAGE_TABLE"]}, now),
		accounts:  &account.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now, DefaultPlanID: env["DEFAULT_PLAN_ID"]},
		gates:     &usage.Store{DB: db, Table: env["USAGE_TABLE"], Now: now},
		rules:     &rules.Store{DB: db, Table: env["ACCOUNTS_TABLE"], Now: now},
		evidence:  &claim.Requests{DB: db, Table: env["COMPLAINTS_TABLE"], Now: now},
		baseURL:   getenv("PUBLIC_BASE_URL"), now: now,
	}
	return &Notifier{
		Endpoints: endpoints,
		Kept:      &delivery.Store{DB: db, Table: env["EVENTS_TABLE"], Now: now},
		Events:    &event.Queue{SQS: client, URL: env["EVENT_QUEUE_URL"]},
		Queue:     &delivery.Queue{SQS: client, URL: env["DELIVERY_QUEUE_URL"]},
		Replays:   &delivery.Replays{SQS: client, URL: env["EVENT_QUEUE_URL"]},
		Resources: resources,
		Sender:    delivery.NewSender(endpoint.ParseTargets(getenv("EVENT_TARGETS")), now),
		Log:       log, Now: now, Random: rand.Uint64,
	}, nil
}
