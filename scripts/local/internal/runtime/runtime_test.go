package runtime

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
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"contactcenter/shared/telemetry/telemetrytest"
)

// The test binary is its own function: started with a Runtime API it serves events, as a bootstrap does.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv("START") == "exit":
		fmt.Fprintln(os.Stderr, "no configuration")
		os.Exit(7)
	case os.Getenv("START") == "report":
		url := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/init/error"
		resp, err := http.Post(url, "application/json", strings.NewReader(`{"errorType":"Config","errorMessage":"no table"}`))
		if err == nil {
			resp.Body.Close()
		}
		os.Exit(1)
	case os.Getenv("AWS_LAMBDA_RUNTIME_API") != "":
		lambda.Start(behave)
	default:
		os.Exit(m.Run())
	}
}

type order struct {
	Do string `json:"do"`
}

func behave(ctx context.Context, o order) (any, error) {
	switch o.Do {
	case "crash":
		os.Exit(3)
	case "panic":
		panic("as told")
	case "fail":
		return nil, errors.New("as told")
	case "log":
		fmt.Println(`{"level":"INFO","msg":"hello"}`)
		fmt.Println("plain")
		fmt.Print("no end")
		os.Exit(0)
	case "wait":
		// Said on the log, for the test to know that the event is in hand.
		fmt.Println(`{"msg":"waiting"}`)
		time.Sleep(time.Minute)
	case "child":
		child := exec.Command("sleep", "60")
		child.Stdout = os.Stdout
		if err := child.Start(); err != nil {
			return nil, err
		}
		return child.Process.Pid, nil
	case "large":
		return strings.Repeat("a", 7<<20), nil
	}
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	return map[string]any{"pid": os.Getpid(), "id": lc.AwsRequestID, "arn": lc.InvokedFunctionArn, "left": time.Until(deadline).Seconds(), "name": os.Getenv("AWS_LAMBDA_FUNCTION_NAME")}, nil
}

func start(t *testing.T, change func(*Config)) (*Function, *telemetrytest.Log) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	config := Config{Label: "thing", ARN: "arn:thing", Program: program, Timeout: 20 * time.Second, MaxProcesses: 4, Environment: map[string]string{"AWS_LAMBDA_FUNCTION_NAME": "Thing"}}
	if change != nil {
		change(&config)
	}
	log := new(telemetrytest.Log)
	pool := NewPool()
	t.Cleanup(pool.Close)
	return pool.Add(config, NewLogs(log, time.Now)), log
}

type told struct {
	PID           int
	ID, ARN, Name string
	Left          float64
}

func invoke(t *testing.T, f *Function, do string) (told, error) {
	t.Helper()
	answer, err := f.Invoke(t.Context(), []byte(`{"do":"`+do+`"}`))
	var out told
	if err == nil {
		if err := json.Unmarshal(answer, &out); err != nil {
			t.Fatalf("the answer is %.100s: %v", answer, err)
		}
	}
	return out, err
}

func TestAFunctionIsInvokedAsOnLambda(t *testing.T) {
	t.Parallel()
	f, _ := start(t, nil)
	first, err := invoke(t, f, "")
	if err != nil {
		t.Fatal(err)
	}
	if first.ARN != "arn:thing" || first.Name != "Thing" || len(first.ID) != 36 || first.Left < 10 || first.Left > 20 {
		t.Errorf("the function was told %+v", first)
	}
	second, err := invoke(t, f, "")
	if err != nil {
		t.Fatal(err)
	}
	if second.PID != first.PID || second.ID == first.ID {
		t.Errorf("the second event went to process %d as %s, the first to %d as %s", second.PID, second.ID, first.PID, first.ID)
	}
}

