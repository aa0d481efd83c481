package function

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestAFunctionIsWiredFromItsEnvironmentWithItsLog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	env := map[string]string{"LOG_LEVEL": "debug", "TABLE": "t"}
	build := func(_ context.Context, getenv func(string) string, log *slog.Logger) (string, error) {
		log.Debug("wired")
		return getenv("TABLE"), nil
	}
	got, ok := wire(&out, func(name string) string { return env[name] }, "account", build, func(h string, log *slog.Logger) any {
		log.Debug("served")
		return "serves " + h
	})
	if got != "serves t" || !ok {
		t.Errorf("got %v, %t", got, ok)
	}
	if s := out.String(); !strings.Contains(s, "wired") || !strings.Contains(s, "served") {
		t.Errorf("the log is %s", s)
	}
}

func TestAFunctionThatCannotBeWiredSaysWhyAndServesNothing(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	build := func(context.Context, func(string) string, *slog.Logger) (*int, error) {
		return nil, errors.New("TABLE is not set")
	}
	_, ok := wire(&out, func(string) string { return "" }, "account", build, func(*int, *slog.Logger) any {
		t.Error("a handler was made of nothing")
		return nil
	})
	if s := out.String(); ok || !strings.Contains(s, `"function":"account"`) || !strings.Contains(s, "TABLE is not set") {
		t.Errorf("served %t, the log is %s", ok, s)
	}
}
