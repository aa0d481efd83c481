package health

import (
	"context"
	"log/slog"
	"time"

	"contactcenter/shared/event"
)

// Publisher publishes events.
type Publisher interface {
	Publish(ctx context.Context, list ...event.Event) error
}

// Publish gives a Changed that publishes the changes of providers, for everybody who listens. One that fails is noted in the log and
// not published again: GET /v1/status shows the state in any case.
func Publish(to Publisher, log *slog.Logger) Changed {
	return func(ctx context.Context, of Subject, state State, at time.Time) {
		if of.Kind != OfProvider("").Kind {
			return
		}
		if err := to.Publish(ctx, event.New(event.ProviderStatusChanged, "", of.ID, at, string(state))); err != nil {
			log.WarnContext(ctx, "change of health not published", "id", of.ID, "error", err.Error())
		}
	}
}
