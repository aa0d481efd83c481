package main

import (
	"testing"

	"contactcenter/shared/environment/environmenttest"
)

func TestItIsWiredFromTheTemplatesEnvironment(t *testing.T) {
	environmenttest.Check(t, environmenttest.Function{LogicalID: "NotifierFunction"}, build)
}