func TestFailuresAreToldAsLambdaTellsThem(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ do, start, want string }{
		"an error":                         {"fail", "", `"errorMessage":"as told","errorType":"errorString"`},
		"a panic":                          {"panic", "", `"errorMessage":"as told"`},
		"a crash":                          {"crash", "", `Runtime exited with error: exit status 3","errorType":"Runtime.ExitError"`},
		"an answer that is too large":      {"large", "", `"errorType":"Function.ResponseSizeTooLarge"`},
		"a start that fails":               {"", "exit", `Runtime exited with error: exit status 7","errorType":"Runtime.ExitError"`},
		"a start that fails with a reason": {"", "report", `{"errorType":"Config","errorMessage":"no table"}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _ := start(t, func(config *Config) { config.Environment = map[string]string{"START": c.start} })
			_, err := invoke(t, f, c.do)
			var failed *FunctionError
			if !errors.As(err, &failed) || failed.Kind != "Unhandled" || !strings.Contains(string(failed.Payload), c.want) {
				t.Errorf("the error is %v: %s", err, payload(failed))
			}
			if c.start != "" {
				return
			}
			if _, err := invoke(t, f, ""); err != nil {
				t.Errorf("the next invocation fails: %v", err)
			}
		})
	}
}

func payload(e *FunctionError) []byte {
	if e == nil {
		return nil
	}
	return e.Payload
}

func TestAFunctionThatOverrunsItsTimeIsKilled(t *testing.T) {
	t.Parallel()
	f, _ := start(t, func(c *Config) { c.Timeout = 2 * time.Second })
	_, err := invoke(t, f, "wait")
	var failed *FunctionError
	if !errors.As(err, &failed) || !strings.Contains(string(failed.Payload), "Task timed out after 2.00 seconds") {
		t.Errorf("the error is %v", err)
	}
	if _, err := invoke(t, f, ""); err != nil {
		t.Errorf("the next invocation fails: %v", err)
	}
}

func TestEventsBeyondTheBoundWait(t *testing.T) {
	t.Parallel()
	f, log := start(t, func(c *Config) { c.MaxProcesses = 2 })
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			if _, err := invoke(t, f, "wait"); err == nil {
				t.Error("a killed invocation succeeded")
			}
		})
	}
	log.Await(t, 2, "waiting")
	all.Go(func() {
		if _, err := invoke(t, f, ""); err != nil {
			t.Errorf("the one that waited failed: %v", err)
		}
	})
	for f.State().Waiting == 0 {
		time.Sleep(time.Millisecond)
	}
	if s := f.State(); s.Processes != 2 || s.Busy != 2 {
		t.Errorf("the state is %+v", s)
	}
	if killed := f.Kill(0); killed != 2 {
		t.Errorf("%d were killed, want 2", killed)
	}
	all.Wait()
}

func TestAnInvokerMayLeave(t *testing.T) {
	t.Parallel()
	f, log := start(t, func(c *Config) { c.MaxProcesses = 1 })
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := f.Invoke(ctx, []byte(`{"do":"wait"}`))
		gone <- err
	}()
	log.Await(t, 1, "waiting")
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	if s := f.State(); s.Busy != 1 {
		t.Errorf("the function went with its invoker: %+v", s)
	}
}

func TestTheNextInvocationCanBeKilled(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]time.Duration{"as soon as it starts": 0, "some time after": 50 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _ := start(t, nil)
			if _, err := invoke(t, f, ""); err != nil {
				t.Fatal(err)
			}
			if killed := f.Kill(after); killed != 0 {
				t.Errorf("%d were killed at once", killed)
			}
			var failed *FunctionError
			if _, err := invoke(t, f, "wait"); !errors.As(err, &failed) || !strings.Contains(string(failed.Payload), "signal: killed") {
				t.Errorf("the error is %v", err)
			}
			if _, err := invoke(t, f, ""); err != nil {
				t.Errorf("the invocation after it fails: %v", err)
			}
			if s := f.State(); s.Killed != 1 || s.Failures != 1 || s.Invocations != 3 {
				t.Errorf("the state is %+v", s)
			}
		})
	}
}

func TestADeathThatIsCalledOffDoesNotCome(t *testing.T) {
	t.Parallel()
	f, _ := start(t, nil)
	if _, err := invoke(t, f, ""); err != nil {
		t.Fatal(err)
	}
	// The first event begins the time of an hour; the other two deaths have nobody as yet.
	f.Kill(time.Hour)
	f.Kill(0)
	f.Kill(time.Millisecond)
	if _, err := invoke(t, f, ""); err != nil {
		t.Fatal(err)
	}
	if spared := f.Spare(); spared != 3 {
		t.Errorf("%d deaths were called off, want 3", spared)
	}
	if _, err := invoke(t, f, ""); err != nil {
		t.Errorf("the invocation after it fails: %v", err)
	}
	if s := f.State(); s.Killed != 0 || s.Failures != 0 || f.Spare() != 0 {
		t.Errorf("the state is %+v", s)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	f, _ := start(t, nil)
	process, err := invoke(t, f, "")
	if err != nil {
		t.Fatal(err)
	}
	answer, err := f.Invoke(t.Context(), []byte(`{"do":"child"}`))
	if err != nil {
		t.Fatal(err)
	}
	var child int
	if err := json.Unmarshal(answer, &child); err != nil {
		t.Fatal(err)
	}
	f.Close()
	for _, pid := range []int{process.PID, child} {
		late := time.Now().Add(2 * time.Minute)
		for alive(pid) {
			if time.Now().After(late) {
				t.Fatalf("process %d still runs", pid)
			}
			time.Sleep(time.Millisecond)
		}
	}
	if _, err := invoke(t, f, ""); !errors.Is(err, ErrClosed) {
		t.Errorf("the error is %v", err)
	}
}

// alive tells whether a process runs; one that waits to be reaped by init does not.
func alive(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

func TestLogLinesNameTheirFunction(t *testing.T) {
	t.Parallel()
	f, log := start(t, nil)
	if _, err := invoke(t, f, "log"); err == nil {
		t.Error("a process that ended gave an answer")
	}
	f.Close()
	got := strings.Split(strings.TrimSpace(log.String()), "\n")
	want := []string{`{"function":"thing","level":"INFO","msg":"hello"}`, `"msg":"plain"}`, `"msg":"no end"}`, `"}`}
	if len(got) != len(want) {
		t.Fatalf("the log is %q", got)
	}
	if !strings.Contains(got[3], `"error":"the function failed: Runtime.ExitError`) || !strings.Contains(got[3], `"level":"ERROR"`) {
		t.Errorf("the end is told as %s", got[3])
	}
	for i, line := range got {
		if !json.Valid([]byte(line)) || !strings.HasPrefix(line, `{"function":"thing"`) || !strings.HasSuffix(line, want[i]) {
			t.Errorf("line %d is %s", i, line)
		}
	}
}

