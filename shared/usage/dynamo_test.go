package usage_test

import (
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/message"
	"contactcenter/shared/usage"
)

var (
	gateTable    = tableOf("usage", [3]string{usage.DueIndex, "sh", "due"})
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

// clock is a time that only the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

func (c *clock) Move(d time.Duration) { c.Set(c.Now().Add(d)) }
