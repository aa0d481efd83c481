// Package token knows the identity providers of one machine: it makes their keys and signs access tokens the way a
// CRM's or an operator's real identity provider would. Tests may ask for tokens that are wrong on purpose.
package token

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Issuer is one identity provider.
type Issuer struct {
	// URL is the `iss` of its tokens.
	URL string
	// Audience is the `aud` of its tokens unless another is asked for.
	Audience string

	keyID string
	key   *rsa.PrivateKey
}

// NewIssuer makes an identity provider with a fresh RSA key of 2,048 bits.
func NewIssuer(url, audience string) (*Issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make the key of issuer %s: %w", url, err)
	}
	id := make([]byte, 8)
	rand.Read(id)
	return &Issuer{URL: url, Audience: audience, keyID: hex.EncodeToString(id), key: key}, nil
}

// Keys are the public keys by key id, as the issuer's JWKS would show them.
func (i *Issuer) Keys() map[string]*rsa.PublicKey {
	return map[string]*rsa.PublicKey{i.keyID: &i.key.PublicKey}
}

// Request is what a caller wants a token for.
type Request struct {
	Subject   string
	AccountID string
	Scope     string
	// Audience in place of the issuer's own.
	Audience string
	// Lifetime may be negative: a token that has already expired.
	Lifetime time.Duration
}

// Sign makes an access token that is valid from now on.
func (i *Issuer) Sign(r Request, now time.Time) (string, error) {
	audience := i.Audience
	if r.Audience != "" {
		audience = r.Audience
	}
	issued := now
	if r.Lifetime < 0 {
		issued = now.Add(2 * r.Lifetime)
	}
	claims := jwt.MapClaims{
		"iss": i.URL, "aud": audience, "sub": r.Subject, "scope": r.Scope,
		"iat": issued.Unix(), "exp": now.Add(r.Lifetime).Unix(),
	}
	if r.AccountID != "" {
		claims["account_id"] = r.AccountID
	}
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	t.Header["kid"] = i.keyID
	signed, err := t.SignedString(i.key)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return signed, nil
}
