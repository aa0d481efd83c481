package proof

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"contactcenter/shared/endpoint"
)

var (
	typescriptBlock = regexp.MustCompile("(?m)^(.*)\n```ts\n((?s:.*?))^```$")
	exactVersion    = regexp.MustCompile(`^\d+\.\d+\.\d+$`)
	importFrom      = regexp.MustCompile(`(?m)^(?:import|export)\b.* from "(.*)";$`)
)

func typescriptFolder() string { return filepath.Join(root(), "shared", "client", "typescript") }

// The code in TypeScript that the documents show is that of the client's examples, which its build compiles and its tests run.
func TestTheDocumentsShowTheTypeScriptClientsExamples(t *testing.T) {
	t.Parallel()
	for _, document := range []string{filepath.Join(typescriptFolder(), "README.md"), filepath.Join(root(), "docs", "api.md")} {
		b, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		blocks := typescriptBlock.FindAllStringSubmatch(string(b), -1)
		if len(blocks) == 0 || len(blocks) != strings.Count(string(b), "```ts\n") {
			t.Errorf("%s: %d blocks of TypeScript were found", document, len(blocks))
		}
		for _, m := range blocks {
			name := strings.TrimSuffix(strings.TrimPrefix(m[1], "<!-- "), " -->")
			want, err := os.ReadFile(filepath.Join(typescriptFolder(), "example", name))
			if err != nil {
				t.Errorf("%s: above a block stands %q, not the comment that names a file of example/", document, m[1])
				continue
			}
			if m[2] != string(want) {
				t.Errorf("%s: the block is not example/%s", document, name)
			}
		}
	}
}

// the TypeScript client verifies in its tests what our own code signs.
func TestTheTypeScriptClientsVectorIsSignedAsEventsAre(t *testing.T) {
	t.Parallel()
	var vector struct {
		Secrets   []string `json:"secrets"`
		ID        string   `json:"id"`
		Timestamp int64    `json:"timestamp"`
		Body      string   `json:"body"`
		Signature string   `json:"signature"`
	}
	b, err := os.ReadFile(filepath.Join(typescriptFolder(), "test", "signed.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &vector); err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	if err := endpoint.Sign(h, vector.ID, time.Unix(vector.Timestamp, 0), []byte(vector.Body), vector.Secrets...); err != nil {
		t.Fatal(err)
	}
	if got := h.Get("webhook-signature"); got != vector.Signature || len(vector.Secrets) != 2 {
		t.Errorf("it is signed %q", got)
	}
}

// The TypeScript client needs nothing at run time, and its build what is pinned, from the public registry.
func TestTheTypeScriptClientNeedsNothingAtRunTime(t *testing.T) {
	t.Parallel()
	read := func(name string, out any) {
		b, err := os.ReadFile(filepath.Join(typescriptFolder(), name))
		if err == nil {
			err = json.Unmarshal(b, out)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var manifest map[string]any
	read("package.json", &manifest)
	for _, kind := range []string{"dependencies", "peerDependencies", "optionalDependencies", "bundleDependencies"} {
		if manifest[kind] != nil {
			t.Errorf("package.json has %s", kind)
		}
	}
	for name, version := range manifest["devDependencies"].(map[string]any) {
		if !exactVersion.MatchString(version.(string)) {
			t.Errorf("%s is not pinned: %s", name, version)
		}
	}
	var lock struct {
		Packages map[string]struct{ Resolved, Integrity string } `json:"packages"`
	}
	read("package-lock.json", &lock)
	for name, p := range lock.Packages {
		if name != "" && (!strings.HasPrefix(p.Resolved, "https://registry.npmjs.org/") || p.Integrity == "") {
			t.Errorf("%s comes from %q, with the hash %q", name, p.Resolved, p.Integrity)
		}
	}
	sources, err := filepath.Glob(filepath.Join(typescriptFolder(), "src", "*.ts"))
	if err != nil || len(sources) < 5 {
		t.Fatalf("%d sources: %v", len(sources), err)
	}
	for _, path := range sources {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range importFrom.FindAllSubmatch(b, -1) {
			if !strings.HasPrefix(string(m[1]), "./") {
				t.Errorf("%s imports %s", path, m[1])
			}
		}
	}
}
