package channel_test

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"contactcenter/shared/api/apitest"
	"contactcenter/shared/audit"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/channel"
	"contactcenter/shared/localaws/awstest"
)

var start = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)

func newStore(t *testing.T) *channel.Store {
	t.Helper()
	env := awstest.New(t)
	s := &channel.Store{DB: env.DynamoDB, Table: env.Table(t.Context(), awstest.ChannelsTable()), Audit: audittest.New(t, env)}
	c := channel.Channel{
		ID: "chn_1", AccountID: "acct_1", ProviderID: "edna", Type: "whatsapp", Name: "Orders", Address: "+35799001001", SenderID: "1001",
		Status: channel.Active, CreatedAt: start, CreatedBy: "user_7",
	}
	if err := s.Create(t.Context(), c, by()); err != nil {
		t.Fatal(err)
	}
	return s
}

func by() audit.Event { return audittest.By("acct_1") }

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

//
func TestStatusesFollowTheCustomer(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	steps := []struct {
		name string
		do   func(context.Context) error
		want channel.Status
	}{
		{"invalid credentials of an inactive channel", func(ctx context.Context) error { _, err := s.MarkCredentialsInvalid(ctx, "chn_1", nil); return err }, channel.Inactive},
		{"activate", func(ctx context.Context) error { _, err := s.Activate(ctx, "chn_1", activation(), by()); return err }, channel.Active},
		{"rename", func(ctx context.Context) error { _, err := s.Rename(ctx, "chn_1", "n", by()); return err }, channel.Active},
		{"invalid credentials", func(ctx context.Context) error { _, err := s.MarkCredentialsInvalid(ctx, "chn_1", nil); return err }, channel.CredentialsInvalid},
		{"activate anew", func(ctx context.Context) error { _, err := s.Activate(ctx, "chn_1", activation(), by()); return err }, channel.Active},
		{"deactivate", func(ctx context.Context) error { _, err := s.Deactivate(ctx, "chn_1", by()); return err }, channel.Inactive},
	}
	for _, st := range steps {
		if err := st.do(t.Context()); err != nil {
			t.Fatalf("%s: %v", st.name, err)
		}
		if c := get(t, s); c.Status != st.want {
			t.Errorf("%s: status is %s, want %s", st.name, c.Status, st.want)
		}
	}
	if _, err := s.Activate(t.Context(), "chn_1", channel.Activation{}, by()); err == nil {
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
	if _, err := s.Activate(t.Context(), "chn_1", activation(), by()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Delete(t.Context(), "chn_1", start, by()); err != nil {
		t.Fatal(err)
	}
	before, err := s.Lookup(t.Context(), "chn_1")
	if err != nil || before.Status != channel.Inactive || before.Settings["cascade"] != "7" || before.AccountID != "acct_1" {
		t.Fatalf("what is kept is %+v, %v", before, err)
	}
	for name, do := range map[string]func(string) error{
		"get":         func(id string) error { _, err := s.Get(t.Context(), id); return err },
		"activate":    func(id string) error { _, err := s.Activate(t.Context(), id, activation(), by()); return err },
		"deactivate":  func(id string) error { _, err := s.Deactivate(t.Context(), id, by()); return err },
		"rename":      func(id string) error { _, err := s.Rename(t.Context(), id, "x", by()); return err },
		"delete":      func(id string) error { _, err := s.Delete(t.Context(), id, start.Add(time.Hour), by()); return err },
		"pause":       func(id string) error { return s.Pause(t.Context(), id, start.Add(time.Hour)) },
		"credentials": func(id string) error { _, err := s.MarkCredentialsInvalid(t.Context(), id, nil); return err },
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
	if _, err := s.Activate(t.Context(), "chn_1", activation(), by()); err != nil {
		t.Fatal(err)
	}
	clock.Pass(channel.CacheAge - time.Millisecond)
	want("while it is kept", channel.Inactive)
	clock.Pass(time.Millisecond)
	want("then", channel.Active)
	if _, err := s.Deactivate(t.Context(), "chn_1", by()); err != nil {
		t.Fatal(err)
	}
	c.Forget("chn_1")
	want("once forgotten", channel.Inactive)
	if _, err := c.Get(t.Context(), "chn_none"); !errors.Is(err, channel.ErrNotFound) {
		t.Errorf("a missing channel: %v", err)
	}
}

// the Rules let nobody but the customer's users activate a channel, in person or by an instruction, so the code
// that does so is looked for.
func TestOneFunctionMakesChannelsActiveAndOnlyTheUsersRouteAndTheRedemptionCallIt(t *testing.T) {
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
				case *ast.SelectorExpr: // also a method value, which could be called elsewhere
					if n.Sel.Name == "Activate" && !strings.HasPrefix(path, filepath.Join(root, "shared", "provider")) {
						callers[filepath.Base(filepath.Dir(path))+"."+function+" "+receiver(n.X)] = true
					}
				}
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	wantSet(t, "the status active is written by", writers, "channel.Activate", "channel.MarkCredentialsInvalid") // the latter in its condition only
	// An adapter's Activate prepares the provider's side; it knows no store.
	wantSet(t, "Activate is called by", callers, "channels.activate Channels", "channels.redeem Channels", "channels.arrange activator")
}

// the operator's function knows channels by an interface that has no way to change one.
func TestTheOperatorsFunctionHasNoWayToAChannelsStatus(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("..", "..", "functions", "operator", "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		err := look(path, func(function string, n ast.Node) {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return
			}
			switch s.Sel.Name {
			case "Activate", "Activation", "FindInstruction", "Instruct", "Deactivate", "ActivateChannel", "FollowInstruction":
				t.Errorf("%s: %s uses %s", path, function, s.Sel.Name)
			}
			if x, isIdent := s.X.(*ast.Ident); isIdent && x.Name == "channel" && s.Sel.Name == "Active" {
				t.Errorf("%s: %s uses channel.Active", path, function)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func wantSet(t *testing.T, what string, got map[string]bool, want ...string) {
	t.Helper()
	list := slices.Sorted(maps.Keys(got))
	slices.Sort(want)
	if !slices.Equal(list, want) {
		t.Errorf("%s %v, want %v", what, list, want)
	}
}

// receiver is the last name of what a method is called on.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return "?"
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
