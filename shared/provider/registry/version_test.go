package registry_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/provider/registry"
)

// each change of a provider is an event with actor, before, after and reason, and a version that never changes.
func TestEveryChangeOfAProviderIsAVersionAndAnEvent(t *testing.T) {
	t.Parallel()
	s, clock := newStore(t, 0)
	steps := []struct {
		action string
		change func(*registry.Entry)
	}{
		{"provider.added", func(*registry.Entry) {}},
		{"", func(*registry.Entry) {}},
		{"provider.changed", func(e *registry.Entry) { e.TransferCountries = []string{"DE", "CY"} }},
		{"provider.disabled", func(e *registry.Entry) { e.Status = registry.Disabled }},
		{"provider.enabled", func(e *registry.Entry) { e.Status = registry.Enabled }},
		{"provider.changed", func(e *registry.Entry) {
			e.Limits = registry.Limits{Rate: &registry.Rate{Limit: 5, WindowSeconds: 1, Burst: 1}, PerRecipientSeconds: 6}
		}},
		{"provider.changed", func(e *registry.Entry) { e.Adapter = "another" }},
		{"provider.changed", func(e *registry.Entry) { e.Name = strings.Repeat("n", 250) }},
		{"provider.removed", func(e *registry.Entry) { e.Status = registry.Removed }},
	}
	e := entry("edna")
	var want []string
	for i, st := range steps {
		clock.Pass(1e9)
		st.change(&e)
		by := audittest.ByOperator()
		by.Reason = fmt.Sprintf("reason %d", i)
		got, err := s.Put(t.Context(), e, by)
		if err != nil {
			t.Fatal(err)
		}
		if st.action != "" {
			want = append(want, fmt.Sprintf("%s %d reason %d", st.action, len(want)+1, i))
		}
		if got.Version != int64(len(want)) {
			t.Errorf("step %d gives version %d, want %d", i, got.Version, len(want))
		}
		past, err := s.Version(t.Context(), "edna", got.Version)
		if err != nil || !past.Entry.Same(e) || past.By != "op_1" {
			t.Errorf("version %d is %+v, %v", got.Version, past, err)
		}
	}
	var got []string
	for _, ev := range audittest.Of(t, s.Audit, "") {
		got = append(got, fmt.Sprintf("%s %v %s", ev.Action, ev.After["version"], ev.Reason))
		if ev.Target != "edna" || ev.Actor.ID != "op_1" {
			t.Errorf("the event is %+v", ev)
		}
		if ev.Action == "provider.disabled" && !reflect.DeepEqual([]any{ev.Before["status"], ev.After["status"], ev.Before["version"]}, []any{"enabled", "disabled", 2.0}) {
			t.Errorf("disabling is shown as %v to %v", ev.Before, ev.After)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("events are\n%q, want\n%q", got, want)
	}
	var versions []int64
	for page := (attr.Page{Size: 3}); ; {
		list, next, err := s.Versions(t.Context(), "edna", page)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			versions = append(versions, c.Entry.Version)
		}
		if page.Token = next; next == "" {
			break
		}
	}
	if fmt.Sprint(versions) != "[8 7 6 5 4 3 2 1]" {
		t.Errorf("versions are %v", versions)
	}
	if _, err := s.Version(t.Context(), "edna", 99); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("a version that is none: %v", err)
	}
}

func TestChangesAtOnceEachGetAVersionOfTheirOwn(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, 0)
	var wg sync.WaitGroup
	const writers = 4
	for i := range writers {
		wg.Go(func() {
			e := entry("edna")
			e.TermsVersion = fmt.Sprint(i)
			if _, err := s.Put(context.Background(), e, audittest.ByOperator()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	list, _, err := s.Versions(t.Context(), "edna", attr.Page{Size: 50})
	if err != nil || len(list) != writers || list[0].Entry.Version != writers {
		t.Errorf("versions are %+v, %v", list, err)
	}
}
