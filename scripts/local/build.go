package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"contactcenter/scripts/local/internal/template"
)

// findTemplate gives the absolute path of the template: the one named, or template.yaml here or above.
func findTemplate(named string) (string, error) {
	if named != "" {
		return filepath.Abs(named)
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find template.yaml: %w", err)
	}
	for {
		path := filepath.Join(dir, "template.yaml")
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("there is no template.yaml here or in a folder above; name one with -template")
		}
		dir = filepath.Dir(dir)
	}
}

// folder is where a function's main package is, relative to the template. With the makefile builder the template names
// only the root of the source; the folder is then the logical id without "Function", in small letters.
func folder(root string, f template.Function) (string, error) {
	byID := filepath.Join("functions", strings.ToLower(strings.TrimSuffix(f.LogicalID, "Function")))
	for _, candidate := range []string{f.CodeURI, byID} {
		if found, err := filepath.Glob(filepath.Join(root, candidate, "*.go")); err == nil && len(found) > 0 && candidate != "" {
			return filepath.Clean(candidate), nil
		}
	}
	return "", fmt.Errorf("function %s: there is no Go code in %s", f.LogicalID, byID)
}

// build builds all functions with one call of the compiler, in the folder cache ("": the module's), and gives each one's
// `bootstrap` by logical id.
func build(ctx context.Context, root, cache string, functions []template.Function) (map[string]string, error) {
	if cache == "" {
		cache = cacheFolder(root)
	}
	cache, err := filepath.Abs(cache)
	if err != nil {
		return nil, fmt.Errorf("find a place for the functions: %w", err)
	}
	bin := filepath.Join(cache, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return nil, fmt.Errorf("make a place for the functions: %w", err)
	}
	args := []string{"build", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", bin + string(filepath.Separator)}
	programs := map[string]string{}
	for _, f := range functions {
		dir, err := folder(root, f)
		if err != nil {
			return nil, err
		}
		args = append(args, "./"+filepath.ToSlash(dir))
		bootstrap := filepath.Join(cache, filepath.Base(dir), "bootstrap")
		if err := link(filepath.Join("..", "bin", filepath.Base(dir)), bootstrap); err != nil {
			return nil, err
		}
		programs[f.LogicalID] = bootstrap
	}
	if len(functions) == 0 {
		return programs, nil
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	var told bytes.Buffer
	cmd.Stdout, cmd.Stderr = &told, &told
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("build the functions: %w\n%s", err, bytes.TrimSpace(told.Bytes()))
	}
	return programs, nil
}

// cacheFolder is where the functions of a template are built: in .cache of the module that it belongs to.
func cacheFolder(root string) string {
	for dir := root; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
			continue
		}
		if below, err := filepath.Rel(dir, root); err == nil {
			return filepath.Join(dir, ".cache", "local", below)
		}
	}
	return filepath.Join(root, ".cache", "local")
}

// link puts a link in place that names the program as Lambda does.
func link(target, path string) error {
	if current, err := os.Readlink(path); err == nil && current == target {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make a place for a function: %w", err)
	}
	// Another stack may be doing the same: a link of our own is moved into place.
	own := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.Symlink(target, own); err != nil {
		return fmt.Errorf("name a function: %w", err)
	}
	if err := os.Rename(own, path); err != nil {
		return fmt.Errorf("name a function: %w", err)
	}
	return nil
}
