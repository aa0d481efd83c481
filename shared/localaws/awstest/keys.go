package awstest

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Index is a global secondary index with two text keys and all attributes.
type Index struct{ Name, Hash, Range string }

// Keys describes a table with the text keys pk and sk, as all of ours have, and its indexes.
func Keys(indexes ...Index) *dynamodb.CreateTableInput {
	in := &dynamodb.CreateTableInput{KeySchema: schema("pk", "sk")}
	names := []string{"pk", "sk"}
	for _, x := range indexes {
		in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, types.GlobalSecondaryIndex{
			IndexName: &x.Name, KeySchema: schema(x.Hash, x.Range), Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll},
		})
		names = append(names, x.Hash, x.Range)
	}
	slices.Sort(names)
	for _, n := range slices.Compact(names) {
		in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: &n, AttributeType: types.ScalarAttributeTypeS})
	}
	return in
}

func schema(hash, rng string) []types.KeySchemaElement {
	return []types.KeySchemaElement{{AttributeName: &hash, KeyType: types.KeyTypeHash}, {AttributeName: &rng, KeyType: types.KeyTypeRange}}
}