func TestLinesOfAnyKindBecomeJSON(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ in, want string }{
		"an object":       {`{"a":1}`, `{"function":"f","a":1}`},
		"an empty object": {`{}`, `{"function":"f"}`},
		"a broken object": {`{"a":`, `{"function":"f","time":"2026-11-24T00:00:00Z","level":"INFO","msg":"{\"a\":"}`},
		"a list":          {`[1]`, `{"function":"f","time":"2026-11-24T00:00:00Z","level":"INFO","msg":"[1]"}`},
		"nothing":         {"  ", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			logs := NewLogs(&out, func() time.Time { return time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC) })
			if _, err := io.WriteString(logs.writer("f"), c.in+"\n"); err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimSpace(out.String()); got != c.want {
				t.Errorf("it becomes %s, want %s", got, c.want)
			}
		})
	}
}

func TestLinesThatAreHeldBackComeWhenTheyMatter(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		all  bool
		want string
	}{
		{"all went well: what is no mere information", false, "warned later "},
		{"something failed: everything", true, "told warned later "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			logs := NewLogs(&out, time.Now)
			logs.Hold()
			logs.line("f", []byte(`{"level":"INFO","msg":"told"}`))
			logs.line("f", []byte(`{"level":"WARN","msg":"warned"}`))
			if out.Len() > 0 {
				t.Errorf("written while it was held back: %s", &out)
			}
			logs.Release(tc.all)
			logs.line("f", []byte(`{"level":"INFO","msg":"later"}`))
			var got string
			for line := range strings.Lines(out.String()) {
				var told struct {
					Message string `json:"msg"`
				}
				if err := json.Unmarshal([]byte(line), &told); err != nil {
					t.Fatal(err)
				}
				got += told.Message + " "
			}
			if got != tc.want {
				t.Errorf("written: %s, want %s", got, tc.want)
			}
		})
	}
}
