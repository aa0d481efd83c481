package attr

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Update collects one conditional update of an item and writes DynamoDB's expressions for it. Its zero value is empty
// and ready for use; it is not safe for concurrent use.
//
// Every attribute stands in an expression as "#" and its name, so that DynamoDB's reserved words can be attributes;
// names begin with a letter and have letters, digits and underscores. The keys of a map, which may be any text, go
// through Key. Values are numbered, so no two of them can meet under one name.
//
// The SDK has a builder of its own, feature/dynamodb/expression. It is not used: for what the dispatcher writes for every
// message it takes three times the processor time and three times the allocations of this (docs/dependencies.md).
type Update struct {
	sets, removes, adds, conditions []string

	names  map[string]string
	values Item
	keys   int
}

// Name gives an attribute as it stands in an expression.
func (u *Update) Name(attribute string) string {
	if u.names == nil {
		u.names = map[string]string{}
	}
	placeholder := "#" + attribute
	u.names[placeholder] = attribute
	return placeholder
}

// Key gives the key of a map, which may be any text, as it stands in a path behind the map's name and a dot.
func (u *Update) Key(key string) string {
	if u.names == nil {
		u.names = map[string]string{}
	}
	placeholder := "#" + strconv.Itoa(u.keys)
	u.keys++
	u.names[placeholder] = key
	return placeholder
}

// Value gives a value as it stands in an expression.
func (u *Update) Value(v types.AttributeValue) string {
	if u.values == nil {
		u.values = Item{}
	}
	placeholder := ":" + strconv.Itoa(len(u.values))
	u.values[placeholder] = v
	return placeholder
}

// Set gives an attribute a value.
func (u *Update) Set(attribute string, v types.AttributeValue) {
	u.Assign(u.Name(attribute), u.Value(v))
}

// SetOnce gives an attribute a value, unless it has one.
func (u *Update) SetOnce(attribute string, v types.AttributeValue) {
	name := u.Name(attribute)
	u.Assign(name, "if_not_exists("+name+", "+u.Value(v)+")")
}

// SetAll gives several attributes their values, in the order of their names.
func (u *Update) SetAll(values Item) {
	for _, attribute := range slices.Sorted(maps.Keys(values)) {
		u.Set(attribute, values[attribute])
	}
}

// Assign gives a path what an expression of names and values comes to. DynamoDB gives every expression the item as it
// was before the update; engines exist that go through the list in order.
func (u *Update) Assign(path, expression string) {
	u.sets = append(u.sets, path+" = "+expression)
}

// Increase adds to a number that is there; by may be negative.
func (u *Update) Increase(attribute string, by int64) {
	name := u.Name(attribute)
	u.Assign(name, name+" + "+u.Value(Int(by)))
}

// Append adds to the end of a list, which need not be there.
func (u *Update) Append(attribute string, list types.AttributeValue) {
	name := u.Name(attribute)
	u.Assign(name, "list_append(if_not_exists("+name+", "+u.Value(&types.AttributeValueMemberL{})+"), "+u.Value(list)+")")
}

// Add adds to a number, which need not be there and is 0 then.
func (u *Update) Add(attribute string, n int64) {
	u.adds = append(u.adds, u.Name(attribute)+" "+u.Value(Int(n)))
}

// Remove takes attributes away, which need not be there.
func (u *Update) Remove(attributes ...string) {
	for _, a := range attributes {
		u.RemovePath(u.Name(a))
	}
}

// RemovePath takes away what is at a path.
func (u *Update) RemovePath(path string) { u.removes = append(u.removes, path) }

// Require makes the update depend on conditions, all of which must hold.
func (u *Update) Require(conditions ...string) { u.conditions = append(u.conditions, conditions...) }

// Either is the condition that at least one of several holds.
func (u *Update) Either(conditions ...string) string {
	return "(" + strings.Join(conditions, " OR ") + ")"
}

// Is is the condition that an attribute compares to a value as the operator says (=, <>, <, <=, >, >=). One that is not
// there compares to nothing.
func (u *Update) Is(attribute, operator string, v types.AttributeValue) string {
	return u.Name(attribute) + " " + operator + " " + u.Value(v)
}

// OneOf is the condition that an attribute is one of at least one and at most 100 texts.
func (u *Update) OneOf(attribute string, texts ...string) string {
	list := make([]string, len(texts))
	for i, t := range texts {
		list[i] = u.Value(String(t))
	}
	return u.Name(attribute) + " IN (" + strings.Join(list, ", ") + ")"
}

// Exists is the condition that an attribute is there.
func (u *Update) Exists(attribute string) string {
	return "attribute_exists(" + u.Name(attribute) + ")"
}

// Absent is the condition that an attribute is not there.
func (u *Update) Absent(attribute string) string {
	return "attribute_not_exists(" + u.Name(attribute) + ")"
}

// AbsentOr is the condition that an attribute is not there or compares to a value as the operator says.
func (u *Update) AbsentOr(attribute, operator string, v types.AttributeValue) string {
	return u.Either(u.Absent(attribute), u.Is(attribute, operator, v))
}

// Updater is the part of a DynamoDB client that makes updates.
type Updater interface {
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
}

// Apply makes the update in one request. It gives the item as it is then, and whether the conditions held: when they did
// not, nothing was written, and a nil item says that there is none.
func (u *Update) Apply(ctx context.Context, db Updater, table string, key Item) (it Item, applied bool, err error) {
	in := u.Input(table, key)
	in.ReturnValues, in.ReturnValuesOnConditionCheckFailure = types.ReturnValueAllNew, types.ReturnValuesOnConditionCheckFailureAllOld
	out, err := db.UpdateItem(ctx, in)
	refused := new(types.ConditionalCheckFailedException)
	if errors.As(err, &refused) {
		return refused.Item, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return out.Attributes, true, nil
}

// Input gives the request that makes the update.
func (u *Update) Input(table string, key Item) *dynamodb.UpdateItemInput {
	t := u.Part(table, key)
	return &dynamodb.UpdateItemInput{
		TableName: t.TableName, Key: t.Key, UpdateExpression: t.UpdateExpression, ConditionExpression: t.ConditionExpression,
		ExpressionAttributeNames: t.ExpressionAttributeNames, ExpressionAttributeValues: t.ExpressionAttributeValues,
	}
}

// Part gives the update as a part of a transaction.
func (u *Update) Part(table string, key Item) *types.Update {
	t := &types.Update{TableName: &table, Key: key, ExpressionAttributeNames: u.names, ExpressionAttributeValues: u.values}
	if len(u.conditions) > 0 {
		whole := strings.Join(u.conditions, " AND ")
		t.ConditionExpression = &whole
	}
	var sections []string
	for _, s := range []struct {
		word string
		list []string
	}{{"SET ", u.sets}, {"REMOVE ", u.removes}, {"ADD ", u.adds}} {
		if len(s.list) > 0 {
			sections = append(sections, s.word+strings.Join(s.list, ", "))
		}
	}
	if len(sections) > 0 {
		whole := strings.Join(sections, " ")
		t.UpdateExpression = &whole
	}
	return t
}
