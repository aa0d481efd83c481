package openers

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
	"contactcenter/shared/sign"
	"contactcenter/shared/sign/signtest"
)

type fakeKMS struct {
	context map[string]string
	calls   int
}

func (f *fakeKMS) Decrypt(_ context.Context, in *kms.DecryptInput, _ ...func(*kms.Options)) (*kms.DecryptOutput, error) {
	f.calls++
	if !maps.Equal(in.EncryptionContext, f.context) {
		return nil, errors.New("AccessDeniedException")
	}
	return &kms.DecryptOutput{Plaintext: in.CiphertextBlob}, nil
}

// KMS is asked with the group as context, so that a policy can tell one group's keys from another's.
func TestAWrappedKeyIsDecryptedOnceAndForItsGroupOnly(t *testing.T) {
	t.Parallel()
	same := func(_ context.Context, in []byte, _ map[string]string) ([]byte, error) { return in, nil }
	wrapped, err := sealtest.Key(seal.Content).Wrap(t.Context(), seal.Content, same)
	if err != nil || !strings.HasPrefix(wrapped, "kms:") {
		t.Fatalf("got %v", err)
	}
	f := &fakeKMS{context: map[string]string{"group": "content"}}
	keys, err := seal.ParsePrivate(t.Context(), seal.Content, wrapped, decrypt(f))
	if err != nil || len(keys) != 1 || f.calls != 1 {
		t.Fatalf("%d keys, %d calls, %v", len(keys), f.calls, err)
	}
	if _, err := seal.ParsePrivate(t.Context(), seal.Complaints, wrapped, decrypt(f)); err == nil {
		t.Error("it was decrypted for another group")
	}
}

//
func TestTheKeyThatSignsIsReadAsTheOthersAre(t *testing.T) {
	t.Parallel()
	key := signtest.Key("a")
	env := map[string]string{sign.PrivateVariable: key.Local()}
	k, err := Signer(t.Context(), aws.Config{Region: "us-east-1"}, func(name string) string { return env[name] })
	if err != nil || k.Public().ID() != key.Public().ID() {
		t.Errorf("%v", err)
	}
	if _, err := Signer(t.Context(), aws.Config{Region: "us-east-1"}, func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), sign.PrivateVariable) {
		t.Errorf("without a key: %v", err)
	}
}

func TestALocalKeyNeedsNoKMS(t *testing.T) {
	t.Parallel()
	for g, open := range map[seal.Group]func(context.Context, aws.Config, func(string) string) (*seal.Opener, error){
		seal.Content: Content, seal.Credentials: Credentials, seal.Complaints: Complaints, seal.Webhooks: Webhooks,
	} {
		local, err := sealtest.Key(g).Local()
		if err != nil {
			t.Fatal(err)
		}
		env := map[string]string{strings.ToUpper(string(g)) + "_SEAL_PRIVATE": local}
		o, err := open(t.Context(), aws.Config{Region: "us-east-1"}, func(name string) string { return env[name] })
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := sealtest.Sealer(g).Seal("acct_1", "p", []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := o.Open("acct_1", "p", sealed); err != nil || string(got) != "x" {
			t.Errorf("%s: got %q, %v", g, got, err)
		}
		if _, err := open(t.Context(), aws.Config{Region: "us-east-1"}, func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), "_SEAL_PRIVATE") {
			t.Errorf("%s, without a key: %v", g, err)
		}
	}
}
