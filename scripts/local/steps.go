package main

import (
	"fmt"
	"io"
	"time"
)

// steps shows what is being done, and how long it took.
type steps struct {
	out   io.Writer
	quiet bool
}

func (s steps) step(what string, do func() error) error {
	if s.quiet {
		return do()
	}
	begun := time.Now()
	fmt.Fprintf(s.out, "%s … ", what)
	if err := do(); err != nil {
		fmt.Fprintln(s.out, "failed")
		return err
	}
	fmt.Fprintf(s.out, "%.1f s\n", time.Since(begun).Seconds())
	return nil
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
