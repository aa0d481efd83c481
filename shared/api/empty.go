package api

import (
	"io"
	"net/http"
	"strings"
)

// OrEmpty gives a request without a body an empty object for one, for routes where nothing of it has to be there.
func OrEmpty(r *http.Request) *http.Request {
	if r.ContentLength != 0 {
		return r
	}
	r = r.Clone(r.Context())
	r.Header.Set("Content-Type", "application/json")
	r.Body = io.NopCloser(strings.NewReader("{}"))
	return r
}
