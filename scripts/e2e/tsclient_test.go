//go:build e2e && node

package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// script runs the TypeScript client's built programs (npm ci, npm run build in its folder) by way of a proxy.
type script struct {
	t          *testing.T
	api, token string
}

// throughProxy gives what a client needs that reaches a stack by a proxy only, for which the connection ends where the wire fails.
func throughProxy(t *testing.T, a *account, wire http.RoundTripper) script {
	t.Helper()
	target, err := url.Parse(a.stack.api)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:    wire,
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	})
	t.Cleanup(proxy.Close)
	return script{t, proxy.URL, a.token}
}

// run gives what a program of dist prints.
func (s script) run(program string, arguments ...string) []byte {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), "node", append([]string{filepath.Join("dist", program)}, arguments...)...)
	cmd.Dir = filepath.Join(common.root, "shared", "client", "typescript")
	cmd.Env = append(os.Environ(), "API="+s.api, "TOKEN="+s.token)
	cmd.WaitDelay = time.Second
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("node %s %v: %v\n%s%s", program, arguments, err, out, errs.Bytes())
	}
	return out
}

// step gives what a step of the program test/e2e.ts came to.
func step[T any](s script, arguments ...string) (out T) {
	s.t.Helper()
	b := s.run("test/e2e.js", arguments...)
	if err := json.Unmarshal(b, &out); err != nil {
		s.t.Fatalf("%v: %v\n%s", arguments, err, b)
	}
	return out
}

// The TypeScript client does what the Go client does: an answer that gets lost makes no second message. A reply is found in the inbox.
func TestTheTypeScriptClientSendsOnceThoughAnswersGetLost(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 10})
	wire := &lossy{t: t}
	client := throughProxy(t, a, wire)
	to, reference := person(), unique("typescript-")

	losing := func(n int64, how string) message {
		wire.lose.Store(n)
		m := step[message](client, how, ch.ID, to, reference)
		if left := wire.lose.Load(); left != -1 {
			t.Errorf("%s: after %d lost answers the counter stands at %d", how, n, left)
		}
		return m
	}
	sent, batched := losing(2, "send"), losing(1, "batch")
	a.until(sent.ID, 30*time.Second, "read", status("read"))
	a.until(batched.ID, 30*time.Second, "read", status("read"))
	list := step[[]message](client, "list", reference)
	if len(list) != 2 || list[0].ID != batched.ID || list[1].ID != sent.ID {
		t.Errorf("for two orders there are %v", list)
	}
	if told := step[map[string]any](client, "missing", sent.ID+"x"); told["code"] != "not_found" || told["status"] != 404.0 {
		t.Errorf("a message that is not there: %v", told)
	}

	s.inbound(t, inbound{SenderID: ch.sender(t), From: digits(to), Text: "Thank you"})
	reply := step[struct {
		Before, Unread int
		Direction      string
		Content        map[string]string
	}](client, "inbox", ch.ID)
	if reply.Before != 1 || reply.Unread != 0 || reply.Direction != "inbound" || reply.Content["text"] != "Thank you" {
		t.Errorf("the reply in the inbox: %+v", reply)
	}
}

// steered brings the simulator of a channel's sender to its usual behaviour before the channel's activation is answered.
type steered struct {
	*lossy
	stack *stack
}

func (w steered) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.lossy.RoundTrip(r)
	if err != nil || !strings.HasSuffix(r.URL.Path, "/activate") {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var ch channel
	if err := json.Unmarshal(body, &ch); err != nil {
		return nil, err
	}
	w.stack.behave(w.t, ch.sender(w.t), nil)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// The program that the TypeScript client's README shows goes from nothing to a message that was read.
func TestTheTypeScriptClientsFirstMessageArrives(t *testing.T) {
	t.Parallel()
	s := common.shared
	a := newAccount(t, s, plan{Limit: 10})
	s.senders.take()
	t.Cleanup(s.senders.giveBack)
	t.Cleanup(func() {
		channels := decode[list[channel]](t, a.call(t, http.MethodGet, "/v1/channels", nil), http.StatusOK)
		for _, ch := range channels.Items {
			a.deleteChannel(ch.ID)
		}
	})
	out := string(throughProxy(t, a, steered{&lossy{t: t}, s}).run("example/first-message.js"))
	id, became, _ := strings.Cut(strings.TrimSpace(out), " ")
	if became != "delivered" && became != "read" {
		t.Errorf("the program says %q", out)
	}
	a.until(id, 30*time.Second, "read", status("read"))
}
