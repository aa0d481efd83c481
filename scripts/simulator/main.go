// Command simulator runs the Communication Providers' simulators by themselves, as scripts/local does within the stack:
// each under /{provider_id}.
//
//	go run ./scripts/simulator -addr 127.0.0.1:3001
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"contactcenter/scripts/simulator/edna"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "simulator:", err)
		os.Exit(1)
	}
}

func run() error {
	addr := flag.String("addr", "127.0.0.1:3001", "address to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	e := edna.New(edna.Options{
		APIKey: os.Getenv("EDNA_API_KEY"), WebhookKey: firstKey(os.Getenv("EDNA_WEBHOOK_KEYS")),
		Logger: slog.New(slog.NewJSONHandler(os.Stderr, nil)),
	})
	defer e.Close()
	mux := http.NewServeMux()
	mux.Handle("/edna/", http.StripPrefix("/edna", e))

	l, err := net.Listen("tcp", *addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	fmt.Printf("edna: EDNA_BASE_URL=http://%s/edna/api, steered under http://%s/edna/_sim/\n", l.Addr(), l.Addr())
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	return server.Close()
}

// firstKey is the current one of several webhook keys.
func firstKey(keys string) string {
	for i, r := range keys {
		if r == ',' {
			return keys[:i]
		}
	}
	return keys
}
