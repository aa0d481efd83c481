// Package openers gives functions the private keys: those that open sealed values, and the one that signs evidence. Which functions
// import it, and which of its functions they call, is all that decides who may read content, credentials and complaints in the code, and
// who may sign; the policies in template.yaml say the same to KMS. A test in package seal holds both to one table.
package openers

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"contactcenter/shared/awsclient"
	"contactcenter/shared/seal"
	"contactcenter/shared/sign"
)

// kmsTimeout bounds one attempt of a call to KMS. It is made once, when a function starts.
const kmsTimeout = 3 * time.Second

// Content opens what messages say, their addresses, and what accounts keep of their recipients.
func Content(ctx context.Context, cfg aws.Config, getenv func(string) string) (*seal.Opener, error) {
	return open(ctx, cfg, getenv, seal.Content)
}

// Credentials opens the credentials of accounts with Communication Providers.
func Credentials(ctx context.Context, cfg aws.Config, getenv func(string) string) (*seal.Opener, error) {
	return open(ctx, cfg, getenv, seal.Credentials)
}

// Complaints opens what third parties wrote to the operator.
func Complaints(ctx context.Context, cfg aws.Config, getenv func(string) string) (*seal.Opener, error) {
	return open(ctx, cfg, getenv, seal.Complaints)
}

// Webhooks opens the secrets that sign what is sent to accounts' webhook endpoints.
func Webhooks(ctx context.Context, cfg aws.Config, getenv func(string) string) (*seal.Opener, error) {
	return open(ctx, cfg, getenv, seal.Webhooks)
}

// Signer signs evidence bundles and certificates.
func Signer(ctx context.Context, cfg aws.Config, getenv func(string) string) (sign.Key, error) {
	cfg.HTTPClient = awsclient.HTTPClient(kmsTimeout)
	k, err := sign.ParsePrivate(ctx, getenv(sign.PrivateVariable), decrypt(kms.NewFromConfig(cfg)))
	if err != nil {
		return sign.Key{}, fmt.Errorf("read %s: %w", sign.PrivateVariable, err)
	}
	return k, nil
}

func open(ctx context.Context, cfg aws.Config, getenv func(string) string, g seal.Group) (*seal.Opener, error) {
	name := seal.PrivateVariable(g)
	cfg.HTTPClient = awsclient.HTTPClient(kmsTimeout)
	keys, err := seal.ParsePrivate(ctx, g, getenv(name), decrypt(kms.NewFromConfig(cfg)))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return seal.NewOpener(g, keys...)
}

// decrypter is what is needed of KMS.
type decrypter interface {
	Decrypt(context.Context, *kms.DecryptInput, ...func(*kms.Options)) (*kms.DecryptOutput, error)
}

func decrypt(client decrypter) seal.Transform {
	return func(ctx context.Context, wrapped []byte, encryptionContext map[string]string) ([]byte, error) {
		out, err := client.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: wrapped, EncryptionContext: encryptionContext})
		if err != nil {
			return nil, err
		}
		return out.Plaintext, nil
	}
}
