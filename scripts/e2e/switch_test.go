//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"
)

// registryEntry gives edna's entry as the operator would put it back.
func (s *stack) registryEntry(t *testing.T) map[string]any {
	t.Helper()
	entry := decode[map[string]any](t, s.operator(t).call(t, http.MethodGet, "/v1/operator/providers/edna", nil), http.StatusOK)
	for _, readOnly := range []string{"id", "health", "since", "credential_fields"} {
		delete(entry, readOnly)
	}
	return entry
}

func (s *stack) putEntry(t *testing.T, entry map[string]any, more map[string]any) {
	t.Helper()
	body := maps.Clone(entry)
	maps.Copy(body, more)
	if got := s.operator(t).call(t, http.MethodPut, "/v1/operator/providers/edna", body); got.status != http.StatusOK {
		t.Fatal(got)
	}
}

// inOrder sends a number of messages to a number of people in turn, and gives their ids by person.
func (a *account) inOrder(ch channel, messages, people int) map[string][]string {
	a.t.Helper()
	byPerson, all := map[string][]string{}, make([]string, people)
	for i := range all {
		all[i] = person()
	}
	for i := range messages {
		to := all[i%people]
		byPerson[to] = append(byPerson[to], a.send(order(ch, to, text(unique("text ")))).ID)
	}
	return byPerson
}

// messages wait, the provider is disabled: no call later than 5 s after, everything that waits is held, new messages are
// refused; enabled again, all go on in order within seconds, each once.
func TestADisabledProviderIsLeftAloneAndThenServedInOrder(t *testing.T) {
	t.Parallel()
	s := ownStack(t, nil)
	a, ch := ready(t, s, plan{Limit: 5000, Rate: int64(scaled(20, 60))})
	entry, messages := s.registryEntry(t), scaled(200, 1000)
	byPerson := a.inOrder(ch, messages, messages/5)
	s.putEntry(t, entry, map[string]any{"status": "disabled", "reason": "a test"})
	disabled := time.Now()
	var waiting []string
	wait(t, 5*time.Second, func() (bool, string) {
		waiting = waiting[:0]
		for _, ids := range byPerson {
			for _, id := range ids {
				switch m := a.message(id); {
				case m.Status == "held" && m.HeldReason == "provider_disabled":
					waiting = append(waiting, id)
				case m.Status == "queued":
					return false, "it still waits to be held: " + m.String()
				}
			}
		}
		return true, ""
	})
	if len(waiting) < messages/4 {
		t.Fatalf("only %d of %d messages waited when the provider was disabled", len(waiting), messages)
	}
	a.call(t, http.MethodPost, "/v1/messages", order(ch, person(), text("too late"))).refused(t, http.StatusConflict, "provider_disabled")
	time.Sleep(time.Until(disabled.Add(10 * time.Second)))
	for _, c := range s.sendsBy(t, ch.sender(t), 0) {
		if late := c.At.Sub(disabled); late > 5*time.Second {
			t.Errorf("a call left %v after the provider was disabled", late)
		}
	}

	before := s.lastCall(t)
	enabled := time.Now()
	s.putEntry(t, entry, map[string]any{"status": "enabled"})
	wait(t, 20*time.Second, func() (bool, string) { return s.lastCall(t) > before, "nothing goes on" })
	t.Logf("%d of %d waited; the first call came %v after enabling", len(waiting), messages, time.Since(enabled).Round(100*time.Millisecond))
	a.untilUsed(3*time.Minute, int64(messages))
	var calls []providerCall
	wait(t, time.Minute, func() (bool, string) {
		calls = s.sendsBy(t, ch.sender(t), 0)
		return len(accepted(calls)) == messages, fmt.Sprintf("the provider has %d of %d", len(accepted(calls)), messages)
	})
	acceptedOnce(t, calls)
	at := map[string]int{}
	for _, c := range calls {
		if c.Accepted {
			at[c.RequestID] = c.Seq
		}
	}
	for _, ids := range byPerson {
		if !slices.IsSortedFunc(ids, func(x, y string) int { return at[x] - at[y] }) {
			t.Errorf("out of order: %v", ids)
		}
	}
}

