package endpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/account"
	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/event"
	"contactcenter/shared/seal"
)

// Items: pk account id, sk "endpoint#<id>": an endpoint. pk "subscribers", sk account id: the account listens to events of
// everybody. What an account listens to also stands on its own item, which publishers read anyway, with a number that counts
// the changes of its endpoints.
const (
	attrPK          = "pk"
	attrSK          = "sk"
	attrURL         = "url"
	attrDescription = "description"
	attrTypes       = "types"
	attrStatus      = "status"
	attrWhy         = "why"
	attrDisabled    = "disabled_at"
	attrCreated     = "created_at"
	attrCreatedBy   = "created_by"
	attrFailing     = "failing_since"
	attrQuiet       = "quiet_until"
	attrQuick       = "quick_at"
	attrPlace       = "place_" // and its number
	attrSecret      = "secret"
	attrOld         = "old_secret"
	attrOldUntil    = "old_until"
	attrSecretID    = "secret_id"

	prefix      = "endpoint#"
	subscribers = "subscribers"

	changeTries = 20
)

// DynamoDB is what the store needs of the AWS client.
type DynamoDB interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// Sealer seals secrets, Opener opens them.
type (
	Sealer interface {
		Seal(account, purpose string, plain []byte) ([]byte, error)
	}
	Opener interface {
		Open(account, purpose string, sealed []byte) ([]byte, error)
	}
)

var (
	_ Sealer = (*seal.Sealer)(nil)
	_ Opener = (*seal.Opener)(nil)
)

// Store keeps endpoints in the table of accounts.
type Store struct {
	DB    DynamoDB
	Table string
	Now   func() time.Time
	// Sealer and Audit are needed by what a user changes, Opener by Secrets.
	Sealer Sealer
	Opener Opener
	Audit  *audit.Log
}

// List gives an account's endpoints, oldest first: one strongly consistent request.
func (s *Store) List(ctx context.Context, accountID string) ([]Endpoint, error) {
	out, err := s.DB.Query(ctx, &dynamodb.QueryInput{
		TableName: &s.Table, ConsistentRead: aws.Bool(true),
		KeyConditionExpression:    aws.String("#pk = :pk AND begins_with(#sk, :prefix)"),
		ExpressionAttributeNames:  map[string]string{"#pk": attrPK, "#sk": attrSK},
		ExpressionAttributeValues: attr.Item{":pk": attr.String(accountID), ":prefix": attr.String(prefix)},
	})
	if err != nil {
		return nil, fmt.Errorf("list webhook endpoints: %w", err)
	}
	list := make([]Endpoint, 0, len(out.Items))
	for _, it := range out.Items {
		list = append(list, decode(it))
	}
	return list, nil
}

// Get gives one endpoint, or ErrNotFound: one strongly consistent request.
func (s *Store) Get(ctx context.Context, accountID, endpointID string) (Endpoint, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: key(accountID, endpointID), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return Endpoint{}, fmt.Errorf("get webhook endpoint: %w", err)
	}
	if len(out.Item) == 0 {
		return Endpoint{}, ErrNotFound
	}
	return decode(out.Item), nil
}

// Secrets opens what an endpoint's events are signed with at a moment: the current secret, and the one before while both count.
func (s *Store) Secrets(e Endpoint, now time.Time) ([]string, error) {
	sealed := [][]byte{e.secret}
	if len(e.old) > 0 && now.Before(e.OldUntil) {
		sealed = append(sealed, e.old)
	}
	var out []string
	for _, b := range sealed {
		plain, err := s.Opener.Open(e.AccountID, purpose(e.ID), b)
		if err != nil {
			return nil, fmt.Errorf("open secret of %s: %w", e.ID, err)
		}
		out = append(out, string(plain))
	}
	return out, nil
}

// Create adds an endpoint with its secret, together with its audit event. It returns ErrTooMany. One that is there already under
// the id is left as it is.
func (s *Store) Create(ctx context.Context, e Endpoint, secret string, ev audit.Event) error {
	sealed, err := s.Sealer.Seal(e.AccountID, purpose(e.ID), []byte(secret))
	if err != nil {
		return fmt.Errorf("seal webhook secret: %w", err)
	}
	e.secret = sealed
	ev.Action, ev.Target, ev.After = "webhook_endpoint.created", e.ID, values(e)
	return s.change(ctx, e.AccountID, ev, func(list []Endpoint) ([]Endpoint, types.TransactWriteItem, error) {
		if slices.ContainsFunc(list, func(o Endpoint) bool { return o.ID == e.ID }) {
			return nil, types.TransactWriteItem{}, errNothing
		}
		if len(list) >= Max {
			return nil, types.TransactWriteItem{}, ErrTooMany
		}
		return append(list, e), types.TransactWriteItem{Put: &types.Put{
			TableName: &s.Table, Item: encode(e), ConditionExpression: aws.String("attribute_not_exists(#pk)"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
		}}, nil
	})
}

// Change is what a user changes of an endpoint; nil leaves it.
type Change struct {
	URL, Description *string
	Types            *event.Set
	Status           *Status
}

// Update changes an endpoint, together with its audit event, and gives it as it is then. Enabling it forgets that it failed.
func (s *Store) Update(ctx context.Context, accountID, endpointID string, c Change, ev audit.Event) (Endpoint, error) {
	ev.Action = "webhook_endpoint.changed"
	return s.rewrite(ctx, accountID, endpointID, ev, func(e *Endpoint) {
		if c.URL != nil {
			e.URL = *c.URL
			e.unknown()
		}
		if c.Description != nil {
			e.Description = *c.Description
		}
		if c.Types != nil {
			e.Types = *c.Types
		}
		switch {
		case c.Status == nil || *c.Status == e.Status && e.Status == Enabled:
		case *c.Status == Enabled:
			e.Status, e.Why, e.DisabledAt, e.FailingSince, e.QuietUntil = Enabled, "", time.Time{}, time.Time{}, time.Time{}
			e.unknown()
		case e.Why != ByUser:
			e.Status, e.Why, e.DisabledAt = Disabled, ByUser, s.Now()
		}
	})
}

// Rotate gives an endpoint another secret, which secretID names, together with its audit event. The one before signs too for
// Overlap.
func (s *Store) Rotate(ctx context.Context, accountID, endpointID, secretID, secret string, ev audit.Event) (Endpoint, error) {
	sealed, err := s.Sealer.Seal(accountID, purpose(endpointID), []byte(secret))
	if err != nil {
		return Endpoint{}, fmt.Errorf("seal webhook secret: %w", err)
	}
	ev.Action = "webhook_endpoint.secret_rotated"
	return s.rewrite(ctx, accountID, endpointID, ev, func(e *Endpoint) {
		e.old, e.OldUntil = e.secret, s.Now().Add(Overlap)
		e.secret, e.SecretID = sealed, secretID
	})
}

// Delete removes an endpoint, together with its audit event. It returns ErrNotFound.
func (s *Store) Delete(ctx context.Context, accountID, endpointID string, ev audit.Event) error {
	ev.Action, ev.Target = "webhook_endpoint.deleted", endpointID
	return s.change(ctx, accountID, ev, func(list []Endpoint) ([]Endpoint, types.TransactWriteItem, error) {
		i := slices.IndexFunc(list, func(e Endpoint) bool { return e.ID == endpointID })
		if i < 0 {
			return nil, types.TransactWriteItem{}, ErrNotFound
		}
		return slices.Delete(list, i, i+1), types.TransactWriteItem{Delete: &types.Delete{TableName: &s.Table, Key: key(accountID, endpointID)}}, nil
	})
}

// rewrite changes one endpoint.
func (s *Store) rewrite(ctx context.Context, accountID, endpointID string, ev audit.Event, f func(*Endpoint)) (Endpoint, error) {
	ev.Target = endpointID
	var changed Endpoint
	err := s.change(ctx, accountID, ev, func(list []Endpoint) ([]Endpoint, types.TransactWriteItem, error) {
		i := slices.IndexFunc(list, func(e Endpoint) bool { return e.ID == endpointID })
		if i < 0 {
			return nil, types.TransactWriteItem{}, ErrNotFound
		}
		was := list[i].Status
		f(&list[i])
		changed = list[i]
		// The notifier may have disabled it meanwhile.
		return list, types.TransactWriteItem{Put: &types.Put{
			TableName: &s.Table, Item: encode(changed), ConditionExpression: aws.String("#status = :was"), ExpressionAttributeNames: map[string]string{"#status": attrStatus},
			ExpressionAttributeValues: attr.Item{":was": attr.String(string(was))},
		}}, nil
	})
	return changed, err
}

var errNothing = errors.New("nothing is to be changed")

// change changes one endpoint of an account and, in the same write, what the account listens to.
func (s *Store) change(ctx context.Context, accountID string, ev audit.Event, f func([]Endpoint) ([]Endpoint, types.TransactWriteItem, error)) error {
	for range changeTries {
		seen, err := s.changes(ctx, accountID)
		if err != nil {
			return err
		}
		list, err := s.List(ctx, accountID)
		if err != nil {
			return err
		}
		list, write, err := f(list)
		if errors.Is(err, errNothing) {
			return nil
		}
		if err != nil {
			return err
		}
		heard := listens(list)
		err = s.Audit.Write(ctx, ev, account.Listening(s.Table, accountID, heard, seen), write, s.subscription(accountID, heard))
		if audit.AsRefused(err) != nil {
			continue // somebody else changed an endpoint just now
		}
		if err != nil {
			return fmt.Errorf("change webhook endpoint: %w", err)
		}
		return nil
	}
	return fmt.Errorf("change webhook endpoint: they changed %d times meanwhile", changeTries)
}

func (s *Store) changes(ctx context.Context, accountID string) (int64, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: account.Key(accountID), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return 0, fmt.Errorf("get account: %w", err)
	}
	return account.EndpointChanges(out.Item), nil
}

// subscription puts the account among those that events of everybody are for, or takes it from there.
func (s *Store) subscription(accountID string, heard event.Set) types.TransactWriteItem {
	k := attr.Item{attrPK: attr.String(subscribers), attrSK: attr.String(accountID)}
	if slices.ContainsFunc(event.Types(), func(t event.Type) bool { return t.OfEverybody() && heard.Has(t) }) {
		return types.TransactWriteItem{Put: &types.Put{TableName: &s.Table, Item: k}}
	}
	return types.TransactWriteItem{Delete: &types.Delete{TableName: &s.Table, Key: k}}
}

// Subscribers lists accounts that listen to events of everybody: one request.
func (s *Store) Subscribers(ctx context.Context, after string, limit int) (accountIDs []string, next string, err error) {
	in := &dynamodb.QueryInput{
		TableName: &s.Table, Limit: aws.Int32(int32(limit)), KeyConditionExpression: aws.String("#pk = :pk"),
		ExpressionAttributeNames: map[string]string{"#pk": attrPK}, ExpressionAttributeValues: attr.Item{":pk": attr.String(subscribers)},
	}
	if after != "" {
		in.ExclusiveStartKey = attr.Item{attrPK: attr.String(subscribers), attrSK: attr.String(after)}
	}
	out, err := s.DB.Query(ctx, in)
	if err != nil {
		return nil, "", fmt.Errorf("list subscribers: %w", err)
	}
	for _, it := range out.Items {
		accountIDs = append(accountIDs, attr.Text(it, attrSK))
	}
	return accountIDs, attr.Text(out.LastEvaluatedKey, attrSK), nil
}

// Fail notes that nothing was delivered, and for how long the endpoint is left alone (zero: not at all), and gives it as it is
// then. One that is disabled or deleted meanwhile stays so: ErrNotFound.
func (s *Store) Fail(ctx context.Context, e Endpoint, quietUntil time.Time) (Endpoint, error) {
	u := new(attr.Update)
	u.SetOnce(attrFailing, attr.Time(s.Now()))
	if !quietUntil.IsZero() {
		u.Set(attrQuiet, attr.Time(quietUntil))
		u.Remove(attrQuick)
	}
	return s.note(ctx, e, u)
}

// Recover notes that something was delivered.
func (s *Store) Recover(ctx context.Context, e Endpoint) (Endpoint, error) {
	u := new(attr.Update)
	u.Remove(attrFailing, attrQuiet)
	return s.note(ctx, e, u)
}

// Try takes the one try that an endpoint is given when it was left alone for long enough, and leaves it alone until next for all
// others. False: somebody else has it.
func (s *Store) Try(ctx context.Context, e Endpoint, next time.Time) (bool, error) {
	u := new(attr.Update)
	u.Set(attrQuiet, attr.Time(next))
	u.Require(u.Is(attrQuiet, "=", attr.Time(e.QuietUntil)))
	_, err := s.note(ctx, e, u)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Place is the right to send to an endpoint that is not known to be quick.
type Place struct {
	name  string
	until time.Time
}

// Enter takes a place of an endpoint, until a time after which it is taken to have been left. False: all are taken. It writes only
// where the endpoint, as it was read, has a free one.
func (s *Store) Enter(ctx context.Context, e Endpoint, until time.Time) (Place, bool, error) {
	for i, taken := range e.places {
		if taken.After(s.Now()) {
			continue
		}
		p := Place{name: attrPlace + strconv.Itoa(i), until: until}
		u := new(attr.Update)
		u.Set(p.name, attr.Time(until))
		u.Require(u.AbsentOr(p.name, "<=", attr.Time(s.Now())))
		_, err := s.note(ctx, e, u)
		if err == nil {
			return p, true, nil
		}
		if !errors.Is(err, ErrNotFound) {
			return Place{}, false, err
		}
	}
	return Place{}, false, nil
}

// Leave gives a place back, and notes with that whether the endpoint was seen to be quick.
func (s *Store) Leave(ctx context.Context, e Endpoint, p Place, quick bool) error {
	u := new(attr.Update)
	u.Remove(p.name)
	u.Require(u.Is(p.name, "=", attr.Time(p.until)))
	if quick {
		u.Set(attrQuick, attr.Time(s.Now()))
	}
	_, err := s.note(ctx, e, u)
	if errors.Is(err, ErrNotFound) {
		return nil // it was changed meanwhile, or the place's time is over
	}
	return err
}

// Quick notes that an endpoint goes on being quick, or that it is not any more, if it is as it was read.
func (s *Store) Quick(ctx context.Context, e Endpoint, quick bool) error {
	u := new(attr.Update)
	u.Require(u.Is(attrQuick, "=", attr.Time(e.QuickAt)))
	if quick {
		u.Set(attrQuick, attr.Time(s.Now()))
	} else {
		u.Remove(attrQuick)
	}
	_, err := s.note(ctx, e, u)
	if errors.Is(err, ErrNotFound) {
		return nil // somebody else noted it
	}
	return err
}

// Stop disables an endpoint that is gone or failed for too long, and gives it as it is then. The account goes on listening: what
// happens is recorded, and can be replayed. It returns ErrNotFound for one that was disabled, changed or deleted meanwhile.
func (s *Store) Stop(ctx context.Context, e Endpoint, why string) (Endpoint, error) {
	u := new(attr.Update)
	u.Set(attrStatus, attr.String(string(Disabled)))
	u.Set(attrWhy, attr.String(why))
	u.Set(attrDisabled, attr.Time(s.Now()))
	return s.note(ctx, e, u)
}

// note is what the notifier writes of an endpoint that is still enabled, at the URL that it called.
func (s *Store) note(ctx context.Context, e Endpoint, u *attr.Update) (Endpoint, error) {
	u.Require(u.Is(attrStatus, "=", attr.String(string(Enabled))), u.Is(attrURL, "=", attr.String(e.URL)))
	it, applied, err := u.Apply(ctx, s.DB, s.Table, key(e.AccountID, e.ID))
	switch {
	case err != nil:
		return e, fmt.Errorf("note state of webhook endpoint: %w", err)
	case !applied:
		return e, ErrNotFound
	}
	return decode(it), nil
}

// Purge takes away what is kept of an account's endpoints, when the account was closed: nothing is published for it or sent to it any
// more. What was sent is forgotten within Retention of package delivery. It can be done again.
func (s *Store) Purge(ctx context.Context, accountID string) error {
	if _, err := s.DB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.Table, Key: account.Key(accountID), UpdateExpression: aws.String("REMOVE #listens"), ConditionExpression: aws.String("attribute_exists(#pk)"),
		ExpressionAttributeNames: map[string]string{"#listens": account.ListensAttribute, "#pk": attrPK},
	}); err != nil && !errors.As(err, new(*types.ConditionalCheckFailedException)) {
		return fmt.Errorf("purge what an account listens to: %w", err)
	}
	list, err := s.List(ctx, accountID)
	if err != nil {
		return err
	}
	keys := []attr.Item{{attrPK: attr.String(subscribers), attrSK: attr.String(accountID)}}
	for _, e := range list {
		keys = append(keys, key(accountID, e.ID))
	}
	for _, k := range keys {
		if _, err := s.DB.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &s.Table, Key: k}); err != nil {
			return fmt.Errorf("purge webhook endpoint: %w", err)
		}
	}
	return nil
}

func purpose(endpointID string) string { return "webhook secret of " + endpointID }

func key(accountID, endpointID string) attr.Item {
	return attr.Item{attrPK: attr.String(accountID), attrSK: attr.String(prefix + endpointID)}
}

// values are what the audit log keeps of an endpoint. Its URL may hold a secret of the customer's and is left out.
func values(e Endpoint) map[string]any {
	return map[string]any{"event_types": e.Types.Encode(), "status": string(e.Status)}
}

func encode(e Endpoint) attr.Item {
	it := key(e.AccountID, e.ID)
	it[attrURL], it[attrTypes], it[attrStatus] = attr.String(e.URL), attr.String(e.Types.Encode()), attr.String(string(e.Status))
	it[attrDescription], it[attrWhy], it[attrCreatedBy] = attr.String(e.Description), attr.String(e.Why), attr.String(e.CreatedBy)
	it[attrSecretID] = attr.String(e.SecretID)
	it[attrSecret] = &types.AttributeValueMemberB{Value: e.secret}
	if len(e.old) > 0 {
		it[attrOld] = &types.AttributeValueMemberB{Value: e.old}
	}
	for name, at := range map[string]time.Time{attrDisabled: e.DisabledAt, attrCreated: e.CreatedAt, attrFailing: e.FailingSince, attrQuiet: e.QuietUntil, attrOldUntil: e.OldUntil, attrQuick: e.QuickAt} {
		if !at.IsZero() {
			it[name] = attr.Time(at)
		}
	}
	for i, until := range e.places {
		if !until.IsZero() {
			it[attrPlace+strconv.Itoa(i)] = attr.Time(until)
		}
	}
	return it
}

func decode(it attr.Item) Endpoint {
	e := Endpoint{
		ID: strings.TrimPrefix(attr.Text(it, attrSK), prefix), AccountID: attr.Text(it, attrPK), URL: attr.Text(it, attrURL), Description: attr.Text(it, attrDescription),
		Types: event.Decode(attr.Text(it, attrTypes)), Status: Status(attr.Text(it, attrStatus)), Why: attr.Text(it, attrWhy), DisabledAt: attr.Moment(it, attrDisabled),
		CreatedAt: attr.Moment(it, attrCreated), CreatedBy: attr.Text(it, attrCreatedBy), FailingSince: attr.Moment(it, attrFailing), QuietUntil: attr.Moment(it, attrQuiet),
		OldUntil: attr.Moment(it, attrOldUntil), SecretID: attr.Text(it, attrSecretID), QuickAt: attr.Moment(it, attrQuick),
	}
	for i := range e.places {
		e.places[i] = attr.Moment(it, attrPlace+strconv.Itoa(i))
	}
	if b, ok := it[attrSecret].(*types.AttributeValueMemberB); ok {
		e.secret = b.Value
	}
	if b, ok := it[attrOld].(*types.AttributeValueMemberB); ok {
		e.old = b.Value
	}
	return e
}
