package channel_test

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"contactcenter/shared/api/apitest"
	"contactcenter/shared/channel"
	"contactcenter/shared/localaws/awstest"
)

var start = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)

func newStore(t *testing.T) *channel.Store {
	t.Helper()
	env := awstest.New(t)
	s := &channel.Store{DB: env.DynamoDB, Table: env.Table(t.Context(), awstest.ChannelsTable())}
	c := channel.Channel{
		ID: "chn_1", AccountID: "acct_1", ProviderID: "edna", Type: "whatsapp", Name: "Orders", Address: "+35799001001", SenderID: "1001",
		Status: channel.Active, CreatedAt: start, CreatedBy: "user_7",
	}
	if err := s.Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return s
}

func get(t *testing.T, s *channel.Store) channel.Channel {
	t.Helper()
	c, err := s.Get(t.Context(), "chn_1")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func activation() channel.Activation {
	return channel.Activation{
		By: "user_7", At: start, Settings: map[string]string{"cascade": "7"},
		Confirmation: channel.Confirmation{RulesVersion: "v1", ProviderTermsVersion: "t1", TransferCountries: []string{"CY"}},
	}
}

func TestANewChannelIsInactiveWhateverItSays(t *testing.T) {
	t.Parallel()
	if c := get(t, newStore(t)); c.Status != channel.Inactive || c.SenderID != "1001" || !c.CreatedAt.Equal(start) {
		t.Errorf("it is %+v", c)
	}
}

func TestStatusesFollowTheCustomer(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	steps := []struct {
		name string
		do   func(context.Context) error
		want channel.Status
	}{
		{"invalid credentials of an inactive channel", func(ctx context.Context) error { return s.MarkCredentialsInvalid(ctx, "chn_1", nil) }, channel.Inactive},
		{"activate", func(ctx context.Context) error { _, err := s.Activate(ctx, "chn_1", activation()); return err }, channel.Active},
		{"rename", func(ctx context.Context) error { _, err := s.Rename(ctx, "chn_1", "n"); return err }, channel.Active},
		{"invalid credentials", func(ctx context.Context) error { return s.MarkCredentialsInvalid(ctx, "chn_1", nil) }, channel.CredentialsInvalid},
		{"activate anew", func(ctx context.Context) error { _, err := s.Activate(ctx, "chn_1", activation()); return err }, channel.Active},
		{"deactivate", func(ctx context.Context) error { _, err := s.Deactivate(ctx, "chn_1"); return err }, channel.Inactive},
	}
	for _, st := range steps {
		if err := st.do(t.Context()); err != nil {
			t.Fatalf("%s: %v", st.name, err)
		}
		if c := get(t, s); c.Status != st.want {
			t.Errorf("%s: status is %s, want %s", st.name, c.Status, st.want)
		}
	}
	if _, err := s.Activate(t.Context(), "chn_1", channel.Activation{}); err == nil {
		t.Error("a channel was activated by nobody")
	}
}

func TestAPauseOnlyGetsLonger(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := s.Pause(t.Context(), "chn_1", start.Add(time.Duration(i*7%20)*time.Second)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if c := get(t, s); !c.PausedUntil.Equal(start.Add(19*time.Second)) || !c.Paused(start) || c.Paused(start.Add(19*time.Second)) {
		t.Errorf("paused until %s", c.PausedUntil)
	}
}

func TestADeletedChannelChangesNoMore(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if _, err := s.Activate(t.Context(), "chn_1", activation()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Delete(t.Context(), "chn_1", start); err != nil {
		t.Fatal(err)
	}
	before, err := s.Lookup(t.Context(), "chn_1")
	if err != nil || before.Status != channel.Inactive || before.Settings["cascade"] != "7" || before.AccountID != "acct_1" {
		t.Fatalf("what is kept is %+v, %v", before, err)
	}
	for name, do := range map[string]func(string) error{
		"get":         func(id string) error { _, err := s.Get(t.Context(), id); return err },
		"activate":    func(id string) error { _, err := s.Activate(t.Context(), id, activation()); return err },
		"deactivate":  func(id string) error { _, err := s.Deactivate(t.Context(), id); return err },
		"rename":      func(id string) error { _, err := s.Rename(t.Context(), id, "x"); return err },
		"delete":      func(id string) error { _, err := s.Delete(t.Context(), id, start.Add(time.Hour)); return err },
		"pause":       func(id string) error { return s.Pause(t.Context(), id, start.Add(time.Hour)) },
		"credentials": func(id string) error { return s.MarkCredentialsInvalid(t.Context(), id, nil) },
	} {
		for _, id := range []string{"chn_1", "chn_none"} {
			if err := do(id); !errors.Is(err, channel.ErrNotFound) {
				t.Errorf("%s %s: %v", name, id, err)
			}
		}
	}
	if after, err := s.Lookup(t.Context(), "chn_1"); err != nil || !after.DeletedAt.Equal(before.DeletedAt) || after.Name != before.Name || !after.PausedUntil.IsZero() {
		t.Errorf("it became %+v, %v", after, err)
	}
}

func TestTheCacheIsAtMostFiveSecondsBehind(t *testing.T) {
	t.Parallel()
	s, clock := newStore(t), apitest.NewClock(start)
	c := &channel.Cache{Store: s, Now: clock.Now}
	want := func(what string, status channel.Status) {
		t.Helper()
		if got, err := c.Get(t.Context(), "chn_1"); err != nil || got.Status != status {
			t.Errorf("%s: status is %s, %v, want %s", what, got.Status, err, status)
		}
	}
	want("at first", channel.Inactive)
	if _, err := s.Activate(t.Context(), "chn_1", activation()); err != nil {
		t.Fatal(err)
	}
	clock.Pass(channel.CacheAge - time.Millisecond)
	want("while it is kept", channel.Inactive)
	clock.Pass(time.Millisecond)
	want("then", channel.Active)
	if _, err := s.Deactivate(t.Context(), "chn_1"); err != nil {
		t.Fatal(err)
	}
	c.Forget("chn_1")
	want("once forgotten", channel.Inactive)
	if _, err := c.Get(t.Context(), "chn_none"); !errors.Is(err, channel.ErrNotFound) {
		t.Errorf("a missing channel: %v", err)
	}
}

// The Rules let nobody but the customer's users activate a channel, so the code that does so is looked for.
func TestOneFunctionMakesChannelsActiveAndOneHandlerCallsIt(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	writers, callers := map[string]bool{}, map[string]bool{}
	for _, dir := range []string{"functions", "shared"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			return look(path, func(function string, n ast.Node) {
				switch n := n.(type) {
				case *ast.CallExpr: // attr.String(string(Active)): what is stored
					if writes(n) {
						writers[filepath.Base(filepath.Dir(path))+"."+function] = true
					}
					if s, ok := n.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Activate" && strings.HasPrefix(path, filepath.Join(root, "functions")) {
						callers[filepath.Base(filepath.Dir(path))+"."+function] = true
					}
				}
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(writers) != 2 || !writers["channel.Activate"] || !writers["channel.MarkCredentialsInvalid"] { // the latter in its condition only
		t.Errorf("the status active is written by %v", writers)
	}
	for caller := range callers {
		if !strings.HasPrefix(caller, "channels.") {
			t.Errorf("%s activates", caller)
		}
	}
}

// look walks the functions of a file.
func look(path string, see func(function string, n ast.Node)) error {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			ast.Inspect(fn, func(n ast.Node) bool { see(fn.Name.Name, n); return true })
		}
	}
	return nil
}

// writes reports whether a call is string(Active), with or without the package's name.
func writes(call *ast.CallExpr) bool {
	if to, ok := call.Fun.(*ast.Ident); !ok || to.Name != "string" || len(call.Args) != 1 {
		return false
	}
	switch arg := call.Args[0].(type) {
	case *ast.Ident:
		return arg.Name == "Active"
	case *ast.SelectorExpr:
		return arg.Sel.Name == "Active"
	}
	return false
}
