package account

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/event"
)

// What an account listens to stands on its own item, with a number that counts the changes of its webhook endpoints.
const (
	// ListensAttribute is the attribute's name.
	ListensAttribute    = "listens"
	attrEndpointChanges = "endpoint_changes"
)

// Key is the key of an account's own item.
func Key(accountID string) attr.Item { return accountKey(accountID) }

// EndpointChanges reads from an account's own item how often its webhook endpoints were changed.
func EndpointChanges(item attr.Item) int64 { return attr.Number(item, attrEndpointChanges) }

// Listening writes what an account listens to, on condition that the account is known and its webhook endpoints were changed as
// often as the caller saw.
func Listening(table, accountID string, heard event.Set, seen int64) types.TransactWriteItem {
	u := &types.Update{
		TableName: &table, Key: accountKey(accountID), UpdateExpression: aws.String("SET #listens = :heard, #changes = :next"),
		ConditionExpression:       aws.String("attribute_exists(#plan) AND #changes = :seen"),
		ExpressionAttributeNames:  map[string]string{"#plan": attrPlan, "#listens": ListensAttribute, "#changes": attrEndpointChanges},
		ExpressionAttributeValues: attr.Item{":heard": attr.String(heard.Encode()), ":next": attr.Int(seen + 1), ":seen": attr.Int(seen)},
	}
	if seen == 0 {
		u.ConditionExpression = aws.String("attribute_exists(#plan) AND attribute_not_exists(#changes)")
		delete(u.ExpressionAttributeValues, ":seen")
	}
	return types.TransactWriteItem{Update: u}
}
