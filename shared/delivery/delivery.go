// Package delivery knows how events reach webhook endpoints: what is recorded of an event and of each delivery, when a failed one
// is tried again, and the one way by which anything is sent to an endpoint.
package delivery

import (
	"encoding/json"
	"errors"
	"time"

	"contactcenter/shared/endpoint"
	"contactcenter/shared/event"
	"contactcenter/shared/id"
)

// Status is what became of a delivery.
type Status string

// The statuses.
const (
	// Pending is tried again at Due.
	Pending   Status = "pending"
	Delivered Status = "delivered"
	// Failed was given up.
	Failed Status = "failed"
	// Dropped was not sent: the endpoint was disabled or deleted, or what the event is about is gone.
	Dropped Status = "dropped"
)

// Delivery is one event on its way to one endpoint. It never holds content.
type Delivery struct {
	EndpointID string
	Event      event.Event
	Status     Status
	Attempts   int
	// Code is what the endpoint answered to the last attempt, Why what kept it from answering; one of both is set after an attempt.
	Code int
	Why  string
	// Took is how long the last attempt took.
	Took time.Duration
	// FirstAt and LastAt are the times of the first and the last attempt.
	FirstAt, LastAt time.Time
	// Due is when it is tried again. Parked says that it waits for that in the table; else its job is in the queue.
	Due    time.Time
	Parked bool
	// Run is the replay that asked for it last; "" for none.
	Run string
}

// Retention is for how long events and deliveries are kept: so far back can be replayed.
const Retention = 30 * 24 * time.Hour

// FromHere is how long a wait may be that the queue keeps. What waits for longer is parked in the table: SQS bounds how many messages
// of a queue may be out of sight, and a dead endpoint's would use that up for everybody.
const FromHere = 2 * time.Minute

// waits are the times between the attempts, without jitter; after the last the last one again, until the delivery is given up.
func waits() []time.Duration {
	return []time.Duration{5 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 12 * time.Hour}
}

// maxRetryAfter is the longest wait that an endpoint can ask for.
const maxRetryAfter = 24 * time.Hour

// Again gives when a delivery is tried again after its last attempt: never (false) when that would be more than
// endpoint.FailingFor after the first. Asked is the endpoint's Retry-After, random any number.
func (d Delivery) Again(asked time.Duration, random uint64) (time.Time, bool) {
	list := waits()
	wait := list[min(max(d.Attempts-1, 0), len(list)-1)]
	wait += time.Duration(random % uint64(wait/2)) // later, never earlier
	wait = max(wait, min(asked, maxRetryAfter))
	at := d.LastAt.Add(wait)
	return at, at.Sub(d.FirstAt) <= endpoint.FailingFor
}

// Job is the body of a message on the delivery queue: one event for one endpoint.
type Job struct {
	EndpointID string      `json:"endpoint_id"`
	Event      event.Event `json:"event"`
	// Run is the replay that asks for it: then it is sent although it was delivered before.
	Run string `json:"run,omitempty"`
	// Busy is how many times it was put back because the endpoint had as much to do as it may have.
	Busy int `json:"busy,omitempty"`
}

// Back gives the job as it is put back when the endpoint is busy, and for how long: 1 s, then twice that each time up to 8 s. Where that
// was not enough a dozen times the backlog is long, and it waits longer, up to FromHere. It is between half and the whole of it, by random.
func (j Job) Back(random uint64) (Job, time.Duration) {
	const soon, often = 3, 12
	wait := min(time.Second<<(min(j.Busy, soon)+min(max(j.Busy-often, 0), 10)), FromHere)
	j.Busy++
	return j, max(wait/2+time.Duration(random%uint64(wait/2)), time.Second)
}

// ErrMalformed: the body is no job.
var ErrMalformed = errors.New("malformed delivery job")

// ParseJob reads a job. It returns ErrMalformed for anything else.
func ParseJob(body string) (Job, error) {
	var j Job
	if err := json.Unmarshal([]byte(body), &j); err != nil || !id.Valid(id.EndpointPrefix, j.EndpointID) || !id.Valid(id.EventPrefix, j.Event.ID) || j.Event.AccountID == "" {
		return Job{}, ErrMalformed
	}
	return j, nil
}

// Replay asks, on the event queue, to send an endpoint what happened from From until before To again. After is where the part
// before ended.
type Replay struct {
	EndpointID string    `json:"replay_for"`
	AccountID  string    `json:"account_id"`
	Run        string    `json:"run"`
	From       time.Time `json:"from"`
	To         time.Time `json:"to"`
	After      string    `json:"after,omitempty"`
}

// ParseReplay reads a replay. It returns ErrMalformed for anything else.
func ParseReplay(body string) (Replay, error) {
	var r Replay
	if err := json.Unmarshal([]byte(body), &r); err != nil || !id.Valid(id.EndpointPrefix, r.EndpointID) || r.AccountID == "" || r.Run == "" {
		return Replay{}, ErrMalformed
	}
	return r, nil
}
