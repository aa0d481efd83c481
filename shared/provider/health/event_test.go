package health

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"contactcenter/shared/event"
	"contactcenter/shared/event/eventtest"
)

// each change of a provider's health is told to everybody once, whichever process sees it; that of a channel is nobody's event. It
// names the provider, and what cannot be published is noted.
func TestAChangeOfAProvidersHealthIsToldOnce(t *testing.T) {
	t.Parallel()
	s, told := newScene(t), &eventtest.Recorder{}
	log := slog.New(slog.NewTextHandler(io.Writer(s), nil))
	changed := Publish(told, log)
	one, other := s.process(), s.process()
	one.Changed, other.Changed = changed, changed
	sweep := &Sweep{
		Store: s.store, Now: s.Now, Log: log, Changed: changed,
		Providers: func(context.Context) ([]string, error) { return []string{"p"}, nil },
	}
	for range 8 {
		s.call(one, "a", Failed, 0)
		s.call(other, "b", Failed, 0)
	}
	s.want(OfProvider("p"), Outage)
	outage := len(told.Types())
	s.pass(openFirst + time.Second)
	s.call(one, "a", Answered, 0)
	s.call(one, "b", Answered, 0)
	for range 3 {
		s.pass(time.Minute)
		if err := sweep.Run(t.Context(), t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.want(OfProvider("p"), Operational)
	if got := told.Types(); outage != 1 || !slices.Equal(got, slices.Repeat([]event.Type{event.ProviderStatusChanged}, 3)) {
		t.Errorf("told of %v, %d of them before it was over", got, outage)
	}
	for _, e := range told.Events() {
		if e.AccountID != "" || e.Resource != "p" {
			t.Errorf("%+v", e)
		}
	}
	told.Break(true)
	changed(t.Context(), OfProvider("p"), Outage, s.Now())
	if !strings.Contains(s.log.String(), "change of health not published") {
		t.Error("what could not be published is not noted")
	}
}
