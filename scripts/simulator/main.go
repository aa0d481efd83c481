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
	"maps"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"contactcenter/scripts/simulator/simulators"
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

	l, err := net.Listen("tcp", *addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	mux := http.NewServeMux()
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	for _, p := range simulators.All() {
		base := "http://" + l.Addr().String() + "/" + p.ID
		settings := p.Settings(base)
		fmt.Printf("%s: %s, steered under %s/_sim/\n", p.ID, urls(settings), base)
		for name := range settings {
			if set, ok := os.LookupEnv(name); ok {
				settings[name] = set
			}
		}
		handler, end := p.Start(settings, log)
		defer end()
		mux.Handle("/"+p.ID+"/", http.StripPrefix("/"+p.ID, handler))
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	return server.Close()
}

// urls are the settings that say where a simulator is, not those that let one in.
func urls(settings map[string]string) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if strings.HasSuffix(name, "_URL") {
			out = append(out, name+"="+settings[name])
		}
	}
	return strings.Join(out, " ")
}
