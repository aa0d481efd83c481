package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/httpclient"
)

// each fault that is put in is told as whose it is.
func TestAnInjectedFaultIsTheOnesWhoHadIt(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		limit  int64
		change func(*message.Message)
		inject func(*bench)
		status message.Status
		fault  string
	}{
		{"the provider answers 503 to every attempt", 10, nil, func(b *bench) {
			for range maxAttempts {
				b.provider.answers = append(b.provider.answers, httpclient.Refusal(httpclient.Answer{Status: http.StatusServiceUnavailable}, b.Now()))
			}
		}, message.Failed, "provider"},
		{"the provider answers 502 and does not know a repeat", 10, nil, func(b *bench) {
			b.provider.repeatSafe = false
			b.provider.answers = []error{httpclient.Refusal(httpclient.Answer{Status: http.StatusBadGateway}, b.Now())}
		}, message.Unknown, "provider"},
		{"the plan's number is used up", 0, nil, nil, message.Rejected, "customer"},
		{"the message expired", 10, func(m *message.Message) { m.ExpiresAt = m.ID.Time() }, nil, message.Expired, "customer"},
		{"what we stored is not what was accepted", 10, func(m *message.Message) { m.ContentSHA256 = strings.Repeat("0", 64) }, nil, message.Rejected, "platform"},
		{"the recipient opted out", 10, nil, func(b *bench) { b.optOut("+35799000001") }, message.Rejected, "recipient"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, c.limit, slow())
			m := b.accept("+35799000001", c.change)
			if c.inject != nil {
				c.inject(b)
			}
			b.deliverToTheEnd(m)
			got := b.get(m)
			if p := got.Error(); got.Status() != c.status || p == nil || p.FaultDomain != c.fault {
				t.Errorf("it is %s, %+v; want %s by the %s", got.Status(), p, c.status, c.fault)
			}
		})
	}
}

// deliverToTheEnd brings a message as often as it comes again.
func (b *bench) deliverToTheEnd(m id.Message) {
	b.t.Helper()
	for n := range 2 * maxAttempts {
		if len(b.deliver(n+1, m)) == 0 {
			return
		}
		b.pass(2 * time.Minute)
	}
	b.t.Error("it comes again without end")
}