// a removed provider refuses new messages, ends those that wait, and leaves history and the list of providers
// readable; put back, its channels are as their customers had them.
func TestARemovedProviderEndsWhatWaitsAndKeepsHistory(t *testing.T) {
	t.Parallel()
	s := ownStack(t, nil)
	a, ch := ready(t, s, plan{Limit: 100})
	other := a.channel()
	entry := s.registryEntry(t)
	old := a.send(order(ch, person(), text(unique("text "))))
	a.until(old.ID, 20*time.Second, "read", status("read"))
	s.putEntry(t, entry, map[string]any{"status": "disabled"})
	s.putEntry(t, entry, map[string]any{"status": "enabled"})
	s.behave(t, ch.sender(t), map[string]any{"fail_status": 503})
	waiting := a.send(order(ch, person(), text(unique("text "))))
	s.putEntry(t, entry, map[string]any{"status": "disabled"})
	a.until(waiting.ID, 30*time.Second, "held", status("held"))
	s.putEntry(t, entry, map[string]any{"status": "removed"})
	s.behave(t, ch.sender(t), nil)
	got := a.until(waiting.ID, time.Minute, "rejected", status("rejected"))
	if got.code() != "provider_removed" {
		t.Errorf("it ended with %v", got)
	}
	wait(t, 10*time.Second, func() (bool, string) {
		got := a.call(t, http.MethodPost, "/v1/messages", order(ch, person(), text(unique("text "))))
		return got.status == http.StatusConflict && got.problem(t).Code == "provider_removed", "the provider is removed: " + got.String()
	})
	if m := a.message(old.ID); m.Status != "read" || m.Content.Text == nil || m.Transfer == nil || len(m.Transfer.Countries) == 0 {
		t.Errorf("what was sent before is %v", m)
	}
	if p := a.provider(); p.Status != "removed" {
		t.Errorf("the provider is %+v", p)
	}
	show := func(ch channel) string {
		return decode[channel](t, a.call(t, http.MethodGet, "/v1/channels/"+ch.ID, nil), http.StatusOK).Status
	}
	if got := show(ch); got != "provider_removed" {
		t.Errorf("the channel is %s", got)
	}
	s.putEntry(t, entry, map[string]any{"status": "enabled"})
	a.call(t, http.MethodPost, "/v1/channels/"+other.ID+"/deactivate", nil)
	wait(t, 10*time.Second, func() (bool, string) { return show(ch) == "active", "the channel is " + show(ch) })
	if got := show(other); got != "inactive" {
		t.Errorf("the inactive channel is %s", got)
	}
}

// what the provider takes of all accounts together, and of one recipient, stays within its limits, and nothing is refused.
func TestLimitsOfTheProviderHoldForAllAccountsTogether(t *testing.T) {
	t.Parallel()
	const (
		accounts, people = 3, 6
		limit, apart     = 5, 2
	)
	s := ownStack(t, nil)
	entry := s.registryEntry(t)
	s.putEntry(t, entry, map[string]any{"limits": map[string]any{
		"rate": map[string]any{"limit": limit, "window_seconds": 1}, "per_recipient": map[string]any{"limit": 1, "window_seconds": apart},
	}})
	time.Sleep(4 * time.Second) // until every dispatcher knows
	end := pulse()
	var want int
	for range accounts {
		a, ch := ready(t, s, plan{Limit: 1000})
		a.inOrder(ch, people+2, people) // two of them get a second one
		want += people + 2
	}
	var calls []providerCall
	wait(t, 2*time.Minute, func() (bool, string) {
		calls = s.sends(t, "")
		return len(accepted(calls)) == want, fmt.Sprintf("the provider has %d of %d", len(accepted(calls)), want)
	})
	still := end()
	slices.SortFunc(calls, func(x, y providerCall) int { return x.At.Compare(y.At) })
	windowed(t, "all accounts together", times(calls), limit, time.Second, still.way())
	pairs := map[string][]time.Time{}
	for _, c := range calls {
		pair := fmt.Sprint(c.SenderID, " ", c.To)
		pairs[pair] = append(pairs[pair], c.At)
	}
	for pair, at := range pairs {
		windowed(t, "one recipient, "+pair, at, 1, apart*time.Second, still.way())
	}
	acceptedOnce(t, calls)
}

// each sender keeps to what its provider takes of one; another sender does not wait for it, and nothing is refused.
func TestASendersOwnPaceIsKeptAndAnotherDoesNotWait(t *testing.T) {
	t.Parallel()
	const (
		many, few = 30, 3
		limit     = 2
	)
	s := ownStack(t, nil)
	s.putEntry(t, s.registryEntry(t), map[string]any{"limits": map[string]any{"per_sender": map[string]any{"limit": limit, "window_seconds": 1}}})
	time.Sleep(4 * time.Second) // until every dispatcher knows
	busy, busyChannel := ready(t, s, plan{Limit: 1000})
	other, otherChannel := ready(t, s, plan{Limit: 1000})
	end := pulse()
	busy.flood(many, 20, func(int) map[string]any { return order(busyChannel, person(), text(unique("text "))) })
	begun := time.Now()
	for range few {
		other.send(order(otherChannel, person(), text(unique("text "))))
	}
	other.untilUsed(20*time.Second, few)
	t.Logf("%d messages of another sender took %v", few, time.Since(begun))
	busy.untilUsed(time.Minute, many)
	still := end()
	for sender, want := range map[int64]int{busyChannel.sender(t): many, otherChannel.sender(t): few} {
		calls := s.sendsBy(t, sender, 0)
		slices.SortFunc(calls, func(x, y providerCall) int { return x.At.Compare(y.At) })
		windowed(t, fmt.Sprint("sender ", sender), times(calls), limit, time.Second, still.way())
		if n := acceptedOnce(t, calls); n != want || len(calls) != want {
			t.Errorf("sender %d: %d calls, %d taken, want %d", sender, len(calls), n, want)
		}
		if want == many {
			t.Logf("%d messages at %d a second took %v", many, limit, calls[many-1].At.Sub(calls[0].At))
		}
	}
}
