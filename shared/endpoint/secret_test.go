package endpoint_test

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"contactcenter/shared/endpoint"
)

// the vector that the libraries of Standard Webhooks 1.0 publish.
func TestTheStandardsPublishedVectorIsSignedAsItSays(t *testing.T) {
	t.Parallel()
	h := http.Header{}
	err := endpoint.Sign(h, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330", "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestTheStandardsOwnLibraryVerifiesByEitherSecretOfARotation(t *testing.T) {
	t.Parallel()
	before, now, other := secret(t), secret(t), secret(t)
	body, h := []byte(`{"type":"message.sent"}`), http.Header{}
	if err := endpoint.Sign(h, "evt_1", time.Now(), body, now, before); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		secret string
		body   []byte
		good   bool
	}{
		"the new secret":      {now, body, true},
		"the one before":      {before, body, true},
		"a third":             {other, body, false},
		"another body":        {now, []byte(`{"type":"message.read"}`), false},
		"a body of one blank": {now, append([]byte(" "), body...), false},
	} {
		wh, err := webhooks.NewWebhook(c.secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := wh.Verify(c.body, h); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestASecretIsWhatTheStandardAsksFor(t *testing.T) {
	t.Parallel()
	s := secret(t)
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "whsec_"))
	if !strings.HasPrefix(s, "whsec_") || err != nil || len(raw) < 24 || len(raw) > 64 {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
	for _, none := range []string{"", "whsec_", "whsec_%"} {
		if err := endpoint.Sign(http.Header{}, "evt_1", time.Now(), nil, none); err == nil {
			t.Errorf("%q signed", none)
		}
	}
}

func secret(t *testing.T) string {
	t.Helper()
	s, err := endpoint.NewSecret(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
