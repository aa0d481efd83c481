package delivery_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"contactcenter/shared/delivery"
	"contactcenter/shared/endpoint"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// nothing is sent to where an endpoint may not be, whatever its name resolves to when it is called.
func TestWhatIsNotPublicIsNotConnectedTo(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	defer s.Close()
	a := delivery.NewSender(endpoint.Public, time.Now).Send(t.Context(), s.URL, "evt_1", []byte("{}"), secret)
	if a.Why != delivery.WhyNotAllowed || calls.Load() != 0 {
		t.Errorf("%+v, %d calls", a, calls.Load())
	}
	if a := delivery.NewSender(endpoint.Local, time.Now).Send(t.Context(), s.URL, "evt_1", []byte("{}"), secret); !a.OK() || calls.Load() != 1 {
		t.Errorf("on one machine: %+v, %d calls", a, calls.Load())
	}
}

func TestARedirectIsNotFollowedAndAnAnswerIsItsStatus(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	for status, ok := range map[int]bool{200: true, 204: true, 299: true, 301: false, 307: false, 400: false, 410: false, 500: false} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", other.URL)
			w.WriteHeader(status)
		}))
		if a := delivery.NewSender(endpoint.Local, time.Now).Send(t.Context(), s.URL, "evt_1", []byte("{}"), secret); a.Code != status || a.OK() != ok {
			t.Errorf("%d: %+v", status, a)
		}
		s.Close()
	}
	if elsewhere.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

func TestRetryAfterIsReadAsSecondsOrAsADate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"120": 2 * time.Minute, "Tue, 24 Nov 2026 12:05:00 GMT": 5 * time.Minute, "Tue, 24 Nov 2026 11:00:00 GMT": 0, "99999999": 24 * time.Hour, "-5": 0, "soon": 0, "": 0,
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", text)
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
		if a := delivery.NewSender(endpoint.Local, func() time.Time { return now }).Send(t.Context(), s.URL, "evt_1", []byte("{}"), secret); a.RetryAfter != want {
			t.Errorf("%q: %v", text, a.RetryAfter)
		}
		s.Close()
	}
}

func TestAnEndpointThatDoesNotAnswerIsTimedOut(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer s.Close()
	defer close(hang)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if a := delivery.NewSender(endpoint.Local, time.Now).Send(ctx, s.URL, "evt_1", []byte("{}"), secret); a.Why != delivery.WhyTimeout || !a.Quiet() {
		t.Errorf("%+v", a)
	}
	if a := delivery.NewSender(endpoint.Local, time.Now).Send(t.Context(), "http://127.0.0.1:1/", "evt_1", []byte("{}"), secret); a.Why != delivery.WhyUnreachable {
		t.Errorf("%+v", a)
	}
	if delivery.NewSender(endpoint.Local, time.Now).HTTP.Timeout != 15*time.Second {
		t.Error("the limit is another")
	}
}

func TestAJobOfABusyEndpointIsPutBackForLongerWhereTheBacklogIsLong(t *testing.T) {
	t.Parallel()
	var waits []time.Duration
	for j, n := (delivery.Job{}), 0; n < 20; n++ {
		var wait time.Duration
		j, wait = j.Back(1<<62 - 1)
		waits = append(waits, wait.Round(time.Second))
		if again, shorter := j.Back(0); again.Busy != n+2 || shorter < time.Second || shorter > delivery.FromHere {
			t.Errorf("put back %d times: %v", again.Busy, shorter)
		}
	}
	for i, wait := range waits {
		if i > 3 && i <= 12 && wait > 8*time.Second || wait > delivery.FromHere || wait < time.Second {
			t.Errorf("the %d. time %v", i+1, wait)
		}
	}
}
