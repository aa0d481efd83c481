package main

import (
	"log/slog"
	"testing"

	"contactcenter/shared/environment/environmenttest"
)

func TestItIsWiredFromTheTemplatesEnvironment(t *testing.T) {
	environmenttest.Check(t, environmenttest.Function{
		LogicalID: "DispatcherFunction",
		Nil:       []string{"Source.Now", "Source.Random"}, // it makes no recipient, so it needs no new ids
		Build: func(getenv func(string) string) (any, error) {
			return build(t.Context(), getenv, slog.New(slog.DiscardHandler))
		},
	})
}
