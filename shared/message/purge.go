package message

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

const purgePage = 50

// Listing is one entry of a channel's list of conversations.
type Listing struct {
	AccountID, ChannelID, Conversation string
	hour                               string
}

// Listings gives some of a channel's entries, none when there are none left. One strongly consistent query.
func (s *Store) Listings(ctx context.Context, accountID, channelID string) ([]Listing, error) {
	keys, err := s.keys(ctx, accountID+"#"+channelID+inboxSuffix)
	if err != nil {
		return nil, err
	}
	list := make([]Listing, len(keys))
	for i, k := range keys {
		hour, conversation, _ := strings.Cut(text(k, attrSK), "#")
		list[i] = Listing{AccountID: accountID, ChannelID: channelID, Conversation: conversation, hour: hour}
	}
	return list, nil
}

// Delist takes an entry away.
func (s *Store) Delist(ctx context.Context, l Listing) error {
	return s.deleteKey(ctx, item{attrPK: str(l.AccountID + "#" + l.ChannelID + inboxSuffix), attrSK: str(l.hour + "#" + l.Conversation)})
}

// Purge takes away all items of a conversation, whatever they are. Its messages must be final.
func (s *Store) Purge(ctx context.Context, accountID, conversation string) error {
	return s.purge(ctx, partition(accountID, conversation))
}

// PurgeProviderIDs takes away what is kept of the ids that a channel's provider gave.
func (s *Store) PurgeProviderIDs(ctx context.Context, accountID, channelID string) error {
	return s.purge(ctx, accountID+"#"+channelID+providedSuffix)
}

func (s *Store) purge(ctx context.Context, pk string) error {
	for {
		keys, err := s.keys(ctx, pk)
		if err != nil || len(keys) == 0 {
			return err
		}
		for _, k := range keys {
			if err := s.deleteKey(ctx, k); err != nil {
				return err
			}
		}
	}
}

// keys gives the first keys of a partition.
func (s *Store) keys(ctx context.Context, pk string) ([]item, error) {
	out, err := s.DB.Query(ctx, &dynamodb.QueryInput{
		TableName: &s.Table, ConsistentRead: aws.Bool(true), Limit: aws.Int32(purgePage), KeyConditionExpression: aws.String("#pk = :pk"),
		ProjectionExpression: aws.String("#pk, #sk"), ExpressionAttributeNames: map[string]string{"#pk": attrPK, "#sk": attrSK}, ExpressionAttributeValues: item{":pk": str(pk)},
	})
	if err != nil {
		return nil, fmt.Errorf("list what is to be purged: %w", err)
	}
	return out.Items, nil
}

func (s *Store) deleteKey(ctx context.Context, k item) error {
	if _, err := s.DB.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &s.Table, Key: k}); err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	return nil
}
