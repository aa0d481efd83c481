package environment_test

import (
	"strings"
	"testing"

	"contactcenter/shared/environment"
)

func TestEveryMissingVariableIsNamedAndNoValueTold(t *testing.T) {
	t.Parallel()
	set := map[string]string{"A": "canary"}
	getenv := func(name string) string { return set[name] }
	_, err := environment.Require(getenv, "A", "B", "C")
	if err == nil || !strings.Contains(err.Error(), "variable B is") || !strings.Contains(err.Error(), "variable C is") || strings.Contains(err.Error(), "variable A is") || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
	if env, err := environment.Require(getenv, "A"); err != nil || env["A"] != "canary" {
		t.Errorf("got %v, %v", env, err)
	}
}
