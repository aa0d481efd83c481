package seal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
)

//
func TestASealedValueOpensOnlyWhereItBelongs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		group := rapid.SampledFrom(seal.Groups()).Draw(t, "group")
		account, purpose := rapid.String().Draw(t, "account"), rapid.String().Draw(t, "purpose")
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		s, o := sealtest.Pair(group)
		sealed, err := s.Seal(account, purpose, plain)
		if err != nil {
			t.Fatal(err)
		}
		if len(sealed) != len(plain)+seal.Overhead {
			t.Errorf("%d bytes became %d", len(plain), len(sealed))
		}
		if got, err := o.Open(account, purpose, sealed); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("got %v, %v", got, err)
		}
		otherAccount, otherPurpose := rapid.String().Draw(t, "other account"), rapid.String().Draw(t, "other purpose")
		if otherAccount != account || otherPurpose != purpose {
			if got, err := o.Open(otherAccount, otherPurpose, sealed); !errors.Is(err, seal.ErrSealed) || got != nil {
				t.Errorf("elsewhere: got %v, %v", got, err)
			}
		}
		changed := bytes.Clone(sealed)
		changed[rapid.IntRange(0, len(sealed)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
		if got, err := o.Open(account, purpose, changed); !errors.Is(err, seal.ErrSealed) && !errors.Is(err, seal.ErrUnknownKey) || got != nil {
			t.Errorf("changed: got %v, %v", got, err)
		}
	})
}

func TestNoTwoPlacesLookAlike(t *testing.T) {
	t.Parallel()
	s, o := sealtest.Pair(seal.Content)
	sealed, err := s.Seal("ab", "c", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Open("a", "bc", sealed); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("got %v", err)
	}
	twice, err := s.Seal("ab", "c", nil)
	if err != nil || bytes.Equal(twice, sealed) {
		t.Errorf("the same value sealed twice looks the same, %v", err)
	}
}

// who may open content can't open credentials.
func TestAnotherGroupsKeysDoNotOpen(t *testing.T) {
	t.Parallel()
	s, _ := sealtest.Pair(seal.Credentials)
	sealed, err := s.Seal("acct_1", "p", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	_, content := sealtest.Pair(seal.Content)
	if _, err := content.Open("acct_1", "p", sealed); !errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("the content's keys: %v", err)
	}
	// Not even the right key does, under the name of another group.
	misused, err := seal.NewOpener(seal.Content, sealtest.Key(seal.Credentials))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := misused.Open("acct_1", "p", sealed); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("the key under another name: %v", err)
	}
}

func TestWhatWasSealedWithAnOlderKeyOpensAfterARotation(t *testing.T) {
	t.Parallel()
	old, oldOpener := sealtest.Pair(seal.Content)
	next, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	local, err := next.Local()
	if err != nil {
		t.Fatal(err)
	}
	oldLocal, err := sealtest.Key(seal.Content).Local()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.ParsePrivate(t.Context(), seal.Content, local+", "+oldLocal, nil)
	if err != nil {
		t.Fatal(err)
	}
	both, err := seal.NewOpener(seal.Content, keys...)
	if err != nil {
		t.Fatal(err)
	}
	current, err := seal.NewSealer(seal.Content, next.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*seal.Sealer{"before": old, "after": current} {
		sealed, err := s.Seal("acct_1", "p", []byte(name))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := both.Open("acct_1", "p", sealed); err != nil || string(got) != name {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
		if _, err := oldOpener.Open("acct_1", "p", sealed); name == "after" && !errors.Is(err, seal.ErrUnknownKey) {
			t.Errorf("a function that has the new key not yet: %v", err)
		}
	}
}

func TestTextsThatAreNoKeysAreRefusedAndNotRepeated(t *testing.T) {
	t.Parallel()
	local, err := sealtest.Key(seal.Content).Local()
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.TrimPrefix(local, "local:")
	refuses := func(_ context.Context, _ []byte, _ map[string]string) ([]byte, error) {
		return nil, errors.New("access denied")
	}
	for _, text := range []string{"", "none", secret, "local:", "local:x" + secret, "local:" + secret[:10], "kms:" + secret, local + ",", "public:" + secret} {
		_, err := seal.ParsePrivate(t.Context(), seal.Content, text, refuses)
		if err == nil || strings.Contains(err.Error(), secret[:10]) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"", "none", local, "public:", "public:" + secret[:10], sealtest.Key(seal.Content).Public() + "A"} {
		if _, err := seal.NewSealer(seal.Content, text); err == nil || strings.Contains(err.Error(), secret[:10]) {
			t.Errorf("public %q: %v", text, err)
		}
	}
	if _, err := seal.NewOpener(seal.Content, sealtest.Key(seal.Content), sealtest.Key(seal.Content)); err == nil {
		t.Error("one key was taken twice")
	}
	if _, err := seal.NewOpener(seal.Content); err == nil {
		t.Error("an opener was made of no keys")
	}
	_, opener := sealtest.Pair(seal.Content)
	if s := fmt.Sprintf("%v %+v %#v %v %#v", opener, opener, opener, sealtest.Key(seal.Content), sealtest.Key(seal.Content)); s != "[keys] [keys] [keys] [key] [key]" {
		t.Errorf("they print as %s", s)
	}
}

func FuzzOpen(f *testing.F) {
	s, o := sealtest.Pair(seal.Content)
	good, err := s.Seal("acct_1", "p", []byte("the one value"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:seal.Overhead])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		// Each process that fuzzes has another good value; none opens to anything else.
		got, err := o.Open("acct_1", "p", b)
		if err == nil && string(got) != "the one value" {
			t.Fatalf("it opened to %q", got)
		}
		if err != nil && (got != nil || !errors.Is(err, seal.ErrSealed) && !errors.Is(err, seal.ErrUnknownKey)) {
			t.Fatalf("got %q, %v", got, err)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	s, _ := sealtest.Pair(seal.Content)
	plain := make([]byte, 100)
	for b.Loop() {
		if _, err := s.Seal("acct_1", "p", plain); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	s, o := sealtest.Pair(seal.Content)
	sealed, err := s.Seal("acct_1", "p", make([]byte, 100))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := o.Open("acct_1", "p", sealed); err != nil {
			b.Fatal(err)
		}
	}
}
