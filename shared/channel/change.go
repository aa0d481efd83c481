package channel

import (
	"context"
	"fmt"
	"maps"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
)

// change is one write of a channel that is there.
type change struct {
	set    attr.Item
	remove []string
	// require adds what else must hold for the change to be written; nil: nothing.
	require func(u *attr.Update)
}

// apply gives the item as the change leaves it.
func (c change) apply(it attr.Item) attr.Item {
	out := maps.Clone(it)
	maps.Copy(out, c.set)
	for _, name := range c.remove {
		delete(out, name)
	}
	return out
}

// update is the change of an item that is there and not deleted.
func (c change) update() *attr.Update {
	u := new(attr.Update)
	u.Require(u.Exists(attrPK), u.Absent(attrDeleted))
	u.SetAll(c.set)
	u.Remove(c.remove...)
	if c.require != nil {
		c.require(u)
	}
	return u
}

// act is a person's change, with what of it goes into the audit event, and what else is written with it.
type act struct {
	change
	before, after map[string]any
	with          []types.TransactWriteItem
}

const actTries = 5

// act reads the channel, lets decide say what is to be changed (false: nothing), and writes that with its event, provided
// that status and name still are what was read. It gives the channel as it is afterwards.
func (s *Store) act(ctx context.Context, id string, e audit.Event, action string, decide func(Channel) (act, bool)) (Channel, error) {
	for range actTries {
		it, err := s.item(ctx, id, true)
		if err != nil {
			return Channel{}, err
		}
		if it[attrDeleted] != nil {
			return Channel{}, ErrNotFound
		}
		was, err := decode(it)
		if err != nil {
			return Channel{}, err
		}
		a, changes := decide(was)
		if !changes {
			return was, nil
		}
		e.Action, e.Target, e.Before, e.After = action, id, a.before, a.after
		if e.RulesVersion == "" { // of an activation it is the version that it confirms
			e.RulesVersion = was.Confirmation.RulesVersion
		}
		err = s.Audit.Write(ctx, e, append([]types.TransactWriteItem{{Update: s.guarded(id, it, a.change)}}, a.with...)...)
		refused := audit.AsRefused(err)
		switch {
		case err == nil:
			return decode(a.apply(it))
		case refused == nil:
			return Channel{}, fmt.Errorf("change channel: %w", err)
		case refused.Index > 0:
			return Channel{}, ErrInstruction
		}
	}
	return Channel{}, fmt.Errorf("change channel: somebody else changed it %d times meanwhile", actTries)
}

func (s *Store) guarded(id string, was attr.Item, c change) *types.Update {
	u := c.update()
	for _, name := range []string{attrStatus, attrName} {
		u.Require(u.Is(name, "=", was[name]))
	}
	return u.Part(s.Table, key(id))
}

// update writes a change that no person makes. One that is not to be written is no error, and written tells.
func (s *Store) update(ctx context.Context, id string, c change) (written bool, err error) {
	it, written, err := c.update().Apply(ctx, s.DB, s.Table, key(id))
	switch {
	case err != nil:
		return false, fmt.Errorf("update channel: %w", err)
	case !written && (len(it) == 0 || it[attrDeleted] != nil):
		return false, ErrNotFound
	}
	return written, nil
}
