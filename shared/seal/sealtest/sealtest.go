// Package sealtest gives tests keys that are always the same.
package sealtest

import (
	"crypto/sha256"

	"contactcenter/shared/seal"
)

// Pair gives a sealer of a group and the opener of what it seals.
func Pair(g seal.Group) (*seal.Sealer, *seal.Opener) {
	s, err := seal.NewSealer(g, Key(g).Public())
	if err != nil {
		panic(err)
	}
	o, err := seal.NewOpener(g, Key(g))
	if err != nil {
		panic(err)
	}
	return s, o
}

// Key is a group's key in tests.
func Key(g seal.Group) seal.PrivateKey {
	seed := sha256.Sum256([]byte("tests/" + g))
	k, err := seal.Derive(seed[:])
	if err != nil {
		panic(err)
	}
	return k
}

// Sealer is the first of Pair.
func Sealer(g seal.Group) *seal.Sealer { s, _ := Pair(g); return s }

// Opener is the second of Pair.
func Opener(g seal.Group) *seal.Opener { _, o := Pair(g); return o }
