//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"contactcenter/scripts/adding"
)

// docs/adding-a-provider.md is followed to its end. The stack is built with the files and lines of the document
// laid over the source; the operator's request makes the provider known while it runs; a message goes out by it, is
// reported on, and is answered.
func TestAMessageGoesByAnAddedProvider(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile(filepath.Join(common.root, adding.Document))
	if err != nil {
		t.Fatal(err)
	}
	walk, err := adding.Read(string(document))
	if err != nil {
		t.Fatal(err)
	}
	s := added(t, walk)
	a := newAccount(t, s, plan{Limit: 100})
	a.accept()
	credentials := map[string]string{"api_key": "local-toy-key"}
	a.call(t, http.MethodPost, "/v1/channels", ownChannel("toy", credentials)).refused(t, http.StatusUnprocessableEntity, "invalid_request")
	if got := s.operator(t).call(t, http.MethodPut, walk.RowPath, []byte(walk.Row)); got.status != http.StatusOK && got.status != http.StatusCreated {
		t.Fatalf("the registry's row: %v", got)
	}
	wait(t, 60*time.Second, func() (bool, string) {
		got := a.call(t, http.MethodPost, "/v1/channels", ownChannel("toy", with(credentials, "api_key", "wrong")))
		return got.status == http.StatusConflict, got.String()
	})
	ch := a.own("toy", credentials)
	if ch.Type != "toychat" || ch.Address != "toyshop" {
		t.Errorf("got %+v", ch)
	}
	a.call(t, http.MethodPost, "/v1/messages", order(ch, "user-1", text(strings.Repeat("x", 501)))).refused(t, http.StatusUnprocessableEntity, "content_not_supported")
	hello := text(" “Hi” 👋\r\n ")
	m := a.until(a.send(order(ch, "user-1", hello)).ID, 20*time.Second, "delivered", status("delivered"))
	if m.ProviderMessageID != "t-1" || m.Attempts != 1 {
		t.Errorf("%v", m)
	}
	calls := s.steer(t, http.MethodGet, "toy", "calls?request_id="+m.ID, nil)["calls"].([]any)
	if len(calls) != 1 {
		t.Fatalf("the provider saw %v", calls)
	}
	if got, _ := json.Marshal(calls[0].(map[string]any)["request"]); string(got) != `{"ref":"`+m.ID+`","text":" “Hi” 👋\r\n ","to":"user-1"}` {
		t.Errorf("the provider got %s", got)
	}
	s.hears(t, "toy", map[string]any{"sender_id": "toyshop", "from": "user-1", "text": "thanks"})
	for _, r := range a.messages("conversation_id=" + m.ConversationID) {
		if r.Direction == "inbound" {
			if got := a.message(r.ID); *got.Content.Text != "thanks" || got.From != "user-1" {
				t.Errorf("%v", got)
			}
			return
		}
	}
	t.Error("the reply did not appear")
}

// added is a stack of its own, of the source with a walk laid over it.
func added(t *testing.T, walk adding.Walk) *stack {
	t.Helper()
	dir := t.TempDir()
	overlay, err := walk.Overlay(common.root, dir)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "local")
	build := exec.Command("go", "build", "-overlay", overlay, "-o", program, "./scripts/local")
	build.Dir = common.root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build scripts/local: %v\n%s", err, out)
	}
	// The stack builds the functions itself, somewhere else than the others do.
	s, err := launchProgram(program, inProcess("GOFLAGS=-overlay="+overlay), "-cache", filepath.Join(dir, "functions"))
	if err != nil {
		t.Fatal(err)
	}
	s.ends(t)
	return s
}
