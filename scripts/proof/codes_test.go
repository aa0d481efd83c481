package proof

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"contactcenter/shared/api"
)

// The table of codes in docs/api.md is the one of shared/api/problem.go.
func TestTheTableOfCodes(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- codes -->\n", "<!-- /codes -->\n"
	path := filepath.Join(root(), "docs", "api.md")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), begin)
	_, after, ends := strings.Cut(rest, end)
	if !ok || !ends {
		t.Fatal("docs/api.md does not mark the table of codes")
	}
	want := before + begin + codeTable() + end + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(b) != want {
		t.Error("docs/api.md does not have the codes of shared/api: go test ./scripts/proof -run TestTheTableOfCodes -update")
	}
}

func codeTable() string {
	var list []*api.Problem
	for _, c := range api.Codes() {
		list = append(list, api.NewProblem(c))
	}
	slices.SortStableFunc(list, func(a, b *api.Problem) int { return a.Status - b.Status })
	var out strings.Builder
	out.WriteString("| status | `code` | fault | means | what to do |\n|---|---|---|---|---|\n")
	for _, p := range list {
		fmt.Fprintf(&out, "| %d | `%s` | %s | %s | %s |\n", p.Status, p.Code, p.FaultDomain, p.Title, p.Detail)
	}
	out.WriteString("\nA body that is no JSON is 400 `invalid_request`. Where a provider had to be asked and refused, its problem comes with 502.\n")
	return out.String()
}
