package message

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

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
	in := &dynamodb.UpdateItemInput{
		TableName: &s.Table, Key: key(accountID, mid, statePrefix),
		UpdateExpression: aws.String(w.expression()), ConditionExpression: aws.String(strings.Join(w.conditions, " AND ")),
		ExpressionAttributeNames: w.names, ExpressionAttributeValues: w.values,
		ReturnValues: types.ReturnValueAllNew, ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	out, err := s.DB.UpdateItem(ctx, in)
	refused := new(types.ConditionalCheckFailedException)
	switch {
	case errors.As(err, &refused):
		if len(refused.Item) == 0 {
			return Written{}, ErrNotFound
		}
		m, err := decode(refused.Item)
		return Written{Message: m}, err
	case err != nil:
		return Written{}, fmt.Errorf("update message: %w", err)
	}
	m, err := decode(out.Attributes)
	return Written{Applied: true, Message: m}, err
}

// write collects one update expression.
type write struct {
	sets, removes, conditions []string
	names                     map[string]string
	values                    item
}

func newWrite() *write {
	return &write{names: map[string]string{"#pk": attrPK}, values: item{}, conditions: []string{"attribute_exists(#pk)"}}
}

func (w *write) name(attr string) string {
	w.names["#"+attr] = attr
	return "#" + attr
}

func (w *write) value(name string, v types.AttributeValue) string {
	w.values[":"+name] = v
	return ":" + name
}

func (w *write) set(attr string, v types.AttributeValue) {
	w.sets = append(w.sets, w.name(attr)+" = "+w.value(attr, v))
}

func (w *write) remove(attrs ...string) {
	for _, a := range attrs {
		w.removes = append(w.removes, w.name(a))
	}
}

// count adds one.
func (w *write) count(attr string) {
	w.sets = append(w.sets, fmt.Sprintf("%s = if_not_exists(%s, %s) + %s", w.name(attr), w.name(attr), w.value("zero", num(0)), w.value(attr, num(1))))
}

func (w *write) step(st Step) {
	w.sets = append(w.sets, fmt.Sprintf("%s = list_append(if_not_exists(%s, %s), %s)", w.name(attrSteps), w.name(attrSteps),
		w.value("none", &types.AttributeValueMemberL{}), w.value("step", steps(st))))
}

func (w *write) problem(attr string, p *Problem) error {
	if p == nil {
		return nil
	}
	b, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode problem: %w", err)
	}
	w.set(attr, str(string(b)))
	return nil
}

// outcome adds the condition that the outcome is one of these.
func (w *write) outcome(values ...Status) {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = w.value(string("is"+v), str(string(v)))
	}
	w.conditions = append(w.conditions, fmt.Sprintf("%s IN (%s)", w.name(attrOutcome), strings.Join(list, ", ")))
}

// waiting adds the condition that the message is still to be handed over, that no later holder has fenced it off,
// and that the provider has not reported having it. A fence of an earlier lease stays behind when its holder set the
// message aside; it does not bind a later one.
func (w *write) waiting(lease int64) {
	w.outcome(Queued, Held)
	w.conditions = append(w.conditions,
		fmt.Sprintf("(attribute_not_exists(%s) OR %s <= %s)", w.name(attrFence), w.name(attrFence), w.value("lease", num(lease))),
		fmt.Sprintf("attribute_not_exists(%s)", w.name(attrReport)))
}

func (w *write) expression() string {
	var parts []string
	if len(w.sets) > 0 {
		parts = append(parts, "SET "+strings.Join(w.sets, ", "))
	}
	if len(w.removes) > 0 {
		parts = append(parts, "REMOVE "+strings.Join(w.removes, ", "))
	}
	return strings.Join(parts, " ")
}
