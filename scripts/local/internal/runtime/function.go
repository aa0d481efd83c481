// Package runtime knows how Lambda runs functions: as processes of their own that ask the Runtime API for one event
// after another. It starts them when there is work, keeps them for the next, ends them when they overrun their time,
// and tells the invoker what came of it. It knows nothing of where events come from.
package runtime

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// Config describes one function.
type Config struct {
	// Label is what its log lines are marked with.
	Label string
	ARN   string
	// Program is the path of its `bootstrap`.
	Program string
	// Environment is the function's own, beside what Lambda sets.
	Environment map[string]string
	// Timeout of one invocation.
	Timeout time.Duration
	// MaxProcesses bounds the invocations at a time; more wait.
	MaxProcesses int
}

// FunctionError says that a function gave an error, or none at all because it crashed or overran its time.
type FunctionError struct {
	// Kind is what Lambda's X-Amz-Function-Error header says: Unhandled.
	Kind string
	// Payload is the error as JSON: errorType, errorMessage.
	Payload []byte
}

func (e *FunctionError) Error() string {
	var told struct{ ErrorType, ErrorMessage string }
	if json.Unmarshal(e.Payload, &told) != nil || told.ErrorType == "" && told.ErrorMessage == "" {
		return "the function failed"
	}
	return fmt.Sprintf("the function failed: %s: %s", told.ErrorType, told.ErrorMessage)
}

func unhandled(kind, message string) *FunctionError {
	// Two texts always marshal.
	payload, _ := json.Marshal(map[string]string{"errorType": kind, "errorMessage": message})
	return &FunctionError{Kind: "Unhandled", Payload: payload}
}

// ErrClosed says that the function has been stopped for good.
var ErrClosed = errors.New("the function has been stopped")

// State is what a function is doing.
type State struct {
	// Processes that run, and how many of them have an event in hand.
	Processes int `json:"processes"`
	Busy      int `json:"busy"`
	// Waiting are events without a process as yet.
	Waiting int `json:"waiting"`
	// Invocations, failures and kills since the start.
	Invocations int `json:"invocations"`
	Failures    int `json:"failures"`
	Killed      int `json:"killed"`
}

// Function runs one function.
type Function struct {
	config  Config
	logs    *Logs
	starter *starter

	mu        sync.Mutex
	processes map[*process]bool
	waiting   []*invocation
	closed    bool
	state     State
	// armed are the deaths that the next invocations will meet, each so long after its start; pending are those whose
	// time runs.
	armed   []time.Duration
	pending map[*death]bool
}

// death is the end that a process will meet.
type death struct{ timer *time.Timer }

type invocation struct {
	id       string
	payload  []byte
	deadline time.Time
	// done gets the one result; it has room for it, so that nobody waits for an invoker that has gone.
	done chan result
}

type result struct {
	payload []byte
	err     error
}

func newFunction(config Config, logs *Logs, s *starter) *Function {
	return &Function{config: config, logs: logs, starter: s, processes: map[*process]bool{}, pending: map[*death]bool{}}
}

// Invoke runs the function on one event and waits for what it answers. It fails with a *FunctionError, which is logged,
// when the function does, and with the context's error when the invoker doesn't wait any longer; the function then goes on.
func (f *Function) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	i := &invocation{id: newID(), payload: event, done: make(chan result, 1)}
	if err := f.enqueue(i); err != nil {
		return nil, err
	}
	select {
	case r := <-i.done:
		if failed := (*FunctionError)(nil); errors.As(r.err, &failed) {
			f.logs.Error(f.config.Label, "invocation "+i.id, r.err)
		}
		return r.payload, r.err
	case <-ctx.Done():
		f.forget(i)
		return nil, ctx.Err()
	}
}

func (f *Function) enqueue(i *invocation) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	f.state.Invocations++
	for p := range f.processes {
		if p.phase == idle {
			f.give(p, i)
			return nil
		}
	}
	f.waiting = append(f.waiting, i)
	f.grow()
	return nil
}

// grow starts processes for events that no process will take which begins or has just answered.
func (f *Function) grow() {
	starting := 0
	for p := range f.processes {
		if p.phase == beginning || p.phase == answered {
			starting++
		}
	}
	for starting < len(f.waiting) && len(f.processes) < f.config.MaxProcesses && !f.closed {
		p := newProcess(f)
		f.processes[p] = true
		starting++
		go p.run()
	}
}

// forget drops an invocation that nobody waits for, if it has not begun.
func (f *Function) forget(i *invocation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = slices.DeleteFunc(f.waiting, func(w *invocation) bool { return w == i })
}

// ready says that a process asks for its next event. It tells whether the process may: not while it has one in hand.
func (f *Function) ready(p *process) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.phase == busy {
		return false
	}
	if p.phase == dead {
		return true
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	p.phase, p.began = idle, true
	if len(f.waiting) > 0 {
		i := f.waiting[0]
		f.waiting = f.waiting[1:]
		f.give(p, i)
	}
	return true
}

