package proof

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "contactcenter/"

// pkg is one package of the project, type-checked, without its tests.
type pkg struct {
	// path is without the module: "shared/content".
	path    string
	imports []string
	files   []*ast.File
	info    *types.Info
	types   *types.Package
}

// source is all of the project's Go code that is not a test.
type source struct {
	set  *token.FileSet
	pkgs []*pkg
	// deps are all packages that a package needs, directly or not, by full import path.
	deps map[string][]string
}

// listed is what go list says of a package.
type listed struct {
	ImportPath, Export, Dir string
	GoFiles, Imports, Deps  []string
	Standard                bool
}

var loaded = sync.OnceValues(load)

// project gives the code. It is read and checked once for all tests.
func project(t *testing.T) *source {
	t.Helper()
	s, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func load() (*source, error) {
	list := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Export,Dir,GoFiles,Imports,Deps,Standard", "./functions/...", "./shared/...", "./scripts/...")
	list.Dir, list.Stderr = root(), os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("list the packages: %w", err)
	}
	all := map[string]listed{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read the list of packages: %w", err)
		}
		all[p.ImportPath] = p
	}
	s := &source{set: token.NewFileSet(), deps: map[string][]string{}}
	imports := importer.ForCompiler(s.set, "gc", func(path string) (io.ReadCloser, error) {
		if all[path].Export == "" {
			return nil, fmt.Errorf("no export data of %s", path)
		}
		return os.Open(all[path].Export)
	})
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if !strings.HasPrefix(path, module) || strings.Contains(path, "/testdata/") {
			continue
		}
		p, err := check(s.set, imports, all[path])
		if err != nil {
			return nil, err
		}
		s.pkgs = append(s.pkgs, p)
		s.deps[p.path] = all[path].Deps
	}
	return s, nil
}

func check(set *token.FileSet, imports types.Importer, l listed) (*pkg, error) {
	p := &pkg{path: strings.TrimPrefix(l.ImportPath, module), imports: l.Imports, info: &types.Info{
		Uses: map[*ast.Ident]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{}, Types: map[ast.Expr]types.TypeAndValue{},
	}}
	for _, name := range l.GoFiles {
		f, err := parser.ParseFile(set, filepath.Join(l.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		p.files = append(p.files, f)
	}
	var err error
	if p.types, err = (&types.Config{Importer: imports}).Check(l.ImportPath, set, p.files, p.info); err != nil {
		return nil, fmt.Errorf("check %s: %w", l.ImportPath, err)
	}
	return p, nil
}

func root() string { return filepath.Join("..", "..") }

// each visits every node of the code outside of scripts and of what stands in for AWS and providers in tests.
func (s *source) each(visit func(p *pkg, function string, n ast.Node)) {
	for _, p := range s.pkgs {
		if !deployed(p.path) {
			continue
		}
		for _, f := range p.files {
			for _, d := range f.Decls {
				name := declared(d)
				ast.Inspect(d, func(n ast.Node) bool {
					if n != nil {
						visit(p, name, n)
					}
					return true
				})
			}
		}
	}
}

// deployed tells what can become part of a function. Nothing of the rest is ever on AWS, which
// TestFunctionsHaveNothingOfTheLocalStack shows.
func deployed(path string) bool {
	return !strings.HasPrefix(path, "scripts/") && !strings.HasPrefix(path, "shared/localaws") && path != "shared/api/apitest" && path != "shared/event/eventtest" && path != "shared/provider/providertest"
}

// declared is the name of a function, "Type.Method" of a method; "" of all else.
func declared(d ast.Decl) string {
	f, ok := d.(*ast.FuncDecl)
	if !ok {
		return ""
	}
	if f.Recv == nil {
		return f.Name.Name
	}
	t := f.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	switch generic := t.(type) {
	case *ast.IndexExpr:
		t = generic.X
	case *ast.IndexListExpr:
		t = generic.X
	}
	return t.(*ast.Ident).Name + "." + f.Name.Name
}

// member names what a selector selects, as "shared/content.Content.Text" or "net/http.Get".
func (p *pkg) member(sel *ast.SelectorExpr) string {
	s, ok := p.info.Selections[sel]
	if !ok { // a name of another package
		if o := p.info.Uses[sel.Sel]; o != nil && o.Pkg() != nil {
			return strings.TrimPrefix(o.Pkg().Path(), module) + "." + o.Name()
		}
		return ""
	}
	// The type that declares the member, through the fields that are embedded on the way.
	t := s.Recv()
	for _, i := range s.Index()[:len(s.Index())-1] {
		if st, ok := under(t).(*types.Struct); ok {
			t = st.Field(i).Type()
		}
	}
	n, ok := plain(t).(*types.Named)
	if !ok || n.Obj().Pkg() == nil {
		return ""
	}
	return strings.TrimPrefix(n.Obj().Pkg().Path(), module) + "." + n.Obj().Name() + "." + s.Obj().Name()
}

// plain takes pointers and aliases off.
func plain(t types.Type) types.Type {
	t = types.Unalias(t)
	if p, ok := t.(*types.Pointer); ok {
		t = types.Unalias(p.Elem())
	}
	return t
}

func under(t types.Type) types.Type { return plain(t).Underlying() }

// users are the functions that use a member for which the question is answered with yes, as "package: function".
func (s *source) users(wanted func(member string) bool) map[string][]string {
	found := map[string][]string{}
	s.each(func(p *pkg, function string, n ast.Node) {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return
		}
		if m := p.member(sel); wanted(m) {
			who := p.path + ": " + function
			if !slices.Contains(found[who], m) {
				found[who] = append(found[who], m)
			}
		}
	})
	return found
}

// same compares what was found with what is allowed, both ways: an allowance that nobody uses any more is taken out.
func same(t *testing.T, what string, found map[string][]string, allowed map[string]string) {
	t.Helper()
	for _, who := range slices.Sorted(maps.Keys(found)) {
		if _, ok := allowed[who]; !ok {
			t.Errorf("%s: %s uses %s", what, who, strings.Join(found[who], ", "))
		}
	}
	for _, who := range slices.Sorted(maps.Keys(allowed)) {
		if _, ok := found[who]; !ok {
			t.Errorf("%s: %s is allowed and does not: take it off the list", what, who)
		}
	}
}
