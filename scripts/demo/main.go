// Command demo shows, in about two minutes, what the Contact Center promises: a message on its way with its times and
// its cost, a dispatcher that dies in the middle of a send, a usage limit under a flood, and an operator who can't
// activate a customer's channel. It talks to a running local stack:
//
//	go run ./scripts/local
//	go run ./scripts/demo
//
// In a terminal it waits for keys. Elsewhere, or with -all, it plays everything once. What it shows is read from the
// API and from what the provider's simulator saw, and each promise is checked: the exit status is 1 when one fails, 2
// when there is no stack.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"contactcenter/scripts/demo/internal/screen"
	"contactcenter/scripts/demo/internal/stack"
)

const (
	exitFailed      = 1
	exitNoStack     = 2
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := realMain(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

type options struct {
	at  stack.Addresses
	all bool
}

func realMain(ctx context.Context, args []string, stdin, stdout *os.File, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitNoStack
	}
	s := stack.New(o.at)
	if err := s.Answers(ctx); err != nil {
		fmt.Fprintf(stderr, "demo: no stack answers: %v\nStart one with: go run ./scripts/local\n", err)
		return exitNoStack
	}
	terminal := term.IsTerminal(int(stdout.Fd()))
	out := &screen.Screen{Out: stdout, Live: terminal, Colour: terminal && os.Getenv("NO_COLOR") == ""}
	d := demo{stack: s, screen: out}
	if !o.all && terminal && term.IsTerminal(int(stdin.Fd())) {
		err = d.byKeys(ctx, stdin)
	} else {
		err = d.playAll(ctx)
	}
	out.Summary()
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(stderr, "demo:", err)
		return exitFailed
	case out.Failed > 0:
		return exitFailed
	}
	return 0
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	set := flag.NewFlagSet("demo", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.StringVar(&o.at.API, "api", "127.0.0.1:3000", "address of the HTTP API")
	set.StringVar(&o.at.Sim, "sim", "127.0.0.1:3001", "address of the provider simulators")
	set.StringVar(&o.at.AWS, "aws", "127.0.0.1:4566", "address of DynamoDB and SQS, where usage is read; without it the cost is left out")
	set.BoolVar(&o.all, "all", false, "play everything once, without keys")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if set.NArg() > 0 {
		err := fmt.Errorf("unexpected %q", set.Arg(0))
		fmt.Fprintln(stderr, "demo:", err)
		return o, err
	}
	return o, nil
}
