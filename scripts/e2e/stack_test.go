//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"contactcenter/shared/api/apitest"
	"contactcenter/shared/telemetry/telemetrytest"
)

const (
	// startTime is how long a stack may take to be ready, with the functions still to be built.
	startTime = 10 * time.Minute
	// endTime is how long it may take to end.
	endTime = time.Minute
	// storeTimeout bounds one try of a call to the stack's DynamoDB or SQS.
	storeTimeout = time.Minute
	// patience is the least that is waited for anything: on a machine that others use too, all takes many times as long as usual.
	patience = 2 * time.Minute
)

// suite is what all tests share: the built program, and one running stack.
type suite struct {
	dir     string
	root    string
	program string
	shared  *stack
	// contract is what every answer of the API is held against.
	contract *apitest.Contract
	breaches *breaches
}

// common is written once, before any test runs.
var common suite

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "e2e")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return 1, err
	}
	contract, err := apitest.TheContract()
	if err != nil {
		return 1, err
	}
	common = suite{dir: dir, root: root, program: filepath.Join(dir, "local"), contract: contract, breaches: new(breaches)}
	build := exec.Command("go", "build", "-o", common.program, "./scripts/local")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build scripts/local: %w\n%s", err, out)
	}
	if common.shared, err = launch(os.Environ()); err != nil {
		return 1, err
	}
	defer func() {
		if stopErr := common.shared.stop(); stopErr != nil && err == nil {
			code, err = 1, fmt.Errorf("stop the shared stack: %w", stopErr)
		}
		if path := os.Getenv("E2E_LOG"); path != "" {
			if writeErr := os.WriteFile(path, common.shared.output.Bytes(), 0o600); writeErr != nil {
				err = errors.Join(err, writeErr)
			}
		}
	}()
	code = m.Run()
	if err := common.breaches.err(); err != nil {
		return 1, err
	}
	return code, nil
}

// stack is a local stack that runs as a process.
type stack struct {
	api, sim, dynamodb, sqs string
	cmd                     *exec.Cmd
	output                  *telemetrytest.Log
	ended                   chan struct{}
	endError                error
	senders                 *senders
}

var readyLine = regexp.MustCompile(`(?m)^ready: API (\S+), simulators (\S+)/\{provider_id\}, DynamoDB (\S+), SQS (\S+)$`)

// inProcess is the environment without the engines of others: stacks of one engine would share tables and queues.
func inProcess(more ...string) []string {
	return append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_ENDPOINT_URL") }), more...)
}

// launch starts a stack on free ports, and waits until it is ready.
func launch(environment []string, args ...string) (*stack, error) {
	return launchProgram(common.program, environment, args...)
}

// launchProgram is launch for another scripts/local than the one that was built of the source as it stands.
func launchProgram(program string, environment []string, args ...string) (*stack, error) {
	s := &stack{output: new(telemetrytest.Log), ended: make(chan struct{}), senders: newSenders(10)}
	s.cmd = exec.Command(program, append([]string{"-api", "127.0.0.1:0", "-sim", "127.0.0.1:0", "-aws", "127.0.0.1:0"}, args...)...)
	s.cmd.Dir = common.root
	s.cmd.Env = environment
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.endError = s.cmd.Wait()
		close(s.ended)
	}()
	deadline := time.Now().Add(startTime)
	for {
		if found := readyLine.FindSubmatch(s.output.Bytes()); found != nil {
			s.api, s.sim, s.dynamodb, s.sqs = string(found[1]), string(found[2]), string(found[3]), string(found[4])
			return s, nil
		}
		select {
		case <-s.ended:
			return nil, fmt.Errorf("the stack ended before it was ready: %v\n%s", s.endError, s.output.Bytes())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			_ = s.cmd.Process.Kill()
			<-s.ended
			return nil, fmt.Errorf("the stack was not ready within %v\n%s", startTime, s.output.Bytes())
		}
	}
}

// stop ends the stack as Ctrl-C does.
func (s *stack) stop() error {
	select {
	case <-s.ended:
		return fmt.Errorf("the stack had ended before: %v", s.endError)
	default:
	}
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	select {
	case <-s.ended:
		return s.endError
	case <-time.After(endTime):
		_ = s.cmd.Process.Kill()
		<-s.ended
		return fmt.Errorf("the stack did not end within %v of an interrupt", endTime)
	}
}

