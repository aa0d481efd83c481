package providertest

import (
	"bytes"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
)

// parse reads a callback by an adapter that can reach nobody: reading one needs no call.
func parse(t *testing.T, k Kit, r *provider.Request) ([]provider.Event, error) {
	t.Helper()
	return k.New("http://127.0.0.1:1", brief).ParseCallback(t.Context(), k.Channel, r)
}

func one(t *testing.T, k Kit, r *provider.Request) provider.Event {
	t.Helper()
	events, err := parse(t, k, r)
	if err != nil || len(events) != 1 {
		t.Fatalf("got %d events, %v, want one", len(events), err)
	}
	if (events[0].Status == nil) == (events[0].Reply == nil) {
		t.Fatal("want exactly one of status and reply")
	}
	return events[0]
}

func statuses(t *testing.T, k Kit) {
	for _, status := range k.New("http://127.0.0.1:1", brief).Capabilities().Statuses {
		r := k.Status("msg_1", status)
		e := one(t, k, r)
		if e.Status == nil || e.Status.Status != status || e.Status.MessageID != "msg_1" && e.Status.ProviderMessageID == "" {
			t.Errorf("%s: got %+v", status, e.Status)
			continue
		}
		if e.Status.At.IsZero() != k.Timeless {
			t.Errorf("%s: the time is %v", status, e.Status.At)
		}
		if failed := status == "failed"; failed != (e.Status.Code != "") || failed != (e.Status.Fault != "") {
			t.Errorf("%s: code %q, fault %q", status, e.Status.Code, e.Status.Fault)
		}
		r = k.with(r, extend(r.Body))
		if again := one(t, k, r); !reflect.DeepEqual(again, e) {
			t.Errorf("%s with unknown fields: got %+v", status, again.Status)
		}
	}
}

func replies(t *testing.T, k Kit) {
	for name, s := range Texts(0) {
		r := k.Reply("77", k.to(), s)
		e := one(t, k, r)
		if e.Reply == nil || e.Reply.From != k.to() || e.Reply.ID == "" || e.Reply.Content.Type != content.TypeText || e.Reply.Content.Text != s {
			t.Errorf("%s: not read as it was written", name)
			continue
		}
		if !bytes.Contains(r.Body, e.Reply.Raw) || len(e.Reply.Raw) == 0 {
			t.Errorf("%s: Raw is not a part of the body", name)
		}
	}
	first, second := one(t, k, k.Reply("77", k.to(), "a")), one(t, k, k.Reply("78", k.to(), "a"))
	if first.Reply.ID == second.Reply.ID {
		t.Error("two replies have one id")
	}
}

func anyOrder(t *testing.T, k Kit) {
	a := k.New("http://127.0.0.1:1", brief)
	x, y := one(t, k, k.Reply("77", k.to(), "a")), one(t, k, k.Reply("77", k.to(), "a"))
	if !reflect.DeepEqual(x, y) {
		t.Error("a repeated reply is read differently")
	}
	if !k.reports() {
		return
	}
	var first []provider.Event
	order := slices.Clone(a.Capabilities().Statuses)
	slices.Reverse(order)
	for _, status := range slices.Concat(order, order) {
		events, err := a.ParseCallback(t.Context(), k.Channel, k.Status("msg_1", status))
		if err != nil || len(events) != 1 || events[0].Status.Status != status {
			t.Fatalf("%s: got %d events, %v: an adapter remembers nothing between callbacks", status, len(events), err)
		}
		first = append(first, events...)
	}
	if !reflect.DeepEqual(first[0], first[len(order)]) {
		t.Error("a repeated callback is read differently")
	}
}

func unproven(t *testing.T, k Kit) {
	spoil := map[string]func(*provider.Request){"without headers": func(r *provider.Request) { r.Header = http.Header{} }}
	for name, f := range k.Unproven {
		spoil[name] = f
	}
	for name, f := range spoil {
		for _, r := range k.proven() {
			f(r)
			events, err := parse(t, k, r)
			if !errors.Is(err, provider.ErrProof) || events != nil {
				t.Errorf("%s: got %d events, %v, want ErrProof", name, len(events), err)
			}
		}
	}
}

// proven are callbacks with proof: of every kind, and one that can't be read.
func (k Kit) proven() []*provider.Request {
	broken := k.with(k.callback(), []byte("{"))
	out := []*provider.Request{k.Reply("77", k.to(), Canary), broken}
	if k.reports() {
		out = append(out, k.Status("msg_1", "failed"))
	}
	return out
}

func ignored(t *testing.T, k Kit) {
	for name, r := range k.Ignored {
		if events, err := parse(t, k, r); err != nil || len(events) != 0 {
			t.Errorf("%s: got %d events, %v", name, len(events), err)
		}
	}
}

func malformed(t *testing.T, k Kit) {
	for name, body := range map[string]string{
		"empty": "", "half": `{"requestId":"` + Canary, "invalid UTF-8": "{\"x\":\"\xff" + Canary + "\"}", "too large": `{"x":"` + strings.Repeat("x", 1<<20) + `"}`,
		"two documents": "{}{}", "a string": `"` + Canary + `"`, "a number": "7", "nothing but blanks": "  \n", "too deep": strings.Repeat("[", 100_000),
	} {
		r := k.with(k.callback(), []byte(body))
		events, err := parse(t, k, r)
		// A provider whose proof covers the body turns a changed one away before it reads it.
		if !errors.Is(err, provider.ErrMalformed) && !errors.Is(err, provider.ErrProof) || events != nil {
			t.Errorf("%s: got %d events, %v, want ErrMalformed", name, len(events), err)
		}
		if err != nil {
			k.quiet(t, err.Error())
		}
	}
}
