package endpoint

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// secretBytes is how much randomness a secret holds: Standard Webhooks asks for 24 to 64 bytes.
const secretBytes = 32

const secretPrefix = "whsec_"

// NewSecret makes a secret in the form in which a user gets it: whsec_ and base64.
func NewSecret(random io.Reader) (string, error) {
	var b [secretBytes]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("make webhook secret: %w", err)
	}
	return secretPrefix + base64.StdEncoding.EncodeToString(b[:]), nil
}

// Sign sets the headers of Standard Webhooks 1.0: the event's id, the time of this attempt, and a signature by each secret, the
// current one first. It returns an error for a secret that is none; the error does not hold it.
func Sign(h http.Header, eventID string, at time.Time, body []byte, secrets ...string) error {
	signatures := make([]string, 0, len(secrets))
	for _, s := range secrets {
		wh, err := webhooks.NewWebhook(s)
		if err != nil || strings.TrimPrefix(s, secretPrefix) == "" {
			return fmt.Errorf("sign event %s: the secret is none", eventID)
		}
		signature, err := wh.Sign(eventID, at, body)
		if err != nil {
			return fmt.Errorf("sign event %s: %w", eventID, err)
		}
		signatures = append(signatures, signature)
	}
	h.Set(webhooks.HeaderWebhookID, eventID)
	h.Set(webhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	h.Set(webhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return nil
}
