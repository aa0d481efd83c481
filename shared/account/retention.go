package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/event"
)

// SetRetention sets for how many days new messages of an account are kept: 1 to MaxRetentionDays. Messages that are there keep
// theirs. One that is set already is not written again. Up to a few requests more when others change the account meanwhile.
func (s *Store) SetRetention(ctx context.Context, accountID string, days int64, e audit.Event) (Account, error) {
	e.Action, e.AccountID, e.Target, e.After = "account.retention_changed", accountID, accountID, map[string]any{"retention_days": days}
	for range putTries {
		a, err := s.Get(ctx, accountID)
		if err != nil {
			return Account{}, err
		}
		was := int64(a.Retention() / (24 * time.Hour))
		if was == days {
			return a, nil
		}
		e.Before = map[string]any{"retention_days": was}
		u := &types.Update{
			TableName: &s.Table, Key: accountKey(accountID), UpdateExpression: aws.String("SET #days = :days"), ConditionExpression: aws.String("attribute_exists(#plan) AND attribute_not_exists(#days)"),
			ExpressionAttributeNames: map[string]string{"#days": attrRetention, "#plan": attrPlan}, ExpressionAttributeValues: attr.Item{":days": attr.Int(days)},
		}
		if a.RetentionDays != 0 {
			u.ConditionExpression = aws.String("attribute_exists(#plan) AND #days = :was")
			u.ExpressionAttributeValues[":was"] = attr.Int(a.RetentionDays)
		}
		err = s.Audit.Write(ctx, e, types.TransactWriteItem{Update: u})
		if audit.AsRefused(err) != nil {
			continue // somebody else set it just now
		}
		if err != nil {
			return Account{}, fmt.Errorf("set retention of account: %w", err)
		}
		_, of := s.caches()
		of.Forget(accountID)
		a.RetentionDays = days
		return a, nil
	}
	return Account{}, fmt.Errorf("set retention of account: it changed %d times meanwhile", putTries)
}

// Retention gives how long messages of an account are kept, at most TermsAge old. It makes no account: one that is not known
// has the default.
func (s *Store) Retention(ctx context.Context, accountID string) (time.Duration, error) {
	_, of := s.caches()
	a, err := of.Load(accountID, func() (Account, error) { return s.Find(ctx, accountID) })
	if errors.Is(err, ErrNotFound) {
		return Account{}.Retention(), nil
	}
	return a.Retention(), err
}

// Listens gives what an account listens to, at most TermsAge old. It makes no account: one that is not known listens to nothing.
func (s *Store) Listens(ctx context.Context, accountID string) (event.Set, error) {
	_, of := s.caches()
	a, err := of.Load(accountID, func() (Account, error) { return s.Find(ctx, accountID) })
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	return a.Listens, err
}
