package providertest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"contactcenter/shared/provider"
)

// fault is what the network does to a call of SendPath. pass lets the simulator answer.
type fault func(w http.ResponseWriter, r *http.Request, pass func(http.ResponseWriter))

// line is the connection between an adapter and the simulator.
type line struct {
	provider.Adapter
	sim Simulator
	url string

	mu    sync.Mutex
	fault fault
	seen  []seen
}

// seen is one call as the provider's side of the line saw it.
type seen struct {
	path, query string
	header      http.Header
	body        []byte
}

// connect starts a simulator, a faulty line, and an adapter at its other end. It is ended with the test.
func connect(t *testing.T, k Kit, timeout time.Duration, f fault) *line {
	t.Helper()
	l := &line{sim: k.Simulator(t), fault: f}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		l.mu.Lock()
		l.seen = append(l.seen, seen{r.URL.Path, r.URL.RawQuery, r.Header.Clone(), body})
		f := l.fault
		l.mu.Unlock()
		pass := func(w http.ResponseWriter) {
			r.Body = io.NopCloser(bytes.NewReader(body))
			l.sim.Handler.ServeHTTP(w, r)
		}
		if f == nil || r.URL.Path != k.SendPath {
			pass(w)
			return
		}
		f(w, r, pass)
	}))
	server.Config.ErrorLog = nil
	t.Cleanup(server.Close)
	l.url = server.URL
	l.Adapter = k.New(l.url, timeout)
	return l
}

func (l *line) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = nil
}

func (l *line) sends(path string) []seen {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []seen
	for _, s := range l.seen {
		if s.path == path {
			out = append(out, s)
		}
	}
	return out
}

func (l *line) accepts(t *testing.T, want int) {
	t.Helper()
	if got := l.sim.Accepted(); got != want {
		t.Errorf("the provider accepted %d messages, want %d", got, want)
	}
}

// instead answers without letting the provider know of the call.
func instead(a Answer) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ func(http.ResponseWriter)) {
		for k, v := range a.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(a.Status)
		_, _ = io.WriteString(w, a.Body)
	}
}

// hang holds a call until its caller leaves.
func hang(r *http.Request) { <-r.Context().Done() }

// repeat sends the message again over a sound line: afterwards the provider has it once.
func (l *line) repeat(t *testing.T, k Kit, accepted int) {
	t.Helper()
	if !l.Capabilities().RepeatSafe {
		return
	}
	l.mend()
	r, err := k.New(l.url, ample).Send(t.Context(), k.Channel, k.message("msg_1"))
	if err != nil || r.Duplicate != (accepted == 1) {
		t.Errorf("repeated: got %+v, %v", r, err)
	}
	l.accepts(t, 1)
}
