package gateway

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestOnlyTokensOfTheIssuerAreLetThrough(t *testing.T) {
	t.Parallel()
	key, other := newKey(t), newKey(t)
	authorizer := &Authorizer{Issuer: "https://issuer", Audiences: []string{"api", "api2"}, Keys: map[string]*rsa.PublicKey{"k1": &key.PublicKey}}
	claims := func(changes jwt.MapClaims) jwt.MapClaims {
		all := jwt.MapClaims{"iss": "https://issuer", "aud": "api", "sub": "user", "scope": "a:read b:write", "iat": noon.Unix(), "exp": noon.Add(time.Minute).Unix()}
		for name, v := range changes {
			if v == nil {
				delete(all, name)
			} else {
				all[name] = v
			}
		}
		return all
	}
	signed := func(method jwt.SigningMethod, key any, id string, c jwt.MapClaims) string {
		token := jwt.NewWithClaims(method, c)
		token.Header["kid"] = id
		s, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + s
	}
	good := func(changes jwt.MapClaims) string { return signed(jwt.SigningMethodRS256, key, "k1", claims(changes)) }
	cases := map[string]struct {
		header string
		status int
	}{
		"the right one":                     {good(nil), 200},
		"one without Bearer":                {good(nil)[len("Bearer "):], 200},
		"a list of audiences":               {good(jwt.MapClaims{"aud": []string{"x", "api2"}}), 200},
		"a client_id and no audience":       {good(jwt.MapClaims{"aud": nil, "client_id": "api"}), 200},
		"scopes in scp":                     {good(jwt.MapClaims{"scope": nil, "scp": []string{"a:read"}}), 200},
		"none":                              {"", 401},
		"a blank one":                       {"Bearer ", 401},
		"no token at all":                   {"Bearer nonsense", 401},
		"an expired one":                    {good(jwt.MapClaims{"exp": noon.Add(-time.Second).Unix()}), 401},
		"one without expiry":                {good(jwt.MapClaims{"exp": nil}), 401},
		"one not valid yet":                 {good(jwt.MapClaims{"nbf": noon.Add(time.Minute).Unix()}), 401},
		"one issued in the future":          {good(jwt.MapClaims{"iat": noon.Add(time.Minute).Unix()}), 401},
		"another issuer":                    {good(jwt.MapClaims{"iss": "https://other"}), 401},
		"another audience":                  {good(jwt.MapClaims{"aud": "other"}), 401},
		"no audience":                       {good(jwt.MapClaims{"aud": nil}), 401},
		"another audience but our client":   {good(jwt.MapClaims{"aud": "other", "client_id": "api"}), 401},
		"another key":                       {signed(jwt.SigningMethodRS256, other, "k1", claims(nil)), 401},
		"an unknown key id":                 {signed(jwt.SigningMethodRS256, key, "k2", claims(nil)), 401},
		"alg none":                          {signed(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "k1", claims(nil)), 401},
		"alg HS256 with the public key":     {signed(jwt.SigningMethodHS256, key.N.Bytes(), "k1", claims(nil)), 401},
		"a signature cut off":               {good(nil)[:len(good(nil))-4], 401},
		"another scope":                     {good(jwt.MapClaims{"scope": "a:write"}), 403},
		"a scope that only begins the same": {good(jwt.MapClaims{"scope": "a:reader"}), 403},
		"no scope":                          {good(jwt.MapClaims{"scope": nil}), 403},
	}
	messages := map[int]string{200: "", 401: `{"message":"Unauthorized"}`, 403: `{"message":"Forbidden"}`}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := New([]Route{{Method: "GET", Path: "/", Authorizer: authorizer, Scopes: []string{"a:read", "a:admin"}, Function: answering(`{"statusCode":200}`, nil)}}, nil, func() time.Time { return noon })
			r := httptest.NewRequest("GET", "/", nil)
			if c.header != "" {
				r.Header.Set("Authorization", c.header)
			}
			resp := call(api, r)
			if body := text(t, resp); resp.StatusCode != c.status || body != messages[c.status] {
				t.Errorf("the caller gets %d %s, want %d", resp.StatusCode, body, c.status)
			}
		})
	}

	t.Run("claims reach the function as text", func(t *testing.T) {
		t.Parallel()
		var got map[string]any
		api := New([]Route{{Method: "GET", Path: "/", Authorizer: authorizer, Function: keeping(&got)}}, nil, func() time.Time { return noon })
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", good(jwt.MapClaims{"account_id": "acct_1", "roles": []string{"a", "b"}, "admin": true}))
		call(api, r)
		sameJSON(t, got["requestContext"].(map[string]any)["authorizer"], `{"jwt":{"claims":{"iss":"https://issuer","aud":"api","sub":"user","scope":"a:read b:write",
			"iat":"1795521600","exp":"1795521660","account_id":"acct_1","roles":"[a b]","admin":"true"},"scopes":null}}`)
	})
}

func newKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
