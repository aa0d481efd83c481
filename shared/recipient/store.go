package recipient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/id"
)

// Items. Of addresses there are only keys (HMAC) in clear.
//
//	account#recipient     / "recipient"        the recipient, sealed; after its erasure only when, and by which job
//	account#recipient     / "consents"         its consents, sealed
//	account#address key   / "recipient"        whose address it is, or that it is being erased
//	account#address key   / "optout#channel"   that the address opted out of the channel, to be shown
//	account#conversation  / "optout"           the same, as intake and dispatcher look for it
//	account#erasure       / "erasure"          a job that erases
//
// Every item stands in the index "account" as well, so that an account's recipients can be listed, and all of it be purged.
const (
	attrPK       = "pk"
	attrSK       = "sk"
	attrSealed   = "sealed"
	attrOrigin   = "origin"
	attrCreated  = "created_at"
	attrBy       = "created_by"
	attrUpdated  = "updated_at"
	attrVersion  = "version"
	attrOwner    = "recipient_id"
	attrErasing  = "erasure_id"
	attrErasedAt = "erased_at"
	attrUntil    = "until"
	attrSince    = "since"
	attrSource   = "source"
	attrTTL      = "ttl"
	attrListKey  = "ak" // account
	attrListSort = "as" // sort#part: recipients together, the earliest first

	// AccountIndex lists what is kept of an account's recipients.
	AccountIndex = "account"

	recipientSort = "recipient"
	consentsSort  = "consents"
	flagSort      = "optout"
	optOutPrefix  = "optout#"

	purpose         = "recipient"
	consentsPurpose = "consents"

	// addressScope stands where a conversation's key has its channel: no channel has this id.
	addressScope = "recipient"
)

// DynamoDB is what the store needs of the AWS client.
type DynamoDB interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	BatchGetItem(context.Context, *dynamodb.BatchGetItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	TransactWriteItems(context.Context, *dynamodb.TransactWriteItemsInput, ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error)
}

// Sealer seals what is kept of a person, for an account and a purpose.
type Sealer interface {
	Seal(account, purpose string, plain []byte) ([]byte, error)
}

// Opener opens it.
type Opener interface {
	Open(account, purpose string, sealed []byte) ([]byte, error)
}

// Store keeps recipients. A function that only makes them on the way has no Opener; one that makes no change of a
// person's has no Audit.
type Store struct {
	DB    DynamoDB
	Table string
	Keys  id.ConversationKeyer
	Seal  Sealer
	Open  Opener
	Audit *audit.Log
	IDs   id.Source
	Now   func() time.Time
}

type body struct {
	Addresses []string `json:"addresses"`
	Name      string   `json:"name,omitempty"`
}

func key(accountID, part, sort string) attr.Item {
	return attr.Item{attrPK: attr.String(accountID + "#" + part), attrSK: attr.String(sort)}
}

// listed puts an item that is to be written into the index of its account.
func listed(it attr.Item) attr.Item {
	accountID, part, _ := strings.Cut(attr.Text(it, attrPK), "#")
	it[attrListKey], it[attrListSort] = attr.String(accountID), attr.String(attr.Text(it, attrSK)+"#"+part)
	return it
}

// AddressKey is the key under which an address is kept.
func (s *Store) AddressKey(accountID, address string) string {
	return s.Keys.Key(accountID, addressScope, address)
}

func (s *Store) pointerKey(accountID, address string) attr.Item {
	return key(accountID, s.AddressKey(accountID, address), recipientSort)
}

// Get gives a recipient, or ErrNotFound. One strongly consistent request.
func (s *Store) Get(ctx context.Context, accountID, recipientID string) (Recipient, error) {
	it, err := s.read(ctx, accountID, recipientID, recipientSort)
	if err != nil {
		return Recipient{}, err
	}
	if len(it) == 0 || it[attrSealed] == nil {
		return Recipient{}, ErrNotFound
	}
	return s.decode(accountID, recipientID, it)
}

