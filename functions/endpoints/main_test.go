package main

import (
	"testing"

	"contactcenter/shared/environment/environmenttest"
)

func TestItIsWiredFromTheTemplatesEnvironment(t *testing.T) {
	environmenttest.Check(t, environmenttest.Function{
		LogicalID: "EndpointsFunction",
		Build:     func(getenv func(string) string) (any, error) { return build(t.Context(), getenv) },
		Nil:       []string{"Store.Audit"},
	})
}
