package main

import (
	"log/slog"
	"testing"

	"contactcenter/shared/environment/environmenttest"
)

func TestItIsWiredFromTheTemplatesEnvironment(t *testing.T) {
	environmenttest.Check(t, environmenttest.Function{
		LogicalID: "NotifierFunction",
		Build: func(getenv func(string) string) (any, error) {
			return build(t.Context(), getenv, slog.New(slog.DiscardHandler))
		},
	})
}
