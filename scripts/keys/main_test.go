package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"contactcenter/shared/seal"
	"contactcenter/shared/sign"
)

// fakeKMS keeps what it is given, with its encryption context, as KMS does.
type fakeKMS map[string]map[string]string

func (f fakeKMS) Encrypt(_ context.Context, in *kms.EncryptInput, _ ...func(*kms.Options)) (*kms.EncryptOutput, error) {
	f[string(in.Plaintext)] = in.EncryptionContext
	return &kms.EncryptOutput{CiphertextBlob: append([]byte("wrapped "+*in.KeyId+" "), in.Plaintext...)}, nil
}

func (f fakeKMS) decrypt(_ context.Context, in []byte, encryptionContext map[string]string) ([]byte, error) {
	plain := bytes.TrimPrefix(in, []byte("wrapped k "))
	if c, ok := f[string(plain)]; !ok || !maps.Equal(c, encryptionContext) {
		return nil, errors.New("access denied")
	}
	return plain, nil
}

//
func TestTheKeysThatAreMadeFitAndAreEncryptedByKMS(t *testing.T) {
	t.Parallel()
	f := fakeKMS{}
	made, err := makeKeys(t.Context(), seal.Groups(), encryptWith(f, "k"))
	if err != nil || len(made) != 2*len(seal.Groups()) {
		t.Fatalf("made %d, %v", len(made), err)
	}
	for _, g := range seal.Groups() {
		s, err := seal.NewSealer(g, made[string(g)+"_public"])
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := s.Seal("acct_1", "p", []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		keys, err := seal.ParsePrivate(t.Context(), g, made[string(g)+"_private"], f.decrypt)
		if err != nil {
			t.Fatal(err)
		}
		o, err := seal.NewOpener(g, keys...)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := o.Open("acct_1", "p", sealed); err != nil || string(got) != "x" {
			t.Errorf("%s: got %q, %v", g, got, err)
		}
	}
	if _, err := seal.ParsePrivate(t.Context(), seal.Complaints, made["content_private"], f.decrypt); err == nil {
		t.Error("the content's key was decrypted for complaints")
	}
}

//
func TestTheKeyThatSignsIsMadeAndIsEncryptedByKMS(t *testing.T) {
	t.Parallel()
	f := fakeKMS{}
	for name, encrypt := range map[string]seal.Transform{"by KMS": encryptWith(f, "k"), "in clear": nil} {
		made, err := makeKeys(t.Context(), []seal.Group{sign.Group}, encrypt)
		if err != nil || len(made) != 2 {
			t.Fatalf("%s: made %d, %v", name, len(made), err)
		}
		k, err := sign.ParsePrivate(t.Context(), made["evidence_private"], f.decrypt)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		keys, err := sign.ParsePublics(made["evidence_public"])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		jws, err := k.Sign("x", []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := keys.Verify(jws); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeysForOneMachineArePrinted(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-group", "content"}, &out); err != nil {
		t.Fatal(err)
	}
	var made map[string]string
	if err := json.Unmarshal(out.Bytes(), &made); err != nil || len(made) != 2 || !strings.HasPrefix(made["content_private"], "local:") {
		t.Errorf("printed %d entries, %v", len(made), err)
	}
	if err := run(t.Context(), []string{"-group", "other"}, &out); err == nil {
		t.Error("a group that does not exist was taken")
	}
}
