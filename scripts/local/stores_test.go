package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// A connection that is closed under an answer makes the SDK ask again, and what the first receive handed out is then out
// of sight for its visibility timeout.
func TestAReceiveIsNotAskedForTwice(t *testing.T) {
	t.Parallel()
	var connections, receives atomic.Int64
	answer := []byte(`{"Messages":[{"MessageId":"1","ReceiptHandle":"r","Body":"` + strings.Repeat("x", 64<<10) + `"}]}`)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		receives.Add(1)
		_, _ = w.Write(answer)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	queue := newStores(s.URL, s.URL).sqs
	const calls = 500
	for range calls {
		if _, err := queue.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &s.URL}, func(o *sqs.Options) { o.DisableMessageChecksumValidation = true }); err != nil {
			t.Fatal(err)
		}
	}
	if receives.Load() != calls || connections.Load() != 1 {
		t.Errorf("%d receives over %d connections for %d calls", receives.Load(), connections.Load(), calls)
	}
}
