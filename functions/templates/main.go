// Command templates shows the message templates that a channel's provider has for its sender. It is a function of its own
// because it opens the account's credentials, which the one that activates channels must not.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"contactcenter/shared/api"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/channel"
	"contactcenter/shared/environment"
	"contactcenter/shared/provider/adapters"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/openers"
	"contactcenter/shared/telemetry"
	"contactcenter/shared/templates"
)

func main() {
	log := telemetry.NewLogger(os.Stdout, os.Getenv("LOG_LEVEL"))
	h, err := build(context.Background(), os.Getenv)
	if err != nil {
		log.Error("templates can't start", "error", err.Error())
		os.Exit(1)
	}
	lambda.Start(api.Handler(api.New(api.Config{Log: log, Now: time.Now}, api.TemplatesRoutes(h))))
}

func build(ctx context.Context, getenv func(string) string) (*Handler, error) {
	env, err := environment.Require(getenv, "CHANNELS_TABLE")
	if err != nil {
		return nil, err
	}
	cfg, err := awsclient.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("read AWS configuration: %w", err)
	}
	sealer, err := seal.SealerFrom(getenv, seal.Credentials)
	if err != nil {
		return nil, err
	}
	opener, err := openers.Credentials(ctx, cfg, getenv)
	if err != nil {
		return nil, err
	}
	db, now := awsclient.NewDynamoDB(cfg), time.Now
	return &Handler{
		Channels:    &channel.Store{DB: db, Table: env["CHANNELS_TABLE"]},
		Providers:   &registry.Store{DB: db, Table: env["CHANNELS_TABLE"], Now: now},
		Templates:   &templates.Store{DB: db, Table: env["CHANNELS_TABLE"], Sealer: sealer, Opener: opener},
		Credentials: opener,
		Adapters:    adapters.All(getenv),
		Now:         now,
	}, nil
}
