// Command local runs the whole application on one machine, with Go alone. It reads template.yaml, builds the functions
// as Lambda would run them, and stands in for what AWS wires: the HTTP API with its authorizers, the queues' event
// sources, the schedules, DynamoDB and SQS, and the Communication Providers.
//
//	go run ./scripts/local
//	go run ./scripts/local invoke LogicalId -e events/FILE.json
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(ctx)
	go endWithParent(ctx, cancel)
	code := realMain(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	cancel()
	stop()
	os.Exit(code)
}

// realMain gives the exit code: 0 after Ctrl-C, 1 for what went wrong, 2 for a wrong command line.
func realMain(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	run := func() error { return serve(ctx, args, stdout, stderr) }
	if len(args) > 0 && args[0] == "invoke" {
		run = func() error { return invoke(ctx, args[1:], stdin, stdout, stderr) }
	}
	err := run()
	switch {
	case err == nil, errors.Is(err, context.Canceled) && ctx.Err() != nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintln(stderr, "local:", err)
		return 2
	default:
		fmt.Fprintln(stderr, "local:", err)
		return 1
	}
}

var errUsage = errors.New("wrong command line")

// options are what the command line decides.
type options struct {
	template       string
	api, sim, aws  string
	cache          string
	parameters     parameters
	quiet          bool
	withoutSources bool
	// batches of a queue that are worked on at a time before any of them is slow; 0: maxProcesses.
	batches int
}

// parameters are the template's parameters given as Name=Value, any number of times.
type parameters map[string]string

func (p parameters) String() string { return "" }

func (p parameters) Set(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return fmt.Errorf("%q is not Name=Value", s)
	}
	p[name] = value
	return nil
}

func (o *options) flags(set *flag.FlagSet) {
	o.parameters = parameters{}
	set.StringVar(&o.template, "template", "", "the SAM template (default template.yaml here or in a folder above)")
	set.StringVar(&o.api, "api", "127.0.0.1:3000", "address of the HTTP API")
	set.StringVar(&o.sim, "sim", "127.0.0.1:3001", "address of the provider simulators")
	set.StringVar(&o.aws, "aws", "127.0.0.1:4566", "address of DynamoDB and SQS; not used with AWS_ENDPOINT_URL_DYNAMODB and AWS_ENDPOINT_URL_SQS")
	set.StringVar(&o.cache, "cache", "", "where the functions are built (default .cache/local of the module)")
	set.Var(o.parameters, "parameter", "a parameter of the template, `Name=Value`; may be given again")
	set.IntVar(&o.batches, "batches", maxProcesses, fmt.Sprintf("batches of a queue that are worked on at a time, 1 to %d and no more than the template allows; further ones only beside slow ones", maxSlow))
	set.BoolVar(&o.quiet, "quiet", false, "print nothing but the line that says ready")
}

func parse(set *flag.FlagSet, args []string) error {
	err := set.Parse(args)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return err
}

// serve runs the stack until the context ends.
func serve(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o options
	set := flag.NewFlagSet("local", flag.ContinueOnError)
	set.SetOutput(stderr)
	o.flags(set)
	if err := parse(set, args); err != nil {
		return err
	}
	if set.NArg() > 0 {
		return fmt.Errorf("%w: unexpected %q (the only command is invoke)", errUsage, set.Arg(0))
	}
	if o.batches < 1 || o.batches > maxSlow {
		return fmt.Errorf("%w: -batches must be 1 to %d", errUsage, maxSlow)
	}
	s, err := start(ctx, o, stdout, stderr)
	if err != nil {
		return err
	}
	defer s.Close()
	s.announce(stdout, o.quiet)
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.broken:
		return err
	}
}
