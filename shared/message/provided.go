package message

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/id"
)

const (
	providedSuffix = "#provided" // pk account#channel#provided, sk hash of the provider's id: which message it names
	windowSort     = "w"         // in the conversation's partition: until when any form of content may be sent
	attrMessage    = "m"
	attrCloses     = "wc"

	// providedFor is how long a provider's id is kept: none of them reports on a message for longer.
	providedFor = 45 * 24 * time.Hour
)

// providedKey is where the message of a provider's id is kept. The id is hashed because many hold the recipient's number.
func providedKey(accountID, channelID, providerMessageID string) item {
	sum := sha256.Sum256([]byte(providerMessageID))
	return item{attrPK: str(accountID + "#" + channelID + providedSuffix), attrSK: str(hex.EncodeToString(sum[:16]))}
}

// KeepProviderID remembers which message of a channel a provider's id names, for providers that report by their own id
// alone. Doing it again changes nothing.
func (s *Store) KeepProviderID(ctx context.Context, accountID, channelID, providerMessageID string, m id.Message) error {
	it := providedKey(accountID, channelID, providerMessageID)
	it[attrMessage], it[attrTTL] = str(m.String()), num(m.Time().Add(providedFor).Unix())
	if _, err := s.DB.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.Table, Item: it}); err != nil {
		return fmt.Errorf("keep provider's id: %w", err)
	}
	return nil
}

// ByProviderID gives the message of a channel that a provider's id names. It returns ErrNotFound.
func (s *Store) ByProviderID(ctx context.Context, accountID, channelID, providerMessageID string) (id.Message, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, ConsistentRead: aws.Bool(true), Key: providedKey(accountID, channelID, providerMessageID)})
	if err != nil {
		return id.Message{}, fmt.Errorf("look for provider's id: %w", err)
	}
	if len(out.Item) == 0 {
		return id.Message{}, ErrNotFound
	}
	m, err := id.ParseMessage(text(out.Item, attrMessage))
	if err != nil {
		return id.Message{}, fmt.Errorf("read provider's id: %w", err)
	}
	return m, nil
}

// OpenWindow notes until when any form of content may be sent in a conversation. It never moves back: replies may be
// reported in any order.
func (s *Store) OpenWindow(ctx context.Context, accountID, conversation string, closes time.Time) error {
	_, err := s.DB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.Table, Key: item{attrPK: str(partition(accountID, conversation)), attrSK: str(windowSort)},
		UpdateExpression: aws.String("SET #c = :c, #ttl = :ttl"), ConditionExpression: aws.String("attribute_not_exists(#c) OR #c < :c"),
		ExpressionAttributeNames:  map[string]string{"#c": attrCloses, "#ttl": attrTTL},
		ExpressionAttributeValues: item{":c": num(closes.UnixMilli()), ":ttl": num(closes.Add(time.Hour).Unix())},
	})
	if later := new(types.ConditionalCheckFailedException); err != nil && !errors.As(err, &later) {
		return fmt.Errorf("open reply window: %w", err)
	}
	return nil
}

// WindowCloses tells until when any form of content may be sent in a conversation; zero: it is not known to be open.
func (s *Store) WindowCloses(ctx context.Context, accountID, conversation string) (time.Time, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.Table, ConsistentRead: aws.Bool(true), Key: item{attrPK: str(partition(accountID, conversation)), attrSK: str(windowSort)},
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("look at reply window: %w", err)
	}
	if len(out.Item) == 0 {
		return time.Time{}, nil
	}
	return millis(out.Item, attrCloses), nil
}
