package message

import (
	"context"
	"fmt"

	"contactcenter/shared/attr"
	"contactcenter/shared/id"
)

// Written is the answer to a conditional write: whether it was applied, and the message as it is now.
type Written struct {
	Applied bool
	Message Message
}

// update applies one conditional write to a message's state. A refusal is no error: it brings the message along. What it, or one before
// it that was cut short, brought into an erased message is taken out again.
func (s *Store) update(ctx context.Context, accountID string, mid id.Message, w *write) (Written, error) {
	written, err := s.write(ctx, accountID, mid, w)
	if err != nil {
		return written, err
	}
	return written, s.Scrub(ctx, written.Message)
}

func (s *Store) write(ctx context.Context, accountID string, mid id.Message, w *write) (Written, error) {
	it, applied, err := w.Apply(ctx, s.DB, s.Table, key(accountID, mid, statePrefix))
	switch {
	case err != nil:
		return Written{}, fmt.Errorf("update message: %w", err)
	case len(it) == 0:
		return Written{}, ErrNotFound
	}
	m, err := decode(it)
	return Written{Applied: applied, Message: m}, err
}

// write is one conditional update of a message's state.
type write struct{ attr.Update }

func newWrite() *write {
	w := new(write)
	w.Require(w.Exists(attrPK))
	return w
}

func (w *write) step(st Step) { w.Append(attrSteps, steps(st)) }

func (w *write) problem(attribute string, p *Problem) error {
	if p == nil {
		return nil
	}
	v, err := attr.JSON(p)
	if err != nil {
		return err
	}
	w.Set(attribute, v)
	return nil
}

// oneOf is the condition that an attribute is one of these.
func (w *write) oneOf(attribute string, values ...Status) string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = string(v)
	}
	return w.OneOf(attribute, list...)
}

// outcome adds the condition that the outcome is one of these.
func (w *write) outcome(values ...Status) { w.Require(w.oneOf(attrOutcome, values...)) }

// fence adds the condition that no holder under a later lease has fenced the message off.
func (w *write) fence(lease int64) {
	w.Require(w.AbsentOr(attrFence, "<=", num(lease)))
}

// waiting adds the condition that the message is still to be handed over, that no later holder has fenced it off,
// and that the provider has not reported having it. A fence of an earlier lease stays behind when its holder set the
// message aside; it does not bind a later one.
func (w *write) waiting(lease int64) {
	w.outcome(Queued, Held)
	w.fence(lease)
	w.Require(w.Absent(attrReport))
}
