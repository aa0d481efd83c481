//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

func TestInterruptEndsEverything(t *testing.T) {
	t.Parallel()
	s := ownStack(t, nil)
	a, ch := ready(t, s, plan{Limit: 100})
	s.behave(t, ch.sender(t), map[string]any{"delay_ms": 3000})
	a.send(order(ch, person(), text(unique("text "))))
	a.send(order(ch, person(), text(unique("text "))))
	below := descendants(t, s.cmd.Process.Pid)
	if len(below) == 0 {
		t.Error("no process of a function runs")
	}
	began := time.Now()
	if err := s.stop(); err != nil {
		t.Errorf("the stack did not end with exit status 0: %v", err)
	}
	took := time.Since(began)
	t.Logf("ended within %v, with %d processes of functions", took.Round(time.Millisecond), len(below))
	if took > 5*time.Second {
		t.Errorf("it took %v to end", took)
	}
	for _, pid := range below {
		if alive(pid) {
			t.Errorf("process %d is still there", pid)
		}
	}
	for _, url := range []string{s.api, s.sim} {
		if conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://")); err == nil {
			_ = conn.Close()
			t.Errorf("something still listens on %s", url)
		}
	}
	for _, line := range strings.Split(string(s.output.Bytes()), "\n") {
		if strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "goroutine ") {
			t.Errorf("it panicked: %s", line)
		}
	}
}

func TestPortInUseIsAClearError(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	for _, flag := range []string{"-api", "-sim", "-aws"} {
		t.Run(flag, func(t *testing.T) {
			args := []string{"-quiet"}
			for _, f := range []string{"-api", "-sim", "-aws"} {
				at := "127.0.0.1:0"
				if f == flag {
					at = address
				}
				args = append(args, f, at)
			}
			code, _, stderr := command(t, 3*time.Minute, args...)
			lines := strings.Split(strings.TrimSpace(stderr), "\n")
			if code != 1 || len(lines) != 1 || !strings.Contains(stderr, address+" is in use") || !strings.Contains(stderr, flag) {
				t.Errorf("exit status %d, stderr %q", code, stderr)
			}
		})
	}
}

func TestWrongCommandLineIsExplained(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-nonsense"}, {"serve"}, {"invoke"}, {"-parameter", "x"}} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			t.Parallel()
			if code, _, stderr := command(t, 3*time.Minute, args...); code != 2 || stderr == "" {
				t.Errorf("exit status %d, stderr %q", code, stderr)
			}
		})
	}
}
