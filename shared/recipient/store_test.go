package recipient_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/id"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/recipient"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
)

// contended is a table on which somebody else's transactions meet ours, as often as it is told.
type contended struct {
	recipient.DynamoDB
	conflicts int
}

func (c *contended) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, o ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	if c.conflicts--; c.conflicts >= 0 {
		return nil, &types.TransactionCanceledException{CancellationReasons: []types.CancellationReason{{Code: aws.String("None")}, {Code: aws.String("TransactionConflict")}}}
	}
	return c.DynamoDB.TransactWriteItems(ctx, in, o...)
}

// Two that show the same conversation at once both make its recipient. DynamoDB may cancel the one because of the other before
// that one is done: then nobody has the address yet, and nobody is being erased.
func TestARecipientIsMadeThoughOthersWriteAtTheSameTime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		conflicts int
		made      bool
	}{
		"nobody does":     {0, true},
		"once":            {1, true},
		"a few times":     {3, true},
		"again and again": {100, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := awstest.New(t)
			keys, err := id.NewConversationKeyer([]byte("0123456789abcdef"))
			if err != nil {
				t.Fatal(err)
			}
			s := &recipient.Store{
				DB: &contended{env.DynamoDB, c.conflicts}, Table: env.Table(t.Context(), awstest.RecipientsTable()), Keys: keys,
				Seal: sealtest.Sealer(seal.Content), Open: sealtest.Opener(seal.Content), IDs: id.Source{Now: time.Now, Random: rand.Reader}, Now: time.Now,
			}
			got, err := s.Ensure(t.Context(), "acct_1", "+35799000001")
			if c.made != (err == nil && id.Valid(id.RecipientPrefix, got)) || errors.Is(err, recipient.ErrErasing) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
