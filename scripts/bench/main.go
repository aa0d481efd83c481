// Command bench measures what one message costs over its whole life: DynamoDB units and AWS requests, the
// dispatcher's time on a processor, and how many messages a second pass. It starts the local stack on free ports, sends messages
// through it, and prints one JSON document on stdout; what it does goes to stderr.
//
//	go run ./scripts/bench [-scenario alone,backlog_tens] [-n 100]
//	go run ./scripts/bench -scenario neighbour,neighbour_in_line -starts 0 -binaries=false
//	go run ./scripts/bench -verify http://127.0.0.1:8000
//
// The figures' meaning, and what was measured last, are in docs/performance.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		stop()
		os.Exit(1)
	}
}

// options are what the command line decides.
type options struct {
	scenarios []scenario
	// neighbours are measured on top, each on a stack of its own.
	neighbours []neighbour
	// backlog is that of the neighbours, in messages.
	backlog  int
	n        int
	pace     time.Duration
	binaries bool
	starts   int
	verify   string
}

func parse(args []string, out io.Writer) (options, error) {
	var o options
	names := make([]string, 0, len(scenarios()))
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.SetOutput(out)
	chosen := set.String("scenario", strings.Join(names, ","), "the scenarios to measure, in any order; none to measure binaries only")
	set.IntVar(&o.backlog, "backlog", 10_000, "messages of the backlog beside which single ones are sent: for the neighbour scenarios, which are measured only when they are named")
	set.IntVar(&o.n, "n", 100, "messages of a scenario")
	set.DurationVar(&o.pace, "pace", 400*time.Millisecond, "between two messages that are sent alone, at least")
	set.BoolVar(&o.binaries, "binaries", true, "build the functions as for Lambda, and tell their sizes")
	set.IntVar(&o.starts, "starts", 10, "starts of each function to take the median of; 0: none")
	set.StringVar(&o.verify, "verify", "", "compare the unit rules with what the DynamoDB at this `URL` reports as consumed, and end")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if set.NArg() > 0 || o.n < 1 || o.n > 5000 || o.backlog < 1 || o.backlog > 20_000 {
		return o, errors.New("no arguments are expected beside the flags, n must be 1 to 5000, and the backlog 1 to 20000")
	}
	for _, name := range strings.FieldsFunc(*chosen, func(r rune) bool { return r == ',' }) {
		i, j := slices.Index(names, name), slices.IndexFunc(neighbours(), func(n neighbour) bool { return n.name == name })
		switch {
		case i >= 0:
			o.scenarios = append(o.scenarios, scenarios()[i])
		case j >= 0:
			o.neighbours = append(o.neighbours, neighbours()[j])
		default:
			return o, fmt.Errorf("there is no scenario %q; there are %s, neighbour, neighbour_in_line, own and own_in_line", name, strings.Join(names, ", "))
		}
	}
	return o, nil
}

// document is what is printed.
type document struct {
	At        time.Time `json:"at"`
	Machine   machine   `json:"machine"`
	Scenarios []result  `json:"scenarios"`
	// Neighbours are what one account's backlog does to another's messages.
	Neighbours []neighbourResult `json:"neighbours,omitempty"`
	// Binaries are built for linux/arm64 with the flags of the Makefile.
	Binaries []binary `json:"binaries,omitempty"`
	// Starts are those of this machine's own builds.
	Starts []started `json:"process_start_to_first_poll,omitempty"`
}

type machine struct {
	OS   string `json:"os"`
	Arch string `json:"arch"`
	CPUs int    `json:"cpus"`
	Go   string `json:"go"`
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	printed := json.NewEncoder(stdout)
	printed.SetIndent("", "  ")
	if o.verify != "" {
		found, err := verify(ctx, o.verify)
		if err != nil {
			return err
		}
		return printed.Encode(found)
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary folder
	doc := document{At: time.Now().UTC().Truncate(time.Second), Machine: machine{runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()}, Scenarios: []result{}}
	b := bench{options: o, root: root, dir: dir, log: stderr}
	if len(o.scenarios)+len(o.neighbours) > 0 || o.starts > 0 {
		if err := b.local(ctx, &doc); err != nil {
			return err
		}
	}
	if o.binaries {
		fmt.Fprintln(stderr, "bench: building the functions for linux/arm64")
		if doc.Binaries, err = sizes(ctx, root, dir); err != nil {
			return err
		}
	}
	return printed.Encode(doc)
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find go.mod: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

// bench is one run.
type bench struct {
	options
	root, dir string
	log       io.Writer
}

// local measures what needs the local stack.
func (b *bench) local(ctx context.Context, doc *document) error {
	program := filepath.Join(b.dir, "local")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./scripts/local")
	build.Dir = b.root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build scripts/local: %w\n%s", err, out)
	}
	for _, sc := range b.scenarios {
		r, err := b.measure(ctx, program, sc)
		if err != nil {
			return fmt.Errorf("scenario %s: %w", sc.name, err)
		}
		doc.Scenarios = append(doc.Scenarios, r)
	}
	for _, n := range b.neighbours {
		r, err := b.neighbour(ctx, program, n)
		if err != nil {
			return fmt.Errorf("scenario %s: %w", n.name, err)
		}
		doc.Neighbours = append(doc.Neighbours, r)
	}
	if b.starts == 0 {
		return nil
	}
	s, err := launch(ctx, program, b.root)
	if err != nil {
		return err
	}
	defer s.stop()
	fmt.Fprintln(b.log, "bench: starts of the functions")
	doc.Starts, err = s.startTimes(ctx, b.starts)
	return err
}
