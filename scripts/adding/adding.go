// Package adding follows docs/adding-a-provider.md: it takes the files, the added lines and the registry's row out of the
// document, and lays them over the module without changing it, for tests that show that the document is true.
package adding

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Document is where the walk is described, below the module's root.
const Document = "docs/adding-a-provider.md"

// Walk is what the document has one do.
type Walk struct {
	// Files are new ones, whole, by their path in the module.
	Files map[string]string
	// Lists are files that get further lines.
	Lists map[string][]Addition
	// RowPath and Row are the operator's request that makes the provider known.
	RowPath string
	Row     json.RawMessage
}

// Addition puts lines below the one line of a file that is Below.
type Addition struct {
	Below string
	Lines []string
}

// Read takes a walk out of a document. Its blocks are fenced, and what stands behind the opening fence says what each is:
//
//	go PATH         a new file
//	diff PATH       lines to add ("+") below a line that is there (" ")
//	json PUT PATH   the registry's row
//
// Other blocks are not looked at.
func Read(document string) (Walk, error) {
	w := Walk{Files: map[string]string{}, Lists: map[string][]Addition{}}
	lines := strings.Split(document, "\n")
	for i := 0; i < len(lines); i++ {
		info, found := strings.CutPrefix(lines[i], "```")
		if !found {
			continue
		}
		end := slices.Index(lines[i+1:], "```")
		if end < 0 {
			return Walk{}, fmt.Errorf("the block %q has no end", info)
		}
		if err := w.take(info, lines[i+1:i+1+end]); err != nil {
			return Walk{}, fmt.Errorf("the block %q: %w", info, err)
		}
		i += end + 1
	}
	if len(w.Files) == 0 || len(w.Lists) == 0 || w.Row == nil {
		return Walk{}, errors.New("the document must have files, lines for lists and a row")
	}
	return w, nil
}

func (w *Walk) take(info string, lines []string) error {
	kind, path, _ := strings.Cut(info, " ")
	switch {
	case path == "":
		return nil
	case kind == "go":
		w.Files[path] = strings.Join(lines, "\n") + "\n"
	case kind == "diff":
		for _, l := range lines {
			switch here := w.Lists[path]; {
			case strings.HasPrefix(l, " "):
				w.Lists[path] = append(here, Addition{Below: l[1:]})
			case strings.HasPrefix(l, "+") && len(here) > 0:
				here[len(here)-1].Lines = append(here[len(here)-1].Lines, l[1:])
			default:
				return fmt.Errorf("the line %q is neither there nor added below one that is", l)
			}
		}
	case kind == "json":
		method, path, _ := strings.Cut(path, " ")
		if method != "PUT" || !json.Valid([]byte(strings.Join(lines, "\n"))) {
			return errors.New("want a PUT with a body of JSON")
		}
		w.RowPath, w.Row = path, json.RawMessage(strings.Join(lines, "\n"))
	}
	return nil
}

// Overlay writes what the go command takes as -overlay for the module at root, with its files in dir, and gives its path.
func (w Walk) Overlay(root, dir string) (string, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	into, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer into.Close()
	replace := map[string]string{}
	write := func(path, text string) error {
		name := fmt.Sprintf("file%d.go", len(replace))
		replace[filepath.Join(root, filepath.FromSlash(path))] = filepath.Join(dir, name)
		return into.WriteFile(name, []byte(text), 0o600)
	}
	for path, text := range w.Files {
		if _, err := os.Stat(filepath.Join(root, path)); err == nil {
			return "", fmt.Errorf("%s is there already", path)
		}
		if err := write(path, text); err != nil {
			return "", err
		}
	}
	for path, additions := range w.Lists {
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return "", err
		}
		lines := strings.Split(string(text), "\n")
		for _, a := range additions {
			at := slices.Index(lines, a.Below)
			if at < 0 {
				return "", fmt.Errorf("%s has no line %q", path, a.Below)
			}
			lines = slices.Insert(lines, at+1, a.Lines...)
		}
		if err := write(path, strings.Join(lines, "\n")); err != nil {
			return "", err
		}
	}
	raw, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, raw, 0o600)
}

// Effort is how much the walk took.
type Effort struct{ Files, Lines, Added int }

// Effort counts the new files and their lines, and the lines that were added to lists.
func (w Walk) Effort() Effort {
	e := Effort{Files: len(w.Files)}
	for _, text := range w.Files {
		e.Lines += strings.Count(text, "\n")
	}
	for _, additions := range w.Lists {
		for _, a := range additions {
			e.Added += len(a.Lines)
		}
	}
	return e
}
