package main

import (
	"testing"

	"contactcenter/shared/environment/environmenttest"
)

func TestItIsWiredFromTheTemplatesEnvironment(t *testing.T) {
	environmenttest.Check(t, environmenttest.Function{
		LogicalID: "DispatcherFunction",
		Nil:       []string{"Source.Now", "Source.Random"}, // it makes no recipient, so it needs no new ids
	}, build)
}
