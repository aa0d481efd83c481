// Package localaws knows how to stand in for the AWS services that the functions use, on one machine and without an account:
// one HTTP listener answers as DynamoDB and as SQS, by the X-Amz-Target of the call. State is in memory and ends with the
// process. The rules of the services are in the packages below it.
//
// The endpoint counts what the calls cost: GET /_local/usage returns an awsclient.Report as JSON, and POST /_local/usage/reset
// starts again from nothing.
package localaws

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"contactcenter/shared/localaws/localdynamo"
	"contactcenter/shared/localaws/localsqs"
)

// Option changes what Start starts.
type Option func(*options)

type options struct {
	clock    localsqs.Clock
	dynamodb http.Handler
	sqs      http.Handler
}

// WithClock makes the queues keep time by c. The default is the system's clock.
func WithClock(c localsqs.Clock) Option { return func(o *options) { o.clock = c } }

// WithDynamoDB makes h answer the calls to DynamoDB in place of the engine of package localdynamo; a proxy to another engine
// puts the counting in front of that one.
func WithDynamoDB(h http.Handler) Option { return func(o *options) { o.dynamodb = h } }

// WithSQS makes h answer the calls to SQS in place of the engine of package localsqs.
func WithSQS(h http.Handler) Option { return func(o *options) { o.sqs = h } }

// Server is a running endpoint.
type Server struct {
	http *http.Server
	url  string
	done chan error
}

// Start listens on addr (host:port; port 0 takes a free one) and answers until Close is called or ctx ends. It returns when the
// endpoint is ready. The error says so when the port is in use.
func Start(ctx context.Context, addr string, opts ...Option) (*Server, error) {
	var listening net.ListenConfig
	l, err := listening.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for the AWS endpoint: %w", err)
	}
	s := &Server{
		http: &http.Server{Handler: NewHandler(opts...), ReadHeaderTimeout: 10 * time.Second},
		url:  "http://" + l.Addr().String(),
		done: make(chan error, 1),
	}
	go func() { s.done <- s.http.Serve(l) }()
	context.AfterFunc(ctx, func() { _ = s.http.Close() }) // Close reports what Serve returned
	return s, nil
}

// URL is the endpoint for AWS_ENDPOINT_URL_DYNAMODB and AWS_ENDPOINT_URL_SQS.
func (s *Server) URL() string { return s.url }

// Close ends all calls, long polls too, and the listener.
func (s *Server) Close() error {
	if err := s.http.Close(); err != nil {
		return fmt.Errorf("close the AWS endpoint: %w", err)
	}
	err := <-s.done
	s.done <- err
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the AWS endpoint: %w", err)
	}
	return nil
}

// NewHandler returns the endpoint as a handler, for a server of one's own.
func NewHandler(opts ...Option) http.Handler {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	if o.dynamodb == nil {
		o.dynamodb = localdynamo.New()
	}
	if o.sqs == nil {
		o.sqs = localsqs.New(o.clock)
	}
	return &meter{tables: o.dynamodb, queues: o.sqs}
}
