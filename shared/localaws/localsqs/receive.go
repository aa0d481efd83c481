package localsqs

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

type receiveInput struct {
	QueueUrl                    string
	MaxNumberOfMessages         *int
	VisibilityTimeout           *int
	WaitTimeSeconds             *int
	AttributeNames              []string
	MessageSystemAttributeNames []string
	MessageAttributeNames       []string
}

// within returns *n, or byDefault where nothing was given.
func within(name string, n *int, lowest, highest, byDefault int) (int, error) {
	if n == nil {
		return byDefault, nil
	}
	if *n < lowest || *n > highest {
		return 0, invalid("Value %d for parameter %s is invalid. Reason: Must be between %d and %d, if provided.", *n, name, lowest, highest)
	}
	return *n, nil
}

func (s *Server) receiveMessage(c call, in receiveInput) (any, error) {
	most, err := within("MaxNumberOfMessages", in.MaxNumberOfMessages, 1, maxReceiveBatch, 1)
	if err != nil {
		return nil, err
	}
	wait, err := within("WaitTimeSeconds", in.WaitTimeSeconds, 0, 20, -1)
	if err != nil {
		return nil, err
	}
	visibility, err := within("VisibilityTimeout", in.VisibilityTimeout, 0, int(maxVisibility/time.Second), -1)
	if err != nil {
		return nil, err
	}
	var deadline time.Time
	for {
		out, changed, next, err := s.receiveNow(in, most, visibility, &wait)
		if err != nil || len(out) > 0 {
			return map[string]any{"Messages": out}, err
		}
		now := s.clock.Now()
		if deadline.IsZero() {
			deadline = now.Add(time.Duration(wait) * time.Second)
		}
		if !now.Before(deadline) {
			return nil, nil
		}
		if next.IsZero() || next.After(deadline) {
			next = deadline
		}
		select {
		case <-changed:
		case <-s.clock.After(next.Sub(now)):
		case <-c.ctx.Done():
			return nil, nil
		}
	}
}

// receiveNow is one look at the queue; when there is nothing, changed and next say when to look again. A negative wait is
// replaced by the queue's.
func (s *Server) receiveNow(in receiveInput, most, visibility int, wait *int) (out []map[string]any, changed <-chan struct{}, next time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, nil, next, err
	}
	timeout := time.Duration(visibility) * time.Second
	if visibility < 0 {
		timeout = q.settings.visibility
	}
	if *wait < 0 {
		*wait = int(q.settings.wait / time.Second)
	}
	var deadLetters *queue
	if q.settings.deadLetters != "" {
		deadLetters = s.byARN(q.settings.deadLetters)
	}
	for _, m := range q.receive(most, timeout, deadLetters, s.clock.Now()) {
		out = append(out, m.answer(in))
	}
	if len(out) == 0 && q.schedule.inFlight >= maxInFlight && *wait == 0 {
		return nil, nil, next, &apiError{"OverLimit", "OverLimit", "Too many messages in flight."}
	}
	return out, q.changed, q.next(), nil
}

// answer is the message as ReceiveMessage shows it.
func (m *message) answer(in receiveInput) map[string]any {
	out := map[string]any{"MessageId": m.id, "ReceiptHandle": m.receipt, "Body": m.body, "MD5OfBody": bodyDigest(m.body)}
	system := m.system()
	wanted := append(slices.Clone(in.AttributeNames), in.MessageSystemAttributeNames...)
	if !slices.Contains(wanted, "All") {
		maps.DeleteFunc(system, func(name, _ string) bool { return !slices.Contains(wanted, name) })
	}
	if len(system) > 0 {
		out["Attributes"] = system
	}
	attributes := maps.Clone(m.attributes)
	maps.DeleteFunc(attributes, func(name string, _ attributeValue) bool { return !selected(name, in.MessageAttributeNames) })
	if len(attributes) > 0 {
		out["MessageAttributes"] = attributes
		out["MD5OfMessageAttributes"] = attributesDigest(attributes)
	}
	return out
}

func (m *message) system() map[string]string {
	out := map[string]string{
		"SenderId":                         account,
		"SentTimestamp":                    strconv.FormatInt(m.sent.UnixMilli(), 10),
		"ApproximateReceiveCount":          strconv.Itoa(m.receives),
		"ApproximateFirstReceiveTimestamp": strconv.FormatInt(m.firstReceived.UnixMilli(), 10),
	}
	for name, value := range map[string]string{
		"MessageGroupId": m.groupID, "MessageDeduplicationId": m.deduplicationID, "AWSTraceHeader": m.traceHeader, "DeadLetterQueueSourceArn": m.source,
	} {
		if value != "" {
			out[name] = value
		}
	}
	if m.deduplicationID != "" {
		out["SequenceNumber"] = sequenceNumber(m.sequence)
	}
	return out
}

// selected says whether MessageAttributeNames asks for the attribute: by its name, a prefix with ".*", or all.
func selected(name string, patterns []string) bool {
	for _, p := range patterns {
		if p == name || p == "All" || p == ".*" {
			return true
		}
		if prefix, ok := strings.CutSuffix(p, ".*"); ok && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

type receiptInput struct {
	ID                string `json:"Id"`
	ReceiptHandle     string
	VisibilityTimeout *int
}

type receiptOutput struct {
	ID string `json:"Id"`
}

func receiptID(in receiptInput) string { return in.ID }

func (s *Server) deleteMessage(q *queue, in struct {
	ofQueue
	receiptInput
}) (any, error) {
	return nil, q.delete(in.ReceiptHandle, s.clock.Now())
}

type receiptBatchInput struct {
	ofQueue
	Entries []receiptInput
}

func (s *Server) deleteMessageBatch(q *queue, in receiptBatchInput) (any, error) {
	return batch(in.Entries, receiptID, func(e receiptInput) (receiptOutput, error) {
		return receiptOutput{e.ID}, q.delete(e.ReceiptHandle, s.clock.Now())
	})
}

func (s *Server) changeVisibility(q *queue, in receiptInput) error {
	// The SDKs leave a zero out of the request.
	seconds, err := within("VisibilityTimeout", in.VisibilityTimeout, 0, int(maxVisibility/time.Second), 0)
	if err != nil {
		return err
	}
	return q.changeVisibility(in.ReceiptHandle, time.Duration(seconds)*time.Second, s.clock.Now())
}

func (s *Server) changeMessageVisibility(q *queue, in struct {
	ofQueue
	receiptInput
}) (any, error) {
	return nil, s.changeVisibility(q, in.receiptInput)
}

func (s *Server) changeMessageVisibilityBatch(q *queue, in receiptBatchInput) (any, error) {
	return batch(in.Entries, receiptID, func(e receiptInput) (receiptOutput, error) {
		return receiptOutput{e.ID}, s.changeVisibility(q, e)
	})
}
