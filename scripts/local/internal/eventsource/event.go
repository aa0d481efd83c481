package eventsource

import (
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

type record struct {
	MessageID              string               `json:"messageId"`
	ReceiptHandle          string               `json:"receiptHandle"`
	Body                   string               `json:"body"`
	Attributes             map[string]string    `json:"attributes"`
	MessageAttributes      map[string]attribute `json:"messageAttributes"`
	MD5OfMessageAttributes string               `json:"md5OfMessageAttributes,omitempty"`
	MD5OfBody              string               `json:"md5OfBody"`
	EventSource            string               `json:"eventSource"`
	EventSourceARN         string               `json:"eventSourceARN"`
	AWSRegion              string               `json:"awsRegion"`
}

type attribute struct {
	StringValue      *string  `json:"stringValue,omitempty"`
	BinaryValue      []byte   `json:"binaryValue,omitempty"`
	StringListValues []string `json:"stringListValues"`
	BinaryListValues [][]byte `json:"binaryListValues"`
	DataType         string   `json:"dataType"`
}

// event is a batch as Lambda hands it over.
func (m *Mapping) event(batch []types.Message) ([]byte, error) {
	records := make([]record, len(batch))
	for i, message := range batch {
		attributes := make(map[string]attribute, len(message.MessageAttributes))
		for name, a := range message.MessageAttributes {
			attributes[name] = attribute{StringValue: a.StringValue, BinaryValue: a.BinaryValue, StringListValues: []string{}, BinaryListValues: [][]byte{}, DataType: aws.ToString(a.DataType)}
		}
		records[i] = record{
			MessageID: aws.ToString(message.MessageId), ReceiptHandle: aws.ToString(message.ReceiptHandle), Body: aws.ToString(message.Body),
			Attributes: message.Attributes, MessageAttributes: attributes,
			MD5OfMessageAttributes: aws.ToString(message.MD5OfMessageAttributes), MD5OfBody: aws.ToString(message.MD5OfBody),
			EventSource: "aws:sqs", EventSourceARN: m.QueueARN, AWSRegion: m.Region,
		}
	}
	event, err := json.Marshal(map[string]any{"Records": records})
	if err != nil {
		return nil, fmt.Errorf("make the event of a batch: %w", err)
	}
	return event, nil
}
