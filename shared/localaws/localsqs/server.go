package localsqs

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	contentType = "application/x-amz-json-1.0"
	account     = "000000000000"
	region      = "us-east-1"
	maxRequest  = 8 << 20 // a batch of 1 MiB with every byte escaped
)

// Server is an http.Handler that answers as Amazon SQS does. Queue URLs are {scheme and host of the call}/000000000000/{name}.
type Server struct {
	clock Clock

	mu     sync.Mutex
	queues map[string]*queue
	moves  []moveTask
}

// New returns a server without queues. A nil clock is the system's.
func New(clock Clock) *Server {
	if clock == nil {
		clock = SystemClock{}
	}
	return &Server{clock: clock, queues: map[string]*queue{}}
}

// call is one request to the service.
type call struct {
	ctx  context.Context
	base string
}

// operation decodes a request and answers it.
type operation func(s *Server, c call, body []byte) (any, error)

// typed makes an operation from a method with a typed request.
func typed[In any](f func(s *Server, c call, in In) (any, error)) operation {
	return func(s *Server, c call, body []byte) (any, error) {
		var in In
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, fmt.Errorf("the request is not what the operation takes: %w", err)
		}
		return f(s, c, in)
	}
}

var operations = map[string]operation{
	"CreateQueue":                  typed((*Server).createQueue),
	"DeleteQueue":                  typed((*Server).deleteQueue),
	"GetQueueUrl":                  typed((*Server).getQueueURL),
	"ListQueues":                   typed((*Server).listQueues),
	"GetQueueAttributes":           typed((*Server).getQueueAttributes),
	"SetQueueAttributes":           typed((*Server).setQueueAttributes),
	"PurgeQueue":                   typed((*Server).purgeQueue),
	"SendMessage":                  typed((*Server).sendMessage),
	"SendMessageBatch":             typed((*Server).sendMessageBatch),
	"ReceiveMessage":               typed((*Server).receiveMessage),
	"DeleteMessage":                typed((*Server).deleteMessage),
	"DeleteMessageBatch":           typed((*Server).deleteMessageBatch),
	"ChangeMessageVisibility":      typed((*Server).changeMessageVisibility),
	"ChangeMessageVisibilityBatch": typed((*Server).changeMessageVisibilityBatch),
	"ListDeadLetterSourceQueues":   typed((*Server).listDeadLetterSourceQueues),
	"StartMessageMoveTask":         typed((*Server).startMessageMoveTask),
	"ListMessageMoveTasks":         typed((*Server).listMessageMoveTasks),
	"TagQueue":                     typed((*Server).tagQueue),
	"UntagQueue":                   typed((*Server).untagQueue),
	"ListQueueTags":                typed((*Server).listQueueTags),
}

// ServeHTTP answers one call of the JSON protocol.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	op, ok := operations[name]
	if !ok {
		writeError(w, &apiError{"UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation", "localsqs does not know the operation " + strconv.Quote(name) + "."})
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		writeError(w, modelled("BatchRequestTooLong", "The request is longer than %d bytes.", maxRequest))
		return
	}
	if len(body) == 0 {
		body = []byte("{}")
	}
	out, err := op(s, call{ctx: r.Context(), base: "http://" + r.Host}, body)
	if err != nil {
		writeError(w, err)
		return
	}
	if out == nil {
		out = struct{}{}
	}
	answer, err := json.Marshal(out)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	_, _ = w.Write(answer) // an error means that the client is gone
}

// queueAt returns the queue of a URL or a name.
func (s *Server) queueAt(url string) (*queue, error) {
	if url == "" {
		return nil, missing("QueueUrl")
	}
	q := s.queues[url[strings.LastIndexByte(url, '/')+1:]]
	if q == nil {
		return nil, noQueue()
	}
	return q, nil
}

func (s *Server) byARN(arn string) *queue {
	return s.queues[arn[strings.LastIndexByte(arn, ':')+1:]]
}

func (c call) url(q *queue) string { return c.base + "/" + account + "/" + q.name }

var queueName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

type createQueueInput struct {
	QueueName  string
	Attributes map[string]string
	Tags       map[string]string `json:"tags"`
}

