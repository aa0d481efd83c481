//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"
)

// providerHealth is a provider's line of GET /v1/status.
type providerHealth struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Status    string     `json:"status"`
	Since     *timestamp `json:"since"`
	ErrorRate float64    `json:"error_rate"`
	Latency   struct {
		P50 int64 `json:"p50"`
		P95 int64 `json:"p95"`
	} `json:"latency_ms"`
	Calls int64 `json:"calls"`
}

// health reads how a provider works, as anybody may.
func (s *stack) health(t *testing.T, providerID string) providerHealth {
	t.Helper()
	page := decode[struct {
		Providers []providerHealth `json:"providers"`
		UpdatedAt *timestamp       `json:"updated_at"`
	}](t, (&caller{stack: s}).call(t, http.MethodGet, "/v1/status", nil), http.StatusOK)
	for _, p := range page.Providers {
		if p.ID == providerID {
			return p
		}
	}
	t.Fatalf("the status has no %s: %+v", providerID, page)
	return providerHealth{}
}

// edna answers 503 for a while. It is shown as an outage, what waits is shown as held and uses up nothing, and when edna
// answers again all messages are delivered by themselves, once each and in order, and edna is operational again.
func TestAnOutageIsShownAndEndsByItselfWithEveryMessageDelivered(t *testing.T) {
	t.Parallel()
	s := ownStack(t, nil)
	messages, people, outage := scaled(200, 1000), 50, time.Duration(scaled(20, 60))*time.Second
	a, ch := ready(t, s, plan{Limit: 5000, Rate: 1000})
	if got := s.health(t, "edna"); got.Status != "operational" {
		t.Errorf("before, edna is %+v", got)
	}
	s.behave(t, ch.sender(t), map[string]any{"fail_status": 503})
	began := time.Now()
	byPerson := a.inOrder(ch, messages, people)
	wait(t, outage, func() (bool, string) {
		got := s.health(t, "edna")
		return got.Status == "outage", fmt.Sprintf("edna is %+v", got)
	})
	t.Logf("shown as an outage after %v", time.Since(began).Round(100*time.Millisecond))
	if p := a.provider(); p.Health != "outage" {
		t.Errorf("the provider's page says %+v", p)
	}
	a.until(byPerson[someone(byPerson)][0], 10*time.Second, "held", func(m message) bool { return m.Status == "held" && m.HeldReason == "provider_outage" })
	time.Sleep(time.Until(began.Add(outage)))
	calls := len(s.sendsBy(t, ch.sender(t), 0))

	s.behave(t, ch.sender(t), nil)
	mended := time.Now()
	wait(t, 35*time.Second, func() (bool, string) { return len(s.sendsBy(t, ch.sender(t), 0)) > calls, "nobody tries" })
	first := time.Since(mended)
	a.untilUsed(3*time.Minute, int64(messages))
	t.Logf("%d calls in %v of an outage; after it, one tried in %v, all %d were handed over in %v", calls, outage, first.Round(100*time.Millisecond), messages, time.Since(mended).Round(100*time.Millisecond))
	wait(t, 40*time.Second, func() (bool, string) {
		got := s.health(t, "edna")
		return got.Status == "operational", fmt.Sprintf("edna is %+v", got)
	})
	t.Logf("operational %v after it was mended: %+v", time.Since(mended).Round(100*time.Millisecond), s.health(t, "edna"))
	sent := s.sendsBy(t, ch.sender(t), 0)
	if n := acceptedOnce(t, sent); n != messages {
		t.Errorf("%d of %d accepted", n, messages)
	}
	at := map[string]int{}
	for _, c := range sent {
		if c.Accepted {
			at[c.RequestID] = c.Seq
		}
	}
	for _, ids := range byPerson {
		if !slices.IsSortedFunc(ids, func(x, y string) int { return at[x] - at[y] }) {
			t.Errorf("out of order: %v", ids)
		}
		a.until(ids[len(ids)-1], time.Minute, "read", status("read"))
	}
}

func someone[V any](m map[string]V) string {
	for k := range m {
		return k
	}
	return ""
}