func (s *Store) read(ctx context.Context, accountID, part, sort string) (attr.Item, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: key(accountID, part, sort), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, fmt.Errorf("get recipient: %w", err)
	}
	return out.Item, nil
}

func (s *Store) decode(accountID, recipientID string, it attr.Item) (Recipient, error) {
	r := Recipient{
		AccountID: accountID, ID: recipientID, Origin: Origin(attr.Text(it, attrOrigin)), CreatedAt: attr.Moment(it, attrCreated),
		UpdatedAt: attr.Moment(it, attrUpdated), CreatedBy: attr.Text(it, attrBy), version: attr.Number(it, attrVersion),
	}
	var b body
	if err := s.open(accountID, purpose+"#"+recipientID, it, &b); err != nil {
		return Recipient{}, err
	}
	r.Addresses, r.Name = b.Addresses, b.Name
	return r, nil
}

// open reads a sealed attribute. The errors leave out what was read.
func (s *Store) open(accountID, purpose string, it attr.Item, v any) error {
	sealed, ok := it[attrSealed].(*types.AttributeValueMemberB)
	if !ok {
		return errors.New("decode recipient: it is not sealed")
	}
	plain, err := s.Open.Open(accountID, purpose, sealed.Value)
	if err != nil {
		return fmt.Errorf("open recipient: %w", err)
	}
	if json.Unmarshal(plain, v) != nil {
		return errors.New("decode recipient: it can't be read")
	}
	return nil
}

// maxSealed is how many bytes of what is sealed go into an item, which may have 400 KB with its names.
const maxSealed = 390_000

// ErrTooLarge: what was given can't be kept in one item.
var ErrTooLarge = errors.New("too large to be kept")

func (s *Store) sealed(accountID, purpose string, v any) (types.AttributeValue, error) {
	var plain bytes.Buffer
	to := json.NewEncoder(&plain)
	to.SetEscapeHTML(false) // what is kept is no page, and would be six times as long
	if to.Encode(v) != nil {
		return nil, errors.New("encode recipient")
	}
	b, err := s.Seal.Seal(accountID, purpose, plain.Bytes())
	if err != nil {
		return nil, fmt.Errorf("seal recipient: %w", err)
	}
	if len(b) > maxSealed {
		return nil, ErrTooLarge
	}
	return &types.AttributeValueMemberB{Value: b}, nil
}

func (s *Store) encode(r Recipient) (attr.Item, error) {
	it := key(r.AccountID, r.ID, recipientSort)
	var err error
	if it[attrSealed], err = s.sealed(r.AccountID, purpose+"#"+r.ID, body{Addresses: r.Addresses, Name: r.Name}); err != nil {
		return nil, err
	}
	it[attrOrigin], it[attrCreated], it[attrUpdated], it[attrVersion] = attr.String(string(r.Origin)), attr.Time(r.CreatedAt), attr.Time(r.UpdatedAt), attr.Int(r.version)
	if r.CreatedBy != "" {
		it[attrBy] = attr.String(r.CreatedBy)
	}
	return it, nil
}

// Of gives the ids of the recipients that have these addresses, by address; those without one are left out. One eventually
// consistent request for each 100 addresses.
func (s *Store) Of(ctx context.Context, accountID string, addresses ...string) (map[string]string, error) {
	byKey := map[string]string{}
	var keys []attr.Item
	for _, a := range addresses {
		if k := s.AddressKey(accountID, a); byKey[k] == "" {
			byKey[k] = a
			keys = append(keys, key(accountID, k, recipientSort))
		}
	}
	items, err := batchGet(ctx, s.DB, s.Table, keys, false)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, it := range items {
		if owner := attr.Text(it, attrOwner); owner != "" {
			found[byKey[attr.Text(it, attrPK)[len(accountID)+1:]]] = owner
		}
	}
	return found, nil
}

