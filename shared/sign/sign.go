// Package sign knows how documents are signed that others keep and check by themselves: as compact JWS (RFC 7515) with EdDSA
// over Ed25519 (RFC 8037), under keys that are published as a JWK set (RFC 7517). It does not know what they say.
package sign

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// algorithm is EdDSA of RFC 8037; the keys are of the one curve Ed25519.
const algorithm = "EdDSA"

var (
	// ErrForm: it is no compact JWS of ours.
	ErrForm = errors.New("it has not the form of a signed document")
	// ErrKey: it is signed with a key that is not among those given.
	ErrKey = errors.New("it is signed with a key that is not among the keys given")
	// ErrSignature: the signature does not belong to the document and the key that it names.
	ErrSignature = errors.New("the signature does not fit the document")
	// ErrType: it is a signed document of another type.
	ErrType = errors.New("it is a signed document of another type")
	// ErrKeyForm says nothing of the text: it may hold a private key.
	ErrKeyForm = errors.New("it has not the form of a key for signing")
)

// header is a JWS's protected header: these three members and no others. A header that says more (crit, jwk, b64) asks for
// something that nobody here does, and is refused.
type header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`
}

// Key is a private key that signs.
type Key struct{ private ed25519.PrivateKey }

// Generate makes a new key.
func Generate(random io.Reader) (Key, error) {
	_, private, err := ed25519.GenerateKey(random)
	if err != nil {
		return Key{}, fmt.Errorf("generate key: %w", err)
	}
	return Key{private}, nil
}

// FromSeed makes the key of a seed of 32 bytes, which is RFC 8037's private key.
func FromSeed(seed []byte) (Key, error) {
	if len(seed) != ed25519.SeedSize {
		return Key{}, ErrKeyForm
	}
	return Key{ed25519.NewKeyFromSeed(seed)}, nil
}

// Public is the public key.
func (k Key) Public() Public { return Public{k.private.Public().(ed25519.PublicKey)} }

// Sign gives a compact JWS over exactly the bytes of a payload. Typ says what it is (RFC 7515, 4.1.9), so that a document of one
// type is never taken for one of another. The same payload gives the same signature.
func (k Key) Sign(typ string, payload []byte) (string, error) {
	h, err := json.Marshal(header{Algorithm: algorithm, KeyID: k.Public().ID(), Type: typ})
	if err != nil {
		return "", fmt.Errorf("write header: %w", err)
	}
	signed := encode(h) + "." + encode(payload)
	return signed + "." + encode(ed25519.Sign(k.private, []byte(signed))), nil
}

// String keeps keys out of errors and debug output.
func (Key) String() string { return "[key]" }

// GoString keeps keys out of %#v.
func (Key) GoString() string { return "[key]" }

// LogValue keeps keys out of logs.
func (Key) LogValue() slog.Value { return slog.StringValue("[key]") }

// Public is a key that verifies.
type Public struct{ key ed25519.PublicKey }

// ID is the key's thumbprint (RFC 7638, SHA-256).
func (p Public) ID() string {
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + encode(p.key) + `"}`))
	return encode(sum[:])
}

// Keys are the public keys by which documents are verified, the one that signs at present first.
type Keys []Public

// Document is a signed document whose signature was verified.
type Document struct {
	// Type and KeyID are the header's.
	Type, KeyID string
	// Payload is exactly what was signed.
	Payload []byte
}

// Verify checks a compact JWS and gives what it says. It returns ErrForm, ErrKey or ErrSignature. Nothing of a document may be believed
// before, and Document.Type must be looked at.
func (k Keys) Verify(jws string) (Document, error) {
	parts := strings.Split(jws, ".")
	if len(parts) != 3 {
		return Document{}, ErrForm
	}
	var decoded [3][]byte
	for i, p := range parts {
		b, err := decode(p)
		if err != nil {
			return Document{}, err
		}
		decoded[i] = b
	}
	var h header
	if err := strict(decoded[0], &h); err != nil || h.Algorithm != algorithm || h.Type == "" {
		return Document{}, ErrForm
	}
	for _, p := range k {
		if p.ID() != h.KeyID {
			continue
		}
		if !ed25519.Verify(p.key, []byte(parts[0]+"."+parts[1]), decoded[2]) {
			return Document{}, ErrSignature
		}
		return Document{Type: h.Type, KeyID: h.KeyID, Payload: decoded[1]}, nil
	}
	return Document{}, ErrKey
}

// VerifyType is Verify for a document of one type. It also returns ErrType.
func (k Keys) VerifyType(typ, jws string) (Document, error) {
	d, err := k.Verify(jws)
	if err == nil && d.Type != typ {
		return Document{}, ErrType
	}
	return d, err
}

// Hash is the SHA-256 of a compact JWS, as it is written, in 64 lower-case hexadecimal digits.
func Hash(jws string) string {
	sum := sha256.Sum256([]byte(jws))
	return hex.EncodeToString(sum[:])
}

// strict reads one JSON value without members that v does not have.
func strict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return ErrForm
	}
	return nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// decode takes one text for each value only: neither line breaks, which the library passes over, nor bits behind the last byte.
func decode(s string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return nil, ErrForm
	}
	return b, nil
}
