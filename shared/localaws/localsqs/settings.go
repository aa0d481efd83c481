package localsqs

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// settings are the queue attributes that change what the queue does, and all of them as they were given.
type settings struct {
	given       map[string]string
	fifo        bool
	contentDups bool
	delay       time.Duration
	visibility  time.Duration
	retention   time.Duration
	wait        time.Duration
	maxBytes    int
	deadLetters string // ARN
	maxReceives int
}

// numbers are the numeric attributes: their range and their default.
var numbers = map[string]struct{ min, max, byDefault int }{
	"DelaySeconds":                  {0, 900, 0},
	"MaximumMessageSize":            {1024, 1 << 20, 1 << 20},
	"MessageRetentionPeriod":        {60, 1_209_600, 345_600},
	"ReceiveMessageWaitTimeSeconds": {0, 20, 0},
	"VisibilityTimeout":             {0, 43_200, 30},
}

var otherAttributes = map[string]bool{
	"Policy": true, "RedrivePolicy": true, "RedriveAllowPolicy": true, "KmsMasterKeyId": true, "KmsDataKeyReusePeriodSeconds": true,
	"SqsManagedSseEnabled": true, "FifoQueue": true, "ContentBasedDeduplication": true, "DeduplicationScope": true, "FifoThroughputLimit": true,
}

// parseSettings reads the attributes of CreateQueue, or those of SetQueueAttributes over the former ones.
func parseSettings(given map[string]string) (settings, error) {
	s := settings{given: given, fifo: given["FifoQueue"] == "true", contentDups: given["ContentBasedDeduplication"] == "true"}
	for name, value := range given {
		if _, numeric := numbers[name]; !numeric && !otherAttributes[name] {
			return s, &apiError{"InvalidAttributeName", "InvalidAttributeName", "Unknown Attribute " + name + "."}
		}
		if r, numeric := numbers[name]; numeric {
			if n, err := strconv.Atoi(value); err != nil || n < r.min || n > r.max {
				return s, badAttribute(name)
			}
		}
	}
	seconds := func(name string) time.Duration { return time.Duration(s.number(name)) * time.Second }
	s.delay, s.visibility = seconds("DelaySeconds"), seconds("VisibilityTimeout")
	s.retention, s.wait = seconds("MessageRetentionPeriod"), seconds("ReceiveMessageWaitTimeSeconds")
	s.maxBytes = s.number("MaximumMessageSize")
	return s, s.parseRedrive()
}

func (s *settings) number(name string) int {
	if n, err := strconv.Atoi(s.given[name]); err == nil {
		return n
	}
	return numbers[name].byDefault
}

func (s *settings) parseRedrive() error {
	policy := s.given["RedrivePolicy"]
	if policy == "" {
		return nil
	}
	var p struct {
		DeadLetterTargetArn string          `json:"deadLetterTargetArn"`
		MaxReceiveCount     json.RawMessage `json:"maxReceiveCount"` // a number, or a number as text
	}
	if err := json.Unmarshal([]byte(policy), &p); err != nil {
		return invalid("Value %s for parameter RedrivePolicy is invalid. Reason: Redrive policy is not a valid JSON map.", policy)
	}
	text := string(p.MaxReceiveCount)
	if unquoted, err := strconv.Unquote(text); err == nil {
		text = unquoted
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1000 {
		return invalid("Value %s for parameter RedrivePolicy is invalid. Reason: Invalid value for maxReceiveCount: %s, valid values are from 1 to 1000 both inclusive.", policy, text)
	}
	if p.DeadLetterTargetArn == "" {
		return invalid("Value %s for parameter RedrivePolicy is invalid. Reason: Redrive policy does not contain mandatory attribute: deadLetterTargetArn.", policy)
	}
	s.deadLetters, s.maxReceives = p.DeadLetterTargetArn, n
	return nil
}

func badAttribute(name string) error {
	return &apiError{"InvalidAttributeValue", "InvalidAttributeValue", "Invalid value for the parameter " + name + "."}
}

// attributes are what GetQueueAttributes knows of the queue.
func (q *queue) attributes() map[string]string {
	out := map[string]string{
		"QueueArn":                              q.arn,
		"CreatedTimestamp":                      fmt.Sprint(q.created.Unix()),
		"LastModifiedTimestamp":                 fmt.Sprint(q.modified.Unix()),
		"SqsManagedSseEnabled":                  "true",
		"ApproximateNumberOfMessages":           strconv.Itoa(len(q.messages) - q.schedule.inFlight - q.delayed),
		"ApproximateNumberOfMessagesNotVisible": strconv.Itoa(q.schedule.inFlight),
		"ApproximateNumberOfMessagesDelayed":    strconv.Itoa(q.delayed),
	}
	for name, r := range numbers {
		out[name] = strconv.Itoa(r.byDefault)
	}
	for name, value := range q.settings.given {
		if value == "" {
			continue
		}
		out[name] = value
	}
	return out
}
