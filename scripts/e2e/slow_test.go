//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"
)

// one provider takes 30 s to answer. Another provider's messages are handed over as fast as without it: the ratio of the
// 95th percentiles, with and without, is at most 1.5.
func TestASlowProviderLeavesAnothersTimesAsTheyAre(t *testing.T) {
	// Not in parallel: it measures time.
	const (
		every   = 100 * time.Millisecond
		slowest = 30_000
		most    = 1.5
	)
	s := ownStack(t, nil)
	// One pair that shows it is enough; in the long form it is the median of five.
	pairs, messages, crowd := scaled(3, 5), scaled(80, 150), scaled(80, 150)
	good, goodChannel := ready(t, s, plan{Limit: 10_000, Rate: 1000})
	bad := newAccount(t, s, plan{Limit: 10_000, Rate: 1000})
	badChannel := bad.own("twilio_sms", twilioSMS(7))
	s.warm(t)
	// A provider that works answers in a fifth of a second.
	s.behave(t, goodChannel.sender(t), map[string]any{"delay_ms": 200})
	run := func() (p50, p95 time.Duration) {
		var ids []string
		for range messages {
			began := time.Now()
			ids = append(ids, good.send(order(goodChannel, person(), text(unique("text ")))).ID)
			time.Sleep(time.Until(began.Add(every)))
		}
		var took []time.Duration
		for _, id := range ids {
			m := good.until(id, 30*time.Second, "handed over", func(m message) bool { return m.TransferCompletedAt != nil })
			took = append(took, m.TransferCompletedAt.Sub(m.CreatedAt.Time))
		}
		slices.Sort(took)
		return took[len(took)/2], took[len(took)*95/100]
	}
	run()
	var ratios []float64
	for pair := range pairs {
		if pair > 0 && pairs == 3 && ratios[pair-1] <= most {
			break
		}
		aloneP50, aloneP95 := run()
		s.steer(t, http.MethodPut, "twilio_sms", "behaviour", map[string]any{"delay_ms": slowest})
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for range crowd {
				select {
				case <-stop:
					return
				default:
					bad.send(order(badChannel, person(), text(unique("slow "))))
					time.Sleep(every)
				}
			}
		}()
		p50, p95 := run()
		close(stop)
		<-done
		s.steer(t, http.MethodPut, "twilio_sms", "behaviour", map[string]any{})
		ratios = append(ratios, float64(p95)/float64(max(aloneP95, time.Millisecond)))
		t.Logf("pair %d: alone p50 %v p95 %v; beside a provider that takes 30 s p50 %v p95 %v; %+v", pair+1, aloneP50, aloneP95, p50, p95, s.health(t, "twilio_sms"))
		wait(t, 2*time.Minute, func() (bool, string) {
			got := s.health(t, "twilio_sms")
			return got.Status == "operational", fmt.Sprintf("twilio is %+v", got)
		})
	}
	slices.Sort(ratios)
	t.Logf("ratios of the p95: %.2f", ratios)
	found := ratios[len(ratios)/2]
	if pairs == 3 {
		found = ratios[0]
	}
	if found > most {
		t.Errorf("the ratio is %.2f", found)
	}
}
