// Package environmenttest holds a function's wiring to template.yaml: with the environment that the template gives it, it starts
// with nothing left out; without a variable that it needs, it says which.
package environmenttest

import (
	"crypto/sha256"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"contactcenter/shared/function"
	"contactcenter/shared/seal"
	"contactcenter/shared/sign"
)

// Function is a function as its template and its code have it.
type Function struct {
	// LogicalID names it in template.yaml, which lies two folders above the test's.
	LogicalID string
	// Nil are fields that may be left nil, as Type.Field.
	Nil []string
}

// Check wires the function with the template's variables, then without one after the other. Build gives the struct that holds its
// dependencies. Check sets variables of the process, so the test that calls it can't run side by side with others.
func Check[H any](t *testing.T, f Function, build function.Build[H]) {
	t.Helper()
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	env := variables(t, f.LogicalID)
	built, err := build(t.Context(), func(name string) string { return env[name] }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("with all that the template sets: %v", err)
	}
	w := walk{t: t, home: reflect.TypeOf(built).Elem().PkgPath(), allowed: f.Nil, seen: map[uintptr]bool{}}
	w.value(reflect.ValueOf(built))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !needed(name) {
			continue
		}
		without := maps.Clone(env)
		delete(without, name)
		_, err := build(t.Context(), func(asked string) string { return without[asked] }, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// needed reports whether a function can't do without a variable. It can do without what one provider is reached by: the others
// go on.
func needed(name string) bool {
	for _, end := range []string{"_TABLE", "_QUEUE_URL", "_SEAL_PUBLIC", "_SEAL_PRIVATE", "_SIGN_PUBLIC", "_SIGN_PRIVATE"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return slices.Contains([]string{"CONVERSATION_KEY", "SOURCE_KEY", "DEFAULT_PLAN_ID", "SWEEP_RATE"}, name)
}

// variables are those that the template sets for the function, with values of the right form.
func variables(t *testing.T, logicalID string) map[string]string {
	t.Helper()
	b, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Resources map[string]struct {
			Properties struct {
				Environment struct {
					Variables map[string]any `yaml:"Variables"`
				} `yaml:"Environment"`
			} `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(b, &template); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for name := range template.Resources[logicalID].Properties.Environment.Variables {
		env[name] = valueOf(t, name)
	}
	if len(env) == 0 {
		t.Fatalf("the template sets nothing for %s", logicalID)
	}
	return env
}

func valueOf(t *testing.T, name string) string {
	t.Helper()
	seed := sha256.Sum256([]byte(name))
	key, err := seal.Derive(seed[:])
	if err != nil {
		t.Fatal(err)
	}
	private, err := key.Local()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := sign.FromSeed(seed[:])
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case name == sign.PublicVariable:
		return signer.Public().Text()
	case name == sign.PrivateVariable:
		return signer.Local()
	case strings.HasSuffix(name, "_SEAL_PUBLIC"):
		return key.Public()
	case strings.HasSuffix(name, "_SEAL_PRIVATE"):
		return private
	case name == "SWEEP_RATE":
		return "rate(1 minute)"
	case strings.HasSuffix(name, "_URL"):
		return "https://example.com/" + strings.ToLower(name)
	}
	return "a value of " + name // long enough for a key
}

// walk looks for what was left out of a built function. In the function's own types nothing is nil; of the stores that it uses,
// each has its client, its table or queue, and its clock.
type walk struct {
	t       *testing.T
	home    string
	allowed []string
	seen    map[uintptr]bool
}

func (w *walk) value(v reflect.Value) {
	for v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		if v.Kind() == reflect.Pointer {
			if w.seen[v.Pointer()] {
				return
			}
			w.seen[v.Pointer()] = true
		}
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct || !strings.HasPrefix(v.Type().PkgPath(), "contactcenter/") {
		return
	}
	for i := range v.NumField() {
		field, name := v.Field(i), v.Type().Field(i).Name
		if w.leftOut(v.Type(), field, name) && !slices.Contains(w.allowed, v.Type().Name()+"."+name) {
			w.t.Errorf("%s.%s is left out", v.Type(), name)
		}
		w.value(field)
	}
}

func (w *walk) leftOut(of reflect.Type, field reflect.Value, name string) bool {
	if of.PkgPath() != w.home && !slices.Contains([]string{"DB", "SQS", "Table", "URL", "Now", "Random"}, name) {
		return false
	}
	switch field.Kind() {
	case reflect.Interface, reflect.Pointer, reflect.Func, reflect.Chan:
		return field.IsNil()
	case reflect.Map: // one that a package keeps to itself is made when it is needed
		return field.Len() == 0 && of.Field(0).PkgPath == ""
	case reflect.String:
		return field.Len() == 0
	}
	return false
}
