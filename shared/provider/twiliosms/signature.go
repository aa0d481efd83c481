package twiliosms

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Twilio signs with HMAC-SHA1, which is sound as a MAC.
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
)

// HeaderSignature carries Twilio's proof of origin.
const HeaderSignature = "X-Twilio-Signature"

// queryBodyHash is the query parameter by which Twilio names the SHA-256 of a body that is no form.
const queryBodyHash = "bodySHA256"

// proven checks a callback's signature (https://www.twilio.com/docs/usage/webhooks/webhooks-security): an HMAC-SHA1 with the
// Auth Token over the URL and, of a form, the name and value of every parameter, sorted by name. Of any other body the URL
// holds the SHA-256. Twilio is not consistent about a port in the URL (its own libraries try both), so each form counts.
func proven(token, called string, form url.Values, body []byte, signature string) bool {
	if token == "" || signature == "" {
		return false
	}
	u, err := url.Parse(called)
	if err != nil {
		return false
	}
	signed := parameters(form)
	if sum := u.Query().Get(queryBodyHash); sum != "" {
		actual := sha256.Sum256(body)
		if subtle.ConstantTimeCompare([]byte(hex.EncodeToString(actual[:])), []byte(strings.ToLower(sum))) != 1 {
			return false
		}
		signed = ""
	} else if form == nil {
		return false // a body that nothing vouches for
	}
	match := 0
	for _, at := range withAndWithoutPort(called, u) {
		match |= subtle.ConstantTimeCompare([]byte(sign(token, at+signed)), []byte(signature))
	}
	return match == 1
}

func sign(token, what string) string {
	mac := hmac.New(sha1.New, []byte(token))
	_, _ = mac.Write([]byte(what))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// parameters are the names and values of a form, sorted by name; of several values of one name each counts once, sorted.
func parameters(form url.Values) string {
	names := make([]string, 0, len(form))
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		values := slices.Clone(form[name])
		slices.Sort(values)
		for _, v := range slices.Compact(values) {
			b.WriteString(name)
			b.WriteString(v)
		}
	}
	return b.String()
}

// withAndWithoutPort gives the URL as it is, with the port of its scheme, and with none. The rest stays byte for byte: what
// is signed is what was called, not what it means.
func withAndWithoutPort(called string, u *url.URL) []string {
	out := []string{called}
	scheme, rest, found := strings.Cut(called, "://")
	if !found || u.Host == "" {
		return out
	}
	port := map[string]string{"https": "443", "http": "80"}[u.Scheme]
	switch {
	case u.Port() == "" && port != "":
		out = append(out, scheme+"://"+strings.Replace(rest, u.Host, u.Host+":"+port, 1))
	case u.Port() != "":
		out = append(out, scheme+"://"+strings.Replace(rest, ":"+u.Port(), "", 1))
	}
	return out
}
