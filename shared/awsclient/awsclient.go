// Package awsclient knows how the functions talk to AWS: which credentials and endpoints, which timeouts and retries, and what
// the calls cost.
//
// The configuration is made from the environment that Lambda gives a function, without the SDK's config package: that one
// brings profiles, SSO and STS along, and 1.8 MB of binary that no function uses.
package awsclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

const (
	// MaxAttempts is how often a call is made at most, the first try included.
	MaxAttempts = 3
	// DynamoDBTimeout bounds one attempt of a call to DynamoDB, which usually answers within 10 ms.
	DynamoDBTimeout = 2 * time.Second
	// SQSTimeout bounds one attempt of a call to SQS. No function polls a queue itself, so none needs longer.
	SQSTimeout = 3 * time.Second

	connectTimeout = time.Second
	// One invocation works on a batch of ten messages; a few calls of each run at a time.
	idlePerHost = 32

	firstBackoff = 50 * time.Millisecond
	maxBackoff   = time.Second
)

// Load returns the configuration for clients. It reads AWS_REGION (or AWS_DEFAULT_REGION), AWS_ACCESS_KEY_ID,
// AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, which Lambda sets for the life of the environment, and the SDKs' own
// AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_<SERVICE>, which point a client elsewhere. The error names what is missing.
func Load(context.Context) (aws.Config, error) { return load(os.Getenv) }

func load(getenv func(string) string) (aws.Config, error) {
	region := getenv("AWS_REGION")
	if region == "" {
		region = getenv("AWS_DEFAULT_REGION")
	}
	creds := aws.Credentials{
		AccessKeyID: getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: getenv("AWS_SESSION_TOKEN"),
		Source: "environment",
	}
	var missing []error
	for _, v := range []struct{ name, value string }{
		{"AWS_REGION", region}, {"AWS_ACCESS_KEY_ID", creds.AccessKeyID}, {"AWS_SECRET_ACCESS_KEY", creds.SecretAccessKey},
	} {
		if v.value == "" {
			missing = append(missing, fmt.Errorf("%s is not set", v.name))
		}
	}
	if len(missing) > 0 {
		return aws.Config{}, fmt.Errorf("configure AWS from the environment: %w", errors.Join(missing...))
	}
	cfg := aws.Config{
		Region:      region,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return creds, nil }),
		Retryer:     newRetryer,
	}
	if url := getenv("AWS_ENDPOINT_URL"); url != "" {
		cfg.BaseEndpoint = &url
	}
	cfg.ConfigSources = []any{endpoints(getenv)}
	return cfg, nil
}

// endpoints finds a service's endpoint in the environment; the SDK's clients ask it.
type endpoints func(string) string

// GetServiceBaseEndpoint returns AWS_ENDPOINT_URL_<SERVICE> for the SDK's name of a service.
func (getenv endpoints) GetServiceBaseEndpoint(_ context.Context, service string) (string, bool, error) {
	url := getenv("AWS_ENDPOINT_URL_" + strings.ToUpper(strings.ReplaceAll(service, " ", "_")))
	return url, url != "", nil
}

func newRetryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = MaxAttempts
		// A plain write that met a transaction on its item.
		o.Retryables = append(o.Retryables, retry.RetryableErrorCode{Codes: map[string]struct{}{"TransactionConflictException": {}}})
		o.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) {
			return backoff(attempt, rand.Float64()), nil
		})
	})
}

// backoff is a random part (0 to 1) of a bound that doubles with each attempt. The SDK's own starts at a second, which is
// more than a function has to spare.
func backoff(attempt int, random float64) time.Duration {
	bound := min(firstBackoff<<min(attempt, 10), maxBackoff)
	return time.Duration(random * float64(bound))
}

// HTTPClient returns an HTTP client for the SDK that keeps connections open between calls and bounds each attempt.
func HTTPClient(timeout time.Duration) aws.HTTPClient {
	return plainBodies{awshttp.NewBuildableClient().WithTimeout(timeout).WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConns = idlePerHost
		t.MaxIdleConnsPerHost = idlePerHost
		t.TLSHandshakeTimeout = connectTimeout
		t.ResponseHeaderTimeout = timeout
	})}
}

// plainBodies hides the WriteTo of the SDK's request bodies. The SDK closes a body as soon as the answer is there, and WriteTo
// of a closed one fails where Read just ends; when the answer comes before net/http has looked for the body's end, as it does on one
// machine, that failure closes the connection, at times under the answer that is being read from it.
type plainBodies struct{ aws.HTTPClient }

func (c plainBodies) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return c.HTTPClient.Do(r)
}

// NewDynamoDB returns a client for DynamoDB. Attempts end after DynamoDBTimeout.
func NewDynamoDB(cfg aws.Config, opts ...func(*dynamodb.Options)) *dynamodb.Client {
	cfg.HTTPClient = HTTPClient(DynamoDBTimeout)
	return dynamodb.NewFromConfig(cfg, opts...)
}

// NewSQS returns a client for SQS. Attempts end after SQSTimeout, so it is not for long polls.
func NewSQS(cfg aws.Config, opts ...func(*sqs.Options)) *sqs.Client {
	cfg.HTTPClient = HTTPClient(SQSTimeout)
	return sqs.NewFromConfig(cfg, opts...)
}
