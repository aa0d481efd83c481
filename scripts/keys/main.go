// Command keys makes the keys under which content, credentials, complaints and webhook secrets are sealed, and the key that signs
// evidence, and prints them as the JSON that the template expects of the secret SealSecretName.
//
//	keys -kms-key ARN               every group, private keys encrypted by KMS: what a deployment needs
//	keys -kms-key ARN -group content    one group: a new key, to rotate it
//	keys                            private keys in clear, for one machine
//
// Credentials and the region come from the environment, as for the functions (AWS_REGION, AWS_ACCESS_KEY_ID, …).
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"contactcenter/shared/awsclient"
	"contactcenter/shared/seal"
	"contactcenter/shared/sign"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "keys:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("keys", flag.ContinueOnError)
	keyID := flags.String("kms-key", "", "id or ARN of the KMS key that encrypts the private keys; without it they are printed in clear")
	only := flags.String("group", "", "the one group to make keys for: content, credentials, complaints, webhooks or evidence")
	if err := flags.Parse(args); err != nil {
		return err
	}
	groups := append(seal.Groups(), sign.Group)
	if *only != "" {
		if !slices.Contains(groups, seal.Group(*only)) {
			return fmt.Errorf("there is no group %q", *only)
		}
		groups = []seal.Group{seal.Group(*only)}
	}
	var encrypt seal.Transform
	if *keyID != "" {
		cfg, err := awsclient.Load(ctx)
		if err != nil {
			return err
		}
		encrypt = encryptWith(kms.NewFromConfig(cfg), *keyID)
	}
	made, err := makeKeys(ctx, groups, encrypt)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(made)
}

// makeKeys gives what the secret holds of each group: content_public, content_private, and so on.
func makeKeys(ctx context.Context, groups []seal.Group, encrypt seal.Transform) (map[string]string, error) {
	out := map[string]string{}
	for _, g := range groups {
		pair := sealing
		if g == sign.Group {
			pair = signing
		}
		public, private, err := pair(ctx, g, encrypt)
		if err != nil {
			return nil, err
		}
		out[string(g)+"_public"], out[string(g)+"_private"] = public, private
	}
	return out, nil
}

func sealing(ctx context.Context, g seal.Group, encrypt seal.Transform) (public, private string, err error) {
	k, err := seal.Generate()
	if err != nil {
		return "", "", err
	}
	private, err = k.Local()
	if encrypt != nil {
		private, err = k.Wrap(ctx, g, encrypt)
	}
	return k.Public(), private, err
}

func signing(ctx context.Context, _ seal.Group, encrypt seal.Transform) (public, private string, err error) {
	k, err := sign.Generate(rand.Reader)
	if err != nil {
		return "", "", err
	}
	private = k.Local()
	if encrypt != nil {
		private, err = k.Wrap(ctx, encrypt)
	}
	return k.Public().Text(), private, err
}

type encrypter interface {
	Encrypt(context.Context, *kms.EncryptInput, ...func(*kms.Options)) (*kms.EncryptOutput, error)
}

func encryptWith(client encrypter, keyID string) seal.Transform {
	return func(ctx context.Context, in []byte, encryptionContext map[string]string) ([]byte, error) {
		out, err := client.Encrypt(ctx, &kms.EncryptInput{KeyId: &keyID, Plaintext: in, EncryptionContext: encryptionContext})
		if err != nil {
			return nil, err
		}
		if len(out.CiphertextBlob) == 0 {
			return nil, errors.New("KMS gave nothing back")
		}
		return out.CiphertextBlob, nil
	}
}
