package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/localaws/awstest"
)

// table makes a table with the string keys pk and sk and indexes that project keys only: name, hash key, range key.
func table(ctx context.Context, env *awstest.Env, name string, indexes ...[3]string) string {
	in := &dynamodb.CreateTableInput{TableName: &name, KeySchema: keySchema("pk", "sk"), AttributeDefinitions: definitions("pk", "sk")}
	for _, ix := range indexes {
		in.AttributeDefinitions = append(in.AttributeDefinitions, definitions(ix[1], ix[2])...)
		in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, types.GlobalSecondaryIndex{
			IndexName: aws.String(ix[0]), KeySchema: keySchema(ix[1], ix[2]), Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		})
	}
	return env.Table(ctx, in)
}

func keySchema(hash, sort string) []types.KeySchemaElement {
	return []types.KeySchemaElement{{AttributeName: &hash, KeyType: types.KeyTypeHash}, {AttributeName: &sort, KeyType: types.KeyTypeRange}}
}

func definitions(names ...string) []types.AttributeDefinition {
	var list []types.AttributeDefinition
	for _, n := range names {
		list = append(list, types.AttributeDefinition{AttributeName: aws.String(n), AttributeType: types.ScalarAttributeTypeS})
	}
	return list
}
