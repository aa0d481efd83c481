package stage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
)

// Behaviour is the body of PUT _sim/behaviour. What is absent has its default; a PUT replaces all of it. With sender_id it
// holds for calls and callbacks of that sender only, in place of the general one.
type Behaviour struct {
	SenderID ID `json:"-"`

	// DelayMS passes between a call and its answer; DelayJitterMS adds up to so much, at random. What is accepted is
	// accepted on arrival.
	DelayMS       int `json:"delay_ms"`
	DelayJitterMS int `json:"delay_jitter_ms"`
	// FailStatus is answered to a share of FailRate (0 to 1) of the calls, and nothing is accepted. The one that is absent
	// follows from the other: a rate of 1, a status of 500. RetryAfterSeconds goes with it as a header.
	FailStatus        int   `json:"fail_status"`
	FailRate          Share `json:"fail_rate"`
	RetryAfterSeconds int   `json:"retry_after_seconds"`
	// DropAnswer is the share of sends that are accepted and then get no answer: the connection is closed.
	DropAnswer Share `json:"drop_answer"`
	// ApplyTo says which calls are delayed and failed: "send" (those of a Route with Send) or "all".
	ApplyTo string `json:"apply_to"`

	// Callbacks: statuses are reported at all.
	Callbacks bool `json:"callbacks"`
	// RepeatCallbacks is how many more times each callback is sent; true is 1.
	RepeatCallbacks Count `json:"repeat_callbacks"`
	// ReorderCallbacks: the statuses of a message come in another order than their own.
	ReorderCallbacks bool `json:"reorder_callbacks"`
	// CallbackDelayMS is added to every status's delay.
	CallbackDelayMS int `json:"callback_delay_ms"`
	// RetryScale multiplies the waits between attempts at a callback; 0 is 1.
	RetryScale float64 `json:"retry_scale"`
	// Statuses are what becomes of an accepted message; null: what the provider's Life says. StatusError is the error of
	// those that are failures.
	Statuses    []string `json:"statuses"`
	StatusError string   `json:"status_error"`

	// Seed starts the random numbers again; 0 leaves them.
	Seed uint64 `json:"seed"`

	// Own are the provider's own fields, as Options.Own made them. They stand beside the others.
	Own any `json:"-"`
}

// Fate are the statuses of a message: those that were steered, else usual. The caller may change the list.
func (b Behaviour) Fate(usual ...string) []string {
	if b.Statuses != nil {
		return slices.Clone(b.Statuses)
	}
	return slices.Clone(usual)
}

// ID is a sender's. In JSON it may be a string or a number; the number 0 is no sender.
type ID string

// UnmarshalJSON takes "1001" and 1001.
func (id *ID) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		*id = ID(text)
		return nil
	}
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return errors.New("sender_id: want a string or a number")
	}
	if *id = ID(n.String()); n == "0" {
		*id = ""
	}
	return nil
}

// rateAbsent marks a fail_rate that was not given, which is not the same as one of 0.
const rateAbsent = -1

// Share is a number from 0 to 1, or false and true for the ends.
type Share float64

// UnmarshalJSON takes 0.5 and true.
func (s *Share) UnmarshalJSON(b []byte) error { return boolOrNumber(b, s) }

// Count is a small number, or false and true for 0 and 1.
type Count int

// UnmarshalJSON takes 2 and true.
func (c *Count) UnmarshalJSON(b []byte) error { return boolOrNumber(b, c) }

func boolOrNumber[T Share | Count](b []byte, v *T) error {
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

func (s *Stage) defaults() Behaviour {
	b := Behaviour{Callbacks: true, ApplyTo: "send"}
	if s.o.Own != nil {
		b.Own = s.o.Own()
	}
	return b
}

// decode reads a behaviour. A field that neither the stage nor the provider knows is a mistake of the one who steers.
func (s *Stage) decode(raw []byte) (Behaviour, error) {
	b := s.defaults()
	if len(bytes.TrimSpace(raw)) == 0 {
		raw = []byte("{}")
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return b, err
	}
	if id, given := fields["sender_id"]; given {
		if err := json.Unmarshal(id, &b.SenderID); err != nil {
			return b, err
		}
		delete(fields, "sender_id")
	}
	b.FailRate = rateAbsent
	if err := take(fields, &b); err != nil {
		return b, err
	}
	if b.Own != nil {
		if err := take(fields, b.Own); err != nil {
			return b, err
		}
	}
	for name := range fields {
		return b, fmt.Errorf("unknown field %q", name)
	}
	return b, b.complete()
}

// take sets what v has fields for, and leaves the rest.
func take(fields map[string]json.RawMessage, v any) error {
	var known map[string]json.RawMessage
	if err := json.Unmarshal(Marshal(v), &known); err != nil {
		return err
	}
	mine := map[string]json.RawMessage{}
	for name := range known {
		if raw, given := fields[name]; given {
			mine[name] = raw
			delete(fields, name)
		}
	}
	return json.Unmarshal(Marshal(mine), v)
}

func (b *Behaviour) complete() error {
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

// show is a behaviour as it is answered: the sender's id, the stage's fields and the provider's own beside each other.
func (s *Stage) show(b Behaviour) json.RawMessage {
	out := Marshal(b)
	if b.Own != nil {
		out = beside(out, Marshal(b.Own))
	}
	if b.SenderID != "" {
		out = beside(Marshal(map[string]any{"sender_id": s.showID(b.SenderID)}), out)
	}
	return out
}

// beside makes one object of two that share no name.
func beside(a, b []byte) []byte {
	if len(a) == len("{}") {
		return b
	}
	if len(b) == len("{}") {
		return a
	}
	return slices.Concat(a[:len(a)-1], []byte{','}, b[1:])
}

// showID is a sender's id as the provider's ids are in JSON.
func (s *Stage) showID(id ID) any {
	if s.o.NumericIDs {
		return json.Number(id)
	}
	return string(id)
}

// Behaviour returns the one in force towards a sender.
func (s *Stage) Behaviour(sender string) Behaviour {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of(sender)
}

// of is Behaviour for a caller that holds mu.
func (s *Stage) of(sender string) Behaviour {
	if b, found := s.perSender[sender]; found {
		return b
	}
	return s.global
}

func happens(r *rand.Rand, p Share) bool { return p > 0 && (p >= 1 || r.Float64() < float64(p)) }
