// Command demo shows, in about two minutes, what the Contact Center promises: a message on its way with its times and
// its cost, a dispatcher that dies in the middle of a send, a usage limit under a flood, and an operator who can't
// activate a customer's channel. It talks to a running local stack:
//
//	go run ./scripts/local
//	go run ./scripts/demo
//	go run ./scripts/demo day
//
// In a terminal it waits for keys. Elsewhere, or with -all, it plays everything once. What it shows is read from the
// API and from what the provider's simulator saw, and each promise is checked: the exit status is 1 when one fails, 2
// when there is no stack, 130 when it was interrupted.
//
// With day it plays a day in the life of five accounts instead, and compares what the API, the providers and the CRM say of it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"contactcenter/scripts/demo/internal/day"
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
	at stack.Addresses
	// all plays the scenes without keys; day plays a day in their place.
	all, day bool
	life     day.Options
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
	out := newScreen(stdout)
	d := demo{stack: s, screen: out}
	switch {
	case o.day:
		err = day.Play(ctx, s, out, o.life)
	case !o.all && out.Live && term.IsTerminal(int(stdin.Fd())):
		err = d.byKeys(ctx, stdin)
	default:
		err = d.playAll(ctx)
	}
	if out.Passed+out.Failed > 0 {
		out.Summary()
	}
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

// newScreen writes to a file as suits it: a terminal can be written over, and has colours unless NO_COLOR is set.
func newScreen(file *os.File) *screen.Screen {
	terminal := term.IsTerminal(int(file.Fd()))
	width := func() int {
		if columns, _, err := term.GetSize(int(file.Fd())); err == nil {
			return columns
		}
		return 80
	}
	return &screen.Screen{Out: file, Live: terminal, Colour: terminal && os.Getenv("NO_COLOR") == "", Width: width}
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{day: len(args) > 0 && args[0] == "day"}
	set := flag.NewFlagSet("demo", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.StringVar(&o.at.API, "api", "127.0.0.1:3000", "address of the HTTP API")
	set.StringVar(&o.at.Sim, "sim", "127.0.0.1:3001", "address of the provider simulators")
	set.StringVar(&o.at.AWS, "aws", "127.0.0.1:4566", "address of DynamoDB and SQS, where usage is read; without it the cost is left out")
	if o.day {
		args = args[1:]
		set.Float64Var(&o.life.Speed, "speed", day.DefaultSpeed, "how many seconds of the day pass in one; outage, block and evening take some 30 s at any speed")
		set.Uint64Var(&o.life.Seed, "seed", rand.Uint64N(1_000_000), "makes the day: the same one, the same day; without it any")
	} else {
		set.BoolVar(&o.all, "all", false, "play everything once, without keys")
	}
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if err := o.check(set); err != nil {
		fmt.Fprintln(stderr, "demo:", err)
		return o, err
	}
	return o, nil
}

func (o options) check(set *flag.FlagSet) error {
	if set.NArg() > 0 {
		return fmt.Errorf("unexpected %q (the only command is day, and it comes first)", set.Arg(0))
	}
	if o.day && !(o.life.Speed >= day.Least && o.life.Speed <= day.Most) {
		return fmt.Errorf("-speed: want %d to %d", day.Least, day.Most)
	}
	return nil
}
