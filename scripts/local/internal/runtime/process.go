package runtime

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"time"
)

// initTimeout is how long a function may take before it asks for its first event. On Lambda it is ten seconds, and then all of the function's
// own time once more; here a machine that is busy with other things may start it.
const initTimeout = time.Minute

type phase int

const (
	// beginning: started, has not asked for an event yet.
	beginning phase = iota
	// idle: waits for an event.
	idle
	// busy: has an event in hand.
	busy
	// answered: has answered, has not asked for the next event yet.
	answered
	// dead: killed or gone; it gets nothing more.
	dead
)

// process is one process of a function, with a Runtime API of its own. Its fields are guarded by the function's lock,
// apart from the channels.
type process struct {
	function *Function
	phase    phase
	// began: it has asked for an event.
	began bool
	// current is the event in hand, last the last one that it was given.
	current, last *invocation
	// timer runs from an event's start until the process asks for the next one.
	timer *time.Timer
	// doomed: to be killed as soon as it has the event in hand.
	doomed bool
	// initError is what the process itself told of a failed start.
	initError []byte
	// next has room for one event: the one that an idle process is given.
	next chan *invocation
	// stop is closed to kill the process, ended when it is gone.
	stop    chan struct{}
	stopped bool
	ended   chan struct{}
}

func newProcess(f *Function) *process {
	return &process{function: f, next: make(chan *invocation, 1), stop: make(chan struct{}), ended: make(chan struct{})}
}

// kill asks run to end the process; the function's lock is held.
func (p *process) kill() {
	p.phase = dead
	if !p.stopped {
		p.stopped = true
		close(p.stop)
	}
}

// run starts the process and stays until it is gone.
func (p *process) run() {
	defer close(p.ended)
	how, err := p.live()
	if err != nil {
		how = err.Error()
	}
	p.function.exited(p, how)
}

func (p *process) live() (how string, err error) {
	f := p.function
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("open a Runtime API: %w", err)
	}
	server := &http.Server{Handler: runtimeAPI{p}}
	go func() {
		// Ends with Close below.
		_ = server.Serve(listener)
	}()
	defer server.Close()

	cmd := exec.Command(f.config.Program)
	cmd.Args = []string{"bootstrap"}
	cmd.Dir = filepath.Dir(f.config.Program)
	cmd.Env = f.config.environment(listener.Addr().String())
	output := f.logs.writer(f.config.Label)
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output
	// What a function's own child keeps open must not keep us.
	cmd.WaitDelay = time.Second
	ownGroup(cmd)
	if err := f.starter.start(cmd); err != nil {
		return "", fmt.Errorf("start %s: %w", f.config.Label, err)
	}
	gone := make(chan struct{})
	go p.watch(cmd, gone)
	err = cmd.Wait()
	close(gone)
	if err != nil {
		return err.Error(), nil
	}
	return "exit status 0", nil
}

// watch kills the process when asked to, or when it does not ask for an event in time. It ends with the process.
func (p *process) watch(cmd *exec.Cmd, gone chan struct{}) {
	late := time.NewTimer(initTimeout)
	defer late.Stop()
	for {
		select {
		case <-gone:
			return
		case <-p.stop:
			killGroup(cmd)
			return
		case <-late.C:
			p.function.mu.Lock()
			if p.phase == beginning {
				p.kill()
			}
			p.function.mu.Unlock()
		}
	}
}

func (p *process) initFailure(id, how string) *FunctionError {
	if json.Valid(p.initError) {
		return &FunctionError{Kind: "Unhandled", Payload: p.initError}
	}
	return unhandled("Runtime.ExitError", fmt.Sprintf("RequestId: %s Error: Runtime exited with error: %s", id, how))
}
