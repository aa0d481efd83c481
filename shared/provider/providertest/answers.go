package providertest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"contactcenter/shared/provider"
)

func takenOnce(t *testing.T, k Kit) {
	l := connect(t, k, ample, nil)
	r, err := l.Send(t.Context(), k.Channel, k.message("msg_1"))
	if err != nil || r.Duplicate {
		t.Fatalf("got %+v, %v", r, err)
	}
	l.accepts(t, 1)
	if n := len(l.sends(k.SendPath)); n != 1 {
		t.Errorf("%d calls for one send", n)
	}
	if !l.Capabilities().RepeatSafe {
		return
	}
	r, err = l.Send(t.Context(), k.Channel, k.message("msg_1"))
	if err != nil || !r.Duplicate {
		t.Errorf("the second send of a message: got %+v, %v, want a duplicate", r, err)
	}
	l.accepts(t, 1)
}

func sorted(t *testing.T, k Kit) {
	echo := `{"title":"` + Canary + `","message":"to ` + k.to() + `","detail":"` + Canary + `"}`
	answers := slices.Clone(k.Answers)
	for status, kind := range map[int]provider.Kind{
		400: provider.Permanent, 401: provider.Credentials, 403: provider.Credentials, 404: provider.Permanent, 405: provider.Permanent,
		408: provider.Retry, 429: provider.Retry, 500: provider.Retry, 502: provider.Ambiguous, 503: provider.Retry, 504: provider.Ambiguous,
	} {
		if own, different := k.Statuses[status]; different {
			kind = own
		}
		for name, body := range map[string]string{"empty": "", "HTML": "<html>" + Canary, "quoting": echo} {
			answers = append(answers, Answer{Name: fmt.Sprintf("%d, body %s", status, name), Status: status, Body: body, Kind: kind})
		}
	}
	for _, a := range answers {
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			l := connect(t, k, ample, instead(a))
			r, err := l.Send(t.Context(), k.Channel, k.message("msg_1"))
			l.accepts(t, 0)
			if a.Duplicate {
				if err != nil || !r.Duplicate {
					t.Errorf("got %+v, %v, want a duplicate", r, err)
				}
				return
			}
			e := k.mustBe(t, err, a.Kind)
			if a.Code != "" && e.Code != a.Code || a.ProviderCode != "" && e.ProviderCode != a.ProviderCode {
				t.Errorf("got code %q, provider code %q, want %q, %q", e.Code, e.ProviderCode, a.Code, a.ProviderCode)
			}
			if a.RetryAfter != 0 && e.RetryAfter != a.RetryAfter {
				t.Errorf("got a wait of %v, want %v", e.RetryAfter, a.RetryAfter)
			}
			if n := len(l.sends(k.SendPath)); n != 1 {
				t.Errorf("the adapter made %d calls: retrying is not its affair", n)
			}
		})
	}
}

func waits(t *testing.T, k Kit) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		l := connect(t, k, ample, instead(Answer{Status: status, Header: http.Header{"Retry-After": {"17"}}}))
		_, err := l.Send(t.Context(), k.Channel, k.message("msg_1"))
		e := k.mustBe(t, err, provider.Retry)
		if e.Throttled != (status == http.StatusTooManyRequests) {
			t.Errorf("%d: throttled is %v: a slower pace is no outage, and an outage no pace", status, e.Throttled)
		}
		if e.RetryAfter != 17*time.Second {
			t.Errorf("%d: a wait of %v, want 17s", status, e.RetryAfter)
		}
		date := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
		l = connect(t, k, ample, instead(Answer{Status: status, Header: http.Header{"Retry-After": {date}}}))
		_, err = l.Send(t.Context(), k.Channel, k.message("msg_1"))
		if e := k.mustBe(t, err, provider.Retry); e.RetryAfter < 59*time.Minute || e.RetryAfter > time.Hour {
			t.Errorf("%d: a wait of %v until a date in an hour", status, e.RetryAfter)
		}
	}
}

func unreachable(t *testing.T, k Kit) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	plain := connect(t, k, ample, nil)
	server := httptest.NewServer(plain.sim.Handler)
	defer server.Close()
	for name, address := range map[string]string{
		"the connection is refused": "http://" + closed.Addr().String(),
		"there is no TLS":           strings.Replace(server.URL, "http:", "https:", 1),
	} {
		a := k.New(address, ample)
		_, err := a.Send(t.Context(), k.Channel, k.message("msg_1"))
		if e := k.mustBe(t, err, provider.Retry); strings.Contains(e.Error(), "://") {
			t.Errorf("%s: the error quotes the URL", name)
		}
	}
}

