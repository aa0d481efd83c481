package api

import (
	"fmt"
	"net/http"
	"time"

	"github.com/dunglas/httpsfv"
)

// The policies of the RateLimit headers.
const (
	PolicyPeriod = "plan-period"
	PolicyRate   = "plan-rate"
)

// Limit is what one policy allows and what is left of it.
type Limit struct {
	// Policy is PolicyPeriod or PolicyRate.
	Policy string
	Quota  int64
	Window time.Duration
	// Remaining is never shown below 0.
	Remaining int64
	// Reset is how long it takes until more is there.
	Reset time.Duration
}

// SetRateLimit writes RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers, structured fields).
func SetRateLimit(h http.Header, limits ...Limit) error {
	var policies, state httpsfv.List
	for _, l := range limits {
		p := httpsfv.NewItem(l.Policy)
		p.Params.Add("q", l.Quota)
		p.Params.Add("w", seconds(l.Window))
		policies = append(policies, p)
		s := httpsfv.NewItem(l.Policy)
		s.Params.Add("r", max(l.Remaining, 0))
		s.Params.Add("t", seconds(l.Reset))
		state = append(state, s)
	}
	for name, list := range map[string]httpsfv.List{"RateLimit-Policy": policies, "RateLimit": state} {
		v, err := httpsfv.Marshal(list)
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		h.Set(name, v)
	}
	return nil
}

// seconds rounds up: nobody is told to come too early.
func seconds(d time.Duration) int64 { return int64(max(d, 0)+time.Second-1) / int64(time.Second) }
