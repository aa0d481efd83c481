package emailses

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // version 1 of SNS's signatures
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// authorization is the header of Signature Version 4.
var authorization = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=([^/]+)/([0-9]{8})/([^/]+)/([^/]+)/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=[0-9a-f]{64}$`)

// maxSkew is how far a call's time may be off.
const maxSkew = 5 * time.Minute

// signed signs the call again, as whoever has the secret would, and compares.
func (s *Simulator) signed(c *call, service string) bool {
	refuse := c.problem
	if service == "sns" {
		refuse = c.snsProblem
	}
	given := c.Request.Header.Get("Authorization")
	m := authorization.FindStringSubmatch(given)
	at, err := time.Parse("20060102T150405Z", c.Request.Header.Get("X-Amz-Date"))
	switch {
	case c.TooLarge:
		refuse(http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException", "Request too large")
		return false
	case m == nil || err != nil:
		refuse(http.StatusForbidden, "MissingAuthenticationTokenException", "Missing Authentication Token")
		return false
	case m[1] != s.o.AccessKeyID:
		kind := map[string]string{"ses": "UnrecognizedClientException", "sns": "InvalidClientTokenId"}[service]
		refuse(http.StatusForbidden, kind, "The security token included in the request is invalid.")
		return false
	case m[2] != at.Format("20060102") || m[3] != s.o.Region || m[4] != service:
		refuse(http.StatusForbidden, "SignatureDoesNotMatch", "Credential should be scoped to a valid region and service.")
		return false
	case c.At.Sub(at).Abs() > maxSkew:
		refuse(http.StatusForbidden, "SignatureDoesNotMatch", "Signature expired: "+at.Format(time.RFC3339)+" is too far from "+c.At.UTC().Format(time.RFC3339))
		return false
	}
	again, err := http.NewRequestWithContext(c.Request.Context(), c.Request.Method, "http://"+c.Request.Host+c.Request.RequestURI, nil)
	if err != nil {
		return false
	}
	again.ContentLength = int64(len(c.Body))
	for name := range strings.SplitSeq(m[5], ";") {
		if v := c.Request.Header.Values(name); name != "host" && name != "content-length" && len(v) > 0 {
			again.Header[http.CanonicalHeaderKey(name)] = v
		}
	}
	hash := sha256.Sum256(c.Body)
	key := aws.Credentials{AccessKeyID: s.o.AccessKeyID, SecretAccessKey: s.o.SecretAccessKey}
	err = s.signer.SignHTTP(c.Request.Context(), key, again, hex.EncodeToString(hash[:]), service, s.o.Region, at)
	if err != nil || subtle.ConstantTimeCompare([]byte(given), []byte(again.Header.Get("Authorization"))) != 1 {
		refuse(http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
		return false
	}
	return true
}

// newKeyPair makes the key of SNS and its certificate.
func newKeyPair(now time.Time) keyPair {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // only a size that is not allowed fails
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sns.amazonaws.com"},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(365 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return keyPair{key: key, certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// signature of lines, each a name or a value.
func (s *Simulator) signature(version string, lines []string) string {
	text := []byte(strings.Join(lines, "\n") + "\n")
	one, two := sha1.Sum(text), sha256.Sum256(text) //nolint:gosec // see the import
	hash, sum := crypto.SHA1, one[:]
	if version == "2" {
		hash, sum = crypto.SHA256, two[:]
	}
	b, err := rsa.SignPKCS1v15(rand.Reader, s.keys().key, hash, sum)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(b)
}
