package runtime

import "sync"

// Pool runs a set of functions.
type Pool struct {
	starter   *starter
	functions []*Function
	closing   sync.Once
}

// NewPool makes a pool without functions.
func NewPool() *Pool { return &Pool{starter: newStarter()} }

// Add adds a function; no process is started before its first event.
func (p *Pool) Add(config Config, logs *Logs) *Function {
	f := newFunction(config, logs, p.starter)
	p.functions = append(p.functions, f)
	return f
}

// Close ends all processes of all functions and returns when they have ended. It may be called again.
func (p *Pool) Close() {
	p.closing.Do(func() {
		var all sync.WaitGroup
		for _, f := range p.functions {
			all.Go(f.Close)
		}
		all.Wait()
		p.starter.close()
	})
}