// Lookup gives the recipient that has an address, or ErrNotFound. Two strongly consistent requests.
func (s *Store) Lookup(ctx context.Context, accountID, address string) (Recipient, error) {
	it, err := s.read(ctx, accountID, s.AddressKey(accountID, address), recipientSort)
	if err != nil {
		return Recipient{}, err
	}
	if attr.Text(it, attrErasing) != "" && s.Now().Before(attr.Moment(it, attrUntil)) {
		return Recipient{}, ErrErasing
	}
	owner := attr.Text(it, attrOwner)
	if owner == "" {
		return Recipient{}, ErrNotFound
	}
	return s.Get(ctx, accountID, owner)
}

// farFuture is until when an address is being erased while its job runs.
func farFuture() time.Time { return time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }

// pointer gives the write by which an address becomes a recipient's. An address whose erasure is over is free for the
// account to enter again; nothing is made of it on the way until a moment later, because a read that began before the
// erasure may still hold the address.
func (s *Store) pointer(r Recipient, address string) types.TransactWriteItem {
	it := s.pointerKey(r.AccountID, address)
	it[attrOwner] = attr.String(r.ID)
	condition, names, values := "attribute_not_exists(#pk) OR #owner = :owner OR #until < :free", map[string]string{"#pk": attrPK, "#owner": attrOwner, "#until": attrUntil}, attr.Item{":owner": attr.String(r.ID)}
	values[":free"] = attr.Time(farFuture())
	if r.Origin == Conversed {
		values[":free"] = attr.Time(s.Now())
	}
	return types.TransactWriteItem{Put: &types.Put{TableName: &s.Table, Item: listed(it), ConditionExpression: &condition, ExpressionAttributeNames: names, ExpressionAttributeValues: values}}
}

func (s *Store) freePointer(r Recipient, address string) types.TransactWriteItem {
	return types.TransactWriteItem{Delete: &types.Delete{
		TableName: &s.Table, Key: s.pointerKey(r.AccountID, address), ConditionExpression: aws.String("#owner = :owner"),
		ExpressionAttributeNames: map[string]string{"#owner": attrOwner}, ExpressionAttributeValues: attr.Item{":owner": attr.String(r.ID)},
	}}
}

// put gives the write of a recipient over the version that was read; 0: there was none.
func (s *Store) put(r Recipient, over int64) (types.TransactWriteItem, error) {
	it, err := s.encode(r)
	if err != nil {
		return types.TransactWriteItem{}, err
	}
	p := &types.Put{TableName: &s.Table, Item: listed(it), ConditionExpression: aws.String("attribute_not_exists(#pk)"), ExpressionAttributeNames: map[string]string{"#pk": attrPK}}
	if over != 0 {
		p.ConditionExpression, p.ExpressionAttributeNames = aws.String("#version = :over"), map[string]string{"#version": attrVersion}
		p.ExpressionAttributeValues = attr.Item{":over": attr.Int(over)}
	}
	return types.TransactWriteItem{Put: p}, nil
}

// Create records a recipient that the account entered. It returns ErrTaken, ErrErasing, or ErrChanged when there is one of
// this id already.
func (s *Store) Create(ctx context.Context, r Recipient, e audit.Event) (Recipient, error) {
	r.Origin, r.version = Entered, 1
	r.CreatedAt = s.Now().UTC().Truncate(time.Millisecond)
	r.UpdatedAt = r.CreatedAt
	changes, err := s.creation(r)
	if err != nil {
		return Recipient{}, err
	}
	e.Action, e.Target, e.After = "recipient.created", r.ID, shape(r)
	return r, s.refused(s.Audit.Write(ctx, e, changes...))
}

func (s *Store) creation(r Recipient) ([]types.TransactWriteItem, error) {
	put, err := s.put(r, 0)
	if err != nil {
		return nil, err
	}
	changes := []types.TransactWriteItem{put}
	for _, a := range r.Addresses {
		changes = append(changes, s.pointer(r, a))
	}
	return changes, nil
}

