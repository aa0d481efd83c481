package edna

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// behaviour is the body of PUT _sim/behaviour. What is absent has its default; a PUT replaces all of it. With sender_id it
// holds for calls and callbacks of that sender only, in place of the general one.
type behaviour struct {
	SenderID int64 `json:"sender_id,omitempty"`

	// DelayMS passes between a call and its answer; DelayJitterMS adds up to so much, at random. What is accepted is
	// accepted on arrival.
	DelayMS       int `json:"delay_ms"`
	DelayJitterMS int `json:"delay_jitter_ms"`
	// FailStatus is answered to a share of FailRate (0 to 1) of the calls, and nothing is accepted. The one that is absent
	// follows from the other: a rate of 1, a status of 500. RetryAfterSeconds goes with it as a header.
	FailStatus        int   `json:"fail_status"`
	FailRate          share `json:"fail_rate"`
	RetryAfterSeconds int   `json:"retry_after_seconds"`
	// DropAnswer is the share of sends that are accepted and then get no answer: the connection is closed.
	DropAnswer share `json:"drop_answer"`
	// ApplyTo says which calls are delayed and failed: "send" (cascade/schedule) or "all".
	ApplyTo string `json:"apply_to"`

	// Callbacks: statuses are reported at all.
	Callbacks bool `json:"callbacks"`
	// RepeatCallbacks is how many more times each callback is sent; true is 1.
	RepeatCallbacks count `json:"repeat_callbacks"`
	// ReorderCallbacks: the statuses of a message come in another order than their own.
	ReorderCallbacks bool `json:"reorder_callbacks"`
	// ArrayCallbacks: each callback is a list of one, which edna's documentation also shows.
	ArrayCallbacks bool `json:"array_callbacks"`
	// CallbackDelayMS is added to every status's delay.
	CallbackDelayMS int `json:"callback_delay_ms"`
	// RetryScale multiplies the waits between attempts at a callback; 0 is 1.
	RetryScale float64 `json:"retry_scale"`
	// Statuses are what becomes of an accepted message; null: sent, delivered, read. StatusError is the error of those
	// that are failures.
	Statuses    []string `json:"statuses"`
	StatusError string   `json:"status_error"`

	// StrictWindow: outside the 24 hours after a person wrote, text that matches no approved template ends as
	// no-match-template.
	StrictWindow bool `json:"strict_window"`
	// Seed starts the random numbers again; 0 leaves them.
	Seed uint64 `json:"seed"`
}

func defaultBehaviour() behaviour { return behaviour{Callbacks: true, ApplyTo: "send"} }

// rateAbsent marks a fail_rate that was not given, which is not the same as one of 0.
const rateAbsent = -1

// share is a number from 0 to 1, or false and true for the ends.
type share float64

func (s *share) UnmarshalJSON(b []byte) error { return boolOrNumber(b, s) }

// count is a small number, or false and true for 0 and 1.
type count int

func (c *count) UnmarshalJSON(b []byte) error { return boolOrNumber(b, c) }

func boolOrNumber[T share | count](b []byte, v *T) error {
	var yes bool
	if json.Unmarshal(b, &yes) == nil {
		*v = 0
		if yes {
			*v = 1
		}
		return nil
	}
	var f float64
	if err := json.Unmarshal(b, &f); err != nil {
		return errors.New("want a number, or true or false")
	}
	*v = T(f)
	return nil
}

func (b *behaviour) complete() error {
	if b.FailRate == rateAbsent {
		b.FailRate = 0
		if b.FailStatus != 0 {
			b.FailRate = 1
		}
	}
	if b.FailStatus == 0 && b.FailRate > 0 {
		b.FailStatus = http.StatusInternalServerError
	}
	switch {
	case b.FailStatus != 0 && (b.FailStatus < 300 || b.FailStatus > 599):
		return fmt.Errorf("fail_status: want 300 to 599, got %d", b.FailStatus)
	case b.FailRate < 0 || b.FailRate > 1 || b.DropAnswer < 0 || b.DropAnswer > 1:
		return errors.New("fail_rate and drop_answer: want 0 to 1")
	case b.DelayMS < 0 || b.DelayJitterMS < 0 || b.CallbackDelayMS < 0 || b.RetryAfterSeconds < 0 || b.RetryScale < 0:
		return errors.New("times: want 0 or more")
	case b.RepeatCallbacks < 0 || b.RepeatCallbacks > 100:
		return errors.New("repeat_callbacks: want 0 to 100")
	case b.ApplyTo != "send" && b.ApplyTo != "all":
		return errors.New(`apply_to: want "send" or "all"`)
	}
	return nil
}

// of returns the behaviour towards a sender. The caller holds mu.
func (s *Simulator) of(subject int64) behaviour {
	if b, found := s.perSender[subject]; found {
		return b
	}
	return s.global
}

func happens(r *rand.Rand, p share) bool { return p > 0 && (p >= 1 || r.Float64() < float64(p)) }

// behave lets h answer, or fails the call before it reaches h.
func (s *Simulator) behave(c *call, h func(*call)) {
	send := c.r.URL.Path == schedulePath
	if send {
		c.peek()
	}
	s.mu.Lock()
	if c.subject == 0 {
		c.subject = s.byCascade[c.cascade].SubjectID
	}
	b := s.of(c.subject)
	fail := false
	if send || b.ApplyTo == "all" {
		c.delay = time.Duration(b.DelayMS) * time.Millisecond
		if b.DelayJitterMS > 0 {
			c.delay += time.Duration(s.rng.Int64N(int64(b.DelayJitterMS)+1)) * time.Millisecond
		}
		fail = happens(s.rng, b.FailRate)
	}
	drop := send && happens(s.rng, b.DropAnswer)
	s.mu.Unlock()
	if fail {
		c.problem(b.FailStatus, failTitle(b.FailStatus), http.StatusText(b.FailStatus))
		c.retryAfter = b.RetryAfterSeconds
		return
	}
	h(c)
	c.drop = drop && c.accepted
}

func failTitle(status int) string {
	switch {
	case status == http.StatusUnauthorized:
		return "unauthorized"
	case status == http.StatusTooManyRequests:
		return "too-many-requests"
	case status >= 500:
		return "error-system"
	}
	return "request-not-valid"
}
