package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// endWithParent ends us when `go run` is gone: it passes a Ctrl-C of the terminal on to nobody, and a signal sent to
// it alone would leave us behind.
func endWithParent(ctx context.Context, end context.CancelFunc) {
	program, err := os.Executable()
	if err != nil || !underGoRun(program) {
		return
	}
	parent := os.Getppid()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if os.Getppid() != parent {
				end()
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// underGoRun tells whether a program lies where `go run` builds: a temporary folder or the build cache.
func underGoRun(program string) bool {
	if cache := os.Getenv("GOCACHE"); cache != "" && strings.HasPrefix(program, cache) {
		return true
	}
	for dir := program; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if strings.HasPrefix(filepath.Base(dir), "go-build") {
			return true
		}
	}
	return false
}
