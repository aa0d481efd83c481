package emailses

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // version 1 of SNS's signatures is over SHA-1, and is what a topic has unless its owner changes it
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"contactcenter/shared/provider"
)

const (
	// maxCallbackBytes bounds a callback: SNS's messages have at most 256 KiB, before the escapes of JSON.
	maxCallbackBytes = 1 << 20
	// maxAge is how old a callback may be: SNS repeats one for at most an hour, so an older one is somebody else's repeat of
	// it. maxAhead is how far another clock may be ahead.
	maxAge   = time.Hour
	maxAhead = 5 * time.Minute
	// maxCertificates bounds the certificates that are kept. SNS has one at a time in a region.
	maxCertificates = 16
)

// envelope is what SNS posts, with the names that it signs.
type envelope struct {
	Type             string
	MessageId        string
	Token            string
	TopicArn         string
	Subject          *string
	Message          json.RawMessage
	Timestamp        string
	SignatureVersion string
	Signature        string
	SigningCertURL   string
	SubscribeURL     string
}

// certificate is a key that SNS signs with, and until when.
type certificate struct {
	key           *rsa.PublicKey
	before, after time.Time
}

// The kinds of SNS's messages.
const (
	kindNotification = "Notification"
	kindSubscribe    = "SubscriptionConfirmation"
	kindUnsubscribe  = "UnsubscribeConfirmation"
)

// open proves that a callback is of the account's topic, by SNS's signature, and gives it with its message. An error that
// does not wrap provider.ErrProof is ours: the certificate could not be had.
func (a *Adapter) open(ctx context.Context, acc account, r *provider.Request) (envelope, string, error) {
	// SNS says the kind in a header too. A delivery without it is raw: it has no signature, and a topic's subscription must
	// not be set up like that.
	if r.Header.Get("X-Amz-Sns-Message-Type") == "" || len(r.Body) > maxCallbackBytes || !utf8.Valid(r.Body) {
		return envelope{}, "", provider.ErrProof
	}
	var e envelope
	var message string
	if json.Unmarshal(r.Body, &e) != nil || json.Unmarshal(e.Message, &message) != nil || e.TopicArn != acc.topic {
		return envelope{}, "", provider.ErrProof
	}
	signed, ok := e.signed(message)
	at, err := time.Parse(time.RFC3339, e.Timestamp)
	now := a.now()
	if !ok || err != nil || now.Sub(at) > maxAge || at.Sub(now) > maxAhead {
		return envelope{}, "", provider.ErrProof
	}
	c, err := a.certificate(ctx, acc.region, e.SigningCertURL)
	if err != nil {
		return envelope{}, "", err
	}
	signature, err := base64.StdEncoding.DecodeString(e.Signature)
	if err != nil || now.Before(c.before) || now.After(c.after) || !verified(c.key, e.SignatureVersion, signed, signature) {
		return envelope{}, "", provider.ErrProof
	}
	return e, message, nil
}

// signed is what SNS signs: names and values, each on a line, in the order of the names.
func (e envelope) signed(message string) (string, bool) {
	lines := []string{"Message", message, "MessageId", e.MessageId}
	switch e.Type {
	case kindNotification:
		if e.Subject != nil {
			lines = append(lines, "Subject", *e.Subject)
		}
		lines = append(lines, "Timestamp", e.Timestamp)
	case kindSubscribe, kindUnsubscribe:
		lines = append(lines, "SubscribeURL", e.SubscribeURL, "Timestamp", e.Timestamp, "Token", e.Token)
	default:
		return "", false
	}
	lines = append(lines, "TopicArn", e.TopicArn, "Type", e.Type)
	return strings.Join(lines, "\n") + "\n", true
}

func verified(key *rsa.PublicKey, version, signed string, signature []byte) bool {
	switch version {
	case "1":
		sum := sha1.Sum([]byte(signed)) //nolint:gosec // see the import
		return rsa.VerifyPKCS1v15(key, crypto.SHA1, sum[:], signature) == nil
	case "2":
		sum := sha256.Sum256([]byte(signed))
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
	}
	return false
}

// within gives a URL that SNS named, if it is one of SNS itself in the channel's region: whoever can name another one could
// sign as he likes, or have us call him.
func (a *Adapter) within(region, named string) (*url.URL, bool) {
	base, err := url.Parse(a.snsBase(region))
	if err != nil {
		return nil, false
	}
	u, err := url.Parse(named)
	if err != nil || u.Scheme != base.Scheme || !strings.EqualFold(u.Host, base.Host) || u.User != nil || u.Fragment != "" || len(named) > 2048 {
		return nil, false
	}
	return u, strings.HasPrefix(u.Path, base.Path+"/")
}

// certificate gives the certificate at a URL of SNS's. The trust in it is that in the host that serves it over TLS.
func (a *Adapter) certificate(ctx context.Context, region, named string) (certificate, error) {
	u, ok := a.within(region, named)
	if !ok || u.RawQuery != "" || !strings.HasSuffix(u.Path, ".pem") {
		return certificate{}, provider.ErrProof
	}
	a.mu.Lock()
	c, known := a.certificates[named]
	a.mu.Unlock()
	if known {
		return c, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return certificate{}, provider.ErrProof
	}
	answer, err := a.caller(a.snsBase(region)).Do(ctx, req)
	switch {
	case err != nil:
		return certificate{}, fmt.Errorf("get the certificate of SNS: %w", err)
	case answer.Status >= http.StatusInternalServerError || answer.Status == http.StatusTooManyRequests:
		return certificate{}, fmt.Errorf("get the certificate of SNS: answered %d", answer.Status)
	case answer.Status != http.StatusOK:
		return certificate{}, provider.ErrProof
	}
	if c, ok = readCertificate(answer.Body); !ok {
		return certificate{}, provider.ErrProof
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.certificates) >= maxCertificates {
		clear(a.certificates)
	}
	a.certificates[named] = c
	return c, nil
}

func readCertificate(raw []byte) (certificate, bool) {
	block, _ := pem.Decode(raw)
	if block == nil {
		return certificate{}, false
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return certificate{}, false
	}
	key, ok := c.PublicKey.(*rsa.PublicKey)
	if !ok {
		return certificate{}, false
	}
	return certificate{key: key, before: c.NotBefore, after: c.NotAfter}, true
}

var errNotConfirmed = errors.New("confirm the subscription: SNS did not take it")

// confirm visits the URL that SNS sent with a subscription to the channel's topic. Visiting it again changes nothing.
func (a *Adapter) confirm(ctx context.Context, acc account, e envelope) error {
	u, ok := a.within(acc.region, e.SubscribeURL)
	if !ok || u.Query().Get("Action") != "ConfirmSubscription" || u.Query().Get("TopicArn") != acc.topic {
		return provider.ErrProof
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return provider.ErrProof
	}
	answer, err := a.caller(a.snsBase(acc.region)).Do(ctx, req)
	switch {
	case err != nil:
		return fmt.Errorf("confirm the subscription: %w", err)
	case answer.Status >= 400 && answer.Status < 500 && answer.Status != http.StatusTooManyRequests:
		return nil // the token is used up or too old: SNS would only send the same again
	case answer.Status != http.StatusOK:
		return errNotConfirmed
	}
	return nil
}
