package idempotency

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/api"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/telemetry"
)

// fixture is a route that creates numbered things, behind the middleware.
type fixture struct {
	http    http.Handler
	now     atomic.Pointer[time.Time]
	created atomic.Int64
	// answer is what the route answers; its status is 201 when it is nil.
	answer func(w http.ResponseWriter, r *http.Request, n int64)
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	env := awstest.New(t)
	name := env.Table(t.Context(), &dynamodb.CreateTableInput{
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: "S"}, {AttributeName: aws.String("sk"), AttributeType: "S"}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: "HASH"}, {AttributeName: aws.String("sk"), KeyType: "RANGE"}},
	})
	f := &fixture{}
	f.advance(0)
	clock := func() time.Time { return *f.now.Load() }
	m := &Middleware{Keys: &Store{DB: env.DynamoDB, Table: name, Now: clock}, Timeout: 10 * time.Second}
	create := func(w http.ResponseWriter, r *http.Request) {
		n := f.created.Add(1)
		if f.answer != nil {
			f.answer(w, r, n)
			return
		}
		b, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}
		w.Header().Set("Location", fmt.Sprint("/things/", n))
		api.WriteJSON(w, http.StatusCreated, map[string]any{"n": n, "got": string(b)})
	}
	f.http = api.New(api.Config{Log: telemetry.NewLogger(io.Discard, "INFO"), Now: clock}, []api.Route{
		{Method: "POST", Path: "/v1/things", Handle: m.Wrap(create)}, {Method: "POST", Path: "/v1/others", Handle: m.Wrap(create)},
	})
	return f
}

func (f *fixture) advance(d time.Duration) {
	at := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	if p := f.now.Load(); p != nil {
		at = p.Add(d)
	}
	f.now.Store(&at)
}

func (f *fixture) post(account, path, key, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.Header.Set(Header, key)
	}
	w := httptest.NewRecorder()
	f.http.ServeHTTP(w, r.WithContext(api.WithCall(context.Background(), api.Call{RequestID: "r", Principal: &api.Principal{UserID: "u", AccountID: account}})))
	return w
}

func code(t *testing.T, w *httptest.ResponseRecorder) api.Code {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return p.Code
}

func TestAKeptAnswerComesAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := f.post("a", "/v1/things", "k", `{"x":1,"y":2}`)
	f.advance(time.Minute)
	again := f.post("a", "/v1/things", `"k"`, `{ "y": 2, "x": 1 }`)
	if again.Code != 201 || again.Body.String() != first.Body.String() || again.Header().Get("Location") != "/things/1" || again.Header().Get("Content-Type") != "application/json" || again.Header().Get(ReplayedHeader) != "true" || first.Header().Get(ReplayedHeader) != "" {
		t.Errorf("got %d %v %s, want %s", again.Code, again.Header(), again.Body, first.Body)
	}
	if w := f.post("a", "/v1/things", "k", `{"x":2}`); w.Code != 422 || code(t, w) != api.CodeKeyReused {
		t.Errorf("another payload: got %d %s", w.Code, w.Body)
	}
	for name, w := range map[string]*httptest.ResponseRecorder{
		"another account": f.post("b", "/v1/things", "k", `{}`), "an operator": f.post("", "/v1/things", "k", `{}`), "another path": f.post("a", "/v1/others", "k", `{}`), "no key": f.post("a", "/v1/things", "", `{}`),
	} {
		if w.Code != 201 || w.Header().Get(ReplayedHeader) != "" {
			t.Errorf("%s: got %d", name, w.Code)
		}
	}
	f.advance(Kept)
	if w := f.post("a", "/v1/things", "k", `{"x":2}`); w.Code != 201 || w.Header().Get(ReplayedHeader) != "" {
		t.Errorf("a day later: got %d %s", w.Code, w.Body)
	}
}

func TestAfterAnyOtherAnswerTheKeyRunsAgain(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request, int64){
		"a problem": func(w http.ResponseWriter, r *http.Request, _ int64) {
			api.WriteError(w, r, api.NewProblem(api.CodeSenderUnavailable))
		},
		"an error":   func(w http.ResponseWriter, r *http.Request, _ int64) { api.WriteError(w, r, errors.New("down")) },
		"a panic":    func(http.ResponseWriter, *http.Request, int64) { panic("x") },
		"a redirect": func(w http.ResponseWriter, _ *http.Request, _ int64) { w.WriteHeader(http.StatusSeeOther) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.answer = answer
			if w := f.post("a", "/v1/things", "k", `{}`); w.Code/100 == 2 {
				t.Fatalf("got %d", w.Code)
			}
			f.answer = nil
			if w := f.post("a", "/v1/things", "k", `{}`); w.Code != 201 || w.Header().Get(ReplayedHeader) != "" {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		})
	}
}

func TestAKeyInUseIsAnsweredSoUntilItsTimeIsOver(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answer = func(w http.ResponseWriter, _ *http.Request, n int64) {
		if n > 1 {
			w.WriteHeader(http.StatusCreated)
			return
		}
		if inner := f.post("a", "/v1/things", "k", `{}`); inner.Code != 409 || code(t, inner) != api.CodeKeyInUse || inner.Header().Get("Retry-After") != "1" {
			t.Errorf("meanwhile: got %d %s", inner.Code, inner.Body)
		}
		f.advance(10 * time.Second)
		if inner := f.post("a", "/v1/things", "k", `{}`); inner.Code != 201 {
			t.Errorf("after its time: got %d %s", inner.Code, inner.Body)
		}
		w.WriteHeader(http.StatusCreated) // too late to be kept, and answered all the same
	}
	if w := f.post("a", "/v1/things", "k", `{}`); w.Code != 201 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := f.post("a", "/v1/things", "k", `{}`); w.Code != 201 || w.Header().Get(ReplayedHeader) != "true" || f.created.Load() != 2 {
		t.Errorf("got %d after %d", w.Code, f.created.Load())
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"abc": "abc", `"abc"`: "abc", `"a\"b"`: `a"b`, " abc ": "abc", "a, b": "a, b", strings.Repeat("k", 255): strings.Repeat("k", 255),
		"": "", `""`: "", `"abc`: "", `"abc"x`: "", "a\tb": "", "ключ": "", strings.Repeat("k", 256): "",
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/things", nil)
		r.Header.Set(Header, value)
		k, ok, err := KeyFrom(r)
		if k.Value != want || (err != nil) != (want == "") || ok != (want != "") {
			t.Errorf("%q: got %q %t %v, want %q", value, k.Value, ok, err, want)
		}
	}
}
