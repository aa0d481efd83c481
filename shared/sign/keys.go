package sign

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"strings"

	"contactcenter/shared/seal"
)

const (
	// Group is under which name KMS knows the private key, as it knows the groups of package seal.
	Group seal.Group = "evidence"
	// PublicVariable is the environment variable with the public keys.
	PublicVariable = "EVIDENCE_SIGN_PUBLIC"
	// PrivateVariable is the one with the private key that signs.
	PrivateVariable = "EVIDENCE_SIGN_PRIVATE"

	publicForm = "public:" // the key's bytes, base64url
)

// Local is the private key as text, for one machine.
func (k Key) Local() string { return seal.LocalText(k.private.Seed()) }

// Wrap is the private key as text that only KMS can read.
func (k Key) Wrap(ctx context.Context, encrypt seal.Transform) (string, error) {
	return seal.WrapText(ctx, Group, k.private.Seed(), encrypt)
}

// ParsePrivate reads a private key. Decrypt is asked once when it is wrapped, and may be nil when it is not.
func ParsePrivate(ctx context.Context, text string, decrypt seal.Transform) (Key, error) {
	b, err := seal.ReadText(ctx, Group, strings.TrimSpace(text), decrypt)
	if err != nil {
		return Key{}, err
	}
	return FromSeed(b)
}

// Text is the public key as text.
func (p Public) Text() string { return publicForm + encode(p.key) }

// ParsePublics reads public keys separated by commas, that of the key which signs first. Those behind it verify what was signed
// before.
func ParsePublics(list string) (Keys, error) {
	var keys Keys
	for text := range strings.SplitSeq(list, ",") {
		text, ok := strings.CutPrefix(strings.TrimSpace(text), publicForm)
		if !ok {
			return nil, ErrKeyForm
		}
		p, err := public(text)
		if err != nil {
			return nil, err
		}
		keys = append(keys, p)
	}
	return keys, nil
}

// KeysFrom reads the public keys of a function's environment.
func KeysFrom(getenv func(string) string) (Keys, error) {
	keys, err := ParsePublics(getenv(PublicVariable))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", PublicVariable, err)
	}
	return keys, nil
}

func public(x string) (Public, error) {
	b, err := decode(x)
	if err != nil || len(b) != ed25519.PublicKeySize {
		return Public{}, ErrKeyForm
	}
	return Public{b}, nil
}

// JWK is a public key as RFC 8037 writes it.
type JWK struct {
	KeyType   string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	KeyID     string `json:"kid"`
	Algorithm string `json:"alg"`
	Use       string `json:"use"`
}

// JWKs are the keys as RFC 8037 writes them, in their order.
func (k Keys) JWKs() []JWK {
	out := make([]JWK, len(k))
	for i, p := range k {
		out[i] = JWK{KeyType: "OKP", Curve: "Ed25519", X: encode(p.key), KeyID: p.ID(), Algorithm: algorithm, Use: "sig"}
	}
	return out
}

// ParseJWKS reads a JWK set. Keys of another kind are passed over, as RFC 7517 asks; a key whose id is not its thumbprint, and a
// set without one key of ours, are refused.
func ParseJWKS(b []byte) (Keys, error) {
	var set struct {
		Keys []JWK `json:"keys"`
	}
	if err := json.Unmarshal(b, &set); err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	var keys Keys
	for _, j := range set.Keys {
		if j.KeyType != "OKP" || j.Curve != "Ed25519" {
			continue
		}
		p, err := public(j.X)
		if err != nil {
			return nil, fmt.Errorf("read keys: %w", err)
		}
		if j.KeyID != "" && j.KeyID != p.ID() {
			return nil, fmt.Errorf("read keys: the key %q has another thumbprint", j.KeyID)
		}
		keys = append(keys, p)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("read keys: %w", ErrKeyForm)
	}
	return keys, nil
}
