package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

func folderName(folder string) string { return filepath.Base(filepath.FromSlash(folder)) }

// processes are the stack's processes of a function, by /proc: those whose program has the name of its folder.
func (s *stack) processes(function string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("look at the processes: %w", err)
	}
	var out []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue // it has ended meanwhile
		}
		parent, err := parentOf(stat)
		if err != nil || parent != s.cmd.Process.Pid {
			continue
		}
		if program, err := os.Readlink(filepath.Join("/proc", e.Name(), "exe")); err == nil && filepath.Base(strings.TrimSuffix(program, " (deleted)")) == function {
			out = append(out, pid)
		}
	}
	return out, nil
}

// parentOf reads a process's parent from /proc/PID/stat. Its second field, the name, may hold anything, in parentheses.
func parentOf(stat []byte) (int, error) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 2 {
		return 0, errors.New("read /proc/PID/stat: it is too short")
	}
	return strconv.Atoi(fields[1])
}

// cpu is the time that processes of a function have spent on a processor since they began, all threads together, by
// process. The kernel counts it in nanoseconds.
func (s *stack) cpu(function string) (map[int]time.Duration, error) {
	pids, err := s.processes(function)
	if err != nil {
		return nil, err
	}
	out := map[int]time.Duration{}
	for _, pid := range pids {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if err != nil {
			return nil, err
		}
		for _, task := range tasks {
			told, err := os.ReadFile(task)
			if err != nil {
				continue // the thread has ended; Go keeps its threads, so this is rare
			}
			ran, err := onProcessor(told)
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", task, err)
			}
			out[pid] += ran
		}
	}
	return out, nil
}

// onProcessor reads the first field of schedstat.
func onProcessor(schedstat []byte) (time.Duration, error) {
	first, _, _ := strings.Cut(string(schedstat), " ")
	ns, err := strconv.ParseInt(first, 10, 64)
	return time.Duration(ns), err
}

// spent is the time between two readings. Of processes that began in between, what they took to start is in it.
func spent(before, after map[int]time.Duration) time.Duration {
	var sum time.Duration
	for pid, d := range after {
		sum += d - before[pid]
	}
	return sum
}

// binary is a function as it is deployed.
type binary struct {
	Function string  `json:"function"`
	Bytes    int64   `json:"bytes"`
	MB       float64 `json:"mb"`
}

// sizes builds all functions for Lambda, with the Makefile's flags, and tells how large they are.
func sizes(ctx context.Context, root, dir string) ([]binary, error) {
	out := filepath.Join(dir, "arm64") + string(filepath.Separator)
	if err := os.MkdirAll(out, 0o700); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-tags", "lambda.norpc", "-o", out, "./functions/...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	if told, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the functions: %w\n%s", err, told)
	}
	entries, err := os.ReadDir(out)
	if err != nil {
		return nil, err
	}
	var list []binary
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		list = append(list, binary{e.Name(), info.Size(), float64(info.Size()/10_000) / 100})
	}
	return list, nil
}

// started is how long a function takes from its start until it asks for its first event.
type started struct {
	Function string  `json:"function"`
	MedianMS float64 `json:"median_ms"`
	WorstMS  float64 `json:"worst_ms"`
}

// startTimes starts every function some times beside the stack, with the environment that it has there.
func (s *stack) startTimes(ctx context.Context, times int) ([]started, error) {
	functions, err := s.functions(ctx)
	if err != nil {
		return nil, err
	}
	var list []started
	for name, f := range functions {
		program, env, err := s.running(ctx, f)
		if err != nil {
			return nil, fmt.Errorf("start of %s: %w", name, err)
		}
		var took []time.Duration
		for range times {
			d, err := startOnce(ctx, program, env)
			if err != nil {
				return nil, fmt.Errorf("start of %s: %w", name, err)
			}
			took = append(took, d)
		}
		list = append(list, started{name, milliseconds(median(took)), milliseconds(slices.Max(took))})
	}
	slices.SortFunc(list, func(a, b started) int { return strings.Compare(a.Function, b.Function) })
	return list, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()/10) / 100 }

// median is the upper one of the two middle values of an even number of them.
func median(list []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

// running gives the program of a function and the environment of its process; one that has none yet gets an empty event.
func (s *stack) running(ctx context.Context, f functionState) (program string, env []string, err error) {
	name := folderName(f.Folder)
	pids, err := s.processes(name)
	if err != nil {
		return "", nil, err
	}
	if len(pids) == 0 {
		// What it answers to an empty event does not matter.
		if err := s.call(ctx, http.MethodPost, s.api+"/2015-03-31/functions/"+f.Function+"/invocations", nil, struct{}{}, nil, http.StatusOK); err != nil {
			return "", nil, err
		}
		if pids, err = s.processes(name); err != nil {
			return "", nil, err
		}
	}
	if len(pids) == 0 {
		return "", nil, errors.New("it has no process")
	}
	proc := "/proc/" + strconv.Itoa(pids[0])
	if program, err = os.Readlink(proc + "/exe"); err != nil {
		return "", nil, err
	}
	raw, err := os.ReadFile(proc + "/environ")
	if err != nil {
		return "", nil, err
	}
	for _, v := range strings.Split(strings.TrimRight(string(raw), "\x00"), "\x00") {
		if !strings.HasPrefix(v, "AWS_LAMBDA_RUNTIME_API=") {
			env = append(env, v)
		}
	}
	return program, env, nil
}

// startOnce starts a function against a Runtime API that has no event for it, and ends it when it asks for one.
func startOnce(ctx context.Context, program string, env []string) (time.Duration, error) {
	var listening net.ListenConfig
	l, err := listening.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	polled := make(chan time.Time, 1)
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/invocation/next") {
			select {
			case polled <- time.Now():
			default:
			}
			<-r.Context().Done()
		}
	})}
	go func() { _ = server.Serve(l) }() // ends with Close
	defer server.Close()
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(slices.Clone(env), "AWS_LAMBDA_RUNTIME_API="+l.Addr().String())
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	}()
	select {
	case at := <-polled:
		return at.Sub(began), nil
	case <-time.After(10 * time.Second):
		return 0, errors.New("it did not ask for an event within 10 s")
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
