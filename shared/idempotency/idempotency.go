// Package idempotency knows Idempotency-Keys: which request a key stands for, and what was answered to it. A 2xx is kept
// for a day; after any other answer the same key runs again.
package idempotency

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"
	"github.com/gowebpki/jcs"

	"contactcenter/shared/api"
)

const (
	// Header is the request's header.
	Header = "Idempotency-Key"
	// ReplayedHeader says that an answer was given before.
	ReplayedHeader = "Idempotency-Replayed"
	// Kept is how long a key is known.
	Kept = 24 * time.Hour
	// maxLength is the longest key, in characters, without its quotes.
	maxLength = 255
)

// Key is one key of one account for one operation.
type Key struct {
	// Account is the account's id.
	Account string
	// Operation is method and path.
	Operation string
	Value     string
}

// KeyFrom gives the request's key; ok is false when it has none. A key that is too long or no single string of visible
// ASCII is refused.
func KeyFrom(r *http.Request) (k Key, ok bool, err error) {
	values := r.Header.Values(Header)
	if len(values) == 0 {
		return Key{}, false, nil
	}
	value, valid := parse(values)
	if !valid {
		var e api.FieldErrors
		e.Add(Header, api.FieldInvalid, "must be one string of 1 to 255 visible ASCII characters, quoted or bare")
		return Key{}, false, e.Err()
	}
	account := api.PrincipalFrom(r.Context()).AccountID
	if account == "" {
		account = "~operator" // no account's id has this form
	}
	return Key{Account: account, Operation: r.Method + " " + r.URL.Path, Value: value}, true, nil
}

func parse(values []string) (string, bool) {
	if len(values) != 1 {
		return "", false
	}
	v := strings.TrimSpace(values[0])
	if strings.HasPrefix(v, `"`) {
		item, err := httpsfv.UnmarshalItem([]string{v})
		if err != nil {
			return "", false
		}
		quoted, ok := item.Value.(string)
		if !ok {
			return "", false
		}
		v = quoted
	}
	for i := range len(v) {
		if v[i] < ' ' || v[i] > '~' {
			return "", false
		}
	}
	return v, v != "" && len(v) <= maxLength
}

// Hash stands for a payload: two bodies that say the same have the same one, whatever their spaces and order of fields.
func Hash(body []byte) [sha256.Size]byte {
	if canonical, err := jcs.Transform(body); err == nil {
		body = canonical
	}
	return sha256.Sum256(body)
}

// ErrChanged: somebody else took the key meanwhile.
var ErrChanged = errors.New("the idempotency key changed hands")

// InUse is the answer while a request with the key is being worked on.
func InUse() *api.Problem { return api.NewProblem(api.CodeKeyInUse).WithRetryAfter(time.Second) }

// Reused is the answer to another payload under a known key.
func Reused() *api.Problem { return api.NewProblem(api.CodeKeyReused) }
