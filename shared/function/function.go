// Package function knows how a function begins: it gets its log, is wired from its environment, and serves Lambda.
package function

import (
	"context"
	"io"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"contactcenter/shared/telemetry"
)

// Build wires a function from its environment variables. Its error names what is missing, and never has a value in it.
type Build[H any] func(ctx context.Context, getenv func(string) string, log *slog.Logger) (H, error)

// Start wires the function of a name, and serves Lambda's invocations with what handler makes of it: something that
// lambda.Start takes. It does not return. A function that can't be wired says why in its log and ends the process.
func Start[H any](name string, build Build[H], handler func(h H, log *slog.Logger) any) {
	serve, ok := wire(os.Stdout, os.Getenv, name, build, handler)
	if !ok {
		os.Exit(1)
	}
	lambda.Start(serve)
}

func wire[H any](out io.Writer, getenv func(string) string, name string, build Build[H], handler func(h H, log *slog.Logger) any) (any, bool) {
	log := telemetry.NewLogger(out, getenv("LOG_LEVEL"))
	h, err := build(context.Background(), getenv, log)
	if err != nil {
		log.Error("function can't start", "function", name, "error", err.Error())
		return nil, false
	}
	return handler(h, log), true
}