func unanswered(t *testing.T, k Kit) {
	for name, c := range map[string]struct {
		accepted int
		fault    fault
	}{
		"the provider is silent and has not got it": {0, func(_ http.ResponseWriter, r *http.Request, _ func(http.ResponseWriter)) { hang(r) }},
		"the provider is silent and has got it": {1, func(_ http.ResponseWriter, r *http.Request, pass func(http.ResponseWriter)) {
			pass(httptest.NewRecorder())
			hang(r)
		}},
		"the connection drops after it got it": {1, func(_ http.ResponseWriter, _ *http.Request, pass func(http.ResponseWriter)) {
			pass(httptest.NewRecorder())
			panic(http.ErrAbortHandler)
		}},
		"the connection is reset in the middle of the answer": {1, func(w http.ResponseWriter, _ *http.Request, pass func(http.ResponseWriter)) {
			pass(httptest.NewRecorder())
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{\"re")
			if tcp, is := conn.(*net.TCPConn); is {
				_ = tcp.SetLinger(0)
			}
			_ = conn.Close()
		}},
		"the answer stops in the middle": {1, func(w http.ResponseWriter, r *http.Request, pass func(http.ResponseWriter)) {
			pass(httptest.NewRecorder())
			w.Header().Set("Content-Length", "90")
			_, _ = io.WriteString(w, `{"re`)
			_ = http.NewResponseController(w).Flush()
			hang(r)
		}},
		"the answer is not HTTP": {1, func(w http.ResponseWriter, _ *http.Request, pass func(http.ResponseWriter)) {
			pass(httptest.NewRecorder())
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, Canary+" to "+k.to()+"\r\n\r\n")
				_ = conn.Close()
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := connect(t, k, brief, c.fault)
			_, err := l.Send(t.Context(), k.Channel, k.message("msg_1"))
			k.mustBe(t, err, provider.Ambiguous)
			l.accepts(t, c.accepted)
			l.repeat(t, k, c.accepted)
		})
	}
}

func unreadable(t *testing.T, k Kit) {
	for name, body := range map[string]string{
		"empty":              "",
		"HTML":               "<html>" + Canary + "</html>",
		"half of it":         `{"`,
		"null":               "null",
		"a list":             "[]",
		"an empty object":    "{}",
		"numbers throughout": `{"requestId":1,"messages":2,"id":[],"ok":"?","result":7,"sid":{}}`,
		"huge":               `{"x":"` + strings.Repeat(Canary, 1<<17) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := connect(t, k, ample, func(w http.ResponseWriter, _ *http.Request, pass func(http.ResponseWriter)) {
				pass(httptest.NewRecorder())
				_, _ = io.WriteString(w, body)
			})
			_, err := l.Send(t.Context(), k.Channel, k.message("msg_1"))
			k.mustBe(t, err, provider.Ambiguous)
			l.repeat(t, k, 1)
		})
	}
}

func unknownFields(t *testing.T, k Kit) {
	l := connect(t, k, ample, func(w http.ResponseWriter, _ *http.Request, pass func(http.ResponseWriter)) {
		r := httptest.NewRecorder()
		pass(r)
		w.WriteHeader(r.Code)
		_, _ = w.Write(extend(r.Body.Bytes()))
	})
	if _, err := l.Send(t.Context(), k.Channel, k.message("msg_1")); err != nil {
		t.Errorf("got %v", err)
	}
}

// extend adds fields that nobody knows to a JSON object, before and after its own.
func extend(object []byte) []byte {
	object = bytes.TrimSpace(object)
	if len(object) < 2 || object[0] != '{' {
		return object
	}
	inner := bytes.TrimSpace(object[1 : len(object)-1])
	if len(inner) > 0 {
		inner = append(slices.Clone(inner), ',')
	}
	return slices.Concat([]byte(`{"aNewField":{"deep":[1,null,{"x":"y"}]},`), inner, []byte(`"zNewField":[true]}`))
}

func givenUp(t *testing.T, k Kit) {
	l := connect(t, k, ample, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.Send(ctx, k.Channel, k.message("msg_1"))
	k.mustBe(t, err, provider.Retry)
	l.accepts(t, 0)
}

func sideBySide(t *testing.T, k Kit) {
	l := connect(t, k, ample, nil)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			if _, err := l.Send(t.Context(), k.Channel, k.message(fmt.Sprintf("msg_%d", i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	l.accepts(t, 40)
}