func (s *Server) createQueue(c call, in createQueueInput) (any, error) {
	name, fifo := strings.CutSuffix(in.QueueName, ".fifo")
	if !queueName.MatchString(name) || len(in.QueueName) > 80 {
		return nil, invalid("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	set, err := parseSettings(in.Attributes)
	if err != nil {
		return nil, err
	}
	if set.fifo != fifo {
		return nil, invalid("The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if set.deadLetters != "" && s.byARN(set.deadLetters) == nil {
		return nil, invalid("Value %s for parameter RedrivePolicy is invalid. Reason: Dead letter target does not exist.", in.Attributes["RedrivePolicy"])
	}
	if q := s.queues[in.QueueName]; q != nil {
		have := q.attributes()
		for name, value := range in.Attributes {
			if have[name] != value {
				return nil, &apiError{"QueueNameExists", "QueueAlreadyExists", "A queue already exists with the same name and a different value for attribute " + name}
			}
		}
		return map[string]string{"QueueUrl": c.url(q)}, nil
	}
	q := newQueue(in.QueueName, "arn:aws:sqs:"+region+":"+account+":"+in.QueueName, set, s.clock.Now())
	maps.Copy(q.tags, in.Tags)
	s.queues[q.name] = q
	return map[string]string{"QueueUrl": c.url(q)}, nil
}

type queueInput struct{ QueueUrl string }

func (s *Server) deleteQueue(_ call, in queueInput) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	delete(s.queues, q.name)
	q.signal()
	return nil, nil
}

func (s *Server) getQueueURL(c call, in struct{ QueueName string }) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[in.QueueName]
	if q == nil {
		return nil, noQueue()
	}
	return map[string]string{"QueueUrl": c.url(q)}, nil
}

type listQueuesInput struct {
	QueueNamePrefix string
	MaxResults      int
	NextToken       string
}

type listQueuesOutput struct {
	QueueUrls []string `json:",omitempty"`
	NextToken string   `json:",omitempty"`
}

func (s *Server) listQueues(c call, in listQueuesInput) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := in.MaxResults
	if limit == 0 {
		limit = 1000
	}
	var out listQueuesOutput
	for _, name := range slices.Sorted(maps.Keys(s.queues)) {
		if !strings.HasPrefix(name, in.QueueNamePrefix) || name <= in.NextToken {
			continue
		}
		if len(out.QueueUrls) == limit {
			if in.MaxResults > 0 { // AWS pages only when asked to
				last := out.QueueUrls[limit-1]
				out.NextToken = last[strings.LastIndexByte(last, '/')+1:]
			}
			break
		}
		out.QueueUrls = append(out.QueueUrls, c.url(s.queues[name]))
	}
	return out, nil
}

type getQueueAttributesInput struct {
	QueueUrl       string
	AttributeNames []string
}

func (s *Server) getQueueAttributes(_ call, in getQueueAttributesInput) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	q.refresh(s.clock.Now())
	all := q.attributes()
	if !slices.Contains(in.AttributeNames, "All") {
		maps.DeleteFunc(all, func(name, _ string) bool { return !slices.Contains(in.AttributeNames, name) })
	}
	return map[string]any{"Attributes": all}, nil
}

type setQueueAttributesInput struct {
	QueueUrl   string
	Attributes map[string]string
}

func (s *Server) setQueueAttributes(_ call, in setQueueAttributesInput) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	merged := map[string]string{}
	maps.Copy(merged, q.settings.given)
	maps.Copy(merged, in.Attributes)
	set, err := parseSettings(merged)
	if err != nil {
		return nil, err
	}
	if set.fifo != q.settings.fifo {
		return nil, badAttribute("FifoQueue")
	}
	if set.deadLetters != "" && s.byARN(set.deadLetters) == nil {
		return nil, invalid("Value %s for parameter RedrivePolicy is invalid. Reason: Dead letter target does not exist.", merged["RedrivePolicy"])
	}
	q.settings = set
	q.modified = s.clock.Now()
	return nil, nil
}

func (s *Server) purgeQueue(_ call, in queueInput) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return nil, q.purge(s.clock.Now())
}

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

func (s *Server) sendMessage(_ call, in struct {
	QueueUrl string
	sendInput
}) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	in.ID = ""
	return s.send(q, in.sendInput, s.clock.Now())
}

// batchFailure is one entry that failed while the batch as a whole went through.
type batchFailure struct {
	ID          string `json:"Id"`
	SenderFault bool
	Code        string
	Message     string
}

