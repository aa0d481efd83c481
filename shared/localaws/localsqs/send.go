package localsqs

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"time"
)

type sendInput struct {
	ID                      string `json:"Id"`
	MessageBody             string
	DelaySeconds            *int
	MessageAttributes       map[string]attributeValue
	MessageSystemAttributes map[string]attributeValue
	MessageGroupID          string `json:"MessageGroupId"`
	MessageDeduplicationID  string `json:"MessageDeduplicationId"`
}

type sendOutput struct {
	ID                     string `json:"Id,omitempty"`
	MessageID              string `json:"MessageId"`
	MD5OfMessageBody       string
	MD5OfMessageAttributes string `json:",omitempty"`
	SequenceNumber         string `json:",omitempty"`
}

var groupID = regexp.MustCompile("^[A-Za-z0-9!-/:-@[-`{-~]{1,128}$")

// send puts one message into the queue.
func (s *Server) send(q *queue, in sendInput, now time.Time) (sendOutput, error) {
	var out sendOutput
	if err := validateMessage(in.MessageBody, in.MessageAttributes); err != nil {
		return out, err
	}
	if n := messageSize(in.MessageBody, in.MessageAttributes); n > q.settings.maxBytes {
		return out, invalid("One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", q.settings.maxBytes)
	}
	delay := q.settings.delay
	if in.DelaySeconds != nil {
		if *in.DelaySeconds < 0 || *in.DelaySeconds > 900 {
			return out, invalid("Value %d for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.", *in.DelaySeconds)
		}
		if q.settings.fifo && *in.DelaySeconds > 0 {
			return out, invalid("Value %d for parameter DelaySeconds is invalid. Reason: The request include parameter that is not valid for this queue type.", *in.DelaySeconds)
		}
		delay = time.Duration(*in.DelaySeconds) * time.Second
	}
	if in.MessageGroupID != "" && !groupID.MatchString(in.MessageGroupID) {
		return out, invalid("Value for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length.")
	}
	out.MD5OfMessageBody, out.MD5OfMessageAttributes = bodyDigest(in.MessageBody), attributesDigest(in.MessageAttributes)
	dedup := in.MessageDeduplicationID
	switch {
	case !q.settings.fifo && dedup != "":
		return out, invalid("Value %s for parameter MessageDeduplicationId is invalid. Reason: The request include parameter that is not valid for this queue type.", dedup)
	case q.settings.fifo && in.MessageGroupID == "":
		return out, missing("MessageGroupId")
	case q.settings.fifo && dedup == "" && !q.settings.contentDups:
		return out, invalid("The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly")
	case q.settings.fifo && dedup == "":
		sum := sha256.Sum256([]byte(in.MessageBody))
		dedup = hex.EncodeToString(sum[:])
	}
	if q.settings.fifo {
		if before, ok := q.once(dedup, now); ok {
			out.MessageID, out.SequenceNumber = before.id, sequenceNumber(before.sequence)
			return out, nil
		}
	}
	m := &message{id: newID(), body: in.MessageBody, attributes: in.MessageAttributes, groupID: in.MessageGroupID, deduplicationID: dedup, sent: now}
	if trace := in.MessageSystemAttributes["AWSTraceHeader"].StringValue; trace != nil {
		m.traceHeader = *trace
	}
	q.add(m, delay, now)
	out.MessageID = m.id
	if q.settings.fifo {
		q.recent[dedup] = sentOnce{at: now, id: m.id, sequence: m.sequence}
		q.forget = append(q.forget, dedup)
		out.SequenceNumber = sequenceNumber(m.sequence)
	}
	return out, nil
}

func sequenceNumber(n uint64) string { return fmt.Sprintf("%020d", n) }

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (s *Server) sendMessage(q *queue, in struct {
	ofQueue
	sendInput
}) (any, error) {
	in.ID = ""
	return s.send(q, in.sendInput, s.clock.Now())
}

func (s *Server) sendMessageBatch(q *queue, in struct {
	ofQueue
	Entries []sendInput
}) (any, error) {
	total := 0
	for _, e := range in.Entries {
		total += messageSize(e.MessageBody, e.MessageAttributes)
	}
	if total > 1<<20 {
		return nil, modelled("BatchRequestTooLong", "Batch requests cannot be longer than %d bytes. You have sent %d bytes.", 1<<20, total)
	}
	now := s.clock.Now()
	return batch(in.Entries, func(e sendInput) string { return e.ID }, func(e sendInput) (sendOutput, error) {
		out, err := s.send(q, e, now)
		out.ID = e.ID
		return out, err
	})
}
