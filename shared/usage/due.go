package usage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// Due lists up to limit accounts of a shard for which the scheduled reset has something to do by now, longest due
// first, beginning after the place where the page before ended ("": at the first). Next is "" on the last page. The
// index follows the gates within moments.
func (s *Store) Due(ctx context.Context, shard string, limit int32, after string) (accounts []string, next string, err error) {
	in := &dynamodb.QueryInput{
		TableName: &s.Table, IndexName: aws.String(DueIndex), Limit: &limit, KeyConditionExpression: aws.String("#sh = :sh AND #due <= :now"),
		ExpressionAttributeNames: map[string]string{"#sh": attrShard, "#due": attrDue}, ExpressionAttributeValues: item{":sh": str(shard), ":now": str(dueText(s.Now()))},
	}
	if due, account, ok := strings.Cut(after, " "); ok {
		in.ExclusiveStartKey = item{attrPK: str(account), attrSK: str(gateSort), attrShard: str(shard), attrDue: str(due)}
	}
	out, err := s.DB.Query(ctx, in)
	if err != nil {
		return nil, "", fmt.Errorf("query due accounts: %w", err)
	}
	accounts = make([]string, len(out.Items))
	for i, it := range out.Items {
		accounts[i] = text(it, attrPK)
	}
	if k := out.LastEvaluatedKey; len(k) > 0 {
		next = text(k, attrDue) + " " + text(k, attrPK)
	}
	return accounts, next, nil
}

// Postpone says when the scheduled reset is to look at the gate again. It does nothing when somebody else said so, or
// made the gate due, since the caller saw it.
func (s *Store) Postpone(ctx context.Context, g Gate, to time.Time) error {
	w := newWrite()
	w.Set(attrDue, str(dueText(to)))
	w.Require(w.Is(attrDue, "=", str(g.Due)), w.Is(attrPeriod, "=", str(g.Period)))
	_, err := s.update(ctx, g.AccountID, w)
	if refused := new(Refused); errors.As(err, &refused) {
		return nil
	}
	return err
}

// Wake makes the scheduled reset look at an account's gate as soon as it runs. It does nothing when there is no gate.
func (s *Store) Wake(ctx context.Context, accountID string) error {
	w := newWrite()
	w.Set(attrDue, str(dueText(s.Now())))
	_, err := s.update(ctx, accountID, w)
	if errors.Is(err, ErrNoGate) {
		return nil
	}
	return err
}
