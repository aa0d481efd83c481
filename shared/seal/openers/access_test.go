package openers_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// these functions make an opener, of these groups, and no others do. The key's policy in
// template.yaml says the same: a test in scripts/local/internal/template holds it to the same table.
func TestOnlyTheFunctionsOfTheTableMakeOpeners(t *testing.T) {
	t.Parallel()
	want := map[string][]string{
		"functions/messages":   {"Content"},
		"functions/dispatcher": {"Content", "Credentials"},
		"functions/webhook":    {"Credentials"},
		"functions/templates":  {"Credentials"},
		"functions/recipients": {"Content", "Signer"},
		"functions/erasure":    {"Signer"},
		"functions/operator":   {"Complaints"},
		"functions/endpoints":  {"Webhooks"},
		"functions/notifier":   {"Content", "Webhooks"},
	}
	got := map[string][]string{}
	calls(t, func(dir, file, imported, function string) {
		switch {
		case imported == "contactcenter/shared/seal/openers":
			if filepath.Base(file) != "main.go" {
				t.Errorf("%s makes an opener: main.go wires", file)
			}
			got[dir] = append(got[dir], function)
		case imported == "contactcenter/shared/seal" && (function == "NewOpener" || function == "ParsePrivate") && dir != "shared/seal/openers" && dir != "shared/seal/sealtest":
			t.Errorf("%s calls seal.%s: package openers does", file, function)
		case imported == "contactcenter/shared/sign" && (function == "ParsePrivate" || function == "FromSeed") && strings.HasPrefix(dir, "functions/"):
			t.Errorf("%s calls sign.%s: package openers does", file, function)
		case imported == "contactcenter/shared/seal/sealtest" && dir != "scripts/bench":
			t.Errorf("%s uses the keys of tests", file)
		}
	})
	for _, l := range got {
		slices.Sort(l)
	}
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("openers are made by %v, want %v", got, want)
	}
}

// calls walks the code that is no test, and tells of every use of a package's function by its import path.
func calls(t *testing.T, see func(dir, file, imported, function string)) {
	t.Helper()
	root := filepath.Join("..", "..", "..")
	for _, top := range []string{"functions", "shared", "scripts"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			names := map[string]string{}
			for _, i := range f.Imports {
				p, err := strconv.Unquote(i.Path.Value)
				if err != nil {
					return err
				}
				name := p[strings.LastIndex(p, "/")+1:]
				if i.Name != nil {
					name = i.Name.Name
				}
				names[name] = p
			}
			dir, err := filepath.Rel(root, filepath.Dir(path))
			if err != nil {
				return err
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					if x, ok := s.X.(*ast.Ident); ok && names[x.Name] != "" {
						see(filepath.ToSlash(dir), path, names[x.Name], s.Sel.Name)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
