package seal

import (
	"fmt"
	"strings"
)

// PublicVariable names the environment variable that holds a group's public key, PrivateVariable the one of its private
// keys: CONTENT_SEAL_PUBLIC, CONTENT_SEAL_PRIVATE, and so on.
func PublicVariable(g Group) string { return strings.ToUpper(string(g)) + "_SEAL_PUBLIC" }

// PrivateVariable names the environment variable that holds a group's private keys.
func PrivateVariable(g Group) string { return strings.ToUpper(string(g)) + "_SEAL_PRIVATE" }

// SealerFrom makes a function's sealer from its environment.
func SealerFrom(getenv func(string) string, g Group) (*Sealer, error) {
	s, err := NewSealer(g, getenv(PublicVariable(g)))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", PublicVariable(g), err)
	}
	return s, nil
}
