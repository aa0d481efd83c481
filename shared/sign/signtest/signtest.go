// Package signtest gives tests a key for signing that is always the same.
package signtest

import (
	"crypto/sha256"

	"contactcenter/shared/sign"
)

// Key is the key of a name; the same name gives the same key.
func Key(name string) sign.Key {
	seed := sha256.Sum256([]byte("tests/sign/" + name))
	k, err := sign.FromSeed(seed[:])
	if err != nil {
		panic(err)
	}
	return k
}

// Keys are the public keys of some names.
func Keys(names ...string) sign.Keys {
	var keys sign.Keys
	for _, name := range names {
		keys = append(keys, Key(name).Public())
	}
	return keys
}
