package runtime

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"sync"
	"time"
)

// maxLine is the longest log line that is kept whole: CloudWatch's limit of an event.
const maxLine = 256 << 10

// Logs writes the lines of all functions to one place, one JSON object a line, each with its function's name. A line
// that is no JSON object becomes one.
type Logs struct {
	mu  sync.Mutex
	out io.Writer
	now func() time.Time
	// holding: lines are kept in held.
	holding bool
	held    [][]byte
}

// NewLogs writes to out.
func NewLogs(out io.Writer, now func() time.Time) *Logs {
	return &Logs{out: out, now: now}
}

func (l *Logs) line(label string, line []byte) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return
	}
	// Texts and times always marshal.
	name, _ := json.Marshal(label)
	var out []byte
	if line[0] == '{' && json.Valid(line) {
		out = append(append([]byte(`{"function":`), name...), ',')
		if rest := bytes.TrimSpace(line[1:]); rest[0] == '}' {
			out = append(out[:len(out)-1], rest...)
		} else {
			out = append(out, rest...)
		}
	} else {
		out, _ = json.Marshal(struct {
			Function string `json:"function"`
			Time     string `json:"time"`
			Level    string `json:"level"`
			Message  string `json:"msg"`
		}{label, l.now().UTC().Format(time.RFC3339Nano), "INFO", string(line)})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if out = append(out, '\n'); l.holding {
		l.held = append(l.held, out)
		return
	}
	// There is nobody to tell of a log that can't be written.
	_, _ = l.out.Write(out)
}

// Hold keeps lines back until Release.
func (l *Logs) Hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holding = true
}

// Release writes what was held back: all of it, or what is no mere information.
func (l *Logs) Release(all bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.held {
		if all || !bytes.Contains(line, []byte(`"level":"INFO"`)) {
			_, _ = l.out.Write(line)
		}
	}
	l.holding, l.held = false, nil
}

// Logger logs under a name of its own, for what runs beside the functions.
func (l *Logs) Logger(label string) *slog.Logger {
	return slog.New(slog.NewJSONHandler(l.writer(label), nil))
}

// Error logs something that happened to a function outside of it.
func (l *Logs) Error(label, message string, err error) {
	line, _ := json.Marshal(map[string]string{"time": l.now().UTC().Format(time.RFC3339Nano), "level": "ERROR", "msg": message, "error": err.Error()})
	l.line(label, line)
}

// writer takes a process's output and cuts it into lines.
func (l *Logs) writer(label string) *lineWriter {
	return &lineWriter{logs: l, label: label}
}

type lineWriter struct {
	logs  *Logs
	label string
	rest  []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		end := bytes.IndexByte(w.rest, '\n')
		if end < 0 {
			break
		}
		w.logs.line(w.label, w.rest[:end])
		w.rest = w.rest[end+1:]
	}
	if len(w.rest) > maxLine {
		w.logs.line(w.label, w.rest)
		w.rest = nil
	}
	return len(p), nil
}

// Close writes what came without a line's end.
func (w *lineWriter) Close() error {
	w.logs.line(w.label, w.rest)
	w.rest = nil
	return nil
}
