package release

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/cache"
	"contactcenter/shared/usage"
)

// Items: pk "waiting#<provider id>#<shard>", sk account id: the account has messages that wait for the provider. It lies
// in the table of the gates, whose keys are account ids, which have no "#".
const (
	attrPK      = "pk"
	attrSK      = "sk"
	attrVersion = "v" // the registry's version of the provider that the messages were held under

	waitingPrefix = "waiting#"
	waitingPage   = 100

	// markAge and markSize bound how long, and of how many, a process remembers that it made a mark.
	markAge  = 10 * time.Minute
	markSize = 10_000
)

// DynamoDB is what the store needs of the AWS client.
type DynamoDB interface {
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// Store keeps which accounts wait for which provider. It is safe for concurrent use; don't copy it.
type Store struct {
	DB    DynamoDB
	Table string
	Now   func() time.Time

	once   sync.Once
	marked *cache.Cache[mark, struct{}]
}

type mark struct {
	providerID, accountID string
	version               int64
}

// Mark records that an account has messages that wait for a provider, which is switched off at this version of its
// entry. It is made before a message is held, so no message waits unmarked. One request; none when this process has made
// the same mark already: a mark is only taken away when the entry has another version.
func (s *Store) Mark(ctx context.Context, accountID, providerID string, version int64) error {
	s.once.Do(func() { s.marked = cache.New[mark, struct{}](markAge, markSize, s.Now) })
	_, err := s.marked.Load(mark{providerID, accountID, version}, func() (struct{}, error) {
		it := waitingKey(providerID, usage.Shard(accountID), accountID)
		it[attrVersion] = attr.Int(version)
		_, err := s.DB.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.Table, Item: it})
		return struct{}{}, err
	})
	if err != nil {
		return fmt.Errorf("mark account as waiting: %w", err)
	}
	return nil
}

// Waiting lists accounts of a shard that wait for a provider, beginning after an account ("": at the first). Next is ""
// on the last page. One strongly consistent request.
func (s *Store) Waiting(ctx context.Context, providerID, shard, after string) (accounts []string, next string, err error) {
	in := &dynamodb.QueryInput{
		TableName: &s.Table, ConsistentRead: aws.Bool(true), Limit: aws.Int32(waitingPage), KeyConditionExpression: aws.String("#pk = :pk"),
		ExpressionAttributeNames:  map[string]string{"#pk": attrPK},
		ExpressionAttributeValues: attr.Item{":pk": attr.String(waitingPrefix + providerID + "#" + shard)},
	}
	if after != "" {
		in.ExclusiveStartKey = waitingKey(providerID, shard, after)
	}
	out, err := s.DB.Query(ctx, in)
	if err != nil {
		return nil, "", fmt.Errorf("list waiting accounts: %w", err)
	}
	for _, it := range out.Items {
		accounts = append(accounts, attr.Text(it, attrSK))
	}
	return accounts, attr.Text(out.LastEvaluatedKey, attrSK), nil
}

// Forget takes an account's mark away, unless it was made at this version of the provider's entry or a later one: then
// the provider is switched off again.
func (s *Store) Forget(ctx context.Context, accountID, providerID string, version int64) error {
	_, err := s.DB.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &s.Table, Key: waitingKey(providerID, usage.Shard(accountID), accountID),
		ConditionExpression: aws.String("attribute_not_exists(#pk) OR #v < :v"), ExpressionAttributeNames: map[string]string{"#pk": attrPK, "#v": attrVersion},
		ExpressionAttributeValues: attr.Item{":v": attr.Int(version)},
	})
	if refused := new(types.ConditionalCheckFailedException); err != nil && !errors.As(err, &refused) {
		return fmt.Errorf("forget waiting account: %w", err)
	}
	return nil
}

func waitingKey(providerID, shard, accountID string) attr.Item {
	return attr.Item{attrPK: attr.String(waitingPrefix + providerID + "#" + shard), attrSK: attr.String(accountID)}
}
