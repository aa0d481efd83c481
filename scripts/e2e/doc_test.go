//go:build e2e

// Package e2e holds the local stack to what its HTTP contract promises: it starts the stack as a process of its own, on
// ports of its own, and knows it from the outside only, by the API, the steering of the provider's simulator and the
// AWS endpoint.
//
//	go test -count=1 -timeout 45m -tags e2e ./scripts/e2e/...
//
// E2E_RUNS repeats the test of the usage limit (3 when unset); E2E_FULL=1 takes the long forms of the tests that have one.
// E2E_SEED repeats the random run of TestEveryCallOfTheProviderIsAskedForByAUser with the seed that it logged.
// With AWS_ENDPOINT_URL_DYNAMODB and AWS_ENDPOINT_URL_SQS set, the stack that most tests share stands on those engines.
package e2e
