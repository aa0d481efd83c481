package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"contactcenter/scripts/local/internal/runtime"
)

// invoke runs one function once on one event: in the stack that runs, or in one of its own.
func invoke(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	var o options
	var file string
	set := flag.NewFlagSet("local invoke LogicalId", flag.ContinueOnError)
	set.SetOutput(stderr)
	o.flags(set)
	set.StringVar(&file, "e", "", "file with the event in JSON; - reads it from standard input")
	set.StringVar(&file, "event", "", "the same as -e")
	name, rest := "", args
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		name, rest = args[0], args[1:]
	}
	if err := parse(set, rest); err != nil {
		return err
	}
	if name == "" {
		name = set.Arg(0)
	}
	if name == "" {
		return fmt.Errorf("%w: invoke LogicalId -e FILE", errUsage)
	}
	event, err := readEvent(file, stdin)
	if err != nil {
		return err
	}
	answer, err := invokeRunning(ctx, o.api, name, event)
	if errors.Is(err, errNotRunning) {
		answer, err = invokeAlone(ctx, o, name, event, stderr)
	}
	failed := (*runtime.FunctionError)(nil)
	if errors.As(err, &failed) {
		answer = failed.Payload
	}
	if len(answer) > 0 {
		fmt.Fprintln(stdout, string(bytes.TrimSpace(answer)))
	}
	return err
}

func readEvent(file string, stdin io.Reader) ([]byte, error) {
	switch file {
	case "":
		return []byte("{}"), nil
	case "-":
		event, err := io.ReadAll(stdin)
		if err != nil {
			return nil, fmt.Errorf("read the event: %w", err)
		}
		return event, nil
	default:
		event, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read the event: %w", err)
		}
		return event, nil
	}
}

var errNotRunning = errors.New("no stack is running")

func invokeRunning(ctx context.Context, api, name string, event []byte) ([]byte, error) {
	if !running(ctx, api) {
		return nil, errNotRunning
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint(api)+"/2015-03-31/functions/"+url.PathEscape(name)+"/invocations", bytes.NewReader(event))
	if err != nil {
		return nil, fmt.Errorf("invoke %s: %w", name, err)
	}
	// Lambda's longest timeout, and a little.
	client := &http.Client{Timeout: 16 * time.Minute}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("invoke %s: %w", name, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("invoke %s: %w", name, err)
	}
	if kind := resp.Header.Get("X-Amz-Function-Error"); kind != "" {
		return nil, &runtime.FunctionError{Kind: kind, Payload: answer}
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("invoke %s: the running stack answered %d: %s", name, resp.StatusCode, bytes.TrimSpace(answer))
	}
	return answer, nil
}

// running tells whether a stack answers on an address, and is ready.
func running(ctx context.Context, api string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint(api)+"/healthz", nil)
	if err != nil {
		return false
	}
	resp, err := (&http.Client{}).Do(req) // the context bounds it
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	told, err := io.ReadAll(io.LimitReader(resp.Body, 100))
	return err == nil && resp.StatusCode == http.StatusOK && bytes.Contains(told, []byte(`"ready"`))
}

// invokeAlone starts a stack on free ports, without event sources and schedules, for this one event.
func invokeAlone(ctx context.Context, o options, name string, event []byte, stderr io.Writer) ([]byte, error) {
	o.api, o.sim, o.aws = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	o.withoutSources = true
	s, err := start(ctx, o, stderr, stderr)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	f, ok := s.find(name)
	if !ok {
		return nil, fmt.Errorf("the template has no function %q", name)
	}
	return f.Invoke(ctx, event)
}
