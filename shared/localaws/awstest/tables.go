package awstest

import (
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// The tables of template.yaml, as tests create them.

// MessagesTable holds messages and conversations.
func MessagesTable() *dynamodb.CreateTableInput {
	return table("messages", index{"held", "hk", "hs"}, index{"reference", "rk", "rs"}, index{"scheduled", "sh", "sd"})
}

// UsageTable holds gates and closed periods.
func UsageTable() *dynamodb.CreateTableInput { return table("usage", index{"due", "sh", "due"}) }

// AccountsTable holds accounts, plans, Rules and idempotency records.
func AccountsTable() *dynamodb.CreateTableInput { return table("accounts") }

// ChannelsTable holds channels, providers and senders.
func ChannelsTable() *dynamodb.CreateTableInput {
	return table("channels", index{"account", "ak", "as"})
}

// AuditTable holds the audit log.
func AuditTable() *dynamodb.CreateTableInput { return table("audit", index{"shard", "gk", "gs"}) }

// RecipientsTable holds recipients, consents, opt-outs and erasures.
func RecipientsTable() *dynamodb.CreateTableInput {
	return table("recipients", index{"account", "ak", "as"})
}

// ComplaintsTable holds complaints and evidence requests.
func ComplaintsTable() *dynamodb.CreateTableInput {
	return table("complaints", index{"listed", "lk", "ls"}, index{"account", "ak", "as"})
}

// EventsTable holds events and deliveries to webhook endpoints.
func EventsTable() *dynamodb.CreateTableInput { return table("events", index{"due", "dk", "due"}) }

type index struct{ name, hash, sort string }

func table(name string, indexes ...index) *dynamodb.CreateTableInput {
	in := &dynamodb.CreateTableInput{TableName: &name, KeySchema: keys("pk", "sk"), AttributeDefinitions: []types.AttributeDefinition{text("pk"), text("sk")}}
	for _, i := range indexes {
		in.AttributeDefinitions = append(in.AttributeDefinitions, text(i.hash), text(i.sort))
		in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, types.GlobalSecondaryIndex{
			IndexName: &i.name, KeySchema: keys(i.hash, i.sort), Projection: &types.Projection{ProjectionType: projection(i.name)},
		})
	}
	return in
}

func projection(index string) types.ProjectionType {
	if index == "account" || index == "listed" || index == "shard" {
		return types.ProjectionTypeAll
	}
	return types.ProjectionTypeKeysOnly
}

func keys(hash, sort string) []types.KeySchemaElement {
	return []types.KeySchemaElement{{AttributeName: &hash, KeyType: types.KeyTypeHash}, {AttributeName: &sort, KeyType: types.KeyTypeRange}}
}

func text(name string) types.AttributeDefinition {
	return types.AttributeDefinition{AttributeName: &name, AttributeType: types.ScalarAttributeTypeS}
}
