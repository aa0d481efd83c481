package proof

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"contactcenter/scripts/adding"
	"contactcenter/shared/api"
	"contactcenter/shared/provider/registry"
)

// walk is what docs/adding-a-provider.md says.
func walk(t *testing.T) (adding.Walk, string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(), adding.Document))
	if err != nil {
		t.Fatal(err)
	}
	w, err := adding.Read(string(text))
	if err != nil {
		t.Fatalf("%s: %v", adding.Document, err)
	}
	return w, string(text)
}

// the document is followed: its files and lines are laid over the module, and what it adds passes the kit.
func TestAProviderIsAddedAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	w, _ := walk(t)
	overlay, err := w.Overlay(root(), t.TempDir())
	if err != nil {
		t.Fatalf("%s: %v", adding.Document, err)
	}
	compile := func(args ...string) {
		t.Helper()
		command := exec.CommandContext(t.Context(), "go", args...)
		command.Dir = root()
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	compile("build", "-overlay", overlay, "./shared/provider/adapters", "./scripts/simulator/simulators")
	// The package has no folder, so its test is built, and run elsewhere.
	program := filepath.Join(t.TempDir(), "toy.test")
	compile("test", "-c", "-vet=off", "-overlay", overlay, "-o", program, "./shared/provider/toy")
	command := exec.CommandContext(t.Context(), program, "-test.v", "-test.timeout=2m")
	command.Dir = filepath.Dir(program)
	out, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestTheAdapterConforms") {
		t.Errorf("the kit: %v\n%s", err, out)
	}
}

// the row is a request that the operator's API takes, and names what the adapter serves.
func TestTheRowOfAnAddedProviderIsComplete(t *testing.T) {
	t.Parallel()
	w, _ := walk(t)
	id, found := strings.CutPrefix(w.RowPath, "/v1/operator/providers/")
	if !found || !registry.ValidID(id) {
		t.Errorf("the row goes to %s", w.RowPath)
	}
	var body api.PutProviderRequest
	d := json.NewDecoder(bytes.NewReader(w.Row))
	d.DisallowUnknownFields()
	if err := d.Decode(&body); err != nil {
		t.Errorf("the row: %v", err)
	}
}

// The document counts what it takes, and counts right.
func TestTheDocumentSaysHowMuchAProviderTakes(t *testing.T) {
	t.Parallel()
	w, text := walk(t)
	for path, source := range w.Files {
		if want := fmt.Sprintf("`%s` | %d |", path, strings.Count(source, "\n")); !strings.Contains(text, want) {
			t.Errorf("%s does not say %q", adding.Document, want)
		}
	}
	e := w.Effort()
	if want := fmt.Sprintf("added to the two lists, with the import of each | %d |", e.Added); !strings.Contains(text, want) {
		t.Errorf("%s does not say %q", adding.Document, want)
	}
	t.Logf("adding a provider took %d new files of %d lines, and %d lines in lists", e.Files, e.Lines, e.Added)
}
