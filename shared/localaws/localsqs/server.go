package localsqs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

const (
	contentType = "application/x-amz-json-1.0"
	account     = "000000000000"
	region      = "us-east-1"
	maxRequest  = 8 << 20 // a batch of 1 MiB with every byte escaped
)

// Server is an http.Handler that answers as Amazon SQS does. Queue URLs are {scheme and host of the call}/000000000000/{name}.
type Server struct {
	clock Clock

	mu     sync.Mutex
	queues map[string]*queue
	moves  []moveTask
}

// New returns a server without queues. A nil clock is the system's.
func New(clock Clock) *Server {
	if clock == nil {
		clock = SystemClock{}
	}
	return &Server{clock: clock, queues: map[string]*queue{}}
}

// call is one request to the service.
type call struct {
	ctx  context.Context
	base string
}

// operation decodes a request and answers it.
type operation func(s *Server, c call, body []byte) (any, error)

// typed makes an operation from a method with a typed request.
func typed[In any](f func(s *Server, c call, in In) (any, error)) operation {
	return func(s *Server, c call, body []byte) (any, error) {
		var in In
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, fmt.Errorf("the request is not what the operation takes: %w", err)
		}
		return f(s, c, in)
	}
}

// ofQueue is the part of a request that names its queue.
type ofQueue struct{ QueueUrl string }

func (o ofQueue) url() string { return o.QueueUrl }

// onQueue makes an operation from a method with a typed request to one queue, which has the server to itself meanwhile.
func onQueue[In interface{ url() string }](f func(s *Server, q *queue, in In) (any, error)) operation {
	return typed(func(s *Server, _ call, in In) (any, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		q, err := s.queueAt(in.url())
		if err != nil {
			return nil, err
		}
		return f(s, q, in)
	})
}

var operations = map[string]operation{
	"CreateQueue":                  typed((*Server).createQueue),
	"DeleteQueue":                  onQueue((*Server).deleteQueue),
	"GetQueueUrl":                  typed((*Server).getQueueURL),
	"ListQueues":                   typed((*Server).listQueues),
	"GetQueueAttributes":           onQueue((*Server).getQueueAttributes),
	"SetQueueAttributes":           onQueue((*Server).setQueueAttributes),
	"PurgeQueue":                   onQueue((*Server).purgeQueue),
	"SendMessage":                  onQueue((*Server).sendMessage),
	"SendMessageBatch":             onQueue((*Server).sendMessageBatch),
	"ReceiveMessage":               typed((*Server).receiveMessage),
	"DeleteMessage":                onQueue((*Server).deleteMessage),
	"DeleteMessageBatch":           onQueue((*Server).deleteMessageBatch),
	"ChangeMessageVisibility":      onQueue((*Server).changeMessageVisibility),
	"ChangeMessageVisibilityBatch": onQueue((*Server).changeMessageVisibilityBatch),
	"ListDeadLetterSourceQueues":   typed((*Server).listDeadLetterSourceQueues),
	"StartMessageMoveTask":         typed((*Server).startMessageMoveTask),
	"ListMessageMoveTasks":         typed((*Server).listMessageMoveTasks),
	"TagQueue":                     onQueue((*Server).tagQueue),
	"UntagQueue":                   onQueue((*Server).untagQueue),
	"ListQueueTags":                onQueue((*Server).listQueueTags),
}

// ServeHTTP answers one call of the JSON protocol.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	op, ok := operations[name]
	if !ok {
		writeError(w, &apiError{"UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation", "localsqs does not know the operation " + strconv.Quote(name) + "."})
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		writeError(w, modelled("BatchRequestTooLong", "The request is longer than %d bytes.", maxRequest))
		return
	}
	if len(body) == 0 {
		body = []byte("{}")
	}
	out, err := op(s, call{ctx: r.Context(), base: "http://" + r.Host}, body)
	if err != nil {
		writeError(w, err)
		return
	}
	if out == nil {
		out = struct{}{}
	}
	answer, err := json.Marshal(out)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	_, _ = w.Write(answer) // an error means that the client is gone
}

// queueAt returns the queue of a URL or a name.
func (s *Server) queueAt(url string) (*queue, error) {
	if url == "" {
		return nil, missing("QueueUrl")
	}
	q := s.queues[url[strings.LastIndexByte(url, '/')+1:]]
	if q == nil {
		return nil, noQueue()
	}
	return q, nil
}

func (s *Server) byARN(arn string) *queue {
	return s.queues[arn[strings.LastIndexByte(arn, ':')+1:]]
}

func (c call) url(q *queue) string { return c.base + "/" + account + "/" + q.name }

// batchFailure is one entry that failed while the batch as a whole went through.
type batchFailure struct {
	ID          string `json:"Id"`
	SenderFault bool
	Code        string
	Message     string
}

// batch checks the ids of a batch and does each entry by itself.
func batch[In, Out any](entries []In, id func(In) string, do func(In) (Out, error)) (any, error) {
	if len(entries) == 0 {
		return nil, modelled("EmptyBatchRequest", "There should be at least one entry in the request.")
	}
	if len(entries) > 10 {
		return nil, modelled("TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10. You have sent %d.", len(entries))
	}
	seen := map[string]bool{}
	for _, e := range entries {
		switch {
		case !queueName.MatchString(id(e)):
			return nil, modelled("InvalidBatchEntryId", "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.")
		case seen[id(e)]:
			return nil, modelled("BatchEntryIdsNotDistinct", "Id %s repeated.", id(e))
		}
		seen[id(e)] = true
	}
	var out struct {
		Successful []Out          `json:",omitempty"`
		Failed     []batchFailure `json:",omitempty"`
	}
	for _, e := range entries {
		done, err := do(e)
		var failure *apiError
		if errors.As(err, &failure) {
			out.Failed = append(out.Failed, batchFailure{ID: id(e), SenderFault: true, Code: failure.code, Message: failure.message})
			continue
		}
		out.Successful = append(out.Successful, done)
	}
	return out, nil
}
