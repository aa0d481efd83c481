package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"contactcenter/shared/evidence"
	"contactcenter/shared/sign"
	"contactcenter/shared/sign/signtest"
)

// signed is a bundle of two parts.
func signed(t *testing.T) (first, last string) {
	t.Helper()
	at := evidence.At(time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC))
	p := evidence.Part{BundleID: "evb_1", Part: 1, AccountID: "acct_1", RecipientID: "rcp_1", GeneratedAt: at, Recipient: &evidence.Recipient{Addresses: []string{"x"}}}
	first, err := p.Sign(signtest.Key("a"))
	if err != nil {
		t.Fatal(err)
	}
	p.Part, p.Last, p.Totals, p.PreviousSHA256, p.Recipient = 2, true, &evidence.Totals{}, sign.Hash(first), nil
	if last, err = p.Sign(signtest.Key("a")); err != nil {
		t.Fatal(err)
	}
	return first, last
}

func file(t *testing.T, v any) string {
	t.Helper()
	b, ok := v.(string)
	if !ok {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		b = string(text)
	}
	name := filepath.Join(t.TempDir(), "file.json")
	if err := os.WriteFile(name, []byte(b), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func keysFile(t *testing.T, names ...string) string {
	t.Helper()
	return file(t, map[string]any{"keys": signtest.Keys(names...).JWKs()})
}

type answer map[string]any

// whatever form the parts are kept in, the program says what it checked.
func TestItVerifiesABundleInEachForm(t *testing.T) {
	t.Parallel()
	first, last := signed(t)
	keys := keysFile(t, "new", "a")
	one, two := answer{"jws": first, "sha256": sign.Hash(first)}, answer{"jws": last, "sha256": sign.Hash(last)}
	for name, args := range map[string][]string{
		"answers":               {"-keys", keys, file(t, one), file(t, two)},
		"in another order":      {"-keys", keys, file(t, two), file(t, one)},
		"keys behind the files": {file(t, one), file(t, two), "-keys", keys},
		"a list of answers":     {"-keys", keys, file(t, []answer{one, two})},
		"a list of documents":   {"-keys", keys, file(t, []string{first, last})},
		"the documents":         {"-keys", keys, file(t, first+"\n"+last+"\n")},
		"one from the input":    {"-keys", keys, "-", file(t, last)},
	} {
		var out bytes.Buffer
		if err := run(args, strings.NewReader(first), &out); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range []string{"bundle evb_1: verified", "acct_1", "rcp_1", sign.Hash(last), signtest.Key("a").Public().ID(), "none missing"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: it does not say %q: %s", name, want, out.String())
			}
		}
	}
}

//
func TestItRefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	first, last := signed(t)
	keys := keysFile(t, "a")
	cases := map[string]struct {
		args []string
		want error
	}{
		"another key":              {[]string{"-keys", keysFile(t, "b"), file(t, []string{first, last})}, sign.ErrKey},
		"a part is missing":        {[]string{"-keys", keys, file(t, last)}, evidence.ErrIncomplete},
		"the last part is missing": {[]string{"-keys", keys, file(t, first)}, evidence.ErrIncomplete},
		"another byte":             {[]string{"-keys", keys, file(t, []string{first, last[:len(last)-3] + "AAA"})}, sign.ErrSignature},
		"another hash":             {[]string{"-keys", keys, file(t, answer{"jws": first, "sha256": sign.Hash(last)})}, nil},
		"no document":              {[]string{"-keys", keys, file(t, answer{"id": "x"})}, nil},
		"an empty file":            {[]string{"-keys", keys, file(t, "")}, nil},
		"no file":                  {[]string{"-keys", keys}, nil},
		"no keys":                  {[]string{file(t, first)}, nil},
		"a file that is not there": {[]string{"-keys", keys, filepath.Join(t.TempDir(), "x")}, os.ErrNotExist},
		"keys that are none":       {[]string{"-keys", file(t, "{}"), file(t, first)}, sign.ErrKeyForm},
		"an unknown flag":          {[]string{"-trust"}, nil},
	}
	for name, c := range cases {
		var out bytes.Buffer
		err := run(c.args, strings.NewReader(""), &out)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if strings.Contains(out.String(), "verified") {
			t.Errorf("%s: it says %s", name, out.String())
		}
	}
}

//
func TestItVerifiesCertificates(t *testing.T) {
	t.Parallel()
	at := evidence.At(time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC))
	erasure, err := evidence.Erasure{AccountID: "acct_1", ErasureID: "ers_1", RequestedAt: at, CompletedAt: at, Erased: evidence.ErasureCounts{Messages: 3}}.Sign(signtest.Key("a"))
	if err != nil {
		t.Fatal(err)
	}
	closure, err := evidence.Closure{AccountID: "acct_2", PurgedAt: at, Purged: evidence.ClosureCounts{Channels: 2}}.Sign(signtest.Key("a"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := run([]string{"-keys", keysFile(t, "a"), file(t, []answer{{"id": "ers_1", "certificate": erasure}, {"status": "closed", "certificate": closure}})}, nil, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"erasure ers_1: verified", "messages 3", "closing of acct_2: verified", "channels 2"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q: %s", want, out.String())
		}
	}
	other, err := signtest.Key("a").Sign("x", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"-keys", keysFile(t, "a"), file(t, other)}, nil, &out); !errors.Is(err, evidence.ErrFormat) {
		t.Errorf("another type: %v", err)
	}
}
