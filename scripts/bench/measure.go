package main

import (
	"math"

	"contactcenter/shared/awsclient"
)

// callbacks is how many status callbacks a message gets: sent, delivered, read.
const callbacks = 3

// counts are what a scenario's messages took, all together.
type counts struct {
	messages int
	// posts and hooks are calls of the HTTP API: by the account, and by the provider.
	posts, hooks int
	// batches are the dispatcher's invocations, each by one receive that brought messages.
	batches int
	usage   awsclient.Report
}

// requests are AWS requests by kind, of one message.
type requests struct {
	HTTPAPI  float64 `json:"http_api"`
	Lambda   float64 `json:"lambda"`
	SQS      float64 `json:"sqs"`
	DynamoDB float64 `json:"dynamodb"`
	Total    float64 `json:"total"`
}

// line is one operation on one table or queue, of one message.
type line struct {
	Operation  string  `json:"operation"`
	Resource   string  `json:"resource"`
	Requests   float64 `json:"requests"`
	WriteUnits float64 `json:"write_units,omitempty"`
	ReadUnits  float64 `json:"read_units,omitempty"`
}

// cost is what one message took on the average.
type cost struct {
	WriteUnits float64  `json:"write_units"`
	ReadUnits  float64  `json:"read_units"`
	Requests   requests `json:"aws_requests"`
	// MeanBatch is the messages in a dispatcher's invocation; 0: it was not invoked.
	MeanBatch float64 `json:"mean_batch"`
	// IdleReceives are all receives that brought nothing. They are no part of the message's requests: they go on at the
	// same rate without any message.
	IdleReceives int64  `json:"idle_receives"`
	Calls        []line `json:"calls"`
}

// of gives the cost of one message. A receive that brought messages led to one invocation of the dispatcher; all
// others are idle polling.
func (c counts) cost() cost {
	per := func(n float64) float64 { return math.Round(n/float64(c.messages)*1000) / 1000 }
	var out cost
	var queue, tables int64
	for _, call := range c.usage.Calls {
		n := call.Requests
		if call.Service == "SQS" && call.Operation == "ReceiveMessage" {
			out.IdleReceives += n
			continue
		}
		if call.Service == "SQS" {
			queue += n
		} else {
			tables += n
		}
		out.Calls = append(out.Calls, line{call.Service + "." + call.Operation, call.Resource, per(float64(n)), per(call.WriteUnits), per(call.ReadUnits)})
	}
	if c.batches > 0 {
		out.IdleReceives = max(out.IdleReceives-int64(c.batches), 0)
		queue += int64(c.batches)
		out.Calls = append(out.Calls, line{Operation: "SQS.ReceiveMessage", Resource: "with messages", Requests: per(float64(c.batches))})
		out.MeanBatch = math.Round(float64(c.messages)/float64(c.batches)*100) / 100
	}
	out.WriteUnits, out.ReadUnits = per(c.usage.Total.WriteUnits), per(c.usage.Total.ReadUnits)
	api := c.posts + c.hooks
	invokes := api + c.batches
	out.Requests = requests{per(float64(api)), per(float64(invokes)), per(float64(queue)), per(float64(tables)), per(float64(int64(api+invokes) + queue + tables))}
	return out
}

// Prices of us-east-1 in November 2026, in dollars a million. Lambda's own time is left out: it depends on memory and on the
// provider's answer.
const (
	priceAPI    = 1.00
	priceInvoke = 0.20
	priceSQS    = 0.40
	priceWrite  = 0.625
	priceRead   = 0.125
)

// dollars is the price of a million such messages, without Lambda's time and logs.
func (c cost) dollars() float64 {
	sum := c.Requests.HTTPAPI*priceAPI + c.Requests.Lambda*priceInvoke + c.Requests.SQS*priceSQS + c.WriteUnits*priceWrite + c.ReadUnits*priceRead
	return math.Round(sum*100) / 100
}
