package message_test

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/message"
)

var (
	messageTable = tableOf("messages", [3]string{message.HeldIndex, "hk", "hs"}, [3]string{message.ReferenceIndex, "rk", "rs"})
)

// tableOf describes a table with keys pk and sk, and indexes, each given as its name and its keys.
func tableOf(name string, indexes ...[3]string) *dynamodb.CreateTableInput {
	key := func(partition, sort string) []types.KeySchemaElement {
		return []types.KeySchemaElement{{AttributeName: &partition, KeyType: types.KeyTypeHash}, {AttributeName: &sort, KeyType: types.KeyTypeRange}}
	}
	in := &dynamodb.CreateTableInput{TableName: &name, KeySchema: key("pk", "sk")}
	attributes := []string{"pk", "sk"}
	for _, index := range indexes {
		attributes = append(attributes, index[1:]...)
		in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, types.GlobalSecondaryIndex{
			IndexName: aws.String(index[0]), KeySchema: key(index[1], index[2]), Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		})
	}
	for _, a := range attributes {
		in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: aws.String(a), AttributeType: types.ScalarAttributeTypeS})
	}
	return in
}
