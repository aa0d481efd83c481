package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Prices of AWS in us-east-1, in dollars per million: requests, GB-seconds and capacity units. From the services' price lists,
// without the free tier, at the first tier.
const (
	httpAPIPrice     = 1.00
	lambdaPrice      = 0.20
	lambdaGBsPrice   = 13.33 // arm64
	sqsPrice         = 0.40
	fairQueuePrice   = 0.10
	writeUnitPrice   = 0.625
	readUnitPrice    = 0.125
	lambdaMemoryGB   = 0.25 // MemorySize 256 in template.yaml
	assumedCall      = 20 * time.Millisecond
	assumedDispatch  = 200 * time.Millisecond
	queueRequestsFor = 3 // a message is sent, received and deleted
)

// work is what one message made AWS do.
type work struct {
	// apiRequests are calls of the HTTP API: the CRM's, and the provider's callbacks. Each is a call of a function.
	apiRequests int
	// dispatches are calls of the dispatcher.
	dispatches int
	// queueRequests are those of SQS; polling an empty queue is nobody's message.
	queueRequests         int
	writeUnits, readUnits float64
}

// cost is in dollars, for a million such messages.
type cost struct{ api, lambda, queue, tables float64 }

func (w work) cost() cost {
	calls := float64(w.apiRequests + w.dispatches)
	seconds := float64(w.apiRequests)*assumedCall.Seconds() + float64(w.dispatches)*assumedDispatch.Seconds()
	return cost{
		api:    float64(w.apiRequests) * httpAPIPrice,
		lambda: calls*lambdaPrice + seconds*lambdaMemoryGB*lambdaGBsPrice,
		queue:  float64(w.queueRequests) * (sqsPrice + fairQueuePrice),
		tables: w.writeUnits*writeUnitPrice + w.readUnits*readUnitPrice,
	}
}

func (c cost) total() float64 { return c.api + c.lambda + c.queue + c.tables }

// costLines say what the median of messages took and what it costs, how far they differ, and what is assumed. There is
// at least one.
func costLines(all []work) []string {
	sorted := slices.SortedFunc(slices.Values(all), func(a, b work) int { return cmp.Compare(a.cost().total(), b.cost().total()) })
	w := sorted[(len(sorted)-1)/2]
	c := w.cost()
	differ := "all cost the same"
	if least, most := sorted[0].cost().total(), sorted[len(sorted)-1].cost().total(); most > least {
		differ = fmt.Sprintf("with warmer and colder caches $%.2f to $%.2f", least, most)
	}
	return []string{
		fmt.Sprintf("DynamoDB: %s write units, %s read units. SQS: %d requests. HTTP API: %d requests (1 send, %d callbacks). Lambda: %d calls",
			units(w.writeUnits), units(w.readUnits), w.queueRequests, w.apiRequests, w.apiRequests-1, w.apiRequests+w.dispatches),
		fmt.Sprintf("AWS: $%.2f per million messages = HTTP API %.2f + Lambda %.2f + SQS %.2f + DynamoDB %.2f", c.total(), c.api, c.lambda, c.queue, c.tables),
		fmt.Sprintf("the median of %d messages; %s", len(sorted), differ),
		fmt.Sprintf("assumed: us-east-1, on demand, no free tier; Lambda arm64 with %g MB, %d ms a call and %d ms for the dispatcher, which waits for the provider; no logs, storage or traffic",
			lambdaMemoryGB*1024, assumedCall.Milliseconds(), assumedDispatch.Milliseconds()),
	}
}

// units writes capacity units without needless zeros.
func units(n float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.1f", n), "0"), ".")
}
