package seal

import (
	"context"
	"crypto/hpke"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// The forms of keys as text. A keyset's private keys are separated by commas; the first is the current one, the others
// only open what was sealed before.
const (
	publicForm = "public:" // the key's bytes, base64url
	localForm  = "local:"  // the key's bytes, base64url: for one machine
	kmsForm    = "kms:"    // the key's bytes encrypted by KMS, base64url
)

// PrivateKey opens what was sealed with its public key.
type PrivateKey struct{ key hpke.PrivateKey }

// Generate makes a new key.
func Generate() (PrivateKey, error) {
	k, err := kem().GenerateKey()
	if err != nil {
		return PrivateKey{}, fmt.Errorf("generate key: %w", err)
	}
	return PrivateKey{k}, nil
}

// Derive makes the same key from the same seed, which is at least 32 bytes. It is for keys that are no secret: those of
// one machine and of tests.
func Derive(seed []byte) (PrivateKey, error) {
	k, err := kem().DeriveKeyPair(seed)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("derive key: %w", err)
	}
	return PrivateKey{k}, nil
}

// Public is the public key as text.
func (k PrivateKey) Public() string { return publicForm + encode(k.key.PublicKey().Bytes()) }

// Local is the private key as text, for one machine.
func (k PrivateKey) Local() (string, error) {
	b, err := k.key.Bytes()
	if err != nil {
		return "", fmt.Errorf("write key: %w", err)
	}
	return LocalText(b), nil
}

// LocalText is the bytes of a private key as text, for one machine.
func LocalText(key []byte) string { return localForm + encode(key) }

// Wrap is the private key as text that only KMS can read: encrypt is given the key and the encryption context.
func (k PrivateKey) Wrap(ctx context.Context, g Group, encrypt Transform) (string, error) {
	b, err := k.key.Bytes()
	if err != nil {
		return "", fmt.Errorf("write key: %w", err)
	}
	return WrapText(ctx, g, b, encrypt)
}

// WrapText is the bytes of a private key as text that only KMS can read: encrypt is given them and the encryption context.
func WrapText(ctx context.Context, g Group, key []byte, encrypt Transform) (string, error) {
	wrapped, err := encrypt(ctx, key, encryptionContext(g))
	if err != nil {
		return "", fmt.Errorf("wrap key of %s: %w", g, err)
	}
	return kmsForm + encode(wrapped), nil
}

// Transform encrypts or decrypts a key, with an encryption context that both must name.
type Transform func(ctx context.Context, in []byte, encryptionContext map[string]string) ([]byte, error)

// ContextKey is the name under which KMS's encryption context holds the group; policies name it.
const ContextKey = "group"

func encryptionContext(g Group) map[string]string { return map[string]string{ContextKey: string(g)} }

// ParsePrivate reads the private keys of a keyset, the current one first. Decrypt is asked once for each key that is
// wrapped; it may be nil when none is.
func ParsePrivate(ctx context.Context, g Group, keyset string, decrypt Transform) ([]PrivateKey, error) {
	var keys []PrivateKey
	for text := range strings.SplitSeq(keyset, ",") {
		k, err := parsePrivate(ctx, g, strings.TrimSpace(text), decrypt)
		if err != nil {
			return nil, fmt.Errorf("private key %d of %s: %w", len(keys)+1, g, err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// ReadText gives the bytes of a private key that LocalText or WrapText wrote. Decrypt may be nil when it is not wrapped.
func ReadText(ctx context.Context, g Group, text string, decrypt Transform) ([]byte, error) {
	if local, ok := strings.CutPrefix(text, localForm); ok {
		return decode(local)
	}
	wrapped, ok := strings.CutPrefix(text, kmsForm)
	if !ok || decrypt == nil {
		return nil, errForm
	}
	b, err := decode(wrapped)
	if err != nil {
		return nil, err
	}
	return decrypt(ctx, b, encryptionContext(g))
}

func parsePrivate(ctx context.Context, g Group, text string, decrypt Transform) (PrivateKey, error) {
	b, err := ReadText(ctx, g, text, decrypt)
	if err != nil {
		return PrivateKey{}, err
	}
	k, err := kem().NewPrivateKey(b)
	if err != nil {
		return PrivateKey{}, errForm
	}
	return PrivateKey{k}, nil
}

// errForm says nothing of the text: it may hold a key.
var errForm = errors.New("it has not the form of a key")

func parsePublic(text string) (hpke.PublicKey, error) {
	text, ok := strings.CutPrefix(strings.TrimSpace(text), publicForm)
	if !ok {
		return nil, errForm
	}
	b, err := decode(text)
	if err != nil {
		return nil, err
	}
	k, err := kem().NewPublicKey(b)
	if err != nil {
		return nil, errForm
	}
	return k, nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func decode(s string) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, errForm
	}
	return b, nil
}

// String keeps keys out of errors and debug output.
func (PrivateKey) String() string { return "[key]" }

// GoString keeps keys out of %#v.
func (PrivateKey) GoString() string { return "[key]" }

// LogValue keeps keys out of logs.
func (PrivateKey) LogValue() slog.Value { return slog.StringValue("[key]") }
