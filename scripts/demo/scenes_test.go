package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"contactcenter/scripts/demo/internal/screen"
	"contactcenter/scripts/demo/internal/stack"
)

func TestWithoutAStackTheExitStatusIsTwo(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{}, {"day"}} {
		code, stdout, stderr := runMain(t, append(command, "-api", address, "-sim", address, "-aws", address)...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, "no stack answers") || !strings.Contains(stderr, "go run ./scripts/local") {
			t.Errorf("%v: exit status %d, stdout %q, stderr %q", command, code, stdout, stderr)
		}
	}
}

func TestWrongCommandLineIsExplained(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-nonsense"}, {"all"}, {"-all", "day"}, {"day", "-all"}, {"day", "-speed", "0"}, {"day", "-speed", "NaN"}, {"day", "-seed", "-1"}, {"day", "day"}} {
		if code, _, stderr := runMain(t, args...); code != 2 || stderr == "" {
			t.Errorf("%v: exit status %d, stderr %q", args, code, stderr)
		}
	}
}

// runMain runs the program with files in place of a terminal.
func runMain(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var errs strings.Builder
	code = realMain(t.Context(), args, in, out, &errs)
	b, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	return code, string(b), errs.String()
}

func TestOperatorWhoGetsInIsABrokenPromise(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		operator       int
		passed, failed int
	}{
		"refused": {http.StatusUnauthorized, 4, 0},
		"let in":  {http.StatusOK, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := &fakeStack{operator: tc.operator}
			server := httptest.NewServer(fake)
			defer server.Close()
			address := strings.TrimPrefix(server.URL, "http://")
			var out strings.Builder
			d := &demo{stack: stack.New(stack.Addresses{API: address, Sim: address, AWS: address}), screen: &screen.Screen{Out: &out}}
			if err := d.run(t.Context(), scene{title: "operator", limit: 10 * time.Second, play: playOperator}); err != nil {
				t.Fatal(err)
			}
			if d.screen.Passed != tc.passed || d.screen.Failed != tc.failed {
				t.Errorf("%d passed, %d failed:\n%s", d.screen.Passed, d.screen.Failed, out.String())
			}
			if !fake.deleted || fake.steered < 2 {
				t.Errorf("the sender is not given back: channel deleted %t, simulator steered %d times", fake.deleted, fake.steered)
			}
		})
	}
}

// fakeStack is a stack with one channel. It serves one client, one call after the other.
type fakeStack struct {
	// operator is what the operator is answered.
	operator int
	active   bool
	deleted  bool
	steered  int
}

func (f *fakeStack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, body := http.StatusOK, map[string]any{}
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch r.Method + " " + r.URL.Path {
	case "POST /dev/token":
		var claims struct {
			AccountID string `json:"account_id"`
			Scope     string `json:"scope"`
		}
		_ = json.NewDecoder(r.Body).Decode(&claims) // what is not JSON is nobody's token
		switch {
		case claims.AccountID == "":
			body["access_token"] = "operator"
		case claims.Scope == "operator":
			body["access_token"] = "disguised"
		default:
			body["access_token"] = "user"
		}
	case "POST /v1/rules/acceptances":
		status = http.StatusCreated
	case "POST /v1/channels":
		status, body = http.StatusCreated, f.channel()
	case "POST /v1/channels/chn_1/activate":
		switch token {
		case "operator":
			status = f.operator
		case "disguised":
			status = http.StatusForbidden
		}
		f.active = f.active || status == http.StatusOK
		body = f.channel()
	case "GET /v1/channels/chn_1":
		body = f.channel()
	case "DELETE /v1/channels/chn_1":
		status, f.deleted = http.StatusNoContent, true
	case "PUT /edna/_sim/behaviour":
		f.steered++
	}
	w.WriteHeader(status)
	if status != http.StatusNoContent {
		_ = json.NewEncoder(w).Encode(body) // the client is gone
	}
}

func (f *fakeStack) channel() map[string]any {
	status := "inactive"
	if f.active {
		status = "active"
	}
	return map[string]any{"id": "chn_1", "address": "+35799001004", "status": status}
}

func TestSceneThatCannotBePlayedIsAFailure(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	d := &demo{screen: &screen.Screen{Out: &out}}
	fails := func(context.Context, *demo) error { return errors.New("no such thing") }
	if err := d.run(t.Context(), scene{title: "x", limit: time.Second, play: fails}); err != nil || d.screen.Failed != 1 || !strings.Contains(out.String(), "no such thing") {
		t.Errorf("%v, %d failed: %s", err, d.screen.Failed, out.String())
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.run(ended, scene{title: "x", limit: time.Second, play: fails}); !errors.Is(err, context.Canceled) || d.screen.Failed != 1 {
		t.Errorf("after an interrupt: %v, %d failed", err, d.screen.Failed)
	}
}

func TestScenesHaveKeysOfTheirOwn(t *testing.T) {
	t.Parallel()
	all := scenes()
	for _, s := range all {
		if got, ok := sceneOf(all, s.key); !ok || got.title != s.title || s.key == 'q' {
			t.Errorf("key %c is for %q, not %q", s.key, got.title, s.title)
		}
	}
	if _, ok := sceneOf(all, 'x'); ok {
		t.Error("x has a scene")
	}
}

func TestAcceptancesAreCountedByMessage(t *testing.T) {
	t.Parallel()
	calls := []stack.Send{{MessageID: "a", Accepted: true}, {MessageID: "a", Duplicate: true}, {MessageID: "b"}, {MessageID: "c", Accepted: true}, {MessageID: "c", Accepted: true}}
	taken := stack.Acceptances(calls)
	if len(taken) != 2 || taken["a"] != 1 || taken["c"] != 2 || stack.TakenTwice(taken) != 1 || repeated(calls) != 1 {
		t.Errorf("%v, twice %d, repeated %d", taken, stack.TakenTwice(taken), repeated(calls))
	}
}

func TestEndsOfAFloodAreCounted(t *testing.T) {
	t.Parallel()
	over := stack.Message{Status: "rejected"}
	if err := json.Unmarshal([]byte(`{"status":"rejected","error":{"code":"usage_limit_reached"}}`), &over); err != nil {
		t.Fatal(err)
	}
	if e, done := endsOf([]stack.Message{{Status: "sent"}, {Status: "read"}, over, {Status: "failed"}, {Status: "rejected"}}); !done || e != (ended{listed: 5, taken: 2, rejected: 1}) {
		t.Errorf("%+v, all ended %t", e, done)
	}
	if _, done := endsOf([]stack.Message{{Status: "sent"}, {Status: "sending"}}); done {
		t.Error("a message on its way has ended")
	}
}

func TestCountdownEndsInWaiting(t *testing.T) {
	t.Parallel()
	if got := countdown(41*time.Second, "sending"); !strings.Contains(got, "is sending") || !strings.Contains(got, "in 41 s") {
		t.Errorf("%q", got)
	}
	if got := countdown(-time.Second, "sending"); !strings.Contains(got, "any moment") {
		t.Errorf("%q", got)
	}
}

func TestBodiesAreShownOnOneLineAndCut(t *testing.T) {
	t.Parallel()
	if got := oneLine([]byte("{\n  \"message\": \"Unauthorized\"\r\n}\n")); got != `{ "message": "Unauthorized" }` {
		t.Errorf("%q", got)
	}
	if got := oneLine([]byte(strings.Repeat("é", 300))); got != strings.Repeat("é", 200)+"…" {
		t.Errorf("a long body is %d bytes long", len(got))
	}
}
