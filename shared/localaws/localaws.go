// Package localaws knows how to stand in for the AWS services that the functions use, on one machine and without an account:
// one HTTP listener answers as DynamoDB and as SQS, by the X-Amz-Target of the call. State is in memory and ends with the
// process. The rules of the services are in the packages below it.
package localaws

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"contactcenter/shared/localaws/localdynamo"
	"contactcenter/shared/localaws/localsqs"
)

// Option changes what Start starts.
type Option func(*options)

type options struct {
	clock    localsqs.Clock
	dynamodb http.Handler
}

// WithClock makes the queues keep time by c. The default is the system's clock.
func WithClock(c localsqs.Clock) Option { return func(o *options) { o.clock = c } }

// WithDynamoDB makes h answer the calls to DynamoDB in place of the engine in this package.
func WithDynamoDB(h http.Handler) Option { return func(o *options) { o.dynamodb = h } }

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
	queues := localsqs.New(o.clock)
	tables := o.dynamodb
	if tables == nil {
		tables = localdynamo.New()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch service, _, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); service {
		case "AmazonSQS":
			queues.ServeHTTP(w, r)
		case "DynamoDB_20120810":
			tables.ServeHTTP(w, r)
		default:
			http.Error(w, "this endpoint answers the JSON protocols of DynamoDB and SQS, by X-Amz-Target", http.StatusNotFound)
		}
	})
}
