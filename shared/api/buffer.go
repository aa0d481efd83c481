package api

import (
	"bytes"
	"cmp"
	"net/http"
)

// Buffer is an answer that is not sent yet. Use NewBuffer.
type Buffer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// NewBuffer makes an empty one.
func NewBuffer() *Buffer { return &Buffer{header: http.Header{}} }

// Header is the answer's, as of any http.ResponseWriter.
func (b *Buffer) Header() http.Header { return b.header }

// WriteHeader sets the status, once.
func (b *Buffer) WriteHeader(status int) {
	if b.status == 0 {
		b.status = status
	}
}

// Write adds to the body.
func (b *Buffer) Write(p []byte) (int, error) {
	b.WriteHeader(http.StatusOK)
	return b.body.Write(p)
}

// Status is the answer's, 200 when none was set.
func (b *Buffer) Status() int { return cmp.Or(b.status, http.StatusOK) }

// Body is what was written.
func (b *Buffer) Body() []byte { return b.body.Bytes() }
