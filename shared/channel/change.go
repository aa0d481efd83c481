package channel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
)

// change is one write of a channel that is there.
type change struct {
	set    attr.Item
	remove []string
	// unless is a condition under which nothing is to be written; values are its own.
	unless string
	values attr.Item
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

// expressions are the change as an update of an item that is there and not deleted.
func (c change) expressions() (update, condition string, names map[string]string, values attr.Item) {
	names = map[string]string{"#pk": attrPK, "#" + attrDeleted: attrDeleted}
	values = attr.Item{}
	maps.Copy(values, c.values)
	var sets, removes []string
	for _, name := range slices.Sorted(maps.Keys(c.set)) {
		names["#"+name], values[":"+name] = name, c.set[name]
		sets = append(sets, "#"+name+" = :"+name)
	}
	for _, name := range c.remove {
		names["#"+name] = name
		removes = append(removes, "#"+name)
	}
	update = "SET " + strings.Join(sets, ", ")
	if len(removes) > 0 {
		update += " REMOVE " + strings.Join(removes, ", ")
	}
	condition = "attribute_exists(#pk) AND attribute_not_exists(#" + attrDeleted + ")"
	if c.unless != "" {
		condition += " AND NOT (" + c.unless + ")"
	}
	return update, condition, names, values
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
	update, condition, names, values := c.expressions()
	for _, name := range []string{attrStatus, attrName} {
		names["#"+name], values[":was_"+name] = name, was[name]
		condition += " AND #" + name + " = :was_" + name
	}
	return &types.Update{
		TableName: &s.Table, Key: key(id), UpdateExpression: &update, ConditionExpression: &condition,
		ExpressionAttributeNames: names, ExpressionAttributeValues: values,
	}
}

// update writes a change that no person makes. One that is not to be written is no error, and written tells.
func (s *Store) update(ctx context.Context, id string, c change) (written bool, err error) {
	update, condition, names, values := c.expressions()
	_, err = s.DB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.Table, Key: key(id), UpdateExpression: &update, ConditionExpression: &condition,
		ExpressionAttributeNames: names, ExpressionAttributeValues: values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	refused := new(types.ConditionalCheckFailedException)
	if errors.As(err, &refused) {
		if len(refused.Item) == 0 || refused.Item[attrDeleted] != nil {
			return false, ErrNotFound
		}
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("update channel: %w", err)
	}
	return true, nil
}