// shape is what an audit event tells of a recipient: nothing of the person.
func shape(r Recipient) map[string]any {
	return map[string]any{"addresses": len(r.Addresses), "named": r.Name != ""}
}

// refused says why a write of a recipient, its addresses behind it, was refused.
func (s *Store) refused(err error) error {
	r := audit.AsRefused(err)
	switch {
	case r == nil:
		return err
	case attr.Text(r.Item, attrErasing) != "" && attr.Text(r.Item, attrOwner) == "":
		return ErrErasing
	case attr.Text(r.Item, attrSK) == recipientSort && attr.Text(r.Item, attrOwner) != "":
		return ErrTaken
	}
	return ErrChanged
}

// Ensure gives the id of the recipient that has an address, and makes one when there is none. It is for addresses that the
// account has a conversation with. It returns ErrErasing. One request; two more when it makes one.
func (s *Store) Ensure(ctx context.Context, accountID, address string) (string, error) {
	found, err := s.Of(ctx, accountID, address)
	if err != nil || found[address] != "" {
		return found[address], err
	}
	recipientID, err := s.IDs.New(id.RecipientPrefix)
	if err != nil {
		return "", err
	}
	now := s.Now().UTC().Truncate(time.Millisecond)
	changes, err := s.creation(Recipient{AccountID: accountID, ID: recipientID, Addresses: []string{address}, Origin: Conversed, CreatedAt: now, UpdatedAt: now, version: 1})
	if err != nil {
		return "", err
	}
	for try := range ensureTries {
		_, err = s.DB.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: changes})
		if err == nil {
			return recipientID, nil
		}
		if canceled := new(types.TransactionCanceledException); !errors.As(err, &canceled) {
			break
		}
		it, err := s.read(ctx, accountID, s.AddressKey(accountID, address), recipientSort)
		switch {
		case err != nil:
			return "", err
		case attr.Text(it, attrOwner) != "":
			return attr.Text(it, attrOwner), nil
		case attr.Text(it, attrErasing) != "":
			return "", ErrErasing
		}
		// Somebody else's transaction on the address was not done yet.
		if err := awsclient.Wait(ctx, time.Duration(try+1)*ensureWait); err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("make recipient: %w", err)
}

const (
	ensureTries = 5
	ensureWait  = 20 * time.Millisecond
)

// Change replaces a recipient's addresses and name. Opt-outs that the recipient has hold for new addresses too. It returns
// ErrTaken, ErrErasing, ErrTooMany or ErrChanged. What changes nothing is not written.
func (s *Store) Change(ctx context.Context, old Recipient, addresses []string, name string, e audit.Event) (Recipient, error) {
	if name == old.Name && slices.Equal(addresses, old.Addresses) {
		return old, nil
	}
	r := old
	r.Addresses, r.Name, r.UpdatedAt, r.version = addresses, name, s.Now().UTC().Truncate(time.Millisecond), old.version+1
	put, err := s.put(r, old.version)
	if err != nil {
		return Recipient{}, err
	}
	changes := []types.TransactWriteItem{put}
	optOuts, err := s.OptOuts(ctx, old)
	if err != nil {
		return Recipient{}, err
	}
	entered := r
	entered.Origin = Entered // an address that is entered is entered, however the recipient began
	for _, a := range addresses {
		if slices.Contains(old.Addresses, a) {
			continue
		}
		changes = append(changes, s.pointer(entered, a))
		for _, o := range optOuts {
			changes = append(changes, flagWrites(s.Table, s.Keys, r.AccountID, a, o)...)
		}
	}
	for _, a := range old.Addresses {
		if !slices.Contains(addresses, a) {
			changes = append(changes, s.freePointer(old, a))
		}
	}
	if len(changes) > audit.MaxChanges {
		return Recipient{}, ErrTooMany
	}
	e.Action, e.Target, e.Before, e.After = "recipient.updated", r.ID, shape(old), shape(r)
	return r, s.refused(s.Audit.Write(ctx, e, changes...))
}

// Delete takes a recipient away: its name, addresses and consents. Conversations and opt-outs stay. It returns ErrChanged.
func (s *Store) Delete(ctx context.Context, r Recipient, e audit.Event) error {
	changes := []types.TransactWriteItem{
		{Delete: &types.Delete{
			TableName: &s.Table, Key: key(r.AccountID, r.ID, recipientSort), ConditionExpression: aws.String("#version = :over"),
			ExpressionAttributeNames: map[string]string{"#version": attrVersion}, ExpressionAttributeValues: attr.Item{":over": attr.Int(r.version)},
		}},
		{Delete: &types.Delete{TableName: &s.Table, Key: key(r.AccountID, r.ID, consentsSort)}},
	}
	for _, a := range r.Addresses {
		changes = append(changes, s.freePointer(r, a))
	}
	e.Action, e.Target, e.Before = "recipient.deleted", r.ID, shape(r)
	return s.refused(s.Audit.Write(ctx, e, changes...))
}

// Consents gives what the account recorded of a recipient's consents. One strongly consistent request.
func (s *Store) Consents(ctx context.Context, accountID, recipientID string) ([]Consent, error) {
	it, err := s.read(ctx, accountID, recipientID, consentsSort)
	if err != nil || len(it) == 0 {
		return nil, err
	}
	var list []Consent
	return list, s.open(accountID, consentsPurpose+"#"+recipientID, it, &list)
}

// PutConsents replaces a recipient's consents. It returns ErrChanged when the recipient changed meanwhile. Consents that are
// there already are not written again. It returns ErrTooLarge for consents that one item can't hold.
func (s *Store) PutConsents(ctx context.Context, r Recipient, list []Consent, e audit.Event) error {
	old, err := s.Consents(ctx, r.AccountID, r.ID)
	if err != nil {
		return err
	}
	if slices.EqualFunc(old, list, func(a, b Consent) bool {
		at := a.ObtainedAt.Equal(b.ObtainedAt)
		a.ObtainedAt, b.ObtainedAt = time.Time{}, time.Time{}
		return at && a == b
	}) {
		return nil
	}
	it := key(r.AccountID, r.ID, consentsSort)
	if it[attrSealed], err = s.sealed(r.AccountID, consentsPurpose+"#"+r.ID, list); err != nil {
		return err
	}
	it[attrUpdated] = attr.Time(s.Now())
	e.Action, e.Target, e.Before, e.After = "recipient.consents_set", r.ID, tally(old), tally(list)
	return s.refused(s.Audit.Write(ctx, e, s.still(r), types.TransactWriteItem{Put: &types.Put{TableName: &s.Table, Item: listed(it)}}))
}

// still gives the condition that a recipient is there.
func (s *Store) still(r Recipient) types.TransactWriteItem {
	return types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
		TableName: &s.Table, Key: key(r.AccountID, r.ID, recipientSort), ConditionExpression: aws.String("#version = :over"),
		ExpressionAttributeNames: map[string]string{"#version": attrVersion}, ExpressionAttributeValues: attr.Item{":over": attr.Int(r.version)},
	}}
}

func tally(list []Consent) map[string]any {
	given := 0
	channels := map[string]bool{}
	for _, c := range list {
		channels[c.ChannelID] = true
		if c.Status == Given {
			given++
		}
	}
	return map[string]any{"given": given, "withdrawn": len(list) - given, "channels": len(channels)}
}

// batchGet reads items, one request for each 100 keys.
func batchGet(ctx context.Context, db awsclient.BatchGetter, table string, keys []attr.Item, consistent bool) ([]attr.Item, error) {
	found, err := awsclient.BatchGet(ctx, db, table, types.KeysAndAttributes{Keys: keys, ConsistentRead: &consistent})
	if err != nil {
		return nil, fmt.Errorf("read recipients: %w", err)
	}
	return found, nil
}
