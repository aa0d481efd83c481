package runtime

import (
	"os/exec"
	goruntime "runtime"
	"syscall"
)

// starter starts processes from one thread that lives as long as we do: on Linux a process is told of the end of the
// thread that started it, not of ours.
type starter struct {
	requests chan startRequest
}

type startRequest struct {
	cmd    *exec.Cmd
	result chan error
}

func newStarter() *starter {
	s := &starter{requests: make(chan startRequest)}
	go func() {
		goruntime.LockOSThread()
		for r := range s.requests {
			r.result <- r.cmd.Start()
		}
		// The thread goes with us; by now nothing that it started is left.
	}()
	return s
}

func (s *starter) start(cmd *exec.Cmd) error {
	r := startRequest{cmd: cmd, result: make(chan error, 1)}
	s.requests <- r
	return <-r.result
}

func (s *starter) close() { close(s.requests) }

// killGroup ends a process and what it started.
func killGroup(cmd *exec.Cmd) {
	// It may have ended by itself; then there is nothing to do.
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
}
