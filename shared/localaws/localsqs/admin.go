package localsqs

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

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

func (s *Server) deleteQueue(q *queue, _ ofQueue) (any, error) {
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
	ofQueue
	AttributeNames []string
}

func (s *Server) getQueueAttributes(q *queue, in getQueueAttributesInput) (any, error) {
	q.refresh(s.clock.Now())
	all := q.attributes()
	if !slices.Contains(in.AttributeNames, "All") {
		maps.DeleteFunc(all, func(name, _ string) bool { return !slices.Contains(in.AttributeNames, name) })
	}
	return map[string]any{"Attributes": all}, nil
}

type setQueueAttributesInput struct {
	ofQueue
	Attributes map[string]string
}

func (s *Server) setQueueAttributes(q *queue, in setQueueAttributesInput) (any, error) {
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

func (s *Server) purgeQueue(q *queue, _ ofQueue) (any, error) {
	return nil, q.purge(s.clock.Now())
}

func (s *Server) listDeadLetterSourceQueues(c call, in ofQueue) (any, error) {
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

func (s *Server) tagQueue(q *queue, in struct {
	ofQueue
	Tags map[string]string
}) (any, error) {
	maps.Copy(q.tags, in.Tags)
	return nil, nil
}

func (s *Server) untagQueue(q *queue, in struct {
	ofQueue
	TagKeys []string
}) (any, error) {
	for _, key := range in.TagKeys {
		delete(q.tags, key)
	}
	return nil, nil
}

func (s *Server) listQueueTags(q *queue, _ ofQueue) (any, error) {
	return map[string]any{"Tags": maps.Clone(q.tags)}, nil
}
