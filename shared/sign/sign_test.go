package sign_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"contactcenter/shared/sign"
	"contactcenter/shared/sign/signtest"
)

const typ = "x-test+jws"

func signed(t *testing.T, k sign.Key, payload string) string {
	t.Helper()
	jws, err := k.Sign(typ, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return jws
}

// what is signed is verified with its key, byte for byte what it was.
func TestWhatIsSignedIsReadAsItWas(t *testing.T) {
	t.Parallel()
	payload := "{\"a\": \"\\u00e4\u00e4\",\n \"b\":1}"
	jws := signed(t, signtest.Key("a"), payload)
	d, err := signtest.Keys("b", "a").VerifyType(typ, jws)
	if err != nil || string(d.Payload) != payload || d.Type != typ || d.KeyID != signtest.Key("a").Public().ID() {
		t.Errorf("got %+v, %v", d, err)
	}
	if again := signed(t, signtest.Key("a"), payload); again != jws {
		t.Error("the same payload is signed in another way the second time")
	}
}

// whichever byte changes, and to whatever, the document does not verify any more.
func TestNoByteOfADocumentCanChange(t *testing.T) {
	t.Parallel()
	jws, keys := signed(t, signtest.Key("a"), `{"status":"delivered"}`), signtest.Keys("a")
	for i := range jws {
		for _, c := range []byte{jws[i] ^ 1, jws[i] ^ 32, 'A', '.', '=', '\n', 0} {
			if c == jws[i] {
				continue
			}
			if _, err := keys.Verify(jws[:i] + string(rune(c)) + jws[i+1:]); err == nil {
				t.Errorf("it verifies with %q at %d", c, i)
			}
		}
		if _, err := keys.Verify(jws[:i] + jws[i+1:]); err == nil {
			t.Errorf("it verifies without its byte %d", i)
		}
		if _, err := keys.Verify(jws[:i] + "\n" + jws[i:]); err == nil {
			t.Errorf("it verifies with a line break at %d", i)
		}
	}
	if _, err := keys.Verify(jws + "\r\n"); err == nil {
		t.Error("it verifies with a line break at its end")
	}
}

func TestWhatIsNoneOfOursIsRefused(t *testing.T) {
	t.Parallel()
	a, b := signtest.Key("a"), signtest.Key("b")
	ours := signed(t, a, "{}")
	_, rest, _ := strings.Cut(ours, ".")
	with := func(header string) string { return b64([]byte(header)) + "." + rest }
	kid := a.Public().ID()
	cases := map[string]struct {
		jws  string
		keys sign.Keys
		want error
	}{
		"another key":                       {signed(t, b, "{}"), signtest.Keys("a"), sign.ErrKey},
		"the id of another key":             {strings.Replace(ours, ours[:strings.Index(ours, ".")], signed(t, b, "{}")[:strings.Index(ours, ".")], 1), signtest.Keys("a", "b"), sign.ErrSignature},
		"another type":                      {with(`{"alg":"EdDSA","kid":"` + kid + `","typ":"y"}`), signtest.Keys("a"), sign.ErrSignature},
		"no algorithm":                      {with(`{"alg":"none","kid":"` + kid + `","typ":"x"}`), signtest.Keys("a"), sign.ErrForm},
		"a key that it brings along":        {with(`{"alg":"EdDSA","kid":"` + kid + `","typ":"x","jwk":{}}`), signtest.Keys("a"), sign.ErrForm},
		"a header with something behind it": {with(`{"alg":"EdDSA","kid":"` + kid + `","typ":"x"}{}`), signtest.Keys("a"), sign.ErrForm},
		"no keys":                           {ours, nil, sign.ErrKey},
		"nothing":                           {"", signtest.Keys("a"), sign.ErrForm},
		"two parts":                         {"e30.e30", signtest.Keys("a"), sign.ErrForm},
	}
	for name, c := range cases {
		if d, err := c.keys.Verify(c.jws); !errors.Is(err, c.want) || d.Payload != nil {
			t.Errorf("%s: %+v, %v, want %v", name, d, err, c.want)
		}
	}
	if _, err := signtest.Keys("a").VerifyType("y", ours); !errors.Is(err, sign.ErrType) {
		t.Errorf("another type gives %v", err)
	}
}

// RFC 8037, appendix A.3: the thumbprint of the standard's own key.
func TestAKeysIDIsItsThumbprint(t *testing.T) {
	t.Parallel()
	seed, err := base64.RawURLEncoding.DecodeString("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
	if err != nil {
		t.Fatal(err)
	}
	k, err := sign.FromSeed(seed)
	if err != nil {
		t.Fatal(err)
	}
	if got := k.Public().ID(); got != "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" {
		t.Errorf("got %s", got)
	}
	if got := (sign.Keys{k.Public()}).JWKs()[0].X; got != "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" {
		t.Errorf("the public key is %s", got)
	}
}

// a library that knows nothing of us verifies what we sign, with the keys as they are published.
func TestALibraryVerifiesWhatIsSigned(t *testing.T) {
	t.Parallel()
	jws := signed(t, signtest.Key("a"), `{"sub":"somebody"}`)
	parsed, err := jwt.Parse(jws, func(token *jwt.Token) (any, error) {
		for _, j := range signtest.Keys("b", "a").JWKs() {
			if j.KeyID == token.Header["kid"] {
				b, err := base64.RawURLEncoding.DecodeString(j.X)
				return ed25519.PublicKey(b), err
			}
		}
		return nil, errors.New("no such key")
	}, jwt.WithValidMethods([]string{"EdDSA"}))
	if err != nil || !parsed.Valid {
		t.Error(err)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"sub": "x"})
	token.Header["kid"], token.Header["typ"] = signtest.Key("a").Public().ID(), typ
	seed, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(signtest.Key("a").Local(), "local:"))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := token.SignedString(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		t.Fatal(err)
	}
	if d, err := signtest.Keys("a").VerifyType(typ, theirs); err != nil || string(d.Payload) != `{"sub":"x"}` {
		t.Errorf("what it signs: %s, %v", d.Payload, err)
	}
}

func TestKeysAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	a, b := signtest.Key("a"), signtest.Key("b")
	keys, err := sign.ParsePublics(a.Public().Text() + ", " + b.Public().Text())
	if err != nil || len(keys) != 2 || keys[0].ID() != a.Public().ID() || keys[1].ID() != b.Public().ID() {
		t.Errorf("public keys: %v, %v", keys, err)
	}
	set, err := json.Marshal(map[string]any{"keys": append(keys.JWKs(), sign.JWK{KeyType: "EC", Curve: "P-256"})})
	if err != nil {
		t.Fatal(err)
	}
	if read, err := sign.ParseJWKS(set); err != nil || len(read) != 2 || read[1].ID() != b.Public().ID() {
		t.Errorf("the set: %v, %v", read, err)
	}
	same := func(_ context.Context, in []byte, c map[string]string) ([]byte, error) {
		if c["group"] != "evidence" {
			return nil, errors.New("access denied")
		}
		return in, nil
	}
	wrapped, err := a.Wrap(t.Context(), same)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{a.Local(), wrapped} {
		if k, err := sign.ParsePrivate(t.Context(), text, same); err != nil || k.Public().ID() != a.Public().ID() {
			t.Errorf("the private key: %v", err)
		}
	}
	if got := fmt.Sprintf("%v %+v %#v %s", a, a, a, a); got != "[key] [key] [key] [key]" {
		t.Errorf("a private key shows itself as %s", got)
	}
	if k, err := sign.Generate(rand.Reader); err != nil || k.Public().ID() == a.Public().ID() {
		t.Errorf("a new key: %v", err)
	}
}

func TestWhatIsNoKeyIsRefusedAndNotTold(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "public:", "public:AAAA", "local:AAAA", "kms:AAAA", "canary", "public:" + strings.Repeat("A", 42) + "B"} {
		if _, err := sign.ParsePublics(text); !errors.Is(err, sign.ErrKeyForm) {
			t.Errorf("%q as public key: %v", text, err)
		}
		if _, err := sign.ParsePrivate(t.Context(), text, nil); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q as private key: %v", text, err)
		}
	}
	x := signtest.Keys("a").JWKs()[0]
	x.KeyID = signtest.Key("b").Public().ID()
	for _, set := range []any{map[string]any{}, []int{}, map[string]any{"keys": []sign.JWK{x}}} {
		b, err := json.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		if keys, err := sign.ParseJWKS(b); err == nil {
			t.Errorf("%s gives %v", b, keys)
		}
	}
	if _, err := sign.KeysFrom(func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), sign.PublicVariable) {
		t.Errorf("without keys: %v", err)
	}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
