package account

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/restriction"
)

// Items: pk account id, sk "restriction#<id>": a restriction. pk "restriction#<id>", sk "restriction": whose it is. Those
// in force also stand on the account's own item, with a number that counts the changes of that list.
const (
	attrRestrictions = "restrictions"
	attrChanges      = "restriction_changes"
	attrBody         = "body"
	attrOwner        = "account_id"
	attrLifted       = "lifted_at"

	restrictionPrefix = "restriction#"
	restrictionSort   = "restriction"

	// restrictTries is how many changes at once surely all get through: each time it is another who does.
	restrictTries = 30
)

// Restrict puts a restriction into force, together with its audit event. It returns restriction.ErrTooMany when
// restriction.MaxActive are in force, ErrNotFound when the account is not known. Two requests, more when the account's
// restrictions change meanwhile.
func (s *Store) Restrict(ctx context.Context, r restriction.Restriction, e audit.Event) error {
	body, err := attr.JSON(r)
	if err != nil {
		return err
	}
	it := restrictionKey(r.AccountID, r.ID)
	it[attrBody] = body
	pointer := pointerKey(r.ID)
	pointer[attrOwner] = attr.String(r.AccountID)
	return s.relist(ctx, r.AccountID, e, func(set restriction.Set) (restriction.Set, error) {
		if len(set) >= restriction.MaxActive {
			return nil, restriction.ErrTooMany
		}
		return append(set, listed(r)), nil
	}, s.putNew(it), s.putNew(pointer))
}

// Lift ends a restriction, together with its audit event; what it was is given back. One that is not in force any more is
// left as it is, without an event: lifted is false. It returns restriction.ErrNotFound. Three requests.
func (s *Store) Lift(ctx context.Context, restrictionID, by string, e audit.Event) (r restriction.Restriction, lifted bool, err error) {
	if r, err = s.Restriction(ctx, restrictionID); err != nil || r.StatusAt(s.Now()) != restriction.Active {
		return r, false, err
	}
	mark, err := s.mark(&r, by)
	if err != nil {
		return r, false, err
	}
	e.AccountID = r.AccountID
	err = s.relist(ctx, r.AccountID, e, func(set restriction.Set) (restriction.Set, error) {
		if _, still := set.Find(r.ID); !still {
			return nil, errLifted
		}
		return without(set, r.ID), nil
	}, mark)
	if errors.Is(err, errLifted) {
		r, err = s.Restriction(ctx, restrictionID)
		return r, false, err
	}
	return r, err == nil, err
}

// mark gives the write by which a restriction is lifted now.
func (s *Store) mark(r *restriction.Restriction, by string) (types.TransactWriteItem, error) {
	r.LiftedAt, r.LiftedBy = s.Now().UTC(), by
	body, err := attr.JSON(*r)
	return types.TransactWriteItem{Update: &types.Update{
		TableName: &s.Table, Key: restrictionKey(r.AccountID, r.ID),
		UpdateExpression: aws.String("SET #body = :body, #lifted = :now"), ConditionExpression: aws.String("attribute_exists(#pk) AND attribute_not_exists(#lifted)"),
		ExpressionAttributeNames:  map[string]string{"#pk": attrPK, "#body": attrBody, "#lifted": attrLifted},
		ExpressionAttributeValues: attr.Item{":body": body, ":now": attr.Time(r.LiftedAt)},
	}}, err
}

var errLifted = errors.New("the restriction is not in force any more")

// relist changes the list of an account's restrictions in force in one transaction with other changes and their event.
// Those that have ended fall out of it.
func (s *Store) relist(ctx context.Context, accountID string, e audit.Event, change func(restriction.Set) (restriction.Set, error), also ...types.TransactWriteItem) error {
	_, of := s.caches()
	for range restrictTries {
		a, seen, err := s.restricted(ctx, accountID)
		if err != nil {
			return err
		}
		set, err := change(a.Restrictions.ActiveAt(s.Now()))
		if err != nil {
			return err
		}
		update, err := s.listing(accountID, set, seen)
		if err != nil {
			return err
		}
		err = s.Audit.Write(ctx, e, append([]types.TransactWriteItem{update}, also...)...)
		refused := new(audit.Refused)
		if errors.As(err, &refused) {
			continue // the list changed meanwhile
		}
		of.Forget(accountID)
		if err != nil {
			return fmt.Errorf("change restrictions: %w", err)
		}
		return nil
	}
	return fmt.Errorf("change restrictions: they changed %d times meanwhile", restrictTries)
}

// restricted reads an account and how often its list of restrictions was changed.
func (s *Store) restricted(ctx context.Context, accountID string) (Account, int64, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: accountKey(accountID), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return Account{}, 0, fmt.Errorf("get account: %w", err)
	}
	if len(out.Item) == 0 {
		return Account{}, 0, ErrNotFound
	}
	a, err := decodeAccount(out.Item)
	return a, attr.Number(out.Item, attrChanges), err
}

