package httpclient_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"contactcenter/shared/provider"
	"contactcenter/shared/provider/httpclient"
)

func TestRetryAfterIsReadAsSecondsOrDate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, header string
		want         time.Duration
	}{
		{"absent", "", 0},
		{"seconds", "17", 17 * time.Second},
		{"blanks around it", " 17 ", 17 * time.Second},
		{"a date to come", "Fri, 20 Nov 2026 10:00:30 GMT", 30 * time.Second},
		{"a date past", "Fri, 20 Nov 2026 09:00:30 GMT", 0},
		{"negative", "-3", 0},
		{"nonsense", "soon", 0},
		{"absurdly long", "99999999999999999999999", httpclient.MaxRetryAfter},
		{"longer than a day", "9999999", httpclient.MaxRetryAfter},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := httpclient.RetryAfter(http.Header{"Retry-After": {c.header}}, now); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

//
func TestAnAnswerIsSortedByItsStatus(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]provider.Kind{
		301: provider.Retry, 400: provider.Permanent, 401: provider.Credentials, 403: provider.Credentials, 404: provider.Permanent,
		405: provider.Permanent, 408: provider.Retry, 422: provider.Permanent, 429: provider.Retry, 500: provider.Retry, 502: provider.Ambiguous, 503: provider.Retry, 504: provider.Ambiguous,
	} {
		e := httpclient.Refusal(httpclient.Answer{Status: status, Header: http.Header{"Retry-After": {"9"}}}, time.Now())
		if e.Kind != want {
			t.Errorf("%d: kind %v, want %v", status, e.Kind, want)
		}
		if waits := e.RetryAfter == 9*time.Second; waits != (want == provider.Retry) {
			t.Errorf("%d: waits %v", status, e.RetryAfter)
		}
	}
}

func do(t *testing.T, c httpclient.Caller, url string) (httpclient.Answer, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	return c.Do(t.Context(), req)
}

func kind(t *testing.T, err error) provider.Kind {
	t.Helper()
	var e *provider.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a *provider.Error", err)
	}
	return e.Kind
}

//
func TestARedirectIsAnAnswerAndNotFollowed(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	defer elsewhere.Close()
	s := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer s.Close()
	a, err := do(t, httpclient.Caller{HTTP: httpclient.New()}, s.URL)
	if err != nil || a.Status != http.StatusTemporaryRedirect {
		t.Errorf("got %d, %v", a.Status, err)
	}
}

func TestAHugeAnswerIsCutOff(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, 3000))
	}))
	defer s.Close()
	a, err := do(t, httpclient.Caller{HTTP: httpclient.New(), MaxAnswer: 2999}, s.URL)
	if err != nil || !a.Oversized || a.Body != nil {
		t.Errorf("got oversized %v with %d bytes, %v", a.Oversized, len(a.Body), err)
	}
	a, err = do(t, httpclient.Caller{HTTP: httpclient.New(), MaxAnswer: 3000}, s.URL)
	if err != nil || a.Oversized || len(a.Body) != 3000 {
		t.Errorf("got oversized %v with %d bytes, %v", a.Oversized, len(a.Body), err)
	}
}

func TestWhatWasNeverWrittenMayBeRetried(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("called") }))
	defer plain.Close()
	untrusted := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("called") }))
	defer untrusted.Close()
	untrusted.Config.ErrorLog = nil
	for name, url := range map[string]string{
		"connection refused":             closed,
		"a server that speaks no TLS":    strings.Replace(plain.URL, "http:", "https:", 1),
		"a certificate nobody vouches":   untrusted.URL,
		"plain HTTP to another machine":  "http://192.0.2.1/",
		"a name that nothing answers to": "https://nowhere.invalid/",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := do(t, httpclient.Caller{HTTP: httpclient.New(), Timeout: 2 * time.Second}, url)
			if k := kind(t, err); k != provider.Retry {
				t.Errorf("kind %v, want Retry: %v", k, err)
			}
			if strings.Contains(err.Error(), "://") {
				t.Errorf("the error quotes the URL: %v", err)
			}
		})
	}
}

//
func TestWhatWasWrittenAndNotAnsweredIsAmbiguous(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	for name, h := range map[string]http.HandlerFunc{
		"silence": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // a server notices that its client left only after the body
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		},
		"a dropped connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"half an answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("half"))
			panic(http.ErrAbortHandler)
		},
		"something that is not HTTP": func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = c.Write([]byte("SECRET nonsense\r\n\r\n"))
				_ = c.Close()
			}
		},
		"endless headers": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 100<<10))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(h)
			defer s.Close()
			_, err := do(t, httpclient.Caller{HTTP: httpclient.New(), Timeout: 2 * time.Second}, s.URL)
			if k := kind(t, err); k != provider.Ambiguous {
				t.Errorf("kind %v, want Ambiguous: %v", k, err)
			}
			if strings.Contains(err.Error(), "SECRET") {
				t.Errorf("the error quotes the answer: %v", err)
			}
		})
	}
}

func TestACallAfterItsCallerGaveUpIsNotMade(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("called") }))
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = httpclient.Caller{HTTP: httpclient.New()}.Do(ctx, req)
	if k := kind(t, err); k != provider.Retry {
		t.Errorf("kind %v, want Retry", k)
	}
}

func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	peers := make(chan string, 20)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { peers <- r.RemoteAddr }))
	defer s.Close()
	c := httpclient.Caller{HTTP: httpclient.New()}
	for range 20 {
		if _, err := do(t, c, s.URL); err != nil {
			t.Fatal(err)
		}
	}
	first := <-peers
	for range 19 {
		if p := <-peers; p != first {
			t.Fatalf("a second connection: %s, %s", first, p)
		}
	}
}
