// Command echo answers with what it was handed, or behaves as badly as it is told to.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() { lambda.Start(echo) }

func echo(ctx context.Context, event map[string]any) (any, error) {
	path, _ := event["rawPath"].(string)
	switch do := strings.TrimPrefix(path, "/public/"); do {
	case "crash":
		os.Exit(3)
	case "error":
		return nil, errors.New("as told")
	case "wait":
		fmt.Println("waiting")
		<-ctx.Done()
		select {}
	}
	body, err := json.Marshal(map[string]any{"event": event, "pid": os.Getpid(), "greeting": os.Getenv("GREETING"),
		"table": os.Getenv("TABLE"), "queue": os.Getenv("QUEUE_URL"), "base": os.Getenv("BASE_URL"), "secret": len(os.Getenv("SECRET"))})
	if err != nil {
		return nil, err
	}
	return map[string]any{"statusCode": 200, "headers": map[string]string{"content-type": "application/json"}, "body": string(body)}, nil
}
