// Command templates shows the message templates that a channel's provider has for its sender. It is a function of its own
// because it opens the account's credentials, which the one that activates channels must not.
package main

import (
	"context"
	"log/slog"
	"time"

	"contactcenter/shared/api"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/channel"
	"contactcenter/shared/environment"
	"contactcenter/shared/function"
	"contactcenter/shared/provider/adapters"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/openers"
	"contactcenter/shared/templates"
)

func main() {
	function.Start("templates", build, func(h *Handler, log *slog.Logger) any {
		return api.Handler(api.New(api.Config{Log: log, Now: time.Now}, api.TemplatesRoutes(h)))
	})
}

func build(ctx context.Context, getenv func(string) string, _ *slog.Logger) (*Handler, error) {
	env, err := environment.Require(getenv, "CHANNELS_TABLE")
	if err != nil {
		return nil, err
	}
	cfg, err := awsclient.Load(ctx)
	if err != nil {
		return nil, err
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
