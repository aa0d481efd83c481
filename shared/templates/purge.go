package templates

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// Purger takes kept lists away.
type Purger struct {
	DB interface {
		DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
	}
	Table string
}

// Purge takes the list of a channel's templates away, if there is one.
func (p *Purger) Purge(ctx context.Context, channelID string) error {
	if _, err := p.DB.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &p.Table, Key: key(channelID)}); err != nil {
		return fmt.Errorf("purge templates: %w", err)
	}
	return nil
}
