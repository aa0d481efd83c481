package gateway

import (
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Authorizer is a JWT authorizer with the keys of its issuer.
type Authorizer struct {
	Issuer    string
	Audiences []string
	// Keys by key id, as the issuer's JWKS shows them.
	Keys map[string]*rsa.PublicKey
}

var (
	errUnauthorized = errors.New("unauthorized")
	errForbidden    = errors.New("insufficient scope")
)

// authorized is what a function learns of a token that was accepted.
type authorized struct {
	Claims map[string]string `json:"claims"`
	Scopes []string          `json:"scopes"`
}

// check verifies a token as API Gateway does: RSA signature by a key of the issuer, iss, aud or client_id, exp, nbf,
// iat, and one of the route's scopes.
func (a *Authorizer) check(header string, scopes []string, now time.Time) (*authorized, error) {
	token := header
	if scheme, rest, ok := strings.Cut(header, " "); ok && strings.EqualFold(scheme, "Bearer") {
		token = strings.TrimSpace(rest)
	}
	if token == "" {
		return nil, errUnauthorized
	}
	claims := jwt.MapClaims{}
	_, err := jwt.NewParser(
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer(a.Issuer), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithJSONNumber(),
	).ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		key, ok := a.Keys[id]
		if !ok {
			return nil, errUnauthorized
		}
		return key, nil
	})
	if err != nil || !a.audience(claims) {
		return nil, errUnauthorized
	}
	granted := granted(claims)
	if len(scopes) == 0 {
		return &authorized{Claims: texts(claims)}, nil
	}
	if !slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(granted, s) }) {
		return nil, errForbidden
	}
	return &authorized{Claims: texts(claims), Scopes: granted}, nil
}

// audience is `aud`, or `client_id` where a token has no `aud`.
func (a *Authorizer) audience(claims jwt.MapClaims) bool {
	audiences, err := claims.GetAudience()
	if err != nil {
		return false
	}
	if _, has := claims["aud"]; !has {
		id, _ := claims["client_id"].(string)
		audiences = jwt.ClaimStrings{id}
	}
	return slices.ContainsFunc(a.Audiences, func(s string) bool { return s != "" && slices.Contains(audiences, s) })
}

// granted reads `scope`, or `scp`: a text with blanks between, or a list.
func granted(claims jwt.MapClaims) []string {
	for _, name := range []string{"scope", "scp"} {
		switch v := claims[name].(type) {
		case string:
			return strings.Fields(v)
		case []any:
			out := make([]string, 0, len(v))
			for _, item := range v {
				out = append(out, fmt.Sprint(item))
			}
			return out
		}
	}
	return nil
}

// texts gives claims as API Gateway passes them on: all of them text, a list in brackets.
func texts(claims jwt.MapClaims) map[string]string {
	out := make(map[string]string, len(claims))
	for name, v := range claims {
		switch v := v.(type) {
		case string:
			out[name] = v
		case []any:
			out[name] = fmt.Sprint(v)
		case map[string]any:
			raw, err := json.Marshal(v)
			if err == nil {
				out[name] = string(raw)
			}
		default:
			out[name] = fmt.Sprint(v)
		}
	}
	return out
}