// listing writes the list on the account's item, on condition that it was changed as often as the caller saw.
func (s *Store) listing(accountID string, set restriction.Set, seen int64) (types.TransactWriteItem, error) {
	text, err := set.Encode()
	if err != nil {
		return types.TransactWriteItem{}, err
	}
	u := &types.Update{
		TableName: &s.Table, Key: accountKey(accountID),
		UpdateExpression:    aws.String("SET #list = :list, #changes = :next"),
		ConditionExpression: aws.String("attribute_exists(#pk) AND #changes = :seen"),
		ExpressionAttributeNames: map[string]string{
			"#pk": attrPK, "#list": attrRestrictions, "#changes": attrChanges,
		},
		ExpressionAttributeValues: attr.Item{":list": attr.String(text), ":next": attr.Int(seen + 1), ":seen": attr.Int(seen)},
	}
	if seen == 0 {
		u.ConditionExpression = aws.String("attribute_exists(#pk) AND attribute_not_exists(#changes)")
		delete(u.ExpressionAttributeValues, ":seen")
	}
	return types.TransactWriteItem{Update: u}, nil
}

func (s *Store) putNew(it attr.Item) types.TransactWriteItem {
	return types.TransactWriteItem{Put: &types.Put{
		TableName: &s.Table, Item: it, ConditionExpression: aws.String("attribute_not_exists(#pk)"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
	}}
}

// listed is a restriction as the account's item carries it: without what the account's own id says.
func listed(r restriction.Restriction) restriction.Restriction {
	r.AccountID = ""
	return r
}

func without(set restriction.Set, restrictionID string) restriction.Set {
	rest := restriction.Set{}
	for _, r := range set {
		if r.ID != restrictionID {
			rest = append(rest, r)
		}
	}
	return rest
}

// Restriction gives a restriction, in force or not, or restriction.ErrNotFound. Two requests.
func (s *Store) Restriction(ctx context.Context, restrictionID string) (restriction.Restriction, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: pointerKey(restrictionID), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return restriction.Restriction{}, fmt.Errorf("find restriction: %w", err)
	}
	owner := attr.Text(out.Item, attrOwner)
	if owner == "" {
		return restriction.Restriction{}, restriction.ErrNotFound
	}
	out, err = s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: restrictionKey(owner, restrictionID), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return restriction.Restriction{}, fmt.Errorf("get restriction: %w", err)
	}
	return decodeRestriction(out.Item)
}

// ListRestrictions gives an account's restrictions, newest first, also those that are not in force any more. One request.
func (s *Store) ListRestrictions(ctx context.Context, accountID string, p attr.Page) (list []restriction.Restriction, next string, err error) {
	start, err := attr.Start(p.Token, map[string]string{attrPK: accountID}, attrSK)
	if err == nil && start != nil && !strings.HasPrefix(attr.Text(start, attrSK), restrictionPrefix) {
		err = attr.ErrToken
	}
	if err != nil {
		return nil, "", err
	}
	out, err := s.DB.Query(ctx, &dynamodb.QueryInput{
		TableName: &s.Table, ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(false), Limit: aws.Int32(int32(p.Size)), ExclusiveStartKey: start,
		KeyConditionExpression:    aws.String("#pk = :pk AND begins_with(#sk, :prefix)"),
		ExpressionAttributeNames:  map[string]string{"#pk": attrPK, "#sk": attrSK},
		ExpressionAttributeValues: attr.Item{":pk": attr.String(accountID), ":prefix": attr.String(restrictionPrefix)},
	})
	if err != nil {
		return nil, "", fmt.Errorf("list restrictions: %w", err)
	}
	for _, it := range out.Items {
		r, err := decodeRestriction(it)
		if err != nil {
			return nil, "", err
		}
		list = append(list, r)
	}
	next, err = attr.Token(out.LastEvaluatedKey)
	return list, next, err
}

func decodeRestriction(it attr.Item) (restriction.Restriction, error) {
	var r restriction.Restriction
	if err := attr.FromJSON(it, attrBody, &r); err != nil {
		return r, err
	}
	if r.ID == "" {
		return r, restriction.ErrNotFound
	}
	return r, nil
}

func restrictionKey(accountID, restrictionID string) attr.Item {
	return attr.Item{attrPK: attr.String(accountID), attrSK: attr.String(restrictionPrefix + restrictionID)}
}

func pointerKey(restrictionID string) attr.Item {
	return attr.Item{attrPK: attr.String(restrictionPrefix + restrictionID), attrSK: attr.String(restrictionSort)}
}
