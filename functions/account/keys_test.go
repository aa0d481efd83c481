package main

import (
	"testing"

	"contactcenter/shared/sign"
	"contactcenter/shared/sign/signtest"
)

// anybody reads the keys that verify, the one that signs at present first, and one that signed before stays listed.
func TestEverybodyReadsTheKeysThatVerify(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.As(nil).Get("/v1/evidence-keys").Want(t, "the keys", 200, "")
	keys, err := sign.ParseJWKS([]byte(a.Body))
	if err != nil || len(keys) != 2 || keys[0].ID() != signtest.Key("new").Public().ID() || keys[1].ID() != signtest.Key("old").Public().ID() {
		t.Errorf("%s: %v", a.Body, err)
	}
}
