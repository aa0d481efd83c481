package attr_test

import (
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/localaws/awstest"
)

func TestAnUpdateWritesItsExpressions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name              string
		write             func(u *attr.Update)
		update, condition string
	}{
		{"a reserved word is an attribute", func(u *attr.Update) { u.Set("status", attr.String("on")) }, "SET #status = :0", ""},
		{"sections stand in one order, whatever was said first", func(u *attr.Update) {
			u.Add("calls", 1)
			u.Remove("a", "b")
			u.Set("c", attr.Int(2))
			u.Set("d", attr.Int(3))
		}, "SET #c = :1, #d = :2 REMOVE #a, #b ADD #calls :0", ""},
		{"a number that is there is increased", func(u *attr.Update) { u.Increase("left", -2) }, "SET #left = #left + :0", ""},
		{"a list is begun where there is none", func(u *attr.Update) { u.Append("steps", attr.Strings([]string{"sent"})) },
			"SET #steps = list_append(if_not_exists(#steps, :0), :1)", ""},
		{"a value is set once", func(u *attr.Update) { u.SetOnce("created", attr.Int(1)) }, "SET #created = if_not_exists(#created, :0)", ""},
		{"many values are set in the order of their names", func(u *attr.Update) { u.SetAll(attr.Item{"b": attr.Int(1), "a": attr.Int(2)}) }, "SET #a = :0, #b = :1", ""},
		{"a path leads into a map, under any key", func(u *attr.Update) {
			path := u.Name("leases") + "." + u.Key("a.b c")
			u.Assign(path, u.Name("seq")+" + "+u.Value(attr.Int(1)))
			u.RemovePath(u.Name("leases") + "." + u.Key("d"))
		}, "SET #leases.#0 = #seq + :0 REMOVE #leases.#1", ""},
		{"all conditions must hold, and one of those that are alternatives", func(u *attr.Update) {
			u.Remove("a")
			u.Require(u.Exists("pk"), u.AbsentOr("fence", "<=", attr.Int(7)))
			u.Require(u.OneOf("outcome", "queued", "held"))
		}, "REMOVE #a", "attribute_exists(#pk) AND (attribute_not_exists(#fence) OR #fence <= :0) AND #outcome IN (:1, :2)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var u attr.Update
			tt.write(&u)
			in, part := u.Input("table", nil), u.Part("table", nil)
			if got := aws.ToString(in.UpdateExpression); got != tt.update {
				t.Errorf("update %q, want %q", got, tt.update)
			}
			if got := aws.ToString(in.ConditionExpression); got != tt.condition {
				t.Errorf("condition %q, want %q", got, tt.condition)
			}
			if aws.ToString(part.UpdateExpression) != tt.update || aws.ToString(part.ConditionExpression) != tt.condition {
				t.Errorf("in a transaction it is %q if %q", aws.ToString(part.UpdateExpression), aws.ToString(part.ConditionExpression))
			}
		})
	}
}

// DynamoDB refuses a request with a list of names or values, or an expression, that is there and empty.
func TestWhatAnUpdateDoesNotNeedIsLeftOut(t *testing.T) {
	t.Parallel()
	var none, removes attr.Update
	removes.Remove("a")
	if in := none.Input("table", nil); in.UpdateExpression != nil || in.ConditionExpression != nil || in.ExpressionAttributeNames != nil || in.ExpressionAttributeValues != nil {
		t.Errorf("an empty update asks for %+v", in)
	}
	if in := removes.Input("table", nil); in.ConditionExpression != nil || in.ExpressionAttributeValues != nil {
		t.Errorf("an update that only removes asks for %+v", in)
	}
}

func TestAnUpdateDoesWhatItSays(t *testing.T) {
	t.Parallel()
	env := awstest.New(t)
	table := env.Table(t.Context(), awstest.AccountsTable())
	key := attr.Item{"pk": attr.String("p"), "sk": attr.String("s")}
	put := attr.Item{
		"pk": key["pk"], "sk": key["sk"], "status": attr.String("on"), "left": attr.Int(5), "old": attr.Int(1),
		"leases": &types.AttributeValueMemberM{Value: attr.Item{"a.b c": attr.Int(1), "kept": attr.Int(2)}},
	}
	if _, err := env.DynamoDB.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: put}); err != nil {
		t.Fatal(err)
	}
	var u attr.Update
	u.Require(u.OneOf("status", "on", "held"), u.AbsentOr("fence", "<=", attr.Int(7)), u.Is("left", ">=", attr.Int(2)))
	u.Set("status", attr.String("off"))
	u.Increase("left", -2)
	u.Append("steps", attr.Strings([]string{"sent"}))
	u.Assign(u.Name("copy"), u.Name("old"))
	u.Remove("old", "never")
	u.RemovePath(u.Name("leases") + "." + u.Key("a.b c"))
	u.Add("calls", 3)
	it, applied, err := u.Apply(t.Context(), env.DynamoDB, table, key)
	if err != nil || !applied {
		t.Fatal(applied, err)
	}
	want := attr.Item{
		"pk": key["pk"], "sk": key["sk"], "status": attr.String("off"), "left": attr.Int(3), "steps": attr.Strings([]string{"sent"}), "copy": attr.Int(1),
		"calls": attr.Int(3), "leases": &types.AttributeValueMemberM{Value: attr.Item{"kept": attr.Int(2)}},
	}
	if !reflect.DeepEqual(it, want) {
		t.Errorf("the item is %v", it)
	}
	it, applied, err = u.Apply(t.Context(), env.DynamoDB, table, key)
	if err != nil || applied || !reflect.DeepEqual(it, want) {
		t.Errorf("again: %v, applied %t, %v; want a refusal with the item as it is", it, applied, err)
	}
	it, applied, err = u.Apply(t.Context(), env.DynamoDB, table, attr.Item{"pk": attr.String("p"), "sk": attr.String("none")})
	if err != nil || applied || it != nil {
		t.Errorf("of an item that is not there: %v, applied %t, %v; want a refusal", it, applied, err)
	}
}
