package proof

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	rowID    = regexp.MustCompile(`R-[0-9P]+\.[0-9]+[a-c]?`)
	pageRow  = regexp.MustCompile(`(?m)^\| (R-[0-9P]+\.[0-9]+[a-c]?) \|`)
	quoted   = regexp.MustCompile("`([^`]+)`")
	testName = regexp.MustCompile(`^(Test|Fuzz)[A-Z]`)
	routeRow = regexp.MustCompile(`^(GET|HEAD|POST|PUT|PATCH|DELETE) /`)
	pathRow  = regexp.MustCompile(`^(functions|shared|scripts|docs|events|template\.yaml)\b`)
	testFunc = regexp.MustCompile(`(?m)((?:^//.*\n)*)^func ((?:Test|Fuzz)\w+)\(`)
)

// tests gives all tests of the project, with the comment above each.
func tests(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(root(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2 || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range testFunc.FindAllSubmatch(b, -1) {
			out[string(m[2])] += string(m[1])
		}
		return nil
	})
	if err != nil || len(out) < 100 {
		t.Fatalf("%d tests were found: %v", len(out), err)
	}
	return out
}

func page(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root(), "docs", "rules.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What docs/rules.md says is there: tests, routes, packages and files.
func TestThePageOfTheRulesNamesWhatIsThere(t *testing.T) {
	t.Parallel()
	known := tests(t)
	_, operations := document(t)
	for _, m := range quoted.FindAllStringSubmatch(page(t), -1) {
		switch name := m[1]; {
		case testName.MatchString(name):
			if _, ok := known[name]; !ok {
				t.Errorf("there is no test %s", name)
			}
		case routeRow.MatchString(name):
			if !slices.ContainsFunc(operations, func(o operation) bool { return o.route == name }) {
				t.Errorf("there is no route %s", name)
			}
		case pathRow.MatchString(name):
			if _, err := os.Stat(filepath.Join(root(), filepath.FromSlash(name))); err != nil {
				t.Errorf("there is no %s", name)
			}
		}
	}
}

// Every row says what is done and which tests show it, or that it is not built yet; and every row that a test names is
// on the page.
func TestThePageOfTheRulesIsComplete(t *testing.T) {
	t.Parallel()
	all := page(t)
	rows := map[string]string{}
	for _, line := range strings.Split(all, "\n") {
		if m := pageRow.FindStringSubmatch(line); m != nil {
			if _, twice := rows[m[1]]; twice {
				t.Errorf("%s has two rows", m[1])
			}
			rows[m[1]] = line
		}
	}
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		cells := strings.Split(strings.Trim(rows[id], "| "), "|")
		if strings.Contains(rows[id], "Not built yet") {
			continue
		}
		if len(cells) != 4 || strings.TrimSpace(cells[1]) == "" || strings.TrimSpace(cells[2]) == "" || !strings.Contains(cells[3], "`Test") && !strings.Contains(cells[3], "`Fuzz") {
			t.Errorf("%s does not say what, where and which test: %q", id, rows[id])
		}
	}
	for name, comment := range tests(t) {
		for _, id := range rowID.FindAllString(comment, -1) {
			if _, ok := rows[id]; !ok {
				t.Errorf("%s shows %s, which is not on the page", name, id)
			}
		}
	}
	if len(rows) < 70 {
		t.Errorf("the page has %d rows", len(rows))
	}
}
