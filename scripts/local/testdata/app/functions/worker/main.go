// Command worker says what it got from its queue. A message that begins with "fail" fails at its first receive, one that
// begins with "crash" ends the process then.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

func main() { lambda.Start(work) }

func work(_ context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
	var out events.SQSEventResponse
	for _, m := range event.Records {
		receives := m.Attributes["ApproximateReceiveCount"]
		line, err := json.Marshal(map[string]string{"body": m.Body, "receives": receives})
		if err != nil {
			return out, err
		}
		fmt.Println(string(line))
		if receives != "1" {
			continue
		}
		switch what, _, _ := strings.Cut(m.Body, "-"); what {
		case "fail":
			out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
		case "crash":
			os.Exit(4)
		}
	}
	return out, nil
}
