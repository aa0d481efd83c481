package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"time"

	"contactcenter/shared/awsclient"
)

const (
	// startTime is how long a stack may take to be ready, with the functions still to be built.
	startTime = 5 * time.Minute
	endTime   = 15 * time.Second
)

// stack is a local stack that runs as a process.
type stack struct {
	api, sim, aws string
	http          *http.Client
	cmd           *exec.Cmd
	output        *capture
	ended         chan struct{}
}

var readyLine = regexp.MustCompile(`(?m)^ready: API (\S+), simulators (\S+)/\{provider_id\}, DynamoDB (\S+), SQS (\S+)$`)

// launch starts a stack on free ports and waits until it is ready. Its scheduled reset is out of the way.
func launch(ctx context.Context, program, root string, args ...string) (*stack, error) {
	s := &stack{
		http:   &http.Client{Timeout: 40 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256}},
		output: &capture{}, ended: make(chan struct{}),
	}
	s.cmd = exec.CommandContext(ctx, program, append([]string{"-api", "127.0.0.1:0", "-sim", "127.0.0.1:0", "-aws", "127.0.0.1:0", "-parameter", "QuotaResetRate=rate(1 day)"}, args...)...)
	s.cmd.Dir = root
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(os.Interrupt) }
	s.cmd.WaitDelay = endTime
	// Only the stack's own engines are counted.
	for _, v := range os.Environ() {
		if !bytes.HasPrefix([]byte(v), []byte("AWS_")) {
			s.cmd.Env = append(s.cmd.Env, v)
		}
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the local stack: %w", err)
	}
	go func() {
		_ = s.cmd.Wait() // how it ended is in its output
		close(s.ended)
	}()
	deadline := time.After(startTime)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if found := readyLine.FindSubmatch(s.output.bytes()); found != nil {
			s.api, s.sim, s.aws = string(found[1]), string(found[2]), string(found[3])
			return s, nil
		}
		select {
		case <-s.ended:
			return nil, fmt.Errorf("the local stack ended before it was ready:\n%s", s.output.bytes())
		case <-deadline:
			s.stop()
			return nil, fmt.Errorf("the local stack was not ready within %v:\n%s", startTime, s.output.bytes())
		case <-tick.C:
		}
	}
}

// stop ends the stack as Ctrl-C does, and waits for its end.
func (s *stack) stop() {
	_ = s.cmd.Process.Signal(os.Interrupt) // it may have ended already
	select {
	case <-s.ended:
	case <-time.After(endTime):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
}

// capture keeps what is written to it, up to a bound: then only the first part of it.
type capture struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (c *capture) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all.Len() < 1<<20 {
		c.all.Write(p)
	}
	return len(p), nil
}

func (c *capture) bytes() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.all.Bytes())
}

// call makes one HTTP call with a JSON body and reads a JSON answer of the expected status into out, unless it is nil.
func (s *stack) call(ctx context.Context, method, url string, header map[string]string, in, out any, status int) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != status {
		return fmt.Errorf("%s %s: %d %s", method, url, resp.StatusCode, raw)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(raw, out)
}

// functionState is what the stack tells of a function.
type functionState struct {
	Function    string `json:"function"`
	Folder      string `json:"folder"`
	Processes   int    `json:"processes"`
	Busy        int    `json:"busy"`
	Waiting     int    `json:"waiting"`
	Invocations int    `json:"invocations"`
	Failures    int    `json:"failures"`
}

// functions gives the state of each function, by its folder's name.
func (s *stack) functions(ctx context.Context) (map[string]functionState, error) {
	var told struct {
		Items []functionState `json:"items"`
	}
	if err := s.call(ctx, http.MethodGet, s.api+"/dev/functions", nil, nil, &told, http.StatusOK); err != nil {
		return nil, err
	}
	out := map[string]functionState{}
	for _, f := range told.Items {
		out[folderName(f.Folder)] = f
	}
	return out, nil
}

func (s *stack) usage(ctx context.Context) (awsclient.Report, error) {
	var r awsclient.Report
	err := s.call(ctx, http.MethodGet, s.aws+"/_local/usage", nil, nil, &r, http.StatusOK)
	return r, err
}

func (s *stack) forgetUsage(ctx context.Context) error {
	return s.call(ctx, http.MethodPost, s.aws+"/_local/usage/reset", nil, nil, nil, http.StatusNoContent)
}

var errEnded = errors.New("the local stack has ended")

// until asks again and again until the answer is yes.
func (s *stack) until(ctx context.Context, limit time.Duration, what string, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := ask(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, ctx.Err())
		case <-s.ended:
			return errEnded
		case <-tick.C:
		}
	}
}
