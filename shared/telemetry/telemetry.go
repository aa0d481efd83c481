// Package telemetry knows how the functions tell what they do: JSON lines of slog, each with what its context knows of
// the request. It never sees content, addresses or secrets.
package telemetry

import (
	"context"
	"io"
	"log/slog"
	"slices"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

// NewLogger writes JSON lines to w, from the level on. Level is "DEBUG", "INFO", "WARN" or "ERROR"; anything else is INFO.
// In Lambda, lines carry the invocation's id.
func NewLogger(w io.Writer, level string) *slog.Logger {
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		least = slog.LevelInfo
	}
	return slog.New(handler{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: least, ReplaceAttr: lambdacontext.ReplaceAttr})})
}

type attrsKey struct{}

// With gives a context whose log lines carry the attributes, besides those that it has already.
func With(ctx context.Context, attrs ...slog.Attr) context.Context {
	had, _ := ctx.Value(attrsKey{}).([]slog.Attr)
	return context.WithValue(ctx, attrsKey{}, append(slices.Clip(had), attrs...))
}

// handler adds to each line what its context knows.
type handler struct{ slog.Handler }

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		r.AddAttrs(slog.String("invocation_id", lc.AwsRequestID))
	}
	if attrs, ok := ctx.Value(attrsKey{}).([]slog.Attr); ok {
		r.AddAttrs(attrs...)
	}
	return h.Handler.Handle(ctx, r)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}
func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }
