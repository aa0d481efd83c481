// Package seal knows how content, addresses, credentials and complaints are kept so that the store that holds them, and
// whoever reads the store, learns nothing. Sealing takes a public key; opening takes the private one, which only a few
// functions can get: see package openers.
//
// A sealed value opens only for the account and the purpose that it was sealed for: one that was moved to another
// account's item, or to another place, does not open there.
package seal

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
)

// Group is a group of purposes that share a keyset: who may open one of them may open all of them.
type Group string

// The groups.
const (
	// Content is what messages say, whom they are for, and what an account keeps of its recipients.
	Content Group = "content"
	// Credentials are those of accounts with Communication Providers.
	Credentials Group = "credentials"
	// Complaints are what third parties wrote to the operator.
	Complaints Group = "complaints"
	// Webhooks are the secrets that sign what is sent to accounts' webhook endpoints.
	Webhooks Group = "webhooks"
)

// Groups lists the groups.
func Groups() []Group { return []Group{Content, Credentials, Complaints, Webhooks} }

// ErrSealed: the value does not open here. It is damaged, or it was sealed for another account, purpose or group.
var ErrSealed = errors.New("sealed value does not open here")

// ErrUnknownKey: the value was sealed with a key that the keyset does not hold, or not yet.
var ErrUnknownKey = errors.New("sealed value is of a key that is not in the keyset")

// The form of a sealed value: a version byte, the first bytes of the public key's SHA-256, then what HPKE gives: the
// encapsulated key, and the ciphertext with its tag.
const (
	version  = 1
	idBytes  = 4
	keyBytes = 32 // of X25519: private, public and encapsulated keys alike
	tagBytes = 16

	// Overhead is by how many bytes a sealed value is longer than what it holds.
	Overhead = 1 + idBytes + keyBytes + tagBytes
)

func kem() hpke.KEM   { return hpke.DHKEM(ecdh.X25519()) }
func kdf() hpke.KDF   { return hpke.HKDFSHA256() }
func aead() hpke.AEAD { return hpke.AES256GCM() }

type keyID [idBytes]byte

func idOf(k hpke.PublicKey) keyID {
	sum := sha256.Sum256(k.Bytes())
	return keyID(sum[:idBytes])
}

// info binds a value to where it belongs. Each part is preceded by its length, so that no two places look alike.
func info(g Group, account, purpose string) []byte {
	b := []byte("contact-center/seal")
	for _, part := range []string{string(g), account, purpose} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	return b
}

// Sealer seals values of one group. It is safe for concurrent use.
type Sealer struct {
	group Group
	key   hpke.PublicKey
	id    keyID
}

// NewSealer takes the public key of the group's keyset, as PrivateKey.Public gives it.
func NewSealer(g Group, public string) (*Sealer, error) {
	key, err := parsePublic(public)
	if err != nil {
		return nil, fmt.Errorf("public key of %s: %w", g, err)
	}
	return &Sealer{group: g, key: key, id: idOf(key)}, nil
}

// Seal seals a value for an account and a purpose. The same value sealed twice gives two different results.
func (s *Sealer) Seal(account, purpose string, plain []byte) ([]byte, error) {
	sealed, err := hpke.Seal(s.key, kdf(), aead(), info(s.group, account, purpose), plain)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	out := make([]byte, 0, len(plain)+Overhead)
	out = append(out, version)
	out = append(out, s.id[:]...)
	return append(out, sealed...), nil
}

// Opener opens values of one group. It is safe for concurrent use.
type Opener struct {
	group Group
	keys  map[keyID]hpke.PrivateKey
}

// NewOpener takes the private keys of a group's keyset.
func NewOpener(g Group, keys ...PrivateKey) (*Opener, error) {
	if len(keys) == 0 {
		return nil, fmt.Errorf("private keys of %s: there is none", g)
	}
	o := &Opener{group: g, keys: make(map[keyID]hpke.PrivateKey, len(keys))}
	for _, k := range keys {
		id := idOf(k.key.PublicKey())
		if _, twice := o.keys[id]; twice {
			return nil, fmt.Errorf("private keys of %s: two of them have the same id", g)
		}
		o.keys[id] = k.key
	}
	return o, nil
}

// Open gives what was sealed for the account and the purpose. It returns ErrUnknownKey, or ErrSealed.
func (o *Opener) Open(account, purpose string, sealed []byte) ([]byte, error) {
	if len(sealed) < Overhead || sealed[0] != version {
		return nil, ErrSealed
	}
	key, ok := o.keys[keyID(sealed[1:1+idBytes])]
	if !ok {
		return nil, ErrUnknownKey
	}
	plain, err := hpke.Open(key, kdf(), aead(), info(o.group, account, purpose), sealed[1+idBytes:])
	if err != nil {
		return nil, ErrSealed // the cause says no more than that
	}
	return plain, nil
}

// String keeps keys out of errors and debug output.
func (*Opener) String() string { return "[keys]" }

// GoString keeps keys out of %#v.
func (*Opener) GoString() string { return "[keys]" }

// LogValue keeps keys out of logs.
func (*Opener) LogValue() slog.Value { return slog.StringValue("[keys]") }