// give hands an event to an idle process, and begins to count its time.
func (f *Function) give(p *process, i *invocation) {
	p.phase, p.current, p.last = busy, i, i
	i.deadline = time.Now().Add(f.config.Timeout)
	p.timer = time.AfterFunc(f.config.Timeout, func() { f.overrun(p, i) })
	if len(f.armed) > 0 {
		after := f.armed[0]
		f.armed = f.armed[1:]
		if after > 0 {
			d := &death{}
			f.pending[d] = true
			d.timer = time.AfterFunc(after, func() { f.meet(p, d) })
		} else {
			p.doomed = true
		}
	}
	p.next <- i
}

// meet ends a process, unless its death was called off meanwhile.
func (f *Function) meet(p *process, d *death) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pending[d] {
		delete(f.pending, d)
		f.endLocked(p)
	}
}

func (f *Function) end(p *process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.endLocked(p)
}

func (f *Function) endLocked(p *process) {
	if p.phase != dead {
		f.state.Killed++
		p.kill()
	}
}

func (f *Function) overrun(p *process, i *invocation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.last != i || p.phase == idle || p.phase == dead {
		return
	}
	f.settle(p, i.id, result{err: unhandled("Sandbox.Timedout", fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds", i.id, f.config.Timeout.Seconds()))})
	p.kill()
}

// finish delivers what a process answered. It tells whether the process had that event in hand. What a process still
// says when it is being killed does not count: to its invoker it crashed.
func (f *Function) finish(p *process, id string, r result) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return p.phase != dead && !p.doomed && f.settle(p, id, r)
}

func (f *Function) settle(p *process, id string, r result) bool {
	i := p.current
	if i == nil || i.id != id {
		return false
	}
	p.current = nil
	if p.phase == busy {
		p.phase = answered
	}
	if r.err != nil {
		f.state.Failures++
	}
	i.done <- r
	return true
}

// exited is told how a process ended.
func (f *Function) exited(p *process, how string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.processes, p)
	p.phase = dead
	if p.timer != nil {
		p.timer.Stop()
	}
	switch i := p.current; {
	case i != nil:
		p.current = nil
		f.state.Failures++
		i.done <- result{err: unhandled("Runtime.ExitError", fmt.Sprintf("RequestId: %s Error: Runtime exited with error: %s", i.id, how))}
	case !p.began && len(f.waiting) > 0:
		// It never asked for an event: the event that it was started for fails, so that a function that can't
		// start is not started for ever.
		i := f.waiting[0]
		f.waiting = f.waiting[1:]
		f.state.Failures++
		i.done <- result{err: p.initFailure(i.id, how)}
	}
	f.grow()
}

// Kill ends processes the way a machine that fails does. Without a delay it ends those that have an event in hand, or
// else the one that gets the next event, as soon as it has it. With a delay it ends the process that gets the next
// event, so long after that. It tells how many it ended at once.
func (f *Function) Kill(after time.Duration) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if after > 0 {
		f.armed = append(f.armed, after)
		return 0
	}
	killed := 0
	for p := range f.processes {
		if p.phase == busy {
			p.kill()
			killed++
		}
	}
	f.state.Killed += killed
	if killed == 0 {
		f.armed = append(f.armed, 0)
	}
	return killed
}

// Spare calls off every death that is still to come, and tells how many those were.
func (f *Function) Spare() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	spared := len(f.armed) + len(f.pending)
	for d := range f.pending {
		d.timer.Stop()
	}
	clear(f.pending)
	f.armed = nil
	return spared
}

// State tells what the function is doing.
func (f *Function) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.state
	s.Processes, s.Waiting = len(f.processes), len(f.waiting)
	for p := range f.processes {
		if p.phase == busy {
			s.Busy++
		}
	}
	return s
}

// Close ends all processes and fails what waits. It returns when they have ended.
func (f *Function) Close() {
	f.mu.Lock()
	f.closed = true
	for _, i := range f.waiting {
		i.done <- result{err: ErrClosed}
	}
	f.waiting = nil
	ended := make([]chan struct{}, 0, len(f.processes))
	for p := range f.processes {
		p.kill()
		ended = append(ended, p.ended)
	}
	f.mu.Unlock()
	for _, e := range ended {
		<-e
	}
}

// newID looks like Lambda's request ids: a version 4 UUID.
func newID() string {
	b := make([]byte, 16)
	rand.Read(b)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// environment is what Lambda itself sets.
func (c Config) environment(api string) []string {
	env := []string{
		"AWS_LAMBDA_RUNTIME_API=" + api,
		"PATH=" + os.Getenv("PATH"),
	}
	for name, value := range c.Environment {
		env = append(env, name+"="+value)
	}
	return env
}