// ownStack starts a stack for one test, on engines of its own.
func ownStack(t *testing.T, environment []string, args ...string) *stack {
	t.Helper()
	s, err := launch(inProcess(environment...), args...)
	if err != nil {
		t.Fatal(err)
	}
	s.ends(t)
	return s
}

// ends stops a stack with its test.
func (s *stack) ends(t *testing.T) {
	t.Cleanup(func() {
		select {
		case <-s.ended:
		default:
			if err := s.stop(); err != nil {
				t.Errorf("stop the stack: %v", err)
			}
		}
		if t.Failed() {
			t.Logf("end of the stack's output:\n%s", tail(s.output.Bytes(), 6000))
		}
	})
}

// measured is the stack for tests that measure time: the shared one, unless that stands on engines of others, whose own
// time would be measured along.
func measured(t *testing.T) *stack {
	t.Helper()
	if os.Getenv("AWS_ENDPOINT_URL_DYNAMODB")+os.Getenv("AWS_ENDPOINT_URL_SQS") != "" {
		return ownStack(t, nil)
	}
	return common.shared
}

// warm lets the processes that deal with messages come up before something is measured.
func (s *stack) warm(t *testing.T) {
	t.Helper()
	a, ch := ready(t, s, plan{Limit: 1000})
	a.flood(60, 20, func(int) map[string]any { return order(ch, person(), text(unique("warm "))) })
	a.untilUsed(time.Minute, 60)
}

func tail(b []byte, n int) []byte {
	if len(b) > n {
		return b[len(b)-n:]
	}
	return b
}

// descendants are the processes below one, by /proc.
func descendants(t *testing.T, pid int) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatalf("look at the processes: %v", err)
	}
	children := map[int][]int{}
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue // it has ended meanwhile
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		parent, err := strconv.Atoi(fields[1])
		if err != nil {
			t.Fatalf("parent of process %d: %v", id, err)
		}
		children[parent] = append(children[parent], id)
	}
	var out []int
	for next := children[pid]; len(next) > 0; {
		id := next[0]
		next = append(next[1:], children[id]...)
		out = append(out, id)
	}
	return out
}

func alive(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// command runs the program to its end.
func command(t *testing.T, limit time.Duration, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, common.program, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = common.root, inProcess(), &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %v: %v", args, err)
	}
	if ctx.Err() != nil {
		t.Fatalf("%v did not end within %v:\n%s", args, limit, errs.String())
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// kill ends processes of a function, as a machine that fails does: those with an event in hand now, or, after a time,
// the one that gets the next event.
func (s *stack) kill(t *testing.T, function string, after time.Duration) {
	t.Helper()
	got := s.raw(t, http.MethodPost, s.api+"/dev/kill", nil, []byte(fmt.Sprintf(`{"function":%q,"after_ms":%d}`, function, after.Milliseconds())))
	if got.status != http.StatusOK {
		t.Fatalf("POST /dev/kill: %d %s", got.status, got.body)
	}
}

// spare calls off the deaths that have not come yet, so that what a test asks next is answered.
func (s *stack) spare(t *testing.T) {
	t.Helper()
	if got := s.raw(t, http.MethodDelete, s.api+"/dev/kill", nil, nil); got.status != http.StatusOK {
		t.Fatalf("DELETE /dev/kill: %d %s", got.status, got.body)
	}
}

// invoke is Lambda's Invoke.
func (s *stack) invoke(t *testing.T, logicalID string, event []byte) *answer {
	t.Helper()
	return s.raw(t, http.MethodPost, s.api+"/2015-03-31/functions/"+logicalID+"/invocations", nil, event)
}

// reset runs the quota reset once.
func (s *stack) reset(t *testing.T) {
	t.Helper()
	got := s.invoke(t, "QuotaResetFunction", []byte(`{"source":"schedule"}`))
	if got.status != http.StatusOK || got.header.Get("X-Amz-Function-Error") != "" {
		t.Fatalf("the quota reset failed: %d %s", got.status, got.body)
	}
}

func discard(r io.ReadCloser) {
	_, _ = io.Copy(io.Discard, r)
	_ = r.Close()
}