// batch checks the ids of a batch and does each entry by itself.
func batch[In, Out any](entries []In, id func(In) string, do func(In) (Out, error)) (any, error) {
	if len(entries) == 0 {
		return nil, modelled("EmptyBatchRequest", "There should be at least one entry in the request.")
	}
	if len(entries) > 10 {
		return nil, modelled("TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10. You have sent %d.", len(entries))
	}
	seen := map[string]bool{}
	for _, e := range entries {
		switch {
		case !queueName.MatchString(id(e)):
			return nil, modelled("InvalidBatchEntryId", "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.")
		case seen[id(e)]:
			return nil, modelled("BatchEntryIdsNotDistinct", "Id %s repeated.", id(e))
		}
		seen[id(e)] = true
	}
	var out struct {
		Successful []Out          `json:",omitempty"`
		Failed     []batchFailure `json:",omitempty"`
	}
	for _, e := range entries {
		done, err := do(e)
		var failure *apiError
		if errors.As(err, &failure) {
			out.Failed = append(out.Failed, batchFailure{ID: id(e), SenderFault: true, Code: failure.code, Message: failure.message})
			continue
		}
		out.Successful = append(out.Successful, done)
	}
	return out, nil
}

func (s *Server) sendMessageBatch(_ call, in struct {
	QueueUrl string
	Entries  []sendInput
}) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, err
	}
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

func (s *Server) deleteMessage(_ call, in struct {
	QueueUrl string
	receiptInput
}) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return nil, q.delete(in.ReceiptHandle, s.clock.Now())
}

type receiptBatchInput struct {
	QueueUrl string
	Entries  []receiptInput
}

func (s *Server) deleteMessageBatch(_ call, in receiptBatchInput) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, err
	}
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

func (s *Server) changeMessageVisibility(_ call, in struct {
	QueueUrl string
	receiptInput
}) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return nil, s.changeVisibility(q, in.receiptInput)
}

func (s *Server) changeMessageVisibilityBatch(_ call, in receiptBatchInput) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return batch(in.Entries, receiptID, func(e receiptInput) (receiptOutput, error) {
		return receiptOutput{e.ID}, s.changeVisibility(q, e)
	})
}

func (s *Server) listDeadLetterSourceQueues(c call, in queueInput) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	urls := []string{}
	for _, name := range slices.Sorted(maps.Keys(s.queues)) {
		if s.queues[name].settings.deadLetters == q.arn {
			urls = append(urls, c.url(s.queues[name]))
		}
	}
	return map[string]any{"queueUrls": urls}, nil
}

type moveTask struct {
	source, destination string
	moved               int
	started             time.Time
}

// startMessageMoveTask moves a dead-letter queue's messages back, at once. They are new messages then: new ids, new age.
func (s *Server) startMessageMoveTask(_ call, in struct{ SourceArn, DestinationArn string }) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.byARN(in.SourceArn)
	if from == nil {
		return nil, &apiError{"ResourceNotFoundException", "ResourceNotFoundException", "The resource that you specified for the SourceArn parameter doesn't exist."}
	}
	now := s.clock.Now()
	from.refresh(now)
	task := moveTask{source: in.SourceArn, destination: in.DestinationArn, started: now}
	for e := from.age.Front(); e != nil; {
		m := messageAt(e)
		e = e.Next()
		target := in.DestinationArn
		if target == "" {
			target = m.source
		}
		to := s.byARN(target)
		if m.state != ready || to == nil {
			continue
		}
		from.drop(m, now)
		to.add(&message{id: newID(), body: m.body, attributes: m.attributes, traceHeader: m.traceHeader, groupID: m.groupID, deduplicationID: m.deduplicationID, sent: now}, 0, now)
		task.moved++
	}
	s.moves = append(s.moves, task)
	return map[string]string{"TaskHandle": newID()}, nil
}

func (s *Server) listMessageMoveTasks(_ call, in struct{ SourceArn string }) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	results := []map[string]any{}
	for _, t := range slices.Backward(s.moves) {
		if t.source == in.SourceArn {
			results = append(results, map[string]any{
				"SourceArn": t.source, "DestinationArn": t.destination, "Status": "COMPLETED",
				"ApproximateNumberOfMessagesMoved": t.moved, "StartedTimestamp": t.started.UnixMilli(),
			})
		}
	}
	return map[string]any{"Results": results}, nil
}

func (s *Server) tagQueue(_ call, in struct {
	QueueUrl string
	Tags     map[string]string
}) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	maps.Copy(q.tags, in.Tags)
	return nil, nil
}

func (s *Server) untagQueue(_ call, in struct {
	QueueUrl string
	TagKeys  []string
}) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	for _, key := range in.TagKeys {
		delete(q.tags, key)
	}
	return nil, nil
}

func (s *Server) listQueueTags(_ call, in queueInput) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return map[string]any{"Tags": maps.Clone(q.tags)}, nil
}
